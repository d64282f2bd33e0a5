"""What a server says of itself before it is asked anything: its models and their contexts."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import aiohttp

from spar_core.engine.access import Access
from spar_core.engine.connections import hopeless, login_wanted, open_session
from spar_core.engine.endpoints import Endpoint, endpoint_of, shown
from spar_core.engine.protocol import EngineAway, EngineGone

USUAL = Access()
"""The key of the usual variable, and nothing else."""

TIMEOUT_S = 10.0
"""How long a server is given to list its models."""

_CONNECT_S = 8.0

_FORBIDDEN, _MISSING = (401, 403), (404, 405, 501)


class NoModelsListed(EngineGone):
    """A server is there and does not tell its models; chats may work all the same.

    how: what is wrong with the list, as what follows "its list of models is ...".
    """

    def __init__(self, message: str, how: str) -> None:
        super().__init__(message)
        self.how = how


class SlowModels(EngineAway):
    """A server takes a connection and does not list its models in time; it may be busy."""

    how = f"slow (no answer in {TIMEOUT_S:.0f} s)"


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
        NoModelsListed: it tells none in the way of this protocol, or not to us.
        SlowModels: it does not tell them in time. EngineAway: nothing answers there.
        EngineGone: the way to it is barred.
    """
    at = endpoint_of(url)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=_CONNECT_S)
    try:
        async with (
            open_session(at.url, headers=access.read(), timeout=timeout) as session,
            session.get(at.models) as response,
        ):
            if response.status == 407:
                raise login_wanted(at.url)
            if response.status != 200:
                raise _unlisted(at, access, response.status)
            cards = (await response.json(content_type=None))["data"]
            return {str(card["id"]): _card(card) for card in cards}
    except (aiohttp.ClientError, TimeoutError) as error:
        if gone := hopeless(error, at.url):
            raise gone from None
        is_connected = not isinstance(error, aiohttp.ConnectionTimeoutError)
        if isinstance(error, TimeoutError) and is_connected:
            raise SlowModels(
                f"the engine at {shown(at.url)} takes longer than {TIMEOUT_S:.0f} s to list its "
                "models: name one with --model"
            ) from None
        raise EngineAway(f"no engine answers at {shown(at.url)}: {error}") from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise _unlisted(at, access) from None


def _unlisted(at: Endpoint, access: Access, status: int = 200) -> NoModelsListed:
    """What to say of a server that answers with this status, and with no list of models."""
    if status in _FORBIDDEN:
        message = f"the engine at {shown(at.url)} refuses the key: {access.mending}"
        return NoModelsListed(message, f"forbidden (HTTP {status})")
    kind = "missing" if status in _MISSING else "an error"
    how = f"{kind} (HTTP {status})" if status != 200 else "something else than a list"
    message = f"what answers at {shown(at.url)} does not list its models at {shown(at.models)}"
    return NoModelsListed(f"{message} (HTTP {status}): name one with --model", how)


def _card(plain: dict[str, Any]) -> Card:
    longest = plain.get("max_model_len")
    is_number = isinstance(longest, int) and not isinstance(longest, bool) and longest > 0
    return Card(longest if is_number else None, str(plain.get("owned_by") or ""))


Listed = dict[str, Card] | NoModelsListed | SlowModels
"""The models of a server, or why it does not tell them."""


async def served_at(urls: Sequence[str], access: Access = USUAL) -> dict[str, Listed]:
    """The models of each of several servers, those that are away left out.

    Raises:
        EngineGone: all are away, or one has something wrong with it.
    """
    asking = [served_models(url, access) for url in urls]
    asked = await asyncio.gather(*asking, return_exceptions=True)
    found: dict[str, Listed] = {}
    away: list[EngineAway] = []
    for url, said in zip(urls, asked, strict=True):
        if isinstance(said, dict | NoModelsListed | SlowModels):
            found[url] = said
        elif isinstance(said, EngineAway):
            away.append(said)
        else:
            raise said
    if not found and away:
        raise all_away(away)
    return found


def all_away(away: Sequence[EngineAway]) -> EngineGone:
    """What to say where no server is there."""
    others = f" (nor at {len(away) - 1} others)" if len(away) > 1 else ""
    return EngineGone(f"{away[0]}{others}")


async def common_model(urls: Sequence[str], access: Access = USUAL) -> str:
    """The name of the one model that several servers have in common, as far as they tell.

    Raises:
        EngineGone: there are several or none, or no server answers.
    """
    found = await served_at(urls, access)
    lists = {url: cards for url, cards in found.items() if isinstance(cards, dict)}
    for listed in found.values():
        if not lists and isinstance(listed, Exception):
            raise listed
    if len(lists) == 1:
        return only_model(*next(iter(lists.items())))
    common = set.intersection(*(set(cards) for cards in lists.values()))
    if not common:
        listed_by = "; ".join(f"{shown(url)}: {', '.join(cards)}" for url, cards in lists.items())
        raise EngineGone(
            f"these engines serve no model in common ({listed_by}): leave out those of another "
            "model"
        )
    return only_model(", ".join(lists), sorted(common))


def name_in(cards: Collection[str], model: str) -> str | None:
    """The name by which a list has a model, None where it does not have it.

    Ollama lists `name:latest` and Gemini `models/name` for what is asked for as `name`.
    """
    if model in cards:
        return model
    return next((name for name in cards if _bare(name) == _bare(model)), None)


def _bare(name: str) -> str:
    return name.removeprefix("models/").removesuffix(":latest")


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
