"""What the rows of a stage are bound to: models, what is said to them, and files that are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation import stages as evaluation_stages
from evaluation.benchmarks.followbench import judge as followbench
from pipelines.execution.options import Job, parse
from pipelines.execution.parts import depends_on, parts, settings_of
from spar_core import conversation, variants
from spar_core.constraints import KINDS, wordings
from spar_core.dataset import Dataset, Settled
from spar_core.decoding.settings import Strategy
from spar_core.evolution import engine as writer
from spar_core.evolution.sifting import benchmarks
from spar_core.methods import METHODS
from spar_core.stage import Stage
from spar_core.stages.teach import TEACHERS
from spar_core.stages.writers import WRITERS
from spar_core.variants import SettingsDiffer

URL = ["--engine_url", "http://localhost:8000", "--model", "m"]
VLLM = ["--engine", "vllm", "--model", "org/m"]

Claims = dict[str, dict[str, Any]]


def claims(job: Job) -> Claims:
    """What the stages of a job depend on, as claims keep it."""
    told = {s.name: depends_on(job, s, settings_of(job, s)) for s in job.stages}
    plain: Claims = json.loads(json.dumps(told))
    return plain


def refine(*argv: str, run: str = "nowhere") -> Job:
    return parse("refine", "", METHODS, ["--run", run, *argv])


def evolve(*argv: str, run: str = "nowhere") -> Job:
    line = ["--run", run, *argv]
    return parse("evolve", "", WRITERS, line, choice="writer", default_run="")


def bootstrap(*argv: str) -> Job:
    line = ["--run", "nowhere", *argv]
    return parse("bootstrap", "", TEACHERS, line, choice="teacher", default_run="")


def evaluate() -> Job:
    decoder: Strategy = "greedy"
    stages: tuple[Stage[Any], ...] = evaluation_stages.stages(decoder)["answer"]
    line = ["--run", "nowhere", *URL]
    return parse("evaluate", "", {decoder: stages}, line, choice="decoder", default_run="")


def test_arguments_of_a_started_server_bind_where_they_change_what_it_says() -> None:
    plain = claims(refine(*VLLM))
    fast = claims(refine(*VLLM, "--engine_args=-tp 8 --max-num-seqs 64 --port 9"))
    other = claims(refine(*VLLM, "--engine_args=-tp 8 --quantization fp8"))
    assert fast == plain
    assert other["sample"]["actor.arguments"] == "--quantization fp8"
    assert other["judge"]["refiner.arguments"] == "--quantization fp8"
    assert other["pairs"] == plain["pairs"], "no model is asked"
    assert claims(refine(*URL, "--engine_args=--quantization fp8")) == claims(refine(*URL))


def begun(job: Job) -> Dataset:
    """The job's iteration with an item of its first stage, as a version before claims it."""
    dataset, stage = job.dataset, job.stages[0]
    later = {"actor.arguments", "actor.chat", "wording", "sift.texts"}
    claim = {n: v for n, v in claims(job)[stage.name].items() if n not in later}
    variants.claim(dataset, stage.name, "main", "main", claim)
    dataset.commit(stage.name, "b0", [Settled("k", {})])
    return dataset


def test_a_run_begun_before_goes_on_and_is_bound_from_then_on(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    job = refine(*VLLM, "--engine_args=--quantization fp8", run=run)
    begun(job)
    [first, *_] = parts(job, None)
    variants.claim(job.dataset, "sample", "main", "main", first.claim)
    parts(job, None)
    with pytest.raises(SettingsDiffer, match=r"actor\.arguments: '--quantization fp8' -> 'none'"):
        parts(refine(*VLLM, run=run), None)


def test_evolving_begun_before_goes_on(tmp_path: Path) -> None:
    job = evolve("--writer", "engine", *URL, run=str(tmp_path / "run"))
    begun(job)
    assert parts(job, None)


@pytest.mark.parametrize("name", ["WRITE", "CHECK"])
def test_what_a_writer_is_told_binds(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = claims(evolve("--writer", "engine", *URL))
    monkeypatch.setattr(writer, name, "something else")
    after = claims(evolve("--writer", "engine", *URL))
    assert after["evolve"] != before["evolve"] and after["select"] == before["select"]


def test_what_a_writer_is_told_of_kinds_of_constraints_binds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = claims(evolve("--writer", "engine", *URL))
    monkeypatch.setitem(writer.TYPES, "length", "how long it is")
    assert claims(evolve("--writer", "engine", *URL))["evolve"] != before["evolve"]


def test_the_prompts_of_benchmarks_that_are_kept_out_bind(tmp_path: Path) -> None:
    pytest.importorskip("datasketch", reason="the extra `evolve` is not installed")
    file = tmp_path / "benchmark.txt"

    def told(text: str, *argv: str) -> Claims:
        file.write_text(text)
        benchmarks.cache_clear()
        line = ("--writer", "self_instruct", *URL, "--decontaminate", str(file), *argv)
        return claims(evolve(*line))

    before = told("Name three birds of the sea.\n")
    assert told("Name three birds of the sea.\n\n") == before, "the same prompts"
    after = told("Name four birds of the sea.\n")
    for stage in ("propose", "evolve"):
        assert after[stage] != before[stage]
    assert after["select"] == before["select"]
    assert "sift.texts" not in claims(evolve("--writer", "self_instruct", *URL))["evolve"]


@pytest.mark.parametrize("name", ["JUDGE", "REFINE"])
def test_what_a_teacher_is_told_binds(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = claims(bootstrap("--teacher", "engine", *URL))
    monkeypatch.setattr(conversation, name, "something else")
    after = claims(bootstrap("--teacher", "engine", *URL))
    assert all(after[stage] != before[stage] for stage in ("answer", "teach"))


def test_what_followbenchs_judge_is_told_binds_the_grades(monkeypatch: pytest.MonkeyPatch) -> None:
    before = claims(evaluate())
    assert before["grade"]["wording.followbench"] == followbench.fingerprint()
    assert [stage for stage, held in before.items() if "wording.followbench" in held] == ["grade"]
    monkeypatch.setattr(followbench, "JUDGE", "something else")
    assert before["grade"]["wording.followbench"] != followbench.fingerprint()


def test_what_rules_say_binds_what_is_made_by_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")

    def told() -> dict[str, Claims]:
        return {
            "evolve": claims(evolve("--kinds", next(iter(KINDS)))),
            "bootstrap": claims(bootstrap(*URL)),
            "veto": claims(refine(*URL)),
            "report": claims(refine(*URL, "--checks", "report")),
        }

    before = told()
    monkeypatch.setattr(wordings, "fingerprint", lambda: "other")
    after = told()
    changed = {
        (job, stage)
        for job, held in before.items()
        for stage in held
        if held[stage] != after[job][stage]
    }
    assert changed == {
        ("evolve", "evolve"),
        ("bootstrap", "teach"),
        ("veto", "judge"),
        ("veto", "tree_search"),
    }
