"""Several servers of one model as one engine.

A request goes where its chat has begun before, so that the server's prefix cache has the beginning,
unless that server is clearly fuller than the emptiest; what waits at a full one is taken over by
those that have room. A server that fails is left out and asked again later, and what it failed is
asked elsewhere.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from spar_core.engine.endpoints import shown
from spar_core.engine.faults import Tries
from spar_core.engine.meter import Meter
from spar_core.engine.openai import ATTEMPTS, IN_FLIGHT
from spar_core.engine.prefixes import Prefixes, blocks_of
from spar_core.engine.protocol import (
    ChatAnswer,
    ChatRequest,
    EngineAway,
    EngineGone,
    ItemError,
)
from spar_core.engine.served import Card
from spar_core.engine.several_choices import in_full
from terminal.log import warn

STAY = 0.5
"""A server may have so many more sequences than the emptiest, in parts of its slots, before a chat
that it has begun goes on elsewhere."""

STRIKES = 3
"""So many requests failed in a row that others answered, and a server is left out."""

REST_S, LONGEST_REST_S = 1.0, 15.0
"""How long a server is left out at first; twice as long each time after, up to the other."""

LONGEST_WAIT_S = 60.0
"""How long it is left out at most where it says itself how long."""

TICK_S = 1.0
"""How often it is looked who may come back, and who is named."""


class Single(Protocol):
    """The client of one server."""

    async def ask(self, request: ChatRequest, tries: Tries | None = None) -> ChatAnswer: ...

    async def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request that waits for its turn at `at`, None while all servers are left out.

    failed: the servers that failed it; it goes back to them only where there are no others.
    """

    sequences: int
    blocks: Sequence[int]
    failed: list[_Server]
    turn: asyncio.Future[_Server]
    at: _Server | None = None


@dataclass(slots=True, eq=False)
class _Server:
    """One of the servers.

    bit: its own, among `Prefixes`. client: None until it was found to be there.
    inside, queued: sequences in flight, and of those that wait for it.
    is_in: it is given work. on_trial: one request at a time, until it has answered one.
    is_hopeless: what is wrong with it does not pass by itself.
    strikes: requests that it failed and others answered, in the spell since it last answered one
        or was left out.
    """

    url: str
    bit: int
    client: Single | None = None
    is_in: bool = False
    is_hopeless: bool = False
    on_trial: bool = False
    inside: int = 0
    queue: deque[_Waiting] = field(default_factory=deque)
    queued: int = 0
    spell: int = 0
    strikes: int = 0
    rest_s: float = REST_S
    rests_until: float = 0.0
    trouble: EngineGone | None = None

    @property
    def load(self) -> int:
        return self.inside + self.queued


class EnginePool:
    """Some servers of one model, used on one event loop.

    Args:
        listed: the URLs of the servers now; ValueError where that cannot be told.
        look: sees whether the model is served at a URL, and returns its card, None where there is
            none. Raises EngineAway or EngineGone.
        make: the client of a server, from its URL and the card, that counts with `meter` and raises
            at the first fault.
        slots: sequences that each server decodes at once.
        patience_s: how long all may be away before the engine is gone.
    """

    def __init__(
        self,
        name: str,
        listed: Callable[[], Sequence[str]],
        look: Callable[[str], Awaitable[Card | None]],
        make: Callable[[str, Card | None], Single],
        *,
        meter: Meter | None = None,
        slots: int = 256,
        patience_s: float = 120.0,
    ) -> None:
        self.name = name
        self._listed = listed
        self._look = look
        self._make = make
        self._meter = meter or Meter()
        self._slots = slots
        self._limit = IN_FLIGHT * slots
        self._patience_s = patience_s
        self._prefixes = Prefixes()
        self._servers: dict[str, _Server] = {}
        self._made = 0
        self._leaving: list[_Server] = []
        self._stranded: deque[_Waiting] = deque()
        self._silent_since: float | None = None
        self._bad_list = ""
        self._watch: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Meet the servers that are named, and look after them from now on.

        Raises:
            EngineGone: it cannot be told where they are, or something is wrong with all of them.
        """
        try:
            self._take_up(await asyncio.to_thread(self._listed))
        except ValueError as error:
            raise EngineGone(str(error)) from None
        await self._meet(self._servers.values())
        if self._is_gone():
            raise EngineGone(self._last_words())
        self._watch = asyncio.create_task(self._watching())

    async def close(self) -> None:
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        for server in [*self._servers.values(), *self._leaving]:
            if server.client:
                await server.client.close()

    @property
    def slots(self) -> int:
        """Of all servers that were found to be there."""
        servers = list(self._servers.values())  # at once: others may ask from another thread
        met = sum(server.client is not None for server in servers)
        return self._slots * max(1, met)

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        """Answer a request, at one of the servers."""
        return await in_full(self._ask, request)

    async def _ask(self, request: ChatRequest) -> ChatAnswer:
        tries, blocks = Tries(), blocks_of(request.messages)
        failed: list[_Server] = []
        faults: list[tuple[_Server, int]] = []
        started: float | None = None
        try:
            while True:
                server = await self._turn(request.n, blocks, failed)
                if started is None:
                    started = self._meter.start(request.n)
                try:
                    answer = await self._client(server).ask(request, tries)
                except EngineGone as trouble:
                    message = str(trouble)
                    self._leave_out(server, trouble)
                except ItemError as error:
                    self._silent_since = None
                    if error.cause != ItemError.cause:
                        raise  # refused for what it is
                    message = str(error)
                    faults.append((server, server.spell))
                else:
                    self._answered(server, faults)
                    return answer
                finally:
                    self._leave(server, request.n)
                if self._is_gone():
                    raise EngineGone(self._last_words())
                if tries.are_enough(ATTEMPTS, self._patience_s):
                    raise ItemError(message, attempts=max(1, tries.hard_faults))
                failed.append(server)
                await self._pause(failed)
        finally:
            if started is not None:
                self._meter.end(request.n, started)

    async def _pause(self, failed: list[_Server]) -> None:
        """Wait a while where only servers are left that failed a request before."""
        working = [server for server in self._servers.values() if server.is_in]
        if working and all(server in failed for server in working):
            await asyncio.sleep(random.uniform(0, 0.5 * 2 ** len(failed)))

    def _client(self, server: _Server) -> Single:
        if server.client is None:
            raise RuntimeError("a server was given work that nobody has met")
        return server.client

    async def _turn(self, sequences: int, blocks: Sequence[int], failed: list[_Server]) -> _Server:
        """Wait for room at a server, and take it."""
        turn: asyncio.Future[_Server] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(sequences, blocks, failed, turn)
        self._place(waiting)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and not turn.exception():
                self._leave(turn.result(), sequences)  # its turn had come just then
            else:
                self._forget(waiting)
            raise

    def _place(self, waiting: _Waiting) -> None:
        """Have a request wait at the server where it belongs."""
        server = self._choose(waiting)
        waiting.at = server
        if server is None:
            self._stranded.append(waiting)
            self._give_up_if_gone()
            return
        server.queue.append(waiting)
        server.queued += waiting.sequences
        self._prefixes.note(waiting.blocks, server.bit)
        self._fill(server)

    def _choose(self, waiting: _Waiting) -> _Server | None:
        working = [server for server in self._servers.values() if server.is_in]
        untried = [s for s in working if not (s.on_trial and s.load)] or working
        able = [s for s in untried if s not in waiting.failed] or untried
        if not able:
            return None
        emptiest = min(able, key=_load)
        holders = self._prefixes.holders(waiting.blocks)
        home = min((s for s in able if s.bit & holders), key=_load, default=emptiest)
        return home if home.load - emptiest.load <= STAY * self._slots else emptiest

    def _fill(self, server: _Server) -> None:
        """Let requests through while there is room."""
        while waiting := self._next_for(server):
            self._forget(waiting)
            server.inside += min(waiting.sequences, self._limit)
            self._prefixes.note(waiting.blocks, server.bit)
            waiting.turn.set_result(server)

    def _next_for(self, server: _Server) -> _Waiting | None:
        """The first that waits for a server, or else for one that is clearly fuller."""
        source = server if server.queue else self._fullest()
        if not server.is_in or source is None:
            return None
        if source is not server and source.load - server.load <= STAY * self._slots:
            return None
        mine = source is server
        waiting = next(
            (w for w in source.queue if not w.turn.done() and (mine or server not in w.failed)),
            None,
        )
        return waiting if waiting and self._has_room(server, waiting.sequences) else None

    def _fullest(self) -> _Server | None:
        return max((s for s in self._servers.values() if s.queue), key=_load, default=None)

    def _has_room(self, server: _Server, sequences: int) -> bool:
        if server.on_trial:
            return not server.inside
        return server.inside + min(sequences, self._limit) <= self._limit

    def _forget(self, waiting: _Waiting) -> None:
        """A request waits no longer where it waited."""
        if waiting.at is None:
            if waiting in self._stranded:
                self._stranded.remove(waiting)
        elif waiting in waiting.at.queue:
            waiting.at.queue.remove(waiting)
            waiting.at.queued -= waiting.sequences

    def _leave(self, server: _Server, sequences: int) -> None:
        server.inside -= min(sequences, self._limit)
        self._fill(server)

    def _answered(self, server: _Server, faults: Iterable[tuple[_Server, int]]) -> None:
        """A good answer came; those that failed the same request are to blame."""
        self._silent_since = None
        server.rest_s, server.on_trial = REST_S, False
        _begin_spell(server)
        for other, spell in dict(faults).items():
            if other is server or other.spell != spell or not other.is_in:
                continue
            other.strikes += 1
            if other.strikes >= STRIKES:
                said = f"the engine at {shown(other.url)} fails what others answer"
                self._leave_out(other, EngineAway(said))

    def _leave_out(self, server: _Server, trouble: EngineGone) -> None:
        """Give a server no work until it is asked again; what waits for it goes elsewhere."""
        if server.is_in:
            self._rest(server, trouble)
            self._empty(server)
        self._note_silence()
        self._give_up_if_gone()

    def _rest(self, server: _Server, trouble: EngineGone) -> None:
        is_hopeless = not isinstance(trouble, EngineAway)
        if server.is_in or server.trouble is None or is_hopeless > server.is_hopeless:
            warn(__name__, f"{trouble}; it is left out and asked again")
        server.is_in, server.on_trial = False, False
        server.is_hopeless, server.trouble = is_hopeless, trouble
        _begin_spell(server)
        wanted_s = trouble.wait_s if isinstance(trouble, EngineAway) else None
        rest_s = server.rest_s if wanted_s is None else min(wanted_s, LONGEST_WAIT_S)
        server.rests_until = time.monotonic() + rest_s
        server.rest_s = min(2 * server.rest_s, LONGEST_REST_S)

    def _empty(self, server: _Server) -> None:
        """Have what waits for a server wait elsewhere."""
        moved, server.queue, server.queued = server.queue, deque(), 0
        for waiting in moved:
            self._place(waiting)

    def _note_silence(self) -> None:
        """Where no server is left that is known to answer, patience runs from now on."""
        servers = self._servers.values()
        if self._silent_since is None and not any(s.is_in and not s.on_trial for s in servers):
            self._silent_since = time.monotonic()

    def _is_gone(self) -> bool:
        servers = self._servers.values()
        if any(server.is_in for server in servers):
            return False
        silent = self._silent_since
        is_over = silent is not None and time.monotonic() - silent >= self._patience_s
        return is_over or all(server.is_hopeless for server in servers)

    def _give_up_if_gone(self) -> None:
        """Where no server is left and none is waited for, tell those that wait."""
        if self._stranded and self._is_gone():
            stranded, self._stranded = self._stranded, deque()
            for waiting in stranded:
                if not waiting.turn.done():
                    waiting.turn.set_exception(EngineGone(self._last_words()))

    def _last_words(self) -> str:
        troubles = [str(s.trouble) for s in self._servers.values() if s.trouble]
        if len(troubles) > 1:
            return f"all {len(troubles)} engines are gone; the last: {troubles[-1]}"
        return troubles[0] if troubles else "no engine that is named now was there yet"

    async def _watching(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self._look_at_list()
            now = time.monotonic()
            await self._meet(
                [s for s in self._servers.values() if not s.is_in and s.rests_until <= now]
            )
            self._give_up_if_gone()
            for server in [s for s in self._leaving if not s.inside]:
                self._leaving.remove(server)
                if server.client:
                    await server.client.close()

    async def _look_at_list(self) -> None:
        """Take up those that are named now; a list that is no good changes nothing."""
        try:
            named = await asyncio.to_thread(self._listed)
        except Exception as error:  # whatever a file system raises
            if str(error) != self._bad_list:
                warn(__name__, f"{error}; the engines stay as they are")
            self._bad_list = str(error)
            return
        self._bad_list = ""
        self._take_up(named)

    def _take_up(self, named: Sequence[str]) -> None:
        for url in named:
            if url not in self._servers:
                self._servers[url] = _Server(url, 1 << self._made)
                self._made += 1
        for url in [url for url in self._servers if url not in named]:
            self._dismiss(self._servers.pop(url))

    def _dismiss(self, server: _Server) -> None:
        """A server is named no longer; what it is doing it may finish."""
        server.is_in = False
        self._leaving.append(server)
        self._empty(server)
        self._note_silence()

    async def _meet(self, servers: Iterable[_Server]) -> None:
        """Look at servers that are out, and take in those that are there."""
        await asyncio.gather(*(self._meet_one(server) for server in servers))

    async def _meet_one(self, server: _Server) -> None:
        try:
            card = await self._look(server.url)
        except EngineGone as trouble:
            self._rest(server, trouble)
            self._note_silence()
            return
        if self._servers.get(server.url) is not server:
            return  # it was dismissed meanwhile
        if server.client is None:
            server.client = self._make(server.url, card)
        else:
            server.on_trial = True
        server.is_in = True
        stranded, self._stranded = self._stranded, deque()
        for waiting in stranded:
            self._place(waiting)
        self._fill(server)


def _load(server: _Server) -> int:
    return server.load


def _begin_spell(server: _Server) -> None:
    server.spell, server.strikes = server.spell + 1, 0
