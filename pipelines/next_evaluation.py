"""What comes after an evaluation: the other model's, a judge's comparison, or all side by side."""

from __future__ import annotations

from collections.abc import Collection

from pipelines.execution.next_step import engines
from pipelines.execution.options import Job
from schemas import own_evaluations
from schemas.table import MAIN
from terminal import trail


def following(job: Job, benchmarks: Collection[str]) -> str:
    """Return the line that says what to do after an evaluation.

    On the user's own prompts the question is whether the new model is better than the one before.
    Figures of programs are compared as they are; where there are none, a judge compares answers.

    Args:
        job: the evaluation, with the variant that its answers are in.
        benchmarks: the names of its benchmarks.
    """
    run, options = job.dataset.run, job.options
    is_own = own_evaluations.BENCHMARK in benchmarks
    if not is_own or options.against or options.responses or job.variant != MAIN:
        return trail.following(trail.compare(run))
    own = own_evaluations.read(run)
    now = job.dataset.iteration
    data = ["--data", options.data] if options.data else []
    if options.prompt_column:
        data += ["--prompt_column", options.prompt_column]
    elsewhere = ["--engine_url", trail.URL]
    if not set(own.iterations) - {now}:
        other = 2 if now == 1 else 1
        return trail.following(trail.evaluate(run, other, elsewhere, data))
    if own.has_figures:
        return trail.following(trail.compare(run))
    *_, old, new = own.iterations
    engine = engines(options, ("actor",)) if now == new else elsewhere
    judge = options.engine_url if now == old else ""
    return trail.following(trail.evaluate(run, new, engine, data, old, judge or trail.URL))
