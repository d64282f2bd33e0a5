"""Which of vLLM's reasoning parsers splits off what a model thinks, where that is certain.

A wrong parser takes whole answers for reasoning, so none is named for a model that may answer
without thinking: one whose chat template has a switch for it, or that was trained on plain answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_ALWAYS = {"gpt_oss": "openai_gptoss"}
"""By the type of the model in `config.json`: models that have no other way to answer."""

_OPENED = {
    **dict.fromkeys(("qwen3", "qwen3_moe", "qwen3_next"), "qwen3"),
    **dict.fromkeys(("llama", "qwen2", "deepseek_v3"), "deepseek_r1"),
    "olmo3": "olmo3",
}
"""By the same: models whose chat template opens `<think>`, so that each answer begins inside it."""

_NAMES = (
    (re.compile(r"openai/gpt-oss-(20b|120b)"), "openai_gptoss"),
    (re.compile(r"Qwen/Qwen3-[\w.]+(-A\w+)?-Thinking-2507(-FP8)?"), "qwen3"),
    (re.compile(r"deepseek-ai/DeepSeek-R1(-0528)?(-Distill-[\w.-]+)?"), "deepseek_r1"),
    (re.compile(r"allenai/Olmo-3-\w+-Think"), "olmo3"),
)
"""Models on the Hub, whose files are not here to be looked at."""

_OPTION, _TEMPLATE = "--reasoning-parser", "--chat-template"
_TAG, _CLOSING = "<think>", "</think>"


def parser_arguments(model: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments of vLLM that name the reasoning parser of a model.

    Args:
        model: a checkpoint folder, or a name on the Hub.
        arguments: the user's own for vLLM; nothing is added to a parser that they name (with
            `--reasoning-parser ''` none), and nothing is certain with a chat template of theirs.
    """
    given = {word.partition("=")[0].replace("_", "-") for word in arguments}
    if _OPTION in given or _TEMPLATE in given:
        return []
    parser = parser_of(model)
    return [_OPTION, parser] if parser else []


def parser_of(model: str) -> str:
    """Return the reasoning parser of a model, "" where it has none or where it is not certain."""
    folder = Path(model)
    if not folder.is_dir():
        return next((parser for name, parser in _NAMES if name.fullmatch(model)), "")
    kind = _read_json(folder / "config.json").get("model_type")
    if not isinstance(kind, str):
        return ""
    if kind in _ALWAYS:
        return _ALWAYS[kind]
    if kind in _OPENED and _opens_thought(_chat_template(folder)) and _has_tag(folder):
        return _OPENED[kind]
    return ""


def _opens_thought(template: str) -> bool:
    """Whether what a chat template writes before each answer ends inside `<think>`."""
    _, is_there, last = template.rpartition("add_generation_prompt")
    return bool(is_there) and _TAG in last and _CLOSING not in last and "enable_" not in last


def _chat_template(folder: Path) -> str:
    said = _read(folder / "chat_template.jinja")
    template = said or _read_json(folder / "tokenizer_config.json").get("chat_template")
    return template if isinstance(template, str) else ""


def _has_tag(folder: Path) -> bool:
    """Whether `<think>` is a token of its own: parsers refuse a model without it."""
    files = ("tokenizer.json", "tokenizer_config.json")
    return any(json.dumps(_TAG) in _read(folder / name) for name in files)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        plain = json.loads(_read(file))
    except (ValueError, RecursionError):
        return {}
    return plain if isinstance(plain, dict) else {}


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
