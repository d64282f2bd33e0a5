"""LoRA adapters of PEFT: one vLLM serves those of all roles, and each request names its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spar_core.engine import engines as module
from spar_core.engine.engines import Engines
from spar_core.engine.peft_adapters import (
    adapter_arguments,
    adapter_name,
    check_adapter,
    served_name,
)
from spar_core.engine.protocol import ChatRequest, EngineGone, Sampling
from spar_core.engine.spec import EngineSpec, identity, with_shared_servers
from tests.loopback import serving

CONFIG = {"r": 8, "rank_pattern": {}}


def adapter(folder: Path, config: Any = None, weights: bytes = b"w") -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG if config is None else config))
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return folder


def test_names_tell_trainings_and_contents_apart(tmp_path: Path) -> None:
    one = adapter(tmp_path / "a" / "actor-2" / "adapter")
    other = adapter(tmp_path / "b" / "actor-2" / "adapter", weights=b"v")
    named = adapter(tmp_path / "mine")
    assert [adapter_name(each) for each in (one, other, named)] == ["actor-2", "actor-2", "mine"]
    assert served_name(one) != served_name(other)
    assert served_name(one).startswith("actor-2-")


@pytest.mark.parametrize(
    ("config", "rank"),
    [({"r": 1}, "8"), ({"r": 16}, "16"), ({"r": 4, "rank_pattern": {"q": 33}}, "64")],
)
def test_server_is_told_the_adapters_and_their_largest_rank(
    tmp_path: Path, config: Any, rank: str
) -> None:
    paths = [adapter(tmp_path / "a", {"r": 1}), adapter(tmp_path / "b", config)]
    words = adapter_arguments([str(path) for path in paths])
    assert words[:5] == ["--enable-lora", "--max-loras", "2", "--max-lora-rank", rank]
    assert words[5:] == ["--lora-modules", *(f"{served_name(path)}={path}" for path in paths)]
    assert adapter_arguments([]) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ([], "no LoRA adapter of PEFT in .*/a: vLLM takes the folder"),
        ({}, "no LoRA adapter"),
        ({"r": "x"}, "no LoRA adapter"),
        ({"r": 8, "rank_pattern": [1]}, "no LoRA adapter"),
        ({"r": 1000}, "has rank 1000; vLLM takes 1 to 512"),
        ({"r": 0}, "has rank 0"),
    ],
)
def test_folder_that_holds_no_adapter_is_refused(tmp_path: Path, config: Any, said: str) -> None:
    with pytest.raises(EngineGone, match=said):
        check_adapter(adapter(tmp_path / "a", config))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineGone, match=r"no LoRA adapter of PEFT in .*/none"):
        check_adapter(tmp_path / "none")
    (adapter(tmp_path / "a") / "adapter_model.safetensors").unlink()
    with pytest.raises(EngineGone, match=r"has no adapter_model\.safetensors"):
        check_adapter(tmp_path / "a")


def test_identity_follows_the_content_of_an_adapter(tmp_path: Path) -> None:
    paths = [adapter(tmp_path / n / "x", weights=w) for n, w in (("a", b"w"), ("b", b"v"))]
    said = [identity(EngineSpec("vllm", "m", adapter=str(path))) for path in paths]
    assert [each["adapter"] for each in said] == ["x", "x"]
    assert said[0]["adapter_content"] != said[1]["adapter_content"]


def test_roles_with_adapters_of_one_base_share_its_server(tmp_path: Path) -> None:
    actor, refiner = (str(adapter(tmp_path / name)) for name in ("actor", "refiner"))
    plain = EngineSpec("vllm", "m")
    roles = with_shared_servers(
        {
            "actor": replace(plain, adapter=actor),
            "refiner": replace(plain, adapter=refiner),
            "judge": plain,
            "other": EngineSpec("vllm", "n"),
        }
    )
    shared = {role: spec.shared for role, spec in roles.items()}
    assert shared["actor"] == shared["refiner"] == shared["judge"] != shared["other"]
    assert shared["actor"].served_adapters == (actor, refiner)
    assert shared["other"].served_adapters == ()


def test_each_request_names_the_adapter_of_its_role(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {role: adapter(tmp_path / role / "adapter") for role in ("actor", "refiner")}
    started: list[Sequence[str]] = []
    with serving(lambda _: ["x"]) as server:

        class Started:
            url, is_up = server.url, True

            def __init__(self, *_: Any, arguments: Sequence[str], **__: Any) -> None:
                started.append(arguments)

            def close(self) -> None:
                pass

        monkeypatch.setattr(module, "VllmServer", Started)
        specs = {
            role: EngineSpec("vllm", "base", adapter=str(path), arguments="--x 1")
            for role, path in paths.items()
        }
        specs["judge"] = replace(specs["actor"], adapter="")
        engines = Engines(tmp_path / "log")
        with engines.using(with_shared_servers(specs)) as lease:
            request = ChatRequest(({"role": "user", "content": "hi"},), Sampling(0, 1, 9))
            for engine in lease.engines.values():
                engines.run(engine.chat(request))
            names = {role: engine.name for role, engine in lease.engines.items()}
        engines.close()
    assert [body["model"] for body in server.bodies] == [
        served_name(paths["actor"]),
        served_name(paths["refiner"]),
        "base",
    ]
    assert names == {"actor": "base+actor", "refiner": "base+refiner", "judge": "base"}
    assert len(started) == 1, "one server"
    assert list(started[0][-2:]) == ["--x", "1"] and "--enable-lora" in started[0]
