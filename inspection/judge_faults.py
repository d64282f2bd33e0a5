"""What is wrong with a judge whose votes are of no use, told from the table `judgements`."""

from __future__ import annotations

from typing import Any

from schemas.views import connect

_FEWEST_VOTES = 20
"""Votes that must be there before most of them are said to be unreadable."""

_FEWEST_RESPONSES, _LOOKED_AT = 20, 200
"""Responses with equal votes that show a judge without sampling, and those that are looked at."""

_LONG = 80
"""Characters of votes that sampling makes different; a bare verdict is often the same."""

_SHOWN = 300


def judge_faults(run: str, iteration: int, variant: str, temperature: float) -> list[str]:
    """Return what makes the votes of one variant of an iteration useless, each with an example.

    Args:
        temperature: of the judge; at 0 equal votes are what was asked for.
    """
    where = "where iteration = $iteration and variant = $variant"
    given = {"iteration": iteration, "variant": variant}
    with connect(run, ("judgements",)) as connection:

        def rows(sql: str, **more: Any) -> list[tuple[Any, ...]]:
            return connection.execute(sql, given | more).fetchall()

        [(unread, votes)] = rows(
            "select coalesce(sum(unparsed_votes), 0), coalesce(sum(len(votes)), 0) "
            f"from judgements {where}"
        )
        faults = []
        if votes >= _FEWEST_VOTES and 2 * unread > votes:
            [(text, cut)] = rows(
                f"""with cast_votes as (select unnest(votes) as v from judgements {where})
                select v.text, v.finish_reason = 'length' from cast_votes
                where v.vote is null limit 1"""
            )
            faults.append(_unreadable(unread, votes, text, cut))
        if temperature > 0:
            [(alike, judged, text)] = rows(
                f"""with looked_at as (
                    select [v.text for v in votes] as texts from judgements {where}
                    and len(votes) > 1 and len(votes[1].text) > $long limit $most)
                select count(*) filter (len(list_distinct(texts)) = 1), count(*),
                       any_value(texts[1])
                from looked_at""",
                long=_LONG,
                most=_LOOKED_AT,
            )
            if alike >= _FEWEST_RESPONSES and alike == judged:
                faults.append(_alike(alike, temperature, text))
    return faults


def _unreadable(unread: int, votes: int, text: str, is_cut: bool) -> str:
    remedy = (
        "give a larger --judge_max_tokens"
        if is_cut
        else "choose a judge that keeps to the format (--judge_model), or hold it to it "
        "(--constrained on)"
    )
    return (
        f"most votes of the judge cannot be read ({unread:,} of {votes:,}): they end without "
        f"Final Judgement: Yes or No, so few responses have a verdict; {remedy}. One of them: "
        f"{_brief(text)}"
    )


def _alike(responses: int, temperature: float, text: str) -> str:
    return (
        f"the judge ignores sampling: on each of {responses:,} responses all votes are the same "
        f"text, at temperature {temperature:g}, so that they count as one vote. A cache before the "
        "server, or a server that takes no temperature or seed, does that. One of them: "
        f"{_brief(text)}"
    )


def _brief(text: str) -> str:
    """Return the end of a text, where the verdict stands, as one line."""
    line = " ".join(text.split())
    return repr(line if len(line) <= _SHOWN else f"...{line[-_SHOWN:]}")
