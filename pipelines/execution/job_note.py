"""The note in a run of the job that it has on a runner elsewhere, and where that job is.

The note may come with a run that somebody else made, and its address is asked for the job's state.
It is therefore matched in full when it is read: an address is a host and a port, with a plain path
where it is a cluster's, and never anything with a query or a login.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Literal

from schemas import names
from spar_core.dataset import Dataset

_FILE = "_job.json"

_HOST = r"(?:[\w-]+(?:\.[\w-]+)*|\[[0-9a-fA-F:]+\])"
_ADDRESSES = {
    by: re.compile(pattern, re.ASCII)
    for by, pattern in {
        "": "",
        "job_server": rf"{_HOST}:\d{{1,5}}",
        "flink": rf"https?://{_HOST}(?::\d{{1,5}})?(?:/\w[\w.-]*)*",
        "dataflow": r"[\w.:-]*/[\w-]*",
    }.items()
}
"""What the address of a job is, by what finds it."""

_FLINK_ID = re.compile(r"\w[\w-]{0,99}", re.ASCII)
_RUNNER = re.compile(r"\w[\w.]{0,99}", re.ASCII)
_PAGE = re.compile(r"(?:https?://[^\s\x00-\x1f\x7f@]{1,500})?", re.ASCII)
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]{0,300}")


class JobNotFound(Exception):
    """Nobody answers where a job should be, or knows it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job is.

    runner: as it was named. id: the runner's. url: of its page, "" where it has none.
    by: what finds it, "" where nothing does. address: of the job server (host:port) or the cluster
    (URL), or the project and region with a slash between them.
    """

    runner: str
    id: str
    url: str = ""
    by: Literal["", "job_server", "flink", "dataflow"] = ""
    address: str = ""

    def __str__(self) -> str:
        return f"job {self.id} on {self.runner}" if self.id else f"a job on {self.runner}"


@dataclass(frozen=True, slots=True)
class Running:
    """A job that was submitted.

    place: where it is. name: of what it does. files, variant, iteration, plan: of its work files.
    """

    place: Place
    name: str
    files: str
    variant: str
    iteration: int
    plan: str

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes, path: str) -> Running:
        """Read a note.

        Args:
            text: what its file holds. path: of the file, for messages.

        Raises:
            BadControlFile: it is no note, or holds a name or an address that no job writes.
        """
        try:
            plain = json.loads(text)
            running = cls(**{**plain, "place": Place(**plain["place"])})
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            names.refused(path, f"is no note of a job ({type(error).__name__}: {error})")
        names.matched(_TEXT, running.name, path, "the job")
        names.matched(names.STAGE, running.files, path, "the work files")
        names.matched(names.VARIANT, running.variant, path, "the variant")
        names.whole(running.iteration, path, "an iteration")
        names.matched(names.WORK, running.plan, path, "the plan")
        _check(running.place, path)
        return running


def _check(place: Place, path: str) -> None:
    names.matched(_RUNNER, place.runner, path, "the runner")
    names.matched(_PAGE, place.url, path, "the job's page")
    if not isinstance(place.by, str) or place.by not in _ADDRESSES:
        names.refused(path, f"names {names.brief(place.by)} as what finds the job")
    names.matched(_ADDRESSES[place.by], place.address, path, "the job's address")
    pattern = _FLINK_ID if place.by == "flink" else _TEXT
    names.matched(pattern, place.id, path, "the job's id")


def is_address(by: Literal["job_server", "flink", "dataflow"], text: str) -> bool:
    """Return whether a note may hold a text as the address of what finds a job."""
    return _ADDRESSES[by].fullmatch(text) is not None


def note(dataset: Dataset, job: Running) -> None:
    """Note that a run has a job."""
    dataset.replace(f"{dataset.root}/{_FILE}", job.to_json())


def noted(dataset: Dataset) -> Running | None:
    """The job that a run has, as far as is known; it may have ended.

    Raises:
        BadControlFile: the note is none that a job writes.
    """
    path = f"{dataset.root}/{_FILE}"
    try:
        return Running.from_json(dataset.fs.cat_file(path), path)
    except FileNotFoundError:
        return None


def forget(dataset: Dataset, job: Running) -> None:
    """Take back that a run has a job, unless another one is noted by now."""
    if noted(dataset) == job:
        dataset.fs.rm_file(f"{dataset.root}/{_FILE}")
