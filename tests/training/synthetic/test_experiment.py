"""Whole experiments of a few steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks import llama
from training.synthetic import __main__ as command
from training.synthetic import characters, experiment, results, story, tiny_llama
from training.synthetic.experiment import Settings

QUICK = Settings(
    task="characters",
    model="",
    steps=3,
    learning_rate=1e-3,
    batch=4,
    pairs=12,
    held_out=6,
    every=2,
    start_answers=32,
    shape=tiny_llama.Shape(layers=1, width=16, heads=2, steps=2, batch=4),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed experiment of one seed; for reading only."""
    folder = tmp_path_factory.mktemp("synthetic")
    experiment.run(QUICK, [0], folder, lambda _: None)
    return folder


def test_both_kinds_are_measured_from_the_same_start(finished: Path) -> None:
    measured = results.read(finished)
    assert [(m.pairs, m.step) for m in measured] == [
        (kind, step) for kind in ("interfering", "refined") for step in (0, 2, 3)
    ]
    first = [(m.accuracy, m.factor) for m in measured if m.step == 0]
    assert first[0] == first[1]


def test_a_stopped_experiment_goes_on_to_the_same_end(finished: Path, tmp_path: Path) -> None:
    said: list[str] = []

    def stop(line: str) -> None:
        said.append(line)
        if line.startswith("seed 0, interfering"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        experiment.run(QUICK, [0], tmp_path, stop)
    assert results.done(results.read(tmp_path)) == {(0, "interfering")}
    said.clear()
    experiment.run(QUICK, [0], tmp_path, said.append)
    assert [line.partition(":")[0] for line in said] == ["seed 0, refined pairs"]
    assert results.read(tmp_path) == results.read(finished)
    experiment.run(QUICK, [0], tmp_path, lambda _: pytest.fail("nothing is missing"))


def test_other_settings_are_refused(finished: Path) -> None:
    before = (finished / "measurements.csv").read_bytes()
    with pytest.raises(results.OtherSettings, match="learning_rate"):
        experiment.run(replace(QUICK, learning_rate=1e-4), [0], finished, lambda _: None)
    assert (finished / "measurements.csv").read_bytes() == before


def test_kinds_differ_in_what_is_chosen_alone() -> None:
    example = characters.material(0, 1, 1, 1).pairs[0]
    refined, interfering = (experiment.pair(example, kind) for kind in ("refined", "interfering"))
    assert refined["prompt"] == interfering["prompt"]
    assert refined["rejected"] == interfering["rejected"]
    assert refined["chosen"] == [{"role": "assistant", "content": example.refined}]
    assert interfering["chosen"] == [{"role": "assistant", "content": example.interfering}]


@pytest.mark.parametrize("task", [characters.TASK, story.TASK])
def test_texts_survive_the_small_tokenizer(task: experiment.Task) -> None:
    material = task.material(0, 300, 20, 20)
    tokenizer = tiny_llama.make_tokenizer([t for pair in material.start for t in pair], task.pieces)
    assert len(tokenizer) < 300
    for example in [*material.pairs, *material.held_out]:
        for text in (example.prompt, example.rejected, example.refined, example.interfering):
            assert tokenizer.decode(tokenizer.encode(text)) == text


def test_answers_stop_at_their_end(finished: Path) -> None:
    start = finished / "start" / "0"
    model = AutoModelForCausalLM.from_pretrained(start)
    tokenizer = AutoTokenizer.from_pretrained(start)
    examples = characters.material(0, 1, 1, 5).held_out
    written = experiment.answers(model, tokenizer, examples)
    assert len(written) == 5
    assert not any("<" in answer for answer in written)


def test_the_command_from_a_checkpoint(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "Settings", lambda **given: replace(QUICK, **given))
    line = ["--task", "characters", "--model", str(model), "--output", str(tmp_path)]
    assert command.main([*line, "--steps", "1", "--seeds", "2"]) == 0
    out, err = capsys.readouterr()
    assert "2 seeds" in out
    assert len(err.splitlines()) == 4
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "measurements.csv").read_text().splitlines()) == 1 + 2 * 2 * 2
    assert command.main([*line, "--steps", "2"]) == 5
    assert "steps is 1, not 2" in capsys.readouterr().err


def test_a_model_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "Settings", lambda **given: replace(QUICK, **given))
    bare = llama.write(tmp_path / "bare", template=None)
    for name, said in ((tmp_path / "absent", "cannot load"), (bare, "has no chat template")):
        line = ["--task", "story", "--model", str(name), "--output", str(tmp_path / "out" / said)]
        assert command.main(line) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ")
        assert said in err
        assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--task poem",
        "--task story --seeds 0",
        "--task story --seeds x",
        "--task story --learning_rate 7",
        "--task story --step 3",
    ],
)
def test_a_command_that_cannot_be_meant(line: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(line.split())
    assert stopped.value.code == 2
