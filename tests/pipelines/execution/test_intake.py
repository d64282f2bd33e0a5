"""Reading prompts: every kind of input, good and bad, and what the run says of it."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import judge, pairs, refine, sample, tree_search
from pipelines.execution import intake
from pipelines.execution.intake import ingest
from schemas.prompts import Check, Prompt
from spar_core import prompt_files
from spar_core.dataset import Dataset, Settled
from spar_core.ids import form_id, prompt_id
from spar_core.prompt_columns import COLUMNS, named
from spar_core.prompt_files import InputRow
from terminal.exits import InputError
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import command, failures, query, story, tables

STRANGE = [
    "emoji 😀 👩‍👩‍👧 🇩🇪",
    "عربي مع English ועברית",
    "combining e\u0301 and composed \u00e9",
    "zero\u200bwidth\u200dand\ufeffmarks\u202e",
    "NUL \x00 bell \x07 escape \x1b[31m",
    "lines\nand\r\nothers\u2028\u2029\x85\x0b\x0c",
    "  spaces around\t",
    "astral \U0010ffff \U000e0001",
    "{braces} {prompt} %s $x 'quotes' \"more\" \\ [[start]]",
    "null",
]


def held(run: Path | str) -> list[str]:
    """The run's prompts in their order."""
    return [text for (text,) in query(run, "select prompt from prompts order by position")]


def lines(*rows: object) -> bytes:
    """JSONL of rows; bytes as they are."""
    return b"".join(
        (row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def into(run: Path | str, files: Path | str, limit: int | None = None) -> intake.Intake:
    return ingest(Dataset(str(run), 1), str(files), limit)


@pytest.mark.parametrize(
    ("line", "cause", "said"),
    [
        (b'{"prompt": "half', "bad_json", "not a JSON object"),
        (b"plain text", "bad_json", "not a JSON object"),
        (b'"text"', "bad_json", "a JSON str"),
        (b'["prompt"]', "bad_json", "a JSON list"),
        (b"null", "bad_json", "a JSON NoneType"),
        (b"7", "bad_json", "a JSON int"),
        (b"[" * 100_000, "bad_json", "not a JSON object"),
        (b'{"a": "x", "b": 1}', "no_prompt", "(fields: a, b)"),
        (b"{}", "no_prompt", "(fields: none)"),
        (b'{"prompt": 5}', "no_prompt", "is 5, not text"),
        (b'{"prompt": null}', "no_prompt", "is null, not text"),
        (b'{"prompt": ["a"]}', "no_prompt", 'is ["a"], not text'),
        (b'{"prompt": {"a": 1}}', "no_prompt", "not text"),
        (b'{"prompt": true}', "no_prompt", "is true, not text"),
        (b'{"prompt": NaN}', "no_prompt", "not text"),
        (b'{"prompt": 1e999}', "no_prompt", "not text"),
        (b'{"prompt": ' + b"9" * 5000 + b"}", "bad_json", "not a JSON object"),
        (b'{"prompt": ""}', "empty_prompt", "empty"),
        (b'{"prompt": " \\t\\n\\u00a0\\u2003 "}', "empty_prompt", "empty"),
        (b'{"prompt": "\xff\xfe"}', "not_utf8", "not UTF-8"),
        ("{'prompt': 'é'}".encode("latin-1"), "not_utf8", "not UTF-8"),
        (b'{"prompt": "half \\ud83d"}', "not_utf8", "surrogate"),
        (b'{"prompt": "\\ude00\\ud83d wrong way round"}', "not_utf8", "surrogate"),
        (b'{"\\ud800": 1}', "no_prompt", "no field"),
        (b'{"prompt": {"\\ud800": "\\udfff"}}', "no_prompt", "not text"),
        (b'{"prompt": "NUL \x00 raw"}', "bad_json", "not a JSON object"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_line_is_a_failure_and_the_rest_is_done(
    tmp_path: Path, run: Path, line: bytes, cause: str, said: str
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(lines({"prompt": "kept"}, line, {"prompt": "kept too"}))
    result = into(run, path)
    assert (result.prompts, result.added, result.failures) == (2, 2, 1)
    assert held(run) == ["kept", "kept too"]
    [(stage, key, error, message, attempts, payload)] = failures(
        run, "stage, key, error, message, attempts, payload"
    )
    assert (stage, key, error, attempts) == ("prompts", f"{path}:2", cause, 1)
    assert said in message
    assert len(message) < 1000
    assert len(payload) <= 4000
    if cause == "bad_json":
        assert payload == line.decode()[:4000]


@pytest.mark.parametrize("text", STRANGE, ids=ascii)
@pytest.mark.parametrize("kind", ["jsonl", "escaped.jsonl", "csv", "parquet"])
def test_text_is_kept_exactly(tmp_path: Path, run: Path, text: str, kind: str) -> None:
    path = tmp_path / f"in.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"prompt": [text]}), path)
    elif kind == "csv":
        quoted = text.replace('"', '""')
        path.write_bytes(f'prompt\n"{quoted}"\n'.encode())
    else:
        escaped = json.dumps({"prompt": text}, ensure_ascii=kind == "escaped.jsonl")
        path.write_bytes(escaped.encode() + b"\n")
    into(run, path)
    assert held(run) == [text]
    assert failures(run) == []


@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=8, unique=True))
def test_any_text_is_a_prompt_or_empty(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "in.jsonl").write_bytes(lines({"prompt": "first"}, *({"prompt": t} for t in texts)))
    into(folder / "run", folder / "in.jsonl")
    forms = {form_id(text): text for text in reversed(["first", *texts]) if text.strip()}
    assert {*held(folder / "run")} == {*forms.values()}


@settings(max_examples=10, derandomize=True, deadline=None)
@given(
    some=st.lists(
        st.binary(max_size=60) | st.text('{}[]":,\\u0promt \n\r').map(str.encode),
        min_size=8,
        max_size=16,
    )
)
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_no_bytes_break_the_reader(
    tmp_path_factory: pytest.TempPathFactory, kind: str, some: list[bytes]
) -> None:
    """A file for each of the byte strings, all of which are read at once."""
    folder = tmp_path_factory.mktemp("bytes")
    firsts = [f"first of {number}" for number in range(len(some))]
    for number, (first, data) in enumerate(zip(firsts, some, strict=True)):
        begins = f"prompt\n{first}\n".encode() if kind == "csv" else lines({"prompt": first})
        (folder / f"{number}.{kind}").write_bytes(begins + data)
    assert into(folder / "run", folder / f"*.{kind}").prompts >= len(some)
    assert {*firsts} <= {*held(folder / "run")}


def test_a_quote_left_open_costs_no_row_silently(tmp_path: Path, run: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b'prompt\nfirst\n"never closed\nsecond\nthird\n')
    into(run, path)
    assert held(run)[0] == "first"
    assert failures(run) == ["bad_csv"]


def test_parquet_columns_of_other_types(tmp_path: Path, run: Path) -> None:
    for name, column in {
        "large": pa.array(["a", None, ""], pa.large_string()),
        "dictionary": pa.array(["b", "b"]).dictionary_encode(),
        "view": pa.array(["c"], pa.string_view()),
    }.items():
        pq.write_table(pa.table({"id": range(len(column)), "prompt": column}), tmp_path / name)
        os.rename(tmp_path / name, tmp_path / f"{name}.parquet")
    into(run, tmp_path / "*.parquet")
    assert sorted(held(run)) == ["a", "b", "c"]
    assert sorted(failures(run)) == ["empty_prompt", "no_prompt"]


@pytest.mark.parametrize(
    "column",
    [pa.array([1, 2]), pa.array([b"a", b"b"]), pa.array([["a"], ["b"]]), pa.nulls(2)],
    ids=lambda column: str(column.type),
)
def test_a_parquet_column_that_is_no_text(tmp_path: Path, run: Path, column: Any) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"prompt": column}), path)
    with pytest.raises(InputError, match=r"in\.parquet:1: `prompt` is .*, not text"):
        into(run, path)


def test_parquet_text_may_be_no_utf8(tmp_path: Path, run: Path) -> None:
    binary = pa.array([b"good", b"\xff bad", b"good too"])
    column = pa.Array.from_buffers(pa.string(), len(binary), binary.buffers())
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"prompt": column}), path)
    into(run, path)
    assert held(run) == ["good", "good too"]
    assert failures(run, "key, error") == [(f"{path}:2", "not_utf8")]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("in.jsonl", b"", "in.jsonl: the file is empty"),
        ("in.jsonl", b"\n\n", "no rows"),
        ("in.csv", b"", "in.csv: the file is empty"),
        ("in.csv", b"prompt\n", "no rows"),
        ("in.csv", b"words,n\na,1\n", f"in.csv:1: no column {named(COLUMNS)} (columns: words, n)"),
        ("in.csv", b"Prompt\na\n", f"in.csv:1: no column {named(COLUMNS)} (columns: Prompt)"),
        ("in.jsonl", lines({"a": "b"}), f"in.jsonl:1: no field {named(COLUMNS)} (fields: a)"),
        ("in.jsonl", b"\x89PNG\r\n\x1a\n" + bytes(99), "in.jsonl:1: not UTF-8"),
        ("in.jsonl", '{"prompt": "a"}'.encode("utf-16"), "in.jsonl:1: not UTF-8"),
        ("in.csv", "prompt,caf\u00e9\na".encode("latin-1"), "no prompt"),
        ("in.csv", "caf\u00e9,n\na".encode("latin-1"), "no column `prompt`"),
    ],
)
def test_input_without_any_prompt_is_an_error(
    tmp_path: Path,
    run: Path,
    server: LoopbackServer,
    capsys: pytest.CaptureFixture[str],
    name: str,
    data: bytes,
    said: str,
) -> None:
    (tmp_path / name).write_bytes(data)
    assert refine.main(command(run, tmp_path / name, server.url)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "a text column `prompt`" in error
    assert error.count("\n") == 1
    assert not server.bodies


@pytest.mark.parametrize(
    "files", ["missing.jsonl", "missing/*.jsonl", "", "nowhere://x/y.jsonl", "no[t.jsonl", "."]
)
def test_no_such_file_is_one_line(
    tmp_path: Path,
    run: Path,
    server: LoopbackServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    files: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refine.main([f"--prompts={files}", "--run", str(run), "--engine_url", server.url]) == 2
    out, error = capsys.readouterr()
    assert error.startswith("error: ")
    assert files in error
    assert error.count("\n") == 1
    assert out == ""
    assert not server.bodies


def test_what_a_file_says_cannot_drive_the_terminal(
    tmp_path: Path, run: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines({"\x1b[2Jfield\x07\u202e": 1}))
    assert refine.main(command(run, tmp_path / "in.jsonl", server.url)) == 2
    error = capsys.readouterr().err
    assert "field" in error
    assert not {"\x1b", "\x07", "\u202e"} & set(error)


def test_a_glob_reads_its_files_in_order(tmp_path: Path, run: Path) -> None:
    for name, text in {"b.jsonl": "two", "a.jsonl": "one", "c.csv": "never"}.items():
        (tmp_path / name).write_bytes(lines({"prompt": text}, {"prompt": "both"}))
    result = into(run, tmp_path / "*.jsonl")
    assert held(run) == ["one", "both", "two"]
    assert (result.files, result.equal, result.failures) == (2, 1, 0)
    assert result.repeats == f"{tmp_path}/b.jsonl:2 that of {tmp_path}/a.jsonl:2"


def test_an_empty_file_among_others_is_a_failure(tmp_path: Path, run: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    (tmp_path / "b.jsonl").write_bytes(lines({"prompt": "one"}))
    into(run, tmp_path / "*.jsonl")
    assert held(run) == ["one"]
    assert failures(run, "key, error") == [(f"{tmp_path}/a.jsonl", "empty_file")]


def test_a_file_name_may_be_no_utf8(tmp_path: Path, run: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).write_bytes(lines({"prompt": "one"}, b"broken"))
    into(run, tmp_path / "*.jsonl")
    assert held(run) == ["one"]
    assert failures(run) == ["bad_json"]


def test_a_file_name_may_look_like_a_glob(tmp_path: Path, run: Path) -> None:
    (tmp_path / "in[1].jsonl").write_bytes(lines({"prompt": "one"}))
    into(run, tmp_path / "in[1].jsonl")
    assert held(run) == ["one"]


def test_urls_are_read(run: Path, request: pytest.FixtureRequest) -> None:
    folder = f"memory://{request.node.name}"
    for name, text in (("a", "one"), ("b", "two")):
        with fsspec.open(f"{folder}/{name}.jsonl", "wb") as file:
            file.write(lines({"prompt": text}, b"broken"))
    into(run, f"{folder}/a.jsonl")
    into(run, f"{folder}/*.jsonl")
    assert held(run) == ["one", "two"]
    assert failures(run, "key") == [f"{folder.replace('//', '///')}/{n}.jsonl:2" for n in "ab"]


def test_standard_input_is_read_again_where_a_run_goes_on(
    run: Path, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ["--run", str(run), "--engine_url", server.url]
    for data in (b"one\ntwo\n", b"one\ntwo\nthree\n"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert sample.main([*line, "--prompts", "-"]) == 0
    assert held(run) == ["one", "two", "three"]
    assert query(run, "select source from prompts order by position") == [
        ("-:1",),
        ("-:2",),
        ("-:3",),
    ]
    held_before = rounds.tables(run)
    assert sample.main(line) == 0
    assert rounds.tables(run) == held_before


def test_standard_input_is_not_for_runners_elsewhere(
    run: Path,
    server: LoopbackServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\n")))
    elsewhere = ["--runner=PrismRunner"]
    line = ["--run", str(run), "--engine_url", server.url, "--prompts", "-"]
    assert sample.main([*line, *elsewhere]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --prompts -: standard input is read where the pipeline runs")
    assert error.count("\n") == 1


def test_a_limit_counts_different_prompts(tmp_path: Path, run: Path) -> None:
    path = tmp_path / "in.jsonl"
    rows = [{"prompt": text} for text in "aabbcd"]
    path.write_bytes(lines(*rows))
    result = into(run, path, 3)
    assert (result.prompts, result.equal, result.more) == (3, 2, True)
    assert held(run) == ["a", "b", "c"]
    assert not into(run, path, 4).more
    assert held(run) == ["a", "b", "c", "d"]


def test_reading_again_changes_no_file(tmp_path: Path, run: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(lines({"prompt": "a"}, b"broken", {"prompt": "a"}, {"prompt": "b"}))
    first = into(run, path)
    before = rounds.files(run)
    second = into(run, path)
    assert rounds.files(run) == before
    assert (first.added, second.added) == (2, 0)
    assert first.failures == second.failures == 1
    assert first.equal == second.equal == 1


def test_mending_a_line_adds_its_prompt(tmp_path: Path, run: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(lines({"prompt": "a"}, b"broken", {"prompt": "b"}, b"bad"))
    into(run, path)
    path.write_bytes(lines({"prompt": "a"}, {"prompt": "mended"}, {"prompt": "b"}, b"bad"))
    result = into(run, path)
    assert result.added == 1
    assert sorted(held(run)) == ["a", "b", "mended"]
    assert failures(run, "key") == [f"{path}:4"]
    positions = query(run, "select position from prompts order by all")
    assert positions == [(0,), (1,), (2,)]


def test_a_line_broken_in_another_way_is_told_anew(tmp_path: Path, run: Path) -> None:
    path = tmp_path / "in.jsonl"
    for broken in (b"broken", b"still broken"):
        path.write_bytes(lines({"prompt": "a"}, broken))
        into(run, path)
    assert failures(run, "payload") == ["still broken"]


def test_many_failures_are_all_kept(tmp_path: Path, run: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(lines({"prompt": "a"}, *[b"broken"] * 2500))
    assert into(run, path).failures == 2500
    assert query(run, "select count(*), count(distinct key) from failures") == [(2500, 2500)]


def test_a_limit_still_reaches_a_mended_line(
    tmp_path: Path, run: Path, server: LoopbackServer
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(lines({"prompt": "a"}, b"broken", {"prompt": "c"}, {"prompt": "d"}))
    assert sample.main(command(run, path, server.url, "--limit", "2")) == 3
    path.write_bytes(lines({"prompt": "a"}, {"prompt": "b"}, {"prompt": "c"}, {"prompt": "d"}))
    assert sample.main(command(run, path, server.url, "--limit", "2")) == 0
    answered = "select distinct prompt from prompts semi join responses using (prompt_id)"
    assert {text for (text,) in query(run, answered)} >= {"a", "b"}


def test_the_round_does_the_rest_and_says_so(
    tmp_path: Path, run: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.jsonl"
    good = [{"prompt": text} for text in (*STRANGE, "easy")]
    bad = [b"broken", {"prompt": ""}, {"prompt": STRANGE[0]}, {"text": 1}, b'{"prompt": "\xff"}']
    path.write_bytes(lines(*good, *bad))
    assert refine.main(rounds.small(run, path, server.url)) == 3
    out, err = capsys.readouterr()
    assert err == ""
    assert "4 rows are in `failures`" in out
    assert "4 items could not be done" in out
    assert "bad_json" in out, "the summary counts failures by cause"
    assert "\x1b" not in out
    rounds.check(run, responses=2, depth=2, budget=3)
    assert held(run) == [*STRANGE, "easy"]
    asked = {
        body["messages"][0]["content"] for body in server.bodies if rounds.role(body) == "actor"
    }
    assert asked == {*STRANGE, "easy"}

    path.write_bytes(lines(*good))
    asked_so_far = len(server.bodies)
    assert refine.main(rounds.small(run, path, server.url)) == 0
    assert failures(run) == []
    assert len(server.bodies) == asked_so_far


def test_a_file_given_once_need_not_be_given_again(
    tmp_path: Path, run: Path, prompts: Path, server: LoopbackServer
) -> None:
    assert sample.main(command(run, prompts, server.url)) == 0
    before = tables(run)
    assert sample.main(["--run", str(run), "--engine_url", server.url]) == 0
    assert tables(run) == before


def test_the_next_iteration_never_falls_back_to_the_bundled_prompts(
    run: Path, prompts: Path, server: LoopbackServer
) -> None:
    assert sample.main(command(run, prompts, server.url)) == 0
    sample.main(["--run", str(run), "--iteration", "2", "--engine_url", server.url])
    assert {body["messages"][0]["content"] for body in server.bodies} == set(rounds.PROMPTS)


def test_a_prompt_longer_than_the_context_is_left_out(tmp_path: Path, run: Path) -> None:
    from aiohttp import web

    long = "word " * 9000

    def answer(body: Body) -> Answer:
        if body["messages"][0]["content"] == long:
            said = "This model's maximum context length is 2048 tokens, you asked for 9000."
            return web.json_response({"error": {"message": said}}, status=400)
        return story(body)

    path = rounds.write_prompts(tmp_path / "in.jsonl", ["one", long, "two"])
    with serving(answer) as server:
        assert refine.main(rounds.small(run, path, server.url)) == 3
        [failure] = failures(run, "stage, key, error, attempts, payload, message")
        assert failure[:5] == ("sample", intake.prompt_id(long), "too_long", 1, long[:4000])
        assert "maximum context length" in failure[5]
        assert query(run, "select count(distinct prompt_id) from responses") == [(2,)]
        before, asked = rounds.tables(run), len(server.bodies)
        assert refine.main(rounds.small(run, path, server.url)) == 3
        assert len(server.bodies) == asked + 1, "it alone is tried again"
        assert rounds.tables(run) == before


def test_another_file_keeps_the_failures_of_the_first(tmp_path: Path, run: Path) -> None:
    dataset = Dataset(str(run), 1)
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    first.write_text('{"prompt": "one"}\nnot json\n{"prompt": ""}\n')
    second.write_text('{"prompt": "two"}\n{"question": "?"}\n')
    ingest(dataset, str(first), None)
    ingest(dataset, str(second), None)
    assert failures(run) == ["bad_json", "empty_prompt", "no_prompt"]
    first.write_text('{"prompt": "one"}\n{"prompt": "three"}\n{"prompt": ""}\n')
    ingest(dataset, str(first), None)
    assert failures(run) == ["empty_prompt", "no_prompt"], "a mended line loses its row"
    held = rounds.files(run)
    ingest(dataset, str(first), None)
    ingest(dataset, str(second), None)
    assert rounds.files(run) == held


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_row_may_say_its_split(tmp_path: Path, run: Path, ending: str) -> None:
    rows = [("a", "train"), ("b", "eval"), ("c", ""), ("d", "not/a word")]
    path = tmp_path / f"in.{ending}"
    if ending == "jsonl":
        path.write_text("".join(json.dumps({"prompt": p, "split": s}) + "\n" for p, s in rows))
    elif ending == "csv":
        path.write_text("prompt,split\n" + "".join(f"{p},{s}\n" for p, s in rows))
    else:
        columns = {"prompt": [p for p, _ in rows], "split": [s for _, s in rows]}
        pq.write_table(pa.table(columns), path)
    read = ingest(Dataset(str(run), 1), str(path), None)
    assert (read.prompts, read.others, read.failures) == (3, 1, 1)
    held = query(run, "select prompt, split from prompts order by 1")
    assert held == [("a", "train"), ("b", "eval"), ("c", "train")]
    assert failures(run) == ["bad_split"]


def test_rows_that_say_nothing_are_of_the_split_asked_for(tmp_path: Path, run: Path) -> None:
    path = rounds.write_prompts(tmp_path / "in.jsonl", ["a", "b"])
    ingest(Dataset(str(run), 1), str(path), None, "eval")
    assert query(run, "select distinct split from prompts") == [("eval",)]


def test_a_prompt_cannot_be_in_two_splits_of_a_run(tmp_path: Path, run: Path) -> None:
    path = rounds.write_prompts(tmp_path / "in.jsonl", ["a", "b"])
    ingest(Dataset(str(run), 1), str(path), None, "eval")
    more = rounds.write_prompts(tmp_path / "more.jsonl", ["a", "c"])
    read = ingest(Dataset(str(run), 2), str(more), None)
    assert (read.prompts, read.failures) == (1, 1)
    assert failures(run) == ["other_split"]
    assert query(run, "select prompt from prompts where split = 'train'") == [("c",)]


ALIKE = [
    "Name a  small town.",
    "NAME A SMALL TOWN.",
    "\tName a small town.\u2003",
    "Name a ſmall town.",
]
"""Prompts that are `TOWN` up to white space, case and Unicode form."""
TOWN = "Name a small town."


@pytest.mark.parametrize("text", ALIKE, ids=ascii)
def test_prompts_that_differ_in_form_alone_are_one(tmp_path: Path, run: Path, text: str) -> None:
    path = rounds.write_prompts(tmp_path / "in.jsonl", [TOWN, "Other.", text])
    read = into(run, path)
    assert (read.prompts, read.added, read.failures) == (2, 2, 0)
    assert held(run) == [TOWN, "Other."]
    assert read.remarks() == (
        "; 1 row repeats a prompt, up to white space, case and Unicode form "
        f"({path}:3 that of {path}:1); it is done once"
    )
    written = rounds.files(run)
    assert into(run, path).added == 0
    assert rounds.files(run) == written


def test_a_prompt_of_another_file_in_another_form_is_a_duplicate(tmp_path: Path, run: Path) -> None:
    first = rounds.write_prompts(tmp_path / "first.jsonl", [TOWN])
    second = rounds.write_prompts(tmp_path / "second.jsonl", ["Other.", ALIKE[1]])
    into(run, first)
    read = into(run, second)
    assert (read.added, read.equal, read.failures) == (1, 1, 0)
    assert read.repeats == f"{second}:2 that of {first}:1"
    assert held(run) == [TOWN, "Other."]
    other = ingest(Dataset(str(run), 2), str(second), None)
    assert (other.added, other.failures) == (2, 0), "an iteration may hold what another one holds"


@pytest.mark.parametrize("text", ALIKE, ids=ascii)
def test_another_form_of_a_prompt_cannot_be_in_another_split(
    tmp_path: Path, run: Path, text: str
) -> None:
    ingest(Dataset(str(run), 1), str(rounds.write_prompts(tmp_path / "a", [TOWN])), None, "eval")
    path = rounds.write_prompts(tmp_path / "b", [text, "Other."])
    for iteration in (1, 2):
        read = ingest(Dataset(str(run), iteration), str(path), None)
        assert (read.prompts, read.failures) == (1, 1)
    assert query(run, "select distinct prompt from prompts where split = 'train'") == [("Other.",)]
    told = failures(run, "error, message")
    assert {error for error, _ in told} == {"other_split"}
    assert "up to white space, case and Unicode form, in the split `eval`" in told[0][1]


def test_another_form_in_another_split_of_one_file_is_left_out(tmp_path: Path, run: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(
        lines({"prompt": TOWN, "split": "eval"}, {"prompt": ALIKE[0]}, {"prompt": "B"})
    )
    ingest(Dataset(str(run), 1), str(path), None)
    assert query(run, "select prompt, split from prompts") == [(TOWN, "eval"), ("B", "train")]
    assert failures(run) == ["duplicate"]


def test_forms_that_a_run_was_begun_with_go_on(tmp_path: Path, run: Path) -> None:
    dataset = Dataset(str(run), 1)
    begun = [Prompt(prompt_id(p), p, f"f:{n}", n) for n, p in enumerate([TOWN, ALIKE[0]])]
    dataset.commit("prompts", "w", [Settled(p.prompt_id, {"prompts": [p]}) for p in begun])
    path = rounds.write_prompts(tmp_path / "in.jsonl", [TOWN, *ALIKE])
    read = into(run, path)
    assert (read.prompts, read.added, read.equal, read.failures) == (2, 0, 3, 0)
    assert held(run) == [TOWN, ALIKE[0]]


def test_iterations_are_not_dealt_two_forms_of_a_prompt(tmp_path: Path, run: Path) -> None:
    path = rounds.write_prompts(tmp_path / "in.jsonl", [TOWN, "Other.", *ALIKE])
    assert intake.deal(str(run), [1, 2], str(path), None).added == 2
    assert intake.deal(str(run), [1, 2], str(path), None).added == 0
    assert failures(run) == []


def test_many_copies_of_a_prompt_are_one_prompt_and_a_line(
    tmp_path: Path, run: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(lines({"prompt": "only"}) * 100_000)
    assert sample.main(command(run, path, server.url)) == 0
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith(f"prompts: 1 from {path}; 99,999 rows repeat a prompt")
    assert said.endswith(f"({path}:2 that of {path}:1); it is done once")
    assert held(run) == ["only"]
    assert failures(run) == []


def test_a_file_of_forms_that_the_run_holds_is_no_error(tmp_path: Path, run: Path) -> None:
    into(run, rounds.write_prompts(tmp_path / "first.jsonl", [TOWN]))
    read = into(run, rounds.write_prompts(tmp_path / "second.jsonl", ALIKE))
    assert (read.prompts, read.added, read.equal, read.failures) == (0, 0, 4, 0)
    assert held(run) == [TOWN]


@pytest.mark.parametrize("text", [TOWN, ALIKE[0]])
@pytest.mark.parametrize("more", [{"split": "eval"}, {"checks": "a check"}])
def test_a_repeated_prompt_that_says_something_else_is_a_failure(
    tmp_path: Path, run: Path, text: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_checks(row: dict[str, str]) -> list[Check] | None:
        return [Check(row["checks"], "{}")] if "checks" in row else None

    monkeypatch.setattr(prompt_files, "read_checks", read_checks)  # its library takes seconds
    path = tmp_path / "in.jsonl"
    path.write_bytes(lines({"prompt": TOWN}, {"prompt": text, **more}, {"prompt": text}))
    read = into(run, path)
    assert (read.prompts, read.equal, read.failures) == (1, 1, 1)
    [(key, error, message)] = failures(run, "key, error, message")
    assert (key, error) == (f"{path}:2", "duplicate")
    assert f"stands at {path}:1 with another split or other checks" in message


def test_a_repeated_prompt_leaves_the_failures_of_early_runs(tmp_path: Path, run: Path) -> None:
    path = rounds.write_prompts(tmp_path / "in.jsonl", [TOWN, TOWN])
    early = InputRow(f"{path}:2", None, "duplicate", "the same prompt stands at 1", TOWN)
    intake.commit_failures(Dataset(str(run), 1), intake.STAGE, [early], [str(path)])
    assert failures(run) == ["duplicate"]
    into(run, path)
    assert failures(run) == []


BENCHMARK = "Write a letter to the mayor of a small town in which you praise its old trees."


def test_prompts_that_hold_a_benchmarks_are_left_out(tmp_path: Path, run: Path) -> None:
    known = rounds.write_prompts(tmp_path / "bench.jsonl", ["Sing.", BENCHMARK])
    path = tmp_path / "in.jsonl"
    planted = f"Please do this: {BENCHMARK.replace('small', 'large')} Thank you."
    rounds.write_prompts(path, [TOWN, BENCHMARK, planted])
    read = ingest(Dataset(str(run), 1), str(path), None, benchmarks=(str(known),))
    assert (read.prompts, read.failures) == (1, 2)
    assert held(run) == [TOWN]
    told = failures(run, "key, error, message, payload")
    assert [(key, error) for key, error, _, _ in told] == [
        (f"{path}:2", "contaminated"),
        (f"{path}:3", "contaminated"),
    ]
    assert all(f"a benchmark at {known}:2 (" in message for _, _, message, _ in told)
    assert told[1][3] == planted


def test_what_an_iteration_was_begun_with_is_named_and_kept(tmp_path: Path, run: Path) -> None:
    known = rounds.write_prompts(tmp_path / "bench.jsonl", [BENCHMARK])
    path = rounds.write_prompts(tmp_path / "in.jsonl", [BENCHMARK, TOWN])
    into(run, path)
    read = ingest(Dataset(str(run), 1), str(path), 1, benchmarks=(str(known),))
    assert (read.ids, read.failures) == ((prompt_id(BENCHMARK),), 1)
    [message] = failures(run, "message")
    assert "the iteration was begun with it and keeps it" in message


def test_no_iteration_is_dealt_a_benchmarks_prompt(tmp_path: Path, run: Path) -> None:
    known = rounds.write_prompts(tmp_path / "bench.jsonl", [BENCHMARK])
    path = rounds.write_prompts(tmp_path / "in.jsonl", [BENCHMARK, TOWN, "Other."])
    dealt = intake.deal(str(run), [1, 2], str(path), None, (str(known),))
    assert (dealt.added, dealt.failures) == (2, 1)


def test_a_limit_counts_the_split_asked_for(tmp_path: Path, run: Path) -> None:
    path = tmp_path / "in.jsonl"
    rows = [{"prompt": str(n), "split": "eval" if n < 5 else "train"} for n in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    read = ingest(Dataset(str(run), 1), str(path), 3)
    assert [len(read.ids), read.others, read.more] == [3, 5, True]


def test_iterations_are_dealt_training_prompts_only(tmp_path: Path, run: Path) -> None:
    path = tmp_path / "in.jsonl"
    rows = [{"prompt": str(n), "split": "eval" if n % 3 else "train"} for n in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    read = intake.deal(str(run), [1, 2], str(path), None)
    assert (len(read.ids), read.others, read.added) == (4, 8, 4)
    held = query(run, "select iteration, count(*), min(split) from prompts group by 1 order by 1")
    assert held == [(1, 2, "train"), (2, 2, "train")]


def test_pairs_come_of_training_prompts_only(tmp_path: Path, run: Path) -> None:
    path = tmp_path / "in.jsonl"
    rows = [{"prompt": f"Prompt {n}.", "split": "eval" if n % 2 else "train"} for n in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serving(story) as server:
        line = ["--run", str(run), "--engine_url", server.url]
        few, votes = ["--responses", "2"], ["--votes", "3"]
        assert refine.main([*line, "--prompts", str(path), *few, *votes]) == 0
        of_split = "select distinct split from {} join prompts using (prompt_id)"
        for table in ("responses", "trees", "pairs", "rft"):
            assert query(run, of_split.format(table)) == [("train",)]
        assert sample.main([*line, *few, "--split", "eval"]) == 0
        for job in (judge, tree_search):
            assert job.main([*line, *votes, "--split", "eval"]) == 0
        held = rounds.tables(run)
        assert pairs.main(["--run", str(run)]) == 0
        assert rounds.tables(run) == held
    assert query(run, "select count(distinct prompt_id) from trees") == [(4,)]
    for table in ("pairs", "rft"):
        assert query(run, of_split.format(table)) == [("train",)]
