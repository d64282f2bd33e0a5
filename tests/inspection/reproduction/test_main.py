"""The command: the page of a reproduction that is done, of one in progress, and its refusals."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from inspection.reproduction import __main__ as reproduction
from inspection.reproduction.contract import FILE
from terminal.text import as_text
from tests.inspection.evaluated import half
from tests.inspection.reproduction.folders import HOSTILE, STEPS, Folder

ROOT = Path(__file__).parents[3]

TITLES = [
    "1. Score by iteration",
    "2. Table 1 in the small: following instructions",
    "3. Table 2 in the small: the refiner as a judge",
    "4. Table 4 in the small: ablations",
    "5. Table 5 in the small: refinements",
    "6. The program's word",
    "7. Figure 5 in the small: decoding",
    "8. General ability",
    "9. The expected order",
    "10. How it was made",
]


def written(run: Path, output: Path) -> dict[str, str]:
    """Run the command; returns the page's sections by their titles, "" for what stands before."""
    assert reproduction.main(["--run", str(run), "--output", str(output)]) == 0
    parts = re.split(r"^## (.*)$", output.read_text(), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def test_a_whole_reproduction(
    whole_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = written(whole_run, tmp_path / "the page.md")
    assert [*page] == ["", *TITLES]
    assert "Not there yet" not in "".join(page.values())
    before = " ".join(page[""].split())
    assert "run at the scale cpu on the model that comes with the project: 400" in before
    assert "300 prompts for an iteration, 2 iterations, seeds 1 and 2. 7 steps are done" in before
    assert (
        f"in 1.4 hours, by `python -m pipelines.reproduce --scale cpu --seeds 2 --run {whole_run}`"
        in before
    )
    assert "Two cores: the whole method" in before
    assert "Of 11 comparisons in which an order is expected," in before
    links = re.findall(r"!\[.*\]\((.*)\)", "".join(page.values()))
    assert links == ["the%20page_plots/by_iteration.png", "the%20page_plots/by_responses.png"]
    for link in links:
        assert (tmp_path / link.replace("%20", " ")).read_bytes().startswith(b"\x89PNG")
    order = page[TITLES[8]]
    assert order.count("\n- **") == 11
    assert "- **As in the paper**: the bootstrap model is above the base model" in order
    assert "- **Otherwise**: the refiner's bias after iteration 2 is above" in order
    assert "- **Not to be told apart**: SPaR after iteration 2 and SPaR after" in order
    made = page[TITLES[9]]
    assert "| DPO | 2 | 15.0 | 7.5 | 18% |" in made
    assert "| round.votes | 5 |" in made and "| about |" not in made
    out, err = capsys.readouterr()
    assert out.endswith("the page.md: the page, with 2 plots\n") and err == ""


def test_nothing_done_yet(tmp_path: Path) -> None:
    page = written(Folder(tmp_path / "run").write(), tmp_path / "page.md")
    assert [*page] == ["", *TITLES]
    assert all(page[title].strip().startswith("*Not there yet.*") for title in TITLES)
    before = page[""]
    assert "0 steps are done" in before
    assert "None of the comparisons in which an order is expected can be made yet." in before
    assert "- models of which nothing is measured: the base model, the bootstrap model, SPaR" in (
        before
    )
    assert "- sections: Score by iteration, Table 1 in the small" in before
    assert "- SPaR after iteration 2 not below SPaR after iteration 1" in page[TITLES[8]]
    assert not (tmp_path / "page_plots").exists()


def test_one_seed_of_some_lines(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run").measured("taught", "base", 0, average=half(20, 4))
    folder.measured("taught", "spar", 1, average=[*half(18, 12), None, None])
    page = written(folder.write(steps=STEPS[:1]), tmp_path / "page.md")
    table = page[TITLES[1]]
    assert "| SPaR, iteration 1 | 66.7 [" in table and "±" not in table
    assert "1 step is done" in page[""]
    assert "- taught, spar, iteration 1, seed 1: 2 of 20 items have no score." in page[""]
    assert "- comparisons: Self-Rewarding, Meta-Rewarding, independent pairs" in page[""]
    assert "![Score on held-out prompts" in page[TITLES[0]]
    for title in (*TITLES[2:8],):
        assert page[title].strip() == "*Not there yet.*"


def test_a_second_seed_in_progress_says_so(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    for seed, line, met in ((1, "bootstrap", 4), (2, "bootstrap", 6), (1, "spar", 9)):
        iteration = int(line == "spar")
        folder.measured("taught", line, iteration, seed=seed, average=half(10, met))
    page = written(folder.write(), tmp_path / "page.md")
    table = page[TITLES[1]]
    assert re.search(r"\| bootstrap model \| 50\.0 \[.*\] ± 14\.1 \|", table)
    assert re.search(r"\| SPaR, iteration 1 \| 90\.0 \[.*\] \(1 seed\) \|", table)
    assert "+50.0 [" in page[TITLES[8]], "of the seed that both have"


def test_names_are_text_wherever_they_stand(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run").measured("taught", HOSTILE, 1, average=half(10, 4))
    folder.measured(HOSTILE, "base", 0, average=half(10, 4))
    folder.measured("decoding", "spar", 1, decoder=HOSTILE, average=half(10, 4))
    steps = [{"name": HOSTILE, "seconds": 1, "command": [HOSTILE]}]
    settings = {"about": HOSTILE, "models": {"model": HOSTILE}, HOSTILE: HOSTILE}
    run = folder.write(scale=HOSTILE, settings=settings, steps=steps, command=[HOSTILE, "`"])
    page = "\n".join(written(run, tmp_path / "page.md").values())
    assert "\x1b" not in page
    every = parsed(page)
    kinds = {token.type for token in every}
    assert not kinds & {"html_inline", "html_block", "s_open", "blockquote_open"}
    assert [token.attrs["href"] for token in every if token.type == "link_open"] == [
        "#9-the-expected-order"
    ]
    images = [str(token.attrs["src"]) for token in every if token.type == "image"]
    assert images == ["page_plots/by_responses.png"]
    shown = as_text(" ".join(HOSTILE.split()))
    held = [token.content for token in every if token.type == "text" and shown in token.content]
    assert len(held) == 9, "every name is shown as it is, in one piece"
    assert {token.tag for token in every if token.type == "heading_open"} == {"h1", "h3"}
    for cells in tables(every):
        assert len({*cells}) == 1, "all rows of a table have as many cells"


def parsed(page: str) -> list[Token]:
    """The tokens of a page, those inside of lines too."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(page)
    return [each for token in tokens for each in (token, *(token.children or ()))]


def tables(tokens: list[Token]) -> list[list[int]]:
    """Of each table how many cells its rows have."""
    found: list[list[int]] = []
    for token in tokens:
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append(0)
        elif token.type in ("th_open", "td_open"):
            found[-1][-1] += 1
    return found


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--run", "missing", "--output", "page.md"], "no reproduction at missing: reproduction"),
        (["--run", "run", "--output", "page.html"], "give it a name that ends in .md"),
        (["--run", "broken", "--output", "page.md"], "broken/reproduction.json is not valid JSON"),
        (["--run", "outside", "--output", "page.md"], "not a path inside the reproduction's"),
        (["--run", "deep", "--output", "page.md"], ""),
        (["--run", "gone", "--output", "page.md"], "has no figures of the benchmark custom in"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("run", "broken", "outside", "gone", "deep"):
        folder = Folder(tmp_path / name).measured("taught", "spar", 1, average=[1])
        if name == "outside":
            folder.evaluations[0]["run"] = "../run"
        if name == "gone":
            folder.rows.clear()
        folder.write()
    (tmp_path / "broken" / FILE).write_text('{"scale": "cpu", ')
    (tmp_path / "deep" / FILE).write_text('{"scale": "cpu", "settings": ' + "[" * 10**5)
    before = sorted(tmp_path.rglob("*"))
    assert reproduction.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ") and err.count("\n") == 1
    assert says in err
    assert sorted(tmp_path.rglob("*")) == before, "nothing was written"


def test_the_command_without_its_options_is_told_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        reproduction.main([])
    assert left.value.code == 2
    assert "--run, --output" in capsys.readouterr().err


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\nfrom inspection.reproduction.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'duckdb', 'numpy', 'scipy', 'matplotlib', 'jinja2', 'pyarrow', 'fsspec'}\n"
        "print(sorted(heavy & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.endswith("[]\n"), done.stdout
