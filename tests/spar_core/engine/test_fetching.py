"""Models at URLs: fetched once, whole or not at all, and told apart by their listing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spar_core.engine import fetching
from spar_core.engine.fetching import fetched, listing
from spar_core.engine.preflight import preflight
from spar_core.engine.protocol import EngineGone
from spar_core.engine.spec import EngineSpec, called, identity
from spar_core.engine.vllm import context


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder with a checkpoint, and what no server needs below it."""
    folder = tmp_path / "store" / "llama"
    (folder / "checkpoint-1").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"w" * 1000)
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 640}))
    (folder / "README.md").write_text("a card")
    (folder / "checkpoint-1" / "optimizer.pt").write_bytes(b"o" * 1000)
    return folder


def url(folder: Path) -> str:
    return f"file://{folder}"


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_folder_is_fetched_whole_without_what_lies_below_it(store: Path, tmp_path: Path) -> None:
    place = fetched(url(store), tmp_path / "cache")
    assert names(place) == {"model.safetensors", "config.json", "README.md"}
    assert (place / "model.safetensors").read_bytes() == b"w" * 1000
    assert fetched(f"{url(store)}/", tmp_path / "cache") == place


def test_file_is_fetched_as_a_file(store: Path, tmp_path: Path) -> None:
    file = store / "m.gguf"
    file.write_bytes(b"g" * 10)
    assert fetched(url(file), tmp_path / "cache").read_bytes() == b"g" * 10


def test_what_is_there_is_not_fetched_again_but_what_changed_is(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fetched(url(store), tmp_path / "cache")
    monkeypatch.setattr(fetching, "_fetch", lambda *_: pytest.fail("fetched again"))
    assert fetched(url(store), tmp_path / "cache") == first
    monkeypatch.undo()
    (store / "model.safetensors").write_bytes(b"v" * 1001)
    second = fetched(url(store), tmp_path / "cache")
    assert second != first and (second / "model.safetensors").stat().st_size == 1001


FETCH = """
import sys, time
from pathlib import Path
import fsspec
from fsspec.implementations.local import LocalFileSystem
from spar_core.engine.fetching import fetched
class Slow(LocalFileSystem):
    protocol = "slow"
    def get(self, there, here, **more):
        with open(sys.argv[3], "a") as fetches:
            fetches.write("x")
        for one, other in zip(there, here):
            super().get([one], [other])
            time.sleep(float(sys.argv[4]))
fsspec.register_implementation("slow", Slow)
print(fetched("slow://" + sys.argv[1], Path(sys.argv[2])))
"""


def fetching_slowly(store: Path, tmp_path: Path, wait_s: float) -> subprocess.Popen[str]:
    arguments = [str(store), str(tmp_path / "cache"), str(tmp_path / "fetches"), str(wait_s)]
    command = [sys.executable, "-c", FETCH, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_that_want_it_at_once_fetch_it_once(store: Path, tmp_path: Path) -> None:
    processes = [fetching_slowly(store, tmp_path, 0.2) for _ in range(3)]
    places = {process.communicate(timeout=300)[0] for process in processes}
    assert len(places) == 1 and (tmp_path / "fetches").read_text() == "x"


def test_fetch_that_is_killed_leaves_nothing_that_counts(store: Path, tmp_path: Path) -> None:
    killed = fetching_slowly(store, tmp_path, 600)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("cache/*.part/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert not [place for place in (tmp_path / "cache").glob("*-*") if place.suffix == ""]
    place = Path(fetching_slowly(store, tmp_path, 0).communicate(timeout=300)[0].strip())
    assert names(place) == {"model.safetensors", "config.json", "README.md"}
    assert not list(tmp_path.glob("cache/*.part"))


def test_model_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for where in (f"file://{tmp_path}/none", "nosuch://bucket/model"):
        with pytest.raises(EngineGone, match="model at") as caught:
            preflight(EngineSpec("vllm", where), 9, is_here=False)
        assert where in str(caught.value) and "\n" not in str(caught.value)


def test_disk_that_is_too_small_is_said_before_it_is_full(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage: Any = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 0, 100))
    with pytest.raises(EngineGone, match=r"takes 0\.0 GB .* a larger disk"):
        fetched(url(store), tmp_path / "cache")
    assert not list(tmp_path.glob("cache/*-*.part"))


def test_identity_is_that_of_weights_and_configuration_and_needs_no_copy(store: Path) -> None:
    spec = EngineSpec("vllm", url(store))
    before = identity(spec)
    assert (before["model"], before["content"]) == ("llama", listing(url(store)).content)
    assert called(spec) == "llama"
    (store / "README.md").write_text("another card")
    assert identity(spec) == before
    os.utime(store / "model.safetensors", (1, 1))
    assert identity(spec) != before


def test_marks_of_content_come_before_those_of_time() -> None:
    said = {"size": 1, "mtime": 3, "generation": "17", "crc32c": "AAAAAA=="}
    assert fetching._mark(said) == "crc32c:AAAAAA=="
    assert fetching._mark({"size": 1, "ETag": '"x"', "LastModified": 3}) == 'ETag:"x"'


def test_context_of_a_checkpoint_at_a_url_is_known_before_it_is_fetched(store: Path) -> None:
    assert context(url(store), is_here=False) == 640
    with pytest.raises(EngineGone, match="has a context of 640"):
        preflight(EngineSpec("vllm", url(store)), 640, is_here=False)
    preflight(EngineSpec("vllm", url(store)), 64, is_here=False)
