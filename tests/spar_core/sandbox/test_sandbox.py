"""Programs in the sandbox: what becomes of honest ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from spar_core.sandbox import Ran, call, run

STATEMENTS = """
import math, re, string
from __future__ import annotations
from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Optional

@dataclass
class Found:
    word: str
    times: int = 1

def most(text: str) -> Optional[Found]:
    words: List[str] = re.findall(r"\\b\\w+\\b", text.lower())
    counts: Dict[str, int] = Counter(words)
    return Found(*max(counts.items(), key=lambda item: item[1])) if counts else None

assert most("") is None
assert most("A rose is a rose is a").word == "a"
assert string.punctuation.startswith("!") and math.isclose(math.sqrt(2) ** 2, 2)
print("what is printed, nobody reads")
"""


@pytest.mark.parametrize(
    ("code", "outcome", "message"),
    [
        ("", "passed", ""),
        ("x = 1  # no line after this", "passed", ""),
        (STATEMENTS, "passed", ""),
        ("try:\n    1 / 0\nexcept ZeroDivisionError:\n    pass", "passed", ""),
        ("assert 1 == 2, 'one'", "failed", "AssertionError: one assert 1 == 2"),
        ("undefined", "failed", "NameError: name 'undefined' is not defined"),
        ("'a'.nothing", "failed", "AttributeError: 'str' object has no attribute 'nothing'"),
        ("raise ValueError('memory limit')", "failed", "ValueError: memory limit"),
        ("raise NotImplementedError", "failed", "NotImplementedError"),
        ("return", "failed", "it returned before its last line"),
        (
            "return (list(locals())[0], None)\nassert False",
            "failed",
            "it returned before its last line",
        ),
        ("raise SystemExit", "failed", "SystemExit"),
        ("raise SystemExit('no more')", "failed", "SystemExit"),
        ("raise SystemExit(1)", "failed", "SystemExit"),
        ("raise SystemExit(1, 2)", "failed", "SystemExit"),
        ("def f():\n raise SystemExit(0)\ntry:\n f()\nexcept Exception: pass", "failed", None),
        ("try:\n raise SystemExit('a')\nexcept SystemExit: pass", "passed", ""),
        ("try:\n raise SystemExit\nexcept BaseException: pass", "passed", ""),
        ("exit()", "failed", "SystemExit"),
        ("quit(0)", "failed", "SystemExit"),
        ("import sys\nsys.exit(0)", "failed", "SystemExit"),
        ("import os\nos._exit(0)", "failed", "SystemExit"),
        ("print('SystemExit')", "passed", ""),
        ("raise ValueError('BaseException: SystemExit')", "failed", None),
        ("from sys import exit", "unsupported", None),
        ("def f(:", "failed", None),
        ("while True: pass", "limit", "TimeoutError: feed time limit exceeded"),
        ("'a' * 10 ** 9", "limit", "MemoryError: memory limit"),
        ("def f(): f()\nf()", "limit", "RecursionError: maximum recursion depth exceeded"),
        ("print('a' * 2_000_000)", "limit", "MemoryError: memory limit"),
        ("import nltk", "unsupported", "ModuleNotFoundError: No module named 'nltk'"),
        ("from functools import cmp_to_key", "unsupported", None),
        ("import string\nstring.capwords('a')", "unsupported", None),
        ("class A(ValueError): pass", "unsupported", None),
        ("def f(): yield 1", "unsupported", None),
        ("open('data.txt')", "unsupported", "PermissionError: Permission denied: '/data.txt'"),
        ("issubclass(bool, int)", "unsupported", "NameError: name 'issubclass' is not defined"),
        ("str.maketrans('a', 'b')", "unsupported", None),
        ("raise ValueError('a', 1)", "unsupported", None),
    ],
)
def test_an_outcome_says_what_came_of_it(code: str, outcome: str, message: str | None) -> None:
    ran = run(code, seconds=0.5, memory_mb=64)
    assert ran.outcome == outcome, ran
    assert ran.message == message or (message is None and ran.message)


def test_a_message_is_one_short_line() -> None:
    ran = run("raise ValueError('a\\n\\x1b[31mb\\t' + 'c' * 1000)", seconds=1, memory_mb=64)
    assert ran.message.startswith("ValueError: a [31mb ccc")
    assert len(ran.message) == 200 and ran.message.isprintable()


@pytest.mark.parametrize(
    ("code", "arguments", "value"),
    [
        ("def f(text): return len(text) > 3", ["four"], True),
        ("def f(text): return len(text) > 3", ["two"], False),
        ("def f(text): return text", ["ä\n'\"\\\u4e2d\U0001f600"], "ä\n'\"\\\u4e2d\U0001f600"),
        (
            "f = lambda *all: list(all)",
            [None, 1, 2.5, {"a": [True]}],
            [None, 1, 2.5, {"a": [True]}],
        ),
        ("def f(): return (1, {2: 3})", [], [1, {"2": 3}]),
        ("def f(): pass", [], None),
    ],
)
def test_a_function_is_called(code: str, arguments: list[object], value: object) -> None:
    assert call(code, "f", arguments, seconds=1, memory_mb=64) == Ran("passed", "", value)


@pytest.mark.parametrize(
    ("code", "outcome", "message"),
    [
        ("", "failed", "NameError: name 'f' is not defined"),
        ("raise ValueError('before')\ndef f(x): return x", "failed", "ValueError: before"),
        ("def f(): return 1", "failed", "TypeError: f() takes 0 positional arguments"),
        ("def f(x): return {1}", "failed", "it returned no plain data"),
        ("def f(x): return 'a' * 100_000", "limit", "it returned more than"),
        ("def f(x): return 10 ** 9000", "limit", "it returned too large a value"),
        (
            "def f(x):\n x = []\n for _ in range(99): x = [x, x]\n return x",
            "limit",
            "it returned more than",
        ),
        (
            "def f(x):\n x = []\n for _ in range(9999): x = [x]\n return x",
            "limit",
            "it returned too large a value",
        ),
        ("import re\ndef f(x): return re.sub('a', lambda m: 'b', x)", "unsupported", "TypeError"),
    ],
)
def test_a_call_that_comes_to_nothing(code: str, outcome: str, message: str) -> None:
    ran = call(code, "f", ["aaa"], seconds=1, memory_mb=64)
    assert (ran.outcome, ran.value) == (outcome, None)
    assert ran.message.startswith(message)


def test_a_program_and_its_function_share_the_time() -> None:
    spin = "import time\nend = time.time() + 0.4\nwhile time.time() < end: pass\n"
    code = f"{spin}def f():\n  end = time.time() + 0.4\n  while time.time() < end: pass"
    assert call(code, "f", [], seconds=0.6, memory_mb=64).outcome == "limit"


def test_an_argument_that_no_string_of_the_interpreter_can_hold_is_counted() -> None:
    ran = call("def f(x): return True", "f", ["\ud800"], seconds=1, memory_mb=64)
    assert ran.outcome == "unsupported"


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [("f()", [], ValueError), ("a; b", [], ValueError), ("f", [{1}], TypeError)],
)
def test_what_the_caller_must_not_ask(
    function: str, arguments: list[Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        call("def f(*a): pass", function, arguments, seconds=1, memory_mb=64)


def test_a_program_that_is_too_long_is_not_run() -> None:
    assert run("#" * 1_000_001, seconds=1, memory_mb=64).outcome == "limit"


def test_a_program_leaves_nothing_for_the_next() -> None:
    for _ in range(4):
        code = "left = 1\nimport random\nrandom.seed(7)\nint = str"
        assert run(code, seconds=1, memory_mb=64).outcome == "passed"
        assert run("left", seconds=1, memory_mb=64).outcome == "failed"
        assert run("assert int('3') == 3", seconds=1, memory_mb=64).outcome == "passed"


def test_chance_is_the_same_in_every_run() -> None:
    code = "import random\ndef f(): return random.random()"
    values = {call(code, "f", [], seconds=1, memory_mb=64).value for _ in range(5)}
    assert len(values) == 1 and isinstance(values.pop(), float)


def test_many_threads_may_ask() -> None:
    async def ask() -> list[Ran]:
        codes = [f"def f(): return {n}\nassert {n} % 3" for n in range(60)]
        return await asyncio.gather(
            *(asyncio.to_thread(call, c, "f", [], seconds=2, memory_mb=64) for c in codes)
        )

    answers = asyncio.run(ask())
    assert [ran.value for ran in answers] == [n if n % 3 else None for n in range(60)]
