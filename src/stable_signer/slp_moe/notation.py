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
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from stable_signer.body.ik import ARM, arm_targets, palm_frame, rotation, rotation_vector, solve_arm
from stable_signer.body.skeleton import Body, RestPose
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe.handshapes import REFERENCE_SIGNER, shape_angles
from stable_signer.slp_moe.places import PLACES, direction, hand_point, offset

FPS = 25


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

    angles: (T, 22) degrees. wrist: (T, 3) metres. palm: (T, 3, 3) as the arm can hold it. swivel: (T,)
    radians.
    """

    angles: np.ndarray
    wrist: np.ndarray
    palm: np.ndarray
    swivel: np.ndarray

    def place(self, point: str, mirrored: bool = False) -> np.ndarray:
        """(T, 3) where a point of the hand is; `mirrored` if this is the left hand's track."""
        at = self.wrist + np.einsum("tab,tb->ta", self.palm, hand_point(self.angles, point))
        return np.asarray(at * np.array([-1.0, 1.0, 1.0]) if mirrored else at)


def parse_sign(line: str) -> SignSpec:
    """Read one line of notation. Raises StableSignerError that says what cannot be read."""
    parts = [p.strip() for p in line.split("|")]
    if not 3 <= len(parts) <= 5:
        raise StableSignerError(
            f"the sign {line[:40]!r} has {len(parts)} fields: write GLOSS | seconds | right | left"
        )
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
        raise StableSignerError(
            f"the key {text.strip()!r} cannot be read: write `shape palm.fingers point@place+offset`"
        )
    shape, turned = tokens[:2]
    shape_angles(shape)
    normal, _, fingers = turned.partition(".")
    point, place, shift = match.groups()
    if place not in PLACES and not place.startswith("L."):
        raise StableSignerError(f"there is no place {place!r}: use one of {', '.join(PLACES)}")
    key = Key(
        shape, direction(normal), direction(fingers), point, place, offset(shift.removeprefix("+")) / 100
    )
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
    sign: SignSpec, seconds: float | None = None, fps: float = FPS
) -> tuple[HandTrack, HandTrack | None]:
    """Both hands at `fps` frames a second: (right, left or None), the left in the terms of a right hand."""
    length = sign.seconds if seconds is None else seconds
    progress = np.linspace(0, 1, max(2, round(length * fps) + 1))
    left: HandTrack | None = None
    if isinstance(sign.left, tuple):
        left = hand_track(sign.left, sign.left_repeat, progress)
    right = hand_track(sign.right, sign.repeat, progress, left)
    if sign.left == "=":
        left = right
    elif sign.left == "~":
        left = hand_track(shifted(sign.right), sign.repeat, progress)
    return right, left


def shifted(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """The same keys half a cycle later, for the other hand of an alternating sign."""
    if any(k.circle for k in keys):
        return tuple(
            replace(k, circle=(-k.circle[0], -k.circle[1], k.circle[2], k.circle[3])) if k.circle else k
            for k in keys
        )
    return keys[::-1]


def hand_track(
    keys: tuple[Key, ...], repeat: int, progress: np.ndarray, other: HandTrack | None = None
) -> HandTrack:
    """One hand along its keys. progress: (T,) from 0 to 1. other: the left hand, if keys refer to it."""
    row: list[Key] = []
    for n in range(repeat):
        # Going back to the first key takes a little less time than the stroke itself.
        row += [
            replace(k, way=0.8 * k.way, bulge=np.zeros(3), circle=None) if n and i == 0 else k
            for i, k in enumerate(keys)
        ]
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
    for _ in range(4):  # where the wrist is depends on how the hand can be turned, and the other way round
        wrists = places - np.einsum("kab,kb->ka", held, points)
        chains, held, _ = _arm(wrists, palms)
    if len(row) == 1 and row[0].circle is None:
        marks[0] = (0.0, 1.0)
    # Every frame lies on the way from key a to key b, at progress x.
    b = np.array([next((i for i, m in enumerate(marks) if p <= m[1] + 1e-9), len(row) - 1) for p in progress])
    a = np.maximum(b - 1, 0)
    left_at, reached_at = np.array([m[1] for m in marks])[a], np.array([m[0] for m in marks])[b]
    x = np.clip((progress - left_at) / np.maximum(reached_at - left_at, 1e-9), 0, 1)
    x[a == b] = 1.0
    s = minimum_jerk(x)
    # The arm goes from posture to posture joint by joint, so that it never turns through what it cannot do;
    # the wrist is then put on its own way.
    step = rotation_vector(chains[b] @ np.swapaxes(chains[a], -1, -2))  # (T, 7, 3)
    size = np.linalg.norm(step, axis=-1)
    turned = rotation(step / np.maximum(size, 1e-9)[..., None], s[:, None] * size) @ chains[a]
    palm, swivel = _held(turned)
    formed = minimum_jerk(np.minimum(1.0, 1.15 * x))[:, None]  # the hand is formed a little before it arrives
    bulge = np.array([k.bulge for k in row])[b] * np.sin(np.pi * s)[:, None]
    wrist = wrists[a] + (wrists[b] - wrists[a]) * s[:, None] + bulge
    for i, key in enumerate(row):
        if key.circle is not None:
            first, second, radius, turns = key.circle
            theta = (2 * np.pi * turns * even_pace(x[b == i], turns))[:, None]
            wrist[b == i] += radius * ((np.cos(theta) - 1) * first + np.sin(theta) * second)
    return HandTrack(angles[a] + (angles[b] - angles[a]) * formed, wrist, palm, swivel)


@lru_cache(maxsize=1)
def reference_body() -> tuple[Body, RestPose]:
    """The body that rules are written for."""
    body = Body.load()
    return body, body.signer(REFERENCE_SIGNER)


def _arm(wrist: np.ndarray, palm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The right arm's rotations (K, 7, 3, 3), and the palm frames (K, 3, 3) and swivels (K,) that it then
    has.
    """
    chain = solve_arm(*reference_body(), "R", wrist, palm)
    return chain, *_held(chain)


def _held(chain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Palm frames (K, 3, 3) and swivels (K,) of the right arm's rotations (K, 7, 3, 3)."""
    body, rest = reference_body()
    matrices = np.broadcast_to(np.eye(3), (len(chain), len(body.joints), 3, 3)).copy()
    matrices[:, [body.index[f"{name}.R"] for name in ARM]] = chain
    targets = arm_targets(body, rest, "R", matrices)
    return targets.palm, targets.swivel


def minimum_jerk(x: np.ndarray) -> np.ndarray:
    """Progress of a movement that starts and ends at rest with the least jerk (Flash & Hogan 1985)."""
    return np.asarray(x * x * x * (10 + x * (6 * x - 15)))


def even_pace(x: np.ndarray, turns: float) -> np.ndarray:
    """Progress of circling: eased in and out over a quarter of a turn, even between."""
    edge = min(0.5, 0.25 / max(turns, 0.5))
    top = 1 / (1 - edge)
    start, end = top * x * x / (2 * edge), 1 - top * (1 - x) ** 2 / (2 * edge)
    return np.where(x < edge, start, np.where(x > 1 - edge, end, top * (x - edge / 2)))


def _place(key: Key, moment: float, progress: np.ndarray, other: HandTrack | None) -> np.ndarray:
    """(3,) where the key's point of the hand is."""
    if not key.place.startswith("L."):
        return np.array(PLACES[key.place]) + key.shift
    if other is None:
        raise StableSignerError(f"a key refers to {key.place}, but the sign gives the left hand no keys")
    return np.asarray(
        other.place(key.place[2:], mirrored=True)[int(np.abs(progress - moment).argmin())] + key.shift
    )
