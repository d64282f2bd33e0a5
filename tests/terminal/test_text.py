"""Values as text and tables that no terminal acts on."""

from __future__ import annotations

import io

import pytest

from terminal.console import Console
from terminal.text import as_table, as_text


def test_cells_are_text_not_markup() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(as_table(["[b]name[/b]", "[/x]"], [["[red]a[/]", "[/y]"]]))
    text = console.file
    assert isinstance(text, io.StringIO)
    for part in ("[b]name[/b]", "[/x]", "[red]a[/]", "[/y]"):
        assert part in text.getvalue()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "True"),
        (False, "False"),
        (1234, "1,234"),
        (0.5, "0.5"),
        ("\x07", "\\u0007"),
    ],
)
def test_a_value_as_text(value: object, shown: str) -> None:
    assert as_text(value) == shown
