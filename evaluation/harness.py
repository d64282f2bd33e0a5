"""Tasks of the LM Evaluation Harness: what they ask of a chat model, and how answers are scored.

A task's own definition makes the chat and scores the answer; we ask, and keep what was found of
each item. Chat engines give no probabilities of a text, so these are tasks that generate.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.benchmark import BadData, Figure, Finding, Scored, details
from evaluation.published import rows_of
from schemas.evaluations import Part, Unit
from schemas.items import Item
from terminal.packages import extra, missing

Row = Mapping[str, Any]
Turn = dict[str, str]

MAX_TOKENS = 256
"""The longest answer of a task that names none, as lm-eval's clients of servers have it."""
_STOPS = 4
"""So many texts end an answer at most, as lm-eval's client sends no more."""

_one_at_a_time = threading.Lock()


def folder() -> Path:
    """Where lm-eval keeps the files that define its tasks.

    Raises:
        BadData: lm-eval is not installed.
    """
    if not importlib.util.find_spec("lm_eval"):
        raise BadData(missing("the benchmark", "lm-eval", extra("evaluate")))
    return Path(importlib.import_module("lm_eval.tasks").__file__ or "").parent


def definition(*path: str) -> dict[str, Any]:
    """A task as lm-eval's files define it, by the file's place in its folder of tasks.

    Functions of its own are named and not looked at: to import them may run a program.

    Raises:
        BadData: lm-eval is not installed.
    """
    yaml = importlib.import_module("yaml")
    plain: Any = type("Plain", (yaml.SafeLoader,), {})
    plain.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))
    text = folder().joinpath(*path).read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.load(text, Loader=plain)
    return found


def items(
    name: str,
    task: Mapping[str, Any],
    rows: Sequence[Row],
    shots: Sequence[Row] = (),
    *,
    category: str | None = None,
    first: int = 0,
) -> Iterator[Item]:
    """An item for each row: the task's chat about it.

    Args:
        task: its definition; its examples are its first ones, whatever the row. shots: what they
            are taken from, where the definition has none of its own. first: the position of the
            first item.
    """
    made = _task(task, rows, shots)
    asked = made.config.generation_kwargs
    until = asked.get("until") or []
    answering = {
        "stop": ([until] if isinstance(until, str) else list(until))[:_STOPS],
        "max_tokens": asked.get("max_gen_toks", MAX_TOKENS),
    }
    examples = _examples(made, rows[0])
    for number, row in enumerate(rows):
        system, question = _turns(made, row)
        chat = {"messages": [*system, *examples, *question], **answering}
        key = str(number) if category is None else f"{category}/{number}"
        more = json.dumps({"chat": chat, "doc": dict(row)})
        text = question[0]["content"]
        yield Item("", name, key, text, first + number, category=category, details=more)


def _examples(task: Any, row: Row) -> list[Turn]:
    """The turns between the system's and the question, the same for every row of a task."""
    system, question = _turns(task, row)
    whole = _chat(task, row, task.config.num_fewshot or 0)
    return whole[len(system) : len(whole) - len(question)]


def _turns(task: Any, row: Row) -> tuple[list[Turn], list[Turn]]:
    """The system's turn, if any, and those that ask about a row."""
    turns = _chat(task, row, 0)
    number = sum(turn["role"] == "system" for turn in turns)
    return turns[:number], turns[number:]


def _chat(task: Any, row: Row, shots: int) -> list[Turn]:
    turns = task.fewshot_context(
        dict(row),
        shots,
        apply_chat_template=True,
        fewshot_as_multiturn=True,
        chat_template=lambda turns, add_generation_prompt: turns,
        gen_prefix=task.doc_to_prefix(dict(row)),
    )
    return [{"role": turn["role"], "content": turn["content"]} for turn in turns]


def check(define: Callable[[], Mapping[str, Any]], item: Item, response: str) -> list[Finding]:
    """What the task finds of an answer: each of its metrics, after each of its filters.

    Args:
        define: gives the task's definition.
    """
    doc = details(item)["doc"]
    with _one_at_a_time:
        made = _scorer(define, doc)
        instance = importlib.import_module("lm_eval.api.instance").Instance(
            request_type="generate_until",
            doc=doc,
            arguments=("", {}),
            idx=0,
            metadata=(item.benchmark, 0, 1),
            resps=[response],
        )
        found = []
        for each in made._filters:
            each.apply([instance])
            scores = made.process_results(doc, [instance.filtered_resps[each.name]])
            for metric, value in scores.items():
                found.append(Finding(named(metric, each.name), float(value)))
        return found


def named(metric: str, by: str) -> str:
    """A figure's name: lm-eval's for the metric, and the filter where it has one."""
    return metric if by == "none" else f"{metric},{by}"


def figures(headline: str, scored: Sequence[Scored]) -> list[Figure]:
    """The mean of each metric over the items, `headline` first, then by category."""
    metrics = {finding.metric for each in scored for finding in each.findings}
    parts = sorted({each.item.category for each in scored} - {None}, key=str)
    return [
        _figure(metric, part, scored)
        for part in ("", *parts)
        for metric in sorted({headline, *metrics}, key=lambda name: (name != headline, name))
    ]


def _figure(metric: str, part: str | None, scored: Sequence[Scored]) -> Figure:
    some = [each for each in scored if part in ("", each.item.category)]
    units = [
        Unit(each.item.item_id, [Part(finding.value, 1.0)])
        for each in some
        for finding in each.findings
        if finding.metric == metric and finding.value is not None
    ]
    return Figure(metric, part or "", units, len(units), len(some))


def rows(paths: Sequence[Path], columns: Mapping[str, type], remedy: str) -> list[dict[str, Any]]:
    """The rows of a benchmark's files, JSON lines or Parquet, with these columns.

    Raises:
        BadData: a file cannot be read, has no rows, or a row lacks a column or holds another type.
    """
    found = [
        _checked(path, number, row, columns, remedy)
        for path in paths
        for number, row in rows_of(path, remedy)
    ]
    if not found:
        raise BadData(f"{', '.join(map(str, paths))}: no rows; {remedy}")
    return found


def _checked(
    path: Path, number: int, row: Any, columns: Mapping[str, type], remedy: str
) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise BadData(f"{path}: row {number}: no object; {remedy}")
    for column, kind in columns.items():
        value = row.get(column)
        if value in (None, ""):
            raise BadData(f"{path}: row {number}: no `{column}`; {remedy}")
        if type(value) is not kind:
            raise BadData(f"{path}: row {number}: `{column}` is {str(value)[:80]!r}; {remedy}")
    return {column: row[column] for column in columns}


def _task(task: Mapping[str, Any], rows: Sequence[Row], shots: Sequence[Row] = ()) -> Any:
    """lm-eval's own object for a task whose data are these rows; nothing is downloaded."""
    sets = importlib.import_module("datasets").Dataset
    of_shots = task.get("fewshot_split") if shots else None
    data = {task.get("test_split") or task["validation_split"]: list(rows)}
    data |= {of_shots: list(shots)} if of_shots else {}
    splits = {name: sets.from_list([dict(row) for row in some]) for name, some in data.items()}
    taken = {"training_split", "fewshot_split", "validation_split", "test_split"}
    config = {name: value for name, value in task.items() if name not in taken or value in data}
    config["custom_dataset"] = lambda **_: splits
    logger = logging.getLogger("lm_eval.api.task")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of every task that is built so
    try:
        return importlib.import_module("lm_eval.api.task").ConfigurableTask(config=config)
    finally:
        logger.setLevel(level)


_scorers: dict[Callable[[], Mapping[str, Any]], Any] = {}
"""Tasks that score, by what defines them; each is built once in a process, which takes seconds."""


def _scorer(define: Callable[[], Mapping[str, Any]], doc: Row) -> Any:
    """A task that scores any document of the form of this one."""
    if define not in _scorers:
        _scorers[define] = _task(define(), [doc])
    return _scorers[define]
