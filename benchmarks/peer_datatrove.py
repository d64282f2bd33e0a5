"""A round by datatrove's inference runner, at a server that runs: its `endpoint` server type.

python -m benchmarks.peer_datatrove URL PROMPTS FOLDER SLOTS

Needs an environment with datatrove (`make peers`). Its checkpoints and its cache of requests are
on, so that started again it goes on; its rows are in FOLDER/output.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from benchmarks.plain_round import refine_prompt
from spar_core.engine.protocol import Message


async def rollout(document: Any, generate: Any) -> dict[str, Any]:
    """Refine a document; the runner gives one answer a request, so each is asked for alone."""

    async def ask(
        messages: Sequence[Message], drawn: dict[str, Any], n: int, seed: int
    ) -> list[str]:
        bodies = [{"messages": messages, "n": 1, "seed": seed + i, **drawn} for i in range(n)]
        answers = await asyncio.gather(*map(generate, bodies))
        return [answer.text for answer in answers]

    return await refine_prompt(document.text, ask)


def main(argv: Sequence[str]) -> None:
    url, prompts, folder, slots = argv
    config = InferenceConfig(
        server_type="endpoint",
        model_name_or_path="sim",
        endpoint_url=url,
        max_concurrent_generations=2 * int(slots),
        max_concurrent_documents=2 * int(slots),
    )
    writer = JsonlWriter(
        f"{folder}/output", output_filename="${rank}_${chunk_index}.jsonl", compression=None
    )
    runner = InferenceRunner(rollout, config, writer, checkpoints_local_dir=f"{folder}/checkpoints")
    reader = JsonlReader(
        str(Path(prompts).parent), glob_pattern=Path(prompts).name, text_key="prompt"
    )
    LocalPipelineExecutor([reader, runner], logging_dir=f"{folder}/logs").run()


if __name__ == "__main__":
    main(sys.argv[1:])
