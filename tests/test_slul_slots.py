"""Slots: what SLUL reads and answers for ASL, and that no content word can be lost."""

from __future__ import annotations

import pytest
import torch

from stable_signer.slul.decode import BeamConfig, Reader, beam_search
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.model import Checkpoint, Slul, SlulConfig
from stable_signer.slul.plan import Sign, Span
from stable_signer.slul.planner import SlulPlanner, _fused, faced, uncovered
from stable_signer.slul.reading import Reader as TextReader
from stable_signer.slul.rules import RulePlanner
from stable_signer.slul.slots import ADDED, SlotTrie, aligned, signed, slotted
from stable_signer.slul.teacher import everyday, rule_pairs
from stable_signer.slul.tokens import sentences, tokenise
from stable_signer.slul.train import Example
from stable_signer.slul.vocabulary import SLOT_NAMES, Vocabulary


@pytest.fixture(scope="module")
def glossary() -> Glossary:
    return Glossary.load()


def items_of(glossary: Glossary, text: str) -> list:
    tokens = sentences(tokenise(text))[0]
    return TextReader(glossary, list(tokens), text.endswith("?")).items()


@pytest.fixture(scope="module")
def taught(glossary: Glossary) -> list[Example]:
    return list(rule_pairs(RulePlanner(glossary), everyday(150, seed=3)))


@pytest.fixture(scope="module")
def untrained(taught: list[Example], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A weights file of a network that knows nothing: the checks must hold all the same."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.build(
        [e.text for e in taught], [[*e.glosses, *sorted(ADDED)] for e in taught], 300, 1
    )
    config = SlulConfig(("ase",), d_model=16, d_kv=8, d_ff=24, layers=1, heads=2, vocabulary=vocabulary.size)
    path = tmp_path_factory.mktemp("slul") / "untrained.safetensors"
    Checkpoint(config, vocabulary, [dict(Slul(config, vocabulary).tensors())], {}).save(path, "float32")
    return str(path)


def test_words_with_a_sign_become_slots_and_names_are_hidden(glossary: Glossary) -> None:
    found = slotted(items_of(glossary, "Maria bought 25 red books."), ".")
    assert found is not None
    assert "maria" not in found.text and "25" not in found.text and "red" in found.text
    assert found.text.startswith("<w1> NAME <w2> VERB bought <w3> NUM")
    assert found.required == frozenset(range(len(found.items)))
    assert found.items[0].signs[0].gloss == "fs-MARIA"


def test_a_sentence_with_too_many_signs_does_not_fit(glossary: Glossary) -> None:
    assert slotted(items_of(glossary, "I " + "see a dog and " * 20 + "a cat."), ".") is None


def test_what_a_signer_signed_becomes_a_pair(glossary: Glossary) -> None:
    items = items_of(glossary, "What is your name?")
    pair = aligned(items, "?", ["POSS-2", "NAME", "WHAT"], [Span("wh-question", 0, 2)])
    assert pair is not None
    sentence, line = pair
    assert line == ("<wh>", "<w2>", "<w3>", "<w1>", "</wh>")
    signs, spans = signed(line, sentence, {})
    assert [s.gloss for s in signs] == ["POSS-2", "NAME", "WHAT"] and spans == [Span("wh-question", 0, 2)]


def test_what_the_signer_left_out_loses_its_slot(glossary: Glossary) -> None:
    items = items_of(glossary, "My old mother bought a house.")
    pair = aligned(items, ".", ["MOTHER", "FINISH", "BUY", "HOUSE"], [Span("negation", 5, 6)])
    assert pair is not None
    sentence, line = pair
    assert "ADJ old" in sentence.text and "FINISH" in line
    assert all(i.word != "old" for i in sentence.items)
    assert aligned(items, ".", ["CAR", "TREE"], []) is None


def test_the_trie_wants_every_content_slot_once(glossary: Glossary, untrained: str) -> None:
    reader = Reader(Checkpoint.load(untrained))
    for text in ("My mother bought a red house yesterday.", "Where did you see the 3 dogs?"):
        sentence = slotted(items_of(glossary, text), text[-1])
        assert sentence is not None
        ids = reader.vocabulary.text_ids(sentence.text, "ase")
        for found in beam_search(reader, ids, SlotTrie(reader.vocabulary, sentence), BeamConfig(beams=3)):
            used = [g for g in found.glosses if g in SLOT_NAMES]
            assert len(used) == len(set(used))
            assert {SLOT_NAMES[k] for k in sentence.required} <= set(used)
            assert found.states.shape[0] == len(found.glosses)


def test_rules_teach_in_slots(taught: list[Example]) -> None:
    assert len(taught) > 120 and {e.language for e in taught} == {"ase"}
    assert any("<wh>" in e.glosses for e in taught) and any("<neg>" in e.glosses for e in taught)


def test_fused_signs_keep_their_spans() -> None:
    signs = [Sign("IX-1"), Sign("NOT"), Sign("WANT"), Sign("COFFEE")]
    out, spans = _fused(signs, [Span("negation", 1, 3)], lambda gloss, text: Sign(gloss, text=text))
    assert [s.gloss for s in out] == ["IX-1", "DONT-WANT", "COFFEE"]
    assert spans == [Span("negation", 1, 2)]


@pytest.mark.parametrize(
    "text",
    [
        "Maria bought 25 red books at 3:30.",
        "I don't want coffee!",
        "My name is Anna. Where is the station?",
        "I love [[HELP]] my dog.",
        "[[fs:Ana]] likes cats.",
    ],
)
def test_even_an_untrained_planner_loses_no_content(glossary: Glossary, untrained: str, text: str) -> None:
    draft = SlulPlanner(glossary, untrained).draft(text)
    for tokens in sentences(tokenise(text)):
        items = TextReader(glossary, list(tokens), "?" in text).items()
        made = {s.text for s in draft.signs}
        for item in items:
            if item.tag in ("NOUN", "NAME", "VERB", "ADJ", "NUM") and item.signs:
                assert any(item.signs[0].text in t for t in made), item
    assert sum(n for _, n in draft.sentences) == len(draft.signs)
    for span in draft.spans:
        assert 0 <= span.first <= span.last < len(draft.signs)


def test_the_rules_take_over_with_a_reason(glossary: Glossary, untrained: str) -> None:
    planner = SlulPlanner(glossary, untrained)
    rules = RulePlanner(glossary)
    for text, why in (
        ("Hello!", "too short"),
        ("Wait [[pause 0.5]] for me.", "pause"),
        ("I " + "see a dog and " * 20 + "a cat.", "more signs"),
    ):
        draft = planner.draft(text)
        assert draft.planner == "rules" and any(why in n and "rules took over" in n for n in draft.notes)
        assert draft.signs == rules.draft(text).signs
    german = planner.draft("Morgen regnet es", "gsg")
    assert german.planner == "rules" and german.signs == rules.draft("Morgen regnet es", "gsg").signs


def test_a_lost_word_is_noticed(glossary: Glossary) -> None:
    items = items_of(glossary, "My mother bought a house.")
    signs = [s for i in items for s in i.signs]
    assert uncovered(items, signs) == []
    assert uncovered(items, [s for s in signs if s.gloss != "HOUSE"]) == ["house"]


def test_a_question_and_a_negation_always_show_on_the_face(glossary: Glossary) -> None:
    asked = items_of(glossary, "What is your name?")
    signs = [s for i in asked for s in i.signs]
    last = len(signs) - 1
    assert faced(asked, signs, [], True) == [Span("wh-question", 0, last)]
    assert faced(asked, signs, [Span("wh-question", last, last)], True) == [Span("wh-question", last, last)]
    assert faced(asked, signs, [Span("wh-question", 0, last)], False) == []
    assert faced(asked, signs, [Span("yes-no-question", 0, last)], True) == [Span("wh-question", 0, last)]
    denied = items_of(glossary, "I am not hungry.")
    assert faced(denied, [Sign("IX-1"), Sign("NOT"), Sign("HUNGRY")], [], False) == [Span("negation", 1, 2)]
