"""The benchmarks, one file each."""

from evaluation.benchmark import Benchmark
from evaluation.benchmarks.custom import CUSTOM
from evaluation.benchmarks.followbench import FOLLOWBENCH
from evaluation.benchmarks.ifbench import IFBENCH
from evaluation.benchmarks.ifeval import IFEVAL
from evaluation.benchmarks.llmbar import LLMBAR
from evaluation.benchmarks.refinement import REFINEMENT

BENCHMARKS: dict[str, Benchmark] = {
    each.name: each for each in (IFEVAL, IFBENCH, FOLLOWBENCH, LLMBAR, REFINEMENT, CUSTOM)
}
"""Every benchmark by its name."""
