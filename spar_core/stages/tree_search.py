"""Tree search: one failing response of each prompt, refined until a refinement passes."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict, dataclass
from typing import Any, get_args

from schemas.responses import WHOLE
from spar_core.checked_judging import wording
from spar_core.dataset import Rows
from spar_core.decoding import SearchSettings, Team, decode
from spar_core.decoding.settings import Strategy
from spar_core.engine.protocol import seed_of
from spar_core.ids import tree_id
from spar_core.records import judged_of_row, node_rows, tree_row
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import drawing
from spar_core.stages.judge import (
    CHECKS,
    CONSTRAINED,
    FEWER_VOTES,
    JUDGE,
    VOTING,
    is_constrained,
    task_of,
    voting,
)
from spar_core.variants import flat
from spar_core.voting import JudgeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeSearchSettings(StageSettings):
    """search: the bounds of a search, and how its nodes are judged."""

    search: SearchSettings

    def named(self) -> dict[str, Any]:
        nested = asdict(self)
        judge = nested["search"].pop("judge")
        return flat({**nested, "judge": judge}) | wording(self.search.judge.checks)


async def _search(context: Context[TreeSearchSettings], item: Item) -> Rows:
    settings = context.settings
    team = Team(refiner=context.engines["refiner"], judge=context.engines["judge"])
    grown = await decode(
        team,
        task_of(item),
        settings.search,
        seed_of(settings.seed, context.iteration, "tree_search", item["key"]),
        root=(item["response"], judged_of_row(item)),
    )
    root, prompt_id = item["response_id"], item["key"]
    tree = tree_id(root, context.variant)
    row = tree_row(tree, prompt_id, root, grown, settings.search.strategy, team.refiner.name)
    return {"trees": [row], "nodes": node_rows(tree, prompt_id, grown)}


def _add_strategy(group: Any) -> None:
    group.add_argument(
        "--strategy",
        choices=get_args(Strategy),
        default="bfs",
        help="how a failing response is refined: bfs, dfs: tree search; iterative, best_of_n, "
        "greedy: without a tree (default: bfs)",
    )
    _add_bound(group, "budget", 15, "refinements of a response at most")


def _add_bounds(group: Any) -> None:
    for name, default, says in (
        ("branch", 3, "refinements of a node"),
        ("keep", 2, "nodes of a level that go on"),
        ("depth", 3, "levels of refinements"),
    ):
        _add_bound(group, name, default, says)
    group.add_argument(
        "--stop_level",
        action="store_true",
        help="end a search with the first refinement that passes, not with the best of its level "
        "(fewer tokens; off: the paper's behaviour)",
    )


def _add_bound(group: Any, name: str, default: int, says: str) -> None:
    group.add_argument(
        f"--{name}",
        type=drawing.whole(1),
        default=default,
        metavar="N",
        help=f"{says} (default: {default})",
    )


_TITLE = "searching (defaults: the paper's)"
STRATEGY = Options(_TITLE, _add_strategy)
SEARCHING = Options(_TITLE, _add_bounds)
REFINING = Options(_TITLE, drawing.REFINE.add)


def bounds(
    options: Namespace, strategy: Strategy, budget: int, judge: JudgeSettings
) -> SearchSettings:
    """The bounds of a search, from a command line that may have no refiner."""
    return SearchSettings(
        judge=judge,
        sampling=drawing.REFINE.read(options),
        strategy=strategy,
        branch=options.branch,
        keep=options.keep,
        depth=options.depth,
        budget=budget,
        constrained="refiner" in options.engines and is_constrained(options, "refiner"),
        stop_level=options.stop_level,
        judge_once=options.judge_once,
    )


def _settings(options: Namespace) -> TreeSearchSettings:
    return TreeSearchSettings(
        seed=options.seed,
        search=bounds(options, options.strategy, options.budget, voting(options)),
    )


TREE_SEARCH = Stage(
    name="tree_search",
    noun="trees",
    # The root is one failing response at random, one that the prompt's checks deny before others.
    # Items go by prompt, so that a prompt whose responses are judged later still gets no second
    # tree. Runs begun before judged what was cut off, too: it is no root.
    items=f"""
        with failing as (
            select response_id, prompt_id, verdict, value, critique, votes, outcome, checked,
                   checks_met, asked_again
            from judgements
            semi join (select response_id from responses where {WHOLE}) using (response_id)
            where outcome = 'no'
            qualify row_number() over (
                partition by prompt_id
                order by coalesce(checked, false), md5(response_id || ':' || $seed)) = 1)
        select prompt_id as key, prompt_id, response_id, prompt, earlier_turns, checks,
               checks_complete, response,
               verdict, value, critique, votes, outcome, checked, checks_met, asked_again
        from failing join responses using (response_id, prompt_id)
        join prompts using (prompt_id)
        where prompt_id in (select prompt_id from scope)""",
    task=_search,
    settings=_settings,
    writes=("trees", "nodes"),
    options=(
        VOTING,
        CHECKS,
        STRATEGY,
        SEARCHING,
        REFINING,
        CONSTRAINED,
        FEWER_VOTES,
    ),
    after=(JUDGE,),
    roles=("refiner", "judge"),
)
