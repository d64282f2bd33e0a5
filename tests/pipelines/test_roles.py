"""Actor, refiner and judge at servers of their own."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines import refine
from pipelines.execution import job
from spar_core.dataset import Rows
from spar_core.decoding import Strategy, Team, decode
from spar_core.engine.protocol import Sampling, seed_of
from spar_core.records import node_rows, tree_row
from spar_core.stage import Context, Item, Stage, StageSettings
from spar_core.stages.judge import CONSTRAINED, FEWER_VOTES, VOTING, voting
from spar_core.stages.tree_search import SearchSettings
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import query, role, story

TEXTS = [f"Prompt {n}: one line, please." for n in range(60)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSettings(StageSettings):
    search: SearchSettings


async def _answer(context: Context[AnswerSettings], item: Item) -> Rows:
    engines, settings = context.engines, context.settings
    team = Team(refiner=engines["refiner"], judge=engines["judge"], actor=engines["actor"])
    seed = seed_of(settings.seed, "answer", item["key"])
    found = await decode(
        team, item["prompt"], settings.search, seed, answering=Sampling(0.9, 0.9, 64)
    )
    tree, bfs = f"{item['key']}.answer", "bfs"
    row = tree_row(tree, item["key"], f"{tree}.0", found, bfs, engines["refiner"].name)
    return {"trees": [row], "nodes": node_rows(tree, item["key"], found)}


def _settings(options: Namespace) -> AnswerSettings:
    strategy: Strategy = "bfs"
    search = SearchSettings(voting(options), Sampling(0.7, 1.0, 64), strategy=strategy)
    return AnswerSettings(seed=options.seed, search=search)


ANSWER = Stage(
    name="answer",
    noun="prompts",
    items="select prompt_id as key, prompt from prompts "
    "where prompt_id in (select prompt_id from scope)",
    task=_answer,
    settings=_settings,
    writes=("trees", "nodes"),
    options=(VOTING, CONSTRAINED, FEWER_VOTES),
    roles=("actor", "refiner", "judge"),
)


class Busy:
    """Servers that note who is asked while others are."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {"actor": 0, "judge": 0, "refine": 0}
        self.together = 0

    def script(self, name: str) -> object:
        async def answer(body: Body) -> Answer:
            assert role(body) == name, f"{role(body)} is asked at the server of {name}"
            self.now[name] += 1
            self.together += all(self.now.values())
            await asyncio.sleep(0.03)
            self.now[name] -= 1
            return story(body)

        return answer


def test_three_engines_of_one_job_are_busy_at_once(tmp_path: Path) -> None:
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)
    busy = Busy()
    with (
        serving(busy.script("actor")) as actor,  # type: ignore[arg-type]
        serving(busy.script("refine")) as refiner,  # type: ignore[arg-type]
        serving(busy.script("judge")) as judge,  # type: ignore[arg-type]
    ):
        urls = ["--actor_url", actor.url, "--refiner_url", refiner.url, "--judge_url", judge.url]
        line = ["--run", str(tmp_path / "run"), "--prompts", str(prompts), *urls, "--slots", "4"]
        assert job.main("answer", "", {"answer": (ANSWER,)}, line) == 0
    assert busy.together > 20, "requests that came while all three were at work"
    assert query(tmp_path / "run", "select count(*) from trees") == [(len(TEXTS),)]


def asked(server: LoopbackServer) -> set[str]:
    return {role(body) for body in server.bodies}


def test_votes_go_to_the_judge_and_refinements_to_the_refiner(
    tmp_path: Path, prompts: Path, finished_run: Path
) -> None:
    with serving(story) as actor, serving(story) as refiner, serving(story) as judge:
        urls = ["--engine_url", actor.url, "--refiner_url", refiner.url, "--judge_url", judge.url]
        line = ["--run", str(tmp_path / "run"), "--prompts", str(prompts), *urls]
        assert refine.main(line) == 0
        assert [asked(server) for server in (actor, refiner, judge)] == [
            {"actor"},
            {"refine"},
            {"judge"},
        ]
    assert rounds.tables(tmp_path / "run") == rounds.tables(finished_run)


def test_a_roles_key_goes_to_its_own_server_only(
    tmp_path: Path, prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_API_KEY", "key-of-the-judge")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-all-others")
    with serving(story) as server, serving(story) as judge:
        line = ["--engine_url", server.url, "--judge_url", judge.url]
        assert refine.main(["--run", str(tmp_path / "run"), "--prompts", str(prompts), *line]) == 0
        keys = [{h["Authorization"] for h in each.headers} for each in (server, judge)]
    assert keys == [{"Bearer key-of-all-others"}, {"Bearer key-of-the-judge"}]
    for data, _ in rounds.files(tmp_path / "run").values():
        assert b"key-of-" not in data
