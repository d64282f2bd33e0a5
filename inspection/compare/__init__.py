"""Runs, iterations and variants side by side on the benchmarks that they were evaluated on."""
