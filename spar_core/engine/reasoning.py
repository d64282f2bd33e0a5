"""Splits the reasoning of a model from its answer, wherever a server puts it.

Servers put reasoning into a field of the message, into chunks of its content, or leave it in the
text between tags. Whatever is voted on, checked, refined, paired or trained on is the answer alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from spar_core.engine.protocol import AnswerDiscarded, Choice, CutWhileThinking

_FIELDS = ("reasoning", "reasoning_content")
"""Fields of a message that hold its reasoning. A server that fills both repeats itself."""

_CHUNKS = ("thinking", "reasoning")
"""Types of the chunks of content that hold reasoning."""

_IN_CHUNK = ("thinking", "reasoning", "text", "summary", "content")
"""Fields of such a chunk that may hold its text, or a list of chunks of text."""

_CLOSING = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<reasoning>": "</reasoning>",
}
_OPENING = tuple(_CLOSING)


class Parts(NamedTuple):
    """What a text or message consists of.

    reasoning: without white space round it; "" where there is none.
    answer: the rest; without white space before it where reasoning was split off.
    is_opened_by_template: whether a lone `</think>` ended the reasoning: the chat template of the
        model opens it, in each of its answers.
    """

    reasoning: str
    answer: str
    is_opened_by_template: bool = False


def split_message(message: Mapping[str, Any]) -> Parts:
    """Return the reasoning and the answer of a message of a completion.

    Fields of reasoning of an odd type are ignored.

    Raises:
        TypeError: the content is neither text, nor chunks of text, nor null.
    """
    in_field = next((text for name in _FIELDS if (text := _texts(message.get(name)))), "")
    in_chunks, content = _split_content(message.get("content"))
    is_split = bool(in_field.strip() or in_chunks.strip())
    parts = split_text(content, is_split=is_split)
    if not is_split:
        return parts
    found = [text.strip() for text in (in_field, in_chunks, parts.reasoning)]
    reasoning = "\n\n".join(dict.fromkeys(text for text in found if text))
    return Parts(reasoning, parts.answer.lstrip())


def split_text(text: str, *, is_split: bool = False) -> Parts:
    """Return the reasoning and the answer of a text in which tags may stand round the reasoning.

    - A text that begins, after white space, with `<think>`, `<thinking>` or `<reasoning>`: what
      stands before the tag that closes it is reasoning. So is all of the text where no tag closes
      it: the answer is then empty. Further blocks that follow at once are reasoning, too.
    - A text in which `</think>` stands and no `<think>` before it: all before the first such tag is
      reasoning, which the chat template opened.
    - In any other text tags are words of the answer, which may be about them.

    Reasoning that a template opens and that is cut before its end cannot be told from an answer in
    a text alone.

    Args:
        is_split: whether the server has split off reasoning itself: then a lone `</think>` is a
            word of the answer.
    """
    start = text.lstrip()
    if start.startswith(_OPENING):
        blocks = []
        while opened := next((tag for tag in _OPENING if start.startswith(tag)), ""):
            block, _, after = start[len(opened) :].partition(_CLOSING[opened])
            blocks.append(block.strip())
            start = after.lstrip()
        return Parts("\n\n".join(filter(None, blocks)), start)
    if not is_split and "</think>" in text:
        before, _, after = text.partition("</think>")
        if "<think>" not in before:
            return Parts(before.strip(), after.lstrip(), is_opened_by_template=True)
    return Parts("", text)


def unanswered(choices: Sequence[Choice]) -> CutWhileThinking | AnswerDiscarded | None:
    """Return the error to raise for choices of which none holds more than reasoning.

    None where one of them holds an answer, and where there are none.
    """
    if not choices or not all(choice.has_only_reasoning for choice in choices):
        return None
    if any(choice.is_cut for choice in choices):
        return CutWhileThinking(
            "the model was cut while it was thinking, so there is no answer: a larger limit gives "
            "it room (--actor_max_tokens, --judge_max_tokens, --refine_max_tokens, or the option "
            "of its name for another role)"
        )
    return AnswerDiscarded(
        "there is reasoning and no answer: the server put the whole answer into its reasoning "
        "field (start it without a reasoning parser, or switch thinking off), or the model ended "
        "with its thinking"
    )


def _split_content(content: object) -> tuple[str, str]:
    """Return the reasoning in the chunks of a content, and the text of the others."""
    if content is None:
        return "", ""
    if isinstance(content, str):
        return "", content
    if not isinstance(content, list):
        raise TypeError("content is no text")
    reasoning, answer = [], []
    for chunk in content:
        if isinstance(chunk, dict) and chunk.get("type") in _CHUNKS:
            reasoning.append(_of_thinking_chunk(chunk))
        elif isinstance(chunk, dict | str):
            answer.append(_of_text_chunk(chunk))
        else:
            raise TypeError("content holds what is no text")
    return "".join(reasoning), "".join(answer)


def _of_thinking_chunk(chunk: Mapping[str, Any]) -> str:
    return next((text for name in _IN_CHUNK if (text := _texts(chunk.get(name)))), "")


def _of_text_chunk(chunk: object) -> str:
    text = chunk.get("text") if isinstance(chunk, dict) else chunk
    return text if isinstance(text, str) else ""


def _texts(value: object) -> str:
    """Return a text, or the joined texts of a list of chunks; "" of anything else."""
    if isinstance(value, list):
        return "".join(map(_of_text_chunk, value))
    return value if isinstance(value, str) else ""
