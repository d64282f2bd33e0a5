"""docs/sql.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from benchmarks.queries import PAGE, documented
from inspection import catalog
from schemas.questions import MACROS, VIEWS
from tests.inspection.sql_page import rendered
from tests.pipelines.rounds import EMPTY


def test_each_query_gives_the_result_that_is_shown(finished_run: Path) -> None:
    page = PAGE.read_text()
    assert rendered(page, finished_run) == page, "python -m tests.inspection.sql_page mends it"


def test_a_result_that_is_not_so_would_be_found(finished_run: Path) -> None:
    page = PAGE.read_text()
    assert rendered(re.sub(r"\| 8 \|", "| 9 |", page, count=1), finished_run) == page


@pytest.mark.parametrize("name", [*VIEWS, *MACROS])
def test_every_view_and_macro_has_an_example(name: str) -> None:
    queries = " ".join(documented(PAGE.read_text()))
    assert re.search(rf"from {name}\b", queries)


def test_each_query_runs_in_a_catalog(finished_run: Path, tmp_path: Path) -> None:
    file = str(tmp_path / "catalog.duckdb")
    catalog.write(str(finished_run), file)
    with duckdb.connect(file, read_only=True) as connection:
        for query in documented(PAGE.read_text()):
            [source] = re.findall(r"\bfrom (\w+)", query)
            assert bool(connection.execute(query).fetchall()) is (source not in EMPTY), query
