"""A fleet: many prompts on many engines, some slow, all of them now and then taken away.

Past what any machine here can run, so it is simulated: engines take work files from a queue, one
after another. An engine that is taken away loses what it had in progress and not committed; the
rest of its file goes to whoever is free, and another engine comes in its place. What a file takes
by itself is gone through request by request (`spar_core.costs`), with what is assumed there.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from benchmarks import report
from benchmarks.report import Report
from spar_core.costs import assumed
from spar_core.costs.assumed import Assumptions, Bounds
from spar_core.costs.batching import IN_PROGRESS
from spar_core.costs.prediction import ROUND, Measured, Model, Width, learn, seconds
from spar_core.costs.taken import STAGES

FILES = (32, 64, 128, 256, 512, 1024, 3907)
"""Prompts a work file; the last is a million in 256 buckets."""

_HOUR = 3600.0
_SEEDS = 9


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is simulated.

    slots: of an engine. lives_h: hours after which an engine is taken away, on the average.
    replaced_s: seconds until another is there, its model loaded. slow_share: of the engines that
    are `slow` times as fast as the others, which differ by a few percent.
    commit_s: what is done leaves so often.
    """

    prompts: int = 1_000_000
    engines: int = 64
    slots: int = 256
    lives_h: float = 12.0
    replaced_s: float = 600.0
    slow_share: float = 0.05
    slow: float = 0.5
    commit_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a simulation: hours from the first request to the last, and shares of the engines' hours.

    lost: to what was taken away. drained: to slots that a file's end left empty. idle: at the end,
    with no file left.
    """

    wall_h: float
    engine_h: float
    lost: float
    drained: float
    idle: float


@dataclass(frozen=True, slots=True)
class Pace:
    """How long prompts take an engine that does nothing else.

    full: a prompt among many, in seconds. alone: so many prompts by themselves.
    """

    full: float
    alone: dict[int, float]

    @classmethod
    def of(cls, model: Model, slots: int, sizes: Sequence[int]) -> Pace:
        width = Width(slots, together=True)
        most = 64 * IN_PROGRESS * slots
        long, longer = (seconds(model, n, width)[ROUND] for n in (most, 2 * most))
        alone = {n: seconds(model, n, width)[ROUND] for n in sizes}
        return cls((longer - long) / most, alone)

    def drain(self, prompts: int) -> float:
        """What a file's beginning and end cost by themselves."""
        return max(0.0, self.alone[prompts] - prompts * self.full)


@dataclass(frozen=True, slots=True)
class _Engine:
    """One that was there from `since` until `dies`, in seconds."""

    speed: float
    since: float
    dies: float


@dataclass(slots=True)
class _Run:
    """A simulation in progress; times in seconds.

    files: by the prompts that are left in them. free: the engines by when they are. last: when
    each did its last work.
    """

    fleet: Fleet
    pace: Pace
    size: int
    is_drained: bool
    drawn: random.Random
    files: deque[float]
    free: list[tuple[float, int]] = field(default_factory=list)
    engines: dict[int, _Engine] = field(default_factory=dict)
    last: dict[int, float] = field(default_factory=dict)
    away: float = 0.0
    lost: float = 0.0
    drained: float = 0.0

    def start(self, number: int, now: float) -> None:
        """An engine is there, as fast as it happens to be, for as long as it lives."""
        is_slow = self.drawn.random() < self.fleet.slow_share
        speed = self.fleet.slow if is_slow else self.drawn.uniform(0.95, 1.05)
        lives = self.drawn.expovariate(1 / (self.fleet.lives_h * _HOUR))
        self.engines[number] = _Engine(speed, now, now + lives)
        heapq.heappush(self.free, (now, number))

    def take(self, now: float, number: int) -> float:
        """Do a file, or what can be done of it; returns when the engine stopped."""
        prompts, engine = self.files.popleft(), self.engines[number]
        drain = self.pace.drain(self.size) if self.is_drained else 0.0
        takes = (prompts * self.pace.full + drain) / engine.speed
        self.last[number] = min(now + takes, engine.dies)
        if now + takes <= engine.dies:
            self.drained += drain / engine.speed
            heapq.heappush(self.free, (now + takes, number))
        else:
            self._die(engine, prompts, (engine.dies - now) * engine.speed)
            self.away += self.fleet.replaced_s
            self.start(number, engine.dies + self.fleet.replaced_s)
        return self.last[number]

    def _die(self, engine: _Engine, prompts: float, worked: float) -> None:
        """Half of what is in progress is done, and of what is finished not all is committed."""
        window = IN_PROGRESS * self.fleet.slots
        since = (engine.dies - engine.since) * engine.speed
        half = (min(prompts, window) if self.is_drained else window) / 2 * self.pace.full
        lost = min(worked if self.is_drained else since, half + self.fleet.commit_s / 2)
        self.lost += lost / engine.speed
        left = max(0.0, prompts - (worked - lost) / self.pace.full)
        while left > 0:
            self.files.append(min(left, self.size))
            left -= self.size


def simulate(fleet: Fleet, pace: Pace, size: int, *, is_drained: bool, seed: int = 0) -> Outcome:
    """Do all prompts in files of a size.

    Args:
        is_drained: whether an engine begins a file when the one before is done, not as it runs
            empty.
    """
    count, rest = divmod(fleet.prompts, size)
    files = deque([float(size)] * count + [float(rest)] * bool(rest))
    run = _Run(fleet, pace, size, is_drained, random.Random(f"fleet {seed}"), files)
    for engine in range(fleet.engines):
        run.start(engine, 0.0)
    busy: list[float] = []
    while run.files or any(end > run.free[0][0] for end in busy):
        now, engine = heapq.heappop(run.free)
        if run.files:
            busy = [end for end in busy if end > now] + [run.take(now, engine)]
        else:  # a file may come back yet
            heapq.heappush(run.free, (min(end for end in busy if end > now), engine))
    wall = max(run.last.values())
    hours = fleet.engines * wall - run.away
    idle = sum(wall - end for end in run.last.values())
    return Outcome(wall / _HOUR, hours / _HOUR, run.lost / hours, run.drained / hours, idle / hours)


FLEET = Fleet()


def measure(fleet: Fleet = FLEET, sizes: Sequence[int] = FILES, seeds: int = _SEEDS) -> Report:
    """Simulate files of several sizes, drained and not; of several seeds the medians."""
    machine, held = report.machine(), Assumptions()
    some = assumed.taken(held, Bounds(responses=5, votes=5), STAGES)
    model = learn(
        Measured(len(some), some),
        Width(fleet.slots, together=True),
        assumed.clock(held.engine, fleet.slots),
    )
    pace = Pace.of(model, fleet.slots, sizes)
    ideal = fleet.prompts * pace.full / fleet.engines / _HOUR
    rows: list[list[object]] = []
    for is_drained in (True, False):
        for size in sizes:
            found = [
                simulate(fleet, pace, size, is_drained=is_drained, seed=seed)
                for seed in range(seeds)
            ]
            rows.append(
                [
                    "waits for its end" if is_drained else "fills its gaps",
                    size,
                    _median(each.wall_h for each in found),
                    round(_median(each.engine_h for each in found)),
                    _median(each.wall_h for each in found) / ideal,
                    *(
                        f"{_median(getattr(each, name) for each in found):.1%}"
                        for name in ("lost", "drained", "idle")
                    ),
                ]
            )
    where = (
        f"{fleet.prompts:,} prompts, {fleet.engines} engines of {fleet.slots} slots, "
        f"{ideal:.2f} h at best"
    )
    return Report(
        "fleet",
        f"A fleet: {where}",
        (
            "the next file",
            "prompts a file",
            "hours",
            "engine hours",
            "over the best",
            "lost to preemption",
            "drained",
            "idle at the end",
        ),
        rows,
        [],
        {"machine": machine, "fleet": asdict(fleet), "assumed": asdict(held), "rows": rows},
    )


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    for name, value in asdict(FLEET).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    parser.add_argument("--seeds", type=int, default=_SEEDS)
    o = parser.parse_args(argv)
    fleet = Fleet(**{name: getattr(o, name) for name in asdict(FLEET)})
    made = measure(fleet, seeds=o.seeds)
    sys.stdout.write(f"{made.title}\n\n{report.markdown(made.columns, made.rows)}\n")


if __name__ == "__main__":
    main()
