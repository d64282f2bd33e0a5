"""DPO: the next actor, from preference pairs.

The paper's loss and settings (arXiv 2412.11605, appendix): DPO with beta 0.1, plus 0.1 times the
negative log-likelihood of the chosen side. The reference is the model that training starts from.
Two pairs a device and two accumulation steps are the published configuration's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from training import job
from training.examples import preference

DPO = job.Training(
    name="dpo",
    description=__doc__ or "",
    noun="pairs",
    table="pairs",
    columns=(("prompt", "chosen", "rejected"),),
    examples=preference,
    trainer="DPOTrainer",
    config="DPOConfig",
    defaults={
        "loss_type": ["sigmoid", "sft"],
        "loss_weights": [1.0, 0.1],
        "beta": 0.1,
        "learning_rate": 2e-7,
        "lr_scheduler_type": "linear",
        "warmup_steps": 0.1,
        "num_train_epochs": 1.0,
        "max_length": 2048,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
    },
)


def main(argv: Sequence[str] | None = None) -> int:
    return job.main(DPO, argv)


if __name__ == "__main__":
    sys.exit(main())
