from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from spar_core.checked_judging import Task
from spar_core.decoding import SearchSettings, Team, decode
from spar_core.engine.journal import Journal, JournaledEngine
from spar_core.engine.meter import Meter, Usage
from spar_core.engine.protocol import ChatRequest, ItemError, Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.voting import Ballot, JudgeSettings, count

SAMPLING = Sampling(0.7, 1.0, 64)
REQUEST = ChatRequest(({"role": "user", "content": "hé \x00 \U0001f600"},), SAMPLING, n=2, seed=3)


def _echo(request: ChatRequest) -> Sequence[str]:
    return [f"{request.messages[-1]['content']} {i}" for i in range(request.n)]


def _ask(journal: Journal, engine: ScriptedEngine, item: str, request: ChatRequest) -> object:
    return asyncio.run(JournaledEngine(engine, journal, item).chat(request))


def test_an_answer_is_paid_for_once_even_by_another_process(tmp_path: Path) -> None:
    engine = ScriptedEngine(_echo)
    first = _ask(Journal(tmp_path / "j" / "a.sqlite"), engine, "x", REQUEST)  # never closed
    again = _ask(Journal(tmp_path / "j" / "a.sqlite"), engine, "x", REQUEST)
    assert again == first
    assert len(engine.requests) == 1


@pytest.mark.parametrize(
    ("item", "request_"),
    [
        ("y", REQUEST),
        ("x", replace(REQUEST, seed=4)),
        ("x", replace(REQUEST, n=1)),
        ("x", replace(REQUEST, grammar="root ::= [a-z]")),
        ("x", replace(REQUEST, sampling=replace(SAMPLING, temperature=0.1))),
        ("x", replace(REQUEST, messages=({"role": "user", "content": "b"},))),
    ],
)
def test_anything_else_is_asked(tmp_path: Path, item: str, request_: ChatRequest) -> None:
    engine, journal = ScriptedEngine(_echo), Journal(tmp_path / "a.sqlite")
    _ask(journal, engine, "x", REQUEST)
    _ask(journal, engine, item, request_)
    assert len(engine.requests) == 2


def test_with_other_fields_in_its_requests_an_engine_is_asked_again(tmp_path: Path) -> None:
    engine, journal = ScriptedEngine(_echo), Journal(tmp_path / "a.sqlite")
    for body in ("", '{"top_k":20}', "", '{"top_k":20}'):
        asyncio.run(JournaledEngine(engine, journal, "x", body=body).chat(REQUEST))
    assert len(engine.requests) == 2


def test_forgotten_items_are_asked_again_and_others_are_not(tmp_path: Path) -> None:
    engine, journal = ScriptedEngine(_echo), Journal(tmp_path / "a.sqlite")
    for item in ("x", "y"):
        _ask(journal, engine, item, REQUEST)
    journal.forget(["x"])
    for item in ("x", "y"):
        _ask(journal, engine, item, REQUEST)
    assert len(engine.requests) == 3


def test_a_replayed_request_is_counted_as_such_and_costs_nothing(tmp_path: Path) -> None:
    meter, journal = Meter(), Journal(tmp_path / "a.sqlite")
    engine = JournaledEngine(ScriptedEngine(_echo, meter), journal, "x", meter)
    asyncio.run(engine.chat(REQUEST))
    first = meter.take()
    asyncio.run(engine.chat(REQUEST))
    again = meter.take()
    assert (first.requests, first.replayed) == (1, 0)
    assert first.completion_tokens > 0
    assert again == Usage(
        replayed=1,
        replayed_prompt_tokens=first.prompt_tokens,
        replayed_completion_tokens=first.completion_tokens,
    )


def test_another_models_answers_are_no_answers(tmp_path: Path) -> None:
    one, other, journal = ScriptedEngine(_echo), ScriptedEngine(_echo), Journal(tmp_path / "a")
    other.name = "other"
    for engine in (one, other):
        _ask(journal, engine, "x", REQUEST)
    assert len(one.requests) == len(other.requests) == 1


def test_forgetting_leaves_nothing_of_the_items(tmp_path: Path) -> None:
    engine, journal = ScriptedEngine(_echo), Journal(tmp_path / "a.sqlite")
    for item in ("x", "y", "it's"):
        _ask(journal, engine, item, REQUEST)
        _ask(journal, engine, item, replace(REQUEST, seed=9))
    journal.forget(["x", "it's", "never asked"])
    rows = journal._db.execute("select distinct item, count(*) from answers group by 1").fetchall()
    assert rows == [("y", 2)]
    journal.forget([])
    journal.forget(["y"])
    journal.close()
    again = Journal(tmp_path / "a.sqlite")
    assert again._db.execute("select * from answers").fetchall() == []


def test_an_answer_that_failed_is_not_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.sqlite")

    def broken(_: ChatRequest) -> Sequence[str]:
        raise ItemError("broken")

    with pytest.raises(ItemError):
        _ask(journal, ScriptedEngine(broken), "x", REQUEST)
    engine = ScriptedEngine(_echo)
    _ask(journal, engine, "x", REQUEST)
    assert len(engine.requests) == 1


def test_threads_and_journals_of_one_file_do_not_lose_answers(tmp_path: Path) -> None:
    path, count_ = tmp_path / "a.sqlite", 40
    journals = [Journal(path), Journal(path)]

    def work(number: int) -> None:
        for i in range(count_):
            request = replace(REQUEST, seed=i)
            _ask(journals[number % 2], ScriptedEngine(_echo), f"t{number}", request)
            if i % 10 == 9:
                journals[number % 2].forget(["nobody"])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = journals[0]._db.execute("select item, count(*) from answers group by 1").fetchall()
    assert rows == [(f"t{n}", count_) for n in range(4)]


def test_a_search_cut_off_anywhere_replays_what_it_paid_for(tmp_path: Path) -> None:
    settings = SearchSettings(JudgeSettings(SAMPLING), SAMPLING)
    root = count([Ballot("No", "Final Judgement: No")] * 5, 3)

    class Cut(Exception):
        """The process dies here."""

    def script(request: ChatRequest) -> Sequence[str]:
        if len(request.messages) > 1:
            return [f"[[start]] {request.seed} {i} [[end]]" for i in range(request.n)]
        return ["Final Judgement: No"] * request.n

    async def grow(engine: JournaledEngine) -> object:
        return await decode(Team(engine, engine), Task("p"), settings, seed=5, root=("r", root))

    whole = ScriptedEngine(script)
    expected = asyncio.run(grow(JournaledEngine(whole, Journal(tmp_path / "w.sqlite"), "t")))
    asked = len(whole.requests)
    for cut in range(asked):
        journal, left = Journal(tmp_path / f"{cut}.sqlite"), cut

        def until_cut(request: ChatRequest) -> Sequence[str]:
            nonlocal left
            if not left:
                raise Cut
            left -= 1
            return script(request)

        with pytest.raises(Cut):
            asyncio.run(grow(JournaledEngine(ScriptedEngine(until_cut), journal, "t")))
        rest = ScriptedEngine(script)
        assert asyncio.run(grow(JournaledEngine(rest, journal, "t"))) == expected
        assert len(rest.requests) == asked - cut


def test_a_full_disk_is_an_os_error(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.sqlite")
    journal._db.execute("pragma max_page_count = 3")
    engine = ScriptedEngine(lambda request: ["x" * 50_000])
    with pytest.raises(OSError, match="journal"):
        _ask(journal, engine, "x", replace(REQUEST, n=1))


def test_forgetting_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.sqlite")
    _ask(journal, ScriptedEngine(_echo), "x", REQUEST)
    journal._db.execute("pragma query_only = on")
    with pytest.raises(OSError, match="journal"):
        journal.forget(["x"])


def test_journal_that_cannot_be_opened_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").mkdir()
    with pytest.raises(OSError, match="journal"):
        Journal(tmp_path / "a.sqlite")


def test_journal_that_is_spoilt_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"\0" * 4096)
    engine = ScriptedEngine(_echo)
    _ask(Journal(tmp_path / "a.sqlite"), engine, "x", REQUEST)
    _ask(Journal(tmp_path / "a.sqlite"), engine, "x", REQUEST)
    assert len(engine.requests) == 1


def test_many_open_it_at_once(tmp_path: Path) -> None:
    path, opened = tmp_path / "j.sqlite", []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        opened.append(Journal(path))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 8
    for journal in opened:
        journal.close()
