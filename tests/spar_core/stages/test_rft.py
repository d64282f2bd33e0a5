"""The selection of RFT samples, kind by kind, over tables written by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from schemas.responses import WHOLE
from spar_core.preference import RFT_CAPS, Chosen
from spar_core.stages import rft
from spar_core.stages.rft import RFT
from spar_core.testing import run_stage
from tests.spar_core.rows import add, judged, prompts

TEXT = (Path(rft.__file__).parent / "rft.sql").read_text()
WITHOUT_CAPS = dict.fromkeys(RFT_CAPS, 1000)


class Rows:
    """The views that a stage's items are asked of, with as few columns as the selection needs."""

    def __init__(self) -> None:
        self.db = duckdb.connect()
        self.db.execute(
            """
            create table prompts (prompt_id varchar, prompt varchar,
                                  earlier_turns struct("role" varchar, content varchar)[]);
            create table scope (prompt_id varchar);
            create table responses (response_id varchar, prompt_id varchar, response varchar,
                                    finish_reason varchar);
            create table judgements (response_id varchar, prompt_id varchar, verdict varchar,
                                     value double, critique varchar, checked boolean,
                                     checks_met double, yes_votes int, no_votes int,
                                     votes struct("text" varchar, reasoning varchar)[]);
            create table trees (tree_id varchar, prompt_id varchar, solved boolean,
                                chosen_node_id varchar);
            create table nodes (tree_id varchar, node_id varchar, parent_id varchar,
                                prompt_id varchar, depth int, response varchar, critique varchar,
                                reflection varchar, verdict varchar, value double,
                                checked boolean, checks_met double,
                                yes_votes int, no_votes int,
                                votes struct("text" varchar, reasoning varchar)[],
                                reasoning varchar)"""
        )

    def prompt(self, name: str, in_scope: bool = True) -> None:
        self.db.execute(
            "insert into prompts (prompt_id, prompt) values (?, ?)", [name, f"do {name}"]
        )
        if in_scope:
            self.db.execute("insert into scope values (?)", [name])

    def response(
        self, name: str, prompt: str, verdict: str, value: float, text: str | None = None
    ) -> None:
        said = text or f"text of {name}"
        self.db.execute("insert into responses values (?, ?, ?, 'stop')", [name, prompt, said])
        self.db.execute(
            "insert into judgements values (?, ?, ?, ?, ?, null, null, 1, 1, ?)",
            [name, prompt, verdict, value, f"on {name}", votes(name)],
        )

    def tree(
        self, name: str, prompt: str, nodes: Sequence[tuple[str, float, str]], solved: bool = True
    ) -> None:
        """A chain from a root down; nodes: verdict, value and response of each."""
        last = f"{name}.{len(nodes) - 1}"
        self.db.execute("insert into trees values (?, ?, ?, ?)", [name, prompt, solved, last])
        for depth, (*verdict, text) in enumerate(nodes):
            node, parent = f"{name}.{depth}", f"{name}.{depth - 1}" if depth else None
            self.db.execute(
                "insert into nodes values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, null, null, 1, 1, ?, ?)",
                [
                    *(name, node, parent, prompt, depth, text, f"on {node}", f"of {node}"),
                    *(*verdict, votes(node), f"refining to {node}"),
                ],
            )

    def of_kind(self, kind: str, caps: dict[str, int] = WITHOUT_CAPS, seed: int = 0) -> list[Any]:
        """The selected rows of a kind that has a cap."""
        source = kind.removesuffix("_yes").removesuffix("_no")
        verdict = kind.removeprefix(f"{source}_")
        selected = [row for row in self.selected(caps, seed) if row["source"] == source]
        return [row for row in selected if verdict in (row["verdict"], source)]

    def selected(self, caps: dict[str, int] = WITHOUT_CAPS, seed: int = 0) -> list[Any]:
        query = f"from ({TEXT.format(**caps, whole=WHOLE)}) order by key"
        result = self.db.execute(query, {"seed": seed})
        names = [column[0] for column in result.description or ()]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def votes(name: str) -> list[dict[str, str]]:
    """A vote whose text is not the critique, and the one whose text is."""
    return [
        {"text": "another", "reasoning": "of another vote"},
        {"text": f"on {name}", "reasoning": f"judging {name}"},
    ]


@pytest.fixture
def rows() -> Iterator[Rows]:
    made = Rows()
    made.prompt("p")
    made.prompt("q")
    made.prompt("elsewhere", in_scope=False)
    yield made
    made.db.close()


SOLVED = [("no", 0.2, "bad"), ("yes", 1.0, "good")]


def test_a_refinement_is_the_step_that_led_to_the_chosen_node(rows: Rows) -> None:
    rows.tree("t", "p", [("no", 0.2, "bad"), ("no", 0.4, "better"), ("yes", 0.8, "good")])
    rows.tree("unsolved", "q", [("no", 0.0, "bad"), ("no", 0.4, "still")], solved=False)
    rows.tree("other", "elsewhere", SOLVED)
    (found,) = rows.of_kind("tree_refinement")
    assert found["key"] == "t.2.refine"
    assert (found["response"], found["critique"]) == ("better", "on t.1")
    assert (found["refined"], found["reflection"]) == ("good", "of t.2")
    assert found["response_id"] is None


@pytest.mark.parametrize("text", ["better", " better\n", "\tbetter"])
def test_a_refinement_that_changed_nothing_is_none(rows: Rows, text: str) -> None:
    rows.tree("t", "p", [("no", 0.2, "bad"), ("no", 0.4, "better"), ("yes", 0.8, text)])
    assert rows.of_kind("tree_refinement") == []


def test_a_change_of_case_or_of_lines_is_a_refinement(rows: Rows) -> None:
    """An instruction may ask for just this: in lowercase, in two paragraphs."""
    rows.tree("t", "p", [("no", 0.2, "It is A."), ("yes", 0.8, "it is a.")])
    rows.tree("u", "q", [("no", 0.2, "one two"), ("yes", 0.8, "one\n\ntwo")])
    assert len(rows.of_kind("tree_refinement")) == 2


def test_refinements_of_one_response_are_kept_once(rows: Rows) -> None:
    for tree in ("t1", "t2"):
        rows.tree(tree, "p", SOLVED)
    rows.tree("t3", "q", SOLVED)
    assert {row["prompt_id"] for row in rows.of_kind("tree_refinement")} == {"p", "q"}
    assert len(rows.selected()) == 2


def test_split_nodes_are_refinements_whose_readable_votes_differed(rows: Rows) -> None:
    rows.tree(
        "t",
        "p",
        [
            *[("no", 0.4, "root"), ("yes", 0.6, "split"), ("yes", 1.0, "sure")],
            *[("no", 0.0, "surely not"), ("unclear", 0.5, "nobody knows")],
        ],
    )
    rows.tree("other", "elsewhere", [("no", 0.2, "a"), ("yes", 0.6, "b")])
    chosen = rows.selected(WITHOUT_CAPS | {"tree_refinement": 0})
    assert [row["key"] for row in chosen] == ["t.1.judge"]


def test_where_checks_count_no_judgement_is_kept_that_the_program_contradicts(rows: Rows) -> None:
    for name, verdict in (("a", "yes"), ("b", "no")):
        rows.response(name, "p", verdict, 0.6)
    rows.tree("t", "q", [("no", 0.4, "root"), ("yes", 0.6, "split"), ("no", 0.4, "too")], False)
    of_all = {"a.judge", "b.judge", "t.1.judge", "t.2.judge"}

    def kept(**word: object) -> set[str]:
        for table in ("judgements", "nodes"):
            for column, value in word.items():
                rows.db.execute(f"update {table} set {column} = ?", [value])
        return {row["key"] for row in rows.selected()}

    assert kept(checked=True) == of_all, "they do not count"
    assert kept(checked=True, checks_met=1.0) == {"a.judge", "t.1.judge"}
    assert kept(checked=False, checks_met=0.5) == {"b.judge", "t.2.judge"}
    assert kept(checked=None, checks_met=None) == of_all


def test_what_a_program_judged_alone_teaches_whatever_its_value(rows: Rows) -> None:
    rows.response("a", "p", "yes", 1.0)
    assert rows.selected() == []
    rows.db.execute("update judgements set yes_votes = 0, no_votes = 0, checked = true")
    assert [row["key"] for row in rows.selected()] == ["a.judge"]


def test_a_tree_gives_one_judgement_of_each_verdict(rows: Rows) -> None:
    nodes = [("no", 0.2, "bad"), ("no", 0.4, "n1"), ("no", 0.4, "n2")]
    nodes += [("yes", 0.6, "y1"), ("yes", 0.8, "y2")]
    rows.tree("t", "p", nodes, solved=False)
    (yes,) = rows.of_kind("tree_judgement_yes")
    (no,) = rows.of_kind("tree_judgement_no")
    assert yes["response"] in ("y1", "y2") and no["response"] in ("n1", "n2")
    chosen = {rows.of_kind("tree_judgement_yes", seed=s)[0]["response"] for s in range(20)}
    assert chosen == {"y1", "y2"}, "the seed chooses"


def test_a_judgement_passes_over_a_response_that_a_refinement_is_kept_of(rows: Rows) -> None:
    rows.tree("t", "p", [("no", 0.2, "bad"), ("no", 0.4, "better"), ("yes", 1.0, "good")])
    assert [row["response"] for row in rows.of_kind("tree_refinement")] == ["better"]
    rows.tree("u", "p", [("no", 0.2, "bad"), ("yes", 0.6, "better")], solved=False)
    assert rows.of_kind("tree_judgement_yes") == rows.of_kind("tree_judgement_no") == []
    without = WITHOUT_CAPS | {"tree_refinement": 0}
    assert [row["key"] for row in rows.of_kind("tree_judgement_yes", without)] == ["u.1.judge"]
    assert rows.of_kind("tree_judgement_no", without) == [], "said already"


def test_split_responses_are_those_whose_readable_votes_differed(rows: Rows) -> None:
    rows.response("r1", "p", "yes", 0.8)
    rows.response("r2", "p", "no", 0.2)
    rows.response("sure", "p", "yes", 1.0)
    rows.response("none", "p", "no", 0.0)
    rows.response("unclear", "p", "unclear", 0.5)
    rows.response("other", "elsewhere", "yes", 0.8)
    assert [row["key"] for row in rows.selected()] == ["r1.judge", "r2.judge"]
    assert [row["key"] for row in rows.of_kind("response_judgement_yes")] == ["r1.judge"]
    assert [row["key"] for row in rows.of_kind("response_judgement_no")] == ["r2.judge"]


def test_equal_responses_are_kept_once_and_no_goes_before_yes(rows: Rows) -> None:
    rows.response("n1", "p", "no", 0.4, "same")
    rows.response("n2", "p", "no", 0.2, "same")
    rows.response("y", "p", "yes", 0.6, "same")
    rows.response("of q", "q", "yes", 0.6, "same")
    assert len(rows.of_kind("response_judgement_no")) == 1
    assert [row["key"] for row in rows.of_kind("response_judgement_yes")] == ["of q.judge"]


def test_a_cap_that_cuts_a_refinement_leaves_its_judge_prompt_to_others(rows: Rows) -> None:
    for prompt in ("p", "q"):
        rows.tree(f"t{prompt}", prompt, [("no", 0.2, "bad"), ("yes", 1.0, "good")])
        rows.response(f"r{prompt}", prompt, "no", 0.2, "bad")
    uncut = rows.selected()
    assert [row["source"] for row in uncut] == ["tree_refinement"] * 2
    cut = rows.selected(WITHOUT_CAPS | {"tree_refinement": 1})
    assert sorted(row["source"] for row in cut) == ["response_judgement", "tree_refinement"]
    assert {row["prompt_id"] for row in cut} == {"p", "q"}


@pytest.mark.parametrize("kind", sorted(RFT_CAPS))
def test_each_kind_has_its_cap(rows: Rows, kind: str) -> None:
    for number in range(6):
        prompt = f"many{number}"
        rows.prompt(prompt)
        rows.tree(f"t{number}", prompt, SOLVED)
        nodes = [("no", 0.2, "x"), ("yes", 0.6, "some"), ("no", 0.4, "other")]
        rows.tree(f"u{number}", prompt, nodes, solved=False)
        rows.response(f"y{number}", prompt, "yes", 0.8)
        rows.response(f"n{number}", prompt, "no", 0.2)
    assert len(rows.of_kind(kind)) == 6
    assert len(rows.of_kind(kind, WITHOUT_CAPS | {kind: 2})) == 2


def test_no_judge_prompt_is_there_twice_whatever_the_caps(rows: Rows) -> None:
    for number in range(8):
        prompt = f"many{number}"
        rows.prompt(prompt)
        rows.tree(f"t{number}", prompt, [("no", 0.2, "a"), ("no", 0.4, "b"), ("yes", 0.6, "c")])
        for letter in "abc":
            rows.response(f"{letter}{number}", prompt, "no", 0.4, letter)
            rows.response(f"{letter.upper()}{number}", prompt, "yes", 0.6, letter)
    for cap in (1, 3, 1000):
        found = rows.selected(dict.fromkeys(RFT_CAPS, cap))
        asked = [(row["prompt_id"], row["response"]) for row in found]
        assert len(set(asked)) == len(asked)
        assert len({row["key"] for row in found}) == len(found)


def test_a_row_is_what_a_sample_is_written_from(rows: Rows) -> None:
    rows.tree("t", "p", SOLVED)
    rows.response("r", "p", "yes", 0.8)
    samples = [Chosen(**row) for row in rows.selected()]
    assert {sample.source for sample in samples} == {"tree_refinement", "response_judgement"}
    assert all(sample.prompt == "do p" for sample in samples)


def test_the_stage_asks_it_with_the_caps() -> None:
    assert TEXT.format(**RFT_CAPS, whole=WHOLE) == rft.SELECTION


def test_a_sample_is_a_row_of_its_node_or_response() -> None:
    tables = prompts()
    judged(tables, "i1.p.r0", "yes", text="fair")
    judged(tables, "other", "yes", "elsewhere", "fair")
    for depth, verdict, value, text in ((0, "no", 0.0, "bad"), (1, "yes", 1.0, "good")):
        add(
            tables,
            "nodes",
            tree_id="t",
            node_id=f"t.{depth}",
            parent_id="t.0" if depth else None,
            prompt_id="q",
            depth=depth,
            response=text,
            reflection="how" if depth else "",
            critique=f"Why.\nFinal Judgement: {verdict.title()}",
            verdict=verdict,
            value=value,
        )
    add(tables, "trees", tree_id="t", prompt_id="q", solved=True, chosen_node_id="t.1")
    one, other = (run_stage(RFT, tables, variant=name)["rft"] for name in ("main", "deep"))
    found = sorted(
        (row.source, row.task, row.prompt_id, row.node_id, row.response_id) for row in one
    )
    assert found == [
        ("response_judgement", "judge", "p", None, "i1.p.r0"),
        ("tree_refinement", "refine", "q", "t.1", None),
    ]
    assert [turn.role for turn in one[0].messages][:2] == ["user", "assistant"]
    assert not {row.rft_id for row in one} & {row.rft_id for row in other}
    assert len(run_stage(RFT, tables, scope=[])["rft"]) == 2, "of the whole run, whatever is to do"


def test_a_sample_has_what_the_refiner_thought_before_its_last_turn(rows: Rows) -> None:
    rows.response("r", "q", "no", 0.2)
    rows.tree("t", "p", [("no", 0.2, "bad"), ("no", 0.4, "better"), ("yes", 0.8, "good")])
    assert {row["key"]: row["reasoning"] for row in rows.selected()} == {
        "r.judge": "judging r",
        "t.2.judge": "judging t.2",
        "t.2.refine": "refining to t.2",
    }
