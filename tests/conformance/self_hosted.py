"""Servers that users run themselves, as their code has them.

`doubts` says what is not established.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tests.conformance.kind import Refusal, ServerKind, openai_error

_VLLM = ServerKind(
    owner="vllm",
    refusals=(
        Refusal(
            "n",
            openai_error("n must be 1 when using greedy sampling, got 2.", "n"),
            where="above 1 at `temperature` 0",
            applies=lambda body: body["n"] > 1 and body["temperature"] == 0,
        ),
    ),
)

SELF_HOSTED: Mapping[str, ServerKind] = {
    "vLLM": _VLLM,
    # It may tell that no token was reasoning.
    "vLLM with a reasoning parser": replace(
        _VLLM,
        reasoning="`reasoning`",
        usage=lambda prompt, completion: {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    ),
    "vLLM, Qwen3-Thinking without a parser": replace(
        _VLLM, reasoning="a text before a lone `</think>`"
    ),
    "SGLang": ServerKind(
        owner="sglang",
        refusals=(
            Refusal(
                "min_p",
                {
                    "object": "error",
                    "message": "min_p is not supported for speculative decoding",
                    "type": "BadRequest",
                    "param": None,
                    "code": 400,
                },
                where="with speculative decoding",
            ),
        ),
        reasoning="`reasoning_content`",
    ),
    "TGI": ServerKind(
        doubts="the list of models",
        choices=1,
        refusals=(
            Refusal(
                "top_p",
                {
                    "error": "Input validation error: `top_p` must be > 0.0 and < 1.0",
                    "error_type": "validation",
                },
                status=422,
                where="1",
                applies=lambda body: body["top_p"] >= 1,
            ),
        ),
    ),
    "Ollama": ServerKind(owner="library", listed="m:latest", choices=1, reasoning="`reasoning`"),
    "LM Studio": ServerKind(choices=1, doubts="whether it ignores `n`"),
    "llama.cpp": ServerKind(
        owner="llamacpp",
        model="/models/m.gguf",
        listed="/models/m.gguf",
        refusals=(
            Refusal(
                "n",
                {
                    "error": {
                        "code": 400,
                        "message": "n_cmpl cannot be greater than the number of slots, please "
                        "increase -np",
                        "type": "invalid_request_error",
                    }
                },
                where="above its slots",
                applies=lambda body: body["n"] > 1,
            ),
        ),
        reasoning="`reasoning_content`",
        busy=(503, {"error": {"code": 503, "message": "Loading model"}}),
    ),
}
