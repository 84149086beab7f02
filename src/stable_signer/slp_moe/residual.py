"""What the experts add to a prior: the difference of two motions as a row of numbers a frame, and back.

A frame's residual has `CHANNELS` numbers. Arms are told by what matters of them in signing, where the wrist
is, how the palm is turned and how far the elbow is lifted, and not joint by joint: a small error of a joint
in the shoulder would move the hand by centimetres, and contact is lost by less. Fingers, palms and head are
rotation vectors in the tangent space at the prior's pose. Both arms are told in the terms of a right arm, the
left one mirrored, so that what is learned of one serves the other.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from stable_signer.body import ik, rotation
from stable_signer.body.fit import NECK_SHARES, default_fitter
from stable_signer.body.skeleton import Body
from stable_signer.slp_moe.clearance import kinematics, move_wrist
from stable_signer.slp_moe.lexicon import FACE_CHANNELS
from stable_signer.slp_moe.notation import reference_body

SIDES = ("R", "L")
ARM, HAND = 7, 25  # wrist 3 (metres), palm 3 (radians), swivel 1 (radians); fingers 25 (radians)
SIDE = ARM + HAND
HEAD, FACE = 3, len(FACE_CHANNELS)
CHANNELS = 2 * SIDE + HEAD + FACE
"""Right arm, right fingers, left arm, left fingers, head, face."""

WRISTS = [s * SIDE + k for s in range(2) for k in range(3)]
PALMS = [s * SIDE + 3 + k for s in range(2) for k in range(3)]
SWIVELS = [s * SIDE + 6 for s in range(2)]
FINGERS = [s * SIDE + ARM + k for s in range(2) for k in range(HAND)]
HEADS = [2 * SIDE + k for k in range(HEAD)]
FACES = [2 * SIDE + HEAD + k for k in range(FACE)]

# What a mirror that swaps left and right does to a place or a direction, and to a rotation vector; by side, a
# right arm being told as it is.
PLACE_MIRROR = {"R": np.ones(3), "L": np.array([-1.0, 1.0, 1.0])}
TURN_MIRROR = {"R": np.ones(3), "L": np.array([1.0, -1.0, -1.0])}


@lru_cache(maxsize=1)
def _basis() -> tuple[tuple[int, np.ndarray], ...]:
    """For each of the 15 finger joints (thumb first) the axes (k, 3) that its residual is told in: all three
    at the base of a finger, the hinge elsewhere."""
    hinges = {h.joint: h.axis for h in default_fitter().limb.hinges if h.joint.startswith("finger")}
    out = []
    for finger in range(1, 6):
        for k in (1, 2, 3):
            axes = np.eye(3) if k == 1 else hinges[f"finger{finger}-{k}"][None]
            out.append((3 * (finger - 1) + k - 1, np.asarray(axes)))
    return tuple(out)


@lru_cache(maxsize=2)
def finger_joints(side: str) -> tuple[int, ...]:
    """Indices of a hand's 15 finger joints in the skeleton, thumb first, each from base to tip."""
    index = Body.load().index
    return tuple(index[f"finger{f}-{k}.{side}"] for f in range(1, 6) for k in (1, 2, 3))


@lru_cache(maxsize=1)
def _neck() -> tuple[tuple[int, float], ...]:
    index = Body.load().index
    return tuple((index[name], share) for name, share in NECK_SHARES)


def matrices(q: np.ndarray) -> np.ndarray:
    """(…, 4) quaternions -> (…, 3, 3)."""
    six = rotation.quaternion_to_six(q)
    x, y = six[..., :3], six[..., 3:]
    return np.stack([x, y, np.cross(x, y)], -1)


def finger_tangent(fingers: np.ndarray) -> np.ndarray:
    """Rotation vectors of finger joints (…, 15, 3) -> (…, HAND) along the axes that are kept."""
    return np.concatenate([fingers[..., j, :] @ axes.T for j, axes in _basis()], -1)


def finger_vectors(tangent: np.ndarray) -> np.ndarray:
    """The inverse of `finger_tangent`: (…, HAND) -> (…, 15, 3)."""
    out = np.zeros((*tangent.shape[:-1], 15, 3))
    at = 0
    for j, axes in _basis():
        out[..., j, :] = tangent[..., at : at + len(axes)] @ axes
        at += len(axes)
    return out


def arm(q: np.ndarray, side: str) -> ik.ArmTargets:
    """Where the wrist of a side is, how its palm is turned and its elbow lifted; (T, …), see body.ik."""
    body, rest = reference_body()
    return ik.arm_targets(body, rest, side, matrices(q))


def head_vector(q: np.ndarray) -> np.ndarray:
    """(T, 3) rotation vector of the head against the trunk."""
    turn = q[:, _neck()[0][0]]
    for joint, _ in _neck()[1:]:
        turn = rotation.multiply(turn, q[:, joint])
    return rotation.log(turn)


def face_row(face: np.ndarray) -> np.ndarray:
    """(T, 52) face actions -> (T, FACE), the channels that the lexicon keeps."""
    index = Body.load().face_index
    return np.asarray(face[:, [index[actions[0]] for actions in FACE_CHANNELS.values()]])


def encode(q: np.ndarray, face: np.ndarray, goal: np.ndarray, goal_face: np.ndarray) -> np.ndarray:
    """The residual (T, CHANNELS) that leads from a prior to a goal; q, goal (T, J, 4), faces (T, 52)."""
    out = np.zeros((len(q), CHANNELS))
    for s, side in enumerate(SIDES):
        at = s * SIDE
        mirror = TURN_MIRROR[side]
        here, there = arm(q, side), arm(goal, side)
        out[:, at : at + 3] = (there.wrist - here.wrist) * PLACE_MIRROR[side]
        turn = np.swapaxes(here.palm, -1, -2) @ there.palm
        out[:, at + 3 : at + 6] = rotation.log(rotation.matrix_to_quaternion(turn)) * mirror
        out[:, at + 6] = _wrap(there.swivel - here.swivel)
        joints = list(finger_joints(side))
        turns = rotation.log(rotation.multiply(rotation.conjugate(q[:, joints]), goal[:, joints]))
        out[:, at + ARM : at + SIDE] = finger_tangent(turns * mirror)
    out[:, HEADS] = rotation.log(
        rotation.multiply(rotation.conjugate(rotation.exp(head_vector(q))), rotation.exp(head_vector(goal)))
    )
    out[:, FACES] = face_row(goal_face) - face_row(face)
    return out


def decode(q: np.ndarray, face: np.ndarray, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A prior (T, J, 4), (T, 52) with a residual (T, CHANNELS) added -> the same shapes.

    A residual of zero leaves the prior as it is, bit by bit. Forearms and wrists stay within their limits.
    """
    q = q.copy()
    for s, side in enumerate(SIDES):
        row = residual[:, s * SIDE : (s + 1) * SIDE]
        moving = row.any(1)
        if not moving.any():
            continue
        q[moving] = _moved(q[moving], side, row[moving])
    turned = residual[:, HEADS]
    if turned.any():
        for joint, share in _neck():
            q[:, joint] = rotation.multiply(q[:, joint], rotation.exp(turned * share))
    added = residual[:, FACES]
    if added.any():
        face = face.copy()
        index = Body.load().face_index
        for k, actions in enumerate(FACE_CHANNELS.values()):
            for action in actions:
                face[:, index[action]] = np.clip(face[:, index[action]] + added[:, k], 0, 1)
    return q, face


def _moved(q: np.ndarray, side: str, row: np.ndarray) -> np.ndarray:
    """One side moved by its residual (T, SIDE).

    The arm turns by the difference of two solutions of the same solver, for where the prior's hand is and
    for where it should be, so that what is particular about the prior's arm stays.
    """
    body, rest = reference_body()
    mirror = TURN_MIRROR[side]
    turns = matrices(q)
    here = ik.arm_targets(body, rest, side, turns)
    wrist = here.wrist + row[:, :3] * PLACE_MIRROR[side]
    palm = here.palm @ matrices(rotation.exp(row[:, 3:6] * mirror))
    before = ik.solve_arm(body, rest, side, here.wrist, here.palm, swivel=here.swivel, rotations=turns)
    after = ik.solve_arm(body, rest, side, wrist, palm, swivel=here.swivel + row[:, 6], rotations=turns)
    joints = [body.index[f"{name}.{side}"] for name in ik.ARM]
    change = np.swapaxes(before, -1, -2) @ after
    q[:, joints] = rotation.multiply(q[:, joints], rotation.matrix_to_quaternion(change))
    fingers = list(finger_joints(side))
    q[:, fingers] = rotation.multiply(q[:, fingers], rotation.exp(finger_vectors(row[:, ARM:]) * mirror))
    missed = wrist - kinematics(q)[1][:, joints[-1]]
    return move_wrist(q, side, missed)


def _wrap(angle: np.ndarray) -> np.ndarray:
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)
