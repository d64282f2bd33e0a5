"""Which engine a role talks to, and which model that is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schemas.checkpoint import chat_content, content
from spar_core.engine import bundled, fetching, request_body
from spar_core.engine.access import Access, Header
from spar_core.engine.bundled import BUNDLED, bundled_model
from spar_core.engine.keys import KEY_VARIABLE
from spar_core.engine.vllm_arguments import binding

_NO_ARGUMENTS = "none"

Kind = Literal["llamacpp", "vllm", "openai", "scripted"]


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine to talk to; equal ones are one engine.

    kind: what it is; `scripted` takes a `module:function` as its model, that makes one for a meter.
    model: a GGUF file or checkpoint folder, here or at a URL, or a served name; "" for the bundled
        or the only one.
    url: a running server, or several (`addresses`); "" to start one in this process.
    slots: sequences that each server decodes at once.
    arguments: more for the command line of a server that is started.
    key: where the key of the server at `url` is kept (`keys`).
    adapter: a LoRA adapter (GGUF) on top of the model of a llama.cpp that is started; "" for none,
        "bundled" for the one in the package, wherever that lies on a worker.
    headers: more that requests to the server at `url` carry (`access`).
    body: fields that are added to chat requests, or taken out (`request_body`).
    serve: the user's command that starts the server (`serve_command`); "" for that of its kind.
    """

    kind: Kind
    model: str = ""
    url: str = ""
    slots: int = 256
    timeout_s: float = 600.0
    patience_s: float = 120.0
    arguments: str = ""
    key: str = KEY_VARIABLE
    adapter: str = ""
    headers: tuple[Header, ...] = ()
    body: str = ""
    serve: str = ""

    def __post_init__(self) -> None:
        if self.adapter and not (self.kind == "llamacpp" and self.is_started and not self.serve):
            raise ValueError("an adapter is for llama.cpp that is started here")

    @property
    def access(self) -> Access:
        """What lets us in at its server."""
        return Access(self.key, self.headers)

    @property
    def shared(self) -> EngineSpec:
        """The engine without what each of the roles that share it adds to its requests."""
        return dataclasses.replace(self, body="")

    @property
    def binding(self) -> EngineSpec:
        """The engine without what changes no row that is made with it."""
        return dataclasses.replace(self, body=request_body.binding(self.body), headers=())

    @property
    def is_started(self) -> bool:
        """Whether its server is one that this process starts."""
        return not self.url and (bool(self.serve) or self.kind in ("llamacpp", "vllm"))

    @property
    def is_embedded(self) -> bool:
        """Whether its server is the llama.cpp of this package, beside which others may be up."""
        return self.is_started and self.kind == "llamacpp" and not self.serve


def identity(spec: EngineSpec) -> dict[str, str]:
    """What an iteration's fingerprint says of a model: its name, and its content if we see it.

    The same of its adapter, where it has one. Of a checkpoint that vLLM or a command of the user's
    serves also its tokenizer and chat template. `arguments` are those that change what the model
    says; none are known of a server that runs, or that such a command starts. `body` has the fields
    of requests that change answers. What is fetched from a URL is told by its listing there, so
    that it is the same from whichever machine one looks.

    Raises:
        EngineGone: a model at a URL cannot be read.
    """
    path = model_path(spec)
    if is_fetched(spec):
        listing = fetching.listing(spec.model)
        said = {"model": listing.name, "content": listing.content}
        chat = listing.chat
    else:
        said = {"model": path.name, "content": content(path)} if path else {"model": spec.model}
        chat = chat_content(path) if path and path.is_dir() else ""
    if (spec.kind == "vllm" or spec.serve) and chat:
        said["chat"] = chat
    if spec.kind == "vllm" or spec.url or spec.serve:
        is_ours = spec.is_started and not spec.serve
        said["arguments"] = (binding(spec.arguments) if is_ours else "") or _NO_ARGUMENTS
    if body := request_body.binding(spec.body):
        said["body"] = body
    if adapter := adapter_path(spec):
        said |= {"adapter": adapter.name, "adapter_content": content(adapter)}
    return said


def is_fetched(spec: EngineSpec) -> bool:
    """Whether its model comes from a URL to the machine whose server is started."""
    return spec.is_started and fetching.is_url(spec.model)


def called(spec: EngineSpec) -> str:
    """A model's name as tables show it, which is the same on all machines."""
    path = model_path(spec)
    return fetching.name_of(spec.model) if is_fetched(spec) else path.name if path else spec.model


def adapter_path(spec: EngineSpec) -> Path | None:
    """The adapter's file, None where there is none."""
    if spec.adapter == BUNDLED:
        return bundled.BUNDLED_ADAPTER
    return Path(spec.adapter) if spec.adapter else None


def model_path(spec: EngineSpec) -> Path | None:
    """The model's file or folder on this machine, None where it is only a name."""
    if spec.is_embedded and not spec.model:
        return bundled_model()
    if spec.model and not spec.url and Path(spec.model).exists():
        return Path(spec.model)
    return None
