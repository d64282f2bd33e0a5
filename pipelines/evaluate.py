"""Evaluate: benchmarks are answered, scored and summed up, with intervals."""

from __future__ import annotations

import importlib.util
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace

from evaluation import data
from evaluation.benchmark import BadData, Benchmark
from evaluation.benchmarks import BENCHMARKS, custom, versus
from evaluation.stages import stages
from pipelines import against
from pipelines.execution import command, item_intake
from pipelines.execution.options import Job, Stages, parse
from schemas.items import Item
from schemas.table import MAIN
from schemas.views import connect
from spar_core.decoding.settings import Strategy
from spar_core.stages.decode import DECODER_NAMES, ONLY_ACTOR
from terminal.console import Console
from terminal.exits import UsageError
from terminal.packages import extra, missing
from terminal.text import as_table


def _all(decoder: Strategy) -> Stages:
    families = stages(decoder)
    return tuple(dict.fromkeys(stage for some in families.values() for stage in some))


METHODS: dict[str, Stages] = {decoder: _all(decoder) for decoder in DECODER_NAMES}
"""The stages of every benchmark by the decoder; a job does those that its benchmarks need."""

_SHOWN = """
    select benchmark, metric, value, low, high, scored, items, model, decoder
    from evaluations where iteration = ? and variant = ? and part = '' and benchmark in (
        select unnest(?))
"""


def main(argv: Sequence[str] | None = None) -> int:
    own = command.Own(_add, _check, _read, _show, _following)
    return command.main(
        "evaluate", __doc__ or "", METHODS, argv, choice="decoder", default_run="", own=own
    )


def look(argv: Sequence[str], *, holds_out: bool = False) -> tuple[Job, list[Benchmark]]:
    """Look at a command line and its benchmarks' files before any work.

    Args:
        argv: the command line.
        holds_out: whether the run will hold prompts out before it is evaluated.

    Raises:
        UsageError: something is wrong with them.
    """
    asked = parse("evaluate", "", METHODS, argv, choice="decoder", default_run="", add=_add)
    chosen, _ = _chosen(asked.options)
    try:
        for benchmark in chosen:
            if holds_out and benchmark.name == custom.NAME and not asked.options.data:
                continue
            data.items(
                benchmark, asked.options.data, asked.dataset.run, asked.options.prompt_column
            )
    except BadData as error:
        raise UsageError(str(error)) from None
    return asked, chosen


def _add(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the benchmarks")
    about = "; ".join(f"{each.name}: {each.about}" for each in BENCHMARKS.values() if each.about)
    group.add_argument(
        "--benchmark",
        metavar="NAMES",
        help=f"one or several, with commas between them. {about}",
    )
    group.add_argument(
        "--data",
        default="",
        metavar="PATH",
        help="the benchmark's published file, or a folder with it or with a folder of the "
        "benchmark's name; of refinement a run; of custom any files that --prompts takes, or a run "
        "whose held-out prompts are meant (default: the Hub; of refinement and custom this run). "
        "Nothing is downloaded where it is given",
    )
    group.add_argument(
        "--prompt_column",
        metavar="NAME",
        help="of custom: the column that the prompts stand in (default: the first usual one that "
        "the file has)",
    )
    group.add_argument(
        "--against",
        type=against.read,
        metavar="ITERATION",
        help="of custom: have a judge compare the answers with those of this iteration (or "
        "ITERATION/VARIANT) of the run, in both orders; it needs --judge_url or --judge_model",
    )
    group.add_argument(
        "--responses",
        metavar="FILE",
        help="score these answers and ask no actor: JSON lines with `prompt` and `response`",
    )


def _benchmarks(names: str | None) -> list[Benchmark]:
    """The benchmarks that a command line names.

    Raises:
        UsageError: none, or one that there is not.
    """
    known = ", ".join(name for name in BENCHMARKS if name != versus.NAME)
    if not names:
        raise UsageError(f"--benchmark NAME is needed: {known}")
    found = []
    for name in dict.fromkeys(each.strip() for each in names.split(",")):
        if name not in BENCHMARKS or name == versus.NAME:
            raise UsageError(f"--benchmark: no benchmark {name!r}; there are {known}")
        found.append(BENCHMARKS[name])
    return found


def _chosen(options: Namespace) -> tuple[list[Benchmark], Strategy]:
    """The benchmarks and the decoder of a command line.

    Raises:
        UsageError: there are none, they do not go together, or a library is missing.
    """
    if not importlib.util.find_spec("scipy"):
        raise UsageError(missing("pipelines.evaluate", "scipy", extra("evaluate")))
    chosen = _benchmarks(options.benchmark)
    decoder: Strategy = options.decoder or DECODER_NAMES[0]
    given = options.responses
    if options.against and custom.NAME not in [each.name for each in chosen]:
        raise UsageError("--against is for --benchmark custom")
    if given is not None and [each.answers for each in chosen] != ["answer"]:
        raise UsageError("--responses is for one benchmark whose prompts are answered")
    if given is not None and options.decoder:
        raise UsageError("--responses are answers already: --decoder is not for them")
    chats = [each.name for each in chosen if each.answers in ("chat", "turns")]
    if chats and decoder != ONLY_ACTOR:
        raise UsageError(
            f"--decoder {decoder} is not for {', '.join(chats)}: its chats are answered once"
        )
    return chosen, decoder


def _check(asked: Job) -> None:
    _, decoder = _chosen(asked.options)
    if asked.options.against:
        against.check(asked.options.against, asked.dataset, _variant(asked, decoder), asked.options)


def _read(asked: Job, out: Console) -> tuple[Job, Sequence[str]]:
    """Read the benchmarks into the run; the job with the stages that they need, and their ids."""
    options = asked.options
    chosen, decoder = _chosen(options)
    given = options.responses
    variant = _variant(asked, decoder)
    ids: list[str] = []
    try:
        for benchmark in chosen:
            items = data.items(benchmark, options.data, asked.dataset.run, options.prompt_column)
            said = data.responses(given, items) if given is not None else None
            some = items[: asked.limit]
            item_intake.ingest(asked.dataset, some)
            ids += [item.item_id for item in some]
            out.print(f"{benchmark.name}: {_counted(some, items)}", markup=False)
            if said is not None:
                _take(asked, variant, benchmark, some, said, out)
            if options.against and benchmark.name == custom.NAME:
                old = against.items(options.against, asked.dataset, some)
                item_intake.ingest(asked.dataset, old)
                ids += [item.item_id for item in old]
                out.print(f"against {options.against}: {_counted(old, some)}", markup=False)
    except BadData as error:
        raise UsageError(str(error)) from None
    if options.against:
        chosen = [*chosen, BENCHMARKS[versus.NAME]]
    needed = stages(decoder)
    wanted = tuple(dict.fromkeys(s for each in chosen for s in needed[each.answers]))
    if given is not None or not any(each.asks_actor for each in chosen):
        wanted = tuple(stage for stage in wanted if stage.name != "decode")
    if not any(each.grade for each in chosen):
        wanted = tuple(replace(s, roles=()) if s.roles == ("judge",) else s for s in wanted)
    return replace(asked, variant=variant, stages=wanted), ids


def _take(
    asked: Job,
    variant: str,
    benchmark: Benchmark,
    items: Sequence[Item],
    said: dict[str, str],
    out: Console,
) -> None:
    here = {item.item_id: said[item.item_id] for item in items if item.item_id in said}
    path = asked.options.responses
    item_intake.take(asked.dataset, "decode", variant, path, benchmark.name, here)
    missing = len(items) - len(here)
    note = f"; {missing} items have no answer and are not scored" if missing else ""
    out.print(f"answers: {len(here)} of {len(items)} from {path}{note}", markup=False)


def _counted(some: Sequence[Item], items: Sequence[Item]) -> str:
    if len(some) == len(items):
        return f"{len(items)} items"
    return f"the first {len(some)} of {len(items)} items"


def _variant(asked: Job, decoder: str) -> str:
    """The variant that is named, else one for the decoder and its budget; greedy is the main."""
    if asked.variant != MAIN or asked.options.responses is not None:
        return asked.variant
    if decoder == ONLY_ACTOR:
        return MAIN
    options = asked.options
    return f"{decoder}-{options.responses_per_item}-v{options.votes}"


def _show(done: Job, out: Console) -> None:
    names = [each.name for each in _benchmarks(done.options.benchmark)]
    if done.options.against:
        names.append(versus.NAME)
    with connect(done.dataset.run, ("evaluations",)) as connection:
        bound = [done.dataset.iteration, done.variant, names]
        rows = connection.execute(_SHOWN, bound).fetchall()
    body = [
        (
            benchmark,
            metric,
            "" if value is None else f"{value:.4f}",
            "" if value is None else f"{low:.3f} to {high:.3f}",
            f"{scored:,} of {items:,}",
        )
        for benchmark, metric, value, low, high, scored, items, *_ in rows
    ]
    who = ", ".join(
        dict.fromkeys(f"{model}, {decoder or 'no decoder'}" for *_, model, decoder in rows)
    )
    if body:
        head = ("benchmark", "figure", "value", "95 %", "scored")
        out.print(as_table(head, body, f"Figures: {who}"))
    for benchmark in names:
        counts = {(row[5], row[6]) for row in rows if row[0] == benchmark}
        if benchmark == custom.NAME and not counts and not done.options.against:
            out.print(
                "custom: no prompt has checks, so no program can score the answers. A judge "
                "compares them with another model's: --against ITERATION (docs/evaluate.md)"
            )
        for scored, items in sorted(counts):
            if scored < items:
                out.print(
                    f"{benchmark}: only {scored:,} of {items:,} items could be scored; why: "
                    "`critique` of the rows in `scores` whose value is null",
                    markup=False,
                )
    if done.options.against:
        out.print(against.verdict(done.dataset, done.variant), markup=False)


def _following(done: Job) -> str:
    from pipelines.next_evaluation import following  # loads DuckDB

    return following(done, [each.name for each in _benchmarks(done.options.benchmark)])


if __name__ == "__main__":
    sys.exit(main())
