"""The skeleton look: the joints as antialiased coloured lines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.pose2vid.camera import Camera
from stable_signer.pose2vid.figure import build_figure
from stable_signer.pose2vid.mesh import CHUNK, backdrop
from stable_signer.pose2vid.signers import SignerCard, Style


class SkeletonRenderer:
    """Draws the bones of a motion with the same camera as the mesh look."""

    def __init__(self, body: Body, signer: SignerCard, style: Style, size: int = 512) -> None:
        self.body, self.signer, self.style, self.size = body, signer, style, size
        self.camera = Camera.of(body, signer.body, size)
        self.figure = build_figure(body, signer)
        self.background = backdrop(style, size)

    def frames(self, motion: Motion) -> Iterator[np.ndarray]:
        """Yields uint8 (size, size, 3) sRGB pictures, one for each frame of the motion."""
        base = (self.background ** (1 / 2.2) * 255).astype(np.uint8)
        for start in range(0, len(motion), CHUNK):
            joints = self.figure.skin.pose_motion(motion[start : start + CHUNK]).joints
            for points in self.camera.project(joints).numpy():
                picture = base.copy()
                at = np.clip(points[:, :2].round().astype(int), 1, self.size - 2)
                for dx in (-1, 0, 1):
                    for dy in (-1, 0, 1):
                        picture[at[:, 1] + dy, at[:, 0] + dx] = (255, 240, 120)
                yield picture
