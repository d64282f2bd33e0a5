"""The command of `--serve`: a template from which a server for a model is started.

The template is split into words as a shell would split it, and run without a shell. `{model}`,
`{port}` and `{slots}` are replaced inside its words; other braces, as of JSON, stay as they are.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from spar_core.engine.machine import Command
from spar_core.engine.protocol import EngineGone

_NEEDED, _KNOWN = ("model", "port"), ("model", "port", "slots")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
_KEY_SUFFIX = "API_KEY"
"""How the names of variables end that hold keys for servers of others."""


def parse_template(template: str) -> tuple[str, ...]:
    """Return the words of a template.

    Raises:
        ValueError: a quotation does not end, or a placeholder is missing or unknown.
    """
    words = tuple(shlex.split(template))
    held = {name for word in words for name in _PLACEHOLDER.findall(word)}
    known = ", ".join(f"{{{name}}}" for name in _KNOWN)
    if unknown := sorted(held - {*_KNOWN}):
        raise ValueError(f"no placeholder {{{unknown[0]}}}: there are {known}")
    for name in _NEEDED:
        if name not in held:
            raise ValueError(
                f"{{{name}}} is missing: the command gets the model and the port of the server, "
                "as in 'vllm serve {model} --port {port}'"
            )
    if _PLACEHOLDER.search(words[0]):
        raise ValueError(f"{words[0]} is no program: the command begins with the one to run")
    return words


def check_program(template: str) -> None:
    """See that the program which a template runs is there.

    Raises:
        EngineGone: it is not.
    """
    program = parse_template(template)[0]
    if not shutil.which(program):
        where = "file to run" if os.sep in program else "program on the PATH"
        raise EngineGone(f"--serve: no {where} named {program}")


def command(template: str, model: str, port: int, *, slots: int, key: str) -> Command:
    """Return how a server for a model is started.

    Args:
        template: words with placeholders (`parse_template`).
        model: a file, a folder or a name; paths become absolute.
        port: where it has to listen, at 127.0.0.1.
        slots: sequences that it should decode at once.
        key: the variable with the key that this server wants, "" for none.

    Raises:
        EngineGone: the program is not there.
    """
    check_program(template)
    path = Path(model)
    values = {
        "model": str(path.absolute()) if path.exists() else model,
        "port": str(port),
        "slots": str(slots),
    }
    words = [
        _PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in parse_template(template)
    ]
    name = f"the server of --serve ({Path(words[0]).name}) with {model}"
    return Command(name, words, environment(key), bears_others=False)


def environment(key: str) -> Mapping[str, str]:
    """Return the environment of a server: that of this process without keys for other servers.

    Args:
        key: the variable with the key that this server wants, which stays; "" for none.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name == key or not name.upper().endswith(_KEY_SUFFIX)
    }
