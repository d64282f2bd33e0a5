"""How answers are drawn, from a command line."""

from __future__ import annotations

from argparse import ArgumentParser

import pytest

from spar_core.engine.protocol import Sampling
from spar_core.stages import drawing
from spar_core.stages.drawing import Drawing, longest

WRITER, TEACHER = (
    [drawing.WRITE],
    [drawing.TEACH_JUDGE, drawing.TEACH_REFINE, drawing.TEACH_ANSWER],
)


@pytest.mark.parametrize(
    ("drawn", "given", "role", "tokens"),
    [
        (WRITER, [], "writer", 1024),
        (WRITER, ["--write_max_tokens=77"], "writer", 77),
        (TEACHER, [], "teacher", 3072),
        (TEACHER, ["--teach_answer_max_tokens=4000"], "teacher", 4000),
        (TEACHER, [], "writer", 0),
        ([drawing.ACTOR], [], "teacher", 0),
    ],
)
def test_an_engine_is_asked_beforehand_for_the_longest_answer(
    drawn: list[Drawing], given: list[str], role: str, tokens: int
) -> None:
    parser = ArgumentParser()
    for each in drawn:
        each.add(parser)
    options = parser.parse_args(given)
    options.bundled = frozenset[str]()
    assert longest(options, role) == tokens


def test_the_bundled_model_answers_shortly() -> None:
    parser = ArgumentParser()
    drawing.WRITE.add(parser)
    options = parser.parse_args(["--write_temperature", "0.1"])
    options.bundled = frozenset({"writer"})
    assert drawing.WRITE.read(options) == Sampling(0.1, 1.0, drawing.WRITE.short)
