"""Trainings with chat templates that refuse a system message, or open thinking to generate only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from benchmarks import llama
from tests.training import tiny
from tests.training.test_job import command
from tests.training.test_loss import trainer_of
from training import dpo, rft, sft
from training.chat_template import lengths_of, opened_for_generation, prepared, takes_system
from training.data import DataError

REFUSES = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + llama.TEMPLATE
)
ALTERNATES = (
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% endfor %}"
    + llama.TEMPLATE
)
SILENT = llama.TEMPLATE.replace("in messages", "in messages if message['role'] != 'system'")
THINKS = llama.TEMPLATE.replace(
    "<|assistant|>{% endif %}", "<|assistant|>{{ '<think>\\n' }}{% endif %}"
)

SYSTEM = {"role": "system", "content": "Be brief."}
USER, SAID = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
FOLDED = {"role": "user", "content": "Be brief.\n\nq"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models by their chat templates; for reading only."""
    templates = {
        "plain": llama.TEMPLATE,
        "refuses": REFUSES,
        "alternates": ALTERNATES,
        "silent": SILENT,
        "thinks": THINKS,
    }
    folder = tmp_path_factory.mktemp("models")
    return {name: llama.write(folder / name, template=text) for name, text in templates.items()}


def tokenizer(models: dict[str, Path], name: str) -> Any:
    return AutoTokenizer.from_pretrained(models[name])


@pytest.mark.parametrize("name", ["refuses", "alternates", "silent"])
def test_a_system_message_that_a_template_does_not_take_is_folded(
    models: dict[str, Path], name: str
) -> None:
    assert not takes_system(tokenizer(models, name))
    examples = [{"prompt": [SYSTEM, USER], "completion": [SAID]}, {"prompt": [USER]}]
    made, said = prepared(examples, tokenizer(models, name))
    assert made == [{"prompt": [FOLDED], "completion": [SAID]}, {"prompt": [USER]}]
    assert said == (
        "; the chat template takes no system message: 1 stand at the head of the first turn of the "
        "user"
    )
    assert prepared(examples[1:], tokenizer(models, name)) == (examples[1:], "")


def test_a_system_message_that_a_template_takes_stays(models: dict[str, Path]) -> None:
    examples = [{"prompt": [SYSTEM, USER], "completion": [SAID]}]
    assert prepared(examples, tokenizer(models, "plain")) == (examples, "")


def rows(system: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Pairs and samples, all with a system message or none."""
    begin = [SYSTEM] if system else []
    pairs = [tiny.pair(n) for n in range(4)]
    for pair in pairs:
        pair["prompt"] = begin + pair["prompt"]
    chats = [tiny.chat(n) for n in range(4)]
    for chat in chats:
        chat["messages"] = begin + chat["messages"]
    return pairs, chats


@pytest.mark.parametrize(
    ("main", "number"), [(dpo.main, 0), (rft.main, 1), (sft.main, 1)], ids=["dpo", "rft", "sft"]
)
def test_every_training_goes_through_and_says_so(
    main: Any, number: int, models: dict[str, Path], tmp_path: Path, capsys: Any
) -> None:
    data = tiny.write_jsonl(tmp_path / "data.jsonl", rows(True)[number])
    assert main(command(data, models["refuses"], tmp_path / "out", "--max_steps", "1")) == 0
    assert "the chat template takes no system message" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "training.json").read_bytes())["done"]


def test_a_chat_that_a_template_refuses_is_one_line(
    models: dict[str, Path], tmp_path: Path, capsys: Any
) -> None:
    data = tiny.write_jsonl(tmp_path / "data.jsonl", [{"messages": [USER, USER, SAID]}])
    line = command(data, models["alternates"], tmp_path / "out", "--max_steps", "1")
    assert rft.main(line) == 2
    said = capsys.readouterr().err
    assert "refuses a chat (Conversation roles must alternate)" in said
    assert len(said.splitlines()) == 1
    with pytest.raises(DataError, match="'content': 'second'"):
        second = {"role": "user", "content": "second"}
        examples = [
            {"prompt": [USER], "completion": [SAID]},
            {"prompt": [second], "completion": [second]},
        ]
        lengths_of(examples, tokenizer(models, "alternates"))


def learnt(training: Any, data: Path, model: Path, output: Path) -> list[dict[str, Any]]:
    """The tokens of each example, and which of them are learnt."""
    trainer = trainer_of(training, data, model, output)
    columns = {"input_ids", "completion_mask", "labels", "prompt_ids", "chosen_ids", "rejected_ids"}
    return [{k: v for k, v in row.items() if k in columns} for row in trainer.train_dataset]


@pytest.mark.parametrize("system", [False, True])
@pytest.mark.parametrize(
    ("training", "number"),
    [(dpo.DPO, 0), (rft.RFT, 1), (sft.SFT, 1)],
    ids=["dpo", "rft", "sft"],
)
def test_thinking_that_is_opened_for_generation_alone_changes_no_token(
    training: Any, number: int, system: bool, models: dict[str, Path], tmp_path: Path
) -> None:
    data = tiny.write_jsonl(tmp_path / "data.jsonl", rows(system)[number])
    plain = learnt(training, data, models["plain"], tmp_path / "plain")
    assert plain and all(set(row) - {"input_ids"} for row in plain)
    assert learnt(training, data, models["thinks"], tmp_path / "thinks") == plain


def test_what_is_opened_for_generation_alone_is_said(models: dict[str, Path]) -> None:
    assert opened_for_generation(tokenizer(models, "thinks")) == "<think>\n"
    assert opened_for_generation(tokenizer(models, "plain")) == ""
    _, said = prepared([{"prompt": [USER], "completion": [SAID]}], tokenizer(models, "thinks"))
    assert said == (
        "; the chat template opens '<think>\\n' for generation alone: answers are learnt without"
    )
