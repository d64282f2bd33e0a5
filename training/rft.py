"""RFT: the next refiner, from its own judgements and refinements that came out right.

Rejection-sampling fine-tuning (arXiv 2412.11605): the loss is on the last turn of the assistant
and on nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from training import job
from training.examples import last_turn
from training.sft import FINE_TUNING

RFT = job.Training(
    name="rft",
    description=__doc__ or "",
    noun="samples",
    table="rft",
    columns=(("messages",),),
    examples=last_turn,
    trainer="SFTTrainer",
    config="SFTConfig",
    defaults=FINE_TUNING | {"learning_rate": 1e-6},
    reasoning=("reasoning",),
)


def main(argv: Sequence[str] | None = None) -> int:
    return job.main(RFT, argv)


if __name__ == "__main__":
    sys.exit(main())
