"""A job holds where a key is kept, and its requests carry the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import sample
from tests.loopback import LoopbackServer

KEY = "sk-kept-elsewhere"
VERSION = "projects/p/secrets/engine/versions/latest"


def test_a_round_carries_a_secrets_key_and_holds_its_name(
    tmp_path: Path, prompts: Path, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spar_core.engine.keys._secret", {VERSION: KEY}.__getitem__)
    run = tmp_path / "run"
    line = ["--run", str(run), "--prompts", str(prompts), "--engine_url", server.url]
    assert sample.main([*line, "--engine_key", VERSION]) == 0
    assert {sent["Authorization"] for sent in server.headers} == {f"Bearer {KEY}"}
    assert not [p for p in run.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]


def test_a_key_itself_is_refused(
    tmp_path: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["--run", str(tmp_path / "run"), "--engine_url", server.url, "--engine_key", KEY]
    assert sample.main(line) == 2
    said = capsys.readouterr().err
    assert "--engine_key takes the name of an environment variable" in said and KEY not in said
