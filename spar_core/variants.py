"""What the rows of an iteration were made with, and variants: several settings side by side.

A stage's claim is a file in the manifest that says what the stage runs with. It binds from the
stage's first committed item on: until then other settings replace it. A variant has claims of
its own for the stages whose settings, or whose inputs, are its own; for all others it uses the rows
of the variant that has the same ones.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from typing import Any

from schemas import lineage, manifest
from schemas.lineage import INPUT, USES
from schemas.manifest import SETTINGS
from schemas.table import MAIN
from spar_core.dataset import Dataset

Settings = Mapping[str, Any]
"""What a stage's rows depend on: plain values under dotted names."""

_BEFORE = {"checks": "report", "ask_again": 0, "counts_malformed": False}
"""Settings that came later, by the last part of their names, with what was so before."""

_LATER = {"arguments", "chat", "relevance", "texts", "wording"}
"""Parts of names that came later without a value of before: what a run was made with is not known
where its claim lacks such a name, and is not compared."""

_ALWAYS_THERE = {"judge": "judge.votes", "search": "search.budget"}
"""A setting of each group that is in every claim of a stage that has such settings."""

TEMPLATES = "templates"
"""The setting that names the version of the texts that models are sent: a hash of them."""

_LIMIT = "max_tokens"
"""Settings whose names end so only cut answers off: a smaller or larger one may go on, so that
items that were too long can be mended."""


class SettingsDiffer(Exception):
    """The iteration was begun with other settings."""


def made_by(dataset: Dataset, stage: str, variant: str) -> str:
    """The variant whose rows of a stage a variant uses."""
    claim = _read(dataset, stage, variant) if variant != MAIN else None
    return MAIN if claim is None else str(claim.get(USES, variant))


def with_inputs(settings: Settings, inputs: Mapping[str, str]) -> Settings:
    """Settings with the variants that a stage's inputs are of, the main one left out."""
    others = {f"{INPUT}{stage}": name for stage, name in inputs.items() if name != MAIN}
    return {**settings, **others}


def find(dataset: Dataset, stage: str, variant: str, settings: Settings) -> str:
    """The variant whose rows of a stage are made with these settings: another's, or its own.

    Raises:
        SettingsDiffer: the variant has rows that were made with others.
    """
    wanted = _plain(settings)
    own = _read(dataset, stage, variant)
    if own is not None and USES not in own and is_begun(dataset, stage, variant):
        _check(dataset, stage, variant, own, wanted)
        return variant
    shared = _shared(dataset, stage, variant, wanted)
    used: str | None = None if own is None else own.get(USES)
    if used is not None and used != shared and _has_rows(dataset, variant):
        _check(dataset, stage, variant, _read(dataset, stage, used) or {}, wanted)
    return shared


def claim(dataset: Dataset, stage: str, variant: str, maker: str, settings: Settings) -> None:
    """Write down what a variant runs a stage with, or whose rows it uses."""
    path = _path(dataset, stage, variant)
    dataset.fs.makedirs(dataset.manifest, exist_ok=True)
    wanted = {USES: maker} if maker != variant else _plain(settings)
    if dataset.create(path, json.dumps(wanted, indent=1).encode()):
        return
    held = _read(dataset, stage, variant) or {}
    if is_begun(dataset, stage, variant):
        wanted = _as_old_as(held, wanted)
    if held != wanted:
        dataset.replace(path, json.dumps(wanted, indent=1).encode())


def hold(dataset: Dataset, name: str, settings: Settings) -> None:
    """Write down settings of the iteration that bind from now on.

    Raises:
        SettingsDiffer: others are written down.
    """
    held = _read(dataset, name, MAIN)
    if held is not None:
        _check(dataset, name, MAIN, held, _plain(settings))
    claim(dataset, name, MAIN, MAIN, settings)


def begun_with(dataset: Dataset, stages: Sequence[str], variant: str, setting: str) -> Any:
    """The value of a setting of how responses are judged, or searched for, that a run goes on with.

    It is the one that this iteration was begun with. Where it is not begun, and an earlier one was
    before the setting was there, it is what was so before. None where neither tells.

    Args:
        stages: whose settings are looked at.
        setting: a name that begins with `judge.` or `search.`. Of a search only the variant's own
            tells: others are other searches.
    """
    group = setting.partition(".")[0]
    names = dict.fromkeys((variant, MAIN) if group == "judge" else (variant,))
    for iteration in range(dataset.iteration, -1, -1):
        is_this = iteration == dataset.iteration
        there = dataset if is_this else Dataset(dataset.run, iteration)
        for name in names:
            for stage in stages:
                claim = _read(there, stage, name)
                if claim and _tells(claim, group) and is_begun(there, stage, name):
                    is_older = setting not in claim
                    return _value(claim, setting) if is_this or is_older else None
    return None


def begun_checks(dataset: Dataset, stage: str, variant: str) -> Any:
    """What checks did in the rows of a stage that a variant made; None where it does not judge."""
    claim = _read(dataset, stage, variant) or {}
    is_told = _tells(claim, "judge") and is_begun(dataset, stage, variant)
    return _value(claim, "judge.checks") if is_told else None


def _tells(claim: Settings, group: str) -> bool:
    """Whether a claim says how it judges or searches: a greedy answer has no search."""
    is_greedy = group == "search" and claim.get("search.strategy") == "greedy"
    return _ALWAYS_THERE[group] in claim and not is_greedy


def is_begun(dataset: Dataset, stage: str, variant: str) -> bool:
    """Whether a stage has committed anything but failures to be tried again."""
    entries = dataset.entries(stage, variant).values()
    return any(entry.keys and not entry.retry for entry in entries)


def _shared(dataset: Dataset, stage: str, variant: str, wanted: Settings) -> str:
    """The first variant with just these settings, the main one before others; else this one."""
    if variant == MAIN:
        return MAIN
    folder = manifest.folder(stage, "*")
    dataset.fs.invalidate_cache(dataset.manifest)
    paths = sorted(dataset.fs.glob(f"{glob.escape(dataset.manifest)}/{folder}{SETTINGS}"))
    names: list[str] = [path.rpartition("@")[2].removesuffix(SETTINGS) for path in paths]
    for name in (MAIN, *names):
        held = _read(dataset, stage, name) if name != variant else None
        if held is not None and USES not in held and not _differing(held, wanted):
            return name
    return variant


def _has_rows(dataset: Dataset, variant: str) -> bool:
    return any(entry.variant == variant for entry in dataset.entries().values())


def _check(dataset: Dataset, stage: str, variant: str, begun: Settings, wanted: Settings) -> None:
    names = _differing(begun, wanted)
    if all(name.endswith(_LIMIT) for name in names):
        return
    changes = ", ".join(_told(name, _value(begun, name), _value(wanted, name)) for name in names)
    whose = "" if variant == MAIN else f" of variant {variant}"
    raise SettingsDiffer(
        f"stage {stage}{whose} of iteration {dataset.iteration} in {dataset.run} was begun with "
        f"other settings ({changes})"
    )


def _told(name: str, begun: Any, wanted: Any) -> str:
    """Return in words how a setting differs; of texts for models their versions are the setting."""
    if name != TEMPLATES:
        return f"{name}: {begun!r} -> {wanted!r}"
    return (
        f"{name}: version {begun} -> version {wanted} of the texts that models are sent, which "
        "come with the release of this program"
    )


def _differing(begun: Settings, wanted: Settings) -> list[str]:
    """The names under which settings differ from those that rows were made with."""
    return [
        name
        for name in sorted({*begun, *wanted})
        if _value(begun, name) != _value(wanted, name) and (name in begun or not _came_later(name))
    ]


def _came_later(name: str) -> bool:
    return not _LATER.isdisjoint(name.split("."))


def _read(dataset: Dataset, stage: str, variant: str) -> dict[str, Any] | None:
    """What a claim says, None where there is none.

    Raises:
        BadControlFile: it is no claim, or names a variant that could lead out of the run.
    """
    path = _path(dataset, stage, variant)
    try:
        return lineage.claimed(dataset.fs.cat_file(path), path)
    except FileNotFoundError:
        return None


def _path(dataset: Dataset, stage: str, variant: str) -> str:
    return f"{dataset.manifest}/{manifest.folder(stage, variant)}{SETTINGS}"


def _plain(settings: Settings) -> dict[str, Any]:
    """Settings as they are read back."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    return plain


def _value(settings: Settings, name: str) -> Any:
    """A setting's value; where the claim is older than the setting, what was so before."""
    return settings.get(name, _BEFORE.get(name.rpartition(".")[2]))


def _as_old_as(held: Settings, wanted: Settings) -> dict[str, Any]:
    """Settings without those that a claim is older than, where they say what was so before: by what
    it lacks it is known for an old one."""
    return {
        name: value
        for name, value in wanted.items()
        if name in held or name.rpartition(".")[2] not in _BEFORE or _value({}, name) != value
    }


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted names; None is left out."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[f"{prefix}{name}"] = (
                list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
            )
    return found
