"""Rotations in NumPy: conversions, paths, and that paths do what their docstrings say."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stable_signer.body import rotation as r

vectors = hnp.arrays(np.float64, (4, 3), elements=st.floats(-2, 2))


@given(vectors)
def test_six_numbers_and_quaternions_agree(vector: np.ndarray) -> None:
    q = r.exp(vector)
    assert np.allclose(r.turn_between(r.six_to_quaternion(r.quaternion_to_six(q)), q), 0, atol=1e-6)


@given(vectors, vectors)
def test_slerp_reaches_both_ends_by_the_shortest_turn(a: np.ndarray, b: np.ndarray) -> None:
    qa, qb = r.exp(a), r.exp(b)
    assert np.allclose(r.turn_between(r.slerp(qa, qb, 1.0), qb), 0, atol=1e-6)
    half = r.turn_between(qa, r.slerp(qa, qb, 0.5))
    assert np.allclose(half, r.turn_between(qa, qb) / 2, atol=1e-6)
    assert (r.turn_between(qa, qb) <= np.pi + 1e-9).all()


@given(vectors, vectors, vectors, vectors, st.floats(0.1, 2.0))
def test_a_bridge_joins_its_ends_and_starts_with_its_velocity(
    a: np.ndarray, b: np.ndarray, va: np.ndarray, vb: np.ndarray, duration: float
) -> None:
    qa, qb = r.exp(a), r.exp(b)
    path = r.bridge(qa, qb, va, vb, duration, np.array([0.0, duration]))
    assert np.allclose(r.turn_between(path[0], qa), 0, atol=1e-6)
    assert np.allclose(r.turn_between(path[1], qb), 0, atol=1e-6)
    gentle = va * 0.01
    step = duration * 1e-3
    start = r.bridge(qa, qb, gentle, vb * 0, duration, np.array([0.0, step]))
    assert np.allclose(r.log(r.multiply(r.conjugate(start[0]), start[1])) / step, gentle, atol=0.02)


def test_resampling_a_path_at_its_own_frames_changes_nothing() -> None:
    q = r.exp(np.random.default_rng(0).normal(0, 1, (7, 5, 3)))
    assert np.allclose(r.turn_between(r.resample(q, np.arange(7.0)), q), 0, atol=1e-6)


def test_minimum_jerk_peaks_at_its_stated_speed() -> None:
    x = np.linspace(0, 1, 2001)
    assert np.isclose(np.gradient(r.minimum_jerk(x), x).max(), r.MINIMUM_JERK_PEAK, atol=1e-3)
