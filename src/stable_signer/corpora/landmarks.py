"""The motion sets: MediaPipe Holistic landmarks of real signing, and SMPL-X fits of several signers a gloss.

Files (none ships with the package; the caller names their folder): `wlasl_holistic.npz`,
`studiogalt_holistic.npz` (arrays over all frames, `offsets` cut the clips) and `signavatars_smplx.npz`
(`smplx` (N, 182), names `gloss__videoid`). Splits are by a stable hash of the take's name, so that they stay
the same when takes are added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from stable_signer.body import fit
from stable_signer.body.fit import FACE17, Fitter, Landmarks, Targets
from stable_signer.body.motion import Motion
from stable_signer.body.smplx_pose import from_smplx
from stable_signer.errors import StableSignerError

HOLISTIC = ("wlasl", "studiogalt")
SMPLX = "signavatars_smplx.npz"
TAKE_FPS = 25.0  # SignAvatars states no rate; WLASL's videos are at 24 to 30, most at 25
MARGIN = 4  # frames fitted on either side of the stroke, so that its ends are not the ends of the smoother


@lru_cache(maxsize=4)
def _archive(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise StableSignerError(
            f"the motion data {path} do not exist: name the folder that holds {path.name}"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError) as error:
        raise StableSignerError(f"the motion data {path} cannot be read ({error})") from error


# ----------------------------------------------------------------------------------------------------
# MediaPipe landmarks
# ----------------------------------------------------------------------------------------------------


def holistic_names(data: Path, corpus: str = "wlasl") -> list[str]:
    """The clip names of a landmark set. Raises StableSignerError when its file is missing."""
    return [str(n) for n in _archive(data / f"{corpus}_holistic.npz")["names"]]


def clip_landmarks(data: Path, clip: str) -> Landmarks:
    """A clip's landmarks in pixels at its own frame rate; a name that starts with 'SG:' is of StudioGalt.

    Raises StableSignerError for a missing file or an unknown clip.
    """
    store = _archive(data / f"{'studiogalt' if clip.startswith('SG:') else 'wlasl'}_holistic.npz")
    found = np.flatnonzero(store["names"] == clip.removeprefix("SG:"))
    if not len(found):
        raise StableSignerError(f"the landmark set has no clip {clip!r}: see holistic_names")
    i = int(found[0])
    span = slice(int(store["offsets"][i]), int(store["offsets"][i + 1]))
    h, w = (float(v) for v in store["height_width"][i])

    def track(key: str, scale: Sequence[float]) -> np.ndarray:
        return np.asarray(store[key][span].astype(np.float32) * np.array(scale, dtype=np.float32))

    return Landmarks(
        pose=track("pose", (w, h, 1)),
        left_hand=track("left_hand", (w, h, w)),
        right_hand=track("right_hand", (w, h, w)),
        face=track("face17", (w, h)),
        face_ids=FACE17,
        world=track("world", (1, 1, 1)),
        fps=float(store["fps"][i]),
    )


def left_dominant(targets: Targets) -> bool:
    """Does the left hand lead: is it the one that is up, or, if both are, does it move clearly more?

    The hand that moves is the one that gets lost, so arms count also where only their wrist was seen.
    """
    up, path = [], []
    for side in targets.sides:
        up.append(float((side.points[:, 2, 2] > fit.SIGNING_SPACE).sum()) if side.raised.any() else 0.0)
        wrist = fit.smooth_rows(side.points[:, 2, [0, 2]], np.where(side.found, 1.0, 0.3), 1.0)
        path.append(float(np.linalg.norm(np.diff(wrist, axis=0), axis=1).sum()))
    return up[1] > 2 * up[0] or (up[1] >= 0.5 * up[0] and path[1] > 1.4 * path[0] + 0.05)


def right_dominant(data: Path, clip: str, fitter: Fitter) -> tuple[Landmarks, Targets, bool]:
    """A clip's landmarks and targets as a right-dominant signer makes them, and whether that took a mirror.

    Raises StableSignerError for a clip without a person or without hands.
    """
    marks = clip_landmarks(data, clip)
    targets = fitter.prepare(marks)
    if not left_dominant(targets.cut(fit.stroke(targets))):
        return marks, targets, False
    marks = marks.mirrored()
    return marks, fitter.prepare(marks), True


def one_or_two(clip: Targets) -> Targets:
    """Forget a left hand that only passes through: a hand counts if it is up for half of the stroke."""
    left = clip.sides[1]
    if left.raised.mean() < 0.5 or (left.found & left.raised).mean() < 0.3:
        left.raised[:] = False
    return clip


def fit_strokes(data: Path, clips: Sequence[str], fitter: Fitter) -> dict[str, Motion]:
    """Our body fitted to the strokes of clips, right-dominant, 25 fps; clips without a signer are left out.

    Nothing but the landmarks is used (the lexicon's own fits also know each sign's phonology). About 500
    frames a second on one core.
    """
    names, cuts = [], []
    for clip in clips:
        try:
            _, targets, _ = right_dominant(data, clip, fitter)
        except StableSignerError:  # nobody in the picture, or no hands: said in the docstring
            continue
        span = fit.stroke(targets)
        wide = slice(max(span.start - MARGIN, 0), min(span.stop + MARGIN, len(targets)))
        names.append(clip)
        cuts.append(one_or_two(targets.cut(wide)))
    return {name: result.motion for name, result in zip(names, fit.fit_many(fitter, cuts), strict=True)}


# ----------------------------------------------------------------------------------------------------
# SMPL-X takes
# ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Take:
    """One signer's sign: `gloss__video`, with what of it is seen.

    motion: on our skeleton, 25 fps, legs at rest. left_valid, right_valid: (T,) bool, was the hand fitted.
    """

    gloss: str
    video: str
    motion: Motion
    left_valid: np.ndarray
    right_valid: np.ndarray

    @property
    def name(self) -> str:
        """As in the file."""
        return f"{self.gloss}__{self.video}"


def smplx_names(data: Path) -> list[str]:
    """The names of all SMPL-X takes, `gloss__video`. Raises StableSignerError when the file is missing."""
    return [str(n) for n in _archive(data / SMPLX)["names"]]


def smplx_take(data: Path, name: str) -> Take:
    """One take, retargeted to our skeleton. Raises StableSignerError for an unknown name."""
    store = _archive(data / SMPLX)
    found = np.flatnonzero(store["names"] == name)
    if not len(found):
        raise StableSignerError(f"the SMPL-X set has no take {name!r}")
    span = slice(int(store["offsets"][found[0]]), int(store["offsets"][found[0] + 1]))
    gloss, _, video = name.rpartition("__")
    return Take(
        gloss,
        video,
        from_smplx(store["smplx"][span].astype(np.float32), TAKE_FPS),
        store["left_valid"][span].copy(),
        store["right_valid"][span].copy(),
    )


def held_out(name: str, share: float = 0.25, salt: str = "take") -> bool:
    """Is a take kept from training: a hash of its name, the same on every machine and in every order."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{name}".encode()).digest()[:4], "big") < share * 2**32
