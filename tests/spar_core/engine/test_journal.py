from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from spar_core.engine.journal import Journal, JournaledEngine
from spar_core.engine.protocol import ChatRequest, Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.search import SearchSettings, search
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


def test_forgotten_items_are_asked_again_and_others_are_not(tmp_path: Path) -> None:
    engine, journal = ScriptedEngine(_echo), Journal(tmp_path / "a.sqlite")
    for item in ("x", "y"):
        _ask(journal, engine, item, REQUEST)
    journal.forget(["x"])
    for item in ("x", "y"):
        _ask(journal, engine, item, REQUEST)
    assert len(engine.requests) == 3


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
        return await search(engine, "p", "r", root, settings, seed=5)

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
