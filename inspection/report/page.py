"""The page: the template with its numbers, charts, style, script and data, in one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from typing import Any

from markupsafe import Markup

from inspection.compare import tables
from inspection.compare.systems import Row as Evaluated
from inspection.compare.systems import called, evaluation, results
from inspection.report.charts import charts
from inspection.report.draw import Drawn
from inspection.report.html import digest, template
from inspection.report.series import Row, Rows, Series, by, headed, names
from terminal.text import as_text

_SCRIPTS = ("data", "text", "tree", "list", "page")
_PAPER_SIMILARITY = "0.90 in the paper"

_TOLD = 3
"""Variants and methods that the headline tells apart at most."""

_OF_PAIRS = ("Similarity of the two sides", "Chosen side is longer", "Tokens a pair")

Cells = list[Sequence[str]]


def page(name: str, figures: dict[str, Rows], drawn: Drawn) -> Iterator[str]:
    """The HTML of a report, piece by piece."""
    folder = resources.files("inspection.report")
    style = (folder / "page.css").read_text()
    script = "\n".join((folder / "js" / f"{part}.js").read_text() for part in _SCRIPTS)
    series = Series.of(figures["variants"])
    return template("inspection.report").generate(
        name=as_text(name),
        policy=f"default-src 'none'; script-src {digest(script)}; style-src {digest(style)}; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704 (our own files)
        script=Markup(script),  # noqa: S704
        charts=charts(figures),
        drawn=drawn,
        shown=shown(drawn),
        shown_trees=_shown_trees(drawn),
        series=series,
        independent=any(row["method"] == "independent" for row in figures["variants"]),
        headline=_headline(figures),
        cards=_several_cards(figures) if series.mixed else _cards(figures),
        compared=_compared(figures) if series.mixed else [],
        numbers=_numbers(figures),
        length=_length(figures, series),
        agreement=_agreement(figures),
        checked=_checked(figures),
        repeats=_repeats(figures),
        unsolved=_unsolved(figures),
        unsolved_says=_unsolved_says(figures, series),
        failures=_failures(figures, series),
        evaluated=_evaluated(name, figures["evaluations"]),
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
    if drawn.with_trees == drawn.searched:
        return ""
    return f"Of {drawn.with_trees:,} of them it holds all texts of the search, too."


def _headline(figures: dict[str, Rows]) -> str:
    pairs = _sum(figures["steps"], "pairs")
    read_in: dict[int, int] = {}
    for row in figures["steps"]:
        read_in[row["iteration"]] = max(row["prompts"], read_in.get(row["iteration"], 0))
    prompts, rounds = sum(read_in.values()), len(read_in)
    over = f" in {rounds} iterations" if rounds > 1 else ""
    made = [row for row in figures["variants"] if row["pairs"]]
    of = ""
    if len(made) > 1 and Series.of(made).mixed:
        of = f" of {len(made)} kinds"
        if len(made) <= _TOLD:
            several = ", ".join(f"{row['pairs']:,} of {row['series']}" for row in made)
            of = f" ({several})"
    return (
        f"{pairs:,} preference {_plural(pairs, 'pair')}{of} "
        f"from {prompts:,} {_plural(prompts, 'prompt')}{over}"
    )


def _cards(figures: dict[str, Rows]) -> list[tuple[str, str, str]]:
    """The few numbers to see first: label, number, what it means."""
    steps, quality, tokens = figures["steps"], figures["quality"], figures["tokens"]
    pairs, trees, solved = (_sum(steps, name) for name in ("pairs", "trees", "solved"))
    written = _sum(tokens, "completion_tokens")
    borne = sum(_sum(figures["variants"], name) for name in ("completion_tokens", "shared_tokens"))
    judged, passed = (_sum(figures["responses_judged"], name) for name in ("judged", "passed"))
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
            _percent(passed, judged),
            f"{passed:,} of {judged:,} judged",
        ),
        (
            "Chosen side is longer",
            _share(_mean(quality, "longer")),
            f"on average by {_signed(_mean(quality, 'longer_by'))} characters",
        ),
        (
            "Tokens a pair",
            f"{borne / pairs:,.0f}" if pairs else "–",
            f"{_short(written)} written in all",
        ),
    ]
    if not pairs:
        cards = [card for card in cards if card[0] not in _OF_PAIRS]
    failures = _sum(figures["failures"], "items")
    if failures:
        cards.append(("Items left out", f"{failures:,}", "see Failures, at the end"))
    return cards


def _several_cards(figures: dict[str, Rows]) -> list[tuple[str, str, str]]:
    """Of a run whose numbers over all pairs would mix what is meant to be compared."""
    failures = _sum(figures["failures"], "items")
    cards = [
        ("Variants and methods", f"{len(figures['variants']):,}", "side by side below"),
        ("Tokens", _short(_sum(figures["tokens"], "completion_tokens")), "written in all"),
    ]
    return cards + (
        [("Items left out", f"{failures:,}", "see Failures, at the end")] * (failures > 0)
    )


def _compared(figures: dict[str, Rows]) -> Cells:
    """Variants and methods side by side, a column each."""
    rows = figures["variants"]
    lines = {
        "Prompts": [_count(row["prompts"]) for row in rows],
        "Searches": [_count(row["trees"]) for row in rows],
        "– solved": [_count(row["solved"]) for row in rows],
        "Pairs": [_count(row["pairs"]) for row in rows],
        "Similarity of the two sides": [_ratio(row["similarity"], 3) for row in rows],
        "Chosen longer by, characters": [_signed(row["chars_longer"]) for row in rows],
        "Tokens of its own": [_count(row["completion_tokens"]) for row in rows],
        "Tokens of others that it uses": [_count(row["shared_tokens"]) for row in rows],
        "Tokens a pair, both counted": [_count(row["tokens_per_pair"]) for row in rows],
        "Pairs that checks confirm": [_share(row["share_confirmed"]) for row in rows],
    }
    head = ["", *(headed(row["series"]) for row in rows)]
    return [head, *([name, *cells] for name, cells in lines.items())]


_COUNTS = {
    "Prompts": ("", "prompts"),
    "Responses": ("sample", "responses"),
    "– judged Yes": ("judge", "yes"),
    "– judged No": ("judge", "no"),
    "– undecided (tie, or too few votes)": ("judge", "undecided"),
    "Searches": ("tree_search", "trees"),
    "– solved": ("tree_search", "solved"),
    "Refinements": ("tree_search", "refinements"),
    "– unreadable": ("tree_search", "malformed"),
    "Pairs": ("", "pairs"),
}
"""Counts by what they are called: the stage that makes them, and their column."""

_MEANS = {
    "Similarity, mean": ("similarity", 3),
    "Similarity, median": ("median_similarity", 3),
    "Value, chosen side": ("chosen_value", 2),
    "Value, rejected side": ("rejected_value", 2),
    "Depth": ("depth", 2),
}
"""Means over pairs: their column, and digits."""


def _numbers(figures: dict[str, Rows]) -> Cells:
    """Everything countable, a column for each iteration and variant."""
    steps = figures["steps"]
    quality = by(figures["quality"], "iteration", "variant", "method")
    tokens = by(figures["tokens"], "iteration", "variant", "stage")
    makers = by(figures["lineage"], "iteration", "variant", "stage")
    methods = sorted({row["method"] for row in figures["quality"]}) or [""]
    if not steps:
        return []

    def cells(stage: str, shown: Callable[[Row], str]) -> list[str]:
        """One for each column; of rows that are another variant's it says whose they are."""
        makes = [makers.get((*_key(row), stage), row).get("made_by") for row in steps]
        return [
            shown(row) if maker in (None, row["variant"]) else f"as {maker}"
            for row, maker in zip(steps, makes, strict=True)
        ]

    def count(column: str) -> Callable[[Row], str]:
        return lambda row: _count(row[column])

    def mean(column: str, digits: int, method: str) -> list[str]:
        return [_ratio(quality.get((*_key(r), method), {}).get(column), digits) for r in steps]

    def spent(column: str, stage: str) -> Callable[[Row], str]:
        return lambda row: _count(tokens.get((*_key(row), stage), {}).get(column))

    lines: Cells = [["", *(headed(row["series"]) for row in steps)]]
    lines += [[name, *cells(stage, count(key))] for name, (stage, key) in _COUNTS.items()]
    for method in methods:
        of = f" ({method})" if len(methods) > 1 else ""
        lines += [[name + of, *mean(*what, method)] for name, what in _MEANS.items()]
    for stage in ("sample", "judge", "tree_search"):
        name = f"Tokens of {stage.replace('_', ' ')}"
        lines += [
            [f"{name}, written", *cells(stage, spent("completion_tokens", stage))],
            [f"{name}, read", *cells(stage, spent("prompt_tokens", stage))],
        ]
    return [*lines, ["Failures", *cells("", count("failures"))]]


def _key(row: Row) -> tuple[int, str]:
    return row["iteration"], row["variant"]


def _length(figures: dict[str, Rows], series: Series) -> Cells:
    judged = {(*_key(row), row["verdict"]): row["tokens"] for row in figures["judged_length"]}
    head = [
        "" if series.mixed else "Iteration",
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
                headed(row["series"]) if series.mixed else str(row["iteration"]),
                _ratio(row["rejected_chars"], 0),
                _ratio(row["chosen_chars"], 0),
                _signed(row["longer_by"]),
                _share(row["longer"]),
                _share(row["shorter"]),
                _ratio(judged.get((*_key(row), "no")), 0),
                _ratio(judged.get((*_key(row), "yes")), 0),
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
                f"{what}, {row['series']}",
                f"{row['judged']:,}",
                _percent(row["split"], row["voted"]),
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
                f"{row['what'].capitalize()}, {row['series']}",
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
    found = {row["series"] for name in kinds for row in figures[name]}
    series = [name for name in names(figures["steps"]) if name in found]
    lines: Cells = [["", *map(headed, series)]]
    for name, says in kinds.items():
        held = {row["series"]: row for row in figures[name]}
        if held:
            cells = [
                f"{held[each]['equal']:,} ({_percent(held[each]['equal'], held[each]['n'])})"
                if each in held
                else "–"
                for each in series
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


def _unsolved_says(figures: dict[str, Rows], series: Series) -> str:
    rows = figures["unsolved"]
    if not rows:
        return ""
    return (
        f"{rows[0]['n']:,} {_plural(rows[0]['n'], 'prompt')} had a search and none that passed, "
        f"in any iteration{' or variant' * series.variants}."
    )


def _failures(figures: dict[str, Rows], series: Series) -> Cells:
    return [
        ["" if series.variants else "Iteration", "Stage", "Cause", "Items", "For example"],
        *(
            [
                headed(row["series"]) if series.variants else str(row["iteration"]),
                as_text(row["stage"]),
                as_text(row["error"]),
                f"{row['items']:,}",
                as_text(str(row["example"])[:400]),
            ]
            for row in figures["failures"]
        ),
    ]


def _evaluated(name: str, rows: Rows) -> list[tables.Table]:
    """The benchmarks' figures, a table for each with a row for each model and decoder."""
    found = results(Evaluated(name, row["iteration"], evaluation(row)) for row in rows)
    return [tables.scores(each, called(each.systems)) for each in found]


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
