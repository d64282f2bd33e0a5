"""Reads the bodies in which servers say what is wrong with a request, whatever their shape."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

_ECHOES = {"input", "flagged_input"}
"""Keys under which a server repeats a part of the request, which holds any words."""

_POINTERS = {"param", "loc", "field"}
"""Keys whose value is the path of the field at fault."""

_COMMON = {"n", "stop"}
"""Names that are words of any text too: they count only where they stand as a name."""

_ALIASES = {
    "n": r"n_cmpl|candidate_?count|multiple candidates|one candidate",
    "stop": r"stop_?sequences",
    "max_tokens": r"max_?output_?tokens",
    "presence_penalty": r"penalty is not enabled",
    "frequency_penalty": r"penalty is not enabled",
}
"""What some servers call a field where they pass it on: llama.cpp, Gemini, Claude."""

_CONTENT = re.compile(
    r"content[ _-]?(?:filter|management|policy)|moderat|flagged|responsible ?ai|safety|guardrail"
    r"|usage polic",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"\b(?:api)?[ _-]?keys?\b|credential|authenticat|unauthori[sz]ed|permission|subscription"
    r"|billing|balance|\bcredits?\b|\btokens? (?:has |is )?(?:expired|invalid)",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(r"jinja|chat[ _-]?template|raise_exception|template_error", re.IGNORECASE)
_SYSTEM = re.compile(
    r"\bsystem[ _-]?(?:role|message|prompt|instruction|turn)|roles?\b[^.\n]{0,60}\bsystem\b"
    r"|[`'\"]system[`'\"]|developer instruction"
    r"|roles? must alternate|only user and assistant roles",
    re.IGNORECASE,
)
_UNSUPPORTED = re.compile(
    r"\bnot (?:\w+ )?(?:support|permit|allow|recogni|enabled)|n't support|unsupported|unknown"
    r"|unrecogni|invalid|unexpected|extra inputs",
    re.IGNORECASE,
)
_DAILY = re.compile(r"per[ _]?day|daily|quota[ _]exceeded|exceeded your current quota", re.I)
_SHORT = re.compile(r"per[ _]?(?:second|minute|hour)", re.IGNORECASE)
_CONTEXT = re.compile(r"exceed|maximum|length", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a server says of a request that it does not answer.

    text: the body as it came. pointers: paths of fields that it points at. words: its texts,
    without what they repeat of the request.
    """

    text: str
    pointers: tuple[str, ...]
    words: str

    def named(self, fields: Collection[str]) -> list[str]:
        """Return which of the fields of the request it names, in snake case or camel case.

        Where it points at fields, its words name no others.
        """
        pointed = [name for pointer in self.pointers if (name := _target(pointer, fields))]
        if pointed:
            return list(dict.fromkeys(pointed))
        return [name for name in fields if _as_name(name).search(self.words)]

    @property
    def is_about_content(self) -> bool:
        """Whether a filter or a moderator refuses what the chat says."""
        return bool(_CONTENT.search(self.words))

    @property
    def is_about_key(self) -> bool:
        """Whether the key, its rights or its account are at fault."""
        return bool(_KEY.search(self.words))

    @property
    def is_about_template(self) -> bool:
        """Whether the model's chat template refuses the turns of the chat."""
        return bool(_TEMPLATE.search(self.words))

    @property
    def is_about_system(self) -> bool:
        """Whether a system message, or the order of roles that it breaks, is refused."""
        return bool(_SYSTEM.search(self.words))

    @property
    def is_about_context(self) -> bool:
        """Whether chat and answer do not fit in the model's context."""
        said = self.text.lower()
        return "prompt is too long" in said or (
            "context" in said and _CONTEXT.search(said) is not None
        )

    @property
    def is_about_support(self) -> bool:
        """Whether something of the request is not supported."""
        return bool(_UNSUPPORTED.search(self.words))

    def is_about_model(self, model: str) -> bool:
        """Whether the server has no such model; that it has no endpoint is about the request."""
        said = self.words.lower()
        return "endpoint" not in said and (
            (model.lower() in said and ("not exist" in said or "not found" in said))
            or "model_not_found" in said
        )

    @property
    def is_spent_account(self) -> bool:
        """Whether the account has nothing left, however long one waits."""
        return "insufficient_quota" in self.text

    @property
    def is_daily_quota(self) -> bool:
        """Whether a quota is used up that is not one of a minute or so."""
        return bool(_DAILY.search(self.words)) and not _SHORT.search(self.words)


def read_error(text: str) -> ErrorBody:
    """Read a body: JSON of any shape, also JSON as a text within JSON, or plain text."""
    found = list(_parts(text))
    return ErrorBody(
        text,
        tuple(said for is_pointer, said in found if is_pointer),
        "\n".join(said for is_pointer, said in found if not is_pointer),
    )


def _parts(node: Any, key: str = "") -> Iterator[tuple[bool, str]]:
    """The texts of a node, and whether each is a path of a field."""
    if isinstance(node, str):
        inner = _json(node)
        if inner is None:
            yield key in _POINTERS, node
        else:
            yield from _parts(inner)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name not in _ECHOES:
                yield from _parts(value, name)
    elif isinstance(node, list):
        if key in _POINTERS:
            yield True, ".".join(map(str, node))
        else:
            for value in node:
                yield from _parts(value, key)


def _json(text: str) -> Any:
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return inner if isinstance(inner, dict | list) else None


def _target(pointer: str, fields: Collection[str]) -> str:
    """The first step of a path that is one of the fields, "" where none is."""
    steps = {_snake(step): step for step in re.findall(r"\w+", pointer)}
    return next((step for step in steps if step in fields), "")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@cache
def _as_name(name: str) -> re.Pattern[str]:
    first, *others = name.split("_")
    forms = name if not others else f"{name}|{first}{''.join(map(str.capitalize, others))}"
    alone = rf"(?<![\w\\])(?:{forms})(?!\w)"
    if name in _COMMON:
        alone = "|".join(
            (
                rf"[`'\"\u2018\u201c]{name}[`'\"\u2019\u201d]",
                rf"{alone}\s*(?:[:=<>]|(?:must|should|is|are|cannot|can|does|has|may|value|parameter"
                r"|argument|field|property|option)\b)",
                r"\b(?:parameters?|arguments?|fields?|propert(?:y|ies)|keys?|names?|options?|for"
                rf"|unsupported|unknown|unrecognized|supported|permitted|allowed)[:\s]+{alone}",
                rf"[:,]\s*{alone}\s*(?=[,.;)\]]|$)",
                rf"\w\.{name}(?![\w.])",
            )
        )
    alias = _ALIASES.get(name)
    return re.compile(f"{alone}|(?i:{alias})" if alias else alone, re.MULTILINE)
