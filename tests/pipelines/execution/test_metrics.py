from __future__ import annotations

import json
from pathlib import Path

from pipelines.execution.intake import ingest
from pipelines.execution.launch import launch
from pipelines.execution.metrics import NAMESPACE, account
from pipelines.execution.options import parse
from pipelines.execution.parts import parts
from pipelines.execution.plan import plan
from pipelines.execution.session import Session
from schemas.entries import USAGE
from spar_core.engine.meter import Usage
from spar_core.methods import METHODS
from tests.loopback import round_script, serving


def test_an_account_names_what_the_manifest_names() -> None:
    assert tuple(account(Usage())) == USAGE


def test_a_stage_reports_what_it_asked_and_made(tmp_path: Path) -> None:
    prompts = tmp_path / "p.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"Prompt {i}."}) + "\n" for i in range(7)))
    with serving(round_script) as server:
        line = ["--run", str(tmp_path / "run"), "--engine_url", server.url, "--model", "loopback"]
        job, session = parse("refine", "", METHODS, line), Session()
        ingest(job.dataset, str(prompts), None)
        values: dict[str, object] = {}
        for each in parts(job, None)[:2]:
            works = plan(each.part, job.dataset, "p").works
            specs = {role: job.engines[role] for role in each.part.stage.roles}
            result = launch([each.part], works, job.dataset, specs, job.beam, session)
            found = result.metrics().query()
            for metric in (*found["counters"], *found["distributions"]):
                if metric.key.metric.namespace == NAMESPACE:
                    values[metric.key.metric.name] = metric.committed
        session.close()
    assert values["sample/items"] == values["sample/requests"] == 7
    assert values["judge/items"] == values["judge/requests"] == 35
    assert (
        values["judge/retries"] == values["judge/failures"] == values["judge/unparsed_votes"] == 0
    )
    assert values["sample/completion_tokens"] > 0  # type: ignore[operator]
    latency, slots = values["judge/latency_ms"], values["judge/slots_in_use"]
    assert latency.count == slots.count == 35  # type: ignore[attr-defined]
    assert 5 <= slots.max <= 35 * 5  # type: ignore[attr-defined]
