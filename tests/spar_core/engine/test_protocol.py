"""The engine protocol: seeds, sums and errors."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core.engine.protocol import (
    ChatAnswer,
    Choice,
    EngineGone,
    ItemError,
    PromptTooLong,
    RequestRefused,
    seed_of,
)


def test_seed_is_the_same_in_every_process() -> None:
    assert seed_of(1, "refine", (0, 2), 0) == 23375788
    assert seed_of(1, "refine", (0, 2), 0) == seed_of(1, "refine", [0, 2], 0)


def test_seed_depends_on_every_part() -> None:
    parts = [(), (1,), (1, 2), (2, 1), (12,), ("1", 2), (1, (2,)), (1, 2, "")]
    assert len({seed_of(*some) for some in parts}) == len(parts)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.text() | st.integers() | st.none()))
def test_seed_fits_31_bits(parts: list[object]) -> None:
    assert 0 <= seed_of(*parts) < 2**31


def test_completion_tokens_are_the_sum_of_the_choices() -> None:
    answer = ChatAnswer((Choice("a", "stop", 3), Choice("b", "length", 4)), 10)
    assert answer.completion_tokens == 7


def test_another_run_tries_all_that_failed_again() -> None:
    kinds = (ItemError, PromptTooLong, RequestRefused)
    assert [k.cause for k in kinds] == ["engine_error", "too_long", "refused"]
    assert all(kind.retry for kind in kinds)
    assert ItemError("x").attempts == 1
    assert not issubclass(EngineGone, ItemError), "it is no item's failure"
