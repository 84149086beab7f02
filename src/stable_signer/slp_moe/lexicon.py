"""The lexicon: for every gloss that has one, a prototype motion at citation pace.

Prototypes were fitted to landmarks of real signing by `tools/build_lexicon.py` (body/fit.py) and are kept as
joint angles of the two limbs, not as rotations of 104 joints: a frame takes 49 bytes, 88 with the left hand.

The file `weights/lexicon.safetensors`, frames of all clips after one another:
  arm_right (N, 9) int16, hand_right (N, 21) uint8, arm_left (M, 9) int16, hand_left (M, 21) uint8: angles of
  `body.fit.LIMB_DOFS`, quantised between the limits of each; left only for two-handed clips, in their order.
  head (N, 3) int8: rotation vector, units of 0.5/127 rad. face (N, 7) uint8: `FACE_CHANNELS`, units of 1/255.
  frames (C,) int32: length of each clip. two_handed, approximate (C,) uint8. error, tracked (C,) float16.
  The header's metadata holds `clips`, a JSON list of the C clip names, and `version`.
"""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from stable_signer.body import rotation
from stable_signer.body.fit import ARM_DOFS, DOFS, REST_DOFS, Fitter, Limb, default_fitter, to_motion
from stable_signer.body.motion import FPS, Motion
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe import priors

VERSION = "1"
ARM = len(ARM_DOFS)
HEAD_RANGE = 0.5  # radians
# Face actions that are kept, each with those it moves.
FACE_CHANNELS: dict[str, tuple[str, ...]] = {
    "jawOpen": ("jawOpen",),
    "mouthStretch": ("mouthStretchLeft", "mouthStretchRight"),
    "mouthPucker": ("mouthPucker",),
    "browOuterUp": ("browOuterUpLeft", "browOuterUpRight"),
    "browInnerUp": ("browInnerUp",),
    "browDown": ("browDownLeft", "browDownRight"),
    "eyeBlink": ("eyeBlinkLeft", "eyeBlinkRight"),
}

# How fast joints turn in real signing, rad/s between frames at 25 fps, by the start of the joint's name: the
# 99th percentile over 3,224 frames of 60 well-tracked clips (docs/lexicon.md). The head hardly moves there.
JOINT_SPEED_P99 = {"clavicle": 2.9, "upperarm": 8.4, "lowerarm": 8.6, "wrist": 12.7, "finger": 14.0}
WRIST_SPEED_P99 = 1.9  # m/s through space
LEAP = 45.0  # degrees that no joint turns in one frame at 25 fps: half as much again as the fastest of those


@dataclass(frozen=True, eq=False)
class Prototype:
    """One gloss's motion.

    motion: 25 fps, at least two frames, the stroke only. two_handed: does the left hand sign too.
    approximate: this is not surely the sign, or it was poorly tracked. error: median reprojection error in
    palm lengths. tracked: share of frames in which the signing hands were found. source: 'lexicon' if fitted
    to a recording, otherwise how it was built ('phonology', 'alphabet', 'composed').
    """

    gloss: str
    motion: Motion
    two_handed: bool
    approximate: bool = False
    error: float = 0.0
    tracked: float = 1.0
    source: str = "lexicon"
    clip: str = ""

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.motion.duration

    def uses(self, limb: str) -> bool:
        """Does it move 'right', 'left' or 'core'."""
        return self.two_handed or limb != "left"


@dataclass(frozen=True, eq=False)
class Entry:
    """What is stored of one clip: dofs (T, 2, 30) radians, head (T, 3) radians, face (T, 52)."""

    clip: str
    dofs: np.ndarray
    head: np.ndarray
    face: np.ndarray
    two_handed: bool
    approximate: bool
    error: float
    tracked: float


class Lexicon:
    """Prototypes by gloss; decoded when asked for. `Lexicon.load()` reads what ships with the package."""

    def __init__(self, tensors: dict[str, np.ndarray], clips: Sequence[str], table: dict[str, tuple[str,
    bool]]) -> None:
        self._tensors = tensors
        self._clips = {name: i for i, name in enumerate(clips)}
        self._table = {g: (c, a) for g, (c, a) in table.items() if c in self._clips}
        ends = np.cumsum(tensors["frames"])
        self._start = ends - tensors["frames"]
        left = np.where(tensors["two_handed"] > 0, tensors["frames"], 0)
        self._left_start = np.cumsum(left) - left
        self._cache: dict[str, Prototype] = {}

    @staticmethod
    @lru_cache(maxsize=1)
    def load() -> Lexicon:
        """The lexicon that ships. Raises StableSignerError if its file is missing or broken."""
        folder = resources.files("stable_signer.weights")
        with resources.as_file(folder / "lexicon.safetensors") as file:
            tensors, clips = read(file)
        with (folder / "glosses.csv").open(encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["clip"]]
        table = {row["gloss"]: (row["clip"], row["approximate"] == "1") for row in rows}
        return Lexicon(tensors, clips, table)

    def __contains__(self, gloss: object) -> bool:
        return gloss in self._table or (isinstance(gloss, str) and priors.build(gloss) is not None)

    def __len__(self) -> int:
        return len(self.glosses)

    @cached_property
    def glosses(self) -> tuple[str, ...]:
        """Every gloss it has a prototype for, fitted or built by rule."""
        return tuple(dict.fromkeys((*self._table, *priors.glosses())))

    def duration(self, gloss: str) -> float:
        """Seconds."""
        return self.prototype(gloss).duration

    def spelled(self, letters: tuple[str, ...]) -> Prototype:
        """A fingerspelled word as one motion. Raises StableSignerError for a letter that no alphabet has."""
        key = "fs-" + "".join(letters)
        if key not in self._cache:
            self._cache[key] = from_built(key, priors.spell(letters))
        return self._cache[key]

    def prototype(self, gloss: str) -> Prototype:
        """The motion of a gloss. Raises StableSignerError, with near matches, for one it does not have."""
        if gloss not in self._cache:
            self._cache[gloss] = self._decode(gloss)
        return self._cache[gloss]

    def _decode(self, gloss: str) -> Prototype:
        built = priors.build(gloss)
        if built is not None:
            return from_built(gloss, built)
        if gloss not in self._table:
            near = difflib.get_close_matches(gloss, self.glosses, 3)
            hint = f"did you mean {' or '.join(near)}?" if near else "spell it with [[fs:…]]"
            raise StableSignerError(f"the lexicon has no sign {gloss!r}: {hint}")
        clip, doubtful = self._table[gloss]
        i = self._clips[clip]
        t = self._tensors
        two = bool(t["two_handed"][i])
        entry = calm(decode(t, i, int(self._start[i]), int(self._left_start[i]), default_fitter()))
        return Prototype(
            gloss=gloss, motion=entry, two_handed=two, approximate=doubtful or bool(t["approximate"][i]),
            error=float(t["error"][i]), tracked=float(t["tracked"][i]), source="lexicon", clip=clip)


def calm(motion: Motion) -> Motion:
    """A recording without the leaps of single frames that trackers make; see `rotation.calmed`."""
    if len(motion) < 3:
        return motion
    q = rotation.six_to_quaternion(motion.rotations.astype(np.float64))
    quiet = rotation.calmed(q, np.radians(LEAP) * FPS / motion.fps)
    moved = (quiet != q).any(-1)  # (T, J)
    if not moved.any():
        return motion
    six = np.where(moved[..., None], rotation.quaternion_to_six(quiet), motion.rotations)
    return replace(motion, rotations=six.astype(np.float32))


def from_built(gloss: str, built: priors.Built) -> Prototype:
    """What was built by rule as a prototype."""
    frames = len(built.rotations)
    face = np.zeros((frames, 52), np.float32) if built.face is None else built.face.astype(np.float32)
    motion = Motion(built.rotations.astype(np.float32), face, np.zeros((frames, 3), np.float32), built.fps)
    return Prototype(gloss, motion, two_handed=built.left, approximate=built.approximate, source=built.source)


# ----------------------------------------------------------------------------------------------------
# The file
# ----------------------------------------------------------------------------------------------------


def decode(tensors: dict[str, np.ndarray], clip: int, start: int, left_start: int, fitter: Fitter) -> Motion:
    """One clip's motion; the left arm of a one-handed sign hangs relaxed."""
    return to_motion(fitter, *angles(tensors, clip, start, left_start, fitter))


def angles(
    tensors: dict[str, np.ndarray], clip: int, start: int, left_start: int, fitter: Fitter
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One clip's dofs (T, 2, 30), head (T, 3) and face (T, 52), as Entry has them."""
    frames = int(tensors["frames"][clip])
    rows = slice(start, start + frames)
    dofs = np.tile(REST_DOFS, (frames, 2, 1))
    dofs[:, 0] = _expand(tensors["arm_right"][rows], tensors["hand_right"][rows], fitter.limb)
    if tensors["two_handed"][clip]:
        left = slice(left_start, left_start + frames)
        dofs[:, 1] = _expand(tensors["arm_left"][left], tensors["hand_left"][left], fitter.limb)
    head = tensors["head"][rows].astype(np.float64) / 127 * HEAD_RANGE
    face = np.zeros((frames, 52))
    for k, actions in enumerate(FACE_CHANNELS.values()):
        for action in actions:
            face[:, fitter.body.face_index[action]] = tensors["face"][rows, k] / 255
    return dofs, head, face


def _expand(arm: np.ndarray, hand: np.ndarray, limb: Limb) -> np.ndarray:
    low, high = limb.low.numpy().astype(float), limb.high.numpy().astype(float)
    unit = np.concatenate([(arm.astype(np.float64) + 32767) / 65534, hand.astype(np.float64) / 255], 1)
    return np.asarray(low + unit * (high - low))


def _squeeze(dofs: np.ndarray, limb: Limb) -> tuple[np.ndarray, np.ndarray]:
    low, high = limb.low.numpy().astype(float), limb.high.numpy().astype(float)
    unit = np.clip((dofs - low) / (high - low), 0, 1)
    arm = np.round(unit[:, :ARM] * 65534 - 32767).astype(np.int16)
    return arm, np.round(unit[:, ARM:] * 255).astype(np.uint8)


def write(path: Path, entries: Sequence[Entry], limb: Limb) -> None:
    """Write the file: to a temporary name first, then renamed."""
    from safetensors.numpy import save_file

    from stable_signer.body.skeleton import Body

    index = Body.load().face_index
    columns: dict[str, list[np.ndarray]] = {
        k: [] for k in ("arm_right", "hand_right", "arm_left", "hand_left", "head", "face")}
    for entry in entries:
        for s, side in enumerate(("right", "left")):
            if s == 0 or entry.two_handed:
                arm, hand = _squeeze(entry.dofs[:, s], limb)
                columns[f"arm_{side}"].append(arm)
                columns[f"hand_{side}"].append(hand)
        columns["head"].append(np.round(np.clip(entry.head / HEAD_RANGE, -1, 1) * 127).astype(np.int8))
        picked = np.stack([entry.face[:, index[a[0]]] for a in FACE_CHANNELS.values()], 1)
        columns["face"].append(np.round(np.clip(picked, 0, 1) * 255).astype(np.uint8))
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {
        "arm_left": ((0, ARM), np.int16), "hand_left": ((0, DOFS - ARM), np.uint8)}
    tensors = {k: np.concatenate(v) if v else np.zeros(*shapes[k]) for k, v in columns.items()}
    tensors["frames"] = np.array([len(e.dofs) for e in entries], dtype=np.int32)
    for key in ("two_handed", "approximate"):
        tensors[key] = np.array([getattr(e, key) for e in entries], dtype=np.uint8)
    for key in ("error", "tracked"):
        tensors[key] = np.array([getattr(e, key) for e in entries], dtype=np.float16)
    metadata = {"version": VERSION, "clips": json.dumps([e.clip for e in entries])}
    part = path.with_suffix(".part")
    save_file(tensors, str(part), metadata=metadata)
    part.replace(path)


def read(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Tensors and clip names of a lexicon file.

    Raises StableSignerError if it is missing, broken or of another version.
    """
    from safetensors import SafetensorError

    from stable_signer.slul.stored import read_tensors

    try:
        tensors, metadata = read_tensors(path, "np")
    except (OSError, SafetensorError) as error:
        raise StableSignerError(f"the lexicon {path.name} cannot be read ({error}): reinstall stable-signer"
                                ) from error
    if metadata.get("version") != VERSION:
        raise StableSignerError(
            f"the lexicon {path.name} has version {metadata.get('version')!r}, not {VERSION!r}: "
            "reinstall stable-signer")
    return tensors, json.loads(metadata["clips"])
