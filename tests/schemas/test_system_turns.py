"""A system message for models that take none."""

from __future__ import annotations

import doctest

from schemas import system_turns
from schemas.system_turns import fold_system

SYSTEM = {"role": "system", "content": "Be brief."}
USER, SAID = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}


def test_a_chat_without_a_system_message_stays() -> None:
    assert fold_system([USER, SAID]) == [USER, SAID]
    assert fold_system([]) == []


def test_only_the_first_turn_of_the_user_changes() -> None:
    folded = fold_system([SYSTEM, USER, SAID, USER])
    assert folded == [{"role": "user", "content": "Be brief.\n\nHi"}, SAID, USER]


def test_before_a_turn_of_the_assistant_it_is_a_turn_of_the_user() -> None:
    assert fold_system([SYSTEM, SAID]) == [{"role": "user", "content": "Be brief."}, SAID]


def test_examples() -> None:
    assert doctest.testmod(system_turns).failed == 0
