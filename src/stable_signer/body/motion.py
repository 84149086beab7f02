"""Motion: what the body does, frame by frame, independent of who the signer is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from stable_signer.body import rotation
from stable_signer.errors import StableSignerError

FPS = 25.0


@dataclass(frozen=True)
class Motion:
    """A movement of the signer's skeleton.

    rotations: (T, J, 6) float32, per joint the first two columns of its rotation matrix relative to the
        parent, in world-aligned axes of the reference pose (identity = reference pose); joints as
        `body.skeleton.JOINTS`.
    face: (T, 52) float32 in [0, 1], the ARKit-named actions of `body.skeleton.FACE_ACTIONS`.
    root: (T, 3) float32, metres, offset of the hips from where the signer stands; z up, the signer faces -y.
    fps: frames per second.
    """

    rotations: np.ndarray
    face: np.ndarray
    root: np.ndarray
    fps: float = FPS

    def __post_init__(self) -> None:
        frames = len(self.rotations)
        if not frames:
            raise StableSignerError("the motion has no frames: give it at least one")
        if self.rotations.ndim != 3 or self.rotations.shape[2] != 6:
            raise StableSignerError(
                f"the motion's rotations have shape {self.rotations.shape}, not (T, J, 6)"
            )
        if self.face.shape != (frames, 52) or self.root.shape != (frames, 3):
            raise StableSignerError(
                f"the motion's parts differ in length: rotations {frames}, face {self.face.shape}, "
                f"root {self.root.shape}"
            )
        for name in ("rotations", "face", "root"):
            bad = ~np.isfinite(getattr(self, name)).reshape(frames, -1).all(axis=1)
            if bad.any():
                at = int(bad.argmax())
                raise StableSignerError(
                    f"the motion's {name} are not finite at {at / self.fps:.2f} s (frame {at})"
                )

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self) / self.fps

    @property
    def quaternions(self) -> np.ndarray:
        """The rotations as unit quaternions (T, J, 4), float64."""
        return rotation.six_to_quaternion(self.rotations.astype(np.float64))

    @classmethod
    def of_quaternions(cls, q: np.ndarray, face: np.ndarray | None = None, fps: float = FPS) -> Motion:
        """Poses q (T, J, 4) where the signer stands, with a face (T, 52), at rest if there is none."""
        frames = len(q)
        face = np.zeros((frames, 52)) if face is None else face
        six = rotation.quaternion_to_six(q).astype(np.float32)
        return cls(six, face.astype(np.float32), np.zeros((frames, 3), np.float32), fps)

    def __getitem__(self, frames: slice) -> Motion:
        return replace(self, rotations=self.rotations[frames], face=self.face[frames], root=self.root[frames])


def joined(pieces: Iterable[Motion]) -> Motion:
    """Pieces of one motion as a whole."""
    parts = list(pieces)
    return Motion(
        np.concatenate([part.rotations for part in parts]),
        np.concatenate([part.face for part in parts]),
        np.concatenate([part.root for part in parts]),
        parts[0].fps,
    )
