"""Iterate: the next actor and the next refiner, so many times: a data round, then DPO and RFT."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution.child import ChildEnded
from pipelines.execution.lease import LeaseLost, RunLocked
from pipelines.execution.stop import INTERRUPTED, RunStopped
from pipelines.iterate_options import understand
from spar_core.variants import SettingsDiffer
from terminal.console import Console
from terminal.exits import BAD_USAGE, OTHER_SETTINGS, STOPPED, InputError, UsageError, complain


def main(argv: Sequence[str] | None = None) -> int:
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False)
    again = "run the same command again to go on"
    try:
        loop = understand(__doc__ or "", sys.argv[1:] if argv is None else argv)
        from pipelines.iterating import iterate  # loads DuckDB and Arrow

        return iterate(loop, out)
    except (UsageError, InputError, RunLocked) as error:
        return complain(err, str(error), BAD_USAGE)
    except SettingsDiffer as error:
        advice = "give the settings it was begun with, or another --run"
        return complain(err, f"{error}; {advice}", OTHER_SETTINGS)
    except ChildEnded as error:
        return complain(err, str(error), error.code)
    except (RunStopped, LeaseLost, KeyboardInterrupt) as error:
        return complain(err, f"{str(error) or INTERRUPTED}: {again}", STOPPED)
    except OSError as error:
        return complain(err, f"cannot go on: {error}\n{again}", STOPPED)


if __name__ == "__main__":
    sys.exit(main())
