"""Whole rounds for tests: inputs, the script their models play, and what a run then holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import fsspec

from schemas import TABLES, manifest
from schemas.entries import Entry
from schemas.responses import WHOLE
from schemas.views import connect, named_in
from tests.loopback import Answer, Body, round_script
from tests.pipelines import processes
from tests.pipelines.processes import Process

ROOT = processes.ROOT

STAGES = ("sample", "judge", "tree_search", "pairs", "rft")
IDS = {
    "prompts": "prompt_id",
    "responses": "response_id",
    "judgements": "response_id",
    "nodes": "node_id",
    "trees": "tree_id",
    "pairs": "pair_id",
    "rft": "rft_id",
}
EMPTY = {
    *("seeds", "drafts", "evolutions", "lessons", "sft_actor", "sft_refiner", "drops", "failures"),
    *("items", "answers", "scores", "evaluations", "benchmark_scores", "refinement_bias"),
    *("failures_by_cause", "judge_bias", "evolution_outcomes", "lesson_counts", "lesson_kinds"),
    *("verifiers", "verifications", "verifier_outcomes", "ratings", "battles", "judge_pairs"),
    *("rating_scores", "battle_outcomes", "left_out_responses", "relevances"),
    *("backtranslations", "curations", "method_overlap", "prompts_not_taken"),
}
"""Tables and views that a round on `PROMPTS` leaves without rows."""
PROMPTS = [f"Prompt {n}: one line, please." for n in range(8)] + [
    "An easy one.",
    "An easy one, too.",
    "A hopeless one.",
    "A hopeless one, half way — 😀 عربي e\u0301 \u200d.",
]

SMALL_PROMPTS = [PROMPTS[0], PROMPTS[1], "An easy one.", "A hopeless one."]
SMALL = [
    *("--responses", "2", "--votes", "3"),
    *("--branch", "2", "--keep", "1", "--depth", "2", "--budget", "3"),
    *("--seed", "1"),
]
"""Options of a round on `SMALL_PROMPTS` that is quick and still holds rows of every kind."""


@dataclass(frozen=True)
class FinishedRound:
    """A run of the whole round, and what its server was asked and counted."""

    run: Path
    bodies: list[Body]
    prompt_tokens: int
    completion_tokens: int


def role(body: Body) -> str:
    """Who is asked: `actor`, `judge` or `refine`."""
    last = body["messages"][-1]["content"]
    if "Final Refined Output" in last:
        return "refine"
    return "judge" if "Final Judgement" in last else "actor"


def story(body: Body) -> Answer:
    """`round_script`, but easy prompts are answered well and hopeless ones never get good."""
    first, n = body["messages"][0]["content"], body.get("n", 1)
    if role(body) == "actor" and "easy" in first:
        return [f"good answer {i} to {first!r} q=1.0" for i in range(n)]
    if role(body) == "refine" and "hopeless" in first:
        quality = 0.4 if "half way" in first else 0.0
        return [f"Final Refined Output: [[start]] still {i} q={quality} [[end]]" for i in range(n)]
    return round_script(body)


def write_prompts(path: Path, prompts: Iterable[str] = PROMPTS) -> Path:
    """The prompts as JSONL."""
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    return path


def query(run: Path | str, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query over a run."""
    with connect(str(run), named_in(sql)) as connection:
        rows: list[tuple[Any, ...]] = connection.sql(sql).fetchall()
        return rows


def failures(run: Path | str, columns: str = "error") -> list[Any]:
    """Failures in the order of their keys; of one column the bare values."""
    rows = query(run, f"select {columns} from failures order by stage, key")
    return rows if "," in columns else [row[0] for row in rows]


def tables(run: Path | str, *, without: Sequence[str] = ()) -> dict[str, list[str]]:
    """Every table's rows as sorted text, `source` (the input's path) left out."""
    fs, root = fsspec.core.url_to_fs(str(run))
    written = {name for entry in manifest.read(fs, root).values() for name in entry.files}
    held: dict[str, list[str]] = {name: [] for name in TABLES}
    with connect(str(run), tuple(sorted(written))) as connection:
        for name in written:
            columns = "* exclude (source)" if name == "prompts" else "*"
            rows = connection.sql(f"select {columns} from {name}").fetchall()
            held[name] = sorted(map(repr, rows))
    return {name: rows for name, rows in held.items() if name not in without}


def files(run: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of every file of a run but its lock."""
    return {
        str(path.relative_to(run)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def committed(run: Path) -> dict[str, bytes]:
    """Content of the files that count: manifest entries, and the data files they name."""
    held = {}
    for entry_path in run.glob(f"{manifest.FOLDER}/*/*/*.json"):
        entry = Entry.from_json(entry_path.read_bytes(), str(entry_path))
        for path in (entry_path, *(run / file.path for file in entry.files.values())):
            held[str(path.relative_to(run))] = path.read_bytes()
    return held


def commits(run: Path, stage: str) -> int:
    return len(list(run.glob(f"{manifest.FOLDER}/*/{stage}/*.json")))


def check(run: Path | str, *, responses: int = 5, depth: int = 3, budget: int = 15) -> None:
    """What must hold of any run without failures."""
    with connect(str(run), tuple(IDS)) as connection:
        _check(connection, responses, depth, budget)


def _check(connection: duckdb.DuckDBPyConnection, responses: int, depth: int, budget: int) -> None:
    def found(sql: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = connection.sql(sql).fetchall()
        return rows

    for table, column in IDS.items():
        assert not found(
            f"select {column} from {table} group by iteration, {column} having count(*) > 1"
        ), f"{table} holds a row twice"
    assert not found(
        f"""select prompt_id from prompts left join responses using (iteration, prompt_id)
        group by iteration, prompt_id having count(response_id) <> {responses}""",
    )
    whole = f"(from responses where {WHOLE})"
    assert not found(f"from {whole} anti join judgements using (iteration, response_id)")
    assert not found("from judgements anti join responses using (iteration, response_id)")
    failing = "(select distinct iteration, prompt_id from judgements where outcome = 'no')"
    assert not found(f"from {failing} anti join trees using (iteration, prompt_id)")
    assert not found(f"from trees anti join {failing} using (iteration, prompt_id)")
    assert not found(
        "select prompt_id from trees group by iteration, prompt_id having count(*) > 1"
    )
    assert not found(
        f"""select tree_id, max(depth) as deepest, count(*) - 1 as made, any_value(refinements) as n
        from trees left join nodes using (iteration, tree_id) group by iteration, tree_id
        having deepest > {depth} or made > {budget} or made <> n""",
    )
    assert not found("select parent_id from nodes where depth > 0 group by all having count(*) > 3")
    assert not found(
        """select c.node_id from nodes c left join nodes m
        on m.iteration = c.iteration and m.node_id = c.parent_id and m.tree_id = c.tree_id
            and m.depth = c.depth - 1 and m."order" < c."order"
        where c.depth > 0 and m.node_id is null""",
    )
    counts = "select (select count(*) from pairs), count(*) from trees where solved"
    [(pairs, solved)] = found(counts)
    assert pairs <= solved
    assert not found(
        """select pair_id from pairs p
        left join responses r on r.iteration = p.iteration and response_id = rejected_response_id
        left join judgements j on j.iteration = p.iteration and j.response_id = r.response_id
        left join trees t on t.iteration = p.iteration and t.tree_id = p.tree_id
        left join nodes c on c.iteration = p.iteration and c.node_id = t.chosen_node_id
        where (j.verdict = 'no' and t.solved and t.root_response_id = r.response_id
            and p.chosen_node_id = t.chosen_node_id
            and c.value > 0.5 and p.chosen_value = c.value
            and chosen[1].content = c.response and rejected[1].content = r.response)
            is distinct from true""",
    )


def command(run: Path, prompts: Path, url: str, *more: str) -> list[str]:
    """The command line of a round on a loopback server."""
    return ["--run", str(run), "--prompts", str(prompts), "--engine_url", url, *more]


def small(run: Path, prompts: Path, url: str, *more: str) -> list[str]:
    """The command line of a round with the options `SMALL`."""
    return command(run, prompts, url, *SMALL, *more)


def start(*argv: str, job: str = "pipelines.refine", file_blocks: int | None = None) -> Process:
    """A job in a process of its own.

    Args:
        file_blocks: no file may grow over so many KiB, as if the disk were full.
    """
    return processes.start(job, *argv, file_blocks=file_blocks)
