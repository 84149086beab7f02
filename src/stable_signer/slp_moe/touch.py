"""Touching: what the experts add must not part what touches in the prior.

Where a hand of the prior is at the body or at the other hand, the wrist is moved so that the point that
touches stays where it was; the hand may turn and change its shape about that point.
"""

from __future__ import annotations

import numpy as np

from stable_signer.body import rotation
from stable_signer.slp_moe import residual as rs
from stable_signer.slp_moe.clearance import FINGER_RADIUS, gaps_to_body, hand_points, kinematics

HOLDS, FREE = 0.012, 0.06  # metres between surfaces: a contact is kept as it is; nothing is kept
SMOOTH = 1.5  # frames over which a correction is smoothed


def keep_touch(q: np.ndarray, face: np.ndarray, rows: np.ndarray, two_handed: bool) -> np.ndarray:
    """Residual rows (T, CHANNELS) for a prior q (T, J, 4), face (T, 52), with its contacts kept."""
    sides = rs.SIDES if two_handed else rs.SIDES[:1]
    here = _hands(q)
    touched = [_nearest_to_body(q, side) for side in sides]
    hands = _nearest_of_hands(here) if two_handed else None
    if not any(share.any() for _, share in touched) and (hands is None or not hands[2].any()):
        return rows
    rows, count = rows.copy(), np.arange(len(q))
    there = _hands(rs.decode(q, face, rows)[0])
    for s, (side, (point, share)) in enumerate(zip(sides, touched, strict=True)):
        shift = _smooth((here[s][count, point] - there[s][count, point]) * share)
        there[s] += shift[:, None]
        rows[:, rs.WRISTS[3 * s : 3 * s + 3]] += shift * rs.PLACE_MIRROR[side]
    if hands is not None:  # both give half of what parts them, or drives them into one another
        a, b, share = hands
        before, now = (x[0][count, a] - x[1][count, b] for x in (here, there))
        shift = _smooth((before - now) / 2 * share)
        rows[:, rs.WRISTS[:3]] += shift
        rows[:, rs.WRISTS[3:]] -= shift * rs.PLACE_MIRROR["L"]
    return rows


def _nearest_to_body(q: np.ndarray, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Which of a hand's points (T,) is nearest to the body, and how firmly (T, 1) it is kept there."""
    gaps = gaps_to_body(q, side)
    return gaps.argmin(1), _share(gaps.min(1))


def _nearest_of_hands(hands: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which points (T,) of right and left hand are nearest, and how firmly (T, 1) they are kept so."""
    length = np.linalg.norm(hands[0][:, :, None] - hands[1][:, None], axis=-1)  # (T, K, K)
    flat = length.reshape(len(length), -1)
    a, b = np.divmod(flat.argmin(1), length.shape[2])
    return a, b, _share(flat.min(1) - 2 * FINGER_RADIUS)


def _hands(q: np.ndarray) -> list[np.ndarray]:
    turns, places = kinematics(q)
    return [hand_points(turns, places, side)[0].astype(float) for side in rs.SIDES]


def _share(gap: np.ndarray) -> np.ndarray:
    """(T,) gaps -> (T, 1): 1 where it touches, 0 where it is free."""
    return np.asarray(1 - rotation.minimum_jerk((gap - HOLDS) / (FREE - HOLDS)))[:, None]


def _smooth(shift: np.ndarray) -> np.ndarray:
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / SMOOTH) ** 2)
    padded = np.pad(shift, ((4, 4), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 9, axis=0)  # (T, 3, 9)
    return np.asarray(windows @ (kernel / kernel.sum()))
