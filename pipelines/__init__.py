"""The Beam jobs of a data round, each run as `python -m pipelines.<job>`."""

import logging

from terminal.packages import check_environment

check_environment()


def _is_of_use(record: logging.LogRecord) -> bool:
    """Beam warns at import of a Google package that nothing here needs."""
    return not record.getMessage().startswith("apitools not found")


logging.getLogger().addFilter(_is_of_use)
