"""The clients of engines: of one server at a URL, of several as one, or of a script."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from spar_core.engine.addresses import current, is_several
from spar_core.engine.llamacpp import LlamaCppEngine
from spar_core.engine.meter import Meter
from spar_core.engine.openai import OpenAIEngine
from spar_core.engine.pool import EnginePool
from spar_core.engine.protocol import (
    AnswerDiscarded,
    ChatRequest,
    Engine,
    EngineAway,
    EngineGone,
    ItemError,
    Message,
    Sampling,
)
from spar_core.engine.request_body import fields_of
from spar_core.engine.sampling_defaults import kind_of
from spar_core.engine.served import (
    Card,
    NoModelsListed,
    SlowModels,
    common_model,
    name_in,
    only_model,
    other_model,
    served_models,
)
from spar_core.engine.spec import EngineSpec, called, with_adapter
from spar_core.engine.vllm import VllmEngine
from terminal.log import warn

_LOOKS = 3
"""How often a server that does not answer is asked for its models: a busy one may take long."""

_TRIAL_S, _TRIAL_TOKENS = 30.0, 16
"""How long a server of several is given for a short chat, and how long its answer may be."""

_CLIENTS = {"llamacpp": LlamaCppEngine, "vllm": VllmEngine, "openai": OpenAIEngine}


class ClosableEngine(Engine, Protocol):
    """An engine that holds connections."""

    async def close(self) -> None: ...


async def connect(spec: EngineSpec, url: str, meter: Meter) -> ClosableEngine:
    if spec.kind == "scripted":
        module, _, name = spec.model.partition(":")
        engine: ClosableEngine = getattr(importlib.import_module(module), name)(meter)
        return engine
    if is_several(url):
        return await _pool(spec, meter)
    cards = await _cards(spec, url)
    model = name_at_server(spec, url, cards) if spec.serve else spec.model or only_model(url, cards)
    card = cards.get(name_in(cards, model) or "")
    return client_of(spec, url, model, meter, card, patience_s=spec.patience_s)


def name_at_server(spec: EngineSpec, url: str, cards: Mapping[str, Card]) -> str:
    """Return the name by which the server of a user's command knows its model.

    Some go by the path that they were given, some by a name in their command line. What lists one
    model alone was started for it.

    Raises:
        EngineGone: the server lists several, and none of this name.
    """
    path = Path(spec.model)
    for name in (spec.model, str(path.absolute()), path.name):
        if listed := name_in(cards, name):
            return listed
    return only_model(url, cards) if cards else spec.model


async def _cards(spec: EngineSpec, url: str) -> Mapping[str, Card]:
    """The models of a server; none where it does not list them and one is named."""
    for _ in range(_LOOKS):
        try:
            return await served_models(url, spec.access)
        except EngineGone as error:
            if not spec.model:
                raise
            if not isinstance(error, EngineAway):
                return {}  # some servers list nothing
            gone = error
    if spec.kind == "openai":
        warn(__name__, f"{gone}; its own sampling defaults stay in force")
    return {}


async def _pool(spec: EngineSpec, meter: Meter) -> EnginePool:
    def listed() -> Sequence[str]:
        return current(spec.url)

    model = spec.model or await _common_model(spec)

    async def look(url: str) -> Card | None:
        try:
            cards = await served_models(url, spec.access)
        except NoModelsListed:
            return None
        except SlowModels as slow:
            await _answers(spec, url, model, slow)
            return None
        name = name_in(cards, model)
        if cards and name is None:
            raise other_model(url, model, cards)
        return cards.get(name or "")

    def make(url: str, card: Card | None) -> OpenAIEngine:
        return client_of(spec, url, model, meter, card, patience_s=0, attempts=1)

    pool = EnginePool(
        model, listed, look, make, meter=meter, slots=spec.slots, patience_s=spec.patience_s
    )
    try:
        await pool.open()
    except BaseException:
        await pool.close()
        raise
    return pool


async def _common_model(spec: EngineSpec) -> str:
    try:
        urls = current(spec.url)
    except ValueError as error:
        raise EngineGone(str(error)) from None
    return await common_model(urls, spec.access)


async def _answers(spec: EngineSpec, url: str, model: str, slow: SlowModels) -> None:
    """See that a server of several answers chats, though it does not list its models in time.

    Raises:
        EngineGone: it does not.
    """
    try:
        async with asyncio.timeout(_TRIAL_S):
            await trial(spec, url, model, patience_s=0)
    except TimeoutError:
        raise slow from None


async def trial(spec: EngineSpec, url: str, model: str, *, patience_s: float) -> str:
    """Ask a server for one short chat.

    Returns:
        Why it refuses the chat, "" where it answers it.

    Raises:
        EngineGone: it answers no chat at all.
    """
    client = client_of(spec, url, model, Meter(), None, patience_s=patience_s, tells=False)
    hello: Message = {"role": "user", "content": "Say hello."}
    chat = ChatRequest((hello,), Sampling(1.0, 1.0, _TRIAL_TOKENS), body=fields_of(spec.whole_body))
    try:
        await client.ask(chat)
    except AnswerDiscarded:
        return ""
    except ItemError as error:
        return str(error)
    finally:
        await client.close()
    return ""


def client_of(
    spec: EngineSpec, url: str, model: str, meter: Meter, card: Card | None, **settings: Any
) -> OpenAIEngine:
    context, owner = card or Card()
    return _CLIENTS[spec.kind](
        url,
        model,
        meter=meter,
        key=spec.key,
        headers=spec.headers,
        name=with_adapter(called(spec) or model, spec),
        slots=spec.slots,
        timeout_s=spec.timeout_s,
        context=context,
        server=_server(spec, owner),
        **settings,
    )


def _server(spec: EngineSpec, owner: str) -> str | None:
    """The kind of server whose own sampling is switched off; None for that of the engine's kind.

    vLLM that is started here has none but what its arguments give it, which is meant.
    """
    if spec.kind == "vllm" and spec.is_started and not spec.serve:
        return ""
    return kind_of(owner) if spec.kind == "openai" else None
