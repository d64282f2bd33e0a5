"""Reasons to finish: every one has one policy."""

from __future__ import annotations

from schemas.finish_reasons import CALLS, CUT, DISCARDED, FAILED, NOT_WHOLE


def test_every_reason_has_one_policy_and_is_written_in_lower_case() -> None:
    reasons = CUT + DISCARDED + FAILED + CALLS
    assert len(set(reasons)) == len(reasons)
    assert all(reason == reason.lower() for reason in reasons)
    assert set(NOT_WHOLE).isdisjoint({"stop", *CALLS})
