"""What a server says of itself before it is asked anything: its models and their contexts."""

from __future__ import annotations

import os
from collections.abc import Collection

import aiohttp

from spar_core.engine.protocol import EngineGone

KEY_VARIABLE = "OPENAI_API_KEY"
"""The environment variable that keys are read from where no other is named."""


class NoModelsListed(EngineGone):
    """A server is there and does not tell its models."""


async def served_models(url: str, key: str = KEY_VARIABLE) -> dict[str, int | None]:
    """The models of a server, and their contexts in tokens where it tells them.

    Args:
        key: the environment variable that holds its key.

    Raises:
        NoModelsListed: it tells none in the way of this protocol.
        EngineGone: nothing answers there, or it refuses the key.
    """
    base = base_url(url)
    unlisted = NoModelsListed(f"what answers at {base} does not list its models at /v1/models")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.get(f"{base}/v1/models", headers=authorization(read_key(key))) as response,
        ):
            if response.status in (401, 403):
                raise EngineGone(
                    f"the engine at {base} refuses the key: set {key} in the environment"
                )
            cards = (await response.json())["data"]
            return {str(card["id"]): card.get("max_model_len") for card in cards}
    except aiohttp.ContentTypeError:
        raise unlisted from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise EngineGone(f"no engine answers at {base}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise unlisted from None


def only_model(url: str, models: Collection[str]) -> str:
    """The name of the one model that a server has.

    Raises:
        EngineGone: it has several.
    """
    if len(models) != 1:
        raise EngineGone(
            f"the engine at {url} serves {len(models)} models ({', '.join(list(models)[:10])}): "
            "choose one with --model"
        )
    return next(iter(models))


def too_long_answers(model: str, context: int, wanted: int) -> EngineGone:
    """What to say where answers alone would fill the model's context."""
    return EngineGone(
        f"{model} has a context of {context} tokens, and answers of {wanted} are asked for: give "
        "smaller --actor_max_tokens, --judge_max_tokens and --refine_max_tokens"
    )


def base_url(url: str) -> str:
    """The server's address, given with or without `/v1`."""
    return url.rstrip("/").removesuffix("/v1")


def read_key(variable: str) -> str:
    """A key as the environment has it now; "" for none."""
    return os.environ.get(variable, "").strip()


def authorization(key: str) -> dict[str, str]:
    """The headers that carry a key."""
    return {"Authorization": f"Bearer {key}"} if key else {}
