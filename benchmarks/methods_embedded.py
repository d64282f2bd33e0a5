"""Methods on the embedded engine: each runs on bundled prompts, is killed on the way, and goes on.

All stand in one run, so that what two share is done once; the run is kept, for
`inspection.compare --by method`. Humpback's texts are the actor's own answers, one of each prompt.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import harness, kills_on_clock, report
from benchmarks.answers import stream
from benchmarks.harness import JobFailed
from benchmarks.report import Report
from schemas.table import MAIN, SPAR
from spar_core.methods import METHODS
from spar_core.methods.humpback import METHOD as HUMPBACK

PROMPTS = 20
RUN = harness.ROOT / "runs" / "methods"
WITHIN_S = (10.0, 40.0)
"""A method is killed so many seconds after its start, unless it is done by then."""

_BUNDLED = harness.ROOT / "pipelines" / "demo" / "prompts.jsonl"
_DONE, _SOME_FAILED = 0, 3

_MADE = (
    *("pairs", "answers", "requests", "completion_tokens", "similarity", "checked", "confirmed"),
    *("checked_answers", "passing_answers"),
)
"""What is told of a method, by its column in the view `methods`."""

_TEXTS = "select any_value(response order by response_id) from responses group by prompt_id"


@dataclass(frozen=True, slots=True)
class Run:
    """A method, killed and gone on with. killed_s: after its start, None where it was done by then.

    failures: items that could not be done, of all methods up to this one. twice: rows that are
    there twice.
    """

    method: str
    killed_s: float | None
    wall_s: float
    failures: int
    twice: list[str]
    made: list[object]


def measure(
    prompts: int = PROMPTS,
    *,
    run: Path = RUN,
    seed: int = 0,
    methods: Sequence[str] = tuple(METHODS),
    options: Sequence[str] = (),
) -> Report:
    """Take the bundled prompts through the methods, one after the other.

    Args:
        options: more options of the methods that sample responses.
    """
    machine = report.machine()
    run.parent.mkdir(parents=True, exist_ok=True)
    file = ["--prompts", str(_BUNDLED), "--limit", str(prompts), *options]
    done = [_killed_once(run, method, file, seed) for method in methods if method != HUMPBACK]
    texts = run.parent / f"{run.name}-texts.jsonl"
    said = harness.query(run, _TEXTS)
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for (text,) in sorted(said)))
    if HUMPBACK in methods:
        done.append(_killed_once(run, HUMPBACK, ["--seeds", str(texts)], seed))
    where = f"{prompts} bundled prompts"
    killed = sum(one.killed_s is not None for one in done)
    wrong = [f"{one.method}: {said}" for one in done for said in one.twice]
    return Report(
        "methods_embedded",
        f"Methods on the embedded engine: {where}",
        _COLUMNS,
        [
            [
                one.method,
                "-" if one.killed_s is None else one.killed_s,
                one.wall_s,
                *("-" if each is None else each for each in one.made),
                one.failures,
                "; ".join(one.twice) or "none",
            ]
            for one in done
        ],
        [
            (
                f"{len(done)} methods to their end, {killed} of them killed; rows that are twice",
                "; ".join(wrong) or "none",
                where,
            )
        ],
        {"machine": machine, "prompts": prompts, "methods": [asdict(one) for one in done]},
    )


def _killed_once(run: Path, method: str, given: list[str], seed: int) -> Run:
    began, log = time.monotonic(), run.with_suffix(".log")
    line = ["--run", str(run), *given, *([] if method == SPAR else ["--method", method])]
    span = round(stream("methods embedded", seed, method).uniform(*WITHIN_S), 1)
    code = harness.within(harness.start("refine", *line, log=log), span)
    killed = span if code is None else None
    if code is None:
        code = harness.start("refine", *line, log=log).wait()
    if code not in (_DONE, _SOME_FAILED):
        raise JobFailed(f"{method} ended with {code}:\n{log.read_text()[-2000:]}")
    wall_s = round(time.monotonic() - began, 1)
    [(failures,)] = harness.query(run, "select count(*) from failures")
    which = f"variant = '{MAIN}' and method = '{method}'"
    query = f"select {', '.join(_MADE)} from methods where {which}"
    made = [list(row) for row in harness.query(run, query)]
    row = made[0] if made else [None] * len(_MADE)
    return Run(method, killed, wall_s, int(failures), kills_on_clock.twice(run), row)


_COLUMNS = (
    "method",
    "killed after s",
    "wall s",
    "pairs",
    "answers",
    "requests",
    "tokens",
    "similarity",
    "pairs checked",
    "confirmed",
    "answers checked",
    "passing",
    "failures so far",
    "rows twice",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods_embedded")
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--run", type=Path, default=RUN)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    made = measure(o.prompts, run=o.run, seed=o.seed)
    sys.stdout.write(report.markdown(made.columns, made.rows) + "\n")


if __name__ == "__main__":
    main()
