"""The constraint taxonomy, for writers that are models: types, and what each asks for.

Types and groups are the paper's (arXiv 2412.11605, appendix); the descriptions are ours.
"""

from __future__ import annotations

TYPES: dict[str, str] = {
    "text format": "the layout of the answer: JSON, a table, Markdown headings, a bulleted list",
    "character case": "upper or lower case of letters or of words",
    "template": "a fixed frame that the answer fills in, with a title, labels or a postscript",
    "punctuation": "punctuation marks to use, to avoid or to end with",
    "number format": "how numbers are written: in words, as digits, with so many decimals",
    "keyword": "words that must or must not occur, or how often they do",
    "symbol": "special characters or marks: quotation marks, asterisks, brackets, emojis",
    "sentence": "a sentence or phrase that must stand in the answer, at its start or its end",
    "genre": "the kind of text: a poem, a letter, a dialogue, a news report",
    "language": "the language to answer in, or a mixture of languages",
    "situation": "a situation or a role that the answer is written in or for",
    "language style": "a style: formal, humorous, archaic, for children",
    "sentiment": "a feeling or an attitude that the answer shows",
    "length": "how many words, sentences, paragraphs or items the answer has",
}
"""By type; `length` comes last wherever constraints are listed."""

LENGTH = "length"
