"""The engines of a job, by role: their options, and what they come to."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from pipelines import quoted
from spar_core.engine import addresses, keys, request_body
from spar_core.engine.access import Header, parse_headers
from spar_core.engine.bundled import BUNDLED, bundled_adapter
from spar_core.engine.keys import KEY_VARIABLE
from spar_core.engine.serve_command import parse_template
from spar_core.engine.spec import EngineSpec
from spar_core.engine.thinking import EFFORTS, parse_thinking
from spar_core.stage import DEFAULT_ROLES
from spar_core.stages.drawing import between, whole
from terminal.exits import UsageError

_KINDS = ("llamacpp", "vllm", "openai")
_OWN = ("model", "url", "engine", "slots", "adapter", "body", "headers", "thinking")
"""What may be said of one role alone."""
_HEADERS: dict[str, Any] = {"action": "extend", "nargs": "+", "metavar": "NAME=VALUE"}
_ADAPTED = ("refiner", "judge")
"""The roles that the bundled adapter is for."""


def add_engines(group: Any, roles: Sequence[str]) -> None:
    """Add the options of the engines that play these roles."""
    group.add_argument(
        "--engine",
        choices=_KINDS,
        help="llamacpp: embedded, reads GGUF; vllm: started for you; openai: any server that "
        "speaks its protocol (default: openai with a URL or --serve, else llamacpp)",
    )
    group.add_argument(
        "--model",
        default="",
        help="GGUF file, checkpoint folder or served name (default: the bundled "
        "SmolLM2-135M-Instruct, or the only model that the server has)",
    )
    group.add_argument(
        "--engine_url",
        default="",
        metavar="URL",
        help="a running server, e.g. http://localhost:8000, or several of the same model: "
        "URL,URL,..., or @FILE with a URL a line, which is read again while the job runs",
    )
    group.add_argument(
        "--serve",
        default="",
        metavar="COMMAND",
        help="starts a server of your own, which ends with the job: 'python -m "
        "sglang.launch_server --model-path {model} --port {port}'; {slots} is --slots "
        "(docs/serve.md)",
    )
    group.add_argument(
        "--engine_key",
        default=KEY_VARIABLE,
        metavar="PLACE",
        help="where the server's key is kept, which workers read there: an environment variable, "
        "or projects/P/secrets/S/versions/latest in Google's Secret Manager (default: "
        f"{KEY_VARIABLE})",
    )
    group.add_argument(
        "--engine_headers",
        **_HEADERS,
        help="headers that requests carry: X-Title=mine, or with a value from the environment "
        "api-key=env:AZURE_KEY (for a role alone --judge_headers, ...; docs/servers.md)",
    )
    group.add_argument(
        "--engine_body",
        type=_body,
        metavar="JSON",
        help="fields that are added to the body of chat requests, or with null taken out of it: "
        '{"top_k": 20, "seed": null} (for a role alone --judge_body, ...)',
    )
    group.add_argument(
        "--thinking",
        type=_thinking,
        metavar="WHAT",
        help="what is asked of a model that can think: off, on, an effort "
        f"({', '.join(EFFORTS)}), or a number of tokens; with the kind of the server where its URL "
        "does not tell it, as in sglang:off (for a role alone --judge_thinking, ...; default: "
        "what the model does by itself; docs/servers.md)",
    )
    group.add_argument(
        "--slots",
        type=whole(1),
        metavar="N",
        help="sequences that a server decodes at once (vLLM: --max-num-seqs); four times as many "
        "items are kept in progress (default: 256; 32 for llamacpp)",
    )
    for role in roles:
        what = f"the {role}'s, where it is not that of the others"
        if role in DEFAULT_ROLES:
            what = f"the {role}'s, where it is not the {DEFAULT_ROLES[role]}'s"
        group.add_argument(f"--{role}_model", default="", metavar="M", help=f"{what} (--model)")
        group.add_argument(
            f"--{role}_url",
            default="",
            metavar="URL",
            help=f"{what} (--engine_url); its key from {key_variable(role)} where that is set",
        )
        group.add_argument(f"--{role}_engine", choices=_KINDS, help=f"{what} (--engine)")
        group.add_argument(f"--{role}_slots", type=whole(1), metavar="N", help=f"{what} (--slots)")
        # What is said of all tells of these: they are few people's, and two for each role.
        group.add_argument(f"--{role}_headers", **_HEADERS, help=argparse.SUPPRESS)
        group.add_argument(f"--{role}_body", type=_body, help=argparse.SUPPRESS)
        group.add_argument(f"--{role}_thinking", type=_thinking, help=argparse.SUPPRESS)
        usual = " (default with the bundled model: the one for it)" if role in _ADAPTED else ""
        group.add_argument(
            f"--{role}_adapter",
            default="",
            metavar="FILE",
            help="a LoRA adapter on top of its model: with llamacpp a GGUF file (or "
            f"`{BUNDLED}`), with vllm a folder of PEFT; one vLLM serves those of all roles{usual}",
        )
    group.add_argument(
        "--engine_args",
        default="",
        metavar="ARGS",
        help="more arguments for the vLLM server that is started, as one string: "
        "--engine_args='--tensor-parallel-size 8'",
    )
    group.add_argument(
        "--engine_timeout",
        type=between(0, over=True),
        default=600.0,
        metavar="S",
        help="seconds to wait for an answer before asking again (default: 600)",
    )
    group.add_argument(
        "--engine_patience",
        type=between(0),
        default=120.0,
        metavar="S",
        help="seconds an engine may be away before the run stops (default: 120)",
    )


def key_variable(role: str) -> str:
    """The environment variable of the key for a role's own server."""
    return f"{role.upper()}_API_KEY"


def engine_of(options: argparse.Namespace, role: str, default: EngineSpec | None) -> EngineSpec:
    """The engine of a role: what is said of it, else what is said of its stand-in or of all."""
    said = {name: getattr(options, f"{role}_{name}") for name in _OWN}
    is_said = any(said.values()) or said["body"] is not None  # "{}" takes all fields back
    if default and not is_said:
        return default
    own_url = _plain(f"--{role}_url", said["url"])
    url = own_url or (default.url if default else _plain("--engine_url", options.engine_url))
    kind = said["engine"] or (options.engine if own_url or not default else default.kind)
    serve = default.serve if default else _serve(options)
    if url or said["engine"] not in (None, "openai"):
        serve = ""  # the role has a server of its own
    kind = kind or ("openai" if url or serve else "llamacpp")
    if kind == "openai" and not (url or serve):
        raise UsageError("--engine openai needs --engine_url, or --serve COMMAND")
    # A server of its own has a model of its own, its only one unless it is named.
    general = "" if own_url else (default.model if default else options.model)
    model = said["model"] or general
    adapter = said["adapter"]
    if adapter and (url or serve or kind == "openai"):
        raise UsageError(
            f"--{role}_adapter is for --engine llamacpp or vllm without a URL or --serve"
        )
    if not adapter and not url and not serve:
        adapter = _adapter(role, kind, model, default)
    quoted.split("engine_args", options.engine_args)
    slots = said["slots"] or options.slots or (32 if kind == "llamacpp" else 256)
    if not keys.is_place(options.engine_key):
        raise UsageError(
            "--engine_key takes the name of an environment variable, or "
            "projects/P/secrets/S/versions/V; the key itself would stand in the job's description"
        )
    source = None if own_url else default
    headers = (
        source.headers if source else _headers("--engine_headers", options.engine_headers or ())
    )
    if said["headers"] is not None:
        headers = _headers(f"--{role}_headers", said["headers"])
    body = source.body if source else options.engine_body or ""
    if said["body"] is not None:
        body = said["body"]
    thinking = said["thinking"] or (source.thinking if source else options.thinking or "")
    has_own_key = own_url and key_variable(role) in os.environ
    key = key_variable(role) if has_own_key else options.engine_key
    if serve and key == KEY_VARIABLE:
        key = ""  # a server of one's own gets no key that was meant for another
    spec = EngineSpec(
        kind=kind,
        model=model,
        url=url,
        slots=slots,
        timeout_s=options.engine_timeout,
        patience_s=options.engine_patience,
        arguments="" if serve else options.engine_args,
        adapter=adapter,
        key=key,
        headers=headers if url else (),
        body=body,
        serve=serve,
        thinking=thinking,
    )
    try:
        spec.whole_body  # noqa: B018  it says whether the server can be asked for it
    except ValueError as error:
        option = f"--{role}_thinking" if said["thinking"] else "--thinking"
        raise UsageError(f"{option} {thinking} for the {role}: {error}") from None
    return spec


def _thinking(text: str) -> str:
    try:
        return parse_thinking(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _serve(options: argparse.Namespace) -> str:
    """The command that starts the servers of roles without a URL or an engine of their own."""
    template: str = options.serve
    if not template:
        return ""
    for name in ("engine_url", "engine_args"):
        if getattr(options, name):
            why = "the server runs already" if name == "engine_url" else "they are for vLLM"
            raise UsageError(f"--serve and --{name} exclude each other: with --{name} {why}")
    try:
        parse_template(template)
    except ValueError as error:
        raise UsageError(f"--serve: {error}") from None
    return template


def _body(text: str) -> str:
    try:
        return request_body.parse_body(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _headers(option: str, words: Sequence[str]) -> tuple[Header, ...]:
    try:
        return parse_headers(words)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _plain(option: str, said: str) -> str:
    """Where servers are, in one spelling."""
    try:
        if said:
            addresses.current(said)
        return addresses.plain(said)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _adapter(role: str, kind: str, model: str, default: EngineSpec | None) -> str:
    """The adapter of a role that none is named for: its stand-in's on the same model."""
    if default and default.adapter and (default.kind, default.model) == (kind, model):
        return default.adapter
    has_own = kind == "llamacpp" and role in _ADAPTED and not model
    return BUNDLED if has_own and bundled_adapter() else ""


def is_bundled(spec: EngineSpec) -> bool:
    """Whether this is the embedded engine with the bundled model, whatever its adapter."""
    return spec.is_embedded and not spec.model
