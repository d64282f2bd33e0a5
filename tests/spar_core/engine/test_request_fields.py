"""What one server takes of a request is learned from its refusals."""

from __future__ import annotations

import pytest

from spar_core.engine.error_bodies import read_error
from spar_core.engine.request_fields import Change, RequestFields

OPTIONAL = {"top_k": -1, "min_p": 0.0}
BODY = {
    "model": "m",
    "n": 3,
    "seed": 7,
    "temperature": 0.7,
    "top_p": 0.9,
    "max_tokens": 64,
    "stop": ("##",),
}
MAX = Change("max_tokens", "max_completion_tokens")
SEED, NO_SEED = Change("seed", "random_seed"), Change("random_seed")


def remedies(
    text: str, fields: RequestFields | None = None, tried: tuple[Change, ...] = ()
) -> list[Change]:
    fields = fields or RequestFields(OPTIONAL)
    return fields.remedies(read_error(text), fields.shaped(BODY, tried), BODY, tried)


def test_all_is_sent_as_it_is_to_a_server_that_takes_it() -> None:
    assert RequestFields({}).shaped(BODY) == BODY
    assert RequestFields(OPTIONAL).shaped(BODY) == OPTIONAL | BODY


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("top_k and min_p are unknown", [Change("top_k"), Change("min_p")]),
        ("'max_tokens': use 'max_completion_tokens' instead", [MAX]),
        ("max_tokens: 100000 > 64000, the maximum allowed number of output tokens", []),
        ("max_tokens is too large", []),
        ("'seed' is not permitted", [SEED]),
        ("'n' is unsupported", [Change("n")]),
        ("'stop' is unsupported", [Change("stop")]),
        ("temperature is deprecated", [Change("temperature", where=("temperature", 0.7))]),
        ("temperature and top_p cannot both be set", [Change("top_p", where=("top_p", 0.9))]),
        ("unknown model 'm'", []),
        ("the prompt was flagged: temperature", []),
        ("no", []),
    ],
)
def test_what_is_changed(text: str, changes: list[Change]) -> None:
    assert remedies(text) == changes


def test_n_is_given_up_at_temperature_0_alone_where_it_is_refused_there() -> None:
    fields, greedy = RequestFields({}), BODY | {"temperature": 0.0}
    error = read_error("n must be 1 when using greedy sampling, got 3.")
    fields.learn(fields.remedies(error, greedy, greedy, ()))
    assert "n" not in fields.shaped(greedy) and fields.shaped(BODY)["n"] == 3


def test_temperature_is_given_up_at_the_value_that_is_refused() -> None:
    fields = RequestFields({})
    fields.learn(remedies("'temperature' does not support 0.7, only 1", fields))
    assert "temperature" not in fields.shaped(BODY)
    assert fields.shaped(BODY | {"temperature": 1.0})["temperature"] == 1.0


def test_seed_is_renamed_then_left_out() -> None:
    fields = RequestFields({})
    assert fields.shaped(BODY, [SEED])["random_seed"] == 7
    assert remedies("random_seed: unknown", fields, (SEED,)) == [NO_SEED]
    assert not {"seed", "random_seed"} & fields.shaped(BODY, [SEED, NO_SEED]).keys()
    [told] = fields.learn([SEED, NO_SEED])
    assert told.startswith("refuses seed: ")


def test_limit_is_renamed_both_ways_and_never_left_out() -> None:
    fields = RequestFields({})
    assert fields.shaped(BODY, [MAX])["max_completion_tokens"] == 64
    assert remedies("max_completion_tokens: unknown", fields, (MAX,)) == [], "it was refused before"
    assert fields.learn([MAX]) == ["takes max_completion_tokens in place of max_tokens"]
    back = remedies("max_completion_tokens: unknown", fields)
    assert fields.learn(back) == ["takes max_tokens in place of max_completion_tokens"]
    assert fields.shaped(BODY) == BODY


def test_refusal_of_what_others_learned_meanwhile_is_mended_too() -> None:
    fields = RequestFields(OPTIONAL)
    sent = fields.shaped(BODY)
    fields.learn([Change("top_k")])
    changes = fields.remedies(read_error("top_k: unknown"), sent, BODY, ())
    assert changes == [Change("top_k")] and fields.learn(changes) == []


def test_what_is_learned_is_told_once_and_plainly() -> None:
    fields = RequestFields(OPTIONAL)
    changes = [Change("min_p"), Change("n"), Change("stop"), Change("top_p", where=("top_p", 1.0))]
    silent, *others = fields.learn(changes)
    assert silent == "refuses min_p, top_p: what it does of its own there stays in force"
    assert [told.split(":")[0] for told in others] == ["refuses n", "refuses stop"]
    assert fields.learn(changes) == []
    [told] = fields.learn([Change("temperature", where=("temperature", 0.7))])
    assert told == (
        "refuses temperature 0.7: answers are drawn with its own temperature, and not with the one "
        "that settings and rows of the run tell"
    )
