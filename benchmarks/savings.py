"""Savings: what each option that saves tokens saves, and what it does to the outcome.

All variants start from the same sampled responses. A share of the simulated answers are equal
texts, as models give them at low temperatures; else --judge_once would have nothing to save.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import harness, report
from benchmarks.harness import Simulator
from benchmarks.report import Report
from spar_core.costs.savings import SAVINGS

PROMPTS, QUICK_PROMPTS = 512, 48
EQUAL_RATE = 0.3
VARIANTS: dict[str, tuple[str, ...]] = {
    "default": (),
    **{name: (name,) for name in SAVINGS},
    "all three": SAVINGS,
}
_OF_SEARCH = "--stop_level"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a variant. tokens: spent by the engine, given-up answers included, by stage."""

    tokens: dict[str, int]
    wall_s: dict[str, float]
    verdicts: dict[str, str]
    solved: float
    pairs: int
    chosen_value: float


def measure(
    prompts: int = PROMPTS,
    *,
    slots: int = 256,
    speed: float = 4.0,
    equal_rate: float = EQUAL_RATE,
    variants: Sequence[str] = tuple(VARIANTS),
) -> Report:
    """Run judge, tree search and pairs with each variant, the default first."""
    machine = report.machine()
    with harness.folder() as place:
        options = ["--slots", str(slots), "--speed", str(speed), "--malformed-rate", "0.05"]
        with harness.simulating(*options, "--equal-rate", str(equal_rate)) as simulator:
            file = harness.write_prompts(place / "prompts.jsonl", prompts)
            line = ["--engine_url", simulator.url, "--slots", str(slots)]
            sampled = place / "sampled"
            to_sample = ["--run", str(sampled), "--prompts", str(file), *line]
            harness.run("sample", *to_sample, log=place / "log")
            repeated, responses = harness.query(sampled, _REPEATED)[0]
            outcomes: dict[str, Outcome] = {}
            for name in variants:
                run = place / name.replace(" ", "_").strip("-")
                shutil.copytree(sampled, run)
                outcomes[name] = _outcome(run, line, VARIANTS[name], simulator)
    default = outcomes["default"]
    where = (
        f"{prompts} prompts, {slots} slots; {repeated} of {responses} sampled responses repeat "
        "another one of their prompt"
    )
    rows = [[name, *_compared(outcome, default)] for name, outcome in outcomes.items()]
    return Report(
        "savings",
        f"Savings: {where}",
        (
            "option",
            "tokens, judge",
            "tokens, tree search",
            "time, tree search",
            "verdicts as by default",
            "solved",
            "pairs",
            "value of chosen",
        ),
        rows,
        [
            (
                f"{name}: tokens over default, judge; tree search; same verdicts; solved",
                f"{row[1]:.2f}; {row[2]:.2f}; {row[4]:.1%}; {row[5]:.1%}",
                where,
            )
            for name, row in zip(outcomes, rows, strict=True)
        ],
        {
            "machine": machine,
            "prompts": prompts,
            "slots": slots,
            "speed": speed,
            "equal_rate": equal_rate,
            "repeated_responses": repeated,
            "responses": responses,
            "outcomes": {
                name: {k: v for k, v in asdict(outcome).items() if k != "verdicts"}
                for name, outcome in outcomes.items()
            },
        },
    )


_REPEATED = """
    select (count(*) - count(distinct (prompt_id, response)))::int, count(*) from responses"""


def _outcome(run: Path, line: list[str], variant: tuple[str, ...], simulator: Simulator) -> Outcome:
    tokens, wall_s = {}, {}
    for stage in ("judge", "tree_search"):
        more = [option for option in variant if stage != "judge" or option != _OF_SEARCH]
        simulator.reset()
        harness.run(stage, "--run", str(run), *line, *more, log=run.with_suffix(".log"))
        stats = simulator.stats()
        tokens[stage], wall_s[stage] = int(stats["completion_tokens"]), float(stats["wall_s"])
    harness.run("pairs", "--run", str(run), log=run.with_suffix(".log"))
    verdicts = dict(harness.query(run, "select response_id, verdict from judgements"))
    solved = harness.query(run, "select avg(solved::int) from trees")[0][0]
    pairs, value = harness.query(run, "select count(*), avg(chosen_value) from pairs")[0]
    return Outcome(tokens, wall_s, verdicts, float(solved), int(pairs), float(value or 0))


def _compared(
    outcome: Outcome, default: Outcome
) -> tuple[float, float, float, float, float, int, float]:
    same = sum(default.verdicts[key] == verdict for key, verdict in outcome.verdicts.items())
    return (
        outcome.tokens["judge"] / default.tokens["judge"],
        outcome.tokens["tree_search"] / default.tokens["tree_search"],
        outcome.wall_s["tree_search"] / default.wall_s["tree_search"],
        same / len(default.verdicts),
        outcome.solved,
        outcome.pairs,
        outcome.chosen_value,
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.savings", description=__doc__)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--speed", type=float, default=4.0)
    parser.add_argument("--equal_rate", type=float, default=EQUAL_RATE)
    o = parser.parse_args(argv)
    made = measure(o.prompts, slots=o.slots, speed=o.speed, equal_rate=o.equal_rate)
    sys.stdout.write(report.markdown(made.columns, made.rows) + "\n")


if __name__ == "__main__":
    main()
