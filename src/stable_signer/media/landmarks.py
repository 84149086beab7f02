"""The landmarks of a filmed person: MediaPipe Holistic 0.10.21, in an environment of its own.

MediaPipe wants numpy < 2, so it cannot live beside us. Nothing is fetched here: where that environment is
missing, the error says how to make it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np

from stable_signer.body.fit import FACE17, Landmarks
from stable_signer.errors import StableSignerError
from stable_signer.media.files import read_bytes

VARIABLE = "STABLE_SIGNER_MEDIAPIPE"  # the environment's Python, where it is not in PLACE
PLACE = Path("~/.stable-signer/mediapipe")
NEEDS = ("mediapipe==0.10.21", "numpy<2", "av>=14,<20")
CLIPS = (".mp4", ".webm", ".mov", ".mkv", ".avi")
LONGEST_CLIP = 60.0  # seconds: a take is one sign
PATIENCE = 900.0  # seconds for looking at a clip: half a second a frame on a slow machine
WIDTHS = {"pose": (33, 3), "left_hand": (21, 3), "right_hand": (21, 3), "face": (468, 2), "world": (33, 3)}
SCRIPT = Path(__file__).with_name("holistic.py")


def mediapipe_python() -> Path:
    """The Python of MediaPipe's environment.

    Raises StableSignerError, with the command that makes the environment, where there is none.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise StableSignerError(
                f"{VARIABLE} names {named}, which cannot be run: name MediaPipe's Python"
            )
        return Path(named)
    python = _bin(PLACE.expanduser()) / "python"
    if not python.exists():
        raise StableSignerError(
            f"a video needs MediaPipe, in an environment of its own; make it once with: {command()}"
        )
    return python


def command() -> str:
    """The shell command that makes the environment."""
    place = PLACE.expanduser()
    maker = sys.executable if sys.version_info < (3, 13) else "python3.12"  # it has no wheels for later ones
    return f"{shlex.join([maker, '-m', 'venv', str(place)])} && " + shlex.join(
        [str(_bin(place) / "pip"), "install", *NEEDS]
    )


def clip_landmarks(clip: str | Path) -> Landmarks:
    """What MediaPipe Holistic sees in a clip of one person, for `body.fit`: pixels, NaN where nothing was.

    Raises StableSignerError for a file that is no video or too long, without the environment, and when no
    person or no hand was seen.
    """
    return checked(seen_landmarks(clip, mediapipe_python()), clip)


def checked(marks: Landmarks, clip: str | Path) -> Landmarks:
    """The landmarks of `clip`. Raises StableSignerError when no person or no hand is in them."""
    if not np.isfinite(marks.pose).any():
        raise StableSignerError(f"no person was seen in {clip}: film the whole upper body, in good light")
    if not any(np.isfinite(hand).any() for hand in (marks.left_hand, marks.right_hand)):
        raise StableSignerError(f"no hand was seen in {clip}: film the whole upper body, in good light")
    return marks


def check_mediapipe(python: Path) -> None:
    """Is that the Python of an environment with MediaPipe? Raises StableSignerError, with what to do."""
    asks = "import importlib.metadata as m; print(m.version('mediapipe'))"
    try:
        found = subprocess.run([python, "-I", "-c", asks], capture_output=True, text=True, check=False)
    except OSError as error:
        raise StableSignerError(
            f"there is no Python {python} ({error.strerror}): make MediaPipe's environment with {command()}"
        ) from error
    if found.returncode or f"mediapipe=={found.stdout.strip()}" != NEEDS[0]:
        raise StableSignerError(f"{python} has no {NEEDS[0]}: make its environment with {command()}")


def seen_landmarks(clip: str | Path, python: Path) -> Landmarks:
    """The same from the environment of `python`, and all NaN where nobody or no hand was seen."""
    _check_clip(clip)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "landmarks.npz"
        _look(python, clip, out)
        return _read(out, clip)


def landmarks_and_faces(clip: str | Path, python: Path, every: int) -> tuple[Landmarks, list[int]]:
    """As `seen_landmarks`, of a clip of any length, and how many faces are seen in each `every`th frame."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "landmarks.npz"
        _look(python, clip, out, every)
        marks = _read(out, clip)
        with np.load(out, allow_pickle=False) as file:
            return marks, file["faces"].tolist()


def _look(python: Path, clip: str | Path, out: Path, every: int = 0) -> None:
    """Run our script in MediaPipe's environment: `out` is what it writes about `clip`."""
    # -I: our own packages must not be seen there
    call = [str(python), "-I", str(SCRIPT), str(Path(clip).resolve()), str(out)]
    call += [str(every)] if every else []
    try:
        done = subprocess.run(call, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise StableSignerError(f"MediaPipe took too long over {clip}: cut it shorter") from error
    except OSError as error:
        raise StableSignerError(f"{python} cannot be run ({error.strerror}): make it anew") from error
    if done.returncode != 0 or not out.exists():
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise StableSignerError(
            f"MediaPipe failed on {clip} ({lines[-1].strip()}): see its environment {python.parent}"
        )


def stored_landmarks(path: str | Path, clip: str | Path) -> Landmarks:
    """What holistic.py wrote of `clip` before. Raises StableSignerError when that is none."""
    if not Path(path).is_file():
        raise StableSignerError(f"there are no landmarks {path}: give what media/holistic.py wrote")
    return _read(Path(path), clip)


def _check_clip(clip: str | Path) -> None:
    read_bytes(clip, "the clip")
    try:
        with av.open(str(clip)) as container:
            video = container.streams.video[0]
            length = float((video.duration or 0) * (video.time_base or 0)) or (container.duration or 0) / 1e6
            next(container.decode(video))
    except (av.FFmpegError, IndexError, StopIteration) as error:
        raise StableSignerError(f"{clip} cannot be read as a video: give an mp4 of one sign") from error
    if length > LONGEST_CLIP:
        raise StableSignerError(f"{clip} lasts {length:.0f} s: cut it to one sign, from rest to rest")


def _read(path: Path, clip: str | Path) -> Landmarks:
    try:
        with np.load(path, allow_pickle=False) as file:
            tracks = {name: file[name].astype(np.float64) for name in WIDTHS}
            fps = float(file["fps"])
    except (OSError, ValueError, KeyError) as error:
        raise StableSignerError(f"MediaPipe gave no landmarks of {clip}: see its environment") from error
    if not 1 <= fps <= 1000:  # also refuses NaN
        raise StableSignerError(
            f"{clip} says that it has {fps:g} frames a second: encode it anew with the rate it was filmed at"
        )
    if any(t.shape[1:] != WIDTHS[name] for name, t in tracks.items()):
        raise StableSignerError(f"MediaPipe has another version: make its environment anew: {command()}")
    face = tracks["face"][:, list(FACE17)]
    return Landmarks(tracks["pose"], tracks["left_hand"], tracks["right_hand"], face, FACE17,
                     tracks["world"], fps)  # fmt: skip


def _bin(place: Path) -> Path:
    return place / ("Scripts" if os.name == "nt" else "bin")
