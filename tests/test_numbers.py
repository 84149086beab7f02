"""Numbers, times, money and dates as ASL signs them; every reading uses glosses that exist."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stable_signer.slul import numbers as num
from stable_signer.slul.glosses import Glossary

GLOSSARY = Glossary.load()


def flat(reading: num.Reading) -> str:
    return " ".join(" ".join(parts) or label for label, parts in reading)


@pytest.mark.parametrize(
    ("value", "signed"),
    [
        (0, "0"),
        (7, "7"),
        (11, "11"),
        (25, "25"),
        (30, "30"),
        (40, "40"),
        (47, "4 7"),
        (100, "1 HUNDRED"),
        (125, "1 HUNDRED 25"),
        (999, "9 HUNDRED 9 9"),
        (2500, "2 THOUSAND 5 HUNDRED"),
        (1_000_000, "1 MILLION"),
        (3_000_040, "3 MILLION 40"),
        (-5, "MINUS 5"),
        (10**12, "1 0 0 0 0 0 0 0 0 0 0 0 0"),
    ],
)
def test_cardinal(value: int, signed: str) -> None:
    assert " ".join(num.cardinal(value)) == signed


@pytest.mark.parametrize(
    ("value", "signed"),
    [
        (1984, "19 8 4"),
        (2024, "20 24"),
        (2005, "20 0 5"),
        (1900, "19 HUNDRED"),
        (2000, "2 THOUSAND"),
        (1815, "18 15"),
    ],
)
def test_year(value: int, signed: str) -> None:
    assert " ".join(num.year(value)) == signed


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        ("3.14", "3 PERIOD 1 4"),
        ("1,234", "1 THOUSAND 2 HUNDRED 3 4"),
        ("007", "0 0 7"),
        ("192.168.0.1", "1 9 2 PERIOD 1 6 8 PERIOD 0 PERIOD 1"),
        ("-2.5", "MINUS 2 PERIOD 5"),
        ("0.5", "0 PERIOD 5"),
    ],
)
def test_decimal(text: str, signed: str) -> None:
    assert " ".join(num.decimal(text)) == signed


@pytest.mark.parametrize(
    ("hour", "minute", "half", "signed"),
    [
        (3, 30, "", "TIME 3 30"),
        (5, 0, "pm", "TIME 5 EVENING"),
        (2, 0, "pm", "TIME 2 AFTERNOON"),
        (9, 5, "pm", "TIME 9 0 5 NIGHT"),
        (7, 45, "am", "TIME 7 4 5 MORNING"),
        (12, 0, "pm", "NOON"),
        (12, 0, "am", "MIDNIGHT"),
        (12, 30, "pm", "TIME 12 30 AFTERNOON"),
    ],
)
def test_clock(hour: int, minute: int, half: str, signed: str) -> None:
    assert flat(num.clock(hour, minute, half)) == signed


@pytest.mark.parametrize(
    ("symbol", "amount", "scale", "signed"),
    [
        ("$", "25.50", "", "25 DOLLAR 50 CENT"),
        ("$", "0.99", "", "9 9 CENT"),
        ("$", "1,000", "", "1 THOUSAND DOLLAR"),
        ("$", "5", "million", "5 MILLION DOLLAR"),
        ("$", "0", "", "0 DOLLAR"),
        ("$", "3.5", "billion", "3 PERIOD 5 BILLION DOLLAR"),
    ],
)
def test_money(symbol: str, amount: str, scale: str, signed: str) -> None:
    assert flat(num.money(symbol, amount, scale)) == signed


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        ("5/5/2024", "fs-MAY 5 20 24"),
        ("12/25/99", "fs-DEC 25 9 9"),
        ("31/1/2020", "fs-JAN 3 1 20 20"),
        ("2024-02-29", "fs-FEB 29 20 24"),
        ("13/13/2013", None),
        ("0/5/2024", None),
        ("hello", None),
    ],
)
def test_numeric_date(text: str, signed: str | None) -> None:
    reading = num.numeric_date(text)
    assert (reading and flat(reading)) == signed


@pytest.mark.parametrize(
    ("words", "read"),
    [
        ("twenty-five cats", (25, 1)),
        ("twenty five", (25, 2)),
        ("two hundred and five dogs", (205, 4)),
        ("three million two thousand", (3_002_000, 4)),
        ("one two", (1, 1)),
        ("and five", None),
        ("cat", None),
        ("nineteen eighty-four", (19, 1)),
        ("two hundred and cats", (200, 2)),
    ],
)
def test_numbers_in_words(words: str, read: tuple[int, int] | None) -> None:
    assert num.read_words(words.split(), 0) == read


@given(st.integers(min_value=-(10**13), max_value=10**13))
def test_every_number_has_signs(value: int) -> None:
    assert all(g in GLOSSARY for g in num.cardinal(value))
    assert all(g in GLOSSARY for g in num.decimal(str(value)))


@given(st.integers(min_value=1100, max_value=2099))
def test_every_year_has_signs(value: int) -> None:
    assert all(g in GLOSSARY for g in num.year(value))
