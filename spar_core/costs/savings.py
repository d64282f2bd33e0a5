"""What prompts would have taken with the options that save tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from spar_core.costs.taken import Child, Judging, Refining, Taken
from spar_core.engine.protocol import Sampling
from spar_core.voting import Ballot, JudgeSettings, votes_to_ask

_ANY = Sampling(0.0, 1.0, 1)


def stop_votes(taken: Taken, votes: int, quorum: int) -> Taken:
    """Votes are asked for until the majority is certain; they say what they said."""

    def shorter(judging: Judging) -> Judging:
        cast = judging.votes
        asked: list[tuple[int, int]] = []
        done = 0
        settings = JudgeSettings(_ANY, votes, quorum, stop_votes=True)
        while more := votes_to_ask([Ballot(each.vote, "") for each in cast[:done]], settings):
            if done + more > len(cast):
                break
            asked.append((done, done + more))
            done += more
        return replace(judging, rounds=tuple(cast[first:last] for first, last in asked))

    return _judged(taken, shorter)


def judge_once(taken: Taken) -> Taken:
    """Equal responses to a prompt are judged once; of a tree it was done so anyway."""

    def once() -> Callable[[Judging], Judging]:
        seen: set[str] = set()

        def first(judging: Judging) -> Judging:
            is_known = judging.text in seen
            seen.add(judging.text)
            return replace(judging, rounds=()) if is_known else judging

        return first

    of_responses, of_nodes = once(), once()
    judged = replace(taken, judgings=tuple(map(of_responses, taken.judgings)))
    return replace(judged, levels=_levels(judged, of_nodes))


def stop_level(taken: Taken) -> Taken:
    """A search ends with the first refinement that passes; what is in flight then is given up."""
    levels: list[tuple[Refining, ...]] = []
    for level in taken.levels:
        ends = [
            _length(refining) + _rounds(judging)
            for refining in level
            for judging in refining.judgings
            if judging.passed
        ]
        if ends:
            cut = tuple(_until(each, min(ends)) for each in level)
            return replace(taken, levels=(*levels, cut))
        levels.append(level)
    return taken


SAVINGS = ("--stop_votes", "--stop_level", "--judge_once")
"""Options that spend fewer tokens, off by default."""


def with_options(taken: Taken, options: tuple[str, ...], votes: int, quorum: int) -> Taken:
    """What a prompt would have taken with some of `SAVINGS`."""
    if "--judge_once" in options:
        taken = judge_once(taken)
    if "--stop_votes" in options:
        taken = stop_votes(taken, votes, quorum)
    return stop_level(taken) if "--stop_level" in options else taken


def _judged(taken: Taken, change: Callable[[Judging], Judging]) -> Taken:
    return replace(
        taken, judgings=tuple(map(change, taken.judgings)), levels=_levels(taken, change)
    )


def _levels(taken: Taken, change: Callable[[Judging], Judging]) -> tuple[tuple[Refining, ...], ...]:
    def child(each: Child) -> Child:
        return replace(each, judging=each.judging and change(each.judging))

    return tuple(
        tuple(replace(some, children=tuple(map(child, some.children))) for some in level)
        for level in taken.levels
    )


def _length(refining: Refining) -> int:
    """Steps until the refinements of a node are there."""
    return max((child.tokens for child in refining.children), default=0)


def _rounds(judging: Judging) -> int:
    """Steps until a judgement is there."""
    return sum(max((cast.tokens for cast in casts), default=0) for casts in judging.rounds)


def _until(refining: Refining, end: int) -> Refining:
    """What of it was decoded when so many steps of its level were over."""
    left = end - _length(refining)
    children = tuple(
        Child(min(child.tokens, end), child.judging and _judging_until(child.judging, left))
        for child in refining.children
    )
    return replace(refining, children=children)


def _judging_until(judging: Judging, left: int) -> Judging:
    rounds = []
    for casts in judging.rounds:
        if left <= 0:
            break
        rounds.append(tuple(replace(cast, tokens=min(cast.tokens, left)) for cast in casts))
        left -= max(cast.tokens for cast in casts)
    return replace(judging, rounds=tuple(rounds))
