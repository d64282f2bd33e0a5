"""Which pairs of a run the next training takes, and the command that trains on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from terminal import trail

if TYPE_CHECKING:
    import duckdb

NOT_DENIED = "chosen_checked is distinct from false"
"""SQL of the pairs whose chosen side no program denies."""

_KINDS = """
    select method, variant, iteration, count(*) filter (chosen_checked = false) as denied,
           count(*) as pairs
    from pairs group by all order by iteration desc, pairs desc, method, variant
"""


def training(connection: duckdb.DuckDBPyConnection, run: str) -> str | None:
    """Return the command that trains the next actor on a run; None where it has no pairs to learn.

    It takes the last iteration's pairs of one method and one variant: those that are most. Pairs
    whose chosen side a program denies are left out.

    Args:
        connection: with the view `pairs` of the run.
        run: the run's folder.
    """
    kinds = connection.sql(_KINDS).fetchall()
    left = [kind for kind in kinds if kind[3] < kind[4]]
    if not left:
        return None
    method, variant, iteration, denied, _ = left[0]
    conditions = [f"iteration = {iteration}"] if len({kind[2] for kind in kinds}) > 1 else []
    conditions += [NOT_DENIED] if denied else []
    arguments = ["--where", " and ".join(conditions)] if conditions else []
    of_last = [kind for kind in kinds if kind[2] == iteration]
    if len({kind[0] for kind in of_last}) > 1:
        arguments += ["--method", method]
    if len({kind[1] for kind in of_last}) > 1:
        arguments += ["--variant", variant]
    return trail.dpo(run, iteration, arguments)
