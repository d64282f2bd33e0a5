"""Trainings on the reasoning before an answer: on request alone, as the chat template takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from benchmarks import llama
from schemas.pairs import Message
from schemas.rft import RftSample
from tests import committed
from tests.training import tiny
from tests.training.test_job import command
from tests.training.test_loss import trainer_of
from training import dpo, rft, sft
from training.chat_template import prepared, reasoning_field
from training.data import DataError, select
from training.examples import every_turn, last_turn

SAYS = "{{ message['content'] }}"


def with_field(name: str) -> str:
    """A template that writes a field of a message in tags, as that of Qwen3 does."""
    return llama.TEMPLATE.replace(
        SAYS,
        f"{{% if message.{name} %}}{{{{ '<think>\\n' + message.{name} + '\\n</think>\\n\\n' }}}}"
        f"{{% endif %}}{SAYS}",
    )


DROPS = llama.TEMPLATE.replace(SAYS, "{{ message['content'].split('</think>')[-1] }}")
"""As that of R1: what stands in tags before an answer is left out."""

TEMPLATES = {
    "plain": llama.TEMPLATE,
    "field": with_field("reasoning_content"),
    "thinking": with_field("thinking"),
    "drops": DROPS,
}

USER, SAID = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
THOUGHT = SAID | {"reasoning_content": "hm"}
TAGGED = "<think>\nhm\n</think>\n\na"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models by their chat templates; for reading only."""
    folder = tmp_path_factory.mktemp("models")
    return {name: llama.write(folder / name, template=text) for name, text in TEMPLATES.items()}


def chats(*reasonings: str | None) -> list[dict[str, Any]]:
    return [tiny.chat(n) | {"reasoning": each} for n, each in enumerate(reasonings)]


def learnt(training: Any, model: Path, data: Path, **how: Any) -> list[str]:
    """The text of each example, as the trainer's tokenizer is given it."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    selection = select(str(data), training.table, training.columns, **how)
    examples = [each for row in selection.rows for each in training.examples(row)]
    made, _ = prepared(examples, tokenizer)
    chats = [each["prompt"] + each["completion"] for each in made]
    return [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]


@pytest.mark.parametrize(
    ("name", "field"),
    [("plain", None), ("field", "reasoning_content"), ("thinking", "thinking")],
)
def test_reasoning_stands_where_the_template_takes_it(
    name: str, field: str | None, models: dict[str, Path]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(models[name])
    assert reasoning_field(tokenizer) == field
    examples = [{"prompt": [USER], "completion": [one]} for one in (THOUGHT, SAID)]
    made, said = prepared(examples, tokenizer)
    assert (field or "<think> tags before the answer") in said
    texts = [
        tokenizer.apply_chat_template(each["prompt"] + each["completion"], tokenize=False)
        for each in made
    ]
    begin = "<|user|>q<|end|><|assistant|>"
    assert texts == [f"{begin}{TAGGED}<|end|>", f"{begin}a<|end|>"]
    assert made[0]["completion"][0].keys() == made[1]["completion"][0].keys()


def test_a_template_that_leaves_reasoning_out_is_refused(
    models: dict[str, Path], tmp_path: Path, capsys: Any
) -> None:
    with pytest.raises(DataError, match="--chat_template_path"):
        reasoning_field(AutoTokenizer.from_pretrained(models["drops"]))
    data = tiny.write_jsonl(tmp_path / "data.jsonl", chats("hm"))
    assert rft.main(command(data, models["drops"], tmp_path / "out", "--with_reasoning")) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "leaves out the reasoning" in line
    better = tmp_path / "better.jinja"
    better.write_text(TEMPLATES["field"])
    more = ("--with_reasoning", "--max_steps", "1", "--chat_template_path", str(better))
    assert rft.main(command(data, models["drops"], tmp_path / "out", *more)) == 0


@pytest.mark.parametrize("training", [rft.RFT, sft.SFT, *sft.TASKS.values()])
def test_by_default_reasoning_is_no_part_of_an_example(
    training: Any, models: dict[str, Path], tmp_path: Path
) -> None:
    held = tiny.write_jsonl(tmp_path / "held.jsonl", chats("secret thought", None))
    without = tiny.write_jsonl(tmp_path / "without.jsonl", [tiny.chat(0), tiny.chat(1)])
    for model in (models["plain"], models["field"]):
        texts = learnt(training, model, held)
        assert texts == learnt(training, model, without)
        asked = learnt(training, model, held, reasoning=training.reasoning)
        assert "secret" not in repr(texts) and "secret thought" in repr(asked)
    rows = select(str(held), training.table, training.columns).rows
    assert rows == select(str(without), training.table, training.columns).rows


def test_reasoning_stands_before_the_last_turn_alone() -> None:
    row = {"messages": [USER, SAID, USER, SAID], "reasoning": "hm"}
    assert [example["completion"] for example in last_turn(row)] == [[THOUGHT]]
    assert [example["completion"] for example in every_turn(row)] == [[SAID], [THOUGHT]]
    assert [example["completion"] for example in every_turn({"messages": [USER, SAID]})] == [[SAID]]
    unanswered = {"messages": [USER, SAID, USER], "reasoning": "hm"}
    assert [example["completion"] for example in every_turn(unanswered)] == [[SAID]]
    answer = {"prompt": "q", "chosen": "a", "reasoning": "hm"}
    assert [example["completion"] for example in every_turn(answer)] == [[THOUGHT]]


def test_an_rft_training_on_reasoning_says_so_and_binds(
    models: dict[str, Path], tmp_path: Path, capsys: Any
) -> None:
    samples = [
        RftSample(
            rft_id=f"s{n}",
            messages=[Message(**turn) for turn in tiny.chat(n)["messages"]],
            task="refine",
            label=None,
            source="tree_refinement",
            value=1.0,
            prompt_id="p",
            tree_id="t",
            node_id="n",
            response_id=None,
            reasoning=" hm\n" if n else None,
        )
        for n in range(3)
    ]
    run = committed.commit(tmp_path / "run", "rft", samples)
    line = command(run, models["field"], tmp_path / "out", "--max_steps", "1")
    assert rft.main([*line, "--with_reasoning"]) == 0
    said = capsys.readouterr().out
    assert "samples: 3 in" in said and "2 of them with reasoning" in said
    assert "`reasoning_content`" in said
    record = json.loads((tmp_path / "out" / "training.json").read_bytes())
    assert record["data"]["with_reasoning"] is True
    assert rft.main(line) == 5
    assert "data.fingerprint" in capsys.readouterr().err
    other = command(run, models["field"], tmp_path / "other", "--max_steps", "1")
    assert rft.main(other) == 0
    assert "reasoning" not in capsys.readouterr().out
    record = json.loads((tmp_path / "other" / "training.json").read_bytes())
    assert "with_reasoning" not in record["data"]


@pytest.mark.parametrize("name", ["plain", "field"])
def test_the_loss_covers_reasoning_and_answer_where_it_is_asked_for(
    name: str, models: dict[str, Path], tmp_path: Path
) -> None:
    model, data = models[name], tiny.write_jsonl(tmp_path / "data.jsonl", chats("hm", None))
    tokenizer = AutoTokenizer.from_pretrained(model)

    def learnt_of(reasoning: tuple[str, ...]) -> list[str]:
        trainer = trainer_of(rft.RFT, data, model, tmp_path / "out", reasoning)
        batch = next(iter(trainer.get_train_dataloader()))
        rows = zip(batch["input_ids"], batch["labels"], strict=True)
        found = [ids[labels != -100] for ids, labels in rows]
        return sorted(tokenizer.decode(ids) for ids in found)

    thought = "<think>\nhm\n</think>\n\nbetter 0<|end|>"
    assert learnt_of(("reasoning",)) == sorted([thought, "better 1<|end|>"])
    assert learnt_of(()) == ["better 0<|end|>", "better 1<|end|>"]


def test_sft_takes_what_was_thought_before_the_chosen_side(
    models: dict[str, Path], tmp_path: Path
) -> None:
    rows = [tiny.pair(n, chosen_reasoning="count it" if n else None) for n in range(2)]
    data = tiny.write_jsonl(tmp_path / "pairs.jsonl", rows)
    texts = learnt(sft.SFT, models["field"], data, reasoning=sft.SFT.reasoning)
    assert ["count it" in text for text in texts] == [False, True]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([tiny.chat(0)], "needs a column `reasoning`"),
        (chats(None, " \n"), "none of the 2 rows"),
    ],
)
def test_without_reasoning_there_is_nothing_to_train_it_on(
    rows: list[dict[str, Any]], reason: str, models: dict[str, Path], tmp_path: Path, capsys: Any
) -> None:
    data = tiny.write_jsonl(tmp_path / "data.jsonl", rows)
    line = command(data, models["field"], tmp_path / "out", "--with_reasoning")
    assert rft.main(line) == 2
    [said] = capsys.readouterr().err.splitlines()
    assert reason in said and "leave the option out" in said


def test_pairs_are_trained_on_without_reasoning(
    models: dict[str, Path], tmp_path: Path, capsys: Any
) -> None:
    rows = [tiny.pair(n, chosen_reasoning="count it") for n in range(2)]
    data = tiny.write_jsonl(tmp_path / "pairs.jsonl", rows)
    line = command(data, models["field"], tmp_path / "out")
    assert dpo.main([*line, "--with_reasoning"]) == 2
    assert "no option --with_reasoning" in capsys.readouterr().err
    [row, _] = select(str(data), "pairs", dpo.DPO.columns).rows
    assert row.keys() == {"prompt", "chosen", "rejected"}
