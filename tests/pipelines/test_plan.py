"""Plans: from a probe, from an earlier run, from assumptions; what they say beside what comes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines import plan, refine
from pipelines.execution.plan import buckets_for
from spar_core.dataset import Dataset
from tests.loopback import serving
from tests.pipelines import rounds
from tests.pipelines.rounds import check, command, files, query, role, story, tables

MANY = [f"Prompt {n}, and an easy one." if n % 9 == 0 else f"Prompt {n}." for n in range(60)]
UNITS = {"": 1.0, "k": 1e3, "M": 1e6}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that no cell is folded in."""
    monkeypatch.setenv("COLUMNS", "240")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return rounds.write_prompts(tmp_path / "prompts.jsonl", MANY)


@dataclass(frozen=True)
class Said:
    """A line of a table: each cell's number, and its range."""

    value: float
    low: float
    high: float


def line(said: str, name: str) -> list[Said]:
    """The cells of a table's line that begins with a name, those without a number left out."""
    [found] = [row for row in said.splitlines() if re.match(rf"│ {re.escape(name)} +│", row)]
    return [cell(each) for each in found.split("│")[2:-1] if each.strip()]


def cell(text: str) -> Said:
    numbers = re.findall(r"([\d.,]+)([kM]?)", text)
    return Said(*(float(n.replace(",", "")) * UNITS[unit] for n, unit in numbers[:3]))


def spent(run: Path) -> tuple[float, float, float]:
    columns = "sum(requests), sum(prompt_tokens), sum(completion_tokens)"
    [(requests, asked, told)] = query(run, f"select {columns} from usage")
    return requests, asked, told


def test_a_probe_is_part_of_the_round_and_tells_what_the_rest_takes(
    tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    with serving(story) as server:
        argv = command(run, prompts, server.url)
        assert plan.main([*argv, "--probe", "24"]) == 0
        said = capsys.readouterr().out
        probed, paid = tables(run, without=["prompts"]), spent(run)
        assert sum(role(body) == "actor" for body in server.bodies) == 24
        assert "What is left: 36 prompts" in said
        assert refine.main(argv) == 0
        assert sum(role(body) == "actor" for body in server.bodies) == len(MANY)
    check(run)
    held = tables(run)
    assert all({*rows} <= {*held[name]} for name, rows in probed.items() if name != "rft")
    predicted = line(said, "all")[:3]
    for found, before, after in zip(predicted, paid, spent(run), strict=True):
        assert found.value == pytest.approx(after - before, rel=0.15)
    requests = line(said, "tree_search")[0]
    assert requests.low < requests.value < requests.high


def test_a_probe_fixes_the_buckets_for_all_prompts(tmp_path: Path) -> None:
    run = tmp_path / "run"
    many = rounds.write_prompts(tmp_path / "p.jsonl", (f"Prompt {n}." for n in range(400)))
    with serving(story) as server:
        assert plan.main([*command(run, many, server.url), "--probe", "1"]) == 0
    held = Dataset(str(run), 1)
    assert buckets_for(1) < buckets_for(400) == held.buckets("sample", "main", 1)
    assert held.buckets("judge", "main", 1) == buckets_for(2000)


@pytest.mark.parametrize("more", [[], ["--together", "off"], ["--stop_votes", "--strategy", "dfs"]])
def test_an_earlier_run_tells_what_a_like_one_takes(
    tmp_path: Path, more: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    prompts = rounds.write_prompts(tmp_path / "few.jsonl")
    with serving(story) as server:
        argv = command(run, prompts, server.url, *more)
        assert refine.main(argv) == 0
        before, asked = files(run), len(server.bodies)
        capsys.readouterr()
        other = [*command(tmp_path / "new", prompts, server.url, *more), "--from_run", str(run)]
        assert plan.main(other) == 0
        assert len(server.bodies) == asked
    said = capsys.readouterr().out
    assert files(run) == before
    assert not (tmp_path / "new").exists()
    for found, paid in zip(line(said, "all")[:3], spent(run), strict=True):
        assert found.value == pytest.approx(paid, rel=0.01)


def test_a_run_with_other_settings_says_so(
    tmp_path: Path, finished_run: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(story) as server:
        argv = command(tmp_path / "b", prompts, server.url, "--model", "loopback")
        argv += ["--from_run", str(finished_run)]
        assert plan.main([*argv, "--votes", "3"]) == 0
        said = capsys.readouterr().out
        assert "with other settings than these: " in said
        assert "votes: 5 -> 3" in said
        assert plan.main(argv) == 0
        assert "other settings" not in capsys.readouterr().out


def test_options_that_save_are_those_that_are_off(
    tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = command(tmp_path / "run", prompts, "http://nobody.invalid")
    assert plan.main(argv) == 0
    all_off = capsys.readouterr().out
    assert "│ --stop_votes --stop_level --judge_once " in all_off
    assert plan.main([*argv, "--stop_votes"]) == 0
    said = capsys.readouterr().out
    assert "│ --stop_votes" not in said
    assert line(said, "all")[2].value < 0.9 * line(all_off, "all")[2].value


def test_assumptions_are_shown_and_can_be_others(
    tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    argv = command(run, prompts, "http://nobody.invalid", "--gpu_hour", "3")
    assert plan.main([*argv, "--engine_count", "1", "16"]) == 0
    said = capsys.readouterr().out
    assert "Nothing was measured; assumed" in said
    assert "answer 300" in said
    assert not run.exists()
    one, hours, money = line(said, "1")
    assert money.value == pytest.approx(3 * hours.value, rel=0.02)
    assert line(said, "16")[1].value > hours.value, "16 engines have little to do"
    assert plan.main([*argv, "--assume", "answer=600,failing=0"]) == 0
    other = capsys.readouterr().out
    assert "answer 600" in other
    assert line(other, "sample")[2].value == pytest.approx(
        2 * line(said, "sample")[2].value, rel=0.01
    )
    assert line(other, "tree_search")[0].value == 0
    assert one.value > 0


def test_iterations_are_planned_with_their_trainings(
    tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = command(tmp_path / "run", prompts, "http://nobody.invalid", "--iterations", "3")
    assert plan.main(argv) == 0
    said = capsys.readouterr().out
    assert "60 prompts in 3 iterations" in said
    assert "training.dpo: about" in said
    assert "give --dpo_step_s" in said
    assert plan.main([*argv, "--dpo_step_s", "3600", "--rft_step_s", "0"]) == 0
    longer = capsys.readouterr().out
    assert "h, in the time above" in longer
    [steps] = re.findall(r"training.dpo: .* and (\d+) steps an iteration", longer)
    assert line(longer, "1")[1].value == pytest.approx(3 * int(steps), rel=0.02)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--probe", "61"], "--probe 61 is more than the 60 prompts that are left"),
        (["--probe", "0"], "at least 1, not '0'"),
        (["--probe", "3", "--from_run", "x"], "a plan is made from one of them"),
        (["--gpu_hour", "two"], "--gpu_hour: must be a number, at least 0, not 'two'"),
        (["--gpu_hour", "nan"], "must be a number, at least 0, not 'nan'"),
        (["--gpu_hour", "-1"], "must be a number, at least 0, not '-1'"),
        (["--engine_count", "0"], "must be a whole number, at least 1, not '0'"),
        (["--assume", "lenght=3"], "nothing called 'lenght' is assumed; there are prompt, answer"),
        (["--assume", "failing=2"], "failing must be a number, at least 0 and at most 1, not '2'"),
        (["--assume", "answer"], "answer must be a number, over 0, not ''"),
        (["--from_run", "{empty}"], "no round to learn from in iteration 1 of"),
        (["--iterations", "2", "--iteration", "2"], "these begin with the first"),
        (["--method", "autoif"], "invalid choice: 'autoif'"),
    ],
)
def test_bad_input_is_refused_in_a_line(
    tmp_path: Path,
    prompts: Path,
    more: Sequence[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [each.format(empty=tmp_path / "empty") for each in more]
    with serving(story) as server:
        assert plan.main([*command(tmp_path / "run", prompts, server.url), *given]) == 2
        assert not server.bodies
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_prompts_that_a_round_leaves_out_are_not_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = rounds.write_prompts(tmp_path / "bench.jsonl", ["A benchmark's own prompt."])
    texts = ["Prompt 1.", "PROMPT 1. ", "Prompt 2.", "A benchmark's own prompt."]
    path = rounds.write_prompts(tmp_path / "in.jsonl", texts)
    argv = command(tmp_path / "run", path, "http://localhost:1")
    assert plan.main([*argv, "--decontaminate", str(known)]) == 0
    assert "2 prompts" in capsys.readouterr().out


def test_prompts_of_a_column_that_is_named_are_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("prompt,ask\n,Prompt 1.\n,Prompt 2.\n")
    argv = command(tmp_path / "run", path, "http://localhost:1")
    assert plan.main([*argv, "--prompt_column", "ask"]) == 0
    assert "2 prompts" in capsys.readouterr().out


def test_a_round_that_is_begun_cannot_be_learnt_from(
    tmp_path: Path, copied_run: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in ("judge", "tree_search", "pairs", "rft"):
        shutil.rmtree(copied_run / "_manifest" / "iteration=1" / stage)
    with serving(story) as server:
        argv = command(tmp_path / "new", prompts, server.url)
        assert plan.main([*argv, "--from_run", str(copied_run)]) == 2
    assert "judge has asked nothing" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--probe", "2"]])
def test_a_round_that_is_done_has_no_plan(
    tmp_path: Path, copied_run: Path, more: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    some = rounds.write_prompts(tmp_path / "some.jsonl")
    with serving(story) as server:
        assert plan.main([*command(copied_run, some, server.url), *more]) == 2
        assert not server.bodies
    said = capsys.readouterr().err
    assert "all 12 prompts of" in said
    assert "nothing is left to plan" in said


def test_other_settings_than_the_run_was_begun_with_are_refused(
    tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(story) as server:
        argv = command(tmp_path / "run", prompts, server.url)
        assert plan.main([*argv, "--probe", "3"]) == 0
        assert plan.main([*argv, "--probe", "3", "--votes", "3"]) == 5
    assert "votes: 5 -> 3" in capsys.readouterr().err
