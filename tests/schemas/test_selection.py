from __future__ import annotations

from pathlib import Path

import pytest

from schemas.selection import Choice, Kinds, NoSuchRows, SelectionError
from schemas.views import connect
from tests import committed

KINDS = {("independent", "main"): 4, ("spar", "dfs"): 6, ("spar", "main"): 8}
TOLD = "4 of independent in main, 6 of spar in dfs, 8 of spar in main"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return committed.mixed(tmp_path / "run")


def left(run: Path, method: str | None, variant: str | None, where: str = "true") -> Kinds:
    """The pairs' kinds after a choice that is no good where an error is raised."""
    choice = Choice.read(method, variant)
    with connect(str(run), ("pairs",), locked=True) as connection:
        choice.check_named(Kinds.of(connection.view("pairs")), "pairs")
        kinds = Kinds.of(choice.of(connection.view("pairs").filter(where)))
    choice.check_one(kinds, "pairs")
    return kinds


@pytest.mark.parametrize(
    ("method", "variant", "where", "kept"),
    [
        ("spar", "main", "true", {("spar", "main"): 8}),
        (None, "dfs", "true", {("spar", "dfs"): 6}),
        ("independent", None, "true", {("independent", "main"): 4}),
        (None, None, "variant = 'dfs'", {("spar", "dfs"): 6}),
        (None, None, "method <> 'spar'", {("independent", "main"): 4}),
        ("spar", "main,dfs", "true", {("spar", "dfs"): 6, ("spar", "main"): 8}),
        ("independent, spar", "main,dfs", "true", KINDS),
        ("spar,independent", None, "variant = 'main' and prompt_id = 'prompt7'", None),
        ("spar,independent", "main", "similarity > 7", {}),
    ],
)
def test_one_kind_or_those_that_are_named(
    run: Path,
    method: str | None,
    variant: str | None,
    where: str,
    kept: dict[tuple[str, str], int] | None,
) -> None:
    assert left(run, method, variant, where).rows == (
        {("spar", "main"): 1} if kept is None else kept
    )


@pytest.mark.parametrize(
    ("method", "variant", "said"),
    [
        (
            *(None, None),
            f"pairs are of several methods and variants: {TOLD}; choose with --method NAME and "
            "--variant NAME, or take them together with --method independent,spar "
            "--variant main,dfs",
        ),
        (
            *("spar", None),
            "pairs are of several variants: 6 of spar in dfs, 8 of spar in main; choose with "
            "--variant NAME, or take them together with --variant dfs,main",
        ),
        (
            *(None, "main"),
            "pairs are of several methods: 4 of independent in main, 8 of spar in main; choose "
            "with --method NAME, or take them together with --method independent,spar",
        ),
        ("spar,independnt", None, f"no pairs are of method independnt: there are {TOLD}"),
        ("spar,", None, "--method takes a name, or several with commas, not 'spar,'"),
        (None, "", "--variant takes a name, or several with commas, not ''"),
    ],
)
def test_nothing_is_mixed_silently(
    run: Path, method: str | None, variant: str | None, said: str
) -> None:
    with pytest.raises(SelectionError) as raised:
        left(run, method, variant)
    assert str(raised.value) == said
    assert not isinstance(raised.value, NoSuchRows)


def test_none_of_what_was_named(run: Path) -> None:
    with pytest.raises(NoSuchRows, match="no pairs are of variant dsf: there are 4 of"):
        left(run, None, "dsf")


def test_names_are_no_sql(run: Path) -> None:
    with pytest.raises(NoSuchRows):
        left(run, "spar') or true --", None)
    choice = Choice(("spar') or true --",))
    with connect(str(run), ("pairs",)) as connection:
        assert Kinds.of(choice.of(connection.view("pairs"))).rows == {}


def test_a_run_from_before_is_of_one_kind(tmp_path: Path) -> None:
    committed.commit(
        tmp_path, "pairs", [committed.pair(1, "refined")], without=["variant", "depth"]
    )
    assert left(tmp_path, None, None).rows == {("spar", "main"): 1}
    assert left(tmp_path, "spar", "main").rows == {("spar", "main"): 1}


def test_many_kinds_are_not_all_listed() -> None:
    kinds = Kinds.count(("method",), [{"method": None}, *({"method": f"m{n}"} for n in range(20))])
    assert kinds.total == 21
    assert kinds.told().startswith("1 of no method, 1 of m0, 1 of m1, ")
    assert kinds.told().endswith(", 13 kinds more")
