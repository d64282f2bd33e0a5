"""The page as Markdown, and the plots that it shows."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from inspection.reproduction import expectations, paper, plots, tables
from inspection.reproduction.contract import FILE, Reproduction
from inspection.reproduction.facts import Facts, of_settings
from inspection.reproduction.markdown import Markdown, code, escaped, table
from inspection.reproduction.measured import Results
from inspection.reproduction.missing import missing
from inspection.reproduction.step_groups import grouped
from inspection.reproduction.wording import counted

_VALUE_CHARS = 200

_SCALES = ("cpu", "gpu", "8b")
"""Scales that come with `pipelines.reproduce`; another is called by its settings file."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page in Markdown. plots: the PNG files it shows, by name."""

    text: str
    plots: Mapping[str, bytes] = field(default_factory=dict)


def page(reproduction: Reproduction, results: Results, run: str, plots_at: str) -> Page:
    """Make the page of a reproduction.

    Args:
        run: the reproduction's folder as the user named it.
        plots_at: the folder of the plots, relative to the page.
    """
    facts = of_settings(reproduction.settings)
    expected = expectations.expectations(results, facts.iterations or 1)
    drawn = {
        "by_iteration.png": plots.by_iteration(results),
        "by_responses.png": plots.by_responses(results),
    }
    held = {name: png for name, png in drawn.items() if png is not None}
    images = {name: Markdown(quote(f"{plots_at}/{name}")) for name in held}
    sections = {
        "Score by iteration": images.get("by_iteration.png"),
        "Table 1 in the small: following instructions": tables.following(results),
        "Table 2 in the small: the refiner as a judge": tables.agreement(results),
        "Table 4 in the small: ablations": tables.ablations(results, facts.iterations),
        "Table 5 in the small: refinements": tables.refinements(results),
        "The program's word": tables.words(results, facts.checks),
        "Figure 5 in the small: decoding": tables.decoding(results),
        "General ability": tables.general(results),
        "The expected order": _sentences(expected),
        "How it was made": tables.steps(grouped(reproduction.steps)),
    }
    absent = [title for title, content in sections.items() if content is None]
    text = _template().render(
        scale=reproduction.scale,
        what=_what(reproduction.scale, facts, results.seeds),
        about=facts.about,
        checks=facts.checks,
        took=_took(reproduction),
        command=code(_command(reproduction, run, results.seeds)),
        summary=expectations.summary(expected),
        missing=missing(results, facts, absent),
        warnings=results.warnings,
        titles=list(sections),
        contents=list(sections.values()),
        decoding_plot=images.get("by_responses.png"),
        searched=paper.SEARCHED,
        later=[each.title for each in expected if each.found is None],
        file=code(os.path.join(_shown(run), FILE)),
        settings=_settings(reproduction.settings),
    )
    return Page(text, held)


def _template() -> jinja2.Template:
    """The page's template; whatever it is given is shown as it is unless it is Markdown."""
    environment = jinja2.Environment(
        autoescape=False,  # noqa: S701 (the page is Markdown, which `finalize` escapes)
        finalize=escaped,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    source = resources.files("inspection.reproduction") / "page.md.j2"
    return environment.from_string(source.read_text())


def _sentences(expected: Sequence[expectations.Expectation]) -> Markdown | None:
    """What is said of every expectation whose figures are there, as a list."""
    lines = []
    for each in expected:
        if each.found is not None:
            start, _, rest = expectations.sentence(each, each.found).partition(": ")
            lines.append(f"- **{escaped(start)}**: {escaped(rest)}")
    return Markdown("\n".join(lines)) if lines else None


def _what(scale: str, facts: Facts, seeds: Sequence[int]) -> str:
    """What was run, as far as it is known: its scale, model, prompts, iterations and seeds."""
    counts = []
    if facts.bootstrap:
        counts.append(f"{counted(facts.bootstrap, 'prompt')} for the bootstrap")
    if facts.prompts:
        counts.append(f"{counted(facts.prompts, 'prompt')} for an iteration")
    if facts.iterations:
        counts.append(counted(facts.iterations, "iteration"))
    if seeds:
        counts.append(f"{'seed' if len(seeds) == 1 else 'seeds'} {' and '.join(map(str, seeds))}")
    model = f" on the model {facts.model}" if facts.model else ""
    return f"at the scale {scale}{model}{': ' if counts else ''}{', '.join(counts)}"


def _took(reproduction: Reproduction) -> str:
    """How long the steps that are done took."""
    hours = sum(step.seconds for step in reproduction.steps) / 3600
    count = len(reproduction.steps)
    return f"{counted(count, 'step')} {'is' if count == 1 else 'are'} done, in {hours:,.1f} hours"


def _command(reproduction: Reproduction, run: str, seeds: Sequence[int]) -> str:
    """The command line of the reproduction, made up where the file does not say it."""
    scale = reproduction.scale
    words = reproduction.command or (
        *("python", "-m", "pipelines.reproduce"),
        *(("--scale", scale) if scale in _SCALES else ("--settings", f"{scale}.yaml")),
        *(("--seeds", str(max(seeds))) if len(seeds) > 1 else ()),
        *("--run", _shown(run)),
    )
    return shlex.join(words)


def _shown(run: str) -> str:
    """A folder as it is typed in the current one."""
    here = Path.cwd()
    return os.path.relpath(run) if here in Path(run).absolute().parents else run


def _settings(settings: Mapping[str, Any]) -> Markdown | None:
    rows = [[name, _value(value)] for name, value in _flat(settings)]
    return table(["setting", "value"], rows) if rows else None


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The settings, those of a group by the group's name and a dot."""
    for name, value in settings.items():
        if name == "about":
            continue  # the page begins with it
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", each) for inner, each in value.items())
        else:
            yield name, value


def _value(value: Any) -> str:
    """A setting's value as JSON, its first characters where it is long."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        text = "nested too deeply to be shown"
    return text if len(text) <= _VALUE_CHARS else f"{text[:_VALUE_CHARS]} …"
