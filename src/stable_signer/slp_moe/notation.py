"""The notation of signs built by rule, and its interpreter: from a line of text to the motion of both arms.

A sign is a line `GLOSS | seconds | right hand | left hand | flags`. A hand is a row of keys parted by `;`,
each

    shape  palm.fingers  point@place+offset  [options]

as in `B I.U middlepad@chin ; B U8I4.O8U3 middlepad@chin+O18D10` for THANK-YOU: which handshape, where the
palm and the fingers (the metacarpals) point, which point of the hand is where. Places are those of
`places.PLACES`, or `L.point` for a point of the left hand; offsets are letters with centimetres. Options:
`w2` makes the way to this key twice as long, `h1` holds the key for a unit, `arc+U4` bulges the way by 4
cm, `circ:UC5*2` circles twice with radius 5 cm in the plane of the two directions. `*3` after the last key
goes through the keys three times. The left hand may be `=` (mirror image), `~` (mirror image in
alternation), empty (not used), or a row of keys of its own written as if it were a right hand. Flags:
`approximate`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from stable_signer.body.ik import palm_frame, rotation, rotation_vector
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe.handshapes import shape_angles
from stable_signer.slp_moe.places import PLACES, direction, hand_point, offset

FPS = 25
# From wrists (K, 3) and palm frames (K, 3, 3) asked for to the palm frames that the arm can give.
Attain = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Key:
    """One posture of a hand, in the terms of a right hand.

    shape: handshape. normal, fingers: unit directions (3,) of palm and metacarpals. point: of the hand, is
    at `place` (a name in PLACES, or `L.` and a point of the other hand) plus `shift` (3,) metres. way,
    hold: time units of the way to this key and of staying there. bulge: (3,) metres. circle: two
    directions, radius (m) and turns.
    """

    shape: str
    normal: np.ndarray
    fingers: np.ndarray
    point: str
    place: str
    shift: np.ndarray
    way: float = 1.0
    hold: float = 0.0
    bulge: np.ndarray = field(default_factory=lambda: np.zeros(3))
    circle: tuple[np.ndarray, np.ndarray, float, float] | None = None


@dataclass(frozen=True)
class SignSpec:
    """A sign in notation. left: keys of the left hand, or '=' or '~', or '' if it is not used."""

    gloss: str
    seconds: float
    right: tuple[Key, ...]
    repeat: int = 1
    left: tuple[Key, ...] | str = ""
    left_repeat: int = 1
    approximate: bool = False


@dataclass(frozen=True)
class HandTrack:
    """One hand over time in the terms of a right hand.

    angles: (T, 22) degrees. palm: (T, 3, 3) as asked for. wrist: (T, 3) metres. held: (T, 3, 3) the palm as
    far as the arm can turn it.
    """

    angles: np.ndarray
    palm: np.ndarray
    wrist: np.ndarray
    held: np.ndarray

    def place(self, point: str) -> np.ndarray:
        """(T, 3) where a point of the hand is."""
        return np.asarray(self.wrist + np.einsum("tab,tb->ta", self.held, hand_point(self.angles, point)))

    def mirrored(self) -> HandTrack:
        """The same hand on the other side of the body: a right-hand track read as a left hand's, and back."""
        flip = np.array([-1.0, 1.0, 1.0])
        # The columns (side, fingers, normal) stay a right hand's frame; only directions in space are
        # mirrored, and the side, which is their product, turns about.
        return replace(
            self, palm=flip[:, None] * self.palm, held=flip[:, None] * self.held, wrist=self.wrist * flip
        )


def parse_sign(line: str) -> SignSpec:
    """Read one line of notation. Raises StableSignerError that says what cannot be read."""
    parts = [p.strip() for p in line.split("|")]
    if not 3 <= len(parts) <= 5:
        raise StableSignerError(f"the sign {line[:40]!r} has {len(parts)} fields: write GLOSS | seconds | right | left")
    gloss, seconds, right = parts[:3]
    left = parts[3] if len(parts) > 3 else ""
    flags = parts[4].split() if len(parts) > 4 else []
    try:
        length = float(seconds)
    except ValueError as error:
        raise StableSignerError(f"the sign {gloss}: {seconds!r} is not a number of seconds") from error
    if not 0.1 <= length <= 10:
        raise StableSignerError(f"the sign {gloss} lasts {length:g} s: give 0.1 to 10")
    keys, repeat = parse_hand(right)
    other: tuple[Key, ...] | str = left
    left_repeat = 1
    if left not in ("", "=", "~"):
        other, left_repeat = parse_hand(left)
    return SignSpec(gloss, length, keys, repeat, other, left_repeat, "approximate" in flags)


def parse_hand(text: str) -> tuple[tuple[Key, ...], int]:
    """Read one hand's keys and how many times they are gone through."""
    repeat = 1
    if match := re.search(r"\s\*(\d+)\s*$", text):
        repeat, text = int(match[1]), text[: match.start()]
    keys = tuple(parse_key(k) for k in text.split(";"))
    return keys, repeat


def parse_key(text: str) -> Key:
    """Read one key, such as `1 O.U index@chin+O4 w2`."""
    tokens = text.split()
    match = re.fullmatch(r"(\w+)@((?:L\.)?\w+)((?:\+\S+)?)", tokens[2]) if len(tokens) >= 3 else None
    if match is None or "." not in tokens[1]:
        raise StableSignerError(f"the key {text.strip()!r} cannot be read: write `shape palm.fingers point@place+offset`")
    shape, turned = tokens[:2]
    shape_angles(shape)
    normal, _, fingers = turned.partition(".")
    point, place, shift = match.groups()
    if place not in PLACES and not place.startswith("L."):
        raise StableSignerError(f"there is no place {place!r}: use one of {', '.join(PLACES)}")
    key = Key(shape, direction(normal), direction(fingers), point, place, offset(shift.removeprefix("+")) / 100)
    for option in tokens[3:]:
        key = _option(key, option)
    return key


def _option(key: Key, option: str) -> Key:
    if re.fullmatch(r"w\d*\.?\d+", option):
        return replace(key, way=float(option[1:]))
    if re.fullmatch(r"h\d*\.?\d+", option):
        return replace(key, hold=float(option[1:]))
    if option.startswith("arc+"):
        return replace(key, bulge=offset(option[4:]) / 100)
    if match := re.fullmatch(r"circ:([UDOICP])([UDOICP])(\d+\.?\d*)(?:\*(\d+))?", option):
        circle = (direction(match[1]), direction(match[2]), float(match[3]) / 100, float(match[4] or 1))
        return replace(key, circle=circle)
    raise StableSignerError(f"the option {option!r} cannot be read: use w, h, arc+ or circ:")


def tracks(
    sign: SignSpec, attain: Attain, seconds: float | None = None, fps: float = FPS
) -> tuple[HandTrack, HandTrack | None]:
    """Both hands of a sign at `fps` frames a second: (right, left or None), the left in the terms of a
    right hand.

    attain: what the arm can do, so that a contact is made with the hand as it is really turned.
    """
    length = sign.seconds if seconds is None else seconds
    progress = np.linspace(0, 1, max(2, round(length * fps) + 1))
    left: HandTrack | None = None
    if isinstance(sign.left, tuple):
        left = hand_track(sign.left, sign.left_repeat, progress, attain)
    right = hand_track(sign.right, sign.repeat, progress, attain, left.mirrored() if left else None)
    if sign.left == "=":
        left = right
    elif sign.left == "~":
        left = hand_track(_shifted(sign.right), sign.repeat, progress, attain)
    return right, left


def _shifted(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """The same keys half a cycle later, for the other hand of an alternating sign."""
    if any(k.circle for k in keys):
        return tuple(
            replace(k, circle=(-k.circle[0], -k.circle[1], k.circle[2], k.circle[3])) if k.circle else k for k in keys
        )
    return keys[::-1]


def hand_track(
    keys: tuple[Key, ...], repeat: int, progress: np.ndarray, attain: Attain, other: HandTrack | None = None
) -> HandTrack:
    """One hand along its keys. progress: (T,) from 0 to 1. other: the left hand, if keys refer to it."""
    row: list[Key] = []
    for n in range(repeat):
        # Going back to the first key takes a little less time than the stroke itself.
        row += [replace(k, way=0.8 * k.way, bulge=np.zeros(3), circle=None) if n and i == 0 else k
                for i, k in enumerate(keys)]
    marks, at = [], 0.0  # when each key is reached and left
    for i, key in enumerate(row):
        at += key.way if i else 0.0
        marks.append((at, at + key.hold))
        at += key.hold
    marks = [(a / max(at, 1e-9), b / max(at, 1e-9)) for a, b in marks]
    angles = np.array([shape_angles(k.shape) for k in row])
    palms = palm_frame(np.array([k.normal for k in row]), np.array([k.fingers for k in row]))
    places = np.array([_place(k, m[0], progress, other) for k, m in zip(row, marks)])
    points = np.array([hand_point(a, k.point) for k, a in zip(row, angles)])
    held = palms
    # the wrist depends on how the hand is turned, and how it can be turned on where the wrist is
    for _ in range(4):
        wrists = places - np.einsum("kab,kb->ka", held, points)
        held = attain(wrists, palms)
    frames = len(progress)
    out = HandTrack(*(np.empty((frames, *shape)) for shape in ((22,), (3, 3), (3,), (3, 3))))
    if len(row) == 1 and row[0].circle is None:
        marks.append((1.0, 1.0))
    for t, moment in enumerate(progress):
        b = next((i for i, m in enumerate(marks[: len(row)]) if moment <= m[1] + 1e-9), len(row) - 1)
        a = max(b - 1, 0)
        span = marks[b][0] - marks[a][1]
        x = 1.0 if b == a or span <= 1e-9 else float(np.clip((moment - marks[a][1]) / span, 0, 1))
        _between_keys(out, t, x, row[b], wrists[[a, b]], palms[[a, b]], held[[a, b]], angles[[a, b]])
    return out


def _between_keys(
    out: HandTrack, t: int, x: float, key: Key, wrist: np.ndarray, palm: np.ndarray, held: np.ndarray, angles: np.ndarray
) -> None:
    """Fill frame t of a track, at progress x of the way to `key`; the arrays hold both ends of the way."""
    s = minimum_jerk(x)
    fingers = minimum_jerk(min(1.0, 1.15 * x))  # the hand is formed a little before it arrives
    out.angles[t] = angles[0] + (angles[1] - angles[0]) * fingers
    out.palm[t], out.held[t] = _turn(palm, s), _turn(held, s)
    out.wrist[t] = wrist[0] + (wrist[1] - wrist[0]) * s + key.bulge * np.sin(np.pi * s)
    if key.circle is not None:
        first, second, radius, turns = key.circle
        theta = 2 * np.pi * turns * even_pace(x, turns)
        out.wrist[t] += radius * ((np.cos(theta) - 1) * first + np.sin(theta) * second)


def _turn(ends: np.ndarray, s: float) -> np.ndarray:
    """Rotation (3, 3) at progress s between two (2, 3, 3) by the shortest turn."""
    vector = rotation_vector(ends[1] @ ends[0].T)
    angle = float(np.linalg.norm(vector))
    return ends[0] if angle < 1e-6 else rotation(vector / angle, s * angle) @ ends[0]


def minimum_jerk(x: float) -> float:
    """Progress of a movement that starts and ends at rest with the least jerk (Flash & Hogan 1985)."""
    return x * x * x * (10 + x * (6 * x - 15))


def even_pace(x: float, turns: float) -> float:
    """Progress of circling: eased in and out over a quarter of a turn, even between."""
    edge = min(0.5, 0.25 / max(turns, 0.5))
    top = 1 / (1 - edge)
    if x < edge:
        return top * x * x / (2 * edge)
    if x > 1 - edge:
        return 1 - top * (1 - x) ** 2 / (2 * edge)
    return top * (x - edge / 2)


def _place(key: Key, moment: float, progress: np.ndarray, other: HandTrack | None) -> np.ndarray:
    """(3,) where the key's point of the hand is."""
    if not key.place.startswith("L."):
        return np.array(PLACES[key.place]) + key.shift
    if other is None:
        raise StableSignerError(f"a key refers to {key.place}, but the sign gives the left hand no keys")
    return np.asarray(other.place(key.place[2:])[int(np.abs(progress - moment).argmin())] + key.shift)
