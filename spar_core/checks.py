"""Checks: what of a prompt's constraints a program can check, by the checkers of IFEval.

The checkers are those that lm-eval keeps; they are an optional dependency.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import functools
import importlib
import io
import json
import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.prompts import Check
from spar_core.engine.protocol import ItemError

COLUMN = "checks"
IFEVAL_COLUMNS = ("instruction_id_list", "kwargs")
"""How IFEval's own files give the same."""

LONGEST = 20_000
"""Longer responses are not checked: the checkers' patterns take time quadratic in it (seconds)."""

_LISTS = ("keywords", "forbidden_words")
_PATTERNS = (*_LISTS, "keyword", "section_spliter", "postscript_marker")
"""Arguments that a checker makes part of a pattern."""
_POSTSCRIPTS = ("P.S.", "P.P.S")
"""Markers that the postscript checker has patterns of its own for."""

_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Library:
    """Where checkers are kept.

    registry: the module that lists them. needs: modules without which they do not run. wanted: who
    asks for them; remedy: how to do without an error.
    """

    registry: str
    needs: tuple[str, ...]
    wanted: str
    remedy: str


LM_EVAL = Library(
    "lm_eval.tasks.ifeval.instructions_registry",
    ("nltk", "langdetect"),
    "checks need the extra `checks`",
    f"pip install 'lm-eval[ifeval]', or leave the column `{COLUMN}` out",
)


class BadChecks(Exception):
    """Checks that cannot be meant."""


class Undecided(Exception):
    """A check that could not be run; the message says why."""


class NoChecker(ItemError):
    """The library of checkers is not installed."""

    cause = "no_checker"


async def check(checks: Sequence[Mapping[str, str]] | None, response: str) -> bool | None:
    """`follows`, beside the event loop."""
    return await asyncio.to_thread(follows, checks, response) if checks else None


def follows(checks: Sequence[Mapping[str, str]] | None, response: str) -> bool | None:
    """Whether a response passes all checks (IFEval, strict); an empty one passes none.

    Args:
        checks: as they stand in the table `prompts`.

    Returns:
        None without checks, and where one that would decide cannot be run.

    Raises:
        NoChecker: the library is not installed.
    """
    if not checks:
        return None
    with _one_at_a_time:
        _library()
        if not response.strip():
            return False
        results = [_run(check["id"], check["kwargs"], response) for check in checks]
    if False in results:
        return False
    return None if None in results else True


def official(
    check: Check, prompt: str, responses: Sequence[str], library: Library = LM_EVAL
) -> bool:
    """Whether one of the responses passes a check, as a benchmark's own code has it.

    Unlike for `follows`, keywords are patterns and no response is too long. Only what the library
    leaves to chance is not: it puts a random argument for one that it takes for out of range
    (IFEval's letters `#` and `!`, IFBench's first word 0); here the benchmark's own counts.

    Raises:
        Undecided: it cannot be run. NoChecker: the library is not installed.
    """
    with _one_at_a_time:
        _library(library)
        try:
            checker = _official(check.id, json.loads(check.kwargs), prompt, library)
            with _offline():
                return any(each.strip() and checker.check_following(each) for each in responses)
        except Exception as error:
            reason = _reason(error)
            _warn(check.id, reason, "its prompts are not scored")
            raise Undecided(reason) from None


def read_official(row: Mapping[str, Any], library: Library = LM_EVAL) -> list[Check]:
    """The checks of a benchmark's row, in IFEval's two columns, with the arguments as they are.

    Raises:
        BadChecks: with the reason. NoChecker: the library is not installed.
    """
    names, arguments = (_decoded(row.get(column), column) for column in IFEVAL_COLUMNS)
    with _one_at_a_time:
        found = []
        for value in _zipped(names, arguments):
            name, given = _named(value, _library(library))
            some = {key: value for key, value in given.items() if value is not None}
            _official(name, some, "", library)
            found.append(Check(name, json.dumps(some, ensure_ascii=False)))
        return found


def read_checks(row: Mapping[str, Any]) -> list[Check] | None:
    """The checks of a row of the input: its column `checks`, or IFEval's own two columns.

    Raises:
        BadChecks: with the reason. NoChecker: there are checks, but no library.
    """
    value = _decoded(row.get(COLUMN), COLUMN)
    names = _decoded(row.get(IFEVAL_COLUMNS[0]), IFEVAL_COLUMNS[0])
    if value and names:
        raise BadChecks(f"both `{COLUMN}` and `{IFEVAL_COLUMNS[0]}`; one says it all")
    if names:
        value = _zipped(names, _decoded(row.get(IFEVAL_COLUMNS[1]), IFEVAL_COLUMNS[1]))
    if value is None or value == []:
        return None
    if not isinstance(value, list):
        raise BadChecks(f"`{COLUMN}` is {_short(value)}, not a list")
    with _one_at_a_time:
        return [_read(each) for each in value]


def _zipped(names: Any, arguments: Any) -> list[dict[str, Any]]:
    if not isinstance(names, list) or not isinstance(arguments, list):
        raise BadChecks(f"`{IFEVAL_COLUMNS[0]}` and `kwargs` are not two lists")
    if len(names) != len(arguments):
        raise BadChecks(f"{len(names)} names in `{IFEVAL_COLUMNS[0]}`, {len(arguments)} `kwargs`")
    return [{"id": name, "kwargs": some} for name, some in zip(names, arguments, strict=True)]


def _read(value: Any) -> Check:
    name, given = _named(value, _library())
    arguments = _arguments(name, given)
    _checker(name, arguments)
    return Check(name, json.dumps(arguments, ensure_ascii=False))


def _named(value: Any, known: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """A check's name, which is known, and what is given with it."""
    if not isinstance(value, Mapping) or not set(value) <= {"id", "instruction_id", "kwargs"}:
        raise BadChecks(f"a check is an object of `id` and `kwargs`, not {_short(value)}")
    name = value.get("id") or value.get("instruction_id")
    if not isinstance(name, str) or name not in known:
        close = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise BadChecks(f"no checker {_short(name)}{hint}")
    given = _decoded(value.get("kwargs"), "kwargs")
    if isinstance(given, list) and all(isinstance(pair, tuple) for pair in given):
        given = {str(key): some for key, some in given}  # a map of Arrow's
    if given is not None and not isinstance(given, Mapping):
        raise BadChecks(f"{name}: `kwargs` is {_short(given)}, not an object")
    return name, given or {}


def _arguments(checker: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a checker, each of its kind; those given as null count as not given."""
    some = {key: value for key, value in sorted(given.items()) if value is not None}
    wanted = set(_library()[checker](checker).get_instruction_args_keys())
    if set(some) != wanted:
        names = ", ".join(sorted(wanted)) or "none"
        raise BadChecks(
            f"{checker}: its arguments are {names}, not {', '.join(some)[:80] or 'none'}"
        )
    return {key: _argument(checker, key, value) for key, value in some.items()}


def _argument(checker: str, name: str, value: Any) -> Any:
    """An argument of its kind; the checkers themselves take any and stumble over it later."""
    if name.startswith(("num_", "nth_")) or name.endswith("frequency"):
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        wanted = "a whole number"
    elif name in _LISTS:
        if isinstance(value, list) and value and all(map(_is_text, value)):
            return value
        wanted = "a list of texts"
    else:
        if _is_text(value):
            return value
        wanted = "text"
    raise BadChecks(f"{checker}: {name} is {_short(value)}, not {wanted}")


def _is_text(value: Any) -> bool:
    return (
        isinstance(value, str) and bool(value.strip()) and not re.search("[\ud800-\udfff]", value)
    )


def _checker(name: str, arguments: Mapping[str, Any]) -> Any:
    """A checker that checks for these arguments.

    Raises:
        BadChecks: it would put in something else: the checkers draw at random what is not given
            or out of range.
    """
    checker = _library()[name](name)
    literal = {key: _literal(key, value) for key, value in arguments.items()}
    try:
        if arguments.get("nth_paragraph", 0) > arguments.get("num_paragraphs", 0):
            raise ValueError("nth_paragraph is more than num_paragraphs")
        checker.build_description(**literal)
        kept = checker.get_instruction_args() or {}
    except Exception as error:
        raise BadChecks(f"{name}: {_short(arguments)}: {error}") from None
    strange = [key for key in literal if _normal(kept.get(key)) != _normal(literal[key])]
    if strange:
        raise BadChecks(f"{name}: no such {strange[0]}: {_short(arguments[strange[0]])}")
    return checker


def _official(name: str, given: Mapping[str, Any], prompt: str, library: Library) -> Any:
    """A checker made as the library's own code makes it, for the arguments that are given.

    Raises:
        BadChecks: one is missing, or cannot be meant.
    """
    kind = _library(library).get(name)
    if kind is None:
        raise BadChecks(f"no checker {_short(name)}")
    checker = kind.__new__(kind)  # lighteval's constructor asks for data that no checker uses
    try:
        checker.build_description(**given)
        kept = checker.get_instruction_args() or {}
        if "prompt" in kept:
            checker.build_description(prompt=prompt)
        elif missing := sorted(set(kept) - set(given)):
            raise ValueError(f"{missing[0]} is missing")
        for key in _strange(given, kept):
            setattr(checker, f"_{key}", given[key])
        if strange := _strange(given, checker.get_instruction_args() or {}):
            raise ValueError(f"no such {strange[0]}")
    except Exception as error:
        raise BadChecks(f"{name}: {_short(given)}: {error}") from None
    return checker


def _strange(given: Mapping[str, Any], kept: Mapping[str, Any]) -> list[str]:
    """Arguments for which a checker has put in something else."""
    return [key for key in given if key in kept and _normal(kept[key]) != _normal(given[key])]


def _literal(name: str, value: Any) -> Any:
    """Text that goes into a pattern stands for itself: `C++` is a keyword, not an expression."""
    if name not in _PATTERNS or value in _POSTSCRIPTS:
        return value
    return [*map(re.escape, value)] if isinstance(value, list) else re.escape(value.strip())


def _normal(value: Any) -> Any:
    """Equal for what the checkers take as the same."""
    if isinstance(value, list):
        return sorted(set(value))
    return value.strip().lower() if isinstance(value, str) else value


def _run(name: str, arguments: str, response: str) -> bool | None:
    if len(response) > LONGEST:
        _warn(name, f"a response is longer than {LONGEST} characters")
        return None
    try:
        checker = _checker(name, _arguments(name, json.loads(arguments)))
        return bool(checker.check_following(response))
    except Exception as error:
        _warn(name, _reason(error))
    return None


def _reason(error: Exception) -> str:
    """Why a check did not run; nothing of the response, whose text is a model's."""
    if isinstance(error, BadChecks):
        return str(error)
    if type(error) is LookupError:  # NLTK raises just this where data of its own are missing
        named = re.search(r"nltk\.download\('(\w+)'\)", str(error))
        data = named.group(1) if named else "punkt_tab"
        return f"NLTK's data are missing; python -m nltk.downloader {data}"
    return type(error).__name__


@functools.cache
def _warn(name: str, reason: str, effect: str = "`checked` is null") -> None:
    """Say once in a process why a check did not run."""
    logging.getLogger(__name__).warning("check %s did not run, %s: %s", name, effect, reason)


def can_check(data: str) -> bool:
    """Whether checkers that need these data of NLTK, "" for none, run here.

    Raises:
        NoChecker: the library is not installed.
    """
    _library()
    if not data:
        return True
    try:
        importlib.import_module("nltk").data.find(f"tokenizers/{data}")
    except LookupError:
        return False
    return True


def count_words(text: str) -> int:
    """The words of a text, as the checkers count them.

    Raises:
        NoChecker: the library is not installed.
    """
    with _one_at_a_time:
        return int(_counting().count_words(text))


def count_sentences(text: str) -> int | None:
    """The sentences of a text, as the checkers count them; None where NLTK's data are missing.

    Raises:
        NoChecker: the library is not installed.
    """
    with _one_at_a_time:
        try:
            return int(_counting().count_sentences(text))
        except LookupError:
            return None


def _counting() -> Any:
    """The module of the library that counts."""
    _library()
    return importlib.import_module(LM_EVAL.registry.replace("_registry", "_util"))


@functools.cache
def _library(library: Library = LM_EVAL) -> dict[str, Any]:
    """The checkers by name.

    Raises:
        NoChecker: they are not installed.
    """
    try:
        needed = {name: importlib.import_module(name) for name in library.needs}
        # As it is imported the library prints, which a job does not.
        with _offline(), contextlib.redirect_stdout(io.StringIO()):
            registry = importlib.import_module(library.registry)
    except ImportError as error:
        raise NoChecker(f"{library.wanted} ({error}): {library.remedy}") from None
    if "langdetect" in needed:
        needed["langdetect"].DetectorFactory.seed = 0
    # It logs whole responses, whose text is a model's.
    logging.getLogger(library.registry.replace("_registry", "")).disabled = True
    return dict(registry.INSTRUCTION_DICT)


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Keeps the libraries from having NLTK ask the network for data."""
    nltk: Any = importlib.import_module("nltk")
    download = nltk.download
    nltk.download = lambda *_, **__: False
    try:
        yield
    finally:
        nltk.download = download


def _decoded(value: Any, name: str) -> Any:
    """A value that may be written as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else None
    except (ValueError, RecursionError) as error:
        raise BadChecks(f"`{name}` is no JSON: {error}") from None


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:80]
