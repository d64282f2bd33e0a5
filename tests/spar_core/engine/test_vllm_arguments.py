"""Arguments of vLLM that change answers bind a run; those that only change its speed do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from spar_core.engine.vllm_arguments import binding


@pytest.mark.parametrize(
    "arguments",
    [
        "--tensor-parallel-size 8",
        "-tp 8 -pp=2 --data-parallel-size=4 --enable-expert-parallel",
        "--gpu-memory-utilization 0.8 --swap_space 16 --kv-cache-memory-bytes 9G",
        "--max-num-seqs 64 --max_num_batched_tokens=8192 --no-enable-chunked-prefill",
        "--max-model-len 8192 --enforce-eager --no-enable-prefix-caching --seed 3",
        "--port 9 --host 0.0.0.0 --served-model-name a b",
        "--disable-log-stats --uvicorn-log-level warning --enable-log-requests",
        "-O3 --compilation-config.level 3 -cc '{\"level\": 3}'",
        "",
    ],
)
def test_what_changes_no_answer_does_not_bind(arguments: str) -> None:
    assert binding(arguments) == ""


@pytest.mark.parametrize(
    "arguments",
    [
        "--quantization fp8",
        "--dtype half",
        "--kv-cache-dtype fp8",
        "--rope-scaling '{\"factor\": 2.0}'",
        "--hf-overrides.rope_scaling.factor 4",
        "--chat-template 'of its own'",
        "--default-chat-template-kwargs '{\"enable_thinking\": false}'",
        "--reasoning-parser qwen3",
        "--enable-lora --lora-modules a=b",
        "--generation-config auto",
        "--override-generation-config '{\"top_k\": 20}'",
        "--revision abc",
        "--tokenizer other",
        "--an-argument-of-next-year 1",
    ],
)
def test_what_changes_answers_binds_beside_what_does_not(arguments: str) -> None:
    bound = binding(arguments)
    assert bound and binding(f"-tp 8 {arguments} --port 9") == bound


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("--quantization fp8", "--quantization=fp8"),
        ("-q fp8", "--quantization fp8"),
        ("--kv_cache_dtype fp8", "--kv-cache-dtype fp8"),
        ("--dtype half --quantization fp8", "--quantization fp8 --dtype half"),
        ('--hf-overrides \'{"a":1,"b":2}\'', '--hf-overrides \'{"b": 2, "a": 1}\''),
    ],
)
def test_order_and_spelling_mean_nothing(one: str, same: str) -> None:
    assert binding(one) == binding(same) != ""


def test_negative_numbers_are_values() -> None:
    assert binding("--x -1 --port 9") == "--x -1"


def test_keys_are_never_told() -> None:
    assert "secret" not in binding("--api-key secret1 --hf-token=secret2 --dtype half")


def test_a_file_binds_by_its_content_wherever_it_lies(tmp_path: Path) -> None:
    bound = []
    for folder, text in (("a", "{{ x }}"), ("b", "{{ x }}"), ("c", "{{ y }}")):
        file = tmp_path / folder / "chat.jinja"
        file.parent.mkdir()
        file.write_text(text)
        bound.append(binding(f"--chat-template {file}"))
    assert bound[0] == bound[1] != bound[2]
    assert str(tmp_path) not in bound[0]


def test_an_adapter_binds_by_all_that_is_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").write_bytes(b"w")
    config = tmp_path / "adapter_config.json"
    config.write_text('{"lora_alpha": 8}')
    first = binding(f"--lora-modules mine={tmp_path}")
    config.write_text('{"lora_alpha": 9}')
    assert first.startswith("--lora-modules mine:")
    assert binding(f"--lora-modules mine={tmp_path}") != first


def test_a_template_that_is_no_file_is_told_as_it_is() -> None:
    template = "{% for m in messages %}" * 99
    assert template in binding(f"--chat-template '{template}'")


@pytest.mark.parametrize("name", ["api-key", "api_key", "api-ke", "api", "hf-token", "hf-tok"])
def test_keys_are_in_no_claim_however_short_their_name_is(name: str) -> None:
    assert binding(f"--{name} SECRET --dtype half") == "--dtype half"
    assert binding(f"--{name}=SECRET") == ""
