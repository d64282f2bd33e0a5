"""The vendors' own clients beside ours."""

from __future__ import annotations

from pathlib import Path

from benchmarks import vendor_clients


def test_our_client_is_measured_and_missing_ones_are_named(tmp_path: Path) -> None:
    made = vendor_clients.measure(20, python=tmp_path / "python")
    (ours, rate, cpu_ms), *others = made.rows
    assert ours == "ours"
    assert isinstance(rate, float) and rate > 0
    assert isinstance(cpu_ms, float) and cpu_ms > 0
    assert others == [
        ["anthropic", vendor_clients.NOT_INSTALLED, ""],
        ["google-genai", vendor_clients.NOT_INSTALLED, ""],
    ]
    assert list(made.data["clients"]) == ["ours"]
