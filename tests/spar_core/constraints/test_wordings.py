"""What a model was trained on stays as it is: the bundled adapter knows these words."""

from __future__ import annotations

import hashlib
import json
from random import Random

import pytest

from spar_core.constraints import KINDS
from spar_core.constraints.kind import Kind
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
