"""What several tests of the client need."""

from __future__ import annotations

from typing import Any

import pytest

from spar_core.engine import openai
from spar_core.engine.faults import backoff_s
from spar_core.engine.keys import KEY_VARIABLE


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No waiting between tries; the waits that were called for."""
    waits: list[float] = []

    def noted(*fault: Any) -> float:
        waits.append(backoff_s(*fault))
        return 0.001

    monkeypatch.setattr(openai, "backoff_s", noted)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    return waits
