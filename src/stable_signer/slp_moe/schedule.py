"""When each sign is made: from a planner's draft to a plan in seconds.

A sign takes as long as its stroke needs; the way to the next sign takes as long as the slowest joint needs,
so that no joint ever turns faster than real signers' joints do (`SPEED_LIMITS`). The floors are measured on
NCSLGR (native signers): the median lexical sign lasts 200 ms and the median gap 134 ms. We sign slower than
that by default, because a synthetic signer is harder to read and dictionary forms are longer than signs in a
sentence.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from stable_signer.body import rotation
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe.lexicon import Lexicon, Prototype
from stable_signer.slp_moe.limbs import (
    LIMBS,
    SPEED_LIMITS,
    WRIST_LIMIT,
    end_pose,
    path,
    rest_quaternions,
    rest_wrists,
    start_pose,
    wrists,
)
from stable_signer.slul.plan import LONGEST_PLAN, SPEEDS, Draft, Nonmanual, Plan, Sentence, Sign

LEAD_IN = 0.12  # stillness before the hands rise, seconds
LEAD_OUT = 0.30  # stillness after the hands are back at rest
RISE, RETURN = 0.50, 0.60  # at least, from rest to a sign and back to rest
SHORTEST_STROKE = 0.24
CITATION = 0.45  # share of a dictionary form's length beyond the shortest stroke that is left in a sentence
LONGEST_STROKE = 0.90
SHORTEST_GAP = 0.14
SENTENCE_HOLD = 0.15  # the last sign of a sentence is held
NUMBER_GAP = 0.30  # between two numbers: groups of a telephone number must not run together


@dataclass(frozen=True)
class Stroke:
    """One prototype placed in time: `start` to `end` in seconds; `sign` is its sign's place in the plan."""

    prototype: Prototype
    start: float
    end: float
    sign: int = 0


def schedule(draft: Draft, lexicon: Lexicon, speed: float = 1.0) -> Plan:
    """Give every sign, non-manual span and sentence of a draft its time.

    speed: 1 is the default pace, 2 twice as fast; joints stay within their limits whatever the speed.
    Raises StableSignerError for a speed outside SPEEDS, or a gloss that the lexicon cannot sign.
    """
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise StableSignerError(f"speed {speed:g} is not possible: choose {SPEEDS[0]:g} to {SPEEDS[1]:g}")
    clock = _Clock(lexicon, speed)
    signs: list[Sign] = [clock.place(sign, length=_asked(sign) / speed) for sign in draft.signs]
    sentences: list[Sentence] = []
    first = 0
    for text, count in draft.sentences:
        members = [s for s in signs[first : first + count] if s.kind != "pause"]
        first += count
        at = sentences[-1].end if sentences else 0.0
        sentences.append(
            Sentence(text, members[0].start, members[-1].end) if members else Sentence(text, at, at)
        )
    spans = sorted(
        (Nonmanual(s.kind, signs[s.first].start, signs[s.last].end) for s in draft.spans),
        key=lambda n: n.start,
    )
    return Plan(
        text=draft.text,
        language=draft.language,
        signs=tuple(signs),
        nonmanuals=tuple(spans),
        sentences=tuple(sentences),
        planner=draft.planner,
        notes=draft.notes,
        dropped=draft.dropped,
    )


def _asked(sign: Sign) -> float:
    """Seconds that a draft asks for: a spelled word's `end` is its length, as a pause's is; 0 if it does
    not."""
    return sign.end - sign.start if sign.kind == "fingerspelled" else 0.0


def relax(plan: Plan, lexicon: Lexicon) -> Plan:
    """The same plan, later signs moved back where a hand-written time is shorter than the body can move.

    Spans and sentences move with the signs they cover. A plan that is possible comes back unchanged.
    """
    clock = _Clock(lexicon, speed=SPEEDS[1])
    old: list[float] = [0.0]
    new: list[float] = [0.0]
    signs = []
    for sign in plan.signs:
        placed = clock.place(sign, not_before=sign.start + (new[-1] - old[-1]), length=sign.end - sign.start)
        old += [sign.start, sign.end]
        new += [placed.start, placed.end]
        signs.append(placed)
    if np.allclose(old, new, atol=2e-3):
        return plan
    old.append(old[-1] + LONGEST_PLAN)
    new.append(new[-1] + LONGEST_PLAN)

    def moved(time: float) -> float:
        return float(np.interp(time, old, new))

    late = max(n - o for n, o in zip(new, old, strict=True))
    return replace(
        plan,
        signs=tuple(signs),
        nonmanuals=tuple(replace(n, start=moved(n.start), end=moved(n.end)) for n in plan.nonmanuals),
        sentences=tuple(replace(s, start=moved(s.start), end=moved(s.end)) for s in plan.sentences),
        notes=(
            *plan.notes,
            f"signs were moved back by up to {late:.2f} s, because the hands could not be so fast",
        ),
    )


def strokes(signs: Iterable[Sign], lexicon: Lexicon) -> list[Stroke]:
    """The prototypes of placed signs in time order, each sign's parts laid out within the sign's own time."""
    out: list[Stroke] = []
    for number, sign in enumerate(signs):
        if sign.kind == "pause":
            continue
        parts, length = _layout(sign, lexicon)
        scale = (sign.end - sign.start) / length
        out += [
            Stroke(p.prototype, sign.start + p.start * scale, sign.start + p.end * scale, number)
            for p in parts
        ]
    return out


class _Clock:
    """Walks through the signs and keeps when and how each limb was last busy."""

    def __init__(self, lexicon: Lexicon, speed: float) -> None:
        self.lexicon, self.speed = lexicon, speed
        rest = rest_quaternions()
        self.pose = {limb: rest[list(joints)] for limb, joints in LIMBS.items()}
        self.wrist = {limb: place[0] for limb, place in rest_wrists().items()}
        self.free = dict.fromkeys(LIMBS, LEAD_IN)
        self.now = LEAD_IN
        self.pause = 0.0
        self.started = self.counted = False

    def place(self, sign: Sign, not_before: float = 0.0, length: float = 0.0) -> Sign:
        """The sign with its times; a given `length` is kept if it is not shorter than the stroke can be."""
        if sign.kind == "pause":
            start = max(self.now, not_before)
            seconds = length or sign.end - sign.start
            self.pause += seconds
            self.now = start + seconds
            return replace(sign, start=start, end=self.now)
        parts, natural = _layout(sign, self.lexicon)
        earliest = self._earliest(parts[0].prototype)
        if sign.kind == "number" and self.counted and not self.pause:
            earliest = max(earliest, self.now + NUMBER_GAP / self.speed)
        start = max(earliest, not_before)
        fastest = natural / SPEEDS[1]
        end = start + max(length or natural / self.speed, fastest)
        for limb, joints in LIMBS.items():
            for part in reversed(parts):
                if part.prototype.uses(limb):
                    self.pose[limb] = end_pose(part.prototype)[list(joints)]
                    self.free[limb] = end
                    if limb in self.wrist:
                        self.wrist[limb] = wrists(part.prototype)[limb][1]
                    break
        self.now, self.pause, self.started, self.counted = end, 0.0, True, sign.kind == "number"
        doubtful = sign.approximate or any(part.prototype.approximate for part in parts)
        return replace(sign, start=start, end=end, approximate=doubtful)

    def _earliest(self, prototype: Prototype) -> float:
        gap = SHORTEST_GAP / self.speed + (SENTENCE_HOLD / self.speed if self.pause >= 0.4 else 0.0)
        earliest = self.now + (gap if self.started else 0.0)
        for limb in LIMBS:
            if prototype.uses(limb):
                needed = _way(limb, self.pose[limb], self.wrist.get(limb), prototype)
                if not self.started:
                    needed = max(needed, RISE)
                earliest = max(earliest, self.free[limb] + needed / min(self.speed, 1.0))
        return earliest


def travel_time(a: np.ndarray, b: np.ndarray, limits: np.ndarray) -> float:
    """Seconds that a minimum-jerk movement from pose a to b (J, 4) needs if joint j may turn limits[j]
    rad/s.
    """
    return float((rotation.MINIMUM_JERK_PEAK * rotation.turn_between(a, b) / limits).max())


def _way(limb: str, pose: np.ndarray, wrist: np.ndarray | None, prototype: Prototype) -> float:
    """Seconds that a limb needs from a pose (L, 4) and a wrist (3,) to the onset of a prototype."""
    joints = list(LIMBS[limb])
    seconds = travel_time(pose, start_pose(prototype)[joints], SPEED_LIMITS[joints])
    if wrist is None:  # the core has none
        return seconds
    way = float(np.linalg.norm(wrists(prototype)[limb][0] - wrist))
    return max(seconds, rotation.MINIMUM_JERK_PEAK * way / WRIST_LIMIT)


def _layout(sign: Sign, lexicon: Lexicon) -> tuple[list[Stroke], float]:
    """A sign's prototypes with times from its own start at natural pace, and its natural length in
    seconds.
    """
    if sign.kind == "fingerspelled":
        spelled = lexicon.spelled(sign.parts)
        return [Stroke(spelled, 0.0, spelled.duration)], spelled.duration
    parts = sign.parts or (sign.gloss,)
    if sign.kind == "number":
        return _in_a_row(_counted(parts, lexicon))
    return _in_a_row([lexicon.prototype(part) for part in parts])


def _counted(parts: Sequence[str], lexicon: Lexicon) -> list[Prototype]:
    """The prototypes of a number: digits that follow one another are signed in one go, palm out, as in a
    spelled word (47, the groups of a telephone number); everything else is a sign of its own."""
    out = []
    for single, group in itertools.groupby(parts, key=lambda part: len(part) == 1 and part.isdigit()):
        run = tuple(group)
        if single and len(run) > 1:
            out.append(lexicon.spelled(run))
        else:
            out += [lexicon.prototype(part) for part in run]
    return out


def _in_a_row(prototypes: Sequence[Prototype]) -> tuple[list[Stroke], float]:
    out: list[Stroke] = []
    at = 0.0
    for i, prototype in enumerate(prototypes):
        if i:
            previous = prototypes[i - 1]
            needed = max(
                (
                    _way(
                        limb,
                        end_pose(previous)[list(joints)],
                        wrists(previous).get(limb, [None, None])[1],
                        prototype,
                    )
                    for limb, joints in LIMBS.items()
                    if prototype.uses(limb) and previous.uses(limb)
                ),
                default=0.0,
            )
            at += max(SHORTEST_GAP, needed)
        length = stroke_length(prototype)
        out.append(Stroke(prototype, at, at + length))
        at += length
    return out, at


def stroke_length(prototype: Prototype) -> float:
    """Seconds that a prototype's stroke takes in a sentence at speed 1."""
    if prototype.source != "lexicon":  # built by rule: its length is already meant for sentences
        return prototype.duration
    recorded = (len(path(prototype)) - 1) / prototype.motion.fps
    shortened = SHORTEST_STROKE + CITATION * max(recorded - SHORTEST_STROKE, 0.0)
    return max(min(shortened, LONGEST_STROKE), _fastest(prototype))


@lru_cache(maxsize=4096)
def _fastest(prototype: Prototype) -> float:
    """Seconds in which the stroke can be made with every joint within its limit (SPEED_LIMITS)."""
    q = path(prototype)
    step = min(
        3, len(q) - 1
    )  # over three frames, and nine tenths of them: single frames carry tracking noise
    turns = rotation.turn_between(q[:-step], q[step:]) / step  # (T - step, J) radians a frame
    return float((np.quantile(turns, 0.9, axis=0) / SPEED_LIMITS).max()) * (len(q) - 1)
