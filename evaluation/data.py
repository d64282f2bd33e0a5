"""Where a benchmark's items come from: files that are given, or the Hub at a pinned commit."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evaluation.benchmark import BadData, Benchmark
from schemas.items import Item
from spar_core.checks import NoChecker
from spar_core.ids import item_id


def items(benchmark: Benchmark, data: str, run: str) -> list[Item]:
    """All items of a benchmark.

    Args:
        data: a file, or a folder that holds the benchmark's files or a folder of its name; of
            `refinement` a run. "" for the Hub, of `refinement` for `run`.

    Raises:
        BadData: they are not there, or not what they should be.
    """
    try:
        found = list(benchmark.read(_paths(benchmark, data, run)))
    except NoChecker as error:
        raise BadData(str(error)) from None
    return [
        replace(each, item_id=item_id(benchmark.name, each.key, each.prompt, each.given))
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
    except ImportError:
        raise BadData("the Hub needs the extra `evaluate`; or give --data") from None
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
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise BadData(f"{path}: cannot be read ({error})") from None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        prompt, response = _row(path, number, line)
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
        raise BadData(f"{path}: no answers; a row is an object with `prompt` and `response`")
    return found


def _row(path: str, number: int, line: str) -> tuple[str, str]:
    try:
        row = json.loads(line)
        prompt, response = row["prompt"], row["response"]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        reason = f"no `{error.args[0]}`" if isinstance(error, KeyError) else "no JSON object"
        raise BadData(
            f"{path}: row {number}: {reason}; a row has `prompt` and `response`"
        ) from None
    if not isinstance(prompt, str) or not isinstance(response, str):
        raise BadData(f"{path}: row {number}: `prompt` and `response` must be texts")
    return prompt, response
