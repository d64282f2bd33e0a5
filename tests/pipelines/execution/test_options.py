"""Command lines: defaults, spellings, mistakes and help."""

from __future__ import annotations

import dataclasses
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import DirectOptions, StandardOptions

from pipelines import judge, pairs, refine, sample, tree_search
from pipelines.execution import beam_line, beam_options
from pipelines.execution.options import (
    DEMO_LIMIT,
    DEMO_PROMPTS,
    DEMO_RUN,
    DEMO_SETTINGS,
    Job,
    demo_settings,
    parse,
)
from pipelines.execution.parts import depends_on
from spar_core.decoding import SearchSettings
from spar_core.engine.bundled import bundled_adapter
from spar_core.engine.protocol import Sampling
from spar_core.methods import METHODS
from spar_core.prompt_files import read
from spar_core.stage import Stage
from spar_core.stages.judge import JUDGE, JudgeStageSettings
from spar_core.stages.sample import SAMPLE, SampleSettings
from spar_core.stages.tree_search import TREE_SEARCH
from terminal.exits import UsageError
from tests.loopback import LoopbackServer
from tests.pipelines import rounds

URL = ["--engine_url", "http://localhost:8000"]
JOBS = {
    "refine": refine.main,
    "sample": sample.main,
    "judge": judge.main,
    "tree_search": tree_search.main,
    "pairs": pairs.main,
}


@dataclass(frozen=True)
class Settings:
    """What the stages of a round read from a command line."""

    sample: SampleSettings
    judge: JudgeStageSettings
    search: SearchSettings


def parsed(*argv: str) -> Job:
    return parse("refine", "", METHODS, argv)


def settings(job: Job) -> Settings:
    search = TREE_SEARCH.settings(job.options).search
    return Settings(SAMPLE.settings(job.options), JUDGE.settings(job.options), search)


def test_defaults_are_the_papers() -> None:
    job = parsed(*URL)
    found = settings(job)
    search = found.search
    assert found.sample.actor == Sampling(0.9, 0.9, 2048)
    assert found.judge.judge.sampling == Sampling(0.7, 1.0, 2048)
    assert search.sampling == Sampling(0.7, 1.0, 3072)
    assert (found.sample.responses, search.judge.votes, search.judge.quorum) == (5, 5, 3)
    assert (search.strategy, search.branch, search.keep, search.depth) == ("bfs", 3, 2, 3)
    assert search.budget == 15
    assert search.judge == found.judge.judge
    assert not search.judge.constrained
    assert not search.constrained
    assert (job.dataset.iteration, job.limit, found.sample.seed) == (1, None, 0)
    assert (job.variant, job.split, job.stages) == ("main", "train", METHODS["spar"])
    assert job.engines["actor"] == job.engines["refiner"] == job.engines["judge"]
    assert job.engines["actor"].kind == "openai"


def test_the_bare_command_is_the_demo() -> None:
    job = parsed()
    assert job.is_demo
    assert job.uses_bundled_model
    assert (job.dataset.run, job.limit) == (DEMO_RUN, DEMO_LIMIT)
    assert job.engines["actor"].kind == "llamacpp"


def read_of(job: Job) -> dict[str, Any]:
    """All that a round's stages and engines read from a command line, by dotted names."""
    read = {
        f"{stage.name}.{name}": value
        for stage in job.stages
        for name, value in stage.settings(job.options).named().items()
    }
    return read | {f"{role}.engine": spec for role, spec in job.engines.items()}


def test_the_demo_says_which_of_its_settings_are_not_the_papers() -> None:
    demo, usual = read_of(parsed()), read_of(parsed("--run", "elsewhere"))
    said = demo_settings(parsed().options).split()
    assert {word for word in said if word.startswith("--")} == {f"--{n}" for n in DEMO_SETTINGS}
    assert read_of(parsed("--run", "elsewhere", *said)) == demo, "these words alone make it"
    for number, name in enumerate(DEMO_SETTINGS):
        words = " ".join(said).split("--")[1:]
        fewer = [w for i, word in enumerate(words) if i != number for w in f"--{word}".split()]
        assert read_of(parsed("--run", "elsewhere", *fewer)) != demo, f"{name} changes something"
    assert demo != usual


def test_what_is_given_comes_before_the_demos_settings() -> None:
    job = parsed("--responses", "5", "--votes", "5", "--actor_max_tokens", "48")
    found = settings(job)
    assert (found.sample.responses, found.search.judge.votes) == (5, 5)
    assert found.sample.actor.max_tokens == 48
    assert found.search.branch == DEMO_SETTINGS["branch"]
    assert "--responses" not in demo_settings(job.options)


@pytest.mark.parametrize("stage", [SAMPLE, JUDGE, TREE_SEARCH], ids=lambda stage: stage.name)
def test_a_stage_alone_has_the_demos_settings_too(stage: Stage[Any]) -> None:
    alone = parse(stage.name, "", {"": (stage,)}, [])
    assert stage.settings(alone.options) == stage.settings(parsed().options)


@pytest.mark.parametrize(
    "argv",
    [URL, ["--model", "m.gguf"], ["--run", "elsewhere"], ["--prompts", "mine.jsonl"]],
    ids=" ".join,
)
def test_only_the_demo_has_its_settings(argv: list[str]) -> None:
    job = parsed(*argv)
    found = settings(job)
    assert (found.sample.responses, found.search.judge.votes, found.search.branch) == (5, 5, 3)
    assert not found.search.stop_level and not found.search.judge_once
    assert not found.search.judge.stop_votes
    assert demo_settings(job.options) == ""


def test_the_bundled_model_gives_short_answers_and_all_else_is_the_papers() -> None:
    mine, papers = settings(parsed("--run", "elsewhere")), settings(parsed(*URL))
    untaught = bundled_adapter() is None
    assert mine.search.judge.constrained is untaught, "the adapter has taught it the format"
    assert mine.search.constrained is untaught
    assert mine.sample.responses == papers.sample.responses
    for short, long in (
        (mine.sample.actor, papers.sample.actor),
        (mine.judge.judge.sampling, papers.judge.judge.sampling),
        (mine.search.sampling, papers.search.sampling),
    ):
        assert short.max_tokens < 200
        assert dataclasses.replace(short, max_tokens=0) == dataclasses.replace(long, max_tokens=0)
    searches = [dataclasses.asdict(each.search) for each in (mine, papers)]
    for search in searches:
        for name in ("judge", "sampling", "constrained"):
            del search[name]
    assert searches[0] == searches[1], "search bounds stay the paper's"


@pytest.mark.parametrize(
    ("argv", "limit"),
    [
        (["--limit", "0"], None),
        (["--limit", "9"], 9),
        (["--run", DEMO_RUN], DEMO_LIMIT),
        (["--run", "elsewhere"], None),
        (["--prompts", "mine.jsonl"], None),
        (URL, None),
    ],
)
def test_only_the_demo_is_limited(argv: list[str], limit: int | None) -> None:
    assert parsed(*argv).limit == limit


def test_the_bundled_prompts_are_good() -> None:
    rows = list(read(str(DEMO_PROMPTS)))
    prompts = [row.prompt for row in rows]
    assert all(prompts)
    assert len(set(prompts)) == len(prompts) >= 35


def test_dashes_are_underscores() -> None:
    dashed = parsed(
        "--engine-url=http://a-b:1/c-d", "--engine-timeout", "3", "--direct-num-workers=2"
    )
    plain = parsed("--engine_url=http://a-b:1/c-d", "--engine_timeout=3")
    assert dashed.engines == plain.engines
    assert settings(dashed) == settings(plain)
    assert dashed.engines["actor"].url == "http://a-b:1/c-d"
    assert dashed.beam.view_as(DirectOptions).direct_num_workers == 2


def test_every_role_has_its_own_options() -> None:
    job = parsed(
        *URL,
        *("--model", "m", "--actor_model", "a"),
        *("--actor_temperature", "0.1", "--judge_top_p", "0.2", "--refine_max_tokens", "7"),
    )
    found = settings(job)
    assert [job.engines[role].model for role in ("actor", "refiner", "judge")] == ["a", "m", "m"]
    assert found.sample.actor == Sampling(0.1, 0.9, 2048)
    assert found.judge.judge.sampling == Sampling(0.7, 0.2, 2048)
    assert found.search.sampling == Sampling(0.7, 1.0, 7)


def test_a_role_has_what_is_said_of_it_else_what_its_stand_in_has() -> None:
    engines = parsed(*URL, "--model", "m", "--refiner_model", "r", "--slots", "8").engines
    assert engines["judge"] == engines["refiner"]
    assert (engines["judge"].model, engines["actor"].model) == ("r", "m")
    engines = parsed(
        *(*URL, "--model", "m", "--refiner_url", "http://r", "--refiner_slots", "4"),
        *("--judge_url", "http://j", "--judge_model", "j"),
    ).engines
    assert (engines["refiner"].url, engines["refiner"].model) == ("http://r", "")
    assert (engines["refiner"].slots, engines["judge"].slots) == (4, 256)
    assert (engines["judge"].url, engines["judge"].model) == ("http://j", "j")
    assert engines["actor"].url == URL[1]
    mixed = parsed("--judge_url", "http://j").engines
    assert [mixed[r].kind for r in ("actor", "refiner", "judge")] == [
        "llamacpp",
        "llamacpp",
        "openai",
    ]


def test_arguments_of_the_engine_whose_quotation_does_not_end_are_refused() -> None:
    with pytest.raises(UsageError, match=r"--engine_args .*No closing quotation"):
        parsed("--engine", "vllm", "--model", "m", "--engine_args=--chat-template 'x")


@pytest.fixture(params=["with the bundled adapter", "without"])
def bundled(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the bundled adapter is called, or "" as in a copy that has none."""
    file = tmp_path / "bundled.gguf"
    if request.param != "without":
        file.touch()
    monkeypatch.setattr("spar_core.engine.bundled.BUNDLED_ADAPTER", file)
    return "bundled" if file.exists() else ""


def adapters(*argv: str) -> list[str]:
    """Of actor, refiner and judge."""
    engines = parsed(*argv).engines
    return [engines[role].adapter for role in ("actor", "refiner", "judge")]


def test_the_bundled_adapter_makes_the_bundled_model_refiner_and_judge(bundled: str) -> None:
    job = parsed()
    assert adapters() == ["", bundled, bundled]
    assert job.engines["judge"] == job.engines["refiner"]
    assert job.options.bundled == {"actor", "refiner", "judge"} and job.is_demo
    claim = depends_on(job, JUDGE, JUDGE.settings(job.options))
    assert ("refiner.adapter" in claim) == bool(bundled)
    assert "judge.model" not in claim, "it is told as the refiner"


def test_the_bundled_adapter_is_for_the_bundled_model_alone(bundled: str) -> None:
    assert adapters(*URL) == ["", "", ""]
    assert adapters("--model", "m.gguf") == ["", "", ""]
    assert adapters("--engine", "vllm", "--model", "m") == ["", "", ""]
    assert adapters("--refiner_model", "m.gguf") == ["", "", ""]
    assert adapters("--actor_model", "m.gguf") == ["", bundled, bundled]
    assert adapters("--judge_model", "m.gguf") == ["", bundled, ""]
    assert adapters("--judge_url", "http://j") == ["", bundled, ""]


def test_an_adapter_named_goes_before_the_bundled_one(bundled: str) -> None:
    assert adapters("--refiner_adapter", "r") == ["", "r", "r"]
    assert adapters("--refiner_adapter", "r", "--judge_slots", "4") == ["", "r", "r"]
    assert adapters("--refiner_adapter", "r", "--judge_model", "m.gguf") == ["", "r", ""]
    assert adapters("--judge_adapter", "j") == ["", bundled, "j"]
    assert adapters("--actor_adapter", "a") == ["a", bundled, bundled]
    assert adapters("--model", "m.gguf", "--judge_adapter", "j") == ["", "", "j"]
    job = parsed("--refiner_adapter", "r")
    assert job.engines["judge"] == job.engines["refiner"]
    assert job.options.bundled == {"actor", "refiner", "judge"}


def test_adapters_of_vllm_are_those_that_are_named_and_their_stand_ins() -> None:
    vllm = ("--engine", "vllm", "--model", "m")
    assert adapters(*vllm, "--actor_adapter", "a", "--refiner_adapter", "r") == ["a", "r", "r"]
    assert adapters(*vllm, "--refiner_adapter", "r", "--judge_slots", "4") == ["", "r", "r"]
    assert adapters(*vllm, "--refiner_adapter", "r", "--judge_model", "o") == ["", "r", ""]


@pytest.mark.parametrize("role", ["actor", "refiner", "judge"])
@pytest.mark.parametrize(
    "engine",
    [
        URL,
        ["--engine", "llamacpp", *URL],
        ["--engine", "vllm", *URL],
        ["--engine", "vllm", "--model", "m", "--serve", "x {model} {port}"],
    ],
)
def test_adapters_are_for_engines_that_are_started(role: str, engine: list[str]) -> None:
    said = f"--{role}_adapter is for --engine llamacpp or vllm without a URL or --serve"
    with pytest.raises(UsageError, match=said):
        parsed(*engine, f"--{role}_adapter", "a.gguf")


def test_a_role_of_its_own_server_may_have_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    line = (*URL, "--judge_url", "http://j")
    assert parsed(*line).engines["judge"].key == "OPENAI_API_KEY"
    monkeypatch.setenv("JUDGE_API_KEY", "k")
    engines = parsed(*line).engines
    assert (engines["judge"].key, engines["actor"].key) == ("JUDGE_API_KEY", "OPENAI_API_KEY")


def test_the_method_picks_the_stages() -> None:
    names = [stage.name for stage in parsed("--method", "independent", *URL).stages]
    assert names == ["sample", "judge", "independent"]


def test_a_split_is_for_jobs_that_make_no_training_data() -> None:
    job = parse("sample", "", {"sample": (SAMPLE,)}, [*URL, "--split", "eval"])
    assert job.split == "eval"
    with pytest.raises(UsageError, match="no option --split"):
        parsed(*URL, "--split", "eval")


def test_benchmarks_are_kept_out_of_prompts_that_are_read() -> None:
    for argv in ([], ["--run", "runs/mine"]):
        with pytest.raises(UsageError, match="--decontaminate is for --prompts FILES"):
            parsed(*URL, *argv, "--decontaminate", "any.jsonl")


def test_a_column_is_named_of_prompts_or_seeds_that_are_read() -> None:
    with pytest.raises(UsageError, match="--prompt_column is for --prompts FILES"):
        parsed(*URL, "--prompt_column", "ask")
    assert parsed(*URL, "--prompts", "x", "--prompt-column", "ask").options.prompt_column == "ask"
    with pytest.raises(UsageError, match="--prompt_column is for --seeds FILES"):
        parsed(*URL, "--method", "humpback", "--prompt_column", "ask")
    seeds = ("--seeds", "x", "--prompt_column", "ask")
    assert parsed(*URL, "--method", "humpback", *seeds).options.prompt_column == "ask"


@pytest.mark.parametrize(("votes", "quorum"), [(1, 1), (3, 2), (4, 3), (5, 3)])
def test_the_quorum_is_more_than_half(votes: int, quorum: int) -> None:
    assert settings(parsed(*URL, "--votes", str(votes))).judge.judge.quorum == quorum


def test_the_names_of_beams_options_are_those_of_the_beam_that_is_here() -> None:
    made_by = "python -m pipelines.execution.beam_options writes the file"
    assert beam_line.NAMES_FILE.read_text() == beam_options.described(), made_by


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--direct_num_workers", "2", "--streaming"], []),
        (["--direct_num_workers", "2", "stray"], ["stray"]),
        (["--flink_submit_uber_jar", "stray"], ["stray"]),
        (["--directnum=2", "--runner", "DirectRunner"], ["--directnum=2"]),
        (["--its_own=2", "--runner", "FlinkRunner"], []),
        (["--its_own=2", "--runner=some.module.Runner"], []),
    ],
)
def test_names_tell_what_is_not_beams_unless_a_runner_may_know_it(
    arguments: list[str], left: list[str]
) -> None:
    assert beam_line.unknown(arguments) == left


def test_changes_of_beams_options_last() -> None:
    job = parsed(*URL)
    job.beam.view_as(DirectOptions).direct_num_workers = 3
    changed = dataclasses.replace(job, limit=1)
    assert changed.beam.view_as(DirectOptions).direct_num_workers == 3


def test_beam_options_pass_through() -> None:
    job = parsed(*URL, "--direct_num_workers=2", "--direct_running_mode", "multi_threading")
    direct = job.beam.view_as(DirectOptions)
    assert (direct.direct_num_workers, direct.direct_running_mode) == (2, "multi_threading")
    job = parsed(*URL, "--runner=DataflowRunner", "--project=p", "--region", "r")
    assert job.beam.view_as(StandardOptions).runner == "DataflowRunner"
    assert job.beam.get_all_options()["project"] == "p"


@pytest.mark.parametrize("argv", [[], ["--runner=DirectRunner"]])
def test_direct_means_the_runner_that_was_tried(argv: list[str]) -> None:
    assert parsed(*argv).beam.view_as(StandardOptions).runner.endswith(".FnApiRunner")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--respones", "3"], "no option --respones; did you mean --responses?"),
        (["--engine-ur=x"], "no option --engine_ur; did you mean --engine_url?"),
        (["--qqqqqqqqq"], "no option --qqqqqqqqq"),
        (["--vote", "3"], "did you mean --votes?"),
        (["-x"], "-x"),
        (["prompts.jsonl"], "prompts.jsonl"),
        (["--responses"], "--responses"),
        (["--responses", "many"], "many"),
        (["--responses", "0"], "--responses: must be a whole number, at least 1, not '0'"),
        (["--votes", "-1"], "--votes: must be a whole number, at least 1, not '-1'"),
        (["--votes", "2.5"], "2.5"),
        (["--branch", "0"], "--branch"),
        (["--keep", "0"], "--keep"),
        (["--depth", "0"], "--depth"),
        (["--budget", "0"], "--budget"),
        (["--iteration", "-1"], "--iteration"),
        (["--slots", "0"], "--slots"),
        (["--limit", "-1"], "--limit"),
        (["--quorum", "6"], "--quorum 6 is more than --votes 5"),
        (["--judge_max_tokens", "0"], "--judge_max_tokens"),
        (["--refine_max_tokens", "0"], "--refine_max_tokens"),
        (["--actor_temperature", "-1"], "--actor_temperature"),
        (["--actor_temperature", "nan"], "--actor_temperature"),
        (["--judge_top_p", "0"], "--judge_top_p"),
        (["--judge_top_p", "1.5"], "--judge_top_p"),
        (["--engine_timeout", "0"], "--engine_timeout"),
        (["--engine_patience", "-1"], "--engine_patience"),
        (["--strategy", "mcts"], "mcts"),
        (["--engine", "gpt"], "gpt"),
        (["--engine", "openai", "--engine_url="], "--engine openai needs --engine_url"),
        (["--constrained", "on"], "--constrained on needs --engine llamacpp or vllm"),
        (["--run="], "--run"),
        (["--variant", "A b"], "--variant"),
        (["--variant", "../x"], "--variant"),
        (["--method", "magic"], "magic"),
        (["--no_wait_until_finish"], "--no_wait_until_finish"),
        (["--judge_slots", "0"], "--judge_slots"),
        (["--judge_engine", "gpt"], "gpt"),
        (["--refiner_adapter", "a"], "--refiner_adapter is for --engine llamacpp or vllm"),
        (["--prompts="], "--prompts"),
        (["--decontaminate", "nowhere.jsonl"], "--decontaminate: nowhere.jsonl: no such file"),
        (["--direct_num_workers=many"], "many"),
        (["--direct_running_mode=nope"], "nope"),
        (["--runner=NoRunner"], "NoRunner"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    prompts: Path,
    server: LoopbackServer,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    line = rounds.command(tmp_path / "run", prompts, server.url, *argv)
    assert exit_code(*line) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
    assert not server.bodies


def exit_code(*argv: str) -> int:
    """What the process would exit with; argparse leaves by SystemExit."""
    try:
        return refine.main(argv)
    except SystemExit as left:
        assert isinstance(left.code, int)
        return left.code


def test_mistakes_leave_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        parsed("--runn", "x")
    assert exit_code("--run", "new", "--votes", "0") == 2
    assert not list(tmp_path.iterdir())


_RUN = "run iteration variant limit seed"
_ENGINE = "engine model engine_url slots engine_timeout"
SHOWN = {
    "refine": f"{_RUN} prompts method {_ENGINE} actor_model judge_url refiner_adapter responses "
    "votes strategy budget actor_temperature judge_max_tokens refine_top_p stop_votes",
    "sample": f"{_RUN} prompts split {_ENGINE} actor_model responses actor_temperature",
    "judge": f"{_RUN} split {_ENGINE} refiner_model judge_model votes judge_max_tokens judge_once",
    "tree_search": f"{_RUN} split {_ENGINE} refiner_url judge_url votes strategy refine_top_p",
    "pairs": f"{_RUN} method",
}
HIDDEN = {
    "refine": "split",
    "sample": "votes strategy refiner_model judge_url refiner_adapter method",
    "judge": "prompts responses strategy actor_model",
    "tree_search": "prompts responses actor_url",
    "pairs": "prompts engine model engine_url votes strategy responses slots split",
}


@pytest.mark.parametrize("name", JOBS)
def test_help_is_worth_reading_and_shows_the_jobs_own_options(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        JOBS[name](["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for part in ("the run:", "Exit codes", "Apache Beam"):
        assert part in text
    for option in SHOWN[name].split():
        assert f"--{option} " in text
    for option in HIDDEN[name].split():
        assert f"--{option} " not in text
    assert f"python -m pipelines.{name}" in text
    assert len(text.splitlines()) < 240


@pytest.mark.parametrize("name", JOBS)
def test_other_jobs_options_are_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for option in HIDDEN[name].split():
        assert JOBS[name]([f"--{option}=1"]) == 2
        error = capsys.readouterr().err
        assert error == f"error: no option --{option} in this job: it is another job's\n"


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*:RuntimeWarning")
def test_jobs_run_by_name(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--nope"])
    with pytest.raises(SystemExit) as left:
        runpy.run_module(f"pipelines.{name}", run_name="__main__")
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (2, "")
    assert err.startswith("error: no option --nope")
    assert err.count("\n") == 1


def test_a_job_runs_in_a_process_of_its_own() -> None:
    process = rounds.start("--nope", job="pipelines.refine")
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("error: no option --nope")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["judge", "tree_search", "pairs"])
def test_a_stage_of_no_run_is_an_error(
    tmp_path: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    run = tmp_path / "misspelt"
    engine = [] if name == "pairs" else ["--engine_url", server.url]
    assert JOBS[name](["--run", str(run), *engine]) == 2
    assert str(run) in capsys.readouterr().err
    assert not run.exists()
