"""A GGUF model of the Llama architecture as the checkpoint folder that trainings and vLLM read.

python -m training.gguf_checkpoint --model FILE --output DIR
"""

from __future__ import annotations

import argparse
import os
import shutil
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

from terminal.console import Console
from terminal.exits import BAD_USAGE, DONE, complain
from terminal.packages import extra, not_imported


def convert(model: Path, output: Path) -> None:
    """Write the model, its weights dequantized to bfloat16, and its tokenizer, whole or not at all.

    Raises:
        OSError, ValueError: the file is no such model, or the folder cannot be written to.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")  # transformers' own bar has no other switch
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    folder = str(model.parent)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=model.name)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=model.name,
        quantization_config=transformers.GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    scratch = output.with_name(f"{output.name}.{os.getpid()}.tmp")
    try:
        loaded.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        os.replace(scratch, output)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.gguf_checkpoint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit codes: 0 done; 2 bad usage or input.",
        allow_abbrev=False,
    )
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="the GGUF file")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="a new folder for the checkpoint"
    )
    options = parser.parse_args(argv)
    err = Console(stderr=True, highlight=False, soft_wrap=True)
    if not options.model.is_file():
        return complain(err, f"no model file at {options.model}", BAD_USAGE)
    if options.output.is_file() or (options.output.is_dir() and any(options.output.iterdir())):
        return complain(err, f"{options.output} is not empty: give a new folder", BAD_USAGE)
    try:
        convert(options.model, options.output)
    except ImportError as error:
        return complain(
            err, not_imported("training.gguf_checkpoint", error, extra("train")), BAD_USAGE
        )
    except (OSError, ValueError, KeyError, struct.error) as error:
        reason = " ".join(str(error).split())[:300]
        return complain(err, f"cannot convert {options.model}: {reason}", BAD_USAGE)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
