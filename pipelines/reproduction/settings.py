"""The settings of a reproduction: one YAML file a scale, read into a dataclass and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from terminal.exits import UsageError

SCALES = ("cpu", "gpu", "8b")

Options = Mapping[str, Any]
"""Options of a command by name: `responses: 3` is `--responses 3`, `stop_level: true` a flag,
`loss_weights: [1.0, 0.1]` an option with two values."""

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Kinds:
    """Kinds of constraints by the ids of their checkers: those trained on, and those held out."""

    taught: list[str]
    unseen: list[str]


@dataclass(frozen=True, slots=True)
class Prompts:
    """Numbers of prompts: for the bootstrap, for each iteration, and of each evaluated set."""

    bootstrap: int
    iteration: int
    validation: int
    taught: int
    unseen: int
    validation_unseen: int


@dataclass(frozen=True, slots=True)
class Trainings:
    """Arguments of the trainings."""

    sft_actor: Options
    sft_refiner: Options
    dpo: Options
    rft: Options


@dataclass(frozen=True, slots=True)
class Comparison:
    """Another way to the next actor, at the same prompts.

    iterations: how many of the main line's it does. one_round: whether it does the prompts of all
    of them in its first. options: of its data rounds, beside those of the main line.
    """

    iterations: int = 1
    one_round: bool = False
    method: str = "spar"
    options: Options = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refiners:
    """How refiners are measured: by votes on responses to held-out prompts, and by refinements."""

    prompts: int
    responses: int
    votes: int


@dataclass(frozen=True, slots=True)
class Decoding:
    """Decoders at inference: each at each number of responses, on some of the held-out prompts."""

    prompts: int
    votes: int
    decoders: list[str]
    responses: list[int]


@dataclass(frozen=True, slots=True)
class Rates:
    """What a dry run reckons with.

    parameters: of the model, in billions. engine_tokens_s: completion tokens a second of an engine
    with all slots in use. start_s: of an engine. training_tokens_s: of a training. gpus: of the
    machine, 0 where it has none. gpu_hour: the price of one for an hour.
    answer, vote, refinement: completion tokens.
    """

    parameters: float
    engine_tokens_s: float
    start_s: float
    training_tokens_s: float
    gpus: int
    gpu_hour: float
    answer: float
    vote: float
    refinement: float


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a reproduction depends on.

    about: what the scale is for, and by what means it fits. engine: options of all jobs that ask a
    model. models: those to begin with, as options of `pipelines.iterate`; none for the bundled
    ones. launch: the program that starts trainings; `{python}` is this Python. instructions: files
    of plain instructions to evolve, heldout: of others for what is evaluated on; "" for the bundled
    ones. whole_seeds: how many of the seeds do all comparisons; the others do the main line and
    `independent` alone. ifeval, general: the models that are
    evaluated so, `base`, `bootstrap` and `last`.
    """

    about: str
    engine: Options
    models: Options
    launch: str
    instructions: str
    heldout: str
    kinds: Kinds
    more: int
    prompts: Prompts
    iterations: int
    whole_seeds: int
    bootstrap: Options
    round: Options
    trainings: Trainings
    comparisons: dict[str, Comparison]
    evaluate: Options
    refiners: Refiners
    decoding: Decoding
    ifeval: list[str]
    general: dict[str, int]
    rates: Rates


def path_of(scale: str) -> Path:
    """The settings file of a scale."""
    return _FOLDER / f"{scale}.yaml"


def read(path: Path) -> tuple[Settings, dict[str, Any]]:
    """Read a settings file; the second is its content as plain values.

    Raises:
        UsageError: the file cannot be read, or a setting is missing, unknown or of another type.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} is no YAML: {reason}") from None
    return _made(Settings, content, str(path), ""), content


def _made(kind: type, value: Any, path: str, place: str) -> Any:
    """A dataclass of a mapping, with those in it."""
    if not isinstance(value, dict):
        raise UsageError(f"{path}: {place or 'it'} must be a mapping, not {value!r}")
    known = {each.name: each for each in fields(kind)}
    where = f"{place}." if place else ""
    for name in value:
        if name not in known:
            raise UsageError(
                f"{path}: no setting {where}{name}; there are {', '.join(sorted(known))}"
            )
    types = get_type_hints(kind)
    made = {}
    for name, each in known.items():
        if name in value:
            made[name] = _value(types[name], value[name], path, f"{where}{name}")
        elif each.default is MISSING and each.default_factory is MISSING:
            raise UsageError(f"{path}: {where}{name} is missing")
    return kind(**made)


def _value(kind: Any, value: Any, path: str, place: str) -> Any:
    if hasattr(kind, "__dataclass_fields__"):
        return _made(kind, value, path, place)
    if kind == Options:
        return _mapping(value, path, place)
    of: tuple[Any, ...] = getattr(kind, "__args__", ())
    if getattr(kind, "__origin__", None) is dict:
        found = _mapping(value, path, place)
        return {name: _value(of[1], each, path, f"{place}.{name}") for name, each in found.items()}
    if of:
        if not isinstance(value, list):
            raise UsageError(f"{path}: {place} must be a list, not {value!r}")
        return [_value(of[0], each, path, f"{place}[{n}]") for n, each in enumerate(value)]
    return _plain(kind, value, path, place)


def _mapping(value: Any, path: str, place: str) -> dict[str, Any]:
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return value
    raise UsageError(f"{path}: {place} must be a mapping, not {value!r}")


_WANTED = {
    int: "a whole number from 0",
    float: "a number",
    str: "a text",
    bool: "true or false",
}


def _plain(kind: type, value: Any, path: str, place: str) -> Any:
    is_flag = isinstance(value, bool)
    if kind is float and isinstance(value, (int, float)) and not is_flag:
        return float(value)
    is_below = kind is int and isinstance(value, int) and value < 0
    if not isinstance(value, kind) or is_flag != (kind is bool) or is_below:
        raise UsageError(f"{path}: {place} must be {_WANTED[kind]}, not {value!r}")
    return value


def words(options: Options) -> list[str]:
    """Options as the words of a command line; a flag that is false is left out."""
    given: list[str] = []
    for name, value in options.items():
        if value is True:
            given.append(f"--{name}")
        elif value is not False:
            values = value if isinstance(value, list) else [value]
            given += [f"--{name}", *map(str, values)]
    return given
