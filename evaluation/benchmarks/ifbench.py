"""IFBench (arXiv 2507.02833): 300 prompts with 344 instructions of 58 kinds that IFEval lacks.

The checkers are those that lighteval keeps: the authors' of July 2025, by which the paper's figures
were made. Since then the authors changed some 20 kinds (pronouns, sentences and words are cut
otherwise; answers without words are missed instead of an error), so figures made by their newest
code differ. What these checkers stumble over is undecided here.

One prompt (key 286) asks for the words from index 0, for which the checkers draw an index at
random; here 0 counts, as in the authors' newer code.
"""

from __future__ import annotations

from functools import partial

from evaluation.benchmark import Benchmark, Hub
from evaluation.benchmarks import instructions
from spar_core.checks.library import Library
from spar_core.checks.official import official, read_official
from terminal.packages import extra

NAME = "ifbench"

LIGHTEVAL = Library(
    "lighteval.tasks.tasks.ifbench.instructions_registry",
    ("nltk", "emoji", "syllapy"),
    "the benchmark ifbench",
    f"{extra('checks')} emoji syllapy && pip install --no-deps 'lighteval>=0.13,<0.14'",
    "as docs/checks.md says",
)

_REMEDY = (
    "take it anew from data/ of github.com/allenai/IFBench or from allenai/IFBench_test on the Hub"
)

IFBENCH = Benchmark(
    name=NAME,
    about="the same as ifeval, by kinds of instructions that few models were trained on",
    files=("IFBench_test.jsonl", "train-*.parquet", "data/train-*.parquet"),
    read=partial(
        instructions.read,
        NAME,
        ("key", "prompt", "instruction_id_list", "kwargs"),
        partial(read_official, library=LIGHTEVAL),
        _REMEDY,
    ),
    check=partial(instructions.check, partial(official, library=LIGHTEVAL)),
    figures=partial(
        instructions.figures,
        ("prompt_loose", "prompt_strict", "instruction_loose", "instruction_strict"),
    ),
    hub=Hub(
        "allenai/IFBench_test",
        "2e8a48de45ff3bf41242f927254ca81b59ca3ae2",
        ("data/train-00000-of-00001.parquet",),
    ),
)
