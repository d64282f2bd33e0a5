"""The note of a job elsewhere: read back, and refused where it would lead anywhere else."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from pipelines import status
from pipelines.execution import elsewhere
from pipelines.execution.job_note import JobNotFound, Place, Running, note, noted
from spar_core.dataset import Dataset
from terminal.exits import InputError

FLINK = Place("FlinkRunner", "0a1b", "http://flink:8081/#/job/running/0a1b", "flink", "http://f:1")
PLACES = (
    FLINK,
    Place("FlinkRunner", "0a1b", "", "flink", "https://proxy.example/flink"),
    Place("PortableRunner", "spar-judge-1_0b-4c", "", "job_server", "localhost:8099"),
    Place("SparkRunner", "my job-0b-4c", "", "job_server", "[::1]:8099"),
    Place(
        "DataflowRunner",
        "2026-01-01_00_00_00-123",
        "https://console.cloud.google.com/dataflow/jobs/europe-west4/2026-1?project=p",
        "dataflow",
        "example.com:p/europe-west4",
    ),
    Place("PrismRunner", ""),
)


def running(place: Place = FLINK) -> Running:
    return Running(place, "iteration 1, judge (dfs)", "judge", "dfs", 1, "0123abcd")


def dataset_with(change: Mapping[str, Any], place: Mapping[str, Any]) -> Dataset:
    """A run in memory whose note differs from a good one."""
    dataset = Dataset(f"memory://{uuid.uuid4().hex}/run", 1)
    plain = json.loads(running().to_json())
    plain |= change
    plain["place"] = {**plain["place"], **place} if isinstance(plain["place"], dict) else None
    dataset.fs.makedirs(dataset.root, exist_ok=True)
    dataset.fs.pipe_file(f"{dataset.root}/_job.json", json.dumps(plain).encode())
    return dataset


@pytest.mark.parametrize("place", PLACES)
def test_a_note_is_read_back(tmp_path: Path, place: Place) -> None:
    dataset = Dataset(str(tmp_path), 1)
    note(dataset, running(place))
    assert noted(dataset) == running(place)


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "ftp://host/x",
        "http://user:secret@host:8081",
        "http://host:8081/?q=",
        "http://host:8081/#",
        "http://host:8081/..",
        "http://host:8081/a/../b",
        "http://host:8081\n",
        "http://host name",
        "http://",
        "host:8081",
        "",
        7,
        None,
    ],
)
def test_an_address_that_is_no_clusters_is_refused(address: object) -> None:
    with pytest.raises(InputError, match=r"_job\.json names the job's address"):
        noted(dataset_with({}, {"address": address}))


@pytest.mark.parametrize(
    ("by", "address"),
    [
        ("job_server", "unix:/run/docker.sock"),
        ("job_server", "http://host:8099"),
        ("job_server", "host"),
        ("dataflow", "p/../r"),
        ("dataflow", "project"),
        ("", "http://host"),
        ("curl", "http://host"),
        (None, ""),
    ],
)
def test_an_address_is_of_the_kind_that_finds_the_job(by: object, address: str) -> None:
    with pytest.raises(InputError, match=r"_job\.json names "):
        noted(dataset_with({}, {"by": by, "address": address}))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"files": "../../judge"}, {}),
        ({"plan": ".."}, {}),
        ({"plan": "../../../victim"}, {}),
        ({"variant": "../dfs"}, {}),
        ({"iteration": "1/../.."}, {}),
        ({"iteration": -1}, {}),
        ({"name": "judge\x1b[2J"}, {}),
        ({"more": 1}, {}),
        ({"place": None}, {}),
        ({}, {"id": "../../jars/1/run?x="}),
        ({}, {"id": ""}),
        ({}, {"url": "javascript:alert(1)"}),
        ({}, {"url": "http://user:secret@host/"}),
        ({}, {"url": "http://host/\x1b]8;;"}),
        ({}, {"runner": "Flink\nRunner"}),
        ({}, {"more": 1}),
    ],
)
def test_names_that_lead_away_are_refused(change: dict[str, Any], place: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"_job\.json ") as refused:
        noted(dataset_with(change, place))
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("text", [b"", b"{half", b"[]", b"7", b"\xff"])
def test_what_is_no_note_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "_job.json").write_bytes(text)
    with pytest.raises(InputError, match="is no note of a job"):
        noted(Dataset(str(tmp_path), 1))


def test_status_says_in_a_line_that_a_note_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place("FlinkRunner", "0a1b", "", "flink", "file:///etc/passwd")
    note(Dataset(str(tmp_path), 1), running(place))
    assert status.main(["--run", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ") and said.err.count("\n") == 1
    assert "_job.json names the job's address 'file:///etc/passwd'" in said.err


class Leading(BaseHTTPRequestHandler):
    """A server that leads whoever asks to another of its pages."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(302)
        self.send_header("Location", "/secret")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@pytest.fixture
def leading() -> Iterator[str]:
    Leading.asked = []
    with HTTPServer(("127.0.0.1", 0), Leading) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_cluster_leads_to_no_other_address(leading: str) -> None:
    with pytest.raises(JobNotFound, match="302"):
        elsewhere.find(Place("FlinkRunner", "0a1b", "", "flink", leading))
    assert Leading.asked == ["/jobs/0a1b"]
