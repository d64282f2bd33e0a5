"""The note in a run of the job that it has on a runner elsewhere, and where that job is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from spar_core.dataset import Dataset

_FILE = "_job.json"


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
    def from_json(cls, text: bytes) -> Running:
        plain = json.loads(text)
        return cls(**{**plain, "place": Place(**plain["place"])})


def note(dataset: Dataset, job: Running) -> None:
    """Note that a run has a job."""
    dataset.replace(f"{dataset.root}/{_FILE}", job.to_json())


def noted(dataset: Dataset) -> Running | None:
    """The job that a run has, as far as is known; it may have ended."""
    try:
        return Running.from_json(dataset.fs.cat_file(f"{dataset.root}/{_FILE}"))
    except FileNotFoundError:
        return None


def forget(dataset: Dataset, job: Running) -> None:
    """Take back that a run has a job, unless another one is noted by now."""
    if noted(dataset) == job:
        dataset.fs.rm_file(f"{dataset.root}/{_FILE}")
