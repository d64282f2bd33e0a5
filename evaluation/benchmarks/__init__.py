"""The benchmarks, a module each."""

from evaluation.benchmark import Benchmark
from evaluation.benchmarks.custom import CUSTOM
from evaluation.benchmarks.followbench import FOLLOWBENCH
from evaluation.benchmarks.gsm8k import GSM8K
from evaluation.benchmarks.humaneval import HUMANEVAL
from evaluation.benchmarks.ifbench import IFBENCH
from evaluation.benchmarks.ifeval import IFEVAL
from evaluation.benchmarks.llmbar import LLMBAR
from evaluation.benchmarks.mmlu import MMLU
from evaluation.benchmarks.multiif import MULTIIF
from evaluation.benchmarks.refinement import REFINEMENT
from evaluation.benchmarks.triviaqa import TRIVIAQA
from evaluation.benchmarks.versus import VERSUS

BENCHMARKS: dict[str, Benchmark] = {
    each.name: each
    for each in (
        *(IFEVAL, IFBENCH, MULTIIF, FOLLOWBENCH, LLMBAR, REFINEMENT, CUSTOM, VERSUS),
        *(GSM8K, MMLU, TRIVIAQA, HUMANEVAL),
    )
}
"""Every benchmark by its name; `versus` comes with `--against` alone."""
