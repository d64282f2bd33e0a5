"""What the settings of a reproduction say of it, as far as the page tells it in words.

Settings are those of `pipelines/reproduction/*.yaml`. One that is missing, or is of another type
than it has there, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inspection.reproduction.contract import (
    DECIDE,
    GREEDY_TREES,
    INDEPENDENT,
    META_REWARDING,
    ONE_ROUND,
    REPORT,
    SELF_REWARDING,
    VETO,
)

_COMPARISONS = (
    *(SELF_REWARDING, META_REWARDING, INDEPENDENT, GREEDY_TREES, ONE_ROUND, REPORT, VETO),
)
_MOST_ITERATIONS = 100


@dataclass(frozen=True, slots=True)
class Facts:
    """What a reproduction is to do.

    about: what its scale is for. model: that it begins with. bootstrap, prompts: how many prompts
    the bootstrap and each iteration have. iterations: how many there are to be.
    comparisons: the lines to be compared with SPaR's. checks: what SPaR's own data rounds make of
    the program's word.
    """

    about: str | None = None
    model: str | None = None
    bootstrap: int | None = None
    prompts: int | None = None
    iterations: int | None = None
    comparisons: Sequence[str] = _COMPARISONS
    checks: str = DECIDE


def of_settings(settings: Mapping[str, Any]) -> Facts:
    """Return what settings say."""
    prompts, models, comparisons = (
        settings.get(name) for name in ("prompts", "models", "comparisons")
    )
    counts = prompts if isinstance(prompts, Mapping) else {}
    iterations = _count(settings.get("iterations"))
    return Facts(
        about=_text(settings.get("about")),
        model=_model(models) if isinstance(models, Mapping) else None,
        bootstrap=_count(counts.get("bootstrap")),
        prompts=_count(counts.get("iteration")),
        iterations=iterations if iterations and iterations <= _MOST_ITERATIONS else None,
        checks=_checks(settings.get("round")),
        comparisons=[*comparisons] if isinstance(comparisons, Mapping) else _COMPARISONS,
    )


def _model(models: Mapping[str, Any]) -> str:
    """The models to begin with; without any they are the bundled one."""
    named = dict.fromkeys(text for value in models.values() if (text := _text(value)))
    return " and ".join(named) or "that comes with the project"


def _checks(options: Any) -> str:
    """The word of the program in a data round with these options; `veto` is the job's default."""
    if not isinstance(options, Mapping):
        return DECIDE
    word = options.get("checks", VETO)
    return word if word in (REPORT, VETO, DECIDE) else DECIDE


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_count else None
