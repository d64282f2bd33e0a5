"""The report as a file: what it holds, and how it says no."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inspection.report import __main__ as report
from inspection.report import draw
from schemas.failures import Failure
from schemas.prompts import Prompt
from schemas.views import connect
from tests.pipelines import rounds
from tests.schemas import test_taken, variants

SEARCH_TEXTS = {"marks", "reflection", "critique", "votes"}


def made(run: Path | str, output: Path, *more: str) -> str:
    assert report.main(["--run", str(run), "--output", str(output), *more]) == 0
    return output.read_text()


def data(html: str, name: str) -> Any:
    """What a chunk of the page holds."""
    found = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', html)
    assert found, f"no chunk {name}"
    return unpacked(found[1])


def unpacked(chunk: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(chunk), wbits=-15))


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", html, flags=re.S).split())


@pytest.fixture(scope="module")
def html(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of `finished_run`."""
    return made(finished_run, tmp_path_factory.mktemp("report") / "r.html")


def test_it_holds_the_pairs_and_their_trees(finished_run: Path, html: str) -> None:
    index, texts, trees = (data(html, name) for name in ("index", "pairs-0", "trees-0"))
    rows = rounds.query(
        finished_run,
        """select pair_id, p.iteration, rejected[1].content, chosen[1].content, similarity
        from pairs p join prompts using (prompt_id) order by position""",
    )
    assert index["id"] == [row[0] for row in rows], "in the order of the prompts"
    assert index["similarity"] == [row[4] for row in rows]
    for number, (pair_id, _, rejected, chosen, _) in enumerate(rows):
        pair = texts[index["at"][number][1]]
        assert "".join(part for i, part in enumerate(pair["marks"]) if i % 3 != 2) == rejected
        assert "".join(part for i, part in enumerate(pair["marks"]) if i % 3 != 1) == chosen
        nodes = trees[index["tree"][number][1]]
        kept = rounds.query(
            finished_run,
            f"""select response, reflection, critique, votes from nodes
            where tree_id || '.pair' = '{pair_id}' order by "order" """,
        )
        assert len(nodes) == len(pair["nodes"]) == len(kept)
        assert pair["nodes"][0]["parent"] is None
        for node, (response, reflection, critique, votes) in zip(nodes, kept, strict=True):
            assert node.keys() == SEARCH_TEXTS
            after = "".join(part for i, part in enumerate(node["marks"]) if i % 3 != 1)
            assert (after, node["reflection"]) == (response, reflection)
            assert [vote[:2] for vote in node["votes"]] == [[v["vote"], v["text"]] for v in votes]
            said = node["critique"]
            assert (node["votes"][said][1] if isinstance(said, int) else said) == critique
        response = "".join(p for i, p in enumerate(nodes[pair["chosen"]]["marks"]) if i % 3 != 1)
        assert response == chosen


def test_its_numbers_are_those_of_the_tables(finished_run: Path, html: str) -> None:
    said = text_of(html)
    [(similarity,)] = rounds.query(finished_run, "select round(avg(similarity), 3) from pairs")
    [(tokens,)] = rounds.query(finished_run, "select sum(completion_tokens) from trees")
    for part in (
        "8 preference pairs from 12 prompts",
        "Responses 60 – judged Yes 10 – judged No 50",
        "Searches 10 – solved 8",
        f"Similarity, mean {similarity:.3f}",
        f"Tokens of tree search, written {tokens:,}",
        "2 prompts had a search and none that passed",
        "All 8 pairs of the run are in this file.",
        "None: every item was done.",
    ):
        assert part in said
    assert "external check" not in said, "no column `checked` in this run"
    for name in ("steps", "verdicts", "similarity", "length", "longer_by", "yes_share", "tokens"):
        assert re.search(rf'id="chart-{name}".*?<svg ', html, flags=re.S), name
    assert 'aria-label="iteration 1, No: 50 responses, 83.3%"' in html


def test_it_needs_nothing_else_and_runs_only_its_own_script(html: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe" not in policy[1]
    for tag, content in re.findall(r"<(script|style)>(.*?)</\1>", html, flags=re.S):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy[1]
    assert not re.search(r'\s(src|href|action)="(?!#)', html)
    assert not re.search(r"\s(style|on\w+)=", html.partition("<body>")[2].partition("<script")[0])


def test_the_same_run_gives_the_same_file_and_is_not_changed(
    finished_run: Path, html: str, tmp_path: Path
) -> None:
    held = rounds.files(finished_run)
    assert made(finished_run, tmp_path / "r.html") == html
    assert rounds.files(finished_run) == held


def test_a_part_is_drawn_and_said(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = made(finished_run, tmp_path / "r.html", "--pairs", "3")
    assert "This file shows 3 of 8 pairs" in text_of(html)
    assert "3 of 8 pairs" in capsys.readouterr().out
    fewer = set(data(html, "index")["id"])
    with connect(str(finished_run)) as connection:
        more = set(unpacked(draw.draw(connection, 5).index)["id"])
    assert fewer < more
    assert (len(fewer), len(more)) == (3, 5)


def test_it_stays_within_its_room(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inspection.report.chunks.CHUNK_CHARS", 600)
    monkeypatch.setattr(draw.draw, "__defaults__", (draw.PAIRS, 6_000))
    html = made(finished_run, tmp_path / "r.html")
    chunks = re.findall(r'id="(?:pairs|trees)-\d+">([^<]*)<', html)
    assert 0 < sum(map(len, chunks)) <= 6_000
    index = data(html, "index")
    assert 0 < len(index["id"]) <= 8
    assert None in index["tree"]
    assert "it holds all texts of the search, too" in text_of(html)


def test_a_run_without_pairs_is_a_report_too(copied_run: Path, tmp_path: Path) -> None:
    for stage in ("judge", "tree_search", "pairs", "rft"):
        shutil.rmtree(copied_run / "_manifest" / "iteration=1" / stage)
    html = made(copied_run, tmp_path / "r.html")
    said = text_of(html)
    assert "0 preference pairs from 12 prompts" in said
    assert "No pairs yet" in said
    assert "nan" not in said.lower().split()
    assert data(html, "index") == {}


def test_iterations_and_failures_are_told_apart(copied_run: Path, tmp_path: Path) -> None:
    run, own = str(copied_run), variants.MAIN
    bad = Failure("prompts", "f:5", "no_prompt", "only <b>\x1b\u202e", 1, "<b>\x1b\u202e")
    rows: dict[str, variants.Rows] = {
        "prompts": {"prompts": [Prompt("pa", "Say pa.", "f:1", 0)], "failures": [bad]},
        "tree_search": {
            "trees": [variants.tree("pa", own, 100, solved=True)],
            "nodes": variants.nodes("pa", own),
        },
        "pairs": {"pairs": [variants.refined("pa", own, 100)]},
    }
    for stage, some in rows.items():
        variants.commit(run, stage, some, iteration=2)
    html = made(copied_run, tmp_path / "r.html")
    assert "in 2 iterations" in text_of(html)
    assert 'aria-label="chosen, ' in html, "of all iterations together"
    assert 'aria-label="chosen, iteration' not in html
    assert set(data(html, "index")["iteration"]) == {1, 2}
    assert "no_prompt" in text_of(html)
    assert "&lt;b&gt;" in html
    assert not {"\x1b", "\u202e"} & set(html)


def test_an_external_check_is_set_against_the_judge(copied_run: Path, tmp_path: Path) -> None:
    run = copied_run
    checked = 0
    for path in (run / "judgements").rglob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        verdicts = table["verdict"].to_pylist()
        column = [None if verdict == "no" else bool(n % 4) for n, verdict in enumerate(verdicts)]
        checked += column.count(False)
        place = table.column_names.index("checked")
        table = table.set_column(place, "checked", pa.array(column, pa.bool_()))
        pq.write_table(table, path)
    assert checked
    said = text_of(made(run, tmp_path / "r.html"))
    assert "external check says No" in said
    assert f"Responses, iteration 1 10 {checked} {10 * checked:.1f} %" in said


def test_an_existing_file_is_replaced_at_once_or_not_at_all(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "r.html"
    output.write_text("old")

    def full(_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("inspection.report.page.charts", full)
    assert report.main(["--run", str(finished_run), "--output", str(output)]) == 2
    assert output.read_text() == "old"
    assert os.listdir(tmp_path) == ["r.html"]
    monkeypatch.undo()
    assert made(finished_run, output).startswith("<!doctype html>")
    assert os.listdir(tmp_path) == ["r.html"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(output.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--run", "{tmp}/missing", "--output", "{tmp}/r.html"], "no run at"),
        (["--run", "{tmp}", "--output", "{tmp}/r.html"], "no run at"),
        (["--run", "nowhere://x", "--output", "{tmp}/r.html"], "nowhere"),
        (["--run", "{run}", "--output", "{tmp}/none/r.html"], "make it"),
        (["--run", "{run}", "--output", "{tmp}"], ".html"),
        (["--run", "{run}", "--output", "{tmp}/folder.html"], "is a folder"),
        (["--run", "{run}", "--output", "{tmp}/pairs.parquet"], ".html"),
        (["--run", "{run}", "--output", "/proc/r.html"], "cannot be written"),
        (["--run", "{run}", "--output", "{tmp}/r.html", "--pairs", "0"], "--pairs 0"),
    ],
)
def test_bad_input_is_one_line(
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    says: str,
) -> None:
    (tmp_path / "folder.html").mkdir()
    places = {"{run}": str(finished_run), "{tmp}": str(tmp_path)}
    for name, place in places.items():
        argv = [word.replace(name, place) for word in argv]
    assert report.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err
    assert os.listdir(tmp_path) == ["folder.html"]


def test_an_interrupt_leaves_nothing_behind(
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("inspection.report.page.charts", interrupted)
    argv = ["--run", str(finished_run), "--output", str(tmp_path / "r.html")]
    assert report.main(argv) == 4
    assert capsys.readouterr().err == "stopped: nothing was written\n"
    assert os.listdir(tmp_path) == []


def test_a_missing_library_is_named(finished_run: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['vl_convert'] = None; from inspection.report.__main__ import main;"
        f"sys.exit(main(['--run', {str(finished_run)!r}, '--output', 'r.html']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(rounds.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: inspection.report needs the package vl_convert: pip install '.[report]'\n"
    )
    assert os.listdir(tmp_path) == []


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a run of three variants and two methods."""
    folder = tmp_path_factory.mktemp("several")
    variants.write(str(folder / "run"))
    return made(folder / "run", folder / "r.html")


def test_one_variant_is_not_named(html: str) -> None:
    said = text_of(html)
    assert not {"main", "spar", "Variants"} & set(said.split())
    assert re.search(r"<label hidden>Variant", html)
    assert re.search(r"<label hidden>Method", html)
    assert "All numbers, by iteration Iteration 1" in said


def test_an_evaluations_variant_is_no_column(copied_run: Path, html: str, tmp_path: Path) -> None:
    run = copied_run
    variants.evaluate(str(run))
    said, held = text_of(made(run, tmp_path / "r.html")), text_of(html)
    numbers = "All numbers, by iteration Iteration 1 Prompts 12 "
    assert numbers in held and numbers in said
    assert "Items left out 1 see Failures" in said
    assert "bfs-8-v5" not in said


def test_variants_and_methods_stand_side_by_side(several: str) -> None:
    said = text_of(several)
    for part in (
        "5 preference pairs of 4 kinds from 2 prompts",
        "dfs, spar main, independent main, spar votes3, spar Prompts 2 1 2 1 Searches 2 – 2 1",
        "Tokens of its own 700 220 3,440 620 Tokens of others that it uses 440 0 0 20",
        "Tokens a pair, both counted 570 220 3,440 640",
        "All numbers, by iteration and variant dfs main votes3 Prompts 2 2 1",
        "Responses as main 4 as main – judged Yes as main 2 0 – judged No as main 2 4",
        "Similarity, mean (independent) – 0.500 – ",
        "Tokens of judge, written as main 400 240",
        "main, independent 13 13 +0 0.0 % 0.0 % 10 10",
        "Responses, votes3 4 0.0 %",
        "no search made it",
    ):
        assert part in said
    assert "Tokens a pair 4" not in said, "no mean over what is compared"
    assert not re.search(r"<label hidden", several)


def test_a_variant_of_few_prompts_has_the_numbers_of_these(tmp_path: Path) -> None:
    test_taken.write(str(tmp_path / "run"), "dfs")
    said = text_of(made(tmp_path / "run", tmp_path / "r.html"))
    for part in (
        "19 preference pairs (4 of dfs, 15 of main) from 20 prompts",
        "dfs main Prompts 6 20 Searches 4 15",
        "Tokens of its own 1,200 19,400 Tokens of others that it uses 1,320 0",
        "Tokens a pair, both counted 630 1,293",
        "All numbers, by iteration and variant dfs main Prompts 6 20",
    ):
        assert part in said


def test_a_pair_bears_no_tokens_of_prompts_kept_for_evaluation(
    copied_run: Path, html: str, tmp_path: Path
) -> None:
    run = str(copied_run)
    variants.commit(run, "prompts", {"prompts": [Prompt("pz", "pz", "f:9", 99, None, "test")]})
    variants.commit(run, "judge", {"judgements": [variants.judgement("pz", 0, "main", 7000)]})
    [tokens] = re.findall(r"Tokens a pair ([\d,]+) ", text_of(html))
    assert f"Tokens a pair {tokens} " in text_of(made(run, tmp_path / "r.html"))


def test_charts_tell_variants_apart(several: str) -> None:
    for part in (
        "main, No: 2 responses, 50.0%",
        "votes3, No: 4 responses, 100.0%",
        "main, spar, refined until it passed: 1",
        "main, independent, gave a pair: 1",
        "dfs, tree search: 700 tokens",
        "dfs, solved after 1: 2 searches, 100.0% of all",
        "main, independent, 0.5 to 0.525: 1 pairs, 100.0%",
        "chosen, dfs, spar, 17 to 18: 2 pairs, 100.0%",
    ):
        assert f'aria-label="{part}"' in several, part
    assert "dfs, No:" not in several, "it judged nothing itself"
    assert "main, independent, refined until it passed" not in several


def test_a_pair_has_the_tree_of_its_own_variant_or_none(several: str) -> None:
    index, texts, trees = (data(several, name) for name in ("index", "pairs-0", "trees-0"))
    rows = dict(zip(index["id"], range(5), strict=True))
    assert [index["variant"][rows[name]] for name in ("i1.pb.r0.dfs.t.pair",)] == ["dfs"]
    for name, variant in (("i1.pa.r0.t.pair", "main"), ("i1.pa.r0.dfs.t.pair", "dfs")):
        at = rows[name]
        nodes = trees[index["tree"][at][1]]
        assert [node["reflection"] for node in nodes] == ["", f"{variant} thought again"]
        assert len(texts[index["at"][at][1]]["nodes"]) == 2
    at = rows["i1.pa.independent"]
    assert [index[name][at] for name in ("method", "depth", "nodes", "tree")] == [
        *("independent", None, 0, None)
    ]
    assert texts[index["at"][at][1]]["nodes"] == []
    assert "it holds all texts of the search, too" not in text_of(several), "none is left out"
