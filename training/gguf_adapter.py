"""A LoRA adapter of PEFT as the GGUF file that llama.cpp applies to the model at load.

python -m training.gguf_adapter --adapter DIR --model DIR --output FILE

For models of the Llama architecture, with LoRA on attention and MLP.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terminal.console import Console
from terminal.exits import BAD_USAGE, DONE, STOPPED, complain
from terminal.packages import extra, not_imported

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"

MODULES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_WEIGHT = re.compile(r"base_model\.model\.model\.layers\.(\d+)\.(.+)\.lora_([AB])\.weight")
_UNLIKE = ("use_dora", "use_qalora", "rank_pattern", "alpha_pattern", "modules_to_save")
"""Of PEFT's configuration, what llama.cpp's adapters have no place for."""


class BadAdapter(Exception):
    """An adapter that llama.cpp could not apply, or one of another model."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What an adapter has to fit: layers, attention heads, and each module's inputs and outputs."""

    layers: int
    heads: Mapping[str, int]
    modules: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, model: Path) -> Shape:
        """The shape of the checkpoint in a folder."""
        config = _read(model / "config.json", "--model takes a checkpoint folder")
        if config.get("model_type") != "llama":
            kind = config.get("model_type")
            raise BadAdapter(f"{model} is a model of type {kind!r}: only a Llama will do")
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        heads = config["num_attention_heads"]
        key_heads = config.get("num_key_value_heads") or heads
        size = config.get("head_dim") or hidden // heads
        modules = {
            "attn_q": (hidden, heads * size),
            "attn_k": (hidden, key_heads * size),
            "attn_v": (hidden, key_heads * size),
            "attn_output": (heads * size, hidden),
            "ffn_gate": (hidden, inner),
            "ffn_up": (hidden, inner),
            "ffn_down": (inner, hidden),
        }
        return cls(config["num_hidden_layers"], {"attn_q": heads, "attn_k": key_heads}, modules)


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    err = Console(stderr=True, highlight=False)
    try:
        import gguf  # noqa: F401
        import safetensors.torch  # noqa: F401
    except ImportError as error:
        return complain(
            err, not_imported("training.gguf_adapter", error, extra("train")), BAD_USAGE
        )
    try:
        tensors = convert(options.adapter, options.model, options.output, options.type)
    except BadAdapter as error:
        return complain(err, str(error), BAD_USAGE)
    except OSError as error:
        return complain(err, f"cannot read or write: {error}", STOPPED)
    size = options.output.stat().st_size / 1e6
    out = Console(highlight=False)
    said = f"{options.output}: {tensors} tensors, {size:.1f} MB"
    out.print(said, markup=False, soft_wrap=True)
    return DONE


def convert(adapter: Path, model: Path, output: Path, kind: str = "f16") -> int:
    """Write the adapter of a model as GGUF, whole or not at all; returns its number of tensors.

    Raises:
        BadAdapter: it is none that llama.cpp could apply to that model.
    """
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    config = _read(adapter / CONFIG, "--adapter takes the folder of a LoRA adapter of PEFT")
    alpha = _alpha(config, adapter)
    shape = Shape.of(model)
    weights = _weights(adapter / WEIGHTS)
    scratch = output.with_name(f"{output.name}.tmp")
    writer = GGUFWriter(scratch, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    tensors = 0
    for name, weight in _tensors(weights, shape, adapter):
        fits = kind == "q8_0" and weight.shape[-1] % 32 == 0
        dtype = GGMLQuantizationType.Q8_0 if fits else GGMLQuantizationType.F16
        writer.add_tensor(name, quantize(weight, dtype), raw_dtype=dtype)
        tensors += 1
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(scratch, output)
    finally:
        scratch.unlink(missing_ok=True)
    return tensors


def _weights(file: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise BadAdapter(f"no {file.name} in {file.parent}: save the adapter as safetensors")
    try:
        return {name: weight.float().numpy() for name, weight in load_file(file).items()}
    except SafetensorError as error:
        raise BadAdapter(f"{file} holds no tensors: {error}") from None


def _alpha(config: Mapping[str, Any], adapter: Path) -> float:
    """What llama.cpp divides by the rank to scale an adapter."""
    if config.get("peft_type") != "LORA":
        raise BadAdapter(f"{adapter} is no LoRA adapter but {config.get('peft_type')}")
    if unlike := [name for name in _UNLIKE if config.get(name)]:
        raise BadAdapter(f"{adapter} has {', '.join(unlike)}: llama.cpp knows plain LoRA only")
    # Rank-stabilised LoRA scales by alpha over the root of the rank.
    more = math.sqrt(config["r"]) if config.get("use_rslora") else 1.0
    return float(config["lora_alpha"]) * more


def _tensors(weights: Mapping[str, Any], shape: Shape, adapter: Path) -> Iterator[tuple[str, Any]]:
    """The weights under their names in GGUF, layer by layer."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for name, weight in weights.items():
        match = _WEIGHT.fullmatch(name)
        module = MODULES.get(match[2]) if match else None
        if not match or not module:
            raise BadAdapter(
                f"{adapter} changes {name}: only LoRA on {', '.join(MODULES)} can be converted"
            )
        found.setdefault((int(match[1]), module), {})[match[3]] = weight
    if not found:
        raise BadAdapter(f"{adapter} holds no weights")
    for layer, module in sorted(found):
        pair = found[layer, module]
        inputs, outputs = shape.modules[module]
        rank = len(pair["A"]) if "A" in pair else 0
        shapes = {side: weight.shape for side, weight in pair.items()}
        if layer >= shape.layers or shapes != {"A": (rank, inputs), "B": (outputs, rank)}:
            raise BadAdapter(
                f"{adapter} does not fit the model, in {module} of layer {layer}: give the --model "
                "that it was trained on"
            )
        heads = shape.heads.get(module)
        yield f"blk.{layer}.{module}.weight.lora_a", pair["A"]
        yield f"blk.{layer}.{module}.weight.lora_b", permuted(pair["B"], heads)


def permuted(weight: Any, heads: int | None) -> Any:
    """Rows of a head's two halves in turns, as llama.cpp rotates them; None for no heads."""
    if heads is None:
        return weight
    rows = weight.reshape(heads, 2, len(weight) // heads // 2, -1).swapaxes(1, 2)
    return rows.reshape(weight.shape)


def _read(path: Path, remedy: str) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise BadAdapter(f"no {path.name} in {path.parent}: {remedy}") from None
    except ValueError as error:
        raise BadAdapter(f"{path} is no JSON: {error}") from None
    return config


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.gguf_adapter",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit codes: 0 done; 2 bad usage or input; 4 stopped, the disk refused.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--adapter",
        type=Path,
        required=True,
        metavar="DIR",
        help="PEFT's folder; a training with --use_peft writes it to OUTPUT/adapter",
    )
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="DIR",
        help="the checkpoint that it was trained on; only its config.json is read",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="the GGUF file; is replaced"
    )
    parser.add_argument(
        "--type",
        choices=("f16", "q8_0"),
        default="f16",
        help="of the weights; with q8_0 those whose rows are no multiple of 32 stay f16 "
        "(default: f16)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
