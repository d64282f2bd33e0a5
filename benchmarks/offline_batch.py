"""Requests through an engine's own batch: python -m benchmarks.offline_batch KIND MODEL JOB OUT.

JOB: levels of requests, all of a level given to the engine at once. vLLM has `LLM.chat` for that;
llama.cpp has no batch of its own, so its embedded server is called in this process by a thread for
each request. OUT: how long loading and each level took, and the tokens.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from spar_core.engine.llamacpp import LlamaCppServer
from spar_core.engine.vllm import CPU_CONTEXT, command, computes_bfloat16, context

Request = dict[str, Any]
"""messages, temperature, top_p, max_tokens, n, seed; tokens: of each answer as it was recorded;
grammar: what held it to a format, or None."""


class Batch(Protocol):
    """Answers a level's requests together; counting them is no part of it."""

    def answer(self, requests: Sequence[Request], forced: bool) -> list[Any]:
        """Return what the engine gave.

        Args:
            forced: whether answers are as long as the recorded ones, whatever they say; else they
                are held to the grammar, and end by themselves.
        """
        ...

    def count(
        self, requests: Sequence[Request], answers: Sequence[Any], forced: bool
    ) -> tuple[int, int]:
        """Return the tokens of the answers, and those of the prompts that were not cached."""
        ...


class VllmBatch:
    """`LLM.chat`, its engine set up as our server is."""

    def __init__(self, model: str, slots: int) -> None:
        os.environ.update(command(model, 0).environment)
        from vllm import LLM

        longest = context(model) or CPU_CONTEXT
        self._engine: Any = LLM(
            model=model,
            dtype="auto" if computes_bfloat16() else "float32",
            max_num_seqs=slots,
            enforce_eager=True,
            enable_chunked_prefill=False,
            max_model_len=longest,
            max_num_batched_tokens=longest,
            generation_config="vllm",
            structured_outputs_config={"backend": "xgrammar"},
        )

    def answer(self, requests: Sequence[Request], forced: bool) -> list[Any]:
        each = [(request, i) for request in requests for i in range(len(request["tokens"]))]
        answers: list[Any] = self._engine.chat(
            [request["messages"] for request, _ in each],
            [self._drawn(request, i, forced) for request, i in each],
            use_tqdm=False,
        )
        return answers

    def count(
        self, requests: Sequence[Request], answers: Sequence[Any], forced: bool
    ) -> tuple[int, int]:
        tokens = sum(len(answer.outputs[0].token_ids) for answer in answers)
        asked = sum(len(answer.prompt_token_ids) for answer in answers)
        return tokens, asked - sum(answer.num_cached_tokens or 0 for answer in answers)

    def _drawn(self, request: Request, number: int, forced: bool) -> Any:
        """How an answer is drawn: each of a request's with the length it had."""
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        length = request["tokens"][number]
        grammar = None if forced else request["grammar"]
        return SamplingParams(
            temperature=request["temperature"],
            top_p=request["top_p"],
            seed=request["seed"] + number,
            max_tokens=length if forced else request["max_tokens"],
            min_tokens=length if forced else 0,
            ignore_eos=forced,
            structured_outputs=StructuredOutputsParams(grammar=grammar) if grammar else None,
        )


class LlamaCppBatch:
    """The embedded server, called by a thread a request; a request's answers have one length."""

    def __init__(self, model: str, slots: int) -> None:
        self._server = LlamaCppServer(Path(model), slots=slots)

    def answer(self, requests: Sequence[Request], forced: bool) -> list[Any]:
        call = self._server._server.handle_chat_completions
        with ThreadPoolExecutor(max_workers=len(requests)) as threads:
            return list(threads.map(lambda each: call(self._body(each, forced)), requests))

    def count(
        self, requests: Sequence[Request], answers: Sequence[Any], forced: bool
    ) -> tuple[int, int]:
        pairs = list(zip(requests, answers, strict=True))
        if forced:
            tokens = sum(_mean(request) * len(answer["choices"]) for request, answer in pairs)
        else:
            tokens = sum(self._length(choice) for a in answers for choice in a["choices"])
        return tokens, sum(answer["timings"]["prompt_n"] for answer in answers)

    def _body(self, request: Request, forced: bool) -> dict[str, Any]:
        body = {key: request[key] for key in ("messages", "temperature", "top_p", "seed")}
        body |= {"n": len(request["tokens"]), "top_k": 0, "min_p": 0.0}
        if forced:
            return {**body, "max_tokens": _mean(request), "ignore_eos": True}
        body["max_tokens"] = request["max_tokens"]
        return {**body, "grammar": request["grammar"]} if request["grammar"] else body

    def _length(self, choice: dict[str, Any]) -> int:
        body = json.dumps({"content": choice["message"]["content"]}).encode()
        asked = urllib.request.Request(
            f"{self._server.url}/tokenize", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=60) as response:
            tokens: list[int] = json.load(response)["tokens"]
        return len(tokens) + int(choice["finish_reason"] == "stop")


def _mean(request: Request) -> int:
    return max(1, round(sum(request["tokens"]) / len(request["tokens"])))


BATCHES: dict[str, Callable[[str, int], Batch]] = {"llamacpp": LlamaCppBatch, "vllm": VllmBatch}


def main(argv: Sequence[str]) -> None:
    kind, model, job, out = argv
    asked = json.loads(Path(job).read_text())
    began = time.monotonic()
    batch = BATCHES[kind](model, asked["slots"])
    load_s = time.monotonic() - began
    levels = []
    for level in asked["levels"]:
        began = time.monotonic()
        answers = batch.answer(level["requests"], asked["forced"])
        wall_s = time.monotonic() - began
        tokens, prefilled = batch.count(level["requests"], answers, asked["forced"])
        done = {"name": level["name"], "wall_s": wall_s, "tokens": tokens, "prefilled": prefilled}
        levels.append(done)
    Path(out).write_text(json.dumps({"load_s": load_s, "levels": levels}))


if __name__ == "__main__":
    main(sys.argv[1:])
