"""Checks in a run: read with the prompts, found of every judged response, summed up.

What a program says of responses and nodes: tests/spar_core/stages/test_judge.py and others there;
what follows from it in a round: tests/spar_core/test_checked_judging.py.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import judge, refine, sample, tree_search
from pipelines.execution import intake
from schemas import manifest
from spar_core.checks.library import checkers
from tests.inspection.test_summary import cells
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import command, failures, query

NO_COMMA = {"id": "punctuation:no_comma", "kwargs": {}}
LATER = ("judge.checks", "judge.ask_again", "judge.wording")
"""Settings that runs of earlier times were begun without."""
FEWER = ["--responses", "3", "--depth", "1"]
ANSWERS = ["plain q=1.0", "with, comma q=1.0", "plain q=0.0", "with, comma q=0.0", "half q=0.6"]


@pytest.fixture
def library() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")


@pytest.fixture
def _no_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "langdetect", None)
    checkers.cache_clear()
    yield
    checkers.cache_clear()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with serving(story) as running:
        yield running


def story(body: Body) -> Answer:
    """Answers with and without commas, good and bad; refinements pass the judge with a comma."""
    n = body.get("n", 1)
    if rounds.role(body) == "actor":
        return [ANSWERS[i % len(ANSWERS)] for i in range(n)]
    if rounds.role(body) == "refine":
        return [f"Final Refined Output: [[start]] now, {i} q=1.0 [[end]]" for i in range(n)]
    return rounds.story(body)


def write(path: Path, *rows: Any) -> Path:
    text = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(line + "\n" for line in text))
    return path


@pytest.mark.usefixtures("library")
def test_a_round_sets_the_judge_beside_the_check(
    tmp_path: Path, run: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(
        tmp_path / "in.jsonl", {"prompt": "one", "checks": [NO_COMMA]}, {"prompt": "unchecked"}
    )
    report = ("--checks", "report")
    assert refine.main(command(run, path, server.url, *report)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "deny the chosen side of pairs: 1 of the 2 of main" in out
    found = query(
        run,
        "select response, verdict, checked from judgements join responses using (response_id) "
        "join prompts on prompts.prompt_id = responses.prompt_id where prompt = 'one' order by all",
    )
    assert found == sorted(
        [
            ("plain q=1.0", "yes", True),
            ("with, comma q=1.0", "yes", False),
            ("plain q=0.0", "no", True),
            ("with, comma q=0.0", "no", False),
            ("half q=0.6", "yes", True),
        ]
    )
    assert query(run, "select * from judge_bias") == [
        (1, "main", "judge", 5, 2, 1, 1, 1, 0.6, 0.333, 0.333),
        (1, "main", "tree_search", 3, 0, 3, 0, 0, 0.0, 1.0, 1.0),
    ]
    rows = cells(out)
    assert ["judge_yes_check_no", "1", "3"] in rows
    assert ["share_of_yes_denied", "0.333", "1.0"] in rows
    pairs = query(
        run,
        "select prompt[1].content, chosen_checked, "
        "rejected_checked = not contains(rejected[1].content, ',') from pairs order by 1",
    )
    assert pairs == [("one", False, True), ("unchecked", None, None)]
    roots = "select count(*), count(checked) from nodes where depth = 0"
    assert query(run, roots) == [(2, 1)]
    rounds.check(run)
    before = rounds.files(run)
    assert refine.main(command(run, path, server.url, *report)) == 0
    assert rounds.files(run) == before, "reading checks again changes no file"


def test_checks_complete_is_true_or_false(
    tmp_path: Path, run: Path, server: LoopbackServer
) -> None:
    rows: list[Any] = [
        {"prompt": "a", "checks": [NO_COMMA], "checks_complete": "perhaps"},
        {"prompt": "b", "checks": [NO_COMMA], "checks_complete": "True"},
        {"prompt": "c", "checks": [NO_COMMA]},
        {"prompt": "d", "instruction_id_list": [NO_COMMA["id"]], "kwargs": [{}]},
        {"prompt": "e", "checks_complete": True},
    ]
    path = write(tmp_path / "in.jsonl", *rows)
    assert sample.main(command(run, path, server.url)) == 3
    held = dict(query(run, "select prompt, checks_complete from prompts"))
    assert held == {"b": True, "c": False, "d": True, "e": False}
    [(error, message)] = query(run, "select error, message from failures")
    assert error == "bad_checks" and '`checks_complete` is "perhaps"' in message


def test_without_checks_the_summary_has_no_such_table_and_no_library_is_needed(
    run: Path, few: Path, _no_library: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(rounds.story) as server:
        assert refine.main(rounds.small(run, few, server.url)) == 0
    assert "beside checks" not in capsys.readouterr().out
    assert query(run, "select count(*), count(checked) from nodes")[0][1] == 0


def test_checks_without_the_library_are_refused_in_one_line(
    tmp_path: Path,
    run: Path,
    server: LoopbackServer,
    _no_library: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path / "in.jsonl", {"prompt": "a"}, {"prompt": "b", "checks": [NO_COMMA]})
    assert refine.main(command(run, path, server.url)) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}:2: the column `checks` needs the package ")
    assert "pip install '.[checks]'" in error
    assert error.count("\n") == 1
    assert not server.bodies


@pytest.mark.usefixtures("library")
def test_bad_checks_are_failures_and_the_rest_is_done(
    tmp_path: Path, run: Path, server: LoopbackServer
) -> None:
    path = write(
        tmp_path / "in.jsonl",
        {"prompt": "a", "checks": [NO_COMMA]},
        {"prompt": "b", "checks": [{"id": "punctuation:nocomma"}]},
        {"prompt": "c", "checks": "[broken"},
        {"prompt": "d", "instruction_id_list": ["startend:quotation"], "kwargs": []},
        {"prompt": "e", "checks": [{"id": "\ud800\x1b[31m"}]},
    )
    assert sample.main(command(run, path, server.url)) == 3
    assert query(run, "select prompt from prompts") == [("a",)]
    found = failures(run, "key, error, message, payload")
    assert [row[:2] for row in found] == [(f"{path}:{n}", "bad_checks") for n in (2, 3, 4, 5)]
    assert "did you mean punctuation:no_comma?" in found[0][2]
    assert [row[3] for row in found] == ["b", "c", "d", "e"]


@pytest.mark.usefixtures("library")
def test_checks_stand_in_every_kind_of_file(tmp_path: Path) -> None:
    asked = [
        {
            "id": "length_constraints:number_words",
            "kwargs": {"num_words": 3, "relation": "at least"},
        },
        NO_COMMA,
    ]
    write(tmp_path / "a.jsonl", {"prompt": "x", "checks": asked})
    with (tmp_path / "b.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["n", "checks", "prompt"], [1, json.dumps(asked), "x"]])
    # Arrow gives every struct all fields, as IFEval's own Parquet has them.
    pq.write_table(pa.table({"prompt": ["x"], "checks": [asked]}), tmp_path / "c.parquet")
    pq.write_table(
        pa.table({"prompt": ["x"], "checks": [json.dumps(asked)]}), tmp_path / "d.parquet"
    )
    ifeval = {
        "key": [1],
        "prompt": ["x"],
        "instruction_id_list": [[one["id"] for one in asked]],
        "kwargs": [[one["kwargs"] for one in asked]],
    }
    pq.write_table(pa.table(ifeval), tmp_path / "e.parquet")
    plain = {"id": pa.string(), "kwargs": pa.map_(pa.string(), pa.int64())}
    words = {"id": "detectable_format:number_bullet_lists", "kwargs": [("num_bullets", 2)]}
    column = pa.array([[words]], pa.list_(pa.struct(list(plain.items()))))
    pq.write_table(pa.table({"prompt": ["x"], "checks": column}), tmp_path / "f.parquet")
    read = [list(intake.read(str(path))) for path in sorted(tmp_path.iterdir())]
    assert all(len(rows) == 1 and rows[0].checks for rows in read), read
    assert len({repr(rows[0].checks) for rows in read[:5]}) == 1
    assert read[5][0].checks[0].kwargs == '{"num_bullets": 2}'  # type: ignore[index]


@pytest.mark.usefixtures("library")
def test_checks_without_text_are_none(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('prompt,checks\na,\nb,"[]"\nc,null\n')
    assert [row.checks for row in intake.read(str(tmp_path / "in.csv"))] == [None] * 3


@pytest.mark.usefixtures("library")
def test_the_first_reading_of_a_prompt_decides_its_checks(
    tmp_path: Path, run: Path, server: LoopbackServer
) -> None:
    path = tmp_path / "in.jsonl"
    write(path, {"prompt": "a"}, {"prompt": "b", "checks": [NO_COMMA]})
    assert sample.main(command(run, path, server.url)) == 0
    before = query(run, "select prompt, checks from prompts order by all")
    write(path, {"prompt": "a", "checks": [NO_COMMA]}, {"prompt": "b", "checks": [NO_COMMA]})
    assert sample.main(command(run, path, server.url)) == 3
    [(key, error, message)] = failures(run, "key, error, message")
    assert (key, error) == (f"{path}:1", "late_checks")
    assert "--iteration" in message
    assert query(run, "select prompt, checks from prompts order by all") == before
    assert query(run, "select count(*) from responses") == [(10,)]
    assert sample.main(command(run, path, server.url, "--iteration", "2")) == 0
    assert query(run, "select count(checks) from prompts where iteration = 2") == [(2,)]


@pytest.mark.usefixtures("library")
def test_a_run_of_earlier_times_goes_on(tmp_path: Path, run: Path, server: LoopbackServer) -> None:
    """Files without the columns of checks stand beside new ones, in one iteration."""
    path = write(tmp_path / "in.jsonl", {"prompt": "one"})
    assert refine.main(command(run, path, server.url, *FEWER)) == 0
    later = {
        "prompts": ["checks", "checks_complete"],
        "judgements": ["checked", "checks_met", "outcome", "asked_again"],
        "nodes": ["checked", "checks_met", "outcome", "asked_again"],
        "pairs": ["chosen_checked", "rejected_checked"],
    }
    for table, names in later.items():
        for file in (run / table).rglob("*.parquet"):
            pq.write_table(pq.read_table(file, partitioning=None).drop_columns(names), file)
    for entry in (run / manifest.FOLDER).rglob("*.json"):
        plain = json.loads(entry.read_bytes())
        for file in plain["files"].values():
            del file["form"]
        entry.write_text(json.dumps(plain))
    for claim in (run / manifest.FOLDER).rglob(f"*{manifest.SETTINGS}"):
        held = json.loads(claim.read_bytes())
        claim.write_text(json.dumps({k: held[k] for k in held if k not in LATER}))
    write(path, {"prompt": "one"}, {"prompt": "two", "checks": [NO_COMMA]})
    assert refine.main(command(run, path, server.url, *FEWER)) == 0
    assert query(run, "select distinct outcome = verdict from judgements") == [(True,)]
    other = command(run, path, server.url, *FEWER, "--checks", "veto")
    assert refine.main(other) == 5, "what is given is not what the run was begun with"
    assert query(run, "select count(*), count(checked) from judgements") == [(6, 3)]
    assert query(run, "select stage, checked from judge_bias order by 1") == [
        ("judge", 3),
        ("tree_search", 3),
    ]
    rounds.check(run, responses=3, depth=1)


@pytest.mark.usefixtures("library")
def test_an_iteration_goes_on_by_the_word_that_it_was_begun_with(
    tmp_path: Path, run: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    checked = {"prompt": "one", "checks": [NO_COMMA], "checks_complete": True}
    path = write(tmp_path / "in.jsonl", checked)
    alone = ["--run", str(run), "--engine_url", server.url]
    assert sample.main(command(run, path, server.url, *FEWER[:2])) == 0
    assert judge.main([*alone, "--checks", "decide"]) == 0
    assert {rounds.role(body) for body in server.bodies} == {"actor"}, "no judge is asked"
    assert tree_search.main([*alone, *FEWER[2:], "--checks", "report"]) == 5, (
        "judged by another word"
    )
    assert "was done with --checks decide" in capsys.readouterr().err
    assert tree_search.main([*alone, *FEWER[2:]]) == 0
    assert query(run, "select bool_and(outcome = 'no') from nodes where depth = 0") == [(True,)]
    assert refine.main(command(run, path, server.url, *FEWER)) == 0
    assert refine.main(command(run, path, server.url, *FEWER, "--checks", "veto")) == 5
    assert "judge.checks: 'decide' -> 'veto'" in capsys.readouterr().err

    later = ("--iteration", "2")
    assert refine.main(command(run, path, server.url, *FEWER, *later)) == 0
    settings = (run / manifest.FOLDER / "iteration=2" / "judge.settings").read_text()
    assert json.loads(settings)["judge.checks"] == "veto", "each iteration for itself"


def test_other_completeness_of_the_same_checks_is_told(
    tmp_path: Path, run: Path, server: LoopbackServer
) -> None:
    path = write(tmp_path / "in.jsonl", {"prompt": "one", "checks": [NO_COMMA]})
    assert sample.main(command(run, path, server.url)) == 0
    write(path, {"prompt": "one", "checks": [NO_COMMA], "checks_complete": True})
    assert sample.main(command(run, path, server.url)) == 3
    assert failures(run) == ["late_checks"]
