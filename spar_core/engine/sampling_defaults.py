"""What servers add of their own to how answers are sampled, and what keeps them from it.

A request says temperature and top_p. A server may cut or bend the distribution further: by its
checkpoint's `generation_config.json` (vLLM, SGLang), its command line or its own defaults (top_k 40
and min_p 0.05 in llama.cpp). Fields that say "no more than that" are sent where the kind of server
is known; other servers might refuse them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spar_core.engine.endpoints import shown

_CHECKPOINTS = {
    "top_k": -1,  # SGLang refuses 0
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}

_NEUTRAL: Mapping[str, Mapping[str, Any]] = {
    "vllm": _CHECKPOINTS,
    "sglang": _CHECKPOINTS,
    "llamacpp": {
        "top_k": 0,
        "min_p": 0.0,
        "typical_p": 1.0,
        "top_n_sigma": -1.0,
        "xtc_probability": 0.0,
        "dynatemp_range": 0.0,
        "mirostat": 0,
        "repeat_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "dry_multiplier": 0.0,
    },
}
"""By the kind of server."""

_OWNERS = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llamacpp", "library": "ollama"}
"""Kinds of servers by what they write as `owned_by` on the card of a model."""


def neutral(kind: str) -> Mapping[str, Any]:
    """The fields that switch off what a kind of server adds to sampling; none of unknown kinds."""
    return _NEUTRAL.get(kind, {})


def kind_of(owner: str) -> str:
    """The kind of a server by the owner on its models' cards, "" where that does not tell."""
    return _OWNERS.get(owner, "")


def remarks(owners: Mapping[str, str]) -> list[str]:
    """What to say of servers whose own sampling stays in force.

    Args:
        owners: by URL, the owner on the card of the model that is asked.
    """
    kinds = {url: kind_of(owner) for url, owner in owners.items()}
    unknown = [url for url, kind in kinds.items() if not kind]
    ollamas = [url for url, kind in kinds.items() if kind == "ollama"]
    said = []
    if unknown:
        said.append(
            f"{_at(unknown)} not told to be of a kind known here: sampling of its own beside "
            "temperature and top_p (top_k, min_p, penalties), if it has any, stays in force; give "
            "--engine vllm or --engine llamacpp where it is one (docs/engines.md)"
        )
    if ollamas:
        said.append(
            f"{_at(ollamas)} Ollama, which keeps to its own top_k, min_p and repeat_penalty "
            "whatever a request says: set them in the model's Modelfile (docs/engines.md)"
        )
    return said


def _at(urls: Sequence[str]) -> str:
    others = f" (and {len(urls) - 1} more)" if len(urls) > 1 else ""
    return f"the engine at {shown(urls[0])}{others} is"
