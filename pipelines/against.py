"""The old answers that `pipelines.evaluate --against` holds a model's new answers against."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.benchmark import BadData
from evaluation.benchmarks import versus
from schemas.items import Item
from schemas.table import MAIN
from schemas.views import connect
from spar_core.dataset import Dataset
from spar_core.ids import item_id
from terminal.exits import UsageError

_SAID = re.compile(r"(\d{1,9})(?:/([a-z0-9][a-z0-9_-]{0,30}))?")
_OWN_JUDGE = ("judge_url", "judge_model", "judge_engine")


@dataclass(frozen=True, slots=True)
class Against:
    """The evaluation of the same run whose answers are the old ones."""

    iteration: int
    variant: str = MAIN

    def __str__(self) -> str:
        where = f"iteration {self.iteration}"
        return where if self.variant == MAIN else f"{where}, variant {self.variant}"


def read(text: str) -> Against:
    """Return what --against names: ITERATION or ITERATION/VARIANT.

    Raises:
        argparse.ArgumentTypeError: it names neither.
    """
    found = _SAID.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"must be ITERATION or ITERATION/VARIANT, not {text!r}")
    return Against(int(found[1]), found[2] or MAIN)


def check(against: Against, dataset: Dataset, variant: str, options: argparse.Namespace) -> None:
    """See that a comparison can be meant.

    Raises:
        UsageError: it is of an evaluation with itself, or no judge is named.
    """
    if against == Against(dataset.iteration, variant):
        raise UsageError(
            f"--against {against.iteration} is this evaluation itself: give the new model another "
            "--iteration, or another --variant"
        )
    if not any(getattr(options, name, None) for name in _OWN_JUDGE):
        raise UsageError(
            "--against needs a judge that stays the same and is not the new model: --judge_url of "
            "a server with the old model, or with a better one (or --judge_model)"
        )


def items(against: Against, dataset: Dataset, asked: Sequence[Item]) -> list[Item]:
    """Return items that hold the old answers to some prompts.

    Raises:
        BadData: there are none.
    """
    with connect(dataset.run, ("items", "answers")) as connection:
        query = (
            "select i.prompt, response, model from answers a join items i "
            "on i.item_id = a.item_id and i.iteration = a.iteration "
            "where a.benchmark = 'custom' and a.iteration = ? and a.variant = ?"
        )
        rows = connection.execute(query, [against.iteration, against.variant]).fetchall()
    old = {prompt: (response, model) for prompt, response, model in rows}
    found = [
        Item(
            item_id(versus.NAME, each.key, each.prompt, old[each.prompt][0]),
            *(versus.NAME, each.key, each.prompt, each.position),
            given=old[each.prompt][0],
            details=json.dumps({"against": str(against), "model": old[each.prompt][1]}),
        )
        for each in asked
        if each.prompt in old
    ]
    if not found:
        raise BadData(
            f"--against {against.iteration}: {against} of {dataset.run} holds no answers to these "
            "prompts: evaluate the old model there first"
        )
    return found


def verdict(dataset: Dataset, variant: str) -> str:
    """Return in a sentence whether an evaluation's answers are better than the old ones."""
    with connect(dataset.run, ("evaluations", "items")) as connection:
        found = connection.execute(
            "select low, high, [unit.parts[1].over for unit in units] from evaluations "
            "where benchmark = ? and metric = 'win_rate' and iteration = ? and variant = ?",
            [versus.NAME, dataset.iteration, variant],
        ).fetchone()
        [(told,)] = connection.execute(
            "select any_value(details) from items where benchmark = ? and iteration = ?",
            [versus.NAME, dataset.iteration],
        ).fetchall()
    if found is None or found[0] is None:
        return "The judge gave no verdict that could be read: see `critique` in `scores`."
    low, high, values = found
    wins, losses = sum(value > 0.5 for value in values), sum(value < 0.5 for value in values)
    old = json.loads(told)
    said = f"than those of {old['against']} ({old['model']}), by the judge's word"
    if low > 0.5:
        said = f"The new answers are better {said}"
    elif high < 0.5:
        said = f"The new answers are worse {said}"
    else:
        said = f"The new answers are not shown to be better or worse {said}"
    ties = len(values) - wins - losses
    return f"{said}: {wins} won, {ties} tied, {losses} lost."
