"""The options of all jobs, the same names everywhere, and what they resolve to."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner

from spar_core.conversation import fingerprint
from spar_core.dataset import Dataset
from spar_core.engine.host import EngineSpec, Kind, identity
from spar_core.engine.protocol import Sampling
from spar_core.search import SearchSettings
from spar_core.voting import JudgeSettings
from terminal.exits import UsageError

DEMO_PROMPTS = Path(__file__).parents[1] / "demo_prompts.jsonl"
DEMO_RUN = "runs/demo"
DEMO_LIMIT = 6

_FN_API_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_PAPER_TOKENS = {"actor": 2048, "judge": 2048, "refine": 3072}
_SHORT_TOKENS = {"actor": 48, "judge": 64, "refine": 128}
"""Limits for the bundled model: short answers are what it and two cores can do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the stages run with.

    in_flight: items (prompts, responses, trees) in progress at once in a worker. Measured: with
        four times the engine's slots in trees, it stays full (docs/performance.md).
    """

    actor: EngineSpec
    refiner: EngineSpec
    sampling: Sampling
    responses: int
    search: SearchSettings
    seed: int
    in_flight: int
    shard_seconds: float = 30.0

    @property
    def judge(self) -> JudgeSettings:
        return self.search.judge

    def of_stage(self, stage: str) -> dict[str, Any]:
        """What a stage's rows depend on: two of these must not mix in an iteration."""
        common = {"seed": self.seed, "templates": fingerprint()}
        judge = _flat("judge", asdict(self.judge))
        if stage == "sample":
            sampling = _flat("actor", asdict(self.sampling))
            return (
                common
                | _flat("actor", identity(self.actor))
                | sampling
                | {"responses": self.responses}
            )
        if stage == "judge":
            once = {"judge_once": self.search.judge_once}
            return common | _flat("refiner", identity(self.refiner)) | judge | once
        if stage == "tree_search":
            search = _flat("search", {**asdict(self.search), "judge": None})
            return common | _flat("refiner", identity(self.refiner)) | judge | search
        return common


@dataclass(frozen=True, slots=True)
class Job:
    """A command line, understood."""

    dataset: Dataset
    prompts: str
    limit: int | None
    settings: Settings
    beam: PipelineOptions
    is_demo: bool
    uses_bundled_model: bool


class SparOptions(PipelineOptions):
    """Our options, known to Beam so that every runner accepts them."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        add_arguments(parser)


def add_arguments(parser: argparse.ArgumentParser, default_run: str = DEMO_RUN) -> None:
    """Add the options that all jobs share."""
    run = parser.add_argument_group("the run")
    run.add_argument(
        "--run",
        metavar="DIR",
        help="folder of the run: a path, gs://, s3:// or anything fsspec knows "
        f"(default: {default_run}). The same command on the same run goes on where it stopped.",
    )
    run.add_argument(
        "--iteration", type=int, default=1, metavar="N", help="iteration of the self-play, from 1"
    )
    run.add_argument(
        "--prompts",
        metavar="FILES",
        help="JSONL, CSV or Parquet with a column `prompt`; a path, a glob or a URL; may be "
        "gzipped (default: what the run holds, else the bundled prompts)",
    )
    run.add_argument(
        "--limit", type=int, metavar="N", help="do the first N prompts only; 0 for all"
    )
    run.add_argument("--seed", type=int, default=0, help="seed of every random choice")

    engine = parser.add_argument_group("the engine")
    engine.add_argument(
        "--engine",
        choices=("llamacpp", "vllm", "openai"),
        help="llamacpp: embedded, reads GGUF; vllm: started for you; openai: any server that "
        "speaks its protocol (default: openai with --engine_url, else llamacpp)",
    )
    engine.add_argument(
        "--model",
        default="",
        help="GGUF file, checkpoint folder or served name (default: the bundled "
        "SmolLM2-135M-Instruct, or the only model that the server has)",
    )
    engine.add_argument("--actor_model", default="", help="model that answers (default: --model)")
    engine.add_argument(
        "--refiner_model", default="", help="model that judges and refines (default: --model)"
    )
    engine.add_argument(
        "--engine_url",
        default="",
        metavar="URL",
        help="a running server, e.g. http://localhost:8000; its key is read from the environment "
        "variable OPENAI_API_KEY",
    )
    engine.add_argument(
        "--engine_args",
        default="",
        metavar="ARGS",
        help="more arguments for the vLLM server that is started, as one string: "
        "--engine_args='--tensor-parallel-size 8'",
    )
    engine.add_argument(
        "--constrained",
        choices=("auto", "on", "off"),
        default="auto",
        help="hold judge and refiner to the wire format by a grammar (llamacpp, vllm); "
        "auto: on for the bundled model",
    )
    engine.add_argument(
        "--slots",
        type=int,
        metavar="N",
        help="sequences that the engine decodes at once (vLLM: --max-num-seqs); four times as many "
        "items are kept in progress (default: 256; 32 for llamacpp)",
    )
    engine.add_argument(
        "--engine_timeout",
        type=float,
        default=600.0,
        metavar="S",
        help="seconds to wait for an answer before asking again",
    )
    engine.add_argument(
        "--engine_patience",
        type=float,
        default=120.0,
        metavar="S",
        help="seconds an engine may be away before the run stops",
    )

    paper = parser.add_argument_group("the algorithm (defaults: the paper's, arXiv 2412.11605)")
    paper.add_argument("--responses", type=int, default=5, help="responses sampled for a prompt")
    paper.add_argument("--votes", type=int, default=5, help="votes on a response")
    paper.add_argument(
        "--quorum",
        type=int,
        help="readable votes that a verdict needs (default: more than half of --votes)",
    )
    paper.add_argument("--strategy", choices=("bfs", "dfs"), default="bfs", help="tree search")
    paper.add_argument("--branch", type=int, default=3, help="refinements of a node")
    paper.add_argument("--keep", type=int, default=2, help="nodes of a level that go on")
    paper.add_argument("--depth", type=int, default=3, help="levels of refinements")
    paper.add_argument("--budget", type=int, default=15, help="refinements in a tree at most")
    fewer = parser.add_argument_group("fewer tokens (off: the paper's behaviour)")
    fewer.add_argument(
        "--stop_votes",
        action="store_true",
        help="ask for votes only until the majority is certain: same verdicts, coarser values",
    )
    fewer.add_argument(
        "--stop_level",
        action="store_true",
        help="end a search with the first refinement that passes, not with the best of its level",
    )
    fewer.add_argument(
        "--judge_once",
        action="store_true",
        help="judge equal responses to a prompt once",
    )
    for role, temperature, top_p in (
        ("actor", 0.9, 0.9),
        ("judge", 0.7, 1.0),
        ("refine", 0.7, 1.0),
    ):
        paper.add_argument(f"--{role}_temperature", type=float, default=temperature, metavar="T")
        paper.add_argument(f"--{role}_top_p", type=float, default=top_p, metavar="P")
        paper.add_argument(
            f"--{role}_max_tokens",
            type=int,
            metavar="N",
            help=f"longest answer (default: {_PAPER_TOKENS[role]}; "
            f"{_SHORT_TOKENS[role]} for the bundled model)",
        )


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would exit."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def parse(job: str, description: str, argv: Sequence[str] | None = None) -> Job:
    """Understand a command line.

    Raises:
        UsageError: an unknown option, or a value that is no good.
    """
    parser = Parser(
        prog=f"python -m pipelines.{job}",
        description=description,
        epilog="Every option of Apache Beam passes through: --runner (default: DirectRunner), "
        "--direct_num_workers, --project, ...  Exit codes: 0 done; 2 bad usage or input; "
        "3 done, but some items are in the table `failures`; 4 stopped, run the same command to "
        "go on; 5 the run was begun with other settings.",
        allow_abbrev=False,
    )
    add_arguments(parser)
    arguments = [underscored(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    options, rest = parser.parse_known_args(arguments)
    _check_beam_options(parser, rest)
    beam = PipelineOptions(arguments)
    if (beam.view_as(StandardOptions).runner or "DirectRunner") == "DirectRunner":
        beam.view_as(StandardOptions).runner = _FN_API_RUNNER
    _check_values(options)
    return _resolve(options, beam)


def underscored(argument: str) -> str:
    """`--engine-url` is `--engine_url`."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _check_beam_options(parser: argparse.ArgumentParser, rest: Sequence[str]) -> None:
    """Whatever is not ours must be Beam's: a misspelt option must not be passed over."""
    beam_parser: Any = Parser(add_help=False, allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        if options is not SparOptions:
            options._add_argparse_args(beam_parser)
    beams, unknown = beam_parser.parse_known_args(rest)
    if unknown:
        known = [*parser._option_string_actions, *beam_parser._option_string_actions]
        name = unknown[0].partition("=")[0]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UsageError(f"no option {name}{hint}")
    try:
        create_runner(beams.runner or "DirectRunner")
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError(f"no runner {beams.runner}: {error}") from None


_AT_LEAST_ONE = (
    *("responses", "votes", "quorum", "branch", "keep", "depth", "budget", "iteration", "slots"),
    *("actor_max_tokens", "judge_max_tokens", "refine_max_tokens"),
)


def _check_values(options: argparse.Namespace) -> None:
    def check(names: Sequence[str], is_good: Callable[[Any], bool], wanted: str) -> None:
        for name in names:
            value = getattr(options, name)
            if value is not None and not is_good(value):
                raise UsageError(f"--{name} must be {wanted}, not {value!r}")

    check(_AT_LEAST_ONE, lambda value: value >= 1, "at least 1")
    check(("limit",), lambda value: value >= 0, "0 (all) or more")
    check(("run", "prompts"), bool, "a path or URL")
    check(("engine_timeout",), lambda value: value > 0, "more than 0")
    check(("engine_patience",), lambda value: value >= 0, "0 or more")
    check([f"{role}_temperature" for role in _PAPER_TOKENS], lambda v: 0 <= v <= 2, "from 0 to 2")
    check([f"{role}_top_p" for role in _PAPER_TOKENS], lambda v: 0 < v <= 1, "in (0, 1]")
    if options.quorum is not None and options.quorum > options.votes:
        raise UsageError(f"--quorum {options.quorum} is more than --votes {options.votes}")


def _resolve(options: argparse.Namespace, beam: PipelineOptions) -> Job:
    kind: Kind = options.engine or ("openai" if options.engine_url else "llamacpp")
    if kind == "openai" and not options.engine_url:
        raise UsageError("--engine openai needs --engine_url")
    run = options.run or DEMO_RUN
    bundled = kind == "llamacpp" and not (
        options.model or options.actor_model or options.refiner_model or options.engine_url
    )
    is_demo = bundled and options.prompts is None and options.run in (None, DEMO_RUN)
    limit = DEMO_LIMIT if options.limit is None and is_demo else options.limit
    limits = _SHORT_TOKENS if bundled else _PAPER_TOKENS
    constrained = bundled if options.constrained == "auto" else options.constrained == "on"
    if constrained and kind == "openai":
        raise UsageError("--constrained on needs --engine llamacpp or vllm")

    slots = options.slots or (32 if kind == "llamacpp" else 256)

    def spec(model: str) -> EngineSpec:
        return EngineSpec(
            kind=kind,
            model=model or options.model,
            url=options.engine_url,
            slots=slots,
            timeout_s=options.engine_timeout,
            patience_s=options.engine_patience,
            arguments=options.engine_args,
        )

    def sampling(role: str) -> Sampling:
        return Sampling(
            getattr(options, f"{role}_temperature"),
            getattr(options, f"{role}_top_p"),
            getattr(options, f"{role}_max_tokens") or limits[role],
        )

    judge = JudgeSettings(
        sampling("judge"),
        options.votes,
        options.quorum or options.votes // 2 + 1,
        constrained,
        options.stop_votes,
    )
    settings = Settings(
        actor=spec(options.actor_model),
        refiner=spec(options.refiner_model),
        sampling=sampling("actor"),
        responses=options.responses,
        search=SearchSettings(
            judge=judge,
            sampling=sampling("refine"),
            strategy=options.strategy,
            branch=options.branch,
            keep=options.keep,
            depth=options.depth,
            budget=options.budget,
            constrained=constrained,
            stop_level=options.stop_level,
            judge_once=options.judge_once,
        ),
        seed=options.seed,
        in_flight=4 * slots,
    )
    return Job(
        dataset=Dataset(run, options.iteration),
        prompts=options.prompts or "",
        limit=limit or None,
        settings=settings,
        beam=beam,
        is_demo=is_demo,
        uses_bundled_model=bundled,
    )


def _flat(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    """Nested values under dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(f"{prefix}.{name}", value)
        elif value is not None:
            flat[f"{prefix}.{name}"] = value
    return flat
