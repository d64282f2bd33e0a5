"""A run whose first iteration holds several variants and methods, written without an engine.

Two prompts with two responses each. `main` judges them, grows trees and makes refined and
independent pairs, these of the first prompt alone; `dfs` shares responses and judgements and has
trees and pairs of its own; `votes3` shares the responses only and searches the first prompt alone.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.answers import Answer
from schemas.failures import Failure
from schemas.judgements import Judgement, VoteRecord
from schemas.manifest import FOLDER
from schemas.nodes import Node
from schemas.pairs import Message, Pair
from schemas.prompts import Prompt
from schemas.ratings import Rating
from schemas.responses import Response, SamplingRecord
from schemas.table import MAIN, SPAR
from schemas.trees import Tree
from spar_core.dataset import Dataset, Settled

PROMPTS = ("pa", "pb")
SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    ("sample", "dfs"): {"as": "main"},
    ("judge", "dfs"): {"as": "main"},
    ("tree_search", "dfs"): {"strategy": "dfs"},
    ("sample", "votes3"): {"as": "main"},
    ("judge", "votes3"): {"votes": 3},
    ("tree_search", "votes3"): {"from.judge": "votes3"},
}
"""By stage and variant; of other stages there are only rows."""

Rows = Mapping[str, Sequence[Any]]


def commit(run: str, stage: str, rows: Rows, variant: str = MAIN, iteration: int = 1) -> None:
    """Commit rows of a variant."""
    dataset = Dataset(run, iteration)
    named = {
        table: [
            dataclasses.replace(row, variant=variant) if hasattr(row, "variant") else row
            for row in some
        ]
        for table, some in rows.items()
    }
    before = set(dataset.entries())
    dataset.commit(stage, f"w{len(before)}", [Settled(f"k{len(before)}", named)])
    if variant == MAIN:
        return
    [path] = set(dataset.entries()) - before
    entry = json.loads(dataset.fs.cat_file(path)) | {"variant": variant}
    folder = f"{dataset.root}/{FOLDER}/iteration={iteration}/{stage}@{variant}"
    dataset.fs.makedirs(folder, exist_ok=True)
    dataset.fs.pipe_file(f"{folder}/{path.rpartition('/')[2]}", json.dumps(entry).encode())
    dataset.fs.rm_file(path)


def settle(run: str, stage: str, variant: str, text: str | bytes, iteration: int = 1) -> None:
    """Write a variant's settings of a stage."""
    dataset = Dataset(run, iteration)
    folder = f"{dataset.root}/{FOLDER}/iteration={iteration}"
    dataset.fs.makedirs(folder, exist_ok=True)
    data = text if isinstance(text, bytes) else text.encode()
    dataset.fs.pipe_file(f"{folder}/{stage}@{variant}.settings", data)


def write(run: str) -> None:
    """Write the run."""
    prompts = [Prompt(key, f"Say {key}.", f"f:{i}", i) for i, key in enumerate(PROMPTS)]
    commit(run, "prompts", {"prompts": prompts})
    responses = [response(key, number) for key in PROMPTS for number in (0, 1)]
    commit(run, "sample", {"responses": responses})
    for variant, tokens in ((MAIN, 100), ("votes3", 60)):
        judged = [judgement(key, number, variant, tokens) for key in PROMPTS for number in (0, 1)]
        commit(run, "judge", {"judgements": judged}, variant)
    grown = {MAIN: {"pa": 1000, "pb": None}, "dfs": {"pa": 300, "pb": 400}, "votes3": {"pa": 500}}
    for variant, trees in grown.items():
        rows: dict[str, list[Any]] = {"trees": [], "nodes": []}
        for key, tokens in trees.items():
            rows["trees"].append(tree(key, variant, tokens or 2000, solved=tokens is not None))
            rows["nodes"] += nodes(key, variant)
        commit(run, "tree_search", rows, variant)
        pairs = [refined(key, variant, tokens) for key, tokens in trees.items() if tokens]
        commit(run, "pairs", {"pairs": pairs}, variant)
    commit(run, "independent", {"pairs": [independent("pa")]})
    for (stage, variant), settings in SETTINGS.items():
        settle(run, stage, variant, json.dumps(settings))


def evaluate(run: str, variant: str = "bfs-8-v5") -> None:
    """Add an evaluation of a variant of its own, of which an item failed."""
    settle(run, "decode", variant, '{"decoder": "bfs"}')
    settle(run, "figures", variant, json.dumps({"from.decode": variant}))
    answer = Answer(f"i1.a.{variant}", "a", "custom", "bfs", 5, 8, "answered", "m")
    failure = Failure("decode", "b", "too_long", "longer than the context", 1, "")
    commit(run, "decode", {"answers": [answer], "failures": [failure]}, variant)


def tree_id(key: str, variant: str) -> str:
    return f"i1.{key}.r0.t" if variant == MAIN else f"i1.{key}.r0.{variant}.t"


def response(key: str, number: int) -> Response:
    sampling = SamplingRecord(0.9, 0.9, 8, 1)
    name = f"i1.{key}.r{number}"
    return Response(name, key, f"{key} answered {number}", "m", sampling, "stop", 5, 10)


def judgement(key: str, number: int, variant: str, tokens: int) -> Judgement:
    """`main` passes the second response to a prompt, `votes3` none."""
    passes = variant == MAIN and number == 1
    yes, no = (4, 1) if passes else (1, 4) if variant == MAIN else (0, 3)
    return Judgement(
        response_id=f"i1.{key}.r{number}",
        prompt_id=key,
        verdict="yes" if passes else "no",
        value=yes / (yes + no),
        yes_votes=yes,
        no_votes=no,
        unparsed_votes=0,
        critique=f"{variant} judged {number}",
        votes=[VoteRecord("No", f"{variant} judged {number}", "stop")],
        model="m",
        prompt_tokens=20,
        completion_tokens=tokens,
        checked=passes,
    )


def rating(key: str, number: int, tokens: int) -> Rating:
    response = f"i1.{key}.r{number}"
    return Rating(f"{response}.s0", response, key, 0, 3.0, "why", "m", "stop", 20, tokens)


def tree(key: str, variant: str, tokens: int, *, solved: bool) -> Tree:
    name, strategy = tree_id(key, variant), "dfs" if variant == "dfs" else "bfs"
    chosen = f"{name}.0" if solved else f"{name}.root"
    return Tree(
        tree_id=name,
        prompt_id=key,
        root_response_id=f"i1.{key}.r0",
        strategy=strategy,
        solved=solved,
        chosen_node_id=chosen,
        chosen_depth=int(solved),
        chosen_value=0.8 if solved else 0.2,
        refinements=1,
        malformed=0,
        model="m",
        prompt_tokens=30,
        completion_tokens=tokens,
    )


def nodes(key: str, variant: str) -> list[Node]:
    name = tree_id(key, variant)
    root = Node(
        tree_id=name,
        node_id=f"{name}.root",
        parent_id=None,
        prompt_id=key,
        depth=0,
        order=0,
        response=f"{key} answered 0",
        reflection="",
        critique=f"{variant} found the root wanting",
        verdict="no",
        value=0.2,
        yes_votes=1,
        no_votes=4,
        unparsed_votes=0,
        votes=[VoteRecord("No", f"{variant} found the root wanting", "stop")],
        prompt_tokens=0,
        completion_tokens=0,
    )
    child = dataclasses.replace(
        root,
        node_id=f"{name}.0",
        parent_id=root.node_id,
        depth=1,
        order=1,
        response=f"{key} refined by {variant}",
        reflection=f"{variant} thought again",
        critique=f"{variant} is content",
        verdict="yes",
        value=0.8,
        yes_votes=4,
        no_votes=1,
        completion_tokens=90,
        checked=True,
    )
    return [root, child]


def refined(key: str, variant: str, tokens: int) -> Pair:
    name = tree_id(key, variant)
    chosen = f"{key} refined by {variant}"
    return pair(
        f"{name}.pair",
        key,
        chosen,
        similarity=0.9,
        method=SPAR,
        tree_id=name,
        chosen_node_id=f"{name}.0",
        depth=1,
        refinements=1,
        tree_tokens=tokens,
    )


def independent(key: str) -> Pair:
    return pair(
        f"i1.{key}.independent",
        key,
        f"{key} answered 1",
        similarity=0.5,
        method="independent",
        chosen_response_id=f"i1.{key}.r1",
    )


def pair(pair_id: str, key: str, chosen: str, **columns: Any) -> Pair:
    rejected = f"{key} answered 0"
    empty = dict.fromkeys(("tree_id", "chosen_node_id", "depth", "refinements", "tree_tokens"))
    return Pair(
        pair_id=pair_id,
        prompt=[Message("user", f"Say {key}.")],
        chosen=[Message("assistant", chosen)],
        rejected=[Message("assistant", rejected)],
        prompt_id=key,
        rejected_response_id=f"i1.{key}.r0",
        chosen_value=0.8,
        rejected_value=0.2,
        chosen_yes_votes=4,
        chosen_no_votes=1,
        rejected_yes_votes=1,
        rejected_no_votes=4,
        chosen_chars=len(chosen),
        rejected_chars=len(rejected),
        chosen_checked=True,
        rejected_checked=False,
        **{**empty, **columns},
    )
