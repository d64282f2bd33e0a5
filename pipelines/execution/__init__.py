"""How a job runs: its command line, its input, what is pending, the pipeline that does it."""
