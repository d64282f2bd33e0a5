"""Hosted services, and the proxies before them, as vendors' pages and reports describe them.

No service was asked. `doubts` says what users' reports tell alone, and what is not established.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.conformance.kind import Refusal, ServerKind, above_one, openai_error

_BEARER = "Authorization"
_LIMIT = {"max_tokens": "max_completion_tokens"}


def _gpt5_refusals() -> tuple[Refusal, ...]:
    return (
        Refusal(
            "max_tokens",
            openai_error(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                "max_tokens",
            ),
        ),
        Refusal(
            "temperature",
            openai_error(
                "Unsupported value: 'temperature' does not support 0.7 with this model. Only the "
                "default (1) value is supported.",
                "temperature",
            ),
            where="other than 1",
            applies=lambda body: body["temperature"] != 1,
        ),
        Refusal("top_p", openai_error("Unsupported parameter: 'top_p' is not supported", "top_p")),
        Refusal("stop", openai_error("Unrecognized request argument supplied: stop")),
        *(
            Refusal(name, openai_error(f"Unsupported parameter: '{name}'", name))
            for name in ("presence_penalty", "frequency_penalty")
        ),
    )


def _claude_error(message: str) -> object:
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}


_CLAUDE_N = Refusal("n", _claude_error("n: must be 1"), where="above 1", applies=above_one)
_CLAUDE_BUSY = (529, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}})


def _claude(*refusals: Refusal, doubts: str = "the status of the list") -> ServerKind:
    """Anthropic's layer for this protocol; its list of models wants headers of Anthropic's own."""
    return ServerKind(
        key_header=_BEARER,
        listed="",
        list_status=401,
        doubts=doubts,
        refusals=(_CLAUDE_N, *refusals),
        busy=_CLAUDE_BUSY,
    )


def _gemini_error(*messages: str) -> object:
    told = {
        "code": 400,
        "message": "\n".join(messages),
        "status": "INVALID_ARGUMENT",
        "details": [{"fieldViolations": [{"description": message} for message in messages]}],
    }
    return [{"error": told}]


def _gemini_unknown(name: str) -> Refusal:
    said = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
    return Refusal(name, _gemini_error(said))


def _without_thinking(prompt: int, completion: int) -> object:
    """A usage whose completion leaves the thinking out, as gateways to Gemini tell it."""
    told = {"prompt_tokens": prompt, "completion_tokens": completion // 2}
    return told | {"total_tokens": prompt + completion}


_OUT_OF_RESOURCES = {
    "choices": [
        {"message": {"content": "half of"}, "finish_reason": "insufficient_system_resource"}
    ]
}


def _xai(name: str, shown: str) -> Refusal:
    said = f"Argument not supported on this model: {shown}"
    return Refusal(name, {"code": "Client specified an invalid argument", "error": said})


_XAI = (
    _xai("presence_penalty", "presencePenalty"),
    _xai("frequency_penalty", "frequencyPenalty"),
    _xai("stop", "stop"),
)


def _litellm(*names: str) -> object:
    return openai_error(
        f"litellm.UnsupportedParamsError: anthropic does not support parameters: {list(names)}, "
        "for model=m. To drop these, set `litellm.drop_params=True` or for proxy:\n\n"
        "`litellm_settings:\n drop_params: true`\n. \n If you want to use these params dynamically "
        f"send allowed_openai_params={list(names)} in your request.",
        "None",
        code="400",
    )


HOSTED: Mapping[str, ServerKind] = {
    "OpenAI, GPT-5": ServerKind(
        doubts="whether `n` is refused",
        key_header=_BEARER,
        refusals=_gpt5_refusals(),
        renamed=_LIMIT,
        usage=lambda prompt, completion: {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "completion_tokens_details": {"reasoning_tokens": completion // 2},
        },
    ),
    "Azure OpenAI, a deployment": ServerKind(
        doubts="the list of models; `n`",
        path="/openai/deployments/D",
        query="?api-version=2025-04-01-preview",
        key_header="api-key",
        model="D",
        listed="",
        list_status=404,
        refusals=_gpt5_refusals(),
        renamed=_LIMIT,
    ),
    # The layer ignores `seed`.
    "Claude, 4.7 and later": _claude(
        Refusal(
            "temperature",
            _claude_error("temperature is deprecated for this model."),
            where="other than 1",
            applies=lambda body: body["temperature"] != 1,
        ),
        Refusal("top_p", _claude_error("top_p: Extra inputs are not permitted")),
    ),
    "Claude, 4.1 to 4.6": _claude(
        Refusal(
            "top_p",
            _claude_error(
                "`temperature` and `top_p` cannot both be specified for this model. Please use "
                "only one."
            ),
            where="beside `temperature`",
            applies=lambda body: "temperature" in body,
        ),
        doubts="the status of the list; `top_p`: reports",
    ),
    "Gemini, 3": ServerKind(
        doubts="`seed`: reports",
        path="/v1beta/openai",
        key_header=_BEARER,
        listed="models/m",
        refusals=(
            Refusal(
                "n",
                _gemini_error("Multiple candidates is not enabled for this model"),
                where="above 1",
                applies=above_one,
            ),
            *map(
                _gemini_unknown,
                ("seed", "random_seed", "presence_penalty", "frequency_penalty", "top_k"),
            ),
        ),
        usage=_without_thinking,
        busy=(429, [{"error": {"code": 429, "details": [{"retryDelay": "1s"}]}}]),
    ),
    "Groq": ServerKind(
        path="/openai/v1",
        key_header=_BEARER,
        refusals=(
            Refusal(
                "n",
                {"error": {"message": "property 'n' is unsupported", "code": "x"}},
                where="above 1",
                applies=above_one,
            ),
        ),
        reasoning="`reasoning`",
        busy=(498, {"error": {"message": "Flex tier capacity exceeded"}}),
    ),
    # Several choices were refused in 2024 and are taken by the client library of today.
    "Mistral": ServerKind(
        key_header=_BEARER,
        refusals=(
            Refusal(
                "seed",
                {
                    "object": "error",
                    "message": {
                        "detail": [
                            {
                                "type": "extra_forbidden",
                                "loc": ["body", "seed"],
                                "msg": "Extra inputs are not permitted",
                                "input": 3,
                            }
                        ]
                    },
                },
                status=422,
            ),
        ),
        renamed={"seed": "random_seed"},
        reasoning="chunks of type `thinking`",
    ),
    "xAI": ServerKind(
        doubts="`stop`: reports, of models that reason", key_header=_BEARER, refusals=_XAI
    ),
    "DeepSeek": ServerKind(
        doubts="`n`: reports",
        key_header=_BEARER,
        refusals=(
            Refusal(
                "n",
                openai_error("Invalid n value (currently only n = 1 is supported)"),
                where="above 1",
                applies=above_one,
            ),
        ),
        reasoning="`reasoning_content`",
        busy=(200, _OUT_OF_RESOURCES),
    ),
    "Bedrock, gpt-oss": ServerKind(
        doubts="the words of the refusal",
        path="/openai/v1",
        key_header=_BEARER,
        listed="",
        list_status=404,
        refusals=(
            Refusal(
                "n",
                openai_error("Unsupported value: 'n' must be 1", "n"),
                where="above 1",
                applies=above_one,
            ),
        ),
        reasoning="`<reasoning>` in the text",
    ),
    "Bedrock, Grok": ServerKind(
        path="/openai/v1",
        key_header=_BEARER,
        listed="",
        list_status=404,
        refusals=tuple(
            Refusal(
                name,
                {"message": f"The parameter {name} is not supported by this model"},
                status=503,
            )
            for name in ("presence_penalty", "frequency_penalty")
        ),
    ),
    # It drops what a model does not support; this refusal is passed on from a provider.
    "OpenRouter": ServerKind(
        path="/api/v1",
        key_header=_BEARER,
        refusals=(
            Refusal(
                "max_tokens",
                {
                    "error": {
                        "message": "Provider returned error",
                        "code": 400,
                        "metadata": {
                            "raw": json.dumps(
                                openai_error("Unsupported parameter: 'max_tokens'", "max_tokens")
                            )
                        },
                    }
                },
            ),
        ),
        renamed=_LIMIT,
        reasoning="`reasoning`",
        busy=(200, {"choices": [{"error": {"code": 502, "message": "no provider answers"}}]}),
    ),
    # It tells every unknown finish_reason as `stop`.
    "LiteLLM, before a Claude": ServerKind(
        doubts="what is refused is the provider's; reports",
        key_header=_BEARER,
        refusals=(
            Refusal("n", _litellm("n"), where="above 1", applies=above_one),
            Refusal("seed", _litellm("seed")),
            Refusal("random_seed", _litellm("random_seed")),
        ),
        reasoning="`reasoning_content`",
    ),
}
