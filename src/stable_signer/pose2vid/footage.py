"""Pairs to learn a filmed signer from: each frame of a clip, cropped as our camera frames a signer, beside
the control maps of our body in the same pose.

The clip's camera stands still, so one crop (a scale and a shift, least squares between what was detected and
our body's points) serves the whole clip. The body is fitted as a dictionary's takes are (`body/fit.py`), but
that fit puts signs at places of *our* body, whose proportions are another's; here the picture decides, so the
fit is refined until the projected points lie on the detected ones.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stable_signer.body.fit import (
    DOFS,
    NECK_SHARES,
    FitResult,
    Fitter,
    Landmarks,
    default_fitter,
    fit_holistic,
)
from stable_signer.body.keypoints import RigidPoints
from stable_signer.body.motion import FPS, Motion
from stable_signer.body.skeleton import (
    Body,
    axis_angle_to_matrix,
    forward_kinematics,
    matrix_to_rotation_6d,
)
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.camera import Camera
from stable_signer.pose2vid.control import CHANNELS, ControlFigure, controls, posed_frames
from stable_signer.pose2vid.mesh import MeshRenderer
from stable_signer.pose2vid.signers import SIGNERS, STYLES, SignerCard

HELD_OUT = 0.2  # of a clip's frames, the last ones
SIZE = 256  # side of the pictures learned from
FEWEST = 50  # frames: with fewer there is neither enough to learn from nor to measure on
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
        around = [
            max(0, int(np.ceil(v)) + 1) for v in (-top, top + side - height, -left, left + side - width)
        ]
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
        known = np.asarray(np.isfinite(self.seen).all(2))
        known[:, 42:46] &= pose[..., 2] > SEEN
        # a hand far from the body's own wrist is the other one, or none (as in body/fit.py)
        width = np.nanmedian(np.linalg.norm(marks.pose[:, 11, :2] - marks.pose[:, 12, :2], axis=1))
        for side, wrist in ((slice(0, 21), 16), (slice(21, 42), 15)):
            with np.errstate(invalid="ignore"):
                far = (
                    np.linalg.norm(self.seen[:, side.start] - marks.pose[:, wrist, :2], axis=1) > 0.35 * width
                )
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


def _rotations(fitter: Fitter, dofs: Tensor, head: Tensor) -> Tensor:
    """dofs (T, 2, 30), head (T, 3) -> (T, J, 3, 3); as `body.fit.to_motion`, differentiable."""
    still = torch.eye(3).expand(len(dofs), 3, 3)
    turns = {name: axis_angle_to_matrix(head * share) for name, share in NECK_SHARES}
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
    """Degrees of freedom (T, 2, 30), head (T, 3), root (T, 3) drawn to where the picture has the points."""
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


# --- the pairs ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """What is learned from: T frames of a clip.

    pictures (T, SIZE, SIZE, 3) uint8; maps (T, CHANNELS, SIZE, SIZE) uint8; hands (T, 2, 21, 2) float32
    pixels, right and left, as detected or, where none was, as the body has them; filmed: first row, end,
    first column, end of what the camera saw: beyond, the pictures go on with their edge. card: the signer
    that our body is painted as. error: mean distance of the body's hand points from the detected ones,
    pixels.
    """

    pictures: np.ndarray
    maps: np.ndarray
    hands: np.ndarray
    filmed: tuple[int, int, int, int]
    card: SignerCard
    error: float

    def __len__(self) -> int:
        return len(self.pictures)

    @staticmethod
    def load(folder: Path) -> Pairs:
        """What `make_pairs` left, the arrays mapped into memory."""
        told = json.loads((folder / "pairs.json").read_text(encoding="utf-8"))
        pictures, maps, hands = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("pictures", "maps", "hands")
        )
        top, bottom, left, right = told["filmed"]
        card = signer_card_of(told["looks"])
        return Pairs(pictures, maps, hands, (top, bottom, left, right), card, told["error"])


def signer_card_of(looks: dict[str, str]) -> SignerCard:
    """Our first signer in the clothes and colours `seen_looks` found."""
    first = next(iter(SIGNERS.values()))
    clothes = replace(first.clothes, top=looks["top"], sleeves=looks["sleeves"])
    return replace(
        first,
        skin=looks["skin"],
        lips=looks["lips"],
        hair=replace(first.hair, colour=looks["hair"]),
        clothes=clothes,
    )


def painted_body(looks: dict[str, str]) -> tuple[MeshRenderer, ControlFigure]:
    """What makes the control maps of a filmed signer: the same for learning as for drawing."""
    renderer = MeshRenderer(Body.load(), signer_card_of(looks), next(iter(STYLES.values())), SIZE)
    return renderer, ControlFigure.of(renderer)


def learned_frames(count: int) -> int:
    """How many of a clip's frames are learned from: the first ones; the others are only measured on."""
    return count - round(count * HELD_OUT)


def seen_looks(pictures: np.ndarray, marks: Landmarks, crop: Crop) -> dict[str, str]:
    """Colours (sRGB) of skin, lips, hair and top, and the sleeves, from pictures (T, SIZE, SIZE, 3) at
    places that the landmarks tell; medians over these pictures. A hint: the networks learn the rest."""
    pose, face = crop(marks.pose[..., :2]), crop(marks.face)
    row = {i: k for k, i in enumerate(marks.face_ids)}

    def colour(places: np.ndarray) -> np.ndarray:
        found = []
        for picture, place in zip(pictures, places):
            if np.isfinite(place).all():
                x, y = (int(v) for v in np.clip(place, 0, SIZE - 1))
                found.append(picture[y, x])
        return np.median(found, 0) if found else np.full(3, 128.0)

    def between(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
        return np.asarray(a + (b - a) * share)

    shoulders = pose[:, 11:13].mean(1)
    chest = shoulders + np.array([0.0, 0.35]) * np.linalg.norm(pose[:, 11] - pose[:, 12], axis=1)[:, None]
    top = colour(chest)
    if {1, 61, 234, 10, 152}.issubset(row):
        nose, corner, edge, brow, chin = (face[:, row[i]] for i in (1, 61, 234, 10, 152))
        skin = colour(between(between(nose, corner, 0.5), edge, 0.4))  # the cheek
        hair = colour(between(chin, brow, 1.15))
        lips = colour(face[:, row[17]]) if 17 in row else skin
    else:
        skin, hair, lips = colour(pose[:, 0]), np.full(3, 60.0), colour(between(pose[:, 9], pose[:, 10], 0.5))

    def bare(a: int, b: int, share: float) -> bool:
        arm = colour(between(pose[:, a], pose[:, b], share))
        return bool(np.linalg.norm(arm - skin) < np.linalg.norm(arm - top))

    sleeves = "short" if bare(12, 14, 0.7) else "three-quarter" if bare(14, 16, 0.75) else "long"
    written = {
        name: "#" + "".join(f"{int(v):02x}" for v in value)
        for name, value in (("skin", skin), ("lips", lips), ("hair", hair), ("top", top))
    }
    return written | {"sleeves": sleeves}


def make_pairs(clip: str | Path, marks: Landmarks, folder: Path) -> Pairs:
    """Fit the body to a clip's landmarks and write the pairs into `folder`, whole or not at all.

    Raises StableSignerError when the landmarks are of another clip, or hold no person or no hands.
    """
    found = fitted(marks)
    part = folder.with_name(folder.name + ".part")
    part.mkdir(parents=True, exist_ok=True)
    pictures = np.lib.format.open_memmap(part / "pictures.npy", "w+", np.uint8, (len(marks), SIZE, SIZE, 3))
    shape, count = (0, 0), 0
    for frame in clip_frames(clip):
        shape = frame.shape[:2]
        if count < len(marks):
            pictures[count] = found.crop.cut(frame)
        count += 1
    if count != len(marks):
        shutil.rmtree(part)
        raise StableSignerError(
            f"{clip} has {count} frames and its landmarks {len(marks)}: give the landmarks of this clip"
        )
    looks = seen_looks(pictures[: learned_frames(len(marks))], marks, found.crop)
    renderer, control = painted_body(looks)
    maps = np.lib.format.open_memmap(part / "maps.npy", "w+", np.uint8, (len(marks), CHANNELS, SIZE, SIZE))
    hands = np.empty((len(marks), 2, 21, 2), np.float32)
    for k, (vertices, spots) in enumerate(posed_frames(renderer, control, found.motion)):
        maps[k] = controls(renderer, control, vertices, spots)[2]
        hands[k] = spots[:42].reshape(2, 21, 2)
    detected = np.stack([marks.right_hand, marks.left_hand], 1)[..., :2]
    detected = found.crop(detected)
    hands = np.where(np.isfinite(detected).all((2, 3), keepdims=True), detected, hands).astype(np.float32)
    np.save(part / "hands.npy", hands)
    (left, top), (right, bottom) = (found.crop(np.array(p)) for p in ((0, 0), (shape[1], shape[0])))
    rows = (
        max(0, int(np.ceil(top))),
        min(SIZE, int(bottom)),
        max(0, int(np.ceil(left))),
        min(SIZE, int(right)),
    )
    told = {
        "filmed": rows,
        "looks": looks,
        "error": float(np.nanmean(found.error)),
        "scale": found.crop.scale,
        "shift": found.crop.shift,
    }
    (part / "pairs.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    pictures.flush()
    maps.flush()
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)
    return Pairs.load(folder)
