"""Methods side by side: their tables, the scores of what was trained on them, and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inspection.compare import __main__ as compare
from schemas.checkpoint import content
from schemas.judgements import Judgement
from schemas.manifest import FOLDER
from schemas.pairs import Message
from schemas.sft_actor import SftActor
from tests.committed import commit, pair
from tests.inspection.evaluated import figure, half
from tests.inspection.test_compare import cells


def learnt(number: int, *, checked: bool | None) -> SftActor:
    said = [Message("user", f"Say {number}."), Message("assistant", "x")]
    name = f"a{number}"
    return SftActor(name, said, f"prompt{number}", "repair", "m", checked=checked, method="self")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Pairs of two methods and two variants, and answers of a third method."""
    run = tmp_path / "run"
    for variant in ("main", "dfs"):
        commit(run, "pairs", [pair(number, variant=variant) for number in range(2)])
    commit(run, "pairs", [pair(number, "independent") for number in range(1, 4)])
    commit(run, "sft_actor", [learnt(0, checked=True), learnt(1, checked=None)])
    return run


def trained(folder: Path, kinds: list[dict[str, Any]], base: Path, job: str = "dpo") -> Path:
    """A checkpoint as a training leaves it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(folder.name)
    record = {
        "job": job,
        "task": None,
        "model": {"name": str(base), "content": content(base)},
        "data": {"source": "run", "kinds": kinds},
    }
    (folder / "training.json").write_text(json.dumps(record))
    return folder


def answered_by(run: Path, variant: str, model: Path) -> None:
    """Say which model answered the items of an evaluation, as a claim does."""
    folder = run / FOLDER / "iteration=1"
    text = json.dumps({"actor.model": model.name, "actor.content": content(model)})
    (folder / f"decode@{variant}.settings").write_text(text)


@pytest.fixture
def evaluated(run: Path, tmp_path: Path) -> Path:
    """Two actors made of the run and what they were before, each evaluated."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("base")
    dfs = [{"method": "spar", "variant": "dfs", "rows": 2}]
    made = {
        "base": base,
        "a": trained(run / "models" / "a", dfs, base),
        "b": trained(tmp_path / "b", [{"method": "self", "variant": "main", "rows": 2}], base),
        "r": trained(run / "models" / "refiner", dfs, base, job="rft"),
    }
    for variant, met in (("a", 70), ("b", 40), ("base", 30), ("r", 1)):
        said = figure("average", half(100, met), variant=variant, model=made[variant].name)
        commit(run, "evaluations", [said])
        answered_by(run, variant, made[variant])
    return run


def told(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    assert compare.main(["--by", "method", *map(str, argv)]) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_a_row_for_each_method_and_variant_main_first(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = told(capsys, "--runs", run)
    rows = cells(out)
    kinds = ["spar", "spar · dfs", "independent", "self"]
    assert [row[0] for row in rows[1:5]] == [row[0] for row in rows[6:10]] == kinds
    assert [(row[2], row[7], row[8]) for row in rows[1:5]] == [
        *(("2", "2", "0"), ("2", "2", "0"), ("3", "3", "0"), ("2", "0", "2")),
    ]
    assert [row[3] for row in rows[1:5]] == ["–"] * 4, "nothing is known of requests"
    assert rows[9][1:] == ["–", "–", "–", "–", "100%, 1 of 1 !"]
    assert ["independent", "self", "3", "2", "1", "25%"] in rows
    assert "no program has a say of spar, spar · dfs, independent" in out
    assert "No scores" in out


def test_the_judge_is_set_beside_the_program_with_and_without_its_veto(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "The judge beside the program" not in told(capsys, "--runs", run)

    def judged(number: int, verdict: str, outcome: str, checked: bool, variant: str) -> Judgement:
        name = f"{variant}{number}"
        row = Judgement(name, "p", verdict, 0.5, 3, 2, 0, "c", [], "m", 1, 1, checked, variant)
        return replace(row, outcome=outcome)

    sides = [("yes", True), ("yes", False), ("no", True), ("no", False)]
    for variant, has_veto in (("main", True), ("report", False)):
        rows = [
            judged(n, said, "no" if has_veto and not checked else said, checked, variant)
            for n, (said, checked) in enumerate(sides)
        ]
        commit(run, "judgements", rows)
    rows_shown = cells(told(capsys, "--runs", run))
    assert ["judge · iteration 1", "4", "50%", "50%", "0%"] in rows_shown
    assert ["judge · report · iteration 1", "4", "50%", "50%", "50%"] in rows_shown


def test_scores_are_of_the_actors_that_learnt_a_methods_rows(
    evaluated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = told(capsys, "--runs", evaluated, "--models", tmp_path / "b")
    scored = [(row[0], row[1][:5]) for row in cells(out) if row[-1].endswith("of 100")]
    assert scored == [
        ("before training · base · base", "0.300"),
        ("spar · dfs · a · a", "0.700"),
        ("self · b · b", "0.400"),
    ], "the method, then the evaluation's variant and model"
    assert "more than before training" in out
    assert "No scores" not in out


def test_a_model_of_the_same_name_and_other_content_is_another(
    evaluated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (evaluated / "models" / "a" / "config.json").write_text("another")
    out = told(capsys, "--runs", evaluated)
    assert "before training" in out and "0.700" not in out


def test_a_page_holds_the_same(
    evaluated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    said = told(capsys, "--runs", evaluated, "--output", page)
    assert "methods, ifeval; 1 warnings" in said
    text = page.read_text()
    for part in ("spar · dfs", "100%, 1 of 1 !", "0.700 [", "4 ways to make training data"):
        assert part in text, part


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--by", "method", "--models", "{place}/none"], "no training.json there"),
        (["--models", "{place}/b"], "--models goes with --by method"),
    ],
)
def test_what_is_no_good_is_said_in_a_line(
    evaluated: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    says: str,
) -> None:
    given = [part.format(place=tmp_path) for part in argv]
    assert compare.main(["--runs", str(evaluated), *given]) == 2
    out, err = capsys.readouterr()
    assert out == "" and says in err and len(err.strip().splitlines()) == 1


def test_a_run_without_any_method_says_how_to_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = commit(tmp_path / "run", "evaluations", [figure("average", [1])])
    assert compare.main(["--by", "method", "--runs", str(run)]) == 2
    assert "no method has made anything yet" in capsys.readouterr().err
