"""The engines of a process: who shares one, who waits for whom, and what is closed when."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from spar_core.engine import clients, pool, served
from spar_core.engine import engines as module
from spar_core.engine.engines import Engines, Lease
from spar_core.engine.llamacpp import LlamaCppEngine
from spar_core.engine.meter import Meter
from spar_core.engine.openai import OpenAIEngine
from spar_core.engine.protocol import (
    ChatAnswer,
    ChatRequest,
    Engine,
    EngineAway,
    EngineGone,
    Sampling,
)
from spar_core.engine.sampling_defaults import neutral
from spar_core.engine.scripted import ScriptedEngine
from spar_core.engine.served import Card
from spar_core.engine.spec import EngineSpec, Kind
from spar_core.engine.vllm import VllmEngine
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.spar_core.engine.test_openai import Dropped

CLOSED: list[str] = []


class Echo(ScriptedEngine):
    """Says which thread it answers on, and notes its end."""

    async def close(self) -> None:
        CLOSED.append(threading.current_thread().name)


def echo(meter: Meter) -> Echo:
    return Echo(lambda _: [threading.current_thread().name], meter)


def broken(_: Meter) -> Echo:
    raise EngineGone("no such engine")


ECHO = EngineSpec("scripted", f"{__name__}:echo")
BROKEN = EngineSpec("scripted", f"{__name__}:broken")
REQUEST = ChatRequest(({"role": "user", "content": "hi"},), Sampling(0, 1, 9))


@pytest.fixture
def engines() -> Iterator[Engines]:
    CLOSED.clear()
    made = Engines()
    yield made
    made.close()


def only(lease: Lease) -> Engine:
    (engine,) = lease.engines.values()
    return engine


def ask(engines: Engines, engine: Engine, request: ChatRequest = REQUEST) -> str:
    return engines.run(engine.chat(request)).choices[0].text


def test_scripted_engine_is_made_by_the_function_named_and_counted(engines: Engines) -> None:
    with engines.using({"actor": ECHO}) as lease:
        assert ask(engines, lease.engines["actor"]) == "engine-loop"
    assert engines.meter.take().requests == 1


def test_equal_specs_share_one_engine(engines: Engines) -> None:
    same = EngineSpec("scripted", ECHO.model)
    with engines.using({"actor": ECHO, "judge": same}) as one, engines.using({"x": same}) as other:
        assert one.engines["actor"] is one.engines["judge"] is other.engines["x"]
    assert CLOSED == []


def test_engines_that_are_not_started_live_side_by_side_until_close(engines: Engines) -> None:
    other = replace(ECHO, timeout_s=1)
    first = engines.using({"a": ECHO, "b": other})
    assert first.engines["a"] is not first.engines["b"]
    first.release()
    assert only(engines.using({"a": ECHO})) is first.engines["a"]
    assert CLOSED == []
    engines.close()
    assert CLOSED == ["engine-loop"] * 2


def test_nothing_asked_for_is_a_loop(engines: Engines) -> None:
    with engines.using({}) as lease:
        assert lease.engines == {}
        assert engines.run(asyncio.sleep(0, "done")) == "done"


def test_coroutines_run_on_the_loop(engines: Engines) -> None:
    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert engines.run(loop()) is engines.loop


def test_processes_may_have_several_and_each_has_its_own_account(engines: Engines) -> None:
    other = Engines()
    ask(other, only(other.using({"a": ECHO})))
    other.close()
    assert other.meter.take().requests == 1 and engines.meter.take().requests == 0
    assert ask(engines, only(engines.using({"a": ECHO}))) == "engine-loop"


def test_closing_twice_is_fine_and_nothing_is_had_afterwards(engines: Engines) -> None:
    lease = engines.using({"a": ECHO})
    engines.close()
    engines.close()
    lease.release()
    assert CLOSED == ["engine-loop"]
    with pytest.raises(EngineGone, match="closed"):
        engines.using({"a": ECHO})


def test_closing_gives_up_what_is_in_flight(engines: Engines) -> None:
    stuck = asyncio.run_coroutine_threadsafe(asyncio.sleep(60), engines.loop)
    engines.close()
    assert stuck.cancelled()


def test_threads_share_an_engine(engines: Engines) -> None:
    found: list[Engine] = []
    threads = [
        threading.Thread(target=lambda: found.append(only(engines.using({"a": ECHO}))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(map(id, found))) == 1


def test_engine_that_cannot_be_made_takes_its_lease_along(engines: Engines) -> None:
    with pytest.raises(EngineGone, match="no such engine"):
        engines.using({"a": ECHO, "b": BROKEN})
    assert CLOSED == ["engine-loop"], "what was made for it is closed"
    assert ask(engines, only(engines.using({"a": ECHO}))) == "engine-loop"


def test_engine_of_another_lease_survives_one_that_cannot_be_made(engines: Engines) -> None:
    held = engines.using({"a": ECHO})
    with pytest.raises(EngineGone):
        engines.using({"a": ECHO, "b": BROKEN})
    assert CLOSED == [] and ask(engines, only(held)) == "engine-loop"


class Fakes:
    """Servers that are "started": on loopback, each noted from its start to its end."""

    def __init__(self) -> None:
        self.up: list[str] = []
        self.history: list[str] = []
        self.failing: set[str] = set()
        self.dead: set[str] = set()
        self.servers: list[LoopbackServer] = []

    def start(self, model: object, *_: object, **__: object) -> Any:
        name, fakes = Path(str(model)).name, self
        if name in fakes.failing:
            raise EngineGone(f"{name} does not start")
        server = LoopbackServer(lambda _: [name])
        fakes.servers.append(server)
        fakes.up.append(name)
        fakes.history.append(f"+{name}")

        class Started:
            url = server.url

            @property
            def is_up(self) -> bool:
                return name not in fakes.dead

            def close(self) -> None:
                fakes.up.remove(name)
                fakes.history.append(f"-{name}")
                server.close()

        return Started()


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    made = Fakes()
    monkeypatch.setattr(module, "VllmServer", made.start)
    monkeypatch.setattr(module, "LlamaCppServer", made.start)
    return made


A, B = EngineSpec("vllm", "a"), EngineSpec("vllm", "b")
SMALL, TINY = EngineSpec("llamacpp", "small"), EngineSpec("llamacpp", "tiny")


def test_started_engine_stays_for_the_next_lease(engines: Engines, fakes: Fakes) -> None:
    for _ in range(2):
        with engines.using({"r": A}) as lease:
            assert ask(engines, only(lease)) == "a"
    assert fakes.history == ["+a"]
    engines.close()
    assert fakes.history == ["+a", "-a"]


def test_roles_share_a_started_engine_whatever_they_add_to_requests(
    engines: Engines, fakes: Fakes
) -> None:
    other = replace(A, body='{"user":"judge"}')
    with engines.using({"r": A, "judge": other}) as lease:
        assert [ask(engines, lease.engines[role]) for role in ("r", "judge")] == ["a", "a"]
        assert lease.slots == A.slots
    assert fakes.history == ["+a"]
    assert [body.get("user") for body in fakes.servers[0].bodies] == [None, "judge"]


def test_started_engine_that_nobody_holds_makes_room_for_another(
    engines: Engines, fakes: Fakes
) -> None:
    engines.using({"r": A}).release()
    with engines.using({"r": B}) as lease:
        assert ask(engines, only(lease)) == "b"
        assert fakes.history == ["+a", "-a", "+b"], "never both at once"


def test_engine_at_an_url_closes_nothing(engines: Engines, fakes: Fakes) -> None:
    engines.using({"r": A}).release()
    with serving(lambda _: ["far"]) as server:
        at_url = EngineSpec("openai", url=server.url)
        with engines.using({"r": at_url}), engines.using({"r": A, "x": at_url}) as both:
            assert [ask(engines, both.engines[role]) for role in "rx"] == ["a", "far"]
        with engines.using({"r": B}), engines.using({"x": at_url}) as lease:
            assert ask(engines, only(lease)) == "far"
        engines.close()
    assert fakes.history == ["+a", "-a", "+b", "-b"]


def test_held_engine_is_waited_for(engines: Engines, fakes: Fakes) -> None:
    first = engines.using({"r": A})
    second: list[Lease] = []
    newcomer = threading.Thread(target=lambda: second.append(engines.using({"r": B})))
    newcomer.start()
    time.sleep(0.2)
    assert fakes.history == ["+a"] and ask(engines, only(first)) == "a"
    with engines.using({"r": A}) as again:
        assert only(again) is only(first), "those who share it need not queue"
    first.release()
    newcomer.join(60)
    assert fakes.history == ["+a", "-a", "+b"]
    assert ask(engines, only(second[0])) == "b"


def test_release_counts_once(engines: Engines, fakes: Fakes) -> None:
    first, second = engines.using({"r": A}), engines.using({"r": A})
    first.release()
    first.release()
    newcomer = threading.Thread(target=lambda: engines.using({"r": B}))
    newcomer.start()
    newcomer.join(0.2)
    assert newcomer.is_alive() and ask(engines, only(second)) == "a"
    second.release()
    newcomer.join(60)
    assert fakes.up == ["b"]


def test_waiting_for_a_held_engine_has_an_end(
    engines: Engines, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN_S", 0.1)
    first = engines.using({"r": A})
    with pytest.raises(EngineGone, match=r"^vllm with a is in use.*give one of them a URL$"):
        engines.using({"r": B})
    assert ask(engines, only(first)) == "a" and fakes.history == ["+a"]


def test_closing_ends_the_waiting(engines: Engines, fakes: Fakes) -> None:
    engines.using({"r": A})
    said: list[str] = []

    def wait() -> None:
        try:
            engines.using({"r": B})
        except EngineGone as gone:
            said.append(str(gone))

    newcomer = threading.Thread(target=wait)
    newcomer.start()
    time.sleep(0.1)
    engines.close()
    newcomer.join(60)
    assert said == ["the engines of this process are closed"] and fakes.up == []


def test_two_vllm_servers_in_one_lease_are_refused(engines: Engines, fakes: Fakes) -> None:
    with pytest.raises(EngineGone, match="give one of them a URL") as caught:
        engines.using({"actor": A, "refiner": B, "judge": A})
    assert "\n" not in str(caught.value) and fakes.history == []
    with engines.using({"actor": A, "refiner": A, "judge": SMALL}):
        assert fakes.up == ["a", "small"]


def test_server_that_died_is_started_again_once_nobody_holds_it(
    engines: Engines, fakes: Fakes
) -> None:
    first = engines.using({"r": A})
    fakes.dead = {"a"}
    second: list[Lease] = []
    newcomer = threading.Thread(target=lambda: second.append(engines.using({"r": A})))
    newcomer.start()
    newcomer.join(0.2)
    assert newcomer.is_alive() and fakes.history == ["+a"], "who holds it has yet to notice"
    first.release()
    newcomer.join(60)
    assert fakes.history == ["+a", "-a", "+a"]


def test_embedded_engines_may_be_up_together(engines: Engines, fakes: Fakes) -> None:
    with engines.using({"r": SMALL}) as first, engines.using({"r": TINY}) as second:
        assert [ask(engines, only(lease)) for lease in (first, second)] == ["small", "tiny"]
    with engines.using({"a": SMALL, "b": TINY}):
        assert fakes.history == ["+small", "+tiny"]
    with engines.using({"r": A}):
        assert fakes.up == ["a"]


def test_model_with_and_without_an_adapter_are_two_engines(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes = Fakes()
    adapters: list[Path | None] = []

    def start(model: Path, adapter: Path | None, **_: object) -> Any:
        adapters.append(adapter)
        return fakes.start(model)

    monkeypatch.setattr(module, "LlamaCppServer", start)
    adapted = replace(SMALL, adapter="there/refiner.gguf")
    with engines.using({"actor": SMALL, "refiner": adapted}) as lease:
        assert lease.engines["actor"] is not lease.engines["refiner"]
        names = {role: engine.name for role, engine in lease.engines.items()}
    assert adapters == [None, Path("there/refiner.gguf")]
    assert names == {"actor": "small", "refiner": "small+refiner.gguf"}


def test_lease_gets_all_that_it_asks_for_or_nothing(engines: Engines, fakes: Fakes) -> None:
    fakes.failing = {"tiny"}
    with pytest.raises(EngineGone, match="tiny does not start"):
        engines.using({"a": SMALL, "b": TINY})
    assert fakes.up == []
    fakes.failing = set()
    with engines.using({"a": SMALL, "b": TINY}):
        assert fakes.up == ["small", "tiny"]


def test_many_leases_of_two_servers_are_never_up_at_once_and_none_is_lost(
    engines: Engines, fakes: Fakes
) -> None:
    wrong: list[str] = []

    def work(spec: EngineSpec) -> None:
        for _ in range(5):
            with engines.using({"r": spec}) as lease:
                if ask(engines, only(lease)) != spec.model or fakes.up != [spec.model]:
                    wrong.append(spec.model)

    threads = [threading.Thread(target=work, args=(spec,)) for spec in (A, B) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and len(fakes.up) == 1


@pytest.mark.parametrize("place", ["told", "temporary"])
def test_started_server_is_told_where_to_write(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs: list[Path] = []
    fakes = Fakes()

    def start(model: str, log: Path, **_: object) -> Any:
        logs.append(log)
        return fakes.start(model)

    monkeypatch.setattr(module, "VllmServer", start)
    made = Engines(tmp_path / "log" if place == "told" else None)
    try:
        made.using({"r": A}).release()
        made.using({"r": B}).release()
    finally:
        made.close()
    assert logs[0] == logs[1], "one file for all"
    if place == "told":
        assert logs[0] == tmp_path / "log"
    else:
        assert logs[0].parent == Path(tempfile.gettempdir())
        logs[0].unlink()


def test_process_that_ends_without_closing_ends() -> None:
    code = "from spar_core.engine.engines import Engines; e = Engines(); e.using({}); print('done')"
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, capture_output=True, timeout=300, check=True)
    assert done.stdout == b"done\n" and done.stderr == b""


@pytest.mark.parametrize(
    ("kind", "engine"),
    [("openai", OpenAIEngine), ("llamacpp", LlamaCppEngine), ("vllm", VllmEngine)],
)
def test_url_is_talked_to_and_its_only_model_found(
    kind: Kind, engine: type, engines: Engines
) -> None:
    with serving(lambda body: [body["model"]]) as server:
        made = only(engines.using({"r": EngineSpec(kind, url=server.url)}))
        assert type(made) is engine and made.name == "loopback"
        assert ask(engines, made) == "loopback"


@pytest.mark.parametrize(
    ("kind", "owner", "top_k"),
    [
        ("openai", "vllm", -1),
        ("openai", "sglang", -1),
        ("openai", "llamacpp", 0),
        ("openai", "library", None),
        ("openai", "openai", None),
        ("openai", "", None),
        ("vllm", "", -1),
        ("vllm", "acme", -1),
        ("llamacpp", "", 0),
    ],
)
@pytest.mark.parametrize("model", ["", "loopback"])
@pytest.mark.parametrize("count", [1, 2])
def test_sampling_of_a_servers_own_is_switched_off_where_its_kind_is_known(
    kind: Kind, owner: str, top_k: int | None, model: str, count: int, engines: Engines
) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(lambda _: ["x"])) for _ in range(count)]
        for server in servers:
            server.owner = owner
        urls = ",".join(server.url for server in servers)
        ask(engines, only(engines.using({"r": EngineSpec(kind, model, urls)})))
        [body] = [body for server in servers for body in server.bodies]
    assert body.get("top_k") == top_k


def test_each_of_several_servers_is_sent_what_its_kind_knows(engines: Engines) -> None:
    with serving(lambda _: ["x"]) as one, serving(lambda _: ["x"]) as other:
        one.owner = "llamacpp"
        made = only(engines.using({"r": several(one, other, slots=2)}))

        async def ask_all() -> None:
            await asyncio.gather(*map(made.chat, chats(20)))

        engines.run(ask_all())
    assert one.bodies and all("repeat_penalty" in body for body in one.bodies)
    assert other.bodies and not any("top_k" in body for body in other.bodies)


def test_vllm_that_is_started_samples_as_its_arguments_say() -> None:
    server = clients._server(EngineSpec("vllm", "m", arguments="--generation-config auto"), "vllm")
    assert server is not None and not neutral(server)


def test_a_server_that_tells_its_models_late_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, engines: Engines
) -> None:
    looks: list[str] = []

    async def late(url: str, key: str) -> dict[str, Card]:
        looks.append(url)
        if len(looks) < 3:
            raise EngineAway("busy")
        return {"m": Card(owner="vllm")}

    monkeypatch.setattr(clients, "served_models", late)
    with serving(lambda _: ["x"]) as server:
        ask(engines, only(engines.using({"r": EngineSpec("openai", "m", server.url)})))
    assert "top_k" in server.bodies[0] and len(looks) == 3


def test_model_named_is_not_looked_up(engines: Engines) -> None:
    made = only(engines.using({"r": EngineSpec("openai", "mine", url="http://127.0.0.1:9")}))
    assert made.name == "mine"


def test_server_that_lists_no_models_may_be_told_one(
    monkeypatch: pytest.MonkeyPatch, engines: Engines
) -> None:
    async def say(_self: LoopbackServer, _request: web.Request) -> web.Response:
        return web.Response(status=404, text="no such page")

    monkeypatch.setattr(LoopbackServer, "_models", say)
    with serving(lambda body: [body["model"]]) as server:
        made = only(engines.using({"r": EngineSpec("openai", "mine", url=server.url)}))
        assert ask(engines, made) == "mine"


def cards(*plain: Mapping[str, object]) -> Callable[[LoopbackServer, web.Request], Any]:
    """A server's `/v1/models` with these cards."""

    async def say(_self: LoopbackServer, _request: web.Request) -> web.Response:
        return web.json_response({"data": list(plain)})

    return say


@pytest.mark.parametrize("is_answering", [True, False])
def test_of_several_one_that_lists_its_models_slowly_is_asked_if_it_answers_chats(
    is_answering: bool, monkeypatch: pytest.MonkeyPatch, engines: Engines
) -> None:
    monkeypatch.setattr(served, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(clients, "_TRIAL_S", 0.2)

    async def say(self: LoopbackServer, _request: web.Request) -> web.Response:
        if self is slow:
            await asyncio.sleep(1)
        return web.json_response({"data": [{"id": "m"}]})

    async def answer(body: Body) -> Answer:
        await asyncio.sleep(0 if is_answering else 1)
        return ["x"]

    monkeypatch.setattr(LoopbackServer, "_models", say)
    with serving(answer) as slow, serving(lambda _: ["x"]) as quick:  # type: ignore[arg-type]
        spec = replace(several(slow, quick, slots=7), model="m")
        with engines.using({"r": spec}) as lease:
            assert lease.slots == (14 if is_answering else 7)


@pytest.mark.parametrize("listed", ["m:latest", "models/m"])
def test_a_model_that_is_listed_by_a_longer_name_has_its_card(
    listed: str, monkeypatch: pytest.MonkeyPatch, engines: Engines
) -> None:
    card = {"id": listed, "owned_by": "vllm", "max_model_len": 100}
    monkeypatch.setattr(LoopbackServer, "_models", cards(card))
    with serving(lambda _: ["x"]) as one, serving(lambda _: ["x"]) as other:
        for spec in (EngineSpec("openai", "m", one.url), replace(several(one, other), model="m")):
            made = only(engines.using({"r": spec}))
            ask(engines, made)
            with pytest.raises(EngineGone, match="a context of 100 tokens"):
                ask(engines, made, replace(REQUEST, sampling=Sampling(0, 1, 200)))
    bodies = one.bodies + other.bodies
    assert len(bodies) == 2 and all(body["model"] == "m" and "top_k" in body for body in bodies)


@pytest.mark.parametrize("served", [[], ["other"], ["other", "mine"]])
def test_model_named_is_taken_whatever_the_server_lists(
    served: list[str], monkeypatch: pytest.MonkeyPatch, engines: Engines
) -> None:
    monkeypatch.setattr(LoopbackServer, "_models", cards(*({"id": name} for name in served)))
    with serving(lambda body: [body["model"]]) as server:
        made = only(engines.using({"r": EngineSpec("openai", "mine", url=server.url)}))
        assert made.name == "mine"
        assert ask(engines, made) == "mine"


@pytest.mark.parametrize("model", ["", "small"])
def test_context_on_the_models_card_is_kept_to(
    model: str, monkeypatch: pytest.MonkeyPatch, engines: Engines
) -> None:
    monkeypatch.setattr(LoopbackServer, "_models", cards({"id": "small", "max_model_len": 100}))
    with serving(lambda _: ["x"]) as server:
        made = only(engines.using({"r": EngineSpec("openai", model, url=server.url)}))
        asked = replace(REQUEST, sampling=Sampling(0, 1, 200))
        with pytest.raises(EngineGone, match=r"small has a context of 100 tokens.*200") as caught:
            ask(engines, made, asked)
        assert ask(engines, made) == "x"
    for option in ("--actor_max_tokens", "--judge_max_tokens", "--refine_max_tokens"):
        assert option in str(caught.value)
    assert len(server.bodies) == 1


def test_context_of_another_model_is_nothing_to_us(
    monkeypatch: pytest.MonkeyPatch, engines: Engines
) -> None:
    monkeypatch.setattr(
        LoopbackServer,
        "_models",
        cards({"id": "small", "max_model_len": 100}, {"id": "large", "max_model_len": 9000}),
    )
    with serving(lambda _: ["x"]) as server:
        made = only(engines.using({"r": EngineSpec("openai", "large", url=server.url)}))
        asked = replace(REQUEST, sampling=Sampling(0, 1, 200))
        assert ask(engines, made, asked) == "x"


def test_slots_of_the_spec_bound_what_is_in_flight(engines: Engines) -> None:
    with serving(lambda _: ["x"]) as server:
        made = only(engines.using({"r": EngineSpec("openai", url=server.url, slots=7)}))
        assert isinstance(made, OpenAIEngine)
        assert made._gate.limit == 14


def test_openai_without_an_url_says_what_is_missing(engines: Engines) -> None:
    with pytest.raises(EngineGone, match="--engine_url"):
        engines.using({"r": EngineSpec("openai")})


def several(*servers: LoopbackServer, **settings: Any) -> EngineSpec:
    return EngineSpec("openai", url=",".join(server.url for server in servers), **settings)


def chats(count: int) -> list[ChatRequest]:
    return [replace(REQUEST, n=2, seed=seed) for seed in range(count)]


def test_several_urls_are_one_engine_of_all_their_slots(engines: Engines) -> None:
    with serving(lambda _: ["a"] * 2) as one, serving(lambda _: ["b"] * 2) as other:
        with engines.using({"r": several(one, other, slots=7), "x": ECHO}) as lease:
            assert lease.slots == 14 + ECHO.slots
            made = lease.engines["r"]
            assert made.name == "loopback"

            async def ask_all() -> list[str]:
                answers = await asyncio.gather(*map(made.chat, chats(20)))
                return [answer.choices[0].text for answer in answers]

            texts = engines.run(ask_all())
        assert {*texts} == {"a", "b"} and len(one.bodies) + len(other.bodies) == 20
    used = engines.meter.take()
    assert (used.requests, used.retries, len(used.latencies_ms)) == (20, 0, 20)


@pytest.mark.parametrize("kind", ["llamacpp", "vllm"])
def test_several_servers_are_talked_to_as_their_kind_is(kind: Kind, engines: Engines) -> None:
    with serving(lambda _: ["x"]) as one, serving(lambda _: ["x"]) as other:
        spec = replace(several(one, other), kind=kind)
        ask(engines, only(engines.using({"r": spec})), replace(REQUEST, grammar="g"))
        (body,) = one.bodies + other.bodies
    assert "grammar" in body if kind == "llamacpp" else "structured_outputs" in body


def test_account_of_several_is_their_own_whatever_they_fail(engines: Engines) -> None:
    """One errs, one is busy, one drops connections, one knows no `n`; nothing is lost."""
    turn = itertools.count()

    def erring(body: Body) -> Answer:
        return web.Response(status=500) if next(turn) % 3 else ["x" * 40] * body["n"]

    with (
        serving(erring) as one,
        serving(lambda _: web.Response(status=503)) as busy,
        serving(lambda _: Dropped()) as dropping,
        serving(lambda _: ["x" * 40]) as single,
    ):
        servers = (one, busy, dropping, single)
        with engines.using({"r": several(*servers, slots=4)}) as lease:
            made = only(lease)

            async def ask_all() -> list[object]:
                return await asyncio.gather(*map(made.chat, chats(200)), return_exceptions=True)

            outcomes = engines.run(ask_all())
        assert all(isinstance(each, ChatAnswer) for each in outcomes)
        used = engines.meter.take()
        bodies = [str(body) for server in servers for body in server.bodies]
        assert all(server.bodies for server in servers)
        assert used.requests == len(bodies)
        assert used.retries == len(bodies) - len({*bodies}), "what was sent again, nothing else"
        assert used.completion_tokens == sum(server.completion_tokens for server in servers)
        assert used.prompt_tokens == sum(server.prompt_tokens for server in servers)
        assert engines.meter.sequences == 0


def test_server_that_a_file_names_later_joins(
    engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "TICK_S", 0.01)
    file = tmp_path / "engines.txt"
    with serving(lambda _: ["a"]) as one, serving(lambda _: ["b"]) as other:
        file.write_text(one.url)
        with engines.using({"r": EngineSpec("openai", url=f"@{file}", slots=1)}) as lease:
            assert lease.slots == 1
            assert ask(engines, only(lease)) == "a"
            file.write_text(f"{one.url}\n{other.url}\n")
            deadline = time.monotonic() + 60
            while lease.slots == 1 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert lease.slots == 2
            file.write_text(other.url)
            while lease.slots == 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert ask(engines, only(lease)) == "b"


def test_context_of_each_of_several_is_kept_to(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def say(self: LoopbackServer, _request: web.Request) -> web.Response:
        context = 100 if self.port == small.port else 9000
        return web.json_response({"data": [{"id": "m", "max_model_len": context}]})

    monkeypatch.setattr(LoopbackServer, "_models", say)
    with serving(lambda _: ["x"]) as small, serving(lambda _: ["x"]) as large:
        made = only(engines.using({"r": several(small, large)}))
        assert ask(engines, made, replace(REQUEST, sampling=Sampling(0, 1, 200))) == "x"
        assert (len(small.bodies), len(large.bodies)) == (0, 1)


def test_list_of_urls_that_is_no_good_is_said(engines: Engines, tmp_path: Path) -> None:
    for model in ("", "m"):
        with pytest.raises(EngineGone, match=r"no file .*engines\.txt"):
            engines.using({"r": EngineSpec("openai", model, url=f"@{tmp_path}/engines.txt")})


def test_closing_ends_a_pool_with_what_waits(engines: Engines) -> None:
    with serving(lambda _: asyncio.sleep(60)) as one, serving(lambda _: asyncio.sleep(60)) as two:  # type: ignore[arg-type, return-value]
        made = only(engines.using({"r": several(one, two, slots=1)}))
        waiting = [
            asyncio.run_coroutine_threadsafe(made.chat(each), engines.loop) for each in chats(9)
        ]
        while not one.bodies or not two.bodies:
            time.sleep(0.01)
        engines.close()
    assert all(each.cancelled() for each in waiting)
