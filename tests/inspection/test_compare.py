"""The comparison in a terminal: what it sets side by side, what it warns of, how it says no."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from evaluation.intervals import difference
from inspection.compare import __main__ as compare
from schemas.evaluations import Evaluation
from tests.committed import commit, pair
from tests.inspection.evaluated import figure, half, units

FIRST = [1] * 40 + [0] * 60
SECOND = [0] * 5 + [1] * 35 + [1] * 25 + [0] * 35
"""25 items more than `FIRST`, and 5 fewer."""


def told(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    assert compare.main(["--runs", *map(str, argv)]) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    assert err == ""
    return out


def cells(text: str) -> list[list[str]]:
    """The rows of all tables in a text, their heads too."""
    return [
        [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")]
        for line in text.splitlines()
        if line.startswith(("│", "┃"))
    ]


def made(run: Path, *figures: Evaluation, iteration: int = 1) -> Path:
    return commit(run, "evaluations", figures, iteration=iteration)


def two(folder: Path) -> tuple[Path, Path]:
    """Two runs evaluated on the same hundred items."""
    a = made(folder / "a", figure("average", FIRST), figure("strict", half(100, 10)))
    b = made(folder / "b", figure("average", SECOND), figure("strict", half(100, 10)))
    return a, b


def test_runs_stand_side_by_side_with_intervals_and_tests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = told(capsys, *two(tmp_path))
    low, high = stats.binom.ppf((0.025, 0.975), 100, 0.4) / 100
    head, first, second, of, average, strict = cells(out)
    assert head == ["", "average", "strict"], "in the order in which they were written"
    assert first[0] == "a"
    assert first[1].startswith("0.400 [") and first[1].endswith("], 100 of 100")
    bounds = [float(part) for part in first[1].partition("[")[2].partition("]")[0].split(", ")]
    assert bounds == pytest.approx([low, high], abs=0.011)
    assert second[:1] == ["b"] and second[1].startswith("0.600 [")
    assert of[:2] == ["", "figure"]
    test = difference(units(FIRST), units(SECOND))
    assert test
    mcnemar = stats.binomtest(25, 30).pvalue
    assert mcnemar < 0.001
    interval = f"[{test.low:+.3f}, {test.high:+.3f}]"
    assert average == ["b", "average", "+0.200", interval, "<0.001", "<0.001", "25", "5", "100"]
    assert strict[2:] == ["+0.000", "[+0.000, +0.000]", "1.000", "1.000", "0", "0", "100"]
    assert "ifeval, more than a" in out
    assert "!" not in out


def test_only_what_differs_is_named_and_main_comes_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for iteration in (2, 1):
        made(
            tmp_path / "run",
            figure("strict", FIRST, variant="bfs4", decoder="bfs", votes=5, budget=4),
            figure("strict", FIRST),
            iteration=iteration,
        )
    names = [row[0] for row in cells(told(capsys, tmp_path / "run"))[1:5]]
    assert names == [
        "iteration 1 · main · greedy · 0 votes · budget 1",
        "iteration 1 · bfs4 · bfs · 5 votes · budget 4",
        "iteration 2 · main · greedy · 0 votes · budget 1",
        "iteration 2 · bfs4 · bfs · 5 votes · budget 4",
    ]


def test_what_an_item_cost_is_told_where_it_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(
        tmp_path / "a",
        figure("strict", FIRST, responses=4.25, tokens=1234.5),
        figure("strict", FIRST, variant="given", decoder="given"),
    )
    head, *rows = cells(told(capsys, tmp_path / "a"))[:3]
    assert head[2:] == ["responses an item", "tokens an item"]
    assert [row[2:] for row in rows] == [["4.2", "1,234.5"], ["–", "–"]]


def test_items_without_a_score_are_told_loudly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = made(tmp_path / "a", figure("strict", half(10, 5)), figure("loose", half(10, 6)))
    b = made(tmp_path / "b", figure("strict", [None, None, *half(8, 4)]))
    out = told(capsys, a, b)
    assert "8 of 10 !" in out
    assert "! b: 2 of 10 items have no score (strict)" in out
    assert (
        "! b and a: not the same items; the difference is on the 8 that both have, of 8 and 10 "
        "(strict)" in out
    )
    [row] = [row for row in cells(out) if row[:2] == ["b", "strict"]]
    assert row[-1] == "8"
    assert ["b", "loose"] not in [row[:2] for row in cells(out)], "b has no such figure"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (figure("strict", FIRST, start=1000), "no difference, they have no item in common"),
        (
            replace(figure("strict", FIRST), units=[]),
            "no difference, another program says the figure",
        ),
        (
            figure("strict", FIRST, scorer="judge"),
            "scored by judge and program; a difference may be the scorers'",
        ),
        (
            figure("strict", FIRST, start=99),
            "not the same items; the difference is on the 1 that both have, of 100 and 100",
        ),
    ],
)
def test_what_cannot_be_compared_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: Evaluation, says: str
) -> None:
    a, b = made(tmp_path / "a", figure("strict", FIRST)), made(tmp_path / "b", other)
    out = told(capsys, a, b)
    assert f"! b and a: {says} (strict)" in out
    [row] = [row for row in cells(out) if row[:2] == ["b", "strict"]]
    if "no difference" in says:
        assert row[2:] == [*["–"] * 6, "0"]


def test_a_figure_of_nothing_is_a_dash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, made(tmp_path / "a", figure("strict", [None] * 3)))
    assert ["a", "–, 0 of 3 !"] in cells(out)


def test_answers_scored_by_two_are_two_systems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(
        tmp_path / "a",
        figure("hsr", half(9, 3), scorer="one", benchmark="followbench"),
        figure("hsr", half(9, 6), scorer="two", benchmark="followbench"),
    )
    rows = cells(told(capsys, tmp_path / "a"))
    assert [row[0] for row in rows[1:3]] == ["scored by one", "scored by two"]
    assert rows[4][:3] == ["scored by two", "hsr", "+0.333"]


def test_one_benchmark_alone_and_its_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def with_parts(met: list[int]) -> list[Evaluation]:
        return [
            figure("strict", met),
            figure("strict", met[:50], part="length"),
            figure("judged", half(4, 1), benchmark="llmbar"),
        ]

    a = made(tmp_path / "a", *with_parts(FIRST))
    b = made(tmp_path / "b", *with_parts(SECOND))
    everything = told(capsys, a, b)
    assert "llmbar" in everything
    assert "length" not in everything
    alone = told(capsys, a, b, "--benchmark", "ifeval", "--parts")
    assert "llmbar" not in alone
    rows = cells(alone)
    assert ["", "a", "b"] in rows
    [values] = [row for row in rows if row[0] == "length · strict"]
    assert [value.partition(" ")[0] for value in values[1:]] == ["0.800", "0.900"]
    [tested] = [row for row in rows if row[1:2] == ["length · strict"]]
    assert tested[2] == "+0.100" and tested[-1] == "50"
    assert "chance alone" in alone
    assert "chance" not in everything


def test_a_refiners_word_is_held_against_a_program_and_a_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(
        tmp_path / "a",
        figure("program", [*half(10, 4), *[None] * 10], benchmark="refinement"),
        figure("judge", half(20, 10), benchmark="refinement", scorer="other"),
        figure("self", [*[1] * 8, 0, 0, *[0] * 10], benchmark="refinement", scorer="m"),
    )
    out = told(capsys, tmp_path / "a")
    rows = {row[1]: row for row in cells(out)[2:] if row[0] == "a"}
    assert rows["program"][2] == "+0.400", "on the ten that the program can check"
    assert rows["program"][-3:] == ["4", "0", "10"]
    assert rows["judge"][2] == "-0.100"
    assert rows["judge"][-3:] == ["0", "2", "20"]
    assert "What a refiner says of its own refinements" in out


def test_folders_of_one_name_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("x", "y"):
        made(Path(folder) / "run", figure("strict", FIRST))
    assert [row[0] for row in cells(told(capsys, "x/run", "y/run"))[1:3]] == ["x/run", "y/run"]


def test_hostile_names_are_only_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = "[/b][red]\x1b[31m\u202e"
    a = made(tmp_path / "a", figure(odd, FIRST, benchmark=odd, model=odd))
    b = made(tmp_path / "b", figure(odd, [None, *FIRST[1:]], benchmark=odd, scorer=odd))
    out = told(capsys, a, b)
    assert not {"\x1b", "\u202e"} & set(out)
    assert out.count("[/b][red]\\u001b[31m\\u202e") >= 5


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["{tmp}/none"], "no run at {tmp}/none"),
        (["{tmp}/a", "{tmp}"], "no run at {tmp} "),
        (
            ["{tmp}/pairs only"],
            "{tmp}/pairs only has no evaluations: python -m pipelines.evaluate "
            "--run '{tmp}/pairs only' --benchmark ifeval",
        ),
        (["{tmp}/a", "--benchmark", "x"], "--benchmark x: the runs were evaluated on ifeval"),
        (["{tmp}/a", "{tmp}/./a/"], "--runs names {tmp}/./a/ twice"),
        (["{tmp}/a", "--runs", "{tmp}/a"], "--runs names {tmp}/a twice"),
        (["nowhere://x"], "nowhere"),
        (["{tmp}/a", "--output", "{tmp}/a.txt"], "ends in .html"),
        (["{tmp}/a", "--output", "{tmp}/no/a.html"], "make it"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], says: str
) -> None:
    made(tmp_path / "a", figure("strict", half(4, 2)))
    commit(tmp_path / "pairs only", "pairs", [pair(1)])
    line = [word.replace("{tmp}", str(tmp_path)) for word in argv]
    assert compare.main(["--runs", *line]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ") and err.count("\n") == 1
    assert says.replace("{tmp}", str(tmp_path)) in err
