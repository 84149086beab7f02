# (already written on main, with clearance.gap_to_body and gap_between_hands; do not write it again: use it)
"""How like real signing a motion is: distances to a real take, and what its movement is like by itself.

A still figure wins a distance under time warping, and a slow one wins others, so every distance is printed
with its length ratio and its total-distance ratio. All places are those of the reference signer's joints, in
metres, whoever signed: the difference in build between two people is taken out before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from stable_signer.body import rotation
from stable_signer.body.kernels import kernel
from stable_signer.body.keypoints import RigidPoints
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.slp_moe.clearance import (
    gap_between_hands,
    gap_to_body,
    hands_overlap,
    kinematics,
    penetration,
)
from stable_signer.slp_moe.phonology import Phonology

ARM_JOINTS = ("upperarm01", "lowerarm01", "wrist")
TOUCH = 0.010  # metres between surfaces at which a hand counts as touching


@dataclass(frozen=True)
class Places:
    """Where things are: arms (T, 6, 3) shoulder, elbow and wrist of the right and left arm, hands (T, 42, 3)
    MediaPipe's 21 points of the right and the left hand, head (T, 1, 3), metres; fps."""

    arms: np.ndarray
    hands: np.ndarray
    head: np.ndarray
    fps: float

    def __len__(self) -> int:
        return len(self.arms)

    @property
    def all(self) -> np.ndarray:
        """(T, 49, 3)."""
        return np.concatenate([self.arms, self.hands, self.head], 1)


@lru_cache(maxsize=1)
def _points() -> tuple[Body, RigidPoints]:
    body = Body.load()
    return body, RigidPoints(body, body.signer(body.signer_ids[0]))


def quaternions(motion: Motion) -> np.ndarray:
    """(T, J, 4) of a motion."""
    return rotation.six_to_quaternion(motion.rotations.astype(np.float64))


def places_of(motion: Motion) -> Places:
    """Where a motion's joints are."""
    body, points = _points()
    turns, places = kinematics(quaternions(motion))
    arms = [body.index[f"{name}.{side}"] for side in "RL" for name in ARM_JOINTS]
    hands = [points.hand(torch.from_numpy(turns), torch.from_numpy(places), s).numpy() for s in "RL"]
    head = places[:, [body.index["head"]]]
    return Places(places[:, arms], np.concatenate(hands, 1), head, motion.fps)


@kernel
def _warp(cost: np.ndarray) -> tuple[float, int]:  # pragma: no cover - compiled
    """Least total cost of a warping path through (N, M), and the number of its steps."""
    n, m = cost.shape
    total = np.empty((n, m))
    steps = np.empty((n, m), np.int64)
    for i in range(n):
        for j in range(m):
            if i == 0 and j == 0:
                total[i, j], steps[i, j] = cost[i, j], 1
                continue
            best, count = np.inf, 0
            if i > 0 and j > 0:
                best, count = total[i - 1, j - 1], steps[i - 1, j - 1]
            if i > 0 and total[i - 1, j] < best:
                best, count = total[i - 1, j], steps[i - 1, j]
            if j > 0 and total[i, j - 1] < best:
                best, count = total[i, j - 1], steps[i, j - 1]
            total[i, j], steps[i, j] = best + cost[i, j], count + 1
    return total[n - 1, m - 1], steps[n - 1, m - 1]


def dtw(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance of points (N, K, 3) to (M, K, 3) along the best time warping; the unit is the points'."""
    cost = np.linalg.norm(a[:, None] - b[None], axis=-1).mean(-1)  # (N, M)
    total, steps = _warp(np.ascontiguousarray(cost, dtype=np.float64))
    return float(total / steps)


def distances(made: Motion, real: Motion, two_handed: bool) -> dict[str, float]:
    """A motion beside a real take.

    dtw_mje: mean joint error of arms, hands and head under time warping, mm. dtwp_hands: the same of the hands
    alone (the left one only where the sign has two), placed in space, mm. dtwp_shape: of the hands in their
    own palms' frames, mm: the handshape alone. length: ratio of the numbers of frames. distance: ratio of how
    far the hands travel in all.
    """
    a, b = places_of(made), places_of(real)
    rows = slice(0, 42 if two_handed else 21)
    return {
        "dtw_mje": 1000 * dtw(a.all, b.all),
        "dtwp_hands": 1000 * dtw(a.hands[:, rows], b.hands[:, rows]),
        "dtwp_shape": 1000 * dtw(in_palm(a.hands)[:, rows], in_palm(b.hands)[:, rows]),
        "length": len(a) / len(b),
        "distance": travelled(a.hands[:, rows]) / max(travelled(b.hands[:, rows]), 1e-6),
    }


def in_palm(hands: np.ndarray) -> np.ndarray:
    """Hand points (T, 21 k, 3) seen from each hand's own palm."""
    out = np.empty_like(hands)
    for first in range(0, hands.shape[1], 21):
        hand = hands[:, first : first + 21]
        along = hand[:, 9] - hand[:, 0]
        along = along / np.linalg.norm(along, axis=-1, keepdims=True)
        across = hand[:, 5] - hand[:, 17]
        across = across - (across * along).sum(-1, keepdims=True) * along
        across = across / np.linalg.norm(across, axis=-1, keepdims=True)
        frame = np.stack([across, along, np.cross(across, along)], -1)  # (T, 3, 3)
        out[:, first : first + 21] = (hand - hand[:, :1]) @ frame
    return out


def travelled(points: np.ndarray) -> float:
    """How far points (T, K, 3) travel, metres, on the average."""
    return float(np.linalg.norm(np.diff(points, axis=0), axis=-1).sum(0).mean())


def movement(motion: Motion) -> dict[str, float]:
    """What a motion is like by itself.

    jitter: median length of the third derivative of the wrists' places while they move, m/s3. speed: the 99th
    percentile of the faster wrist's speed, m/s. turn: the 99th percentile of the fastest joint's, rad/s. jump:
    the largest turn of a joint from one frame to the next, degrees. deepest: how deep a hand is in body or
    other hand at worst, mm.
    """
    places, q = places_of(motion), quaternions(motion)
    wrists = places.hands[:, [0, 21]]
    speed = np.linalg.norm(np.diff(wrists, axis=0), axis=-1) * motion.fps  # (T - 1, 2)
    third = np.linalg.norm(np.diff(wrists, n=3, axis=0), axis=-1) * motion.fps**3  # (T - 3, 2)
    moving = np.minimum.reduce([speed[k : len(third) + k] for k in range(3)]) > 0.05
    turns = rotation.turn_between(q[:-1], q[1:])  # (T - 1, J) radians
    return {
        "jitter": float(np.median(third[moving])) if moving.any() else 0.0,
        "speed": float(np.quantile(speed.max(1), 0.99)),
        "turn": float(np.quantile(turns.max(1), 0.99) * motion.fps),
        "jump": float(np.degrees(turns.max())),
        "deepest": 1000 * deepest(q),
    }


def deepest(q: np.ndarray) -> float:
    """How deep a hand is in trunk, head or the other hand at worst, metres, for q (T, J, 4)."""
    pushes = [penetration(q, "R"), penetration(q, "L"), hands_overlap(q)]
    return float(max(np.linalg.norm(p, axis=-1).max() for p in pushes))


def contact_error(motion: Motion, row: Phonology) -> float | None:
    """How far the dominant hand stays from what its sign touches, at its nearest, mm; None without contact.

    What is touched is told by the phonology's major location: the other hand, or head and trunk. Arms, which
    have no surface here, are left out.
    """
    if not row.contact or row.major not in ("Hand", "Head", "Body"):
        return None
    q = quaternions(motion)
    gap = gap_between_hands(q) if row.major == "Hand" else gap_to_body(q, "R")
    return 1000 * max(float(gap.min()) - TOUCH, 0.0)


def still(motion: Motion, frames: int) -> Motion:
    """The mean pose of a motion held for some frames: the floor of every distance."""
    q = quaternions(motion)
    aligned = np.where((q * q[:1]).sum(-1, keepdims=True) < 0, -q, q)
    mean = aligned.mean(0, keepdims=True)
    six = rotation.quaternion_to_six(mean / np.linalg.norm(mean, axis=-1, keepdims=True)).astype(np.float32)
    face = np.repeat(motion.face.mean(0, keepdims=True), frames, 0)
    return Motion(np.repeat(six, frames, 0), face, np.zeros((frames, 3), np.float32), motion.fps)


def summary(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of every figure over rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {n: float(np.mean([row[n] for row in rows if n in row])) for n in names}
