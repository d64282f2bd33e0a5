"""The console of all commands: whatever they print, no terminal acts on it.

Names, paths, what a server says and what a model writes come from others, and can hold escape
sequences that hide lines, rename the window or fill the clipboard.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from terminal.text import as_text, without_logins


class Console(rich.console.Console):
    """A console of rich's that spells out control characters of the text it is given.

    Logins in URLs of plain texts are left out; what it adds itself, colours and the moves of a
    progress bar, stays.
    """

    def render_str(self, text: str, **form: Any) -> Text:
        """Return a plain text as it is printed; `form` is that of rich's method."""
        return super().render_str(as_text(without_logins(text)), **form)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Return the pieces of anything that is printed."""
        for piece in super().render(renderable, options):
            if piece.control or piece.text.isprintable():
                yield piece
            else:
                yield Segment(as_text(piece.text), piece.style)
