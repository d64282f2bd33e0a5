"""Folders of reproductions as `pipelines.reproduce` leaves them, written without a reproduction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inspection.reproduction import contract, measured
from inspection.reproduction.contract import FILE
from inspection.reproduction.measured import Results
from schemas.evaluations import Evaluation
from schemas.judgements import Judgement
from tests.committed import commit
from tests.inspection.evaluated import Met, half, units

BENCHMARKS = {"taught": "custom", "unseen": "custom", "validation": "custom", "decoding": "custom"}

HOSTILE = "<img src=x>|`[a](javascript:b)*_\n# $x$\x1b[31m"


@dataclass
class Folder:
    """A reproduction in the making; `write` puts it on disk."""

    path: Path
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    rows: dict[tuple[str, str], list[Any]] = field(default_factory=dict)

    def measured(
        self,
        measure: str,
        line: str,
        iteration: int,
        /,
        *,
        seed: int = 1,
        decoder: str = "greedy",
        responses: int = 1,
        made: float | None = None,
        **figures: Met,
    ) -> Folder:
        """Add an evaluation: by figure what is met of each prompt, the headline first.

        Values and intervals are null: the page makes its own from the units.
        """
        row = self._named(measure, line, iteration, seed, decoder, responses)
        held = [
            Evaluation(
                benchmark=row["benchmark"],
                metric=name,
                part="",
                value=None,
                low=None,
                high=None,
                scored=len(units(met)),
                items=len(met),
                decoder=decoder,
                votes=0,
                budget=responses,
                model="m",
                scorer="program",
                responses=made,
                units=units(met),
            )
            for name, met in figures.items()
        ]
        self._rows(row, "evaluations", held)
        return self

    def judged(
        self,
        line: str,
        iteration: int,
        verdicts: Sequence[str],
        checked: Sequence[bool | None],
        *,
        seed: int = 1,
    ) -> Folder:
        """Add an evaluation of `agreement`, a response of a prompt of its own for each verdict."""
        row = self._named("agreement", line, iteration, seed)
        held = [
            judgement(number, verdict, passes)
            for number, (verdict, passes) in enumerate(zip(verdicts, checked, strict=True))
        ]
        self._rows(row, "judgements", held)
        return self

    def perplexity(self, line: str, iteration: int, value: Any, *, seed: int = 1) -> Folder:
        row = self._named("perplexity", line, iteration, seed)
        row["run"] = f"perplexity-{line}-{iteration}-{seed}.json"
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / row["run"]).write_text(json.dumps({"perplexity": value, "tokens": 99}))
        return self

    def write(self, **more: Any) -> Path:
        """Write all files; returns the folder.

        Args:
            more: what stands in the file beside or instead of the usual.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        for (run, table), rows in self.rows.items():
            commit(self.path / run, table, rows)
        content = {
            "scale": "cpu",
            "settings": {"iterations": 2, "prompts": {"iteration": 300}},
            "steps": [],
            "evaluations": self.evaluations,
            **more,
        }
        (self.path / FILE).write_text(json.dumps(content))
        return self.path

    def _named(
        self,
        measure: str,
        line: str,
        iteration: int,
        seed: int,
        decoder: str = "greedy",
        responses: int = 1,
    ) -> dict[str, Any]:
        row = {
            "seed": seed,
            "measure": measure,
            "line": line,
            "iteration": iteration,
            "run": f"seed-{seed}/scores",
            "variant": f"{measure}-{line}-{iteration}-{decoder}-{responses}",
            "benchmark": BENCHMARKS.get(measure, measure),
            "decoder": decoder,
            "responses": responses,
        }
        self.evaluations.append(row)
        return row

    def _rows(
        self, row: dict[str, Any], table: str, rows: Sequence[Evaluation | Judgement]
    ) -> None:
        named = [replace(each, variant=row["variant"]) for each in rows]
        self.rows.setdefault((row["run"], table), []).extend(named)


def judgement(number: int, verdict: str, checked: bool | None) -> Judgement:
    return Judgement(
        response_id=f"r{number}",
        prompt_id=f"p{number}",
        verdict=verdict,
        value=None,
        yes_votes=0,
        no_votes=0,
        unparsed_votes=0,
        critique="",
        votes=[],
        model="m",
        prompt_tokens=1,
        completion_tokens=1,
        checked=checked,
    )


def read(folder: Folder) -> Results:
    """What the evaluations of a reproduction hold."""
    return measured.read(contract.read(folder.write()).evaluations)


def full(path: Path, seeds: Sequence[int] = (1, 2), count: int = 40) -> Folder:
    """Everything the page can show: an order as in the paper, but for the second iteration."""
    made = Folder(path)

    def met(of_ten: float) -> list[int]:
        return half(count, round(of_ten * count / 10))

    taught = {
        **{("base", 0): 2.0, ("bootstrap", 0): 4.5, ("spar", 1): 7.0, ("spar", 2): 7.0},
        **{("independent", 1): 5.5, ("independent", 2): 5.0, ("greedy", 1): 6.0},
        **{("one_round", 1): 6.5, ("self_rewarding", 1): 5.0, ("meta_rewarding", 1): 5.5},
        **{("report", 1): 6.0, ("veto", 1): 6.5},
    }
    for seed in seeds:
        more = 0.5 * (seed - 1)
        for model, score in taught.items():
            is_base = model[0] == "base"
            if is_base and seed != seeds[0]:
                continue
            shift = 0 if is_base else more
            made.measured("taught", *model, seed=seed, average=met(score + shift))
            if model[0] in ("base", "bootstrap", "spar"):
                made.measured("unseen", *model, seed=seed, average=met(score / 2 + shift))
        for model in (("base", 0), ("bootstrap", 0), ("spar", 2)):
            if model[0] != "base" or seed == seeds[0]:
                score = taught[model] / 2
                made.measured(
                    *("ifeval", *model),
                    seed=seed,
                    average=met(score),
                    prompt_strict=met(score - 0.5),
                    instruction_strict=met(score + 0.5),
                )
                made.measured("gsm8k", *model, seed=seed, exact=met(3 + more))
                made.perplexity(*model, 12.5 + seed + model[1], seed=seed)
        for line, iteration, right in (("bootstrap", 0, 5), ("spar", 1, 7), ("spar", 2, 8)):
            verdicts = ["yes"] * count
            passes = [number < right * count / 10 for number in range(count)]
            made.judged(line, iteration, verdicts, passes, seed=seed)
        for iteration, own in ((1, 7), (2, 9)):
            made.measured("refinement", "spar", iteration, seed=seed, program=met(4), self=met(own))
        made.measured("decoding", "spar", 2, seed=seed, made=1.0, average=met(4))
        for decoder, score in (("best_of_n", 5), ("iterative", 5.5), ("bfs", 6.5), ("dfs", 6)):
            for budget, gain in ((4, 0.0), (8, 1.0)):
                made.measured(
                    *("decoding", "spar", 2),
                    seed=seed,
                    decoder=decoder,
                    responses=budget,
                    made=budget * 0.8,
                    average=met(score + gain),
                )
    return made


SETTINGS = {
    "about": "Two cores: the whole method on a model of 135M in an afternoon.",
    "models": {},
    "prompts": {"bootstrap": 400, "iteration": 300, "taught": 200},
    "iterations": 2,
    "comparisons": {
        name: {"iterations": 1}
        for name in (
            *("independent", "greedy", "one_round", "self_rewarding", "meta_rewarding"),
            *("report", "veto"),
        )
    },
    "round": {"responses": 5, "votes": 5, "checks": "decide"},
}

STEPS = [
    {"name": name, "seconds": seconds, "command": ["python"]}
    for name, seconds in (
        ("all seeds: evolve: prompts of the set taught", 60),
        ("seed 1: main line: bootstrap and iteration 1", 2400),
        ("seed 1: main line: iteration 2", 1300),
        ("seed 1: data round: independent 1", 200),
        ("seed 1: DPO: independent 1", 500),
        ("seed 2: DPO: independent 1", 400),
        ("seed 1: evaluation: taught-spar-2", 240),
    )
]
