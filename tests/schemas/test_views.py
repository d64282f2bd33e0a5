"""A run as DuckDB sees it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import TABLES
from schemas.drops import Drop
from schemas.entries import USAGE
from schemas.evolutions import Evolution
from schemas.failures import Failure
from schemas.judgements import Judgement
from schemas.pairs import Message, Pair
from schemas.prompts import Check, Prompt
from schemas.questions import MACROS, VIEWS
from schemas.responses import Response, SamplingRecord
from schemas.sft_actor import SftActor
from schemas.sft_refiner import SftRefiner
from schemas.table import Table
from schemas.trees import Tree
from schemas.views import connect
from spar_core.dataset import Dataset, Settled
from spar_core.records import node_rows
from spar_core.tree import SearchTree, TreeNode
from spar_core.voting import UNJUDGED, Ballot, count


def prompt(key: str) -> Settled:
    return Settled(key, {"prompts": [Prompt(key, f"say {key}", "f:1", 0)]})


def response(key: str) -> Response:
    return Response(key, "p", "x", "the model", SamplingRecord(0.9, 0.9, 8, 1), "stop", 10, 100)


def judgement(key: str, verdict: str, yes: int, no: int) -> Judgement:
    return Judgement(key, "p", verdict, 0.5, yes, no, 1, "c", [], "m", 20, 200)


def tree(key: str, depth: int, *, solved: bool) -> Tree:
    return Tree(key, "p", "r", "bfs", solved, "n", depth, 0.8, 3, 2, "m", 30, 300)


def pair(key: str, similarity: float) -> Pair:
    said = [Message("user", "hi")]
    return Pair(
        *(key, said, said, said, "p", "r", "spar", similarity, 10, 21, "t", "n"),
        depth=1,
        chosen_value=0.8,
        rejected_value=0.2,
        chosen_yes_votes=4,
        chosen_no_votes=1,
        rejected_yes_votes=1,
        rejected_no_votes=4,
        refinements=3,
        tree_tokens=99,
    )


@pytest.fixture(params=["local", "memory"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path / "run")
        return
    name = f"/{uuid.uuid4().hex}"
    yield f"memory:/{name}"
    fs = fsspec.filesystem("memory")
    if fs.exists(name):
        fs.rm(name, recursive=True)


def columns(connection: duckdb.DuckDBPyConnection, view: str) -> list[tuple[str, str]]:
    return [row[:2] for row in connection.execute(f"describe {view}").fetchall()]


def keys(run: str) -> list[tuple[int, str]]:
    with connect(run, ("prompts",)) as connection:
        return connection.execute(
            "select iteration, prompt_id from prompts order by all"
        ).fetchall()


def test_empty_run_has_every_table_and_summary_without_rows(run: str) -> None:
    with connect(run) as connection:
        calls = {"pair": "'x'", "tree": "'x'", "pairs_where_similarity": "0, 1"}
        macros = [f"{name}({calls.get(name, '')})" for name in MACROS]
        for name in [*TABLES, *VIEWS, *macros]:
            assert connection.execute(f"select * from {name}").fetchall() == []


def test_columns_are_the_tables_and_the_iteration_full_or_empty(run: str) -> None:
    rows = {
        "prompts": [Prompt("p", "x", "f:1", 0)],
        "responses": [response("r")],
        "judgements": [judgement("r", "no", 1, 3)],
        "trees": [tree("t", 1, solved=True)],
        "pairs": [pair("t", 0.9)],
    }
    with connect(run) as empty:
        wanted = {name: columns(empty, name) for name in TABLES}
    Dataset(run, 3).commit("s", "w", [Settled("k", rows)])  # type: ignore[arg-type]
    with connect(run) as connection:
        for name, table in TABLES.items():
            assert [column for column, _ in wanted[name]] == [*table.schema.names, "iteration"]
            assert columns(connection, name) == wanted[name]
            assert wanted[name][-1] == ("iteration", "INTEGER")


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_columns_of_a_table_without_rows_have_the_types_of_its_files(
    table: Table[Any], tmp_path: Path
) -> None:
    pq.write_table(table.schema.empty_table(), tmp_path / "rows.parquet")
    with connect(str(tmp_path / "run"), (table.name,)) as connection:
        made = connection.sql(f"describe select * exclude (iteration) from {table.name}").fetchall()
        read = connection.sql(f"describe from '{tmp_path}/rows.parquet'").fetchall()
    assert [row[:2] for row in made] == [row[:2] for row in read]


def test_rows_of_all_iterations_are_seen_with_their_iteration(run: str) -> None:
    Dataset(run, 1).commit("s", "w", [prompt("a")])
    Dataset(run, 1).commit("s", "v", [prompt("b")])
    Dataset(run, 10).commit("s", "w", [prompt("a")])
    assert keys(run) == [(1, "a"), (1, "b"), (10, "a")]


def test_files_that_are_not_committed_are_not_seen(run: str) -> None:
    dataset = Dataset(run, 1)
    dataset.commit("s", "w", [prompt("a")])
    [path] = dataset.fs.ls(f"{dataset.root}/prompts/iteration=1", detail=False)
    dataset.fs.cp_file(path, path.replace(".parquet", "-orphan.parquet"))
    assert keys(run) == [(1, "a")]


def test_only_the_tables_asked_for_are_made(run: str) -> None:
    with connect(run, ("prompts",)) as connection:
        assert connection.execute("select * from prompts").fetchall() == []
        with pytest.raises(duckdb.CatalogException):
            connection.execute("select * from pairs")
        with pytest.raises(duckdb.CatalogException):
            connection.execute("select * from verdicts")


@pytest.mark.parametrize(
    "name",
    ["it's", "a''b", 'a "b"', "a b", "ü%20#1", "run[1]", "x*y", "{x,y}", "$run"],
)
@pytest.mark.parametrize("locked", [False, True])
def test_run_of_any_name_is_read(tmp_path: Path, name: str, locked: bool) -> None:
    run = str(tmp_path / name)
    Dataset(run, 1).commit("s", "w", [prompt("a")])
    with connect(run, ("prompts",), locked=locked) as connection:
        assert connection.execute("select prompt_id, iteration from prompts").fetchall() == [
            ("a", 1)
        ]


@pytest.mark.parametrize("folder", ["lr=0.1", "model=8b", "iteration=7"])
def test_folder_above_the_run_adds_and_changes_no_column(tmp_path: Path, folder: str) -> None:
    run = str(tmp_path / folder / "run")
    Dataset(run, 1).commit("s", "w", [Settled("k", {"responses": [response("r")]})])
    with connect(run) as connection:
        found = connection.execute("select * from responses").fetchall()
        assert connection.execute("select model, iteration from responses").fetchall() == [
            ("the model", 1)
        ]
        assert len(found[0]) == len(TABLES["responses"].schema) + 1


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, and a file beside it that is none of its files."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "secret.csv").write_text("word\nsesame\n")
    Dataset(str(folder / "run"), 1).commit("s", "w", [prompt("a")])
    return folder


@pytest.fixture(scope="module")
def locked(guarded: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(str(guarded / "run"), locked=True) as connection:
        yield connection


def test_locked_connection_reads_the_run(locked: duckdb.DuckDBPyConnection) -> None:
    assert locked.execute("select prompt_id from prompts").fetchall() == [("a",)]
    assert locked.execute("select * from pair_quality").fetchall() == []


@pytest.mark.parametrize(
    "query",
    [
        "select * from '{folder}/secret.csv'",
        "select * from read_csv('{folder}/secret.csv')",
        "select * from read_text('{folder}/secret.csv')",
        "select * from read_text('{folder}/run/../secret.csv')",
        "select * from read_blob('{folder}/run/_manifest/*/*/*')",
        "select * from glob('{folder}/*')",
        "select * from read_text('/etc/passwd')",
        "attach '{folder}/new.db' as x",
        "copy (select 1) to '{folder}/new.csv'",
        "copy prompts to '{folder}/run/prompts/iteration=1/new.parquet'",
        "export database '{folder}/new'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "set allowed_paths = ['{folder}/secret.csv']",
        "set threads = 1",
        "reset lock_configuration",
        "pragma threads = 1",
    ],
)
def test_locked_connection_reaches_nothing_else(
    locked: duckdb.DuckDBPyConnection, guarded: Path, query: str
) -> None:
    before = sorted(guarded.rglob("*"))
    with pytest.raises(duckdb.Error):
        locked.execute(query.format(folder=guarded)).fetchall()
    assert sorted(guarded.rglob("*")) == before


def test_locked_connection_cannot_overwrite_the_run(
    locked: duckdb.DuckDBPyConnection, guarded: Path
) -> None:
    [path] = (guarded / "run/prompts/iteration=1").iterdir()
    before = path.read_bytes()
    with pytest.raises(duckdb.Error):
        locked.execute(f"copy (select 1 as x) to '{path}' (format parquet)")
    assert path.read_bytes() == before


def test_unlocked_connection_could_have_read_the_other_file(guarded: Path) -> None:
    with connect(str(guarded / "run")) as connection:
        found = connection.execute(f"select * from '{guarded}/secret.csv'").fetchall()
    assert found == [("sesame",)]


def summary(run: str, name: str) -> list[tuple[object, ...]]:
    with connect(run) as connection:
        return connection.execute(f"select * from {name}").fetchall()


def test_summaries_count_each_iteration_for_itself(tmp_path: Path) -> None:
    run = str(tmp_path)
    trees = [tree("a", 1, solved=True), tree("b", 1, solved=False), tree("c", 2, solved=True)]
    Dataset(run, 1).commit(
        "s",
        "w",
        [
            Settled(
                "k",
                {
                    "responses": [response("r0"), response("r1")],
                    "judgements": [judgement("r0", "no", 1, 3), judgement("r1", "no", 0, 4)],
                    "trees": [*trees, tree("d", 0, solved=False)],
                    "pairs": [pair("a", 0.8), pair("c", 0.9)],
                    "failures": [Failure("judge", "x", "too_long", "m", 1, "")],
                },
            )
        ],
    )
    Dataset(run, 2).commit("s", "w", [Settled("k", {"trees": trees[:1]})])
    assert summary(run, "solved_by_depth") == [
        (1, "main", 0, 1, 0, 0.0, 3, 2),
        (1, "main", 1, 2, 1, 0.25, 6, 4),
        (1, "main", 2, 1, 1, 0.25, 3, 2),
        (2, "main", 1, 1, 1, 1.0, 3, 2),
    ]
    quality = (1, "main", "spar", 2, 0.85, 0.85, 0.8, 0.2, 1.0, 10, 21, None, None)
    assert summary(run, "pair_quality") == [quality]
    assert summary(run, "verdicts") == [(1, "main", "no", 2, 1, 7, 2, 0)]
    assert summary(run, "failures_by_cause") == [(1, "main", "judge", "too_long", 1, "m")]
    assert summary(run, "token_cost") == [
        (1, "main", "judge", "main", 40, 400, 200),
        (1, "main", "sample", "main", 20, 200, 100),
        (1, "main", "tree_search", "main", 120, 1200, 600),
        (2, "main", "tree_search", "main", 30, 300, None),
    ]


def used(requests: int, seconds: float, *, replayed: int = 0) -> dict[str, float]:
    """Use of the engine: each request takes 2 s and finds three others in flight."""
    return {
        "requests": requests,
        "retries": 1,
        "replayed": replayed,
        "prompt_tokens": 10 * requests,
        "completion_tokens": 100 * requests,
        "engine_s": seconds,
        "latency_ms_sum": 2000 * requests,
        "latency_ms_max": 1000 * requests,
        "slots_sum": 4 * requests,
        "slots_samples": requests,
    }


def test_use_of_the_engine_is_summed_by_stage_and_iteration(run: str) -> None:
    pairs = Settled("k", {"pairs": [pair("a", 0.8), pair("c", 0.9)]})
    Dataset(run, 1).commit("judge", "w", [prompt("a")], used(3, 1.5))
    Dataset(run, 1).commit("judge", "w", [prompt("b")], used(5, 2.5))
    Dataset(run, 1).commit("judge", "v", [prompt("c")])
    Dataset(run, 1).commit("pairs", "w", [pairs], used(0, 0.0))
    Dataset(run, 1).commit("sample", "w", [prompt("d")], used(0, 0.0, replayed=4))
    Dataset(run, 2).commit("judge", "w", [prompt("a")], used(1, 0.04))
    assert summary(run, "engine_use") == [
        (1, "main", "judge", 8, 2, 0, 4.0, 200, 2000, 5000, 4.0, 2.0),
        (1, "main", "sample", 0, 1, 4, 0.0, None, None, 0, None, 0.0),
        (2, "main", "judge", 1, 1, 0, 0.0, 2500, 2000, 1000, 4.0, None),
    ]
    with connect(run) as connection:
        names = [name for name, _ in columns(connection, "engine_use")]
    assert names == [
        *("iteration", "variant", "stage", "requests", "retries", "replayed", "engine_s"),
        *(
            "tokens_per_s",
            "mean_latency_ms",
            "max_latency_ms",
            "mean_in_flight",
            "engine_s_per_pair",
        ),
    ]


def test_usage_is_a_row_for_each_commit_that_used_the_engine(run: str) -> None:
    Dataset(run, 1).commit("judge", "w", [prompt("a")], used(3, 1.5))
    Dataset(run, 3).commit("judge", "w", [prompt("a")], used(5, 2.5))
    Dataset(run, 3).commit("prompts", "w", [prompt("b")])
    with connect(run) as connection:
        rows = connection.execute("select iteration, stage, requests from usage").fetchall()
        assert rows == [(1, "judge", 3.0), (3, "judge", 5.0)]
        assert [name for name, _ in columns(connection, "usage")] == [
            *("iteration", "stage", "variant"),
            *USAGE,
        ]


def test_run_of_earlier_times_has_no_use_of_the_engine(run: str) -> None:
    dataset = Dataset(run, 1)
    dataset.commit("judge", "w", [prompt("a")], used(3, 1.5))
    [path] = dataset.entries()
    plain = json.loads(dataset.fs.cat_file(path))
    del plain["usage"]
    dataset.fs.pipe_file(path, json.dumps(plain).encode())
    assert summary(run, "engine_use") == summary(run, "usage") == []
    assert keys(run) == [(1, "a")]


def test_use_counted_by_a_later_version_is_passed_over(run: str) -> None:
    Dataset(run, 1).commit("judge", "w", [prompt("a")], used(3, 1.5) | {"joules": 7.0})
    [row] = summary(run, "engine_use")
    assert row[:4] == (1, "main", "judge", 3)


def test_locked_connection_sees_the_use_of_the_engine(tmp_path: Path) -> None:
    Dataset(str(tmp_path), 1).commit("judge", "w", [prompt("a")], used(3, 1.5))
    with connect(str(tmp_path), locked=True) as connection:
        assert connection.execute("select requests from engine_use").fetchall() == [(3,)]


def test_child_not_judged_is_a_node_of_that_verdict(run: str) -> None:
    tree = SearchTree([TreeNode((), 0, "r", "", count([Ballot("No", "n")] * 3, 3))])
    tree.nodes.append(TreeNode((0,), 1, "a", "why", UNJUDGED, 5, 7))
    Dataset(run, 1).commit("s", "w", [Settled("k", {"nodes": node_rows("t", "p", tree)})])
    with connect(run) as connection:
        found = connection.execute(
            "select verdict, value, yes_votes + no_votes + unparsed_votes, len(votes), critique, "
            "prompt_tokens, completion_tokens from nodes where depth = 1"
        ).fetchall()
    assert found == [("unjudged", None, 0, 0, "", 5, 7)]


def drop_columns(run: str, iteration: int, table: str, *names: str) -> None:
    """Rewrite a table's files as a version wrote them that knew no such columns."""
    dataset = Dataset(run, iteration)
    for path in dataset.fs.ls(f"{dataset.root}/{table}/iteration={iteration}", detail=False):
        with dataset.fs.open(path, "rb") as file:
            held = pq.read_table(file)
        sink = pa.BufferOutputStream()
        pq.write_table(held.drop_columns(list(names)), sink)
        dataset.fs.pipe_file(path, sink.getvalue().to_pybytes())
    for path, entry in dataset.entries().items():
        plain = json.loads(entry.to_json())
        for file in plain["files"].values():
            del file["form"]
        dataset.fs.pipe_file(path, json.dumps(plain).encode())


def checked_judgement(key: str, verdict: str, checked: bool | None) -> Judgement:
    return Judgement(key, "p", verdict, 0.5, 1, 1, 0, "c", [], "m", 20, 200, checked)


def test_files_of_earlier_times_lack_a_column_beside_new_ones(run: str) -> None:
    for iteration, work in ((1, "old"), (2, "old"), (2, "new"), (3, "new")):
        rows = [checked_judgement(f"{iteration}.{work}", "yes", True)]
        Dataset(run, iteration).commit("judge", work, [Settled(work, {"judgements": rows})])
        if work == "old":
            later = ("checked", "variant", "checks_met", "outcome", "asked_again")
            drop_columns(run, iteration, "judgements", *later)
    with connect(run) as connection:
        found = connection.execute(
            "select response_id, checked, iteration, variant, outcome, asked_again "
            "from judgements order by 1"
        ).fetchall()
        assert columns(connection, "judgements")[-6:] == [
            ("checked", "BOOLEAN"),
            ("variant", "VARCHAR"),
            ("checks_met", "DOUBLE"),
            ("outcome", "VARCHAR"),
            ("asked_again", "INTEGER"),
            ("iteration", "INTEGER"),
        ]
    assert found == [
        ("1.old", None, 1, "main", "yes", 0),
        ("2.new", True, 2, "main", "yes", 0),
        ("2.old", None, 2, "main", "yes", 0),
        ("3.new", True, 3, "main", "yes", 0),
    ]
    bias = [row[:4] for row in summary(run, "judge_bias")]
    assert bias == [(2, "main", "judge", 1), (3, "main", "judge", 1)]


def test_a_run_of_earlier_times_only_has_the_column_empty(run: str) -> None:
    Dataset(run, 1).commit("s", "w", [prompt("a")])
    drop_columns(run, 1, "prompts", "checks")
    with connect(run) as connection:
        assert connection.execute("select prompt_id, checks from prompts").fetchall() == [
            ("a", None)
        ]
    assert summary(run, "judge_bias") == []


def test_checks_of_a_prompt_can_be_asked_about(run: str) -> None:
    checks = [Check("punctuation:no_comma", "{}"), Check("startend:quotation", "{}")]
    row = Prompt("p", "x", "f:1", 0, checks)
    Dataset(run, 1).commit("s", "w", [Settled("p", {"prompts": [row]})])
    with connect(run) as connection:
        found = connection.execute(
            "select prompt_id, c.id from prompts, unnest(checks) as u(c) order by all"
        ).fetchall()
    assert found == [("p", "punctuation:no_comma"), ("p", "startend:quotation")]


def test_bias_sets_verdicts_beside_checks_by_iteration_and_stage(run: str) -> None:
    sides: list[tuple[str, bool | None]] = [
        *[("yes", True)] * 3,
        *[("yes", False)] * 2,
        ("no", True),
        *[("no", False)] * 4,
        *[("tie", True), ("no_quorum", False), ("yes", None), ("no", None)],
    ]
    rows = [checked_judgement(str(i), *side) for i, side in enumerate(sides)]
    tree = SearchTree([TreeNode((), 0, "r", "", count([Ballot("No", "n")] * 3, 3))])
    for number, vote in enumerate(("Yes", "Yes", "No")):
        judged = count([Ballot(vote, "n")] * 3, 3)  # type: ignore[arg-type]
        judged = replace(judged, checked=(True, False, None)[number])
        tree.nodes.append(TreeNode((number,), number + 1, "a", "why", judged))
    tree.nodes.append(TreeNode((3,), 4, "a", "why", replace(UNJUDGED, checked=False)))
    nodes = node_rows("t", "p", tree)
    Dataset(run, 1).commit("s", "w", [Settled("k", {"judgements": rows, "nodes": nodes})])
    Dataset(run, 2).commit("s", "w", [Settled("k", {"judgements": rows[-3:-1]})])
    Dataset(run, 3).commit("s", "w", [Settled("k", {"judgements": rows[5:6]})])
    assert summary(run, "judge_bias") == [
        (1, "main", "judge", 10, 3, 2, 1, 4, 0.7, 0.4, 0.4),
        (1, "main", "tree_search", 2, 1, 1, 0, 0, 0.5, 0.5, 0.5),
        (3, "main", "judge", 1, 0, 0, 1, 0, 0.0, None, None),
    ]


def test_responses_that_are_left_out_are_counted_by_why(run: str) -> None:
    why = ["stop", "length", "length", "content_filter", "stop"]
    rows = [replace(response(f"r{n}"), finish_reason=reason) for n, reason in enumerate(why)]
    rows[4] = replace(rows[4], response=" ")
    Dataset(run, 1).commit("s", "w", [Settled("k", {"responses": rows})])
    assert summary(run, "left_out_responses") == [
        (1, "main", "content_filter", 1, 0.2),
        (1, "main", "empty", 1, 0.2),
        (1, "main", "length", 2, 0.4),
    ]


def test_what_was_not_judged_counts_in_no_share(run: str) -> None:
    """Two refinements of a root: one that all votes pass, one that nobody was asked about."""
    tree = SearchTree([TreeNode((), 0, "r", "", count([Ballot("No", "n")] * 3, 3))])
    tree.nodes.append(TreeNode((0,), 1, "a", "why", count([Ballot("Yes", "y")] * 3, 3)))
    tree.nodes.append(TreeNode((1,), 2, "b", "why", UNJUDGED))
    tree.nodes.append(TreeNode((0, 0), 3, "c", "why", UNJUDGED))
    Dataset(run, 1).commit("s", "w", [Settled("k", {"nodes": node_rows("t", "p", tree)})])
    shape = "select depth, nodes, share_passed from tree_shape"
    gains = "select depth, refinements, value_before, value_after from refinement_gains"
    votes = "select judged, verdict, judgements, share_split from vote_agreement"
    values = "select value, nodes from judgement_values"
    with connect(run) as connection:
        found = [connection.execute(each).fetchall() for each in (shape, gains, votes, values)]
    assert found[0] == [(0, 1, 0.0), (1, 2, 1.0), (2, 1, None)]
    assert found[1] == [(1, 2, 0.0, 1.0), (2, 1, None, None)]
    assert found[2] == [("nodes", "yes", 1, 0.0)]
    assert found[3] == [(1.0, 1)]


def test_votes_are_split_among_judgements_that_have_votes(run: str) -> None:
    """Where the checks alone decide there are none."""
    decided = Judgement("c", "p", "no", 0.0, 0, 0, 0, "c", [], "program", 0, 0, False)
    rows = [checked_judgement("a", "no", False), decided]
    Dataset(run, 1).commit("s", "w", [Settled("k", {"judgements": rows})])
    [row] = summary(run, "vote_agreement")
    assert row == (1, "main", "responses", "no", 2, 0.5, 1, 1.0, 0.0)


def evolution(number: int, dropped: str | None, writer: str = "rules") -> Evolution:
    return Evolution(f"e{number}", f"s{number}", "x", writer, dropped=dropped)


def lesson(number: int, task: str) -> SftRefiner:
    return SftRefiner(f"l{number}", [], task, None, "response", "rules", "p", "r")


def test_what_became_of_seeds_is_counted_by_writer(run: str) -> None:
    rules = [evolution(i, dropped) for i, dropped in enumerate([None, None, "refused", "too_long"])]
    model = [evolution(i, "refused", "m") for i in (7, 8, 9)]
    Dataset(run, 1).commit("s", "w", [Settled("k", {"evolutions": [*rules, *model]})])
    Dataset(run, 2).commit("s", "w", [Settled("k", {"evolutions": rules[:1]})])
    assert summary(run, "evolution_outcomes") == [
        (1, "main", "m", "refused", 3, 1.0),
        (1, "main", "rules", "kept", 2, 0.5),
        (1, "main", "rules", "refused", 1, 0.25),
        (1, "main", "rules", "too_long", 1, 0.25),
        (2, "main", "rules", "kept", 1, 1.0),
    ]


def test_judgements_are_counted_by_kind_of_constraint_and_verdict(run: str) -> None:
    checks = [Check("a:b", "{}"), Check("c:d", "{}"), Check("c:d", '{"n": 1}')]
    asked = [Prompt("p", "x", "f", 0, checks), Prompt("q", "y", "f", 1, checks[:1])]
    asked += [Prompt("none", "z", "f", 2)]
    lessons = [
        replace(lesson(number, "judge"), prompt_id=prompt, label=label)
        for number, (prompt, label) in enumerate(
            [("p", "Yes"), ("p", "No"), ("p", "No"), ("q", "No"), ("none", "Yes")]
        )
    ]
    rows = {"prompts": asked, "lessons": lessons, "sft_refiner": lessons[:2]}
    Dataset(run, 1).commit("s", "w", [Settled("k", rows)])
    assert summary(run, "lesson_kinds") == [
        (1, "main", "a:b", 1, 3, 1, 1),
        (1, "main", "c:d", 1, 2, 1, 1),
    ]


def test_what_became_of_lessons_is_counted_by_what_they_are(run: str) -> None:
    lessons = [lesson(i, task) for i, task in enumerate(["judge", "judge", "judge", "refine"])]
    answer = SftActor("a", [], "p", "answer", "m")
    drops = [
        *[Drop("teach", "r", "judgement", "votes_differ")] * 2,
        Drop("teach", "r", "refinement", "not_close"),
        Drop("answer", "p", "answer", "cut_off"),
    ]
    Dataset(run, 1).commit(
        "s",
        "w",
        [
            Settled(
                "k",
                {
                    "lessons": lessons,
                    "sft_refiner": lessons[1:],
                    "sft_actor": [answer],
                    "drops": drops,
                },
            )
        ],
    )
    Dataset(run, 2).commit("s", "w", [Settled("k", {"sft_actor": [answer]})])
    assert summary(run, "lesson_counts") == [
        (1, "main", "answer", "kept", 1),
        (1, "main", "answer", "cut_off", 1),
        (1, "main", "judgement", "kept", 2),
        (1, "main", "judgement", "surplus", 1),
        (1, "main", "judgement", "votes_differ", 2),
        (1, "main", "refinement", "kept", 1),
        (1, "main", "refinement", "not_close", 1),
        (2, "main", "answer", "kept", 1),
    ]
