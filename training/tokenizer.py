"""The tokenizer of the model that a training starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from terminal.exits import UsageError


def load_tokenizer(model: str, config: Any) -> Any:
    """Return the tokenizer of a model, with the chat template that a training asks for.

    Args:
        model: a folder, or a name on the Hub.
        config: TRL's configuration of the training.

    Raises:
        UsageError: there is no such model, or it has no chat template.
    """
    from transformers import AutoTokenizer

    if model.startswith(("/", ".", "~")) and not Path(model).is_dir():
        raise UsageError(f"no model folder at {model}")
    remote = {"trust_remote_code": config.trust_remote_code}
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, **remote)
        template = getattr(config, "chat_template_path", None)
        if template and Path(template).is_file():
            tokenizer.chat_template = Path(template).read_text()
        elif template:
            other = AutoTokenizer.from_pretrained(template, **remote)
            tokenizer.chat_template = other.chat_template
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot load {model}: {str(error).splitlines()[0]}") from None
    if not tokenizer.chat_template:
        raise UsageError(
            f"{model} has no chat template, so it is no model to chat with: start from its "
            "instruction-tuned version, or give training.sft --chat_template_path FILE.jinja"
        )
    return tokenizer
