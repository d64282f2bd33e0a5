"""SFT: a first actor or refiner, from a prompt and its answer, or from whole chats.

The loss is on what the assistant says: each of its turns once. Of a run the pairs are taken, with
the chosen side as the answer; with --task what `pipelines.bootstrap` made for that role, and then
the loss is on the last turn of a chat alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from training import job
from training.examples import ANSWERS, every_turn, last_turn

FINE_TUNING = {
    "completion_only_loss": True,
    "learning_rate": 2e-6,
    "lr_scheduler_type": "constant_with_warmup",
    "warmup_steps": 0.1,
    "num_train_epochs": 5.0,
    "max_length": 4096,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 4,
}
"""The paper's settings, and its published configuration's batch."""

SFT = job.Training(
    name="sft",
    description=__doc__ or "",
    noun="chats",
    table="pairs",
    columns=(("messages",), *(("prompt", answer) for answer in ANSWERS)),
    examples=every_turn,
    trainer="SFTTrainer",
    config="SFTConfig",
    defaults=FINE_TUNING,
    reasoning=("chosen_reasoning", "reasoning"),
)

_BOOTSTRAPPED = replace(
    SFT,
    columns=(("messages",),),
    examples=last_turn,
    made_by="pipelines.bootstrap",
    reasoning=("reasoning",),
)
TASKS = {
    "actor": replace(_BOOTSTRAPPED, task="actor", noun="answers", table="sft_actor"),
    "refiner": replace(_BOOTSTRAPPED, task="refiner", noun="lessons", table="sft_refiner"),
}
"""What a teacher made for a role, by its name."""


def main(argv: Sequence[str] | None = None) -> int:
    return job.main(SFT, argv, TASKS)


if __name__ == "__main__":
    sys.exit(main())
