"""Do pairs that differ in more than what was asked teach worse? Trains on both sorts and measures.

python -m training.synthetic --task characters|story
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

DONE, BAD_USAGE, STOPPED, OTHER_SETTINGS = 0, 2, 4, 5
"""Exit codes."""

FIGURE = "figure.png"
_STEPS = 300
_FROM_SCRATCH_LEARNING_RATE = 3e-5
_CHECKPOINT_LEARNING_RATE = 1e-6


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        import datasets
        import transformers

        from training.synthetic import experiment, figure, results
    except ImportError as error:
        return _complain(err, f"{error.name} is missing: pip install 'spar[train]'", BAD_USAGE)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("trl").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    default_rate = _CHECKPOINT_LEARNING_RATE if options.model else _FROM_SCRATCH_LEARNING_RATE
    settings = experiment.Settings(
        task=options.task,
        model=options.model,
        steps=options.steps,
        learning_rate=options.learning_rate or default_rate,
    )
    folder = options.output or Path("runs") / f"synthetic-{options.task}"
    try:
        measured = experiment.run(
            settings,
            range(options.seeds),
            folder,
            lambda line: err.print(line, markup=False, soft_wrap=True),
        )
        factor = experiment.TASKS[options.task].factor
        figure.draw(measured, factor, folder / FIGURE)
    except (experiment.BadModel, results.BadResults) as error:
        return _complain(err, str(error), BAD_USAGE)
    except results.OtherSettings as error:
        return _complain(err, f"{error}; give those, or another --output", OTHER_SETTINGS)
    except OSError as error:
        return _complain(err, f"cannot read or write {folder}: {error}", STOPPED)
    except KeyboardInterrupt:
        return _complain(err, "interrupted: run the same command again to go on", STOPPED)
    out.print(figure.table(measured, factor))
    out.print(f"figure: {folder / FIGURE}", markup=False, soft_wrap=True)
    return DONE


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
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be over 0 and under 1, not {text}")
    return value


def _complain(err: Console, message: str, code: int) -> int:
    err.print(f"error: {message}", markup=False, soft_wrap=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
