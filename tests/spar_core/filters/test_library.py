"""Libraries that are not there."""

from __future__ import annotations

import pytest

from spar_core.filters.library import NoLibrary, needed


def test_what_is_missing_says_what_to_install() -> None:
    with pytest.raises(NoLibrary, match=r"^it needs the package nothing: pip install '\.\[x\]'$"):
        needed("no_such_module", "nothing", "it", "x")
    assert needed("json", "json", "it", "x").loads("1") == 1
