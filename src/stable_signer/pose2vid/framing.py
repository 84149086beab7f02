"""The picture's frame: its size for the networks, and whether the hands stay in it: a hand that is cut off
cannot be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from stable_signer.body.keypoints import RigidPoints
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body, forward_kinematics, rotation_6d_to_matrix
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.camera import Camera

NETWORK_SIZES = (256, 512)  # sides of the pictures that Pose2Vid's networks were trained for
TOLERATED = 0.01  # of the picture's side: a fingertip's width


def check_network_size(size: int) -> None:
    """Raises StableSignerError for a size that is not in NETWORK_SIZES."""
    if size not in NETWORK_SIZES:
        small, large = NETWORK_SIZES
        raise StableSignerError(
            f"the diffusion look draws at {small} or {large} pixels, not {size}: "
            "choose one of these, or the look mesh"
        )


@dataclass(frozen=True)
class Outside:
    """A stretch in which a hand leaves the picture: 'left' or 'right', from start to end in seconds."""

    hand: str
    start: float
    end: float

    def __str__(self) -> str:
        return f"the {self.hand} hand leaves the picture from {self.start:.2f} to {self.end:.2f} s"


def hands_outside(motion: Motion, body: Body) -> list[Outside]:
    """Every stretch in which a point of a hand lies outside the picture of the body's first signer, in order.

    Other signers are framed so that they reach equally far within their pictures.
    """
    first = body.signer_ids[0]
    rest, camera = body.signer(first), Camera.of(body, first, 1)
    points = RigidPoints(body, rest)
    rotations = rotation_6d_to_matrix(torch.from_numpy(motion.rotations))
    turns, joints = forward_kinematics(body, rest, rotations, torch.from_numpy(motion.root))
    found = []
    for side, hand in (("R", "right"), ("L", "left")):
        place = camera.project(points.hand(turns, joints, side))[..., :2].numpy()  # (T, 21, 2) in sides
        # below the picture's edge hang resting hands: only what leaves to the sides or above is lost
        lost = (place[..., 0] < -TOLERATED) | (place[..., 0] > 1 + TOLERATED) | (place[..., 1] < -TOLERATED)
        edges = np.diff(np.concatenate([[0], lost.any(1).astype(int), [0]]))
        for a, b in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)):
            found.append(Outside(hand, float(a) / motion.fps, float(b) / motion.fps))
    return sorted(found, key=lambda one: one.start)
