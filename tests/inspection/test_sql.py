"""SQL over a run: rows, and everything a query may not do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inspection import sql
from pipelines import refine
from schemas import TABLES
from schemas.views import SUMMARIES
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import command


def ask(run: Path | str, query: str) -> int:
    return sql.main(["--run", str(run), "--sql", query])


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
        *(f"select iteration, * from {name} limit 2" for name in (*TABLES, *SUMMARIES)),
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
    ],
)
def test_what_one_asks_is_answered(
    finished_run: Path, capsys: pytest.CaptureFixture[str], query: str
) -> None:
    assert ask(finished_run, query) == 0, capsys.readouterr().err
    assert capsys.readouterr().err == ""


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
def test_all_else_is_refused_clearly(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], query: str
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\nTOPSECRET,1\n")
    held = rounds.files(finished_run)
    places = {"out": tmp_path / "out", "secret": secret, "folder": tmp_path, "run": finished_run}
    for name, path in places.items():
        query = query.replace("{" + name + "}", str(path))
    assert ask(finished_run, query) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) <= 2, "DuckDB may suggest another name in a second line"
    assert "TOPSECRET" not in err
    assert os.listdir(tmp_path) == ["secret.csv"]
    assert rounds.files(finished_run) == held


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

    def answer(body: Body) -> Answer:
        said = {
            "actor": hostile,
            "judge": f"{hostile}\nFinal Judgement: No",
            "refine": f"{hostile}[[start]]{hostile}[[end]]",
        }
        return [said[rounds.role(body)]] * body["n"]

    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", [hostile])
    with serving(answer) as server:
        assert refine.main(command(tmp_path / "run", prompts, server.url)) == 0
    capfd.readouterr()
    for query in (
        "select response, prompt from responses join prompts using (prompt_id)",
        "select [response], {'a': response}, map {response: 1} from responses",
        "from prompts",
        "from nodes",
    ):
        assert ask(tmp_path / "run", query) == 0
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


def test_the_printed_next_command_works(
    tmp_path: Path, prompts: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "it's a run"
    assert refine.main(command(run, prompts, server.url)) == 0
    line = capsys.readouterr().out.rpartition("Next: ")[2].strip()
    assert line.split()[0].endswith("python")
    line = f"{sys.executable} {line.partition(' ')[2]}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=rounds.ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "better answer" in done.stdout


def test_a_reader_that_leaves_is_no_error(finished_run: Path) -> None:
    line = [sys.executable, "-m", "inspection.sql", "--run", str(finished_run)]
    query = "from nodes a, nodes b limit 500"
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
    for name in (*TABLES, *SUMMARIES):
        assert name in text
