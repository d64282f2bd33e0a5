from __future__ import annotations

from pathlib import Path

from schemas.checkpoint import content


def folder(path: Path, weights: bytes, config: str = "{}") -> Path:
    path.mkdir()
    (path / "model.safetensors").write_bytes(weights)
    (path / "config.json").write_text(config)
    return path


def test_content_tells_checkpoints_of_one_name_apart(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", b"a" * 3_000_000)
    same = folder(tmp_path / "same", b"a" * 3_000_000)
    other = folder(tmp_path / "other", b"a" * 2_999_999 + b"b")
    longer = folder(tmp_path / "longer", b"a" * 3_000_001)
    configured = folder(tmp_path / "configured", b"a" * 3_000_000, '{"layers": 2}')
    assert content(one) == content(same)
    assert len({content(path) for path in (one, other, longer, configured)}) == 4


def test_what_is_no_weight_changes_nothing(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", b"a")
    before = content(one)
    (one / "README.md").write_text("a card")
    assert content(one) == before


def test_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"gguf")
    assert content(tmp_path / "model.gguf")
