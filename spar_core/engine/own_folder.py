"""A folder among the temporary ones that belongs to this user alone, under a name known before.

Processes of one user find each other there. Whoever else may write to the machine's temporary
folder can put something under that name first, so what is there is looked at before it is used.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from spar_core.engine.protocol import EngineGone


def own_folder(name: str) -> Path:
    """Return the folder `<temporary folder>/<name>-<user id>`, made if it is not there.

    Raises:
        EngineGone: it cannot be made, is no folder, or is another user's.
    """
    place = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"
    remedy = "remove it, or set TMPDIR to a folder of your own"
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()  # a link is not followed
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise EngineGone(f"{place} belongs to another user or is no folder: {remedy}")
        if stat.S_IMODE(found.st_mode) != 0o700:
            place.chmod(0o700)
    except OSError as error:
        raise EngineGone(f"cannot use {place}: {error.strerror}: {remedy}") from None
    return place
