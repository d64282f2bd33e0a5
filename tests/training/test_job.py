"""Every training job as its users run it: trained, stopped, gone on with, refused."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import llama
from tests import committed
from tests.full_disk import files_of_at_most
from tests.pipelines.rounds import start
from tests.training import tiny
from training import dpo, rft, sft
from training.output import Output
from training.progress import TrainingProgress

Main = Callable[[Sequence[str] | None], int]
JOBS = [pytest.param(dpo.main, id="dpo"), pytest.param(rft.main, id="rft")]
FAST = (
    *("--learning_rate", "3e-3", "--max_steps", "8", "--gradient_accumulation_steps", "1"),
    *("--save_steps", "4"),
)


@pytest.fixture
def data(pairs: Path, chats: Path) -> Callable[[Main], Path]:
    """The data of a job."""
    return lambda main: chats if main is rft.main else pairs


def command(data: Path, model: Path, output: Path, *more: str) -> list[str]:
    where = ["--data", str(data), "--model", str(model), "--output", str(output)]
    return [*where, *FAST, *more]


def curve(output: Path, name: str) -> list[float]:
    with (output / "curves.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


def same(one: Path, other: Path) -> bool:
    import torch

    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.allclose(a[k], b[k], atol=1e-6) for k in a)


def record(output: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((output / "training.json").read_bytes())
    return held


@pytest.mark.usefixtures("drawn")
def test_dpo_learns(model: Path, pairs: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    assert dpo.main(command(pairs, model, out, "--max_steps", "16")) == 0
    chosen, margins = curve(out, "logps/chosen"), curve(out, "rewards/margins")
    assert sum(chosen[-3:]) / 3 > sum(chosen[:3]) / 3 + 5, "the loss on the chosen side falls"
    assert margins[0] == 0 and margins[-1] > 0.1, "the margin rises"
    assert curve(out, "loss")[-1] < curve(out, "loss")[0]
    said = capsys.readouterr().out
    assert "pairs: 24 in" in said and "24 to train on" in said and "16 steps" in said
    assert f"Next: vllm serve {out} --port 8001" in said
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not same(model, out)
    assert_no_state(out)


def assert_no_state(output: Path) -> None:
    """Assert that a training that is done holds nothing that only served to go on."""
    assert not list(output.glob("checkpoint-*"))
    assert not list(output.rglob("optimizer*"))


@pytest.mark.parametrize(
    "main", [pytest.param(rft.main, id="rft"), pytest.param(sft.main, id="sft")]
)
def test_fine_tuning_learns(main: Main, model: Path, chats: Path, tmp_path: Path) -> None:
    assert main(command(chats, model, tmp_path / "out")) == 0
    losses = curve(tmp_path / "out", "loss")
    assert losses[-1] < losses[0] - 0.2
    assert_no_state(tmp_path / "out")


@pytest.mark.parametrize("main", JOBS)
def test_stopped_and_gone_on_with_is_as_never_stopped(
    main: Main,
    data: Callable[[Main], Path],
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(command(data(main), model, whole)) == 0
    with monkeypatch.context() as patch:
        patch.setattr(TrainingProgress, "on_log", press_after(2))
        assert main(command(data(main), model, parts)) == 4
    said = capsys.readouterr().err
    assert "stopped after step 3 of 8: run the same command again" in said
    assert "Traceback" not in said
    assert not record(parts)["done"] and (parts / "checkpoint-3" / "trainer_state.json").exists()
    assert not (parts / "model.safetensors").exists()
    assert main(command(data(main), model, parts)) == 0
    assert "going on from" in capsys.readouterr().out
    assert same(whole, parts)
    assert curve(parts, "loss") == pytest.approx(curve(whole, "loss"), abs=1e-4)
    before = (parts / "model.safetensors").stat().st_mtime_ns
    assert main(command(data(main), model, parts)) == 0, "a third time there is nothing to do"
    assert "done already" in capsys.readouterr().out
    assert (parts / "model.safetensors").stat().st_mtime_ns == before


def press_after(step: int, number: int = signal.SIGINT) -> Callable[..., None]:
    """Sends a signal once, when this step or a later one was logged."""
    pressed: list[int] = []

    def on_log(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= step and not pressed:
            pressed.append(number)
            os.kill(os.getpid(), number)

    return on_log


@pytest.mark.slow
def test_killed_training_goes_on_from_its_last_whole_checkpoint(
    model: Path, pairs: Path, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "out"
    line = command(pairs, model, out, "--max_steps", "400", "--save_steps", "2")
    process = start(*line, job="training.dpo")
    deadline = time.monotonic() + 300
    while not (out / "checkpoint-4" / "trainer_state.json").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    half = out / "checkpoint-399"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"cut off")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingProgress, "on_log", press_after(5, signal.SIGTERM))
        assert dpo.main(line) == 4
    said = capsys.readouterr()
    assert "going on from" in said.out and "checkpoint-399" not in said.out
    assert not half.exists()


def test_checkpoints_that_were_asked_for_stay_as_models(
    model: Path, pairs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    line = command(pairs, model, out, "--save_steps", "2")
    assert dpo.main([*line, "--save_total_limit", "3"]) == 0
    kept = sorted(path.name for path in out.glob("checkpoint-*"))
    assert kept == ["checkpoint-4", "checkpoint-6", "checkpoint-8"]
    for name in kept:
        assert not list((out / name).glob("*.pt")) and not list((out / name).glob("*.pth"))
        assert weights(out / name).keys() == weights(out).keys()
    assert dpo.main(line) == 0, "what was asked for holds, whatever a later command says of it"
    assert sorted(path.name for path in out.glob("checkpoint-*")) == kept


def test_state_goes_only_after_model_and_record_and_at_the_next_start_if_not_then(
    model: Path, pairs: Path, tmp_path: Path, capsys: Any
) -> None:
    out, line = tmp_path / "out", command(pairs, model, tmp_path / "out")

    def gone(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.job.write_card", gone)
        assert dpo.main(line) == 4
    assert not record(out)["done"] and (out / "checkpoint-8" / "optimizer.pt").exists()
    assert capsys.readouterr().err.startswith("error: interrupted: run the same command again")
    trained = weights(out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Output, "clean", gone)
        assert dpo.main(line) == 4
    assert record(out)["done"] and (out / "model.safetensors").exists()
    assert (out / "checkpoint-8" / "optimizer.pt").exists()
    assert dpo.main(line) == 0
    assert "done already" in capsys.readouterr().out
    assert not list(out.glob("checkpoint-*"))
    assert record(out)["result"]["steps"] == 8, "no step more than asked for"
    assert all((weights(out)[name] == tensor).all() for name, tensor in trained.items())


def test_state_that_cannot_be_removed_is_said(
    model: Path, pairs: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "checkpoint-8")

    monkeypatch.setattr(Output, "clean", refuse)
    assert dpo.main(command(pairs, model, tmp_path / "out")) == 0
    assert "cannot be removed: [Errno 13]" in capsys.readouterr().out
    assert record(tmp_path / "out")["done"]


def test_full_disk_is_said_and_nothing_is_lost(
    model: Path, pairs: Path, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "out"
    line = command(pairs, model, out)
    with files_of_at_most(100):
        assert dpo.main(line) == 4
    err = capsys.readouterr().err
    assert "error: cannot read or write" in err and "same command" in err
    assert "Traceback" not in err
    assert not list(out.glob("checkpoint-*")), "half a checkpoint is removed"
    assert dpo.main(line) == 0


def test_adapter_is_trained_and_folded_in(model: Path, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert dpo.main(command(pairs, model, out, "--use_peft", "--lora_r", "4")) == 0
    assert (out / "adapter" / "adapter_model.safetensors").exists()
    assert weights(out).keys() == weights(model).keys(), "a checkpoint that engines serve"
    assert not same(model, out)
    assert record(out)["settings"]["lora_r"] == 4
    again = tmp_path / "again"
    line = command(pairs, out, again, "--use_peft", "--lora_r", "4", "--max_steps", "1")
    assert dpo.main(line) == 0


def test_lineage_and_card(model: Path, pairs: Path, chats: Path, tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    short = ("--max_steps", "2")
    assert sft.main(command(chats, model, first, *short)) == 0
    assert dpo.main(command(pairs, first, second, "--where", "similarity > 0.1", *short)) == 0
    assert dpo.main(command(pairs, second, third, *short)) == 0
    assert [a["job"] for a in record(third)["lineage"]] == ["sft", "dpo"]
    card = (third / "README.md").read_text()
    for said in (str(first), str(model), record(third)["data"]["fingerprint"], "rewards/margins"):
        assert said in card
    assert "similarity > 0.1" in (second / "README.md").read_text()
    assert record(second)["data"]["rows"] == 24 and record(second)["data"]["examples"] == 13


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (["--where", "similarity > 7"], 3, "no pairs left to train on"),
        (["--where", "similarity >"], 2, "Parser Error"),
        (["--max_length", "8"], 3, "no pairs left to train on"),
        (["--bta", "0.2"], 2, "no option --bta; did you mean --beta?"),
        (["--beta", "high"], 2, "invalid float value"),
        (["--loss_weights", "1"], 2, "same length"),
        (["--eval_strategy", "steps"], 2, "needs --eval_data"),
        (["--model", "./nowhere"], 2, "no model folder at ./nowhere"),
        (["--model", "no-such/model"], 2, "cannot load no-such/model"),
        (["--data", "nothing*"], 2, "no run and no file at nothing*"),
        (["--method", "spar"], 2, "have no column `method`, so --method cannot choose"),
        (["--variant", "main,"], 2, "--variant takes a name, or several with commas"),
        (["--use_peft", "--lora_target_modules", "lm_head"], 2, "lm_head"),
    ],
)
def test_bad_input_in_one_line(
    change: list[str], code: int, said: str, model: Path, pairs: Path, tmp_path: Path, capsys: Any
) -> None:
    assert dpo.main(command(pairs, model, tmp_path / "out", *change)) == code
    err = capsys.readouterr().err
    assert err.startswith("error: ") and said in err
    assert "Traceback" not in err and len(err.splitlines()) <= 2
    assert not list(tmp_path.glob("out/*.safetensors"))


def test_base_model_without_a_chat_template(pairs: Path, tmp_path: Path, capsys: Any) -> None:
    base = llama.write(tmp_path / "base", template=None)
    assert dpo.main(command(pairs, base, tmp_path / "out")) == 2
    assert "has no chat template" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_command_line_is_checked_without_data(model: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    assert dpo.main(command(tmp_path / "later", model, out, "--check")) == 0
    assert dpo.main(command(tmp_path / "later", model, out, "--check", "--bta", "1")) == 2
    assert "did you mean --beta" in capsys.readouterr().err
    base = llama.write(tmp_path / "base", template=None)
    assert dpo.main(command(tmp_path / "later", base, out, "--check")) == 2
    assert not out.exists()


def test_chat_template_from_a_file(chats: Path, tmp_path: Path) -> None:
    base = llama.write(tmp_path / "base", template=None)
    template = tmp_path / "chat.jinja"
    template.write_text(llama.TEMPLATE)
    line = command(chats, base, tmp_path / "out", "--chat_template_path", str(template))
    line += ["--max_steps", "1"]
    assert sft.main(line) == 0
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == llama.TEMPLATE


def test_too_long_is_counted_and_left_out(model: Path, tmp_path: Path, capsys: Any) -> None:
    rows = [tiny.pair(n) for n in range(10)]
    rows[3]["chosen"] = "long " * 60
    rows[4]["rejected"] = "long " * 50
    file = tiny.write_jsonl(tmp_path / "pairs.jsonl", rows)
    line = command(file, model, tmp_path / "out", "--max_length", "200", "--max_steps", "1")
    assert dpo.main(line) == 0
    said = capsys.readouterr().out
    assert "2 are longer than 200 tokens and left out (--max_length 314 keeps them all)" in said
    assert "8 to train on" in said
    assert record(tmp_path / "out")["data"]["examples"] == 8


def test_output_of_another_training_is_refused(
    model: Path, pairs: Path, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "out"
    assert dpo.main(command(pairs, model, out)) == 0
    held = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert dpo.main(command(pairs, model, out, "--beta", "0.5")) == 5
    assert "settings.beta: 0.1 -> 0.5" in capsys.readouterr().err
    assert dpo.main(command(pairs, model, out, "--where", "similarity > 0.1")) == 5
    assert "data." in capsys.readouterr().err
    other = llama.write(tmp_path / "other", seed=1)
    assert dpo.main(command(pairs, other, out)) == 5
    assert "model." in capsys.readouterr().err
    assert dpo.main(command(pairs, model, out, "--save_steps", "3")) == 0, "no other training"
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == held


def test_folder_with_other_things_is_refused(
    model: Path, pairs: Path, tmp_path: Path, capsys: Any
) -> None:
    shutil.copytree(model, tmp_path / "out")
    before = weights(tmp_path / "out")
    assert dpo.main(command(pairs, model, tmp_path / "out")) == 2
    assert "nothing was overwritten" in capsys.readouterr().err
    assert weights(tmp_path / "out").keys() == before.keys() and same(model, tmp_path / "out")


def test_settings_from_a_file_and_held_out_data(
    model: Path, pairs: Path, tmp_path: Path, capsys: Any
) -> None:
    config, held_out = tmp_path / "dpo.yaml", tmp_path / "held_out.jsonl"
    config.write_text("beta: 0.3\nmax_steps: 4\n")
    tiny.write_jsonl(held_out, [tiny.pair(n) for n in range(90, 94)])
    line = ["--data", str(pairs), "--model_name_or_path", str(model), "--output_dir"]
    line += [str(tmp_path / "out"), "--config", str(config), "--eval_data", str(held_out)]
    assert dpo.main([*line, "--eval_strategy", "steps", "--eval_steps", "2"]) == 0
    assert record(tmp_path / "out")["settings"]["beta"] == 0.3
    assert len(curve(tmp_path / "out", "eval_rewards/margins")) == 2


@pytest.mark.slow
def test_two_processes(model: Path, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = ["--nproc_per_node", "2", "-m", "training.dpo", "--use_cpu"]
    process = start(*line, *command(pairs, model, out), job="torch.distributed.run")
    said, err = process.communicate(timeout=500)
    assert process.returncode == 0, said + err
    assert said.count("24 to train on") == 1, "only the first process speaks"
    assert record(out)["settings"]["processes"] == 2 and record(out)["done"]
    assert not same(model, out)


@pytest.mark.parametrize("size", ["8b", "70b"])
def test_launch_configurations_are_read_by_accelerate(size: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    import training

    path = Path(training.__file__).parent / "configs" / f"{size}.yaml"
    config = load_config_from_file(str(path))
    assert config.num_processes == {"8b": 8, "70b": 16}[size]
    assert config.mixed_precision == "bf16"


def test_a_run_is_trained_on(finished_run: Path, model: Path, tmp_path: Path, capsys: Any) -> None:
    condition = "similarity > 0.3 and chosen_value >= 0.8"
    short = ("--max_steps", "1")
    line = command(finished_run, model, tmp_path / "actor", "--where", condition, *short)
    assert dpo.main(line) == 0
    assert f"of them with {condition}" in capsys.readouterr().out
    line = command(finished_run, model, tmp_path / "refiner", "--max_length", "4096", *short)
    assert rft.main(line) == 0
    assert sft.main(command(finished_run, model, tmp_path / "sft", *short)) == 0


@pytest.mark.parametrize(
    ("more", "kinds"),
    [
        (["--method", "spar", "--variant", "main"], {("spar", "main"): 8}),
        (["--where", "variant = 'dfs'"], {("spar", "dfs"): 6}),
        (["--method=independent"], {("independent", "main"): 4}),
        (
            ["--method", "spar", "--variant", "main,dfs"],
            {("spar", "dfs"): 6, ("spar", "main"): 8},
        ),
    ],
)
def test_one_method_and_variant_or_those_that_are_named(
    more: list[str], kinds: dict[tuple[str, str], int], model: Path, tmp_path: Path, capsys: Any
) -> None:
    run, out = committed.mixed(tmp_path / "run"), tmp_path / "out"
    assert dpo.main(command(run, model, out, "--max_steps", "1", *more)) == 0
    data = record(out)["data"]
    assert {(k["method"], k["variant"]): k["rows"] for k in data["kinds"]} == kinds
    assert (data["rows"], data["selected"]) == (18, sum(kinds.values()))
    said = capsys.readouterr().out
    assert f"pairs: 18 in {run}, {sum(kinds.values())} of them " in said
    card = (out / "README.md").read_text()
    for (method, variant), rows in kinds.items():
        assert f"| `{method}` | `{variant}` | `{rows}` |" in card
        assert f"{rows} of {method} in {variant}" in card.partition("## Lineage")[2]
        assert len(kinds) == 1 or f"{rows} of {method} in {variant}" in said


@pytest.mark.parametrize(
    ("main", "more", "code", "said"),
    [
        (dpo.main, [], 2, "4 of independent in main, 6 of spar in dfs, 8 of spar in main; choose"),
        (dpo.main, ["--method", "spar"], 2, "of several variants: 6 of spar in dfs, 8 of spar"),
        (dpo.main, ["--variant", "bfs,main"], 2, "are of variant bfs: there are 4 of"),
        (dpo.main, ["--variant", "bfs"], 3, "are of variant bfs: there are 4 of"),
        (sft.main, ["--variant", "main"], 2, "of several methods: 4 of independent in main"),
        (rft.main, [], 2, "of several variants: 3 of spar in dfs, 5 of spar in main; choose"),
        (rft.main, ["--method", "independent"], 3, "are of method independent: there are 3 of"),
    ],
)
def test_a_run_of_several_kinds_is_not_mixed_silently(
    main: Main, more: list[str], code: int, said: str, model: Path, tmp_path: Path, capsys: Any
) -> None:
    run, out = committed.mixed(tmp_path / "run"), tmp_path / "out"
    assert main(command(run, model, out, *more)) == code
    err = capsys.readouterr().err
    assert err.startswith("error: ") and said in err and len(err.splitlines()) == 1
    assert not out.exists()


def test_a_training_goes_on_after_its_run_came_to_hold_another_variant(
    model: Path, tmp_path: Path, capsys: Any
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    committed.commit(run, "pairs", [committed.pair(n) for n in range(8)])
    line = command(run, model, out, "--max_steps", "4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingProgress, "on_log", press_after(2))
        assert dpo.main(line) == 4
    committed.commit(run, "pairs", [committed.pair(n, variant="dfs") for n in range(8)])
    assert dpo.main(line) == 2, "which one is meant is not guessed"
    assert dpo.main([*line, "--variant", "dfs"]) == 5
    assert "data.kinds" in capsys.readouterr().err
    assert dpo.main([*line, "--variant", "main"]) == 0
    assert "going on from" in capsys.readouterr().out


def test_the_lineage_names_methods_and_variants(model: Path, chats: Path, tmp_path: Path) -> None:
    run = committed.mixed(tmp_path / "run")
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    assert sft.main(command(chats, model, first, "--max_steps", "1")) == 0
    assert record(first)["data"]["kinds"] == []
    chosen = ["--method", "spar", "--variant", "dfs", "--max_steps", "1"]
    assert dpo.main(command(run, first, second, *chosen)) == 0
    chosen = ["--variant", "main", "--max_steps", "1"]
    assert rft.main(command(run, second, third, *chosen)) == 0
    lineage = (third / "README.md").read_text().partition("## Lineage")[2]
    sft_line, dpo_line, rft_line = lineage.strip().splitlines()[:3]
    assert " in " not in sft_line
    assert "`6 of spar in dfs`" in dpo_line and "`5 of spar in main`" in rft_line


def test_held_out_data_are_of_the_chosen_kind_too(
    model: Path, pairs: Path, tmp_path: Path, capsys: Any
) -> None:
    run = committed.mixed(tmp_path / "run")
    line = command(run, model, tmp_path / "out", "--max_steps", "1", "--eval_strategy", "steps")
    line += ["--eval_steps", "1", "--method", "spar", "--where", "variant = 'main'"]
    assert dpo.main([*line, "--eval_data", str(run)]) == 2
    assert "of several variants" in capsys.readouterr().err
    assert dpo.main([*line, "--eval_data", str(run), "--variant", "main"]) == 0
    assert "8 of them of method spar, variant main: 8 to" in capsys.readouterr().out
    line[line.index("--output") + 1] = str(tmp_path / "other")
    assert dpo.main([*line, "--eval_data", str(pairs)]) == 0
    assert "pairs: 24 in" in capsys.readouterr().out


def test_methods_and_variants_from_a_file(model: Path, tmp_path: Path) -> None:
    run, config = committed.mixed(tmp_path / "run"), tmp_path / "dpo.yaml"
    config.write_text("max_steps: 1\nmethod: spar\nvariant: [main, dfs]\n")
    line = ["--data", str(run), "--model", str(model), "--output", str(tmp_path / "out")]
    assert dpo.main([*line, "--config", str(config)]) == 0
    assert record(tmp_path / "out")["data"]["selected"] == 14
