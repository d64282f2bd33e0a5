"""Kills on the clock: a round at a server that runs already is killed every so many seconds.

The server needs `/stats` and `/reset` and has no need to repeat itself, so the tables are not those
of the undisturbed run: they must be whole, and hold nothing twice. As its trees are others too, the
tokens are told beside those of the undisturbed run and beside those of the rows it committed.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks import harness, report
from benchmarks.answers import stream
from benchmarks.harness import JobFailed, Simulator
from benchmarks.report import Report

ALLOWED = 1.25
"""Tokens spent over those of an undisturbed run."""

KEYS = {
    "prompts": "prompt_id",
    "responses": "response_id",
    "judgements": "response_id",
    "nodes": "node_id",
    "trees": "prompt_id",
    "pairs": "pair_id",
    "rft": "rft_id",
}
"""What no two rows of a table share."""

_WHOLE = {
    "responses": "from prompts where prompt_id not in (select prompt_id from responses)",
    "judgements": "from responses where response_id not in (select response_id from judgements)",
    "trees": "from judgements where verdict = 'no' "
    "and prompt_id not in (select prompt_id from trees)",
    "roots": "from trees where tree_id not in (select tree_id from nodes where depth = 0)",
}
"""Rows that have none of what was made of them."""

_HELD = """
select sum(completion_tokens) from (
    select completion_tokens from responses
    union all select completion_tokens from judgements
    union all select completion_tokens from trees)
"""


@dataclass(frozen=True, slots=True)
class Round:
    """A round with or without kills. held: tokens of the rows that it committed."""

    tokens: int
    held: int
    wall_s: float
    wrong: list[str]
    lived_s: list[float] = field(default_factory=list)


def measure(
    url: str, prompts: int, kills: int, every: tuple[float, float], *, slots: int, seed: int
) -> Report:
    """Run the round undisturbed, then with kills.

    Args:
        every: bounds of the seconds between a start and its kill.
    """
    machine, simulator = report.machine(), Simulator(url.rstrip("/"))
    drawn = stream("kills on the clock", seed)
    spans = [drawn.uniform(*every) for _ in range(kills)]
    with harness.folder() as place:
        file = harness.write_prompts(place / "prompts.jsonl", prompts)
        line = ["--prompts", str(file), "--engine_url", simulator.url, "--slots", str(slots)]
        calm = _round(place / "calm", line, [], simulator)
        killed = _round(place / "killed", line, spans, simulator)
    over = killed.tokens / calm.tokens
    tables = "; ".join(calm.wrong + killed.wrong) or "whole, nothing twice"
    where = f"{prompts} prompts, a kill every {every[0]:g} to {every[1]:g} s"
    rows: list[list[object]] = [
        [len(r.lived_s), r.tokens, r.tokens / calm.tokens, r.tokens / r.held, r.wall_s, said]
        for r in (calm, killed)
        for said in ["; ".join(r.wrong) or "whole, nothing twice"]
    ]
    return Report(
        "kills_on_clock",
        f"Kills on the clock: {where}; tokens over undisturbed allowed: {ALLOWED}",
        ("kills", "tokens", "over undisturbed", "over its own rows", "s", "tables"),
        rows,
        [(f"{len(killed.lived_s)} kills on the clock", f"{over:.3f}; {tables}", where)],
        {
            "machine": machine,
            "prompts": prompts,
            "every_s": every,
            "seed": seed,
            "over": over,
            "rounds": {"calm": asdict(calm), "killed": asdict(killed)},
        },
    )


def _round(run: Path, line: list[str], spans: list[float], simulator: Simulator) -> Round:
    began = time.monotonic()
    simulator.reset()
    log, lived = run.with_suffix(".log"), []
    for span in spans:
        code = harness.within(harness.start("refine", "--run", str(run), *line, log=log), span)
        if code is None:
            lived.append(round(span, 1))
            continue
        if code:
            raise JobFailed(f"the round ended with {code}:\n{log.read_text()[-2000:]}")
        break
    else:
        harness.run("refine", "--run", str(run), *line, log=log)
    wall_s = round(time.monotonic() - began, 1)
    tokens = int(simulator.stats()["completion_tokens"])
    [(held,)] = harness.query(run, _HELD)
    return Round(tokens, int(held), wall_s, [*twice(run), *_missing(run)], lived)


def twice(run: Path | str) -> list[str]:
    """Tables with rows that are there twice."""
    found = []
    for table, key in KEYS.items():
        rows = harness.query(run, f"select {key} from {table} group by all having count(*) > 1")
        if rows:
            found.append(f"{table}: {len(rows)} twice")
    return found


def _missing(run: Path) -> list[str]:
    counts = {what: len(harness.query(run, sql)) for what, sql in _WHOLE.items()}
    [(fewest, most)] = harness.query(
        run, "select min(n), max(n) from (select count(*) n from responses group by prompt_id)"
    )
    failed = len(harness.query(run, "from failures"))
    return [
        *(f"{what}: {count} missing" for what, count in counts.items() if count),
        *([f"responses a prompt: {fewest} to {most}"] if fewest != most else []),
        *([f"{failed} failures"] if failed else []),
    ]
