"""How figures and differences are written."""

from __future__ import annotations

import pytest

from inspection.reproduction import wording
from inspection.reproduction.figures import Paired, Pooled

ONE = Pooled(0.4123, 0.371, 0.4519, {1: 0.4123})
TWO = Pooled(0.41, 0.37, 0.45, {1: 0.40, 2: 0.42})


def test_a_score_has_its_interval_and_where_there_are_seeds_their_spread() -> None:
    assert wording.score(ONE) == "41.2 [37.1, 45.2]"
    assert wording.score(TWO, 2) == "41.0 [37.0, 45.0] ± 1.4"
    assert wording.score(None, 2) == "–"


def test_a_score_of_fewer_seeds_says_so() -> None:
    assert wording.score(ONE, 3) == "41.2 [37.1, 45.2] (1 seed)"
    assert wording.score(TWO, 3).endswith(" ± 1.4 (2 seeds)")


def test_a_bias_has_its_sign() -> None:
    found = Pooled(-0.0003, -0.02, 0.02, {1: -0.0003})
    assert wording.signed_score(found) == "+0.0 [-2.0, +2.0]", "and no minus before a zero"


@pytest.mark.parametrize(
    ("p", "said"), [(0.0009, "p < 0.001"), (0.001, "p = 0.001"), (1, "p = 1.000")]
)
def test_a_difference_has_its_interval_and_p(p: float, said: str) -> None:
    found = Paired(0.02, -0.003, 0.0371, p, 9, {1: 0.02})
    assert wording.difference(found) == f"+2.0 [-0.3, +3.7], {said}"
    assert wording.difference(None) == "–"


def test_lines_stand_in_the_order_of_the_table() -> None:
    lines = ["zeta", "veto", "spar", "alpha", "independent", "base", "spar"]
    ordered = ["base", "spar", "independent", "veto", "alpha", "zeta"]
    assert wording.in_order(lines) == ordered


def test_models_are_named() -> None:
    assert wording.model("base", 0) == "base model"
    assert wording.model("spar", 2) == "SPaR, iteration 2"
    assert wording.model("new_line", 1) == "new_line, iteration 1"
    assert wording.spoken("bootstrap", 0) == "the bootstrap model"
    assert wording.spoken("independent", 2) == "independent pairs after iteration 2"


def test_perplexity_has_its_spread_and_its_change_is_relative() -> None:
    assert wording.perplexity({1: 12.0, 2: 13.0}) == "12.50 ± 0.71"
    assert wording.perplexity({1: 12.0}) == "12.00"
    assert wording.perplexity({}) == "–"
    assert wording.perplexity_change({1: 10.0}, {1: 12.0, 2: 13.0}) == "+25.0 %"
    assert wording.perplexity_change({}, {1: 12.0}) == "–"
