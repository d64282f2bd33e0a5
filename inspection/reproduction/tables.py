"""The tables of the page: what was measured, beside the paper's figures.

Each function returns None where none of the figures of its table is there yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inspection.reproduction import paper
from inspection.reproduction.contract import (
    AGREEMENT,
    BASE,
    BOOTSTRAP,
    DECIDE,
    GREEDY_TREES,
    IFEVAL,
    INDEPENDENT,
    ONE_ROUND,
    OWN_MEASURES,
    PERPLEXITY,
    REFINEMENT,
    REPORT,
    SPAR,
    TAUGHT,
    UNSEEN,
    VETO,
    Case,
)
from inspection.reproduction.expectations import decoding_cases
from inspection.reproduction.markdown import Markdown, table
from inspection.reproduction.measured import (
    ACCURACY,
    BIAS,
    HEADLINE,
    INSTRUCTIONS_STRICT,
    PROGRAM,
    PROMPTS_STRICT,
    SELF,
    Results,
)
from inspection.reproduction.step_groups import Group
from inspection.reproduction.wording import (
    DECODERS,
    MEASURES,
    NONE,
    difference,
    in_order,
    model,
    perplexity,
    perplexity_change,
    published,
    score,
    signed_score,
)

_WITHOUT = {
    GREEDY_TREES: "no tree search",
    ONE_ROUND: "no iterations",
    INDEPENDENT: "no refinement",
}
_ABLATED = (
    ("taught kinds", TAUGHT, HEADLINE),
    ("unseen kinds", UNSEEN, HEADLINE),
    ("IFEval P(S)", IFEVAL, PROMPTS_STRICT),
    ("IFEval I(S)", IFEVAL, INSTRUCTIONS_STRICT),
)
_WORDS = {
    REPORT: "the judge alone",
    VETO: "judge and program",
    DECIDE: "the program where it can",
}
"""What a data round makes of the program's word: who decides whether an answer passes."""


def following(results: Results) -> Markdown | None:
    """Table 1: how well each model follows instructions."""
    measures = _measured(results)
    rows = []
    for line, number in _models(results, measures):
        if line in _WORDS:  # these stand beside each other in a table of their own
            continue
        beside = paper.FOLLOWING.get((line, number))
        rows.append(
            [
                model(line, number),
                *(_score(results, Case(measure, line, number)) for measure in measures),
                published(beside.ifeval if beside else None),
                published(beside.followbench if beside else None),
            ]
        )
    head = ["model", *measures.values(), "paper: IFEval average", "paper: FollowBench SSR"]
    return table(head, rows) if rows else None


def agreement(results: Results) -> Markdown | None:
    """Table 2: how often each refiner agrees with the program."""
    rows = []
    for line, number in _models(results, [AGREEMENT]):
        case = Case(AGREEMENT, line, number)
        beside = paper.JUDGING.get((line, number))
        rows.append(
            [
                model(line, number),
                _score(results, case, ACCURACY),
                _signed(results, case),
                published(beside.natural if beside else None),
                published(beside.adversarial if beside else None),
            ]
        )
    head = ["refiner", "agreement", "bias", "paper: LLMBar natural", "paper: LLMBar adversarial"]
    return table(head, rows) if rows else None


def ablations(results: Results, planned: int | None = None) -> Markdown | None:
    """Table 4: how much worse the models are that were trained without a part of the method.

    Args:
        planned: how many iterations SPaR is to have. One round of all prompts is compared with
            the last of them.
    """
    rows: list[list[str]] = []
    for line, part in _WITHOUT.items():
        beside = paper.ABLATIONS[line]
        told = [published(value, "+") for value in beside]
        for name, measure, figure in _ABLATED:
            pair = _ablated(results, line, measure, planned)
            found = results.paired(*pair, figure) if pair else None
            if pair and found:
                at = f"iteration {pair[0].iteration}"
                units = f"{found.units:,}"
                rows.append([part, at, name, difference(found), units, *told])
    head = ["without", "SPaR's", "measure", "difference to SPaR", "prompts"]
    head += ["paper: IFEval P(S)", "paper: IFEval I(S)", "paper: FollowBench"]
    return table(head, rows) if rows else None


def _ablated(
    results: Results, line: str, measure: str, planned: int | None
) -> tuple[Case, Case] | None:
    """SPaR's case and the one without a part, at the last iteration at which both can be held."""
    full, other = ({*results.iterations(each, measure)} for each in (SPAR, line))
    if line == ONE_ROUND:
        last = planned or max(full, default=0)
        if last not in full or not other:
            return None
        return Case(measure, SPAR, last), Case(measure, line, max(other))
    shared = full & other
    if not shared:
        return None
    return Case(measure, SPAR, max(shared)), Case(measure, line, max(shared))


def refinements(results: Results) -> Markdown | None:
    """Table 5: how many refinements of the same failing answers pass, and who says so."""
    rows = []
    for line, number in _models(results, [REFINEMENT]):
        case = Case(REFINEMENT, line, number)
        beside = paper.REFINING.get((line, number))
        rows.append(
            [
                model(line, number),
                _score(results, case, PROGRAM),
                _score(results, case, SELF),
                _signed(results, case),
                published(beside.by_other if beside else None),
                published(beside.by_itself if beside else None),
            ]
        )
    head = ["refiner", "by the program", "by itself", "bias", "paper: by GPT-4o"]
    return table([*head, "paper: by itself"], rows) if rows else None


def words(results: Results, own: str) -> Markdown | None:
    """What the program's word in a data round is worth: report, veto and decide side by side.

    Args:
        own: the word in SPaR's own data rounds, with which the others are compared.
    """
    measures = {
        measure: name
        for measure, name in MEASURES.items()
        if any(case.line in _WORDS for case in results.cases(measure))
    }
    numbers = {number for line, number in _models(results, measures) if line in _WORDS}
    rows = []
    for number in sorted(numbers):
        for word, who in _WORDS.items():
            line = SPAR if word == own else word
            scores = [_score(results, Case(measure, line, number)) for measure in measures]
            found = None
            if line != SPAR:
                found = results.paired(Case(TAUGHT, SPAR, number), Case(TAUGHT, line, number))
            if set(scores) != {NONE}:
                rows.append([str(number), word, who, *scores, difference(found)])
    head = ["iteration", "--checks", "who decides", *measures.values()]
    return table([*head, f"difference to {own}, taught kinds"], rows) if rows else None


def decoding(results: Results) -> Markdown | None:
    """Figure 5 as a table: the score of each decoder and number of responses."""
    rows = []
    for case in decoding_cases(results):
        made = results.responses.get(case)
        mean = f"{sum(made.values()) / len(made):.1f}" if made else NONE
        name = DECODERS.get(case.decoder, case.decoder)
        rows.append([name, f"{case.responses:,}", mean, _score(results, case)])
    head = ["decoder", "responses allowed", "responses made for a prompt", "score"]
    return table(head, rows) if rows else None


def general(results: Results) -> Markdown | None:
    """General ability and perplexity of the base, the bootstrap and the last model."""
    names = sorted({case.measure for case in results.units} - OWN_MEASURES)
    held = {
        (case.line, case.iteration) for name in (*names, PERPLEXITY) for case in results.cases(name)
    }
    models = [each for each in ((BASE, 0), (BOOTSTRAP, 0)) if each in held]
    last = max((each for each in held if each[0] == SPAR), default=None)
    models += [last] if last else []
    if not models:
        return None
    is_change = models[0][0] == BASE and last is not None
    rows = []
    for name in names:
        cases = [Case(name, *each) for each in models]
        change = results.paired(cases[0], cases[-1]) if is_change else None
        rows.append([name, *(_score(results, case) for case in cases), difference(change)])
    values = [results.perplexities.get(Case(PERPLEXITY, *each), {}) for each in models]
    if any(values):
        change_of = perplexity_change(values[0], values[-1]) if is_change else NONE
        rows.append(["perplexity", *map(perplexity, values), change_of])
    head = ["measure", *(model(*each) for each in models), "change from base to last"]
    return table(head, rows)


def steps(groups: Sequence[Group]) -> Markdown | None:
    """How long each kind of step took."""
    if not groups:
        return None
    every = Group("all", *(sum(column) for column in zip(*(g[1:] for g in groups), strict=True)))
    rows = [
        [
            group.name,
            f"{group.steps:,}",
            f"{group.seconds / 60:,.1f}",
            f"{group.seconds / 60 / group.steps:,.1f}",
            f"{group.seconds / every.seconds:.0%}" if every.seconds else NONE,
        ]
        for group in (*groups, every)
    ]
    return table(["kind of step", "steps", "minutes", "minutes a step", "share of time"], rows)


def _measured(results: Results) -> dict[str, str]:
    """The measures of instruction following that have any figure, and what they are called."""
    return {measure: name for measure, name in MEASURES.items() if results.cases(measure)}


def _models(results: Results, measures: Iterable[str]) -> list[tuple[str, int]]:
    """The models that any of some measures has a figure of, in the order of their rows."""
    held = {(case.line, case.iteration) for name in measures for case in results.cases(name)}
    lines = in_order([line for line, _ in held])
    return sorted(held, key=lambda each: (lines.index(each[0]), each[1]))


def _score(results: Results, case: Case, figure: str = HEADLINE) -> str:
    return score(results.pooled(case, figure), _seeds(results, case))


def _signed(results: Results, case: Case) -> str:
    return signed_score(results.pooled(case, BIAS), _seeds(results, case))


def _seeds(results: Results, case: Case) -> int:
    """How many seeds a figure is to have; the base model is the same in all of them."""
    return 1 if case.line == BASE else len(results.seeds)
