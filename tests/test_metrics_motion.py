"""Measures of motion: what is equal scores 0, what is broken is caught by the number that should catch it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stable_signer.body.motion import Motion
from stable_signer.errors import StableSignerError
from stable_signer.metrics import motion as mm
from stable_signer.slp_moe.compose import mirrored
from stable_signer.slp_moe.lexicon import Lexicon
from stable_signer.slp_moe.phonology import phonology


@cache
def sign(gloss: str) -> Motion:
    return Lexicon.load().prototype(gloss).motion


paths = st.integers(0, 10_000).map(
    lambda seed: np.random.default_rng(seed).normal(size=(np.random.default_rng(seed).integers(1, 9), 3, 3))
)


@given(paths, paths)
@settings(max_examples=40, deadline=None)
def test_a_warped_distance_is_a_symmetric_one(a: np.ndarray, b: np.ndarray) -> None:
    assert mm.dtw(a, a) == 0
    assert mm.dtw(a, b) == pytest.approx(mm.dtw(b, a))
    assert mm.dtw(a, b) >= 0


@given(paths, st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_a_slower_copy_is_no_further_away(a: np.ndarray, times: int) -> None:
    assert mm.dtw(a, np.repeat(a, times, axis=0)) == pytest.approx(0)


def test_paths_that_do_not_match_are_refused() -> None:
    with pytest.raises(StableSignerError, match="alike"):
        mm.dtw(np.zeros((3, 4, 3)), np.zeros((3, 5, 3)))


def test_another_sign_is_further_than_the_same_one() -> None:
    same, other = mm.compare(sign("APPLE"), sign("APPLE")), mm.compare(sign("APPLE"), sign("ARMY"))
    assert same["dtw_mje"] == same["dtw_hands"] == 0
    assert same["length_ratio"] == same["distance_ratio"] == 1
    assert other["dtw_mje"] > 0.02
    assert other["dtw_hands"] > 0.02


def test_swaying_is_no_error_and_mirroring_is_one() -> None:
    apple = sign("APPLE")
    swaying = replace(apple, root=apple.root + np.float32([0.1, 0, 0]))
    assert mm.compare(swaying, apple)["dtw_mje"] == pytest.approx(0, abs=1e-6)
    assert mm.compare(mirrored(apple), apple)["dtw_hands"] > 0.1


def test_a_still_figure_is_caught_by_the_distance_it_travels() -> None:
    real = [sign(g) for g in ("APPLE", "ARMY", "AFTER")]
    rows = mm.evaluation_rows(real, real)
    assert rows["made"]["dtw_hands"] == 0
    assert rows["mean pose"]["distance_ratio"] < 0.01
    assert rows["shuffled"]["dtw_hands"] > 0.05


def test_shuffling_moves_every_motion() -> None:
    real = [sign(g) for g in ("APPLE", "ARMY", "AFTER")]
    assert all(a is not b for a, b in zip(mm.shuffled(real, 3), real, strict=True))
    with pytest.raises(StableSignerError, match="at least two"):
        mm.shuffled(real[:1])


def test_a_jump_and_a_tremor_show() -> None:
    apple = sign("APPLE")
    calm = mm.describe(apple)
    cut = mm.describe(replace(apple, rotations=np.concatenate([apple.rotations[:5], sign("ARMY").rotations[: len(apple) - 5]])))  # fmt: skip  # noqa: E501
    assert cut["largest_step_degrees"] > calm["largest_step_degrees"] + 10
    noise = np.random.default_rng(0).normal(0, 0.05, apple.rotations.shape).astype(np.float32)
    assert mm.describe(replace(apple, rotations=apple.rotations + noise))["jitter"] > 2 * calm["jitter"]


def test_contact_is_measured_where_the_sign_has_it() -> None:
    codes = phonology()
    touching = codes["apple"]
    assert touching.contact
    near = mm.contact_error(sign("APPLE"), touching)
    still = mm.mean_pose([sign("ARMY")], 5)
    assert near is not None
    assert near < mm.contact_error(still, touching)
    assert mm.contact_error(sign("APPLE"), replace(touching, contact=False)) is None


def test_the_lists_must_match() -> None:
    with pytest.raises(StableSignerError, match="one for each"):
        mm.evaluate([sign("APPLE")], [])
