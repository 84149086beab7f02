"""The readers of handshapes and of signs: trained on people, asked about what the product makes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stable_signer.errors import StableSignerError
from stable_signer.metrics import handshape as hs
from stable_signer.metrics import recognition as rec
from stable_signer.slp_moe.compose import mirrored
from stable_signer.slp_moe.lexicon import Lexicon


@cache
def reader() -> hs.HandshapeReader:
    return hs.HandshapeReader.load()


def spelled(letter: str) -> np.ndarray:
    motion = Lexicon.load().spelled((letter,)).motion
    return hs.hand_points(motion, "R", [len(motion) // 2])


@given(st.integers(0, 1000), st.floats(0.1, 20))
@settings(max_examples=25, deadline=None)
def test_place_size_and_turn_do_not_matter(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    hand = spelled("Y")
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    moved = hand @ turn * size + rng.normal(size=3)
    assert np.allclose(hs.features(moved)[:, :-6], hs.features(hand)[:, :-6], atol=1e-3)


def test_the_left_hand_is_read_as_the_right_one() -> None:
    hand = spelled("L")
    assert np.allclose(hs.features(hand * [-1, 1, 1], left=True), hs.features(hand), atol=1e-5)


@pytest.mark.parametrize("letter", ["A", "B", "F", "I", "L", "V", "W", "Y"])
def test_clear_handshapes_of_ours_are_read_by_a_reader_of_people(letter: str) -> None:
    scores = reader().read(spelled(letter))[0]
    best = [reader().codes[k] for k in np.argsort(-scores)[:2]]
    assert hs.LETTER_CODES[letter] in best


def test_a_frame_of_a_motion_has_a_handshape_and_a_letter() -> None:
    motion = Lexicon.load().spelled(("Y",)).motion
    assert reader().handshape(motion, len(motion) // 2) == "y"
    assert len(reader().handshapes(motion)) == len(motion)
    assert reader().letter(motion, len(motion) // 2) == "Y"
    with pytest.raises(StableSignerError, match="side"):
        hs.hand_points(motion, "X")


def test_a_file_that_is_no_reader_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "x.safetensors"
    broken.write_bytes(b"nothing")
    for load in (hs.HandshapeReader.load, rec.Recogniser.load):
        with pytest.raises(StableSignerError, match="cannot be read"):
            load(broken)


def test_a_reader_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    reader().save(tmp_path / "r.safetensors")
    again = hs.HandshapeReader.load(tmp_path / "r.safetensors")
    assert np.array_equal(again.read(spelled("A")), reader().read(spelled("A")))


def test_hand_points_of_another_shape_are_refused() -> None:
    with pytest.raises(StableSignerError, match="21"):
        hs.features(np.zeros((2, 20, 3)))


def test_a_left_handed_signer_is_seen_as_a_right_handed_one() -> None:
    motion = rec.lone_signs(["APPLE"])[0]
    a, b = (rec.prepared(rec.features(m)) for m in (motion, mirrored(motion)))
    assert np.allclose(a, b, atol=1e-3)


def test_training_learns_what_it_is_shown_and_repeats_with_the_seed() -> None:
    glosses = ["APPLE", "ARMY", "AFTER"]
    takes = [rec.prepared(rec.features(Lexicon.load().prototype(g).motion)) for g in glosses]
    config = rec.Config(width=16, blocks=1, dropout=0.0)
    made = [rec.fit_encoder(takes, [0, 1, 2], 3, config, steps=60, batch=12, seed=1) for _ in range(2)]
    judges = [rec.Recogniser([(config, net, head.eval())], glosses) for net, head in made]
    scores = [j.score(takes) for j in judges]
    assert np.array_equal(scores[0], scores[1])
    assert list(scores[0].argmax(1)) == [0, 1, 2]


def test_nothing_to_recognise_is_said() -> None:
    config = rec.Config(width=16, blocks=1)
    judge = rec.Recogniser([(config, rec.Encoder(config).eval(), rec.nn.Linear(32, 2))], ["a", "b"])
    with pytest.raises(StableSignerError, match="at least one"):
        judge.predict([])
