"""From HamNoSys read (`hamnosys`) to a sign in our notation, whose motion `priors.realise` makes.

HamNoSys leaves to the reader what a signer knows: how far a way is, which part of a hand touches, how near
the body signing space is. Those choices are the tables and the few lengths at the head of this module. The
left hand is kept in the terms of a right hand, as `notation.SignSpec` has it, so that a mirrored sign is the
same keys twice. What is made is always marked approximate: no signer has checked it, and the face is not in
it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from stable_signer.body.ik import between, palm_frame, rotation
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe.hamnosys import parse
from stable_signer.slp_moe.hamnosys_beats import Beat, beats, compound, played
from stable_signer.slp_moe.hamnosys_tree import Action, Part, Posture, Site, symbols
from stable_signer.slp_moe.notation import Key, SignSpec, shifted
from stable_signer.slp_moe.places import PLACES, direction

BESIDE = 0.07  # metres further to the side than `at the side`
MOST_KEYS = 60
FLIP = np.array([-1.0, 1.0, 1.0])
AHEAD = np.array([0.0, -1.0, 0.0])
# Seconds: of one unit of movement, of getting into the sign, and what a sign may take.
UNIT, START, SHORTEST, LONGEST = 0.24, 0.10, 0.36, 6.0
# What may touch, and which way it looks in palm coordinates (thumb's side, fingers, palm).
TOUCHING = {
    "palm": (0.0, 0.0, 1.0),
    "back": (0.0, 0.0, -1.0),
    "edge": (-1.0, 0.0, 0.0),
    "radial": (1.0, 0.0, 0.0),
    "tip": (0.0, 1.0, 0.0),
}
TIPS = {"1": "index", "L": "index", "H": "index", "V": "middle", "3": "middle", "A": "knuckles",
        "S": "knuckles", "baby_o": "pinch", "F": "pinch", "flat_o": "tips", "O": "tips",
        "curved_l": "index"}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """A sign made from HamNoSys. simplified: what the notation says that is not performed, in words."""

    sign: SignSpec
    simplified: tuple[str, ...]


def sign_from_hamnosys(gloss: str, text: str) -> Reading:
    """A sign in notation, approximate, from a string of HamNoSys 4 (characters or names).

    Raises StableSignerError for what cannot be read.
    """
    notation = parse(text)
    stage = _Stage()
    for part in notation.parts:
        stage.play(part)
    return Reading(stage.sign(gloss), (*notation.simplified, *dict.fromkeys(stage.simplified)))


@dataclass(frozen=True)
class _Hand:
    """One hand at a moment, in the terms of a right hand.

    fingers, palm: as in `hamnosys_tree.Posture`. point: of the hand, is `shift` (3,) metres from `place`;
    surface: the shift at which it touches; out: (3,) way out of the body there. turn: axis in palm
    coordinates and degrees, of a moment's play of the wrist.
    """

    shape: str = "relaxed"
    fingers: np.ndarray = field(default_factory=lambda: direction("OC"))
    palm: np.ndarray = field(default_factory=lambda: direction("DC"))
    point: str = "inside"
    place: str = "neutral"
    shift: np.ndarray = field(default_factory=lambda: np.zeros(3))
    surface: np.ndarray = field(default_factory=lambda: np.zeros(3))
    out: np.ndarray = field(default_factory=lambda: direction("O"))
    turn: tuple[tuple[float, float, float], float] | None = None

    def frame(self) -> tuple[np.ndarray, np.ndarray]:
        """(palm normal, fingers), unit directions (3,)."""
        fingers = self.fingers
        if float(fingers @ AHEAD) < -0.999:
            normal = self.palm * np.array([1.0, -1.0, -1.0])  # straight back: over the top
        else:
            normal = between(AHEAD, fingers) @ self.palm
        flat = normal - (normal @ fingers) * fingers
        if np.linalg.norm(flat) < 1e-3:  # a palm along the fingers says nothing
            flat = np.cross(fingers, direction("P"))
            flat = flat if np.linalg.norm(flat) > 1e-3 else direction("I")
        normal = flat / np.linalg.norm(flat)
        if self.turn is not None:
            axis, degrees = self.turn
            frame = palm_frame(normal, fingers)
            about = frame @ np.array(axis)
            turned = rotation(about, np.radians(degrees))
            normal, fingers = turned @ normal, turned @ fingers
        return normal, fingers

    def key(self, way: float, hold: float = 0.0) -> Key:
        normal, fingers = self.frame()
        return Key(self.shape, normal, fingers, self.point, self.place, self.shift.copy(), way, hold)


class _Stage:
    """Both hands and the keys that they have gone through; one key more for each beat."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Key]] = {"R": [], "L": []}
        self.hands = {"R": _Hand(), "L": _Hand()}
        self.simplified: list[str] = []
        self.part = Part("", False, Posture(), ())

    # --- a sign

    def play(self, part: Part) -> None:
        """Put the hands where the part says, and let them move."""
        self.part = part
        first = not self.rows["R"]
        uses_left = bool(part.symmetry) or _needs_left(part.posture) or any(map(_uses_left, part.actions))
        self.hands = {"R": _Hand(), "L": _Hand()}
        if uses_left and not part.symmetry:
            self.hands["L"] = _base_hand(part.posture.other)
        self._take_up(part.posture, ("R", "L") if uses_left else ("R",), place=True)
        if uses_left and not self.rows["L"] and not first:
            self.rows["L"] = [replace(self.hands["L"].key(k.way), hold=k.hold) for k in self.rows["R"]]
        sides = [s for s in ("R", "L") if s == "R" or uses_left or self.rows["L"]]
        start = 0.0 if first else 1.2
        for side in sides:
            keep = side == "L" and not uses_left
            key = replace(self.rows["L"][-1], way=start, hold=0.0) if keep else self.hands[side].key(start)
            self._append(side, key)
        begun = len(self.rows["L"]) - 1
        for action in part.actions:
            self._do(action, sides=tuple(s for s in sides if s == "R" or part.symmetry))
        if not part.actions:
            for side in sides:
                self.rows[side][-1] = replace(self.rows[side][-1], hold=1.2)
        self._wait(dict.fromkeys(sides, 0.0))
        if part.alternating and part.symmetry:
            self._alternate(begun)

    def _append(self, side: str, key: Key) -> None:
        if len(self.rows[side]) >= MOST_KEYS:
            raise StableSignerError(
                f"the HamNoSys notation goes through more than {MOST_KEYS} postures: shorten it"
            )
        self.rows[side].append(key)

    def _alternate(self, begun: int) -> None:
        """The left hand goes through what it does since key `begun` the other way round, at the same pace."""
        row = self.rows["L"][begun:]
        turned = shifted(tuple(row))
        self.rows["L"][begun:] = [
            replace(k, way=paced.way, hold=paced.hold) for k, paced in zip(turned, row, strict=True)
        ]

    def sign(self, gloss: str) -> SignSpec:
        """What has been played, as a sign in notation."""
        right, left = tuple(self.rows["R"]), tuple(self.rows["L"])
        units = max(self._spent(side) for side in ("R", "L"))
        seconds = float(np.clip(START + UNIT * units, SHORTEST, LONGEST))
        if left and len(left) == len(right) and all(map(_same_key, left, right)):
            return SignSpec(gloss, seconds, right, 1, "=", approximate=True)
        return SignSpec(gloss, seconds, right, 1, left or "", approximate=True)

    # --- postures

    def _take_up(self, posture: Posture, sides: tuple[str, ...], *, place: bool = False) -> None:
        """Change hands by what is said: of both, then of the left by itself. place: find them a place too."""
        for side in sides:
            own = side == "R" or bool(self.part.symmetry)
            said = posture if own else Posture()
            flipped = False
            if side == "L" and posture.other is not None:
                said, flipped = said.overlaid(posture.other), True
            self.hands[side] = _turned(self.hands[side], said, posture, flipped)
        # Where the left hand is comes first: the right one may be on it.
        for side in reversed(sides):
            own = side == "R" or bool(self.part.symmetry)
            said, absolute = (posture, False) if own else (Posture(), False)
            if (
                side == "L"
                and posture.other is not None
                and (posture.other.sites or posture.other.contact is not None)
            ):
                said, absolute = posture.other, True
            elif side == "L" and not own and place:
                said = Posture(sites=tuple(s for s in posture.sites if not s.hand))
                self.hands[side] = self._based(said)
                continue
            if place or said.sites or said.contact is not None:
                self.hands[side] = self._placed(side, said, absolute)

    def _based(self, said: Posture) -> _Hand:
        """The left hand as the base of a sign, in the middle, at the height that is said."""
        hand = self.hands["L"]
        at = np.array(PLACES["centre"])
        if said.sites:
            at[2] = np.clip(_body_place(said.sites[0])[0][2], PLACES["low"][2], PLACES["high"][2])
        return replace(hand, point="inside", place="centre", shift=at - np.array(PLACES["centre"]))

    def _placed(self, side: str, said: Posture, absolute: bool) -> _Hand:
        """A hand where it is said to be. absolute: said of the left hand by itself, as the signer sees it."""
        hand = self.hands[side]
        two = bool(self.part.symmetry)
        body = [s for s in said.sites if not s.hand]
        points = [s for s in said.sites if s.hand]
        own = said.own
        if points and two and not body and own is None:
            own = points[0]  # the hands meet there
        if points and not two and side == "R":
            return self._on_left(hand, points[0], said)
        if two and ((said.met_first and said.contact is not None) or (points and said.contact is not None)):
            return _met(hand, said, body, own or (points[0] if points else None))
        if not body and said.contact is None and (side == "R" or two):
            return replace(
                hand,
                place="neutral",
                point="inside",
                shift=np.zeros(3),
                surface=np.zeros(3),
                out=direction("O"),
            )
        if not body:
            return _nearer(hand, said.contact or 0.0, own)
        return _at_body(hand, body, said, own, flip=absolute, two=two)

    def _on_left(self, hand: _Hand, point: Site, said: Posture) -> _Hand:
        """On or by a point of the left hand."""
        normal, fingers = self.hands["L"].frame()
        out = FLIP * (palm_frame(normal, fingers) @ np.array(point.out))
        out = out / np.linalg.norm(out)
        own = said.own.name if said.own is not None else _touching(hand, -out)
        gap = 0.06 if said.contact is None else said.contact
        return replace(
            hand,
            point=own,
            place=f"L.{point.name}",
            shift=out * (gap + said.apart),
            surface=np.zeros(3),
            out=out,
        )

    # --- movements

    def _do(self, action: Action, sides: tuple[str, ...]) -> None:
        """Perform an action with the hands in `sides`."""
        if action.kind == "hands":
            start = {s: self._spent(s) for s in ("R", "L") if self.rows[s]}
            self._do(action.parts[0], ("R",))
            if self.rows["L"]:
                self._do(action.parts[1], ("L",))
                self._wait(start)
            return
        if action.kind == "again":
            self._again(action, sides)
            return
        if action.kind == "row" or (action.kind == "together" and any(compound(a) for a in action.parts)):
            for part in action.parts:
                self._do(part, sides)
            return
        for side in sides:
            absolute = side == "L" and (len(sides) == 1 or self.part.symmetry == "parallel")
            for beat in beats(action, self.simplified):
                self._beat(side, beat, absolute, alone=len(sides) == 1)

    def _spent(self, side: str) -> float:
        return sum(k.way + k.hold for k in self.rows[side])

    def _wait(self, start: dict[str, float]) -> None:
        """The hand that is done earlier waits for the other. start: what each had spent before."""
        took = {s: self._spent(s) - t for s, t in start.items()}
        longest = max(took.values())
        for side, spent in took.items():
            last = self.rows[side][-1]
            self.rows[side][-1] = replace(last, hold=last.hold + longest - spent)

    def _again(self, action: Action, sides: tuple[str, ...]) -> None:
        inner = action.parts[0]
        before = dict(self.hands)
        self._do(inner, sides)
        moved = any(not _same(before[s], self.hands[s]) for s in ("R", "L"))
        after = dict(self.hands)
        for _ in range(action.times):
            if moved and action.mode in ("start", "back"):
                for side in ("R", "L"):
                    if self.rows[side] and not _same(before[side], after[side]):
                        self.hands[side] = before[side]
                        self._append(side, self.hands[side].key(0.8))
                if action.mode == "back":
                    continue
            self._do(inner, sides)

    def _beat(self, side: str, beat: Beat, absolute: bool, alone: bool) -> None:
        """One key more for one hand."""
        flip = FLIP if absolute else np.ones(3)
        hand = self.hands[side]
        hand = replace(hand, shift=hand.shift + flip * beat.move + beat.tap * hand.out, turn=beat.turn)
        if beat.posture is not None:
            self.hands[side] = hand
            said = beat.posture
            if side == "L" and alone:  # said of the left hand by itself
                said = Posture(other=said if said.other is None else said.other)
            self._take_up(said, (side,))
            hand = self.hands[side]
        self.hands[side] = hand
        shown = replace(hand, shape=played(hand.shape, beat.fingers)) if beat.fingers else hand
        key = replace(shown.key(beat.units, beat.hold), bulge=flip * beat.bulge)
        if beat.circle is not None:
            first, second, radius, turns = beat.circle
            key = replace(key, circle=(flip * first, flip * second, radius, turns))
        self._append(side, key)
        self.hands[side] = replace(hand, turn=None)


# --- where hands are
# ---------------------------------------------------------------------------------------------------------


def _needs_left(posture: Posture) -> bool:
    """Whether the left hand is spoken of, or the right one put on it."""
    return posture.other is not None or any(s.hand for s in posture.sites)


def _uses_left(action: Action) -> bool:
    if action.kind == "hands" or (action.posture is not None and _needs_left(action.posture)):
        return True
    return any(map(_uses_left, action.parts))


def _base_hand(other: Posture | None) -> _Hand:
    """The left hand before anything is said of it: flat, before the body."""
    hand = _Hand(shape="relaxed", fingers=direction("OC4"), palm=direction("DC3"))
    return hand if other is None or other.shape is None else replace(hand, shape=other.shape)


def _turned(hand: _Hand, said: Posture, shared: Posture, flipped: bool) -> _Hand:
    """Shape and turn of a hand as said; what was said of the left hand by itself is seen in a mirror."""
    for name in ("shape", "fingers", "palm"):
        value = getattr(said, name)
        if value is None:
            continue
        if name != "shape" and flipped and value is not getattr(shared, name):
            value = FLIP * value
        hand = replace(hand, **{name: value})
    return hand


def _body_place(site: Site) -> tuple[np.ndarray, np.ndarray, float]:
    """Where a place of the body is (3,) in metres, the way out of it there (3,), and how near is near it."""
    middle, at_side, out, near = symbols()[site.name].value.split(" ")
    at = np.array(PLACES[at_side if site.side else middle])
    way = direction(out)
    if site.side == "left":
        at, way = FLIP * at, FLIP * way
    if site.beside:
        sideways = np.array([np.sign(at[0]) or -1.0, 0.0, 0.0])
        at = at + BESIDE * sideways
        way = way + 0.6 * sideways
        way = way / np.linalg.norm(way)
    return at, way, float(near)


def _at_body(hand: _Hand, sites: list[Site], said: Posture, own: Site | None, flip: bool, two: bool) -> _Hand:
    """At, near or before a place of the body."""
    found = [_body_place(s) for s in sites]
    at = np.mean([f[0] for f in found], axis=0)
    out = np.mean([f[1] for f in found], axis=0)
    out = out / max(float(np.linalg.norm(out)), 1e-6)
    if flip:  # said of the left hand as the signer sees it
        at, out = FLIP * at, FLIP * out
    if two and not flip and abs(at[0]) < 0.05:
        at = at + np.array([-0.035 if said.contact is not None else -0.10, 0.0, 0.0])  # each at its own side
    gap = found[0][2] if said.contact is None else said.contact
    if said.contact is None and not two and abs(at[0]) < 0.02 and found[0][2] >= 0.15:
        at = at + np.array([-0.08, 0.0, 0.0])  # before the trunk the hand stays on its own side
    if said.behind:
        out = -out * np.array([1.0, 1.0, 0.0]) if abs(out[1]) > 0.1 else np.array([0.0, 1.0, 0.0])
        gap = max(gap, 0.02)
    if said.contact is None:
        point = "inside"
    else:
        point = own.name if own is not None else _touching(hand, -out)
    name = min(PLACES, key=lambda p: float(np.linalg.norm(np.array(PLACES[p]) - at)))
    surface = at - np.array(PLACES[name])
    return replace(
        hand, point=point, place=name, shift=surface + out * (gap + said.apart), surface=surface, out=out
    )


def _met(hand: _Hand, said: Posture, body: list[Site], own: Site | None) -> _Hand:
    """Both hands of a symmetrical sign at each other, in the middle."""
    at = np.array(PLACES["centre"])
    if body:
        place, out, near = _body_place(body[0])
        at = np.array([0.0, place[1], place[2]]) + out * np.array([0.0, 1.0, 1.0]) * max(near, 0.06)
    way = direction("C")
    point = own.name if own is not None else _touching(hand, way)
    at[0] = 0.0
    surface = at - np.array(PLACES["centre"])
    shift = surface - way * 0.5 * (said.contact or 0.0)
    return replace(hand, point=point, place="centre", shift=shift, surface=surface, out=-way)


def _nearer(hand: _Hand, gap: float, own: Site | None) -> _Hand:
    """As near to its place as said, where it has been moved to."""
    if hand.place != "neutral":  # in free space there is nothing to be near to
        beyond = float((hand.shift - hand.surface) @ hand.out)
        hand = replace(hand, shift=hand.shift + hand.out * (gap - beyond))
    return hand if own is None else replace(hand, point=own.name)


def _touching(hand: _Hand, towards: np.ndarray) -> str:
    """The point of the hand that looks most in a direction (3,)."""
    normal, fingers = hand.frame()
    frame = palm_frame(normal, fingers)
    name = max(TOUCHING, key=lambda n: float((frame @ np.array(TOUCHING[n])) @ towards))
    if name != "tip":
        return name
    base = hand.shape.split(":")[0].split("/")[0]
    return TIPS.get(base, "middle")


def _same(a: _Hand, b: _Hand) -> bool:
    return (
        a.shape == b.shape
        and a.place == b.place
        and all(np.allclose(getattr(a, n), getattr(b, n), atol=1e-6) for n in ("shift", "fingers", "palm"))
    )


def _same_key(a: Key, b: Key) -> bool:
    return all(
        np.allclose(x, y, atol=1e-9) if isinstance(x, np.ndarray) else x is y or repr(x) == repr(y)
        for x, y in zip(vars(a).values(), vars(b).values(), strict=True)
    )
