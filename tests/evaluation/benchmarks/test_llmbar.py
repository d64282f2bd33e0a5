"""LLMBar: what is read, what the judge says, and what the figures come to."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evaluation.benchmark import BadData, Scored
from evaluation.benchmarks.llmbar import LLMBAR, SUBSETS, figures, grade, read
from evaluation.intervals import interval
from schemas.items import Item
from spar_core.conversation import judge_messages
from spar_core.engine.protocol import ChatRequest, Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.voting import JudgeSettings

DATA = Path(
    os.environ.get("SPAR_BENCH_DATA", Path(__file__).parents[4] / "shared" / "bench")
).joinpath("llmbar")
SAMPLING = Sampling(0.7, 1.0, 512)
ONE = JudgeSettings(SAMPLING, votes=1, quorum=1)


def row(output_1: str, output_2: str, label: object = 1) -> dict[str, Any]:
    texts = {"input": f"Say {output_1}.", "output_1": output_1, "output_2": output_2}
    return {**texts, "label": label}


ROWS = {
    "Natural": [row("yes", "no"), row("yes", "yes", 2)],
    "Neighbor": [row("hm", "yes", 2)],
    "GPTInst": [row("no", "yes")],
    "GPTOut": [row("no", "yes", 2)],
    "Manual": [row("no", "no")],
}
"""The outputs are what the judge says of them. Right: 3 of 4; 1 of 1; 0 of 2; 2 of 2; 1 of 2."""


def write(folder: Path, **changed: Any) -> list[Path]:
    """The five files, those named with other content; None leaves a file out."""
    paths = []
    for subset, content in ({**ROWS} | changed).items():
        if content is not None:
            path = folder / f"{subset}.json"
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_text(text, encoding="utf-8")
            paths.append(path)
    return paths


def script(request: ChatRequest) -> list[str]:
    """A judge that says what the output is."""
    asked = request.messages[-1]["content"]
    said = asked.partition('Output: "')[2].partition('"')[0]
    return [f"Final Judgement: {said.capitalize()}"] * request.n


def judged(items: list[Item]) -> list[Scored]:
    engine = ScriptedEngine(script)
    return [
        Scored(each, asyncio.run(grade(engine, ONE, each, each.given or "", 1))) for each in items
    ]


def test_each_output_is_an_item(tmp_path: Path) -> None:
    items = list(read(write(tmp_path)[::-1]))
    assert [each.key for each in items[:4]] == [f"Natural/{n}/{o}" for n in (0, 1) for o in (1, 2)]
    assert [(each.given, each.label) for each in items[:4]] == [
        ("yes", "Yes"),
        ("no", "No"),
        ("yes", "No"),
        ("yes", "Yes"),
    ]
    assert [*dict.fromkeys(each.category for each in items)] == [*SUBSETS]
    assert [each.position for each in items] == list(range(12))
    assert {each.prompt for each in items} == {"Say yes.", "Say no.", "Say hm."}
    assert all(each.item_id == "" and each.benchmark == LLMBAR.name for each in items)
    assert LLMBAR.answers is None


def test_files_may_lie_as_they_were_published(tmp_path: Path) -> None:
    for subset, content in ROWS.items():
        below = "" if subset == "Natural" else "Adversarial"
        folder = tmp_path / "Dataset" / "LLMBar" / below / subset
        folder.mkdir(parents=True)
        (folder / "dataset.json").write_text(json.dumps(content))
    paths = list(tmp_path.glob(LLMBAR.files[1]))
    assert list(read(paths)) == list(read(write(tmp_path)))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([row("a", "b"), row("a", "b", 3)], "row 2: `label` is 3, not 1 or 2"),
        ([row("a", "b", "1")], 'row 1: `label` is "1", not 1 or 2'),
        ([row("a", "b", True)], "row 1: `label` is true, not 1 or 2"),
        ([{"input": "a", "output_1": "b", "label": 1}], "row 1: `output_2` is null"),
        ([row("a", "b"), "row"], "row 2: no object"),
        ({"input": "a"}, "holds no list of rows"),
        ([], "holds no list of rows"),
        ("{", "cannot be read as JSON"),
        (None, "Manual.json is missing"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: Any, says: str) -> None:
    with pytest.raises(BadData) as refused:
        list(read(write(tmp_path, Manual=content)))
    message = str(refused.value)
    assert says in message
    assert "Manual.json" in message
    assert message.endswith("take it anew from Dataset/LLMBar/ of github.com/princeton-nlp/LLMBar")
    assert "\n" not in message


def test_files_of_no_subset_are_refused(tmp_path: Path) -> None:
    paths = write(tmp_path)
    with pytest.raises(BadData, match="no subset casestudy_Negation; they are Natural, Neigh"):
        list(read([*paths, tmp_path / "casestudy_Negation.json"]))
    with pytest.raises(BadData, match="is Manual too; give one of them"):
        list(read([*paths, tmp_path / "Manual" / "dataset.json"]))


def test_the_judge_sees_the_instruction_and_one_output(tmp_path: Path) -> None:
    first = next(read(write(tmp_path)))
    engine = ScriptedEngine(script)
    [found] = asyncio.run(grade(engine, JudgeSettings(SAMPLING, 3, 2), first, "yes", 9))
    [request] = engine.requests
    assert [*request.messages] == judge_messages("Say yes.", "yes")
    assert (request.n, request.seed) == (3, 9)
    assert (found.metric, found.value, found.number) == ("judged", 1.0, None)
    assert found.critique == "Final Judgement: Yes"
    assert (found.prompt_tokens, found.completion_tokens) == (
        len(request.messages[0]["content"]) // 4,
        3 * (len(found.critique) // 4),
    )


@pytest.mark.parametrize(
    ("votes", "value", "critique"),
    [
        (["Yes", "No"], None, "tie: Final Judgement: No"),
        (["Yes", "Perhaps"], None, "no_quorum: Final Judgement: Yes"),
        (["No", "No"], 0.0, "Final Judgement: No"),
    ],
)
def test_what_has_no_majority_is_undecided(
    votes: list[str], value: float | None, critique: str
) -> None:
    engine = ScriptedEngine(lambda request: [f"Final Judgement: {vote}" for vote in votes])
    asked = Item("", "llmbar", "Natural/0/1", "Say a.", 0, given="a", label="Yes")
    [found] = asyncio.run(grade(engine, JudgeSettings(SAMPLING, 2, 2), asked, "a", 1))
    assert (found.value, found.critique) == (value, critique)


def test_figures_by_hand(tmp_path: Path) -> None:
    found = figures(judged(list(read(write(tmp_path)))))
    assert (found[0].metric, found[0].part) == ("accuracy", "")
    come: dict[tuple[str, str], object] = {}
    for each in found:
        figure = interval(each.units)
        assert figure
        come[each.metric, each.part] = (pytest.approx(figure.value), each.scored, each.items)
    # True positives: 1 + 1, 1, 0, 1, 0. Errors: 1, 0, 2, 0, 1.
    assert come == {
        ("accuracy", ""): (7 / 11, 11, 12),
        ("accuracy", "Natural"): (3 / 4, 4, 4),
        ("accuracy", "Neighbor"): (1, 1, 2),
        ("accuracy", "GPTInst"): (0, 2, 2),
        ("accuracy", "GPTOut"): (1, 2, 2),
        ("accuracy", "Manual"): (1 / 2, 2, 2),
        ("accuracy", "adversarial"): ((1 + 0 + 1 + 1 / 2) / 4, 7, 8),
        ("f1", ""): (8 / 12, 11, 12),
        ("f1", "Natural"): (4 / 5, 4, 4),
        ("f1", "Neighbor"): (1, 1, 2),
        ("f1", "GPTInst"): (0, 2, 2),
        ("f1", "GPTOut"): (1, 2, 2),
        ("f1", "Manual"): (0, 2, 2),
        ("f1", "adversarial"): ((1 + 0 + 1 + 0) / 4, 7, 8),
    }


def test_units_are_instructions(tmp_path: Path) -> None:
    """A judge that says Yes to all is right of one of each two: there is nothing to draw."""
    items = list(read(write(tmp_path, Natural=[row("yes", "yes", 1 + n % 2) for n in range(9)])))
    natural = judged([each for each in items if each.category == "Natural"])
    accuracy = figures(natural)[0]
    assert [unit.key for unit in accuracy.units] == [f"Natural/{n}" for n in range(9)]
    found = interval(accuracy.units)
    assert found
    assert (found.low, found.value, found.high) == (0.5, 0.5, 0.5)


def test_a_subset_of_which_nothing_is_decided_counts_in_no_mean(tmp_path: Path) -> None:
    scored = judged(list(read(write(tmp_path, GPTOut=[row("hm", "hm")]))))
    scored = [each if each.item.category != "GPTInst" else Scored(each.item, []) for each in scored]
    by = {(each.metric, each.part): each for each in figures(scored)}
    adversarial = by["accuracy", "adversarial"]
    found = interval(adversarial.units)
    assert found
    assert (found.value, adversarial.scored, adversarial.items) == ((1 + 1 / 2) / 2, 3, 8)
    assert (by["accuracy", "GPTOut"].units, by["accuracy", "GPTOut"].items) == ([], 2)


def test_the_published_files() -> None:
    if not DATA.is_dir():
        pytest.skip(f"LLMBar's files are not in {DATA} (SPAR_BENCH_DATA names their parent)")
    items = list(read(sorted(DATA.glob(LLMBAR.files[0]))))
    assert len({each.key for each in items}) == len(items) == 838
    assert Counter(each.category for each in items) == {
        **{"Natural": 200, "Neighbor": 268},
        **{"GPTInst": 184, "GPTOut": 94, "Manual": 92},
    }
    assert Counter(each.label for each in items) == {"Yes": 419, "No": 419}
    assert all(each.given and each.prompt for each in items)
