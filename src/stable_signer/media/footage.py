"""Footage of one signer, to learn a picture from: may it be used, and what is seen in it.

A clip is decoded three times: here to check it, by MediaPipe to find the signer, and when the pairs are cut
(`pose2vid.footage.make_pairs`), which needs what was found.
"""

from __future__ import annotations

from pathlib import Path

import av

from stable_signer.body.fit import Landmarks
from stable_signer.errors import StableSignerError
from stable_signer.media.files import read_bytes
from stable_signer.media.landmarks import (
    check_mediapipe,
    checked,
    landmarks_and_faces,
    mediapipe_python,
    stored_landmarks,
)
from stable_signer.pose2vid.footage import FEWEST, clip_frames

LARGEST = 4096  # pixels of a frame's longer side
MOST = 24  # frames, spread over the clip, in which faces are counted
CROWD = 0.2  # of the frames looked at may show more than one face: posters, false finds


def check_footage(clip: str | Path) -> int:
    """The number of its frames. Raises StableSignerError, before anything is looked for, for a clip that
    cannot be learned from."""
    read_bytes(clip, "the clip")
    count, longest = 0, 0
    try:
        for frame in clip_frames(clip):
            count, longest = count + 1, max(frame.shape[:2])
            if longest > LARGEST:
                break
    except (av.FFmpegError, IndexError) as error:
        raise StableSignerError(f"{clip} cannot be read as a video: give an mp4 of the signer") from error
    if longest > LARGEST:
        raise StableSignerError(f"{clip} is {longest} pixels wide or high: scale it to {LARGEST} at most")
    if count < FEWEST:
        raise StableSignerError(f"{clip} has {count} frames: at least {FEWEST} are needed to learn from")
    return count


def footage_landmarks(clip: str | Path, python: Path | None, stored: Path | None) -> Landmarks:
    """What is seen in a clip of one signer, by MediaPipe in the environment of `python` (None: the usual
    one), or found before and `stored`. Stored landmarks are taken for those of the only person there.

    Raises StableSignerError for a clip that is too short or large, of nobody or of several people, and
    without the environment.
    """
    count = check_footage(clip)
    if stored is not None:
        return checked(stored_landmarks(stored, clip), clip)
    python = python or mediapipe_python()
    check_mediapipe(python)
    marks, faces = landmarks_and_faces(clip, python, -(-count // MOST))
    if sum(n > 1 for n in faces) > CROWD * len(faces):
        raise StableSignerError(f"{clip} shows more than one person: cut the picture to the signer")
    return checked(marks, clip)
