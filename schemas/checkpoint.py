"""A checkpoint's content in a few letters, so that two of the same name are told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

RECORD = "training.json"
"""What a training says of itself, in a file beside the model that it made."""


def content(path: Path) -> str:
    """A fingerprint of a model's file, or of a folder's weights and configuration.

    Of each file its size, first and last megabyte: 100 GB are told apart in no time.
    """
    return _digest(
        [*sorted(path.glob("*.safetensors")), path / "config.json"] if path.is_dir() else [path]
    )


def is_of_chat(name: str) -> bool:
    """Whether a checkpoint's file of this name says how chats become tokens, and where they end."""
    return name.startswith(("chat_template", "tokenizer", "special_tokens", "generation_config"))


def chat_content(folder: Path) -> str:
    """A fingerprint of a checkpoint's tokenizer, chat template and generation settings."""
    return _digest([file for file in sorted(folder.iterdir()) if is_of_chat(file.name)])


def all_content(path: Path) -> str:
    """A fingerprint of a file, or of all files that lie in a folder."""
    return _digest(sorted(path.iterdir()) if path.is_dir() else [path])


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(_sketch(file))
    return digest.hexdigest()[:16]


def _sketch(file: Path) -> bytes:
    size = file.stat().st_size
    with file.open("rb") as opened:
        head = opened.read(1 << 20)
        opened.seek(max(0, size - (1 << 20)))
        return b"%d" % size + head + opened.read()
