"""Reasoning parsers of vLLM: named where the model leaves no doubt, and only there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spar_core.engine import vllm
from spar_core.engine.reasoning_parsers import parser_arguments, parser_of

OPENED = "{{ messages }}{% if add_generation_prompt %}<a><think>\n{% endif %}"
HYBRID = (
    "{% if '</think>' in m %}{% endif %}{% if add_generation_prompt %}<a>"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
SWITCH = "{% if add_generation_prompt %}<a>{% if enable_thinking %}<think>{% endif %}{% endif %}"
EARLIER = "<think>{{ reasoning }}{% if add_generation_prompt %}<a>{% endif %}"


def checkpoint(folder: Path, kind: Any, template: Any, tokens: str = '{"t": "<think>"}') -> str:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    (folder / "tokenizer.json").write_text(tokens)
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    return str(folder)


@pytest.mark.parametrize(
    ("kind", "template", "parser"),
    [
        ("gpt_oss", "", "openai_gptoss"),
        ("qwen3", OPENED, "qwen3"),
        ("qwen3_moe", OPENED, "qwen3"),
        ("qwen2", OPENED, "deepseek_r1"),
        ("llama", OPENED, "deepseek_r1"),
        ("qwen3", HYBRID, ""),
        ("qwen3", SWITCH, ""),
        ("qwen3", EARLIER, ""),
        ("llama", "{{ messages }}", ""),
        ("unheard_of", OPENED, ""),
        (None, OPENED, ""),
        (["llama"], OPENED, ""),
        ("llama", [{"name": "default", "template": OPENED}], ""),
    ],
)
def test_parser_is_told_by_type_and_template(
    tmp_path: Path, kind: Any, template: Any, parser: str
) -> None:
    assert parser_of(checkpoint(tmp_path / "m", kind, template)) == parser


def test_template_of_its_own_file_comes_first_and_the_tag_must_be_a_token(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "m", "llama", "{{ messages }}")
    (tmp_path / "m" / "chat_template.jinja").write_text(OPENED)
    assert parser_of(model) == "deepseek_r1"
    (tmp_path / "m" / "tokenizer.json").write_text("{}")
    assert parser_of(model) == ""


@pytest.mark.parametrize(
    ("model", "parser"),
    [
        ("openai/gpt-oss-20b", "openai_gptoss"),
        ("Qwen/Qwen3-4B-Thinking-2507", "qwen3"),
        ("Qwen/Qwen3-235B-A22B-Thinking-2507-FP8", "qwen3"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "deepseek_r1"),
        ("Qwen/Qwen3-8B", ""),
        ("Qwen/Qwen3-4B-Instruct-2507", ""),
        ("mine/openai/gpt-oss-20b", ""),
        ("meta-llama/Llama-3.1-8B-Instruct", ""),
    ],
)
def test_parser_of_a_model_on_the_hub_is_told_by_its_whole_name(model: str, parser: str) -> None:
    assert parser_of(model) == parser


@pytest.mark.parametrize("config", ["{", "[]", '"x"', "[" * 100_000, "\x00"])
def test_files_that_are_no_json_tell_nothing(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    assert parser_of(str(tmp_path)) == ""


@pytest.mark.parametrize(
    "given",
    [
        ["--reasoning-parser", "x"],
        ["--reasoning_parser=x"],
        ["--reasoning-parser", ""],
        ["--chat-template", "f"],
    ],
)
def test_what_the_user_names_wins(given: list[str]) -> None:
    model = "openai/gpt-oss-20b"
    assert parser_arguments(model, given) == []
    words = vllm.command(model, 8, arguments=given).words
    assert list(words[-len(given) :]) == given
    assert [word for word in words if word.startswith("--reasoning")] == [
        word for word in given if word.startswith("--reasoning")
    ]


def test_server_is_started_with_the_parser_of_its_model() -> None:
    words = list(vllm.command("openai/gpt-oss-20b", 8, arguments=["-tp", "2"]).words)
    assert words[words.index("--reasoning-parser") + 1] == "openai_gptoss"
    assert "--reasoning-parser" not in vllm.command("org/m", 8).words
