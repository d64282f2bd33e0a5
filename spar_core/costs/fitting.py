"""An engine's clock, from how long it was busy with requests that are known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

from spar_core.costs.batching import Clock, Span

STEP, PROMPT_TOKEN = 200.0, 0.2
"""What is likely, as of vLLM with a model of 8B: a step and a prompt's token over a sequence."""
_TRUST = 0.0005
"""How much it counts: a factor of e off is as bad as a time that is off by a fiftieth."""
_STEPS = tuple(2 ** (power / 2) for power in range(-4, 27))
_PROMPTS = tuple(PROMPT_TOKEN * 2 ** (power / 2) for power in range(-16, 17))


def fit(busy: Mapping[str, Span], seconds: Mapping[str, float], engines: int = 1) -> Clock:
    """The clock with which spans last as long as was measured, as nearly as can be.

    What these leave open is as of a common engine.

    Args:
        busy, seconds: by stage, of the same requests.
    """
    named = [name for name, span in busy.items() if span.steps and seconds.get(name, 0) > 0]
    best, least = Clock(0.0, 0.0, 0.0), math.inf
    for step, prompt in itertools.product(_STEPS, _PROMPTS):
        ratios = Clock(step, 1.0, prompt)
        off = [math.log(seconds[n] / busy[n].seconds(ratios, engines)) for n in named]
        if not off:
            break
        mean = sum(off) / len(off)
        loss = sum((each - mean) ** 2 for each in off)
        loss += _TRUST * (math.log(step / STEP) ** 2 + math.log(prompt / PROMPT_TOKEN) ** 2)
        if loss < least:
            unit = math.exp(mean)
            best, least = Clock(step * unit, unit, prompt * unit), loss
    return best
