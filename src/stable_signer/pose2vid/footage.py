"""Pairs to learn a filmed signer from: each frame of a clip, cropped as our camera frames a signer, beside the
control maps of our body in the same pose.

The clip's camera stands still, so one crop (a scale and a shift, least squares between what was detected and
our body's points) serves the whole clip. The body is fitted as a dictionary's takes are (`body/fit.py`), but
that fit puts signs at places of *our* body, whose proportions are another's; here the picture decides, so the
fit is refined until the projected points lie on the detected ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stable_signer.body.fit import DOFS, Fitter, FitResult, Landmarks, default_fitter, fit_holistic
from stable_signer.body.keypoints import RigidPoints
from stable_signer.body.motion import FPS, Motion
from stable_signer.body.skeleton import (
    axis_angle_to_matrix,
    forward_kinematics,
    matrix_to_rotation_6d,
)
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.camera import Camera

SIZE = 256  # side of the pictures learned from
FEWEST = 50  # frames: with fewer there is neither enough to learn from nor to measure on
LARGEST = 4096  # pixels of a frame's longer side
ROUNDS = 3  # of crop and refinement in turn
STEPS = 120  # of the refinement in a round
SEEN = 0.5  # visibility from which a point of the body counts
# What holds a refined pose near the fitted one, as standard deviations. A picture says nothing of depth.
_PIXEL, _SHOULDER, _ELBOW = 1.0, 6.0, 3.0  # pixels at SIZE, of the points that are to be met
_DOF, _HEAD, _DEPTH, _JERK = 0.5, 0.4, 0.06, 0.12  # radians, radians, metres, radians a frame^2
_BODY = {"upperarm01.R": 12, "upperarm01.L": 11, "lowerarm01.R": 14, "lowerarm01.L": 13}


@dataclass(frozen=True)
class Crop:
    """From a clip's pixels to ours: (x, y) -> scale * (x, y) + shift."""

    scale: float
    shift: tuple[float, float]

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """(..., 2) pixels of the clip -> (..., 2) pixels of the picture."""
        return np.asarray(pixels * self.scale + np.array(self.shift))

    def cut(self, frame: np.ndarray, size: int = SIZE) -> np.ndarray:
        """A frame (H, W, 3) uint8 -> (size, size, 3) uint8; beyond the frame its edge goes on."""
        height, width = frame.shape[:2]
        left, top = (-s / self.scale for s in self.shift)
        side = size / self.scale
        around = [max(0, int(np.ceil(v)) + 1) for v in (-top, top + side - height, -left, left + side - width)]
        wide = np.pad(frame, ((around[0], around[1]), (around[2], around[3]), (0, 0)), mode="edge")
        left, top = left + around[2], top + around[0]
        box = (left, top, left + side, top + side)
        return np.asarray(Image.fromarray(wide).resize((size, size), Image.Resampling.LANCZOS, box=box))

    @staticmethod
    def between(seen: np.ndarray, drawn: np.ndarray, weight: np.ndarray) -> Crop:
        """The least squares crop that takes seen (N, 2) to drawn (N, 2); weight (N,)."""
        w = weight[:, None] / weight.sum()
        a, b = (w * seen).sum(0), (w * drawn).sum(0)
        scale = float((w * (seen - a) * (drawn - b)).sum() / (w * (seen - a) ** 2).sum())
        x, y = (b - scale * a).tolist()
        return Crop(scale, (x, y))


@dataclass(frozen=True)
class Fitted:
    """A clip's motion, frame for frame, the crop that goes with it, and how far (T,) the detected points of
    the hands lie from the body's, in pixels at SIZE (NaN: no hand was found)."""

    motion: Motion
    crop: Crop
    error: np.ndarray


def clip_frames(clip: str | Path) -> Iterator[np.ndarray]:
    """Each frame (H, W, 3) uint8 of a clip."""
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


class _Points:
    """Our body's points that a picture is compared with, in one order with the detected ones."""

    def __init__(self, fitter: Fitter, marks: Landmarks) -> None:
        self.fitter = fitter
        body, rest = fitter.body, fitter.rest
        self.rigid = RigidPoints(body, rest)
        ids = list(self.rigid.face_ids)
        shared = [i for i in marks.face_ids if i in ids]
        self.face = [ids.index(i) for i in shared]
        rows = [list(marks.face_ids).index(i) for i in shared]
        hands = np.concatenate([marks.right_hand[..., :2], marks.left_hand[..., :2]], 1)
        pose = marks.pose[:, list(_BODY.values())]
        self.seen = np.concatenate([hands, pose[..., :2], marks.face[:, rows]], 1).astype(np.float64)
        frames = len(marks)
        sigma = [_PIXEL] * 42 + [_SHOULDER] * 2 + [_ELBOW] * 2 + [2 * _PIXEL] * len(rows)
        known = np.isfinite(self.seen).all(2)
        known[:, 42:46] &= pose[..., 2] > SEEN
        # a hand far from the body's own wrist is the other one, or none (as in body/fit.py)
        width = np.nanmedian(np.linalg.norm(marks.pose[:, 11, :2] - marks.pose[:, 12, :2], axis=1))
        for side, wrist in ((slice(0, 21), 16), (slice(21, 42), 15)):
            with np.errstate(invalid="ignore"):
                far = np.linalg.norm(self.seen[:, side.start] - marks.pose[:, wrist, :2], axis=1) > 0.35 * width
            known[far, side] = False
        self.weight = np.where(known, 1 / np.tile(sigma, (frames, 1)) ** 2, 0.0)
        self.seen = np.where(known[..., None], self.seen, 0.0)

    def of(self, rotations: Tensor, root: Tensor) -> Tensor:
        """rotations (T, J, 3, 3), root (T, 3) -> (T, P, 3) metres."""
        body = self.fitter.body
        turns, joints = forward_kinematics(body, self.fitter.rest, rotations, root)
        return torch.cat(
            [
                self.rigid.hand(turns, joints, "R"),
                self.rigid.hand(turns, joints, "L"),
                joints[:, [body.index[name] for name in _BODY]],
                self.rigid.face(turns, joints)[:, self.face],
            ],
            1,
        )


_NECK = {"neck01": 0.2, "neck02": 0.2, "neck03": 0.2, "head": 0.4}


def _rotations(fitter: Fitter, dofs: Tensor, head: Tensor) -> Tensor:
    """dofs (T, 2, 30), head (T, 3) -> (T, J, 3, 3); as `body.fit.to_motion`, differentiable."""
    still = torch.eye(3).expand(len(dofs), 3, 3)
    turns = {name: axis_angle_to_matrix(head * share) for name, share in _NECK.items()}
    for s, side in enumerate("RL"):
        turns |= fitter.limb.rotations(dofs[:, s], side)
    return torch.stack([turns.get(name, still) for name in fitter.body.joints], 1)


def fitted(marks: Landmarks, fitter: Fitter | None = None) -> Fitted:
    """Our body in the pose of every frame, and where its camera sees the clip.

    Raises StableSignerError when the landmarks hold no person or no hands.
    """
    fitter = fitter or default_fitter()
    marks = replace(marks, fps=FPS)  # frame for frame: a picture cannot be resampled
    fit = fit_holistic(marks, fitter=fitter)
    points = _Points(fitter, marks)
    camera = Camera.of(fitter.body, fitter.body.signer_ids[0], SIZE)
    dofs, head = (torch.from_numpy(np.asarray(x, np.float32)) for x in (fit.dofs, fit.head))
    root = torch.zeros(len(marks), 3)
    for _ in range(ROUNDS):
        with torch.no_grad():
            drawn = camera.project(points.of(_rotations(fitter, dofs, head), root))[..., :2].numpy()
        weight = points.weight
        crop = Crop.between(points.seen[weight > 0], drawn[weight > 0], weight[weight > 0])
        dofs, head, root = _refined(fitter, points, camera, crop, fit, (dofs, head, root))
    with torch.no_grad():
        rotations = _rotations(fitter, dofs, head)
        drawn = camera.project(points.of(rotations, root))[..., :2].numpy()
    apart = np.linalg.norm(drawn - crop(points.seen), axis=2)[:, :42]
    known = points.weight[:, :42] > 0
    with np.errstate(invalid="ignore"):
        error = np.where(known, apart, 0).sum(1) / np.where(known.any(1), known.sum(1), np.nan)
    motion = Motion(
        matrix_to_rotation_6d(rotations).numpy().astype(np.float32),
        np.asarray(fit.face, np.float32),
        root.numpy().astype(np.float32),
    )
    return Fitted(motion, crop, error)


def _refined(
    fitter: Fitter,
    points: _Points,
    camera: Camera,
    crop: Crop,
    fit: FitResult,
    start: tuple[Tensor, Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Degrees of freedom (T, 2, 30), head (T, 3) and root (T, 3) drawn to where the picture has the points."""
    target = torch.from_numpy(crop(points.seen)).float()
    weight = torch.from_numpy(points.weight).float()
    usual, level = (torch.from_numpy(np.asarray(x, np.float32)) for x in (fit.dofs, fit.head))
    with torch.no_grad():
        depth = points.of(_rotations(fitter, usual, level), torch.zeros_like(start[2]))[..., 1]
    low, high = fitter.limb.low, fitter.limb.high
    dofs, head, root = (x.clone().requires_grad_() for x in start)
    optimizer = torch.optim.Adam([dofs, head, root], 0.02)
    flat = torch.tensor([1.0, 0.0, 1.0])  # the body sways in the picture's plane
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * (1 - 0.9 * step / STEPS)
        found = points.of(_rotations(fitter, dofs, head), root * flat)
        off = ((camera.project(found)[..., :2] - target) ** 2).sum(2)
        met = weight * 2 * 100 * (torch.sqrt(1 + off / 100) - 1)  # beyond ten pixels a point counts less
        near = ((dofs - usual) / _DOF).square().sum() + ((head - level) / _HEAD).square().sum()
        deep = ((found[..., 1] - depth) / _DEPTH)[:, :42].square().sum() / 5
        jerk = sum(
            ((x[2:] - 2 * x[1:-1] + x[:-2]) / s).square().sum()
            for x, s in ((dofs, _JERK), (head, _JERK), (root, 0.004))
        )
        loss = met.sum() + near + deep + jerk
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            dofs.copy_(torch.minimum(torch.maximum(dofs, low), high))
    return dofs.detach(), head.detach(), root.detach() * flat


assert DOFS == 30  # what the shapes above say
