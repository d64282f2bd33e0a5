"""Constraints on how an answer begins and ends."""

from __future__ import annotations

import re
from random import Random

from spar_core.constraints.kind import Arguments, Finding, Kind, speaks_of
from spar_core.constraints.sentences import ended, lowered

_OPENINGS = ("today", "well", "honestly", "sure", "yes", "here", "first", "indeed", "okay", "hello")
_CLOSINGS = (
    "That is all.",
    "Hope this helps.",
    "The end.",
    "Have a nice day.",
    "Thank you for asking.",
    "Is there anything else?",
    "Stay curious.",
    "See you soon.",
)
_POSTSCRIPTS = (
    "Thank you for reading.",
    "Write back soon.",
    "Have a lovely day.",
    "There is more to say.",
    "Do not forget to smile.",
)


def _first(text: str) -> str:
    """The first word as the checker reads it: only what stands before an apostrophe."""
    words = text.split()
    return re.split(r"""[.,?!'"]""", words[0].lstrip("'").lstrip('"'))[0] if words else ""


def _first_whole(text: str) -> str:
    """The first word as a reader sees it; "" where punctuation stands first."""
    return text.split(maxsplit=1)[0].strip(""".,?!'\"""")


def _opening(arguments: Arguments, text: str) -> Finding:
    paragraphs, nth = text.split("\n\n"), arguments["nth_paragraph"]
    count = sum(bool(part.strip()) for part in paragraphs)
    if count != arguments["num_paragraphs"]:
        said = {0: "there is no paragraph", 1: "there is 1 paragraph"}
        return Finding(False, (said.get(count, f"there are {count} paragraphs"),))
    word = _first(paragraphs[nth - 1])
    if not paragraphs[nth - 1].strip():
        return Finding(False, (f"paragraph {nth} is empty",))
    met = "".join(map(str.lower, word)) == str(arguments["first_word"]).lower()
    word = word if met else _first_whole(paragraphs[nth - 1])
    if not word:
        return Finding(met, ("it begins with no word", "no word stands first"))
    return Finding(met, (f'the first word is "{word}"', f'it begins with "{word}"'))


def _begun(arguments: Arguments, text: str, rng: Random) -> str | None:
    if arguments["num_paragraphs"] != 1:
        return None
    text = re.sub(r"\n\s*\n", "\n", text.strip())
    word = str(arguments["first_word"])
    if _first(text).lower() == word.lower():
        return text
    quote = '"' if text.startswith('"') else ""
    return f"{quote}{word.capitalize()}, {lowered(text.removeprefix(quote))}"


def _closing(arguments: Arguments, text: str) -> Finding:
    wanted = str(arguments["end_phrase"]).strip()
    met = text.strip().strip('"').lower().endswith(wanted.lower())
    words = text.strip().strip('"').split()[-max(1, len(wanted.split())) :]
    if not words:
        return Finding(met, ("there is no text", "it says nothing"))
    return Finding(met, (f'it ends with "{" ".join(words)}"', f'the end is "{" ".join(words)}"'))


def _closed(arguments: Arguments, text: str, rng: Random) -> str:
    inner = text.strip().removesuffix('"')
    quote = '"' if inner != text.strip() else ""
    return f"{ended(inner)} {str(arguments['end_phrase']).strip()}{quote}"


_MARKERS = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s"}


def _postscript(arguments: Arguments, text: str) -> Finding:
    marker = arguments["postscript_marker"]
    pattern = _MARKERS.get(marker) or re.escape(str(marker).strip().lower())
    lower = re.search(rf"{pattern}[^\n]*", text.lower())
    if not lower:
        return Finding(False, ("there is no postscript", f"{str(marker).strip()} is not there"))
    found = re.search(rf"{pattern}[^\n]*", text, re.IGNORECASE) or lower
    shown = " ".join(found[0].split()[:4])
    return Finding(True, (f"there is {shown}", f"it has {shown}"))


def _with_postscript(arguments: Arguments, text: str, rng: Random) -> str:
    return f"{text.rstrip()}\n{arguments['postscript_marker']} {rng.choice(_POSTSCRIPTS)}"


OPENING = Kind(
    id="length_constraints:nth_paragraph_first_word",
    type="sentence",
    states=(
        'Write one paragraph that begins with the word "{first_word}".',
        'The first word of your one paragraph must be "{first_word}".',
        'Answer in a single paragraph and start it with "{first_word}".',
    ),
    names=('begins with "{first_word}"', 'first word "{first_word}"'),
    draw=lambda rng, seed: {
        "num_paragraphs": 1,
        "nth_paragraph": 1,
        "first_word": rng.choice(_OPENINGS),
    },
    look=_opening,
    mend=_begun,
    step=50,
    excludes=frozenset(
        {
            "detectable_format:title",
            "detectable_format:number_bullet_lists",
            "detectable_format:multiple_sections",
            "detectable_format:json_format",
            "length_constraints:number_paragraphs",
            "combination:repeat_prompt",
        }
    ),
    spoken_of=speaks_of("begin(?:s|ning)?|starts?|starting|paragraphs?|opening|lists?"),
)

CLOSING = Kind(
    id="startend:end_checker",
    type="sentence",
    states=(
        'Finish with the exact words "{end_phrase}"',
        'The very last words must be "{end_phrase}"',
        'End your answer with "{end_phrase}"',
    ),
    names=('ends with "{end_phrase}"', 'last words "{end_phrase}"'),
    draw=lambda rng, seed: {"end_phrase": rng.choice(_CLOSINGS)},
    look=_closing,
    mend=_closed,
    step=60,
    excludes=frozenset(
        {
            "detectable_content:postscript",
            "detectable_format:json_format",
            "detectable_format:number_bullet_lists",
        }
    ),
    spoken_of=speaks_of("ends?|ending|finish(?:es)?|conclude|conclusion|last"),
)

POSTSCRIPT = Kind(
    id="detectable_content:postscript",
    type="template",
    states=(
        "Add a postscript at the end that begins with {postscript_marker}",
        "At the end of your answer put a postscript starting with {postscript_marker}",
        "Close with a postscript marked {postscript_marker}",
    ),
    names=("a postscript", "{postscript_marker} at the end"),
    draw=lambda rng, seed: {"postscript_marker": "P.S."},
    look=_postscript,
    mend=_with_postscript,
    step=70,
    excludes=frozenset({"startend:end_checker", "detectable_format:json_format"}),
    spoken_of=speaks_of("postscript|p\\.s|tweet|json"),
)
