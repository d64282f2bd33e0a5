"""Multi-IF: conversations as they are published, asked turn by turn, and scored by turn."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.benchmark import BadData, Figure, Scored, details
from evaluation.benchmarks import multiif
from evaluation.benchmarks.multiif import MULTIIF
from evaluation.data import items
from evaluation.intervals import interval
from evaluation.stages import stages
from pipelines import evaluate
from schemas.items import Item
from spar_core.checks.library import checkers
from spar_core.engine.protocol import ChatRequest, Choice
from spar_core.testing import run_stage, run_stages

COMMA = ("punctuation:no_comma", {})
QUOTED = ("startend:quotation", {})
WORDS = ("length_constraints:number_words", {"relation": "less than", "num_words": 3})

Checks = list[tuple[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def _library() -> None:
    for name in ("lm_eval", "scipy"):
        pytest.importorskip(name, reason="the extra `evaluate` is not installed")
    checkers()


def row(key: str, *turns: Checks, language: str = "English") -> dict[str, str]:
    """A row as the published CSV writes it: JSON in JSON."""
    made = {"turns": "", "responses": "", "key": key, "turn_index": "0", "language": language}
    for number in (1, 2, 3):
        checks = turns[number - 1] if number <= len(turns) else None
        message = {"role": "user", "content": f"Say {key}, {number}."}
        made[f"turn_{number}_prompt"] = json.dumps(message) if checks else ""
        made[f"turn_{number}_instruction_id_list"] = json.dumps([name for name, _ in checks or ()])
        made[f"turn_{number}_kwargs"] = json.dumps([json.dumps(some) for _, some in checks or ()])
    return made


def write(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


WHOLE: tuple[Checks, ...] = ([COMMA], [COMMA, QUOTED], [COMMA, QUOTED, WORDS])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two conversations of three turns and one of two, of two languages."""
    return write(
        tmp_path / "multiIF_20241018.csv",
        row("1:en", *WHOLE),
        row("2:en", *WHOLE[:2]),
        row("3:fr", *WHOLE, language="French"),
    )


def test_a_row_is_a_conversation(path: Path) -> None:
    first, short, other = items(MULTIIF, str(path), "")
    assert (first.key, first.category, first.prompt) == ("1:en", "English", "Say 1:en, 1.")
    assert multiif.prompts(first) == [f"Say 1:en, {n}." for n in (1, 2, 3)]
    assert [len(turn["checks"]) for turn in details(first)["turns"]] == [1, 2, 3]
    assert details(first)["turns"][2]["checks"][2] == {
        "id": WORDS[0],
        "kwargs": json.dumps(WORDS[1]),
    }
    assert len(multiif.prompts(short)) == 2 and other.category == "French"
    assert len({item.item_id for item in (first, short, other)}) == 3


def test_json_lines_and_a_folder_will_do(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        lines = "".join(json.dumps(each) + "\n" for each in csv.DictReader(file))
    (path.parent / "rows.jsonl").write_text(lines)
    of_lines = items(MULTIIF, str(path.parent / "rows.jsonl"), "")
    assert of_lines == items(MULTIIF, str(path), "") == items(MULTIIF, str(path.parent), "")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": ""}, "no `key`"),
        ({"language": " "}, "no `language`"),
        ({"turn_1_prompt": "", "turn_2_prompt": "", "turn_3_prompt": ""}, "no `turn_1_prompt`"),
        ({"turn_2_prompt": "Say it."}, "`turn_2_prompt` is no JSON"),
        ({"turn_2_prompt": "[]"}, "`turn_2_prompt` is no message with a content"),
        ({"turn_2_prompt": '{"content": "\\ud800"}'}, "surrogates not allowed"),
        ({"turn_3_instruction_id_list": "[1]"}, "`turn_3_instruction_id_list` is no list of names"),
        ({"turn_3_kwargs": "[]"}, "`turn_3_kwargs` is no list as long as"),
        ({"turn_1_kwargs": '["[]"]'}, "`turn_1_kwargs` holds something else than objects"),
        ({"turn_1_kwargs": "[" * 100_000}, "`turn_1_kwargs` is no JSON"),
    ],
)
def test_a_row_that_is_no_conversation_is_one_line(
    changes: dict[str, str], said: str, tmp_path: Path
) -> None:
    bad = write(tmp_path / "bad.csv", row("0", *WHOLE), row("1", *WHOLE) | changes)
    with pytest.raises(BadData) as caught:
        items(MULTIIF, str(bad), "")
    message = str(caught.value)
    assert message.startswith(f"{bad}: row 2: ") and said in message and "take it anew" in message
    assert "\n" not in message and len(message) < 400


def test_keys_are_there_once_and_files_have_rows(tmp_path: Path) -> None:
    twice = write(tmp_path / "twice.csv", row("1", *WHOLE), row("1", *WHOLE))
    with pytest.raises(BadData, match=r"row 2: its `key` is that of .*row 1"):
        items(MULTIIF, str(twice), "")
    (tmp_path / "none.csv").write_text("key,language\n")
    with pytest.raises(BadData, match="no rows"):
        items(MULTIIF, str(tmp_path / "none.csv"), "")
    (tmp_path / "binary.csv").write_bytes(b"key\n\xff\n")
    with pytest.raises(BadData, match="cannot be read"):
        items(MULTIIF, str(tmp_path / "binary.csv"), "")
    with pytest.raises(BadData, match="give --data"):
        items(MULTIIF, "", "")


SAID = {
    "1:en": ["a, b", '"a b"', '"a b"'],
    "2:en": ["a", "b"],
    "3:fr": ["a", '"a"', '"one two three"'],
}
"""What the model says in each turn: of 1:en the first has a comma, of 2:en the second no quotes, of
3:fr the third too many words."""


def speak(request: ChatRequest) -> list[str]:
    *_, last = request.messages
    key, _, turn = last["content"].removeprefix("Say ").rstrip(".").partition(", ")
    return [SAID[key][int(turn) - 1]]


def test_each_turn_is_asked_with_the_models_own_answers_before_it(path: Path) -> None:
    first = items(MULTIIF, str(path), "")[:1]
    made = run_stage(stages("greedy")["turns"][0], {"items": first}, speak)
    one, two, three = made.engines["actor"].requests
    assert one.messages == ({"role": "user", "content": "Say 1:en, 1."},)
    assert two.messages == (
        *one.messages,
        {"role": "assistant", "content": "a, b"},
        {"role": "user", "content": "Say 1:en, 2."},
    )
    assert [turn["role"] for turn in three.messages] == ["user", "assistant"] * 2 + ["user"]
    assert {each.sampling.temperature for each in (one, two, three)} == {0.0}
    assert len({each.seed for each in (one, two, three)}) == 3
    [answer] = made["answers"]
    assert json.loads(answer.response) == SAID["1:en"]
    assert (answer.decoder, answer.budget, answer.votes) == ("greedy", 1, 0)
    assert answer.completion_tokens == 3 and answer.prompt_tokens > 3


def test_a_turn_without_an_answer_is_a_failure_of_its_conversation(path: Path) -> None:
    def cut(request: ChatRequest) -> list[Choice]:
        thinks = len(request.messages) == 3
        return [Choice("" if thinks else "a", "length" if thinks else "stop", 1, "hm")]

    first = items(MULTIIF, str(path), "")[:1]
    made = run_stage(stages("greedy")["turns"][0], {"items": first}, cut)
    assert made["answers"] == []
    [failure] = made["failures"]
    assert (failure.key, failure.error) == (first[0].item_id, "cut_thinking")


def test_figures_by_turn_and_by_language(path: Path) -> None:
    made = run_stages(stages("greedy")["turns"], {"items": items(MULTIIF, str(path), "")}, speak)
    found = {(row.metric, row.part): row for row in made["evaluations"]}
    values = {name: row.value for name, row in found.items()}
    assert values["prompt_strict", "turn 1"] == pytest.approx(2 / 3)
    assert values["instruction_strict", "turn 1"] == pytest.approx(2 / 3)
    assert values["prompt_strict", "turn 2"] == pytest.approx(2 / 3)
    assert values["instruction_strict", "turn 2"] == pytest.approx(5 / 6)
    assert values["prompt_loose", "turn 3"] == pytest.approx(1 / 2)
    assert values["instruction_loose", "turn 3"] == pytest.approx(5 / 6)
    averages = [values["average", f"turn {turn}"] for turn in (1, 2, 3)]
    assert averages == pytest.approx([2 / 3, (2 / 3 + 5 / 6) / 2, (1 / 2 + 5 / 6) / 2])
    assert values["average", ""] == pytest.approx(sum(averages) / 3)
    assert values["average", "French"] == pytest.approx((1 + 1 + (0 + 2 / 3) / 2) / 3)
    assert values["average", "English, turn 3"] == 1.0
    counted = {
        part: (found["average", part].scored, found["average", part].items) for _, part in found
    }
    assert counted["turn 3"] == (2, 2) and counted["turn 2"] == counted[""] == (3, 3)
    assert next(iter(made["evaluations"])).scorer == "program"


def test_an_undecided_instruction_leaves_its_turn_unscored(path: Path) -> None:
    [item, *_] = items(MULTIIF, str(path), "")
    plain = details(item)
    plain["turns"][1]["checks"][1] = {"id": "nobody:knows", "kwargs": "{}"}
    broken = Item(**{**_fields(item), "details": json.dumps(plain)})
    found = multiif.check(broken, json.dumps(["a", "a", '"a"']))
    assert [finding.value for finding in found if finding.constraint == "nobody:knows"] == [
        None
    ] * 2
    made = {(f.metric, f.part): f for f in multiif.figures([Scored(broken, found)])}
    second, third = (made["average", f"turn {turn}"] for turn in (2, 3))
    assert (second.scored, second.items) == (0, 1) and (third.scored, third.items) == (1, 1)
    assert _value(third) == 1.0 and made["average", ""].units == []


def test_turns_that_no_conversation_has_are_no_part_of_the_average(path: Path) -> None:
    [_, short, _] = items(MULTIIF, str(path), "")
    found = multiif.check(short, json.dumps(["a", '"a"']))
    made = {(f.metric, f.part): f for f in multiif.figures([Scored(short, found)])}
    assert _value(made["average", ""]) == 1.0
    assert (made["average", "turn 3"].units, made["average", "turn 3"].items) == ([], 0)


def _fields(item: Item) -> dict[str, Any]:
    return {name: getattr(item, name) for name in Item.__slots__}


def _value(figure: Figure) -> float:
    found = interval(figure.units)
    assert found is not None
    return found.value


def test_other_decoders_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--run", str(tmp_path / "run"), "--benchmark", "multiif", "--decoder", "best_of_n"]
    assert evaluate.main([*line, "--engine_url", "http://localhost:9", "--model", "m"]) == 2
    assert "--decoder best_of_n is not for multiif" in capsys.readouterr().err
