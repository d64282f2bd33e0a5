"""Doing one item of a stage: the rows that its task gives, or the row of its failure."""

from __future__ import annotations

from typing import Any

from schemas.failures import PAYLOAD_CHARS, Failure
from spar_core.dataset import Settled
from spar_core.engine.protocol import ItemError
from spar_core.stage import Context, Item, Stage


async def settle(stage: Stage[Any], context: Context[Any], item: Item) -> Settled:
    """Do an item; one that the engine cannot answer becomes a row of `failures`.

    Raises:
        EngineGone: no item can be done any more.
        Exception: whatever else the task raises; `failed` turns it into a row.
    """
    try:
        rows = await stage.task(context, item)
    except ItemError as error:
        return failed(stage, item, error.cause, str(error), error.attempts, error.retry)
    return Settled(item["key"], rows)


def failed(
    stage: Stage[Any], item: Item, cause: str, message: str, attempts: int, retry: bool
) -> Settled:
    """Return an item that could not be done, with its row of `failures`."""
    payload = str(item.get("prompt", ""))[:PAYLOAD_CHARS]
    row = Failure(stage.name, item["key"], cause, message, attempts, payload)
    return Settled(item["key"], {"failures": [row]}, retry)
