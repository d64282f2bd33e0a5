"""What a program says of constraints, as a hash: in prompts, in critiques, in repairs."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterator

from spar_core.constraints import critique, edges, kind, layout, length, marks, sentences, words
from spar_core.conversation import hashed

_MODULES = (kind, words, marks, edges, layout, length, sentences, critique)


@functools.cache
def fingerprint() -> str:
    """Changes when a text changes that a program says of constraints, or reads answers by."""
    return hashed(*(text for module in _MODULES for text in texts(inspect.getsource(module))))


def texts(source: str) -> Iterator[str]:
    """The texts in a module's code, docstrings left out: the parts of f-strings each for itself."""
    tree = ast.parse(source)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value
