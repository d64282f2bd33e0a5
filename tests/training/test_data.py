from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.selection import Choice, SelectionError
from tests import committed
from tests.pipelines.rounds import query
from tests.training import tiny
from training.data import DataError, select

PAIR = (("prompt", "chosen", "rejected"),)


def test_pairs_of_a_run_by_any_column(finished_run: Path) -> None:
    all_pairs = query(finished_run, "select count(*) from pairs")[0][0]
    condition = "similarity > 0.3 and chosen_value >= 0.8 and iteration = 1"
    some = select(str(finished_run), "pairs", PAIR, condition)
    expected = query(finished_run, f"select prompt from pairs where {condition} order by pair_id")
    assert some.before == all_pairs and 0 < len(some.rows) == len(expected)
    assert [row["prompt"] for row in some.rows] == [row[0] for row in expected]
    assert list(some.rows[0]) == ["prompt", "chosen", "rejected"]


def test_files_of_each_kind_hold_the_same(tmp_path: Path, pairs: Path) -> None:
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    import pyarrow as pa

    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pairs.parquet")
    (tmp_path / "zipped.jsonl.gz").write_bytes(gzip.compress(pairs.read_bytes()))
    prints = {
        select(str(tmp_path / name), "pairs", PAIR).fingerprint
        for name in ("pairs.jsonl", "pairs.parquet", "zipped.jsonl.gz", "*.jsonl")
    }
    assert len(prints) == 1


def test_several_files_are_one_table(tmp_path: Path) -> None:
    for number in range(3):
        tiny.write_jsonl(tmp_path / f"{number}.jsonl", [tiny.pair(number, extra=number)])
    some = select(str(tmp_path / "*.jsonl"), "pairs", PAIR, "extra > 0")
    assert (some.before, len(some.rows)) == (3, 2)


def test_texts_and_messages_mixed(tmp_path: Path) -> None:
    rows = [tiny.pair(0), tiny.pair(1, chosen='say "yes"')]
    file = tiny.write_jsonl(tmp_path / "mixed.jsonl", rows)
    some = select(str(file), "pairs", PAIR)
    assert [row["chosen"] for row in some.rows] == [rows[0]["chosen"], 'say "yes"']


def test_odd_names_are_no_patterns(tmp_path: Path) -> None:
    folder = tmp_path / "a[1] 'quoted'"
    folder.mkdir()
    file = tiny.write_jsonl(folder / "b[2].jsonl", [tiny.pair(1)])
    assert len(select(str(file), "pairs", PAIR).rows) == 1


def test_fingerprint_is_of_what_is_trained_on(pairs: Path, tmp_path: Path) -> None:
    whole = select(str(pairs), "pairs", PAIR)
    copied = tiny.write_jsonl(tmp_path / "copy.jsonl", [tiny.pair(n) for n in range(24)])
    assert select(str(copied), "pairs", PAIR).fingerprint == whole.fingerprint
    assert select(str(pairs), "pairs", PAIR, "similarity > 0").fingerprint != whole.fingerprint


def test_first_set_of_columns_that_is_there(tmp_path: Path) -> None:
    file = tiny.write_jsonl(tmp_path / "a.jsonl", [{"prompt": "p", "response": "r"}])
    some = select(str(file), "pairs", (("messages",), ("prompt", "response")))
    assert some.rows == [{"prompt": "p", "response": "r"}]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("similarity >", "Parser Error"),
        ("no_such_column > 1", "no_such_column"),
        ("true); drop view data; select (1", "one condition"),
        ("true); copy data to 'x.csv'; select (1", "one condition"),
        ("exists (select 1 from read_csv('/etc/passwd'))", "Permission Error"),
        ("exists (select 1 from read_text('/etc/hostname'))", "Permission Error"),
        ("exists (with w as (copy (select 1) to 'x.csv') select 1 from w)", "Parser Error|Binder"),
        ("(select content from read_blob('/etc/passwd')) is null", "Permission Error"),
    ],
)
def test_condition_that_is_none(pairs: Path, where: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as raised:
        select(str(pairs), "pairs", PAIR, where)
    assert "\n" not in str(raised.value)


def test_condition_on_a_run_reads_nothing_else(finished_run: Path) -> None:
    with pytest.raises(DataError, match="Permission Error"):
        select(
            str(finished_run), "pairs", PAIR, "(select count(*) from read_csv('/etc/passwd')) > 0"
        )


def test_comment_at_the_end_is_no_trick(pairs: Path) -> None:
    assert len(select(str(pairs), "pairs", PAIR, "similarity < 0.05 -- few").rows) == 5


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"prompt": "p", "chosen": "c"}],
            "needs the columns `prompt` and `chosen` and `rejected`",
        ),
        ([{"prompt": "p", "chosen": "c", "rejected": None}] * 2, "2 of 2 rows .* `rejected`"),
    ],
)
def test_missing_columns_and_values(tmp_path: Path, rows: list[dict[str, str]], said: str) -> None:
    file = tiny.write_jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=said):
        select(str(file), "pairs", PAIR)


def test_nothing_there_and_mixed_kinds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run and no file"):
        select(str(tmp_path / "none*"), "pairs", PAIR)
    (tmp_path / "a.jsonl").write_text("{}")
    (tmp_path / "a.csv").write_text("prompt\n")
    with pytest.raises(DataError, match="of one kind"):
        select(str(tmp_path / "a.*"), "pairs", PAIR)
    (tmp_path / "bad.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"bad\.parquet"):
        select(str(tmp_path / "bad.parquet"), "pairs", PAIR)


def test_files_are_of_one_kind_too_where_they_say_so(tmp_path: Path) -> None:
    kinds = [("refined", None), ("spar", "main"), ("spar", "dfs"), ("spar", "dfs")]
    rows = [tiny.pair(n, method=m, variant=e) for n, (m, e) in enumerate(kinds)]
    data = str(tiny.write_jsonl(tmp_path / "a.jsonl", rows))
    with pytest.raises(SelectionError, match=r"2 of spar in dfs, 2 of spar in main; choose"):
        select(data, "pairs", PAIR)
    some = select(data, "pairs", PAIR, choice=Choice(variant=("main",)))
    assert some.kinds.records() == [{"method": "spar", "variant": "main", "rows": 2}]
    assert [list(row) for row in some.rows] == [["prompt", "chosen", "rejected"]] * 2
    assert len(select(data, "pairs", PAIR, "variant = 'dfs'").rows) == 2


def test_files_that_have_one_of_the_columns_or_none(tmp_path: Path, pairs: Path) -> None:
    rows = [tiny.pair(n, variant=n % 2) for n in range(5)]
    data = str(tiny.write_jsonl(tmp_path / "a.jsonl", rows))
    some = select(data, "pairs", PAIR, choice=Choice(variant=("1",)))
    assert some.kinds.records() == [{"variant": "1", "rows": 2}]
    with pytest.raises(SelectionError, match="several variants: 3 of 0, 2 of 1; choose"):
        select(data, "pairs", PAIR)
    for file, choice in ((data, Choice(("spar",))), (str(pairs), Choice((), ("main",)))):
        with pytest.raises(SelectionError, match=r"have no column `(method|variant)`"):
            select(file, "pairs", PAIR, choice=choice)
        assert select(file, "pairs", PAIR, "similarity < 0.01", choice, is_lenient=True).rows
    assert select(str(pairs), "pairs", PAIR).kinds.records() == []


def test_a_run_from_before_is_of_the_main_variant(tmp_path: Path) -> None:
    early = [committed.pair(n, "refined") for n in range(3)]
    run = committed.commit(tmp_path, "pairs", early, without=["variant", "chosen_response_id"])
    committed.commit(
        run, "rft", [committed.sample(n) for n in range(2)], without=["method", "variant"]
    )
    for table, columns, rows in (("pairs", PAIR, 3), ("rft", (("messages",),), 2)):
        kinds = [{"method": "spar", "variant": "main", "rows": rows}]
        assert select(str(run), table, columns).kinds.records() == kinds
        chosen = select(str(run), table, columns, choice=Choice(("spar",), ("main",)))
        assert chosen.kinds.records() == kinds


def test_a_condition_by_chance_is_asked_once(pairs: Path) -> None:
    some = select(str(pairs), "pairs", PAIR, "random() < 0.5 or similarity = 0")
    assert some.kinds.total == len(some.rows)
