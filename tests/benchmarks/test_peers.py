from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import harness, peers, plain_round
from benchmarks.answers import Script
from spar_core.engine.protocol import Message


def test_a_plain_round_refines_until_a_refinement_passes() -> None:
    script = Script(malformed_rate=0.05)
    asked: list[tuple[int, int]] = []

    async def ask(
        messages: Sequence[Message], drawn: dict[str, Any], n: int, seed: int
    ) -> list[str]:
        asked.append((n, drawn["max_tokens"]))
        return script.answers(messages, seed, n)

    prompts = [f"Task {number}" for number in range(20)]
    rows = [asyncio.run(plain_round.refine_prompt(prompt, ask)) for prompt in prompts]
    assert [row["prompt"] for row in rows] == prompts
    assert all(len(row["responses"]) == len(row["verdicts"]) == 5 for row in rows)
    assert asked.count((plain_round.RESPONSES, 2048)) > 20
    refined = [row for row in rows if row["refinements"]]
    assert refined and all("no" in row["verdicts"] for row in refined)
    for row in refined:
        assert len(row["refinements"]) <= plain_round.BUDGET
        # A search ends with the level that holds the first refinement that passes.
        first = row["passed"].index(True) if any(row["passed"]) else plain_round.BUDGET
        assert len(row["passed"]) - first <= plain_round.KEEP * plain_round.BRANCH


@pytest.mark.slow
def test_all_clients_ask_the_same_and_datatrove_is_named(tmp_path: Path) -> None:
    made = peers.measure(6, slots=16, speed=20)
    assert [row[0] for row in made.rows] == ["ours: refine", "an asyncio script", peers.DATATROVE]
    if not peers.PYTHON.is_file():
        assert made.rows[-1][1] == peers.NOT_INSTALLED
    found = made.data["clients"]
    for key in ("sequences", "completion_tokens", "texts", "texts_digest"):
        assert len({values[key] for values in found.values()}) == 1, key
    for values in found.values():
        assert values["cpu_s"] > 0
        assert values["peak_mb"] > 10
        assert (values["killed"]["lost"], values["killed"]["twice"]) == (0, 0)
        assert values["killed"]["answered_at_kill"] >= values["answered"] / 2
    again = {name: values["killed"]["answered_again"] for name, values in found.items()}
    assert again["ours: refine"] <= 2 * 16 < again["an asyncio script"]
    assert json.loads(json.dumps(made.data)) == made.data


def test_a_client_that_fails_is_told(tmp_path: Path) -> None:
    """Its last output is in the message."""
    log = tmp_path / "log"
    process = harness.begin([sys.executable, "-c", "raise SystemExit('no luck')"], log)
    with pytest.raises(harness.JobFailed, match="no luck"):
        harness.end(process, "failing", log)
