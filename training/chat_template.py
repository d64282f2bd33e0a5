"""What a model's chat template makes of examples: refusals, reasoning, ends of generation alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from schemas.system_turns import begins_with_system, fold_system
from training.data import DataError
from training.examples import REASONING, Chat, Example

_PROBE: Chat = [
    {"role": "system", "content": "Say nothing."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "Because."},
]

REASONING_FIELDS = (REASONING, "reasoning", "thinking")
"""Fields of a message that templates read reasoning from: that of Qwen3, DeepSeek and GLM; others';
that of gpt-oss."""


def prepared(examples: Sequence[Example], tokenizer: Any) -> tuple[list[Example], str]:
    """Return examples as the template takes them, and what was changed, as the end of a line.

    A system message that the template refuses, or leaves out silently, goes into the first turn of
    the user, as the client of the engines does it. Reasoning goes into the field of the message
    that the template reads it from, else before the answer: `<think>`, reasoning, `</think>`.

    Raises:
        DataError: there is reasoning, and the template leaves it out in either form.
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
    if any(REASONING in message for example in made for message in example.get("completion", ())):
        field = reasoning_field(tokenizer)
        made = [{**each, "completion": _placed(each["completion"], field)} for each in made]
        said += (
            f"; reasoning stands in `{field}` of its message, as the chat template takes it"
            if field
            else "; reasoning stands in <think> tags before the answer"
        )
    elif opened := opened_for_generation(tokenizer):
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


def reasoning_field(tokenizer: Any) -> str | None:
    """Return the field of a message that the template reads reasoning from.

    None where it reads none, but keeps reasoning that stands in tags before an answer.

    Raises:
        DataError: it leaves that out, too.
    """
    thought, user = _PROBE[0]["content"], _PROBE[1]
    for name in (*REASONING_FIELDS, None):
        [said] = _placed([{**_PROBE[2], REASONING: thought}], name)
        try:
            if thought in _text(tokenizer, [user, said]):
                return name
        except DataError:
            continue
    raise DataError(
        "the model's chat template leaves out the reasoning before an answer, so that it cannot be "
        "learnt: give another one with --chat_template_path FILE.jinja, or leave out "
        "--with_reasoning"
    )


def _placed(completion: Chat, field: str | None) -> Chat:
    """Put the reasoning of messages into a field, or in tags before the answer.

    All messages have the field then, since rows of a dataset have the same ones.
    """
    if field is not None:
        return [
            {**{k: v for k, v in m.items() if k != REASONING}, field: m.get(REASONING, "")}
            for m in completion
        ]
    return [
        {**{k: v for k, v in m.items() if k != REASONING}, "content": in_tags(m)}
        for m in completion
    ]


def in_tags(message: dict[str, str]) -> str:
    """Return the content of a message with its reasoning, if it has any, in tags before it."""
    reasoning = message.get(REASONING)
    if not reasoning:
        return message["content"]
    return f"<think>\n{reasoning}\n</think>\n\n{message['content']}"


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
