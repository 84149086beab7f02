"""From the phonology of ASL-LEX 2.0 to a sign in notation: tables, and a small interpreter of them.

ASL-LEX codes handshape, location, path movement, repetition, contact and the second hand, but neither how
the palm is turned nor which way the hand moves. Both are guessed here from location and handshape (`TURNS`,
`WAYS`), so what is built is marked approximate. `weights/phonology.csv` holds the codes.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources

import numpy as np

from stable_signer.body.ik import rotation
from stable_signer.slp_moe.handshapes import table
from stable_signer.slp_moe.notation import Key, SignSpec
from stable_signer.slp_moe.places import direction, offset


@dataclass(frozen=True)
class Phonology:
    """One sign's codes, as ASL-LEX 2.0 names them; `second` is the location where the movement ends."""

    entry: str
    handshape: str
    other_handshape: str
    type: str
    movement: str
    repeated: bool
    major: str
    minor: str
    second: str
    contact: bool
    rotation: bool
    seconds: float


@lru_cache(maxsize=1)
def phonology() -> dict[str, Phonology]:
    """Every entry of the table by its ASL-LEX identifier."""
    text = (resources.files("stable_signer") / "weights" / "phonology.csv").read_text(encoding="utf-8")
    return {
        row["entry"]: Phonology(
            row["entry"],
            row["handshape"],
            row["other_handshape"],
            row["type"],
            row["movement"],
            row["repeated"] == "1",
            row["major"],
            row["minor"],
            row["second"],
            row["contact"] == "1",
            row["rotation"] == "1",
            float(row["milliseconds"] or 700) / 1000,
        )
        for row in csv.DictReader(io.StringIO(text))
    }


# Handshapes by what touches: an index that points, a flat hand, a fist, fingertips gathered.
POINTING = (
    *("1", "bent_1", "curved_1", "flat_1", "d", "l", "bent_l", "curved_l", "v", "bent_v", "curved_v"),
    *("flat_v", "h", "open_h", "flat_h", "curved_h", "r", "k", "p", "g", "w", "3", "horns", "flat_horns"),
    *("i", "y", "ily", "flat_ily", "t", "goody_goody"),
)
FIST = ["a", "s", "e", "open_e", "closed_e", "spread_e"]
GATHERED = ["o", "flat_o", "baby_o", "flat_n", "flat_m", "f", "8", "7"]
TOUCHES = {  # which point of the hand makes contact, where it is not the class's own
    "i": "pinky",
    "y": "thumb",
    "ily": "thumb",
    "k": "middle",
    "p": "middle",
    "v": "middle",
    "r": "middle",
    "h": "middle",
    "w": "middle",
    "f": "pinch",
    "baby_o": "pinch",
    "8": "middle",
    "open_8": "middle",
    "l": "thumb",
    "c": "thumb",
    "curved_5": "tips",
    "5": "thumb",
    "t": "index",
    "g": "index",
    "3": "thumb",
    "4": "index",
}
CLASS_TOUCHES = {"point": "index", "fist": "knuckles", "gathered": "tips", "flat": "middle"}

# How the hand is turned (palm.fingers) by where it is and the class of its shape.
TURNS = {
    "head": {"point": "I5C6.U8I3C3", "flat": "I8C4.U8C4", "fist": "I6C5.U8C3", "gathered": "I8C2.U8C3"},
    "body": {"point": "D5I5.C8I5", "flat": "I8.C9U2", "fist": "I8C3.C8U3", "gathered": "I8.C8U4"},
    "neutral": {"point": "O8C3.U9O2", "flat": "O8C3.U9O2", "fist": "O8C4.U9O3", "gathered": "O6C6.U9"},
    "pair": {"point": "D6C5.O9C2U3", "flat": "C9U1.O9C2", "fist": "C8D4.O9C2", "gathered": "C8I3.O7U5C3"},
    "palm": {"point": "D8C2.O6C6D2", "flat": "D8.C7O6", "fist": "C7D6.O7C7", "gathered": "D8.C7O6"},
    "side": {"point": "C7D4.O7C6", "flat": "C7D4.O7C6", "fist": "C8D3.O6C7", "gathered": "D8.C7O6"},
    "back": {"point": "D8I2.C8O5D1", "flat": "D8I2.C8O4", "fist": "D8I2.C8O4", "gathered": "D8.C7O6"},
}
# The left hand when it is the base: palm up for its palm, palm down for its back.
BASES = {"palm": "U9I1.O7C6", "back": "D9I1.C9O3", "side": "I7C5.C8O5"}

# Minor location: place, and the shift that clears the body when there is no contact.
HEAD = {
    "Forehead": "forehead",
    "Eye": "eye",
    "CheekNose": "cheek",
    "UpperLip": "lip",
    "Mouth": "mouth",
    "Chin": "chin",
    "UnderChin": "underchin",
    "Neck": "neck",
    "HeadTop": "top",
    "HeadAway": "cheek",
    "Other": "temple",
}
BODY = {
    "Shoulder": "shoulder",
    "Clavicle": "clavicle",
    "TorsoTop": "ipsichest",
    "TorsoMid": "middle",
    "TorsoBottom": "belly",
    "Waist": "waist",
    "Hips": "hip",
    "BodyAway": "ipsichest",
    "Neck": "neck",
}
HAND = {  # the point of the left hand, and which of its sides is turned up
    "Palm": ("L.palm", "palm"),
    "Heel": ("L.heel", "palm"),
    "FingerFront": ("L.fingers", "palm"),
    "FingerTip": ("L.middle", "palm"),
    "HandAway": ("L.palm", "palm"),
    "PalmBack": ("L.back", "back"),
    "FingerBack": ("L.fingerback", "back"),
    "WristBack": ("L.wristback", "back"),
    "FingerRadial": ("L.radial", "side"),
    "FingerUlnar": ("L.edge", "palm"),
    "WristFront": ("L.wristfront", "palm"),
    "ForearmBack": ("L.forearm", "back"),
    "ForearmFront": ("L.wristfront", "palm"),
    "ForearmUlnar": ("L.forearmedge", "back"),
    "ForearmRadial": ("L.wrist", "side"),
    "ElbowBack": ("L.forearm", "back"),
    "ArmAway": ("L.forearm", "back"),
    "Other": ("L.radial", "side"),
}
CENTRAL = ("forehead", "lip", "mouth", "chin", "underchin", "neck", "top", "middle", "belly")
# Away from a place without touching, centimetres; and the way of a movement that nothing else tells.
CLEAR = {"head": "O9P3", "body": "O12", "hand": "U9"}
WAYS = {"head": "O13D4", "body": "O12", "hand": "U9O2", "neutral": "O9", "pair": "P8"}
PLAIN_NAMES = {
    "Lax": "relaxed",
    "NA": "relaxed",
    "DominanceViolation": "open_b",
    "SymmetryViolation": "open_b",
    "B": "open_b",
}


def shape_name(code: str) -> str:
    """The name in our table for a handshape code of ASL-LEX."""
    name = PLAIN_NAMES.get(code, code)
    if name not in table():
        name = name.lower()
    return name


def shape_class(shape: str) -> str:
    """'point', 'fist', 'gathered' or 'flat'."""
    for name, members in (("point", POINTING), ("fist", FIST), ("gathered", GATHERED)):
        if shape.lower() in members:
            return name
    return "flat"


def sign_from_phonology(gloss: str, row: Phonology) -> SignSpec:
    """A sign in notation, approximate, from the codes of ASL-LEX."""
    two = row.type not in ("OneHanded",)
    based = row.type.startswith(("Asymmetrical", "Dominance")) or row.major in ("Hand", "Arm")
    area, place, side = _area(row, mirrored=two and not based)
    shape = shape_name(row.handshape)
    turn = TURNS[side if area == "hand" else area][shape_class(shape)]
    if area == "body" and two and not based:
        turn = turn.partition(".")[0] + ".U7C6"  # so that the two hands do not meet
    normal, _, fingers = turn.partition(".")
    point = TOUCHES.get(shape.lower(), CLASS_TOUCHES[shape_class(shape)])
    if area in ("neutral", "pair"):
        point = "inside"
    elif area == "body" and shape_class(shape) == "flat":
        point = "palm"
    elif area == "hand" and shape_class(shape) == "flat":
        point = "palm" if side != "side" else "edge"
    start = Key(shape, direction(normal), direction(fingers), point, place, np.zeros(3))
    if two and not based and place in CENTRAL:
        start = replace(start, shift=offset("P3.5") / 100)
    keys, repeat = _movement(row, start, area)
    left: tuple[Key, ...] | str = ""
    if based:
        base_normal, _, base_fingers = BASES[side].partition(".")
        base = shape_name(row.other_handshape if row.other_handshape != "NA" else row.handshape)
        left = (Key(base, direction(base_normal), direction(base_fingers), "inside", "centre", np.zeros(3)),)
    elif two:
        left = "~" if row.repeated and row.movement in ("Circular", "BackAndForth") else "="
    seconds = float(np.clip(0.75 * row.seconds, 0.36, 0.9))
    return SignSpec(gloss, seconds, keys, repeat, left, 1, approximate=True)


def _area(row: Phonology, mirrored: bool) -> tuple[str, str, str]:
    """Which table of turns, which place, and which side of the left hand."""
    if row.major == "Head":
        return "head", HEAD.get(row.minor, "temple"), "palm"
    if row.major == "Body":
        return "body", BODY.get(row.minor, "ipsichest"), "palm"
    if row.major in ("Hand", "Arm") and row.minor != "UpperArm":
        place, side = HAND.get(row.minor, HAND["Other"])
        if row.type == "SymmetricalOrAlternating":
            return "pair", "neutral", side
        return "hand", place, side
    if row.minor == "UpperArm":
        return "body", "upperarm", "palm"
    return ("pair" if mirrored or row.type != "OneHanded" else "neutral"), "neutral", "palm"


def _movement(row: Phonology, start: Key, area: str) -> tuple[tuple[Key, ...], int]:
    """The keys of the path movement, and how often they are gone through."""
    repeat = 2 if row.repeated else 1
    here = start if row.contact or area in ("neutral", "pair") else _moved(start, CLEAR[area])
    if row.minor.endswith("Away") and area in CLEAR:
        here = _moved(start, CLEAR[area])
    way = WAYS[area]
    if row.movement == "None":
        twist = 0.5 if row.rotation or row.repeated else 0.0
        return ((here, _twisted(here, twist)), repeat if twist else 1) if twist else ((here,), 1)
    if row.movement == "Circular":
        plane = (direction("O"), direction("P")) if area == "hand" else (direction("U"), direction("O"))
        if area == "body":
            plane = (direction("U"), direction("C"))
        radius = 0.03 if area in ("head", "hand") and row.contact else 0.05
        return (here, replace(here, circle=(*plane, radius, float(repeat)))), 1
    if row.movement == "BackAndForth":
        return (_moved(here, "P4"), _moved(here, "C4")), max(2, repeat)
    if row.movement in ("Z-shaped", "X-shaped"):
        return tuple(_moved(here, o) for o in ("C5U3", "P4U3", "C5D3", "P4D3")), 1
    # Straight, curved and other: to the contact, or from it when the sign ends elsewhere.
    if row.contact and area in CLEAR and (row.second in ("NA", row.minor) or row.minor.endswith("Away")):
        keys = (_moved(start, CLEAR[area]), start)
    else:
        keys = (here, _moved(here, way))
    if row.movement == "Curved":
        keys = (keys[0], replace(keys[1], bulge=offset("U4") / 100))
    if row.rotation:
        keys = (keys[0], _twisted(keys[1], 1.0))
    return keys, repeat


def _moved(key: Key, way: str) -> Key:
    return replace(key, shift=key.shift + offset(way) / 100)


def _twisted(key: Key, angle: float) -> Key:
    """The forearm turned outwards by an angle in radians."""
    return replace(key, normal=rotation(key.fingers, angle) @ key.normal)
