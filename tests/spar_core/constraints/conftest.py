"""What these tests share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _library() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")
