"""The glossary: the shipped table is whole, look-ups find what they should, broken files are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from stable_signer.errors import StableSignerError
from stable_signer.slul.glosses import COLUMNS, ENTRY_KINDS, Entry, Glossary

GLOSSARY = Glossary.load()
HEADER = ",".join(COLUMNS)


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "glosses.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return path


def test_letters_digits_and_pointing_are_there() -> None:
    assert all(GLOSSARY.entry(c).kind == "letter" for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert all(GLOSSARY.entry(str(n)).kind == "number" for n in [*range(31), 40, 50, 60, 70, 80, 90])
    for gloss in (
        "IX-1",
        "IX-2",
        "IX-3",
        "IX-1-PL",
        "IX-2-PL",
        "IX-3-PL",
        "POSS-1",
        "POSS-2",
        "POSS-3",
        "SELF-1",
    ):
        assert GLOSSARY.entry(gloss).kind == "index"


def test_every_entry_can_be_built() -> None:
    for entry in GLOSSARY:
        assert entry.kind in ENTRY_KINDS
        atoms = [GLOSSARY.entry(a) for a in GLOSSARY.expand(entry.gloss)]
        assert atoms and not any(a.parts for a in atoms)
        assert all(a.clip or a.phonology or a.kind in ("number", "index") for a in atoms), entry.gloss
        assert (
            entry.approximate
            or entry.clip
            or entry.written
            or entry.parts
            or entry.kind in ("number", "index")
        ), entry.gloss


def test_a_word_has_one_gloss() -> None:
    owners: dict[str, str] = {}
    for entry in GLOSSARY:
        for word in entry.words:
            assert word == word.lower() and owners.setdefault(word, entry.gloss) == entry.gloss


@pytest.mark.parametrize(
    ("word", "gloss"),
    [
        ("thank you", "THANK-YOU"),
        ("Thanks", "THANK-YOU"),
        ("i", "IX-1"),
        ("my", "POSS-1"),
        ("five", "5"),
        ("25", "25"),
        ("kids", "CHILDREN"),
        ("job", "JOB"),
        ("credit card", "CHARGE-CARD"),
        ("washing machine", "WASH-MACHINE"),
    ],
)
def test_lookup(word: str, gloss: str) -> None:
    entry = GLOSSARY.lookup(word)
    assert entry is not None and entry.gloss == gloss


def test_expand_resolves_parts_of_parts() -> None:
    assert GLOSSARY.expand("BOOK") == ("BOOK",)
    assert GLOSSARY.expand("40") == ("40",)
    assert GLOSSARY.expand("NOT-CARE") == ("DONT-CARE",)
    nested = Glossary(
        [Entry("A", clip="a"), Entry("B", "composed", ("A", "A")), Entry("C", "composed", ("B", "A"))]
    )
    assert nested.expand("C") == ("A", "A", "A")


def test_longest_phrase_wins() -> None:
    found = GLOSSARY.longest(["i", "look", "forward", "to", "it"], 1)
    assert found is not None and (found[0].gloss, found[1]) == ("LOOK-FORWARD", 3)
    assert GLOSSARY.longest(["xyzzy"]) is None


def test_unknown_gloss_names_near_ones() -> None:
    with pytest.raises(StableSignerError, match="HELLO"):
        GLOSSARY.entry("HELO")
    assert "HELO" not in GLOSSARY and "HELLO" in GLOSSARY


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "no entry"),
        (("HELLO,lexical,,hello",), "cells"),
        (("hello,lexical,,hello,hello,,0,0,",), "malformed"),
        (("HELLO,lexical,,hello,hello,,0,0,", "HELLO,lexical,,,hello,,0,0,"), "repeated"),
        (("HELLO,verb,,hello,hello,,0,0,",), "kind"),
        (("HELLO,lexical,,hello,hello,,yes,0,",), "approximate"),
        (("HELLO,composed,HEL LO,hello,,,0,0,",), "no entry"),
        (("A,composed,B,,,,0,0,", "B,composed,A,,,,0,0,"), "contains itself"),
    ],
)
def test_broken_tables_are_refused(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(StableSignerError, match=message):
        Glossary.load(write(tmp_path, *lines))


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StableSignerError, match="cannot be read"):
        Glossary.load(tmp_path / "nothing.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StableSignerError, match="cannot be read"):
        Glossary.load(binary)
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(StableSignerError, match="columns"):
        Glossary.load(other)
