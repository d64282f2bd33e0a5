"""FollowBench's items, made up."""

from __future__ import annotations

import json

from schemas.items import Item

TEMPLATE = "{instruction}\n{{'bot': '{answer}'}}"


def item(category: str, level: int, source: str = "oasst", target: str = "", n: int = 1) -> Item:
    path = [f"step {lower}" for lower in range(level)]
    said = {"source": source, "target": target, "example": n, "path": path}
    return Item(
        *("", "followbench", f"{category}/{n}/{level}", f"step {level}", 0),
        category=category,
        level=level,
        details=json.dumps(said),
    )
