"""Cut a text into tokens and sentences: words, numbers, addresses, overrides, and what cannot be signed."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from stable_signer.errors import StableSignerError

TITLES = {
    "dr": "doctor",
    "mr": "mr",
    "mrs": "mrs",
    "ms": "ms",
    "prof": "professor",
    "st": "st",
    "jr": "jr",
    "sr": "sr",
    "vs": "against",
    "etc": "etc",
    "approx": "about",
    "dept": "department",
    "gov": "government",
    "sen": "senator",
    "rev": "reverend",
    "mt": "mt",
    "ave": "avenue",
    "blvd": "boulevard",
    "inc": "inc",
}
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_HALF = r"[ap]\.?m\b\.?"
LONGEST_SENTENCE = 150
"""Tokens after which a text without any end mark is cut: nobody signs longer without a pause."""
PATTERNS = (
    ("override", r"\[\[[^\[\]]*\]\]"),
    ("email", r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"),
    (
        "url",
        r"(?:https?://|www\.)[^\s<>\"]*[\w/]"
        r"|\b[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,5}\.(?:com|org|net|edu|gov|info|tv)\b(?:/[\w/.-]*\w)?",
    ),
    (
        "phone",
        r"(?:\+?\d{1,3}[ .-])?(?:\(\d{3}\) ?|\b\d{3}[ .-])\d{3}[ .-]\d{4}(?!\d)"
        r"|(?<![\d-])\d{3}-\d{4}(?![\d-])",
    ),
    ("date", r"\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})(?!\d)|\d{4}-\d{1,2}-\d{1,2}(?!\d)"),
    (
        "time",
        rf"(?P<hour>\d{{1,2}}):(?P<minute>[0-5]\d)(?!\d)(?:\s?(?P<half>{_HALF}))?"
        rf"|(?P<hour_only>\d{{1,2}})\s?(?P<half_only>{_HALF})|(?P<sharp>\d{{1,2}})\s?o['’]clock\b",
    ),
    (
        "money",
        rf"(?P<currency>[$€£¥])\s?(?P<amount>{_NUMBER}(?:\.\d+)?)"
        r"(?:\s?(?P<scale>hundred|thousand|million|billion)\b)?",
    ),
    ("percent", rf"(?P<rate>{_NUMBER}(?:\.\d+)?)\s?%"),
    ("ordinal", r"(?P<rank>\d{1,3})(?:st|nd|rd|th)\b"),
    ("fraction", r"(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?![\d/])"),
    ("number", rf"(?:(?<![\w-])[-\u2212])?{_NUMBER}(?:\.\d+)*(?!\w)"),
    ("title", r"\b(?:" + "|".join(TITLES) + r")\.(?=\s|$|,)"),
    ("dotted", r"\b(?:[^\W\d_]\.){2,}(?:[^\W\d_]\b)?"),
    # Letters and digits with marks that combine, then '... and -... that go on with letters or digits.
    (
        "word",
        r"[^\W_][^\W_\u0300-\u036f]*(?:[\u0300-\u036f]+[^\W_]*)*"
        r"(?:['’\u2010\u2011-][^\W_]+(?:[\u0300-\u036f]+[^\W_]*)*)*(?:(?<=s)['’](?!\w))?",
    ),
    ("end", r"[.!?…]+(?!(?-i:[a-z0-9]))"),
    ("comma", r"[,;:]|--+|[—–]|\s-\s|[()]"),
    ("break", r"\n\s*\n\s*"),
    ("symbol", r"[&+=@#%°$€£¥]"),
    ("space", r"\s+"),
)
_NAMES = {name for name, _ in PATTERNS}
_TOKEN = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in PATTERNS), re.IGNORECASE)


@dataclass(frozen=True)
class Token:
    """A piece of text: `kind` is a name of PATTERNS or "unsignable"; `groups` what its pattern captured."""

    kind: str
    text: str
    groups: dict[str, str]


def letters(text: str, language: str = "ase") -> str:
    """The letters A-Z and digits that spell `text`, accents reduced (é -> E); "" when one cannot be spelled.

    German umlauts become AE, OE, UE for `gsg`; ß is SS everywhere. Marks such as hyphens are left out.
    """
    if language == "gsg":
        text = re.sub("[äöüÄÖÜ]", lambda m: {"ä": "ae", "ö": "oe", "ü": "ue"}[m[0].lower()], text)
    for old, new in (
        ("ß", "ss"),
        ("ø", "o"),
        ("Ø", "O"),
        ("æ", "ae"),
        ("Æ", "AE"),
        ("œ", "oe"),
        ("Œ", "OE"),
        ("ł", "l"),
        ("Ł", "L"),
        ("đ", "d"),
        ("Đ", "D"),
        ("ð", "d"),
        ("þ", "th"),
        ("ı", "i"),
    ):
        text = text.replace(old, new)
    out = []
    for char in unicodedata.normalize("NFKD", text):
        if char.isdecimal():
            out.append(str(int(char)))
        elif char.isascii() and char.isalpha():
            out.append(char.upper())
        elif char.isalnum():
            return ""
    return "".join(out)


def tokenise(text: str) -> list[Token]:
    """All tokens of `text` in order, spaces and quiet punctuation left out.

    Characters that nothing can sign (emoji, other scripts, control characters) come as "unsignable" tokens,
    neighbours joined. StableSignerError when the override brackets are malformed.
    """
    tokens: list[Token] = []
    position = joined = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match and match.end() > position:
            kind = next(n for n, _ in PATTERNS if match[n] is not None)
            groups = {k: v for k, v in match.groupdict().items() if v is not None and k not in _NAMES}
            if kind in ("word", "dotted") and not letters(match[0]):
                kind = "unsignable"
            tokens.append(Token(kind, match[0], groups))
            position = match.end()
            continue
        char = text[position]
        category = unicodedata.category(char)
        # Quiet punctuation and combining marks carry no content; all else that no pattern took does.
        if category[0] not in "PM" and category not in ("Zs", "Sk", "Cf") and char not in "|<>^~`":
            if tokens and tokens[-1].kind == "unsignable" and joined == position:
                tokens[-1] = Token("unsignable", tokens[-1].text + char, {})
            else:
                tokens.append(Token("unsignable", char, {}))
            joined = position + 1
        elif joined == position:
            joined += 1
        position += 1
    outside = re.sub(PATTERNS[0][1], " ", text)
    if "[[" in outside or "]]" in outside:
        raise StableSignerError(
            "the brackets of an override do not match: write [[GLOSS]], [[fs:Name]] or [[pause 0.5]]"
        )
    return [t for t in tokens if t.kind != "space"]


def sentences(tokens: list[Token]) -> list[list[Token]]:
    """Cut at sentence ends and blank lines. The end mark stays as the last token of its sentence."""
    out: list[list[Token]] = [[]]
    for index, token in enumerate(tokens):
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        if token.kind == "break":
            out.append([])
            continue
        if token.kind == "end" and not out[-1] and len(out) > 1 and out[-2] and out[-2][-1].kind == "end":
            continue
        if len(out[-1]) >= LONGEST_SENTENCE and token.kind in ("word", "comma"):
            out.append([])
        out[-1].append(token)
        mild = token.text in ("...", "…", "..") and following is not None and following.text[:1].islower()
        # A quotation that ends with ! or ? inside a sentence goes on in lower case: "Stop!" she said.
        quoted = (
            token.kind == "end"
            and "." not in token.text
            and following is not None
            and following.text[:1].islower()
        )
        if (token.kind == "end" and not mild and not quoted) or (
            token.text.endswith(".")
            and following is not None
            and (
                (token.kind == "dotted" and following.text in _STARTERS)
                or (token.kind == "time" and following.text[:1].isupper())
            )
        ):
            out.append([])
    return [s for s in out if any(t.kind not in ("end", "comma") for t in s)]


_STARTERS = {
    "I",
    "He",
    "She",
    "It",
    "We",
    "They",
    "You",
    "The",
    "A",
    "An",
    "My",
    "His",
    "Her",
    "Our",
    "This",
    "That",
    "What",
    "Where",
    "When",
    "Why",
    "Who",
    "How",
    "Is",
    "Are",
    "Do",
    "Does",
    "Did",
    "Then",
    "But",
}
