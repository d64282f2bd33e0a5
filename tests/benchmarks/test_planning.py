"""A plan beside what comes, small."""

from __future__ import annotations

import pytest

from benchmarks import planning


@pytest.mark.slow
def test_planning() -> None:
    made = planning.measure(48, 24, slots=16, speed=8)
    assert [row[:2] for row in made.rows if row[0] == "all"] == [
        ["all", what] for what in ("requests", "prompt_tokens", "completion_tokens", "seconds")
    ]
    predicted = {row[1]: row[-1] for row in made.rows if row[0] == "all"}
    assert 0.6 < float(str(predicted["completion_tokens"])) < 1.6
    assert all(row[3] <= row[2] <= row[4] for row in made.rows)  # type: ignore[operator]
