"""A library of checkers: where it is missing, and what it must not do."""

from __future__ import annotations

import sys

import pytest

from spar_core.checks.library import NoChecker, checkers
from spar_core.checks.reading import read_checks
from spar_core.checks.strict import follows
from tests.spar_core.checks.asked import NO_COMMA, one


@pytest.mark.parametrize("missing", ["nltk", "langdetect", "lm_eval"])
def test_a_missing_library_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in [m for m in sys.modules if m.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    checkers.cache_clear()
    with pytest.raises(NoChecker, match=rf"^the column `checks` needs .*{missing}.*: pip install"):
        read_checks({"checks": [NO_COMMA]})
    with pytest.raises(NoChecker) as raised:
        follows([{"id": "punctuation:no_comma", "kwargs": "{}"}], "x")
    assert (raised.value.cause, raised.value.retry) == ("no_checker", True)


@pytest.mark.usefixtures("library")
def test_the_library_neither_prints_nor_asks_the_network(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import nltk

    def refuse(*_: object, **__: object) -> bool:
        raise AssertionError("asked the network")

    monkeypatch.setattr(nltk, "download", refuse)
    for name in [m for m in sys.modules if m.startswith("lm_eval.tasks.ifeval")]:
        monkeypatch.delitem(sys.modules, name)
    checkers.cache_clear()
    assert follows(one("language:response_language", language="en"), "12345 67") is True
    assert nltk.download is refuse, "put back"
    assert capfd.readouterr() == ("", "")
