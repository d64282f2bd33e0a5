"""`RUN/reproduction.json`: the steps and evaluations that `pipelines.reproduce` has done so far."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from terminal.exits import InputError

FILE = "reproduction.json"

TAUGHT, UNSEEN, IFEVAL = "taught", "unseen", "ifeval"
VALIDATION, VALIDATION_UNSEEN = "validation", "validation_unseen"
AGREEMENT, REFINEMENT, DECODING, PERPLEXITY = "agreement", "refinement", "decoding", "perplexity"
OWN_MEASURES = frozenset(
    {
        TAUGHT,
        UNSEEN,
        IFEVAL,
        VALIDATION,
        VALIDATION_UNSEEN,
        AGREEMENT,
        REFINEMENT,
        DECODING,
        PERPLEXITY,
    }
)
"""Measures with a meaning of their own. A measure of any other name is one of general ability."""

BASE, BOOTSTRAP, SPAR = "base", "bootstrap", "spar"
SELF_REWARDING, META_REWARDING, INDEPENDENT = "self_rewarding", "meta_rewarding", "independent"
GREEDY_TREES, ONE_ROUND = "greedy", "one_round"
REPORT, VETO, DECIDE = "report", "veto", "decide"
"""Lines named for what a data round makes of the program's word; the main line has one of them."""

GREEDY = "greedy"
"""The decoder of every measure except `decoding`."""

_MOST_ITERATIONS = 100
_NAME_CHARS = 80
_LARGEST = 1e12


@dataclass(frozen=True, slots=True)
class Case:
    """What was measured: the model of a line and an iteration, answering by a decoder.

    line: which way the model was trained, e.g. `spar` or `independent`.
    iteration: the one that made the model; 0 for the base and the bootstrap model.
    responses: how many responses the decoder may generate for a prompt.
    """

    measure: str
    line: str
    iteration: int
    decoder: str = GREEDY
    responses: int = 1


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """One evaluation that is done, and where its rows are.

    path: the run that holds the rows; of perplexity, the JSON file. It lies inside the
        reproduction's folder. benchmark, variant: of the rows in that run.
    """

    case: Case
    seed: int
    path: Path
    variant: str
    benchmark: str


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the reproduction that is done, and how long it took."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What a reproduction has done so far.

    command: the command line that started it; empty where the file does not say it.
    """

    scale: str
    settings: Mapping[str, Any]
    steps: Sequence[Step]
    evaluations: Sequence[EvaluationRecord]
    command: Sequence[str] = ()

    @property
    def seeds(self) -> list[int]:
        """The seeds with at least one evaluation."""
        return sorted({record.seed for record in self.evaluations})


def read(run: Path) -> Reproduction:
    """Read and validate a reproduction's file.

    Raises:
        InputError: the file is missing or is not valid JSON, a value has the wrong type, a path
            leaves the reproduction's folder, or two evaluations are of the same case and seed.
    """
    path = run / FILE
    try:
        text = path.read_bytes()
    except (OSError, ValueError):
        raise InputError(
            f"no reproduction at {run}: {FILE} cannot be read there "
            "(python -m pipelines.reproduce makes one)"
        ) from None
    try:
        loaded = json.loads(text, parse_constant=_refused_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None
    return _reproduction(run, _Field(str(path), loaded))


@dataclass(frozen=True, slots=True)
class _Field:
    """A value of the file and its place, which error messages name."""

    place: str
    value: Any

    def __getitem__(self, key: str) -> _Field:
        return _Field(f"{self.place}: {key}", self.mapping().get(key))

    def get(self, key: str, default: Any) -> _Field:
        return _Field(f"{self.place}: {key}", self.mapping().get(key, default))

    def fail(self, wanted: str) -> NoReturn:
        shown = json.dumps(self.value, default=str)[:_NAME_CHARS]
        raise InputError(f"{self.place} is {shown}, not {wanted}")

    def mapping(self) -> Mapping[str, Any]:
        if not isinstance(self.value, dict):
            self.fail("an object")
        return self.value

    def items(self) -> list[_Field]:
        if not isinstance(self.value, list):
            self.fail("a list")
        return [_Field(f"{self.place}[{n}]", each) for n, each in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str):
            self.fail("text")
        return self.value

    def name(self) -> str:
        if not self.text().strip() or len(self.text()) > _NAME_CHARS:
            self.fail(f"a name of 1 to {_NAME_CHARS} characters")
        return self.text()

    def count(self, least: int = 0, most: int = 1_000_000) -> int:
        is_count = isinstance(self.value, int) and not isinstance(self.value, bool)
        if not is_count or not least <= self.value <= most:
            self.fail(f"a whole number from {least} to {most}")
        return int(self.value)

    def seconds(self) -> float:
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not is_number or not 0 <= self.value < _LARGEST:
            self.fail("a number of seconds")
        return float(self.value)


def _refused_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _reproduction(run: Path, file: _Field) -> Reproduction:
    evaluations = [_evaluation(run, each) for each in file.get("evaluations", []).items()]
    seen: set[tuple[Case, int]] = set()
    for number, record in enumerate(evaluations):
        if (record.case, record.seed) in seen:
            raise InputError(
                f"{file.place}: evaluations[{number}] is of the same measure, line, iteration, "
                "decoder and seed as one before it"
            )
        seen.add((record.case, record.seed))
    return Reproduction(
        scale=file["scale"].name(),
        settings=file.get("settings", {}).mapping(),
        steps=[
            Step(step["name"].text(), step["seconds"].seconds())
            for step in file.get("steps", []).items()
        ],
        evaluations=evaluations,
        command=[word.text() for word in file.get("command", []).items()],
    )


def _evaluation(run: Path, row: _Field) -> EvaluationRecord:
    case = Case(
        measure=row["measure"].name(),
        line=row["line"].name(),
        iteration=row["iteration"].count(0, _MOST_ITERATIONS),
        decoder=row.get("decoder", GREEDY).name(),
        responses=row.get("responses", 1).count(1),
    )
    is_file = case.measure == PERPLEXITY
    return EvaluationRecord(
        case=case,
        seed=row["seed"].count(),
        path=_inside(run, row["run"]),
        variant=row.get("variant", "").text() if is_file else row["variant"].name(),
        benchmark=row.get("benchmark", "").text(),
    )


def _inside(run: Path, field: _Field) -> Path:
    """The place that a relative path names, if links do not lead out of the folder either."""
    text = field.text()
    wanted = "a path inside the reproduction's folder"
    try:
        root = run.resolve()
        found = (root / text).resolve()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, links in a circle
        field.fail(wanted)
    # "::" would make the file system library take the rest for another place.
    if not text or Path(text).is_absolute() or not found.is_relative_to(root) or "::" in text:
        field.fail(wanted)
    return found


def perplexity(path: Path) -> float:
    """The perplexity in a JSON file.

    Raises:
        InputError: the file cannot be read or holds no positive number under `perplexity`.
    """
    try:
        loaded = json.loads(path.read_bytes(), parse_constant=_refused_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} holds no perplexity: {error}") from None
    field = _Field(str(path), loaded)["perplexity"]
    value = field.value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < _LARGEST:
        field.fail("a positive number")
    return float(value)
