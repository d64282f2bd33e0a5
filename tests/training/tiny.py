"""Data to train a tiny model on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def pair(number: int, **more: Any) -> dict[str, Any]:
    """A pair whose sides differ in one word."""
    said = f"the number {number} is"
    return {
        "pair_id": f"p{number:03}",
        "prompt": [{"role": "user", "content": f"Is {number} even?"}],
        "chosen": [
            {"role": "assistant", "content": f"{said} {'even' if number % 2 == 0 else 'odd'}"}
        ],
        "rejected": [{"role": "assistant", "content": f"{said} blue"}],
        "similarity": number / 100,
        **more,
    }


def chat(number: int) -> dict[str, Any]:
    """A refiner's chat of four turns, as the table `rft` holds it."""
    turns = [f"judge {number}", f"no, because {number}", f"refine {number}", f"better {number}"]
    roles = ["user", "assistant"] * 2
    messages = [{"role": r, "content": c} for r, c in zip(roles, turns, strict=True)]
    return {"rft_id": f"r{number:03}", "messages": messages, "task": "refine"}


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
