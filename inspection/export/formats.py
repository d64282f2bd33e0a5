"""The formats: which columns each has and what its files are called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from schemas import TABLES as SCHEMAS

TABLES = ("pairs", "rft")
"""The tables that are exported; the first is what a dataset holds by default."""

REASONING = {"pairs": "chosen_reasoning", "rft": "reasoning"}
"""By table the column of the reasoning before an answer, which is exported on request alone."""

_REASONED = """
    case when trim(coalesce(reasoning, ''), e' \\t\\n\\r') = '' then messages
    else list_append(messages[:-2], {
        'role': messages[-1].role,
        'content': '<think>' || chr(10) || reasoning || chr(10) || '</think>' || chr(10) || chr(10)
            || messages[-1].content
    }) end"""
"""SQL of a sample's messages with the reasoning before its last turn, as most chat templates have
it: which one a dataset will be read with, nobody knows."""


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write the tables down.

    columns: by table, its columns and the SQL that makes each of a row of the run; None for the
        run's own.
    next_step: a command that uses what was written; `{output}` stands for the folder.
    """

    name: str
    files: Literal["parquet", "jsonl"]
    columns: dict[str, dict[str, str]] | None
    next_step: str

    def select(self, table: str, *, with_reasoning: bool = False) -> str:
        """The SQL of a table's rows; in the order of their ids, however a run came to them.

        Args:
            with_reasoning: whether the rows have reasoning. It stays a column where a format has
                all columns; in others it stands in the last turn of a sample, and pairs go
                without: only one of the two sides could have it.
        """
        made, source = "*", table
        if self.columns is not None:
            made = ", ".join(f"{sql} as {name}" for name, sql in self.columns[table].items())
            if with_reasoning and "messages" in SCHEMAS[table].columns:
                source = f"(select * replace ({_REASONED} as messages) from {table})"
        id_ = next(iter(SCHEMAS[table].columns))
        return f"select {made} from {source} order by iteration, {id_}, variant"

    def pattern(self, table: str) -> str:
        """The files of a table, relative to the dataset."""
        return f"data/{table}/train-*.parquet" if self.files == "parquet" else f"{table}.jsonl"


def _sharegpt(message: str) -> str:
    """SQL that turns a message into ShareGPT's form."""
    role = (
        f"case {message}.role when 'user' then 'human' when 'assistant' then 'gpt' "
        f"else {message}.role end"
    )
    return f"{{'from': {role}, 'value': {message}.content}}"


def _conversation(messages: str) -> str:
    return f"list_transform({messages}, lambda m: {_sharegpt('m')})"


FORMATS = {
    each.name: each
    for each in (
        Format(
            "trl",
            "parquet",
            {
                "pairs": {name: name for name in ("prompt", "chosen", "rejected")},
                # A prompt and a completion: TRL's script then learns the last turn only.
                "rft": {
                    "messages": "messages",
                    "prompt": "messages[:-2]",
                    "completion": "messages[-1:]",
                },
            },
            "python -m trl.scripts.dpo --dataset_name {output} --model_name_or_path MODEL "
            "--output_dir OUTPUT",
        ),
        Format(
            "huggingface",
            "parquet",
            None,
            "python -c 'import datasets, sys; print(datasets.load_dataset(sys.argv[1]))' {output}",
        ),
        Format("jsonl", "jsonl", None, "head -n 1 {output}/pairs.jsonl"),
        Format(
            "llamafactory",
            "jsonl",
            {
                "pairs": {
                    "conversations": _conversation("prompt"),
                    "chosen": _sharegpt("chosen[1]"),
                    "rejected": _sharegpt("rejected[1]"),
                },
                "rft": {"conversations": _conversation("messages")},
            },
            "llamafactory-cli train --stage dpo --do_train --dataset_dir {output} "
            "--dataset spar_pairs --model_name_or_path MODEL --template TEMPLATE "
            "--output_dir OUTPUT",
        ),
    )
}
"""Every format by its name."""


def dataset_info(tables: list[str]) -> str:
    """LLaMA-Factory's `dataset_info.json` for these tables."""
    described: dict[str, dict[str, object]] = {
        "pairs": {
            "file_name": "pairs.jsonl",
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {
                "messages": "conversations",
                "chosen": "chosen",
                "rejected": "rejected",
            },
        },
        "rft": {
            "file_name": "rft.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "conversations"},
        },
    }
    tags = {
        "role_tag": "from",
        "content_tag": "value",
        "user_tag": "human",
        "assistant_tag": "gpt",
        "system_tag": "system",
    }
    named = {f"spar_{table}": {**described[table], "tags": tags} for table in tables}
    return json.dumps(named, indent=2) + "\n"
