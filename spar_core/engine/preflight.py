"""What can be known to be wrong with an engine before any work is done."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import importlib.util
import shlex
from pathlib import Path

from spar_core.engine import fetching, llamacpp, vllm
from spar_core.engine.addresses import current
from spar_core.engine.bundled import bundled_model
from spar_core.engine.protocol import EngineGone
from spar_core.engine.sampling_defaults import remarks
from spar_core.engine.served import (
    Card,
    NoModelsListed,
    common_model,
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
    elif spec.kind == "openai":
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
    """Servers that run: of several some may be away, but none may serve another model."""
    urls = _urls(spec)
    try:
        model = spec.model or asyncio.run(common_model(urls, spec.access))
        found = asyncio.run(served_at(urls, spec.access))
    except NoModelsListed:
        if not spec.model:
            raise
        return remarks(dict.fromkeys(urls, "")) if spec.kind == "openai" else []
    owners = {}
    for url, cards in found.items():
        if cards and model not in cards:
            raise other_model(url, model, cards)
        card = cards.get(model, Card())
        _check_context(model, card.context, max_tokens)
        owners[url] = card.owner
    return remarks(owners) if spec.kind == "openai" else []


def _check_started(spec: EngineSpec, max_tokens: int, is_here: bool) -> None:
    """A server that is to be started: its package, its model, and the context it will have."""
    if is_fetched(spec):
        fetching.listing(spec.model)
    if spec.kind == "llamacpp":
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
        context = vllm.context(spec.model, shlex.split(spec.arguments), is_here=is_here)
        _check_context(Path(spec.model).name, context, max_tokens)


def _check_context(model: str, context: int | None, max_tokens: int) -> None:
    if context and max_tokens >= context:
        raise too_long_answers(model, context, max_tokens)
