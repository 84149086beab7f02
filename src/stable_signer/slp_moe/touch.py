"""Touching: what the experts add must not part what touches in the prior.

Where a hand of the prior is at the body or at the other hand, the wrist is moved so that the point that
touches stays where it was; the hand may turn and change its shape about that point.
"""

from __future__ import annotations

import numpy as np

from stable_signer.body import rotation
from stable_signer.slp_moe import residual as rs
from stable_signer.slp_moe.clearance import gaps_to_body, hand_points, kinematics

HOLDS, FREE = 0.012, 0.06  # metres between surfaces: a contact is kept as it is; nothing is kept
SMOOTH = 1.5  # frames over which a correction is smoothed
_MIRROR = np.array([-1.0, 1.0, 1.0])


def keep_touch(q: np.ndarray, face: np.ndarray, rows: np.ndarray, two_handed: bool) -> np.ndarray:
    """Residual rows (T, CHANNELS) for a prior q (T, J, 4), face (T, 52), with its contacts kept."""
    rows = rows.copy()
    sides = rs.SIDES if two_handed else rs.SIDES[:1]
    made, _ = rs.decode(q, face, rows)
    here, there = (_hands(x) for x in (q, made))
    for s, side in enumerate(sides):
        gaps = gaps_to_body(q, side)
        nearest, count = gaps.argmin(1), np.arange(len(q))
        missed = here[s][count, nearest] - there[s][count, nearest]
        shift = _smooth(missed * _share(gaps.min(1)))
        there[s] += shift[:, None]
        rows[:, rs.WRISTS[3 * s : 3 * s + 3]] += shift * (_MIRROR if side == "L" else 1.0)
    if two_handed:
        _keep_hands_together(here, there, rows)
    return rows


def _keep_hands_together(here: list[np.ndarray], there: list[np.ndarray], rows: np.ndarray) -> None:
    """Move both hands by half of what parts or drives together the points of theirs that are nearest."""
    apart = here[0][:, :, None] - here[1][:, None]  # (T, K, K, 3)
    length = np.linalg.norm(apart, axis=-1).reshape(len(apart), -1)
    pair, count = length.argmin(1), np.arange(len(apart))
    a, b = np.divmod(pair, here[1].shape[1])
    now = there[0][count, a] - there[1][count, b]
    gap = length[count, pair] - 2 * 0.009  # two fingers' radii
    shift = _smooth((apart[count, a, b] - now) / 2 * _share(gap))
    rows[:, rs.WRISTS[:3]] += shift
    rows[:, rs.WRISTS[3:]] -= shift * _MIRROR


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
