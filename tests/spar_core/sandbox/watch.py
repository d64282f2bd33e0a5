"""What programs in the sandbox would have left outside, had they got out."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def descendants(ancestor: int | None = None) -> dict[int, str]:
    """The processes under one, this one say, zombies included, by pid: their command lines."""
    parents: dict[int, int] = {}
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(pid)] = int(fields[1])
    return {
        pid: _command(pid) for pid in parents if _is_under(ancestor or os.getpid(), pid, parents)
    }


def _is_under(ancestor: int, pid: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == ancestor:
            return True
    return False


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def is_ours(command: str) -> bool:
    """Whether a process is the sandbox's (a worker that was just killed has no command line)."""
    return command.endswith(("sandbox/child.py", "monty subprocess")) or command in ("", "gone")


class Watch:
    """A folder, a listening port, and the processes under this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept = folder / "kept"
        self._kept.write_text("kept")
        self._before = self._state()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._processes = set(descendants())

    def _state(self) -> list[tuple[str, int, int, int]]:
        """Of the folder and what is in it: name, mode, size and time of the last change."""
        paths = (self.folder, *sorted(self.folder.rglob("*")))
        states = ((str(path), path.lstat()) for path in paths)
        return [(name, s.st_mode, s.st_size, s.st_mtime_ns) for name, s in states]

    def seen(self) -> list[str]:
        """What has happened since the watch began, in words."""
        found = [] if self._state() == self._before else ["the folder is another"]
        try:
            self._listener.accept()[0].close()
            found.append("a connection")
        except BlockingIOError:
            pass
        others = {p: c for p, c in descendants().items() if p not in self._processes}
        return found + [
            f"a process: {command}" for command in others.values() if not is_ours(command)
        ]

    def close(self) -> None:
        self._listener.close()
