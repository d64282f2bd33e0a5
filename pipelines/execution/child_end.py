"""What a job does about the way in which a program that it ran has ended.

It is apart from `child`, which is started for each program and is to load as little as it can.
"""

from __future__ import annotations

import signal

from pipelines.execution.child import ChildEnded
from pipelines.execution.session import Session
from pipelines.execution.stop import INTERRUPTED, RunStopped
from terminal.exits import BAD_USAGE, DONE, OTHER_SETTINGS, STOPPED, WITH_FAILURES


def check(code: int, what: str, session: Session) -> None:
    """Go on after a program that did its work, failing items or not.

    Args:
        code: what `run` returned. what: the program's work, as messages say it.

    Raises:
        ChildEnded: it could not do its work; without a message where it has said why itself.
        RunStopped: Ctrl-C was pressed.
    """
    if code in (DONE, WITH_FAILURES):
        return
    if code in (BAD_USAGE, STOPPED, OTHER_SETTINGS):
        raise ChildEnded(code)
    if session.is_pressed:
        raise RunStopped(INTERRUPTED)
    how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
    raise ChildEnded(STOPPED, f"{what} {how}: run the same command again to go on")
