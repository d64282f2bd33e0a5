"""Whether a LoRA adapter is one for a model, seen from the headers of their GGUF files."""

from __future__ import annotations

from pathlib import Path

from spar_core.engine.gguf import Header, read_header
from spar_core.engine.protocol import EngineGone

_REMEDY = "python -m training.gguf_adapter makes one from a LoRA adapter of PEFT"
_LORA = ("adapter", "lora")
_EMBEDDING = "token_embd.weight"
"""Its adapters lie the other way round; llama.cpp checks them itself."""


def check_adapter(model: Path, adapter: Path) -> None:
    """See that an adapter's file is there and fits the model, whose file is.

    Raises:
        EngineGone: it does not; the message names both files.
    """
    if not adapter.is_file():
        raise EngineGone(f"no adapter file at {adapter}, for {model}: {_REMEDY}")
    try:
        added = read_header(adapter)
    except (ValueError, OSError) as error:
        raise EngineGone(f"{adapter} is no adapter for {model} ({error}): {_REMEDY}") from None
    if (added.metadata.get("general.type"), added.metadata.get("adapter.type")) != _LORA:
        raise EngineGone(f"{adapter} is no LoRA adapter, as {model} would need: {_REMEDY}")
    try:
        base = read_header(model)
    except (ValueError, OSError) as error:
        raise EngineGone(
            f"{model}, the model for {adapter}, is no GGUF file ({error}): give --model one"
        ) from None
    if misfit := _misfit(base, added):
        raise EngineGone(
            f"{adapter} is an adapter for another model than {model} ({misfit}): give both of one"
        )


def _misfit(base: Header, added: Header) -> str:
    """Where an adapter does not fit a model; "" where it does."""
    wanted, found = (each.metadata.get("general.architecture") for each in (base, added))
    if found != wanted:
        return f"{found}, not {wanted}"
    for name, shape in added.tensors.items():
        changed, _, side = name.rpartition(".")
        if side not in ("lora_a", "lora_b") or changed == _EMBEDDING:
            continue
        whole = base.tensors.get(changed)
        if not whole:
            return f"which has no {changed}"
        # A takes the inputs, B gives the outputs; between them is the rank.
        at = 0 if side == "lora_a" else 1
        if len(shape) != len(whole) or shape[at] != whole[at]:
            return f"{name} is {_told(shape)} where {changed} is {_told(whole)}"
    return ""


def _told(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
