"""A bundle that is tried again asks nothing for what it had committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import sample
from pipelines.execution import work
from pipelines.execution.inference import Inference
from pipelines.execution.options import parse
from pipelines.execution.parts import parts
from pipelines.execution.plan import plan
from pipelines.execution.session import Session
from pipelines.execution.stop import RunStopped
from spar_core.dataset import Dataset
from spar_core.engine.spec import EngineSpec
from spar_core.methods import METHODS
from tests.loopback import LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import query, role, story

TEXTS = [f"Prompt {n}: one line, please." for n in range(40)]


def test_a_bundle_tried_again_passes_over_what_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = str(tmp_path / "run")
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)
    with serving(story) as server:
        line = ["--run", run, "--prompts", str(prompts), "--engine_url", server.url]
        assert sample.main(line) == 0
        job = parse("refine", "", METHODS, [*line, "--model", "loopback"])
        judge = parts(job, None)[1].part
        planned = plan(judge, job.dataset, "p")
        session = Session()
        specs = {"judge": job.engines["judge"]}
        before = len(server.bodies)

        def bundle() -> None:
            doing = Inference([judge], job.dataset, specs, session)
            doing.setup()
            try:
                doing.start_bundle()
                for each in planned.works:
                    doing.process(each)
                doing.finish_bundle()
            finally:
                doing.teardown()

        commit, commits = Dataset.commit, []

        def failing(self: Dataset, *args: object) -> int:
            commits.append(args)
            if len(commits) > 3:
                raise OSError(5, "the disk is away")
            return commit(self, *args)  # type: ignore[arg-type]

        with monkeypatch.context() as broken:
            broken.setattr(Dataset, "commit", failing)
            with pytest.raises(RunStopped, match="the disk is away"):
                bundle()
        [(held,)] = query(run, "select count(*) from judgements")
        assert 0 < held < 5 * len(TEXTS)
        asked = len(server.bodies)
        for path in Path(run, "_journal").rglob("judge.sqlite*"):
            path.unlink()  # as on an object store, where there is none
        bundle()
        session.close()
        again = sum(role(body) == "judge" for body in server.bodies[asked:])
    assert query(run, "select count(*), count(distinct response_id) from judgements") == [
        (200, 200)
    ]
    assert again == 5 * len(TEXTS) - held
    assert asked - before <= 5 * len(TEXTS)


def test_work_files_hold_each_item_once_in_its_bucket(
    tmp_path: Path, server: LoopbackServer
) -> None:
    run = str(tmp_path / "run")
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)
    line = ["--run", run, "--prompts", str(prompts), "--engine_url", server.url]
    assert sample.main(line) == 0
    job = parse("refine", "", METHODS, [*line, "--model", "loopback"])
    judge = parts(job, None)[1].part
    planned = plan(judge, job.dataset, "p")
    buckets = {w.bucket: [item["key"] for item in work.read(w)] for w in planned.works}
    keys = [key for some in buckets.values() for key in some]
    assert len(keys) == len({*keys}) == planned.pending == planned.total == 200
    assert len(buckets) > 8
    some = parts(job, query(run, "select list(prompt_id) from prompts limit 1")[0][0][:3])[1].part
    smaller = {
        w.bucket: [i["key"] for i in work.read(w)] for w in plan(some, job.dataset, "q").works
    }
    assert sum(map(len, smaller.values())) == 15
    assert all(set(smaller[bucket]) <= set(buckets[bucket]) for bucket in smaller), (
        "an item has the same bucket in every plan"
    )


def test_bundles_at_the_same_time_share_the_room_of_their_engines(tmp_path: Path) -> None:
    session, dataset = Session(), Dataset(str(tmp_path), 0)
    spec = EngineSpec("scripted", "tests.spar_core.engine.test_engines:echo", slots=64)
    one, other = (Inference([], dataset, {"r": spec}, session) for _ in range(2))
    for each in (one, other):
        each.setup()
    one.start_bundle()
    assert one._room() == 256, "one that waits for its bundle takes nothing"
    other.start_bundle()
    assert one._room() == other._room() == 128
    one.finish_bundle()
    assert other._room() == 256
    one.start_bundle()
    one.teardown()
    assert other._room() == 256, "a bundle that was given up is over"
    other.teardown()
    session.close()
