"""Runs a module as its user does and writes down what memory it took: `probe.py OUT MODULE ...`."""

from __future__ import annotations

import json
import resource
import runpy
import sys
import time
from pathlib import Path


def main() -> None:
    out, module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    began = time.monotonic()
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
    import torch

    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    taken = {"wall_s": time.monotonic() - began, "gpu_bytes": gpu, "resident_bytes": resident}
    Path(out).write_text(json.dumps(taken))


if __name__ == "__main__":
    main()
