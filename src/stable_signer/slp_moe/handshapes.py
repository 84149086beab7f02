"""Handshapes: angles of the fingers' joints on the rig, and the table of the shapes that ASL uses.

Angles are anatomical and in degrees: a straight finger in the line of its metacarpal has flexion 0 at all
three joints (MCP, PIP, DIP) and spread 0; flexion is positive into the palm, spread positive towards the
thumb. The thumb has the direction of its metacarpal (out: in the palm's plane away from the fingers' line;
up: out of that plane to the palm's side), its roll about itself, a sideways bend at the MCP joint, and the
flexion of MCP and IP.

The palm's coordinates are (side, fingers, normal) as in `body.ik`, for the right hand, with the origin at
the wrist. Shapes are named as in ASL-LEX 2.0 (Sehyr, Caselli, Cohen-Goldberg & Emmorey 2021), letters as
capitals, digits as themselves. `weights/handshapes.json` holds the table; `tools/fit_handshapes.py` made it
from a description of each shape (which fingers touch, where the thumb lies) by solving for contact without
one finger passing another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np

from stable_signer.body.ik import (
    FINGER_JOINTS,
    arm_geometry,
    between,
    frame,
    reference_joints,
    rotation,
    unit,
)
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
THUMB = ("out", "up", "roll", "side", "mcp", "ip")
FINGER = ("spread", "mcp", "pip", "dip")
ANGLES = tuple(f"thumb.{a}" for a in THUMB) + tuple(f"{f}.{a}" for f in FINGERS[1:] for a in FINGER)  # 22

# What a hand can do, degrees: (least, most) in the order of ANGLES.
FINGER_LIMITS = ((-22.0, 25.0), (-25.0, 95.0), (-5.0, 115.0), (-8.0, 90.0))
THUMB_LIMITS = ((-30.0, 80.0), (-15.0, 85.0), (-60.0, 75.0), (-20.0, 20.0), (-20.0, 65.0), (-35.0, 85.0))
LIMITS = np.array(THUMB_LIMITS + FINGER_LIMITS * 4)  # (22, 2)

REFERENCE_SIGNER = "maya"


@dataclass(frozen=True)
class HandRig:
    """The right hand of the reference signer, measured in the reference pose.

    palm: (3, 3) the palm frame. joints: 15 skeleton indices, thumb first, each from base to tip.
    places: (15, 3) joints in palm coordinates, metres. segments: (15, 3, 3) each segment's own frame in palm
    coordinates: columns flexion axis, direction, and their cross product (out of the pad).
    lengths: (15,) metres, the last of each finger to the tip of the mesh. radii: (15,) of the capsules.
    """

    palm: np.ndarray
    joints: tuple[int, ...]
    places: np.ndarray
    segments: np.ndarray
    lengths: np.ndarray
    radii: np.ndarray


@lru_cache(maxsize=1)
def hand_rig() -> HandRig:
    """Measure the hand once."""
    body = Body.load()
    rest = body.signer(REFERENCE_SIGNER)
    palm = arm_geometry(body, rest, "R").palm
    at = reference_joints(body, rest)
    wrist = at[body.index["wrist.R"]]
    joints = tuple(body.index[f"{n}.R"] for n in FINGER_JOINTS)
    places = (at[list(joints)] - wrist) @ palm
    weights, influence = body.arrays["skin_weights"], body.arrays["skin_joints"]
    main = influence[np.arange(len(influence)), weights.argmax(1)]
    vertices, heads, align = rest.vertices.numpy(), rest.heads.numpy(), rest.align.numpy()
    segments, lengths, radii = np.empty((15, 3, 3)), np.empty(15), np.empty(15)
    for k, j in enumerate(joints):
        skin = ((vertices[main == j] - heads[j]) @ align[j].T) @ palm  # in palm coordinates, from the joint
        if k % 3 < 2:
            direction = unit(places[k + 1] - places[k])
            lengths[k] = float(np.linalg.norm(places[k + 1] - places[k]))
        else:
            direction = unit(skin.mean(0))
            lengths[k] = float((skin @ direction).max())
        along = skin @ direction
        away = np.linalg.norm(skin - along[:, None] * direction, axis=1)
        middle = (along > 0.3 * lengths[k]) & (along < 0.75 * lengths[k])
        radii[k] = float(np.median(away[middle] if middle.any() else away))
        axis = np.array([1.0, 0.0, 0.0])
        segments[k] = frame(direction, axis)
        segments[k] = np.stack([segments[k][:, 1], direction, np.cross(segments[k][:, 1], direction)], -1)
    # The thumb flexes about the wide axis of its end: the nail is broader than it is thick.
    end = ((vertices[main == joints[2]] - heads[joints[2]]) @ align[joints[2]].T) @ palm
    end = end - end.mean(0)
    wide = np.linalg.svd(end - np.outer(end @ segments[2][:, 1], segments[2][:, 1]), full_matrices=False)[2][
        0
    ]
    wide = wide * np.sign(wide[2])
    for k in range(3):
        direction = segments[k][:, 1]
        axis = unit(wide - (wide @ direction) * direction)
        segments[k] = np.stack([axis, direction, np.cross(axis, direction)], -1)
    radii[0] = 0.011  # the ball of the thumb, of which few vertices belong to this joint alone
    radii = np.minimum(radii, [0.011, 0.0095, 0.0085] + [0.0092, 0.0086, 0.0074] * 4)
    return HandRig(palm, joints, places, segments, lengths, radii)


def segment_turns(angles: np.ndarray) -> np.ndarray:
    """Turns (…, 15, 3, 3) of the finger segments from the reference pose, in palm coordinates, for angles
    (…, 22).
    """
    rig = hand_rig()
    a = np.radians(np.asarray(angles, dtype=float))
    out = np.empty((*a.shape[:-1], 15, 3, 3))
    x, _, z = np.eye(3)
    for f in range(4):
        spread, mcp, pip, dip = np.moveaxis(a[..., 6 + 4 * f : 10 + 4 * f], -1, 0)
        frame_now = rotation(x, mcp) @ rotation(z, -spread)
        for k, bend in enumerate((None, pip, dip)):
            if bend is not None:
                frame_now = frame_now @ rotation(x, bend)
            out[..., 3 + 3 * f + k, :, :] = frame_now @ rig.segments[3 + 3 * f + k].T
    out_angle, up, roll, side, mcp, ip = np.moveaxis(a[..., :6], -1, 0)
    direction = np.stack([np.cos(up) * np.sin(out_angle), np.cos(up) * np.cos(out_angle), np.sin(up)], -1)
    start = rig.segments[0]
    swing = between(start[:, 1], direction)
    frame_now = rotation(direction, roll) @ swing @ start
    for k, bend in enumerate((None, mcp, ip)):
        if bend is not None:
            frame_now = frame_now @ rotation(x, bend)
            if k == 1:
                frame_now = frame_now @ rotation(z, side)
        out[..., k, :, :] = frame_now @ rig.segments[k].T
    return out


def hand_points(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends (…, 15, 3) of the finger segments' capsules in palm coordinates, metres.

    The last segment of a finger ends one radius before the tip, so that the capsule's cap is the fingertip.
    """
    rig = hand_rig()
    turns = segment_turns(angles)
    starts, ends = np.empty(turns.shape[:-1]), np.empty(turns.shape[:-1])
    for f in range(5):
        here = np.broadcast_to(rig.places[3 * f], (*turns.shape[:-3], 3))
        for k in range(3 * f, 3 * f + 3):
            direction = turns[..., k, :, :] @ rig.segments[k][:, 1]
            starts[..., k, :] = here
            length = rig.lengths[k] - (rig.radii[k] if k % 3 == 2 else 0.0)
            here = here + direction * length
            ends[..., k, :] = here
    return starts, ends


def finger_rotations(angles: np.ndarray) -> np.ndarray:
    """Rotations (…, 15, 3, 3) of the right hand's finger joints relative to their parents, for angles (…,
    22).
    """
    rig = hand_rig()
    turns = rig.palm @ segment_turns(angles) @ rig.palm.T  # relative to the wrist, in world axes
    out = turns.copy()
    for f in range(5):
        for k in (3 * f + 1, 3 * f + 2):
            out[..., k, :, :] = np.swapaxes(turns[..., k - 1, :, :], -1, -2) @ turns[..., k, :, :]
    return out


def capsule_gap(p: np.ndarray, q: np.ndarray, r: np.ndarray, s: np.ndarray) -> np.ndarray:
    """The shortest vector (…, 3) from segment r-s to segment p-q, ends (…, 3) (Ericson 2005, section
    5.1.9).
    """
    d1, d2, w = q - p, s - r, p - r
    a, e, f = (d1 * d1).sum(-1), (d2 * d2).sum(-1), (d2 * w).sum(-1)
    b, c = (d1 * d2).sum(-1), (d1 * w).sum(-1)
    denominator = np.maximum(a * e - b * b, 1e-12)
    t1 = np.clip((b * f - c * e) / denominator, 0, 1)
    t2 = np.clip((b * t1 + f) / np.maximum(e, 1e-12), 0, 1)
    t1 = np.clip((b * t2 - c) / np.maximum(a, 1e-12), 0, 1)
    return np.asarray(w + d1 * t1[..., None] - d2 * t2[..., None])


def capsule_distance(p: np.ndarray, q: np.ndarray, r: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Least distance (…) between segments p-q and r-s, ends (…, 3)."""
    return np.asarray(np.linalg.norm(capsule_gap(p, q, r, s), axis=-1))


# Pairs of segments of different fingers that must not pass through one another.
PAIRS = tuple((i, j) for i in range(15) for j in range(i + 1, 15) if i // 3 != j // 3)


def clearance(angles: np.ndarray) -> np.ndarray:
    """Gaps (…, pairs) in metres between finger segments, negative where they overlap, in the order of
    PAIRS.
    """
    rig = hand_rig()
    starts, ends = hand_points(angles)
    i, j = (list(x) for x in zip(*PAIRS, strict=True))
    distance = capsule_distance(starts[..., i, :], ends[..., i, :], starts[..., j, :], ends[..., j, :])
    return np.asarray(distance - rig.radii[i] - rig.radii[j])


def palm_clearance(angles: np.ndarray) -> np.ndarray:
    """Gaps (…, 8 * 4) in metres between the outer two segments of thumb and fingers and the palm's four
    bones.
    """
    rig = hand_rig()
    starts, ends = hand_points(angles)
    outer = [1, 2, 5, 8, 11, 14]
    gaps = []
    for f in range(1, 5):
        knuckle = rig.places[3 * f]
        root = np.array([0.45 * knuckle[0], 0.030, 0.0])
        tip = root + 0.97 * (knuckle - root)
        p, q = (np.broadcast_to(v, starts[..., outer, :].shape) for v in (root, tip))
        gaps.append(
            capsule_distance(starts[..., outer, :], ends[..., outer, :], p, q) - 0.0085 - rig.radii[outer]
        )
    return np.stack(gaps, -1).reshape(*starts.shape[:-2], -1)


@lru_cache(maxsize=1)
def table() -> dict[str, np.ndarray]:
    """Every handshape by name: (22,) degrees in the order of ANGLES."""
    text = (resources.files("stable_signer") / "weights" / "handshapes.json").read_text(encoding="utf-8")
    data = json.loads(text)
    shapes = {name: np.array(values, dtype=float) for name, values in data["shapes"].items()}
    return shapes | {name: shapes[other] for name, other in data["same"].items()}


def shape_angles(name: str) -> np.ndarray:
    """The 22 angles of a shape in degrees.

    name: of the table, or an expression over it: `B:thumb=S` is B with the thumb of S,
    `5:index=bent_v.middle` is 5 whose index is flexed as the middle finger of bent_v (a finger keeps its
    spread), `1/V` lies halfway between two. Raises StableSignerError for a name that is not in the table.
    """
    halves = [_composed(half) for half in name.split("/")]
    return np.asarray(np.mean(halves, axis=0)) if len(halves) > 1 else halves[0]


def _composed(expression: str) -> np.ndarray:
    base, *changes = expression.split(":")
    angles = _named(base)
    for change in changes:
        part, _, source = change.partition("=")
        donor, _, finger = source.partition(".")
        if part not in FINGERS or (finger or part) not in FINGERS or (part == "thumb") != (
            (finger or part) == "thumb"
        ):
            raise StableSignerError(
                f"the handshape {expression!r} cannot be read: write `shape:finger=shape` or "
                f"`shape:finger=shape.finger` with {', '.join(FINGERS)}"
            )
        angles = angles.copy()
        angles[_flexions(part)] = _named(donor)[_flexions(finger or part)]
    return angles


def _flexions(finger: str) -> slice:
    """Where a finger's angles stand, without its spread; of the thumb, all."""
    start = 6 + 4 * (FINGERS.index(finger) - 1)
    return slice(0, 6) if finger == "thumb" else slice(start + 1, start + 4)


def _named(name: str) -> np.ndarray:
    shapes = table()
    if name not in shapes:
        raise StableSignerError(f"there is no handshape {name!r}: the table has {', '.join(sorted(shapes))}")
    return shapes[name]


@lru_cache(maxsize=256)
def handshape(name: str) -> np.ndarray:
    """Rotations (15, 3, 3) of the right hand's finger joints, thumb first, each from base to tip.

    Raises StableSignerError for a name that is not in the table. `mirror` gives the left hand.
    """
    out = finger_rotations(shape_angles(name))
    out.setflags(write=False)
    return out


def mirror(rotations: np.ndarray) -> np.ndarray:
    """Rotations (…, 3, 3) seen in a mirror that swaps left and right (x)."""
    flip = np.array([-1.0, 1.0, 1.0])
    return rotations * flip[:, None] * flip
