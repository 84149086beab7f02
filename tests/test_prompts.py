"""Prompts: the frame comes off, the sentence stays as it is, plain sentences are left alone."""

from __future__ import annotations

import pytest

from stable_signer.slul.prompts import prompts_around, read_prompt

SENTENCES = (
    "the train is late",
    "Where is the station?",
    "I don't like coffee",
    "thank you",
    "How are you?",
    "He said 'no' to me.",
    "I want to learn how to swim.",
    "She's in the hospital with John.",
)
GERMAN = ("der Zug ist spät", "Wo ist der Bahnhof?", "morgen regnet es im Norden", "danke")


def bare(text: str) -> str:
    return text.strip().rstrip(".?! ")


@pytest.mark.parametrize(
    ("sentence", "language"), [*((s, "ase") for s in SENTENCES), *((s, "gsg") for s in GERMAN)]
)
def test_every_template_of_ours_gives_its_sentence_back(sentence: str, language: str) -> None:
    for prompt in prompts_around(sentence, language):
        found = read_prompt(prompt)
        assert found.framed and bare(found.text) == bare(sentence), prompt


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("How might one enunciate 'good morning' in sign language?", "good morning"),
        ("I am zealous to grasp how good morning is rendered in ASL. Can you aid?", "good morning"),
        ("How do I say \"He said 'no'\" in ASL?", "He said 'no'"),
        ("What's the sign for hospital?", "hospital"),
        ("Could you teach me the sign language for my brother is sick", "my brother is sick"),
        ("'see you tomorrow' How do you say that in sign language?", "see you tomorrow"),
        ("Können Sie mir zeigen wie man 'bis morgen' mit Gebärdensprache sagt?", "bis morgen"),
    ],
)
def test_frames_never_seen_are_understood(prompt: str, sentence: str) -> None:
    found = read_prompt(prompt)
    assert found.framed and bare(found.text) == sentence


@pytest.mark.parametrize(
    "text",
    [
        "I want to learn sign language.",
        "Can you teach me sign language?",
        "How do I say no to my boss?",
        "How do you sign?",
        "How do deaf people talk in sign language?",
        "My sister is learning sign language at school.",
        "She signed 'thank you' and smiled.",
        "What does the sign say?",
        "Please sign here.",
        "Where is the station?",
        "The stop sign is red.",
        "",
        "'",
        "how sign language",
    ],
)
def test_plain_sentences_are_left_alone(text: str) -> None:
    found = read_prompt(text)
    assert not found.framed and found.text == text


def test_style_words_become_wishes() -> None:
    slow = read_prompt("How do I sign 'see you' slowly in ASL?")
    assert (slow.text, slow.speed) == ("see you", 0.7)
    assert read_prompt("Show me hello in sign language, very slowly.").speed == 0.5
    assert read_prompt("Please sign quickly: see you").speed == 1.3
    assert read_prompt("How do you sign hello left-handed?").left_handed is True
    assert read_prompt("Show me good morning in sign language as a child would.").signer == "child"
    assert read_prompt('Sign "thank you" in a formal style, please.').style == "formal"
    plain = read_prompt("The train goes slowly.")
    assert plain.speed == 1 and plain.left_handed is None


def test_style_words_inside_the_sentence_stay_there() -> None:
    found = read_prompt("How do I sign 'please speak slowly' in ASL?")
    assert found.text == "please speak slowly" and found.speed == 1
