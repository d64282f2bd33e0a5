"""A training job from its command line to its exit code: select, check, train, sum up."""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.checkpoint import content
from schemas.selection import Choice, NoSuchRows, SelectionError
from terminal.console import Console
from terminal.exits import (
    BAD_USAGE,
    DONE,
    NOTHING_LEFT,
    OTHER_SETTINGS,
    STOPPED,
    UsageError,
    complain,
)
from terminal.packages import extra, not_imported
from training.card import write_card
from training.chat_template import lengths_of, prepared
from training.curves import draw, write_csv
from training.data import DataError, NothingLeft, Row, Selection, select
from training.examples import Example
from training.next_step import following
from training.options import Arguments, ReasoningArguments, TaskArguments, look, parse
from training.output import Output, OutputDiffers, OutputTaken, Record, called
from training.tokenizer import load_tokenizer

_DEFAULTS: dict[str, Any] = {
    "logging_steps": 1,
    "save_steps": 0.1,
    "save_total_limit": 1,
    "disable_tqdm": True,
}
_LIBRARIES = ("trl", "transformers", "peft", "torch")
_NO_MATTER = re.compile(
    "(output_dir|run_name|project|report_to|disable_tqdm|push_to_hub|resume_from_checkpoint|do_"
    "|log|save_|hub_|dataloader_|ddp_|local_rank|deepspeed|fsdp|accelerator_config|parallelism"
    "|trackio|include_|eval_|per_device_eval|load_best|metric_for_best|greater_is|prediction_loss"
    "|torch_compile|full_determinism|debug|remove_unused|enable_jit|skip_memory|restore_callback)"
)
"""TRL's arguments that do not change what is learnt: another value may go on."""
_DISK = re.compile("No space left|File too large|PytorchStreamWriter|unexpected pos|I/O error")


_MEANT: dict[tuple[type[Exception], ...], int] = {
    (NothingLeft, NoSuchRows): NOTHING_LEFT,
    (UsageError, DataError, SelectionError, OutputTaken): BAD_USAGE,
    (OutputDiffers,): OTHER_SETTINGS,
}
"""Errors that say all there is to say, and their exit codes; the first that fits."""


class Stopped(Exception):
    """The training was stopped and can go on."""


@dataclass(frozen=True)
class Training:
    """What makes a job: its data and TRL's trainer for it.

    columns: as `select` takes them. examples: a row's examples in TRL's conversational form.
    trainer, config: names in `trl`. defaults: ours where they differ from TRL's.
    task: which of a job's tasks it is. made_by: the job that writes the table, where a run need
    not have it.
    reasoning: columns that the reasoning before an answer may stand in, of which the first that is
        there is read; empty where the job has no --with_reasoning.
    """

    name: str
    description: str
    noun: str
    table: str
    columns: Sequence[Sequence[str]]
    examples: Callable[[Row], Iterator[Example]]
    trainer: str
    config: str
    defaults: dict[str, Any]
    task: str | None = None
    made_by: str = ""
    reasoning: Sequence[str] = ()


def main(
    training: Training, argv: Sequence[str] | None, tasks: Mapping[str, Training] | None = None
) -> int:
    """Run a job and say in one line what went wrong, if anything did.

    Args:
        tasks: what it is instead where --task names one; all with the same arguments of TRL.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    err = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        look(argv, tasks or ())
    except UsageError as error:
        return _complain(err, str(error), BAD_USAGE)
    try:
        import torch
        import trl
    except ImportError as error:
        said = not_imported(f"training.{training.name}", error, extra("train"))
        return _complain(err, said, BAD_USAGE)
    try:
        gpu = torch.accelerator.is_available()
        defaults = _DEFAULTS | {"bf16": gpu, "dataloader_pin_memory": gpu} | training.defaults
        config = getattr(trl, training.config)
        tasks = tasks or {}
        parsed = parse(
            training.name,
            training.description,
            config,
            defaults,
            argv,
            tasks,
            reasons=bool(training.reasoning),
        )
        if isinstance(parsed[0], TaskArguments) and parsed[0].task:
            training = tasks[parsed[0].task]
        return _run(training, *parsed)
    except (Exception, KeyboardInterrupt) as error:
        explained = _explained(error)
        if explained is None:
            raise
        return _complain(err, *explained)


def _explained(error: BaseException) -> tuple[str, int] | None:
    """What to say of an error that a user can do something about, and the exit code."""
    import torch
    from safetensors import SafetensorError

    again = "run the same command again to go on from the last checkpoint"
    for kinds, code in _MEANT.items():
        if isinstance(error, kinds):
            return str(error), code
    if isinstance(error, (Stopped, KeyboardInterrupt)):
        return f"{str(error) or 'interrupted'}: {again}", STOPPED
    if isinstance(error, torch.OutOfMemoryError):
        reason = str(error).partition(". ")[0]
        advice = "a smaller --per_device_train_batch_size with more --gradient_accumulation_steps"
        return f"out of memory ({reason}): try {advice}, or --use_peft", STOPPED
    if isinstance(error, (OSError, SafetensorError)) or (
        isinstance(error, RuntimeError) and _DISK.search(str(error))
    ):
        return f"cannot read or write: {error}\n{again}", STOPPED
    return None


def _complain(err: Console, message: str, code: int) -> int:
    return complain(err, message if _is_main() else "", code)


def _is_main() -> bool:
    """Whether this is the first process of a launch."""
    return int(os.environ.get("RANK", "0")) == 0


def _run(training: Training, arguments: Arguments, config: Any, model: Any) -> int:
    import datasets
    import transformers

    out = Console(highlight=False, soft_wrap=True, quiet=not _is_main())
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    choice = Choice.read(arguments.method, arguments.variant)
    if arguments.check:
        load_tokenizer(arguments.model, config)
        return DONE
    with_reasoning = isinstance(arguments, ReasoningArguments) and arguments.with_reasoning
    reasoning = training.reasoning if with_reasoning else ()
    selection = select(
        arguments.data,
        training.table,
        training.columns,
        arguments.where,
        choice,
        made_by=training.made_by,
        reasoning=reasoning,
    )
    record = _record(training, arguments, config, model, selection)
    output = Output(Path(arguments.output))
    held = output.check(record)
    if held and held["done"]:
        out.print(f"{output.folder} is done already: {_summary(held)}", markup=False)
        _clean(output, held, out)
        _say_what_next(output, held, out)
        return DONE
    tokenizer = load_tokenizer(arguments.model, config)
    asked = _asked(choice, arguments.where)
    examples = _examples(training, selection, tokenizer, config.max_length, asked, out)
    evaluated = None
    if arguments.eval_data:
        chosen = select(
            arguments.eval_data,
            training.table,
            training.columns,
            choice=choice,
            is_lenient=True,
            reasoning=reasoning,
        )
        asked = _asked(choice.within(chosen.kinds.columns), "true")
        evaluated = _examples(training, chosen, tokenizer, config.max_length, asked, out)
    with config.main_process_first(local=False):
        if _is_main():
            record["data"] |= {"examples": len(examples)}
            output.write(record)
            output.sweep()
    trainer = _trainer(training, config, model, tokenizer, examples, evaluated)
    _train(trainer, output, out)
    _finish(trainer, output, record, arguments, out)
    return DONE


def _record(
    training: Training, arguments: Arguments, config: Any, model: Any, selection: Selection
) -> Record:
    """What makes this training what it is."""
    path = Path(arguments.model)
    settings = {k: v for k, v in config.to_dict().items() if not _NO_MATTER.match(k)}
    settings |= {k: v for k, v in vars(model).items() if k != "model_name_or_path"}
    parent = Output(path).record() if path.is_dir() else None
    return {
        "job": training.name,
        "task": training.task,
        "model": {"name": arguments.model, "content": content(path) if path.exists() else None},
        "data": {
            "source": selection.source,
            "where": arguments.where,
            "rows": selection.before,
            "selected": len(selection.rows),
            "kinds": selection.kinds.records(),
            "fingerprint": selection.fingerprint,
            **({"with_reasoning": True} if selection.reasoned is not None else {}),
        },
        "settings": settings | {"processes": config.world_size},
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "lineage": [*parent["lineage"], _ancestor(parent)] if parent else [],
        "done": False,
    }


def _ancestor(record: Record) -> Record:
    return {name: record.get(name) for name in ("job", "task", "model", "data")}


def _asked(choice: Choice, where: str) -> str:
    """Which rows were asked for, in words; empty for all."""
    parts = [f"of {choice.told()}"] if choice else []
    return " ".join([*parts, f"with {where}"] if where != "true" else parts)


def _examples(
    training: Training,
    selection: Selection,
    tokenizer: Any,
    max_length: int | None,
    asked: str,
    out: Console,
) -> Any:
    """The selection as a dataset, without what is too long; says how many of each there are."""
    from datasets import Dataset

    examples = [e for row in selection.rows for e in training.examples(row)]
    said = f"{training.noun}: {selection.before} in {selection.source}"
    if asked:
        said += f", {len(selection.rows)} of them {asked}"
    if len(selection.kinds.rows) > 1:
        said += f" ({selection.kinds.told()})"
    if selection.reasoned is not None:
        said += f", {selection.reasoned} of them with reasoning"
    examples, changed = prepared(examples, tokenizer)
    said += changed
    lengths = lengths_of(examples, tokenizer)
    kept = [e for e, n in zip(examples, lengths, strict=True) if not max_length or n <= max_length]
    if left_out := len(examples) - len(kept):
        said += (
            f"; {left_out} are longer than {max_length} tokens and left out "
            f"(--max_length {max(lengths)} keeps them all)"
        )
    if len(examples) != len(selection.rows):
        said += f"; {len(examples)} turns of the assistant"
    out.print(f"{said}: {len(kept)} to train on", markup=False)
    if not kept:
        raise NothingLeft(f"no {training.noun} left to train on")
    return Dataset.from_list(kept)


def _trainer(
    training: Training, config: Any, model: Any, tokenizer: Any, examples: Any, evaluated: Any
) -> Any:
    import trl

    config.model_init_kwargs = {
        "revision": model.model_revision,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
        **(config.model_init_kwargs or {}),
    }
    try:
        return getattr(trl, training.trainer)(
            model=model.model_name_or_path,
            args=config,
            train_dataset=examples,
            eval_dataset=evaluated,
            processing_class=tokenizer,
            quantization_config=trl.get_quantization_config(model),
            peft_config=trl.get_peft_config(model),
        )
    except (ValueError, NotImplementedError) as error:
        raise UsageError(str(error)) from None


def _train(trainer: Any, output: Output, out: Console) -> None:
    """Train on from the last checkpoint; a signal stops with a new one.

    Raises:
        Stopped: before the end.
    """
    from transformers import PrinterCallback

    from training.interrupt import Interrupts
    from training.progress import TrainingProgress
    from training.resume import AllStepsDone, NoStepMore

    checkpoint = trainer.args.resume_from_checkpoint or output.checkpoint()
    if checkpoint:
        out.print(f"going on from {checkpoint}", markup=False)
    interrupts = Interrupts()
    trainer.add_callback(NoStepMore)
    trainer.add_callback(interrupts)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(TrainingProgress(out))
    try:
        with interrupts:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except AllStepsDone:
        return
    except BaseException:
        if _is_main():
            output.sweep()
        raise
    if interrupts.is_pressed and trainer.state.global_step < trainer.state.max_steps:
        raise Stopped(
            f"stopped after step {trainer.state.global_step} of {trainer.state.max_steps}"
        )


def _finish(
    trainer: Any, output: Output, record: Record, arguments: Arguments, out: Console
) -> None:
    """Write the model, its curves, its card and, last of all, that it is done; then clean up."""
    trainer.accelerator.wait_for_everyone()  # others may still be writing to the last checkpoint
    is_adapter = trainer.accelerator.unwrap_model(trainer.model).__class__.__name__.startswith(
        "Peft"
    )
    trainer.save_model(str(output.folder / "adapter" if is_adapter else output.folder))
    if _is_main():
        if is_adapter:
            _fold(arguments.model, output.folder, trainer)
        log = [entry for entry in trainer.state.log_history if "step" in entry]
        write_csv(log, output.folder / "curves.csv")
        draw(log, output.folder / "curves.png", f"{called(record)} of {Path(arguments.model).name}")
        record |= {
            "done": True,
            "result": _result(trainer, log),
            "keeps_checkpoints": trainer.args.save_total_limit != 1,
        }
        write_card(record, output.folder)
        output.flush()
        output.write(record)
        out.print(
            f"{_summary(record)}\nIn {output.folder}: the model, curves.png, curves.csv, README.md",
            markup=False,
        )
        _clean(output, record, out)
        _say_what_next(output, record, out)
    trainer.accelerator.wait_for_everyone()


def _clean(output: Output, record: Record, out: Console) -> None:
    """Remove what only served to go on; a training that is done stays done where that fails."""
    if not _is_main():
        return
    try:
        output.clean(record.get("keeps_checkpoints", True))
    except OSError as error:
        out.print(f"what it needed to go on cannot be removed: {error}", markup=False)


def _say_what_next(output: Output, record: Record, out: Console) -> None:
    if _is_main() and (said := following(record, output.folder)):
        out.print(f"\n{said}", markup=False)


def _fold(base: str, folder: Path, trainer: Any) -> None:
    """Write the base model with the adapter folded in: a checkpoint that engines serve."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    init = {k: v for k, v in trainer.args.model_init_kwargs.items() if k in ("revision", "dtype")}
    remote = trainer.args.trust_remote_code
    model = AutoModelForCausalLM.from_pretrained(base, trust_remote_code=remote, **init)
    folded = PeftModel.from_pretrained(model, folder / "adapter").merge_and_unload()
    folded.save_pretrained(folder)
    trainer.processing_class.save_pretrained(folder)


def _result(trainer: Any, log: Sequence[Mapping[str, float]]) -> Record:
    """What came out: first and last logged numbers, time, tokens and memory."""
    import torch

    whole = next((entry for entry in reversed(log) if "train_runtime" in entry), {})
    logged = [entry for entry in log if "loss" in entry]
    tokens = logged[-1].get("num_tokens", 0) if logged else 0
    runtime = whole.get("train_runtime", 0.0)
    memory = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    return {
        "steps": trainer.state.global_step,
        "tokens": int(tokens),
        "train_loss": whole.get("train_loss"),
        "train_runtime_s": runtime,
        "peak_gpu_bytes": memory,
        "first": dict(logged[0]) if logged else {},
        "final": dict(logged[-1]) if logged else {},
    }


def _summary(record: Record) -> str:
    result = record["result"]
    changes = [
        f"{label} {result['first'][name]:.3g} -> {result['final'][name]:.3g}"
        for name, label in (("loss", "loss"), ("rewards/margins", "reward margin"))
        if name in result["final"]
    ]
    return f"{result['steps']} steps on {record['data']['examples']} examples; " + ", ".join(
        changes
    )
