"""An engine that answers at once: what is left is the cost of everything else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from spar_core.engine.meter import Meter
from spar_core.engine.protocol import ChatRequest
from spar_core.engine.scripted import ScriptedEngine

_WORDS = "a refined answer of about the length that short instructions ask for " * 4


def engine(meter: Meter) -> ScriptedEngine:
    """Half of the responses fail; a refinement passes with every second judgement."""
    return ScriptedEngine(_answer, meter, remember=False)


def _answer(request: ChatRequest) -> Sequence[str]:
    last = request.messages[-1]["content"]
    draw = hashlib.sha256(f"{request.seed} {last}".encode()).digest()
    if "Final Refined Output" in last:
        return [
            "Reflection on how to refine the Output: more of it.\n"
            f"Final Refined Output: [[start]] {_WORDS}{request.seed} {i} [[end]]"
            for i in range(request.n)
        ]
    if "Final Judgement" in last:
        return [
            "Step-by-step verification: checked.\n"
            f"Final Judgement: {'Yes' if (draw[0] + i * 64) % 256 < 128 else 'No'}"
            for i in range(request.n)
        ]
    return [f"{_WORDS}{request.seed} {i}" for i in range(request.n)]
