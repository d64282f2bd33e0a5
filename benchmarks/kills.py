"""Kills: what SIGKILL costs a round, and whether its tables come out as if nothing had happened.

The moments are drawn in tokens spent, evenly over an undisturbed run, so they fall into all
stages; after each the same command is started again. The simulator answers a request that is
repeated as before, so the tables must equal those of the undisturbed run row by row.

With `--everywhere` the kills are shared out over all ways to run the round: stage by stage and as
one pipeline, in one thread and in several, on disk and in a bucket of a GCS server on loopback.
There is no journal in a bucket, so there each kill may cost what was not committed yet.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import fsspec

from benchmarks import harness, kills_on_clock, object_store, report
from benchmarks.answers import stream
from benchmarks.harness import JobFailed, Simulator
from benchmarks.report import Report
from schemas import TABLES

PROMPTS, QUICK_PROMPTS = 512, 96
KILLS, QUICK_KILLS = 30, 3
EVERYWHERE_KILLS = 200
ALLOWED = {"many": 1.25, "one": 1.03}
"""Tokens spent over those of an undisturbed run."""

STAGED = ("--together", "off")
THREADS = ("--direct_running_mode=multi_threading", "--direct_num_workers=2")
WAYS: dict[str, tuple[bool, Sequence[str]]] = {
    "stage by stage": (False, STAGED),
    "as one pipeline": (False, ()),
    "as one pipeline, two threads": (False, THREADS),
    "stage by stage, bucket": (True, STAGED),
    "as one pipeline, bucket": (True, ()),
    "as one pipeline, two threads, bucket": (True, THREADS),
}
"""By name whether a run lies in a bucket, and its options."""

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Killed:
    """A round with kills. kills: the stage at each; wrong: what the tables hold amiss."""

    moments: list[int]
    kills: list[str]
    tokens: int
    over: float
    wall_s: float
    wrong: list[str]


def measure(
    prompts: int = PROMPTS,
    kills: int = KILLS,
    *,
    slots: int = 256,
    speed: float = 4.0,
    seed: int = 0,
) -> Report:
    """Run the round undisturbed, with many kills, and with one at half."""
    settings = report.machine(), prompts, slots, speed, seed
    with _calm(prompts, slots, speed) as calm:
        plans = {"many": _moments(kills, calm, "kills", seed), "one": [calm.tokens // 2]}
        rounds = {
            name: _round(str(calm.place / name), (), moments, calm, calm.place / f"{name}.log")
            for name, moments in plans.items()
        }
    where = f"{prompts} prompts, {slots} slots"
    return Report(
        "kills",
        f"Kills: {where}, {calm.tokens:,} tokens undisturbed",
        ("kills", "tokens over undisturbed", "allowed", "tables", "in stages"),
        [
            [len(r.kills), r.over, ALLOWED[name], "; ".join(r.wrong) or "equal", _counts(r.kills)]
            for name, r in rounds.items()
        ],
        [
            (
                f"{len(r.kills)} kills: tokens over an undisturbed run; tables",
                f"{r.over:.3f}; {'; '.join(r.wrong) or 'equal to those of the undisturbed run'}",
                where,
            )
            for r in rounds.values()
        ],
        _data(settings, calm.tokens, rounds),
    )


def everywhere(
    prompts: int = PROMPTS,
    kills: int = EVERYWHERE_KILLS,
    *,
    slots: int = 256,
    speed: float = 4.0,
    seed: int = 0,
) -> Report:
    """Run the round undisturbed, then in each way with a share of the kills."""
    settings = report.machine(), prompts, slots, speed, seed
    share = -(-kills // len(WAYS))
    rounds = {}
    with object_store.serving() as bucket, _calm(prompts, slots, speed) as calm:
        for number, (name, (is_in_bucket, more)) in enumerate(WAYS.items()):
            moments = _moments(share, calm, "kills", seed, name)
            run = f"{bucket}/run-{number}" if is_in_bucket else str(calm.place / f"run-{number}")
            rounds[name] = _round(run, more, moments, calm, calm.place / f"run-{number}.log")
    killed = sum(len(r.kills) for r in rounds.values())
    wrong = [f"{name}: {said}" for name, r in rounds.items() for said in r.wrong]
    where = f"{prompts} prompts, {slots} slots"
    return Report(
        "kills_everywhere",
        f"Kills everywhere: {where}, {calm.tokens:,} tokens undisturbed, {killed} kills",
        ("way", "kills", "tokens over undisturbed", "tables", "in stages"),
        [
            [name, len(r.kills), r.over, "; ".join(r.wrong) or "equal", _counts(r.kills)]
            for name, r in rounds.items()
        ],
        [
            (
                f"{killed} kills over {len(WAYS)} ways to run: tables",
                "; ".join(wrong) or "equal to those of the undisturbed run",
                where,
            )
        ],
        _data(settings, calm.tokens, rounds),
    )


@dataclass(frozen=True, slots=True)
class _Calm:
    """An undisturbed run in a folder, and what a round is started with to be like it."""

    place: Path
    run: Path
    line: list[str]
    simulator: Simulator
    tokens: int


@contextmanager
def _calm(prompts: int, slots: int, speed: float) -> Iterator[_Calm]:
    options = ("--slots", str(slots), "--speed", str(speed), "--malformed-rate", "0.05")
    with harness.folder() as place, harness.simulating(*options) as simulator:
        file, run = harness.write_prompts(place / "prompts.jsonl", prompts), place / "calm"
        line = ["--prompts", str(file), "--engine_url", simulator.url, "--slots", str(slots)]
        harness.run("refine", "--run", str(run), *line, log=place / "log")
        tokens = int(simulator.stats()["completion_tokens"])
        yield _Calm(place, run, line, simulator, tokens)


def _moments(kills: int, calm: _Calm, *names: object) -> list[int]:
    drawn = stream(*names)
    return sorted(drawn.randrange(calm.tokens) for _ in range(kills))


def _data(
    settings: tuple[object, ...], tokens: int, rounds: Mapping[str, Killed]
) -> dict[str, object]:
    names = ("machine", "prompts", "slots", "speed", "seed")
    return {
        **dict(zip(names, settings, strict=True)),
        "tokens": tokens,
        "rounds": {name: asdict(r) for name, r in rounds.items()},
    }


def _round(run: str, more: Sequence[str], moments: list[int], calm: _Calm, log: Path) -> Killed:
    began, simulator, line = time.monotonic(), calm.simulator, [*calm.line, *more]
    simulator.reset()
    kills = []
    for moment in moments:
        stage = _kill_at(moment, run, line, simulator, log)
        if stage is None:
            break
        kills.append(stage)
    harness.run("refine", "--run", run, *line, log=log)
    tokens = int(simulator.stats()["completion_tokens"])
    wall_s = time.monotonic() - began
    return Killed(moments, kills, tokens, tokens / calm.tokens, wall_s, _wrong(run, calm.run))


def _kill_at(moment: int, run: str, line: list[str], simulator: Simulator, log: Path) -> str | None:
    """Start the round and kill it when so many tokens are spent; the stage it was in.

    A round that comes up later than that is killed once it has asked for something. None where
    it ended before.
    """
    before = simulator.stats()["completion_tokens"]
    process = harness.start("refine", "--run", run, *line, log=log)
    try:
        while (spent := simulator.stats()["completion_tokens"]) < moment or spent == before:
            if process.poll() is not None:
                if process.returncode:
                    raise JobFailed(
                        f"the round ended with {process.returncode}:\n{log.read_text()[-2000:]}"
                    )
                return None
            time.sleep(_POLL_S)
    finally:
        process.kill()
        process.wait()
    return _stage(run)


def _stage(run: str) -> str:
    """The stage that a killed round was in: its work files are still there."""
    fs, root = fsspec.core.url_to_fs(run)
    fs.invalidate_cache()
    files = fs.glob(f"{root}/_work/*/*/*/*.parquet")
    return str(max(files, key=fs.modified).split("/")[-3]) if files else "between"


def _counts(stages: Sequence[str]) -> str:
    return ", ".join(f"{stage} {stages.count(stage)}" for stage in dict.fromkeys(stages))


def _wrong(run: str, calm: Path) -> list[str]:
    """What tells the tables from those of the undisturbed run, and what they hold twice."""
    wrong = kills_on_clock.twice(run)
    for table in TABLES:
        query = f"select count(*), bit_xor(hash(t)) from {table} t"
        if harness.query(run, query) != harness.query(calm, query):
            wrong.append(f"{table} differ")
    return wrong


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--kills", type=int, help=f"({KILLS}; {EVERYWHERE_KILLS} everywhere)")
    parser.add_argument("--everywhere", action="store_true", help="in all ways to run the round")
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--speed", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--url", help="of a server that runs already, with /stats and /reset: kills on the clock"
    )
    parser.add_argument(
        "--every", type=float, nargs=2, default=(8, 22), help="with --url: seconds up to a kill"
    )
    o = parser.parse_args(argv)
    kills = o.kills or (EVERYWHERE_KILLS if o.everywhere else KILLS)
    if o.url:
        made = kills_on_clock.measure(
            o.url, o.prompts, kills, tuple(o.every), slots=o.slots, seed=o.seed
        )
    else:
        killing = everywhere if o.everywhere else measure
        made = killing(o.prompts, kills, slots=o.slots, speed=o.speed, seed=o.seed)
    sys.stdout.write(report.markdown(made.columns, made.rows) + "\n")


if __name__ == "__main__":
    main()
