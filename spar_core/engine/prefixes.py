"""Which engines have seen the beginning of a chat, and so hold it in their prefix caches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from spar_core.engine.protocol import Message

_BLOCK = 128
"""Characters of a block: some 32 tokens."""

_LONGEST = 64
"""Blocks of a chat that are looked at."""

MOST_BLOCKS = 1 << 16
"""Blocks that are remembered, those last seen: more than the caches of some engines hold."""


def blocks_of(messages: Sequence[Message]) -> list[int]:
    """The beginnings of a chat, the shortest first: each a block longer than the one before."""
    text = "".join(f"<{message['role']}>{message['content']}" for message in messages)
    blocks: list[int] = []
    for start in range(0, min(len(text) // _BLOCK, _LONGEST) * _BLOCK, _BLOCK):
        blocks.append(hash((blocks[-1] if blocks else 0, text[start : start + _BLOCK])))
    return blocks


class Prefixes:
    """What each of some engines has seen; an engine is a bit of a number."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, int] = OrderedDict()

    def holders(self, blocks: Sequence[int]) -> int:
        """The engines that have seen the longest beginning that any has seen; 0 for none."""
        for block in reversed(blocks):
            if holders := self._seen.get(block):
                return holders
        return 0

    def note(self, blocks: Sequence[int], engine: int) -> None:
        """An engine sees a chat."""
        for block in blocks:
            self._seen[block] = self._seen.get(block, 0) | engine
            self._seen.move_to_end(block)
        while len(self._seen) > MOST_BLOCKS:
            self._seen.popitem(last=False)
