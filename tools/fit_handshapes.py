"""Solve the table of handshapes, `weights/handshapes.json`, from a description of each shape.

A shape is described by how far each finger is bent, where the thumb's tip lies (palm coordinates,
centimetres), which segments touch, and nothing else; least squares finds the 22 angles nearest to the
description with the contacts made and no finger inside another. Run: `python tools/fit_handshapes.py [SHAPE
...]`.

Segments are t1..t3, i1..i3, m1..m3, r1..r3, p1..p3 from base to tip; `i3~t3` asks for the two to touch.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from stable_signer.slp_moe import handshapes as hs

OUT = Path(__file__).parents[1] / "src/stable_signer/weights/handshapes.json"
SEGMENT = {f"{f}{k + 1}": 3 * n + k for n, f in enumerate("timrp") for k in range(3)}

# Bends of a finger: MCP, PIP, DIP in degrees.
BENDS = {
    "open": (-2, 4, 3),
    "fist": (86, 102, 62),
    "flat": (80, 6, 4),  # bent at the knuckle only
    "half": (45, 8, 5),
    "ahead": (14, 6, 4),
    "lifted": (34, 6, 4),
    "curved": (32, 48, 28),
    "loose": (18, 28, 16),
    "claw": (8, 72, 40),
    "hook": (10, 78, 46),
    "oval": (42, 70, 34),  # as in O
    "pinch": (62, 22, 10),  # as in flat O
    "drape": (54, 88, 26),
    "crossed": (20, 6, 2),  # R: the index, in front
    "crossing": (-4, 12, 8),  # R: the middle finger behind it  # over the thumb, as in M and N
    "e": (30, 110, 60),
    "low": (70, 30, 15),
}
# Thumbs: first guess of the six angles, and where the tip's centre lies (cm) or None.
THUMBS: dict[str, tuple[tuple[float, ...], tuple[float, float, float] | None]] = {
    "out": ((58, 12, 0, 0, 0, -8), None),
    "open": ((42, 12, 0, 0, 2, 0), None),
    "along": ((32, 18, 0, 0, -4, 0), (4.6, 12.1, 2.2)),  # beside the fist, as in A
    "side": ((20, 8, 0, 0, 0, 5), (4.2, 10.6, 0.6)),  # beside the flat hand
    "up": ((50, 16, 0, 0, -6, -18), None),  # thumb up, as in 10
    "over": ((25, 55, 30, 0, 25, 35), (0.9, 9.2, 4.9)),  # across the fingers, as in S
    "over2": ((25, 50, 30, 0, 30, 40), (-0.6, 9.2, 4.6)),  # on ring and middle finger, as in V
    "palm": ((15, 35, 30, 0, 40, 50), (-1.6, 9.0, 2.4)),  # across the palm, as in B and 4
    "oppose": ((35, 65, 10, 0, 10, 25), (2.4, 8.4, 6.6)),  # facing the fingers, as in C
    "tip": ((30, 60, 15, 0, 15, 25), None),  # meets a fingertip
    "beside": ((35, 50, 0, 0, 0, 5), (3.9, 12.6, 3.3)),  # alongside the index, as in G
    "beside2": ((35, 50, 0, 0, 0, 5), (3.6, 10.9, 5.4)),  # alongside the lowered index, as in Q
    "under1": ((10, 30, 0, 0, 30, 5), (1.7, 10.9, 2.4)),  # T
    "under2": ((5, 30, 0, 0, 40, 15), (-1.0, 10.2, 2.5)),  # N
    "under3": ((5, 28, 0, 0, 48, 25), (-2.8, 9.5, 2.5)),  # M
    "under0": ((20, 40, 30, 0, 35, 35), (-0.9, 8.0, 3.4)),  # E
    "k": ((25, 45, 10, 0, 10, 10), (1.6, 12.6, 2.6)),
    "relaxed": ((32, 38, 0, 0, 12, 18), None),
}
TOGETHER = {"im": "i2~m2", "mr": "m2~r2", "rp": "r2~p1"}

# name: (bends of index, middle, ring, pinky), spreads, thumb, contacts
Shape = tuple[str, tuple[float, float, float, float], str, str]
NARROW = (-7.0, 0.0, 3.0, 7.0)
APART = (9.0, 2.0, -6.0, -14.0)
FISTED = (-6.0, 0.0, 3.0, 7.0)
SLIGHT = (1.0, 0.0, -2.0, -4.0)
V2 = (9.0, -8.0, 3.0, 7.0)
FIST = "fist fist fist fist"
JOIN = "i2~m2 m2~r2 r2~p2"
SHAPES: dict[str, Shape] = {
    "A": (FIST, FISTED, "along", f"t3~i2 {JOIN}"),
    "B": ("open open open open", NARROW, "palm", "i2~m2 m2~r2 r2~p2"),
    "C": ("curved curved curved curved", NARROW, "oppose", "i2~m2 m2~r2"),
    "D": ("open oval oval oval", (0, 0, 2, 4), "tip", "m3~t3 m2~r2 r2~p2"),
    "E": ("e e e e", FISTED, "under0", f"i3~t3 m3~t3 r3~t3 {JOIN}"),
    "F": ("oval open open open", (-4, 2, -6, -14), "tip", "i3~t3"),
    "G": ("ahead fist fist fist", (-2, 0, 3, 7), "beside", "m2~r2 r2~p2"),
    "H": ("open open fist fist", NARROW, "over2", "i2~m2 t3~r2 r2~p2"),
    "I": ("fist fist fist open", (-6, 0, 3, -8), "over", "t3~i2 t3~m2 i2~m2 m2~r2"),
    "K": ("open lifted fist fist", (4, -2, 3, 7), "k", "t3~m1 r2~p2"),
    "L": ("open fist fist fist", (2, 0, 3, 7), "out", "m2~r2 r2~p2"),
    "M": ("drape drape drape fist", FISTED, "under3", "i2~m2 m2~r2"),
    "N": ("drape drape fist fist", FISTED, "under2", "i2~m2 r2~p2"),
    "O": ("oval oval oval oval", NARROW, "tip", "i3~t3 m3~t3 i2~m2 m2~r2 r2~p2"),
    "Q": ("half fist fist fist", (-2, 0, 3, 7), "beside2", "m2~r2 r2~p2"),
    "R": ("crossed crossing fist fist", (-9, 17, 3, 7), "over2", "i2~m2 t3~r2 r2~p2"),
    "S": (FIST, FISTED, "over", f"t3~i2 t3~m2 {JOIN}"),
    "T": ("drape fist fist fist", (4, -2, 3, 7), "under1", "i2~t3 m2~r2 r2~p2"),
    "U": ("open open fist fist", NARROW, "over2", "i2~m2 t3~r2 r2~p2"),
    "V": ("open open fist fist", V2, "over2", "t3~r2 r2~p2"),
    "W": ("open open open fist", (12, 0, -13, 7), "palm", "t3~p3"),
    "X": ("hook fist fist fist", (-2, 0, 3, 7), "over", "t3~m2 m2~r2 r2~p2"),
    "Y": ("fist fist fist open", (-6, 0, 3, -18), "out", "i2~m2 m2~r2"),
    "1": ("open fist fist fist", (-1, 0, 3, 7), "over", "t3~m2 m2~r2 r2~p2"),
    "3": ("open open fist fist", V2, "out", "r2~p2"),
    "4": ("open open open open", APART, "palm", ""),
    "5": ("open open open open", APART, "out", ""),
    "6": ("open open open low", (11, 2, -7, -4), "tip", "p3~t3"),
    "7": ("open open low open", (11, 1, 0, -14), "tip", "r3~t3"),
    "8": ("open low open open", (12, 0, -6, -14), "tip", "m3~t3"),
    "9": ("oval open open open", (-4, 4, -6, -15), "tip", "i3~t3"),
    "10": (FIST, FISTED, "up", JOIN),
    # the other shapes of ASL-LEX
    "open_b": ("open open open open", NARROW, "open", "i2~m2 m2~r2 r2~p2"),
    "closed_b": ("open open open open", NARROW, "side", "i2~m2 m2~r2 r2~p2 t3~i1"),
    "flat_b": ("flat flat flat flat", NARROW, "side", "i2~m2 m2~r2 r2~p2"),
    "curved_b": ("loose loose loose loose", NARROW, "open", "i2~m2 m2~r2 r2~p2"),
    "curved_5": ("curved curved curved curved", APART, "oppose", ""),
    "flatspread_5": ("half half half half", APART, "open", ""),
    "stacked_5": ("open half flat flat", (0, 0, 0, 0), "open", ""),
    "curved_1": ("curved fist fist fist", (-1, 0, 3, 7), "over", "t3~m2 m2~r2 r2~p2"),
    "bent_1": ("hook fist fist fist", (-2, 0, 3, 7), "over", "t3~m2 m2~r2 r2~p2"),
    "flat_1": ("flat fist fist fist", (-2, 0, 3, 7), "along", "m2~r2 r2~p2"),
    "baby_o": ("oval fist fist fist", (-4, 0, 3, 7), "tip", "i3~t3 m2~r2 r2~p2"),
    "flat_o": ("pinch pinch pinch pinch", NARROW, "tip", "i3~t3 m3~t3 i2~m2 m2~r2 r2~p2"),
    "open_f": ("curved open open open", (-2, 2, -6, -14), "oppose", ""),
    "open_8": ("open low open open", (12, 0, -6, -14), "out", ""),
    "open_e": ("e e e e", FISTED, "along", JOIN),
    "closed_e": ("e e e e", FISTED, "under0", f"i3~t3 m3~t3 {JOIN}"),
    "spread_e": ("e e e e", (5, 0, -4, -9), "under0", "i3~t3"),
    "spread_open_e": ("claw claw claw claw", APART, "oppose", ""),
    "bent_v": ("hook hook fist fist", (7, -6, 3, 7), "over2", "t3~r2 r2~p2"),
    "curved_v": ("curved curved fist fist", (7, -6, 3, 7), "over2", "t3~r2 r2~p2"),
    "flat_v": ("flat flat fist fist", (7, -6, 3, 7), "along", "r2~p2"),
    "flat_h": ("flat flat fist fist", NARROW, "along", "i2~m2 r2~p2"),
    "curved_h": ("curved curved fist fist", NARROW, "along", "i2~m2 r2~p2"),
    "open_h": ("open open fist fist", NARROW, "out", "i2~m2 r2~p2"),
    "flat_n": ("flat flat fist fist", NARROW, "tip", "i3~t3 m3~t3 i2~m2 r2~p2"),
    "flat_m": ("flat flat flat fist", NARROW, "side", "i2~m2 m2~r2"),
    "flat_4": ("half half half half", APART, "palm", ""),
    "curved_4": ("curved curved curved curved", APART, "palm", ""),
    "bent_l": ("hook fist fist fist", (2, 0, 3, 7), "out", "m2~r2 r2~p2"),
    "curved_l": ("curved fist fist fist", (0, 0, 3, 7), "oppose", "m2~r2 r2~p2"),
    "horns": ("open fist fist open", (2, 0, 3, -8), "over2", "t3~m2 m2~r2"),
    "flat_horns": ("flat fist fist flat", (2, 0, 3, -4), "over2", "t3~m2 m2~r2"),
    "ily": ("open fist fist open", (4, 0, 3, -14), "out", "m2~r2"),
    "flat_ily": ("half fist fist half", (4, 0, 3, -12), "out", "m2~r2"),
    "goody_goody": ("open fist fist fist", (2, 0, 3, 7), "over", "t3~m2 m2~r2 r2~p2"),
    "open_a": (FIST, FISTED, "up", JOIN),
    "bent_3": ("hook hook fist fist", (9, -8, 3, 7), "out", "r2~p2"),
    "open_g": ("flat fist fist fist", (-2, 0, 3, 7), "oppose", "m2~r2 r2~p2"),
    "13": ("half half fist fist", NARROW, "out", "i2~m2 r2~p2"),
    "14": ("half half half half", NARROW, "palm", "i2~m2 m2~r2 r2~p2"),
    "15": ("half half half half", NARROW, "out", "i2~m2 m2~r2 r2~p2"),
    "12": ("oval oval fist fist", NARROW, "tip", "i3~t3 m3~t3 r2~p2"),
    "21": ("open fist fist fist", (1, 0, 3, 7), "side", "m2~r2 r2~p2"),
    "23": ("open low fist fist", V2, "out", "r2~p2"),
    "25": ("open low open open", (12, 0, -6, -14), "out", ""),
    "relaxed": ("loose loose loose loose", (1, 0, -1, -3), "relaxed", ""),
}
SAME = {  # the same shape under another name
    "P": "K",
    "J": "I",
    "Z": "1",
    "0": "O",
    "2": "V",
    "a": "A",
    "c": "C",
    "d": "D",
    "e": "E",
    "f": "F",
    "g": "G",
    "h": "H",
    "i": "I",
    "k": "K",
    "l": "L",
    "o": "O",
    "p": "K",
    "r": "R",
    "s": "S",
    "t": "T",
    "v": "V",
    "w": "W",
    "y": "Y",
}


def stiffness(shape: Shape) -> np.ndarray:
    """(22,) per degree: how dearly each angle leaves its description."""
    stiff = []
    for bend in shape[0].split():
        firm = bend in (
            "crossed",
            "crossing",
            "open",
            "half",
            "ahead",
            "flat",
            "loose",
            "curved",
            "claw",
            "hook",
        )
        stiff += [1 / 10.0] + [1 / 2.5 if firm else 1 / 5.0 if bend == "fist" else 1 / 14.0] * 3
    free = THUMBS[shape[2]][1] is not None or shape[2] == "tip"
    end = 1 / 8 if shape[2] == "along" else 1 / 28
    return np.array(([1 / 45, 1 / 45, 1 / 28, 1 / 12, end, end] if free else [1 / 14] * 6) + stiff)


def residuals(
    angles: np.ndarray,
    start: np.ndarray,
    tip: tuple[float, ...] | None,
    touch: list[tuple[int, int]],
    weight: np.ndarray,
) -> np.ndarray:
    """(B, 22) degrees -> (B, n)."""
    rig = hs.hand_rig()
    starts, ends = hs.hand_points(angles)
    parts = [0.35 * (angles - start) * weight]
    gaps = hs.clearance(angles)
    parts.append(np.maximum(-gaps - 0.0004, 0) / 0.0006)
    for i, j in touch:
        d = hs.capsule_distance(starts[:, i], ends[:, i], starts[:, j], ends[:, j])
        parts.append(((d - rig.radii[i] - rig.radii[j] + 0.0003) / 0.0012)[:, None])
    if tip is not None:
        parts.append((ends[:, 2] - np.array(tip) / 100) / 0.005)
    parts.append(np.maximum(-hs.palm_clearance(angles), 0) / 0.001)
    return np.concatenate(parts, axis=1)


def fit(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """(22,) degrees and the residuals of the contacts."""
    bends, spreads, thumb, contacts = shape
    guess, tip = THUMBS[thumb]
    start = np.array(list(guess) + [v for b, s in zip(bends.split(), spreads) for v in (s, *BENDS[b])], float)
    touch = [tuple(SEGMENT[x] for x in c.split("~")) for c in contacts.split()]
    loose = stiffness(shape)
    low, high = hs.LIMITS.T

    def value(a: np.ndarray) -> np.ndarray:
        return residuals(a[None], start, tip, touch, loose)[0]

    def jacobian(a: np.ndarray) -> np.ndarray:
        both = residuals(
            np.concatenate([a + 0.05 * np.eye(22), a - 0.05 * np.eye(22)]), start, tip, touch, loose
        )
        return (both[:22] - both[22:]).T / 0.1

    if thumb.startswith("under"):  # let the thumb in before the fingers close on it
        closed, start = start, start.copy()
        start[8::4] *= 0.3
        inside = least_squares(value, start, jacobian, bounds=(low, high), max_nfev=200).x
        start = np.concatenate([inside[:6], closed[6:]])
    first = np.clip(start, low + 1e-3, high - 1e-3)
    found = least_squares(value, first, jacobian, bounds=(low, high), max_nfev=200)
    return found.x, value(found.x)


def main(names: list[str]) -> None:
    """Solve the shapes named (all if none) and write the table."""
    table = json.loads(OUT.read_text())["shapes"] if OUT.exists() and names else {}
    rig = hs.hand_rig()
    for name, shape in SHAPES.items():
        if names and name not in names:
            continue
        angles, _ = fit(shape)
        table[name] = [round(float(a)) for a in angles]
        a = np.array(table[name], float)
        starts, ends = hs.hand_points(a)
        gaps = hs.clearance(a)
        worst = int(gaps.argmin())
        touch = {c: tuple(SEGMENT[x] for x in c.split("~")) for c in shape[3].split()}
        misses = {
            c: 1000
            * float(hs.capsule_distance(starts[i], ends[i], starts[j], ends[j]) - rig.radii[i] - rig.radii[j])
            for c, (i, j) in touch.items()
        }
        far = {c: f"{m:.1f}" for c, m in misses.items() if m > 1.5}
        tip = THUMBS[shape[2]][1]
        off = 0.0 if tip is None else 1000 * np.linalg.norm(ends[2] - np.array(tip) / 100)
        print(
            f"{name:14s} overlap {1000 * gaps[worst]:5.1f} {hs.PAIRS[worst]} palm "
            f"{1000 * hs.palm_clearance(a).min():5.1f} open {far} tip off {off:.0f} thumb {table[name][:6]}"
        )
    OUT.write_text(
        json.dumps(
            {"angles": hs.ANGLES, "shapes": table, "same": SAME}, indent=None, separators=(",", ":")
        ).replace('],"', '],\n"')
        + "\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
