"""Constraints on layout: bullets, title, highlights, sections, paragraphs, placeholders, JSON."""

from __future__ import annotations

import json
import re
from random import Random

from spar_core.constraints.kind import Arguments, Finding, Kind, speaks_of
from spar_core.constraints.sentences import GOES_ON, WORD, ended, in_groups, sentences

_BULLETS = (r"^\s*\*[^\*].*$", r"^\s*-.*$")
_SHORT = """
a an and are as at be but by for from has have if in into is it its of on or that the their
there they this to was were will with you your i my we our
"""
_LITTLE = frozenset(_SHORT.split())
_FILLED = (
    "Write to [email] to learn more.",
    "Ask for [name] at the desk.",
    "Come to [address] any day.",
    "It takes place on [date].",
    "Call [phone number] for more.",
)
_KEYS = ("answer", "text", "response")
_PLAIN = re.compile(rf"(?<![\w*\[<])(?<!\w['’])[^\W\d_]{{4,}}(?![\w*\]>]|{GOES_ON})")
"""A whole word that nothing marks yet, without an apostrophe."""
_JSON_ID = "detectable_format:json_format"


def _number(count: int, noun: str) -> str:
    return f"there is 1 {noun}" if count == 1 else f"there are {count} {noun}s"


def _bullets(arguments: Arguments, text: str) -> Finding:
    count = sum(len(re.findall(pattern, text, re.MULTILINE)) for pattern in _BULLETS)
    said = _number(count, "bullet point") if count else "there is no bullet point"
    return Finding(count == arguments["num_bullets"], (said,))


def _parts(text: str, number: int) -> list[str] | None:
    """A text in so many parts: its lines, its sentences, or what its commas divide."""
    bare = [re.sub(r"^\s*(?:[*-]|\d+[.)])\s+", "", line) for line in text.splitlines()]
    lines = [line.strip() for line in bare if line.strip()]
    for parts, glue in (
        (lines, " "),
        (sentences(" ".join(lines)), " "),
        (re.split(r",\s+(?:and\s+)?", " ".join(lines)), ", "),
    ):
        if groups := in_groups(parts, number):
            return [glue.join(group) for group in groups]
    return None


def _as_bullets(arguments: Arguments, text: str, rng: Random) -> str | None:
    mark = rng.choice("*-")
    parts = _parts(text, arguments["num_bullets"])
    return "\n".join(f"{mark} {part}" for part in parts) if parts else None


def _title(arguments: Arguments, text: str) -> Finding:
    # To the first >>, and where nothing stands before that, to the last on the line.
    found = [*re.findall(r"<<[^\n]+?>>", text), *re.findall(r"<<[^\n]+>>", text)]
    title = next((each for each in found if each.lstrip("<").rstrip(">").strip()), None)
    if title is None:
        return Finding(False, ("there is no title", "no title stands in << >>"))
    return Finding(True, (f"the title is {title}", f"there is {title}"))


def _is_little(word: str) -> bool:
    """Whether it says little by itself; `it's` says no more than `it`."""
    return re.split("['’]", word)[0].lower() in _LITTLE


def _titled(arguments: Arguments, text: str, rng: Random) -> str:
    words = WORD.findall(text)
    main = [word for word in words if not _is_little(word)] or words or ["Answer"]
    return f"<<{' '.join(word.capitalize() for word in main[:2])}>>\n{text.lstrip()}"


def _highlights(arguments: Arguments, text: str) -> Finding:
    wanted = arguments["num_highlights"]
    single = [part for part in re.findall(r"\*[^\n\*]*\*", text) if part.strip("*").strip()]
    double = [part for part in re.findall(r"\*\*[^\n\*]*\*\*", text) if part.strip("*").strip()]
    count = len(single) + len(double)
    if not count:
        return Finding(False, ("nothing is highlighted", "no part stands in asterisks"))
    shown = " and ".join([*single, *double][:wanted])
    return Finding(count >= wanted, (f"{shown} {'are' if count > 1 else 'is'} highlighted",))


def _highlighted(arguments: Arguments, text: str, rng: Random) -> str | None:
    left = arguments["num_highlights"] - sum(
        bool(part.strip("*").strip()) for part in re.findall(r"\*[^\n\*]*\*", text)
    )
    words = [each for each in _PLAIN.finditer(text) if each[0].lower() not in _LITTLE]
    if len(words) < left:
        return None
    for word in reversed(words[: max(0, left)]):
        text = f"{text[: word.start()]}*{word[0]}*{text[word.end() :]}"
    return text


def _sections(arguments: Arguments, text: str) -> Finding:
    name, wanted = str(arguments["section_spliter"]).strip(), arguments["num_sections"]
    count = len(re.findall(rf"{re.escape(name)}\s?\d+", text))
    said = _number(count, "section") if count else f"no part is marked {name}"
    return Finding(count >= wanted, (said,))


def _in_sections(arguments: Arguments, text: str, rng: Random) -> str | None:
    parts = _parts(text, arguments["num_sections"])
    name = str(arguments["section_spliter"]).strip()
    return "\n".join(f"{name} {i}\n{part}" for i, part in enumerate(parts, 1)) if parts else None


def _paragraphs(arguments: Arguments, text: str) -> Finding:
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", text)]
    if not all(parts[1:-1]):
        return Finding(False, ("nothing stands between two ***",))
    count = len([part for part in parts if part])
    said = f"{_number(count, 'paragraph')} between ***" if count else "there is no paragraph"
    return Finding(count == arguments["num_paragraphs"], (said,))


def _in_paragraphs(arguments: Arguments, text: str, rng: Random) -> str | None:
    parts = _parts(text.replace("***", "\n"), arguments["num_paragraphs"])
    return "\n***\n".join(parts) if parts else None


def _placeholders(arguments: Arguments, text: str) -> Finding:
    found = re.findall(r"\[.*?\]", text)
    if not found:
        return Finding(False, ("there is no placeholder", "nothing stands in square brackets"))
    shown = " and ".join(found[: arguments["num_placeholders"]])
    return Finding(len(found) >= arguments["num_placeholders"], (f"there is {shown}",))


def _with_placeholders(arguments: Arguments, text: str, rng: Random) -> str | None:
    left = arguments["num_placeholders"] - len(re.findall(r"\[.*?\]", text))
    if left > len(_FILLED):
        return None
    for added in rng.sample(_FILLED, max(0, left)):
        text = f"{ended(text)} {added}"
    return text


def _json(arguments: Arguments, text: str) -> Finding:
    bare = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        bare = bare.removeprefix(fence)
    try:
        json.loads(bare.removesuffix("```").strip())
    except (ValueError, RecursionError):
        words = text.split()
        if not words:
            return Finding(False, ("there is no text", "it is no JSON"))
        first = words[0]
        return Finding(False, (f"it begins with {first} and is no JSON", "it is no JSON"))
    return Finding(True, ("it is JSON", "all of it is JSON"))


def _as_json(arguments: Arguments, text: str, rng: Random) -> str | None:
    if text.lstrip().startswith(("{", "[")):  # JSON that is broken is no text to put into some
        return None
    key = rng.choice(_KEYS)
    if text.isupper():  # its escapes for lines are small letters
        key, text = key.upper(), " ".join(text.split())
    return json.dumps({key: text.strip()}, ensure_ascii=False)


def _repeated(arguments: Arguments, text: str) -> Finding:
    wanted = str(arguments["prompt_to_repeat"]).strip()
    met = text.strip().lower().startswith(wanted.lower())
    shown = " ".join(text.split()[:4])
    return Finding(met, (f'it begins with "{shown}"' if shown else "there is no text",))


def _repeating(arguments: Arguments, text: str, rng: Random) -> str:
    return f"{str(arguments['prompt_to_repeat']).strip()}\n{text.strip()}"


_FORMAT = speaks_of("lists?|bullets?|table|format|json|code|poem|haiku|tweet|email|letter|essay")

BULLETS = Kind(
    id="detectable_format:number_bullet_lists",
    type="text format",
    states=(
        "Answer with exactly {num_bullets} bullet points, each on a line that begins with *.",
        "Use exactly {num_bullets} bullet points (lines that start with *).",
    ),
    names=("exactly {num_bullets} bullet points", "{num_bullets} bullets"),
    draw=lambda rng, seed: {"num_bullets": rng.choice((2, 3))},
    look=_bullets,
    mend=_as_bullets,
    step=30,
    excludes=frozenset(
        {
            "detectable_format:multiple_sections",
            "detectable_format:number_highlighted_sections",
            "length_constraints:number_paragraphs",
            "combination:repeat_prompt",
            "startend:end_checker",
            "startend:quotation",
            _JSON_ID,
        }
    ),
    spoken_of=_FORMAT,
)

TITLE = Kind(
    id="detectable_format:title",
    type="template",
    states=(
        "Put a title in double angular brackets above it, such as <<title>>.",
        "Give it a title wrapped in double angular brackets, like <<title>>.",
    ),
    names=("a title in << >>", "a title in double brackets"),
    draw=lambda rng, seed: {},
    look=_title,
    mend=_titled,
    step=65,
    excludes=frozenset({_JSON_ID, "combination:repeat_prompt"}),
    spoken_of=speaks_of("titles?|titled|headlines?|headings?|name"),
)

HIGHLIGHTS = Kind(
    id="detectable_format:number_highlighted_sections",
    type="text format",
    states=(
        "Highlight at least {num_highlights} of your words with asterisks, like *this*.",
        "Put at least {num_highlights} of your words between asterisks, like *this*.",
    ),
    names=("at least {num_highlights} highlighted", "{num_highlights} in asterisks"),
    draw=lambda rng, seed: {"num_highlights": rng.choice((1, 2))},
    look=_highlights,
    mend=_highlighted,
    step=35,
    excludes=frozenset(
        {"detectable_format:number_bullet_lists", "length_constraints:number_paragraphs", _JSON_ID}
    ),
    spoken_of=speaks_of("highlight(?:s|ed)?|bold|italics?|asterisks?|emphasi[sz]e"),
)

SECTIONS = Kind(
    id="detectable_format:multiple_sections",
    type="text format",
    states=(
        "Divide it into {num_sections} parts, each marked {section_spliter} and its number.",
        "Write {num_sections} parts and head them {section_spliter} 1 and so on.",
    ),
    names=("{num_sections} parts marked {section_spliter}",),
    draw=lambda rng, seed: {
        "section_spliter": rng.choice(("Section", "PART")),
        "num_sections": rng.choice((2, 3)),
    },
    look=_sections,
    mend=_in_sections,
    step=30,
    excludes=frozenset(
        {
            "detectable_format:number_bullet_lists",
            "length_constraints:number_paragraphs",
            "change_case:english_lowercase",
            "change_case:english_capital",
            _JSON_ID,
        }
    ),
    spoken_of=_FORMAT,
)

PARAGRAPHS = Kind(
    id="length_constraints:number_paragraphs",
    type="length",
    states=(
        "Write exactly {num_paragraphs} paragraphs, divided by ***.",
        "There should be {num_paragraphs} paragraphs with *** between them.",
    ),
    names=("{num_paragraphs} paragraphs divided by ***",),
    draw=lambda rng, seed: {"num_paragraphs": rng.choice((2, 3))},
    look=_paragraphs,
    mend=_in_paragraphs,
    step=30,
    excludes=frozenset({_JSON_ID, "combination:repeat_prompt"}),
    spoken_of=_FORMAT,
)

PLACEHOLDERS = Kind(
    id="detectable_content:number_placeholders",
    type="template",
    states=(
        "Leave at least {num_placeholders} placeholder in square brackets, such as [address].",
        "Your answer must have at least {num_placeholders} placeholder in square brackets, "
        "like [name].",
    ),
    names=("a placeholder in brackets", "[placeholder]"),
    draw=lambda rng, seed: {"num_placeholders": 1},
    look=_placeholders,
    mend=_with_placeholders,
    step=40,
    excludes=frozenset({_JSON_ID}),
    spoken_of=speaks_of("placeholders?|brackets?|templates?|fill"),
)

JSON = Kind(
    id=_JSON_ID,
    type="text format",
    states=("Give your whole answer as JSON.", "Wrap the entire answer in JSON format."),
    names=("all of it JSON", "JSON format"),
    draw=lambda rng, seed: {},
    look=_json,
    mend=_as_json,
    step=95,
    excludes=frozenset({"combination:repeat_prompt"}),
    spoken_of=_FORMAT,
)

REPEAT = Kind(
    id="combination:repeat_prompt",
    type="template",
    states=(
        'First repeat this word for word: "{prompt_to_repeat}" Then give your answer.',
        'Before you answer repeat these words without change: "{prompt_to_repeat}"',
    ),
    names=("repeats the request first",),
    draw=lambda rng, seed: {"prompt_to_repeat": " ".join(seed.split())},
    look=_repeated,
    mend=_repeating,
    step=96,
    excludes=frozenset(
        {"change_case:english_lowercase", "change_case:english_capital", "punctuation:no_comma"}
    ),
    spoken_of=speaks_of("repeat|translate|json"),
)
