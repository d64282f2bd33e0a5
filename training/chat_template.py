"""What a model's chat template makes of examples: refusals, and ends that only generation has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from schemas.system_turns import begins_with_system, fold_system
from training.data import DataError
from training.examples import Chat, Example

_PROBE: Chat = [
    {"role": "system", "content": "Say nothing."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "Because."},
]


def prepared(examples: Sequence[Example], tokenizer: Any) -> tuple[list[Example], str]:
    """Return examples as the template takes them, and what was changed, as the end of a line.

    A system message that the template refuses, or leaves out silently, goes into the first turn of
    the user, as the client of the engines does it.
    """
    said = ""
    concerned = sum(begins_with_system(example["prompt"]) for example in examples)
    made = list(examples)
    if concerned and not takes_system(tokenizer):
        made = [{**each, "prompt": fold_system(each["prompt"])} for each in made]
        said += (
            f"; the chat template takes no system message: {concerned} stand at the head of the "
            "first turn of the user"
        )
    if opened := opened_for_generation(tokenizer):
        said += (
            f"; the chat template opens {opened!r} for generation alone: answers are learnt without"
        )
    return made, said


def takes_system(tokenizer: Any) -> bool:
    """Return whether the template writes a system message down."""
    try:
        return _PROBE[0]["content"] in _text(tokenizer, _PROBE)
    except DataError:
        return False


def opened_for_generation(tokenizer: Any) -> str:
    """Return what the template writes after a prompt to be answered and not before an answer."""
    try:
        asked = _text(tokenizer, _PROBE[1:2], add_generation_prompt=True)
        answered = _text(tokenizer, _PROBE[1:])
    except DataError:
        return ""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(asked, answered, strict=False))
    return asked[sum(1 for _ in same) :]


def lengths_of(examples: Sequence[Example], tokenizer: Any, batch: int = 256) -> list[int]:
    """Return the tokens of each example: of the prompt with the longest of what follows it.

    Raises:
        DataError: the template refuses a chat.
    """
    lengths: list[int] = []
    for start in range(0, len(examples), batch):
        some = examples[start : start + batch]
        longest = [0] * len(some)
        for side in some[0].keys() - {"prompt"}:
            chats = [example["prompt"] + example[side] for example in some]
            counts = _tokens_of(tokenizer, chats)
            longest = [max(n, count) for n, count in zip(longest, counts, strict=True)]
        lengths += longest
    return lengths


def _tokens_of(tokenizer: Any, chats: Sequence[Chat]) -> list[int]:
    """Return how many tokens each chat has.

    Raises:
        DataError: the template refuses one of them.
    """
    try:
        ids = _applied(tokenizer, [*chats], tokenize=True, return_dict=True)["input_ids"]
    except DataError:
        for chat in chats:
            _text(tokenizer, chat)  # says which
        raise
    return [len(each) for each in ids]


def _text(tokenizer: Any, chat: Chat, **more: Any) -> str:
    return str(_applied(tokenizer, chat, tokenize=False, **more))


def _applied(tokenizer: Any, chats: Any, **how: Any) -> Any:
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(chats, **how)
    except (TemplateError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"the model's chat template refuses a chat ({reason}): {repr(chats)[:200]}; leave such "
            "rows out with --where, or give another template"
        ) from None
