"""Reading a benchmark into a run: its items, and answers to them that somebody else made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluation.benchmark import BadData
from schemas.answers import Answer
from schemas.items import Item
from schemas.views import connect
from spar_core import variants
from spar_core.dataset import Dataset, Settled
from spar_core.ids import answer_id
from spar_core.stages.decode import GIVEN

STAGE = "items"


def ingest(dataset: Dataset, items: Sequence[Item]) -> int:
    """Add the items of a benchmark that an iteration does not hold yet; returns how many.

    Raises:
        BadData: the iteration holds others of the same name.
    """
    with connect(dataset.run, ("items",)) as connection:
        query = "select key, item_id from items where iteration = ? and benchmark = ?"
        bound = [dataset.iteration, items[0].benchmark]
        held = dict(connection.execute(query, bound).fetchall())
    changed = [item for item in items if held.get(item.key, item.item_id) != item.item_id]
    if changed:
        raise BadData(
            f"{changed[0].benchmark}: {len(changed)} items of {dataset.run} were read from other "
            f"data, {changed[0].key} first; give the data it was begun with, or another --run"
        )
    new = [item for item in items if item.key not in held]
    if new:
        name = hashlib.sha256("".join(item.item_id for item in new).encode()).hexdigest()[:16]
        bucket = f"{new[0].benchmark}-{name}"
        dataset.commit(STAGE, bucket, [Settled(item.item_id, {"items": [item]}) for item in new])
    return len(new)


def take(
    dataset: Dataset, stage: str, variant: str, path: str, benchmark: str, said: Mapping[str, str]
) -> None:
    """Commit answers from a file as those of a stage that would have made them.

    Args:
        said: answers by item id.

    Raises:
        SettingsDiffer: the variant holds answers of a decoder, or of another file.
    """
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
    claim = {"decoder": GIVEN, "responses": digest}
    variants.find(dataset, stage, variant, claim)
    variants.claim(dataset, stage, variant, variant, claim)
    name = Path(path).stem
    rows = [
        Answer(
            answer_id=answer_id(dataset.iteration, item, variant),
            item_id=item,
            benchmark=benchmark,
            decoder=GIVEN,
            votes=0,
            budget=0,
            response=response,
            model=name,
        )
        for item, response in said.items()
    ]
    settled = [Settled(row.answer_id, {"answers": [row]}) for row in rows]
    dataset.commit(stage, f"{benchmark}-{digest}", settled, variant=variant)
