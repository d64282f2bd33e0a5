"""What a command loads before it has work to do: neither Beam nor DuckDB, Arrow, aiohttp or torch.

Whether it is quick follows from that, on whatever machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.execution.beam_line import BeamLine
from tests.loopback import serving
from tests.pipelines import rounds

HEAVY = (
    *("apache_beam", "grpc", "duckdb", "pyarrow", "fsspec", "numpy", "rapidfuzz", "aiohttp"),
    *("torch", "transformers", "trl", "datasets", "scipy", "matplotlib", "jinja2", "lm_eval"),
)
JOBS = (
    *("refine", "sample", "judge", "tree_search", "pairs", "evolve", "bootstrap", "answer"),
    *("evaluate", "iterate", "merge", "plan", "reproduce", "status"),
)
INSPECTIONS = (
    *("sql", "report.__main__", "export.__main__", "compare.__main__", "reproduction.__main__"),
)
TRAININGS = ("dpo", "rft", "sft")

URL = ("--engine_url", "http://localhost:8000")

HELP = [
    *((f"pipelines.{name}", "--help") for name in JOBS),
    *((f"inspection.{name}", "--help") for name in INSPECTIONS),
]
MISTAKES = [
    *((f"pipelines.{name}", "--nope=1") for name in JOBS),
    *((f"inspection.{name}", "--nope=1") for name in INSPECTIONS),
    *((f"training.{name}",) for name in TRAININGS),
    ("training.sft", "--data", "d", "--model", "m", "--output", "o", "--task", "cook"),
    ("pipelines.refine", "--respones", "3"),
    ("pipelines.refine", "--votes", "many"),
    ("pipelines.refine", *URL, "--quorum", "6"),
    ("pipelines.refine", *URL, "--direct_num_workers", "2", "stray"),
    ("pipelines.refine", "--engine", "openai"),
    ("pipelines.refine", "--run="),
    ("pipelines.evolve", "--seeds", "s", "--responses", "3"),
    ("pipelines.bootstrap",),
    ("pipelines.evaluate",),
    ("pipelines.evaluate", "--run", "r"),
    ("pipelines.iterate", "--iteration", "2"),
    ("pipelines.merge",),
    ("pipelines.plan", *URL, "--probe", "2", "--from_run", "r"),
    ("pipelines.plan", "--assume", "prompt=x"),
    ("pipelines.reproduce", "--rate", "speed=1"),
]
NO_INPUT = [
    ("pipelines.refine", "--run", "new", *URL, "--prompts", "missing.jsonl"),
    ("pipelines.evolve", "--run", "new", "--seeds", "missing/*.jsonl"),
    ("pipelines.judge", "--run", "misspelt", *URL),
    ("pipelines.pairs", "--run", "misspelt"),
]

SCRIPT = """
import contextlib, importlib, io, json, sys

heavy, lines = json.loads(sys.stdin.read())
for name, *line in lines:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = importlib.import_module(name).main(line)
        except SystemExit as left:
            code = left.code
    print(json.dumps([code, said.getvalue(), sorted({*heavy} & {*sys.modules})]))
"""


def ran(lines: list[tuple[str, ...]], heavy: tuple[str, ...], folder: Path) -> list[list[object]]:
    """Of each line, all run in one new process: exit code, output, and what is loaded by then."""
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps([heavy, lines]),
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": "/usr/bin:/bin"},
        check=True,
    )
    return [json.loads(line) for line in process.stdout.splitlines()]


def test_help_and_mistakes_load_nothing_heavy(tmp_path: Path) -> None:
    lines = [*HELP, *MISTAKES]
    wanted = [0] * len(HELP) + [2] * len(MISTAKES)
    for line, code, (left_with, said, loaded) in zip(
        lines, wanted, ran(lines, HEAVY, tmp_path), strict=True
    ):
        assert left_with == code, (line, said)
        assert loaded == [], (line, said)
    assert not list(tmp_path.iterdir())


def test_missing_input_is_found_before_beam_is_loaded(tmp_path: Path) -> None:
    for line, (code, said, loaded) in zip(
        NO_INPUT, ran(NO_INPUT, ("apache_beam", "aiohttp", "torch"), tmp_path), strict=True
    ):
        assert code == 2, (line, said)
        assert loaded == [], (line, said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("job", ["plan", "merge", "status", "iterate"])
def test_a_job_without_a_pipeline_needs_no_beam(job: str, tmp_path: Path) -> None:
    """What its work is done by is loaded, and Beam is not."""
    module = {"plan": "planner", "merge": "merging", "status": "run_status", "iterate": "iterating"}
    script = f"import sys, pipelines.{module[job]}; print('apache_beam' in sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=True,
    )
    assert process.stdout == "False\n"


UNUSED = ("pandas", "google.api_core", "google.auth", "pymongo", "chardet")
"""Packages that are installed here, and that Beam or Arrow import where they are."""

PROGRAM = """
import importlib.util, json, sys
from pipelines import refine

unused = json.loads(sys.stdin.read())
code = refine.main()
loaded = sorted({*unused} & {*sys.modules})
print(json.dumps([code, loaded, [name for name in unused if importlib.util.find_spec(name)]]))
"""


def test_a_job_in_a_process_of_its_own_leaves_out_what_it_does_not_use(tmp_path: Path) -> None:
    """It makes pairs, and whoever imports the packages later finds them."""
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", rounds.PROMPTS[:2])
    with serving(rounds.story) as server:
        process = subprocess.run(
            [sys.executable, "-c", PROGRAM, *rounds.command(tmp_path / "run", prompts, server.url)],
            input=json.dumps(UNUSED),
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[1],
            check=True,
        )
    assert process.stderr == ""
    assert json.loads(process.stdout.splitlines()[-1]) == [0, [], [*UNUSED]]
    rounds.check(tmp_path / "run")


@pytest.mark.parametrize(
    ("line", "may_run_elsewhere"),
    [
        ((), False),
        (("--runner", "DirectRunner"), False),
        (("--runner=FlinkRunner",), True),
        (("--direct_num_workers=2", "--runner=DataflowRunner"), True),
    ],
)
def test_a_job_for_another_runner_loads_all_of_beam(
    line: tuple[str, ...], may_run_elsewhere: bool
) -> None:
    assert BeamLine(line).names_runner is may_run_elsewhere
