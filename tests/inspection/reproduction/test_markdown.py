"""Text in Markdown: it is shown as it is, and tables keep their cells."""

from __future__ import annotations

import pytest

from inspection.reproduction.markdown import Markdown, code, escaped, table
from tests.inspection.reproduction.folders import HOSTILE


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("41.2 [37.1, 45.2], p < 0.001", "41.2 [37.1, 45.2], p < 0.001"),
        ("[a](b) [a][b] ![a](b)", r"[a\](b) [a\][b] \![a\](b)"),
        ("[a]: b, [^1]: c", r"[a\]: b, [^1\]: c"),
        ("[a\\](b)", r"[a\\\](b)"),
        ("a|b", r"a\|b"),
        ("best_of_n *x* `y`", r"best\_of\_n \*x\* \`y\`"),
        ("<b>&amp;", r"\<b>\&amp;"),
        ("> quoted", r"\> quoted"),
        ("- an item", r"\- an item"),
        ("-2.0", "-2.0"),
        ("one\n# two", r"one \# two"),
        ("\\| $x$ ~z~ !", r"\\\| \$x\$ \~z\~ \!"),
        ("\x1b[31m", r"\\u001b[31m"),
    ],
)
def test_text_is_escaped_on_one_line(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_markdown_is_left_as_it_is() -> None:
    assert escaped(Markdown("*x* | y")) == "*x* | y"
    assert escaped(escaped("*")) == r"\*"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a_b", "`a_b`"), ("a`b", "`` a`b ``"), ("``", "``` `` ```"), ("a\nb", "`a b`")],
)
def test_code_is_fenced_by_more_backticks_than_it_holds(text: str, shown: str) -> None:
    assert code(text) == shown


def test_a_table_keeps_its_cells() -> None:
    lines = table(["a", "b|c"], [["x\ny", Markdown("**z**")], [HOSTILE, ""]]).splitlines()
    assert lines[:3] == ["| a | b\\|c |", "| --- | --- |", "| x y | **z** |"]
    assert len(lines) == 4
    assert lines[3].replace("\\|", "").count("|") == 3
