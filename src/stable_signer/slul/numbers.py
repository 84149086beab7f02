"""Numbers, money, times and dates as ASL signers sign them: text in, glosses out.

Everything here returns plain glosses of `weights/glosses.csv`; the planner makes signs of them.
"""

from __future__ import annotations

import re

MONTHS = ("JAN", "FEB", "MARCH", "APRIL", "MAY", "JUNE", "JULY", "AUG", "SEPT", "OCT", "NOV", "DEC")
"""Months are spelled in ASL, the long ones shortened."""

MONTH_NAMES = {
    name: index
    for index, names in enumerate(
        (
            "january jan",
            "february feb",
            "march mar",
            "april apr",
            "may",
            "june jun",
            "july jul",
            "august aug",
            "september sept sep",
            "october oct",
            "november nov",
            "december dec",
        ),
        start=1,
    )
    for name in names.split()
}
ORDINALS = ("FIRST", "SECOND", "THIRD", "FOURTH", "FIFTH", "SIXTH", "SEVENTH", "EIGHTH", "NINTH", "TENTH")
_SMALL = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen
"""
_ONES = _SMALL.split()
_DECADES = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {w: 10 * i for i, w in enumerate(_DECADES.split(), 2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_LARGEST = 10**12
CURRENCIES = {"$": "DOLLAR", "€": "EURO", "£": "POUND", "¥": "YEN"}


def digits(text: str) -> tuple[str, ...]:
    """Each decimal digit of `text` (any script) as its number gloss: "555" -> 5 5 5."""
    return tuple(str(int(c)) for c in text if c.isdecimal())


def cardinal(value: int) -> tuple[str, ...]:
    """A whole number: 25 -> 25; 47 -> 4 7; 125 -> 1 HUNDRED 25; 2500 -> 2 THOUSAND 5 HUNDRED."""
    if value < 0:
        return ("MINUS", *cardinal(-value))
    if value >= _LARGEST:
        return digits(str(value))
    for name, scale in (("BILLION", 10**9), ("MILLION", 10**6), ("THOUSAND", 1000), ("HUNDRED", 100)):
        if value >= scale:
            rest = cardinal(value % scale) if value % scale else ()
            return (*cardinal(value // scale), name, *rest)
    if value <= 30 or value % 10 == 0:
        return (str(value),)
    return (str(value // 10), str(value % 10))


def year(value: int) -> tuple[str, ...]:
    """A year, 1100 to 2099, in two halves: 1984 -> 19 8 4; 2005 -> 20 0 5; 2000 -> 2 THOUSAND."""
    century, rest = divmod(value, 100)
    if value % 1000 == 0:
        return cardinal(value)
    if rest == 0:
        return (*cardinal(century), "HUNDRED")
    if rest < 10:
        return (*cardinal(century), "0", str(rest))
    return (*cardinal(century), *cardinal(rest))


def decimal(text: str) -> tuple[str, ...]:
    """A written number: PERIOD before the decimals, which are signed one by one: 3.14 -> 3 PERIOD 1 4.

    Numbers with a leading zero, more than twelve digits or several points are signed digit by digit, and so
    are long ones that nobody divided by commas or rounded: those are names of things (a zip code, an order),
    not amounts.
    """
    plain = text.replace(",", "")
    sign: tuple[str, ...] = ("MINUS",) if plain[0] in "-\u2212" else ()
    whole, *groups = plain.lstrip("-\u2212").split(".")
    named = len(whole) >= 5 and "," not in text and not groups and whole[-2:] != "00"
    if named or len(groups) > 1 or (len(whole) > 1 and whole[0] == "0") or len(whole) > 12:
        out = digits(whole)
    else:
        out = cardinal(int(whole)) if whole else ()
    for group in groups:
        out = (*out, "PERIOD", *digits(group))
    return (*sign, *out)


def ordinal(value: int) -> tuple[str, ...]:
    """1 -> FIRST ... 10 -> TENTH; above that the number stands alone, as signers do in dates and lists."""
    return (ORDINALS[value - 1],) if 1 <= value <= len(ORDINALS) else cardinal(value)


Reading = tuple[tuple[str, tuple[str, ...]], ...]
"""Signs in order, each a label and its parts: ("2024", ("20", "24")) is a number, ("TIME", ()) a gloss."""


def clock(hour: int, minute: int, half: str) -> Reading:
    """A time of day: TIME, the hour, the minutes, then MORNING, AFTERNOON, EVENING or NIGHT for am and pm.

    `half` is "am", "pm" or "". Noon and midnight are signed as such: 12 pm -> NOON. Hour and minutes are
    signs of their own: in one movement, 7:45 would read as 745.
    """
    if hour == 12 and not minute and half:
        return (("NOON" if half == "pm" else "MIDNIGHT", ()),)
    reading: Reading = (("TIME", ()), (str(hour), cardinal(hour)))
    if minute:
        minutes = ("0", str(minute)) if minute < 10 else cardinal(minute)
        reading = (*reading, (f"{minute:02d}", minutes))
    if half == "am":
        return (*reading, ("MORNING", ()))
    if half == "pm":
        late = hour % 12
        return (*reading, ("AFTERNOON" if late < 5 else "EVENING" if late < 9 else "NIGHT", ()))
    return reading


def money(symbol: str, amount: str, scale: str) -> Reading:
    """An amount: ("$", "25.50", "") -> 25 DOLLAR 50 CENT; ("$", "5", "million") -> 5 MILLION DOLLAR."""
    unit = (CURRENCIES[symbol], ())
    whole, _, cents = amount.replace(",", "").partition(".")
    if scale or (cents and len(cents) != 2):
        glosses = (*decimal(amount), *((scale.upper(),) if scale else ()))
        return ((f"{amount} {scale}".strip().upper(), glosses), unit)
    reading: Reading = ()
    if int(whole) or not int(cents or "0"):
        reading = ((whole, decimal(whole)), unit)
    if int(cents or "0"):
        reading = (*reading, (cents, cardinal(int(cents))), ("CENT", ()))
    return reading


def date(day: int, month: int, written_year: str = "") -> Reading:
    """A day of the year: (5, 5, "2024") -> fs-MAY 5 20 24. `month` runs from 1 to 12."""
    reading: Reading = ((f"fs-{MONTHS[month - 1]}", ()), (str(day), cardinal(day)))
    return (*reading, (written_year, written(written_year))) if written_year else reading


def written(text: str) -> tuple[str, ...]:
    """A year as written, digit by digit when it is none of the usual ones: "24" -> 2 4."""
    return year(int(text)) if len(text) == 4 and 1100 <= int(text) < 2100 else digits(text)


def numeric_date(text: str) -> Reading | None:
    """5/5/2024 (month first, as in the United States; day first where only that can be) or 2024-05-05."""
    if iso := re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", text):
        year_text, month, day = iso[1], int(iso[2]), int(iso[3])
    elif us := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})", text):
        month, day, year_text = int(us[1]), int(us[2]), us[3]
        if month > 12:
            month, day = day, month
    else:
        return None
    return date(day, month, year_text) if 1 <= month <= 12 and 1 <= day <= 31 else None


def _number_word(words: list[str]) -> bool:
    return bool(words) and (words[0] in _ONES or words[0].partition("-")[0] in _TENS)


def read_words(words: list[str], start: int) -> tuple[int, int] | None:
    """A number in words from `start`: (value, how many words), or None. "two hundred and five" -> 205, 4."""
    total = group = 0
    last = ""
    index = start
    while index < len(words):
        word = words[index]
        tens, _, ones = word.partition("-")
        if word in _ONES and last in ("", "scale", "tens" if 0 < _ONES.index(word) < 10 else ""):
            group, last = group + _ONES.index(word), "ones"
        elif tens in _TENS and last in ("", "scale") and (not ones or ones in _ONES[1:10]):
            group, last = group + _TENS[tens] + (_ONES.index(ones) if ones else 0), "ones" if ones else "tens"
        elif word == "hundred" and last == "ones" and 0 < group < 100:
            group, last = group * 100, "scale"
        elif word in _SCALES and word != "hundred" and last and group:
            total, group, last = total + group * _SCALES[word], 0, "scale"
        elif word == "and" and last == "scale" and _number_word(words[index + 1 : index + 2]):
            pass
        else:
            break
        index += 1
    return (total + group, index - start) if last else None
