"""Keypoints: the points that MediaPipe Holistic reports, read off our body.

33 body points, 21 for each hand and 122 of the 478 face points, so that a rendered signer can be compared
with detected landmarks and a motion written as a `.pose` file. Left and right are the signer's own, as in
MediaPipe.

Where the points lie: wrists, elbows, shoulders, hips, knees and ankles are joints; fingertips are the mean of
the outermost vertices of the last finger bone; face points, ears, heels and toes are vertices of the anny
topology, which all signers share. The face vertices were found once by warping MediaPipe's average frontal
face (thin-plate spline on 32 points set by eye) onto the neutral face of the first signer and taking the
nearest visible vertex; left is the mirror image of right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from stable_signer.body.skeleton import Body, RestPose
from stable_signer.body.skinning import Posed

# MediaPipe face-mesh index -> vertex of the body: face oval, brows, eyes, nose, lips outside and inside.
FACE_VERTICES: dict[int, int] = {
    0: 509, 1: 5038, 2: 317, 4: 291, 5: 164, 6: 134, 10: 244, 13: 520, 14: 523, 17: 492, 21: 3726, 33: 24,
    37: 461, 39: 5336, 40: 448, 46: 190, 52: 170, 53: 172, 54: 720, 55: 181, 58: 895, 61: 422, 63: 179,
    65: 171, 66: 177, 67: 714, 70: 212, 78: 431, 80: 516, 81: 515, 82: 522, 84: 486, 87: 488, 88: 476,
    91: 440, 93: 5161, 95: 437, 98: 286, 103: 3729, 105: 176, 107: 208, 109: 243, 127: 5172, 132: 5226,
    133: 4852, 136: 915, 144: 1067, 145: 6758, 146: 441, 148: 918, 149: 916, 150: 3681, 152: 732,
    153: 6756, 158: 6747, 159: 6740, 160: 6746, 162: 3725, 168: 132, 172: 737, 176: 914, 178: 482,
    181: 484, 185: 504, 191: 449, 195: 131, 197: 135, 234: 5167, 251: 10378, 263: 6792, 267: 7204,
    269: 11922, 270: 7192, 276: 6950, 282: 6930, 283: 6932, 284: 7427, 285: 6941, 288: 7581, 291: 7166,
    293: 6939, 295: 6931, 296: 6937, 297: 7421, 300: 6971, 308: 7175, 310: 7247, 311: 7246, 312: 7252,
    314: 7225, 317: 7227, 318: 7215, 321: 7184, 323: 11757, 324: 7181, 327: 7039, 332: 10381, 334: 6936,
    336: 6967, 338: 6998, 356: 11768, 361: 11819, 362: 11454, 365: 7601, 373: 7743, 374: 13338, 375: 7185,
    377: 7604, 378: 7602, 379: 10333, 380: 13336, 385: 13327, 386: 13320, 387: 13326, 389: 10377,
    397: 7441, 400: 7600, 402: 7221, 405: 7223, 409: 7237, 415: 7193, 454: 11763,
}
FACE_IDS: tuple[int, ...] = tuple(FACE_VERTICES)

# The order of the hand's points: the wrist, then four points outward along the thumb and each finger.
HAND_JOINTS = tuple(f"finger{f}-{k}" for f in range(1, 6) for k in (1, 2, 3))
_TIP_ROWS = (4, 8, 12, 16, 20)
_JOINT_ROWS = tuple(i for i in range(1, 21) if i not in _TIP_ROWS)

# Body point -> joint, vertex of the body, or point of the face mesh (by its MediaPipe index).
_POSE_JOINTS = {
    11: "upperarm01.L", 12: "upperarm01.R", 13: "lowerarm01.L", 14: "lowerarm01.R", 15: "wrist.L", 16:
    "wrist.R", 17: "finger5-1.L", 18: "finger5-1.R", 19: "finger2-1.L", 20: "finger2-1.R", 21: "finger1-2.L",
    22: "finger1-2.R", 23: "upperleg01.L", 24: "upperleg01.R", 25: "lowerleg01.L", 26: "lowerleg01.R", 27:
    "foot.L", 28: "foot.R",
}
_POSE_VERTICES = {7: 12013, 8: 5430, 29: 12783, 30: 6202, 31: 11519, 32: 4917}
_POSE_FACE = {
    0: (1,), 1: (362,), 2: (386, 374), 3: (263,), 4: (133,), 5: (159, 145), 6: (33,), 9: (291,), 10: (61,),
}


@dataclass(frozen=True)
class Holistic:
    """MediaPipe Holistic's points of a posed body, metres, z up, the signer facing -y.

    pose (B, 33, 3), left_hand (B, 21, 3), right_hand (B, 21, 3), face (B, K, 3) with the face-mesh indices
    face_ids.
    """

    pose: Tensor
    left_hand: Tensor
    right_hand: Tensor
    face: Tensor
    face_ids: tuple[int, ...] = FACE_IDS


def holistic(posed: Posed, body: Body | None = None) -> Holistic:
    """Read the points off a posed, skinned body. Differentiable; `body` defaults to the one that ships."""
    body = body or Body.load()
    vertices, joints = posed.vertices, posed.joints
    face = vertices[:, list(FACE_VERTICES.values())]  # (B, K, 3)
    hands = {}
    for side in "LR":
        tips = torch.stack([vertices[:, list(tip)].mean(1) for tip in tip_vertices(body, side)], 1)  # B,5,3
        hands[side] = _hand(body, joints, tips, side)
    pose = vertices.new_empty(len(vertices), 33, 3)
    for row, name in _POSE_JOINTS.items():
        pose[:, row] = joints[:, body.index[name]]
    for row, vertex in _POSE_VERTICES.items():
        pose[:, row] = vertices[:, vertex]
    for row, ids in _POSE_FACE.items():
        pose[:, row] = vertices[:, [FACE_VERTICES[i] for i in ids]].mean(1)
    return Holistic(pose=pose, left_hand=hands["L"], right_hand=hands["R"], face=face)


class RigidPoints:
    """The same points from the joints alone, without skinning: for fitting and for planning movements.

    Fingertips ride on the last finger bone and face points on the head bone (a neutral face), which equals
    `holistic` to a tenth of a millimetre for the tips and exactly for a face without actions.
    """

    def __init__(self, body: Body, rest: RestPose, face_ids: tuple[int, ...] = FACE_IDS) -> None:
        self.body = body
        self.face_ids = face_ids
        self.tip_joints = {s: [body.index[f"finger{f}-3.{s}"] for f in range(1, 6)] for s in "LR"}
        self.tip_offsets = {}
        for side in "LR":
            tips = torch.stack([rest.vertices[list(tip)].mean(0) for tip in tip_vertices(body, side)])
            self.tip_offsets[side] = _local(rest, self.tip_joints[side], tips)  # (5, 3)
        head = body.index["head"]
        points = rest.vertices[[FACE_VERTICES[i] for i in face_ids]]
        self.face_offsets = _local(rest, [head] * len(face_ids), points)  # (K, 3)

    def hand(self, turns: Tensor, joints: Tensor, side: str) -> Tensor:
        """`forward_kinematics`' turns (B, J, 3, 3), joints (B, J, 3); side 'L' or 'R' -> (B, 21, 3)."""
        at = self.tip_joints[side]
        tips = joints[:, at] + (turns[:, at] @ self.tip_offsets[side].to(joints)[..., None])[..., 0]
        return _hand(self.body, joints, tips, side)

    def face(self, turns: Tensor, joints: Tensor) -> Tensor:
        """The neutral face's points (B, K, 3), moved with the head."""
        head = self.body.index["head"]
        return joints[:, None, head] + self.face_offsets.to(joints) @ turns[:, head].transpose(1, 2)


def _hand(body: Body, joints: Tensor, tips: Tensor, side: str) -> Tensor:
    hand = joints.new_empty(len(joints), 21, 3)
    hand[:, 0] = joints[:, body.index[f"wrist.{side}"]]
    hand[:, list(_JOINT_ROWS)] = joints[:, [body.index[f"{name}.{side}"] for name in HAND_JOINTS]]
    hand[:, list(_TIP_ROWS)] = tips
    return hand


def _local(rest: RestPose, joints: list[int], points: Tensor) -> Tensor:
    """Points (N, 3) of the rest pose as offsets from their joints in the reference pose."""
    return (rest.align[joints] @ (points - rest.heads[joints])[..., None])[..., 0]


@lru_cache(maxsize=4)
def tip_vertices(body: Body, side: str) -> tuple[tuple[int, ...], ...]:
    """The vertices at the tip of the thumb and the four fingers of one side, found on the first signer.

    They are the outermost 4 mm of the last finger bone's own vertices: their mean lies where MediaPipe puts
    the tip, a little inside the skin.
    """
    rest = body.signer(body.signer_ids[0])
    weights = torch.from_numpy(body.arrays["skin_weights"])
    joints = torch.from_numpy(body.arrays["skin_joints"])
    tips = []
    for finger in range(1, 6):
        joint = body.index[f"finger{finger}-3.{side}"]
        own = ((weights * (joints == joint)).sum(1) > 0.9).nonzero()[:, 0]
        axis = rest.heads[joint] - rest.heads[body.parents[joint]]
        reach = (rest.vertices[own] - rest.heads[joint]) @ (axis / axis.norm())
        tips.append(tuple(own[reach > reach.max() - 0.004].tolist()))
    return tuple(tips)
