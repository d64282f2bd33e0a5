"""FollowBench's rules: which examples a program judges, and by what.

A program judges an answer as a whole: its finding has no number, and its share of met constraints
is 0 or 1.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping

from evaluation.benchmark import Finding, details
from evaluation.benchmarks.followbench.chains import ANSWER
from evaluation.benchmarks.followbench.conditions import CONDITIONS, FORMATS
from schemas.items import Item

_INSTRUCTION = "{instruction}\n"


def check(item: Item, answer: str) -> list[Finding]:
    """A rule's verdict on a whole answer; nothing where a judge must look."""
    rule = rule_of(item)
    return [] if rule is None else [Finding("met", float(rule(answer)), None, item.category)]


def rule_of(item: Item) -> Callable[[str], bool] | None:
    """What says whether an answer to an item meets its constraints; None where a judge must."""
    said, level = details(item), item.level or 0
    source, target = said["source"], said["target"]
    if item.category == "example":
        return lambda answer: _has_form(answer, target)
    if item.category == "format" and said["example"] in FORMATS:
        source = f"format {said['example']}"
    if source in CONDITIONS:
        return lambda answer: all(CONDITIONS[source](answer, level)[:level])
    if source in _TARGETS:
        return lambda answer: _TARGETS[source](answer, target)
    return None


def _has_form(answer: str, template: str) -> bool:
    """Whether an answer, in one line, has the form of the template's answers."""
    before, _, after = template.replace(_INSTRUCTION, "").partition(ANSWER)
    before, after = (some.replace("{{", "{").replace("}}", "}") for some in (before, after))
    return bool(re.fullmatch(f"{re.escape(before)}.*{re.escape(after)}", answer))


def _last(pattern: str) -> Callable[[str, str], bool]:
    """Whether the last thing of this form is the target."""
    return lambda answer, target: re.findall(pattern, answer)[-1:] == [target]


_TARGETS: Mapping[str, Callable[[str, str], bool]] = {
    "E2E": str.__eq__,
    "text_editing": str.__eq__,
    "WIKIEVENTS": lambda answer, target: {*answer.split("\n")} <= {*target.split("\n")},
    "CONLL2003": lambda answer, target: answer in ast.literal_eval(target),
    "BBH_logical": _last(r"\([A-Z]\)"),
    "BBH_time": _last(r"\d{2}/\d{2}/\d{4}"),
    "gsm_8k": _last(r"\$\d+"),
    "self_made_space": lambda answer, target: target in answer,
}
"""By source how an answer compares with what is right."""
