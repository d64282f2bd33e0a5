"""Which engine a role talks to, and which model that is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from schemas.checkpoint import all_content, chat_content, content
from spar_core.engine import bundled, fetching, request_body
from spar_core.engine.access import Access, Header
from spar_core.engine.bundled import BUNDLED, bundled_model
from spar_core.engine.keys import KEY_VARIABLE
from spar_core.engine.peft_adapters import adapter_name, served_name
from spar_core.engine.thinking import thinking_fields, with_thinking
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
    adapter: a LoRA adapter on top of the model of a server that is started: for llama.cpp a GGUF
        file, for vLLM a folder of PEFT; "" for none, "bundled" for the one in the package, wherever
        that lies on a worker.
    headers: more that requests to the server at `url` carry (`access`).
    body: fields that are added to chat requests, or taken out (`request_body`).
    serve: the user's command that starts the server (`serve_command`); "" for that of its kind.
    served_adapters: the adapters of all roles that one vLLM serves (`with_shared_servers`).
    thinking: what is asked of a model that can think (`thinking`); "" for nothing.
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
    served_adapters: tuple[str, ...] = ()
    thinking: str = ""

    def __post_init__(self) -> None:
        is_ours = self.kind in ("llamacpp", "vllm") and self.is_started and not self.serve
        if self.adapter and not is_ours:
            raise ValueError("an adapter is for llama.cpp or vLLM that is started here")

    @property
    def access(self) -> Access:
        """What lets us in at its server."""
        return Access(self.key, self.headers)

    @property
    def shared(self) -> EngineSpec:
        """The engine without what each of the roles that share it adds to its requests.

        vLLM has several adapters beside one model, and each request names the one that it is for.
        """
        adapter = "" if self.kind == "vllm" else self.adapter
        return dataclasses.replace(self, body="", thinking="", adapter=adapter)

    @property
    def whole_body(self) -> str:
        """The fields of chat requests, with those that ask for thinking.

        Raises:
            ValueError: the server is not known to have such fields, or `body` has them, too.
        """
        asked = thinking_fields(self.thinking, self.kind, self.url)
        return with_thinking(self.body, asked)

    @property
    def binding(self) -> EngineSpec:
        """The engine without what changes no row that is made with it."""
        body = request_body.binding(self.whole_body)
        return dataclasses.replace(self, body=body, thinking="", headers=(), served_adapters=())

    @property
    def is_started(self) -> bool:
        """Whether its server is one that this process starts."""
        return not self.url and (bool(self.serve) or self.kind in ("llamacpp", "vllm"))

    @property
    def is_embedded(self) -> bool:
        """Whether its server is the llama.cpp of this package, beside which others may be up."""
        return self.is_started and self.kind == "llamacpp" and not self.serve


def with_shared_servers(engines: Mapping[str, EngineSpec]) -> dict[str, EngineSpec]:
    """Return the engines of roles, those of one vLLM each with the adapters of all of them."""
    held: dict[EngineSpec, list[str]] = {}
    for spec in engines.values():
        if spec.kind == "vllm" and spec.adapter:
            held.setdefault(spec.shared, []).append(spec.adapter)
    adapters = {shared: tuple(sorted({*names})) for shared, names in held.items()}
    return {
        role: dataclasses.replace(spec, served_adapters=adapters.get(spec.shared, ()))
        for role, spec in engines.items()
    }


def request_fields(spec: EngineSpec) -> dict[str, Any]:
    """Return the fields that a role adds to its requests: those of its body, and its adapter."""
    fields = dict(request_body.fields_of(spec.whole_body))
    adapter = adapter_path(spec)
    return fields | ({"model": served_name(adapter)} if adapter and spec.kind == "vllm" else {})


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
    if body := request_body.binding(spec.whole_body):
        said["body"] = body
    if adapter := adapter_path(spec):
        is_folder = adapter.is_dir()
        name = adapter_name(adapter) if is_folder else adapter.name
        held = all_content(adapter) if is_folder else content(adapter)
        said |= {"adapter": name, "adapter_content": held}
    return said


def is_fetched(spec: EngineSpec) -> bool:
    """Whether its model comes from a URL to the machine whose server is started."""
    return spec.is_started and fetching.is_url(spec.model)


def called(spec: EngineSpec) -> str:
    """A model's name as tables show it, which is the same on all machines."""
    path = model_path(spec)
    return fetching.name_of(spec.model) if is_fetched(spec) else path.name if path else spec.model


def with_adapter(name: str, spec: EngineSpec) -> str:
    """Return a model's name as tables show it with its adapter's, where it has one."""
    adapter = adapter_path(spec)
    if adapter is None:
        return name
    return f"{name}+{adapter_name(adapter) if spec.kind == 'vllm' else adapter.name}"


def adapter_path(spec: EngineSpec) -> Path | None:
    """The adapter's file or folder, None where there is none."""
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
