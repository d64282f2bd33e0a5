"""Answering prompts by a decoder: whole jobs in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import answer
from tests.loopback import serving
from tests.pipelines import rounds
from tests.pipelines.rounds import query, role, story


@pytest.mark.parametrize("decoder", ["greedy", "best_of_n", "iterative", "bfs", "dfs"])
def test_each_decoder_answers_each_prompt_once(decoder: str, tmp_path: Path) -> None:
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl")
    run = tmp_path / "run"
    with serving(story) as server:
        given = ["--run", str(run), "--prompts", str(prompts), "--engine_url", server.url]
        given += ["--decoder", decoder, "--responses_per_item", "4"]
        assert answer.main(given) == 0
        asked = len(server.bodies)
        assert answer.main(given) == 0
        assert len(server.bodies) == asked
        roles = {role(body) for body in server.bodies}
    rows = query(run, "select prompt, decoder, responses, passed, response from answers "
                      "join prompts on prompt_id = item_id")  # fmt: skip
    assert sorted(row[0] for row in rows) == sorted(rounds.PROMPTS)
    assert {row[1] for row in rows} == {decoder}
    if decoder == "greedy":
        assert roles == {"actor"}
        assert {row[2:4] for row in rows} == {(1, None)}
        return
    assert roles == {"actor", "judge"} | (set() if decoder == "best_of_n" else {"refine"})
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
