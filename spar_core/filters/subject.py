"""Subjects that are left out: mathematics and programming, by their words and signs.

The words are English; signs and the names of programming languages are everybody's.
"""

from __future__ import annotations

import re

_TELLING = """
python javascript typescript java php sql mysql sqlite postgresql mongodb html html5 css css3 matlab
kotlin haskell golang perl node.js nodejs react.js reactjs django numpy pandas pytorch pygame opencv
tensorflow xgboost powershell regex leetcode vba fortran verilog webassembly graphql kubernetes
docker arduino github git npm gdscript luau malbolge pseudocode programming codebase backend coding
debugging

math maths mathematics mathematical algebra calculus trigonometry arithmetic polynomial polynomials
logarithm logarithms theorem eigenvalue eigenvalues hypotenuse quadratic fibonacci factorial
decimals hexadecimal variance l'hopital
"""
"""Words of which one is enough."""
_WORDS = frozenset(_TELLING.split())
_WORD = re.compile(r"[a-z][\w.']*\w")

_CODE = r"""
    ```[\w+\#-]*[ ]*\n[^`]*?(?:[=;(]|def|let)
    | ^[ ]*(?:def|class)[ ]\w+[^\n]*:[ ]*$ | ^[ ]*import[ ][\w.]+(?:[ ]as[ ]\w+)?;?[ ]*$
    | ^[ ]*from[ ][\w.]+[ ]import\b | ^[ ]*\#include\b | \w\(\)[\s;.)`] | ;[ ]*\n[^\n]*;[ ]*$
    | </?(?:div|html|body|script|span|table)\b | (?<!\w)c(?:\+\+|\#)
    | \b(?:
        console\.log\b | std:: | public[ ](?:static|int|void|class)\b
        | select\b[^.?!]{1,80}\bfrom\b[^.?!]{1,80}\b(?:where|join|group[ ]by|order[ ]by|limit)\b
        | in[ ](?:c|rust|ruby|swift|bash|go|lua|julia|scala|latex)[.?!]*[ ]*$
        | (?:rust|ruby|swift|bash|shell|lua|batch|excel|latex)[ ](?:code|program|script|function
            |command)s?\b
        | (?:write|create|give|generate|show|provide|fix|debug|explain|optimi[sz]e|refactor|complete
            |design|implement|describe)\b[^.?!\n]{0,40}\b
            (?:(?<!dress[ ])(?<!morse[ ])(?<!promo[ ])code\b(?![ ]of[ ]conduct)
            |algorithm\b|computer[ ]program\b|unit[ ]tests?\b)
        | (?:write|create|need)[ ](?:me[ ])?an?[ ]program[ ](?:to|that|which)\b
        | code[ ](?:snippet|block|review) | piece[ ]of[ ]code\b | (?:source|this|to)[ ]code\b
        | regular[ ]expressions?\b | linux[ ]command | react[ ]native\b | visual[ ]basic\b
        | (?:binary|bubble|quick|merge)[ ](?:search|sort|tree)\b
        | linked[ ]lists?\b | hash[ ]?(?:map|table)s?\b | (?:for|while)[ ]loops?\b
    )
"""

_MATHS = r"""
    [∃∀∑∫√≤≥≠] | \\(?:frac|sqrt|sum|int|cdot)\b | \$[^$\n]{0,80}[\\^_][^$\n]{0,80}\$
    | (?<![\w/.,-])-?\d[\d,.]{0,15}[ ]*[+*×÷^=][ ]*-?\d | \d[ ]+[-−/x][ ]+\d[\d.]*[ ]*(?:[=?]|$)
    | \b(?:
        [xyz][ ]*(?:\^|²|\*\*|[=<>]=?)[ ]*-?\d | \d+[xyz][ ]*[-−+=] | f\(x\)
        | (?:solve|simplify|factori[sz]e|evaluate|integrate|differentiate)\b[^.?!\n]{0,40}\b
            (?:equations?|expressions?|inequalit(?:y|ies)|integrals?|for[ ][xyz])\b
        | (?:derivative|integral|determinant)[ ]of\b | prime[ ]numbers?\b | (?:square|cube)[ ]root\b
        | geometric[ ](?:mean|series)\b | standard[ ]deviation\b | (?:greatest|least)[ ]common\b
        | matri(?:x|ces)[ ]multiplication\b | linear[ ]regression\b
        | (?:calculate|compute|find|determine|what(?:[’']s|[ ]is|[ ]are))\b[^.?!\n]{0,40}\b
            (?:area|perimeter|circumference|volume|sum|product|average|mean|median|probability
            |percentage|remainder|quotient|square|cube|slope|interest)[ ](?:of|that|for)\b
            [^?!\n]{0,60}\d
    )
"""

_SIGNS = re.compile(f"{_CODE}|{_MATHS}", re.IGNORECASE | re.VERBOSE | re.MULTILINE)

_NUMBER = (
    r"\d[\d,.]*|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|forty|fifty"
    r"|half|halves|thirds?|quarters?|fifths?|twice|thrice|doubles?|dozen|hundred"
)
_NUMBERS = re.compile(rf"(?<![\w*])(?:{_NUMBER})(?=\b(?!\))|[a-z%$])", re.IGNORECASE)
_LIMITS = re.compile(
    rf"\b(?:at (?:least|most)|exactly|(?:less|fewer|more) than|up to|under|over) (?:{_NUMBER})"
    rf"|\b(?:{_NUMBER})[- ](?:word|sentence|paragraph|section|bullet|tip|step|reason|way|idea)s?\b",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"\b(?:how (?:many|much|old|far|fast|long|tall|big|heavy)"
    r"|what (?:percent(?:age)?|fraction|number|time|floor)|calculate"
    r"|what(?:[’']s| is| was| will| are)\b[^.?!]{0,60}\b(?:total|combined|sum|average|cost|price"
    r"|weights?|score|profit|length|depth|age|number|value|amount|percent(?:age)?|temperature"
    r"|perimeter|area|maximum|minimum))\b[^.?!]*",
    re.IGNORECASE,
)
_GIVEN = 2
_DENSE = 25
"""A problem in words gives so many numbers at least, and one in so many words."""


def is_maths_or_code(text: str) -> bool:
    """Whether a text is about mathematics or programming, or poses a problem in numbers."""
    return (
        not _WORDS.isdisjoint(_WORD.findall(text.lower()))
        or _SIGNS.search(text) is not None
        or _is_word_problem(text)
    )


def _is_word_problem(text: str) -> bool:
    """Numbers are given and one is asked for; what comes after the question sets limits."""
    ends = [asked.end() for asked in _ASKED.finditer(text)]
    if not ends:
        return False
    problem = _LIMITS.sub("", text[: ends[-1]])
    given = len(_NUMBERS.findall(problem))
    return given >= _GIVEN and given * _DENSE >= len(problem.split())
