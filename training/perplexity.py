"""Perplexity of plain text under a checkpoint: whether a training has harmed the language.

python -m training.perplexity --model DIR --output FILE

The text is English that every Python brings along, its language reference (`pydoc_data.topics`):
the first tokens of each topic, without any chat template. The output is a JSON object with
`perplexity`, exp of the mean negative log-likelihood of a token, and `tokens`.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from terminal.console import Console
from terminal.exits import BAD_USAGE, DONE, STOPPED, complain
from terminal.json_text import dumps
from terminal.packages import extra, not_imported

TOKENS = 128
"""Of each text, at most."""


def texts() -> list[str]:
    """The topics of Python's language reference."""
    from pydoc_data.topics import topics

    return [topics[name] for name in sorted(topics)]


def perplexity(model: Path, some: Sequence[str]) -> tuple[float, int]:
    """The perplexity of some texts, and the number of tokens that were predicted.

    Raises:
        OSError, ValueError: the folder holds no model.
    """
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(model))
    loaded = transformers.AutoModelForCausalLM.from_pretrained(str(model), dtype=torch.float32)
    loaded.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    total, count = 0.0, 0
    with torch.inference_mode():
        for text in some:
            ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=TOKENS).input_ids
            predicted = ids.shape[1] - 1
            if predicted > 0:
                ids = ids.to(loaded.device)
                total += float(loaded(ids, labels=ids).loss) * predicted
                count += predicted
    if not count:
        raise ValueError("no text is longer than a token")
    return math.exp(total / count), count


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.perplexity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit codes: 0 done; 2 bad usage or input; 4 stopped, the disk refused.",
        allow_abbrev=False,
    )
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the checkpoint")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="the JSON file; is replaced"
    )
    options = parser.parse_args(argv)
    err = Console(stderr=True, highlight=False, soft_wrap=True)
    if not (options.model / "config.json").is_file():
        return complain(err, f"no checkpoint in {options.model}: it has no config.json", BAD_USAGE)
    try:
        value, tokens = perplexity(options.model, texts())
    except ImportError as error:
        return complain(err, not_imported("training.perplexity", error, extra("train")), BAD_USAGE)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        return complain(err, f"cannot read {options.model}: {reason}", BAD_USAGE)
    try:
        scratch = options.output.with_name(f"{options.output.name}.tmp")
        scratch.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(dumps({"perplexity": value, "tokens": tokens}))
        os.replace(scratch, options.output)
    except OSError as error:
        return complain(err, f"cannot write {options.output}: {error}", STOPPED)
    said = f"perplexity {value:.3f} on {tokens:,} tokens"
    Console(highlight=False, soft_wrap=True).print(said, markup=False)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
