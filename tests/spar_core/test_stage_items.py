"""The items of a stage over rows in memory: views, scope and bound settings."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from spar_core.methods.humpback import BACKTRANSLATE
from spar_core.methods.meta_rewarding import META_REWARDING, LengthSettings
from spar_core.stage import StageSettings
from spar_core.stage_items import bound, items_of_rows, scope_query, tables_read
from spar_core.stages.judge import JUDGE
from spar_core.stages.pairs import PAIRS
from spar_core.stages.rft import RFT
from spar_core.stages.sample import SAMPLE


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def test_a_stage_reads_its_intake_and_what_is_upstream() -> None:
    assert tables_read(SAMPLE) == ("prompts", "responses")
    assert tables_read(JUDGE) == ("prompts", "responses", "judgements")
    assert tables_read(BACKTRANSLATE) == ("seeds", "drops", "backtranslations")


def test_only_settings_that_the_sql_names_are_bound() -> None:
    settings = LengthSettings(seed=3, rho=0.2)
    assert bound(META_REWARDING, settings) == {"seed": 3, "rho": 0.2}
    assert bound(SAMPLE, settings) == {}


def scope(db: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    return sorted(name for (name,) in db.sql(query).fetchall())


def test_the_scope_is_of_a_split_and_of_what_is_chosen(db: duckdb.DuckDBPyConnection) -> None:
    db.execute("create table prompts (prompt_id varchar, split varchar)")
    db.execute("insert into prompts values ('a', 'train'), ('b', 'train'), ('c', 'it''s')")
    assert scope(db, scope_query(db, SAMPLE, "train")) == ["a", "b"]
    assert scope(db, scope_query(db, SAMPLE, "it's")) == ["c"]
    assert scope(db, scope_query(db, SAMPLE, "train", ["b", "c", "d"])) == ["b"]
    assert scope(db, scope_query(db, SAMPLE, "train", [])) == []
    assert scope(db, scope_query(db, PAIRS, "it's")) == ["a", "b"], "training data: train alone"
    assert scope(db, scope_query(db, RFT, "train", ["b"])) == ["a", "b"], "it selects over all"
    db.execute("create table seeds (seed_id varchar, split varchar)")
    db.execute("insert into seeds values ('s', 'train'), ('t', 'test')")
    assert scope(db, scope_query(db, BACKTRANSLATE, "train")) == ["s", "t"]
    assert scope(db, scope_query(db, BACKTRANSLATE, "train", ["t"])) == ["t"]


def test_a_connection_answers_again_for_other_rows(db: duckdb.DuckDBPyConnection) -> None:
    def keys(name: str, split: str, chosen: list[str] | None = None) -> list[str]:
        row = {"prompt_id": name, "prompt": "do it", "split": split}
        rows = {"prompts": [row]}
        items = items_of_rows(db, SAMPLE, StageSettings(), rows, "train", chosen)
        return [item["key"] for item in items]

    assert keys("p", "train", ["p"]) == ["p"]
    assert keys("q", "train", ["p"]) == []
    assert keys("q", "train") == ["q"]
    assert keys("q", "test") == []
    assert items_of_rows(db, SAMPLE, StageSettings(), {}, "train") == []
