"""A real engine: a whole round through our jobs, and its requests through the engine's own batch.

On the bundled model (SmolLM2-135M), which judges and refines under a grammar. The requests of our
round are recorded and grouped into levels: samples, votes on them, then refinements and votes by
depth. The engine's own batch (`offline_batch`) is given the levels one after the other, each whole:
with every answer as long as it was in our round, so that both decode the same tokens; and with the
grammar, which cannot hold an answer of a given length, its answers ending by themselves. vLLM has
an environment of its own (see `make test-vllm`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import harness, report
from benchmarks.report import Report
from spar_core.conversation import judge_messages
from spar_core.engine.bundled import bundled_model

PROMPTS, QUICK_PROMPTS = 16, 1
PYTHON = harness.ROOT / ".venv-vllm" / "bin" / "python"
NOT_INSTALLED = "not installed: make .venv-vllm/ready"
QUICK = (
    *("--responses", "2", "--votes", "3", "--depth", "1", "--branch", "2"),
    *("--actor_max_tokens", "128", "--judge_max_tokens", "40", "--refine_max_tokens", "48"),
)
"""Options of a round that shows that all works."""

_HELD_OUT = harness.ROOT / "pipelines" / "demo" / "heldout.jsonl"
_OPTIONS = (
    *("--constrained", "on", "--together", "on", "--actor_max_tokens", "128"),
    *("--judge_max_tokens", "112", "--refine_max_tokens", "192"),
)
_DEPTHS = """
select prompt, response, 0 as depth from responses join prompts using (prompt_id)
union all select prompt, response, depth from nodes join prompts using (prompt_id)
"""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that can be measured.

    python: the interpreter that has it. slots: sequences decoded at once; the most tokens a second
    were measured with so many on two cores.
    """

    kind: str
    python: Path
    slots: int


ENGINES = (
    Engine("llamacpp", Path(sys.executable), 32),
    Engine("vllm", PYTHON, 64),
)


def measure(
    prompts: int = PROMPTS,
    *,
    engines: Sequence[Engine] = ENGINES,
    options: Sequence[str] = (),
) -> Report:
    """Run the round and the batches on each engine.

    Args:
        options: more options of the round.
    """
    machine = report.machine()
    found: dict[str, dict[str, Any]] = {}
    for engine in engines:
        if engine.python.is_file():
            with harness.folder() as place:
                found[engine.kind] = _measured(engine, prompts, options, place)
    rows: list[list[object]] = []
    for engine in engines:
        if engine.kind in found:
            rows += _rows(engine, found[engine.kind])
        else:
            rows.append([engine.kind, NOT_INSTALLED, *[""] * (len(_COLUMNS) - 2)])
    where = f"{prompts} prompts, SmolLM2-135M, {machine['cores']} cores"
    return Report(
        "real_engine",
        f"A real engine: {where}",
        _COLUMNS,
        rows,
        [
            (
                f"{kind}: tokens/s of our round over the engine's own batch, same tokens; "
                "with the grammar",
                f"{values['over_batch']['forced']:.2f}; {values['over_batch']['grammar']:.2f}",
                where,
            )
            for kind, values in found.items()
        ],
        {"machine": machine, "prompts": prompts, "options": list(options), "engines": found},
    )


_COLUMNS = (
    "engine",
    "way",
    "tokens",
    "tokens / s",
    "ours over it",
    "s at work",
    "s before the first request",
    "s after the last answer",
    "prompt tokens prefilled",
    "slots in use",
    "CPU s of the client",
)
_BATCHES = {
    "forced": "its own batch, lengths as ours",
    "grammar": "its own batch, with the grammar",
}


def _rows(engine: Engine, values: dict[str, Any]) -> list[list[object]]:
    ours = values["ours"]
    first: list[object] = [
        *(engine.kind, "our job", ours["tokens"], ours["tokens_per_s"], 1.0, ours["work_s"]),
        *(ours["before_s"], ours["after_s"], ours["prefilled"], f"{ours['occupancy']:.0%}"),
        ours["client_cpu_s"],
    ]
    return [
        first,
        *(
            [
                *(engine.kind, said, batch["tokens"], batch["tokens_per_s"]),
                *(values["over_batch"][way], batch["work_s"], batch["load_s"], 0.0),
                *(batch["prefilled"], "", 0.0),
            ]
            for way, said in _BATCHES.items()
            for batch in [values[way]]
        ),
    ]


def _measured(engine: Engine, prompts: int, options: Sequence[str], place: Path) -> dict[str, Any]:
    """What our job and the engine's own batch did."""
    model = str(bundled_model())
    if engine.kind == "vllm":
        checkpoint = str(place / "checkpoint")
        words = ["training.gguf_checkpoint", "--model", model, "--output", checkpoint]
        _run(engine, words, place)
        model = checkpoint
    ours, recorded = _round(engine, model, prompts, options, place)
    levels = _levels(place / "run", recorded["requests"])
    batches = {way: _batch(engine, model, levels, way, place) for way in _BATCHES}
    rates = {way: ours["tokens_per_s"] / batch["tokens_per_s"] for way, batch in batches.items()}
    return {"ours": ours, **batches, "over_batch": rates}


def _run(engine: Engine, words: Sequence[str], place: Path) -> None:
    """Run a module by the engine's interpreter to its end."""
    log = place / "log"
    harness.end(harness.begin([str(engine.python), "-m", *words], log), words[0], log)


def _round(
    engine: Engine, model: str, prompts: int, options: Sequence[str], place: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run our job; what it did, and what was recorded of it."""
    out = place / "recorded.json"
    words = ["benchmarks.recorded_round", str(out), "--run", str(place / "run")]
    words += ["--prompts", str(_HELD_OUT), "--limit", str(prompts)]
    words += ["--engine", engine.kind, "--model", model, "--slots", str(engine.slots)]
    began = time.monotonic()
    _run(engine, [*words, *_OPTIONS, *options], place)
    ended = time.monotonic()
    recorded: dict[str, Any] = json.loads(out.read_text())
    requests = recorded["requests"]
    first = min(request["began"] for request in requests)
    last = max(request["ended"] for request in requests)
    tokens = sum(sum(request["tokens"]) for request in requests)
    return {
        "requests": len(requests),
        "sequences": sum(len(request["tokens"]) for request in requests),
        "tokens": tokens,
        "tokens_per_s": tokens / (last - first),
        "work_s": last - first,
        "before_s": first - began,
        "after_s": ended - last,
        "prefilled": recorded["prefilled"],
        "client_cpu_s": recorded["client_cpu_s"],
        "occupancy": _occupancy(requests, engine.slots),
    }, recorded


def _occupancy(requests: Sequence[dict[str, Any]], slots: int) -> float:
    """The share of the slots that had a sequence to decode, from the first request to the last.

    A request's sequences count as there until all of them are answered, so this is at most too
    high: what it lacks is idle.
    """
    changes = sorted(
        change
        for request in requests
        for change in (
            (request["began"], len(request["tokens"])),
            (request["ended"], -len(request["tokens"])),
        )
    )
    used, in_flight, before = 0.0, 0, changes[0][0]
    for at, change in changes:
        used += (at - before) * min(slots, in_flight)
        in_flight, before = in_flight + change, at
    return float(used / slots / (changes[-1][0] - changes[0][0]))


def _levels(run: Path, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The requests by what they ask and how deep in a tree, in the order of a search by levels."""
    depths: dict[str, int] = {}
    for prompt, response, depth in harness.query(run, _DEPTHS):
        content = judge_messages(prompt, response)[0]["content"]
        depths[content] = min(depth, depths.get(content, depth))
    levels: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for request in requests:
        body = request["body"]
        levels[_level(body["messages"], depths)].append(
            {
                **{key: body[key] for key in ("messages", "temperature", "top_p", "max_tokens")},
                "seed": body["seed"],
                "tokens": request["tokens"],
                "grammar": body.get("grammar") or body.get("structured_outputs", {}).get("grammar"),
            }
        )
    return [
        {"name": f"{kind.split()[1]} {depth}", "requests": levels[depth, kind]}
        for depth, kind in sorted(levels)
    ]


def _level(messages: Sequence[dict[str, str]], depths: dict[str, int]) -> tuple[int, str]:
    depth = depths.get(messages[0]["content"])
    if depth is None:
        return 0, "0 sample"
    return (depth + 1, "1 refine") if len(messages) > 1 else (depth, "2 judge")


def _batch(
    engine: Engine, model: str, levels: Sequence[dict[str, Any]], way: str, place: Path
) -> dict[str, Any]:
    """Run the levels through the engine's own batch."""
    job, out = place / f"{way}-job.json", place / f"{way}.json"
    job.write_text(json.dumps({"slots": engine.slots, "forced": way == "forced", "levels": levels}))
    _run(engine, ["benchmarks.offline_batch", engine.kind, model, str(job), str(out)], place)
    done: dict[str, Any] = json.loads(out.read_text())
    tokens = sum(level["tokens"] for level in done["levels"])
    work_s = sum(level["wall_s"] for level in done["levels"])
    return {
        **done,
        "tokens": tokens,
        "work_s": work_s,
        "tokens_per_s": tokens / work_s,
        "prefilled": sum(level["prefilled"] for level in done["levels"]),
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_engine", description=__doc__)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--engines", nargs="+", default=[engine.kind for engine in ENGINES])
    parser.add_argument("--python", type=Path, default=PYTHON, help="that has vLLM")
    parser.add_argument("--quick", action="store_true", help="a round that shows that all works")
    o = parser.parse_args(argv)
    pythons = {"llamacpp": Path(sys.executable), "vllm": o.python}
    engines = [
        Engine(engine.kind, pythons[engine.kind], engine.slots)
        for engine in ENGINES
        if engine.kind in o.engines
    ]
    options = QUICK if o.quick else ()
    prompts = QUICK_PROMPTS if o.quick else o.prompts
    for engine in engines:  # each is told at once: the next may take as long
        made = measure(prompts, engines=[engine], options=options)
        sys.stdout.write(report.markdown(made.columns, made.rows) + "\n")
        sys.stdout.write(json.dumps(made.data["engines"], indent=1) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
