"""Evaluation: benchmarks, what they ask and how answers are scored; intervals and paired tests."""
