"""Every kind of number in a sentence, as plans: what is counted, told, dialled, paid; by both planners."""

from __future__ import annotations

import itertools
from functools import cache

import pytest

from stable_signer import StableSigner
from stable_signer.slp_moe.schedule import NUMBER_GAP


@cache
def signer(planner: str) -> StableSigner:
    return StableSigner.from_pretrained(planner=planner, motion="prior")


# The text, and its numbers with what belongs to them: a number's parts are joined by "-".
GOLDEN = [
    ("I have 3 dogs.", "3"),
    ("She is 25 years old.", "25"),
    ("There are 47 students.", "4-7"),
    ("Open page 115.", "1-HUNDRED-15"),
    ("The book has 365 pages.", "3-HUNDRED-6-5"),
    ("We need 10,000 signatures.", "10-THOUSAND"),
    ("The population is 1,250,000.", "1-MILLION-2-HUNDRED-50-THOUSAND"),
    ("I need two hundred and five dollars.", "2-HUNDRED-5 DOLLAR"),
    ("My zip code is 10027.", "1-0-0-2-7"),
    ("My PIN is 0042.", "0-0-4-2"),
    ("Room 1405, please.", "14-0-5"),
    ("He came first.", "FIRST"),
    ("She finished 21st.", "21"),
    ("He was born in 1984.", "19-8-4"),
    ("We met in 2005.", "20-0-5"),
    ("World War II ended in 1945.", "19-4-5"),
    ("My birthday is May 23.", "fs-MAY 23"),
    ("The party is on 5/5/2024.", "fs-MAY 5 20-24"),
    ("The meeting is at 5:30 pm.", "TIME 5 30 EVENING"),
    ("The train leaves at 7:05 am.", "TIME 7 0-5 MORNING"),
    ("The film starts at 7:45.", "TIME 7 4-5"),
    ("It's 12 o'clock.", "TIME 12"),
    ("It costs $25.50.", "25 DOLLAR 50 CENT"),
    ("I paid €12.", "12 fs-EURO"),
    ("It is 3.14.", "3-PERIOD-1-4"),
    ("50% of people agree.", "50 PERCENT"),
    ("I ate 3/4 of the cake.", "3 4"),
    ("Half of them left.", "HALF"),
    ("It is -5 degrees.", "MINUS-5 DEGREE"),
    ("The score was 3-2.", "3 2"),
    ("It takes 2 to 3 weeks.", "2 3"),
    ("Call me at 555 014 6789.", "5-5-5 0-1-4 6-7-8-9"),
    ("Call (347) 268-9150.", "3-4-7 2-6-8 9-1-5-0"),
]
WITH_NUMBERS = (
    "TIME",
    "MORNING",
    "EVENING",
    "DOLLAR",
    "CENT",
    "PERCENT",
    "DEGREE",
    "FIRST",
    "HALF",
    "fs-MAY",
    "fs-EURO",
)


@pytest.mark.parametrize("planner", ["rules", "slul"])
@pytest.mark.parametrize(("text", "numbers"), GOLDEN, ids=[text for text, _ in GOLDEN])
def test_numbers_in_sentences(text: str, numbers: str, planner: str) -> None:
    plan = signer(planner).plan(text)
    found = [
        "-".join(sign.parts) if sign.kind == "number" else sign.gloss
        for sign in plan.signs
        if sign.kind == "number" or sign.gloss in WITH_NUMBERS
    ]
    assert " ".join(found) == numbers
    assert not plan.dropped


def test_groups_of_a_telephone_number_are_parted() -> None:
    plan = signer("rules").plan("Call me at 555 014 6789.")
    groups = [sign for sign in plan.signs if sign.kind == "number"]
    gaps = [b.start - a.end for a, b in itertools.pairwise(groups)]
    assert len(gaps) == 2 and min(gaps) >= NUMBER_GAP - 1e-6
    fast = signer("rules").plan("Call me at 555 014 6789.", speed=2.0)
    assert fast.signs[-1].end < plan.signs[-1].end
