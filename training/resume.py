"""Going on with a training of which every step is done."""

from __future__ import annotations

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class AllStepsDone(Exception):
    """The checkpoint gone on from is of the last step; the trainer holds its model."""


class NoStepMore(TrainerCallback):  # type: ignore[misc]
    """Ends a training that was killed after its last checkpoint and before its model was written.

    The trainer asks whether it is at the end only after a step: where the end is within an epoch
    it would take one more. The best model of several it loads at the end itself: let it.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        if state.global_step >= state.max_steps and not args.load_best_model_at_end:
            raise AllStepsDone
