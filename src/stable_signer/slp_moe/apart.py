"""Two hands that do not pass through each other: they touch, and are moved apart where they would overlap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stable_signer.slp_moe.handshapes import capsule_gap, hand_points, hand_rig
from stable_signer.slp_moe.notation import HandTrack

# The palm as four capsules in palm coordinates, metres: from, to, radius.
PALM = (
    ((0.018, 0.035, 0.0), (0.026, 0.105, 0.002), 0.012),
    ((0.004, 0.030, 0.0), (0.000, 0.105, 0.000), 0.012),
    ((-0.010, 0.030, 0.0), (-0.020, 0.098, 0.000), 0.012),
    ((-0.020, 0.030, 0.0), (-0.037, 0.088, 0.003), 0.012),
)
TOUCH = 0.002  # metres that skin gives way
ROUNDS = 4


def part_hands(right: HandTrack, left: HandTrack, share: float) -> tuple[HandTrack, HandTrack]:
    """Move overlapping hands apart, smoothly in time. share: how much of it the right hand does (0 to 1).

    The left track is in the terms of a right hand, as everywhere in `notation`.
    """
    for _ in range(ROUNDS):
        push = _smoothed(_overlap(right, left))
        if not push.any():
            break
        flip = np.array([-1.0, 1.0, 1.0])
        right = replace(right, wrist=right.wrist + share * push)
        left = replace(left, wrist=left.wrist - (1 - share) * push * flip)
    return right, left


def overlap_depth(right: HandTrack, left: HandTrack) -> np.ndarray:
    """(T,) metres by which the hands overlap at the deepest, negative where they are apart."""
    gap, radii = _gaps(right, left)
    depth = radii - np.linalg.norm(gap, axis=-1)
    return np.asarray(depth.reshape(len(depth), -1).max(1))


def _capsules(track: HandTrack, mirrored: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts and ends (T, K, 3) in the world, and radii (K,)."""
    fingers = hand_points(track.angles)
    palm = [np.broadcast_to([p[k] for p in PALM], (len(track.wrist), len(PALM), 3)) for k in (0, 1)]
    flip = np.array([-1.0 if mirrored else 1.0, 1.0, 1.0])
    ends = [
        (track.wrist[:, None] + np.einsum("tab,tkb->tka", track.palm, np.concatenate([f, p], 1))) * flip
        for f, p in zip(fingers, palm, strict=True)
    ]
    return ends[0], ends[1], np.concatenate([hand_rig().radii, [p[2] for p in PALM]])


def _gaps(right: HandTrack, left: HandTrack) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (T, K, K, 3) from the left hand's capsules to the right's, and the sums of their radii (K,
    K).
    """
    p, q, r_radii = _capsules(right, False)
    r, s, l_radii = _capsules(left, True)
    return capsule_gap(p[:, :, None], q[:, :, None], r[:, None], s[:, None]), r_radii[:, None] + l_radii[None]


def _overlap(right: HandTrack, left: HandTrack) -> np.ndarray:
    """(T, 3) how the right hand must move to be out of the left at the deepest overlap; zero where there is
    none.
    """
    gap, radii = _gaps(right, left)
    length = np.linalg.norm(gap, axis=-1)
    depth = (radii - length - TOUCH).reshape(len(gap), -1)
    worst = depth.argmax(1)
    at = np.arange(len(gap))
    size = length.reshape(len(gap), -1)[at, worst][:, None]
    away = gap.reshape(len(gap), -1, 3)[at, worst] / np.maximum(size, 1e-6)
    # Where two bones cross there is no way out to read off: take that from hand to hand.
    hands = right.place("inside") - left.place("inside", mirrored=True)
    hands /= np.maximum(np.linalg.norm(hands, axis=1, keepdims=True), 1e-6)
    blend = np.clip(size / 0.004, 0, 1)
    away = blend * away + (1 - blend) * hands
    return np.asarray(away * np.maximum(depth[at, worst], 0)[:, None])


def _smoothed(push: np.ndarray) -> np.ndarray:
    """The push (T, 3) begins a little before the overlap and fades after it, at full depth where it is
    needed.
    """
    size = np.linalg.norm(push, axis=1)
    if not size.any():
        return push
    frames = np.arange(len(push))
    near = np.exp(-0.5 * ((frames[:, None] - frames[None]) / 2.0) ** 2)  # (T, T)
    strength = (near * size[None]).max(1)
    direction = near @ push
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    return np.asarray(direction * strength[:, None])
