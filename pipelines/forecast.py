"""A plan in words and tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from pipelines.costing import Rows
from spar_core.costs.prediction import (
    COUNTS,
    ROUND,
    Model,
    Prediction,
    Range,
    Width,
    changed,
    predict,
)
from spar_core.costs.savings import with_options
from spar_core.costs.taken import Taken
from spar_core.preference import RFT_CAPS
from spar_core.voting import JudgeSettings
from terminal.console import Console
from terminal.text import as_table

_HOUR = 3600.0
_GIGA = 1e9


@dataclass(frozen=True, slots=True)
class Asked:
    """What a plan is for.

    prompts: that are left to do, dealt to `iterations` where there are any. engines: numbers of
    engines. price: of an engine's hour. savings: options that are off.
    step_s: seconds of a step, by training; None where nobody knows. devices: that train.
    """

    prompts: int
    width: Width
    engines: tuple[int, ...]
    price: float | None
    savings: tuple[str, ...]
    voting: JudgeSettings
    iterations: int
    step_s: Mapping[str, float | None]
    devices: int

    @property
    def rounds(self) -> int:
        return self.iterations or 1


@dataclass(frozen=True, slots=True)
class Source:
    """What a plan is made from: in words, and the rows of the prompts."""

    said: str
    rows: Rows
    is_measured: bool


@dataclass(frozen=True, slots=True)
class Training:
    """A training of an iteration. batch: examples a device and step, all epochs gone through."""

    name: str
    examples: float
    batch: int
    epochs: int

    def steps(self, devices: int) -> int:
        return math.ceil(self.examples / (self.batch * devices)) * self.epochs


def show(model: Model, asked: Asked, source: Source, out: Console) -> None:
    """Print what the prompts that are left will take."""
    out.print(f"\n{source.said}", markup=False)
    if not asked.prompts:
        out.print("Nothing is left to do.")
        return
    range_ = "nine times of ten" if source.is_measured else "with half and twice the tokens"
    clock, slots = model.clock, asked.width.slots
    rate = slots / (clock.step + clock.sequence * slots)
    out.print(
        f"An engine with all its {slots} slots in use gives {_short(rate)} tokens/s. In brackets: "
        f"{range_}.\n",
        markup=False,
    )
    trainings = _trainings(asked, source.rows)
    training_s = sum(
        each.steps(asked.devices) * (asked.step_s[each.name] or 0.0) for each in trainings
    )
    found = {n: _of_rounds(model, asked, replace(asked.width, engines=n)) for n in asked.engines}
    first = found[asked.engines[0]]
    what = f"{asked.prompts:,} prompts"
    what += f" in {asked.iterations} iterations" if asked.iterations else ""
    out.print(as_table(*_stages(first, asked.engines[0]), f"What is left: {what}, by stage"))
    out.print(as_table(*_engines(found, asked, training_s), "Engines"))
    out.print(as_table(*_savings(model, asked, first), "Options that would save"))
    if source.rows.bytes_per_token:
        size = first.total["completion_tokens"].times(source.rows.bytes_per_token / _GIGA)
        out.print(f"Disk: about {_ranged(size)} GB.", markup=False)
    for each in trainings:
        out.print(_trained(each, asked), markup=False)


def _of_rounds(model: Model, asked: Asked, width: Width) -> Prediction:
    """The rounds of all iterations, one after another."""
    prompts = max(1, round(asked.prompts / asked.rounds))
    one, rounds = predict(model, prompts, width), asked.prompts / prompts
    return Prediction(
        {
            stage: {name: each.times(rounds) for name, each in of.items()}
            for stage, of in one.counts.items()
        },
        {name: each.times(rounds) for name, each in one.seconds.items()},
        {name: each.times(rounds) for name, each in one.total.items()},
        one.wall.times(rounds),
    )


_Table = tuple[list[str], list[list[str]]]


def _stages(found: Prediction, engines: int) -> _Table:
    """Counts by stage; hours of the engines too, where stages come one after another."""
    columns = ["stage", "requests", "prompt tokens", "completion tokens", "engine hours"]
    rows = [
        [
            stage,
            *(_ranged(of[name]) for name in COUNTS),
            _ranged(found.seconds[stage].times(engines / _HOUR)) if stage in found.seconds else "",
        ]
        for stage, of in found.counts.items()
    ]
    values = list(found.seconds.values())
    busy = (
        _ranged(values[0].times(engines / _HOUR))
        if ROUND in found.seconds
        else _ranged(
            Range(
                sum(each.value for each in values),
                sum(each.low for each in values),
                sum(each.high for each in values),
            ).times(engines / _HOUR)
        )
    )
    rows.append(["all", *(_ranged(found.total[name]) for name in COUNTS), busy])
    return columns, rows


def _engines(found: Mapping[int, Prediction], asked: Asked, training_s: float) -> _Table:
    """Time and money with so many engines; what is trained meanwhile holds them too."""
    columns = ["engines", "time", "engine hours"]
    columns += ["money"] if asked.price is not None else []
    rows = []
    for count, each in found.items():
        wall = each.wall.plus(asked.rounds * training_s)
        hours = wall.times(count / _HOUR)
        money = [] if asked.price is None else [_ranged(hours.times(asked.price))]
        rows.append([str(count), _lasting(wall), _ranged(hours), *money])
    return columns, rows


def _savings(model: Model, asked: Asked, default: Prediction) -> _Table:
    """What options would save with the first number of engines."""
    width = replace(asked.width, engines=asked.engines[0])
    columns = ["option", "completion tokens", "time"]
    columns += ["money"] if asked.price is not None else []
    each_alone = [(name,) for name in asked.savings]
    several = [asked.savings] if len(asked.savings) > 1 else []
    rows = []
    for options in [*each_alone, *several]:
        found = _of_rounds(changed(model, _with(options, asked.voting)), asked, width)
        tokens = found.total["completion_tokens"].value - default.total["completion_tokens"].value
        wall = found.wall.value - default.wall.value
        money = wall / _HOUR * width.engines * (asked.price or 0.0)
        rows.append(
            [
                " ".join(options),
                f"{_short(tokens)} ({tokens / default.total['completion_tokens'].value:+.0%})",
                f"{wall / default.wall.value:+.0%}",
                *([] if asked.price is None else [_short(money)]),
            ]
        )
    return columns, rows


def _with(options: tuple[str, ...], voting: JudgeSettings) -> Callable[[Taken], Taken]:
    return partial(with_options, options=options, votes=voting.votes, quorum=voting.quorum)


def _trainings(asked: Asked, rows: Rows) -> list[Training]:
    """The trainings of an iteration, with the batches of docs/training.md."""
    if not asked.iterations:
        return []
    share = asked.prompts / asked.iterations / rows.prompts
    pairs, samples = rows.pairs * share, min(rows.samples * share, sum(RFT_CAPS.values()))
    return [Training("dpo", pairs, 4, 1), Training("rft", samples, 8, 5)]


def _trained(training: Training, asked: Asked) -> str:
    steps, step_s = training.steps(asked.devices), asked.step_s[training.name]
    said = f"training.{training.name}: about {training.examples:,.0f} examples and {steps:,} steps "
    said += "an iteration"
    if step_s is None:
        return f"{said}; its time is left out: give --{training.name}_step_s"
    return f"{said}, {_duration(steps * step_s)}, in the time above"


def _ranged(range_: Range) -> str:
    return f"{_short(range_.value)} ({_short(range_.low)}–{_short(range_.high)})"


def _lasting(range_: Range) -> str:
    return f"{_duration(range_.value)} ({_duration(range_.low)}–{_duration(range_.high)})"


def _short(value: float) -> str:
    """A number with three digits that count."""
    size = abs(value)
    for unit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= unit:
            scaled = value / (1e3 if letter == "k" else unit)
            return f"{_digits(scaled)}{letter}"
    return _digits(value)


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(places, 4)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{_digits(seconds / 60)} min"
    return f"{_digits(seconds / _HOUR)} h"
