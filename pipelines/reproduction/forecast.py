"""What a reproduction would take, by the rates of its settings: nothing is started."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.reproduction import cost
from pipelines.reproduction.settings import Settings
from pipelines.reproduction.step import Step, Work
from terminal.console import Console
from terminal.text import as_table

_HOUR = 3600.0
_TRAINED_BYTES = 16
"""A parameter's bytes in a full training: bf16 weight and gradient, Adam's two moments and its own
copy of the weight in fp32."""
_SERVED_BYTES = 2


def show(steps: Sequence[Step], settings: Settings, done: set[str], out: Console) -> None:
    """Print jobs, tokens, memory, hours and money of the steps that are not done."""
    left = [step for step in steps if step.name not in done]
    groups: dict[str, list[Step]] = {}
    for step in left:
        seed, kind, _ = step.name.split(": ", 2)
        groups.setdefault(f"{seed}: {kind}", []).append(step)
    rows = [[name, str(len(some)), *_figures(settings, some)] for name, some in groups.items()]
    rows.append(["all", str(len(left)), *_figures(settings, left)])
    columns = ["tokens", "jobs", "written", "trained on", "hours"]
    rates = settings.rates
    price = rates.gpus * rates.gpu_hour
    columns += ["money"] if price else []
    out.print(as_table(columns, rows, f"What is left: {len(left)} of {len(steps)} jobs"))
    out.print(
        f"Reckoned with {rates.engine_tokens_s:,.0f} tokens/s of an engine that takes "
        f"{rates.start_s:.0f} s to start, and {rates.training_tokens_s:,.0f} tokens/s of a "
        "training; give measured ones by --rate NAME=VALUE.",
        markup=False,
    )
    out.print(_memory(settings), markup=False)


def _figures(settings: Settings, steps: Sequence[Step]) -> list[str]:
    work = Work(
        sum(step.work.starts for step in steps),
        sum(step.work.written for step in steps),
        sum(step.work.trained for step in steps),
    )
    hours = cost.seconds(settings, work) / _HOUR
    figures = [f"{work.written:,.0f}", f"{work.trained:,.0f}", f"{hours:,.1f}"]
    price = settings.rates.gpus * settings.rates.gpu_hour
    return [*figures, f"{hours * price:,.0f}"] if price else figures


def _memory(settings: Settings) -> str:
    rates = settings.rates
    devices = max(1, rates.gpus)
    trained = rates.parameters * _TRAINED_BYTES / devices
    reference = rates.parameters * _SERVED_BYTES / devices
    where = "a GPU" if rates.gpus else "this machine"
    if any(how.get("use_peft") for how in (settings.trainings.dpo, settings.trainings.rft)):
        return (
            f"Memory of {where}: {rates.parameters * _SERVED_BYTES / devices:.1f} GB of weights to "
            "serve or to train adapters on, and activations."
        )
    return (
        f"Memory of {where}: a training {trained:.1f} GB (DPO {trained + reference:.1f} GB with "
        f"its reference model) and activations; an engine "
        f"{rates.parameters * _SERVED_BYTES / devices:.1f} GB and its cache."
    )
