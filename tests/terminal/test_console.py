"""What is printed is text: no escape sequence of others reaches a terminal."""

from __future__ import annotations

import io

import pytest
from rich.text import Text

from terminal.console import Console
from terminal.exits import complain
from terminal.text import as_table, without_logins
from tests.sources import modules_that_name

EVIL = "a\x1b[2J\x1b]0;title\x07b\rc\x9bd\u202ee"
SPELT = "a\\u001b[2J\\u001b]0;title\\u0007b\\u000dc\\u009bd\\u202ee"


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def console(*, is_terminal: bool) -> Console:
    return Console(
        file=io.StringIO(),
        force_terminal=is_terminal,
        color_system="truecolor" if is_terminal else None,
        width=200,
        highlight=False,
    )


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("markup", [True, False])
def test_control_characters_of_a_plain_text_are_spelt_out(is_terminal: bool, markup: bool) -> None:
    out = console(is_terminal=is_terminal)
    out.print(EVIL, markup=markup, soft_wrap=True)
    assert printed(out) == f"{SPELT}\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_so_they_are_in_whatever_else_is_printed(is_terminal: bool) -> None:
    out = console(is_terminal=is_terminal)
    out.print(Text(EVIL))
    out.print(as_table([EVIL], [[EVIL]], EVIL))
    out.print(["first", EVIL])
    assert "\x1b[2J" not in printed(out) and "\x1b]0" not in printed(out)
    assert not {"\x07", "\r", "\x9b", "\u202e"} & {*printed(out)}
    assert printed(out).count(SPELT) >= 3  # rich leaves some out by itself


def test_what_the_console_adds_itself_stays() -> None:
    out = console(is_terminal=True)
    out.print(Text("plain", style="bold"))
    with out.status("working"):
        pass
    assert "\x1b[1mplain\x1b[0m" in printed(out)
    assert "\x1b[?25l" in printed(out)


def test_an_error_is_one_line_without_login() -> None:
    out = console(is_terminal=True)
    assert complain(out, f"http://me:se/cret@host says {EVIL}", 2) == 2
    assert printed(out) == f"error: http://***@host says {SPELT}\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nothing to hide", "nothing to hide"),
        ("me@example.com", "me@example.com"),
        ("https://host/page", "https://host/page"),
        ("at s3://key:se/cret@bucket/x: no", "at s3://***@bucket/x: no"),
        ("http://a:1,http://u:p@b", "http://a:1,http://***@b"),
        ("http://u:p@a and http://v:q@b", "http://***@a and http://***@b"),
        ("(http://u:p@q@host)", "(http://***@host)"),
    ],
)
def test_logins_in_urls_are_left_out(text: str, shown: str) -> None:
    assert without_logins(text) == shown


def test_all_commands_print_through_this_console() -> None:
    assert modules_that_name("rich.console", but=("tests/", "terminal/console.py")) == []
