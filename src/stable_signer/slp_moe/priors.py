"""Pose priors: signs built by rule instead of fitted to a take.

`build(gloss)` makes a sign from what is written about it: numbers, letters, pointing and hand-written signs
from notation (`weights/signs.txt`, see `notation`), others from their phonology in ASL-LEX 2.0
(`weights/phonology.csv`). `spell(letters)` makes a fingerspelled word in one go. All of it is deterministic
and made for the reference signer; `body.ik.retarget_arms` carries it to others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources

import numpy as np

from stable_signer.body.ik import ARM, solve_arm
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe.apart import part_hands
from stable_signer.slp_moe.handshapes import (
    finger_rotations,
    hand_rig,
    handshape,
    mirror,
    table,
)
from stable_signer.slp_moe.notation import (
    FPS,
    HandTrack,
    Key,
    SignSpec,
    hand_track,
    parse_hand,
    parse_sign,
    reference_body,
    tracks,
)
from stable_signer.slp_moe.phonology import phonology, sign_from_phonology
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.plan import SPELLED_HOLD, SPELLING_PACES

__all__ = [
    "Built",
    "build",
    "glosses",
    "handshape",
    "letter_holds",
    "mirror",
    "relaxed_fingers",
    "rest_pose",
    "spell",
    "spelling_seconds",
    "table",
]


@dataclass(frozen=True)
class Built:
    """A sign made by rule.

    rotations: (T, J, 6) float32 at `fps` frames a second, the stroke only, of the reference signer; the
    limbs that take no part are at rest. right, left: which arms take part. approximate: the form is not
    attested well enough to call it ASL (an orientation was guessed, or the movement). source: 'notation',
    'phonology' or 'alphabet'. face: (T, 52) or None.
    """

    rotations: np.ndarray
    right: bool
    left: bool
    approximate: bool
    source: str
    fps: float = FPS
    face: np.ndarray | None = None

    @property
    def duration(self) -> float:
        """Seconds."""
        return (len(self.rotations) - 1) / self.fps


@lru_cache(maxsize=2)
def _fingers(side: str) -> tuple[int, ...]:
    body, _ = reference_body()
    return tuple(body.index[body.joints[j][:-1] + side] for j in hand_rig().joints)


@lru_cache(maxsize=2)
def _arm(side: str) -> tuple[int, ...]:
    body, _ = reference_body()
    return tuple(body.index[f"{n}.{side}"] for n in ARM)


def pose_hand(matrices: np.ndarray, track: HandTrack, side: str) -> None:
    """Write one arm and hand into rotations (T, J, 3, 3). The track is in the terms of a right hand."""
    body, rest = reference_body()
    wrist, palm = track.wrist, track.palm
    fingers = finger_rotations(track.angles)
    if side == "L":
        flip = np.array([-1.0, 1.0, 1.0])
        wrist, fingers = wrist * flip, mirror(fingers)
        # The frame's columns are (fingers × normal, fingers, normal) on both sides, so the first is not
        # mirrored.
        palm = flip[:, None] * palm * np.array([-1.0, 1.0, 1.0])
    matrices[:, list(_arm(side))] = solve_arm(
        body, rest, side, wrist, palm, swivel=track.swivel, rotations=matrices
    )
    matrices[:, list(_fingers(side))] = fingers


def six(matrices: np.ndarray) -> np.ndarray:
    """(…, 3, 3) -> (…, 6) float32."""
    return np.concatenate([matrices[..., 0], matrices[..., 1]], -1).astype(np.float32)


# --- rest
# ---------------------------------------------------------------------------------------------------------

REST_RIGHT = "relaxed I8D3.C8D6O2 wrist@belly+P12O6.5D6"
REST_LEFT = "relaxed I8D3.C8D6O1 wrist@belly+P12O3.5D7"


@lru_cache(maxsize=1)
def _rest_matrices() -> np.ndarray:
    body, _ = reference_body()
    matrices = np.tile(np.eye(3), (1, len(body.joints), 1, 1))
    for side, text in (("R", REST_RIGHT), ("L", REST_LEFT)):
        keys, _ = parse_hand(text)
        pose_hand(matrices, hand_track(keys, 1, np.zeros(1)), side)
    return matrices[0]


@lru_cache(maxsize=1)
def rest_pose() -> np.ndarray:
    """(J, 6) float32: hands loosely one before the other in front of the belly, within the picture."""
    out = six(_rest_matrices())
    out.setflags(write=False)
    return out


def relaxed_fingers(side: str) -> tuple[tuple[int, ...], np.ndarray]:
    """Joints of an idle hand ('R' or 'L') and their rotations (15, 3, 3)."""
    fingers = handshape("relaxed")
    return _fingers(side), fingers if side == "R" else mirror(fingers)


# --- from notation to motion
# --------------------------------------------------------------------------------------


def realise(sign: SignSpec, source: str, seconds: float | None = None, fps: float = FPS) -> Built:
    """Make the motion of a sign in notation."""
    right, left = tracks(sign, seconds, fps)
    if left is not None:
        right, left = part_hands(right, left, share=1.0 if isinstance(sign.left, tuple) else 0.5)
    return _built(right, left, sign.approximate, source, fps)


def _built(
    right: HandTrack | None, left: HandTrack | None, approximate: bool, source: str, fps: float
) -> Built:
    frames = len((right or left).wrist)  # type: ignore[union-attr]
    matrices = np.tile(_rest_matrices(), (frames, 1, 1, 1))
    for side, track in (("R", right), ("L", left)):
        if track is not None:
            pose_hand(matrices, track, side)
    return Built(six(matrices), right is not None, left is not None, approximate, source, fps)


# --- fingerspelling
# -----------------------------------------------------------------------------------------------

# How the hand is turned for each letter (palm.fingers); straight ahead and up where nothing is said.
UPRIGHT = "O9C2.U"
LETTER_TURNS = {
    "C": "C8O6.U",
    "O": "C8O6.U",
    "0": "C8O6.U",
    "G": "I8O1.C9U4O2",
    "H": "I8O1.C9U4O2",
    "P": "D9.O8C4D3",
    "Q": "D8I3.O8D4C3",
    "X": "C6O7.U",
    "D": "O9C3.U",
    "Z": "O7D4.U8O5",
    "J": "O9C2.U",
    "F": "O9C3.U",
}
TRACED = {  # letters that move: keys after `shape`
    "J": (
        "O9C2.U inside@spelling",
        "C7O5.U8O3 inside@spelling+D5 w0.8",
        "I9C1.U6C6 inside@spelling+D5C5 arc+D3",
    ),
    "Z": (
        "O7D4.U8O5 index@spelling+U10C5",
        "O7D4.U8O5 index@spelling+U10P4 w0.8",
        "O7D4.U8O5 index@spelling+U2C5 w0.9",
        "O7D4.U8O5 index@spelling+U2P4 w0.8",
    ),
}
TRACED_UNITS = 2.2  # a traced letter takes so many times as long
PACES = SPELLING_PACES
LETTER_SECONDS = PACES["standard"]
WAY = 0.58  # share of a letter's time that the way to it takes
SLIDE = 0.042  # metres that a doubled letter slides to the side
DRIFT = 0.005  # metres that each letter drifts to the side


def letter_keys(letter: str) -> list[Key]:
    """The keys of a letter or digit in the spelling place; more than one if it is traced."""
    name = letter.upper()
    if len(name) != 1 or name not in table():
        raise StableSignerError(f"{letter!r} cannot be spelled: the alphabet has A to Z and 0 to 9")
    if name in TRACED:
        return parse_keys(name, TRACED[name])
    return parse_keys(name, (f"{LETTER_TURNS.get(name, UPRIGHT)} inside@spelling",))


def parse_keys(shape: str, rows: tuple[str, ...]) -> list[Key]:
    """Keys of one handshape."""
    return list(parse_hand(" ; ".join(f"{shape} {row}" for row in rows))[0])


@lru_cache(maxsize=1024)
def spell(parts: tuple[str, ...], duration: float | None = None, fps: float = FPS) -> Built:
    """A fingerspelled word, the ways between letters included.

    parts: letters or digits. duration: seconds of the whole; by default `spelling_seconds(parts)`, with the
    last letter held. A doubled letter slides to the side, J and Z are traced, the hand drifts outwards
    a little. Raises StableSignerError for an empty word or a sign that is not in the alphabet.
    """
    row, _ = _spelling_keys(parts)
    length = spelling_seconds(parts) if duration is None else duration
    progress = np.linspace(0, 1, max(2, round(length * fps) + 1))
    return _built(hand_track(tuple(row), 1, progress), None, False, "alphabet", fps)


def spelling_seconds(parts: tuple[str, ...], pace: str = "standard") -> float:
    """How long a word takes at one of PACES ('learner', 'standard', 'fluent'), its last hold included.

    Raises StableSignerError for an unknown pace.
    """
    if pace not in PACES:
        raise StableSignerError(f"there is no pace {pace!r} of spelling: use {', '.join(PACES)}")
    row, _ = _spelling_keys(parts)
    units = sum(k.way + k.hold for k in row) - row[0].way
    return units * PACES[pace]


def letter_holds(parts: tuple[str, ...], duration: float | None = None) -> tuple[tuple[float, float], ...]:
    """When each letter of `spell(parts, duration)` stands: (from, to) in seconds, one pair a letter.

    For J and Z it is from where the trace begins to where it ends.
    """
    row, owners = _spelling_keys(parts)
    marks, at = [], 0.0
    for i, key in enumerate(row):
        at += key.way if i else 0.0
        marks.append((at, at + key.hold))
        at += key.hold
    scale = (spelling_seconds(parts) if duration is None else duration) / at
    return tuple(
        (
            scale * min(m[0] for m, o in zip(marks, owners, strict=True) if o == n),
            scale * max(m[1] for m, o in zip(marks, owners, strict=True) if o == n),
        )
        for n in range(len(parts))
    )


def _spelling_keys(parts: tuple[str, ...]) -> tuple[list[Key], list[int]]:
    """The keys of a spelled word, in units of a letter's time, and which letter each belongs to."""
    if not parts:
        raise StableSignerError("there is nothing to spell: give at least one letter")
    row: list[Key] = []
    owners: list[int] = []
    shift = np.zeros(3)
    previous = ""
    for n, letter in enumerate(parts):
        keys = letter_keys(letter)
        if letter.upper() == previous:
            shift = shift + np.array([-SLIDE, 0.0, 0.0])
        elif n:
            shift = shift + np.array([-DRIFT, 0.0, 0.0])
        shift = np.maximum(shift, -0.10)
        units = TRACED_UNITS / len(keys) if len(keys) > 1 else 1.0
        for i, key in enumerate(keys):
            first = i == 0
            row.append(
                replace(
                    key,
                    shift=key.shift + shift + np.array([0.0, 0.0, 0.004 * (-1) ** n]),
                    way=WAY if first else key.way * units,
                    hold=(1 - WAY) * (0.5 if len(keys) > 1 else 1.0),
                )
            )
            owners.append(n)
        previous = letter.upper()
    row[-1] = replace(row[-1], hold=row[-1].hold + SPELLED_HOLD / LETTER_SECONDS)
    return row, owners


# --- signs
# --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _written() -> dict[str, SignSpec]:
    """The hand-written signs by gloss."""
    text = (resources.files("stable_signer") / "weights" / "signs.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    signs = [parse_sign(line) for line in lines]
    return {sign.gloss: sign for sign in signs}


def written(gloss: str) -> SignSpec:
    """The notation of a hand-written sign. Raises StableSignerError if there is none."""
    if gloss not in _written():
        raise StableSignerError(f"{gloss} is not written in notation: see priors.glosses()")
    return _written()[gloss]


def glosses() -> tuple[str, ...]:
    """Every gloss that `build` makes from notation (letters and digits aside)."""
    return tuple(sorted(_written()))


@lru_cache(maxsize=1)
def _glossary() -> Glossary:
    return Glossary.load()


@lru_cache(maxsize=4096)
def build(gloss: str) -> Built | None:
    """The sign for a gloss by rule, or None if nothing is written about it.

    In this order: written in notation, a letter, or, if no take of it was fitted, built from the phonology
    that the glossary names for it.
    """
    if gloss in _written():
        return realise(_written()[gloss], "notation")
    if len(gloss) == 1 and gloss.isalpha() and gloss in table():
        return spell((gloss,))
    if gloss in _glossary() and not _glossary().entry(gloss).clip:
        return build_from_phonology(gloss)
    return None


@lru_cache(maxsize=256)
def build_from_phonology(gloss: str) -> Built | None:
    """The sign from its phonology alone, approximate, or None if the glossary names none for it."""
    row = phonology().get(_glossary().entry(gloss).phonology) if gloss in _glossary() else None
    return None if row is None else realise(sign_from_phonology(gloss, row), "phonology")
