"""The page: the template with its numbers, charts, style, script and data, in one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from inspection.report.charts import charts
from inspection.report.draw import Drawn
from inspection.report.figures import Rows
from terminal.text import as_text

_SCRIPTS = ("data", "text", "tree", "list", "page")
_PAPER_SIMILARITY = "0.90 in the paper"

_OF_PAIRS = ("Similarity of the two sides", "Chosen side is longer", "Tokens a pair")

Cells = list[Sequence[str]]


def page(name: str, figures: dict[str, Rows], drawn: Drawn) -> Iterator[str]:
    """The HTML of a report, piece by piece."""
    folder = resources.files("inspection.report")
    style = (folder / "page.css").read_text()
    script = "\n".join((folder / "js" / f"{part}.js").read_text() for part in _SCRIPTS)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((folder / "page.html.j2").read_text())
    return template.generate(
        name=as_text(name),
        policy=f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704 (our own files)
        script=Markup(script),  # noqa: S704
        charts=charts(figures),
        drawn=drawn,
        shown=shown(drawn),
        shown_trees=_shown_trees(drawn),
        headline=_headline(figures),
        cards=_cards(figures),
        numbers=_numbers(figures),
        length=_length(figures),
        agreement=_agreement(figures),
        checked=_checked(figures),
        repeats=_repeats(figures),
        unsolved=_unsolved(figures),
        unsolved_says=_unsolved_says(figures),
        failures=_failures(figures),
    )


def shown(drawn: Drawn) -> str:
    """Which pairs the page holds, in words."""
    if not drawn.total:
        return "The run has no pairs yet."
    if drawn.shown == drawn.total:
        return f"All {drawn.total:,} pairs of the run are in this file."
    return (
        f"This file shows {drawn.shown:,} of {drawn.total:,} pairs, drawn at random, "
        "the same ones each time."
    )


def _shown_trees(drawn: Drawn) -> str:
    if drawn.with_trees == drawn.shown:
        return ""
    return f"Of {drawn.with_trees:,} of them it holds all texts of the search, too."


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _headline(figures: dict[str, Rows]) -> str:
    pairs, prompts = _sum(figures["steps"], "pairs"), _sum(figures["steps"], "prompts")
    rounds = len(figures["steps"])
    over = f" in {rounds} iterations" if rounds > 1 else ""
    return (
        f"{pairs:,} preference {_plural(pairs, 'pair')} "
        f"from {prompts:,} {_plural(prompts, 'prompt')}{over}"
    )


def _cards(figures: dict[str, Rows]) -> list[tuple[str, str, str]]:
    """The few numbers to see first: label, number, what it means."""
    steps, quality, tokens = figures["steps"], figures["quality"], figures["tokens"]
    pairs, trees, solved = (_sum(steps, name) for name in ("pairs", "trees", "solved"))
    written = _sum(tokens, "completion_tokens")
    judged = _sum(figures["responses_judged"], "judged")
    cards = [
        (
            "Similarity of the two sides",
            _ratio(_mean(quality, "similarity")),
            f"1 is the same text; {_PAPER_SIMILARITY}",
        ),
        (
            "Searches solved",
            _percent(solved, trees),
            f"{solved:,} of {trees:,} ended with a text that passes",
        ),
        (
            "Responses that passed at once",
            _percent(_sum(steps, "yes"), judged),
            f"{_sum(steps, 'yes'):,} of {judged:,} judged",
        ),
        (
            "Chosen side is longer",
            _share(_mean(quality, "longer")),
            f"on average by {_signed(_mean(quality, 'longer_by'))} characters",
        ),
        (
            "Tokens a pair",
            f"{written / pairs:,.0f}" if pairs else "–",
            f"{_short(written)} written in all",
        ),
    ]
    if not pairs:
        cards = [card for card in cards if card[0] not in _OF_PAIRS]
    failures = _sum(steps, "failures")
    if failures:
        cards.append(("Items left out", f"{failures:,}", "see Failures, at the end"))
    return cards


def _numbers(figures: dict[str, Rows]) -> Cells:
    """Everything countable, a column for each iteration."""
    steps = figures["steps"]
    quality = {row["iteration"]: row for row in figures["quality"]}
    tokens = {(row["iteration"], row["stage"]): row for row in figures["tokens"]}
    iterations = [row["iteration"] for row in steps]
    if not iterations:
        return []

    def line(name: str, cells: Sequence[str]) -> Sequence[str]:
        return [name, *cells]

    def mean(column: str, digits: int) -> list[str]:
        return [_ratio(quality.get(i, {}).get(column), digits) for i in iterations]

    counts = {
        "Prompts": "prompts",
        "Responses": "responses",
        "– judged Yes": "yes",
        "– judged No": "no",
        "– undecided (tie, or too few votes)": "undecided",
        "Searches": "trees",
        "– solved": "solved",
        "Refinements": "refinements",
        "– unreadable": "malformed",
        "Pairs": "pairs",
    }
    lines = [line("", [f"Iteration {i}" for i in iterations])]
    lines += [line(name, [f"{row[key]:,}" for row in steps]) for name, key in counts.items()]
    lines += [
        line("Similarity, mean", mean("similarity", 3)),
        line("Similarity, median", mean("median_similarity", 3)),
        line("Share of Yes, chosen side", mean("chosen_value", 2)),
        line("Share of Yes, rejected side", mean("rejected_value", 2)),
        line("Depth", mean("depth", 2)),
    ]
    for stage in ("sample", "judge", "tree_search"):
        found = [tokens.get((i, stage), {}) for i in iterations]
        name = f"Tokens of {stage.replace('_', ' ')}"
        lines += [
            line(f"{name}, written", [_count(row.get("completion_tokens")) for row in found]),
            line(f"{name}, read", [_count(row.get("prompt_tokens")) for row in found]),
        ]
    lines.append(line("Failures", [f"{row['failures']:,}" for row in steps]))
    return lines


def _length(figures: dict[str, Rows]) -> Cells:
    judged = {(row["iteration"], row["verdict"]): row["tokens"] for row in figures["judged_length"]}
    head = [
        "Iteration",
        "Rejected, characters",
        "Chosen",
        "Difference",
        "Chosen longer",
        "Chosen shorter",
        "Responses judged No, tokens",
        "Judged Yes",
    ]
    return [
        head,
        *(
            [
                str(row["iteration"]),
                _ratio(row["rejected_chars"], 0),
                _ratio(row["chosen_chars"], 0),
                _signed(row["longer_by"]),
                _share(row["longer"]),
                _share(row["shorter"]),
                _ratio(judged.get((row["iteration"], "no")), 0),
                _ratio(judged.get((row["iteration"], "yes")), 0),
            ]
            for row in figures["quality"]
        ),
    ]


def _agreement(figures: dict[str, Rows]) -> Cells:
    head = ["", "Judged", "Votes split", "Two votes agree", "Undecided", "Votes unreadable"]
    return [
        head,
        *(
            [
                f"{what}, iteration {row['iteration']}",
                f"{row['judged']:,}",
                _percent(row["split"], row["judged"]),
                _share(row["agreement"]),
                _percent(row["undecided"], row["judged"]),
                _percent(row["unread"], row["votes"]),
            ]
            for what, name in (
                ("Responses", "responses_judged"),
                ("Refinements", "refinements_judged"),
            )
            for row in figures[name]
        ),
    ]


def _checked(figures: dict[str, Rows]) -> Cells:
    head = ["", "Judge says Yes, checked", "Check says No", "Share"]
    return [
        head,
        *(
            [
                f"{row['what'].capitalize()}, iteration {row['iteration']}",
                f"{row['said_yes']:,}",
                f"{row['refuted']:,}",
                _percent(row["refuted"], row["said_yes"]),
            ]
            for row in figures["checked"]
        ),
    ]


def _repeats(figures: dict[str, Rows]) -> Cells:
    kinds = {
        "equal_responses": "Responses equal to another one to the same prompt",
        "equal_refinements": "Refinements that changed nothing",
        "equal_pairs": "Pairs whose two texts stand in another pair, too",
    }
    iterations = sorted({row["iteration"] for name in kinds for row in figures[name]})
    lines: Cells = [["", *(f"Iteration {iteration}" for iteration in iterations)]]
    for name, says in kinds.items():
        held = {row["iteration"]: row for row in figures[name]}
        if held:
            cells = [
                f"{held[i]['equal']:,} ({_percent(held[i]['equal'], held[i]['n'])})"
                if i in held
                else "–"
                for i in iterations
            ]
            lines.append([says, *cells])
    return lines


def _unsolved(figures: dict[str, Rows]) -> Cells:
    rows = figures["unsolved"]
    if not rows:
        return []
    return [
        ["Prompt", "Best share of Yes", "Refinements tried", "Iterations"],
        *(
            [
                as_text(row["prompt"]),
                _ratio(row["best"]),
                f"{row['refinements']:,}",
                row["iterations"],
            ]
            for row in rows
        ),
    ]


def _unsolved_says(figures: dict[str, Rows]) -> str:
    rows = figures["unsolved"]
    if not rows:
        return ""
    return (
        f"{rows[0]['n']:,} {_plural(rows[0]['n'], 'prompt')} had a search and none that passed, "
        "in any iteration."
    )


def _failures(figures: dict[str, Rows]) -> Cells:
    return [
        ["Iteration", "Stage", "Cause", "Items", "For example"],
        *(
            [
                str(row["iteration"]),
                as_text(row["stage"]),
                as_text(row["error"]),
                f"{row['items']:,}",
                as_text(str(row["example"])[:400]),
            ]
            for row in figures["failures"]
        ),
    ]


def _sum(rows: Rows, column: str) -> int:
    return sum(row[column] or 0 for row in rows)


def _mean(rows: Rows, column: str) -> float | None:
    """Over all pairs, of rows that hold a mean each."""
    held = [row for row in rows if row[column] is not None]
    pairs = _sum(held, "pairs")
    return sum(row[column] * row["pairs"] for row in held) / pairs if pairs else None


def _ratio(value: Any, digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+,.0f}".replace("-", "\u2212")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _percent(part: int, whole: int) -> str:
    return _share(part / whole if whole else None)


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _short(number: float) -> str:
    for unit, size in (("billion", 1e9), ("million", 1e6)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number:,.0f}"


def _plural(number: int, word: str) -> str:
    return word if number == 1 else f"{word}s"
