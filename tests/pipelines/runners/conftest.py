"""What runs beside a job on a runner elsewhere: a Flink cluster, a pool of Python workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.runners import cluster
from tests.pipelines.runners.cluster import Cluster
from tests.pipelines.runners.workers import Pool


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Flink cluster that runs."""
    with cluster.running(tmp_path_factory.mktemp("flink")) as running:
        yield running


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    """A pool of Python workers that runs."""
    started = Pool(tmp_path / "workers.log")
    yield started
    started.stop()
