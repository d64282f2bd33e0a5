"""Engines: several servers as one, beside one that is as wide as all of them.

The same prompts go through the stages at one simulator, at several that share its slots, and at the
same several without chats staying where they began; at several also through a whole round, stage by
stage and as one pipeline. Simulators are alike but for their slots: a narrow one has shorter steps,
so its floor is its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks import harness, report
from benchmarks.harness import Simulator
from benchmarks.report import Report

STAGES = ("sample", "judge", "tree_search")
ROUNDS = {"round, staged": "off", "round, as one": "on"}
"""What takes prompts through all stages, and its option `--together`."""
PROMPTS, QUICK_PROMPTS = 512, 48
SERVERS = 4


def measure(
    prompts: int = PROMPTS,
    *,
    slots: int = 256,
    servers: int = SERVERS,
    speed: float = 4.0,
    urls: Sequence[str] = (),
) -> Report:
    """Run the stages three times, and the round with several servers.

    Args:
        slots: of all servers together.
        urls: of servers that run already, with `/stats` and `/reset`: the round alone, at them.
    """
    machine = report.machine()
    several = len(urls) or servers
    each, few = slots // several, f"{several} of {slots // several}"
    found = {}
    if not urls:
        found[f"1 of {slots}"] = _done(STAGES, prompts, slots, 1, speed)
        found[few] = _done((*STAGES, *ROUNDS), prompts, each, servers, speed)
    else:
        found[few] = _done((*ROUNDS,), prompts, each, several, speed, urls=urls)
    found[f"{few}, chats go anywhere"] = _done(
        (*ROUNDS,) if urls else (*STAGES, *ROUNDS),
        prompts,
        each,
        several,
        speed,
        urls=urls,
        scattered=True,
    )
    rows = [
        [name, stage, *(_shown(each) for each in (values[key] for key in _SHOWN))]
        for name, stages in found.items()
        for stage, values in stages.items()
    ]
    where = f"{prompts} prompts, {slots} slots in all"
    of_several = found[few]
    return Report(
        "engines",
        f"Engines: {where}",
        ("servers", "stage", *_COLUMNS),
        rows,
        [
            (
                f"{several} servers as one, {stage}: wall over the floor; slots in use of each",
                f"{values['wall_over_floor']:.2f}; {_shown(values['busy'])}",
                where,
            )
            for stage, values in of_several.items()
        ],
        {
            "machine": machine,
            "prompts": prompts,
            "slots": slots,
            "speed": speed,
            "servers": several,
            "found": found,
        },
    )


_SHOWN = ("wall_over_floor", "busy", "requests", "completion_tokens", "prefill_tokens", "uncached")
_COLUMNS = (
    "wall / floor",
    "slots in use, each",
    "requests",
    "tokens",
    "prefilled",
    "of the prompts",
)


def _shown(value: object) -> object:
    if isinstance(value, list):
        return " ".join(f"{each:.0%}" for each in value)
    return value


def _done(
    what: Sequence[str],
    prompts: int,
    slots: int,
    servers: int,
    speed: float,
    *,
    urls: Sequence[str] = (),
    scattered: bool = False,
) -> dict[str, dict[str, Any]]:
    """What some servers did for each stage or round, all together."""
    with ExitStack() as stack:
        place = stack.enter_context(harness.folder())
        simulators = [
            stack.enter_context(harness.engine(url, slots, speed)) for url in urls or [""] * servers
        ]
        file = harness.write_prompts(place / "prompts.jsonl", prompts)
        line = ["--slots", str(slots)]
        line += ["--engine_url", ",".join(simulator.url for simulator in simulators)]
        found = {}
        for each in what:
            job, run = ("refine", each) if each in ROUNDS else (each, "run")
            more = ["--run", str(place / run)]
            more += ["--prompts", str(file)] if each in ROUNDS or each == "sample" else []
            more += ["--together", ROUNDS[each]] if each in ROUNDS else []
            for simulator in simulators:
                simulator.reset()
            job = f"benchmarks.scattered {job}" if scattered else job
            harness.run(job, *line, *more, log=place / "log")
            found[each] = _together(simulators)
        return found


def _together(simulators: Sequence[Simulator]) -> dict[str, Any]:
    """The stats of all.

    wall_over_floor: from the first request to the last of the server that was at work longest,
    over the time that all of them, full, need for the tokens. busy: the slots in use of each, from
    its first request to its last. uncached: the share of the prompts' tokens that had to be
    prefilled.
    """
    stats = [simulator.stats() for simulator in simulators]
    totals = {
        name: sum(each[name] for each in stats)
        for name in ("requests", "prompt_tokens", "prefill_tokens", "completion_tokens")
    }
    wall_s = max(each["wall_s"] for each in stats)
    return {
        **totals,
        "wall_s": wall_s,
        "wall_over_floor": wall_s / (sum(each["floor_s"] for each in stats) / len(stats)),
        "busy": [each["mean_occupancy"] for each in stats],
        "uncached": totals["prefill_tokens"] / totals["prompt_tokens"],
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--servers", type=int, default=SERVERS)
    parser.add_argument("--speed", type=float, default=4.0)
    parser.add_argument("--urls", nargs="+", default=(), help="servers that run: the round alone")
    o = parser.parse_args(argv)
    made = measure(o.prompts, slots=o.slots, servers=o.servers, speed=o.speed, urls=o.urls)
    sys.stdout.write(report.markdown(made.columns, made.rows) + "\n")
    sys.stdout.write(json.dumps(made.data["found"], indent=1) + "\n")


if __name__ == "__main__":
    main()
