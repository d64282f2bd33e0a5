"""Libraries that are not there."""

from __future__ import annotations

import pytest

from spar_core.filters.library import NoLibrary, needed


def test_what_is_missing_says_what_to_install() -> None:
    with pytest.raises(NoLibrary, match=r"^things need nothing>=2 .*: pip install 'nothing>=2'$"):
        needed("no_such_module", "nothing>=2", "things")
    assert needed("json", "json", "things").loads("1") == 1
