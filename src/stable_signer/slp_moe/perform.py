"""SLP-MoE at work: a composer whose prior the experts complete, sign by sign.

For every stroke the network sees the prior in a window around it and the sign's condition, and says what to
add. Within the stroke that is added as it is; on the way to the next stroke of the same limb one sign's
addition passes over into the other's, and it fades where the limb comes from rest or goes there. Every frame
remains a function of the plan, the seed and its own time, so that long texts are made piece by piece.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

import numpy as np
import torch

from stable_signer.body import rotation
from stable_signer.body.motion import FPS
from stable_signer.slp_moe import residual as rs
from stable_signer.slp_moe.compose import Composer
from stable_signer.slp_moe.condition import (
    AROUND,
    GRID,
    SOURCES,
    SignCondition,
    codes,
    frame_features,
)
from stable_signer.slp_moe.lexicon import Lexicon
from stable_signer.slp_moe.manner import Manner
from stable_signer.slp_moe.model import SlpMoe, collate, smooth_noise
from stable_signer.slp_moe.schedule import Stroke
from stable_signer.slp_moe.touch import keep_touch
from stable_signer.slul.decode import one_thread
from stable_signer.slul.linker import Linker, neighbours
from stable_signer.slul.plan import Plan

_SOURCE = {"phonology": SOURCES.index("phonology"), "alphabet": SOURCES.index("alphabet")}
_KEPT = 48  # strokes whose additions are remembered
EDGE = 0.16  # seconds around a trusted stroke in which the experts take over
HABIT = 0.5  # share of the variance of a take that is a signer's own habit, where a signer is named
_LIMB = {
    "right": np.arange(rs.SIDE),
    "left": np.arange(rs.SIDE, 2 * rs.SIDE),
    "core": np.array([*rs.HEADS, *rs.FACES]),
}


@dataclass(frozen=True)
class _Added:
    """What is added around one stroke: rows (T, CHANNELS) from `first` seconds on, GRID a second."""

    first: float
    rows: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        """(N, CHANNELS), held beyond its ends."""
        return rotation.between_rows(self.rows, (times - self.first) * GRID)


class ExpertComposer(Composer):
    """A plan made into motion by SLP-MoE; see Composer for its pieces, frames and errors.

    moe: the network. linker: SLUL's states. manner: how to sign, see `manner.Manner`.
    """

    def __init__(
        self,
        plan: Plan,
        lexicon: Lexicon,
        moe: SlpMoe,
        linker: Linker,
        *,
        seed: int = 0,
        left_handed: bool = False,
        fps: float = FPS,
        manner: Manner | None = None,
    ) -> None:
        super().__init__(plan, lexicon, seed=seed, left_handed=left_handed, fps=fps)
        self.moe, self.manner = moe, manner or Manner()
        states = linker.states(self.plan)
        signed = [k for k, s in enumerate(self.plan.signs) if s.kind != "pause"]
        self._linker = dict(zip(signed, neighbours(states[signed]), strict=True))
        self._on = {name: [k for k, s in enumerate(self.strokes) if s.prototype.uses(name)] for name in _LIMB}
        self._starts = {name: [self.strokes[k].start for k in on] for name, on in self._on.items()}
        self._added: dict[int, _Added] = {}

    def expressed(self, q: np.ndarray, face: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The prior's pose q (T, J, 4) and face (T, 52) with what the experts add."""
        rows = np.zeros((len(times), rs.CHANNELS))
        for name, channels in _LIMB.items():
            for place in self._near(name, times):
                weight = self._weight(name, place, times)
                inside = weight > 0
                if inside.any():
                    added = self.added(self._on[name][place]).at(times[inside])
                    rows[np.flatnonzero(inside)[:, None], channels] += (
                        added[:, channels] * weight[inside, None]
                    )
        return rs.decode(q, face, rows)

    def added(self, number: int) -> _Added:
        """What the experts add around stroke `number`."""
        if number not in self._added:
            if len(self._added) >= _KEPT:
                del self._added[min(self._added)]
            self._added[number] = self._ask(self.strokes[number], number)
        return self._added[number]

    def _ask(self, stroke: Stroke, number: int) -> _Added:
        count = max(2, round((stroke.end - stroke.start) * GRID))
        times = stroke.start + np.arange(-AROUND, count + AROUND + 1) / GRID
        q, face = self.prior.at(times)
        features = frame_features(q, face, times, stroke.start, stroke.end, stroke.prototype.two_handed)
        sign, known = self._condition(stroke)
        noise = self.manner.variation * self._noise(len(times), number)
        rows = ask(self.moe, features, sign, known, noise, _inside(times, stroke))
        return _Added(float(times[0]), keep_touch(q, face, rows, stroke.prototype.two_handed))

    def _noise(self, frames: int, number: int) -> np.ndarray:
        """(frames, CHANNELS): this take's own, and the signer's, which is the same in every sign."""
        take = smooth_noise(frames, np.random.default_rng([self.seed, number]))
        if self.manner.signer is None:
            return take
        habit = np.random.default_rng([self.manner.signer]).standard_normal(rs.CHANNELS)
        return np.asarray(np.sqrt(1 - HABIT) * take + np.sqrt(HABIT) * habit, dtype=np.float32)

    def _condition(self, stroke: Stroke) -> tuple[SignCondition, np.ndarray]:
        prototype = stroke.prototype
        middle = (stroke.start + stroke.end) / 2
        intense = any(n.kind == "intensity" and n.start <= middle <= n.end for n in self.plan.nonmanuals)
        emphasis = self.manner.emphasis + (1.0 if intense else 0.0)
        pace = np.log(max(stroke.end - stroke.start, 1 / GRID) / max(prototype.duration, 1 / GRID))
        numbers, flags = codes(prototype.gloss)
        manner = np.array([np.clip(pace, -1, 1), self.manner.size, emphasis], np.float32)
        known = np.array([1.0, float(self.manner.size != 0), float(emphasis != 0)], np.float32)
        source = _SOURCE.get(prototype.source, SOURCES.index("recorded"))
        return SignCondition(numbers, flags, source, self._linker[stroke.sign], manner), known

    # --- where one sign's addition passes over into the next ---

    def _near(self, limb: str, times: np.ndarray) -> range:
        """Places in the limb's list of strokes whose additions reach into `times`."""
        reach = 2 * AROUND / GRID
        starts = self._starts[limb]
        first = max(bisect.bisect_left(starts, times[0] - reach) - 1, 0)
        while first > 0 and self.strokes[self._on[limb][first - 1]].end > times[0] - reach:
            first -= 1
        return range(first, bisect.bisect_right(starts, times[-1] + reach))

    def _weight(self, limb: str, place: int, times: np.ndarray) -> np.ndarray:
        """(N,) how much of a stroke's addition counts: 1 in the stroke, less towards its neighbours."""
        on = self._on[limb]
        stroke = self.strokes[on[place]]
        before = self.strokes[on[place - 1]].end if place else -np.inf
        after = self.strokes[on[place + 1]].start if place + 1 < len(on) else np.inf
        return np.asarray(
            np.minimum(
                _fade(stroke.start - times, stroke.start - before),
                _fade(times - stroke.end, after - stroke.end),
            )
        )


def ask(
    moe: SlpMoe,
    features: np.ndarray,
    sign: SignCondition,
    known: np.ndarray,
    noise: np.ndarray,
    inside: np.ndarray,
) -> np.ndarray:
    """What the experts add to a prior with these features (T, FEATURES): (T, CHANNELS).

    noise: (T, CHANNELS) of this take. inside: (T,) 1 in the stroke, 0 away from it. The experts are asked
    twice, with the noise and without: what they expect is taken back where the prior is right as it is. That
    is the whole stroke of a sign that was recorded or written by hand, and the fingers of every sign: the
    handshape is what phonology knows exactly, and the mean of many people's hands blurs it.
    """
    with one_thread:
        batch = collate([features] * 2, [sign] * 2, [known] * 2)
        both = np.stack([noise, np.zeros_like(noise)]).astype(np.float32)
        rows, mean = moe.sample(batch, torch.from_numpy(both)).numpy().astype(float)
    if sign.source == SOURCES.index("phonology"):
        kept = np.isin(np.arange(rs.CHANNELS), rs.FINGERS)[None]
    else:
        kept = inside[:, None]
    return np.asarray(rows - mean * kept)


def _inside(times: np.ndarray, stroke: Stroke) -> np.ndarray:
    """(N,) 1 in the stroke, falling to 0 within EDGE seconds around it.

    What is recorded or written by hand is right as it is: there, of what the experts say, only how this take
    strays from their expectation is added. How the hand comes and goes is theirs altogether.
    """
    past = np.maximum(np.maximum(stroke.start - times, times - stroke.end), 0)
    return np.asarray(1 - rotation.minimum_jerk(past / EDGE))


def _fade(past: np.ndarray, gap: float) -> np.ndarray:
    """1 up to the stroke's end, 0 where the gap to a near neighbour ends or AROUND frames later.

    The weights of two near neighbours add up to 1 in the gap between them.
    """
    length = gap if gap < 2 * AROUND / GRID else AROUND / GRID
    if length <= 1e-6:
        return np.asarray((past <= 0).astype(float))
    return np.asarray(1 - rotation.minimum_jerk(past / length))
