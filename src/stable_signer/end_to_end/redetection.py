"""The picture read back: a system's motion is drawn as a video, and MediaPipe Holistic looks at that.

Every system is drawn by our own renderer, as one signer, because the rival's drawing of people wants a model
from the network; small and as a mesh, because that is quick. MediaPipe runs in an environment of its own
(`media/landmarks.py`), as it does for filmed takes, and what it sees is fitted to our body as the points of
any tool are: nothing of the motion that drove the picture is left but where the signs lie in time.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from stable_signer.body.fit import Landmarks, fit_holistic
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError
from stable_signer.media.landmarks import seen_landmarks
from stable_signer.media.posefile import hand_pixels
from stable_signer.media.video import VideoWriter
from stable_signer.pipeline import StableSigner
from stable_signer.pose2vid.signers import SIGNERS
from stable_signer.slp_moe.priors import rest_pose

SIZE, LOOK = 256, "mesh"
NEAR = 0.2  # of the palm: a point that is found in its place
MIDDLE = 9  # knuckle of the middle finger: the palm is from the wrist to there


def looked_at(motion: Motion, python: Path, look: str = LOOK) -> tuple[Motion, dict[str, float]]:
    """A motion as it is seen in its video, with the figures of `found`.

    It is at rest where nobody or no hand was seen. Raises StableSignerError when the environment fails.
    """
    signer = next(iter(SIGNERS))
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "video.mp4"
        with VideoWriter(video, size=SIZE, fps=motion.fps) as writer:
            for frame in _engine().render(motion, signer=signer, look=look, size=SIZE):
                writer.write(frame)
        marks = seen_landmarks(video, python)
    return _fitted(marks, motion), found(marks, hand_pixels(motion, Body.load(), signer, SIZE), SIZE)


@cache
def _engine() -> StableSigner:
    """One for all videos: it keeps the dressed signer."""
    return StableSigner.from_pretrained("rules")


def _fitted(marks: Landmarks, motion: Motion) -> Motion:
    hands = (marks.left_hand, marks.right_hand)
    if np.isfinite(marks.pose).any() and any(np.isfinite(h).any() for h in hands):
        return fit_holistic(marks).motion
    return still(len(motion))


def still(frames: int) -> Motion:
    """Rest, that many frames."""
    return Motion(
        np.repeat(rest_pose()[None], frames, 0),
        np.zeros((frames, 52), np.float32),
        np.zeros((frames, 3), np.float32),
    )


def found(marks: Landmarks, driven: np.ndarray, size: int) -> dict[str, float]:
    """How well a video is read: marks seen in it, driven (T, 2, 21, 2) pixels, left and right, in a square of
    `size`.

    face_found, hands_found: shares of frames; a hand that is partly outside the picture is not asked for.
    pck_palm: share of the points of the hands found that lie nearer than NEAR palms to the ones that drove
    the picture, 0 if there are none. Raises StableSignerError when the video has another number of frames.
    """
    if len(marks) != len(driven):
        raise StableSignerError(f"the video has {len(marks)} frames, and {len(driven)} were drawn")
    seen = np.stack([marks.left_hand, marks.right_hand], 1)[..., :2]  # (T, 2, 21, 2)
    here = np.isfinite(seen).all((2, 3))
    asked = ((driven > 0) & (driven < size)).all((2, 3))
    palm = np.linalg.norm(driven[:, :, MIDDLE] - driven[:, :, 0], axis=-1)  # (T, 2)
    off = np.linalg.norm(seen - driven, axis=-1) / np.maximum(palm, 1)[..., None]
    both = here & asked
    return {
        "face_found": float(np.isfinite(marks.face).all(2).any(1).mean()),
        "hands_found": float(both.sum() / max(asked.sum(), 1)),
        "pck_palm": float((off[both] < NEAR).mean()) if both.any() else 0.0,
    }
