"""A small Llama of our own, trained from scratch to do a task imperfectly."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    set_seed,
)
from trl import SFTConfig, SFTTrainer

_PAD, _UNKNOWN, _END, _USER, _ASSISTANT = "<pad>", "<unknown>", "<end>", "<user>", "<assistant>"
_SPECIAL = (_PAD, _UNKNOWN, _END, _USER, _ASSISTANT)
_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<' + message.role + '>' + message.content + '<end>' }}"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of the model and of its training."""

    steps: int
    layers: int = 2
    width: int = 64
    heads: int = 4
    batch: int = 64
    learning_rate: float = 3e-3


def train(
    folder: Path, answers: Sequence[tuple[str, str]], pieces: str, shape: Shape, seed: int
) -> None:
    """Train on (prompt, answer) and save model and tokenizer in `folder`."""
    set_seed(seed)
    tokenizer = make_tokenizer([text for answer in answers for text in answer], pieces)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.width,
            intermediate_size=3 * shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    rows = [
        {
            "prompt": [{"role": "user", "content": prompt}],
            "completion": [{"role": "assistant", "content": answer}],
        }
        for prompt, answer in answers
    ]
    with tempfile.TemporaryDirectory() as scratch:
        trainer = SFTTrainer(
            model=model,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list(rows),
            args=SFTConfig(
                output_dir=scratch,
                max_steps=shape.steps,
                per_device_train_batch_size=shape.batch,
                learning_rate=shape.learning_rate,
                lr_scheduler_type="cosine",
                warmup_steps=0.05,
                seed=seed,
                bf16=False,
                gradient_checkpointing=False,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_tokenizer(texts: Sequence[str], pieces: str) -> PreTrainedTokenizerFast:
    """A token for each piece of the texts; `pieces` is the regular expression that cuts them."""
    cut = pre_tokenizers.Split(Regex(pieces), behavior="isolated")
    known = {piece for text in texts for piece, _ in cut.pre_tokenize_str(text)}
    vocabulary = {token: i for i, token in enumerate((*_SPECIAL, *sorted(known)))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = cut
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        unk_token=_UNKNOWN,
        eos_token=_END,
        additional_special_tokens=[_USER, _ASSISTANT],
        chat_template=_CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
