"""SQL over a run: rows, and everything a query may not do."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from inspection import sql
from schemas import TABLES, views
from schemas.judgements import VoteRecord
from schemas.nodes import Node
from schemas.prompts import Prompt
from schemas.questions import MACROS, VIEWS
from schemas.responses import Response, SamplingRecord
from tests import committed
from tests.pipelines import rounds

_ARGUMENTS = {
    "pair": ["'i1.x.r0.t.pair'"],
    "tree": ["'i1.x.r0.t'"],
    "pairs_where_similarity": ["0", "1"],
    "hardest_prompts": [],
}


def ask(run: Path | str, query: str) -> int:
    return sql.main(["--run", str(run), "--sql", query])


@pytest.fixture(scope="module")
def connection(finished_run: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A locked connection to `finished_run`, as every query gets one of its own."""
    with views.connect(str(finished_run), locked=True) as connection:
        yield connection


@pytest.fixture
def opened_once(
    connection: duckdb.DuckDBPyConnection, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All queries over `finished_run` use one connection: opening it takes most of their time."""

    def opened(run: str, *, locked: bool) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        assert (run, locked) == (str(finished_run), True)
        return nullcontext(connection)

    monkeypatch.setattr(sql, "connect", opened)


def test_without_sql_it_sums_up(finished_run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert sql.main(["--run", str(finished_run)]) == 0
    out, err = capfd.readouterr()
    assert "Pair quality" in out
    assert err == ""
    assert "\x1b" not in out


def test_rows_are_printed(finished_run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    query = "select verdict, count(*) as n from judgements group by verdict order by verdict"
    assert ask(finished_run, query) == 0
    out, err = capfd.readouterr()
    table = [[c.strip() for c in line.strip("│┃").split("│")] for line in out.splitlines()]
    assert ["no", "50"] in table
    assert ["yes", "10"] in table
    assert "verdict" in out
    assert err == ""
    assert "\x1b" not in out


@pytest.mark.parametrize(
    "query",
    [
        *(f"select iteration, * from {name} limit 2" for name in TABLES),
        *(f"from {name} limit 2" for name in (*VIEWS, *views.MANIFEST_TABLES, "contents")),
        *(f"from {name}({', '.join(_ARGUMENTS[name])})" for name in MACROS),
        *(f"describe {name}" for name in TABLES),
        "from pairs",
        "with p as (from pairs) select similarity, rejected[1].content, chosen[1].content from p",
        "select 1;",
        "select 1 -- the end",
        "(select 1) union all (select 2)",
        "select unnest(votes).text from judgements limit 3",
        "select regexp_extract(critique, 'Final.*') from judgements limit 1",
        "select * from pairs where false",
        "select '[/b]', '[red]x[/]' as \"[/i]\"",
        "select votes[1] from judgements limit 1",
        "show tables",
        "summarize pairs",
        "pivot trees on chosen_depth in (0, 1) using count(*)",
        "from query('from pairs')",
        "from query_table('pairs')",
        "from json_execute_serialized_sql(json_serialize_sql('from pairs'))",
        "select now(), current_date, 'infinity'::double, 'nan'::double, 'x'::blob, null",
        "with recursive t(n) as (select 1 union all select n + 1 from t where n < 9) from t",
        "select 'a''b; drop view pairs', $$it's$$",
    ],
)
@pytest.mark.usefixtures("opened_once")
def test_what_one_asks_is_answered(
    finished_run: Path, capsys: pytest.CaptureFixture[str], query: str
) -> None:
    assert ask(finished_run, query) == 0, capsys.readouterr().err
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("opened_once")
def test_a_column_name_is_shown_as_it_is(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(finished_run, 'select 1 as "votes[i]", 2 as "[bold]"') == 0
    out = capsys.readouterr().out
    assert "votes[i]" in out
    assert "[bold]" in out


@pytest.mark.parametrize(
    "query",
    [
        "copy pairs to '{out}'",
        "copy (select 1) to '{out}' (format parquet)",
        "attach '{out}' as other",
        "create table t as select 1",
        "create or replace view pairs as select 1",
        "create macro f(x) as x",
        "insert into pairs select * from pairs",
        "delete from pairs",
        "update pairs set similarity = 1",
        "drop view pairs",
        "alter view pairs rename to p",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "reset allowed_paths",
        "pragma database_list",
        "install httpfs",
        "load httpfs",
        "export database '{out}'",
        "import database '{out}'",
        "call pragma_version()",
        "checkpoint",
        "explain analyze copy pairs to '{out}'",
        "prepare p as select 1",
        "begin",
        "use memory",
        "select 1; select 2",
        "select 1; drop view pairs",
        "select 1; copy pairs to '{out}'",
        "",
        "   ",
        "-- nothing",
        ";",
        "with w as (insert into pairs from pairs returning *) from w",
        "with w as (insert into usage from usage returning *) from w",
        "with w as (update usage set requests = 0 returning *) from w",
        "with w as (delete from usage returning *) select count(*) from w",
        "with w as (copy (select 1) to '{out}') from w",
        "with w as (copy (select 1) to '{data}' (format csv, use_tmp_file false)) from w",
        "with w as (copy (select 1) to '{data}' (format parquet, use_tmp_file false)) from w",
        "from (with w as (copy (select 1) to '{data}' (use_tmp_file false)) from w)",
        "select (with w as (copy (select 1) to '{data}' (use_tmp_file false)) select 1)",
        "from query('with w as (copy (select 1) to ''{data}'' (use_tmp_file false)) from w')",
        "select 1 from w; with w as (copy (select 1) to '{data}' (use_tmp_file false)) from w",
        "select 1) as x; copy (select 1) to '{out}'; --",
        "select 1') as x; copy (select 1) to '{out}'; --",
        "from query('set threads = 1')",
        "from query('drop view pairs')",
        "from query('from read_text(''{secret}'')')",
        "from query_table('{secret}')",
        "from query_table(['pairs', '{secret}'])",
        "from json_execute_serialized_sql(json_serialize_sql('from read_text(''{secret}'')'))",
        "from tree((select content from read_text('{secret}')))",
        "from hardest_prompts(n := (select count(*) from read_text('{secret}')))",
        "from read_text('file://{secret}')",
        "from read_text('{data}/../../../../{secret}')",
        "from read_text('{data}.secret')",
        "from read_text(['{data}', '{secret}'])",
        "from read_csv('{secret}', auto_detect = false, columns = {'a': 'varchar'})",
        "from read_json_objects('{secret}')",
        "from read_duckdb('{secret}')",
        "from sqlite_scan('{secret}', 'a')",
        "from '{folder}/x.xlsx'",
        "from '{folder}/*.csv'",
        "from glob('{run}/*')",
        "from parquet_schema('{run}/pairs/*/*.parquet')",
        "from parquet_kv_metadata('{secret}')",
        "from sql_auto_complete('from ''{folder}/')",
        "from duckdb_extensions()",
        "from enable_logging(storage := 'file', storage_path := '{out}')",
        "from enable_profiling(save_location := '{out}')",
        "select getenv('HOME')",
        "from postgres_scan('host=localhost', 'public', 't')",
        "from leaked",
        "select * from leaked, pairs",
        "from arrow_scan(1, 2, 3)",
        "from pandas_scan(1)",
        "from python_arrow_scan(1)",
        "from st_read('{secret}')",
        "set variable x = 1",
        "execute p",
        "deallocate p",
        "vacuum",
        "pragma enable_profiling",
        "detach memory",
        "create secret (type s3)",
        "comment on view pairs is 'x'",
        "grant all on pairs to public",
        "pivot trees on chosen_depth",
        "select " + "(" * 100_000 + "1" + ")" * 100_000,
        "select " + "[" * 100_000 + "1" + "]" * 100_000,
        "select " + "1 + " * 100_000 + "1",
        "select " + "not " * 100_000 + "true",
        "from " + "(from " * 20_000 + "pairs" + ")" * 20_000,
        "select '" + "[" * 100_000 + "'::int[]",
        "select * from read_text('{secret}')",
        "select * from read_blob('{secret}')",
        "select * from read_csv('{secret}')",
        "select * from read_csv_auto('{secret}')",
        "select * from read_json('{secret}')",
        "select * from read_parquet('{secret}')",
        "select * from parquet_metadata('{secret}')",
        "select * from parquet_scan('{run}/../**')",
        "select * from sniff_csv('{secret}')",
        "select * from glob('{folder}/*')",
        "select * from glob('/*')",
        "from '{secret}'",
        "from query('copy pairs to ''{out}''')",
        "select * from read_parquet('https://example.com/x.parquet')",
        "select * from read_text('{run}/_manifest/iteration=1/sample.settings')",
        "selec 1",
        "select * from nowhere",
        "select nothing from pairs",
        "select nothing(1)",
        "select 'a'::int",
        "select 1 +",
        "select '",
        "select error('no\n\nmore')",
        "\x00",
    ],
)
@pytest.mark.usefixtures("opened_once")
def test_all_else_is_refused_clearly(
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    query: str,
) -> None:
    assert_refused(query, finished_run, tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize(
    "query",
    [
        "copy pairs to '{out}'",
        "with w as (copy (select 1) to '{data}' (format parquet, use_tmp_file false)) from w",
        "from query('from read_text(''{secret}'')')",
        "select * from leaked, pairs",
        "set lock_configuration = false",
    ],
)
def test_a_connection_of_its_own_refuses_too(
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    query: str,
) -> None:
    assert_refused(query, finished_run, tmp_path, capsys, monkeypatch)


def assert_refused(
    query: str,
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Assert that a query ends in one line that tells no secret, and changes no file."""
    monkeypatch.setattr(sql, "leaked", pa.table({"word": ["TOPSECRET"]}), raising=False)
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\nTOPSECRET,1\n")
    held = rounds.files(finished_run)
    [data, *_] = sorted((finished_run / "pairs/iteration=1").iterdir())
    places = {
        "out": tmp_path / "out",
        "secret": secret,
        "folder": tmp_path,
        "run": finished_run,
        "data": data,
    }
    for name, path in places.items():
        query = query.replace("{" + name + "}", str(path))
    assert ask(finished_run, query) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert len(err) < 700
    assert "TOPSECRET" not in err
    assert os.listdir(tmp_path) == ["secret.csv"]
    assert rounds.files(finished_run) == held


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries have 200 MB."""
    monkeypatch.setattr(sql, "SPARE_BYTES", 1 << 27)
    monkeypatch.setattr(sql, "SPARE_BYTES_PER_CORE", 1 << 25)
    monkeypatch.setattr(views, "MEMORY", "200MB")


@pytest.mark.parametrize(
    "query",
    [
        "select list(range) from range(1000000000)",
        "select range from range(1000000000) order by hash(range)",
        "select count(*) from (select distinct hash(range) from range(1000000000))",
        "select sum(length(repeat('x', 50000000) || range)) from range(2000)",
        "select repeat('x', 5000000) from range(2000)",
    ],
)
@pytest.mark.usefixtures("little_memory")
def test_a_query_that_eats_all_memory_ends_in_one_line(
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    query: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_AS)
    assert ask(finished_run, query) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: the query needs more than half of this machine's memory")
    assert err.count("\n") == 1
    assert os.listdir(tmp_path) == [], "nothing is spilt"
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_a_table_too_long_to_look_at_is_refused(
    finished_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "TABLE_ROWS", 7)
    assert ask(finished_run, "from range(7)") == 0
    assert ask(finished_run, "from range(1000000000)") == 2
    assert "over 7 rows" in capsys.readouterr().err
    assert len(sql.select(str(finished_run), "from range(20000)")[1]) == 20_000


def lines(run: Path, query: str, shape: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    code = sql.main(["--run", str(run), "--sql", query, "--format", shape])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return out


@pytest.mark.usefixtures("opened_once")
def test_rows_go_to_other_programs_as_csv(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = """select 1 as a, null as b, 'x,"y"\nz\x1b😀' as "c,d", [1, 2] as e, true as f"""
    out = lines(finished_run, query, "csv", capsys)
    assert list(csv.reader(io.StringIO(out))) == [
        ["a", "b", "c,d", "e", "f"],
        ["1", "", 'x,"y"\nz\x1b😀', "[1, 2]", "true"],
    ]
    many = lines(finished_run, "from range(30000)", "csv", capsys).splitlines()
    assert many == ["range", *map(str, range(30_000))]


@pytest.mark.usefixtures("opened_once")
def test_cells_of_csv_are_exact_and_a_query_can_make_them_no_formulas(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The remedy is that of docs/sql.md."""
    page = (Path(__file__).parents[2] / "docs" / "sql.md").read_text()
    remedy = "regexp_replace(columns(*)::varchar, '^[=+@\\t\\r-]', '''\\0')"
    assert f"select {remedy} from failures" in page
    rows = "(select '=1+1' a, '+1' b, '-1' c, '@x' d, e'\\tx' e, e'\\rx' f, 'x=1' g, '' h, null i)"
    cells = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "x=1", "", ""]
    for query, shown in (
        (f"from {rows}", cells),
        (f"select {remedy} from {rows}", [*(f"'{cell}" for cell in cells[:6]), *cells[6:]]),
    ):
        out = lines(finished_run, query, "csv", capsys)
        assert list(csv.reader(io.StringIO(out, newline="")))[1] == shown


@pytest.mark.usefixtures("opened_once")
def test_rows_go_to_other_programs_as_json(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "select 1 as answer, null as b, 'x\n\x1b' as c, {'d': [1.5]} as e from range(2)"
    out = lines(finished_run, query, "jsonl", capsys)
    row = {"answer": 1, "b": None, "c": "x\n\x1b", "e": {"d": [1.5]}}
    assert [json.loads(line) for line in out.splitlines()] == [row, row]
    pair = json.loads(lines(finished_run, "from pairs limit 1", "jsonl", capsys))
    assert pair["chosen"][0]["role"] == "assistant"


@pytest.mark.usefixtures("opened_once")
def test_numbers_that_json_has_not_are_null(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "select 'NaN'::double as a, '-inf'::double as b, 'is NaN' as c"
    assert lines(finished_run, query, "jsonl", capsys).splitlines() == [
        '{"a":null,"b":null,"c":"is NaN"}'
    ]


@pytest.mark.parametrize("shape", ["csv", "jsonl"])
def test_a_wrong_query_prints_no_rows(
    finished_run: Path, capsys: pytest.CaptureFixture[str], shape: str
) -> None:
    for query in ("select nothing from pairs", "drop view pairs"):
        assert sql.main(["--run", str(finished_run), "--sql", query, "--format", shape]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1


def test_ctrl_c_ends_a_query_at_once(finished_run: Path) -> None:
    query = "select sum(a.depth * b.depth) from range(100000000) x, nodes a, nodes b"
    line = [sys.executable, "-m", "inspection.sql", "--run", str(finished_run), "--sql", query]
    process = subprocess.Popen(line, cwd=rounds.ROOT, stderr=subprocess.PIPE, text=True)
    try:
        # Python catches Ctrl-C from its start on, and not any more while a query runs.
        until(lambda: catches_ctrl_c(process.pid))
        until(lambda: not catches_ctrl_c(process.pid))
        began_s = cpu_s(process.pid)
        until(lambda: cpu_s(process.pid) > began_s + 1)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, err) == (-signal.SIGINT, "")


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


def catches_ctrl_c(pid: int) -> bool:
    """Whether a process has a handler of SIGINT."""
    [line] = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(line, 16) & 1 << (signal.SIGINT - 1))


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("name", ["missing", "empty", "file", "nowhere://x"])
def test_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no run")
    run = name if "://" in name else str(tmp_path / name)
    assert sql.main(["--run", run]) == 2
    assert sql.main(["--run", run, "--sql", "select 1"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 2
    assert err.count("error: ") == 2
    assert name.partition(":")[0] in err
    assert not (tmp_path / "missing").exists()


def test_looking_changes_nothing(finished_run: Path) -> None:
    held = rounds.files(finished_run)
    assert sql.main(["--run", str(finished_run)]) == 0
    assert ask(finished_run, "from nodes") == 0
    assert rounds.files(finished_run) == held


def test_hostile_text_is_shown_harmlessly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b[31mred\x1b[2J\x07\x08\x00\x9b5n\u202ertl\u2066\r\x7f [/b][link=x] 😀 عربي"
    run = tmp_path / "run"
    committed.commit(run, "prompts", [Prompt("p", hostile, "f:1", 0)])
    drawn = SamplingRecord(1.0, 1.0, 9, 0)
    responses = [Response("r", "p", hostile, hostile, drawn, "stop", 1, 1)]
    committed.commit(run, "responses", responses)
    votes = [VoteRecord("no", hostile, "stop")]
    texts = (hostile, hostile, hostile)
    node = Node("t", "n", None, "p", 0, 0, *texts, "no", 0.0, 0, 1, 0, votes, 1, 1)
    committed.commit(run, "nodes", [node])
    for query in (
        "select response, prompt from responses join prompts using (prompt_id)",
        "select [response], {'a': response}, map {response: 1} from responses",
        "from prompts",
        "from nodes",
    ):
        assert ask(run, query) == 0
        out = capfd.readouterr().out
        assert not set("\x1b\x07\x08\x00\x9b\u202e\u2066\r\x7f") & set(out)
        assert "[/b][link=x] 😀 عربي" in out


@pytest.mark.parametrize(
    "name", ["it's a run", "iteration=9/model=x", "run [1]", 'quote"d', "a*b", "-run"]
)
def test_a_run_may_lie_anywhere(
    tmp_path: Path,
    finished_run: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished_run, name)
    for other in ("aab", "run 1"):  # what the name would match, were it a pattern
        shutil.copytree(finished_run, other)
    query = "select iteration, model, count(*) as n from responses group by all"
    assert sql.main([f"--run={name}", "--sql", query]) == 0
    row = capsys.readouterr().out.splitlines()[-2]
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["1", "loopback", "60"]


@pytest.mark.parametrize("shape", ["table", "csv", "jsonl"])
def test_a_reader_that_leaves_is_no_error(finished_run: Path, shape: str) -> None:
    line = [sys.executable, "-m", "inspection.sql", "--run", str(finished_run), "--format", shape]
    query = "select a.response, b.response from nodes a, nodes b limit 1500"
    done = subprocess.run(
        ["bash", "-c", '"$0" "$@" | head -1', *line, "--sql", query],
        cwd=rounds.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout
    assert done.stderr == ""


def test_help_names_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        sql.main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for name in (*TABLES, *VIEWS, *MACROS):
        assert name in text
