"""Names of rows: from content and position, never from time or chance.

Rows that an experiment made with settings of its own bear its name.
"""

from __future__ import annotations

import hashlib

from schemas.table import MAIN


def prompt_id(prompt: str) -> str:
    """Derived from the text alone."""
    return "p" + hashlib.sha256(prompt.encode()).hexdigest()[:16]


def response_id(iteration: int, prompt: str, number: int, experiment: str = MAIN) -> str:
    """Names response `number` to a prompt in an iteration."""
    return f"{_of(f'i{iteration}.{prompt}', experiment)}.r{number}"


def tree_id(root_response: str, experiment: str = MAIN) -> str:
    """Names the tree grown from a response."""
    return f"{_of(root_response, experiment)}.t"


def node_id(tree: str, path: tuple[int, ...], answer: int = 0) -> str:
    """Names a node by its path; of several answers that a tree begins with, also by `answer`."""
    if path:
        return ".".join([tree, *map(str, path)])
    return f"{tree}.root.{answer}" if answer else f"{tree}.root"


def pair_id(origin: str, experiment: str = MAIN) -> str:
    """Names the pair that came of a tree, or of a prompt by some method."""
    return f"{_of(origin, experiment)}.pair"


def rft_id(key: str, experiment: str = MAIN) -> str:
    """Names a fine-tuning sample."""
    return _of(key, experiment)


def _of(name: str, experiment: str) -> str:
    """The name, with the experiment unless it bears that already."""
    is_named = experiment == MAIN or experiment in name.split(".")[2:]
    return name if is_named else f"{name}.{experiment}"
