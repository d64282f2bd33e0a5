"""A checkpoint of the Llama architecture as the GGUF model that llama.cpp serves.

python -m training.checkpoint_gguf --model DIR --like FILE --output FILE

Tokenizer, chat template and all other metadata are those of --like, the GGUF file of the model that
the checkpoint was trained from. The weights are the checkpoint's: matrices as Q8_0, vectors as F32.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from terminal.console import Console
from terminal.exits import BAD_USAGE, DONE, STOPPED, complain
from terminal.packages import extra, not_imported
from training.gguf_adapter import MODULES, BadAdapter, Shape, permuted

_OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_NORMS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.weight")
_MOSTLY_Q8_0 = 7


class BadModel(Exception):
    """A checkpoint that cannot be converted, or a GGUF file of another model."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    err = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        import gguf  # noqa: F401
        import safetensors.torch  # noqa: F401
    except ImportError as error:
        return complain(
            err, not_imported("training.checkpoint_gguf", error, extra("train")), BAD_USAGE
        )
    try:
        tensors = convert(options.model, options.like, options.output)
    except (BadModel, BadAdapter) as error:
        return complain(err, str(error), BAD_USAGE)
    except OSError as error:
        return complain(err, f"cannot read or write: {error}", STOPPED)
    size = options.output.stat().st_size / 1e6
    said = f"{options.output}: {tensors} tensors, {size:.1f} MB"
    Console(highlight=False, soft_wrap=True).print(said, markup=False)
    return DONE


def convert(model: Path, like: Path, output: Path) -> int:
    """Write a checkpoint as GGUF, whole or not at all.

    Args:
        like: the GGUF file of the same model, whose metadata is taken over.

    Returns:
        The number of tensors.

    Raises:
        BadModel, BadAdapter: the folder holds no Llama, or one that the GGUF file is not of.
    """
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    reader = _reader(like)
    shapes = {tensor.name: tuple(map(int, tensor.shape[::-1])) for tensor in reader.tensors}
    weights = dict(_named(_weights(model), Shape.of(model), model))
    if "output.weight" not in shapes:  # the embeddings are used for both
        weights.pop("output.weight", None)
    if found := {name for name, weight in weights.items() if shapes.get(name) != weight.shape}:
        raise BadModel(f"{like} is not of the model in {model}: {min(found)} is of another shape")
    if missing := shapes.keys() - weights.keys():
        raise BadModel(f"{model} lacks {min(missing)}, which {like} has")
    output.parent.mkdir(parents=True, exist_ok=True)
    scratch = output.with_name(f"{output.name}.{os.getpid()}.tmp")
    writer = GGUFWriter(scratch, "llama")
    _take_over(reader, writer)
    writer.add_file_type(_MOSTLY_Q8_0)
    for name in shapes:
        fits = weights[name].ndim > 1 and weights[name].shape[-1] % 32 == 0
        kind = GGMLQuantizationType.Q8_0 if fits else GGMLQuantizationType.F32
        writer.add_tensor(name, quantize(weights[name], kind), raw_dtype=kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(scratch, output)
    finally:
        scratch.unlink(missing_ok=True)
    return len(shapes)


def _reader(like: Path) -> Any:
    from gguf import GGUFReader

    if not like.is_file():
        raise BadModel(f"no GGUF file at {like}")
    try:
        reader = GGUFReader(like)
    except (ValueError, IndexError) as error:
        raise BadModel(f"{like} is no GGUF file: {error}") from None
    architecture = reader.fields.get("general.architecture")
    if architecture is None or architecture.contents() != "llama":
        raise BadModel(f"{like} is no GGUF file of the Llama architecture")
    return reader


def _take_over(reader: Any, writer: Any) -> None:
    """Copy the metadata, but for what the writer sets itself."""
    from gguf import GGUFValueType

    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        of = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=of)


def _weights(model: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    files = sorted(model.glob("*.safetensors"))
    if not files:
        raise BadModel(f"no *.safetensors in {model}: --model takes a checkpoint folder")
    try:
        return {
            name: weight.float().numpy()
            for file in files
            for name, weight in load_file(file).items()
        }
    except SafetensorError as error:
        raise BadModel(f"{model} holds a file without tensors: {error}") from None


def _named(weights: Mapping[str, Any], shape: Shape, model: Path) -> Iterator[tuple[str, Any]]:
    """The weights under their names in GGUF."""
    for name, weight in weights.items():
        if name in _OUTSIDE:
            yield _OUTSIDE[name], weight
            continue
        match = _LAYER.fullmatch(name)
        part = match[2] if match else ""
        module = MODULES.get(part) or _NORMS.get(part)
        if not match or not module:
            raise BadModel(f"{model} has {name}, which no plain Llama has")
        yield f"blk.{match[1]}.{module}.weight", permuted(weight, shape.heads.get(module))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.checkpoint_gguf",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit codes: 0 done; 2 bad usage or input; 4 stopped, the disk refused.",
        allow_abbrev=False,
    )
    for name, metavar, what in (
        ("model", "DIR", "the checkpoint's folder"),
        ("like", "FILE", "the GGUF file of the model that it was trained from"),
        ("output", "FILE", "the GGUF file; is replaced"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar=metavar, help=what)
    return parser


if __name__ == "__main__":
    sys.exit(main())
