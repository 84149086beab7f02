"""Mixtures: the text that names them, and the person in between."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import Run
from stable_signer import pipeline
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.camera import Camera
from stable_signer.pose2vid.mesh import MeshRenderer
from stable_signer.pose2vid.signers import SIGNERS, STYLES, linear, signer_card, srgb
from stable_signer.shares import read_shares, written

NAMES = tuple(SIGNERS)
MIXTURES = st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 1), min_size=1)


def spelled(shares: dict[str, float]) -> str:
    return ",".join(f"{name}:{share!r}" for name, share in shares.items())


@given(MIXTURES)
def test_shares_sum_to_one_and_keep_their_proportions(shares: dict[str, float]) -> None:
    read = read_shares(spelled(shares), "signer", NAMES)
    assert list(read) == list(shares) and math.isclose(sum(read.values()), 1)
    for name, share in shares.items():
        assert math.isclose(read[name] * sum(shares.values()), share)


@given(MIXTURES)
@example({"maya": 1 / 3, "ben": 1 / 3, "amara": 1 / 3})
@example({"maya": 0.3, "ben": 0.7})
def test_a_mixture_has_one_canonical_spelling(shares: dict[str, float]) -> None:
    text = written(read_shares(spelled(shares), "signer", NAMES), "signer", NAMES)
    again = read_shares(text, "signer", NAMES)
    assert written(again, "signer", NAMES) == text
    assert list(again.values()) == sorted(again.values(), reverse=True)
    total = sum(shares.values())
    assert all(abs(again[name] - share / total) <= 1.001e-3 for name, share in shares.items())
    backwards = dict(reversed(shares.items()))
    assert written(read_shares(spelled(backwards), "signer", NAMES), "signer", NAMES) == text


@given(st.text(max_size=40))
def test_whatever_is_written_is_read_or_refused_in_a_sentence(text: str) -> None:
    try:
        assert signer_card(text).name
    except StableSignerError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nobody", "there is no signer 'nobody': use one of maya, .*, or a mixture such as maya:0.6,ben:0.4"),
        ("maya:0.5,nobody:0.5", "there is no signer 'nobody'"),
        ("", "there is no signer ''"),
        ("maya:0.5,", "there is no signer ''"),
        ("maya:0", "the share '0' of the signer maya must be a number above 0"),
        ("maya:1,ben:-0.4", "the share '-0.4' of the signer ben must be a number above 0"),
        ("maya:1,ben:nan", "the share 'nan' of the signer ben"),
        ("maya:1,ben:inf", "the share 'inf' of the signer ben"),
        ("maya:much", "the share 'much' of the signer maya"),
        ("maya:", "the share '' of the signer maya"),
        ("maya:0.5:0.5", "the share '0.5:0.5' of the signer maya"),
        ("maya:1,ben:0.0001", "the share of the signer ben is under a thousandth"),
    ],
)
def test_mixtures_that_do_not_work(text: str, says: str) -> None:
    with pytest.raises(StableSignerError, match=says):
        pipeline.check_signer(text)


@pytest.mark.parametrize("text", ["ben:1.0", "ben:7", "ben,ben:0.5", " ben "])
def test_a_single_signer_is_that_signer(text: str) -> None:
    assert signer_card(text) is SIGNERS["ben"] and pipeline.check_signer(text) == "ben"


def test_colours_go_to_linear_light_and_back() -> None:
    for card in SIGNERS.values():
        assert srgb(np.array(linear(card.skin))) == card.skin


@given(st.sampled_from(NAMES), st.sampled_from(NAMES), st.floats(0.1, 0.9))
def test_a_person_in_between(first: str, second: str, share: float) -> None:
    if first == second:
        return
    card = signer_card(f"{first}:{share},{second}:{1 - share}")
    a, b = SIGNERS[first], SIGNERS[second]
    for mixed, one, other in (
        (card.skin, a.skin, b.skin),
        (card.hair.colour, a.hair.colour, b.hair.colour),
        (card.clothes.top, a.clothes.top, b.clothes.top),
        (card.eyes, a.eyes, b.eyes),
    ):
        low, high = np.sort([linear(one), linear(other)], axis=0)
        assert (low - 0.005 <= linear(mixed)).all() and (linear(mixed) <= high + 0.005).all()
    largest = a if card.id.startswith(first) else b
    assert card.hair.style == largest.hair.style and card.clothes.sleeves == largest.clothes.sleeves
    assert a.name in card.name and b.name in card.name and "no real person" in card.origin


def test_the_build_lies_in_between() -> None:
    body = Body.load()
    maya, ben, both = (body.signer(name) for name in ("maya", "ben", "maya:0.6,ben:0.4"))
    assert np.allclose(both.vertices, 0.6 * maya.vertices + 0.4 * ben.vertices, atol=1e-5)
    assert np.allclose(both.heads, 0.6 * maya.heads + 0.4 * ben.heads, atol=1e-5)
    assert np.allclose(both.align @ both.align.transpose(1, 2), np.eye(3), atol=1e-5)
    assert (np.linalg.det(both.align.numpy()) > 0.99).all()
    heights = [Camera.of(body, name, 64).height for name in ("maya", "maya:0.6,ben:0.4", "ben")]
    assert heights == sorted(heights)
    for key in ("vertices", "heads", "align", "offsets"):
        assert (getattr(body.signer("ben:1.0"), key) == getattr(ben, key)).all()


def test_pictures_show_a_person_in_between() -> None:
    body = Body.load()
    rest = np.tile(np.array([1, 0, 0, 0, 1, 0], np.float32), (1, len(body.joints), 1))
    motion = Motion(rest, np.zeros((1, 52), np.float32), np.zeros((1, 3), np.float32))

    def picture(signer: str) -> np.ndarray:
        return next(iter(MeshRenderer(body, signer_card(signer), STYLES["studio"], 64).frames(motion)))

    forehead = (slice(9, 14), slice(29, 35))
    means = [picture(s)[forehead].mean((0, 1)) for s in ("samuel", "samuel:0.5,leo:0.5", "leo")]
    assert (means[0] < means[1]).all() and (means[1] < means[2]).all()


def test_the_command_signs_as_a_mixture(run: Run, folder: Path) -> None:
    target = folder / "hi.mp4"
    assert run("sign", "Hello", "-o", str(target), "--signer", "ben:2,maya:3", "--size", "64").code == 0
    told = json.loads((folder / "hi.mp4.provenance.json").read_text(encoding="utf-8"))
    assert told["made"]["signer"] == "maya:0.6,ben:0.4"
    assert told["signer_card"]["name"] == "Maya 60%, Ben 40%"
    assert told["signer_card"]["id"] == told["made"]["signer"]


def test_a_share_of_one_gives_the_same_bytes(run: Run, folder: Path) -> None:
    for name, signer in (("a.mp4", "ben"), ("b.mp4", "ben:1.0")):
        assert run("sign", "Hello", "-o", folder / name, "--signer", signer, "--size", "64").code == 0
    assert (folder / "a.mp4").read_bytes() == (folder / "b.mp4").read_bytes()
