"""Fitting the body to landmarks: inverse kinematics over sequences of MediaPipe Holistic's points.

What is believed, in this order: where a point lies in the picture; that bones keep their lengths and joints
their limits; that movement is smooth; that hands are in front of the body; and only then MediaPipe's depth,
which is noisy and, for a hand that points at the camera, up to three times too shallow (measured on palms
seen end on). Depth therefore mostly gives the sign: lengths and limits give the size.

How: each arm with its hand is a chain of 30 degrees of freedom (`Limb`). All frames of all clips are solved
together by damped Gauss-Newton with the analytic (geometric) Jacobian; between rounds the trajectories are
smoothed by a confidence-weighted Whittaker smoother and the next round is drawn towards them, which also
fills gaps. The left arm is solved as the mirror image of a right arm. Head and face are closed-form.

Frame of reference as in `body.skeleton`: metres, z up, the signer faces -y, right is -x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stable_signer.body.keypoints import FACE_VERTICES, RigidPoints
from stable_signer.body.motion import FPS, Motion
from stable_signer.body.skeleton import Body, RestPose, axis_angle_to_matrix, matrix_to_rotation_6d
from stable_signer.errors import StableSignerError

PALM_LENGTH = 0.1086  # metres, wrist to middle knuckle of the signer that is fitted ("maya")
FACE17 = (0, 13, 14, 17, 61, 291, 105, 334, 159, 145, 386, 374, 1, 152, 10, 234, 454)

# Degrees of freedom of a limb, in the order of the chain.
ARM_DOFS = ("clavicle-up", "clavicle-forward", "shoulder-1", "shoulder-2", "shoulder-twist", "elbow",
            "forearm-turn", "wrist-flexion", "wrist-deviation")
ARM_JOINTS = ("clavicle", "shoulder01", "upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist")
THUMB_DOFS = ("thumb-side", "thumb-forward", "thumb-twist", "thumb-mcp", "thumb-ip")
FINGER_DOFS = tuple(f"finger{f}-{d}" for f in range(2, 6) for d in ("spread", "mcp", "pip", "dip"))
LIMB_DOFS = ARM_DOFS + THUMB_DOFS + FINGER_DOFS
DOFS = len(LIMB_DOFS)


@dataclass(frozen=True)
class Landmarks:
    """A sequence of MediaPipe Holistic's points in pixels; NaN where nothing was found.

    pose: (T, P, 3) x, y, visibility; P >= 17, the first of the 33. left_hand, right_hand: (T, 21, 3) x, y,
    z, all in pixels, z growing away from the camera. face: (T, K, 2) with its face-mesh indices face_ids.
    world: (T, P, 3) metres or None. fps: frames a second. Left is the signer's left.
    """

    pose: np.ndarray
    left_hand: np.ndarray
    right_hand: np.ndarray
    face: np.ndarray
    face_ids: tuple[int, ...] = FACE17
    world: np.ndarray | None = None
    fps: float = FPS

    def __len__(self) -> int:
        return len(self.pose)

    def mirrored(self) -> Landmarks:
        """The mirror image: a left-dominant take becomes a right-dominant one."""
        swap = list(range(self.pose.shape[1]))
        for a in (1, 2, 3):
            swap[a], swap[a + 3] = a + 3, a
        for a in range(7, self.pose.shape[1] - 1, 2):
            swap[a], swap[a + 1] = a + 1, a
        flip = np.array([-1.0, 1.0, 1.0])
        partner = dict(_FACE_MIRROR) | {b: a for a, b in _FACE_MIRROR}
        order = [self.face_ids.index(partner.get(i, i)) for i in self.face_ids]
        return replace(
            self,
            pose=self.pose[:, swap] * flip,
            left_hand=self.right_hand * flip,
            right_hand=self.left_hand * flip,
            face=self.face[:, order] * flip[:2],
            world=None if self.world is None else self.world[:, swap] * flip,
        )

    def resampled(self, fps: float = FPS) -> Landmarks:
        """At another frame rate: averaged over what a frame covers when slower, linear in between."""
        if abs(self.fps - fps) < 1e-3:
            return self
        count = max(1, round(len(self) / self.fps * fps))
        at = np.clip((np.arange(count) + 0.5) * self.fps / fps - 0.5, 0, len(self) - 1)
        def track(x: np.ndarray) -> np.ndarray:
            if self.fps > 1.5 * fps:  # 50 and 60 fps: two frames fall on one
                pair = np.stack([x[:-1], x[1:]])
                known = np.isfinite(pair)
                with np.errstate(invalid="ignore"):
                    x = np.where(known, pair, 0).sum(0) / known.sum(0)
                x = np.concatenate([x, x[-1:]])
            low, high = np.floor(at).astype(int), np.ceil(at).astype(int)
            part = (at - low).reshape(-1, *[1] * (x.ndim - 1))
            a, b = x[low], x[high]
            a, b = np.where(np.isfinite(a), a, b), np.where(np.isfinite(b), b, a)
            return a * (1 - part) + b * part

        world = None if self.world is None else track(self.world)
        return Landmarks(track(self.pose), track(self.left_hand), track(self.right_hand), track(self.face),
                         self.face_ids, world, fps)

    def __getitem__(self, frames: slice) -> Landmarks:
        world = None if self.world is None else self.world[frames]
        return replace(self, pose=self.pose[frames], left_hand=self.left_hand[frames],
                       right_hand=self.right_hand[frames], face=self.face[frames], world=world)


_FACE_MIRROR = ((61, 291), (105, 334), (159, 386), (145, 374), (234, 454), (33, 263), (133, 362))


@dataclass(frozen=True)
class FitResult:
    """A fitted sequence at 25 fps.

    motion: rotations on our skeleton. dofs: (T, 2, 30) radians, right and left limb, `LIMB_DOFS`. head: (T,
    3) radians, rotation vector of the head. error_palms: (T,) mean distance in the picture between the fitted
    hand points and the landmarks (brought to the size of our body), in palm lengths, NaN where no hand was
    found. tracked: (T, 2) bool, was the right, left hand found. raised: (T, 2) bool, is the hand in signing
    space.
    """

    motion: Motion
    dofs: np.ndarray
    head: np.ndarray
    face: np.ndarray
    error_palms: np.ndarray
    tracked: np.ndarray
    raised: np.ndarray
    side_errors: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))


# ----------------------------------------------------------------------------------------------------
# The limb: a right arm and hand as a chain of hinges
# ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hinge:
    """Rotation of a joint about a fixed axis (reference pose) by share × degree of freedom."""

    joint: str
    dof: int
    axis: np.ndarray
    share: float = 1.0


class Limb:
    """The right arm and hand of a signer; a left one is its mirror image (the skeleton is symmetric).

    hinges in the order of the chain; low, high: (30,) limits in radians relative to the reference pose;
    points: 23, shoulder, elbow and the 21 points of the hand.
    """

    def __init__(self, body: Body, rest: RestPose) -> None:
        self.body, self.rest = body, rest
        place = np.zeros((len(body.joints), 3))
        offsets = rest.offsets.numpy().astype(float)
        for j, parent in enumerate(body.parents):
            place[j] = offsets[j] + (place[parent] if parent >= 0 else 0)
        self._place = place
        at = lambda name: place[body.index[f"{name}.R"]]  # noqa: E731
        self.joint_names = ARM_JOINTS
        self.base = torch.tensor(place[body.parents[body.index["clavicle.R"]]], dtype=torch.float32)
        hinges, low, high = self._arm(at)
        self.hinges: list[Hinge] = hinges
        self.low = torch.tensor(low, dtype=torch.float32)
        self.high = torch.tensor(high, dtype=torch.float32)
        tips = RigidPoints(body, rest).tip_offsets["R"]
        self.tips = tips.float()

    def _arm(self, at) -> tuple[list[Hinge], list[float], list[float]]:  # type: ignore[no-untyped-def]
        upper, fore = _unit(at("lowerarm01") - at("upperarm01")), _unit(at("wrist") - at("lowerarm01"))
        elbow = _unit(np.cross(upper, fore))
        bend = float(np.arccos(upper @ fore))
        fingers = _unit(at("finger3-1") - at("wrist"))
        normal = _unit(np.cross(at("finger2-1") - at("finger5-1"), fingers))  # out of the palm
        self.palm_normal, self.palm_fingers = normal, fingers
        # The two swing axes of the shoulder are chosen so that no usual posture comes near their singular
        # direction (sideways, back and down, and its opposite): hanging, sideways, forward and crossed arms
        # are > 45° away.
        swing = _unit(np.array([-0.65, 0.70, -0.25]))
        hinges = [
            Hinge("clavicle", 0, np.array([0.0, 1.0, 0.0])),
            Hinge("clavicle", 1, np.array([0.0, 0.0, 1.0])),
            Hinge("upperarm01", 2, swing),
            Hinge("upperarm01", 3, _unit(np.cross(swing, upper))),
            Hinge("upperarm01", 4, upper, 0.5),
            Hinge("upperarm02", 4, upper, 0.5),
            Hinge("lowerarm01", 5, elbow),
            # the turn of the forearm is shared so that the skin does not wring
            Hinge("lowerarm01", 6, fore, 0.4),
            Hinge("lowerarm02", 6, fore, 0.6),
            Hinge("wrist", 7, _unit(np.cross(fingers, normal))),
            Hinge("wrist", 8, normal),
        ]
        low = [-0.10, -0.20, -2.6, -2.2, -1.7, 0.05 - bend, -1.60, -1.15, -0.45]
        high = [0.45, 0.40, 2.6, 2.2, 1.7, 2.60 - bend, 1.60, 1.30, 0.60]
        bones = [at(f"finger1-{k}") for k in (1, 2, 3)]
        thumb, far = _unit(bones[1] - bones[0]), _unit(bones[2] - bones[1])
        close = _unit(np.cross(thumb, far))
        hinges += [
            Hinge("finger1-1", 9, normal),
            Hinge("finger1-1", 10, _unit(np.cross(thumb, normal))),
            Hinge("finger1-1", 11, thumb),
            Hinge("finger1-2", 12, close),
            Hinge("finger1-3", 13, close),
        ]
        low += [-0.9, -0.8, -0.6, -0.5, -0.5]
        high += [0.9, 0.9, 0.8, 1.1, 1.4]
        for f in range(2, 6):
            a, b, c = (at(f"finger{f}-{k}") for k in (1, 2, 3))
            near, middle = _unit(b - a), _unit(c - b)
            across = _unit(np.cross(near, normal))
            if f > 2:  # the outer fingers converge when they close, as they are built to
                across = _unit(across + 0.3 * _unit(np.cross(near, middle)))
            lifted = float(np.arcsin(np.clip(near @ normal, -1, 1)))
            first = float(np.arccos(np.clip(near @ middle, -1, 1)))
            d = 14 + 4 * (f - 2)
            hinges += [
                Hinge(f"finger{f}-1", d, normal),
                Hinge(f"finger{f}-1", d + 1, across),
                Hinge(f"finger{f}-2", d + 2, across),
                Hinge(f"finger{f}-3", d + 3, across),
            ]
            low += [-0.45, -0.40 - lifted, -0.05 - first, -0.15]
            high += [0.45, 1.65 - lifted, 1.95 - first, 1.20]
        return hinges, low, high

    def pose(self, dofs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """dofs (N, 30) -> points (N, 23, 3), hinges' axes and origins (N, 32, 3), wrist turns (N, 3, 3)."""
        n = len(dofs)
        offsets, index = self.rest.offsets.to(dofs), self.body.index
        turn = torch.eye(3).to(dofs).expand(n, 3, 3)
        place = self.base.to(dofs).expand(n, 3)
        axes, origins = [], []
        points: dict[str, Tensor] = {}
        by_joint: dict[str, list[Hinge]] = {}
        for hinge in self.hinges:
            by_joint.setdefault(hinge.joint, []).append(hinge)

        def step(name: str, turn: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
            place = place + turn @ offsets[index[f"{name}.R"]]
            for hinge in by_joint.get(name, []):
                axes.append(turn @ torch.from_numpy(hinge.axis).to(dofs))
                origins.append(place)
                turn = turn @ _hinge_rotation(hinge, dofs[:, hinge.dof])
            points[name] = place
            return turn, place

        for name in self.joint_names:
            turn, place = step(name, turn, place)
        wrist_turn, wrist_place = turn, place
        for f in range(1, 6):
            turn, place = wrist_turn, wrist_place
            if f > 1:
                place = place + turn @ offsets[index[f"metacarpal{f - 1}.R"]]
            for k in (1, 2, 3):
                turn, place = step(f"finger{f}-{k}", turn, place)
            points[f"tip{f}"] = place + turn @ self.tips[f - 1].to(dofs)
        order = ["upperarm01", "lowerarm01", "wrist"]
        for f in range(1, 6):
            order += [f"finger{f}-1", f"finger{f}-2", f"finger{f}-3", f"tip{f}"]
        placed = torch.stack([points[p] for p in order], 1)
        return placed, torch.stack(axes, 1), torch.stack(origins, 1), wrist_turn

    def jacobian(self, points: Tensor, axes: Tensor, origins: Tensor) -> Tensor:
        """Of the points by the degrees of freedom: (N, 23, 3, 30)."""
        n = len(points)
        out = points.new_zeros(n, 23, 3, DOFS)
        for h, hinge in enumerate(self.hinges):
            moved = _MOVED[hinge.joint]
            axis = axes[:, None, h] * hinge.share
            out[:, moved, :, hinge.dof] += torch.linalg.cross(
                axis.expand(n, moved.stop - moved.start, 3), points[:, moved] - origins[:, None, h])
        return out

    def rotations(self, dofs: Tensor, side: str = "R") -> dict[str, Tensor]:
        """Joint name with side -> rotations (N, 3, 3) relative to the parent. For 'L' the mirror image."""
        out: dict[str, Tensor] = {}
        flip = torch.tensor([[1.0, -1, -1], [-1, 1, 1], [-1, 1, 1]]).to(dofs)
        for hinge in self.hinges:
            r = _hinge_rotation(hinge, dofs[:, hinge.dof])
            name = f"{hinge.joint}.{side}"
            out[name] = out[name] @ r if name in out else r
        return out if side == "R" else {name: r * flip for name, r in out.items()}


def _moved() -> dict[str, slice]:
    """Which of the 23 points a joint's rotation moves."""
    out = {"clavicle": slice(0, 23)}
    out |= dict.fromkeys(("upperarm01", "upperarm02"), slice(1, 23))
    out |= dict.fromkeys(("lowerarm01", "lowerarm02"), slice(2, 23))
    out["wrist"] = slice(3, 23)
    for f in range(1, 6):
        for k in (1, 2, 3):
            out[f"finger{f}-{k}"] = slice(3 + 4 * (f - 1) + k, 7 + 4 * (f - 1))
    return out


_MOVED = _moved()


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


def _hinge_rotation(hinge: Hinge, angle: Tensor) -> Tensor:
    """(N,) radians -> (N, 3, 3)."""
    x, y, z = hinge.axis
    k = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]]).to(angle)
    a = (angle * hinge.share)[:, None, None]
    return torch.eye(3).to(angle) + torch.sin(a) * k + (1 - torch.cos(a)) * (k @ k)


# ----------------------------------------------------------------------------------------------------
# From pixels to targets on our body
# ----------------------------------------------------------------------------------------------------

# Metres: a wrist above this height may be signing; at rest in the lap it is at 0.27 to 0.30.
SIGNING_SPACE = 0.305
_READY = 0.325  # a clip that begins with the wrist above this begins with the sign
_PALM_BONES = ((0, 5), (0, 9), (0, 13), (0, 17), (5, 9), (9, 13), (13, 17), (5, 17))
# Length of our hand's segments over MediaPipe's, both relative to the palm, by the point at the far end
# (10,059 frames with the palm flat to the picture). Our rig's knuckles lie farther out: its first phalanges
# are short.
_SEGMENTS = {
    1: 0.95, 2: 0.66, 3: 1.0, 4: 1.0, 6: 0.55, 7: 0.80, 8: 1.1, 10: 0.69, 11: 0.92, 12: 1.02,
    14: 0.66, 15: 0.89, 16: 1.15, 18: 0.59, 19: 0.70, 20: 1.0,
}
# Metres: the length of a forearm across the picture, brought to our shoulders; ours is shorter.
FOREARM_SEEN = 0.265
# MediaPipe's shoulder points lie inside and above our shoulder joints: beside the median face, upper arm and
# chin of 507 signers they are 12% closer together and 3.5 cm higher.
_SHOULDERS_SEEN, _SHOULDERS_ABOVE = 0.88, 0.035
CAMERA_DISTANCE = 2.5  # metres; what a hand that is nearer to the camera than the body is magnified by
_HAND_OF_SHOULDERS = (0.25, 0.37)  # palm length over the width between the shoulder joints, plausible range


@dataclass(frozen=True)
class KnownHandshape:
    """A handshape to draw the fingers to: (21,) radians, the last of `LIMB_DOFS`; does the sign change it."""

    dofs: np.ndarray
    changes: bool = False


Handshape = KnownHandshape | None


@dataclass
class SideTargets:
    """Where the points of one limb should be, mirrored to a right limb if left.

    points (T, 23, 3) metres; weight (T, 23) of the picture coordinates x and z, relative (T,) of the hand's
    depth relative to its wrist; found (T,) bool; reach (T,) depth of the wrist is in points.
    """

    points: np.ndarray
    weight: np.ndarray
    relative: np.ndarray
    found: np.ndarray
    raised: np.ndarray


@dataclass
class Targets:
    """One clip's targets: right and left limb, head rotation vectors (T, 3) and face actions (T, 52).

    touches: where the hand is known to touch the body, "head" or "body", "" for nowhere, None if not known.
    handshapes: of the right and the left hand where known.
    """

    sides: tuple[SideTargets, SideTargets]
    head: np.ndarray
    face: np.ndarray
    touches: str | None = None
    handshapes: tuple[Handshape, Handshape] = (None, None)

    def __len__(self) -> int:
        return len(self.head)

    def cut(self, frames: slice) -> Targets:
        """A stretch of it."""
        sides = tuple(
            SideTargets(s.points[frames], s.weight[frames], s.relative[frames], s.found[frames],
            s.raised[frames]) for s in self.sides
        )
        return replace(self, sides=(sides[0], sides[1]), head=self.head[frames], face=self.face[frames])


class Fitter:
    """Everything about the fitted body that does not depend on the clip: limb, face, surface, lengths."""

    def __init__(self, body: Body | None = None, signer: str | None = None) -> None:
        self.body = body or Body.load()
        self.rest = self.body.signer(signer or self.body.signer_ids[0])
        self.limb = Limb(self.body, self.rest)
        points, _, _, _ = self.limb.pose(torch.zeros(1, DOFS))
        self.shoulder = points[0, 0].numpy().astype(float)
        hand = points[0, 2:].numpy().astype(float)
        self.palm_lengths = np.array([np.linalg.norm(hand[a] - hand[b]) for a, b in _PALM_BONES])
        self.palm_length = float(np.linalg.norm(hand[9] - hand[0]))
        self.upper = float(np.linalg.norm(points[0, 1] - points[0, 0]))
        self.fore = float(np.linalg.norm(points[0, 2] - points[0, 1]))
        neutral = {i: self.rest.vertices[v].numpy().astype(float) for i, v in FACE_VERTICES.items()}
        self.neutral_face = neutral
        self.head_joint = self.rest.heads[self.body.index["head"]].numpy().astype(float)

    @cached_property
    def surface(self) -> FrontSurface:
        """The front of head and torso, which hands stay in front of."""
        return FrontSurface(self.body, self.rest)

    def prepare(self, marks: Landmarks) -> Targets:
        """Targets at 25 fps. Raises StableSignerError when there is no person in the landmarks."""
        if len(marks) == 0:
            raise StableSignerError("the landmarks have no frames: give at least one")
        shoulders = marks.pose[:, [12, 11], :2]
        if marks.pose.shape[1] < 17 or not np.isfinite(shoulders).all(axis=(1, 2)).any():
            raise StableSignerError("there is no person in the landmarks (no shoulders): use another take")
        if not (np.isfinite(marks.left_hand).any() or np.isfinite(marks.right_hand).any()):
            raise StableSignerError("there are no hands in the landmarks: use a take that shows them")
        marks = marks.resampled()
        warp = _Warp(self, marks)
        marks = _own_hands(marks, warp.palm_px)
        world = marks.world if marks.world is not None else np.full((*marks.pose.shape[:2], 3), np.nan)
        sides = (self._side(marks, world, warp, "R"), self._side(marks, world, warp, "L"))
        head, face = self._head_and_face(marks, warp)
        return Targets(sides, head, face)

    def _side(self, marks: Landmarks, world: np.ndarray, warp: _Warp, side: str) -> SideTargets:
        frames = len(marks)
        shoulder, elbow, wrist = (12, 14, 16) if side == "R" else (11, 13, 15)
        hand = (marks.right_hand if side == "R" else marks.left_hand).astype(float)
        pose = marks.pose.astype(float)
        found = np.isfinite(hand).all(axis=(1, 2))
        # A hand far from the body's own wrist is the other hand, or none: MediaPipe mixes them up when they
        # meet.
        with np.errstate(invalid="ignore"):
            apart = np.linalg.norm(hand[:, 0, :2] - pose[:, wrist, :2], axis=1) / warp.palm_px
            other = np.linalg.norm(hand[:, 0, :2] - pose[:, 31 - wrist, :2], axis=1) / warp.palm_px
        astray = found & (apart > 1.0) & (other < 0.6 * apart)
        found &= ~astray
        hand[~found] = np.nan
        depth = self._wrist_depth(world, shoulder, wrist)
        elbow_depth = self._wrist_depth(world, shoulder, elbow)
        filled = _fill(hand - hand[:, :1])  # the shape of the hand about its wrist
        root = np.where(found[:, None], hand[:, 0, :2], np.nan)
        # Where the hand was lost, its wrist comes from the body's, corrected by how far the two lie apart
        # nearby.
        gap = _fill(root - pose[:, wrist, :2]) if found.any() else np.zeros((frames, 2))
        root = np.where(found[:, None], root, pose[:, wrist, :2] + gap)
        root = _fill(root)
        shape = filled * warp.hand_scale  # metres
        shape[..., 1] *= -1  # pixels run down
        shape = shape[..., [0, 2, 1]]  # x, depth, z
        shape = sized(self._deepen(shape))
        near = 1 + (depth - self.shoulder[1]) / CAMERA_DISTANCE  # < 1 in front of the shoulders
        # Our palm is larger beside the body than most signers': put the middle of the palm where theirs is.
        middle = root + filled[:, [0, 5, 9, 13, 17], :2].mean(1)
        middle_xz = warp(middle, near)
        shape_xz = shape[..., [0, 2]]
        points = np.full((frames, 23, 3), np.nan)
        offset = middle_xz - shape_xz[:, [0, 5, 9, 13, 17]].mean(1)
        points[:, 2:, 0] = offset[:, :1] + shape_xz[..., 0]
        points[:, 2:, 2] = offset[:, 1:] + shape_xz[..., 1]
        points[:, 2:, 1] = depth[:, None] + shape[..., 1]
        near_elbow = 1 + (elbow_depth - self.shoulder[1]) / CAMERA_DISTANCE
        seen_shoulder = warp(_fill(pose[:, shoulder, :2]), np.ones(frames))
        usual = self.shoulder[[0, 2]] * [1.0 if side == "R" else -1.0, 1.0]
        shift = usual - np.nanmedian(seen_shoulder, axis=0)
        # The elbow: between where the upper arm and where the forearm, each as long as ours, would put it.
        seen_elbow = warp(_fill(pose[:, elbow, :2]), near_elbow)
        fore = seen_elbow - points[:, 2, [0, 2]]
        longest = np.nanpercentile(np.linalg.norm(fore, axis=1), 95) if np.isfinite(fore).any() else 0.0
        ratio = self.fore / max(FOREARM_SEEN, float(longest))
        points[:, 1, [0, 2]] = 0.5 * (seen_elbow + 0.5 * shift) + 0.5 * (points[:, 2, [0, 2]] + fore * ratio)
        points[:, 1, 1] = elbow_depth
        points[:, 0, [0, 2]] = seen_shoulder + shift
        points[:, 0, 1] = self.shoulder[1]
        weight = np.zeros((frames, 23))
        weight[:, 2:] = np.where(found, 1.0, 0.0)[:, None]
        lost = ~found & np.isfinite(pose[:, wrist, 0])
        weight[lost, 2] = 0.35
        weight[lost, 3:] = 0.04
        seen = np.nan_to_num(pose[:, :, 2])
        weight[:, 1] = np.clip(seen[:, elbow], 0, 1)
        weight[:, 0] = np.clip(seen[:, shoulder], 0, 1)
        known = np.isfinite(points).all(axis=2)
        weight *= known
        points = np.nan_to_num(points)
        raised = self._raised(points[:, 2], found, seen[:, wrist])
        if side == "L":
            points = points * [-1.0, 1.0, 1.0]
        return SideTargets(points, weight, np.where(found, 1.0, 0.1), found, raised)

    def _raised(self, wrist: np.ndarray, found: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Is the hand in signing space: above the waist, and found nearby in time."""
        near = np.convolve(found.astype(float), np.ones(9), "same") > 0
        return (wrist[:, 2] > SIGNING_SPACE) & near

    def _wrist_depth(self, world: np.ndarray, shoulder: int, joint: int) -> np.ndarray:
        """Depth (T,) of a joint from MediaPipe's world points, smoothed hard: they are noisy."""
        depth = world[:, joint, 2] - 0.5 * (world[:, 11, 2] + world[:, 12, 2])
        depth = _fill(depth.astype(float)[:, None])[:, 0]
        if not np.isfinite(depth).all():
            depth = np.full(len(depth), -0.22)
        depth = smooth_rows(depth[:, None], np.ones(len(depth)), 4.0)[:, 0]
        return np.asarray(self.shoulder[1] + np.clip(0.85 * depth, -0.48, 0.08))

    def _deepen(self, shape: np.ndarray) -> np.ndarray:
        """Scale a hand's depth so that the bones of its palm have their lengths; see the module's text."""
        a = [i for i, _ in _PALM_BONES]
        b = [j for _, j in _PALM_BONES]
        bone = shape[:, b] - shape[:, a]  # (T, B, 3) x, depth, z
        flat = bone[..., 0] ** 2 + bone[..., 2] ** 2
        deep = bone[..., 1] ** 2
        lack = np.maximum(self.palm_lengths**2 - flat, 0)
        gain = np.sqrt((deep * lack).sum(1) / np.maximum((deep * deep).sum(1), 1e-12))
        gain = np.clip(np.nan_to_num(gain, nan=1.0), 0.7, 3.0)
        gain = smooth_rows(gain[:, None], np.ones(len(gain)), 2.0)
        out = shape.copy()
        out[..., 1] *= gain
        return out

    def _head_and_face(self, marks: Landmarks, warp: _Warp) -> tuple[np.ndarray, np.ndarray]:
        frames = len(marks)
        face = np.zeros((frames, 52))
        marked = marks.face.astype(float)
        if marked.shape[1] == 0 or np.isfinite(marked).all(axis=2).sum() < 10:
            return np.zeros((frames, 3)), face
        track = _fill(marked)
        row = {i: k for k, i in enumerate(marks.face_ids)}
        head = self._head(track, row, warp)
        if {13, 14, 61, 291, 105, 334, 159, 145, 386, 374}.issubset(row):
            face = self._face_actions(track, row, warp)
        return head, face

    def _head(self, track: np.ndarray, row: dict[int, int], warp: _Warp) -> np.ndarray:
        """Rotation vector of the head (T, 3) by weak-perspective Gauss-Newton, less what it is at rest."""
        ids = [i for i in (10, 1, 234, 454, 105, 334, 145, 374, 33, 263, 133, 362)
               if i in row and np.isfinite(track[:, row[i]]).all()]  # a tool may have kept a few points only
        if len(ids) < 4:
            return np.zeros((len(track), 3))
        model = np.stack([self.neutral_face[i] for i in ids]) - self.head_joint
        seen = track[:, [row[i] for i in ids]] * np.array([1.0, -1.0]) * warp.face_scale
        rotation = np.zeros((len(track), 3))
        for _ in range(6):
            turned = np.einsum("tij,kj->tki", _rotvec(rotation), model)
            flat = turned[..., [0, 2]]
            scale = 1.0
            error = (seen - seen.mean(1, keepdims=True)) - scale * (flat - flat.mean(1, keepdims=True))
            # d(w × p) for x and z
            x, y, z = np.moveaxis(turned, -1, 0)
            zero = np.zeros_like(x)
            jac = np.stack([np.stack([zero, z, -y], -1), np.stack([y, -x, zero], -1)], -2)  # (T, K, 2, 3)
            jac = jac - jac.mean(1, keepdims=True)
            jac = jac.reshape(len(track), -1, 3)
            normal = np.einsum("tri,trj->tij", jac, jac) + 2e-4 * np.eye(3)
            grad = np.einsum("tri,tr->ti", jac, error.reshape(len(track), -1)) - 2e-4 * rotation
            rotation = rotation + np.linalg.solve(normal, grad[..., None])[..., 0]
        rotation = smooth_rows(rotation, np.ones(len(rotation)), 3.0)
        # At the ends of a clip the head is at rest: what is left there is the face's shape, not a movement.
        ends = np.concatenate([rotation[:5], rotation[-5:]])
        return np.asarray(np.clip(0.8 * (rotation - np.median(ends, axis=0)), -0.45, 0.45))

    def _face_actions(self, track: np.ndarray, row: dict[int, int], warp: _Warp) -> np.ndarray:
        """(T, 52) actions from distances in the face, each against its usual value in the clip; modest."""
        at = {i: track[:, k] * warp.face_scale for i, k in row.items()}  # metres on our face
        size = np.linalg.norm(at[159] + at[145] - at[386] - at[374], axis=1) / 2
        size = size / np.maximum(np.median(size), 1e-6)

        def apart(a: int, b: int) -> np.ndarray:
            return np.asarray(np.linalg.norm(at[a] - at[b], axis=1) / size)

        gap, width = apart(13, 14), apart(61, 291)
        brow = 0.5 * (apart(105, 159) + apart(334, 386))
        lid = 0.5 * (apart(159, 145) + apart(386, 374))
        opened = gap - np.percentile(gap, 15)
        wider = (width - np.median(width)) / np.median(width)
        raised = brow - np.median(brow)
        shut = 1 - lid / np.maximum(np.percentile(lid, 80), 1e-6)
        out = np.zeros((len(track), 52))
        put = self.body.face_index
        out[:, put["jawOpen"]] = np.clip(opened / 0.034 * 0.9, 0, 0.65)
        for side in ("Left", "Right"):
            out[:, put[f"mouthStretch{side}"]] = np.clip((wider - 0.05) * 2.0, 0, 0.5)
            out[:, put[f"browOuterUp{side}"]] = np.clip((raised - 0.0012) / 0.009, 0, 0.7)
            out[:, put[f"browDown{side}"]] = np.clip((-raised - 0.0012) / 0.007, 0, 0.7)
            out[:, put[f"eyeBlink{side}"]] = np.where(shut > 0.45, np.clip((shut - 0.3) / 0.5, 0, 1), 0)
        out[:, put["browInnerUp"]] = np.clip((raised - 0.0012) / 0.009, 0, 0.6)
        out[:, put["mouthPucker"]] = np.clip((-wider - 0.06) * 3.0, 0, 0.7)
        out = smooth_rows(out, np.ones(len(out)), 0.6)
        return np.clip(out, 0, 1)


class _Warp:
    """From a take's pixels to our body's front plane: shoulders on shoulders, chin on chin, eyes on eyes.

    Signers differ in proportions and signs are made at places of the body, so heights are mapped piecewise
    between shoulders, chin, mouth, eyes and hairline; sideways the scale is the face's near the face and the
    torso's beyond.
    """

    def __init__(self, fitter: Fitter, marks: Landmarks) -> None:
        pose = marks.pose.astype(float)
        right, left = pose[:, 12, :2], pose[:, 11, :2]
        middle = _fill(0.5 * (right + left))
        self.shift = smooth_rows(middle, np.ones(len(middle)), 40.0)
        centre = np.nanmedian(middle, axis=0)
        self.shift = self.shift - centre  # slow sway of the body
        width = float(np.nanmedian(np.linalg.norm(right - left, axis=1)))
        if not width > 2:
            raise StableSignerError("the landmarks' shoulders are on one spot: use a take from the front")
        full = 2 * abs(fitter.shoulder[0]) * _SHOULDERS_SEEN
        self.centre = centre
        self.torso_scale = full / width
        heights = self._face_heights(marks)
        shoulder_z = fitter.shoulder[2] + _SHOULDERS_ABOVE
        model = fitter.neutral_face
        if heights is None:  # no face: keep the torso's scale
            self.face_scale, self.face_x = self.torso_scale, centre[0]
            self.knots_px, self.knots_z = np.array([centre[1]]), np.array([shoulder_z])
        else:
            top, eyes, mouth, chin, face_x, face_width = heights
            ratio_height = (model[10][2] - model[152][2]) / max(chin - top, 1e-6)
            ratio_width = (model[454][0] - model[234][0]) / max(face_width, 1e-6)
            self.face_scale = float(np.clip(0.5 * (ratio_height + ratio_width), 0.7 * self.torso_scale,
                                            1.4 * self.torso_scale))
            self.face_x = face_x
            eye_z = np.mean([model[i][2] for i in (159, 145, 386, 374)])
            mouth_z = np.mean([model[i][2] for i in (13, 14)])
            self.knots_px = np.array([centre[1], chin, mouth, eyes, top])
            self.knots_z = np.array([shoulder_z, model[152][2], mouth_z, eye_z, model[10][2]])
            if not (np.diff(self.knots_px) < 0).all():
                self.knots_px, self.knots_z = np.array([centre[1]]), np.array([shoulder_z])
        self.shoulder_z = shoulder_z
        self.chin_z = model[152][2]
        # Size of the hand: the longest the palm is ever seen, within what is plausible beside the shoulders.
        hands = (marks.right_hand, marks.left_hand)
        lengths = [np.linalg.norm((h[:, 9] - h[:, 0])[:, :2], axis=1) for h in hands]
        known = np.concatenate(lengths).astype(float)
        known = known[np.isfinite(known)] / width
        longest = float(np.percentile(known, 92)) if len(known) else 0.31
        self.palm_px = width * float(np.clip(longest, *_HAND_OF_SHOULDERS))
        self.hand_scale = fitter.palm_length / self.palm_px

    @staticmethod
    def _face_heights(marks: Landmarks) -> tuple[float, float, float, float, float, float] | None:
        row = {i: k for k, i in enumerate(marks.face_ids)}
        if not {10, 152, 234, 454, 13, 14, 159, 145, 386, 374}.issubset(row) or not len(marks.face):
            return None
        face = marks.face.astype(float)
        if np.isfinite(face).all(axis=(1, 2)).sum() < 2:
            return None
        median = np.nanmedian(face, axis=0)
        eyes = np.mean([median[row[i], 1] for i in (159, 145, 386, 374)])
        mouth = np.mean([median[row[i], 1] for i in (13, 14)])
        face_x = 0.5 * (median[row[234], 0] + median[row[454], 0])
        top, chin = float(median[row[10], 1]), float(median[row[152], 1])
        width = float(median[row[454], 0] - median[row[234], 0])
        return top, float(eyes), float(mouth), chin, float(face_x), width

    def __call__(self, pixels: np.ndarray, near: np.ndarray) -> np.ndarray:
        """(T, 2) pixels -> (T, 2) metres x, z; near (T,): distance to the camera over the shoulders'."""
        p = pixels - self.shift
        z = self._height(p[:, 1])
        part = np.clip((z - self.shoulder_z) / (self.chin_z - self.shoulder_z), 0, 1)
        axis = self.centre[0] + part * (self.face_x - self.centre[0])
        x = p[:, 0] - axis
        inner = 0.08 / self.face_scale  # half the width of the face, pixels
        near_face = np.sign(x) * (np.minimum(np.abs(x), inner) * self.face_scale
                                  + np.maximum(np.abs(x) - inner, 0) * self.torso_scale)
        x = (1 - part) * x * self.torso_scale + part * near_face
        # Perspective: what is nearer than the body is seen farther from the middle of the picture than it is.
        # At the height of the face the face itself is that near, so only what is beyond it counts.
        pull = np.clip(near + 0.045 * part, 0.75, 1.0)
        eye_level = 0.55  # metres; cameras point at the upper chest
        return np.stack([x * pull, eye_level + (z - eye_level) * pull], 1)

    def _height(self, y: np.ndarray) -> np.ndarray:
        order = np.argsort(self.knots_px)
        px, z = self.knots_px[order], self.knots_z[order]
        out = np.interp(y, px, z)
        below = y > px[-1]
        above = y < px[0]
        out = np.where(below, z[-1] - (y - px[-1]) * self.torso_scale, out)
        return np.asarray(np.where(above, z[0] + (px[0] - y) * self.face_scale, out))


class FrontSurface:
    """The front of head and torso as a height field: depth y of the foremost skin over a grid in x and z."""

    STEP = 0.005
    X, Z = (-0.30, 0.30), (0.0, 1.0)

    def __init__(self, body: Body, rest: RestPose) -> None:
        arrays = body.arrays
        limb = ("arm", "wrist", "finger", "metacarpal", "shoulder")
        arm = np.array([any(k in name for k in limb) for name in body.joints])
        own = (arrays["skin_weights"] * arm[arrays["skin_joints"]]).sum(1) < 0.35
        vertices = rest.vertices.numpy().astype(float)
        triangles = arrays["triangles"]
        triangles = triangles[own[triangles].all(1)]
        corners = vertices[triangles]
        grid = np.arange(5) / 4
        shares = np.array([(a, b, 1 - a - b) for a in grid for b in grid if a + b <= 1.0001])
        samples = np.einsum("sk,fkc->fsc", shares, corners).reshape(-1, 3)
        columns = round((self.X[1] - self.X[0]) / self.STEP) + 1
        rows = round((self.Z[1] - self.Z[0]) / self.STEP) + 1
        field = np.full((rows, columns), 9.0)
        c = np.round((samples[:, 0] - self.X[0]) / self.STEP).astype(int)
        r = np.round((samples[:, 2] - self.Z[0]) / self.STEP).astype(int)
        inside = (c >= 0) & (c < columns) & (r >= 0) & (r < rows)
        np.minimum.at(field, (r[inside], c[inside]), samples[inside, 1])
        holes = field > 8
        for _ in range(2):  # close pinholes between samples
            around = np.stack([np.roll(field, s, a) for s in (-1, 1) for a in (0, 1)])
            count = (around < 8).sum(0)
            mean = np.where(around < 8, around, 0).sum(0) / np.maximum(count, 1)
            fill = holes & (count >= 3)
            field[fill] = mean[fill]
            holes = field > 8
        self.field = torch.tensor(field, dtype=torch.float32)

    def depth(self, points: Tensor) -> Tensor:
        """(…, 3) -> (…) depth y of the skin before or behind each point; 9 where there is no body."""
        rows, columns = self.field.shape
        c = ((points[..., 0] - self.X[0]) / self.STEP).round().long()
        r = ((points[..., 2] - self.Z[0]) / self.STEP).round().long()
        inside = (c >= 0) & (c < columns) & (r >= 0) & (r < rows)
        value = self.field[r.clamp(0, rows - 1), c.clamp(0, columns - 1)]
        return torch.where(inside, value, torch.full_like(value, 9.0))


def _own_hands(marks: Landmarks, palm: float) -> Landmarks:
    """Give a hand that was found at the other arm's wrist to that arm, if that arm has none."""
    right, left = marks.right_hand.copy(), marks.left_hand.copy()
    wrists = {"R": marks.pose[:, 16, :2], "L": marks.pose[:, 15, :2]}
    for mine, other, own, far in ((right, left, "R", "L"), (left, right, "L", "R")):
        with np.errstate(invalid="ignore"):
            near = np.linalg.norm(mine[:, 0, :2] - wrists[far], axis=1) / palm
            away = np.linalg.norm(mine[:, 0, :2] - wrists[own], axis=1) / palm
            move = (away > 1.2) & (near < 0.6) & ~np.isfinite(other[:, 0, 0])
        other[move] = mine[move]
        mine[move] = np.nan
    return replace(marks, right_hand=right, left_hand=left)


def sized(shape: np.ndarray) -> np.ndarray:
    """Give a hand (T, 21, 3) our proportions, keeping the direction of every segment."""
    out = shape.copy()
    for point, factor in _SEGMENTS.items():
        before = 0 if point == 1 else point - 1
        out[:, point] = out[:, before] + factor * (shape[:, point] - shape[:, before])
    return out


def _rotvec(vectors: np.ndarray) -> np.ndarray:
    return axis_angle_to_matrix(torch.from_numpy(np.asarray(vectors, dtype=np.float64))).numpy()


def _fill(track: np.ndarray) -> np.ndarray:
    """Linear over gaps, constant at the ends, along the first axis; all-NaN columns stay NaN."""
    flat = track.reshape(len(track), -1).copy()
    frames = np.arange(len(track))
    known = np.isfinite(flat)
    for c in range(flat.shape[1]):
        k = known[:, c]
        if k.any() and not k.all():
            flat[:, c] = np.interp(frames, frames[k], flat[k, c])
    return flat.reshape(track.shape)


@lru_cache(maxsize=512)
def _roughness(frames: int) -> np.ndarray:
    """(T, T) penalty matrix of second differences."""
    if frames < 3:
        return np.zeros((frames, frames))
    d = np.diff(np.eye(frames), n=2, axis=0)
    return np.asarray(d.T @ d)


def smooth_rows(track: np.ndarray, weight: np.ndarray, stiffness: float) -> np.ndarray:
    """Whittaker smoother: minimises weight (x - track)² + stiffness × second difference². (T, C), (T,)."""
    a = np.diag(np.maximum(weight, 1e-4)) + stiffness * _roughness(len(track))
    return np.asarray(np.linalg.solve(a, np.maximum(weight, 1e-4)[:, None] * track))


# ----------------------------------------------------------------------------------------------------
# The solver
# ----------------------------------------------------------------------------------------------------

# Standard deviations: metres for points, radians for how far each degree of freedom strays from its usual
# place.
_SIGMA_PICTURE, _SIGMA_RELATIVE, _SIGMA_DEPTH = 0.006, 0.018, 0.06
_SIGMA_ELBOW, _SIGMA_ELBOW_DEPTH, _SIGMA_SHOULDER = 0.016, 0.12, 0.03
_SIGMA_SKIN = 0.004
_OUTLIER = 0.035  # metres, in the last rounds
_PRIOR_SIGMA = np.array([0.2, 0.25, 3.0, 3.0, 0.9, 3.0, 1.0, 0.35, 0.16, 0.4, 0.4, 0.2, 0.45, 0.5]
                        + [0.16, 0.9, 1.0, 0.9] * 4)
_PRIOR_MEAN = np.array([0.0, 0.0, 0, 0, 0, 0.5, 0, -0.05, 0, 0, 0, 0, 0, 0.1] + [0.0, 0.2, 0.25, 0.15] * 4)
_FINGERTIP_SHARE = 0.6  # of the middle joint's bend that the last joint follows
_SIGMA_FINGERTIP = 0.15
# How far each of the hand's points lies inside the skin, metres: wrist, then thumb and fingers outward.
_FLESH = torch.tensor([0.018] + [0.014, 0.011, 0.009, 0.005] + [0.012, 0.009, 0.008, 0.005] * 4)
_TOUCH = 0.016  # two fingers' joints may not come nearer
_ARM_ONLY, _HAND_ONLY = (0, len(ARM_DOFS)), (len(ARM_DOFS), DOFS)
_PALM_ONLY = torch.zeros(23)
_PALM_ONLY[[0, 1, 2, 2 + 1, 2 + 5, 2 + 9, 2 + 13, 2 + 17]] = 1.0


_Span = tuple[int, int]


@dataclass
class _Problem:
    """All limbs of all clips, frame after frame."""

    target: Tensor  # (N, 23, 3)
    weight: Tensor  # (N, 23)
    relative: Tensor  # (N,)
    other: Tensor  # (N, 21, 3) the other hand's points, mirrored alike; far away where there is none
    calm: Tensor  # (N, 30) smoothed trajectory
    pull: float  # 1 / sigma² towards it
    depth_sigma: Tensor  # (N,)
    usual: Tensor  # (N, 30) radians: where each degree of freedom is drawn to
    precision: Tensor  # (N, 30) 1 / sigma² of that
    outlier: float = 0.15  # metres: beyond this a point counts less and less

    def part(self, rows: slice) -> _Problem:
        """Some of the frames."""
        return _Problem(
            self.target[rows], self.weight[rows], self.relative[rows], self.other[rows], self.calm[rows],
            self.pull, self.depth_sigma[rows], self.usual[rows], self.precision[rows], self.outlier)

    @staticmethod
    def of(target: Tensor, weight: Tensor, relative: Tensor, depth_sigma: float = _SIGMA_DEPTH) -> _Problem:
        """Without neighbours, with the usual priors."""
        n = len(target)
        return _Problem(
            target, weight, relative, torch.full((n, 21, 3), 50.0), torch.zeros(n, DOFS), 0.0,
            torch.full((n,), depth_sigma), torch.from_numpy(_PRIOR_MEAN).float().expand(n, DOFS).clone(),
            torch.from_numpy(1 / _PRIOR_SIGMA**2).float().expand(n, DOFS).clone())


def _residuals(
    fitter: Fitter, problem: _Problem, dofs: Tensor, points: Tensor
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Cost (N,) and the weighted rows: per point coordinate weight² and error (N, 23, 3), and extra rows."""
    error = problem.target - points  # (N, 23, 3)
    flat2 = error[..., 0] ** 2 + error[..., 2] ** 2
    robust = 1 / (1 + flat2 / problem.outlier**2)
    w = torch.empty_like(points)
    picture = problem.weight * robust
    w[..., 0] = picture / _SIGMA_PICTURE**2
    w[:, 0, 0] = picture[:, 0] / _SIGMA_SHOULDER**2
    w[:, 1, 0] = picture[:, 1] / _SIGMA_ELBOW**2
    w[..., 2] = w[..., 0]
    w[..., 1] = 0
    w[:, 1, 1] = 1 / _SIGMA_ELBOW_DEPTH**2
    w[:, 2, 1] = 1 / problem.depth_sigma**2
    # depth of the hand's points relative to its wrist
    rel_error = error[:, 3:, 1] - error[:, 2:3, 1]
    rel_weight = (problem.relative / _SIGMA_RELATIVE**2)[:, None] * (problem.weight[:, 3:] > 0)
    # the skin of head and torso
    hand = points[:, 2:]
    skin = fitter.surface.depth(hand) - _FLESH.to(points)
    inside = torch.clamp(hand[..., 1] - skin, min=0, max=0.06)
    skin_error = torch.where(skin < 5, inside, torch.zeros_like(skin))
    skin_weight = torch.full_like(skin_error, 1 / _SIGMA_SKIN**2)
    cost = (w * error**2).sum((1, 2)) + (rel_weight * rel_error**2).sum(1)
    cost = cost + (skin_weight * skin_error**2).sum(1)
    cost = cost + (problem.precision * (dofs - problem.usual) ** 2).sum(1)
    cost = cost + problem.pull * ((dofs - problem.calm) ** 2).sum(1)
    tip = dofs[:, 17::4] - _FINGERTIP_SHARE * dofs[:, 16::4]
    cost = cost + (tip**2).sum(1) / _SIGMA_FINGERTIP**2
    return cost, [(w, error), (rel_weight, rel_error), (skin_weight, -skin_error)]


def _system(
    fitter: Fitter, problem: _Problem, dofs: Tensor, state: tuple[Tensor, Tensor, Tensor, Tensor],
    rows: list[tuple[Tensor, Tensor]], free: _Span
) -> tuple[Tensor, Tensor]:
    """Normal matrix (N, D, D) and right side (N, D) of the step in the D free degrees of freedom."""
    points, axes, origins, _ = state
    n = len(points)
    moving = slice(*free)
    jac = fitter.limb.jacobian(points, axes, origins)[..., moving]  # (N, 23, 3, D)
    width = jac.shape[-1]
    rel = jac[:, 3:, 1] - jac[:, 2:3, 1]
    skin = jac[:, 2:, 1]
    stack = torch.cat([jac.reshape(n, 69, width), rel, skin], 1)
    weight = torch.cat([rows[0][0].reshape(n, 69), rows[1][0], rows[2][0] * (rows[2][1] < 0)], 1)
    error = torch.cat([rows[0][1].reshape(n, 69), rows[1][1], rows[2][1]], 1)
    left = stack.transpose(1, 2) * weight[:, None]
    normal = left @ stack
    right = (left @ error[..., None])[..., 0]
    # the other hand: push points apart that come too near, along the line between them
    gap = points[:, 2:, None] - problem.other[:, None]
    distance = gap.norm(dim=-1)
    nearest = distance.argmin(2)
    d = distance.gather(2, nearest[..., None])[..., 0]
    push = torch.clamp(_TOUCH - d, min=0)
    if bool((push > 0).any()):
        way = gap.gather(2, nearest[..., None, None].expand(-1, -1, 1, 3))[:, :, 0]
        way = way / d.clamp(min=1e-4)[..., None]
        row = (way[..., None, :] @ jac[:, 2:])[:, :, 0]  # (N, 21, 30)
        hit = (push > 0) / (2 * _SIGMA_SKIN) ** 2
        normal = normal + (row.transpose(1, 2) * hit[:, None]) @ row
        right = right + ((row.transpose(1, 2) * hit[:, None]) @ push[..., None])[..., 0]
    drawn = problem.precision * (problem.usual - dofs) + problem.pull * (problem.calm - dofs)
    right = right + drawn[:, moving]
    normal = normal + torch.diag_embed((problem.precision + problem.pull)[:, moving])
    if free == _ARM_ONLY:
        return normal, right
    p = 1 / _SIGMA_FINGERTIP**2
    for m in range(16, DOFS, 4):  # the middle joint of each finger; the last one follows it
        miss = dofs[:, m + 1] - _FINGERTIP_SHARE * dofs[:, m]
        m = m - free[0]
        t = m + 1
        normal[:, t, t] += p
        normal[:, m, m] += p * _FINGERTIP_SHARE**2
        normal[:, t, m] -= p * _FINGERTIP_SHARE
        normal[:, m, t] -= p * _FINGERTIP_SHARE
        right[:, t] -= p * miss
        right[:, m] += p * _FINGERTIP_SHARE * miss
    return normal, right


def _minimise(
    fitter: Fitter, problem: _Problem, dofs: Tensor, steps: int, free: _Span = (0, DOFS)
) -> Tensor:
    """Levenberg-Marquardt, each frame with its own damping; degrees of freedom free[0] to free[1] move."""
    out = []
    for start in range(0, len(dofs), 2048):
        rows = slice(start, start + 2048)
        out.append(_minimise_chunk(fitter, problem.part(rows), dofs[rows], steps, free))
    return torch.cat(out)


def _minimise_chunk(fitter: Fitter, problem: _Problem, dofs: Tensor, steps: int, free: _Span) -> Tensor:
    low, high = fitter.limb.low.to(dofs), fitter.limb.high.to(dofs)
    moving = slice(*free)
    damping = torch.full((len(dofs),), 1e-2)
    state = fitter.limb.pose(dofs)
    cost, rows = _residuals(fitter, problem, dofs, state[0])
    for _ in range(steps):
        normal, right = _system(fitter, problem, dofs, state, rows, free)
        # a degree of freedom at its limit that is pushed further out is held there
        lowest, highest = (dofs <= low + 1e-6)[:, moving], (dofs >= high - 1e-6)[:, moving]
        stuck = (lowest & (right < 0)) | (highest & (right > 0))
        loose = (~stuck).to(dofs)
        normal = normal * loose[:, :, None] * loose[:, None]
        diagonal = torch.diagonal(normal, dim1=1, dim2=2)
        ridge = damping[:, None] * diagonal + (1 - loose) + 1e-3
        step = torch.zeros_like(dofs)
        step[:, moving] = torch.linalg.solve(
            normal + torch.diag_embed(ridge), (right * loose)[..., None])[..., 0]
        step = step * torch.clamp(0.6 / step.abs().amax(1, keepdim=True).clamp(min=1e-9), max=1.0)
        trial = torch.clamp(dofs + step, low, high)
        trial_state = fitter.limb.pose(trial)
        trial_cost, trial_rows = _residuals(fitter, problem, trial, trial_state[0])
        better = trial_cost < cost
        damping = torch.where(better, damping * 0.4, damping * 4).clamp(1e-5, 1e3)
        dofs = torch.where(better[:, None], trial, dofs)
        cost = torch.where(better, trial_cost, cost)
        state = tuple(_pick(better, a, b) for a, b in zip(trial_state, state))  # type: ignore[assignment]
        rows = [(_pick(better, a, b), _pick(better, c, d)) for (a, c), (b, d) in zip(trial_rows, rows)]
    return dofs


def _pick(mask: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b)


def solve(fitter: Fitter, clips: Sequence[Targets]) -> list[np.ndarray]:
    """Degrees of freedom (T, 2, 30) of every clip: right and left limb. A limb that is never raised rests."""
    spans: list[tuple[int, int, slice]] = []
    at = 0
    for c, clip in enumerate(clips):
        for s in (0, 1):
            if clip.sides[s].raised.any():
                spans.append((c, s, slice(at, at + len(clip))))
                at += len(clip)
    results = [np.tile(REST_DOFS, (len(clip), 2, 1)) for clip in clips]
    if not spans:
        return results
    sides = [clips[c].sides[s] for c, s, _ in spans]
    target = torch.from_numpy(np.concatenate([s.points for s in sides])).float()
    weight = torch.from_numpy(np.concatenate([s.weight for s in sides])).float()
    relative = torch.from_numpy(np.concatenate([s.relative for s in sides])).float()
    problem = _Problem.of(target, weight, relative)
    trust = [np.where(s.found, 1.0, 0.08) for s in sides]
    smoothers = [_smoother(t, 0.35) for t in trust]

    def calm(dofs: Tensor) -> Tensor:
        out = torch.empty_like(dofs)
        for (_, _, span), smoother in zip(spans, smoothers):
            out[span] = smoother @ dofs[span]
        return out

    dofs = torch.from_numpy(_PRIOR_MEAN).float().expand(at, DOFS).clone()
    dofs = torch.clamp(dofs, fitter.limb.low, fitter.limb.high)
    # First the arm by elbow, wrist and palm: fingers that are not bent yet would pull the palm astray.
    problem.weight = weight * _PALM_ONLY
    dofs = _minimise(fitter, problem, dofs, 11, _ARM_ONLY)
    problem.weight = weight
    dofs = _minimise(fitter, problem, dofs, 7)
    known = [(clips[c].handshapes[s], span) for c, s, span in spans]
    dofs = _know_handshapes(fitter, problem, dofs, known)
    move = _touch(fitter, problem, dofs, [(clips[c].touches, span) for c, _, span in spans])
    for _ in range(4):  # little by little, or the arm may jump to a wrong bend
        problem.target[:, 2:, 1] += move[:, None] / 4
        problem.target[:, 1, 1] += 0.7 * move / 4
        dofs = _minimise(fitter, problem, dofs, 3)
    problem.outlier = _OUTLIER
    for pull, steps in ((3.0, 5), (12.0, 4), (30.0, 3)):
        problem.calm, problem.pull = calm(dofs), pull
        points = _points(fitter, dofs)
        problem.other = _other_hands(points, spans)
        met = _meet(points, problem.target[:, 2, 1], spans)
        problem.target[:, 2:, 1] += (met - problem.target[:, 2, 1])[:, None]
        dofs = _minimise(fitter, problem, dofs, steps)
    dofs = calm(dofs)
    for c, s, span in spans:
        results[c][:, s] = dofs[span].numpy()
    return results


_BENDS = [15, 16, 19, 20, 23, 24, 27, 28]  # first and middle joints of the four fingers
_HANDSHAPE_SIGMA = np.array([0.16, 0.16, 0.10, 0.18, 0.18] + [0.07, 0.12, 0.14, 0.14] * 4)
_FAR = 0.6  # radians, on average over the bends: the fingers are in another shape at this moment


def _know_handshapes(
    fitter: Fitter, problem: _Problem, dofs: Tensor, known: Sequence[tuple[Handshape, slice]]
) -> Tensor:
    """Draw the fingers to handshapes that are known, where what was seen does not speak against it.

    A finger that points at the camera, or a fist seen end on, hardly shows how it is bent. If the points are
    clearly farther off with the handshape than without, the clip shows another variant of the sign, and it is
    let go.
    """
    before = _miss(problem, _points(fitter, dofs))
    usual, precision = problem.usual.clone(), problem.precision.clone()
    for shape, span in known:
        if shape is not None:
            _draw_to(problem, dofs[span], shape, span)
    drawn = _minimise(fitter, problem, dofs, 7, _HAND_ONLY)
    after = _miss(problem, _points(fitter, drawn))
    for shape, span in known:
        if shape is None or float(after[span].median()) <= 1.25 * float(before[span].median()) + 0.0025:
            continue
        problem.usual[span], problem.precision[span], drawn[span] = usual[span], precision[span], dofs[span]
    return drawn


def _miss(problem: _Problem, points: Tensor) -> Tensor:
    """(N,) mean distance in the picture of the hand's points from their targets, metres."""
    return (points - problem.target)[:, 2:, [0, 2]].norm(dim=-1).mean(1)


def _draw_to(problem: _Problem, dofs: Tensor, shape: KnownHandshape, span: slice) -> None:
    known = torch.from_numpy(shape.dofs).float()
    share = torch.ones(len(dofs))
    if shape.changes:  # only while the hand is in it
        apart = (dofs[:, _BENDS] - known[[b - _HAND_ONLY[0] for b in _BENDS]]).abs().mean(1)  # (T,)
        share = torch.exp(-((apart / _FAR) ** 2))
    fingers = slice(*_HAND_ONLY)
    before = problem.precision[span, fingers]
    added = share[:, None] * torch.from_numpy(1 / _HANDSHAPE_SIGMA**2).float()
    problem.usual[span, fingers] = (before * problem.usual[span, fingers] + added * known) / (before + added)
    problem.precision[span, fingers] = before + added


def fingers_of(fitter: Fitter, hand: np.ndarray) -> np.ndarray:
    """(…, 21) degrees of freedom of the fingers whose points are nearest to hands (…, 21, 3), right hands in
    the reference pose, metres."""
    hands = torch.from_numpy(np.asarray(hand, dtype=np.float32)).reshape(-1, 21, 3)
    count = len(hands)
    target = torch.zeros(count, 23, 3)
    target[:, 2:] = hands
    weight = torch.zeros(count, 23)
    weight[:, 2:] = 1
    problem = _Problem.of(target, weight, torch.full((count,), 9.0))
    problem.precision *= 0.05
    dofs = torch.zeros(count, DOFS)
    for bend in (0.3, 0.9):  # from a flat hand and from a closed one: keep the nearer
        start = torch.zeros(count, DOFS)
        start[:, _BENDS] = bend
        start = torch.clamp(start, fitter.limb.low, fitter.limb.high)
        found = _minimise(fitter, problem, start, 60, _HAND_ONLY)
        near, far = ((fitter.limb.pose(d)[0][:, 2:] - hands).norm(dim=2).mean(1) for d in (found, dofs))
        dofs = torch.where((near < far)[:, None], found, dofs)
    return dofs[:, _HAND_ONLY[0] :].numpy().astype(float).reshape(*np.shape(hand)[:-2], -1)


_Touching = tuple[str | None, slice]
_TOUCH_REACH, _SIGMA_TOUCH = 0.24, 0.05  # metres
_NECK = 0.665  # metres: above this is the head
_LIKELY = 0.6  # of the gap is closed where a hand is before the head and it is not known whether it touches


def _touch(fitter: Fitter, problem: _Problem, dofs: Tensor, spans: Sequence[_Touching]) -> Tensor:
    """Bring hands that touch head or body up to it.

    MediaPipe's depth does not tell a hand at the chin from one a foot in front of it (measured: 13 and 15 cm
    before the face for signs with and without contact). Where contact is known, the whole path is moved in
    depth until its nearest moment touches; hands before the face of which nothing is known are moved most of
    the way. Returns how far, (N,) metres.
    """
    moves = torch.zeros(len(dofs))
    points = _points(fitter, dofs)
    hand = points[:, 2:]
    skin = fitter.surface.depth(hand) - _FLESH
    gap = torch.where(skin < 5, skin - hand[..., 1], torch.full_like(skin, 9.0))
    head = torch.where(hand[..., 2] > _NECK, gap, torch.full_like(gap, 9.0)).amin(1)
    body = torch.where(hand[..., 2] <= _NECK, gap, torch.full_like(gap, 9.0)).amin(1)
    for touches, span in spans:
        if touches == "":
            continue
        near = body[span] if touches == "body" else head[span]
        if touches and not bool((near < 1).any()):  # not seen where it should touch: take what there is
            near = torch.minimum(head, body)[span]
        over = near[near < 1]
        if len(over) < (1 if touches else 4):
            continue
        move = float(torch.quantile(over, 0.08)) * (1.0 if touches else _LIKELY)
        if move <= 0:
            continue
        move = min(move, _TOUCH_REACH)
        moves[span] = move
        problem.depth_sigma[span] = _SIGMA_TOUCH
    return moves


def _points(fitter: Fitter, dofs: Tensor) -> Tensor:
    return torch.cat([fitter.limb.pose(part)[0] for part in dofs.split(4096)])


def _pairs(spans: list[tuple[int, int, slice]]) -> list[tuple[slice, slice]]:
    where = {(c, s): span for c, s, span in spans}
    return [(span, where[c, 1]) for (c, s), span in where.items() if s == 0 and (c, 1) in where]


def _other_hands(points: Tensor, spans: list[tuple[int, int, slice]]) -> Tensor:
    """(N, 21, 3): for every limb frame the points of the other hand, as seen from the mirrored limb."""
    out = torch.full((len(points), 21, 3), 50.0)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    for right, left in _pairs(spans):
        out[right], out[left] = points[left, 2:] * flip, points[right, 2:] * flip
    return out


def _meet(points: Tensor, depth: Tensor, spans: list[tuple[int, int, slice]]) -> Tensor:
    """Hands that overlap in the picture are most often in touch: bring the depths of their wrists together.

    MediaPipe's depths of two wrists differ by centimetres of noise; where the hands come within 5 cm of each
    other in the picture, the difference beyond what separates the touching points is halved between them.
    """
    depth = depth.clone()
    flip = torch.tensor([-1.0, 1.0, 1.0])
    for right, left in _pairs(spans):
        a, b = points[right, 2:], points[left, 2:] * flip  # (T, 21, 3)
        flat = (a[:, :, None, [0, 2]] - b[:, None][..., [0, 2]]).norm(dim=-1).flatten(1)  # (T, 441)
        apart = flat.amin(1)
        between = (a[:, :, None, 1] - b[:, None, :, 1]).flatten(1)
        near = torch.softmax(-flat / 0.008, 1)
        gap = (near * between).sum(1)
        gap = torch.sign(gap) * torch.clamp(gap.abs() - 0.02, min=0)
        share = torch.clamp((0.05 - apart) / 0.03, 0, 1)
        wanted = (share * gap).numpy()[:, None]
        if len(wanted) > 2:
            wanted = smooth_rows(wanted, np.clip(share.numpy(), 0.05, 1), 6.0)
        move = torch.from_numpy(wanted[:, 0]).float() / 2
        depth[right] = points[right, 2, 1] * share + depth[right] * (1 - share) - move
        depth[left] = points[left, 2, 1] * share + depth[left] * (1 - share) + move
    return depth


def _smoother(weight: np.ndarray, stiffness: float) -> Tensor:
    """(T, T) matrix of the Whittaker smoother."""
    w = np.maximum(weight, 1e-3)
    return torch.from_numpy(np.linalg.solve(np.diag(w) + stiffness * _roughness(len(w)), np.diag(w))).float()


# A relaxed arm hanging at the side, the fingers a little bent: for a limb that does not sign.
REST_DOFS = np.array([-0.084, -0.048, -0.675, 0.039, 0.129, 0.054, 0.279, 0.0, -0.167]
                     + [0.0, 0.0, 0.0, 0.0, 0.1] + [0.0, 0.2, 0.25, 0.15] * 4)


# ----------------------------------------------------------------------------------------------------
# Putting it together
# ----------------------------------------------------------------------------------------------------

NECK_SHARES = (("neck01", 0.2), ("neck02", 0.2), ("neck03", 0.2), ("head", 0.4))


def to_motion(fitter: Fitter, dofs: np.ndarray, head: np.ndarray, face: np.ndarray) -> Motion:
    """Degrees of freedom (T, 2, 30), head rotation vectors (T, 3) and face actions (T, 52) as a motion."""
    frames = len(dofs)
    rotations = torch.eye(3).expand(frames, len(fitter.body.joints), 3, 3).clone()
    limbs = torch.from_numpy(np.asarray(dofs, dtype=np.float32))
    for s, side in enumerate("RL"):
        for name, r in fitter.limb.rotations(limbs[:, s], side).items():
            rotations[:, fitter.body.index[name]] = r
    for name, share in NECK_SHARES:
        turn = axis_angle_to_matrix(torch.from_numpy(np.asarray(head * share, dtype=np.float32)))
        rotations[:, fitter.body.index[name]] = turn
    return Motion(
        rotations=matrix_to_rotation_6d(rotations).numpy().astype(np.float32),
        face=np.asarray(face, dtype=np.float32),
        root=np.zeros((frames, 3), dtype=np.float32),
    )


def measure(fitter: Fitter, clip: Targets, dofs: np.ndarray) -> np.ndarray:
    """(T, 2) mean distance in the picture of the hands' points to their targets, palms; NaN: not found."""
    out = np.full((len(clip), 2), np.nan)
    for s, side in enumerate(clip.sides):
        if not side.raised.any():
            continue
        points = _points(fitter, torch.from_numpy(dofs[:, s]).float()).numpy()
        error = np.linalg.norm((points - side.points)[:, 2:, [0, 2]], axis=2).mean(1) / fitter.palm_length
        out[:, s] = np.where(side.found, error, np.nan)
    return out


def fit_many(fitter: Fitter, clips: Sequence[Targets]) -> list[FitResult]:
    """Fit prepared clips together."""
    results = []
    for clip, dofs in zip(clips, solve(fitter, clips)):
        errors = measure(fitter, clip, dofs)
        raised = np.stack([s.raised for s in clip.sides], 1)
        with np.errstate(invalid="ignore"):
            known = np.isfinite(errors) & raised
            total = np.where(known, errors, 0).sum(1)
            mean = np.where(known.any(1), total / np.maximum(known.sum(1), 1), np.nan)
        results.append(FitResult(
            motion=to_motion(fitter, dofs, clip.head, clip.face), dofs=dofs, head=clip.head, face=clip.face,
            error_palms=mean, tracked=np.stack([s.found for s in clip.sides], 1), raised=raised,
            side_errors=errors))
    return results


def fit_holistic(landmarks: Landmarks, *, fitter: Fitter | None = None, mirror: bool = False) -> FitResult:
    """Fit one sequence, all of it, at 25 fps. `mirror` turns a left-dominant take into a right-dominant one.

    Raises StableSignerError when the landmarks hold no person or no hands.
    """
    fitter = fitter or default_fitter()
    return fit_many(fitter, [fitter.prepare(landmarks.mirrored() if mirror else landmarks)])[0]


@lru_cache(maxsize=1)
def default_fitter() -> Fitter:
    """The fitter of the body that ships."""
    return Fitter()


# ----------------------------------------------------------------------------------------------------
# The stroke: the part of a dictionary clip that is the sign
# ----------------------------------------------------------------------------------------------------


def stroke(clip: Targets, fps: float = FPS) -> slice:
    """From the end of the arrival to the start of the departure.

    A dictionary clip goes rest - arrival - sign - departure - rest. The arrival ends where the hands' speed
    first falls after its first peak (to under half of it, or to a minimum); the departure begins at the
    mirror image of that.
    """
    raised = np.stack([s.raised for s in clip.sides])  # (2, T)
    active = raised.any(0)
    if not active.any():
        return slice(0, len(clip))
    first, last = _longest_run(active, bridge=4)
    speed = hand_speed(clip, fps)
    height = _height(clip)
    inside = slice(first, last + 1)
    wrist = np.max([np.where(s.raised, s.points[:, 2, 2], -1) for s in clip.sides], axis=0)
    if first <= 1 and speed[: first + 2].max() < 0.3 and wrist[first] > _READY:
        start = first  # begins in signing space
    else:
        start = first + _settled(speed[inside], height[inside])
    if last >= len(clip) - 2 and speed[last - 1 :].max() < 0.3 and wrist[last] > _READY:
        end = last
    else:
        end = last - _settled(speed[inside][::-1], height[inside][::-1])
    if end - start < 5:  # one swift movement: what is above the middle of its height
        top = height[inside]
        high = np.flatnonzero(top >= np.quantile(top, 0.35)) + first
        start, end = int(high[0]), int(high[-1])
    if end - start < 3:
        start, end = first, last
    return slice(max(start - 1, first), min(end + 2, last + 1))


def hand_speed(clip: Targets, fps: float = FPS) -> np.ndarray:
    """(T,) m/s: the faster hand's wrist, plus half of how fast its fingers move about the wrist."""
    speeds = []
    for side in clip.sides:
        if not side.raised.any():
            continue
        wrist, shape = side.points[:, 2, [0, 2]], side.points[:, 3:] - side.points[:, 2:3]
        trust = np.where(side.found, 1.0, 0.2)
        wrist = smooth_rows(wrist, trust, 1.0)
        tips = smooth_rows(shape[:, [3, 7, 11, 15, 19]][..., [0, 2]].reshape(len(clip), -1), trust, 2.0)
        v = np.linalg.norm(np.gradient(wrist, axis=0), axis=1)
        f = np.linalg.norm(np.gradient(tips, axis=0).reshape(len(clip), 5, 2), axis=2).mean(1)
        speeds.append(np.where(side.raised, v + 0.5 * f, 0) * fps)
    return np.max(speeds, axis=0) if speeds else np.zeros(len(clip))


def _height(clip: Targets) -> np.ndarray:
    """(T,) height of the hand that signs most, as a share of the way from the thigh to its highest place."""
    right, left = clip.sides
    side = right if right.raised.sum() >= 0.6 * left.raised.sum() else left
    height = smooth_rows(side.points[:, 2:3, 2], np.ones(len(clip)), 1.0)[:, 0]
    return np.asarray((height - 0.1) / max(float(np.quantile(height, 0.95)) - 0.1, 0.05))


def _settled(speed: np.ndarray, height: np.ndarray) -> int:
    """Frames until the first movement, coming from rest, has slowed down with the hand up where it signs."""
    limit = max(2, int(0.6 * len(speed)))
    peak = 0.0
    fallback = 0
    for t in range(1, limit):
        peak = max(peak, speed[t - 1])
        falling = speed[t] < 0.45 * peak
        lowest = t + 1 < limit and speed[t] <= speed[t - 1] and speed[t] < speed[t + 1]
        minimum = lowest and speed[t] < 0.75 * peak
        if peak > 0.25 and (falling or minimum):
            if height[t] > 0.62:
                return t
            fallback = fallback or t
    return fallback


def _longest_run(mask: Any, bridge: int) -> tuple[int, int]:
    """First and last index of the longest run of True, gaps up to `bridge` counted as True."""
    on = np.flatnonzero(mask)
    breaks = np.flatnonzero(np.diff(on) > bridge + 1)
    starts = np.concatenate([[0], breaks + 1])
    ends = np.concatenate([breaks, [len(on) - 1]])
    best = int(np.argmax(on[ends] - on[starts]))
    return int(on[starts[best]]), int(on[ends[best]])
