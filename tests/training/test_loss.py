"""What is optimised, computed again apart from TRL."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import log_softmax, logsigmoid
from transformers import AutoModelForCausalLM, AutoTokenizer

from terminal.console import Console
from training import job
from training.data import select
from training.dpo import DPO
from training.options import parse
from training.rft import RFT


def trainer_of(
    training: job.Training, data: Path, model: Path, output: Path, reasoning: Sequence[str] = ()
) -> Any:
    """The trainer as the job makes it."""
    import trl

    argv = ["--data", str(data), "--model", str(model), "--output", str(output), "--use_cpu"]
    defaults = training.defaults | {"bf16": False, "gradient_checkpointing": False}
    arguments, config, options = parse("x", "", getattr(trl, training.config), defaults, argv)
    selection = select(arguments.data, training.table, training.columns, reasoning=reasoning)
    tokenizer = AutoTokenizer.from_pretrained(model)
    examples = job._examples(training, selection, tokenizer, 2048, "true", Console(quiet=True))
    return job._trainer(training, config, options, tokenizer, examples, None)


def log_probabilities(model: Any, tokenizer: Any, prompt: Any, answer: Any) -> torch.Tensor:
    """Of each token of the answer."""

    def ids(chat: Any, **more: Any) -> list[int]:
        return list(tokenizer.apply_chat_template(chat, return_dict=True, **more)["input_ids"])

    before = ids(prompt, add_generation_prompt=True)
    whole = ids(prompt + answer)
    assert whole[: len(before)] == before
    with torch.no_grad():
        logits = model(torch.tensor([whole])).logits[0]
    picked = log_softmax(logits.double(), -1)[range(len(whole) - 1), whole[1:]]
    return picked[len(before) - 1 :]


def test_dpo_loss_is_the_papers_formula(model: Path, pairs: Path, tmp_path: Path) -> None:
    trainer = trainer_of(DPO, pairs, model, tmp_path / "out")
    reference = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    policy = copy.deepcopy(reference)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    trainer.model.load_state_dict(policy.state_dict())
    rows = [trainer.train_dataset[i] for i in range(4)]
    with torch.no_grad():
        loss = trainer.compute_loss(trainer.model, trainer.data_collator(rows)).item()

    tokenizer = AutoTokenizer.from_pretrained(model)
    preferred, chosen_tokens = [], []
    for row in rows:
        ratios = {}
        for side in ("chosen", "rejected"):
            ours = log_probabilities(policy, tokenizer, row["prompt"], row[side])
            theirs = log_probabilities(reference, tokenizer, row["prompt"], row[side])
            ratios[side] = (ours - theirs).sum()
            if side == "chosen":
                chosen_tokens.append(ours)
        preferred.append(-logsigmoid(0.1 * (ratios["chosen"] - ratios["rejected"])))
    expected = torch.stack(preferred).mean() - 0.1 * torch.cat(chosen_tokens).mean()
    assert all(abs(one - 0.6931) > 0.01 for one in preferred), "the policy is not the reference"
    assert abs(loss - expected.item()) < 1e-4


def test_rft_loss_covers_the_last_turn_and_nothing_else(
    model: Path, chats: Path, tmp_path: Path
) -> None:
    trainer = trainer_of(RFT, chats, model, tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(model)
    loader = trainer.get_train_dataloader()
    seen = 0
    for batch in loader:
        for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
            learnt = labels != -100
            number = tokenizer.decode(ids[learnt]).removeprefix("better ").removesuffix("<|end|>")
            text = tokenizer.decode(ids[~learnt & (ids != tokenizer.pad_token_id)])
            assert text == (
                f"<|user|>judge {number}<|end|><|assistant|>no, because {number}<|end|>"
                f"<|user|>refine {number}<|end|><|assistant|>"
            )
            assert torch.equal(labels[learnt], ids[learnt])
            seen += 1
    assert seen == 24

    row = trainer.train_dataset[0]
    plain = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    chat = row["prompt"] + row["completion"]
    expected = -log_probabilities(plain, tokenizer, chat[:-1], chat[-1:]).mean()
    with torch.no_grad():
        loss = trainer.compute_loss(trainer.model, trainer.data_collator([row])).item()
    assert abs(loss - expected.item()) < 1e-4
