"""DPO on interfering and on refined pairs from the same start, measured as it goes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainerCallback,
)
from trl import DPOConfig, DPOTrainer

from training.synthetic import characters, results, story, tiny_llama
from training.synthetic.results import Measurement
from training.synthetic.task import KINDS, Example, Kind, Material, Task

TASKS = {task.name: task for task in (characters.TASK, story.TASK)}

_EVALUATION_BATCH = 256
_LONGEST_ANSWER = 3
"""In lengths of the longest right answer: one that goes on is wrong anyway."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the measurements of a folder depend on; both kinds of pairs get the same.

    model: a checkpoint to start from; empty: a small Llama, trained for each seed.
    pairs, held_out: how many of each a seed has.
    every: steps between two measurements.
    """

    task: str
    model: str
    steps: int
    learning_rate: float
    shape: tiny_llama.Shape
    batch: int = 32
    beta: float = 0.1
    sft_weight: float = 0.1
    pairs: int = 3200
    held_out: int = 500
    every: int = 20
    start_answers: int = 20_000


class BadModel(Exception):
    """A checkpoint that cannot be loaded, or that has no chat template."""


def run(
    settings: Settings, seeds: Sequence[int], folder: Path, say: Callable[[str], None]
) -> list[Measurement]:
    """Measure what is missing; returns all that the folder holds.

    Raises:
        BadModel: see there.
        OtherSettings, BadResults, OSError: as `results.opened` and `results.read`.
    """
    with results.opened(folder, asdict(settings)):
        measured = results.read(folder)
        if not settings.model:
            torch.set_num_threads(
                1
            )  # sums, so results, depend on it; more do not help one so small
        for seed in seeds:
            missing = [kind for kind in KINDS if (seed, kind) not in results.done(measured)]
            if not missing:
                continue
            material = TASKS[settings.task].material(
                seed, settings.start_answers, settings.pairs, settings.held_out
            )
            start = _start(settings, material, seed, folder, say)
            for kind in missing:
                curve = train(settings, material, start, kind, seed)
                measured = [*measured, *curve]
                results.write(folder, measured)
                say(f"seed {seed}, {kind} pairs: accuracy {_first_to_last(curve)}")
    return measured


def train(
    settings: Settings, material: Material, start: str, kind: Kind, seed: int
) -> list[Measurement]:
    """DPO on pairs of one kind; what was measured, from step 0 on.

    Raises:
        BadModel: see there.
    """
    model, tokenizer = _load(start)
    on_gpu = torch.cuda.is_available()
    task = TASKS[settings.task]
    measure = _Measure(task, material.held_out, tokenizer, settings.every, seed, kind)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = DPOTrainer(
            model=model,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list([pair(example, kind) for example in material.pairs]),
            callbacks=[measure],
            args=DPOConfig(
                output_dir=scratch,
                loss_type=["sigmoid", "sft"],
                loss_weights=[1.0, settings.sft_weight],
                beta=settings.beta,
                max_steps=settings.steps,
                per_device_train_batch_size=settings.batch,
                learning_rate=settings.learning_rate,
                lr_scheduler_type="linear",
                warmup_steps=0.1,
                seed=seed,
                bf16=on_gpu,
                gradient_checkpointing=on_gpu,
                precompute_ref_log_probs=on_gpu,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=on_gpu,
            ),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return measure.curve


def answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]
) -> list[str]:
    """An answer to each prompt, sampled at temperature 1."""
    longest = max(len(tokenizer.encode(example.refined)) for example in examples)
    written: list[str] = []
    for first in range(0, len(examples), _EVALUATION_BATCH):
        batch = examples[first : first + _EVALUATION_BATCH]
        inputs = tokenizer.apply_chat_template(
            [_user(example.prompt) for example in batch],
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            padding=True,
            padding_side="left",
        ).to(model.device)
        output = model.generate(
            **inputs,
            do_sample=True,
            temperature=1.0,
            top_p=1.0,
            top_k=0,
            max_new_tokens=_LONGEST_ANSWER * longest,
            pad_token_id=tokenizer.pad_token_id,
        )
        answered = output[:, inputs["input_ids"].shape[1] :]
        written += tokenizer.batch_decode(answered, skip_special_tokens=True)
    return written


class _Measure(TrainerCallback):  # type: ignore[misc]
    """Answers the held-out prompts at step 0 and every few steps, with the same random numbers."""

    def __init__(
        self,
        task: Task,
        held_out: Sequence[Example],
        tokenizer: PreTrainedTokenizerBase,
        every: int,
        seed: int,
        kind: Kind,
    ) -> None:
        self._task, self._held_out, self._tokenizer = task, held_out, tokenizer
        self._every, self._seed, self._kind = every, seed, kind
        self.curve: list[Measurement] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._measure(kwargs["model"], 0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self._every == 0 or state.global_step == state.max_steps:
            self._measure(kwargs["model"], state.global_step)

    def _measure(self, model: PreTrainedModel, step: int) -> None:
        was_training = model.training
        model.eval()
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)
            written = answers(model, self._tokenizer, self._held_out)
        model.train(was_training)
        right = [self._task.is_right(e, a) for e, a in zip(self._held_out, written, strict=True)]
        shown = [self._task.has_factor(answer) for answer in written]
        self.curve.append(
            Measurement(
                task=self._task.name,
                seed=self._seed,
                pairs=self._kind,
                step=step,
                accuracy=sum(right) / len(right),
                factor=sum(shown) / len(shown),
            )
        )


def _start(
    settings: Settings, material: Material, seed: int, folder: Path, say: Callable[[str], None]
) -> str:
    """The checkpoint that both trainings of a seed begin with."""
    if settings.model:
        return settings.model
    start = folder / "start" / str(seed)
    if not start.exists():
        say(f"seed {seed}: training a small model from scratch")
        new = start.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        pieces = TASKS[settings.task].pieces
        tiny_llama.train(new, material.start, pieces, settings.shape, seed)
        os.replace(new, start)
    return str(start)


def _load(start: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    try:
        model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(start)
    except (OSError, ValueError, ImportError, KeyError, SafetensorError) as error:
        why = str(error).strip().partition("\n")[0]
        raise BadModel(f"cannot load {start}: {why}") from None
    if tokenizer.chat_template is None:
        raise BadModel(f"{start} has no chat template: give an instruction-tuned model")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def pair(example: Example, kind: Kind) -> dict[str, list[dict[str, str]]]:
    """A pair in TRL's conversational form."""
    return {
        "prompt": _user(example.prompt),
        "chosen": [{"role": "assistant", "content": example.chosen(kind)}],
        "rejected": [{"role": "assistant", "content": example.rejected}],
    }


def _user(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def _first_to_last(curve: Sequence[Measurement]) -> str:
    first, last = curve[0], curve[-1]
    return (
        f"{first.accuracy:.3f} -> {last.accuracy:.3f}, "
        f"interfering factor {first.factor:.3f} -> {last.factor:.3f}"
    )
