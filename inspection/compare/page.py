"""The comparison as one HTML file: tables and charts, no script and no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources

from markupsafe import Markup

from inspection.compare import charts
from inspection.compare.methods import Methods
from inspection.compare.shown import Shown
from inspection.report.html import digest, template
from terminal.text import as_text


@dataclass(frozen=True, slots=True)
class Drawn:
    """A benchmark with its charts: the score against what an item costs, and refiners' bias."""

    name: str
    shown: Shown
    costs: dict[str, Markup] = field(default_factory=dict)
    bias: Sequence[tuple[str, Markup]] = ()


def page(benchmarks: Sequence[Shown], methods: Methods | None = None) -> Iterator[str]:
    """The HTML of a comparison, piece by piece."""
    style = (resources.files("inspection.report") / "page.css").read_text()
    drawn = [
        Drawn(
            as_text(shown.results.benchmark),
            shown,
            charts.against_cost(shown.results, f"b{number}"),
            charts.bias(shown.results, f"b{number}"),
        )
        for number, shown in enumerate(benchmarks)
    ]
    systems = {system: None for shown in benchmarks for system in shown.results.systems}
    return template("inspection.compare").generate(
        policy=f"default-src 'none'; style-src {digest(style)}; base-uri 'none'; "
        "form-action 'none'",
        style=Markup(style),  # noqa: S704 (our own file)
        runs=methods.runs
        if methods
        else list(dict.fromkeys(as_text(system.run) for system in systems)),
        methods=methods,
        benchmarks=drawn,
        systems=len(systems),
    )
