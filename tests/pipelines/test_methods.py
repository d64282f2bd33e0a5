"""Methods without pairs as jobs: what they leave in a run, and that a killed one goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines import refine
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.gates import Begin, Gate, finish, kill
from tests.pipelines.rounds import command, query, role


def test_self_shares_answers_and_judgements_with_spar_and_makes_no_pairs(
    tmp_path: Path, finished_run: Path, server: LoopbackServer
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    prompts, pairs = finished_run.parent / "prompts.jsonl", query(run, "from pairs")
    assert refine.main(command(run, prompts, server.url, "--method", "self")) == 0
    asked = [role(body) for body in server.bodies]
    assert query(run, "from pairs") == pairs != []
    failing = "select count(distinct prompt_id) from judgements where verdict = 'no'"
    [(refined,)] = query(run, failing)
    assert asked.count("refine") == asked.count("judge") == refined > 0
    assert "actor" not in asked
    assert not query(
        run,
        """select sft_id from sft_actor s join judgements j using (response_id)
        join responses r using (response_id)
        where ((s.source = 'response' and j.verdict = 'yes' and messages[2].content = r.response)
            or (s.source = 'repair' and j.verdict = 'no' and messages[2].content <> r.response))
            is distinct from true or s.method <> 'self' or s.value <= 0.5""",
    )
    kept = query(run, "select source, count(*) from sft_actor group by all order by all")
    [(passing,)] = query(run, failing.replace("'no'", "'yes'"))
    [(dropped,)] = query(run, "select count(*) from drops where stage = 'self'")
    assert dict(kept)["response"] == passing
    assert dict(kept)["repair"] + dropped == refined
    assert not query(run, "from lesson_counts"), "they are no lessons of a teacher"


@pytest.mark.slow
def test_self_that_is_killed_goes_on(
    tmp_path: Path, prompts: Path, server: LoopbackServer, begin: Begin
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert refine.main(command(whole, prompts, server.url, "--method", "self")) == 0
    gate = Gate(run)
    with serving(gate) as gated:
        argv = command(run, prompts, gated.url, "--method", "self", "--slots", "1")
        gate.set("self", 1)
        process = begin(*argv)
        assert gate.shut.wait(300), process.communicate()
        kill(process)
        gate.open()
        code, _, err = finish(begin(*argv))
    assert (code, err) == (0, "")
    assert rounds.tables(run) == rounds.tables(whole)


ESSAYS = (
    "The tide rises and falls twice a day because the moon pulls at the sea.",
    "To prune a rose, cut above a bud that looks outwards, in early spring.",
    "Bread dough rises because yeast feeds on sugar and gives off gas.",
    "A sundial tells the time by the shadow of a rod that points north.",
)


def backward(body: Body) -> Answer:
    """Writes an instruction for a text, and rates those about bread low."""
    said = body["messages"][0]["content"]
    if "Choose the grade" in said:
        grade = 3 if "Bread" in said else 5
        return [f"Reasons: so.\nScore: {grade}" for _ in range(body["n"])]
    return [f"Instruction: Say that {said.partition('Text: ')[2][1:20]}."]


def texts_of(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def humpback(run: Path, texts: Path, url: str, *more: str) -> list[str]:
    argv = ["--run", str(run), "--seeds", str(texts), "--engine_url", url]
    return [*argv, "--method", "humpback", *more]


def test_humpback_learns_texts_as_answers_to_instructions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    rows = [*({"text": text} for text in ESSAYS), {"text": ESSAYS[0] + "!"}, {"txt": "x"}, 7]
    texts = texts_of(tmp_path / "texts.jsonl", rows)
    with serving(backward) as server:
        assert refine.main(humpback(run, texts, server.url)) == 3
        argv = humpback(run, texts, server.url, "--ratings", "1", "--variant", "once")
        assert refine.main(argv) == 3
        assert sum(body.get("n", 1) == 1 for body in server.bodies) == 8
    kept = query(run, "select messages[2].content, value, variant from sft_actor order by all")
    assert kept == sorted(
        (text, 5.0, variant)
        for text in ESSAYS
        if "Bread" not in text
        for variant in ("main", "once")
    )
    assert query(run, "select distinct variant from backtranslations") == [("main",)]
    assert query(run, "select cause, variant from drops") == [("near_duplicate", "main")]
    assert rounds.failures(run) == ["no_prompt", "bad_json"]
    asked = "select prompts, prompts_used, requests, answers from methods order by variant"
    assert query(run, asked) == [(5, 3, 8, 3), (5, 3, 8, 3)]
    assert not query(run, "from prompts"), "a later round does not take them for its own"
    assert "training.sft --task actor" in capsys.readouterr().out


def test_humpback_without_texts_says_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--run", str(tmp_path / "run"), "--method", "humpback"]
    for more, says in (
        ([], "give --seeds FILES"),
        (["--seeds", str(texts_of(tmp_path / "a.jsonl", [{"txt": 1}]))], "no field `prompt`, "),
        (["--prompts", "x.jsonl"], "no option --prompts in this job"),
    ):
        assert refine.main([*argv, *more]) == 2
        err = capsys.readouterr().err
        assert says in err and len(err.strip().splitlines()) == 1


@pytest.mark.slow
def test_humpback_that_is_killed_goes_on(tmp_path: Path, begin: Begin) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    words = ["tide", "rose", "bread", "clock", "river", "stone", "lamp", "road"]
    rows = [{"text": f"The {one} is not the {other}."} for one in words for other in words[:2]]
    texts = texts_of(tmp_path / "texts.jsonl", rows)
    gate = Gate(run, backward)
    with serving(gate) as server:
        assert refine.main(humpback(whole, texts, server.url)) == 0
        argv = humpback(run, texts, server.url, "--slots", "1")
        gate.set("curate", 1)
        process = begin(*argv)
        assert gate.shut.wait(300), process.communicate()
        kill(process)
        gate.open()
        code, _, err = finish(begin(*argv))
    assert (code, err) == (0, "")
    held = rounds.tables(run, without=("seeds",))
    assert held == rounds.tables(whole, without=("seeds",))
    assert len(held["curations"]) + len(held["drops"]) == len(rows)
    assert len(held["curations"]) > 4
