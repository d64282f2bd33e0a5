"""A server of a user's own, as `--serve` starts it: plays `rounds.story`, and notes what it gets.

Run as `python -m tests.pipelines.own_server --model M --port P --notes FILE`: adds a line to the
file with its process, its model, and the names of variables that hold keys. `--fails` ends it with
an error before it serves, `--has_no_health` leaves the page `/health` out.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.loopback import LoopbackServer
from tests.pipelines.rounds import story


class WithoutHealth(LoopbackServer):
    """A server that tells its models and has no page `/health`."""

    async def _models(self, request: web.Request) -> web.Response:
        if request.path == "/health":
            return web.Response(status=404)
        return await super()._models(request)


def template(notes: Path, *more: str) -> str:
    """The value of `--serve` that starts it."""
    words = [*(sys.executable, "-m", __name__, "--model", "{model}"), "--port={port}"]
    return shlex.join([*words, "--slots", "{slots}", "--notes", str(notes), *more])


def noted(notes: Path) -> list[dict[str, Any]]:
    """What was noted of each server that was started."""
    return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--notes", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--fails", default="")
    parser.add_argument("--has_no_health", action="store_true")
    options = parser.parse_args()
    keys = sorted(name for name, value in os.environ.items() if value.startswith("hush"))
    note = {"pid": os.getpid(), "model": options.model, "slots": options.slots, "keys": keys}
    with options.notes.open("a") as file:
        file.write(json.dumps(note) + "\n")
    if options.fails:
        sys.stderr.write(f"loading\n{options.fails}\nError: see above\n")
        return 3
    server = (WithoutHealth if options.has_no_health else LoopbackServer)(story, options.port)
    server.models = [options.model]
    time.sleep(600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
