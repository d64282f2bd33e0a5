"""The dataset card: README.md, with the YAML head that `datasets` and the Hub read."""

from __future__ import annotations

import glob
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inspection.export.columns import described
from inspection.export.formats import Format
from schemas import TABLES, lineage, manifest
from schemas.questions import VIEWS
from schemas.selection import COLUMNS, Choice, Kinds
from schemas.table import MAIN, SPAR, Kind
from terminal.text import as_text

if TYPE_CHECKING:
    import duckdb

NO_LICENCE = "unknown"
"""What the Hub calls a licence that nobody has stated."""

_SIZES = {
    10**3: "n<1K",
    10**4: "1K<n<10K",
    10**5: "10K<n<100K",
    10**6: "100K<n<1M",
    10**7: "1M<n<10M",
    10**8: "10M<n<100M",
}
"""The Hub's size categories by the rows they end at."""

_OPTIONS = {
    "responses": "responses",
    "seed": "seed",
    "judge_once": "judge_once",
    "actor.model": "actor_model",
    "refiner.model": "refiner_model",
    "judge.votes": "votes",
    "judge.quorum": "quorum",
    "judge.constrained": "constrained",
    "judge.stop_votes": "stop_votes",
    "search.strategy": "strategy",
    "search.branch": "branch",
    "search.keep": "keep",
    "search.depth": "depth",
    "search.budget": "budget",
    "search.stop_level": "stop_level",
    **{
        f"{settings}.{name}": f"{role}_{name}"
        for settings, role in (
            ("actor", "actor"),
            ("judge.sampling", "judge"),
            ("search.sampling", "refine"),
        )
        for name in ("temperature", "top_p", "max_tokens")
    },
}
"""The option of `pipelines.refine` that sets each setting."""

_CAME_LATER = {"judge.checks": ("checks", "report"), "judge.ask_again": ("ask_again", 0)}
"""Options with defaults of their own, and what a run was made with whose settings lack them."""

_SEARCH = "search."
"""How the settings are named that only the method spar has."""

_MADE = {
    SPAR: "A failing answer was refined by tree search until a refinement passed. A "
    "pair's chosen side is that refinement, its rejected side the failing answer itself, so that "
    "the two differ where the instruction was missed.",
    "independent": "Of a prompt's answers, one that passed is a pair's chosen side, one "
    "that failed it the rejected side.",
}
"""What the pairs of each method are."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run says of itself, of the iterations that are exported.

    settings: by iteration and variant, by name. models: (iteration, variant, table, model).
    counts: by table and iteration.
    """

    settings: dict[tuple[int, str], dict[str, Any]]
    models: list[tuple[int, str, str, str]]
    counts: dict[str, dict[int, int]]


@dataclass(frozen=True, slots=True)
class Selection:
    """What was exported and how.

    run, output: the names of the two folders; where they lie is nobody's business.
    kinds: rows by table, and in it by method and variant.
    columns: by table all columns of its rows, with their types, which formats of all columns have.
    with_reasoning: whether what models thought was asked for.
    """

    run: str
    output: str
    form: Format
    where: str | None
    iteration: int | None
    choice: Choice
    licence: str
    kinds: dict[str, Kinds]
    columns: dict[str, dict[str, Kind]]
    with_reasoning: bool = False

    @property
    def rows(self) -> dict[str, int]:
        return {table: kinds.total for table, kinds in self.kinds.items()}


def facts(
    connection: duckdb.DuckDBPyConnection, run: str, iteration: int | None, variants: set[str]
) -> Facts:
    """Read what a run says of itself, its settings of some variants; it has its views."""
    only = "true" if iteration is None else f"iteration = {int(iteration)}"
    models = connection.sql(
        " union all ".join(
            f"select distinct iteration, variant, '{table}', model from {table} where {only}"
            for table in ("responses", "judgements", "trees")
        )
    ).fetchall()
    counts: dict[str, dict[int, int]] = {}
    for table in TABLES:
        query = f"select iteration, count(*) from {table} where {only} group by all"
        counts[table] = dict(connection.sql(query).fetchall())
    return Facts(_settings(run, iteration, variants), sorted(models), counts)


def _settings(
    run: str, iteration: int | None, variants: set[str]
) -> dict[tuple[int, str], dict[str, Any]]:
    """The settings of an iteration's stages together, by iteration and variant."""
    import fsspec

    fs, root = fsspec.core.url_to_fs(run)
    held: dict[int, dict[tuple[str, str], dict[str, Any]]] = {}
    wanted = "*" if iteration is None else str(int(iteration))
    pattern = f"{glob.escape(root)}/{manifest.FOLDER}/iteration={wanted}/*{manifest.SETTINGS}"
    for path in sorted(fs.glob(pattern)):
        plain = lineage.claimed(fs.cat_file(path), path)
        place = manifest.named(path.rpartition("/")[2].removesuffix(manifest.SETTINGS))
        held.setdefault(manifest.iteration_of(path), {})[place] = plain
    return {
        (t, variant): _together(files, variant)
        for t, files in held.items()
        for variant in sorted(variants & {name for _, name in files})
    }


def _together(files: dict[tuple[str, str], dict[str, Any]], variant: str) -> dict[str, Any]:
    """A variant's settings; of a stage that it does not make itself, its maker's."""
    found: dict[str, Any] = {}
    for stage in sorted({stage for stage, _ in files}):
        own = files.get((stage, variant), {"as": MAIN})
        found |= files.get((stage, str(own["as"])), {}) if "as" in own else own
    return found


def render(connection: duckdb.DuckDBPyConnection, known: Facts, selection: Selection) -> str:
    """The card; `connection` has views of the exported rows."""
    quality = connection.sql(VIEWS["pair_quality"].sql)
    columns, rows = quality.columns, quality.fetchall()
    parts = [
        _head(selection),
        "# SPaR preference pairs",
        _introduction(selection),
        "## What is in it",
        *_contents(selection),
        "## Pair quality",
        "By iteration, of the exported pairs. `similarity` is of the two sides' texts, 0 to 1; "
        "values are the share of Yes among the votes, or as the method has it; lengths are in "
        "characters.",
        _table([columns[0], *(str(row[0]) for row in rows)], _turned(columns, rows)),
        "## How it was made",
        *_method(selection),
        *_origin(known),
        "## Making it again",
        *_commands(known, selection),
        "## Licence",
        _licence(selection.licence),
    ]
    return "\n\n".join(parts) + "\n"


def _head(selection: Selection) -> str:
    """The YAML; nothing in it was written by others but the licence's id, which is checked."""
    lines = ["---", "pretty_name: SPaR preference pairs", f"license: {selection.licence}"]
    lines += ["task_categories:", "- text-generation"]
    lines += ["tags:"] + [f"- {tag}" for tag in ("preference", "dpo", "trl", "synthetic", "spar")]
    lines += ["- arxiv:2412.11605", "size_categories:", f"- {_size(sum(selection.rows.values()))}"]
    lines += ["configs:"]
    for number, table in enumerate(selection.rows):
        lines += [f"- config_name: {table}"]
        lines += ["  default: true"] if number == 0 else []
        lines += ["  data_files:", "  - split: train"]
        lines += [f"    path: {selection.form.pattern(table)}"]
        if selection.form.files == "jsonl":
            # JSON does not say of what type a column is whose first rows are null.
            lines += ["  features:"]
            lines += [f"  - {json.dumps(each)}" for each in _features(selection, table)]
    return "\n".join([*lines, "---"])


def _size(rows: int) -> str:
    return next((name for end, name in _SIZES.items() if rows < end), "100M<n<1B")


def _features(selection: Selection, table: str) -> list[dict[str, Any]]:
    """The columns' types as `datasets` writes them in YAML."""
    if selection.form.columns is None:
        return [_feature(name, kind) for name, kind in selection.columns[table].items()]
    message = [{"name": "from", "dtype": "string"}, {"name": "value", "dtype": "string"}]
    return [
        {"name": name, "list" if name == "conversations" else "struct": message}
        for name in selection.form.columns[table]
    ]


def _feature(name: str, kind: Kind) -> dict[str, Any]:
    """A column and its type."""
    if isinstance(kind, str):
        return {"name": name, "dtype": {"double": "float64"}.get(kind, kind)}
    if isinstance(kind, Mapping):
        return {"name": name, "struct": [_feature(*column) for column in kind.items()]}
    [each] = kind
    listed = _feature("", each)
    return {"name": name, "list": listed.get("struct") or listed["dtype"]}


def _introduction(selection: Selection) -> str:
    rows = " and ".join(f"{number:,} rows in `{name}`" for name, number in selection.rows.items())
    text = f"Pairs of a preferred answer and another one to the same prompt: {rows}."
    if selection.choice:
        text += f" Only {_code(selection.choice.told())}."
    if selection.iteration is not None:
        text += f" Only iteration {selection.iteration} of the run."
    if selection.where is not None:
        text += f" Only pairs that meet {_code(selection.where)}."
    loads = (
        'from datasets import load_dataset\n\npairs = load_dataset("PATH_OR_NAME", split="train")'
    )
    if "rft" in selection.rows:
        loads += '\nrft = load_dataset("PATH_OR_NAME", "rft", split="train")'
    return f"{text}\n\n```python\n{loads}\n```"


def _contents(selection: Selection) -> Iterable[str]:
    yield "Rows by how they were made, and by the name of the settings they were made with:"
    yield _table(
        ["table", *COLUMNS, "rows"],
        [
            [f"`{table}`", *(_code(str(value)) for value in kind), f"{number:,}"]
            for table, kinds in selection.kinds.items()
            for kind, number in kinds.rows.items()
        ],
    )
    if selection.with_reasoning and selection.form.columns is not None:
        yield (
            "What the models thought stands before the last turn of rft samples, in `<think>` "
            "tags; pairs are without."
        )
    for table in selection.rows:
        yield f"`{table}` ({_code(selection.form.pattern(table))}):"
        names = (
            selection.columns[table]
            if selection.form.columns is None
            else selection.form.columns[table]
        )
        yield _table(["column", "what it is"], [[f"`{n}`", described(table, n)] for n in names])


def _method(selection: Selection) -> Iterable[str]:
    """How pairs of the exported methods come about."""
    yield (
        "A model answered each prompt several times; a judge, a model too, voted on each answer. "
        "Where a prompt has checks that a program can run, `judge.checks` among the settings below "
        "says what they do: nothing (`report`), an answer passes only where they let it (`veto`), "
        "or they judge alone where they are all that the prompt asks for (`decide`)."
    )
    for method in selection.kinds["pairs"].values("method"):
        if method in _MADE:
            yield f"`{method}`: {_MADE[method]}"
    text = (
        "Verdicts are a model's or a program's: none was checked by people. The methods are those "
        "of SPaR ([arXiv 2412.11605](https://arxiv.org/abs/2412.11605))."
    )
    if "rft" in selection.kinds:
        text = (
            "`rft` holds judgements that agree with the majority of votes, or a program's, and the "
            f"refiner's refinements that passed. {text}"
        )
    yield text


def _origin(known: Facts) -> Iterable[str]:
    """The models, the run's counts and the settings."""
    iterations = sorted({t for held in known.counts.values() for t in held})
    heads = [f"iteration {t}" for t in iterations]
    roles = {"responses": "answers", "judgements": "judges", "trees": "judges and refines"}
    yield "Models, by the variant that asked them; others may use what they said:"
    yield _table(
        ["iteration", "variant", "does", "model"],
        [[str(t), _code(name), roles[table], _code(m)] for t, name, table, m in known.models],
    )
    yield "Rows of the whole run, which the exported ones were picked from:"
    yield _table(
        ["table", *heads],
        [
            [f"`{table}`", *(f"{held.get(t, 0):,}" for t in iterations)]
            for table, held in known.counts.items()
        ],
    )
    names = sorted({name for held in known.settings.values() for name in held})
    yield "Settings:"
    yield _table(
        ["setting", *(f"iteration {t}, {_code(name)}" for t, name in sorted(known.settings))],
        [
            [
                _code(name),
                *(
                    _code(_plain(held[name])) if name in held else ""
                    for _, held in sorted(known.settings.items())
                ),
            ]
            for name in names
        ],
    )


def _commands(known: Facts, selection: Selection) -> Iterable[str]:
    name = f"runs/{selection.run}"
    made = [
        shlex.join(refine_command(name, iteration, settings, str(method), variant))
        for (iteration, variant), settings in sorted(known.settings.items())
        for method, made_in in selection.kinds["pairs"].rows
        if made_in == variant
    ]
    again = ["python", "-m", "inspection.export", "--run", name, "--format", selection.form.name]
    again += ["--output", selection.output]
    if selection.where is not None:
        again += ["--where", selection.where]
    if selection.iteration is not None:
        again += ["--iteration", str(selection.iteration)]
    for column in COLUMNS:
        if names := selection.choice.named(column):
            again += [f"--{column}", ",".join(names)]
    if selection.with_reasoning:
        again += ["--with_reasoning"]
    if selection.licence != NO_LICENCE:
        again += ["--licence", selection.licence]
    yield (
        "With the same prompts, and an engine that serves the same models (`--engine_url`, or "
        "`--engine`; where a model is a local file or folder, give its path):"
    )
    yield _fenced([*made, shlex.join(again)])


def refine_command(
    run: str,
    iteration: int,
    settings: dict[str, Any],
    method: str = SPAR,
    variant: str = MAIN,
) -> list[str]:
    """The command line of `pipelines.refine` with these settings."""
    line = ["python", "-m", "pipelines.refine", "--run", run, "--prompts", "PROMPTS.jsonl"]
    line += ["--iteration", str(iteration)]
    line += ["--method", method] if method != SPAR else []
    line += ["--variant", variant] if variant != MAIN else []
    for name, option in _OPTIONS.items():
        has_it = method == SPAR or not name.startswith(_SEARCH)
        value = settings.get(name) if has_it else None
        if name == "judge.constrained" and isinstance(value, bool):
            line += ["--constrained", "on" if value else "off"]
        elif isinstance(value, bool):
            line += [f"--{option}"] if value else []
        elif value is not None:
            line += [f"--{option}", str(value)]
    for name, (option, before) in _CAME_LATER.items() if "judge.votes" in settings else ():
        line += [f"--{option}", str(settings.get(name, before))]
    return line


def _licence(licence: str) -> str:
    if licence == NO_LICENCE:
        return (
            "No licence has been stated. Whoever publishes this should: set `license` at the top "
            "of this file, or export with `--licence ID`. The licences of the prompts and of the "
            "models above may restrict the choice."
        )
    return f"`{licence}`. The licences of the prompts and of the models above may say more."


def _turned(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    """Rows as columns, without the first of them."""
    return [
        [f"`{name}`", *(_plain(row[number]) for row in rows)]
        for number, name in enumerate(columns)
        if number
    ]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; its cells are Markdown already."""
    lines = [heads, ["---"] * len(heads), *rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _code(text: str) -> str:
    """Text that others wrote, in one line that neither Markdown nor a terminal acts on."""
    shown = as_text(" ".join(text.split()))
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if "`" in shown or not shown else f"{fence}{shown}{fence}"


def _fenced(lines: Sequence[str]) -> str:
    """Lines of a shell as a block that nothing in them ends."""
    text = as_text("\n".join(lines))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}sh\n{text}\n{fence}"
