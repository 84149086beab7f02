"""Where signs are made: points of the hand, places on the body, and the notation's directions.

Everything is written for the right hand of the reference signer and mirrored for the left. Directions are
letters: U up, D down, O out (away from the signer), I in (towards the signer), C contra (to the other side
of the body), P ipsi (to the hand's own side). A letter may carry a weight or, in an offset, centimetres:
`C8O4`, `+U5C3`.
"""

from __future__ import annotations

import re

import numpy as np

from stable_signer.errors import StableSignerError
from stable_signer.slp_moe.handshapes import hand_points, hand_rig, segment_turns

DIRECTIONS = {
    "U": np.array([0.0, 0.0, 1.0]),
    "D": np.array([0.0, 0.0, -1.0]),
    "O": np.array([0.0, -1.0, 0.0]),
    "I": np.array([0.0, 1.0, 0.0]),
    "C": np.array([1.0, 0.0, 0.0]),
    "P": np.array([-1.0, 0.0, 0.0]),
}

# Places on the reference signer in metres for the right hand (its own side is at negative x): measured on the
# rest mesh, clothes included.
PLACES: dict[str, tuple[float, float, float]] = {
    "top": (0.0, -0.07, 0.935),
    "forehead": (0.0, -0.172, 0.872),
    "brow": (-0.045, -0.165, 0.865),
    "temple": (-0.068, -0.135, 0.850),
    "eye": (-0.034, -0.182, 0.820),
    "nose": (0.0, -0.199, 0.787),
    "cheek": (-0.048, -0.166, 0.775),
    "ear": (-0.082, -0.075, 0.800),
    "lip": (0.0, -0.194, 0.768),
    "mouth": (0.0, -0.192, 0.757),
    "mouthside": (-0.030, -0.178, 0.757),
    "chin": (0.0, -0.180, 0.724),
    "jaw": (-0.052, -0.140, 0.735),
    "underchin": (0.0, -0.150, 0.699),
    "neck": (0.0, -0.107, 0.660),
    "shoulder": (-0.165, -0.085, 0.605),
    "contrashoulder": (0.165, -0.085, 0.605),
    "clavicle": (-0.075, -0.125, 0.590),
    "collar": (0.075, -0.125, 0.590),  # the clavicle of the other side
    "chest": (0.0, -0.158, 0.520),
    "ipsichest": (-0.085, -0.168, 0.530),
    "contrachest": (0.085, -0.168, 0.530),
    "middle": (0.0, -0.165, 0.380),
    "belly": (0.0, -0.160, 0.250),
    "waist": (-0.09, -0.145, 0.200),
    "hip": (-0.135, -0.120, 0.150),
    "upperarm": (0.225, -0.085, 0.500),  # of the other arm, hanging
    # Space before the body.
    "neutral": (-0.115, -0.380, 0.420),
    "centre": (-0.020, -0.370, 0.400),
    "low": (-0.110, -0.350, 0.300),
    "spelling": (-0.215, -0.330, 0.545),
    "high": (-0.180, -0.320, 0.700),
    "far": (-0.120, -0.480, 0.500),
}

# Points of the hand in palm coordinates (side, fingers, normal), metres, that do not depend on the fingers.
FIXED_POINTS: dict[str, tuple[float, float, float]] = {
    "wrist": (0.0, 0.0, 0.0),
    "palm": (0.0, 0.075, 0.016),
    "back": (0.0, 0.075, -0.016),
    "heel": (-0.005, 0.030, 0.018),
    "inside": (0.0, 0.075, 0.0),
    "edge": (-0.046, 0.070, 0.004),  # the edge on the little finger's side
    "radial": (0.040, 0.090, 0.004),  # the edge on the index's side
    "wristback": (0.0, 0.0, -0.022),
    "wristfront": (0.0, 0.0, 0.022),
    "forearm": (0.0, -0.09, -0.030),
    "forearmedge": (-0.030, -0.09, 0.0),
}
TIP_OF = {"thumb": 2, "index": 5, "middle": 8, "ring": 11, "pinky": 14}
HAND_POINTS = (
    *FIXED_POINTS,
    *TIP_OF,
    *(f"{f}pad" for f in TIP_OF),
    "tips",
    "knuckles",
    "fingers",
    "pinch",
    "fingerback",
)


def direction(text: str) -> np.ndarray:
    """Unit vector (3,) from letters with weights, such as `O`, `OU` or `C8O4`."""
    total = offset(text, default=1.0)
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise StableSignerError(f"the direction {text!r} cancels out: give one that points somewhere")
    return total / length


def offset(text: str, default: float = 0.0) -> np.ndarray:
    """Sum (3,) of the letters' directions, each times its number (`default` if it has none), unscaled."""
    if not re.fullmatch(r"([UDOICP]\d*\.?\d*)*", text):
        raise StableSignerError(f"{text!r} is not a direction: use the letters U D O I C P with numbers")
    total = np.zeros(3)
    for letter, number in re.findall(r"([UDOICP])(\d*\.?\d*)", text):
        total += DIRECTIONS[letter] * (float(number) if number else default)
    return total


def hand_point(angles: np.ndarray, name: str) -> np.ndarray:
    """Place (…, 3) of a point of the hand in palm coordinates, metres, for finger angles (…, 22) in degrees.

    Tips are `thumb` … `pinky`, their pads `indexpad`; `tips` is the middle of the four fingertips, `pinch`
    the middle between thumb and index tip, `knuckles` the middle joints of index and middle finger,
    `fingers` the pads' side of the middle phalanges, `fingerback` their back.
    """
    if name in FIXED_POINTS:
        return np.broadcast_to(np.array(FIXED_POINTS[name]), (*angles.shape[:-1], 3))
    rig = hand_rig()
    starts, ends = hand_points(angles)
    if name in TIP_OF or name.endswith("pad"):
        k = TIP_OF[name.removesuffix("pad")]
        turn = segment_turns(angles)[..., k, :, :] @ rig.segments[k]
        column = 2 if name.endswith("pad") else 1
        return np.asarray(ends[..., k, :] + turn[..., column] * rig.radii[k])
    if name == "tips":
        return np.asarray(
            np.mean([hand_point(angles, f) for f in ("index", "middle", "ring", "pinky")], axis=0)
        )
    if name == "pinch":
        return np.asarray((ends[..., 2, :] + ends[..., 5, :]) / 2)
    if name == "knuckles":
        turn = segment_turns(angles)[..., [3, 6], :, :] @ rig.segments[[3, 6]]
        return np.asarray((starts[..., [4, 7], :] + turn[..., 1] * 0.008).mean(-2))
    if name in ("fingers", "fingerback"):
        turn = segment_turns(angles)[..., [4, 7], :, :] @ rig.segments[[4, 7]]
        out = 0.009 if name == "fingers" else -0.009
        return np.asarray(((starts + ends)[..., [4, 7], :] / 2 + turn[..., 2] * out).mean(-2))
    raise StableSignerError(f"the hand has no point {name!r}: use one of {', '.join(HAND_POINTS)}")
