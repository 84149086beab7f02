"""The grammar of face and head, and the small movements of a living body.

What each span does is a table (`ACTIONS`), from NCSLGR (native signers): brows lowered in 191 of 200
wh-questions, raised in 80 of 93 yes/no questions, in 276 of 283 topics and 73 of 78 conditionals; headshake
with 167 of 173 negations. How strongly is our choice, set by looking at rendered faces.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stable_signer.body import rotation
from stable_signer.body.skeleton import Body
from stable_signer.slul.plan import Plan

ONSET, RELEASE = 0.22, 0.25  # seconds a span takes to build up (before its first sign) and to let go
LEXICAL_BROWS = 0.25  # share of a prototype's own brow movement that is kept: brows belong to grammar


@dataclass(frozen=True)
class Action:
    """What a non-manual does. `face`: ARKit action -> 0..1. Head angles in degrees: `nod` forward, `tilt` to
    the signer's right, `turn` to the signer's left. `shake` and `nodding`: amplitude in degrees of a repeated
    movement at `rate` Hz."""

    face: dict[str, float] = field(default_factory=dict)
    nod: float = 0.0
    tilt: float = 0.0
    turn: float = 0.0
    shake: float = 0.0
    nodding: float = 0.0
    rate: float = 1.9


def _both(**values: float) -> dict[str, float]:
    return {name + side: value for name, value in values.items() for side in ("Left", "Right")}


BROWS_UP = {"browInnerUp": 1.0} | _both(browOuterUp=1.0, eyeWide=0.5)
BROWS_DOWN = _both(browDown=1.0, eyeSquint=0.4)
RESTING = _both(mouthSmile=0.14)  # without it the parametric face looks stern
ACTIONS: dict[str, Action] = {
    "wh-question": Action(BROWS_DOWN, nod=5, tilt=5),
    "yes-no-question": Action(BROWS_UP, nod=8),
    "negation": Action(_both(browDown=0.4, mouthFrown=0.45), shake=13, rate=1.8),
    "topic": Action(BROWS_UP, nod=-4, tilt=-3),
    "conditional": Action(BROWS_UP, nod=-2, tilt=7),
    "relative-clause": Action({"browInnerUp": 0.6} | _both(browOuterUp=0.6, cheekSquint=0.5), nod=-5),
    "affirmation": Action({"browInnerUp": 0.2} | _both(mouthSmile=0.2), nodding=7, rate=1.7),
    "intensity": Action(_both(eyeSquint=0.6, browDown=0.3, mouthStretch=0.4), nod=3),
    "mouth": Action({"mouthFunnel": 0.45, "jawOpen": 0.12}),
    "gaze": Action(_both(eyeLookDown=0.1), turn=12),
}
SEEN = 0.5  # from this strength on an action counts as what it is called


def shows(kind: str) -> tuple[str, ...]:
    """What a span of this kind lets face and head be seen to do, in the words of NCSLGR's tiers
    (`corpora/ncslgr.py`, FACE)."""
    action = ACTIONS[kind]
    seen = {
        "brows-raised": action.face.get("browInnerUp", 0) >= SEEN,
        "brows-lowered": action.face.get("browDownLeft", 0) >= SEEN,
        "headshake": action.shake > 0,
        kind: kind in ("mouth", "gaze"),
    }
    return tuple(name for name, is_seen in seen.items() if is_seen)


HEAD_SHARE = {"neck01": 0.2, "neck02": 0.2, "neck03": 0.25, "head": 0.35}


def add_nonmanuals(
    q: np.ndarray, face: np.ndarray, times: np.ndarray, plan: Plan, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay grammar, blinks, breath and sway over a motion.

    q (T, J, 4), face (T, 52), times (T,) seconds of the plan. Returns q, face and root (T, 3) metres. Each
    frame depends on its own time, the plan and the seed only.
    """
    body = Body.load()
    face = face.copy()
    for name, i in body.face_index.items():
        if name.startswith("brow"):
            face[:, i] *= LEXICAL_BROWS
    for name, value in RESTING.items():
        face[:, body.face_index[name]] = np.maximum(face[:, body.face_index[name]], value)
    angles = np.zeros((len(times), 3))  # nod, tilt, turn in degrees
    for span in plan.nonmanuals:
        action = ACTIONS[span.kind]
        weight = envelope(times, span.start, span.end)
        if not weight.any():
            continue
        for name, value in action.face.items():
            i = body.face_index[name]
            face[:, i] = np.maximum(face[:, i], value * weight)
        angles += weight[:, None] * np.array([action.nod, action.tilt, action.turn])
        phase = 2 * np.pi * action.rate * (times - span.start)
        angles[:, 2] += weight * action.shake * np.sin(phase)
        angles[:, 0] += weight * action.nodding * (0.5 - 0.5 * np.cos(phase))
    _blink(face, times, plan, seed, body)
    sway = _Sway(seed)
    angles += sway.read(times, 0, 3, degrees_or_metres=1.1)
    q = _turn_head(q, angles, body)
    q = _breathe(q, times, sway, body)
    return (
        q,
        np.clip(face, 0, 1),
        sway.read(times, 3, 3, degrees_or_metres=0.004) * np.array([1.0, 0.6, 0.15]),
    )


def envelope(times: np.ndarray, start: float, end: float) -> np.ndarray:
    """0..1: builds up before `start`, as a signer's face does, and lets go after `end`."""
    up = rotation.minimum_jerk((times - (start - ONSET)) / ONSET)
    down = rotation.minimum_jerk((end + RELEASE - times) / RELEASE)
    return np.minimum(up, down)


def _turn_head(q: np.ndarray, degrees: np.ndarray, body: Body) -> np.ndarray:
    out = q.copy()
    for name, share in HEAD_SHARE.items():
        j = body.index[name]
        # x points to the signer's left, -y forward, z up: nodding turns about +x, tilting about y, turning
        # about z.
        turn = rotation.exp(np.radians(degrees * share)[:, [0, 1, 2]])
        out[:, j] = rotation.multiply(turn, out[:, j])
    return out


def _breathe(q: np.ndarray, times: np.ndarray, sway: _Sway, body: Body) -> np.ndarray:
    breath = np.sin(2 * np.pi * 0.26 * times + sway.phases[0, 0])
    lean = sway.read(times, 6, 3, degrees_or_metres=0.9)
    for name, nod in (("spine03", -0.35), ("spine02", -0.35), ("spine01", 0.25)):
        j = body.index[name]
        angles = np.zeros((len(times), 3))
        angles[:, 0] = nod * breath
        angles += lean * 0.33
        q[:, j] = rotation.multiply(rotation.exp(np.radians(angles)), q[:, j])
    for name, sign in (("clavicle.R", 1.0), ("clavicle.L", -1.0)):
        j = body.index[name]
        lift = np.zeros((len(times), 3))
        lift[:, 1] = sign * 0.5 * breath
        q[:, j] = rotation.multiply(rotation.exp(np.radians(lift)), q[:, j])
    return q


def _blink(face: np.ndarray, times: np.ndarray, plan: Plan, seed: int, body: Body) -> None:
    """Signers blink between phrases: blinks come every few seconds and prefer the ends of sentences."""
    closed = np.zeros(len(times))
    for at in _blink_times(plan, seed):
        shut = np.minimum((times - at) / 0.07, (at + 0.20 - times) / 0.13)
        closed = np.maximum(closed, rotation.minimum_jerk(shut))
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        i = body.face_index[name]
        face[:, i] = np.maximum(face[:, i] * 0.4, closed)
    for name in ("eyeWideLeft", "eyeWideRight"):
        face[:, body.face_index[name]] *= 1 - closed


def _blink_times(plan: Plan, seed: int) -> list[float]:
    rng = np.random.default_rng([seed, 1])
    ends = np.array([s.end for s in plan.sentences])
    out: list[float] = []
    at = float(rng.uniform(0.6, 2.0))
    while at < plan.duration + 2:
        near = ends[np.abs(ends + 0.1 - at) < 0.8] if len(ends) else ends
        out.append(float(near[0]) + 0.1 if len(near) else at)
        at = max(at, out[-1]) + float(rng.uniform(2.2, 5.0))
    return out


class _Sway:
    """Slow smooth noise: sums of three sines of seeded phases and rates, each channel within about [-1,
    1].
    """

    CHANNELS = 9

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 2])
        self.rates = rng.uniform([0.08, 0.2, 0.4], [0.16, 0.35, 0.7], (self.CHANNELS, 3))  # Hz
        self.phases = rng.uniform(0, 2 * np.pi, (self.CHANNELS, 3))

    def read(self, times: np.ndarray, first: int, count: int, degrees_or_metres: float) -> np.ndarray:
        """(T, count) channels from `first`, scaled."""
        channels = slice(first, first + count)
        waves = np.sin(
            2 * np.pi * self.rates[channels] * times[:, None, None] + self.phases[channels]
        )  # (T, C, 3)
        return degrees_or_metres * (waves @ np.array([0.55, 0.3, 0.15]))
