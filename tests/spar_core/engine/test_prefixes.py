"""Who has seen the beginning of a chat."""

from __future__ import annotations

import pytest

from spar_core.engine import prefixes
from spar_core.engine.prefixes import Prefixes, blocks_of
from spar_core.engine.protocol import Message

ONE, OTHER = 1, 2


def chat(*turns: str) -> list[int]:
    roles = ("user", "assistant")
    messages: list[Message] = [
        {"role": roles[number % 2], "content": turn} for number, turn in enumerate(turns)
    ]
    return blocks_of(messages)


def test_chats_share_the_blocks_of_what_they_begin_with() -> None:
    begun, further = chat("a" * 500), chat("a" * 500, "b" * 500)
    shared = [one == other for one, other in zip(begun, further, strict=False)]
    assert all(shared) and len(begun) == 3 < len(further)
    assert not {*begun} & {*chat("b" + "a" * 500)}
    assert {*chat("a" * 300 + "b" * 300)} & {*begun} == {*begun[:2]}
    assert len({*begun}) == 3, "equal text in another place is another block"


def test_short_chats_have_no_block_and_long_ones_not_more_than_some() -> None:
    assert chat("hi") == []
    assert len(chat("a" * 100_000)) == 64


def test_holders_are_those_of_the_longest_beginning() -> None:
    seen = Prefixes()
    assert seen.holders(chat("a" * 500)) == 0
    seen.note(chat("a" * 500), ONE)
    seen.note(chat("a" * 300 + "b" * 300), OTHER)
    assert seen.holders(chat("a" * 500, "and on")) == ONE
    assert seen.holders(chat("a" * 300 + "b" * 300)) == OTHER
    assert seen.holders(chat("a" * 300 + "c" * 300)) == ONE | OTHER, "both have that much of it"
    assert seen.holders(chat("c" * 500)) == seen.holders([]) == 0


def test_what_was_not_seen_for_long_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "MOST_BLOCKS", 6)
    seen = Prefixes()
    for text in ("a", "b", "a", "c"):
        seen.note(chat(text * 400), ONE)
    assert [bool(seen.holders(chat(text * 400))) for text in "abc"] == [True, False, True]
