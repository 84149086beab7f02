"""Readers of corpora, on small files made here: the corpora themselves are not needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stable_signer.corpora.examples import load_examples
from stable_signer.corpora.ncslgr import DEV_FILES, normal_form, read_ncslgr, split
from stable_signer.corpora.phoenix import read_tsv
from stable_signer.corpora.prompt2sign import is_held_out, read_templates
from stable_signer.errors import StableSignerError
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.plan import Span
from stable_signer.slul.text import german_number, german_ordinal, normalise_german


@pytest.fixture(scope="module")
def glossary() -> Glossary:
    return Glossary.load()


@pytest.mark.parametrize(
    ("label", "glosses"),
    [
        ("HOLD", ()),
        ("(1h)part:indef", ()),
        ('5"I don\'t know"', ()),
        ('DCL"pet carrier"', ()),
        ('f:SCL:1"person approaching"', ()),
        ('"WHAT"', ("WHAT",)),
        ("IX-1p", ("IX-1",)),
        ("IX-3p:i", ("IX-3",)),
        ("IX-3p-pl-arc:k", ("IX-3-PL",)),
        ("IX-loc:j", ("IX-LOC",)),
        ("POSS-1p+", ("POSS-1",)),
        ("fs-JOHN", ("fs-JOHN",)),
        ("ns-#LA", ("fs-LA",)),
        ("(5)MAN", ("MAN",)),
        ("MOTHERwg", ("MOTHER",)),
        ("READ_2+", ("READ",)),
        ("TEACH+AGENT", ("TEACHER",)),
        ("MOTHER+FATHER", ("MOTHER", "FATHER")),
        ("FUTURE", ("WILL",)),
        ("FUTURE^NOT", ("WILL", "NOT")),
        ("WANT+(1h)NEG", ("DONT-WANT",)),
        ("i:GIVE", ("GIVE",)),
        ("TEN", ("10",)),
    ],
)
def test_the_normal_form_of_labels(glossary: Glossary, label: str, glosses: tuple[str, ...]) -> None:
    assert normal_form(label, glossary) == glosses


def export(path: Path) -> Path:
    utterance = {
        "id": "x#1",
        "file": "x.xml",
        "english": "...Mother won't buy a house.",
        "gloss": [
            ["MOTHERwg", 0, 200],
            ["HOLD", 0, 300],
            ["FUTURE", 300, 500],
            ["NOT", 600, 800],
            ["BUY", 900, 1100],
            ["HOUSE", 1200, 1500],
        ],
        "nmm": {
            "negative": [["negation", 600, 1500]],
            "topic/focus": [["ONSET", 0, 50], ["focus/top1", 0, 210]],
            "eye brows": [["ONSET", 0, 20], ["slightly raised", 20, 210], ["raised", 210, 450]],
            "eye gaze": [["to addressee", 0, 450], ["down/left", 600, 1100]],
            "mouth": [["ONSET", 300, 500], ["puffed", 1200, 1500]],
            "head mvmt: shake": [["rapid", 600, 700], ["slow", 1200, 1500]],
        },
    }
    empty = {**utterance, "id": "x#2", "gloss": [["HOLD", 0, 1]]}
    held = {**utterance, "id": "y#1", "file": DEV_FILES[0]}
    path.write_text(json.dumps([utterance, empty, held]))
    return path


def test_an_export_is_read_with_its_spans(tmp_path: Path, glossary: Glossary) -> None:
    found = read_ncslgr(export(tmp_path / "n.json"), glossary)
    assert [u.name for u in found] == ["x#1", "y#1"]
    assert found[0].glosses == ("MOTHER", "WILL", "NOT", "BUY", "HOUSE")
    assert set(found[0].spans) == {Span("negation", 2, 4), Span("topic", 0, 0)}
    assert set(found[0].face) == {
        Span("brows-raised", 0, 1), Span("gaze-addressee", 0, 1), Span("gaze", 2, 3), Span("mouth", 4, 4),
        Span("headshake", 2, 2), Span("headshake", 4, 4),
    }  # fmt: skip
    assert found[0].english == "Mother won't buy a house."
    train, dev = split(found)
    assert [u.name for u in train] == ["x#1"] and [u.name for u in dev] == ["y#1"]


def test_examples_of_all_kinds(tmp_path: Path) -> None:
    data = export(tmp_path / "n.json")
    train = load_examples([f"3*ncslgr-train:{data}"])
    assert len(train) == 3 and train[0].text.startswith("SIGNER <w1> NOUN mother")
    assert train[0].glosses[0] == "<top>" and "<neg>" in train[0].glosses
    assert load_examples([f"ncslgr-dev:{data}"])[0] == train[0]
    assert all(e.text.startswith("RULES") for e in load_examples(["taught:20", f"taught-ncslgr:{data}"]))
    tsv = tmp_path / "a.tsv"
    tsv.write_text("text\tgloss\nMorgen 25 Grad!\tMORGEN ZWANZIG GRAD\n", encoding="utf-8")
    assert load_examples([f"tsv:gsg:{tsv}"])[0].text == "morgen fünfundzwanzig grad"
    for bad in ("tsv", "tsv:xyz:a", "magic:1", "taught:many"):
        with pytest.raises(StableSignerError, match="the data entry"):
            load_examples([bad])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("name\tgloss\n", "no column 'text'"),
        ("text\tgloss\n", "no rows"),
        ("text\tgloss\na\tb\tc\n", "line 2"),
    ],
)
def test_a_broken_tsv_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.tsv"
    path.write_text(content)
    with pytest.raises(StableSignerError, match=message):
        read_tsv(path, "gsg")
    with pytest.raises(StableSignerError, match="cannot be read"):
        read_tsv(tmp_path / "none.tsv", "gsg")


def test_a_tsv_keeps_quotes_and_groups(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text('name\ttext\tgloss\nday-1\ter sagt "ja\tJA  SAGEN\n\n')
    (pair,) = read_tsv(path, "gsg")
    assert pair.text == 'er sagt "ja' and pair.glosses == ("JA", "SAGEN") and pair.group == "day"


def test_what_is_no_export_is_refused(tmp_path: Path, glossary: Glossary) -> None:
    path = tmp_path / "x.json"
    for content in ("{", "[1]", '[{"id": 1}]'):
        path.write_text(content)
        with pytest.raises(StableSignerError, match="not an NCSLGR export"):
            read_ncslgr(path, glossary)


def test_templates_are_split_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("How do I sign '{}'?\nno place\nHow do I sign '{}'?\nShow me {}.\n")
    assert read_templates(path) == ["How do I sign '{}'?", "Show me {}."]
    held = sum(is_held_out(f"template {i} {{}}") for i in range(1000))
    assert 150 < held < 250
    path.write_text("nothing\n")
    with pytest.raises(StableSignerError):
        read_templates(path)


def test_german_numbers_and_normal_form() -> None:
    assert [german_number(n) for n in (0, 16, 21, 30, 101, 2010, 45_300)] == [
        "null",
        "sechzehn",
        "einundzwanzig",
        "dreißig",
        "einhunderteins",
        "zweitausendzehn",
        "fünfundvierzigtausenddreihundert",
    ]
    assert german_ordinal(12) == "zwölften" and german_ordinal(31) == "einunddreißigsten"
    assert normalise_german("Am 12. August: -4°C, örtlich 20 Grad!") == (
        "am zwölften august minus vier grad örtlich zwanzig grad"
    )
    assert normalise_german("... !") == ""
