"""Do pairs that differ in more than what was asked teach worse? Trains on both sorts and measures.

python -m training.synthetic --task characters|story
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from terminal.console import Console
from terminal.exits import BAD_USAGE, DONE, OTHER_SETTINGS, STOPPED, complain
from terminal.packages import extra, not_imported

"""Exit codes."""

FIGURE = "figure.png"
_STEPS = 300
_FROM_SCRATCH_LEARNING_RATE = 3e-5
_CHECKPOINT_LEARNING_RATE = 1e-6


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    folder = options.output or Path("runs") / f"synthetic-{options.task}"
    err = Console(stderr=True, highlight=False)
    try:
        import datasets
        import transformers
        import trl  # noqa: F401
    except ImportError as error:
        return complain(err, not_imported("training.synthetic", error, extra("train")), BAD_USAGE)
    datasets.disable_progress_bars()
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    try:
        _run(options, folder, err)
    except (Exception, KeyboardInterrupt) as error:
        explained = _explained(error, folder)
        if explained is None:
            raise
        return complain(err, *explained)
    return DONE


def _run(options: argparse.Namespace, folder: Path, err: Console) -> None:
    """Measure what is missing, draw and sum up all that is there."""
    from training.synthetic import experiment, figure, tiny_llama

    task = experiment.TASKS[options.task]
    default_rate = _CHECKPOINT_LEARNING_RATE if options.model else _FROM_SCRATCH_LEARNING_RATE
    settings = experiment.Settings(
        task=task.name,
        model=options.model,
        steps=options.steps,
        learning_rate=options.learning_rate or default_rate,
        shape=tiny_llama.Shape(steps=task.start_steps),
    )
    measured = experiment.run(
        settings,
        range(options.seeds),
        folder,
        lambda line: err.print(line, markup=False, soft_wrap=True),
    )
    figure.draw(measured, task.factor, folder / FIGURE)
    out = Console(highlight=False)
    out.print(figure.table(measured, task.factor))
    out.print(f"figure: {folder / FIGURE}", markup=False, soft_wrap=True)


def _explained(error: BaseException, folder: Path) -> tuple[str, int] | None:
    """What to say of an error that a user can do something about, and the exit code."""
    import torch

    from training.synthetic.experiment import BadModel
    from training.synthetic.results import BadResults, OtherSettings

    if isinstance(error, (BadModel, BadResults)):
        return str(error), BAD_USAGE
    if isinstance(error, OtherSettings):
        return f"{error}; give those, or another --output", OTHER_SETTINGS
    if isinstance(error, torch.OutOfMemoryError):
        reason = str(error).partition(". ")[0]
        return f"out of memory ({reason}): give a smaller --model", STOPPED
    if isinstance(error, OSError):
        return f"cannot read or write {folder}: {error}", STOPPED
    if isinstance(error, KeyboardInterrupt):
        return "interrupted: run the same command again to go on", STOPPED
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.synthetic",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit codes: 0 done; 2 bad usage or input; 4 stopped, run the same command to go "
        "on; 5 the output was begun with other settings.",
        allow_abbrev=False,
    )
    parser.add_argument("--task", choices=("characters", "story"), required=True)
    parser.add_argument(
        "--model",
        default="",
        help="checkpoint with a chat template, on a GPU where there is one (default: a small Llama "
        "is trained from scratch for each seed)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of results (default: runs/synthetic-TASK). The same command on the same "
        "folder goes on where it stopped; more seeds may be added.",
    )
    parser.add_argument("--seeds", type=_count, default=3, metavar="N", help="default: 3")
    parser.add_argument(
        "--steps", type=_count, default=_STEPS, metavar="N", help=f"of DPO (default: {_STEPS})"
    )
    parser.add_argument(
        "--learning_rate",
        type=_rate,
        metavar="R",
        help=f"of DPO (default: {_FROM_SCRATCH_LEARNING_RATE}; "
        f"{_CHECKPOINT_LEARNING_RATE} with --model)",
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 up, not {text!r}")
    return int(text)


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be over 0 and under 1, not {text!r}")
    return value


if __name__ == "__main__":
    sys.exit(main())
