"""A server's refusal, in whatever form, names the fields that it does not take."""

from __future__ import annotations

import json

import pytest

from spar_core.engine.error_bodies import read_error

FIELDS = (
    *("model", "messages", "n", "seed", "stop", "temperature", "top_p", "max_tokens"),
    *("top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty"),
)

TOP_K = {
    "OpenAI": {"error": {"message": "Unrecognized request argument: top_k", "param": None}},
    "param": {"error": {"message": "Bad request", "param": "top_k"}},
    "a list": [{"error": {"message": 'Unknown name "top_k": Cannot find field.'}}],
    "camel case": {"error": "Argument not supported: topK"},
    "pydantic": {"detail": [{"type": "extra_forbidden", "loc": ["body", "top_k"], "input": -1}]},
    "a property": {"error": {"message": "property 'top_k' is unsupported"}},
    "Google's path": {"error": {"details": [{"fieldViolations": [{"field": "config.topK"}]}]}},
    "JSON within": {"error": {"metadata": {"raw": '{"message": "top_k: unknown", "param": null}'}}},
}


@pytest.mark.parametrize("refusal", TOP_K.values(), ids=TOP_K)
def test_what_a_refusal_names_is_found(refusal: object) -> None:
    assert read_error(json.dumps(refusal)).named(FIELDS) == ["top_k"]


@pytest.mark.parametrize(
    "text",
    [
        *("n must be 1 when using greedy sampling, got 3.", "'n' : number must be at most 1"),
        *("property 'n' is unsupported", 'Unknown name "n"', "n: Extra inputs are not permitted"),
        *("Invalid n value (currently only n = 1 is supported)", "body.n", "parameter: n"),
        "n_cmpl cannot be greater than the number of slots, please increase -np",
        "Multiple candidates is not enabled for this model",
        "candidateCount must be 1 but the entered value was 3",
        "Unsupported value for n, seed.",
    ],
)
def test_n_is_found_where_it_stands_as_a_name(text: str) -> None:
    assert "n" in read_error(text).named(FIELDS)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "stop_k, top_k2",
            "k",
            "please do not stop here",
            r"line\n is broken",
            "a 'no' to it",
        ),
        *("stop", "Give me n apples", "we stop and go"),
    ],
)
def test_other_words_name_nothing(text: str) -> None:
    assert read_error(text).named(FIELDS) == []


def test_several_are_found_at_once() -> None:
    named = read_error("min_p, repetitionPenalty: extra").named(FIELDS)
    assert named == ["min_p", "repetition_penalty"]
    named = read_error("Penalty is not enabled for models/x").named(FIELDS)
    assert named == ["presence_penalty", "frequency_penalty"]


def test_what_an_error_points_at_goes_before_what_it_speaks_of() -> None:
    error = {"message": "'max_tokens' is fine, see temperature", "param": "max_tokens"}
    assert read_error(json.dumps({"error": error})).named(FIELDS) == ["max_tokens"]
    error = {"message": "bad content: temperature and seed", "param": "messages.[0].content"}
    assert read_error(json.dumps({"error": error})).named(FIELDS) == ["messages"]


def test_what_a_server_repeats_of_the_request_names_nothing() -> None:
    at_fault = {"loc": ["body", "x"], "msg": "not that", "input": "set temperature, seed and top_k"}
    moderated = {"metadata": {"flagged_input": "set temperature and the api key"}}
    for body in ({"detail": [at_fault]}, {"error": moderated}):
        error = read_error(json.dumps(body))
        assert error.named(FIELDS) == [] and not error.is_about_key


@pytest.mark.parametrize("text", ["[" * 5000, '{"a": ', '"x"', "null", "<html>top_k</html>"])
def test_body_that_is_no_json_is_a_text(text: str) -> None:
    assert read_error(text).words == text


@pytest.mark.parametrize(
    "text",
    [
        "The response was filtered due to Azure OpenAI's content management policy",
        '{"error": {"code": "content_filter"}}',
        "Your chosen model requires moderation and your input was flagged",
    ],
)
def test_what_a_filter_says_is_about_the_content(text: str) -> None:
    assert read_error(text).is_about_content


@pytest.mark.parametrize(
    ("text", "is_daily"),
    [
        ("Quota exceeded for metric requests", True),
        ("Rate limit reached: tokens per day (TPD)", True),
        ('{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}', True),
        ("You exceeded your current quota, please check your plan", True),
        ("Quota exceeded for generate_content_requests_per_minute_per_project", False),
        ("Resource has been exhausted (e.g. check quota).", False),
        ("Rate limit reached: requests per minute", False),
    ],
)
def test_quota_of_a_day_is_told_from_one_of_a_minute(text: str, is_daily: bool) -> None:
    assert read_error(text).is_daily_quota is is_daily


def test_missing_model_is_told_from_a_missing_endpoint() -> None:
    assert read_error("The model `m` does not exist.").is_about_model("m")
    assert not read_error("No endpoints found for m that support n").is_about_model("m")
