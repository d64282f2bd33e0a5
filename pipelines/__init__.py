"""The Beam jobs of a data round, each run as `python -m pipelines.<job>`."""
