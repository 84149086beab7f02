"""Glosses read back as English: it learns what pairs tell, fails on no line, and refuses bad tables."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stable_signer.corpora import backtranslation as corpus
from stable_signer.corpora.ncslgr import Utterance
from stable_signer.end_to_end.text import BOUNDS, TextReader
from stable_signer.errors import StableSignerError
from stable_signer.metrics import backtranslation as bt
from stable_signer.slul.glosses import Glossary

PAIRS = [
    (f"fs-{name} {verb} {thing}", f"{name.capitalize()} {said} the {thing.lower()}.")
    for name in ("JOHN", "MARY", "SUE", "BILL")
    for verb, said in (("BUY", "buys"), ("READ", "reads"), ("LIKE", "likes"))
    for thing in ("BOOK", "HOUSE", "CAR", "LETTER")
] + [(f"{thing} fs-{n} BUY WHO", f"Who buys the {thing.lower()}?") for n in "AB" for thing in ("BOOK", "CAR")]


def utterances() -> list[Utterance]:
    return [
        Utterance(english, tuple(glosses.split()), (), f"{k}", f"file{k % 6}")
        for k, (glosses, english) in enumerate(PAIRS)
    ]


@pytest.fixture(scope="module")
def small() -> bt.BackTranslator:
    return corpus.build(corpus.pairs_of(utterances()))


@pytest.fixture(scope="module")
def shipped() -> bt.BackTranslator:
    return bt.BackTranslator.load()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don’t they?", "don't they"),
        ("He/she/it is/was in L.A.: 7 o'clock!", "he is in la 7 o'clock"),
        ('"So," said the well-known (old) man...', "so said the well known old man"),
        ("", ""),
        ("??", ""),
    ],
)
def test_the_form_in_which_text_is_scored(text: str, words: str) -> None:
    assert bt.text_words(text) == words
    assert bt.text_words(words) == words
    assert bt.join_clitics(bt.split_clitics(words)) == words


def test_the_floor_takes_glosses_as_words() -> None:
    glosses = ["IX-1", "POSS-3", "fs-JOHN", "TAKE-OFF", "7", "IX-LOC"]
    assert bt.as_words(glosses) == "i his john take off 7 there"


def test_what_pairs_tell_is_learned_and_holds_for_names_never_seen(small: bt.BackTranslator) -> None:
    assert small.translate("fs-MARY READ BOOK") == "mary reads the book"
    assert small.translate("fs-XAVER LIKE CAR") == "xaver likes the car"
    assert small.translate(["fs-ANA", "BUY", "LETTER"]) == "ana buys the letter"


def test_a_gloss_never_seen_is_read_as_its_word(small: bt.BackTranslator) -> None:
    assert "elephant" in small.translate("fs-MARY LIKE ELEPHANT").split()


def test_a_line_that_is_mostly_strange_is_left_as_words(small: bt.BackTranslator) -> None:
    assert small.knows("BOOK") and small.knows("fs-ZOE") and not small.knows("ELEPHANT")
    line = "fs-MARY LIKE ELEPHANT ZEBRA"
    assert small.translate(line) == "mary like elephant zebra" == bt.as_words(line.split())
    assert small.translate("fs-MARY LIKE CAR ZEBRA").startswith("mary likes the car")


def test_a_reading_by_the_glosss_own_name_is_counted() -> None:
    assert bt.own_names(("BOOK",), ("the", "books")) == 1
    assert bt.own_names(("AFRAID", "DOG"), ("scared", "dog")) == 1
    assert bt.own_names(("fs-", "IX-1"), ("@0", "i")) == 1  # what points has no name of its own
    assert bt.own_names(("ICE-CREAM",), ("ice", "cream")) == 1


def test_longer_readings_seen_once_are_not_kept() -> None:
    once = [*PAIRS, ("fs-TIM SLEEP", "Tim was fast asleep")]
    made = corpus.build([corpus.pair(tuple(g.split()), e) for g, e in once])
    twice = corpus.build([corpus.pair(tuple(g.split()), e) for g, e in [*once, once[-1]]])
    words = [{r.words for r in t.readings[("SLEEP",)]} for t in (made, twice)]
    assert max(map(len, words[0])) <= 1 < max(map(len, words[1]))


def test_a_spelled_word_is_found_in_the_english_even_when_it_is_two() -> None:
    made = corpus.pair(("fs-NORTHCAROLINA", "GOOD", "fs-ZZ"), "North Carolina is good.")
    assert made.signs == (bt.SPELLED, "GOOD", "fs-ZZ")
    assert made.words == ("@0", "is", "good")


def test_links_of_two_directions_become_one_set() -> None:
    both = corpus.symmetrised({(0, 0), (1, 1), (1, 2)}, {(0, 0), (1, 1), (3, 4)})
    assert both == {(0, 0), (1, 1), (1, 2), (3, 4)}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=6), min_size=1, max_size=12))
def test_the_language_model_is_a_distribution_after_any_words(lines: list[list[str]]) -> None:
    model = corpus.language_model(lines, 3, least=2)
    words = [gram[0] for gram in model.table if len(gram) == 1 and gram[0] != bt.START]
    for context in ((bt.START,), ("a",), ("a", "b"), (bt.START, "c"), ("never", "seen")):
        assert math.isclose(sum(math.exp(model.step(context, w)[0]) for w in words), 1, abs_tol=1e-9)


LEXICON = [e.gloss for e in Glossary.load()]
GLOSSES = st.one_of(
    st.sampled_from(LEXICON),
    st.sampled_from(["IX-1", "IX-3-PL", "POSS-2", "SELF-1", "fs-", "fs-JOHN", "fs-@0", "-", "'S", "@", "@1"]),
    st.text(min_size=1, max_size=8).filter(lambda t: len(t.split()) == 1),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(GLOSSES, max_size=9))
def test_any_line_is_translated_and_the_same_line_alike(line: list[str]) -> None:
    translator = bt.BackTranslator.load() if not KEPT else KEPT[0]
    KEPT[:] = [translator]
    text = translator.translate(line)
    assert translator.translate(tuple(line)) == text
    assert text == " ".join(text.split())
    assert "<" not in text or any("<" in g for g in line)
    first, *others = translator.candidates(line, 5) or [None]
    if line:
        assert first is not None
        strange = sum(not translator.knows(g) for g in line) > bt.STRANGE * len(line)
        assert text == (bt.text_words(bt.as_words(line)) if strange else first.text)
        assert len({c.text for c in (first, *others)}) == 1 + len(others) <= 5
        assert np.isfinite([c.features for c in (first, *others)]).all()


KEPT: list[bt.BackTranslator] = []


def test_an_empty_line_stays_one_and_a_long_one_ends(shipped: bt.BackTranslator) -> None:
    assert shipped.translate("") == shipped.translate([]) == ""
    assert shipped.candidates("", 3) == []
    assert len(shipped.translate(LEXICON[:120]).split()) > 60


def test_a_table_is_written_and_read_again(small: bt.BackTranslator, tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.write_text(bt.written(small), encoding="utf-8")
    again = bt.BackTranslator.load(path)
    assert bt.written(again) == bt.written(small)
    for glosses, _ in PAIRS:
        assert again.translate(glosses) == small.translate(glosses)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"another file\n", f"{bt.HEADING}\nq\tx\t1\n".encode(), f"{bt.HEADING}\n".encode()],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.txt"
    path.write_bytes(content)
    with pytest.raises(StableSignerError, match="is not a back-translator"):
        bt.BackTranslator.load(path)


def test_a_missing_table_and_no_pairs_are_told(tmp_path: Path) -> None:
    with pytest.raises(StableSignerError, match="cannot be read"):
        bt.BackTranslator.load(tmp_path / "no.txt")
    with pytest.raises(StableSignerError, match="no pairs"):
        corpus.build([])


def test_weights_are_found_on_files_held_out_and_the_same_seed_finds_the_same() -> None:
    lines = utterances()
    one, two = (corpus.cross_validated(lines, rounds=1, seed=3) for _ in range(2))
    assert one == two
    parts = corpus.folds(lines)
    assert sum(map(len, parts)) == len(lines)
    files = [{u.file for u in part} for part in parts]
    assert all(not a & b for k, a in enumerate(files) for b in files[:k])
    right = sum(t == bt.text_words(u.english) for t, u in zip(one.texts, one.lines, strict=True))
    assert right > 0.8 * len(lines)


def test_goal_is_that_of_the_best_candidates() -> None:
    pool = corpus.Pool(["a b c d e", "f g h i"])
    features = [0.0] * len(bt.FEATURES)
    good, bad = (1.0, *features[1:]), tuple(features)
    assert pool.add(0, [("a b c d e", good), ("x", bad)]) == 2
    assert pool.add(1, [("f g h i", good), ("f g h i", bad)]) == 1
    weights = np.zeros(len(bt.FEATURES))
    weights[0] = 1
    assert pool.arrays().goal(weights) == pytest.approx(100)
    assert pool.arrays().goal(-weights) < 60


@pytest.mark.parametrize(
    ("glosses", "text"),
    [
        ("fs-JOHN BUY YESTERDAY WHAT", "what did john buy yesterday"),
        ("IF RAIN IX-1 GO MOVIE", "if it rains i went to the movie"),
        ("IX-1 NOT KNOW", "i didn't know"),
        ("STUDENT BUY MANY BOOK", "the student buy many books"),
    ],
)
def test_what_ships_reads_these(shipped: bt.BackTranslator, glosses: str, text: str) -> None:
    assert shipped.translate(glosses) == text


def test_bounds_put_the_floor_under_the_references(shipped: bt.BackTranslator) -> None:
    reader = TextReader(shipped, {"BOOK": "book", "BUY": "buy"})
    lines = [("fs-JOHN", "BUY", "BOOK"), ("STUDENT", "READ", "BOOK")]
    bounds = reader.bounds(lines, ["John bought a book.", "The student read the book."])
    assert set(bounds) == set(BOUNDS.values())
    assert bounds[BOUNDS["glosses"]]["text_wer"] < bounds[BOUNDS["shuffled"]]["text_wer"]
    assert reader.glosses_of(["buy", "nowhere"]) == ["BUY", "NOWHERE"]
