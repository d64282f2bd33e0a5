"""The catalog of a run: a file that opens anywhere, and what it never replaces."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from inspection import sql
from schemas import TABLES
from schemas.prompts import Prompt
from schemas.questions import MACROS, VIEWS
from schemas.views import MANIFEST_TABLES, connect
from spar_core.dataset import Dataset, Settled
from tests.pipelines.rounds import EMPTY

CALLS = [
    "pair((select min(pair_id) from pairs))",
    "tree((select min(tree_id) from trees))",
    "pairs_where_similarity(0, 1)",
    "hardest_prompts()",
]


def make(run: Path | str, file: Path | str) -> int:
    return sql.main(["--run", str(run), "--catalog", str(file)])


def rows(file: Path | str, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        found: list[tuple[object, ...]] = connection.execute(query).fetchall()
        return found


def commit(run: Path | str, key: str) -> None:
    settled = Settled(key, {"prompts": [Prompt(key, f"say {key}", "f:1", 0)]})
    Dataset(str(run), 1).commit("prompts", key, [settled])


@pytest.fixture
def small_run(tmp_path: Path) -> Path:
    commit(tmp_path / "run", "a")
    return tmp_path / "run"


def test_it_answers_as_the_run_does(
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "catalog.duckdb"
    assert make(finished_run, file) == 0
    assert "duckdb -readonly" in capsys.readouterr().out
    monkeypatch.chdir("/")
    assert {call.partition("(")[0] for call in CALLS} == set(MACROS)
    with duckdb.connect(str(file), read_only=True) as made, connect(str(finished_run)) as run:
        for name in (*TABLES, *VIEWS, *CALLS, *MANIFEST_TABLES, "contents"):
            query = f"from {name} order by all"
            found = made.execute(query).fetchall()
            assert found == run.execute(query).fetchall(), name
            assert bool(found) is (name not in EMPTY), name


def test_a_run_and_a_file_named_from_here_are_found_from_anywhere(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished_run, tmp_path / "it's a [run]")
    monkeypatch.chdir(tmp_path)
    for name in ("pairs.duckdb", "it's.duckdb", "a b", "x;drop.db"):
        assert make("it's a [run]", name) == 0
    monkeypatch.chdir("/")
    for name in ("pairs.duckdb", "it's.duckdb", "a b", "x;drop.db"):
        assert rows(tmp_path / name, "select count(*) from pairs") == [(8,)]
    assert rows(tmp_path / "a b", "select run from snapshot") == [(str(tmp_path / "it's a [run]"),)]


def test_it_says_what_it_is(finished_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "catalog.duckdb"
    assert make(finished_run, file) == 0
    parquet = len(list(finished_run.rglob("*.parquet")))
    query = (
        "select files, abs(date_diff('minute', made_at, now() at time zone 'UTC')) from snapshot"
    )
    assert rows(file, query) == [(parquet, 0)]
    views = "from duckdb_views() select view_name where comment is not null"
    assert {name for (name,) in rows(file, views)} >= {*TABLES, *VIEWS}
    macros = "from duckdb_functions() select function_name where comment is not null"
    assert {name for (name,) in rows(file, macros)} == set(MACROS)
    listed = {str(name).partition("(")[0] for (name,) in rows(file, "select name from contents")}
    assert listed == {*TABLES, *VIEWS, *MACROS, *MANIFEST_TABLES, "contents"}


def test_earlier_duckdbs_can_open_it(small_run: Path, tmp_path: Path) -> None:
    assert make(small_run, tmp_path / "c") == 0
    query = "select tags['storage_version'] from duckdb_databases() where database_name = 'c'"
    assert rows(tmp_path / "c", query) == [("v1.0.0+",)]


def test_it_is_a_snapshot_of_what_is_committed_until_it_is_made_again(
    small_run: Path, tmp_path: Path
) -> None:
    file = tmp_path / "c.duckdb"
    assert make(small_run, file) == 0
    [data] = (small_run / "prompts/iteration=1").iterdir()
    shutil.copy(data, data.with_name("orphan.parquet"))
    commit(small_run, "b")
    query = "select prompt_id from prompts order by all"
    assert rows(file, query) == [("a",)]
    assert make(small_run, file) == 0
    assert rows(file, query) == [("a",), ("b",)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.duckdb", "run"]


def refused(run: Path | str, file: Path | str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert make(run, file) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_what_it_did_not_make_stays(
    small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("my notes")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    [data] = (small_run / "prompts/iteration=1").iterdir()
    for name, statements in {
        "other": ["create table mine as select 1"],
        "none": [],
        "alike": ["create table snapshot as select ['snapshot'] as names where false"],
    }.items():
        with duckdb.connect(str(tmp_path / name)) as connection:
            for statement in statements:
                connection.execute(statement)
    for path in [tmp_path / n for n in ("text", "empty", "other", "none", "alike")] + [data]:
        before = path.read_bytes()
        assert "stays as it is" in refused(small_run, path, capsys)
        assert path.read_bytes() == before
    assert "it is no file" in refused(small_run, tmp_path / "folder", capsys)
    assert not list(tmp_path.glob("*.tmp*"))


@pytest.mark.parametrize(
    "statement",
    [
        "create table mine as select 1",
        "create view mine as select 1",
        "create macro mine(x) as x",
        "create macro mine(x) as table select x",
    ],
)
def test_a_catalog_that_somebody_added_to_stays(
    small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], statement: str
) -> None:
    file = tmp_path / "c.duckdb"
    assert make(small_run, file) == 0
    with duckdb.connect(str(file)) as connection:
        connection.execute(statement)
    before = file.read_bytes()
    assert "did not make (mine)" in refused(small_run, file, capsys)
    assert file.read_bytes() == before


def test_one_that_is_being_written_to_stays(
    small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.duckdb"
    assert make(small_run, file) == 0
    wal = tmp_path / "c.duckdb.wal"
    wal.write_bytes(b"")
    assert f"{wal} is there" in refused(small_run, file, capsys)


def test_readers_keep_theirs_while_it_is_made_again(small_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.duckdb"
    assert make(small_run, file) == 0
    with duckdb.connect(str(file), read_only=True) as reader:
        before = reader.execute("from snapshot").fetchall()
        commit(small_run, "b")
        assert make(small_run, file) == 0
        assert reader.execute("from snapshot").fetchall() == before
    assert rows(file, "select count(*) from prompts") == [(2,)]


def test_a_link_stays_a_link(small_run: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    link = tmp_path / "c.duckdb"
    link.symlink_to(tmp_path / "shared/c.duckdb")
    for _ in range(2):
        assert make(small_run, link) == 0
        assert link.is_symlink()
        assert rows(tmp_path / "shared/c.duckdb", "select prompt_id from prompts") == [("a",)]


def test_what_cannot_be_is_said_and_nothing_is_left(
    small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.duckdb"
    assert make(small_run, file) == 0
    before = file.read_bytes()
    assert "no run at" in refused(tmp_path / "nowhere", file, capsys)
    assert file.read_bytes() == before
    assert "no such folder" in refused(small_run, tmp_path / "no/c.duckdb", capsys)
    assert "local disk" in refused(small_run, "gs://bucket/c.duckdb", capsys)
    [data] = (small_run / "prompts/iteration=1").iterdir()
    data.write_bytes(b"damaged")
    refused(small_run, file, capsys)
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.duckdb", "run"]


def test_sql_and_catalog_are_one_or_the_other(small_run: Path) -> None:
    with pytest.raises(SystemExit) as left:
        sql.main(["--run", str(small_run), "--catalog", "x", "--sql", "select 1"])
    assert left.value.code == 2


class Bucket(MemoryFileSystem):  # type: ignore[misc]
    """Stands in for Google's: the same URLs, kept in memory."""

    protocol = "gs"
    store: dict[str, object] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + str(path).removeprefix("gs://").strip("/")

    def unstrip_protocol(self, name: str) -> str:
        return f"gs://{name.strip('/')}"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setitem(_registry, "gs", Bucket)
    yield Bucket()
    Bucket.store.clear()


def test_a_run_in_a_bucket_is_named_by_its_url(tmp_path: Path, bucket: Bucket) -> None:
    commit("gs://b/run", "a")
    file = tmp_path / "c.duckdb"
    assert make("gs://b/run", file) == 0
    assert rows(file, "select run from snapshot") == [("gs://b/run",)]
    [(view,)] = rows(file, "select sql from duckdb_views() where view_name = 'prompts'")
    assert "'gs://b/run/prompts/iteration=1/" in str(view)
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.register_filesystem(bucket)
        assert connection.execute("select prompt_id from prompts").fetchall() == [("a",)]


def test_a_run_that_only_python_can_read_has_no_catalog(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit("memory://only/run", "a")
    said = refused("memory://only/run", tmp_path / "c.duckdb", capsys)
    assert "gs:// or s3://" in said
    assert not (tmp_path / "c.duckdb").exists()
