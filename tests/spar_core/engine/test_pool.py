"""Several servers as one engine: who is asked, who is left out, and what is counted."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import pytest

from spar_core.engine import pool as module
from spar_core.engine.faults import Tries
from spar_core.engine.openai import ATTEMPTS
from spar_core.engine.pool import STRIKES, EnginePool
from spar_core.engine.protocol import (
    ChatAnswer,
    ChatRequest,
    Choice,
    EngineAway,
    EngineGone,
    ItemError,
    Message,
    PromptTooLong,
    Sampling,
)
from spar_core.engine.served import Card

T = TypeVar("T")
SLOTS = 4
A, B, C = "http://a", "http://b", "http://c"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for long."""
    monkeypatch.setattr(module, "TICK_S", 0.01)
    monkeypatch.setattr(module, "REST_S", 0.01)
    monkeypatch.setattr(module, "LONGEST_REST_S", 0.02)
    monkeypatch.setattr("random.uniform", lambda *_: 0.0)


def request(seed: int = 0, text: str = "hi", n: int = 1) -> ChatRequest:
    messages: tuple[Message, ...] = ({"role": "user", "content": text},)
    return ChatRequest(messages, Sampling(1, 1, 9), n, seed)


class Fake:
    """A server's client whose answers a test gives.

    asked: seeds in the order in which they came. answer: what to answer at once, None to hold a
    request until `finish`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[int] = []
        self.held: dict[int, asyncio.Future[None]] = {}
        self.answer: Callable[[ChatRequest], ChatAnswer] | None = None
        self.is_closed = False

    async def ask(self, request: ChatRequest, tries: Tries | None = None) -> ChatAnswer:
        assert tries is not None and not self.is_closed
        self.asked.append(request.seed)
        tries.sent += 1
        try:
            if self.answer is None:
                held = self.held[request.seed] = asyncio.get_running_loop().create_future()
                await held
                return good(request, self.url)
            await asyncio.sleep(0)
            return self.answer(request)
        except ItemError as error:
            if error.cause == ItemError.cause:
                tries.hard_faults += 1
            raise
        finally:
            self.held.pop(request.seed, None)

    async def close(self) -> None:
        self.is_closed = True

    async def finish(self, *seeds: int) -> None:
        for seed in seeds or tuple(self.held):
            self.held[seed].set_result(None)
        await settled()

    async def fail(self, trouble: Exception, *seeds: int) -> None:
        for seed in seeds or tuple(self.held):
            self.held[seed].set_exception(trouble)
        await settled()


def good(request: ChatRequest, url: str = "") -> ChatAnswer:
    return ChatAnswer(tuple(Choice(url, "stop", 1) for _ in range(request.n)), 1)


def raising(make: Callable[[], Exception]) -> Callable[[ChatRequest], ChatAnswer]:
    def answer(_: ChatRequest) -> ChatAnswer:
        raise make()

    return answer


def away() -> EngineAway:
    return EngineAway("it is away")


class Place:
    """A pool over fakes.

    named: the URLs that are named, or what is wrong with the list. trouble: what looking at a
    server finds.
    """

    def __init__(self, *urls: str, slots: int = SLOTS, patience_s: float = 60.0) -> None:
        self.named: Sequence[str] | Exception = urls
        self.trouble: dict[str, EngineGone] = {}
        self.fakes: dict[str, Fake] = {}
        self.pool = EnginePool(
            "model", self._listed, self._look, self._make, slots=slots, patience_s=patience_s
        )

    def _listed(self) -> Sequence[str]:
        if isinstance(self.named, Exception):
            raise self.named
        return self.named

    async def _look(self, url: str) -> Card | None:
        if url in self.trouble:
            raise self.trouble[url]
        return None

    def _make(self, url: str, card: Card | None) -> Fake:
        self.fakes[url] = Fake(url)
        return self.fakes[url]

    def __getitem__(self, url: str) -> Fake:
        return self.fakes[url]

    async def start(self, *requests: ChatRequest) -> list[asyncio.Task[ChatAnswer]]:
        """Ask, one after another."""
        tasks = []
        for each in requests:
            tasks.append(asyncio.create_task(self.pool.chat(each)))
            await settled()
        return tasks

    def asked(self) -> dict[str, list[int]]:
        return {url: fake.asked for url, fake in self.fakes.items()}


async def settled() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def opened(place: Place) -> Any:
    await place.pool.open()
    try:
        yield place
    finally:
        await place.pool.close()


def play(place: Place, do: Callable[[Place], Awaitable[T]]) -> T:
    """Open the pool, do something with it, close it."""

    async def main() -> T:
        async with opened(place):
            return await do(place)

    return asyncio.run(main())


@contextmanager
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    lines: list[str] = []
    with caplog.at_level(logging.WARNING, module.__name__):
        yield lines
    lines += [each.getMessage() for each in caplog.records if each.name == module.__name__]


# Where room is


def test_requests_go_to_the_emptiest_and_wait_where_all_are_full() -> None:
    async def do(place: Place) -> None:
        tasks = await place.start(*map(request, range(2 * 2 * SLOTS + 1)))
        assert place.asked() == {A: [*range(0, 16, 2)], B: [*range(1, 16, 2)]}
        await place[B].finish(5)
        assert 16 not in place[B].asked, "it is not clearly emptier yet"
        await place[B].finish(7)
        assert place[B].asked[-1] == 16, "it goes where room is"
        while any(not task.done() for task in tasks):
            await place[A].finish()
            await place[B].finish()

    play(Place(A, B), do)


def test_sequences_are_what_fills_a_server() -> None:
    async def do(place: Place) -> None:
        tasks = await place.start(request(0, n=6), request(1, n=2), request(2, n=2))
        assert place.asked() == {A: [0], B: [1, 2]}
        tasks += await place.start(request(3, n=99))
        assert place.asked() == {A: [0], B: [1, 2]}, "more than the limit goes alone"
        await place[B].finish()
        assert place.asked() == {A: [0], B: [1, 2, 3]}
        await place[A].finish()
        await place[B].finish()
        assert all(task.done() for task in tasks)

    play(Place(A, B), do)


def test_first_come_goes_first_at_a_full_server() -> None:
    async def do(place: Place) -> None:
        tasks = await place.start(*map(request, range(12)))
        assert place[A].asked == [*range(8)]
        for _ in tasks:
            await place[A].finish(min(place[A].held))
        assert place[A].asked == [*range(12)]

    play(Place(A), do)


def test_servers_that_are_as_wide_as_one_are_as_busy() -> None:
    """Four of 4 slots do what one of 16 does, in as many steps, whatever the requests' sizes."""

    async def steps(place: Place) -> int:
        sizes = [1 + i * 7 % 5 for i in range(200)]
        tasks = await place.start(*(request(i, n=size) for i, size in enumerate(sizes)))
        taken = 0
        while not all(task.done() for task in tasks):
            taken += 1
            for fake in place.fakes.values():
                await fake.finish(*list(fake.held)[:2])
        return taken

    urls = [f"http://{name}" for name in "abcd"]
    one, four = 600 / 32, play(Place(*urls), steps)
    assert four <= 1.15 * 200 / 8, (one, four)


# Chats stay where they began

LONG = "x" * 1000


def test_chat_goes_on_where_it_began() -> None:
    async def do(place: Place) -> None:
        await place.start(request(0, "a" + LONG), request(1, "b" + LONG), request(2, "c" + LONG))
        for url in (A, B, C):
            await place[url].finish()
        await place.start(request(3, "b" + LONG + "more"), request(4, "c" + LONG), request(5, "c"))
        assert place.asked() == {A: [0, 5], B: [1, 3], C: [2, 4]}
        for url in (A, B, C):
            await place[url].finish()

    play(Place(A, B, C), do)


def test_chat_goes_elsewhere_where_its_server_is_clearly_fuller() -> None:
    async def do(place: Place) -> None:
        await place.start(*(request(i, LONG, n=2) for i in range(8)))
        # Half of the slots, 2 sequences, may be the difference; then both have the beginning.
        assert place.asked() == {A: [0, 1, 4, 6], B: [2, 3, 5, 7]}
        for url in (A, B):
            await place[url].finish()

    play(Place(A, B), do)


def test_what_all_chats_begin_with_binds_them_to_nobody() -> None:
    async def do(place: Place) -> None:
        for number in range(8):
            await place.start(request(number, LONG + str(number) * 200))
        for url in (A, B):
            await place[url].finish()
        assert abs(len(place[A].asked) - len(place[B].asked)) <= 2
        before = place.asked()
        home = A if 5 in before[A] else B
        await place.start(request(99, LONG + "5" * 200 + "and on"))
        assert place[home].asked[-1] == 99
        await place[home].finish()

    play(Place(A, B), do)


def test_what_waits_at_a_full_server_is_taken_over_by_one_that_runs_empty() -> None:
    async def do(place: Place) -> None:
        tasks = await place.start(*(request(i, LONG) for i in range(20)))
        assert [len(fake.held) for fake in place.fakes.values()] == [8, 8]
        for _ in range(12):
            if place[B].held:
                await place[B].finish(min(place[B].held))
        # B ends twelve while A ends none: it has its own two and A's two.
        assert len(place[A].asked) == 8 and len(place[B].asked) == 12
        await place[A].finish()
        assert all(task.done() for task in tasks)

    play(Place(A, B), do)


# Who fails is left out


def test_what_a_server_fails_is_answered_by_another_and_it_is_asked_no_more() -> None:
    async def do(place: Place) -> None:
        place.trouble[A] = away()
        place[A].answer = raising(away)
        place[B].answer = good
        for seed in range(10):
            await place.pool.chat(request(seed))
        assert place.asked() == {A: [0], B: [*range(10)]}
        assert place.pool.slots == 2 * SLOTS

    play(Place(A, B), do)


def test_what_waits_for_a_server_that_fails_goes_to_the_others() -> None:
    async def do(place: Place) -> None:
        tasks = await place.start(*map(request, range(20)))
        place.trouble[A] = away()
        await place[A].fail(away(), 0)
        for _ in range(20):
            await place[B].finish()
        assert sorted({*place[B].asked} | {2, 4, 6, 8, 10, 12, 14}) == [*range(20)]
        await place[A].finish()
        assert all(task.result() for task in tasks)
        assert place[A].asked == [*range(0, 16, 2)], "what it was doing it may end, no more"

    play(Place(A, B), do)


def test_server_that_is_back_gets_one_request_until_it_answers() -> None:
    async def do(place: Place) -> None:
        place.trouble[A] = away()
        first = await place.start(request(0))
        await place[A].fail(away())
        tasks = await place.start(*map(request, range(1, 12)))
        assert place[A].asked == [0]
        del place.trouble[A]
        await until(lambda: len(place[A].asked) > 1)
        assert len(place[A].asked) == 2, "on trial"
        await place[A].finish()
        assert len(place[A].held) >= 2, "it has its share of what waited"
        while not all(task.done() for task in [*first, *tasks]):
            await place[A].finish()
            await place[B].finish()

    play(Place(A, B), do)


def test_server_that_fails_its_trial_rests_longer() -> None:
    async def do(place: Place) -> list[float]:
        times: list[float] = []

        def answer(request: ChatRequest) -> ChatAnswer:
            times.append(time.monotonic())
            raise away()

        place[A].answer, place[B].answer = answer, good
        while len(times) < 4:
            await place.pool.chat(request())
            await asyncio.sleep(0.001)
        return [later - earlier for earlier, later in itertools.pairwise(times)]

    module.REST_S, module.LONGEST_REST_S = 0.05, 0.1  # the fixture sets them back
    assert play(Place(A, B), do)[1] >= 0.1


def test_server_that_says_when_to_come_back_is_believed() -> None:
    async def do(place: Place) -> float:
        place[A].answer = raising(lambda: EngineAway("busy", wait_s=0.3))
        place[B].answer = good
        await place.pool.chat(request())
        began = time.monotonic()
        while len(place[A].asked) < 2:
            await place.pool.chat(request())
            await asyncio.sleep(0.001)
        return time.monotonic() - began

    assert play(Place(A, B), do) >= 0.25


def test_request_that_errors_is_tried_elsewhere_and_five_times_in_all() -> None:
    async def do(place: Place) -> None:
        for fake in place.fakes.values():
            fake.answer = raising(lambda: ItemError("HTTP 500"))
        with pytest.raises(ItemError, match="HTTP 500") as caught:
            await place.pool.chat(request())
        assert caught.value.attempts == ATTEMPTS
        counts = [len(fake.asked) for fake in place.fakes.values()]
        assert sum(counts) == ATTEMPTS and min(counts) == 1
        place[A].answer = place[B].answer = place[C].answer = good
        for seed in range(6):
            await place.pool.chat(request(seed))
        assert sum(map(len, place.asked().values())) == ATTEMPTS + 6, "nobody was left out for it"

    play(Place(A, B, C), do)


def test_request_that_is_refused_for_what_it_is_is_not_moved() -> None:
    async def do(place: Place) -> None:
        place[A].answer = raising(lambda: PromptTooLong("long"))
        with pytest.raises(PromptTooLong):
            await place.pool.chat(request())
        assert place.asked() == {A: [0], B: []}

    play(Place(A, B), do)


def test_server_that_fails_what_others_answer_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async def do(place: Place) -> None:
        place.trouble[A] = away()
        place[A].answer = raising(lambda: ItemError("CUDA error"))
        place[B].answer = good
        for seed in range(10):
            await place.pool.chat(request(seed))
        assert place.asked() == {A: [0, 1, 2], B: [*range(10)]}

    assert STRIKES == 3
    with said(caplog) as lines:
        play(Place(A, B), do)
    assert lines == [
        "the engine at http://a fails what others answer; it is left out and asked again"
    ]


def test_server_is_not_blamed_for_what_failed_before_it_last_answered() -> None:
    async def do(place: Place) -> None:
        tasks = await place.start(*map(request, range(2 * STRIKES)))
        failing = tuple(place[A].held)
        for seed in failing:
            await place[A].fail(ItemError("connection lost"), seed)
        tasks += await place.start(request(50), request(51), request(52), request(53))
        assert place[A].held
        await place[A].finish()
        await place[B].finish()
        tasks += await place.start(request(60))
        assert 60 in place[A].asked, "it is in"
        await place[A].finish()
        await place[B].finish()
        assert all(task.done() for task in tasks)

    play(Place(A, B), do)


# All are gone


def test_all_gone_for_longer_than_patience_ends_the_engine() -> None:
    async def do(place: Place) -> float:
        began = time.monotonic()
        for url in (A, B):
            place.trouble[url] = away()
            place[url].answer = raising(away)
        waits = [place.pool.chat(request(seed)) for seed in range(20)]
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {EngineGone}
        assert "all 2 engines are gone; the last: it is away" in str(outcomes[0])
        return time.monotonic() - began

    assert 0.2 <= play(Place(A, B, patience_s=0.2), do) < 60


def test_one_that_is_back_in_time_answers_what_waited() -> None:
    async def do(place: Place) -> None:
        for url in (A, B):
            place.trouble[url] = away()
            place[url].answer = raising(away)
        tasks = await place.start(*map(request, range(20)))
        await asyncio.sleep(0.05)
        place[B].answer = good
        del place.trouble[B]
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks)
        assert place.pool._silent_since is None

    play(Place(A, B), do)


def test_patience_does_not_end_with_a_server_that_is_there_and_answers_nothing() -> None:
    async def do(place: Place) -> None:
        for url in (A, B):
            place[url].answer = raising(away)
        with pytest.raises(EngineGone):
            async with asyncio.timeout(60):
                await place.pool.chat(request())

    play(Place(A, B, patience_s=0.2), do)


def test_what_does_not_pass_is_not_waited_for() -> None:
    async def do(place: Place) -> None:
        for url in (A, B):
            place.trouble[url] = EngineGone(f"{url} refuses the key")
            place[url].answer = raising(lambda: EngineGone("refuses the key"))
        async with asyncio.timeout(60):
            with pytest.raises(EngineGone, match="refuses the key"):
                await place.pool.chat(request())

    play(Place(A, B, patience_s=60), do)


def test_pool_that_nobody_can_be_in_does_not_open() -> None:
    place = Place(A)
    place.trouble[A] = EngineGone("it serves another model")
    with pytest.raises(EngineGone, match=r"^it serves another model$"):
        play(place, lambda _: settled())


def test_pool_opens_with_those_that_are_there(caplog: pytest.LogCaptureFixture) -> None:
    place = Place(A, B)
    place.trouble[A] = away()

    async def do(place: Place) -> None:
        assert place.pool.slots == SLOTS
        place[B].answer = good
        await place.pool.chat(request())
        del place.trouble[A]
        await until(lambda: A in place.fakes)
        assert place.pool.slots == 2 * SLOTS

    with said(caplog) as lines:
        play(place, do)
    assert lines == ["it is away; it is left out and asked again"], "once"


# Who is named


def test_server_that_is_named_later_joins_and_takes_over_what_waits() -> None:
    async def do(place: Place) -> None:
        tasks = await place.start(*map(request, range(20)))
        assert place.pool.slots == SLOTS
        place.named = (A, B)
        await until(lambda: B in place.fakes)
        await settled()
        assert place.pool.slots == 2 * SLOTS
        # A has 8 in flight and 12 waiting; B takes until it is no longer clearly emptier.
        assert place[B].asked == [*range(8, 16)]
        while not all(task.done() for task in tasks):
            await place[A].finish()
            await place[B].finish()

    play(Place(A), do)


def test_server_that_is_named_no_longer_ends_what_it_does_and_is_closed() -> None:
    async def do(place: Place) -> None:
        tasks = await place.start(*map(request, range(18)))
        place.named = (B,)
        await until(lambda: place.pool.slots == SLOTS)
        assert len(place[A].held) == 8 and not place[A].is_closed
        await place[A].finish()
        await until(lambda: place[A].is_closed)
        assert len(place[A].asked) == 8
        while not all(task.done() for task in tasks):
            await place[B].finish()

    play(Place(A, B), do)


def test_list_of_others_that_are_all_away_is_waited_for_as_any() -> None:
    async def do(place: Place) -> None:
        place.trouble[B] = place.trouble[C] = away()
        place.named = (B, C)
        await until(lambda: place.pool._stranded or A not in place.pool._servers)
        async with asyncio.timeout(60):
            with pytest.raises(EngineGone, match=r"it is away|no engine"):
                await place.pool.chat(request())

    play(Place(A, patience_s=0.1), do)


def test_list_that_is_no_good_changes_nothing_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def do(place: Place) -> None:
        place.named = ValueError("engines.txt:3: foo is no URL")
        await until(lambda: caplog.records)
        await asyncio.sleep(0.1)
        place[A].answer = place[B].answer = good
        await place.pool.chat(request(0))
        await place.pool.chat(request(1))
        assert place.pool.slots == 2 * SLOTS

    with said(caplog) as lines:
        play(Place(A, B), do)
    assert lines == ["engines.txt:3: foo is no URL; the engines stay as they are"]


def test_server_of_another_model_that_is_named_later_is_left_out_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def do(place: Place) -> None:
        place.trouble[B] = EngineGone("the engine at http://b does not serve model, but other")
        place.named = (A, B)
        place[A].answer = good
        await until(lambda: caplog.records)
        await asyncio.sleep(0.1)
        for seed in range(4):
            await place.pool.chat(request(seed))
        assert place.asked() == {A: [0, 1, 2, 3]}
        assert place.pool.slots == SLOTS

    with said(caplog) as lines:
        play(Place(A), do)
    assert lines == [
        "the engine at http://b does not serve model, but other; it is left out and asked again"
    ]


def test_pool_whose_list_is_no_good_does_not_open() -> None:
    place = Place(A)
    place.named = ValueError("no file engines.txt")
    with pytest.raises(EngineGone, match=r"no file engines\.txt"):
        play(place, lambda _: settled())


# What is given up, and what is counted


@pytest.mark.parametrize("seed", [3, 12], ids=["in flight", "waiting"])
def test_request_that_is_cancelled_leaves_its_place(seed: int) -> None:
    async def do(place: Place) -> None:
        tasks = await place.start(*map(request, range(20)))
        tasks[seed].cancel()
        await settled()
        while not all(task.done() for task in tasks):
            await place[A].finish()
            await settled()
        (server,) = place.pool._servers.values()
        assert (server.inside, server.queued, len(server.queue)) == (0, 0, 0)
        assert sorted(place[A].asked) == [s for s in range(20) if s != seed or seed == 3]

    play(Place(A), do)


def test_many_that_are_cancelled_at_once_leave_nothing() -> None:
    async def do(place: Place) -> None:
        tasks = await place.start(*map(request, range(30)))
        for task in tasks[::2]:
            task.cancel()
        await place[B].finish(1)
        await asyncio.gather(*tasks[::2], return_exceptions=True)
        while not all(task.done() for task in tasks):
            await place[A].finish()
            await place[B].finish()
        for server in place.pool._servers.values():
            assert (server.inside, server.queued, len(server.queue)) == (0, 0, 0)

    play(Place(A, B), do)


def test_request_that_is_moved_is_one_request_of_its_whole_time() -> None:
    async def do(place: Place) -> None:
        [task] = await place.start(request(0, n=3))
        await place[A].fail(away())
        assert place.pool._meter.sequences == 3
        await place[B].finish()
        await task
        used = place.pool._meter.take()
        assert used.slots == [3] and len(used.latencies_ms) == 1
        assert place.pool._meter.sequences == 0

    play(Place(A, B), do)


def test_server_that_ignores_n_is_asked_for_the_rest() -> None:
    async def do(place: Place) -> None:
        place[A].answer = lambda each: good(request())
        answer = await place.pool.chat(request(7, n=3))
        assert len(answer.choices) == 3 and answer.prompt_tokens == 3
        assert place[A].asked == [7, 8, 9]

    play(Place(A), do)
