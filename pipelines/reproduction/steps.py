"""All steps of a reproduction, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipelines.reproduction import comparisons, main_line, measuring, sets
from pipelines.reproduction.record import Record
from pipelines.reproduction.seed_folder import SeedFolder
from pipelines.reproduction.settings import Settings
from pipelines.reproduction.step import Step, module

HELD_OUT = Path(__file__).parent / "heldout_seeds.jsonl"
"""Plain instructions, of other topics and in other words, that nothing is trained on."""


def steps(
    folder: Path, settings: Settings, record: Record, data: str, seeds: int
) -> Iterator[Step]:
    """Every step, done or not.

    Args:
        data: a folder with the benchmarks' files, "" for the Hub. seeds: how many times the main
            line is done.
    """
    for number, name in enumerate(sets.SETS):
        if getattr(settings.prompts, name):
            yield _held_out(folder, settings, name, number)
    for number in range(1, seeds + 1):
        seed = SeedFolder(folder, settings, record, data, number)
        yield from main_line.steps(seed)
        others = dict.fromkeys(settings.comparisons)
        if comparisons.INDEPENDENT in others:
            others.pop(comparisons.INDEPENDENT)
            yield from comparisons.steps(seed, comparisons.INDEPENDENT)
        if number <= settings.whole_seeds:
            yield from measuring.refiners(seed)
            for line in others:
                yield from comparisons.steps(seed, line)
            yield from measuring.decoding(seed)
            yield from measuring.general(seed)


def _held_out(folder: Path, settings: Settings, name: str, number: int) -> Step:
    kinds = settings.kinds.unseen if name.endswith("unseen") else settings.kinds.taught
    arguments = ["--run", str(folder / "prompts" / name), "--writer", "rules"]
    arguments += ["--seeds", settings.heldout or str(HELD_OUT), "--seed", str(number)]
    arguments += ["--kinds", ",".join(kinds), "--more", str(settings.more)]
    name = f"all seeds: evolve: prompts of the set {name}"
    return Step(name, partial(module, "pipelines.evolve", arguments))
