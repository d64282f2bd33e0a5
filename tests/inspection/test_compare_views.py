"""The views of evaluations, and what the report says of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from inspection.report import __main__ as report
from schemas.evaluations import Evaluation, Part, Unit
from schemas.views import connect
from tests.committed import commit, mixed
from tests.inspection.evaluated import figure, half


def test_scores_are_listed_in_order_without_their_units(tmp_path: Path) -> None:
    figures = [
        figure("hsr", half(3, 1), benchmark="followbench"),
        figure("strict", half(8, 2), variant="bfs"),
        figure("strict", half(4, 3), part="length", responses=2.04),
        figure("strict", half(8, 6), responses=2.04),
    ]
    commit(tmp_path, "evaluations", figures)
    with connect(str(tmp_path)) as connection:
        found = connection.sql("from benchmark_scores")
        assert "units" not in found.columns
        rows = [row[1:6] + row[-4:-3] for row in found.fetchall()]
        bounds = connection.sql("select distinct low < value, value < high from benchmark_scores")
        assert bounds.fetchall() == [(True, True)]
    assert rows == [
        ("main", "followbench", "hsr", "", 0.333, None),
        ("bfs", "ifeval", "strict", "", 0.25, None),
        ("main", "ifeval", "strict", "", 0.75, 2.0),
        ("main", "ifeval", "strict", "length", 0.75, 2.0),
    ]


def test_bias_is_taken_where_both_have_a_word(tmp_path: Path) -> None:
    for variant, met in (("main", 8), ("bfs", 5)):
        own = [*half(10, met), *half(10, 10)]
        rows = [
            figure("self", own, benchmark="refinement", variant=variant),
            figure("judge", half(20, 10), benchmark="refinement", variant=variant),
            figure("program", half(10, 4), benchmark="refinement", variant=variant),
            figure("program", half(2, 1), benchmark="refinement", variant=variant, part="length"),
        ]
        commit(tmp_path, "evaluations", rows)
    commit(tmp_path, "evaluations", [figure("self", half(4, 1), benchmark="x")], iteration=2)
    with connect(str(tmp_path)) as connection:
        found = connection.sql("select * exclude (decoder, votes, budget) from refinement_bias")
        assert found.fetchall() == [
            (1, "bfs", 0.75, 0.5, 0.4, 10, 0.1),
            (1, "main", 0.9, 0.5, 0.4, 10, 0.4),
        ]


def test_bias_of_prompts_with_several_failing_answers_is_a_share_of_refinements(
    tmp_path: Path,
) -> None:
    """Of four refinements of two prompts the refiner passes four, and the program two."""

    def of_two(metric: str, met: Sequence[float]) -> Evaluation:
        told = figure(metric, [1, 1], benchmark="refinement")
        return replace(told, units=[Unit(f"i{n}", [Part(m, 2.0)]) for n, m in enumerate(met)])

    commit(tmp_path, "evaluations", [of_two("self", (2.0, 2.0)), of_two("program", (2.0, 0.0))])
    with connect(str(tmp_path)) as connection:
        found = connection.sql("select checked, self_minus_program from refinement_bias")
        assert found.fetchall() == [(4, 0.5)]


def test_bias_without_a_program_is_null(tmp_path: Path) -> None:
    commit(tmp_path, "evaluations", [figure("self", half(4, 1), benchmark="refinement")])
    with connect(str(tmp_path)) as connection:
        rows = connection.sql(
            "select self, judge, program, checked, self_minus_program from refinement_bias"
        )
        assert rows.fetchall() == [(0.25, None, None, None, None)]


def page(run: Path, output: Path) -> str:
    assert report.main(["--run", str(run), "--output", str(output)]) == 0
    return output.read_text()


def test_the_report_says_how_good_the_models_are(tmp_path: Path) -> None:
    run = mixed(tmp_path / "run")
    assert "How good the models are" not in page(run, tmp_path / "r.html")
    for iteration, met in ((1, 2), (2, 6)):
        rows = [
            figure("average", half(8, met), model=f"<b>{iteration}"),
            figure("average", half(2, 1), part="length"),
            figure("judged", [None, *half(3, met // 2)], benchmark="llmbar"),
        ]
        commit(run, "evaluations", rows, iteration=iteration)
    html = page(run, tmp_path / "r.html")
    section = html.partition('id="h-models"')[2].partition("</section>")[0]
    assert "How good the models are" in section
    tables = re.findall(r"<table>.*?</table>", section, flags=re.DOTALL)
    assert [re.findall(r"<caption>(.*?)<", table) for table in tables] == [["ifeval"], ["llmbar"]]
    rows_of = [re.findall(r'row" dir="auto">(.*?)<.*?auto">(.*?)<', table) for table in tables]
    said = figure("average", half(8, 2))
    cell = f"0.250 [{said.low:.3f}, {said.high:.3f}], 8 of 8"
    assert rows_of[0][0] == ("iteration 1 · &lt;b&gt;1", cell)
    assert rows_of[0][1][0] == "iteration 2 · &lt;b&gt;2"
    assert all(cell.endswith("3 of 4 !") for _, cell in rows_of[1])
    assert "length" not in section
    assert "<b>" not in section


def test_a_run_of_nothing_but_evaluations_has_a_report(tmp_path: Path) -> None:
    run = commit(tmp_path / "run", "evaluations", [figure("average", half(8, 2))])
    html = page(run, tmp_path / "r.html")
    assert "0.250 [" in html.partition('id="h-models"')[2]
