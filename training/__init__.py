"""Standalone TRL jobs on a run's tables: `python -m training.dpo`, `rft`, `sft`."""

from terminal.packages import check_environment

check_environment()
