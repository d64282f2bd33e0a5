from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from benchmarks import offline_batch, real_engine, recorded_round
from benchmarks.report import Report
from spar_core.conversation import actor_messages, judge_messages, refine_messages
from spar_core.engine.bundled import bundled_model


def test_requests_are_told_apart_by_kind_and_depth() -> None:
    [asked] = judge_messages("Task", "a refinement")
    depths = {asked["content"]: 2}
    level = real_engine._level
    assert level([{**m} for m in actor_messages("Task")], depths) == (0, "0 sample")
    assert level([{**asked}], depths) == (2, "2 judge")
    refining = [{**m} for m in refine_messages("Task", "a refinement", "No")]
    assert level(refining, depths) == (3, "1 refine")
    kinds = [(0, "2 judge"), (1, "2 judge"), (0, "0 sample"), (1, "1 refine")]
    order = [kind.split()[1] for _, kind in sorted(kinds)]
    assert order == ["sample", "judge", "refine", "judge"], "no level comes before what it needs"


def test_slots_that_no_request_fills_are_idle() -> None:
    def request(began: float, ended: float, n: int) -> dict[str, object]:
        return {"began": began, "ended": ended, "tokens": [1] * n}

    assert real_engine._occupancy([request(0, 10, 4)], slots=4) == 1
    assert real_engine._occupancy([request(0, 10, 8)], slots=4) == 1
    assert real_engine._occupancy([request(0, 5, 4), request(5, 10, 2)], slots=4) == 0.75


def test_a_counter_of_prometheus_is_summed_over_its_labels() -> None:
    page = 'vllm:hits_total{engine="0"} 3.0\nvllm:hits_total{engine="1"} 4.0\nvllm:hits_created 9\n'
    assert recorded_round._counter(page, "vllm:hits_total") == 7
    assert recorded_round._counter(page, "vllm:misses_total") == 0


@pytest.mark.engine
def test_llama_cpp_answers_a_level_at_once_and_as_long_as_asked() -> None:
    batch = offline_batch.LlamaCppBatch(str(bundled_model()), slots=4)
    drawn = {"temperature": 0.9, "top_p": 0.9, "max_tokens": 64, "seed": 1, "grammar": None}
    requests = [
        {**drawn, "messages": actor_messages(f"Write about {word}."), "tokens": lengths}
        for word, lengths in (("rain", [6, 8]), ("snow", [5]))
    ]
    answers = batch.answer(requests, forced=True)
    assert [len(answer["choices"]) for answer in answers] == [2, 1]
    reasons = {choice["finish_reason"] for answer in answers for choice in answer["choices"]}
    assert reasons == {"length"}, "no answer ends by itself"
    assert [answer["usage"]["completion_tokens"] for answer in answers] == [7, 5]
    tokens, prefilled = batch.count(requests, answers, forced=True)
    assert tokens == 7 + 7 + 5
    assert 20 < prefilled < 200
    held = [{**requests[1], "grammar": 'root ::= "Yes"'}]
    [answer] = held_answers = batch.answer(held, forced=False)
    assert answer["choices"][0]["message"]["content"] == "Yes"
    assert batch.count(held, held_answers, forced=False)[0] == 2  # with the end of the answer


def _check(made: Report, kind: str) -> None:
    assert [row[:2] for row in made.rows] == [
        [kind, way] for way in ("our job", *real_engine._BATCHES.values())
    ]
    values = made.data["engines"][kind]
    ours, forced, grammar = values["ours"], values["forced"], values["grammar"]
    names = [level["name"] for level in forced["levels"]]
    assert names[:2] == ["sample 0", "judge 0"]
    assert ours["sequences"] >= 2 + 2 * 3
    # Answers of a request share one length with llama.cpp: rounding is all that they differ by.
    assert forced["tokens"] == pytest.approx(ours["tokens"], abs=ours["sequences"])
    assert grammar["tokens"] > 0
    for did in (forced, grammar):
        assert did["prefilled"] > 0 and did["work_s"] > 0
    assert ours["prefilled"] > 0 and ours["client_cpu_s"] > 0 and 0 < ours["occupancy"] <= 1
    assert json.loads(json.dumps(made.data)) == made.data


@pytest.mark.slow
@pytest.mark.engine
def test_a_round_on_llama_cpp_beside_its_own_batch() -> None:
    engines = [real_engine.Engine("llamacpp", Path(sys.executable), 4)]
    _check(real_engine.measure(1, engines=engines, options=real_engine.QUICK), "llamacpp")


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="vLLM is not installed here: make test-vllm"
)
def test_a_round_on_vllm_beside_its_own_batch() -> None:
    engines = [real_engine.Engine("vllm", Path(sys.executable), 16)]
    made = real_engine.measure(2, engines=engines, options=real_engine.QUICK)
    _check(made, "vllm")
    values = made.data["engines"]["vllm"]
    assert values["forced"]["tokens"] == values["ours"]["tokens"]


def test_an_engine_that_is_not_installed_has_a_row_that_says_so(tmp_path: Path) -> None:
    made = real_engine.measure(1, engines=[real_engine.Engine("vllm", tmp_path / "python", 4)])
    [row] = made.rows
    assert row[:2] == ["vllm", real_engine.NOT_INSTALLED]
    assert len(row) == len(made.columns)
