"""Answering prompts by a decoder: whole jobs in this process.

What each decoder answers: tests/spar_core/stages/test_decode.py.
"""

from __future__ import annotations

import json
from pathlib import Path

from pipelines import answer
from tests.loopback import serving
from tests.pipelines import rounds
from tests.pipelines.rounds import query, role, story


def test_a_decoder_answers_each_prompt_once(tmp_path: Path) -> None:
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl")
    run = tmp_path / "run"
    with serving(story) as server:
        given = ["--run", str(run), "--prompts", str(prompts), "--engine_url", server.url]
        given += ["--decoder", "bfs", "--responses_per_item", "4"]
        assert answer.main(given) == 0
        asked = len(server.bodies)
        assert answer.main(given) == 0
        assert len(server.bodies) == asked
        roles = {role(body) for body in server.bodies}
    rows = query(run, "select prompt, decoder, responses, passed, response from answers "
                      "join prompts on prompt_id = item_id")  # fmt: skip
    assert sorted(row[0] for row in rows) == sorted(rounds.PROMPTS)
    assert {row[1] for row in rows} == {"bfs"}
    assert roles == {"actor", "judge", "refine"}
    assert all(1 <= row[2] <= 4 for row in rows)
    by_prompt = {row[0]: row for row in rows}
    assert by_prompt["An easy one."][3] is True
    assert by_prompt["A hopeless one."][3] is False


def test_another_decoder_needs_another_variant(tmp_path: Path) -> None:
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", ["An easy one."])
    run = tmp_path / "run"
    with serving(story) as server:
        given = ["--run", str(run), "--prompts", str(prompts), "--engine_url", server.url]
        assert answer.main(given) == 0
        assert answer.main([*given, "--decoder", "dfs"]) == 5
        assert answer.main([*given, "--decoder", "dfs", "--variant", "dfs"]) == 0
    assert query(run, "select variant, decoder from answers order by all") == [
        ("dfs", "dfs"),
        ("main", "greedy"),
    ]


def test_a_run_goes_on_as_it_was_begun(tmp_path: Path) -> None:
    """Before, refining began with an answer that was drawn, and malformed ones did not count."""
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl")
    run = tmp_path / "run"
    with serving(story) as server:
        given = ["--run", str(run), "--prompts", str(prompts), "--engine_url", server.url]
        given += ["--decoder", "bfs"]
        assert answer.main([*given, "--limit", "2"]) == 0
        [claim] = run.glob("_manifest/*/best_answer.settings")
        held = json.loads(claim.read_text())
        assert held.pop("search.counts_malformed") is True
        assert held["answering.temperature"] == 0
        held["answering.temperature"] = 0.9
        claim.write_text(json.dumps(held))
        server.bodies.clear()
        assert answer.main([*given, "--limit", "4"]) == 0
        drawn = [body["temperature"] for body in server.bodies if role(body) == "actor"]
        assert drawn == [0.9, 0.9]
        assert json.loads(claim.read_text()) == held
        server.bodies.clear()
        assert answer.main([*given, "--variant", "new", "--limit", "1"]) == 0
        drawn = [body["temperature"] for body in server.bodies if role(body) == "actor"]
        assert drawn == [0], "another variant begins anew"
