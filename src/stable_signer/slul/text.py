"""German text as SLUL reads it: lower case, no punctuation, figures in words (as in weather forecasts)."""

from __future__ import annotations

import re

MONTHS = [
    "januar",
    "februar",
    "märz",
    "april",
    "mai",
    "juni",
    "juli",
    "august",
    "september",
    "oktober",
    "november",
    "dezember",
]
_ONES = [
    "null",
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
]
_TENS = ("", "", *["zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"])
_ORDINALS = {1: "ersten", 3: "dritten", 7: "siebten", 8: "achten"}


def german_number(value: int) -> str:
    """A whole number from 0 to 999,999 in one German word: 25 -> fünfundzwanzig."""
    if value < 20:
        return _ONES[value]
    if value < 100:
        tens, ones = divmod(value, 10)
        return (("ein" if ones == 1 else _ONES[ones]) + "und" if ones else "") + _TENS[tens]
    for scale, name in ((1000, "tausend"), (100, "hundert")):
        if value >= scale:
            head, rest = divmod(value, scale)
            return (
                ("ein" if head == 1 else german_number(head)) + name + (german_number(rest) if rest else "")
            )
    return ""


def german_ordinal(value: int) -> str:
    """The rank as it stands after "am": 12 -> zwölften, 31 -> einunddreißigsten."""
    if value in _ORDINALS:
        return _ORDINALS[value]
    return german_number(value) + ("ten" if value < 20 else "sten")


def normalise_german(text: str) -> str:
    """`text` in the form of the training corpus; "" when it has no letter and no figure."""
    text = text.lower().replace("’", "'")
    months = "|".join(MONTHS)
    text = re.sub(rf"\b(\d{{1,2}})\.\s*(?={months})", lambda m: german_ordinal(int(m[1])) + " ", text)
    text = re.sub(r"(?<![\w])[-−](?=\d)", "minus ", text)
    text = re.sub(r"°\s*c?\b|°", " grad ", text)
    text = re.sub(r"(\d+),(\d+)", lambda m: f"{m[1]} komma " + " ".join(m[2]), text)
    text = re.sub(
        r"\d+", lambda m: f" {german_number(int(m[0])) if int(m[0]) < 10**6 else ' '.join(m[0])} ", text
    )
    text = re.sub(r"\d", lambda m: f" {_ONES[int(m[0])]} ", text)
    return " ".join(re.sub(r"[^\w\s]|_", " ", text).split())
