"""What a data round, or iterations, will take: worked out from a probe, a run or assumptions."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipelines import costing
from pipelines.execution import intake
from pipelines.execution import plan as planning
from pipelines.execution.holding_out import draw
from pipelines.execution.intakes import intake_of
from pipelines.execution.intakes import rows as rows_of
from pipelines.execution.next_step import engines, which
from pipelines.execution.options import DEMO_PROMPTS, Job, Stages
from pipelines.execution.parts import Claimed, depends_on, parts, settings_of, together, with_models
from pipelines.execution.plan import Part, buckets_for
from pipelines.forecast import Asked, Source, show
from schemas.prompts import HELD_OUT
from schemas.views import connect
from spar_core import variants
from spar_core.chat import TextOrChat, texts_of, with_earlier
from spar_core.costs import assumed
from spar_core.costs.assumed import Assumptions, Bounds
from spar_core.costs.prediction import Measured, Model, Used, Width, changed, learn, seconds
from spar_core.costs.savings import SAVINGS, with_options
from spar_core.costs.taken import JUDGE, STAGES, Taken
from spar_core.dataset import Dataset
from spar_core.engine import addresses
from spar_core.evolution.sifting import benchmarks
from spar_core.ids import form_id, prompt_id
from spar_core.input_files import find
from spar_core.prompt_columns import COLUMNS, columns_of
from spar_core.prompt_files import read as read_rows
from spar_core.stages.judge import voting
from spar_core.variants import SettingsDiffer
from spar_core.voting import JudgeSettings
from terminal import trail
from terminal.console import Console
from terminal.exits import InputError, UsageError

_NO_MATTER = re.compile(r"\.model: .* -> ''$|\b(stop_votes|stop_level|judge_once): False -> True$")
"""Settings that differ without making a plan another's: a server that is not asked has not said
which model it has, and what saves tokens is reckoned in."""


def _engine_stages(stages: Stages) -> tuple[str, ...]:
    return tuple(stage.name for stage in stages if stage.roles)


def _width(job: Job, claimed: Sequence[Claimed]) -> Width:
    """How the job asks its engines.

    Raises:
        UsageError: the list of servers is no good.
    """
    specs = [job.engines[role] for stage in job.stages for role in stage.roles]
    try:
        counts = [len(addresses.current(spec.url)) if spec.url else 1 for spec in specs]
    except ValueError as error:
        raise UsageError(str(error)) from None
    slots = max(spec.slots for spec in specs)
    stages = _engine_stages(job.stages)
    return Width(slots, stages, max(counts), together=bool(together(job, claimed)))


def _asked(job: Job, width: Width, left: int) -> Asked:
    options = job.options
    engines = options.engine_count or [width.engines * times for times in (1, 2, 4, 8)]
    is_on = {name: getattr(options, name[2:], None) for name in SAVINGS}
    return Asked(
        prompts=left,
        width=width,
        engines=tuple(dict.fromkeys(engines)),
        price=options.gpu_hour,
        savings=tuple(name for name, on in is_on.items() if on is False),
        voting=voting(options),
        iterations=options.iterations or 0,
        step_s={"dpo": options.dpo_step_s, "rft": options.rft_step_s},
        devices=options.train_devices,
    )


def foretell(job: Job, out: Console) -> None:
    """Plan without asking any engine."""
    is_begun = any(job.dataset.entries(name) for name in STAGES)
    claimed = parts(with_models(job) if is_begun else job, None)
    width, voted = _width(job, claimed), voting(job.options)
    asked = _asked(job, width, len(_left(job, [each.part for each in claimed])))
    if job.options.from_run:
        model, source = _of_run(job, width, voted)
    else:
        model, source = _of_assumptions(job, width)
    show(model, asked, source, out)


def _left(job: Job, claimed: Sequence[Part]) -> list[str]:
    """Ids of the prompts that a round would do; the run is not written to.

    Raises:
        InputError: there are none, or they are done.
    """
    with connect(job.dataset.run, ("prompts",)) as connection:
        query = (
            "select prompt_id, prompt, earlier_turns from prompts "
            "where iteration = ? and split = ? order by position"
        )
        bound = [job.dataset.iteration, job.split]
        rows = connection.execute(query, bound).fetchall()
    held = {key: with_earlier(prompt, earlier) for key, prompt, earlier in rows}
    files = job.files or ("" if held and not job.is_demo else str(DEMO_PROMPTS))
    wanted = (_ids(job, files, held) if files else [*held])[: job.limit]
    if not wanted:
        raise InputError(f"no prompt in {files}")
    done = {*held} - {*_pending(claimed, job.dataset)}
    left = [key for key in wanted if key not in done]
    _require_left(job, left, len(wanted))
    return left


def _ids(job: Job, files: str, held: Mapping[str, TextOrChat]) -> list[str]:
    """Ids of the prompts of files that a round would read, each once.

    Args:
        held: those that the iteration holds, by id.
    """
    forms = {form_id(prompt) for prompt in held.values()}
    forms |= _held_out(job, files)
    found: dict[str, None] = {}
    for prompt in _prompts(job, files):
        key, form = prompt_id(prompt), form_id(prompt)
        if key in held or form not in forms:
            forms.add(form)
            found[key] = None
    return list(found)


def _held_out(job: Job, files: str) -> set[str]:
    """Return the `form_id` of the prompts that the run holds out, or would if it were begun."""
    if job.split == HELD_OUT:
        return set()
    known = intake.held(job.dataset.run)
    out = {form for form, split in known.form_splits.items() if split == HELD_OUT}
    if count := job.options.hold_out:
        columns = columns_of(job.options.prompt_column, COLUMNS)
        out |= {form_id(row.chat) for row in draw(known, files, count, columns)}
    return out


def _prompts(job: Job, files: str) -> Iterator[TextOrChat]:
    """Prompts of files that are of the job's split and hold no benchmark's prompt."""
    known = tuple(job.options.decontaminate)
    columns = columns_of(job.options.prompt_column, COLUMNS)
    for row in (row for path in find(files) for row in read_rows(path, columns)):
        if (
            row.prompt is not None
            and (row.split or job.split) == job.split
            and not (known and any(map(benchmarks(known).found, texts_of(row.chat))))
        ):
            yield row.chat


def _require_left(job: Job, left: Sequence[str], prompts: int) -> None:
    if not left:
        raise InputError(
            f"all {prompts} prompts of {job.dataset.run} are done: nothing is left to plan; what "
            "they took is in the views token_cost and engine_use of inspection.sql"
        )


def _pending(claimed: Sequence[Part], dataset: Dataset) -> list[str]:
    """Ids of the prompts with anything to ask for, in their order."""
    found: list[str] = []
    for part in claimed:
        if not part.stage.roles:
            continue
        entries = dataset.entries(part.stage.name, part.variant).values()
        done = planning.keys_of(entry for entry in entries if not entry.retry)
        with planning.items(part, dataset, "key, prompt_id") as connection:
            connection.register("done", done)
            query = "select distinct prompt_id from wanted anti join done using (key) order by all"
            found += [key for (key,) in connection.sql(query).fetchall()]
    return list(dict.fromkeys(found))


def _of_run(job: Job, width: Width, voted: JudgeSettings) -> tuple[Model, Source]:
    """What an earlier run teaches, with the options that the command line has beyond it.

    Raises:
        InputError: its iteration has no responses.
    """
    dataset = Dataset(job.options.from_run, job.dataset.iteration)
    makers = {
        stage.name: variants.made_by(dataset, stage.name, job.variant) for stage in job.stages
    }
    rows = costing.read(dataset, makers, voted, seed=job.options.seed)
    spent = costing.used(dataset, makers)
    lacking = [name for name in width.stages if name not in spent]
    if not rows.taken or lacking:
        what = f"{lacking[0]} has asked nothing" if rows.taken else "it has no responses"
        raise InputError(
            f"no round to learn from in iteration {dataset.iteration} of {dataset.run}: {what}"
        )
    model = learn(Measured(rows.prompts, rows.taken, spent), width)
    said = f"Predicted from {rows.prompts:,} prompts of {dataset.run}"
    if other := _other_settings(job, dataset):
        said += f", which was made with other settings than these: {other}"
    return _with_savings(model, job, voted), Source(f"{said}.", rows, is_measured=True)


def _other_settings(job: Job, dataset: Dataset) -> str:
    """What the earlier run was made with that is otherwise here, in words; "" for nothing."""
    found: list[str] = []
    for stage in job.stages:
        claim = depends_on(job, stage, settings_of(job, stage))
        try:
            variants.find(dataset, stage.name, job.variant, claim)
        except SettingsDiffer as error:
            found += str(error).rpartition(" (")[2].removesuffix(")").split(", ")
    named = [each for each in found if not _NO_MATTER.search(each)]
    return ", ".join(dict.fromkeys(named))


def _with_savings(model: Model, job: Job, voted: JudgeSettings) -> Model:
    """The model as it would be with the saving options of the command line."""
    on = tuple(name for name in SAVINGS if getattr(job.options, name[2:], False))

    def change(each: Taken) -> Taken:
        return with_options(each, on, voted.votes, voted.quorum)

    return changed(model, change) if on else model


def _of_assumptions(job: Job, width: Width) -> tuple[Model, Source]:
    o = job.options
    held = o.assume or Assumptions()
    bounds = Bounds(
        o.responses,
        o.votes,
        *(getattr(o, name, 1) for name in ("branch", "keep", "depth", "budget")),
    )
    some = assumed.taken(held, bounds, width.stages, o.seed)
    model = learn(Measured(len(some), some), width, assumed.clock(held.engine, width.slots))
    pairs = sum(_makes_pair(each) for each in some)
    rows = costing.Rows(some, len(some), pairs, 0, 0.0)
    values = ", ".join(f"{name} {value:g}" for name, value in assumed.values(held).items())
    said = f"Nothing was measured; assumed (--assume, docs/plan.md): {values}."
    return _with_savings(model, job, voting(o)), Source(said, rows, is_measured=False)


def _makes_pair(taken: Taken) -> bool:
    return any(j.passed for level in taken.levels for each in level for j in each.judgings)


@dataclass(slots=True)
class Probe:
    """Does some of a job's prompts, and notes what they take.

    began: when; outside of it nothing is paid for. before: what the engines had been asked.
    """

    began: float = field(default_factory=time.monotonic)
    ids: list[str] = field(default_factory=list)
    left: int = 0
    width: Width = field(default_factory=lambda: Width(1))
    makers: dict[str, str] = field(default_factory=dict)
    before: dict[str, Used] = field(default_factory=dict)

    def read(self, job: Job, out: Console) -> tuple[Job, Sequence[str]]:
        """Read the job's prompts and draw some of those that are left.

        Raises:
            InputError: there are fewer, or none.
        """
        job, scope = intake_of(job.stages)(job, out)
        job = with_models(job)
        with_claims = parts(job, scope)
        self.width = _width(job, with_claims)
        claimed = [each.part for each in with_claims]
        pending = _pending(claimed, job.dataset)
        wanted = job.options.probe
        _require_left(job, pending, len(scope) if scope is not None else rows_of(job, "prompts"))
        if wanted > len(pending):
            raise InputError(
                f"--probe {wanted} is more than the {len(pending)} prompts that are left: run "
                "them, or give a smaller one"
            )
        _fix_buckets(claimed, job, len(pending))
        drawn = random.Random(f"probe {job.options.seed}")
        self.ids = sorted(drawn.sample(pending, wanted))
        self.left = len(pending) - wanted
        self.makers = {part.stage.name: part.variant for part in claimed}
        self.before = costing.used(job.dataset, self.makers)
        out.print(f"probe: {wanted} of {len(pending)} prompts", markup=False)
        return job, self.ids

    def show(self, job: Job, out: Console) -> None:
        """Say what the others will take."""
        took = time.monotonic() - self.began
        width, voted = self.width, voting(job.options)
        rows = costing.read(job.dataset, self.makers, voted, self.ids)
        spent = _since(costing.used(job.dataset, self.makers), self.before)
        model = learn(Measured(rows.prompts, rows.taken, spent), width)
        busy = sum(seconds(model, rows.prompts, width).values())
        outside = replace(model.measured, outside_s=max(0.0, took - busy))
        tokens = sum(used.completion_tokens for used in spent.values())
        said = (
            f"The probe did {rows.prompts:,} prompts in {took:.0f} s, {busy:.0f} s of them with "
            f"the engine at work, for {tokens:,.0f} completion tokens. Their rows are part of the "
            "run: the same options given to pipelines.refine go on from them."
        )
        show(
            replace(model, measured=outside),
            _asked(job, width, self.left),
            Source(said, rows, is_measured=True),
            out,
        )

    def following(self, job: Job) -> str:
        """Return the line with the round that goes on from the probe."""
        method = ["--method", job.options.method] if job.options.method else []
        more = [*which(job), *method, *engines(job.options, ("actor", "refiner", "judge"))]
        return trail.following(trail.stage("refine", job.dataset.run, more))


def _since(now: dict[str, Used], before: dict[str, Used]) -> dict[str, Used]:
    none = Used(0, 0, 0, 0)
    return {
        stage: Used(
            used.requests - was.requests,
            used.prompt_tokens - was.prompt_tokens,
            used.completion_tokens - was.completion_tokens,
            used.seconds - was.seconds,
        )
        for stage, used in now.items()
        for was in (before.get(stage, none),)
        if used.requests > was.requests
    }


def _fix_buckets(claimed: Sequence[Part], job: Job, prompts: int) -> None:
    """Fix the stages' buckets for all prompts, of which the probe's are few."""
    for part in claimed:
        if not part.stage.replaces:
            items = prompts * (job.options.responses if part.stage.name == JUDGE else 1)
            job.dataset.buckets(part.stage.name, part.variant, buckets_for(items))
