"""Movements of HamNoSys as beats: how far a hand goes at a time, what changes on the way, how long it takes.

Movements that are performed at once are merged beat by beat; `hamnosys_sign` turns each beat into a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from stable_signer.slp_moe.hamnosys_tree import Action, Posture
from stable_signer.slp_moe.places import direction

WAY, BULGE, RIPPLE, RADIUS = 0.12, 0.04, 0.025, 0.05  # metres: of a plain way, arc, wave and circle
TAP = 0.05  # metres that a hand goes away between two touches
PLAYS = {  # what a play of the hand does: axis in palm coordinates and degrees, there and back
    "nod": ((1.0, 0.0, 0.0), 22.0),
    "swing": ((0.0, 0.0, 1.0), 20.0),
    "twist": ((0.0, 1.0, 0.0), 35.0),
}


@dataclass(frozen=True)
class Beat:
    """A moment of a movement, of one hand: how far it goes, what changes, how long it takes.

    move, bulge: (3,) metres. tap: metres away from what is touched. turn, fingers: play of the wrist and the
    fingers, for this moment only.
    """

    move: np.ndarray
    bulge: np.ndarray
    units: float
    hold: float = 0.0
    circle: tuple[np.ndarray, np.ndarray, float, float] | None = None
    posture: Posture | None = None
    turn: tuple[tuple[float, float, float], float] | None = None
    fingers: str = ""
    tap: float = 0.0


def compound(action: Action) -> bool:
    """Whether an action cannot be merged with others: each hand does its own, or it is repeated."""
    return action.kind in ("hands", "again") or any(compound(a) for a in action.parts)


def beats(action: Action, simplified: list[str]) -> Iterator[Beat]:
    """The beats of an action of one hand."""
    zero = np.zeros(3)
    if action.kind == "move":
        yield from _path(action)
    elif action.kind == "circle":
        yield _circling(action)
    elif action.kind == "play":
        yield from _playing(action)
    elif action.kind == "replace":
        yield Beat(zero, zero, 0.7 * action.pace, action.hold, posture=action.posture)
    elif action.kind == "still":
        yield Beat(zero, zero, 0.5)
    elif action.kind == "tap":
        yield from (Beat(zero, zero, 0.5, tap=away) for away in (TAP, -TAP))
    elif action.kind == "row":
        for part in action.parts:
            yield from beats(part, simplified)
    elif action.kind == "together":
        yield from _merged([list(beats(part, simplified)) for part in action.parts], simplified)


def _path(action: Action) -> Iterator[Beat]:
    """A straight, bulging or wavy way."""
    way = action.way if action.way is not None else np.zeros(3)
    length = WAY * action.size
    units = action.pace * (0.55 + 0.45 * action.size)
    bulge = np.zeros(3) if action.arc is None else BULGE * action.arc_size * action.arc
    if not action.ripple:
        yield Beat(length * way, bulge, units, action.hold, posture=action.posture)
        return
    side = np.cross(way, direction("O") if abs(way @ direction("O")) < 0.9 else direction("U"))
    side = side / max(float(np.linalg.norm(side)), 1e-6)
    for n in range(4):
        last = n == 3
        swing = RIPPLE * side * (1 if n % 2 == 0 else -1) * (1 if n in (0, 3) else 2)
        yield Beat(
            length / 3 * way + swing, np.zeros(3), 0.4 * units, action.hold if last else 0.0,
            posture=action.posture if last else None,
        )  # fmt: skip


def _circling(action: Action) -> Beat:
    """A circle, clockwise about its axis; it begins at the top, or in front if it lies flat."""
    axis = action.way if action.way is not None else direction("O")
    start = action.start if action.start is not None else direction("U")
    first = start - (start @ axis) * axis
    if np.linalg.norm(first) < 0.3:
        first = direction("O") - (direction("O") @ axis) * axis
    if np.linalg.norm(first) < 0.3:
        first = direction("P")
    first = first / np.linalg.norm(first)
    second = np.cross(axis, first)
    circle = (first, second, RADIUS * action.size, 1.0)
    units = 1.5 * action.pace
    return Beat(np.zeros(3), np.zeros(3), units, action.hold, circle, action.posture)


def _playing(action: Action) -> Iterator[Beat]:
    """Fingers that play, or a wrist that nods, swings or twists, twice there and back."""
    zero = np.zeros(3)
    for n in range(4):
        turn = None
        fingers = ""
        if action.what == "fingers":
            fingers = "even" if n % 2 == 0 else "odd"
        else:
            axis, degrees = PLAYS[action.what]
            turn = (axis, degrees * min(action.size, 1.5) * (1 if n % 2 == 0 else -1))
        yield Beat(zero, zero, 0.42 * action.pace, turn=turn, fingers=fingers)
    yield Beat(zero, zero, 0.3 * action.pace, action.hold)


def _merged(rows: list[list[Beat]], simplified: list[str]) -> list[Beat]:
    """Movements at one time: the one with most beats gives the beat, the others are spread over it."""
    rows = [row for row in rows if row]
    circles = [b for row in rows for b in row if b.circle is not None]
    if circles:  # a circle is one beat; what plays meanwhile is left out
        if max(len(row) for row in rows) > 1:
            simplified.append("what the hand plays while it circles")
        rows = [[_in_one(row)] for row in rows]
    count = max(len(row) for row in rows)
    out = []
    for n in range(count):
        beats = [row[n] if len(row) == count else _share(row, n, count) for row in rows]
        posture = None
        for b in beats:
            if b.posture is not None:
                posture = b.posture if posture is None else posture.overlaid(b.posture)
        units = max(b.units for b in beats if len(rows) == 1 or b.units > 0)
        out.append(
            Beat(
                np.sum([b.move for b in beats], axis=0),
                np.sum([b.bulge for b in beats], axis=0),
                units,
                max(b.hold for b in beats),
                next((b.circle for b in beats if b.circle is not None), None),
                posture,
                next((b.turn for b in beats if b.turn is not None), None),
                next((b.fingers for b in beats if b.fingers), ""),
            )
        )
    return out


def _in_one(row: list[Beat]) -> Beat:
    """Several beats as one: the whole way, and what is reached at its end."""
    if len(row) == 1:
        return row[0]
    posture = next((b.posture for b in reversed(row) if b.posture is not None), None)
    way = np.sum([b.move for b in row], axis=0)
    circle = next((b.circle for b in row if b.circle is not None), None)
    return Beat(way, np.zeros(3), sum(b.units for b in row), row[-1].hold, circle, posture)


def _share(row: list[Beat], n: int, count: int) -> Beat:
    """The part of a shorter row that falls into beat n of count."""
    mine = [i for i in range(len(row)) if (i * count) // len(row) <= n < ((i + 1) * count) // len(row)]
    beat = row[mine[0]] if mine else row[-1]
    first, end = (mine[0] * count) // len(row), ((mine[0] + 1) * count) // len(row)
    parts = max(end - first, 1)
    last = n == end - 1
    return replace(
        beat, move=beat.move / parts, bulge=beat.bulge / parts, units=beat.units / parts,
        hold=beat.hold if last else 0.0, posture=beat.posture if last else None,
    )  # fmt: skip


def played(shape: str, which: str) -> str:
    """The handshape with every other finger bent a little."""
    bent = ("index", "ring") if which == "even" else ("middle", "pinky")
    have = dict(p.split("=", 1) for p in shape.split("/")[0].split(":")[1:])
    base = shape.split("/")[0].split(":")[0]
    have.update({f: f"flat_4.{f}" for f in bent})
    return ":".join([base, *(f"{f}={d}" for f, d in have.items())])
