"""What iterations have come to: records of what is done, the checkpoints, and a table of it all."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from pipelines.execution.prompt_files import InputError
from schemas.views import connect
from terminal.text import as_table


@dataclass(frozen=True, slots=True)
class Role:
    """One of the two models of an iteration.

    training: the module that makes the next one; table: what it is trained on; noun: its rows.
    """

    name: str
    training: str
    table: str
    noun: str


ACTOR = Role("actor", "training.dpo", "pairs", "pairs")
REFINER = Role("refiner", "training.rft", "rft", "refiner samples")
ROLES = (ACTOR, REFINER)


@dataclass(slots=True)
class Record:
    """What is done of an iteration.

    refined: whether its data round is. trained: by role the arguments of its training, None where
    there was nothing to train on. seconds: spent on all of it.
    """

    refined: bool = False
    trained: dict[str, list[str] | None] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def is_done(self) -> bool:
        return self.refined and all(role.name in self.trained for role in ROLES)


@dataclass(frozen=True, slots=True)
class Models:
    """The folder of the checkpoints and of the iterations' records.

    Iteration t makes `actor-<t+1>` and `refiner-<t+1>`, and writes `iteration-<t>.json`.
    first: the models of iteration 1, by role.
    """

    folder: Path
    first: dict[str, str]

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
        """The model that plays a role in an iteration: the last one made before it."""
        for earlier in range(iteration - 1, 0, -1):
            if self.record(earlier).trained.get(role.name) is not None:
                return str(self.made(role, earlier))
        return self.first[role.name]


def rows(run: str, table: str, iteration: int) -> int:
    """How many rows an iteration has in a table."""
    with connect(run, (table,)) as connection:
        query = f"select count(*) from {table} where iteration = ?"
        return int(connection.execute(query, [iteration]).fetchall()[0][0])


def _training(folder: Path) -> Any:
    """What a training says of itself, as far as it can be read."""
    try:
        return json.loads((folder / "training.json").read_bytes())
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
    columns = [
        _round(run, t) | _trained(models, t) | {"minutes": round(models.record(t).seconds / 60, 1)}
        for t in range(1, iterations + 1)
    ]
    names = ["", *(f"iteration {t}" for t in range(1, iterations + 1))]
    body: Sequence[Sequence[Any]] = [
        [name, *(column[name] for column in columns)] for name in columns[0]
    ]
    return as_table(names, body, "What each iteration brought")


def _round(run: str, iteration: int) -> dict[str, Any]:
    with connect(run) as connection:
        relation = connection.sql(_ROUND, params={"t": iteration})
        return dict(zip(relation.columns, relation.fetchall()[0], strict=True))


def _trained(models: Models, iteration: int) -> dict[str, Any]:
    trained = models.record(iteration).trained
    dpo, rft = (
        _training(models.made(role, iteration)) if trained.get(role.name) is not None else None
        for role in ROLES
    )
    return {
        "DPO steps": _number(dpo, "result", "steps"),
        "DPO loss": _number(dpo, "result", "final", "loss"),
        "DPO accuracy": _number(dpo, "result", "final", "rewards/accuracies"),
        "DPO margin": _number(dpo, "result", "final", "rewards/margins"),
        "RFT samples": _number(rft, "data", "examples"),
        "RFT loss": _number(rft, "result", "final", "loss"),
        "next actor": _next(models, ACTOR, iteration),
        "next refiner": _next(models, REFINER, iteration),
    }


def _next(models: Models, role: Role, iteration: int) -> str:
    trained = models.record(iteration).trained.get(role.name) is not None
    name = Path(models.of(role, iteration + 1)).name
    return name if trained else f"{name}, as before"


def _number(record: Any, *path: str) -> float | None:
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None
    if isinstance(record, bool) or not isinstance(record, (int, float)):
        return None
    return record if isinstance(record, int) else round(record, 4)
