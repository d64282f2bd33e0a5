"""What can be known to be wrong with an engine before any work is done."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import importlib.util
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from spar_core.engine import fetching, llamacpp, serve_command, vllm
from spar_core.engine.addresses import current
from spar_core.engine.bundled import bundled_model
from spar_core.engine.clients import trial
from spar_core.engine.endpoints import endpoint_of, shown
from spar_core.engine.peft_adapters import check_adapter
from spar_core.engine.protocol import EngineAway, EngineGone
from spar_core.engine.sampling_defaults import remarks
from spar_core.engine.served import (
    all_away,
    common_model,
    name_in,
    other_model,
    served_at,
    too_long_answers,
)
from spar_core.engine.spec import EngineSpec, adapter_path, is_fetched


def resolve(spec: EngineSpec) -> EngineSpec:
    """The spec with its model's name filled in where a server is left to say it.

    Raises:
        EngineGone: the server is not there, or has several; or servers have none in common.
    """
    if not spec.url or spec.model:
        return spec
    return dataclasses.replace(spec, model=asyncio.run(common_model(_urls(spec), spec.access)))


def preflight(spec: EngineSpec, max_tokens: int, *, is_here: bool = True) -> list[str]:
    """Check from this machine that answers of `max_tokens` can be had.

    Args:
        is_here: whether servers are started on this machine, and not on others that may have what
            is missing here.

    Returns:
        What is worth knowing of the engine, though nothing is wrong with it.

    Raises:
        EngineGone: they cannot; the message says what to change.
    """
    if spec.kind == "scripted":
        _check_script(spec)
    elif spec.url:
        return _check_servers(spec, max_tokens)
    elif spec.kind == "openai" and not spec.serve:
        raise EngineGone("--engine openai needs --engine_url")
    else:
        _check_started(spec, max_tokens, is_here)
    return []


def _check_script(spec: EngineSpec) -> None:
    module, _, name = spec.model.partition(":")
    try:
        getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise EngineGone(f"no scripted engine {spec.model!r}: {error}") from None


def _urls(spec: EngineSpec) -> tuple[str, ...]:
    try:
        return current(spec.url)
    except ValueError as error:
        raise EngineGone(str(error)) from None


def _check_servers(spec: EngineSpec, max_tokens: int) -> list[str]:
    """Servers that run: of several some may be away, but none may serve another model.

    One that does not tell its models is asked for a short chat: that is what it is for.
    """
    urls = _urls(spec)
    model = spec.model or asyncio.run(common_model(urls, spec.access))
    found = asyncio.run(served_at(urls, spec.access))
    owners, told = {}, {}
    for url, listed in found.items():
        if not isinstance(listed, dict) or not listed:
            continue
        name = name_in(listed, model)
        if name is None:
            raise other_model(url, model, listed)
        _check_context(model, listed[name].context, max_tokens)
        owners[url] = listed[name].owner
        told[url] = "its list of models has it" + (f" as {name}" if name != model else "")
    untold = {url: listed for url, listed in found.items() if url not in told}
    tried = asyncio.run(_tried(spec, model, list(untold)))
    away = [said for said in tried.values() if isinstance(said, EngineAway)]
    if not told and len(away) == len(tried):
        raise all_away(away)
    for url, said in tried.items():
        if isinstance(said, EngineAway):
            continue
        listed = untold[url]
        how = "empty" if isinstance(listed, dict) else listed.how
        outcome = f"and it refuses a short chat ({said})" if said else "but it answers a short chat"
        owners[url] = ""
        told[url] = f"its list of models is {how}, {outcome}"
    return _summary(model, told) + (remarks(owners) if spec.kind == "openai" else [])


async def _tried(spec: EngineSpec, model: str, urls: Sequence[str]) -> dict[str, str | EngineAway]:
    """What comes of a short chat with each of some servers: "" for an answer.

    Raises:
        EngineGone: one has something wrong with it that does not pass.
    """

    async def try_one(url: str) -> str | EngineAway:
        try:
            return await trial(spec, url, model, patience_s=spec.patience_s)
        except EngineAway as away:
            return away

    return dict(zip(urls, await asyncio.gather(*map(try_one, urls)), strict=True))


def _summary(model: str, told: Mapping[str, str]) -> list[str]:
    """What was found: where chats go, and what the lists of models tell; a line for each answer."""
    alike: dict[str, list[str]] = {}
    for url, said in told.items():
        alike.setdefault(said, []).append(shown(endpoint_of(url).chat))
    return [
        f"chats go to {chats[0]}{f' (and {len(chats) - 1} more)' if len(chats) > 1 else ''}, "
        f"model {model}: {said}"
        for said, chats in alike.items()
    ]


def _check_started(spec: EngineSpec, max_tokens: int, is_here: bool) -> None:
    """A server that is to be started: its package, its model, and the context it will have."""
    if is_fetched(spec):
        fetching.listing(spec.model)
    if spec.serve:
        _check_command(spec, is_here)
    elif spec.kind == "llamacpp":
        path = Path(spec.model) if spec.model else bundled_model()
        if is_here and is_fetched(spec):
            llamacpp.check_package()
        elif is_here:
            llamacpp.check(path, adapter_path(spec))
        _check_context(path.name, llamacpp.context(path, spec.slots), max_tokens)
    else:
        vllm.check_model(spec.model, is_here=is_here)
        if is_here:
            vllm.check_package()
            if adapter := adapter_path(spec):
                check_adapter(adapter)
        context = vllm.context(spec.model, shlex.split(spec.arguments), is_here=is_here)
        _check_context(Path(spec.model).name, context, max_tokens)


def _check_command(spec: EngineSpec, is_here: bool) -> None:
    """A server that a command of the user's starts: its program and the model's file are there."""
    if not spec.model:
        raise EngineGone("--serve needs --model: a checkpoint folder, a file or a name")
    if is_here:
        serve_command.check_program(spec.serve)
        is_path = spec.model.startswith(("/", ".", "~"))
        if is_path and not is_fetched(spec) and not Path(spec.model).exists():
            raise EngineGone(f"no model at {spec.model}")


def _check_context(model: str, context: int | None, max_tokens: int) -> None:
    if context and max_tokens >= context:
        raise too_long_answers(model, context, max_tokens)
