"""How long servers ask to wait, in whatever form."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from multidict import CIMultiDict

from spar_core.engine.waits import asked_wait_s, duration_s, reset_wait_s


def in_a_while(seconds: float = 30) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def asked(text: str = "", **headers: str) -> float | None:
    return asked_wait_s(named(headers), text)


def named(headers: dict[str, str]) -> CIMultiDict[str]:
    return CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        *(("1m30s", 90), ("250ms", 0.25), ("12s", 12), ("6m0s", 360), ("1h2m3s", 3723)),
        *(("1.5s", 1.5), ("", None), ("soon", None), ("12", None), ("s", None), ("1m x", None)),
    ],
)
def test_durations(said: str, seconds: float | None) -> None:
    assert duration_s(said) == seconds


def test_seconds_and_milliseconds() -> None:
    assert asked(retry_after="7") == asked(Retry_After="7") == 7
    assert asked(retry_after_ms="250", retry_after="1") == 0.25
    assert asked(retry_after="0") == 0


def test_date_that_is_to_come() -> None:
    wait = asked(retry_after=format_datetime(in_a_while(), usegmt=True))
    assert wait is not None and 0 < wait <= 30


@pytest.mark.parametrize("said", ["Wed, 21 Oct 2015 07:28:00 GMT", "", "soon", "nan", "-5"])
def test_nonsense_and_the_past_say_nothing(said: str) -> None:
    assert asked(retry_after=said) is None


@pytest.mark.parametrize(
    "text",
    [
        '[{"error": {"details": [{"@type": "RetryInfo", "retryDelay": "12s"}]}}]',
        '{"error": {"message": "{\\"retryDelay\\": \\"12s\\"}"}}',
    ],
)
def test_delay_in_the_body(text: str) -> None:
    assert asked(text) == 12
    assert asked(text, retry_after="3") == 3, "a header comes first"


def test_resets_of_openai_wait_for_what_is_used_up() -> None:
    headers = {
        "x-ratelimit-reset-requests": "250ms",
        "x-ratelimit-reset-tokens": "1m30s",
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-remaining-tokens": "0",
    }
    assert reset_wait_s(named(headers)) == 90
    del headers["x-ratelimit-remaining-tokens"]
    assert reset_wait_s(named(headers)) == 0.25, "which one is used up is not told"
    assert reset_wait_s(named({})) is None


def test_resets_of_anthropic_are_points_in_time() -> None:
    headers = {
        "anthropic-ratelimit-requests-reset": in_a_while(10).isoformat(),
        "anthropic-ratelimit-input-tokens-reset": in_a_while(30).isoformat().replace("+00:00", "Z"),
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-requests-remaining": "5",
    }
    wait = reset_wait_s(named(headers))
    assert wait is not None and 20 < wait <= 30


def test_reset_may_be_a_number() -> None:
    assert reset_wait_s(named({"ratelimit-reset": "5"})) == 5
    for said in (f"{time.time() + 30:.0f}", f"{(time.time() + 30) * 1000:.0f}"):
        wait = reset_wait_s(named({"x-ratelimit-reset": said}))
        assert wait is not None and 20 < wait <= 31
    assert reset_wait_s(named({"x-ratelimit-reset": "whenever"})) is None
