"""What many prompts will take, from what some took: with the range that so few leave open."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from spar_core.costs.batching import Clock, Span, batch
from spar_core.costs.fitting import fit
from spar_core.costs.taken import STAGES, Request, Steps, Taken

ROUND = "round"
"""What all stages are called where prompts are taken through them together."""

COUNTS = ("requests", "prompt_tokens", "completion_tokens")

_DRAWS = 2_000
_LOW, _HIGH = 0.05, 0.95
_SIMULATED = 150_000
"""Sequences of a stage that are gone through; the others find the engine as full as these."""
_FILLINGS = 8
"""So often these fill the slots at least."""

Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Range:
    """What is expected, and between what it lies nine times of ten."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Range:
        return Range(self.value * factor, self.low * factor, self.high * factor)

    def plus(self, more: float) -> Range:
        return Range(self.value + more, self.low + more, self.high + more)


@dataclass(frozen=True, slots=True)
class Used:
    """What the engines were asked in a stage, retries and what failed included; seconds busy."""

    requests: float
    prompt_tokens: float
    completion_tokens: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What prompts took.

    prompts: how many. taken: of all of them, or of some. used: by stage, of all; empty where it is
    assumed. outside_s: of the job, while it asked no engine.
    """

    prompts: int
    taken: tuple[Taken, ...]
    used: Mapping[str, Used] = field(default_factory=dict)
    outside_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Width:
    """How the engines are asked.

    slots: of each engine. stages: those that ask any. together: whether prompts are taken through
    all stages at once.
    """

    slots: int
    stages: tuple[str, ...] = STAGES
    engines: int = 1
    together: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """What was learnt from some prompts.

    corrections: by stage, what the clock leaves unexplained of the time that was measured.
    """

    measured: Measured
    clock: Clock
    corrections: Mapping[str, float]


def learn(measured: Measured, width: Width, clock: Clock | None = None) -> Model:
    """Learn from what was measured.

    Args:
        width: with which it was measured. clock: where it is known; else it is fitted.
    """
    slots = width.slots * width.engines
    busy: dict[str, Span] = {}
    for items in _jobs(measured.taken, width).values():
        busy |= batch(items, slots).busy
    seconds = {name: used.seconds for name, used in measured.used.items()}
    # A sample of many prompts is as long busy as it is large.
    share = len(measured.taken) / measured.prompts
    seconds = {name: share * each for name, each in seconds.items()}
    found = clock or fit(busy, seconds, width.engines)
    fitted = {name: span.seconds(found, width.engines) for name, span in busy.items()}
    known = [name for name in fitted if seconds.get(name) and fitted[name]]
    corrections = {name: seconds[name] / fitted[name] for name in known} if not clock else {}
    if width.together and corrections:
        whole = sum(seconds[n] for n in known) / sum(fitted[n] for n in known)
        corrections = dict.fromkeys(known, whole)
    return Model(measured, found, corrections)


def changed(model: Model, change: Callable[[Taken], Taken]) -> Model:
    """What would have been learnt if the same prompts had taken something else."""
    before = model.measured
    after = tuple(map(change, before.taken))
    used = {}
    for stage, of in before.used.items():
        was, now = _sum(before.taken, stage), _sum(after, stage)
        requests, asked, told = (n / w if w else 1.0 for w, n in zip(was, now, strict=True))
        used[stage] = Used(
            of.requests * requests,
            of.prompt_tokens * asked,
            of.completion_tokens * told,
            of.seconds,
        )
    return replace(model, measured=replace(before, taken=after, used=used))


@dataclass(frozen=True, slots=True)
class Prediction:
    """What prompts will take: counts by stage, and seconds from the first request to the last.

    wall: with what the job takes beside it.
    """

    counts: dict[str, dict[str, Range]]
    seconds: dict[str, Range]
    total: dict[str, Range]
    wall: Range


def predict(model: Model, prompts: int, width: Width, *, seed: int = 0) -> Prediction:
    """Predict what so many prompts take with engines of a width."""
    found = _counted(model.measured, width.stages)
    drawn = _drawn(found, prompts, seed)
    means = prompts * found.mean(axis=0)
    ranged = _range if model.measured.used else _twice
    counts = {
        stage: {name: ranged(means[i, j], drawn[:, i, j]) for j, name in enumerate(COUNTS)}
        for i, stage in enumerate(width.stages)
    }
    total = {
        name: ranged(means[:, j].sum(), drawn[:, :, j].sum(axis=1)) for j, name in enumerate(COUNTS)
    }
    times = seconds(model, prompts, width)
    tokens, mean = drawn[:, :, -1], means[:, -1]
    decoded = {s: tokens[:, i] / max(mean[i], 1) for i, s in enumerate(width.stages)}
    decoded[ROUND] = tokens.sum(axis=1) / max(mean.sum(), 1)
    spread = {name: each * decoded[name] for name, each in times.items()}
    return Prediction(
        counts,
        {name: ranged(each, spread[name]) for name, each in times.items()},
        total,
        ranged(sum(times.values()), sum(spread.values(), np.zeros(1))).plus(
            model.measured.outside_s
        ),
    )


def seconds(model: Model, prompts: int, width: Width) -> dict[str, float]:
    """How long the engines are busy: by stage, or under `round` where all go together."""
    taken = model.measured.taken
    factor = {stage: model.corrections.get(stage, 1.0) for stage in width.stages}
    factor[ROUND] = factor[width.stages[-1]]
    some = _as_many(taken, min(prompts, _simulated(taken, width)))
    whole = _jobs(taken, width)
    return {
        name: factor[name]
        * _seconds(
            items,
            prompts / len(taken) * _tokens(whole[name]) / max(1, _tokens(items)),
            width,
            model.clock,
        )
        for name, items in _jobs(some, width).items()
    }


def _tokens(items: Sequence[Steps]) -> int:
    return sum(sum(request.answers) for steps in items for step in steps for request in step)


def _seconds(items: Sequence[Steps], share: float, width: Width, clock: Clock) -> float:
    """How long so many times these items take; those beyond them find full engines."""
    slots = width.slots * width.engines
    whole = batch(items, slots).whole
    more = (share - 1) * (whole.tokens * clock.step / slots + _shared(whole, width, clock))
    return whole.seconds(clock, width.engines) + more


def _shared(whole: Span, width: Width, clock: Clock) -> float:
    taken = clock.sequence * whole.tokens + clock.prompt_token * whole.prompt_tokens
    return taken / width.engines


def _jobs(taken: Sequence[Taken], width: Width) -> dict[str, list[Steps]]:
    """The items of each stage, or of all stages as one."""
    if width.together:
        return {ROUND: [each.through(width.stages) for each in taken]}
    return {
        stage: [steps for each in taken for steps in each.items(stage)] for stage in width.stages
    }


def _simulated(taken: Sequence[Taken], width: Width) -> int:
    """How many prompts are gone through at most."""
    sequences = max(
        sum(len(request.answers) for each in taken for request in each.requests(stage))
        for stage in width.stages
    )
    wanted = max(_SIMULATED, _FILLINGS * width.slots * width.engines)
    return max(len(taken), round(wanted * len(taken) / max(1, sequences)))


def _as_many(taken: Sequence[Taken], prompts: int) -> list[Taken]:
    """So many prompts like these, each as often as any other, give or take one."""
    return list(itertools.islice(itertools.cycle(taken), max(1, prompts)))


def _counted(measured: Measured, stages: Sequence[str]) -> Counts:
    """What each of the prompts took, by stage and name: [prompt, stage, count].

    Scaled to what was used of the engines in all, retries and what was given up included.
    """
    kept = np.array(
        [[_of(list(each.requests(stage))) for stage in stages] for each in measured.taken],
        dtype=np.float64,
    )
    for number, stage in enumerate(stages):
        used = measured.used.get(stage)
        if used is None or not used.requests:
            continue
        spent = np.array([getattr(used, name) for name in COUNTS]) / measured.prompts
        mean = kept[:, number].mean(axis=0)
        kept[:, number] *= np.divide(spent, mean, out=np.ones_like(mean), where=mean > 0)
    return kept


def _of(requests: Sequence[Request]) -> tuple[int, int, int]:
    return (
        len(requests),
        sum(request.prompt_tokens for request in requests),
        sum(sum(request.answers) for request in requests),
    )


def _sum(taken: Sequence[Taken], stage: str) -> tuple[int, int, int]:
    return _of([request for each in taken for request in each.requests(stage)])


def _drawn(found: Counts, prompts: int, seed: int) -> Counts:
    """What so many prompts may take, drawn many times: [draw, stage, count].

    These are drawn from prompts that are themselves drawn from those that were measured.
    """
    random = np.random.default_rng(seed)
    held = len(found)
    shares = random.multinomial(held, np.full(held, 1 / held), size=_DRAWS) / held
    often = random.multinomial(prompts, shares)
    drawn: Counts = np.einsum("dp,psc->dsc", often.astype(np.float64), found)
    return drawn


def _range(value: float, drawn: Counts) -> Range:
    low, high = np.quantile(drawn, (_LOW, _HIGH))
    return Range(float(value), float(low), float(high))


def _twice(value: float, _: Counts) -> Range:
    """Of what is assumed: half of it, and twice as much."""
    return Range(float(value), float(value) / 2, float(value) * 2)
