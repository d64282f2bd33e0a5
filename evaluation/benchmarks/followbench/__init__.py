"""FollowBench (arXiv 2310.20410): instructions to which five constraints are added one by one.

As in the authors' code, programs judge the examples whose answer is known or can be counted, and a
judge model all others.
"""

from evaluation.benchmark import Benchmark
from evaluation.benchmarks.followbench.chains import ENDING, NAME, read
from evaluation.benchmarks.followbench.judge import fingerprint, grade
from evaluation.benchmarks.followbench.rules import check
from evaluation.benchmarks.followbench.satisfaction import figures

FOLLOWBENCH = Benchmark(
    name=NAME,
    about="five levels of constraints in six categories; rules and a judge say what is met",
    files=(f"*{ENDING}.json", f"data/*{ENDING}.json"),
    read=read,
    check=check,
    grade=grade,
    asked=fingerprint(),
    figures=figures,
)
