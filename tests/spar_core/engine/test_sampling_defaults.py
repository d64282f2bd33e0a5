"""Servers' own sampling is switched off where their kind is known, and told of where not."""

from __future__ import annotations

import pytest

from spar_core.engine.sampling_defaults import kind_of, neutral, remarks


@pytest.mark.parametrize("kind", ["vllm", "sglang", "llamacpp"])
def test_known_kinds_are_told_to_cut_nothing(kind: str) -> None:
    assert kind_of(kind) == kind
    fields = neutral(kind)
    assert fields["top_k"] in (0, -1) and fields["min_p"] == 0
    assert all(value in (-1, 0, 1) for value in fields.values())
    assert remarks({"http://a": kind}) == []


@pytest.mark.parametrize("owner", ["", "openai", "system", "acme"])
def test_of_other_servers_it_is_said_and_nothing_is_sent(owner: str) -> None:
    assert not neutral(kind_of(owner))
    [said] = remarks({"http://me:secret@a": owner, "http://b": owner, "http://c": "vllm"})
    assert said.startswith("the engine at http://***@a (and 1 more) is not told to be of a kind")
    assert "--engine vllm" in said and "secret" not in said


def test_of_ollama_it_is_said_where_its_defaults_are_set() -> None:
    assert not neutral(kind_of("library"))
    [said] = remarks({"http://a": "library"})
    assert "Ollama" in said and "Modelfile" in said
