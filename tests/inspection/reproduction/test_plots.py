"""The plots: there where there is something to draw, and readable PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inspection.reproduction import plots
from inspection.reproduction.measured import Results
from tests.inspection.evaluated import half
from tests.inspection.reproduction.folders import HOSTILE, Folder, read

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Axes]:
    """The axes of figures that are saved, in place of the figures' bytes."""
    kept: list[Axes] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: kept.extend(self.axes))
    return kept


def legend(axes: Axes) -> list[str]:
    shown = axes.get_legend()
    assert shown is not None
    return [text.get_text() for text in shown.get_texts()]


def held(axes: Axes, number: int) -> set[float]:
    """The x (0) or y (1) of all points on lines."""
    points = [point for line in axes.lines for point in np.asarray(line.get_xydata())]
    return {round(float(point[number]), 1) for point in points}


def test_the_score_by_iteration(whole: Results, drawn: list[Axes]) -> None:
    plots.by_iteration(whole)
    [axes] = drawn
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        *("base", "bootstrap", "iteration 1", "iteration 2"),
    ]
    assert sorted(legend(axes)) == [
        *("before the first iteration", "independent pairs", "refined pairs (SPaR)"),
    ]
    assert {20.0, 47.5, 72.5} <= held(axes, 1)
    assert len(axes.collections) > 5, "intervals, and single seeds as dots"


def test_decoders_stand_at_the_responses_that_they_made(whole: Results, drawn: list[Axes]) -> None:
    plots.by_responses(whole)
    [axes] = drawn
    assert legend(axes) == [
        *("greedy", "best of N", "iterative refinement"),
        *("tree search, breadth first", "tree search, depth first"),
    ]
    assert {1.0, 3.2, 6.4} <= held(axes, 0)


def test_the_number_allowed_stands_for_one_that_is_not_known(
    tmp_path: Path, drawn: list[Axes]
) -> None:
    folder = Folder(tmp_path)
    folder.measured("decoding", "spar", 2, decoder="bfs", responses=8, average=half(9, 6))
    plots.by_responses(read(folder))
    assert held(drawn[0], 0) == {8.0}


def test_a_png_is_made(tmp_path: Path) -> None:
    folder = Folder(tmp_path).measured("taught", "base", 0, average=half(9, 3))
    folder.measured("decoding", "spar", 1, decoder=HOSTILE[:80], average=half(9, 3))
    results = read(folder)
    for png in (plots.by_iteration(results), plots.by_responses(results)):
        assert png and png.startswith(PNG) and len(png) > 1000


def test_nothing_to_draw_is_no_plot() -> None:
    assert plots.by_iteration(Results()) is None
    assert plots.by_responses(Results()) is None
