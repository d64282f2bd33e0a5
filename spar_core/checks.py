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
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.prompts import Check
from spar_core.engine.protocol import ItemError

COLUMN = "checks"
IFEVAL_COLUMNS = ("instruction_id_list", "kwargs")
"""How IFEval's own files give the same."""

LONGEST = 20_000
"""Longer responses are not checked: the checkers' patterns take time quadratic in it (seconds)."""

_REGISTRY = "lm_eval.tasks.ifeval.instructions_registry"
_LISTS = ("keywords", "forbidden_words")
_PATTERNS = (*_LISTS, "keyword", "section_spliter", "postscript_marker")
"""Arguments that a checker makes part of a pattern."""
_POSTSCRIPTS = ("P.S.", "P.P.S")
"""Markers that the postscript checker has patterns of its own for."""

_one_at_a_time = threading.Lock()


class BadChecks(Exception):
    """Checks that cannot be meant."""


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
    if not isinstance(value, Mapping) or not set(value) <= {"id", "instruction_id", "kwargs"}:
        raise BadChecks(f"a check is an object of `id` and `kwargs`, not {_short(value)}")
    name = value.get("id") or value.get("instruction_id")
    known = _library()
    if not isinstance(name, str) or name not in known:
        close = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise BadChecks(f"no checker {_short(name)}{hint}")
    given = _decoded(value.get("kwargs"), "kwargs")
    if isinstance(given, list) and all(isinstance(pair, tuple) for pair in given):
        given = {str(key): some for key, some in given}  # a map of Arrow's
    if given is not None and not isinstance(given, Mapping):
        raise BadChecks(f"{name}: `kwargs` is {_short(given)}, not an object")
    arguments = _arguments(name, given or {})
    _checker(name, arguments)
    return Check(name, json.dumps(arguments, ensure_ascii=False))


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
    except BadChecks as error:
        _warn(name, str(error))
    except Exception as error:
        # NLTK raises just this where data of its own is missing.
        missing = type(error) is LookupError
        remedy = "NLTK's data are missing; python -m nltk.downloader punkt_tab"
        _warn(name, remedy if missing else type(error).__name__)
    return None


@functools.cache
def _warn(name: str, reason: str) -> None:
    """Say once in a process why a check did not run."""
    logging.getLogger(__name__).warning("check %s did not run, `checked` is null: %s", name, reason)


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
    return importlib.import_module(_REGISTRY.replace("_registry", "_util"))


@functools.cache
def _library() -> dict[str, Any]:
    """The checkers by name.

    Raises:
        NoChecker: they are not installed.
    """
    try:
        nltk: Any = importlib.import_module("nltk")
        langdetect = importlib.import_module("langdetect")
        download = nltk.download
        # As it is imported the library asks the network for data and prints; a job does neither.
        nltk.download = lambda *_, **__: False
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                registry = importlib.import_module(_REGISTRY)
        finally:
            nltk.download = download
    except ImportError as error:
        raise NoChecker(
            f"checks need the extra `checks` ({error}): pip install 'lm-eval[ifeval]', or leave "
            f"the column `{COLUMN}` out"
        ) from None
    langdetect.DetectorFactory.seed = 0
    # It logs whole responses, whose text is a model's.
    logging.getLogger(_REGISTRY.replace("_registry", "")).disabled = True
    return dict(registry.INSTRUCTION_DICT)


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
