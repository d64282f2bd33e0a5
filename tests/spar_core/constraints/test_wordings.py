"""What a model was trained on stays as it is: the bundled adapter knows these words.

And what is said binds the runs that say it.
"""

from __future__ import annotations

import hashlib
import json
from inspect import getsource
from random import Random

import pytest

from spar_core.constraints import KINDS, wordings
from spar_core.constraints.kind import Kind
from spar_core.conversation import hashed
from tests.spar_core.constraints.asked import ORDINARY, arguments_of

TRAINED_ON = {
    "keywords:existence": "c58242d686174329",
    "keywords:forbidden_words": "dd3c8dbecc1fde91",
    "change_case:english_lowercase": "4aede064c2bbb0ed",
    "punctuation:no_comma": "204c80bcf4d10938",
    "startend:quotation": "d096238bfa7014bc",
    "length_constraints:nth_paragraph_first_word": "04c5c93614afcc6b",
    "startend:end_checker": "2c8d7ccfa4b60cea",
    "detectable_content:postscript": "2fa442adb4051f72",
    "detectable_content:number_placeholders": "96bbf0eb3804e772",
    "detectable_format:title": "d7fc91d6f8f35a2c",
    "detectable_format:number_highlighted_sections": "6892f0233344f8da",
}
"""Of kinds that the adapter was trained on: what they say of ordinary answers, and do with them."""


def digest(kind: Kind) -> str:
    """Of all wordings of a kind, and of what it finds in and makes of ordinary answers."""
    said: list[object] = [kind.states, kind.names]
    for arguments in arguments_of(kind, 8):
        for text in ORDINARY:
            finding = kind.look(arguments, text)
            made = None if finding.met else kind.mend(arguments, text, Random(0))
            said.append([dict(arguments), finding, made])
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", TRAINED_ON)
def test_a_kind_says_what_the_adapter_was_trained_on(name: str) -> None:
    assert digest(KINDS[name]) == TRAINED_ON[name], "other words need another adapter"


def test_the_fingerprint_is_of_all_that_is_said() -> None:
    said = [text for module in wordings._MODULES for text in wordings.texts(getsource(module))]
    for kind in KINDS.values():
        assert {*kind.states, *kind.names} <= {*said}, kind.id
    for text in ("there is no capital letter", "Remember the word {word}.", "Mend: ", "missed"):
        assert text in said
    assert wordings.fingerprint() == hashed(*said)


def test_only_texts_change_the_fingerprint() -> None:
    source = '"""A module."""\nX = 1\n"""A number."""\n'
    source += 'def f(a):\n    """Say."""\n    return f"a {a} b"\n'
    assert [*wordings.texts(source)] == ["a ", " b"]
    changed = source.replace("Say", "Tell").replace("A number", "It").replace("X", "Y  # said")
    assert [*wordings.texts(changed)] == ["a ", " b"]
    assert [*wordings.texts(source.replace(" b", " c"))] == ["a ", " c"]
