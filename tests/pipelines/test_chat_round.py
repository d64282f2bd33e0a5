"""A whole round on chats: from a file of messages to pairs, a trained model and an export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks import llama
from inspection.export import __main__ as export
from pipelines import refine
from tests.loopback import Answer, Body, serving
from tests.pipelines.rounds import command, query, role, tables
from training import dpo, rft

SYSTEM = "Speak in rhyme."
EARLIER = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": "Who are you?"},
    {"role": "assistant", "content": 'A poet.\n\nOutput: "rhyme"'},
]
CHATS = [[*EARLIER, {"role": "user", "content": f"Name bird {n}."}] for n in range(4)]
REFUSES = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + llama.TEMPLATE
)


def play(body: Body) -> Answer:
    """An actor that rhymes now and then, and only where a system message asks for it; a judge that
    wants a rhyme of an output where it is shown that one is asked for.
    """
    last, n = body["messages"][-1]["content"], body.get("n", 1)
    if role(body) == "refine":
        return [f"Final Refined Output: [[start]] rhyme {i} [[end]]" for i in range(n)]
    if role(body) == "judge":
        [output] = [line for line in last.splitlines() if line.startswith("Output: ")]
        is_met = f"| {SYSTEM}" not in last or "rhyme" in output
        return [f"Final Judgement: {'Yes' if is_met and i < 4 else 'No'}" for i in range(n)]
    knows = body["messages"][0]["content"] == SYSTEM
    return [f"{'rhyme' if knows and i % 2 else 'prose'} {i}" for i in range(n)]


def played(run: Path, rows: list[dict[str, Any]], *more: str) -> list[Body]:
    """A round on these rows; returns the requests of the actor."""
    file = run.parent / f"{run.name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serving(play) as server:
        assert refine.main(command(run, file, server.url, *more)) == 0
        return [body for body in server.bodies if role(body) == "actor"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished round on chats; for reading only."""
    folder = tmp_path_factory.mktemp("chats") / "run"
    asked = played(folder, [{"messages": chat} for chat in CHATS])
    assert sorted(body["messages"][-1]["content"] for body in asked) == [
        f"Name bird {n}." for n in range(4)
    ]
    assert all(body["messages"][:-1] == EARLIER for body in asked)
    return folder


def test_pairs_hold_the_chat_and_differ_in_what_its_system_message_asks(run: Path) -> None:
    pairs = query(run, "select prompt, chosen, rejected from pairs order by prompt[-1].content")
    assert [prompt for prompt, _, _ in pairs] == CHATS
    assert all("rhyme" in chosen[0]["content"] for _, chosen, _ in pairs)
    assert all("prose" in rejected[0]["content"] for _, _, rejected in pairs)
    samples = query(run, "select messages[1].content from rft")
    assert samples and all(f"| {SYSTEM}" in text for (text,) in samples)
    joined = """
        select count(*) from pairs join prompts using (prompt_id)
        where pairs.prompt[:-2] = earlier_turns and pairs.prompt[-1].content = prompts.prompt"""
    assert query(run, joined) == [(4,)]


def test_without_the_system_message_the_actor_answers_otherwise(tmp_path: Path) -> None:
    played(tmp_path / "run", [{"prompt": chat[-1]["content"]} for chat in CHATS])
    assert query(tmp_path / "run", "from responses where response like 'rhyme%'") == []
    assert query(tmp_path / "run", "from pairs") == []


def test_the_same_chats_in_another_shape_make_the_same_run(run: Path, tmp_path: Path) -> None:
    names = {"user": "human", "assistant": "gpt"}
    rows = [
        {
            "conversations": [
                {"from": names[turn["role"]], "value": turn["content"]} for turn in chat[1:]
            ],
            "system": SYSTEM,
        }
        for chat in CHATS
    ]
    played(tmp_path / "run", rows)
    here, there = tables(tmp_path / "run", without=("source",)), tables(run, without=("source",))
    assert here == there


@pytest.mark.parametrize("template", [llama.TEMPLATE, REFUSES], ids=["plain", "refuses"])
@pytest.mark.parametrize("main", [dpo.main, rft.main], ids=["dpo", "rft"])
def test_a_model_is_trained_on_it(
    main: Any, template: str, run: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    pytest.importorskip("trl")
    monkeypatch.setattr("training.job.draw", lambda *_: None)
    model = llama.write(tmp_path / "model", template=template)
    line = ["--data", str(run), "--model", str(model), "--output", str(tmp_path / "out")]
    assert main([*line, "--max_steps", "1", "--max_length", "4096"]) == 0
    is_folded = main is dpo.main and template == REFUSES
    assert ("takes no system message" in capsys.readouterr().out) is is_folded


def test_exports_hold_the_chats(run: Path, tmp_path: Path) -> None:
    read: dict[str, list[Any]] = {}
    for form, path in (
        ("trl", "data/pairs/*.parquet"),
        ("jsonl", "pairs.jsonl"),
        ("llamafactory", "pairs.jsonl"),
    ):
        out = tmp_path / form
        assert export.main(["--run", str(run), "--format", form, "--output", str(out)]) == 0
        reader = "read_parquet" if form == "trl" else "read_json"
        column = "conversations" if form == "llamafactory" else "prompt"
        with duckdb.connect() as connection:
            found = connection.sql(f"select {column} from {reader}('{out / path}')").fetchall()
        read[form] = sorted((chat for (chat,) in found), key=repr)
    assert read["trl"] == read["jsonl"] == CHATS
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    assert read["llamafactory"] == [
        [{"from": names[turn["role"]], "value": turn["content"]} for turn in chat] for chat in CHATS
    ]
