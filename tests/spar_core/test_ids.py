"""Names that follow from content and position, and from the variant where it made the row."""

from __future__ import annotations

from itertools import product

from schemas.methods import STAGES
from spar_core.chat import Chat
from spar_core.engine.protocol import Message
from spar_core.ids import (
    form_id,
    is_reserved,
    node_id,
    pair_id,
    prompt_id,
    response_id,
    rft_id,
    tree_id,
)


def test_names_are_those_of_early_runs() -> None:
    response = response_id(1, "p", 3)
    tree = tree_id(response)
    assert (response, tree) == ("i1.p.r3", "i1.p.r3.t")
    assert node_id(tree, ()) == "i1.p.r3.t.root"
    assert node_id(tree, (0, 12)) == "i1.p.r3.t.0.12"
    assert node_id(tree, (), 2) == "i1.p.r3.t.root.2"
    assert pair_id(tree) == "i1.p.r3.t.pair"
    assert rft_id("i1.p.r3.t.0.refine") == "i1.p.r3.t.0.refine"


def test_white_space_case_and_unicode_form_make_no_other_form() -> None:
    text = "Name a Café in straße 1."
    alike = (
        text.upper(),
        f"\n {text}\t",
        text.replace(" ", "\u2003"),
        "Name a Cafe\u0301" + text[11:],
    )
    assert {form_id(each) for each in alike} == {form_id(text)}
    assert form_id("x\u00b2") != form_id("x2"), "a character is not what looks like it"
    marks = "a" + "\u0301\u0316" * 50_000
    assert form_id(marks) == form_id(marks.upper()), "in no time that grows with its square"
    assert form_id("plain words") == prompt_id("plain words")
    others = ("Name a Cafe in straße 1.", "Name a Café in straße1.", "Name a Café in straße 1")
    assert form_id(text) not in {form_id(each) for each in others}
    assert len({prompt_id(each) for each in (text, *alike)}) == 5


def test_ids_of_texts_are_those_of_early_runs_and_a_chat_has_its_own() -> None:
    assert prompt_id("Name a bird.") == "p21e5491224d44766"
    turns: list[Message] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hi"},
    ]
    chats = [Chat(tuple(turns[start:end]), "Name a bird.") for start in (0, 1) for end in (1, 2, 3)]
    chats = [each for each in chats if each.earlier]
    ids = {prompt_id(each) for each in (*chats, "Name a bird.")}
    assert len(ids) == len(chats) + 1
    assert {form_id(each) for each in chats}.isdisjoint({form_id("Name a bird.")})


def test_a_form_of_a_chat_is_one_of_each_turn() -> None:
    one = Chat(({"role": "system", "content": "Be  BRIEF."},), "name a bird.")
    other = Chat(({"role": "system", "content": "be brief."},), "Name a\nbird.")
    assert form_id(one) == form_id(other) and prompt_id(one) != prompt_id(other)
    assert form_id(one) != form_id(
        Chat(({"role": "user", "content": "be brief."},), "Name a bird.")
    )


def test_an_variants_own_rows_bear_its_name_once() -> None:
    assert response_id(1, "p", 3, "hot") == "i1.p.hot.r3"
    tree = tree_id("i1.p.r3", "dfs")
    assert tree == "i1.p.r3.dfs.t"
    assert pair_id(tree, "dfs") == "i1.p.r3.dfs.t.pair"
    assert pair_id("i1.p.r3.t", "dfs") == "i1.p.r3.t.dfs.pair"
    assert rft_id("i1.p.r3.judge", "dfs") == "i1.p.r3.judge.dfs"


def test_variants_whose_rows_would_have_names_of_main_are_reserved() -> None:
    def names(variant: str) -> list[str]:
        return [
            tree_id("i1.p.r3", variant),
            pair_id("i1.p.r3.t", variant),
            *(pair_id(f"i1.p.{method}", variant) for method in STAGES),
            *(rft_id(key, variant) for key in ("i1.p.r3.judge", "i1.p.r3.t.0.12.refine")),
        ]

    parts = {part for name in names("main") for part in name.split(".")[2:]}
    for variant in (*parts, "dfs", "v2", "r", "seed-1", "votes3", "0", "r0", "s1"):
        assert is_reserved(variant) or not {*names(variant)} & {*names("main")}, variant
    assert all(map(is_reserved, ("r0", "t", "1", "root", "judge", "independent")))
    assert not any(map(is_reserved, ("main", "dfs", "v2", "r", "seed-1", "votes3", "bfs")))


def test_no_two_rows_have_one_name() -> None:
    places = list(product((1, 2), ("a", "b"), (0, 1), ("main", "x", "y")))
    responses = {response_id(*place) for place in places}
    trees = {tree_id(response, e) for response in responses for e in ("main", "x", "y")}
    assert len(responses) == len(places)
    assert len(trees) > 2 * len(places)


def test_a_prompt_is_named_by_its_text_alone() -> None:
    assert prompt_id("a") == prompt_id("a") != prompt_id("b")
    assert len(prompt_id("é" * 9000)) == 17
