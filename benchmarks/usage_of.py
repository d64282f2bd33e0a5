"""Runs a command and writes down what it took: `python -m benchmarks.usage_of OUT COMMAND ...`.

A small process of its own: on Linux a program begins with the peak memory of whoever started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    out, *command = sys.argv[1:]
    began = time.monotonic()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    taken = {
        "wall_s": time.monotonic() - began,
        "cpu_s": used.ru_utime + used.ru_stime,
        "resident_bytes": used.ru_maxrss * 1024,
    }
    Path(out).write_text(json.dumps(taken))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
