"""How servers are named: URLs with commas between, or a file of them."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from spar_core.engine.addresses import current, is_several, plain

A, B = "http://a:8000", "https://b:8000/v1"


@pytest.mark.parametrize(
    ("said", "urls"),
    [
        (A, (A,)),
        (f"{A},{B}", (A, B)),
        (f" {A} , {B} ", (A, B)),
        ("http://[::1]:8000", ("http://[::1]:8000",)),
    ],
)
def test_urls_have_commas_between_them(said: str, urls: tuple[str, ...]) -> None:
    assert current(said) == urls
    assert is_several(said) == (len(urls) > 1)


def test_order_says_nothing() -> None:
    assert plain(f"{B},{A}") == plain(f"{A}, {B}") == f"{A},{B}"
    assert [plain(said) for said in ("", A, "@engines.txt")] == ["", A, "@engines.txt"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (f"{A},", f"no URL beside a comma in {A},: leave out the comma"),
        (",", "no URL beside a comma in ,: leave out the comma"),
        (f"{A},{A}/v1", f"{A} stands there twice: name each engine once"),
        ("localhost:8000", "localhost:8000 is no URL of an engine: write it as http://host:8000"),
        (f"{A} {B}", f"{A} {B} is no URL of an engine: write it as http://host:8000"),
        ("http://", "http:// is no URL"),
        ("http://a:port", "http://a:port is no URL"),
        ("ftp://a", "ftp://a is no URL"),
        ("engines.txt", "engines.txt is no URL"),
        ("me:secret@host:80", "***@host:80 is no URL"),
        ("http://me:secret@a,http://me:secret@a", "http://***@a stands there twice"),
        ("http://me:secret/part@a", "http://***@a is no URL"),
        ("http://me:secret,part@a", "http://***@a is no URL"),
        ("http://me:secret part@a", "http://***@a is no URL"),
    ],
)
def test_what_is_no_list_of_urls_is_one_line(said: str, message: str) -> None:
    for read in (current, plain):
        with pytest.raises(ValueError) as caught:
            read(said)
        assert str(caught.value).startswith(message)
        assert "secret" not in str(caught.value)


def listed(path: Path, text: str) -> str:
    path.write_text(text)
    return f"@{path}"


def test_file_has_a_url_a_line_and_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "engines.txt"
    said = listed(file, f"# ours\n{A}\r\n\n  {B}")
    assert is_several(said)
    assert current(said) == (A, "https://b:8000")
    listed(file, f"\ufeff{A}\n")
    assert current(said) == (A,)


def test_file_may_be_on_any_file_system() -> None:
    with fsspec.open("memory://engines.txt", "w") as file:
        file.write(A)
    assert current("@memory://engines.txt") == (A,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", " names no engine: write a URL a line, as http://host:8000"),
        ("\n# none\n", " names no engine: write a URL a line, as http://host:8000"),
        (f"{A}\n\nb:1\n", ":3: b:1 is no URL of an engine: write it as http://host:8000"),
        (f"{A},{B}\n", f":1: {A},{B} is no URL of an engine: write it as http://host:8000"),
        (f"{A}\n{B}\n{A}/v1\n", f":3: {A} stands in line 1, too: name each engine once"),
        ("http://me:secret@\n", ":1: http://***@ is no URL of an engine: "),
    ],
)
def test_bad_file_is_one_line_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    said = listed(tmp_path / "engines.txt", text)
    with pytest.raises(ValueError) as caught:
        current(said)
    assert str(caught.value).startswith(f"{said[1:]}{message}")
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, message in {
        "none.txt": f"no file {tmp_path}/none.txt: write one with a URL a line",
        "binary": f"{tmp_path}/binary is no text in UTF-8: write a URL a line",
        "": f"cannot read {tmp_path}/: ",
    }.items():
        with pytest.raises(ValueError) as caught:
            current(f"@{tmp_path}/{name}")
        assert str(caught.value).startswith(message)
    for said, message in {
        "@": "no file after the @: name one that has a URL a line",
        "@no://such": "cannot read no://such: ",
    }.items():
        with pytest.raises(ValueError) as caught:
            current(said)
        assert str(caught.value).startswith(message)
