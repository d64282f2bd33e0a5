"""Where the servers of an engine are: a URL, several with commas between them, or `@FILE`.

The file has a URL a line and is read again while the run goes on; empty lines and those that begin
with `#` say nothing. It may be on any file system that fsspec knows.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from spar_core.engine.endpoints import endpoint_of, shown

_HOW = "write it as http://host:8000"


def is_file(said: str) -> bool:
    """Whether a file names the servers, which may be others later."""
    return said.startswith("@")


def is_several(said: str) -> bool:
    """Whether there may be more than one server."""
    return is_file(said) or "," in said


def plain(said: str) -> str:
    """The same in one spelling: the order in which servers are named says nothing.

    Raises:
        ValueError: a URL is none, or stands there twice.
    """
    return said if is_file(said) or not said else ",".join(sorted(_listed(said)))


def current(said: str) -> tuple[str, ...]:
    """The URLs of the servers, as they are named now.

    Raises:
        ValueError: there is none, one is no URL or stands there twice, or the file cannot be read.
    """
    return _in_file(said[1:]) if is_file(said) else _listed(said)


def _listed(said: str) -> tuple[str, ...]:
    urls = [url.strip() for url in said.split(",")]
    if "" in urls:
        raise ValueError(f"no URL beside a comma in {shown(said)}: leave out the comma")
    for url in urls:
        # A comma in a password ends a URL: then no part of what stands there is shown alone.
        _check(url, _hidden(said) if "@" in said else url)
    same = [endpoint_of(url).url for url in urls]
    for number, url in enumerate(same):
        if url in same[:number]:
            raise ValueError(f"{shown(url)} stands there twice: name each engine once")
    return tuple(urls)


def _hidden(said: str) -> str:
    """Return what stands there without anything before the last `@`."""
    return f"{'http://' if '://' in said else ''}***@{said.rpartition('@')[2]}"


def _in_file(name: str) -> tuple[str, ...]:
    urls: dict[str, int] = {}
    for number, line in enumerate(_read(name).splitlines(), 1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        _check(said, f"{name}:{number}: {_hidden(said) if '@' in said else shown(said)}")
        url = endpoint_of(said).url
        if url in urls:
            raise ValueError(
                f"{name}:{number}: {shown(url)} stands in line {urls[url]}, too: "
                "name each engine once"
            )
        urls[url] = number
    if not urls:
        raise ValueError(f"{name} names no engine: write a URL a line, as http://host:8000")
    return tuple(urls)


def _read(name: str) -> str:
    if not name:
        raise ValueError("no file after the @: name one that has a URL a line")
    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(name)
        fs.invalidate_cache(path)  # others write it
        return bytes(fs.cat_file(path)).decode("utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"no file {name}: write one with a URL a line") from None
    except UnicodeDecodeError:
        raise ValueError(f"{name} is no text in UTF-8: write a URL a line") from None
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(f"cannot read {name}: {error}") from None


def _check(url: str, called: str) -> None:
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or any(character.isspace() for character in url):
        raise ValueError(f"{called} is no URL of an engine: {_HOW}")
