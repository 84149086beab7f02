"""What the experts are told: about the prior, frame by frame, and about the sign as a whole.

Frame features are taken from the prior's own pose, both arms in the terms of a right arm (see residual.py).
A sign is described by its phonology (ASL-LEX's codes, where the glossary knows them), where its prior comes
from, the linker states of itself and its neighbours, and the manner in which it is to be signed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from stable_signer.body import rotation
from stable_signer.slp_moe import residual as rs
from stable_signer.slp_moe.phonology import phonology
from stable_signer.slul.glosses import Glossary

AROUND = 8  # frames before and after a stroke that the experts see and may change
GRID = 25.0  # frames a second that the experts work at
SOURCES = ("recorded", "phonology", "alphabet")
"""Where a prior comes from: a recording or a hand-written notation, phonology alone, spelled letters."""
FIELDS = ("handshape", "other_handshape", "type", "movement", "major", "minor", "second")
FLAGS = ("repeated", "contact", "rotation")
MANNER = 3  # speed, size, emphasis (see manner.py)
ARM_FEATURES = 3 + 6 + 1 + rs.HAND + 3
FEATURES = 2 * ARM_FEATURES + rs.HEAD + rs.FACE + 6


@dataclass(frozen=True)
class SignCondition:
    """One sign as the gate and the experts see it.

    codes: (7,) int, places in `vocabulary()` of FIELDS, 0 where not known. flags: (3,) of FLAGS. source:
    index into SOURCES. linker: (3, d) states of the previous sign, of this one and of the next, zero where
    there is none. manner: (3,) log speed against the prior's own pace, log size, emphasis.
    """

    codes: np.ndarray
    flags: np.ndarray
    source: int
    linker: np.ndarray
    manner: np.ndarray = field(default_factory=lambda: np.zeros(MANNER, np.float32))


@lru_cache(maxsize=1)
def vocabulary() -> dict[str, dict[str, int]]:
    """For each of FIELDS, the number of each code; 0 is kept for what is not known."""
    rows = phonology().values()
    return {
        name: {code: k for k, code in enumerate(sorted({getattr(row, name) for row in rows}), 1)}
        for name in FIELDS
    }


@lru_cache(maxsize=1)
def _glossary() -> Glossary:
    return Glossary.load()


@lru_cache(maxsize=4096)
def codes(gloss: str) -> tuple[np.ndarray, np.ndarray]:
    """(7,) int64 and (3,) float32 of a gloss; zeros for a gloss without phonology."""
    entry = _glossary().entry(gloss).phonology if gloss in _glossary() else ""
    row = phonology().get(entry)
    if row is None:
        return np.zeros(len(FIELDS), np.int64), np.zeros(len(FLAGS), np.float32)
    numbers = [vocabulary()[name][getattr(row, name)] for name in FIELDS]
    return np.array(numbers, np.int64), np.array([getattr(row, name) for name in FLAGS], np.float32)


def frame_features(
    q: np.ndarray, face: np.ndarray, times: np.ndarray, start: float, end: float, two_handed: bool
) -> np.ndarray:
    """(T, FEATURES) float32 of a prior q (T, J, 4), face (T, 52) at `times` (T,) seconds around a stroke from
    `start` to `end`; times are GRID frames a second apart."""
    columns = []
    for side in rs.SIDES:
        mirror = rs.PLACE_MIRROR[side]
        arm = rs.arm(q, side)
        wrist = arm.wrist * mirror
        palm = arm.palm * mirror[:, None] * mirror
        fingers = rotation.log(q[:, list(rs.finger_joints(side))])
        fingers = rs.finger_tangent(fingers * rs.TURN_MIRROR[side])
        speed = np.gradient(wrist, axis=0) * GRID if len(wrist) > 1 else np.zeros_like(wrist)
        columns += [
            (wrist - [-0.12, -0.25, 0.45]) / 0.2,
            palm[..., 1:].reshape(len(q), 6),  # (T, 3, 2) fingers' direction and palm's normal -> (T, 6)
            arm.swivel[:, None],
            fingers,
            speed,
        ]
    columns += [rs.head_vector(q) * 3, rs.face_row(face)]
    length = max(end - start, 1 / GRID)
    progress = (times - start) / length
    inside = np.clip(progress, 0, 1)
    columns.append(
        np.stack(
            [
                inside,
                np.sin(np.pi * inside),
                np.clip((start - times) * GRID / AROUND, 0, 1),
                np.clip((times - end) * GRID / AROUND, 0, 1),
                np.full(len(times), length),
                np.full(len(times), float(two_handed)),
            ],
            -1,
        )
    )
    return np.concatenate(columns, 1).astype(np.float32)
