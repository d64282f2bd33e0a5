"""What iterations have come to: records of what is done, the checkpoints, and a table of it all."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from schemas.checkpoint import RECORD
from schemas.table import SPAR
from schemas.views import connect, named_in
from terminal.exits import InputError
from terminal.text import as_table

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Role:
    """One of the two models of an iteration.

    training: the module that makes the next one; given: what it is always told. table: what it is
    trained on; noun: its rows. option: the name of the option with more arguments for it.
    """

    name: str
    training: str
    given: tuple[str, ...]
    table: str
    noun: str
    option: str


ACTOR = Role("actor", "training.dpo", ("--method", SPAR), "pairs", "pairs", "dpo_args")
REFINER = Role("refiner", "training.rft", ("--method", SPAR), "rft", "refiner samples", "rft_args")
ROLES = (ACTOR, REFINER)
FIRST = tuple(
    Role(name, "training.sft", ("--task", name), f"sft_{name}", noun, f"sft_{name}_args")
    for name, noun in ((ACTOR.name, "answers of the teacher"), (REFINER.name, "lessons"))
)
"""How the models of iteration 1 are made before it, where a teacher makes what they learn."""


def roles(iteration: int) -> tuple[Role, ...]:
    """The roles whose next models come of an iteration; 0 is what comes before the first."""
    return ROLES if iteration else FIRST


@dataclass(slots=True)
class Record:
    """What is done of an iteration.

    refined: whether its data round is, or what a teacher does before iteration 1. trained: by role
    the arguments of its training, None where there was nothing to train on. seconds: spent on all
    of it. evolved: whether the prompts are there that the teacher needs. evaluated: the arguments
    with which the models were evaluated that begin it, by the variant that the figures are in.
    """

    refined: bool = False
    trained: dict[str, list[str] | None] = field(default_factory=dict)
    seconds: float = 0.0
    evolved: bool = False
    evaluated: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return self.refined and all(role.name in self.trained for role in ROLES)


@dataclass(frozen=True, slots=True)
class Models:
    """The folder of the checkpoints and of the iterations' records.

    Iteration t makes `actor-<t+1>` and `refiner-<t+1>`, and writes `iteration-<t>.json`; what comes
    before iteration 1 is iteration 0. For llama.cpp a checkpoint has its GGUF file beside it.
    first: the models to begin with, by role: checkpoints, for llama.cpp GGUF files.
    """

    folder: Path
    first: dict[str, str]
    engine: str = "vllm"

    def record(self, iteration: int) -> Record:
        path = self._record_path(iteration)
        try:
            return Record(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            return Record()
        except (ValueError, TypeError) as error:
            raise InputError(f"{path} is no record of an iteration: {error}") from None

    def write(self, iteration: int, record: Record) -> None:
        """Write a record whole or not at all."""
        scratch = self.folder / f"iteration-{iteration}.json.tmp"
        scratch.write_text(json.dumps(asdict(record)))
        os.replace(scratch, self._record_path(iteration))

    def _record_path(self, iteration: int) -> Path:
        return self.folder / f"iteration-{iteration}.json"

    def made(self, role: Role, iteration: int) -> Path:
        """Where an iteration's training puts its checkpoint."""
        return self.folder / f"{role.name}-{iteration + 1}"

    def of(self, role: Role, iteration: int) -> str:
        """The model that the engine is given for a role: the last one made before an iteration."""
        made = self._last_made(role, iteration)
        return str(self.served(made)) if made else self.first[role.name]

    def served(self, checkpoint: Path) -> Path:
        """What the engine is given of a checkpoint."""
        if self.engine == "llamacpp":
            return checkpoint.with_name(f"{checkpoint.name}.gguf")
        return checkpoint

    def checkpoint(self, role: Role, iteration: int) -> str:
        """The checkpoint that a training of an iteration starts from."""
        made = self._last_made(role, iteration)
        return str(made or self.first_checkpoint(role))

    def first_checkpoint(self, role: Role) -> str:
        """The checkpoint of the model to begin with; a GGUF file is converted to this folder."""
        first = self.first[role.name]
        if self.engine != "llamacpp":
            return first
        sharer = next(name for name, model in self.first.items() if model == first)
        return str(self.folder / f"first-{sharer}")

    def _last_made(self, role: Role, iteration: int) -> Path | None:
        for earlier in range(iteration - 1, -1, -1):
            if self.record(earlier).trained.get(role.name) is not None:
                return self.made(role, earlier)
        return None


def rows(run: str, table: str, iteration: int) -> int:
    """How many rows an iteration has in a table."""
    with connect(run, (table,)) as connection:
        query = f"select count(*) from {table} where iteration = ?"
        return int(connection.execute(query, [iteration]).fetchall()[0][0])


def training(folder: Path) -> Any:
    """What a training says of itself, as far as it can be read."""
    try:
        return json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return None


_ROUND = """
    select (select count(*) from prompts where iteration = $t) as prompts,
           (select round(avg((verdict = 'yes')::int), 3) from judgements where iteration = $t)
               as "responses judged yes",
           (select count(*) from trees where iteration = $t) as trees,
           (select count(*) from trees where iteration = $t and solved) as "trees solved",
           (select count(*) from pairs where iteration = $t) as pairs,
           (select round(avg(similarity), 3) from pairs where iteration = $t) as similarity,
           (select sum(completion_tokens)::bigint from token_cost where iteration = $t)
               as "completion tokens"
"""


def table(run: str, models: Models, iterations: int) -> Table:
    """What each iteration brought: a column each."""
    with connect(run, named_in(_ROUND)) as connection:
        columns = [
            _round(connection, t)
            | _trained(models, t)
            | {"minutes": round(models.record(t).seconds / 60, 1)}
            for t in range(1, iterations + 1)
        ]
    names = ["", *(f"iteration {t}" for t in range(1, iterations + 1))]
    body: Sequence[Sequence[Any]] = [
        [name, *(column[name] for column in columns)] for name in columns[0]
    ]
    return as_table(names, body, "What each iteration brought")


def _round(connection: duckdb.DuckDBPyConnection, iteration: int) -> dict[str, Any]:
    relation = connection.sql(_ROUND, params={"t": iteration})
    return dict(zip(relation.columns, relation.fetchall()[0], strict=True))


def _trained(models: Models, iteration: int) -> dict[str, Any]:
    trained = models.record(iteration).trained
    dpo, rft = (
        training(models.made(role, iteration)) if trained.get(role.name) is not None else None
        for role in ROLES
    )
    return {
        "DPO steps": number(dpo, "result", "steps"),
        "DPO loss": number(dpo, "result", "final", "loss"),
        "DPO accuracy": number(dpo, "result", "final", "rewards/accuracies"),
        "DPO margin": number(dpo, "result", "final", "rewards/margins"),
        "RFT samples": number(rft, "data", "examples"),
        "RFT loss": number(rft, "result", "final", "loss"),
        "next actor": _next(models, ACTOR, iteration),
        "next refiner": _next(models, REFINER, iteration),
    }


def _next(models: Models, role: Role, iteration: int) -> str:
    trained = models.record(iteration).trained.get(role.name) is not None
    name = Path(models.of(role, iteration + 1)).name
    return name if trained else f"{name}, as before"


def number(record: Any, *path: str) -> float | None:
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None
    if isinstance(record, bool) or not isinstance(record, (int, float)):
        return None
    return record if isinstance(record, int) else round(record, 4)
