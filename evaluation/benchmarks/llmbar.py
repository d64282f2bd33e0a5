"""LLMBar (arXiv 2310.07641): 419 instructions, each with an output that follows it and one that
does not.

As in SPaR (arXiv 2412.11605) the refiner judges each output alone, without seeing the other.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evaluation.benchmark import BadData, Benchmark, Figure, Finding, Scored, verdict
from evaluation.published import by_part
from schemas.evaluations import Part, Unit
from schemas.items import Item
from spar_core.engine.protocol import Engine
from spar_core.voting import JudgeSettings, judge

NAME = "llmbar"
NATURAL = "Natural"
ADVERSARIAL = ("Neighbor", "GPTInst", "GPTOut", "Manual")
SUBSETS = (NATURAL, *ADVERSARIAL)

_PUBLISHED = "dataset"
"""What every file is called where it was published, in a folder of its subset's name."""
_REMEDY = "take it anew from Dataset/LLMBar/ of github.com/princeton-nlp/LLMBar"
_TEXTS = ("input", "output_1", "output_2")


def read(paths: Sequence[Path]) -> Iterator[Item]:
    """Two items a row: each output with the instruction.

    Raises:
        BadData: a file is missing, or not what was published.
    """
    files = by_part(
        paths,
        SUBSETS,
        "subset",
        lambda path: path.parent.name if path.stem == _PUBLISHED else path.stem,
    )
    position = itertools.count()
    for subset in SUBSETS:
        if subset not in files:
            raise BadData(f"{subset}.json is missing; {_REMEDY}")
        for number, row in enumerate(_rows(files[subset])):
            for output in (1, 2):
                yield Item(
                    *("", NAME, f"{subset}/{number}/{output}", row["input"], next(position)),
                    category=subset,
                    given=row[f"output_{output}"],
                    label="Yes" if output == row["label"] else "No",
                )


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadData(f"{path}: cannot be read as JSON ({error}); {_REMEDY}") from None
    if not isinstance(rows, list) or not rows:
        raise BadData(f"{path}: holds no list of rows; {_REMEDY}")
    for number, row in enumerate(rows, 1):
        for fault in _faults(row):
            raise BadData(f"{path}: row {number}: {fault}; {_REMEDY}")
    return rows


def _faults(row: Any) -> Iterator[str]:
    """What is wrong with a row; what comes after the first may follow from it."""
    if not isinstance(row, dict):
        yield "no object"
    for name in _TEXTS:
        if not isinstance(row.get(name), str):
            yield f"`{name}` is {json.dumps(row.get(name))[:80]}"
    label = row.get("label")
    if type(label) is not int or label not in (1, 2):
        yield f"`label` is {json.dumps(label)[:80]}, not 1 or 2"


async def grade(
    engine: Engine, settings: JudgeSettings, item: Item, output: str, seed: int
) -> list[Finding]:
    """1 where the judge says that the output follows the instruction, 0 where it does not."""
    return [verdict("judged", await judge(engine, item.prompt, output, settings, seed))]


def figures(scored: Sequence[Scored]) -> list[Figure]:
    """`accuracy` and `f1`, of all outputs, of each subset, and of the adversarial ones.

    accuracy: share of the outputs of which the verdict is right. f1: of the verdict Yes. In the
    figure of all every output counts alike; `adversarial` is the mean of its four subsets' own
    figures, whatever their sizes.
    Units are the rows, so that intervals take the two outputs of an instruction together.
    """
    return [
        figure
        for metric, part_of in (("accuracy", _accuracy), ("f1", _f1))
        for figure in (
            _figure(metric, "", [scored], part_of),
            *(_figure(metric, name, [_of(scored, name)], part_of) for name in SUBSETS),
            _figure(metric, "adversarial", [_of(scored, name) for name in ADVERSARIAL], part_of),
        )
    ]


def _of(scored: Sequence[Scored], subset: str) -> list[Scored]:
    return [each for each in scored if each.item.category == subset]


def _accuracy(is_yes: bool, is_right: bool) -> Part:
    return Part(float(is_right), 1.0)


def _f1(is_yes: bool, is_right: bool) -> Part:
    """Twice the true positives, over these and all errors."""
    hits = 2.0 * (is_yes and is_right)
    return Part(hits, hits + (not is_right))


def _figure(
    metric: str,
    part: str,
    groups: Sequence[Sequence[Scored]],
    part_of: Callable[[bool, bool], Part],
) -> Figure:
    """The mean over groups of the ratio in each; those of which nothing is decided are left out."""
    decided = [
        [(each.item, said) for each in group if (said := _verdict(each)) is not None]
        for group in groups
    ]
    decided = [group for group in decided if group]
    rows: dict[str, list[Part]] = {}
    for number, group in enumerate(decided):
        for item, said in group:
            parts = rows.setdefault(item.key.rpartition("/")[0], [Part(0.0, 0.0)] * len(decided))
            more = part_of(said == "Yes", said == item.label)
            parts[number] = Part(parts[number].over + more.over, parts[number].under + more.under)
    units = [Unit(key, parts) for key, parts in rows.items()]
    return Figure(metric, part, units, sum(map(len, decided)), sum(map(len, groups)))


def _verdict(scored: Scored) -> str | None:
    for finding in scored.findings:
        if finding.metric == "judged" and finding.value is not None:
            return "Yes" if finding.value else "No"
    return None


LLMBAR = Benchmark(
    name=NAME,
    about="whether a judge tells outputs that follow an instruction from those that do not",
    files=("[GMN]*.json", f"Dataset/LLMBar/**/{_PUBLISHED}.json"),
    read=read,
    answers=None,
    grade=grade,
    figures=figures,
)
