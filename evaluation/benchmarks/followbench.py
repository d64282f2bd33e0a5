"""FollowBench (arXiv 2310.20410): instructions to which five constraints are added one by one.

An example is a chain of levels: level 0 is the plain instruction, level n has n constraints. Levels
1 to 5 are answered and scored, 820 in all. As in the authors' code, programs judge the examples
whose answer is known or can be counted, and a judge model all others. A program judges an answer
as a whole: its finding has no number, and its share of met constraints is 0 or 1.

Two oddities of the published rules are kept, so that figures compare. A line break after the last
full stop makes one sentence more. In format 22 the numbers of the paragraphs count as sentences of
one word, so that its levels 4 and 5 (more than 20 words a sentence) cannot be met.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from evaluation.benchmark import BadData, Benchmark, Figure, Finding, Scored, details
from evaluation.published import by_part
from schemas.evaluations import Part, Unit
from schemas.items import Item
from spar_core.conversation import Vote
from spar_core.engine.protocol import ChatRequest, Engine
from spar_core.voting import Ballot, Judged, JudgeSettings, count

NAME = "followbench"
CATEGORIES = ("content", "situation", "style", "format", "mixed", "example")
LEVELS = range(1, 6)

_ENDING = "_constraints"
_REMEDY = "take it anew from data/ of github.com/YJiangcm/FollowBench"
_FIELDS = {
    **{"example_id": int, "level": int},
    **{"category": str, "source": str, "instruction": str, "target": str},
}
_ANSWER, _INSTRUCTION = "{answer}", "{instruction}\n"

JUDGE = """\
An instruction was made harder step by step. Every step states the instruction anew with one more \
{kind}. Below stand all steps and an answer to the last one.

{steps}

### Answer to the last step
{answer}
### End of the answer

What each step added is one constraint, {level} in all. Say in a line for each of them what it is \
and whether the answer meets it; a constraint that is met in part is missed. Then end with one \
line that holds nothing but a JSON list: "YES" (met) or "NO" (missed) for each step in their \
order, {level} in all."""

_KINDS = {
    "situation": "situation constraint (a background or circumstances to reckon with)",
    "mixed": "constraint",
}
_NO_START = "(There is none: step 1 states the instruction for the first time.)"


def read(paths: Sequence[Path]) -> Iterator[Item]:
    """Items of the six files, a category each.

    Raises:
        BadData: a file is missing, or not what was published.
    """
    files = by_part(paths, CATEGORIES, "category", lambda path: path.stem.removesuffix(_ENDING))
    position = itertools.count()
    for category in CATEGORIES:
        if category not in files:
            raise BadData(f"{category}{_ENDING}.json is missing; {_REMEDY}")
        for item in _items(category, files[category]):
            yield replace(item, position=next(position))


def _items(category: str, path: Path) -> Iterator[Item]:
    chains: dict[int, dict[int, str]] = {}
    rows = list(_rows(category, path))
    for number, row in rows:
        chain = chains.setdefault(row["example_id"], {})
        if row["level"] in chain:
            where = f"{path}: row {number}: example {row['example_id']}"
            raise BadData(f"{where} has level {row['level']} twice; {_REMEDY}")
        chain[row["level"]] = row["instruction"]
    first = 1 if category == "example" else 0
    for example, chain in chains.items():
        missing = [str(level) for level in range(first, LEVELS.stop) if level not in chain]
        if missing:
            lacks = ", ".join(missing)
            raise BadData(f"{path}: example {example} lacks level {lacks}; {_REMEDY}")
    for _, row in rows:
        example, level = row["example_id"], row["level"]
        if level:
            path_to = [chains[example][lower] for lower in range(first, level)]
            more = {"source": row["source"], "target": row["target"], "example": example}
            yield Item(
                *("", NAME, f"{category}/{example}/{level}", row["instruction"], 0),
                category=category,
                level=level,
                details=json.dumps(
                    more if category == "example" else more | {"path": path_to}, ensure_ascii=False
                ),
            )


def _rows(category: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file with their numbers from 1."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadData(f"{path}: cannot be read as JSON ({error}); {_REMEDY}") from None
    if not isinstance(rows, list) or not rows:
        raise BadData(f"{path}: holds no list of rows; {_REMEDY}")
    for number, row in enumerate(rows, 1):
        for fault in _faults(category, row):
            raise BadData(f"{path}: row {number}: {fault}; {_REMEDY}")
        yield number, row


def _faults(category: str, row: Any) -> Iterator[str]:
    """What is wrong with a row; what comes after the first may follow from it."""
    if not isinstance(row, dict):
        yield "no object"
    for name, kind in _FIELDS.items():
        if type(row.get(name)) is not kind:
            yield f"`{name}` is {json.dumps(row.get(name))[:80]}"
    if row["level"] not in (0, *LEVELS):
        yield f"level {row['level']} is not 0 to {LEVELS[-1]}"
    if {*row["category"].split(", ")} - {*(CATEGORIES if category == "mixed" else (category,))}:
        yield f"no category {row['category'][:80]} in {category}{_ENDING}.json"
    if row["level"] and not row["instruction"].strip():
        yield "`instruction` is empty"
    if category == "example" and _ANSWER not in row["target"]:
        yield f"`target` has no {_ANSWER}"
    if row["level"] and row["source"] == "CONLL2003" and not _is_list(row["target"]):
        yield "`target` is no list"


def _is_list(text: str) -> bool:
    try:
        return isinstance(ast.literal_eval(text), list)
    except (ValueError, SyntaxError):
        return False


def check(item: Item, answer: str) -> list[Finding]:
    """The rule's verdict on a whole answer; nothing where a judge must look."""
    rule = _rule(item)
    return [] if rule is None else [Finding("met", float(rule(answer)), None, item.category)]


def _rule(item: Item) -> Callable[[str], bool] | None:
    said, level = details(item), item.level or 0
    source, target = said["source"], said["target"]
    if item.category == "example":
        return lambda answer: _has_form(answer, target)
    if item.category == "format" and said["example"] in _FORMATS:
        source = f"format {said['example']}"
    if source in _CONDITIONS:
        return lambda answer: all(_CONDITIONS[source](answer, level)[:level])
    if source in _TARGETS:
        return lambda answer: _TARGETS[source](answer, target)
    return None


def _has_form(answer: str, template: str) -> bool:
    """Whether an answer, in one line, has the form of the template's answers."""
    before, _, after = template.replace(_INSTRUCTION, "").partition(_ANSWER)
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


def _sentences(text: str) -> list[str]:
    return [part for part in re.split("[.!?]", text) if part]


def _has(word: str, text: str) -> bool:
    return bool(re.search(rf"\b{re.escape(word)}\b", text))


def _film_star(answer: str, level: int) -> tuple[bool, ...]:
    found = _sentences(answer)
    first, second, third = (*found, "", "", "")[:3]
    return (
        len(found) == 3,
        all(len(sentence.split()) < 15 for sentence in found),
        _has("Potter", first) and _has("actor", second) and _has("films", third),
        not _has("lavish", second),
        bool(re.search(r"\b(?:has|have)\s+\w", third)),
    )


def _flood(answer: str, level: int) -> tuple[bool, ...]:
    return (
        len(_sentences(answer)) == 1,
        len(answer.split(" ")) < 20,
        not _has("Newton Stewart", answer),
        bool(re.search(r"\b(?:am|is|are)\s+\w+ing\b", answer)),
        _has("operation", answer),
    )


def _chores(answer: str, level: int) -> tuple[bool, ...]:
    return (
        len(_sentences(answer)) == 1,
        len(answer.split(" ")) < 15,
        _has("stuff", answer),
        "procrast" not in answer.lower(),
        sum(letter in string.punctuation for letter in answer) == 1,
    )


def _headline(answer: str, level: int) -> tuple[bool, ...]:
    return (
        len(answer.split(" ")) == 8,
        not set(answer) & set(string.punctuation),
        answer.islower(),
        not _has("bus", answer),
        _has("in", answer),
    )


def _abstract(answer: str, level: int) -> tuple[bool, ...]:
    return (
        len(_sentences(answer)) == 1,
        len(answer.split(" ")) <= 20,
        answer.startswith("We"),
        _has("activations", answer),
        not _has("transformer", answer),
    )


def _paragraphs(answer: str, level: int) -> tuple[bool, ...]:
    found = answer.split("\n\n")
    return (
        len(found) == (4 if level == 5 else 3),
        all(len(_sentences(paragraph)) < 3 for paragraph in found[:3]),
        all(len(sentence.split()) > 20 for sentence in _sentences(answer)),
        all(re.match(r"\d+\.", each.lstrip()) for each in found if each.strip()),
        answer.endswith("Those are suggestions"),
    )


def _bold_points(answer: str, level: int) -> tuple[bool, ...]:
    found = re.split(r"(?<=[.?])(?<!\w\.\w.)(?<![A-Z][a-z]\.)\s", answer)
    points = [each for each in found if re.search(r"[1-5]\.", each)]
    return (
        "**" in answer,
        len(re.findall(r"\*\*\d.+?:", answer)) == 5,
        all(point.count(".") < 2 for point in points),
        all(10 <= len(each.split()) <= 15 for each in found),
        not any(word.endswith("-ly") for word in answer.split()),
    )


_FORMATS = (22, 30)
_CONDITIONS: Mapping[str, Callable[[str, int], tuple[bool, ...]]] = {
    "cnn_dailymail": _film_star,
    "xsum": _flood,
    "samsum": _chores,
    "gigaword": _headline,
    "arxiv": _abstract,
    "format 22": _paragraphs,
    "format 30": _bold_points,
}
"""By source, or by example, what its levels add; an answer to level n must meet the first n."""


async def grade(
    engine: Engine, settings: JudgeSettings, item: Item, answer: str, seed: int
) -> list[Finding]:
    """The judge's majority on each constraint; nothing where a rule decides.

    All votes come of one request: `stop_votes` does not apply, nor does `constrained`, whose
    grammar is that of the refiner's judgements. The tokens stand on the first finding.
    """
    if _rule(item) is not None:
        return []
    level = item.level or 0
    said = await engine.chat(
        ChatRequest(
            messages=({"role": "user", "content": question(item, answer)},),
            sampling=settings.sampling,
            n=settings.votes,
            seed=seed,
        )
    )
    votes = [(choice, read_list(choice.text, level)) for choice in said.choices]
    findings = []
    for number in range(level):
        ballots = [
            Ballot(met[number] if met else None, choice.text, choice.finish_reason)
            for choice, met in votes
        ]
        judged = count(ballots, settings.quorum)
        value = {"yes": 1.0, "no": 0.0}.get(judged.verdict)
        findings.append(Finding("met", value, number, item.category, _critique(judged)))
    findings[0] = replace(
        findings[0], prompt_tokens=said.prompt_tokens, completion_tokens=said.completion_tokens
    )
    return findings


def question(item: Item, answer: str) -> str:
    """What the judge is asked: the whole path of instructions, and the answer to the last."""
    path: list[str] = [*details(item)["path"], item.prompt]
    start, steps = path[0], path[1:]
    shown = [f"### Instruction at the start\n{start.strip() or _NO_START}"]
    shown += [f"### Step {number}\n{step}" for number, step in enumerate(steps, 1)]
    category = item.category or ""
    kind = _KINDS.get(category, f"{category} constraint")
    return JUDGE.format(kind=kind, steps="\n\n".join(shown), answer=answer, level=item.level)


def read_list(text: str, count: int) -> tuple[Vote, ...] | None:
    """The list in the last line of a judgement; None where there is none, or not of so many."""
    line = text.strip().strip("`").rstrip().rpartition("\n")[2].strip()
    if not (line.startswith("[") and line.endswith("]")):
        return None
    said = [each.strip().strip("\"'") for each in line[1:-1].split(",")]
    if len(said) != count or not set(said) <= {"YES", "NO"}:
        return None
    return tuple("Yes" if each == "YES" else "No" for each in said)


def _critique(judged: Judged) -> str:
    """What a vote of the majority said; without one why, or what could not be read."""
    if judged.verdict == "tie":
        return f"tie: {judged.critique}"
    if judged.verdict == "no_quorum":
        unread = (ballot.text for ballot in judged.ballots if ballot.vote is None)
        return next(unread, f"no quorum: {judged.critique}")
    return judged.critique


class _Place(NamedTuple):
    """Whose level a value is of."""

    category: str
    example: str
    level: int


_Values = Mapping[_Place, float | None]
"""None where something could not be decided, or nothing was."""


def figures(scored: Sequence[Scored]) -> list[Figure]:
    """`hsr`, `ssr` and `csl`.

    hsr: share of the answers that meet all constraints. ssr: the mean share of its constraints that
    an answer meets. Of all, of a level, of a category, and of both; where levels or categories come
    together, the figure is the mean of theirs, as in the authors' tables.
    csl: how many levels in a row, from 1, are met in full: 0 to 5, not a share. Chains of which a
    level could not be decided are left out with all their levels.
    Units are the chains, so that intervals take an example's levels together.
    """
    soft = {_place(each.item): _share(each.findings) for each in scored}
    hard = {place: None if share is None else float(share == 1) for place, share in soft.items()}
    return [*_rates("hsr", hard), *_rates("ssr", soft), *_lengths(hard)]


def _place(item: Item) -> _Place:
    category, example, level = item.key.split("/")
    return _Place(category, example, int(level))


def _share(findings: Sequence[Finding]) -> float | None:
    values = [found.value for found in findings if found.metric == "met"]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _rates(metric: str, values: _Values) -> Iterator[Figure]:
    levels = [level for level in LEVELS if any(place.level == level for place in values)]
    yield _mean(metric, "", values)
    for level in levels:
        yield _mean(metric, f"level {level}", _of(values, level=level))
    for category in _categories(values):
        yield _mean(metric, category, _of(values, category))
    for category in _categories(values):
        for level in levels:
            yield _mean(metric, f"{category}, level {level}", _of(values, category, level))


def _lengths(hard: _Values) -> Iterator[Figure]:
    chains: dict[tuple[str, str], dict[int, float | None]] = {}
    for place, met in hard.items():
        chains.setdefault((place.category, place.example), {})[place.level] = met
    values = {_Place(*chain, 0): _length(levels) for chain, levels in chains.items()}
    for category in ("", *_categories(hard)):
        figure = _mean("csl", category, _of(values, category))
        items = len(_of(hard, category))
        yield replace(figure, scored=figure.scored * len(LEVELS), items=items)


def _length(levels: Mapping[int, float | None]) -> float | None:
    met = [levels.get(level) for level in LEVELS]
    return None if None in met else float(len([*itertools.takewhile(bool, met)]))


def _categories(values: _Values) -> list[str]:
    return [name for name in CATEGORIES if any(place.category == name for place in values)]


def _of(values: _Values, category: str = "", level: int = 0) -> _Values:
    return {
        place: value
        for place, value in values.items()
        if category in ("", place.category) and level in (0, place.level)
    }


def _mean(metric: str, part: str, values: _Values) -> Figure:
    """The mean over categories and levels of the mean value in each."""
    known = {place: value for place, value in values.items() if value is not None}
    cells = sorted({(place.category, place.level) for place in known})
    chains: dict[str, dict[tuple[str, int], float]] = {}
    for place, value in known.items():
        chain = chains.setdefault(f"{place.category}/{place.example}", {})
        chain[place.category, place.level] = value
    units = [
        Unit(key, [Part(chain.get(cell, 0.0), float(cell in chain)) for cell in cells])
        for key, chain in chains.items()
    ]
    return Figure(metric, part, units, len(known), len(values))


FOLLOWBENCH = Benchmark(
    name=NAME,
    about="five levels of constraints in six categories; rules and a judge say what is met",
    files=(f"*{_ENDING}.json", f"data/*{_ENDING}.json"),
    read=read,
    check=check,
    grade=grade,
    figures=figures,
)
