"""Poses from SMPL-X fits carried to our skeleton. Only the numbers of a pose are read: the SMPL-X model
itself is non-commercial and is neither needed nor used.

How: SMPL-X tells each joint's turn from its T-pose. Two skeletons in the same T-pose that make the same turns
in space have parallel bones; so it is enough to know how our reference pose is turned into that T-pose
(`_t_pose`), and to put SMPL-X's turns before it. Source of the layout: SMPL-X (Pavlakos et al. 2019): 21 body
joints, 15 joints a hand in the order index, middle, little, ring, thumb; y up, facing +z, palms down.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from stable_signer.body import rotation
from stable_signer.body.ik import arm_geometry, frame, palm_frame, reference_joints
from stable_signer.body.motion import FPS, Motion
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError

PARAMETERS = 182  # root 3, body 63, left hand 45, right hand 45, jaw 3, betas 10, expression 10, camera 3
# Parents of pelvis and the 21 body joints.
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
SPINE = {"spine05": 3, "spine04": 3, "spine03": 6, "spine02": 6, "spine01": 9, "neck01": 12, "neck02": 12,
         "neck03": 12, "head": 15}  # fmt: skip
ARMS = {
    "L": {"clavicle": 13, "shoulder01": 13, "upperarm01": 16, "upperarm02": 16, "lowerarm01": 18,
          "lowerarm02": 18, "wrist": 20},
    "R": {"clavicle": 14, "shoulder01": 14, "upperarm01": 17, "upperarm02": 17, "lowerarm01": 19,
          "lowerarm02": 19, "wrist": 21},
}  # fmt: skip
FINGERS = (2, 3, 5, 4, 1)  # ours, in SMPL-X's order of a hand's joints
# SMPL-X's hand is relaxed, not flat, where its numbers are zero. Radians about x, y, z that a right hand's
# knuckle, middle and end joint (index to little finger) have there, estimated from 43,000 frames of fits: a
# middle joint is straight where its z is least, an x is zero at its commonest value; knuckles by eye. The
# sign is sure: of 60 takes whose film is also tracked by MediaPipe, the fingers' directions in the palm
# correlate at 0.63 with the landmarks' (-0.49 with the other sign, 0.44 without).
RELAXED = np.array([[0.11, 0.0, 0.42], [0.11, 0.0, 0.77], [-0.10, 0.0, 0.20]])
# The thumb of SMPL-X at rest, measured along the fingers, to the thumb's side and out of the palm.
THUMB = np.array([0.62, 0.72, 0.30])
# x to the signer's left in both; SMPL-X has y up and looks along +z, we have z up and look along -y.
TO_OURS = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def from_smplx(parameters: np.ndarray, fps: float = FPS) -> Motion:
    """A motion from SMPL-X parameters (T, 182), radians, at `fps`.

    The root's turn (the camera's view) and the legs are left out: the signer faces us. The jaw opens the
    mouth. Raises StableSignerError when the array has another shape or is not finite.
    """
    values = np.asarray(parameters, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != PARAMETERS or not len(values):
        raise StableSignerError(f"SMPL-X parameters must be (T, {PARAMETERS}), not {values.shape}")
    if not np.isfinite(values).all():
        raise StableSignerError("the SMPL-X parameters have gaps (NaN): cut those frames out")
    body = Body.load()
    frames = len(values)
    local = _matrices(values[:, 3:66].reshape(frames, 21, 3))
    world = [np.broadcast_to(np.eye(3), (frames, 3, 3))]
    for joint, parent in enumerate(PARENTS[1:], 1):
        world.append(world[parent] @ local[:, joint - 1])
    turns = np.broadcast_to(np.eye(3), (frames, len(body.joints), 3, 3)).copy()
    for name, joint in SPINE.items():
        turns[:, body.index[name]] = world[joint]
    t_pose = _t_pose()
    for side, hand_at in (("L", 66), ("R", 111)):
        for name, joint in ARMS[side].items():
            j = body.index[f"{name}.{side}"]
            turns[:, j] = world[joint] @ t_pose[j]
        wrist = world[ARMS[side]["wrist"]]
        bends = values[:, hand_at : hand_at + 45].reshape(frames, 5, 3, 3).copy()
        bends[:, :4] += RELAXED * (np.array([1, -1, -1]) if side == "L" else 1)
        hand = _matrices(bends)  # (T, 5, 3, 3, 3)
        for n, finger in enumerate(FINGERS):
            turn = wrist
            for k in range(3):
                turn = turn @ hand[:, n, k]
                j = body.index[f"finger{finger}-{k + 1}.{side}"]
                turns[:, j] = turn @ t_pose[j]
        for k in range(1, 5):
            j = body.index[f"metacarpal{k}.{side}"]
            turns[:, j] = wrist @ t_pose[body.index[f"wrist.{side}"]]
    face = np.zeros((frames, 52), np.float32)
    face[:, body.face_index["jawOpen"]] = np.clip(values[:, 156] / 0.35, 0, 1)
    return Motion(_six(_local(turns, body)), face, np.zeros((frames, 3), np.float32), fps)


def _matrices(axis_angle: np.ndarray) -> np.ndarray:
    """(…, 3) radians in SMPL-X's axes -> (…, 3, 3) in ours."""
    six = rotation.quaternion_to_six(rotation.exp(axis_angle @ TO_OURS.T))
    x, y = six[..., :3], six[..., 3:]
    return np.stack([x, y, np.cross(x, y)], -1)


def _local(turns: np.ndarray, body: Body) -> np.ndarray:
    """World turns (T, J, 3, 3) -> turns relative to the parents; joints that nothing names follow their
    parent.
    """
    named = {body.index[n] for n in SPINE}
    named |= {
        j for j, n in enumerate(body.joints) if n[-2:] in (".L", ".R") and not n.startswith(("toe", "foot"))
    }
    legs = ("pelvis", "upperleg", "lowerleg", "eye")
    out = np.broadcast_to(np.eye(3), turns.shape).copy()
    world = turns.copy()
    for j, parent in enumerate(body.parents):
        if parent < 0:
            continue
        if j in named and not body.joints[j].startswith(legs):
            out[:, j] = world[:, parent].transpose(0, 2, 1) @ world[:, j]
        else:
            world[:, j] = world[:, parent]
    return out


def _six(matrices: np.ndarray) -> np.ndarray:
    return np.concatenate([matrices[..., 0], matrices[..., 1]], -1).astype(np.float32)


@lru_cache(maxsize=1)
def _t_pose() -> np.ndarray:
    """(J, 3, 3): world turns that bring our reference pose into SMPL-X's T-pose; identity outside the
    arms.
    """
    body = Body.load()
    rest = body.signer(body.signer_ids[0])
    place = reference_joints(body, rest)
    out = np.broadcast_to(np.eye(3), (len(body.joints), 3, 3)).copy()
    for side, out_x in (("L", 1.0), ("R", -1.0)):
        arm = arm_geometry(body, rest, side)
        away = np.array([out_x, 0.0, 0.0])
        hinge = np.cross(away, [0.0, -1.0, 0.0])  # the elbow bends to the front
        upper = frame(away, hinge) @ frame(arm.upper, arm.hinge).T
        fore = frame(away, hinge) @ frame(arm.fore, arm.hinge).T
        palm = palm_frame(np.array([0.0, 0, -1]), away)
        hand = palm @ arm.palm.T
        for name, turn in (
            ("upperarm01", upper),
            ("upperarm02", upper),
            ("lowerarm01", fore),
            ("wrist", hand),
        ):
            out[body.index[f"{name}.{side}"]] = turn
        out[body.index[f"lowerarm02.{side}"]] = _half_way(fore, hand, away)
        thumb_side = np.array([0.0, -1.0, 0.0])  # palms down: thumbs to the front
        thumb = THUMB[0] * away + THUMB[1] * thumb_side + THUMB[2] * np.array([0, 0, -1.0])
        for finger in range(1, 6):
            chain = [body.index[f"finger{finger}-{k}.{side}"] for k in (1, 2, 3)]
            along = [place[chain[1]] - place[chain[0]], place[chain[2]] - place[chain[1]]]
            goal = thumb if finger == 1 else away
            across, goal_across = (
                (arm.palm[:, 2], palm[:, 2]) if finger == 1 else (arm.palm[:, 0], palm[:, 0])
            )
            for j, bone in zip(chain, (*along, along[1]), strict=True):
                out[j] = frame(goal, goal_across) @ frame(bone, across).T
    return out


def _half_way(fore: np.ndarray, hand: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The forearm near the wrist takes half of the hand's turn about the forearm, so that the skin does not
    wring.
    """
    q = rotation.matrix_to_quaternion(hand @ fore.T)
    twist = 2 * np.arctan2(q[1:] @ axis, q[0])
    six = rotation.quaternion_to_six(rotation.exp(axis * twist / 2))
    x, y = six[:3], six[3:]
    return np.stack([x, y, np.cross(x, y)], -1) @ fore
