"""What an error of a server means."""

from __future__ import annotations

import pytest

from spar_core.engine.access import Access
from spar_core.engine.endpoints import endpoint_of
from spar_core.engine.error_replies import BUSY, ErrorReply, brief, error_of, status_of
from spar_core.engine.faults import Fault
from spar_core.engine.protocol import EngineGone, PromptTooLong, RequestRefused
from spar_core.engine.request_fields import RequestFields

SENT = {"model": "m", "n": 2, "temperature": 0.7, "top_p": 0.9, "max_tokens": 8}


def meant(status: int, text: str = "oh no", *, has_answered: bool = False) -> Exception:
    return error_of(
        ErrorReply(status, {}, text, has_answered),
        endpoint=endpoint_of("http://me:secret@a"),
        model="m",
        access=Access("A_KEY"),
        fields=RequestFields({"presence_penalty": 0.0}),
        sent=SENT | {"presence_penalty": 0.0},
    )


@pytest.mark.parametrize("status", sorted(BUSY))
def test_busy_server_is_waited_for(status: int) -> None:
    fault = meant(status)
    assert isinstance(fault, Fault) and fault.busy and fault.wait_s is None


@pytest.mark.parametrize("status", [302, 408, 500, 501])
def test_other_failures_may_pass(status: int) -> None:
    fault = meant(status)
    assert isinstance(fault, Fault) and not fault.busy
    assert str(fault) == f"HTTP {status}: oh no"


@pytest.mark.parametrize(
    ("status", "text", "has_answered", "kind"),
    [
        (400, "oh no", False, RequestRefused),
        (400, "the maximum context length is 8", False, PromptTooLong),
        (400, "prompt is too long: 9 tokens", False, PromptTooLong),
        (401, "oh no", True, EngineGone),
        (402, "oh no", True, EngineGone),
        (403, "oh no", False, EngineGone),
        (403, "oh no", True, RequestRefused),
        (403, "bad key", True, EngineGone),
        (403, "flagged by moderation", False, RequestRefused),
        (404, "oh no", False, EngineGone),
        (404, "oh no", True, RequestRefused),
        (404, "The model `m` does not exist.", True, EngineGone),
        (500, "Jinja Exception: roles must alternate", False, RequestRefused),
        (503, "presence_penalty is not supported", False, RequestRefused),
        (503, "not supported: logprobs", False, Fault),
        (503, "presence_penalty is 0 and I am loading", False, Fault),
        (429, "insufficient_quota", True, EngineGone),
    ],
)
def test_meaning_of_an_error(
    status: int, text: str, has_answered: bool, kind: type[Exception]
) -> None:
    error = meant(status, text, has_answered=has_answered)
    assert type(error) is kind
    assert "secret" not in str(error) and text in str(error)


def test_only_refusals_that_may_be_of_a_field_can_teach() -> None:
    def said(status: int, text: str) -> str:
        error = meant(status, text, has_answered=True)
        assert isinstance(error, RequestRefused)
        return error.said

    assert said(422, "'n' is unsupported") == "'n' is unsupported"
    assert said(403, "'n' is unsupported") == said(404, "'n' is unsupported") == ""
    assert said(500, "Jinja: 'n' is undefined") == ""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 429}, 429),
        ({"code": "503"}, 503),
        ({"code": "overloaded", "status": 529}, 529),
        ({"code": 200}, None),
        ({"code": True}, None),
        ({"code": "x"}, None),
        ({"code": None}, None),
        ({}, None),
        ("no", None),
    ],
)
def test_status_that_an_error_within_an_answer_tells(error: object, status: int | None) -> None:
    assert status_of(error) == status


def test_words_of_a_server_are_cut_and_on_one_line() -> None:
    assert brief("a\nb" + "x" * 400) == "a b" + "x" * 297
