"""What a server says of itself before it is asked anything: its models and their contexts."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import aiohttp

from spar_core.engine.access import Access
from spar_core.engine.connections import hopeless, login_wanted, open_session
from spar_core.engine.endpoints import endpoint_of, shown
from spar_core.engine.protocol import EngineAway, EngineGone

USUAL = Access()
"""The key of the usual variable, and nothing else."""

_TIMEOUT = aiohttp.ClientTimeout(total=10)


class NoModelsListed(EngineGone):
    """A server is there and does not tell its models."""


class Card(NamedTuple):
    """What a server says of a model.

    context: in tokens, None where it is not told. owner: whose the model is; servers that run
        models of others write their own kind there. "" where it is not told.
    """

    context: int | None = None
    owner: str = ""


async def served_models(url: str, access: Access = USUAL) -> dict[str, Card]:
    """The models of a server, by their names.

    Args:
        access: what lets us in.

    Raises:
        NoModelsListed: it tells none in the way of this protocol.
        EngineAway: nothing answers there.
        EngineGone: it refuses the key.
    """
    at = endpoint_of(url)
    unlisted = NoModelsListed(
        f"what answers at {shown(at.url)} does not list its models at {shown(at.models)}"
    )
    try:
        async with (
            open_session(at.url, headers=access.read(), timeout=_TIMEOUT) as session,
            session.get(at.models) as response,
        ):
            if response.status == 407:
                raise login_wanted(at.url)
            if response.status in (401, 403):
                raise EngineGone(f"the engine at {shown(at.url)} refuses the key: {access.mending}")
            cards = (await response.json())["data"]
            return {str(card["id"]): _card(card) for card in cards}
    except aiohttp.ContentTypeError:
        raise unlisted from None
    except (aiohttp.ClientError, TimeoutError) as error:
        if gone := hopeless(error, at.url):
            raise gone from None
        raise EngineAway(f"no engine answers at {shown(at.url)}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise unlisted from None


def _card(plain: dict[str, Any]) -> Card:
    longest = plain.get("max_model_len")
    is_number = isinstance(longest, int) and not isinstance(longest, bool) and longest > 0
    return Card(longest if is_number else None, str(plain.get("owned_by") or ""))


async def served_at(urls: Sequence[str], access: Access = USUAL) -> dict[str, dict[str, Card]]:
    """The models of each of several servers, those that are away left out.

    Raises:
        EngineGone: all are away, or one has something wrong with it.
    """
    asked = await asyncio.gather(
        *(served_models(url, access) for url in urls), return_exceptions=True
    )
    found: dict[str, dict[str, Card]] = {}
    away: list[EngineAway] = []
    for url, said in zip(urls, asked, strict=True):
        if isinstance(said, EngineAway):
            away.append(said)
        elif isinstance(said, BaseException):
            raise said
        else:
            found[url] = said
    if not found and away:
        others = f" (nor at {len(away) - 1} others)" if len(away) > 1 else ""
        raise EngineGone(f"{away[0]}{others}")
    return found


async def common_model(urls: Sequence[str], access: Access = USUAL) -> str:
    """The name of the one model that several servers have in common.

    Raises:
        EngineGone: there are several or none, or no server answers.
    """
    found = await served_at(urls, access)
    if len(found) == 1:
        return only_model(*next(iter(found.items())))
    common = set.intersection(*(set(cards) for cards in found.values()))
    if not common:
        listed = "; ".join(f"{shown(url)}: {', '.join(cards)}" for url, cards in found.items())
        raise EngineGone(
            f"these engines serve no model in common ({listed}): leave out those of another model"
        )
    return only_model(", ".join(found), sorted(common))


def only_model(url: str, models: Collection[str]) -> str:
    """The name of the one model that a server has.

    Raises:
        EngineGone: it has several.
    """
    if len(models) != 1:
        raise EngineGone(
            f"the engine at {shown(url)} serves {len(models)} models "
            f"({', '.join(list(models)[:10])}): choose one with --model"
        )
    return next(iter(models))


def other_model(url: str, model: str, cards: Collection[str]) -> EngineGone:
    """What to say of a server that has other models than the one wanted."""
    listed = ", ".join(list(cards)[:10]) + (", ..." if len(cards) > 10 else "")
    return EngineGone(
        f"the engine at {shown(url)} does not serve {model}, but {listed}: see --model"
    )


def too_long_answers(model: str, context: int, wanted: int) -> EngineGone:
    """What to say where answers alone would fill the model's context."""
    return EngineGone(
        f"{model} has a context of {context} tokens, and answers of {wanted} are asked for: give "
        "smaller --actor_max_tokens, --judge_max_tokens and --refine_max_tokens"
    )
