"""A run of the size and shape of a real one, made without a model: what reading is measured on.

python -m benchmarks.large_run --run DIR [--pairs 100000]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from benchmarks.answers import stream
from pipelines.execution.intake import STAGE as PROMPTS
from pipelines.execution.options import Job, parse
from pipelines.execution.parts import claim, parts
from schemas.failures import Failure
from schemas.pairs import Pair
from schemas.prompts import Prompt
from schemas.responses import Response, SamplingRecord
from schemas.rft import RftSample
from schemas.table import SPAR
from spar_core.conversation import Vote
from spar_core.dataset import Dataset, Rows, Settled
from spar_core.decoding import SearchSettings
from spar_core.engine.protocol import seed_of
from spar_core.ids import node_id, pair_id, prompt_id, tree_id
from spar_core.methods import spar
from spar_core.preference import Chosen, rft_sample, sides
from spar_core.records import judgement_row, node_rows, tree_row
from spar_core.stages.sample import SAMPLE, SampleSettings
from spar_core.stages.tree_search import TREE_SEARCH
from spar_core.tree import SearchTree, TreeNode
from spar_core.voting import Ballot, Judged, count

PAIRS = 100_000
PROMPTS_PER_PAIR = 1.2
ITERATIONS = 3
SHARD_PROMPTS = 512
"""Prompts whose rows are made together: 2,560 responses, about 4,000 nodes."""

_PROMPT_SHARD = 10_000
_MODEL = "simulated-8b"
_CHARS_PER_TOKEN = 4
_PROSE_WORDS = 4_000_000
_PROMPT, _RESPONSE, _CRITIQUE, _REFLECTION = (80, 600), (200, 2000), (250, 1000), (80, 500)
"""Lengths in characters, shortest and longest."""
_VOTE = (40, 120)
"""Likewise of votes other than the one that gives the critique; real ones are as long as that."""
_REFUSAL = "I'm sorry, but I can't help with that."

Draw = random.Random


@dataclass(frozen=True, slots=True)
class Rates:
    """How often things happen."""

    failed: float = 0.002
    refusal: float = 0.01
    repeated: float = 0.03
    unparsed: float = 0.02
    malformed: float = 0.04
    rft: float = 0.2


RATES = Rates()


def job_of(run: str) -> Job:
    """The job that such a run is made by."""
    line = ["--run", run, "--engine_url", "http://unused", "--model", _MODEL]
    return parse("refine", "", {SPAR: spar.STAGES}, line)


def write(
    run: str, pairs: int, *, seed: int = 0, shard_prompts: int = SHARD_PROMPTS, shorter: int = 1
) -> None:
    """Write a run of three iterations with about so many pairs.

    Args:
        shard_prompts: the fewer, the more and the smaller files.
        shorter: what models say is by so much shorter than theirs.
    """
    prompts = round(pairs * PROMPTS_PER_PAIR / ITERATIONS)
    job = job_of(run)
    search = TREE_SEARCH.settings(job.options).search
    settings = Settings(SAMPLE.settings(job.options), search, shorter)
    for iteration in range(1, ITERATIONS + 1):
        dataset = Dataset(run, iteration)
        of_iteration = replace(job, dataset=dataset)
        for claimed in parts(of_iteration, None):
            claim(of_iteration, claimed)
        for first in range(0, prompts, _PROMPT_SHARD):
            numbers = range(first, min(first + _PROMPT_SHARD, prompts))
            rows = [_prompt(seed, iteration, number) for number in numbers]
            settled = [Settled(row.prompt_id, {"prompts": [row]}) for row in rows]
            dataset.commit(PROMPTS, f"{first:06d}", settled)
    shards = [
        (iteration, range(first, min(first + shard_prompts, prompts)))
        for iteration in range(1, ITERATIONS + 1)
        for first in range(0, prompts, shard_prompts)
    ]
    with multiprocessing.Pool(os.cpu_count()) as pool:
        pool.starmap(partial(_write_shard, run, seed, settings), shards, chunksize=1)


def _write_shard(
    run: str, seed: int, settings: Settings, iteration: int, numbers: Sequence[int]
) -> None:
    """Commit what all stages make of some prompts."""
    dataset, work = Dataset(run, iteration), f"{numbers[0]:06d}"
    made = [_Story(seed, settings, iteration, number).rows() for number in numbers]
    settled: dict[str, list[Settled]] = {}
    for stages in made:
        for stage, items in stages.items():
            settled.setdefault(stage, []).extend(items)
    for stage, items in settled.items():
        halves = 2 if stage in ("judge", "tree_search") else 1
        size = -(-len(items) // halves)
        for half in range(halves):
            some = items[half * size : (half + 1) * size]
            dataset.commit(stage, f"{work}{half}", some, _usage(stage, some))


def _usage(stage: str, items: Sequence[Settled]) -> dict[str, float] | None:
    """What an engine of 256 slots would have been asked; none where a stage asks nothing."""
    table = {"sample": "responses", "judge": "judgements", "tree_search": "trees"}.get(stage)
    if table is None:
        return None
    rows = [row for item in items for row in item.rows.get(table, ())]
    requests = sum(2 * row.refinements for row in rows) if table == "trees" else len(items)
    tokens = sum(row.completion_tokens for row in rows)
    return {
        "requests": requests,
        "retries": requests // 500,
        "replayed": 0,
        "prompt_tokens": sum(row.prompt_tokens for row in rows),
        "completion_tokens": tokens,
        "engine_s": round(tokens / 5_000, 3),
        "latency_ms_sum": requests * 9_000,
        "latency_ms_max": 31_000,
        "slots_sum": requests * 250,
        "slots_samples": requests,
    }


@dataclass(frozen=True, slots=True)
class Settings:
    """What the rows are made with.

    shorter: what models say is by so much shorter than theirs.
    """

    sample: SampleSettings
    search: SearchSettings
    shorter: int = 1


class _Story:
    """What becomes of a prompt."""

    def __init__(self, seed: int, settings: Settings, iteration: int, number: int) -> None:
        self._drawn = stream(seed, iteration, number, "story")
        self._settings = settings
        self._iteration = iteration
        self._prompt = _prompt(seed, iteration, number)
        self._skill = 0.15 + 0.08 * iteration

    def rows(self) -> dict[str, list[Settled]]:
        """The settled items of each stage."""
        if self._drawn.random() < RATES.failed:
            return {"sample": [self._failure()]}
        key, name = self._prompt.prompt_id, self._settings.sample.actor
        texts = self._texts()
        sampling = SamplingRecord(name.temperature, name.top_p, name.max_tokens, 0)
        responses = [
            Response(
                response_id=f"i{self._iteration}.{key}.r{number}",
                prompt_id=key,
                response=text,
                model=_MODEL,
                sampling=replace(sampling, seed=seed_of(0, key, number)),
                finish_reason="stop" if len(text) < 1990 else "length",
                prompt_tokens=0 if number else _tokens(self._prompt.prompt),
                completion_tokens=_tokens(text),
            )
            for number, text in enumerate(texts)
        ]
        qualities = [self._drawn.betavariate(2 * self._skill, 2 * (1 - self._skill)) for _ in texts]
        judged = [self._judge(t, q) for t, q in zip(texts, qualities, strict=True)]
        stages = {
            "sample": [Settled(key, {"responses": responses})],
            "judge": [
                Settled(
                    r.response_id, {"judgements": [judgement_row(r.response_id, key, j, _MODEL)]}
                )
                for r, j in zip(responses, judged, strict=True)
            ],
        }
        failing = [number for number, j in enumerate(judged) if j.verdict == "no"]
        if failing:
            number = self._drawn.choice(failing)
            root = responses[number]
            grown = self._grow(root.response, judged[number], qualities[number])
            stages |= self._searched(root.response_id, grown)
        return stages

    def _says(self, length: tuple[int, int]) -> str:
        low, high = length
        return _prose(self._drawn, (low // self._settings.shorter, high // self._settings.shorter))

    def _failure(self) -> Settled:
        key, prompt = self._prompt.prompt_id, self._prompt.prompt
        message = "the prompt and its answer do not fit into the model's context"
        row = Failure("sample", key, "too_long", message, 1, prompt)
        return Settled(key, {"failures": [row]})

    def _texts(self) -> list[str]:
        """The sampled responses; some repeat one before, some refuse."""
        texts: list[str] = []
        for _ in range(self._settings.sample.responses):
            chance = self._drawn.random()
            if texts and chance < RATES.repeated:
                texts.append(self._drawn.choice(texts))
            elif chance > 1 - RATES.refusal:
                texts.append(_REFUSAL)
            else:
                texts.append(self._says(_RESPONSE))
        return texts

    def _judge(self, text: str, quality: float) -> Judged:
        settings = self._settings.search.judge
        ballots = [self._ballot(quality) for _ in range(settings.votes)]
        critique = count(ballots, settings.quorum).critique
        critic = next(i for i, ballot in enumerate(ballots) if ballot.text == critique)
        ballots[critic] = replace(ballots[critic], text=f"{self._says(_CRITIQUE)}\n{critique}")
        return replace(
            count(ballots, settings.quorum),
            prompt_tokens=_tokens(self._prompt.prompt, text),
            completion_tokens=_tokens(*(ballot.text for ballot in ballots)),
        )

    def _ballot(self, quality: float) -> Ballot:
        said = self._says(_VOTE)
        if self._drawn.random() < RATES.unparsed:
            return Ballot(None, said, "length")
        vote: Vote = "Yes" if self._drawn.random() < quality else "No"
        return Ballot(vote, f"{said}\nFinal Judgement: {vote}")

    def _grow(self, text: str, judged: Judged, quality: float) -> SearchTree:
        """A tree as BFS grows it."""
        bounds = self._settings.search
        tree = SearchTree([TreeNode((), 0, text, "", judged)])
        level = [(tree.root, quality)]
        for _ in range(bounds.depth):
            children = [child for node, q in level for child in self._expand(tree, node, q, bounds)]
            if not children:
                break
            children.sort(key=lambda child: child[0].rank)
            if children[0][0].judged.passed:
                tree.solution = children[0][0]
                break
            level = children[: bounds.keep]
        return tree

    def _expand(
        self, tree: SearchTree, parent: TreeNode, quality: float, bounds: SearchSettings
    ) -> list[tuple[TreeNode, float]]:
        children = []
        for number in range(min(bounds.branch, bounds.budget - tree.refinements)):
            if self._drawn.random() < RATES.malformed:
                tree.malformed += 1
                tree.malformed_completion_tokens += 200
            text = _mended(self._drawn, parent.response)
            reflection = self._says(_REFLECTION)
            good = min(0.97, max(0.01, quality + self._drawn.uniform(-0.1, 0.3)))
            child = TreeNode(
                path=(*parent.path, number),
                order=len(tree.nodes),
                response=text,
                reflection=reflection,
                judged=self._judge(text, good),
                prompt_tokens=0 if number else _tokens(self._prompt.prompt, parent.response),
                completion_tokens=_tokens(text, reflection),
            )
            tree.nodes.append(child)
            children.append((child, good))
        return children

    def _searched(self, root: str, grown: SearchTree) -> dict[str, list[Settled]]:
        """The tree's rows, and the pair and the refiner's sample made of it."""
        key, tree = self._prompt.prompt_id, tree_id(root)
        row = tree_row(tree, key, root, grown, self._settings.search.strategy, _MODEL)
        rows: Rows = {"trees": [row], "nodes": node_rows(tree, key, grown)}
        stages = {"tree_search": [Settled(key, rows)]}
        made, chosen = grown.solution, grown.chosen
        if made is None:
            return stages
        texts = sides(self._prompt.prompt, made.response, grown.root.response)
        pair_row = texts and Pair(
            **texts,
            method=SPAR,
            pair_id=pair_id(tree),
            prompt_id=key,
            tree_id=tree,
            chosen_node_id=node_id(tree, made.path),
            rejected_response_id=root,
            depth=made.depth,
            chosen_value=made.judged.value or 0.0,
            rejected_value=grown.root.judged.value or 0.0,
            chosen_yes_votes=made.judged.yes_votes,
            chosen_no_votes=made.judged.no_votes,
            rejected_yes_votes=grown.root.judged.yes_votes,
            rejected_no_votes=grown.root.judged.no_votes,
            refinements=grown.refinements,
            tree_tokens=row.completion_tokens,
        )
        stages["pairs"] = [Settled(tree, {"pairs": [pair_row] if pair_row else []})]
        if self._drawn.random() < RATES.rft:
            sample = self._rft(tree, grown, chosen)
            stages["rft"] = [Settled(sample.rft_id, {"rft": [sample]})]
        return stages

    def _rft(self, tree: str, grown: SearchTree, chosen: TreeNode) -> RftSample:
        parent = next(node for node in grown.nodes if node.path == chosen.path[:-1])
        is_refinement = self._drawn.random() < 0.4
        node = parent if is_refinement else chosen
        name = node_id(tree, chosen.path)
        return rft_sample(
            Chosen(
                key=f"{name}.{'refine' if is_refinement else 'judge'}",
                source="tree_refinement" if is_refinement else "tree_judgement",
                prompt=self._prompt.prompt,
                response=node.response,
                critique=node.judged.critique,
                reflection=chosen.reflection if is_refinement else None,
                refined=chosen.response if is_refinement else None,
                verdict=chosen.judged.verdict,
                value=chosen.judged.value or 0.0,
                prompt_id=self._prompt.prompt_id,
                tree_id=tree,
                node_id=name,
                response_id=None,
            )
        )


def _prompt(seed: int, iteration: int, number: int) -> Prompt:
    text = f"Task {iteration}.{number}: {_prose(stream(seed, iteration, number), _PROMPT)}"
    return Prompt(prompt_id(text), text, f"prompts-{iteration}.jsonl:{number + 1}", number)


def _prose(drawn: Draw, length: tuple[int, int]) -> str:
    """A passage of words; shorter ones are the likelier."""
    text = _all_prose()
    low, high = length
    chars = round(low + (high - low) * drawn.betavariate(2, 4))
    start = drawn.randrange(len(text) - chars)
    return text[start : start + chars].strip()


def _mended(drawn: Draw, text: str) -> str:
    """The text with about a tenth of it said otherwise, and mostly a little longer."""
    for _ in range(drawn.randint(1, 3)):
        start = drawn.randrange(len(text))
        end = min(len(text), start + drawn.randint(0, len(text) // 20))
        text = f"{text[:start]}{_prose(drawn, (5, 20 + len(text) // 8))}{text[end:]}"
    return text


@cache
def _all_prose() -> str:
    """Some 25 MB of words, the frequent ones short, in sentences and paragraphs."""
    drawn = stream("prose")
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "é", "ar")]
    words = ["".join(drawn.choices(syllables, k=1 + rank // 1500)) for rank in range(6000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    chosen = drawn.choices(words, weights, k=_PROSE_WORDS)
    sentences = [" ".join(chosen[i : i + 14]).capitalize() for i in range(0, len(chosen), 14)]
    return ".\n\n".join(". ".join(sentences[i : i + 5]) for i in range(0, len(sentences), 5))


def _tokens(*texts: str) -> int:
    return sum(map(len, texts)) // _CHARS_PER_TOKEN + 1


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_run", description=__doc__)
    parser.add_argument("--run", required=True, help="a folder that is not there yet")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard_prompts", type=int, default=SHARD_PROMPTS)
    o = parser.parse_args(argv)
    if Path(o.run).exists():
        parser.error(f"{o.run} is there already")
    began = time.monotonic()
    write(o.run, o.pairs, seed=o.seed, shard_prompts=o.shard_prompts)
    sys.stdout.write(f"{o.run} in {time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    from benchmarks.large_run import main as _main  # by its own name, so that workers can unpickle

    sys.exit(_main())
