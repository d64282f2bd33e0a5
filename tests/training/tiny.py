"""A tiny random Llama with a chat template, and data to train it on, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")


def write_model(folder: Path, *, template: str | None = TEMPLATE, seed: int = 0) -> Path:
    """A Llama of 40,000 random weights whose tokens are bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|end|>", "<|pad|>", *ROLES]
    vocabulary = {token: i for i, token in enumerate([*special, *alphabet])}
    tokens = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=list(ROLES),
    )
    tokenizer.chat_template = template
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        eos_token_id=0,
        pad_token_id=1,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def pair(number: int, **more: Any) -> dict[str, Any]:
    """A pair whose sides differ in one word."""
    said = f"the number {number} is"
    return {
        "pair_id": f"p{number:03}",
        "prompt": [{"role": "user", "content": f"Is {number} even?"}],
        "chosen": [
            {"role": "assistant", "content": f"{said} {'even' if number % 2 == 0 else 'odd'}"}
        ],
        "rejected": [{"role": "assistant", "content": f"{said} blue"}],
        "similarity": number / 100,
        **more,
    }


def chat(number: int) -> dict[str, Any]:
    """A refiner's chat of four turns, as the table `rft` holds it."""
    turns = [f"judge {number}", f"no, because {number}", f"refine {number}", f"better {number}"]
    roles = ["user", "assistant"] * 2
    messages = [{"role": r, "content": c} for r, c in zip(roles, turns, strict=True)]
    return {"rft_id": f"r{number:03}", "messages": messages, "task": "refine"}


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
