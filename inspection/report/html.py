"""What pages are made with: their template, and what lets a browser run only what is theirs."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

import jinja2


def template(package: str) -> jinja2.Template:
    """The `page.html.j2` of a package; what it is given is text unless it is Markup."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string((resources.files(package) / "page.html.j2").read_text())


def digest(text: str) -> str:
    """A style or script as a Content-Security-Policy names it."""
    found = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(found).decode()}'"
