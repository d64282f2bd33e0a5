"""What a stage is: which items it does, how it does one, what its rows depend on."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from spar_core.dataset import Rows
from spar_core.engine.protocol import Engine
from spar_core.variants import flat

PROMPTS = "prompts"

Item = dict[str, Any]
"""A row of a stage's `items`."""

DEFAULT_ROLES: dict[str, str] = {"judge": "refiner", "verifier": "actor", "backward": "actor"}
"""Roles that another one plays unless an engine of their own is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
    """What the rows of a stage depend on, beside its engines and its inputs."""

    seed: int = 0

    def named(self) -> dict[str, Any]:
        """The settings under dotted names, as claims keep them."""
        return flat(dataclasses.asdict(self))


S = TypeVar("S", bound=StageSettings)


@dataclass(frozen=True, slots=True)
class Context(Generic[S]):
    """What a stage's task is handed beside its item.

    engines: by role. variant: the one that the rows are made for; ids name it.
    """

    engines: Mapping[str, Engine]
    settings: S
    iteration: int
    variant: str


Task = Callable[[Context[S], Item], Coroutine[Any, Any, Rows]]
"""Does one item: rows of tables."""


def _all_is_well(_: Namespace) -> None:
    """A check that refuses nothing; by name, so that a pickled stage holds no code."""


@dataclass(frozen=True)
class Options:
    """Options of a command line that belong together; stages with the same ones share them.

    add: adds them to a parser or a group of it. check: refuses values that do not go together.
    """

    title: str
    add: Callable[[Any], None]
    check: Callable[[Namespace], None] = _all_is_well


@dataclass(frozen=True)
class Stage(Generic[S]):
    """A stage of a job.

    items: SQL that gives the stage's items, `key` first. Its views (`prompts`, `responses`, ...)
        hold the rows of the iteration and of the variants that this one uses; `scope` the
        prompts to do. Settings are bound by their names, `$seed` among them.
    settings: what its rows depend on, from the command line that `options` are part of.
    writes: tables that its rows go to. after: the stages whose tables it reads.
    roles: the engines that it asks.
    replaces: whether items that `items` no longer gives are taken back: a selection over the whole
        run, whatever a limit leaves to do.
    trains: whether it makes training data, which come from the split `train` only.
    intake: the table that the job's input is read into, and whose rows `scope` narrows: `prompts`,
        or `seeds` of a job that makes prompts.
    """

    name: str
    noun: str
    items: str
    task: Task[S]
    settings: Callable[[Namespace], S]
    writes: tuple[str, ...]
    options: tuple[Options, ...] = ()
    after: tuple[Stage[Any], ...] = ()
    roles: tuple[str, ...] = ()
    replaces: bool = False
    trains: bool = False
    intake: str = PROMPTS

    def upstream(self) -> Iterator[Stage[Any]]:
        """The stages that its rows come from, itself last, each once."""
        seen: dict[str, Stage[Any]] = {}
        for stage in self.after:
            seen |= {each.name: each for each in stage.upstream()}
        yield from seen.values()
        yield self


def add_options(parser: ArgumentParser, stages: tuple[Stage[Any], ...]) -> None:
    """Add the options of all the stages, each once; those of one title stand together."""
    groups: dict[str, Any] = {}
    for options in dict.fromkeys(some for stage in stages for some in stage.options):
        if options.title not in groups:
            groups[options.title] = parser.add_argument_group(options.title)
        options.add(groups[options.title])


def roles_of(stages: tuple[Stage[Any], ...]) -> tuple[str, ...]:
    """The roles of all the stages, and those that stand in for them."""
    wanted = [role for stage in stages for role in stage.roles]
    standing_in = [DEFAULT_ROLES[role] for role in wanted if role in DEFAULT_ROLES]
    return tuple(dict.fromkeys([*standing_in, *wanted]))
