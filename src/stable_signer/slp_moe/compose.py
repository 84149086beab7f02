"""From a plan to motion, first form: prototypes in sequence, co-articulated, with the face's grammar on top.

Each limb has its own timeline of strokes. Between two strokes of a limb the path is a quintic in rotation space that
leaves with the first stroke's velocity and arrives with the second's (minimum jerk when both are still). A hand that
has nothing to do for long sinks to rest; for short it waits where it is, as signers' weak hands do.
Every frame is a function of the plan, the seed and its own time, so that a long text can be made piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stable_signer.body import rotation
from stable_signer.body.motion import FPS, Motion
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe.clearance import keep_clear
from stable_signer.slp_moe.lexicon import Lexicon
from stable_signer.slp_moe.limbs import LIMBS, SPEED_LIMITS, path, rest_quaternions
from stable_signer.slp_moe.nonmanual import add_nonmanuals
from stable_signer.slp_moe.schedule import LEAD_OUT, LONGEST_PLAN, RETURN, Stroke, relax, strokes, travel_time
from stable_signer.slul.plan import Plan

WAIT = 0.9  # seconds a limb waits where it is before it sinks to rest
SINK = 0.10  # how far a waiting hand sinks towards rest (a share of the way)
MARGIN = 12  # frames around a piece that smoothing may look at
PIECE_FRAMES = 250  # longest piece, so that memory does not grow with the text


@dataclass(frozen=True)
class _Event:
    """A stroke on one limb: path (T, L, 4) from `start` to `end`."""

    start: float
    end: float
    path: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        progress = (times - self.start) / max(self.end - self.start, 1e-6)
        return rotation.resample(self.path, progress * (len(self.path) - 1))

    def velocity(self, last: bool) -> np.ndarray:
        """(L, 3) rad/s at the onset, or at the end of the stroke."""
        a, b = (self.path[-2], self.path[-1]) if last else (self.path[0], self.path[1])
        seconds = max(self.end - self.start, 1e-6) / (len(self.path) - 1)
        return rotation.log(rotation.multiply(rotation.conjugate(a), b)) / seconds


class Composer:
    """A plan made into motion. `pieces()` yields it in order, sentence by sentence, in constant memory.

    seed: two seeds differ in blinks, sway and small variations of timing, as two takes of one signer do.
    left_handed: mirrors the signer. fps: 10 to 60 frames per second.
    Raises StableSignerError for an fps out of range, an empty plan or one longer than an hour.
    """

    def __init__(
        self, plan: Plan, lexicon: Lexicon, *, seed: int = 0, left_handed: bool = False, fps: float = FPS
    ) -> None:
        if not 10 <= fps <= 60:
            raise StableSignerError(f"{fps:g} frames a second is not possible: choose 10 to 60")
        if not any(s.kind != "pause" for s in plan.signs):
            raise StableSignerError("the plan has no signs: give it at least one")
        if plan.duration > LONGEST_PLAN:
            raise StableSignerError(
                f"the plan lasts {plan.duration:.0f} s: split it into plans of at most {LONGEST_PLAN:.0f} s"
            )
        self.plan = relax(plan, lexicon)
        self.seed, self.left_handed, self.fps = seed, left_handed, fps
        self.strokes = strokes(self.plan.signs, lexicon)
        self.duration = self.plan.duration + RETURN + LEAD_OUT
        self.frame_count = int(np.ceil(self.duration * fps))
        rest = rest_quaternions()
        self._tracks = {
            name: _Track(self.strokes, name, rest[list(joints)], SPEED_LIMITS[list(joints)], self.plan.duration)
            for name, joints in LIMBS.items()
        }

    def boundaries(self) -> list[int]:
        """Frame numbers where pieces begin and end: in the middle of the pauses between sentences."""
        sentences = [s for s in self.plan.sentences if s.end > s.start]
        cuts = [round((a.end + b.start) / 2 * self.fps) for a, b in zip(sentences, sentences[1:], strict=False)]
        marks = sorted({0, *(c for c in cuts if 0 < c < self.frame_count), self.frame_count})
        out = [0]
        for mark in marks[1:]:
            while mark - out[-1] > PIECE_FRAMES:
                out.append(out[-1] + PIECE_FRAMES)
            out.append(mark)
        return out

    def pieces(self) -> Iterator[Motion]:
        """The motion in order; concatenated pieces equal `frames(0, frame_count)`."""
        marks = self.boundaries()
        for first, last in zip(marks, marks[1:], strict=False):
            yield self.frames(first, last)

    def frames(self, first: int, last: int) -> Motion:
        """Frames `first` (included) to `last` (not included)."""
        low, high = max(first - MARGIN, 0), min(last + MARGIN, self.frame_count)
        times = np.arange(low, high) / self.fps
        q = np.broadcast_to(rest_quaternions(), (len(times), *rest_quaternions().shape)).copy()  # (T, J, 4)
        for name, joints in LIMBS.items():
            q[:, list(joints)] = self._tracks[name].at(times)
        q = keep_clear(q)
        face = self._prototype_face(times)
        q, face, root = add_nonmanuals(q, face, times, self.plan, self.seed)
        keep = slice(first - low, last - low)
        motion = Motion(
            rotation.quaternion_to_six(q[keep]).astype(np.float32),
            face[keep].astype(np.float32),
            root[keep].astype(np.float32),
            self.fps,
        )
        return mirrored(motion) if self.left_handed else motion

    def _prototype_face(self, times: np.ndarray) -> np.ndarray:
        """(T, 52): the face that belongs to the signs themselves, faded in and out with each stroke."""
        face = np.zeros((len(times), 52))
        fade = 0.12
        for stroke in self.strokes:
            near = (times > stroke.start - fade) & (times < stroke.end + fade)
            if not near.any():
                continue
            source = stroke.prototype.motion.face
            progress = np.clip((times[near] - stroke.start) / max(stroke.end - stroke.start, 1e-6), 0, 1)
            at = progress * (len(source) - 1)
            low = np.minimum(at.astype(int), len(source) - 1)
            high = np.minimum(low + 1, len(source) - 1)
            values = source[low] + (source[high] - source[low]) * (at - low)[:, None]
            weight = np.minimum((times[near] - stroke.start + fade) / fade, (stroke.end + fade - times[near]) / fade)
            face[near] += values * rotation.minimum_jerk(weight)[:, None]
        return np.clip(face, 0, 1)


def compose(
    plan: Plan, lexicon: Lexicon, *, seed: int = 0, left_handed: bool = False, fps: float = FPS
) -> Motion:
    """The whole motion of a plan at once; see Composer."""
    pieces = list(Composer(plan, lexicon, seed=seed, left_handed=left_handed, fps=fps).pieces())
    return Motion(
        np.concatenate([p.rotations for p in pieces]),
        np.concatenate([p.face for p in pieces]),
        np.concatenate([p.root for p in pieces]),
        fps,
    )


def mirrored(motion: Motion) -> Motion:
    """The motion as a left-handed signer makes it: left and right swapped in joints, face and sway."""
    body = Body.load()
    # The mirror x -> -x conjugates a rotation matrix: entries with exactly one x index change sign.
    signs = np.array([1, -1, -1, -1, 1, 1], dtype=np.float32)
    return Motion(
        motion.rotations[:, body.mirror_index()] * signs,
        motion.face[:, body.face_mirror_index()],
        motion.root * np.array([-1, 1, 1], dtype=np.float32),
        motion.fps,
    )


class _Track:
    """One limb's way through the plan."""

    def __init__(self, all_strokes: list[Stroke], limb: str, rest: np.ndarray, limits: np.ndarray, end: float) -> None:
        joints = list(LIMBS[limb])
        self.rest, self.limits = rest, limits
        self.events = [
            _Event(s.start, s.end, path(s.prototype)[:, joints]) for s in all_strokes if s.prototype.uses(limb)
        ]
        self.starts = np.array([e.start for e in self.events])

    def at(self, times: np.ndarray) -> np.ndarray:
        """(N,) seconds -> (N, L, 4)."""
        out = np.broadcast_to(self.rest, (len(times), *self.rest.shape)).copy()
        if not self.events:
            return out
        index = np.searchsorted(self.starts, times, side="right") - 1  # the event begun last, -1 before the first
        for i in np.unique(index):
            here = np.flatnonzero(index == i)
            before = self.events[i] if i >= 0 else None
            after = self.events[i + 1] if i + 1 < len(self.events) else None
            if before is not None:
                inside = here[times[here] <= before.end]
                out[inside] = before.at(times[inside])
                here = here[times[here] > before.end]
            if len(here):
                out[here] = self._between(before, after, times[here])
        return out

    def _between(self, before: _Event | None, after: _Event | None, times: np.ndarray) -> np.ndarray:
        """The way from one stroke to the next, by rest if there is time for it."""
        still = np.zeros((len(self.rest), 3))
        if before is None:
            assert after is not None
            rise = self._seconds(self.rest, after.path[0], RETURN)
            return rotation.bridge(self.rest, after.path[0], still, 0.5 * after.velocity(last=False), rise,
                                   times - (after.start - rise))
        if after is None:
            fall = self._seconds(before.path[-1], self.rest, RETURN)
            return rotation.bridge(before.path[-1], self.rest, 0.5 * before.velocity(last=True), still, fall,
                                   times - before.end)
        gap = after.start - before.end
        direct = self._seconds(before.path[-1], after.path[0], 0.0)
        away = self._seconds(before.path[-1], self.rest, 0.5) + self._seconds(self.rest, after.path[0], 0.45)
        if gap > max(away + 0.2, WAIT):
            middle = times < before.end + gap / 2
            return np.where(middle[:, None, None], self._between(before, None, times),
                            self._between(None, after, times))
        if gap <= 1.4 * direct + 0.1:
            return rotation.bridge(before.path[-1], after.path[0], 0.5 * before.velocity(last=True),
                                   0.5 * after.velocity(last=False), gap, times - before.end)
        # Long enough to wait: slow down into a hold that sinks a little, then go.
        go = min(1.25 * direct + 0.08, gap)
        hold = rotation.slerp(before.path[-1], self.rest, SINK)
        leave = after.start - go
        waiting = rotation.bridge(before.path[-1], hold, 0.5 * before.velocity(last=True), still, gap - go,
                                  times - before.end)
        going = rotation.bridge(hold, after.path[0], still, 0.5 * after.velocity(last=False), go, times - leave)
        return np.where((times < leave)[:, None, None], waiting, going)

    def _seconds(self, a: np.ndarray, b: np.ndarray, at_least: float) -> float:
        return max(at_least, travel_time(a, b, self.limits), 0.04)
