"""Which arguments of a vLLM server change what its model says, and which only how fast it does."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from schemas.checkpoint import all_content

_HARMLESS = """
aggregate-engine-logging all2all-backend allow-credentials allowed-headers allowed-methods
allowed-origins api-key api-server-count async-scheduling attention-backend attention-config
block-size collect-detailed-traces compilation-config cpu-offload-gb cpu-offload-params
cuda-graph-sizes cudagraph-capture-sizes data-parallel-address data-parallel-backend
data-parallel-external-lb data-parallel-hybrid-lb data-parallel-rank data-parallel-rpc-port
data-parallel-size data-parallel-size-local data-parallel-start-rank dbo-decode-token-threshold
dbo-prefill-token-threshold dcp-kv-cache-interleave-size decode-context-parallel-size
disable-access-log-for-endpoints disable-async-output-proc disable-cascade-attn
disable-chunked-mm-input disable-custom-all-reduce disable-fastapi-docs
disable-frontend-multiprocessing disable-hybrid-kv-cache-manager disable-log-requests
disable-log-stats disable-mm-preprocessor-cache disable-uvicorn-access-log
distributed-executor-backend download-dir enable-chunked-prefill enable-dbo enable-eplb
enable-expert-parallel enable-log-deltas enable-log-outputs enable-log-requests
enable-prefix-caching enable-prompt-tokens-details enable-request-id-headers
enable-server-load-tracking enable-sleep-mode enable-ssl-refresh enforce-eager eplb-config
expert-placement-strategy fully-sharded-loras gpu-memory-utilization
h11-max-header-count h11-max-incomplete-event-size headless hf-token host kernel-config
kv-cache-memory-bytes kv-cache-metrics kv-cache-metrics-sample kv-events-config
kv-offloading-backend kv-offloading-size kv-transfer-config log-config-file log-error-stack
long-prefill-token-threshold master-addr master-port max-cpu-loras
max-cudagraph-capture-size max-log-len max-logprobs max-long-partial-prefills max-loras
max-lora-rank max-model-len max-num-batched-tokens max-num-partial-prefills max-num-seqs
max-parallel-loading-workers max-seq-len-to-capture nnodes node-rank num-gpu-blocks-override
num-lookahead-slots optimization-level otlp-traces-endpoint pipeline-parallel-size port
preemption-mode prefill-context-parallel-size prefix-caching-hash-algo
ray-workers-use-nsight root-path safetensors-load-strategy scheduling-policy seed
served-model-name show-hidden-metrics-for-version shutdown-timeout ssl-ca-certs ssl-cert-reqs
ssl-certfile ssl-ciphers ssl-keyfile stream-interval swap-space tensor-parallel-size
ubatch-size uds use-tqdm-on-load uvicorn-log-level
"""
"""Arguments that change no answer but by how floating-point sums round: parallelism, memory, batch
sizes, limits, addresses, keys and logs. All others, those of later versions too, count as ones that
do. `seed` is that of requests without one, and ours have one."""

_SHORT = {
    **{"q": "quantization", "O": "compilation-config", "cc": "compilation-config"},
    **{"ac": "attention-config", "asc": "api-server-count", "n": "nnodes", "r": "node-rank"},
    **{"tp": "tensor-parallel-size", "pp": "pipeline-parallel-size", "dp": "data-parallel-size"},
    **{"ep": "enable-expert-parallel", "dcp": "decode-context-parallel-size"},
    **{"pcp": "prefill-context-parallel-size", "dpn": "data-parallel-rank"},
    **{"dpr": "data-parallel-start-rank", "dpl": "data-parallel-size-local"},
    **{"dpa": "data-parallel-address", "dpp": "data-parallel-rpc-port"},
    **{"dpb": "data-parallel-backend", "dph": "data-parallel-hybrid-lb"},
    **{"dpe": "data-parallel-external-lb"},
}

_PATHS = """
chat-template config generation-config hf-config-path lora-modules reasoning-parser-plugin
tokenizer tool-parser-plugin
"""
"""Arguments whose values are files and folders, or `name=path`: what is in them counts."""

_HARMLESS_NAMES = frozenset(_HARMLESS.split())
_SECRETS = ("api-key", "hf-token")
"""A parser may take the beginning of an argument for the argument."""
_PATH_NAMES = frozenset(_PATHS.split())


def binding(arguments: str) -> str:
    """The arguments that change what the model says, in one order and spelling.

    Files that are on this machine are named with a hash of their content, so that they may lie
    anywhere; keys are never among what is returned, shortened names of theirs included.
    """
    kept = sorted(
        (f"--{name}", *(_shown(name.partition(".")[0], value) for value in values))
        for name, values in _parsed(shlex.split(arguments))
        if not _is_harmless(name.partition(".")[0])
    )
    return shlex.join(word for words in kept for word in words)


def _is_harmless(name: str) -> bool:
    is_key = len(name) > 1 and any(secret.startswith(name) for secret in _SECRETS)
    return is_key or name.removeprefix("no-") in _HARMLESS_NAMES


def _parsed(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The arguments by their long names, each with its values."""
    name: str | None = None
    values: list[str] = []
    for word in words:
        if not _is_flag(word):
            values.append(word)
            continue
        if name is not None:
            yield name, values
        flag, equals, value = word.partition("=")
        name, values = _named(flag), [value] if equals else []
    if name is not None:
        yield name, values


def _is_flag(word: str) -> bool:
    return word.startswith("-") and word[1:2] not in ("", *"0123456789.")


def _named(flag: str) -> str:
    """A flag's long name; what follows its first dot names a field of its value."""
    base, dot, field = flag.lstrip("-").partition(".")
    if not flag.startswith("--"):
        base = "compilation-config" if base.startswith("O") else _SHORT.get(base, base)
    return f"{base.replace('_', '-')}{dot}{field}"


def _shown(name: str, value: str) -> str:
    if name in _PATH_NAMES:
        called, _, path = value.rpartition("=")
        if os.path.exists(path):
            return f"{called or Path(path).name}:{all_content(Path(path))}"
    if value.startswith(("{", "[")):
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except ValueError:
            return value
    return value
