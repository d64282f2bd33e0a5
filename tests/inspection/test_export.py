"""Exports: read back by `datasets`, described by their card, trained on by TRL's own script."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pytest

from benchmarks import llama
from inspection.export import __main__ as export
from inspection.export import card, files
from inspection.export.columns import described
from inspection.export.formats import FORMATS, REASONING
from pipelines.execution import options
from pipelines.execution.parts import depends_on
from schemas import TABLES
from schemas.pairs import Message, Pair
from schemas.prompts import Prompt
from schemas.rft import RftSample
from schemas.views import connect, named_in
from spar_core.dataset import Dataset, Settled
from spar_core.methods import METHODS
from spar_core.variants import hold
from tests import committed
from tests.full_disk import files_of_at_most
from tests.pipelines import rounds

CONTROLS = "".join(map(chr, range(0x100)))
TEXTS = [
    "",
    " ",
    "\n",
    "plain",
    CONTROLS,
    "line\r\nline\u2028line\u2029line\u0085line\x0bline\x0cline",
    '"quoted" \'quoted\' \\ \\u0041 \\n {"json": [null]} ```',
    "😀 عربي e\u0301 \u200d \u202e \ufeff \uffff \U0010ffff",
    "null",
    "2024-01-01",
    "0.5",
    "---\nlicense: mit\n---",
    "x" * 3_000_000,
    "{{ jinja }} {% raw %} <|im_start|> </s> <script>alert(1)</script> | cell |",
]


def pair(number: int, text: str, similarity: float = 0.5) -> Pair:
    return Pair(
        f"p{number}",
        [Message("user", f"{text}?")],
        [Message("assistant", text)],
        [Message("assistant", text[::-1])],
        prompt_id=f"prompt{number}",
        tree_id=f"t{number}",
        chosen_node_id="n",
        rejected_response_id="r",
        method="spar",
        similarity=similarity,
        depth=1,
        chosen_value=0.8,
        rejected_value=1 / 3,
        chosen_yes_votes=4,
        chosen_no_votes=1,
        rejected_yes_votes=1,
        rejected_no_votes=4,
        chosen_chars=len(text),
        rejected_chars=len(text),
        refinements=3,
        tree_tokens=2**40 + number,
    )


def sample(number: int, text: str) -> RftSample:
    chat = [Message("user", text), Message("assistant", text), Message("user", "Refine.")]
    chat.append(Message("assistant", text[::-1]))
    source, label = ("tree_refinement", None) if number < 9 else ("tree_judgement", "Yes")
    task = "judge" if label else "refine"
    return RftSample(
        f"s{number}", chat, task, label, source, 0.6, f"prompt{number}", f"t{number}", None, None
    )


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two iterations whose texts are made to break readers; for reading only."""
    run = tmp_path_factory.mktemp("hostile") / "run"
    half = len(TEXTS) // 2
    for iteration, some in ((1, range(half)), (2, range(half, len(TEXTS)))):
        dataset = Dataset(str(run), iteration)
        for n in some:
            rows = {"pairs": [pair(n, TEXTS[n], n / 20)], "rft": [sample(n, TEXTS[n])]}
            dataset.commit("pairs", f"w{n:02}", [Settled(f"k{n}", rows)])  # type: ignore[arg-type]
        hold(dataset, "sample", {"actor.model": "m|`` ` \x1b[31m\n<b>", "seed": iteration})
    return run


@pytest.fixture(scope="module")
def connections(
    hostile_run: Path, finished_run: Path
) -> Iterator[dict[str, duckdb.DuckDBPyConnection]]:
    """Locked connections to the runs that no test changes, by the run."""
    with ExitStack() as opened:
        runs = (str(hostile_run), str(finished_run))
        yield {run: opened.enter_context(connect(run, locked=True)) for run in runs}


@pytest.fixture(autouse=True)
def _opened_once(
    connections: dict[str, duckdb.DuckDBPyConnection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that no test changes are opened once, which takes half of the time of an export."""

    def opened(run: str, *, locked: bool) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        assert locked
        return nullcontext(connections[run]) if run in connections else connect(run, locked=True)

    monkeypatch.setattr(export, "connect", opened)


def write(run: Path | str, form: str, output: Path | str, *more: str) -> int:
    return export.main(["--run", str(run), "--format", form, "--output", str(output), *more])


def exported(table: str) -> list[str]:
    """The columns of a table that are exported unless reasoning is asked for."""
    return [name for name in TABLES[table].schema.names if name != REASONING[table]]


def held(run: Path, table: str, columns: str = "*", where: str = "true") -> list[dict[str, Any]]:
    """Rows of a run by iteration and id; of an exported table without reasoning."""
    if columns == "*" and table in REASONING:
        columns = f"* exclude ({REASONING[table]})"
    order = {"pairs": "order by iteration, pair_id", "rft": "order by iteration, rft_id"}
    query = f"select {columns} from {table} where {where} {order.get(table, '')}"
    with connect(str(run), named_in(query)) as connection:
        rows: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
        return rows


def loaded(folder: Path, cache: Path, config: str | None = None) -> list[dict[str, Any]]:
    """Rows as `datasets` reads them from the folder."""
    import datasets

    rows = datasets.load_dataset(str(folder), config, split="train", cache_dir=str(cache))
    assert isinstance(rows, datasets.Dataset)
    return list(rows)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sharegpt(message: dict[str, str]) -> dict[str, str]:
    return {
        "from": {"user": "human", "assistant": "gpt"}[message["role"]],
        "value": message["content"],
    }


@pytest.mark.parametrize("form", ["trl", "huggingface", "jsonl"])
def test_what_was_written_is_read_back(hostile_run: Path, tmp_path: Path, form: str) -> None:
    assert write(hostile_run, form, tmp_path / "out") == 0
    chat = "messages, messages[:-2] as prompt, messages[-1:] as completion"
    columns = {"trl": ("prompt, chosen, rejected", chat)}.get(form, ("*", "*"))
    assert loaded(tmp_path / "out", tmp_path / "cache") == held(hostile_run, "pairs", columns[0])
    assert loaded(tmp_path / "out", tmp_path / "cache", "rft") == held(
        hostile_run, "rft", columns[1]
    )


def test_what_trl_is_to_learn_of_a_chat_is_its_last_turn(
    finished_run: Path, tmp_path: Path
) -> None:
    assert write(finished_run, "trl", tmp_path / "out") == 0
    rows = loaded(tmp_path / "out", tmp_path / "cache", "rft")
    assert {len(row["messages"]) for row in rows} == {2, 4}
    for row in rows:
        assert row["prompt"] == row["messages"][:-1]
        assert row["completion"] == row["messages"][-1:]
        assert row["completion"][0]["role"] == "assistant"


def test_jsonl_holds_a_row_a_line_for_every_reader(hostile_run: Path, tmp_path: Path) -> None:
    assert write(hostile_run, "jsonl", tmp_path / "out") == 0
    for table in ("pairs", "rft"):
        text = (tmp_path / "out" / f"{table}.jsonl").read_text(encoding="utf-8")
        rows = held(hostile_run, table)
        assert [json.loads(line) for line in text.splitlines()] == rows
        with duckdb.connect() as connection:
            path = str(tmp_path / "out" / f"{table}.jsonl").replace("'", "''")
            names = ", ".join(f"{name}::varchar" for name in exported(table))
            read = f"select {names} from read_json('{path}', maximum_object_size = 100000000)"
            assert len(connection.sql(read).fetchall()) == len(rows)


def test_jsonl_has_null_for_numbers_that_json_has_not(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    rows = [pair(1, "is NaN", float("nan"))]
    Dataset(run, 1).commit("pairs", "w", [Settled("k", {"pairs": rows})])
    assert write(Path(run), "jsonl", tmp_path / "out") == 0
    text = (tmp_path / "out" / "pairs.jsonl").read_text()
    assert '"similarity":null' in text
    assert '"is NaN"' in text


def test_partial_folders_of_killed_exports_are_swept(tmp_path: Path) -> None:
    killed, other = tmp_path / ".out.partial-0a1b2c3d", tmp_path / ".out.d.partial-0a1b2c3d"
    for folder in (killed, other):
        folder.mkdir()
        (folder / "half").write_text("written")
    with files.new_folder(str(tmp_path / "out")) as first:
        assert not killed.exists()
        with files.new_folder(str(tmp_path / "out")):
            assert first.exists(), "one that another process writes is not swept"
            (first / "done").write_text("")
    assert other.exists(), "of another output"


def test_llamafactory_reads_what_is_described(hostile_run: Path, tmp_path: Path) -> None:
    import datasets

    out = tmp_path / "out"
    assert write(hostile_run, "llamafactory", out) == 0
    info = json.loads((out / "dataset_info.json").read_text())
    assert sorted(info) == ["spar_pairs", "spar_rft"]
    read = {}
    for name, each in info.items():
        assert each["formatting"] == "sharegpt"
        files_of_it = [str(out / each["file_name"])]
        read[name] = list(
            datasets.load_dataset(
                "json", data_files=files_of_it, split="train", cache_dir=str(tmp_path / "cache")
            )
        )
        tags = each["tags"]
        asks, answers = tags["user_tag"], tags["assistant_tag"]
        for row in read[name]:
            turns = [turn[tags["role_tag"]] for turn in row[each["columns"]["messages"]]]
            if each.get("ranking"):
                sides = [row[each["columns"][side]] for side in ("chosen", "rejected")]
                assert {side[tags["role_tag"]] for side in sides} == {answers}
                turns.append(answers)
            assert turns == [asks, answers] * (len(turns) // 2)
    assert info["spar_pairs"]["ranking"] is True
    assert "ranking" not in info["spar_rft"]
    assert read["spar_pairs"] == [
        {
            "conversations": [sharegpt(message) for message in row["prompt"]],
            "chosen": sharegpt(row["chosen"][0]),
            "rejected": sharegpt(row["rejected"][0]),
        }
        for row in held(hostile_run, "pairs")
    ]
    assert read["spar_rft"] == [
        {"conversations": [sharegpt(message) for message in row["messages"]]}
        for row in held(hostile_run, "rft")
    ]
    assert loaded(out, tmp_path / "cache") == read["spar_pairs"]
    assert loaded(out, tmp_path / "cache", "rft") == read["spar_rft"]


def test_large_tables_are_written_in_shards(
    hostile_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ROWS", 1)
    monkeypatch.setattr(files, "SHARD_BYTES", 5_000)
    assert write(hostile_run, "huggingface", tmp_path / "out") == 0
    names = leftovers(tmp_path / "out" / "data" / "pairs")
    assert 2 < len(names) <= len(TEXTS)
    assert names == [f"train-{n:05}-of-{len(names):05}.parquet" for n in range(len(names))]
    assert loaded(tmp_path / "out", tmp_path / "cache") == held(hostile_run, "pairs")


@pytest.mark.parametrize("form", list(FORMATS))
def test_an_export_holds_its_files_and_no_other_and_is_the_same_again(
    finished_run: Path, tmp_path: Path, form: str
) -> None:
    before = rounds.files(finished_run)
    for name in ("one", "two"):
        assert write(finished_run, form, tmp_path / name / "set") == 0
        assert leftovers(tmp_path / name) == ["set"]
    one, two = (
        {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "two")
    )
    assert one == two
    tables = {"set/data/pairs/train-00000-of-00001.parquet", "set/pairs.jsonl"}
    assert len(tables & set(one)) == 1
    assert len(one) == 4 if form == "llamafactory" else 3
    assert (tmp_path / "one" / "set").stat().st_mode & 0o777 == 0o777 & ~_umask()
    assert rounds.files(finished_run) == before


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_condition_picks_pairs(hostile_run: Path, tmp_path: Path) -> None:
    where = "similarity > 0.2 and iteration = 1 or pair_id in (select max(pair_id) from pairs)"
    assert write(hostile_run, "huggingface", tmp_path / "out", "--where", where) == 0
    assert loaded(tmp_path / "out", tmp_path / "cache") == held(hostile_run, "pairs", "*", where)
    assert len(loaded(tmp_path / "out", tmp_path / "cache", "rft")) == len(TEXTS)


def test_a_condition_on_what_both_tables_have_picks_from_both(
    hostile_run: Path, tmp_path: Path
) -> None:
    where = "prompt_id <> 'prompt3'"
    assert write(hostile_run, "jsonl", tmp_path / "out", "--where", where) == 0
    for table in ("pairs", "rft"):
        rows = loaded(tmp_path / "out", tmp_path / "cache", table)
        assert rows == held(hostile_run, table, "*", where)
        assert len(rows) == len(TEXTS) - 1


def test_one_iteration(hostile_run: Path, tmp_path: Path) -> None:
    assert write(hostile_run, "jsonl", tmp_path / "out", "--iteration", "2") == 0
    for table in ("pairs", "rft"):
        rows = loaded(tmp_path / "out", tmp_path / "cache", table)
        assert rows == held(hostile_run, table, "*", "iteration = 2")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "iteration 1" not in text


def test_a_condition_by_chance_is_asked_once(
    hostile_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    where = "random() < 0.5 or pair_id = 'p1'"
    assert write(hostile_run, "trl", out, "--where", where) == 0
    made = len(loaded(out, tmp_path / "cache"))
    assert f"{made} pairs" in capsys.readouterr().out
    quality = (out / "README.md").read_text().partition("## Pair quality")[2]
    rows = (line.split("|") for line in quality.splitlines() if line.startswith("| `pairs` |"))
    assert sum(int(cell) for cell in next(rows)[2:-1]) == made


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("", "syntax|selection"),
        ("nosuch > 1", "nosuch"),
        ("true) union all (select * from pairs", "syntax"),
        ("true; drop view pairs", "modifiers|syntax"),
        ("true, false", "single expression"),
        ("true limit 1", "modifiers"),
        ("count(*) > 1", "aggregates"),
        ("prompt[1].content::int > 1", "convert"),
        ("exists (from read_text('{secret}'))", "secret.csv"),
        ("exists (from read_csv('{secret}'))", "secret.csv"),
        ("exists (from '{secret}')", "secret.csv"),
        ("exists (from glob('{folder}/*'))", "disabled|denied|Permission"),
        ("(copy pairs to '{folder}/out.csv')", "syntax"),
        ("similarity > 2", "no pairs of .* meet --where 'similarity > 2'"),
        ("\ud800", "."),
    ],
)
def test_a_condition_that_is_no_good_is_one_line(
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    where: str,
    says: str,
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("word\nTOPSECRET\n")
    where = where.replace("{secret}", str(secret)).replace("{folder}", str(tmp_path))
    assert write(finished_run, "trl", tmp_path / "out", "--where", where) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) <= 2, "DuckDB may suggest another name in a second line"
    assert re.search(says, err)
    assert "TOPSECRET" not in err
    assert leftovers(tmp_path) == ["secret.csv"]


@pytest.mark.parametrize("name", ["missing", "empty", "file", "nowhere://x"])
def test_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no run")
    run = name if "://" in name else str(tmp_path / name)
    assert write(run, "trl", tmp_path / "sets" / "new" / "out") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert name.partition(":")[0] in err
    assert leftovers(tmp_path) == ["empty", "file"]


def test_a_run_without_pairs_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {"rft": [sample(1, "x")]}
    Dataset(str(tmp_path / "run"), 1).commit("s", "w", [Settled("k", rows)])  # type: ignore[arg-type]
    assert write(tmp_path / "run", "trl", tmp_path / "out") == 2
    assert "no pairs in" in capsys.readouterr().err
    assert leftovers(tmp_path) == ["run"]


@pytest.mark.parametrize("form", list(FORMATS))
def test_a_run_without_rft_has_no_rft(tmp_path: Path, form: str) -> None:
    rows = {"pairs": [pair(1, "x")]}
    Dataset(str(tmp_path / "run"), 1).commit("s", "w", [Settled("k", rows)])  # type: ignore[arg-type]
    assert write(tmp_path / "run", form, tmp_path / "out") == 0
    assert len(loaded(tmp_path / "out", tmp_path / "cache")) == 1
    assert not list((tmp_path / "out").rglob("*rft*"))


@pytest.mark.parametrize("there", ["full folder", "file", "link"])
def test_nothing_is_overwritten(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str
) -> None:
    out = tmp_path / "out"
    if there == "file":
        out.write_text("mine")
    else:
        full = out if there == "full folder" else tmp_path / "elsewhere"
        full.mkdir()
        (full / "mine").write_text("mine")
        if there == "link":
            out.symlink_to(full)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert write(finished_run, "trl", out) == 2
    assert "is there already" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_empty_folder_is_filled(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert write(finished_run, "trl", tmp_path / "out") == 0
    assert leftovers(tmp_path / "out") == ["README.md", "data"]


@pytest.mark.parametrize("name", ["it's a set", "iteration=9/x=1", "set [1]", 'quote"d', "a*b"])
def test_an_export_may_lie_anywhere(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert write(finished_run, "jsonl", name) == 0
    rows = [json.loads(line) for line in (tmp_path / name / "pairs.jsonl").open()]
    assert rows == held(finished_run, "pairs")


def test_a_run_may_lie_in_a_bucket(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    name = f"/{uuid.uuid4().hex}"
    rows = {"pairs": [pair(1, "x")]}
    dataset = Dataset(f"memory:/{name}", 1)
    dataset.commit("s", "w", [Settled("k", rows)])  # type: ignore[arg-type]
    hold(dataset, "sample", {"actor.model": "the model"})
    try:
        assert write(f"memory:/{name}", "trl", tmp_path / "out") == 0
    finally:
        fs.rm(name, recursive=True)
    assert loaded(tmp_path / "out", tmp_path / "cache")[0]["chosen"][0]["content"] == "x"
    assert "--actor_model 'the model'" in (tmp_path / "out" / "README.md").read_text()


def test_an_address_is_no_folder(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write(finished_run, "trl", "gs://bucket/set") == 2
    assert "gs://bucket/set" in capsys.readouterr().err


def test_an_interrupt_leaves_nothing(
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(card, "render", stop)
    assert write(finished_run, "trl", tmp_path / "out") == 4
    assert capsys.readouterr().err == "stopped: nothing was written\n"
    assert leftovers(tmp_path) == []


def test_a_full_disk_leaves_nothing(
    hostile_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with files_of_at_most(200):
        assert write(hostile_run, "jsonl", tmp_path / "out") == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert leftovers(tmp_path) == []


def test_a_killed_export_is_not_there(hostile_run: Path, tmp_path: Path) -> None:
    process = rounds.start(
        *("--run", str(hostile_run), "--format", "trl", "--output", str(tmp_path / "out")),
        job="inspection.export",
    )
    deadline = time.monotonic() + 300
    while not leftovers(tmp_path):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert "out" not in leftovers(tmp_path)
    assert write(hostile_run, "trl", tmp_path / "out") == 0


@pytest.mark.parametrize("licence", ["", "a b", "x\ny: z", "mit'", "-mit", "m" * 100])
def test_a_licence_is_an_id(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], licence: str
) -> None:
    with pytest.raises(SystemExit) as left:
        write(finished_run, "trl", tmp_path / "out", f"--licence={licence}")
    assert left.value.code == 2
    assert "licence" in capsys.readouterr().err
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("form", list(FORMATS))
def test_the_card_is_read_by_the_hub(finished_run: Path, tmp_path: Path, form: str) -> None:
    from huggingface_hub import DatasetCard

    out = tmp_path / "out"
    assert write(finished_run, form, out, "--licence", "CC-BY-4.0") == 0
    head = DatasetCard.load(out / "README.md").data.to_dict()
    assert head["license"] == "cc-by-4.0"
    assert head["size_categories"] == ["n<1K"]
    assert head["task_categories"] == ["text-generation"]
    assert [(each["config_name"], each.get("default")) for each in head["configs"]] == [
        ("pairs", True),
        ("rft", None),
    ]
    for each in head["configs"]:
        [split] = each["data_files"]
        assert split["split"] == "train"
        assert list(out.glob(split["path"]))


def test_the_card_tells_what_the_run_holds(finished_run: Path, tmp_path: Path) -> None:
    assert write(finished_run, "huggingface", tmp_path / "out") == 0
    text = (tmp_path / "out" / "README.md").read_text()
    assert "license: unknown" in text
    assert "`--licence ID`" in text
    for table in TABLES:
        assert f"| `{table}` | {len(held(finished_run, table)):,} |" in text
    [quality] = held(finished_run, "pair_quality")
    for name, value in quality.items():
        shown = value if isinstance(value, str) else json.dumps(value)
        assert name == "iteration" or f"| `{name}` | {shown} |" in text
    assert "| 1 | `main` | answers | `loopback` |" in text
    pairs, rft = (len(held(finished_run, table)) for table in ("pairs", "rft"))
    assert f"| `pairs` | `spar` | `main` | {pairs} |\n| `rft` | `spar` | `main` | {rft} |" in text
    settings = json.loads(
        (finished_run / "_manifest" / "iteration=1" / "tree_search.settings").read_text()
    )
    for name, value in settings.items():
        shown = value if isinstance(value, str) else json.dumps(value)
        assert f"| `{name}` | `{shown}` |" in text
    assert "2412.11605" in text
    assert str(finished_run.parent) not in text
    for table, column in [(t, c) for t in ("pairs", "rft") for c in exported(t)]:
        assert f"| `{column}` | {described(table, column)} |" in text
    assert not any(row["prompt"] in text for row in held(finished_run, "prompts"))


def settings(argv: list[str]) -> dict[str, dict[str, Any]]:
    """What the stages of a command line's round depend on, as they are read back."""
    job = options.parse("refine", "", METHODS, argv)
    told = {s.name: depends_on(job, s, s.settings(job.options)) for s in job.stages}
    plain: dict[str, dict[str, Any]] = json.loads(json.dumps(told))
    return plain


def test_the_cards_command_makes_the_same_run(finished_run: Path, tmp_path: Path) -> None:
    assert write(finished_run, "trl", tmp_path / "out") == 0
    block = (tmp_path / "out" / "README.md").read_text().partition("```sh\n")[2].partition("\n```")
    refine, again = (shlex.split(line) for line in block[0].splitlines())
    assert refine[:3] == ["python", "-m", "pipelines.refine"]
    told = settings([*refine[3:], "--engine_url", "http://127.0.0.1:9"])
    for stage, values in told.items():
        path = finished_run / "_manifest" / "iteration=1" / f"{stage}.settings"
        assert values == json.loads(path.read_text())
    assert again[:3] == ["python", "-m", "inspection.export"]
    assert again[3:] == ["--run", "runs/run", "--format", "trl", "--output", "out"]


def test_the_cards_commands_follow_every_setting() -> None:
    given = ["--run", "r", "--prompts", "p", "--engine", "vllm", "--actor_model", "a b"]
    given += ["--refiner_model", "b", "--responses", "2", "--votes", "7", "--quorum", "5"]
    given += ["--strategy", "dfs", "--branch", "4", "--keep", "1", "--depth", "5", "--budget", "9"]
    given += ["--stop_votes", "--stop_level", "--judge_once", "--constrained", "on", "--seed", "3"]
    given += ["--checks", "decide", "--ask_again", "1"]
    for number, role in enumerate(("actor", "judge", "refine"), 1):
        given += [f"--{role}_temperature", f"0.{number}", f"--{role}_top_p", f"0.9{number}"]
        given += [f"--{role}_max_tokens", f"{number}00"]

    def told(argv: list[str]) -> dict[str, Any]:
        return {k: v for values in settings(argv).values() for k, v in values.items()}

    command = card.refine_command("r", 1, told(given))
    assert told([*command[3:], "--engine", "vllm"]) == told(given)


def test_the_card_of_a_run_of_earlier_times_says_what_was_so_then() -> None:
    line = " ".join(card.refine_command("r", 1, {"judge.votes": 5}))
    assert line.endswith("--votes 5 --checks report --ask_again 0")
    assert "--checks" not in " ".join(card.refine_command("r", 1, {"ratings": 3}))


def test_text_of_others_does_nothing_in_the_card(hostile_run: Path, tmp_path: Path) -> None:
    where = "prompt_id <> '```\n# Heading | <img src=x> \x1b[31m\u202e --- $(rm -rf /) `id`'"
    assert write(hostile_run, "jsonl", tmp_path / "out", "--where", where) == 0
    text = (tmp_path / "out" / "README.md").read_text()
    assert not set("\x1b\u202e") & set(text)
    assert "| `actor.model` | ``` m\\|`` ` \\u001b[31m <b> ``` |" in text
    lines = text.splitlines()
    fences = [number for number, line in enumerate(lines) if line.startswith("````")]
    [heading] = [number for number, line in enumerate(lines) if line.startswith("# Heading")]
    assert len(fences) == 2
    assert fences[0] < heading < fences[1]
    assert lines.count("---") == 2


def test_a_broken_settings_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {"pairs": [pair(1, "x")]}
    Dataset(str(tmp_path / "run"), 1).commit("s", "w", [Settled("k", rows)])  # type: ignore[arg-type]
    for text in ("{", "[1]", "null", "\xff"):
        path = tmp_path / "run" / "_manifest" / "iteration=1" / "sample.settings"
        path.write_bytes(text.encode("latin-1"))
        assert write(tmp_path / "run", "trl", tmp_path / "out") == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ")
        assert "sample.settings" in err
        assert err.count("\n") == 1
    assert leftovers(tmp_path) == ["run"]


def test_pairs_have_the_extra_columns_of_their_prompts(tmp_path: Path) -> None:
    run = committed.commit(tmp_path / "run", "pairs", [committed.pair(n) for n in range(3)])
    committed.commit(run, "pairs", [committed.pair(3)], iteration=2)
    extras = ['{"team": "blue"}', None]
    for iteration in (1, 2):
        prompts = [
            Prompt(f"prompt{n + (iteration - 1) * 3}", "p", "f", n, extra=extra)
            for n, extra in enumerate(extras)
        ]
        committed.commit(run, "prompts", prompts, iteration=iteration)
    expected = {"prompt0": extras[0], "prompt1": None, "prompt2": None, "prompt3": extras[0]}
    for form in ("jsonl", "huggingface"):
        assert write(run, form, tmp_path / form) == 0
        rows = loaded(tmp_path / form, tmp_path / "cache")
        assert {row["prompt_id"]: row["extra"] for row in rows} == expected
        card_text = (tmp_path / form / "README.md").read_text()
        assert f"| `extra` | {described('pairs', 'extra')} |" in card_text
        assert "blue" not in card_text
    assert write(run, "jsonl", tmp_path / "some", "--where", "extra->>'team' = 'blue'") == 0
    assert len((tmp_path / "some" / "pairs.jsonl").read_text().splitlines()) == 2
    assert write(run, "trl", tmp_path / "trl") == 0
    assert [*loaded(tmp_path / "trl", tmp_path / "cache")[0]] == ["prompt", "chosen", "rejected"]


def thoughtful(tmp_path: Path) -> Path:
    """A run whose models thought before a pair's chosen side and before one of two samples."""
    pairs = [replace(pair(0, "plain"), chosen_reasoning="why chosen")]
    samples = [replace(sample(n, "plain"), reasoning=[None, "why so"][n]) for n in range(2)]
    run = committed.commit(tmp_path / "run", "pairs", pairs)
    return committed.commit(run, "rft", samples)


@pytest.mark.parametrize("form", FORMATS)
def test_reasoning_is_exported_on_request_alone(form: str, tmp_path: Path) -> None:
    run, texts = thoughtful(tmp_path), {}
    for name, more in (("without", ()), ("with", ("--with_reasoning",))):
        assert write(run, form, tmp_path / name, *more) == 0
        found = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
        data = [path for path in found if path.suffix in (".jsonl", ".parquet")]
        assert len(data) == 2
        rows = []
        for path in sorted(data):
            rows += duckdb.sql(f"from '{path}'").fetchall()
        texts[name] = repr(rows)
        card_text = (tmp_path / name / "README.md").read_text()
        assert ("reasoning" in card_text) is bool(more)
    assert "why" not in texts["without"]
    assert texts["with"].count("why so") == (2 if form == "trl" else 1)
    assert ("why chosen" in texts["with"]) is (FORMATS[form].columns is None)


def test_reasoning_stands_in_tags_before_the_last_turn(tmp_path: Path) -> None:
    run = thoughtful(tmp_path)
    assert write(run, "trl", tmp_path / "trl", "--with_reasoning") == 0
    [[path]] = [list((tmp_path / "trl/data/rft").iterdir())]
    rows = duckdb.sql(f"select messages, prompt, completion from '{path}'").fetchall()
    said = {"role": "assistant", "content": "nialp"}
    thought = said | {"content": "<think>\nwhy so\n</think>\n\nnialp"}
    assert [completion for *_, completion in rows] == [[said], [thought]]
    assert all(messages == prompt + completion for messages, prompt, completion in rows)


def test_a_condition_may_name_reasoning_that_is_not_exported(tmp_path: Path) -> None:
    run = thoughtful(tmp_path)
    assert write(run, "jsonl", tmp_path / "out", "--where", "chosen_reasoning is not null") == 0
    [row] = (tmp_path / "out/pairs.jsonl").read_text().splitlines()
    assert "reasoning" not in row


def test_every_column_is_described() -> None:
    for form in FORMATS.values():
        for table in ("pairs", "rft"):
            names = form.columns[table] if form.columns else exported(table)
            assert all(described(table, name) for name in names)


def trained(module: str, folder: Path, *argv: str) -> None:
    """Run a training script offline; it must succeed."""
    environment = {
        **os.environ,
        **{"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "cache")},
        **{"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    }
    done = subprocess.run(
        [sys.executable, "-m", module, *argv],
        cwd=rounds.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_trls_own_scripts_train_on_an_export(finished_run: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "out", llama.write(tmp_path / "model")
    assert write(finished_run, "trl", out) == 0
    common = ["--dataset_name", str(out), "--model_name_or_path", str(model)]
    common += ["--max_steps", "2", "--per_device_train_batch_size", "2", "--report_to", "none"]
    common += ["--use_cpu", "--gradient_checkpointing", "false", "--bf16", "false"]
    for job, more in (("dpo", []), ("sft", ["--dataset_config", "rft"])):
        made = tmp_path / job
        trained(f"trl.scripts.{job}", tmp_path, *common, *more, "--output_dir", str(made))
        assert (made / "model.safetensors").stat().st_size > 0
        state = json.loads((made / "checkpoint-2" / "trainer_state.json").read_text())
        assert state["global_step"] == 2


@pytest.mark.slow
def test_training_takes_an_export(finished_run: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "out", llama.write(tmp_path / "model")
    assert write(finished_run, "trl", out) == 0
    made = tmp_path / "made"
    arguments = ["--data", str(out / "data" / "pairs" / "*.parquet"), "--model", str(model)]
    arguments += ["--output", str(made), "--max_steps", "2", "--use_cpu"]
    trained("training.dpo", tmp_path, *arguments)
    assert (made / "model.safetensors").stat().st_size > 0


def test_the_order_of_commits_is_not_seen(tmp_path: Path) -> None:
    made = []
    for name, order in (("one", (1, 2, 3)), ("two", (3, 1, 2))):
        run = tmp_path / name / "run"
        for place, number in enumerate(order):
            rows = {"pairs": [pair(number, "x")]}
            settled = [Settled("k", rows)]  # type: ignore[arg-type]
            Dataset(str(run), 1).commit("s", f"w{place}", settled)
        assert write(run, "jsonl", tmp_path / name / "out") == 0
        made.append({path.name: path.read_bytes() for path in (tmp_path / name / "out").iterdir()})
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("chosen", "pairs", "rft"),
    [
        (["--method", "spar", "--variant", "dfs"], 6, 3),
        (["--where", "method = 'spar' and variant = 'main'"], 8, 5),
        (["--method", "independent", "--variant", "main"], 4, 0),
        (["--method", "spar", "--variant", "main,dfs"], 14, 8),
    ],
)
def test_one_method_and_variant_or_those_that_are_named(
    tmp_path: Path, chosen: list[str], pairs: int, rft: int
) -> None:
    run, out = committed.mixed(tmp_path / "run"), tmp_path / "out"
    assert write(run, "jsonl", out, *chosen) == 0
    tables = {path.stem: path.read_text().splitlines() for path in out.glob("*.jsonl")}
    assert {name: len(lines) for name, lines in tables.items()} == {
        name: rows for name, rows in (("pairs", pairs), ("rft", rft)) if rows
    }
    card = (out / "README.md").read_text()
    made = [json.loads(line) for lines in tables.values() for line in lines]
    assert sum(counted(card)) == len(made)
    for row in made:
        assert f"| `{row['method']}` | `{row['variant']}` | " in card
    assert ("`independent`:" in card) == ("independent" in chosen)
    assert shlex.join(chosen) in card.partition("## Making it again")[2]


def counted(card: str) -> list[int]:
    """The counts of the card's table of methods and variants."""
    table = card.partition("| table | method | variant | rows |")[2].partition("\n\n")[0]
    return [int(line.split("|")[-2]) for line in table.splitlines()[2:]]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ([], "pairs of {run} are of several methods and variants: 4 of independent in main, 6"),
        (["--method", "spar"], "pairs of {run} are of several variants: 6 of spar in dfs, 8 of"),
        (
            ["--where", "similarity < 0.01 and variant = 'main' and method = 'spar'"],
            "rft samples of {run} are of several variants: 3 of spar in dfs, 5 of spar in main; "
            "choose with --variant NAME, or take them together with --variant dfs,main",
        ),
        (["--variant", "dsf"], "no pairs of {run} are of variant dsf: there are 4 of"),
        (["--variant", ","], "--variant takes a name, or several with commas, not ','"),
        (
            ["--variant", "dfs", "--where", "similarity > 2"],
            "no pairs of {run} meet variant dfs and --where 'similarity > 2'",
        ),
    ],
)
def test_nothing_is_mixed_silently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], chosen: list[str], said: str
) -> None:
    run = committed.mixed(tmp_path / "run")
    assert write(run, "trl", tmp_path / "out", *chosen) == 2
    err = capsys.readouterr().err
    assert said.replace("{run}", str(run)) in err
    assert err.count("\n") == 1
    assert leftovers(tmp_path) == ["run"]


def test_a_run_from_before_is_of_one_kind(tmp_path: Path) -> None:
    early = [committed.pair(n, "refined") for n in range(3)]
    run = committed.commit(tmp_path / "run", "pairs", early, without=["variant"])
    committed.commit(run, "rft", [committed.sample(1)], without=["method", "variant"])
    assert write(run, "jsonl", tmp_path / "out", "--method", "spar", "--variant", "main") == 0
    for table, rows in (("pairs", 3), ("rft", 1)):
        lines = (tmp_path / "out" / f"{table}.jsonl").read_text().splitlines()
        kinds = [(row["method"], row["variant"]) for row in map(json.loads, lines)]
        assert kinds == [("spar", "main")] * rows


def test_an_variants_settings_are_not_those_of_another(tmp_path: Path) -> None:
    run = committed.mixed(tmp_path / "run")
    claims = {
        "sample": {"actor.model": "actor"},
        "tree_search": {"search.strategy": "bfs"},
        "sample@dfs": {"as": "main"},
        "tree_search@dfs": {"search.strategy": "dfs", "search.budget": 9},
    }
    for name, settings in claims.items():
        path = run / "_manifest" / "iteration=1" / f"{name}.settings"
        path.write_text(json.dumps(settings))
    commands = {}
    for name in ("main", "dfs", "dfs,main"):
        out = tmp_path / name
        chosen = ["--method", "spar,independent", "--variant", name]
        if name == "dfs":
            chosen = ["--method", "spar", "--variant", name]
        assert write(run, "jsonl", out, *chosen) == 0
        block = (out / "README.md").read_text().partition("```sh\n")[2].partition("\n```")[0]
        commands[name] = [line.partition("--iteration 1 ")[2] for line in block.splitlines()[:-1]]
    dfs = "--variant dfs --actor_model actor --strategy dfs --budget 9"
    main = ["--method independent --actor_model actor", "--actor_model actor --strategy bfs"]
    assert commands == {"main": main, "dfs": [dfs], "dfs,main": [dfs, *main]}
    card = (tmp_path / "dfs,main" / "README.md").read_text()
    assert "| setting | iteration 1, `dfs` | iteration 1, `main` |" in card
    assert "| `search.strategy` | `dfs` | `bfs` |\n" in card
