from __future__ import annotations

from typing import Any

import pytest

from tests.training import tiny
from training.data import DataError
from training.examples import every_turn, last_turn, preference

USER, SAID = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def test_pairs_of_messages_and_of_texts_are_the_same() -> None:
    messages = {"prompt": [USER], "chosen": [SAID], "rejected": [SAID]}
    texts = {"prompt": "q", "chosen": "a", "rejected": "a"}
    assert list(preference(messages)) == list(preference(texts)) == [messages]


def test_only_role_and_content_are_kept() -> None:
    row = {"prompt": [USER | {"name": None}], "chosen": [SAID], "rejected": [SAID]}
    assert next(preference(row))["prompt"] == [USER]


def test_last_turn_is_learnt_and_the_rest_is_prompt() -> None:
    messages = tiny.chat(3)["messages"]
    assert list(last_turn({"messages": messages})) == [
        {"prompt": messages[:3], "completion": messages[3:]}
    ]


def test_every_turn_of_the_assistant_is_learnt_once() -> None:
    messages = tiny.chat(3)["messages"]
    assert list(every_turn({"messages": messages})) == [
        {"prompt": messages[:1], "completion": messages[1:2]},
        {"prompt": messages[:3], "completion": messages[3:]},
    ]


@pytest.mark.parametrize("name", ["answer", "completion", "response", "chosen"])
def test_prompt_and_answer(name: str) -> None:
    assert list(every_turn({"prompt": "q", name: "a"})) == [
        {"prompt": [USER], "completion": [SAID]}
    ]


@pytest.mark.parametrize(
    ("make", "row"),
    [
        (last_turn, {"messages": [SAID]}),
        (last_turn, {"messages": [USER, SAID, USER]}),
        (last_turn, {"messages": []}),
        (every_turn, {"messages": [USER, USER]}),
        (every_turn, {"prompt": "q", "answer": ""}),
        (preference, {"prompt": 3, "chosen": "a", "rejected": "b"}),
        (preference, {"prompt": "p", "chosen": [{"role": "assistant"}], "rejected": "b"}),
        (preference, {"prompt": "p", "chosen": ["a"], "rejected": "x" * 1000}),
    ],
)
def test_what_is_no_chat(make: Any, row: dict[str, Any]) -> None:
    with pytest.raises(DataError) as raised:
        list(make(row))
    assert len(str(raised.value)) < 300
