"""Models at URLs: fetched once a machine into a folder of their own, whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.checkpoint import is_of_chat
from spar_core.engine.protocol import EngineAway, EngineGone

_MARKS = ("md5Hash", "crc32c", "ETag", "etag", "generation", "mtime")
"""What file systems say of a file's content, best first: the same wherever one looks from."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a model at a URL: of a folder those that lie in it, not those in its folders.

    files: path there -> (name, bytes, mark of its content).
    """

    url: str
    system: Any
    files: Mapping[str, tuple[str, int, str]]

    @property
    def name(self) -> str:
        """As tables show it."""
        return name_of(self.url)

    @property
    def size(self) -> int:
        """Bytes, all together."""
        return sum(size for _, size, _ in self.files.values())

    @property
    def fingerprint(self) -> str:
        """Of all files, as they are listed."""
        return _digest(sorted(self.files.values()))

    @property
    def content(self) -> str:
        """Of weights and configuration alone, so that a card that is edited makes no other model.

        Without reading them: as good as the file system's word.
        """
        files = sorted(self.files.values())
        return _digest([file for file in files if _is_weighty(file[0])] or files)

    @property
    def chat(self) -> str:
        """Of tokenizer, chat template and generation settings, as they are listed."""
        return _digest([file for file in sorted(self.files.values()) if is_of_chat(file[0])])


def is_url(model: str) -> bool:
    """Whether a model is named by where it lies on another file system."""
    return "://" in model


def name_of(url: str) -> str:
    """The last part of a URL."""
    return url.rstrip("/").rpartition("/")[2]


def listing(url: str) -> Listing:
    """What lies at a URL, looked up anew.

    Raises:
        EngineGone: nothing, or it cannot be read from here.
    """
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url.rstrip("/"))
        system.invalidate_cache()
        found = system.find(path, maxdepth=1, detail=True)
    except Exception as error:  # whatever a file system raises
        raise EngineGone(
            f"cannot read the model at {url}: {_said(error)}; it must be readable by whoever runs "
            "the engine (Dataflow: the worker's service account)"
        ) from None
    if not found:
        raise EngineGone(f"no model at {url}: --model takes the URL of a checkpoint folder or file")
    files = {place: (name_of(place), int(i["size"]), _mark(i)) for place, i in found.items()}
    return Listing(url, system, files)


def configuration(url: str) -> dict[str, Any]:
    """The `config.json` of a checkpoint at a URL; nothing where there is none."""
    import fsspec

    with contextlib.suppress(Exception), fsspec.open(f"{url.rstrip('/')}/config.json") as opened:
        return dict(json.load(opened))
    return {}


def fetched(url: str, cache: Path | None = None) -> Path:
    """The model at a URL as a folder or file of this machine, fetched if it is not there yet.

    Others that want it at the same time wait; one that is killed leaves nothing that counts.

    Args:
        cache: where models are kept.

    Raises:
        EngineGone: it cannot be read, or there is no room for it.
        EngineAway: what can be read was not to be had now.
    """
    found = listing(url)
    cache = cache or cache_folder()
    place = cache / f"{found.name}-{found.fingerprint}"
    with locked(cache / f"{place.name}.lock"):
        if not place.is_dir():
            _fetch(found, place)
    is_file = list(found.files) == [found.system._strip_protocol(url.rstrip("/"))]
    return place / found.name if is_file else place


def _fetch(found: Listing, place: Path) -> None:
    part = place.with_name(f"{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of one that was killed
    part.mkdir()
    free = shutil.disk_usage(part).free
    if found.size > free:
        part.rmdir()
        raise EngineGone(
            f"the model at {found.url} takes {_gb(found.size)} and {place.parent} has "
            f"{_gb(free)} left: give the machine a larger disk (Dataflow: --disk_size_gb)"
        )
    try:
        targets = [str(part / name) for name, _, _ in found.files.values()]
        found.system.get(list(found.files), targets)
    except Exception as error:  # whatever a file system raises
        shutil.rmtree(part, ignore_errors=True)
        raise EngineAway(f"fetching the model at {found.url} failed: {_said(error)}") from None
    for name, size, _ in found.files.values():
        if (part / name).stat().st_size != size:
            raise EngineAway(f"{name} of the model at {found.url} changed while it was fetched")
    part.rename(place)


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _is_weighty(name: str) -> bool:
    return name == "config.json" or name.endswith((".safetensors", ".gguf"))


def _mark(info: Mapping[str, Any]) -> str:
    return next((f"{mark}:{info[mark]}" for mark in _MARKS if info.get(mark)), "")


def _digest(files: list[tuple[str, int, str]]) -> str:
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def cache_folder() -> Path:
    """Where models are kept on this machine."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spar" / "models"


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock file, which is made with its folder where it is not there yet."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
