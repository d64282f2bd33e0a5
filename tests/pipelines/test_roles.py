"""Actor, refiner and judge at servers of their own."""

from __future__ import annotations

import asyncio
import threading
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines import refine
from pipelines.execution import command
from spar_core.checked_judging import Task
from spar_core.dataset import Rows
from spar_core.decoding import Strategy, Team, decode
from spar_core.engine.protocol import Sampling, seed_of
from spar_core.records import node_rows, tree_row
from spar_core.stage import Context, Item, Stage, StageSettings
from spar_core.stages.judge import CONSTRAINED, FEWER_VOTES, VOTING, voting
from spar_core.stages.tree_search import SearchSettings
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.gates import Gate
from tests.pipelines.rounds import query, role, small, story

TEXTS = [f"Prompt {n}: one line, please." for n in range(20)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSettings(StageSettings):
    search: SearchSettings


async def _answer(context: Context[AnswerSettings], item: Item) -> Rows:
    engines, settings = context.engines, context.settings
    team = Team(refiner=engines["refiner"], judge=engines["judge"], actor=engines["actor"])
    seed = seed_of(settings.seed, "answer", item["key"])
    found = await decode(
        team, Task(item["prompt"]), settings.search, seed, answering=Sampling(0.9, 0.9, 64)
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
    """Servers of three roles, of which none answers on before all three are at work.

    Before, four answers of the actor and all votes on one prompt are given: what follows from these
    is asked of the refiner.
    """

    def __init__(self) -> None:
        self.now: dict[str, int] = {"actor": 0, "judge": 0, "refine": 0}
        self.together = False
        self._answered = 0
        self._judged = ""

    def script(self, name: str) -> object:
        async def answer(body: Body) -> Answer:
            assert role(body) == name, f"{role(body)} is asked at the server of {name}"
            is_before = self._comes_before(name, body)
            self.now[name] += 1
            self.together |= all(self.now.values())
            deadline = time.monotonic() + 60
            while not (self.together or is_before) and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            self.now[name] -= 1
            return story(body)

        return answer

    def _comes_before(self, name: str, body: Body) -> bool:
        if name == "actor":
            self._answered += 1
            return self._answered <= 4
        prompt = body["messages"][0]["content"].partition("Output:")[0]
        self._judged = self._judged or prompt
        return name == "judge" and prompt == self._judged


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
        assert command.main("answer", "", {"answer": (ANSWER,)}, line) == 0
    assert busy.together, "all three were at work at one time"
    assert query(tmp_path / "run", "select count(*) from trees") == [(len(TEXTS),)]


def asked(server: LoopbackServer) -> set[str]:
    return {role(body) for body in server.bodies}


def test_votes_go_to_the_judge_and_refinements_to_the_refiner(
    tmp_path: Path, few: Path, small_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its key, which goes to the server of its role only and is written nowhere."""
    monkeypatch.setenv("JUDGE_API_KEY", "key-of-the-judge")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-all-others")
    with serving(story) as actor, serving(story) as refiner, serving(story) as judge:
        urls = ["--refiner_url", refiner.url, "--judge_url", judge.url]
        assert refine.main(small(tmp_path / "run", few, actor.url, *urls)) == 0
        servers = (actor, refiner, judge)
        assert [asked(server) for server in servers] == [{"actor"}, {"refine"}, {"judge"}]
        keys = [{h["Authorization"] for h in each.headers} for each in servers]
    others = {"Bearer key-of-all-others"}
    assert keys == [others, others, {"Bearer key-of-the-judge"}]
    assert rounds.tables(tmp_path / "run") == rounds.tables(small_run)
    for data, _ in rounds.files(tmp_path / "run").values():
        assert b"key-of-" not in data


def test_run_begun_with_one_server_goes_on_with_four(
    tmp_path: Path, few: Path, small_run: Path
) -> None:
    run = ["--run", str(tmp_path / "run"), "--prompts", str(few), *rounds.SMALL, "--slots", "2"]
    file = tmp_path / "engines.txt"
    slow = Gate(tmp_path / "run")
    slow.wait_s = 0.05  # so that requests are in flight at the same time, and few find room at one
    with serving(slow) as one, serving(slow) as two, serving(slow) as three:
        urls = [one.url, two.url, three.url]
        assert refine.main([*run, "--engine_url", one.url, "--limit", "1"]) == 0
        before = len(one.bodies)
        assert refine.main([*run, "--engine_url", ",".join(urls), "--limit", "3"]) == 0
        assert all(server.bodies for server in (two, three))
        assert before < len(one.bodies) + len(two.bodies) + len(three.bodies)
        file.write_text("\n".join(reversed(urls)))
        assert refine.main([*run, "--engine_url", f"@{file}"]) == 0
        bodies = [str(body) for server in (one, two, three) for body in server.bodies]
        assert len(bodies) == len({*bodies}), "nothing is asked twice"
    assert rounds.tables(tmp_path / "run") == rounds.tables(small_run)


def test_round_outlives_a_server_that_is_killed(tmp_path: Path, few: Path, small_run: Path) -> None:
    run = tmp_path / "run"
    servers: list[LoopbackServer] = []

    def answer(body: Body) -> Answer:
        if len(servers[0].bodies) == 5:
            threading.Thread(target=servers[0].close).start()
        return story(body)

    with serving(story) as other:
        servers.append(LoopbackServer(answer))
        urls = f"{servers[0].url},{other.url}"
        assert refine.main(small(run, few, urls, "--slots", "2")) == 0
        assert len(servers[0].bodies) < len(other.bodies)
    rounds.check(run, responses=2, depth=2, budget=3)
    assert rounds.tables(run) == rounds.tables(small_run)


@pytest.mark.parametrize("option", ["--engine_url", "--judge_url"])
@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("http://a,,http://b", "no URL beside a comma"),
        ("http://a,http://a/", "http://a stands there twice: name each engine once"),
        ("http://a,b:8000", "b:8000 is no URL of an engine: write it as http://host:8000"),
    ],
)
def test_list_that_is_no_good_is_a_line_that_names_the_option(
    option: str, said: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["--run", str(tmp_path / "run"), "--engine_url", "http://a", option, said]
    assert refine.main(line) == 2
    assert f"error: {option}: {message}" in capsys.readouterr().err


def test_file_of_servers_that_is_no_good_is_a_line_with_its_place(
    tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "engines.txt"
    line = ["--run", str(tmp_path / "run"), "--prompts", str(prompts), "--engine_url", f"@{file}"]
    assert refine.main(line) == 2
    assert (
        f"error: --engine_url: no file {file}: write one with a URL a line"
        in capsys.readouterr().err
    )
    file.write_text("http://a\njunk\n")
    assert refine.main(line) == 2
    assert f"error: --engine_url: {file}:2: junk is no URL of an engine" in capsys.readouterr().err


def test_server_of_another_model_among_several_is_one_line(
    tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(story) as one, serving(story) as other:
        other.models = ["larger"]
        line = ["--run", str(tmp_path / "run"), "--prompts", str(prompts)]
        line += ["--engine_url", f"{one.url},{other.url}"]
        assert refine.main(line) == 4
        assert "these engines serve no model in common" in capsys.readouterr().err
        assert refine.main([*line, "--model", "loopback"]) == 4
        assert f"{other.url} does not serve loopback, but larger" in capsys.readouterr().err
        assert not one.bodies
