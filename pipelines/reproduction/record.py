"""What is done of a reproduction: `reproduction.json` in its folder, which the page is made of."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spar_core.variants import SettingsDiffer
from terminal.exits import InputError

FILE = "reproduction.json"


@dataclass
class Record:
    """The settings of a reproduction and its steps that are done.

    steps: by name their seconds, command and exit code. evaluations: what was measured, and where.
    """

    folder: Path
    scale: str
    settings: dict[str, Any]
    steps: dict[str, dict[str, Any]]
    evaluations: list[dict[str, Any]]

    @classmethod
    def of(cls, folder: Path, scale: str, settings: dict[str, Any]) -> Record:
        """The record in a folder, a new one where there is none.

        Raises:
            SettingsDiffer: the folder was begun with other settings.
            InputError: the file cannot be read as one.
        """
        path = folder / FILE
        try:
            held = json.loads(path.read_bytes())
            steps = {step["name"]: step for step in held["steps"]}
            record = cls(folder, held["scale"], held["settings"], steps, held["evaluations"])
        except (FileNotFoundError, NotADirectoryError):
            return cls(folder, scale, settings, {}, [])
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} is no record of a reproduction: {error!r}") from None
        differing = [
            name
            for name in sorted({*settings, *record.settings})
            if settings.get(name) != record.settings.get(name) and name not in ("about", "rates")
        ]
        if differing:
            raise SettingsDiffer(
                f"{folder} was begun with other settings ({', '.join(differing)} differ)"
            )
        return record

    def code(self, name: str) -> int | None:
        """The exit code of a step, None where it is not done."""
        step = self.steps.get(name)
        return None if step is None else int(step["code"])

    def done(
        self,
        name: str,
        command: list[str],
        seconds: float,
        code: int,
        evaluation: dict[str, Any] | None,
    ) -> None:
        """Write down a step that is done, whole or not at all."""
        step = {"name": name, "seconds": round(seconds, 1), "command": command, "code": code}
        self.steps[name] = step
        if evaluation is not None:
            self.evaluations.append(evaluation)
        content = {
            "scale": self.scale,
            "settings": self.settings,
            "steps": list(self.steps.values()),
            "evaluations": self.evaluations,
        }
        scratch = self.folder / f"{FILE}.tmp"
        scratch.write_text(json.dumps(content, indent=1))
        os.replace(scratch, self.folder / FILE)
