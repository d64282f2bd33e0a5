"""All kinds of servers that are played, by the names that docs/servers.md has for them."""

from __future__ import annotations

from collections.abc import Mapping

from tests.conformance.hosted import HOSTED
from tests.conformance.kind import ServerKind
from tests.conformance.self_hosted import SELF_HOSTED

KINDS: Mapping[str, ServerKind] = {**HOSTED, **SELF_HOSTED}
