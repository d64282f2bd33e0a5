"""Rows whose prompt is a chat: every shape that is read, and what is refused with its remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.execution import seed_intake
from pipelines.execution.intake import Intake, ingest
from schemas.pairs import Message
from spar_core.chat import Chat
from spar_core.dataset import Dataset
from spar_core.ids import prompt_id
from spar_core.prompt_columns import SEED_COLUMNS
from spar_core.prompt_files import InputRow, read
from tests.pipelines.rounds import failures, query

SYSTEM, ASKED, SAID, LAST = "Speak in rhyme.", "Who are you?", "A poet.", "Name a bird."
EARLIER = [Message("system", SYSTEM), Message("user", ASKED), Message("assistant", SAID)]
CHAT = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": ASKED},
    {"role": "assistant", "content": SAID},
    {"role": "user", "content": LAST},
]
SHAREGPT = [
    {"from": name, "value": turn["content"]}
    for name, turn in zip(("system", "human", "gpt", "human"), CHAT, strict=True)
]


def row_of(tmp_path: Path, row: dict[str, Any], columns: tuple[str, ...] | None = None) -> InputRow:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps(row))
    [found] = read(str(path), *([columns] if columns else []))
    return found


def into(tmp_path: Path, *rows: dict[str, Any]) -> Intake:
    """Read rows into a run."""
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ingest(Dataset(str(tmp_path / "run"), 1), str(path), None)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": CHAT},
        {"prompt": CHAT},
        {"conversation": CHAT},
        {"conversations": SHAREGPT},
        {"conversations": CHAT},
        {"messages": SHAREGPT},
        {"conversations": SHAREGPT[1:], "system": SYSTEM},
        {"messages": CHAT, "system": SYSTEM},
        {"messages": json.dumps(CHAT)},
        {"messages": repr(CHAT)},
        {"messages": [{**CHAT[0], "role": "developer"}, *CHAT[1:]]},
        {"messages": [*CHAT[:3], {"role": "user", "content": [{"type": "text", "text": LAST}]}]},
    ],
    ids=lambda row: "+".join(row) + str(row)[-12:],
)
def test_every_shape_of_a_chat_is_read_as_the_same(tmp_path: Path, row: dict[str, Any]) -> None:
    found = row_of(tmp_path, row)
    assert (found.message, found.prompt, found.earlier) == ("", LAST, EARLIER)
    assert (found.extra, found.others) == (None, ())


@pytest.mark.parametrize(
    ("row", "prompt", "earlier"),
    [
        ({"messages": CHAT[3:]}, LAST, None),
        ({"prompt": LAST, "system": SYSTEM}, LAST, EARLIER[:1]),
        ({"question": LAST, "system_prompt": SYSTEM}, LAST, EARLIER[:1]),
        ({"prompt": LAST, "system": " "}, LAST, None),
        ({"messages": [{"role": "system", "content": ""}, CHAT[3]]}, LAST, None),
        ({"instruction": "Mend this.", "input": "teh bird"}, "Mend this.\n\nteh bird", None),
        ({"instruction": "Mend this.", "input": ""}, "Mend this.", None),
        ({"prompt": "[1, 2]", "input": "x"}, "[1, 2]", None),
        ({"prompt": json.dumps(CHAT)}, json.dumps(CHAT), None),
    ],
)
def test_texts_with_more_beside_them(
    tmp_path: Path, row: dict[str, Any], prompt: str, earlier: list[Message] | None
) -> None:
    found = row_of(tmp_path, row)
    assert (found.message, found.prompt, found.earlier) == ("", prompt, earlier)


def test_what_makes_up_a_prompt_is_said_once_and_is_not_extra(tmp_path: Path) -> None:
    rows = [{"instruction": f"Mend {n}.", "input": "teh", "output": "the"} for n in range(3)]
    read_ones = into(tmp_path, *rows)
    assert read_ones.remarks() == "; `input` follows `instruction`"
    assert query(tmp_path / "run", "select distinct extra from prompts") == [('{"output": "the"}',)]
    found = row_of(tmp_path, rows[0], ("instruction",))
    assert (found.prompt, json.loads(found.extra or "")["input"]) == ("Mend 0.", "teh")


def test_parquet_and_csv_hold_chats(tmp_path: Path) -> None:
    table = pa.table({"messages": [CHAT], "conversations": [SHAREGPT]})
    pq.write_table(table, tmp_path / "in.parquet")
    [found] = read(str(tmp_path / "in.parquet"))
    assert (found.prompt, found.earlier, found.others) == (LAST, EARLIER, ("conversations",))
    assert json.loads(found.extra or "") == {"conversations": SHAREGPT}, "it travels along"
    cell = json.dumps(CHAT).replace('"', '""')
    (tmp_path / "in.csv").write_text(f'n,messages\n1,"{cell}"\n')
    [found] = read(str(tmp_path / "in.csv"))
    assert (found.prompt, found.earlier) == (LAST, EARLIER)


@pytest.mark.parametrize(
    ("row", "cause", "said"),
    [
        ({"messages": CHAT[:3]}, "bad_chat", "leave out what comes after the last turn of"),
        ({"messages": CHAT[:1]}, "bad_chat", "ends with a turn of `system`"),
        ({"messages": []}, "empty_prompt", "no turns"),
        ({"messages": [{"role": "user", "content": " "}]}, "empty_prompt", "the prompt is empty"),
        ({"messages": [*CHAT[1:], CHAT[0], CHAT[3]]}, "bad_chat", "stands first only"),
        ({"messages": [{"role": "user", "content": ""}, *CHAT[2:]]}, "bad_chat", "turn 1 of"),
        ({"messages": [{"role": "tool", "content": "7"}, CHAT[3]]}, "bad_chat", 'the role "tool"'),
        ({"messages": [{"text": "a"}]}, "bad_chat", "not a message of `role` and `content`"),
        ({"messages": [{**CHAT[2], "tool_calls": [{"id": 1}]}, CHAT[3]]}, "bad_chat", "tool_calls"),
        ({"messages": "Human: hi"}, "bad_chat", "read from a column `prompt`"),
        ({"messages": 5}, "no_prompt", "is 5, not text or messages"),
        ({"messages": CHAT, "system": "Be brief."}, "bad_chat", "differ; one says it all"),
        ({"prompt": "a", "system": "half \ud83d"}, "not_utf8", "surrogate"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
            "bad_chat",
            "not text alone",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_no_prompt_is_refused_with_the_remedy(
    tmp_path: Path, row: dict[str, Any], cause: str, said: str
) -> None:
    found = row_of(tmp_path, row)
    assert (found.error, found.prompt) == (cause, None)
    assert said in found.message


def test_fields_that_are_not_understood_are_named_once(tmp_path: Path) -> None:
    more = {"name": "Ann", "toxic": False, "redacted": None, "header": {"lang": "en"}}
    chats = [{"messages": [{"role": "user", "content": f"Name {n}.", **more}]} for n in range(3)]
    said = into(tmp_path, *chats).remarks()
    assert said == "; `name` of messages is not read; `header` of messages is not read"


def test_many_fields_that_are_not_understood_make_one_line(tmp_path: Path) -> None:
    turn = {"role": "user", "content": "a", **{f"f{n}": "text" for n in range(15)}}
    assert into(tmp_path, {"messages": [turn]}).remarks().endswith("; 3 such remarks more")


def test_a_chat_has_an_id_of_its_own_and_its_form_counts_turn_by_turn(tmp_path: Path) -> None:
    louder = [{**turn, "content": turn["content"].upper()} for turn in CHAT]
    read_ones = into(tmp_path, {"prompt": LAST}, {"prompt": CHAT}, {"prompt": louder})
    assert (read_ones.prompts, read_ones.equal) == (2, 1)
    turns = ({"role": t["role"], "content": t["content"]} for t in CHAT[:3])
    ids = [prompt_id(LAST), prompt_id(Chat(tuple(turns), LAST))]  # type: ignore[arg-type]
    held = query(tmp_path / "run", "select prompt_id, prompt, earlier_turns from prompts")
    assert held == [(ids[0], LAST, None), (ids[1], LAST, CHAT[:3])]
    again = into(tmp_path, {"prompt": LAST}, {"prompt": CHAT}, {"prompt": louder})
    assert (again.added, again.equal) == (0, 1)


def test_a_benchmarks_prompt_in_an_earlier_turn_is_found(tmp_path: Path) -> None:
    benchmark = tmp_path / "bench.jsonl"
    benchmark.write_text(json.dumps({"prompt": "Explain in verse how a very small engine works."}))
    text = "Explain in verse how a very small engine works."
    chat = [{"role": "user", "content": text}, *CHAT[2:]]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"messages": each}) + "\n" for each in (chat, CHAT)))
    run = str(tmp_path / "run")
    ingest(Dataset(run, 1), str(path), None, benchmarks=(str(benchmark),))
    assert failures(run) == ["contaminated"]


def test_a_system_message_that_is_no_utf8_is_not_left_out_silently(tmp_path: Path) -> None:
    binary = pa.array([b"Be brief.", b"\xff Be brief."])
    broken = pa.Array.from_buffers(pa.string(), len(binary), binary.buffers())
    pq.write_table(pa.table({"prompt": ["a", "b"], "system": broken}), tmp_path / "in.parquet")
    good, bad = read(str(tmp_path / "in.parquet"))
    assert (good.earlier, bad.error) == ([Message("system", "Be brief.")], "not_utf8")


def test_seeds_of_chats_are_failures_and_their_system_messages_are_told_of(tmp_path: Path) -> None:
    pytest.importorskip("datasketch", reason="the extra `evolve` is not installed")
    rows = [{"messages": CHAT}, {"messages": [CHAT[0], CHAT[3]]}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = Dataset(str(tmp_path / "run"), 1)
    made = seed_intake.ingest(dataset, str(tmp_path / "in.jsonl"), None, "train")
    assert (made.seeds, made.failures) == (1, 1)
    assert made.column == "; the system message of a seed is not read"
    assert failures(tmp_path / "run") == ["bad_chat"]


def test_a_seed_is_one_instruction(tmp_path: Path) -> None:
    assert row_of(tmp_path, {"messages": CHAT[3:]}, SEED_COLUMNS).prompt == LAST
    row = {"instruction": "Mend this.", "input": "teh", "system": SYSTEM}
    found = row_of(tmp_path, row, SEED_COLUMNS)
    assert (found.prompt, found.earlier) == ("Mend this.", None)


RLVR = str(
    [
        {
            "instruction_id": ["punctuation:no_comma", "last_word:last_word_answer"],
            "kwargs": [None, {"last_word": "brief"}],
        }
    ]
)


def test_constraints_of_a_ground_truth_become_checks(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    row = {"messages": CHAT[3:], "ground_truth": RLVR, "dataset": "ifeval"}
    found = row_of(tmp_path, row)
    assert [(check.id, check.kwargs) for check in found.checks or ()] == [
        ("punctuation:no_comma", "{}")
    ]
    assert found.checks_complete is False
    assert found.notes == ("no checker for `last_word:last_word_answer` of `ground_truth`",)
    assert json.loads(found.extra or "")["ground_truth"] == RLVR, "nothing of it is lost"
    assert row_of(tmp_path, {"prompt": "a", "ground_truth": "42"}).checks is None
