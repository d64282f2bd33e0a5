"""Standalone TRL jobs on a run's tables: `python -m training.dpo`, `rft`, `sft`."""
