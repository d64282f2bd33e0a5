"""Which files a name gives, of which kind they are, and how they are decompressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spar_core.input_files import find, kind_of, opened
from spar_core.prompt_files import read
from terminal.exits import InputError

DATA = {
    "jsonl": b'{"prompt": "a"}\n{"prompt": "b"}\n',
    "ndjson": b'{"prompt": "a"}\n{"prompt": "b"}\n',
    "json": b'[{"prompt": "a"}, "b"]',
    "csv": b'n,prompt\n1,a\n2,"b"\n',
    "tsv": b'n\tprompt\n1\ta\n2\t"b"\n',
    "txt": b"a\n\n  \r\nb",
}


def _zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


def _zip(data: bytes, *names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names or ("in",):
            archive.writestr(name, data)
    return out.getvalue()


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": _zstd,
    "zip": _zip,
}


def texts(path: Path | str) -> list[str | None]:
    return [row.prompt for row in read(str(path))]


@pytest.mark.parametrize("kind", [*DATA, "parquet"])
@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_every_kind_is_read_from_every_compression(tmp_path: Path, kind: str, suffix: str) -> None:
    if kind == "parquet":
        pq.write_table(pa.table({"prompt": ["a", "b"]}), tmp_path / "plain")
    else:
        (tmp_path / "plain").write_bytes(DATA[kind])
    path = tmp_path / f"in.{kind.upper()}.{suffix}"
    path.write_bytes(COMPRESSIONS[suffix]((tmp_path / "plain").read_bytes()))
    assert texts(path) == ["a", "b"]


@pytest.mark.parametrize("kind", DATA)
def test_every_kind_is_read_as_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"in.{kind}"
    path.write_bytes(DATA[kind])
    assert texts(path) == ["a", "b"]


def test_text_that_is_jsonl_is_read_as_such(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes(b"\n" + DATA["jsonl"])
    assert texts(path) == ["a", "b"]
    for line in ('{"a": "no prompt"}', "{braces}", '["prompt"]'):
        path.write_text(f"{line}\nb\n")
        assert texts(path) == [line, "b"]


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zst"])
def test_compressed_parts_one_after_another_are_one_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in.txt.{suffix}"
    path.write_bytes(COMPRESSIONS[suffix](b"a\n") + COMPRESSIONS[suffix](b"b\n"))
    assert texts(path) == ["a", "b"]


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zst"])
@pytest.mark.parametrize("is_cut", [True, False])
def test_a_compressed_file_that_is_cut_off_or_is_none_is_named(
    tmp_path: Path, suffix: str, is_cut: bool
) -> None:
    whole = COMPRESSIONS[suffix](b'{"prompt": "a"}\n' + os.urandom(9999))
    path = tmp_path / f"in.jsonl.{suffix}"
    path.write_bytes(whole[:5000] if is_cut else DATA["jsonl"])
    with pytest.raises(InputError, match=rf"cannot read .*in\.jsonl\.{suffix}: \w") as raised:
        texts(path)
    assert "\n" not in str(raised.value)


def test_an_archive_of_several_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl.zip"
    path.write_bytes(_zip(DATA["jsonl"], "a", "b"))
    with pytest.raises(InputError, match=r"in\.jsonl\.zip: it holds 2 files, not one: unpack it"):
        texts(path)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a/b.jsonl", "jsonl"),
        ("gs://b/c.CSV.Gz", "csv"),
        ("x.tar.parquet.zst", "parquet"),
        ("a.gz", ""),
        ("a", ""),
        ("-", ""),
    ],
)
def test_a_suffix_says_the_kind(path: str, kind: str) -> None:
    assert kind_of(path) == kind


def test_a_folder_gives_its_files_of_known_kinds(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.csv.gz", "c.PARQUET", ".hidden.jsonl", "_SUCCESS.txt", "run.py"):
        (tmp_path / name).touch()
    (tmp_path / "d.jsonl").mkdir()
    (tmp_path / "d.jsonl" / "e.jsonl").touch()
    names = [Path(name).name for name in find(str(tmp_path))]
    assert names == ["a.csv.gz", "b.jsonl", "c.PARQUET"]
    assert find(f"{tmp_path}/") == find(str(tmp_path))
    assert find(f"{tmp_path}/**/e.jsonl") == [f"{tmp_path}/d.jsonl/e.jsonl"]


def test_a_folder_without_any_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run.py").touch()
    with pytest.raises(InputError, match=r"no file of prompts in the folder .*\.parquet.*/\*\*'"):
        find(str(tmp_path))


def test_the_home_folder_may_be_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "in.jsonl").touch()
    for files in ("~/in.jsonl", "~/*.jsonl", "~"):
        assert find(files) == [f"{tmp_path}/in.jsonl"]


def test_a_file_in_memory_is_found_in_its_folder(request: pytest.FixtureRequest) -> None:
    import fsspec

    folder = f"memory://{request.node.name}"
    fsspec.filesystem("memory").pipe(f"{folder}/in.txt", b"a\n")
    [path] = find(folder)
    assert texts(path) == ["a"]


def test_an_error_without_words_shows_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("fsspec.core.url_to_fs", fail)
    with pytest.raises(InputError, match=r"cannot look for x\.jsonl: TimeoutError$"):
        find("x.jsonl")


def test_the_hub_offline_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"offline mode is enabled.*needs the package") as raised:
        find("hf://datasets/a/b/*.jsonl")
    assert "\n" not in str(raised.value)


def test_the_hub_without_its_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "hf", raising=False)
    with pytest.raises(InputError, match="huggingface_hub"):
        find("hf://datasets/a/b.jsonl")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("data", "prompts"),
    [
        (b'\xef\xbb\xbf\n{"prompt": "a"}\n{"prompt": "b"}\n', ["a", "b"]),
        (b'\na\n\n{"prompt": "b"}\r\n', ["a", '{"prompt": "b"}']),
        (b"a", ["a"]),
        (b'{"prompt": "half\n{"prompt": "b"}\n', [None, "b"]),
        (b"\xff\nb\n", [None, "b"]),
        (b"", [None]),
    ],
)
def test_standard_input_is_jsonl_or_lines(
    monkeypatch: pytest.MonkeyPatch, data: bytes, prompts: list[str | None]
) -> None:
    piped(monkeypatch, data)
    assert find("-") == ["-"]
    assert texts("-") == prompts


def test_an_empty_standard_input_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"")
    [row] = read("-")
    assert row.error == "empty_file" and "goes on without --prompts" in row.message


def test_standard_input_has_line_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"\na\nb\n")
    assert [row.source for row in read("-")] == ["-:2", "-:3"]


@pytest.mark.parametrize("stdin", [Terminal(), None])
def test_a_terminal_is_refused(monkeypatch: pytest.MonkeyPatch, stdin: Terminal | None) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(InputError, match="is a terminal or closed here: pipe the prompts"):
        find("-")


def test_lz4_is_read(tmp_path: Path) -> None:
    with pa.output_stream(str(tmp_path / "in.txt.lz4"), compression="lz4") as stream:
        stream.write(b"a\n")
    with opened(str(tmp_path / "in.txt.lz4")) as file:
        assert file.read() == b"a\n"
