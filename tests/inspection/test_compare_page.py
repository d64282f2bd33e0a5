"""The comparison as a page: what it holds, what it draws, and that names stay names."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from inspection.compare import __main__ as compare
from schemas.evaluations import Evaluation
from tests.committed import commit
from tests.inspection.evaluated import figure, half
from tests.pipelines.rounds import ROOT

HOSTILE = "<script>document.title='run'</script>\"'><img src=x onerror=1>\x1b[31m\u202e"


@dataclass
class Parsed(HTMLParser):
    """Cells of a page's tables by caption, what its drawings say, and all tags."""

    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    says: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    text: str = ""
    _rows: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        held = dict(attrs)
        if held.get("aria-roledescription") == "point":
            self.says.append(str(held["aria-label"]))
        if tag == "caption":
            self._rows, self.text = [], ""
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self.tables[self.text] = self._rows
        if tag in ("td", "th"):
            self._rows[-1].append(self.text)


def parsed(html: str) -> Parsed:
    page = Parsed()
    page.feed(html)
    return page


def written(output: Path, *argv: object) -> str:
    line = ["--runs", *map(str, argv), "--output", str(output)]
    assert compare.main(line) == 0
    return output.read_text()


def searched(decoder: str, budget: int, met: int, model: str = "m") -> list[Evaluation]:
    """A decoder's figures at a budget, as the command for evaluation would leave them."""
    settings: dict[str, Any] = {
        "variant": f"{decoder}{budget}",
        "decoder": decoder,
        "budget": budget,
        "votes": 5,
    }
    cost: dict[str, Any] = {"responses": budget + 0.5, "tokens": 100.0 * budget}
    return [
        figure("average", half(50, met), model=model, **settings, **cost),
        figure("strict", half(20, met // 3), part="length", model=model, **settings, **cost),
    ]


def said_of(met: int) -> list[Evaluation]:
    """A refiner's word, a judge's and a program's on its refinements."""
    counts = {"program": met, "judge": met + 5, "self": met + 10}
    return [
        figure(who, half(40, count), benchmark="refinement", decoder="refine")
        for who, count in counts.items()
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two decoders at several budgets, and two iterations of a refiner."""
    place = tmp_path_factory.mktemp("compare") / "run"
    for decoder, budgets in (("bfs", (1, 4, 16)), ("best_of_n", (1, 4))):
        for budget in budgets:
            met = 20 + budget + 2 * (decoder == "bfs")
            commit(place, "evaluations", searched(decoder, budget, met))
    for iteration, met in ((1, 10), (2, 20)):
        commit(place, "evaluations", said_of(met), iteration=iteration)
    return place


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    return written(run.parent / "c.html", run)


def test_it_holds_the_tables(html: str) -> None:
    page = parsed(html)
    scores = page.tables["ifeval"]
    assert scores[0] == ["", "average", "responses an item", "tokens an item"]
    assert len(scores) == 6
    [row] = [row for row in scores if "bfs16" in row[0]]
    assert row[1].startswith("0.760 [") and row[1].endswith("], 50 of 50")
    assert row[2:] == ["16.5", "1,600.0"]
    [name] = [name for name in page.tables if name.startswith("ifeval, more than")]
    tested = {row[0]: row for row in page.tables[name]}
    assert tested[row[0]][2] == "+0.340", "than best_of_n at a budget of 1"
    bias = page.tables["What a refiner says of its own refinements"]
    assert [row[1:3] for row in bias[1:]] == [
        *(["program", "+0.250"], ["program", "+0.250"]),
        *(["judge", "+0.125"], ["judge", "+0.125"]),
    ]


def test_scores_are_drawn_against_what_they_cost(html: str) -> None:
    says = [text for text in parsed(html).says if "an item" in text]
    assert len(says) == 10, "five systems, by responses and by tokens"
    assert sum("responses generated" in text for text in says) == 5
    [point] = [text for text in says if "bfs" in text and "16.5 responses" in text]
    assert re.fullmatch(
        r"bfs, budget 16, votes 5: "
        r"0\.760 \[0\.\d{3}, 0\.\d{3}\] at 16\.5 responses generated an item",
        point,
    )
    for name in ("b0-responses", "b0-tokens"):
        drawing = html.partition(f'id="chart-{name}"')[2].partition("</figure>")[0]
        lines, intervals = (
            "".join(re.findall(rf"layer_{number}_marks.*?</g>", drawing)) for number in (0, 1)
        )
        assert lines.count("<path ") == 2, "one for each decoder"
        assert intervals.count("<line ") == 5


def test_what_is_said_of_refinements_is_drawn_over_iterations(html: str) -> None:
    says = [text for text in parsed(html).says if text.startswith("iteration")]
    heads = [text.partition(" [")[0] for text in says]
    assert heads == [
        f"iteration {iteration}, {who}: {value:.3f}"
        for iteration, values in ((1, (0.5, 0.375, 0.25)), (2, (0.75, 0.625, 0.5)))
        for who, value in zip(("self", "judge", "program"), values, strict=True)
    ]


def test_nothing_is_drawn_of_a_single_cost(tmp_path: Path) -> None:
    run = commit(tmp_path / "a", "evaluations", searched("bfs", 4, 20))
    page = written(tmp_path / "c.html", run)
    assert "<svg" not in page
    assert "1 system on 1 benchmark<" in page


def test_parts_are_there_when_asked_for(run: Path, tmp_path: Path, html: str) -> None:
    assert "ifeval, by part" not in parsed(html).tables
    page = parsed(written(tmp_path / "c.html", run, "--parts", "--benchmark", "ifeval"))
    assert page.tables["ifeval, by part"][1][0] == "length · strict"
    assert "details" in page.tags
    assert "What a refiner says of its own refinements" not in page.tables


def test_warnings_stand_in_it(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = [figure("average", [None, *half(40, 8)], decoder="bfs")]
    other = commit(tmp_path / "short", "evaluations", short)
    page = written(tmp_path / "c.html", run, other, "--benchmark", "ifeval")
    assert "1 of 41 items have no score" in page
    assert "not the same items; the difference is on the 40 that both have" in page
    out = capsys.readouterr().out
    assert re.fullmatch(r".*c\.html: 0\.\d MB\. ifeval; 2 warnings stand in it\.\n", out)


def test_it_is_small_and_needs_nothing_else(html: str) -> None:
    assert len(html) < 200_000
    page = parsed(html)
    assert "script" not in page.tags
    style = re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert len(style) == 1 and policy
    assert f"style-src &#39;sha256-{digest}&#39;" in policy[1]
    assert "default-src &#39;none&#39;" in policy[1]
    assert not re.search(r'\s(src|href|action)="(?!#)', html)
    assert not re.search(r"\s(style|on\w+)=", html.partition("<body>")[2])
    assert "light-dark(" in style[0], "it follows the system"


def test_names_are_only_names(tmp_path: Path) -> None:
    run = tmp_path / "<b>run"
    for budget in (1, 4):
        rows = searched(HOSTILE, budget, 20 + budget, model=f"{HOSTILE}{budget}")
        commit(run, "evaluations", rows)
        more = [
            figure(HOSTILE, half(9, 3), benchmark=HOSTILE, part=part, decoder=HOSTILE, scorer="x")
            for part in ("", HOSTILE)
        ]
        commit(run, "evaluations", more, iteration=budget)
    html = written(tmp_path / "c.html", run, "--parts")
    page = parsed(html)
    assert not {"script", "img", "b"} & set(page.tags)
    assert not {"\x1b", "\u202e"} & set(html)
    shown = HOSTILE.replace("\x1b", "\\u001b").replace("\u202e", "\\u202e")
    assert shown in page.tables
    assert any(text.count(shown) for text in page.says), "drawn, too"


def test_the_same_runs_give_the_same_page_and_replace_it(
    run: Path, tmp_path: Path, html: str
) -> None:
    (tmp_path / "c.html").write_text("old")
    assert written(tmp_path / "c.html", run) == html
    assert os.listdir(tmp_path) == ["c.html"]


def test_a_missing_library_is_named(run: Path, tmp_path: Path) -> None:
    for library, extra, what in (
        ("vl_convert", "report", "--output"),
        ("scipy", "evaluate", "inspection.compare"),
    ):
        argv = ["--runs", str(run), "--output", "c.html"]
        script = (
            f"import sys; sys.modules[{library!r}] = None; "
            f"from inspection.compare.__main__ import main; sys.exit(main({argv!r}))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr == (
            f"error: {what} needs the package {library}: pip install '.[{extra}]'\n"
        )
    assert os.listdir(tmp_path) == []
