"""The measurement of the filters."""

from __future__ import annotations

import pytest

from benchmarks import filters

pytest.importorskip("datasketch", reason="the extra `evolve` is not installed")
pytest.importorskip("py3langid", reason="the extra `evolve` is not installed")


def test_each_filter_is_measured() -> None:
    made = filters.measure(200)
    assert len(made.rows) == 6
    assert all(row[1] > 0 for row in made.rows)
    assert made.data["twins"] == 10
