"""Names of rows: from content and position, never from time or chance.

Rows that a variant made with settings of its own bear its name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable

from schemas.methods import STAGES
from schemas.table import MAIN
from spar_core.chat import TextOrChat, messages_of
from spar_core.filters.words import unicode_form

_PARTS = re.compile(r"[rs]?\d+|a|answer|b|e|judge|pair|refine|root|t")
"""Parts of names that are no variant's."""


def is_reserved(variant: str) -> bool:
    """Whether a variant may not be called so: its rows would have the names of main's."""
    return _PARTS.fullmatch(variant) is not None or variant in STAGES


def prompt_id(prompt: TextOrChat) -> str:
    """Return an id that follows from the text alone; of a chat from the texts and their roles."""
    return _prompt_id(prompt, str)


def _prompt_id(prompt: TextOrChat, form: Callable[[str], str]) -> str:
    """Return the id of a prompt whose texts are brought into a form first."""
    if isinstance(prompt, str):
        said = form(prompt)
    else:
        turns = [(turn["role"], form(turn["content"])) for turn in messages_of(prompt)]
        said = "\0" + json.dumps(turns, ensure_ascii=False)
    return "p" + hashlib.sha256(said.encode()).hexdigest()[:16]


def form_id(prompt: TextOrChat) -> str:
    """Equal for prompts that differ only in white space, case or Unicode form, turn by turn.

    Forms are those of the same characters (NFC): `x²` and `x2` are two.
    """
    return _prompt_id(prompt, _normal)


def _normal(text: str) -> str:
    """Return a text without differences of white space, case and Unicode form."""
    return " ".join(unicode_form("NFC", unicode_form("NFC", text).casefold()).split())


def seed_id(seed: str) -> str:
    """Derived from the text alone."""
    return "s" + hashlib.sha256(seed.encode()).hexdigest()[:16]


def evolution_id(iteration: int, seed: str, variant: str = MAIN) -> str:
    """Names what became of a seed in an iteration."""
    return f"{_of(f'i{iteration}.{seed}', variant)}.e"


def backtranslation_id(iteration: int, seed: str, variant: str = MAIN) -> str:
    """Names the instruction written for a text in an iteration."""
    return f"{_of(f'i{iteration}.{seed}', variant)}.b"


def response_id(iteration: int, prompt: str, number: int, variant: str = MAIN) -> str:
    """Names response `number` to a prompt in an iteration."""
    return f"{_of(f'i{iteration}.{prompt}', variant)}.r{number}"


def rating_id(response: str, number: int, variant: str = MAIN) -> str:
    """Names rating `number` of a response."""
    return f"{_of(response, variant)}.s{number}"


def verifier_id(iteration: int, prompt: str, number: int, variant: str = MAIN) -> str:
    """Names function `number` that checks answers to a prompt in an iteration."""
    return f"{_of(f'i{iteration}.{prompt}', variant)}.v{number}"


def tree_id(root_response: str, variant: str = MAIN) -> str:
    """Names the tree grown from a response."""
    return f"{_of(root_response, variant)}.t"


def node_id(tree: str, path: tuple[int, ...], answer: int = 0) -> str:
    """Names a node by its path; of several answers that a tree begins with, also by `answer`."""
    if path:
        return ".".join([tree, *map(str, path)])
    return f"{tree}.root.{answer}" if answer else f"{tree}.root"


def pair_id(origin: str, variant: str = MAIN) -> str:
    """Names the pair that came of a tree, or of a prompt by some method."""
    return f"{_of(origin, variant)}.pair"


def sft_id(origin: str, what: str, variant: str = MAIN) -> str:
    """Names what a teacher made of a response or of a prompt."""
    return f"{_of(origin, variant)}.{what}"


def item_id(benchmark: str, key: str, prompt: str, given: str | None) -> str:
    """Derived from a benchmark's name and from what it asks."""
    text = "\0".join([benchmark, key, prompt, given or ""])
    return "b" + hashlib.sha256(text.encode()).hexdigest()[:16]


def answer_id(iteration: int, item: str, variant: str = MAIN) -> str:
    """Names the answer to a benchmark's item, or to a prompt, in an iteration."""
    return f"{_of(f'i{iteration}.{item}', variant)}.a"


def rft_id(key: str, variant: str = MAIN) -> str:
    """Names a fine-tuning sample."""
    return _of(key, variant)


def _of(name: str, variant: str) -> str:
    """The name, with the variant unless it bears that already."""
    is_named = variant == MAIN or variant in name.split(".")[2:]
    return name if is_named else f"{name}.{variant}"
