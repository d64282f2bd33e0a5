"""LoRA adapters of PEFT that a vLLM server serves beside its base model, each by a name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from schemas.checkpoint import all_content
from spar_core.engine.protocol import EngineGone

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as the largest rank."""

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def adapter_name(adapter: Path) -> str:
    """Return an adapter's name for tables.

    A training puts it into `OUTPUT/adapter`, which is named for OUTPUT.
    """
    path = adapter.absolute()
    return path.parent.name if path.name == "adapter" else path.name


def served_name(adapter: Path) -> str:
    """Return the name by which the server knows an adapter: no two of a job are alike."""
    return f"{adapter_name(adapter)}-{all_content(adapter)}"


def check_adapter(adapter: Path) -> None:
    """See that a folder holds an adapter.

    Raises:
        EngineGone: it does not.
    """
    _rank(adapter)


def adapter_arguments(adapters: Sequence[str]) -> list[str]:
    """Return the arguments of vLLM that have it serve adapters, none for none.

    Raises:
        EngineGone: a folder holds no adapter, or one that is too large.
    """
    if not adapters:
        return []
    paths = [Path(each) for each in adapters]
    largest = max(map(_rank, paths))
    served = [f"{served_name(path)}={path.absolute()}" for path in paths]
    return [
        *("--enable-lora", "--max-loras", str(len(paths))),
        *("--max-lora-rank", str(next(rank for rank in _RANKS if rank >= largest))),
        *("--lora-modules", *served),
    ]


def _rank(adapter: Path) -> int:
    """The rank of an adapter, as its configuration tells it."""
    try:
        config = json.loads((adapter / _CONFIG).read_bytes())
        ranks = [config["r"], *(config.get("rank_pattern") or {}).values()]
        rank = max(map(int, ranks))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise EngineGone(
            f"no LoRA adapter of PEFT in {adapter}: vLLM takes the folder with its {_CONFIG}, as "
            "OUTPUT/adapter of a training with --use_peft"
        ) from None
    if not (adapter / _WEIGHTS).is_file():
        raise EngineGone(f"the adapter in {adapter} has no {_WEIGHTS}")
    if not 0 < rank <= _RANKS[-1]:
        raise EngineGone(f"the adapter in {adapter} has rank {rank}; vLLM takes 1 to {_RANKS[-1]}")
    return rank
