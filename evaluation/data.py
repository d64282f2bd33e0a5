"""Where a benchmark's items come from: files that are given, or the Hub at a pinned commit."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluation.benchmark import BadData, Benchmark
from evaluation.published import json_lines
from schemas.items import Item
from spar_core.checks.library import NoChecker
from spar_core.ids import item_id
from terminal.packages import extra, not_imported

_REMEDY = "a row is an object with the texts `prompt` and `response`"


def items(benchmark: Benchmark, data: str, run: str, column: str | None = None) -> list[Item]:
    """All items of a benchmark.

    Args:
        data: a file, or a folder that holds the benchmark's files or a folder of its name; of
            `refinement` a run; of `custom` files of prompts, or a run whose held-out prompts are
            meant. "" for the Hub; of `refinement` and `custom` for `run`.
        column: the column that the prompts of `custom` stand in, None for the usual ones.

    Raises:
        BadData: they are not there, or not what they should be.
    """
    try:
        if benchmark.read_prompts:
            found = list(benchmark.read_prompts(data or run, column, is_run=not data))
        else:
            found = list(benchmark.read(_paths(benchmark, data, run)))
    except NoChecker as error:
        raise BadData(str(error)) from None
    # These are told apart by all of the chat.
    of_chats = benchmark.answers in ("chat", "turns")
    return [
        replace(
            each,
            item_id=item_id(
                benchmark.name, each.key, each.prompt, each.details if of_chats else each.given
            ),
        )
        for each in found
    ]


def _paths(benchmark: Benchmark, data: str, run: str) -> Sequence[Path]:
    if benchmark.answers == "refinement":
        return [Path(data or run)]
    if not data:
        return _downloaded(benchmark)
    path = Path(data)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BadData(f"{benchmark.name}: no such file or folder: {data}")
    for folder in (path / benchmark.name, path):
        for pattern in benchmark.files:
            if found := sorted(folder.glob(pattern)):
                return found
    wanted = " or ".join(benchmark.files)
    raise BadData(f"{benchmark.name}: no {wanted} in {data} or in {path / benchmark.name}")


def _downloaded(benchmark: Benchmark) -> list[Path]:
    hub = benchmark.hub
    if hub is None:
        raise BadData(
            f"{benchmark.name} has no dataset of its own on the Hub: give --data with its files"
        )
    try:
        client = importlib.import_module("huggingface_hub")
        return [
            Path(
                client.hf_hub_download(
                    hub.dataset, file, repo_type="dataset", revision=hub.revision
                )
            )
            for file in hub.files
        ]
    except ImportError as error:
        said = not_imported(f"{benchmark.name} from the Hub", error, extra("evaluate"))
        raise BadData(f"{said}; or give --data") from None
    except Exception as error:  # whatever the client and the network raise
        reason = str(error).partition("\n")[0]
        raise BadData(
            f"{benchmark.name}: cannot get {hub.dataset} from the Hub ({reason}); give --data"
        ) from None


def responses(path: str, wanted: Sequence[Item]) -> dict[str, str]:
    """Answers that somebody else made, by item id.

    Args:
        path: JSON lines with `prompt` and `response`. wanted: all items of the benchmark.

    Raises:
        BadData: no rows, rows that are none, prompts that are not the benchmark's, or doubles.
    """
    known = {item.prompt: item.item_id for item in wanted}
    found: dict[str, str] = {}
    strange: list[int] = []
    doubles: list[int] = []
    for number, row in json_lines(Path(path), _REMEDY):
        prompt, response = _texts(path, number, row)
        if prompt not in known:
            strange.append(number)
        elif known[prompt] in found:
            doubles.append(number)
        else:
            found[known[prompt]] = response
    for rows, what in ((strange, "whose prompt is none of"), (doubles, "that repeat a prompt of")):
        if rows:
            raise BadData(
                f"{path}: {len(rows)} rows {what} the benchmark, the first is row {rows[0]}; "
                "take them out"
            )
    if not found:
        raise BadData(f"{path}: no answers; {_REMEDY}")
    return found


def _texts(path: str, number: int, row: Any) -> tuple[str, str]:
    if not isinstance(row, dict):
        raise BadData(f"{path}: row {number}: no JSON object; {_REMEDY}")
    for name in ("prompt", "response"):
        if name not in row:
            raise BadData(f"{path}: row {number}: no `{name}`; {_REMEDY}")
        if not isinstance(row[name], str):
            raise BadData(f"{path}: row {number}: `{name}` must be text; {_REMEDY}")
    return row["prompt"], row["response"]
