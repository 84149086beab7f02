"""From a plan to motion, first form: prototypes in sequence, co-articulated, with the face's grammar on top.

Each limb has its own timeline of strokes. Between two strokes of a limb the path is a quintic in rotation
space that leaves with the first stroke's velocity and arrives with the second's (minimum jerk when both are
still). A hand that has nothing to do for long sinks to rest; for short it waits where it is, as signers' weak
hands do. Every frame is a function of the plan, the seed and its own time, so that a long text can be made
piece by piece.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from stable_signer.body import rotation
from stable_signer.body.motion import FPS, Motion, joined
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe.clearance import keep_clear, keep_in_view, kinematics, move_wrist
from stable_signer.slp_moe.lexicon import Lexicon
from stable_signer.slp_moe.limbs import LIMBS, SPEED_LIMITS, path, rest_quaternions
from stable_signer.slp_moe.nonmanual import add_nonmanuals
from stable_signer.slp_moe.schedule import (
    LEAD_OUT,
    RETURN,
    RISE,
    Stroke,
    relax,
    strokes,
    travel_time,
)
from stable_signer.slul.plan import LONGEST_PLAN, Plan

WAIT = 0.9  # seconds a limb waits where it is before it sinks to rest
SINK = 0.10  # how far a waiting hand sinks towards rest (a share of the way)
CARRY = 0.5  # share of a stroke's speed that the way from or to it takes over
STRAIGHT = 0.75  # how far the way between signs is drawn towards a straight line
MARGIN = 36  # frames around a piece that smoothing may look at
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


@dataclass(frozen=True)
class _Move:
    """The way of one limb from pose a to pose b (L, 4), with angular velocities (L, 3) rad/s at its ends."""

    start: float
    end: float
    a: np.ndarray
    b: np.ndarray
    leave: np.ndarray
    arrive: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        return rotation.bridge(
            self.a, self.b, self.leave, self.arrive, self.end - self.start, times - self.start
        )


_T = TypeVar("_T", _Event, _Move)


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
        self.prior = PriorPath(self.strokes)

    def boundaries(self) -> list[int]:
        """Frame numbers where pieces begin and end: in the middle of the pauses between sentences."""
        sentences = [s for s in self.plan.sentences if s.end > s.start]
        cuts = [round((a.end + b.start) / 2 * self.fps) for a, b in itertools.pairwise(sentences)]
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
        for first, last in itertools.pairwise(marks):
            yield self.frames(first, last)

    def frames(self, first: int, last: int) -> Motion:
        """Frames `first` (included) to `last` (not included)."""
        low, high = max(first - MARGIN, 0), min(last + MARGIN, self.frame_count)
        times = np.arange(low, high) / self.fps
        q, face = self.expressed(*self.prior.at(times), times)
        q, face, root = add_nonmanuals(q, face, times, self.plan, self.seed)
        q = keep_clear(keep_in_view(q))  # last: a head that nods must not meet a hand that touches it
        keep = slice(first - low, last - low)
        motion = Motion(
            rotation.quaternion_to_six(q[keep]).astype(np.float32),
            face[keep].astype(np.float32),
            root[keep].astype(np.float32),
            self.fps,
        )
        return mirrored(motion) if self.left_handed else motion

    def expressed(self, q: np.ndarray, face: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is made of the prior's pose q (T, J, 4) and face (T, 52): here, nothing is added."""
        return q, face


class PriorPath:
    """The prior's movement through strokes: each limb from stroke to stroke, the wrists on straight ways.

    Every frame is a function of its own time.
    """

    def __init__(self, strokes: list[Stroke]) -> None:
        self.strokes = strokes
        rest = rest_quaternions()
        self._tracks = {
            name: _Track(strokes, name, rest[list(joints)], SPEED_LIMITS[list(joints)])
            for name, joints in LIMBS.items()
        }

    def at(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N,) ascending seconds -> pose (N, J, 4) and face (N, 52)."""
        q = np.broadcast_to(rest_quaternions(), (len(times), *rest_quaternions().shape)).copy()  # (T, J, 4)
        for name, joints in LIMBS.items():
            q[:, list(joints)] = self._tracks[name].at(times)
        return self._straighten(q, times), self._face(times)

    def _straighten(self, q: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Draw the wrists' ways between signs towards straight lines: people move their hands so (Flash &
        Hogan 1985), while turning every joint evenly swings the hand out in an arc."""
        for limb, side in (("right", "R"), ("left", "L")):
            joints, wrist = list(LIMBS[limb]), Body.load().index[f"wrist.{side}"]
            moves = [m for m in self._tracks[limb].near_moves(times) if m.end - m.start > 0.1]
            if not moves:
                continue
            ends = np.broadcast_to(rest_quaternions(), (2 * len(moves), *rest_quaternions().shape)).copy()
            ends[:, joints] = np.concatenate([[m.a, m.b] for m in moves])
            places = kinematics(ends)[1][:, wrist].reshape(-1, 2, 3)
            now = kinematics(q)[1][:, wrist]
            shift = np.zeros((len(times), 3))
            for move, (a, b) in zip(moves, places, strict=True):
                inside = (times > move.start) & (times < move.end)
                x = ((times[inside] - move.start) / (move.end - move.start))[:, None]
                line = a + (b - a) * rotation.minimum_jerk(x)
                shift[inside] = STRAIGHT * np.sin(np.pi * x) ** 2 * (line - now[inside])
            q = move_wrist(q, side, shift)
        return q

    def _face(self, times: np.ndarray) -> np.ndarray:
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
            weight = np.minimum(
                (times[near] - stroke.start + fade) / fade, (stroke.end + fade - times[near]) / fade
            )
            face[near] += values * rotation.minimum_jerk(weight)[:, None]
        return np.clip(face, 0, 1)


def compose(
    plan: Plan, lexicon: Lexicon, *, seed: int = 0, left_handed: bool = False, fps: float = FPS
) -> Motion:
    """The whole motion of a plan at once; see Composer."""
    return joined(Composer(plan, lexicon, seed=seed, left_handed=left_handed, fps=fps).pieces())


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

    def __init__(self, all_strokes: list[Stroke], limb: str, rest: np.ndarray, limits: np.ndarray) -> None:
        joints = list(LIMBS[limb])
        self.rest, self.limits = rest, limits
        self.events = [
            _Event(s.start, s.end, path(s.prototype)[:, joints])
            for s in all_strokes
            if s.prototype.uses(limb)
        ]
        chain = [None, *self.events, None]
        self.moves = [m for a, b in itertools.pairwise(chain) for m in self._moves(a, b)]

    def at(self, times: np.ndarray) -> np.ndarray:
        """(N,) seconds -> (N, L, 4)."""
        out = np.broadcast_to(self.rest, (len(times), *self.rest.shape)).copy()
        for event in self._near(self.events, times):
            inside = (times >= event.start) & (times <= event.end)
            out[inside] = event.at(times[inside])
        for move in self._near(self.moves, times):
            inside = (times > move.start) & (times < move.end)
            out[inside] = move.at(times[inside])
        return out

    @staticmethod
    def _near(items: list[_T], times: np.ndarray) -> list[_T]:
        """The items of a time-ordered list that overlap the times."""
        first = bisect.bisect_left(items, times[0], key=lambda item: item.end)
        last = bisect.bisect_right(items, times[-1], key=lambda item: item.start)
        return items[first:last]

    def near_moves(self, times: np.ndarray) -> list[_Move]:
        """The ways between strokes that overlap the times."""
        return self._near(self.moves, times)

    def _moves(self, before: _Event | None, after: _Event | None) -> list[_Move]:
        """The way from one stroke to the next (or from and to rest), by rest if there is time for it."""
        still = np.zeros((len(self.rest), 3))
        if before is None and after is None:
            return []
        if before is None:
            assert after is not None
            arrive = CARRY * after.velocity(last=False)
            rise = self._seconds(self.rest, after.path[0], RISE)
            return [_Move(after.start - rise, after.start, self.rest, after.path[0], still, arrive)]
        leave = CARRY * before.velocity(last=True)
        if after is None:
            fall = self._seconds(before.path[-1], self.rest, RETURN)
            return [_Move(before.end, before.end + fall, before.path[-1], self.rest, leave, still)]
        arrive = CARRY * after.velocity(last=False)
        gap = after.start - before.end
        direct = self._seconds(before.path[-1], after.path[0], 0.0)
        away = self._seconds(before.path[-1], self.rest, RETURN) + self._seconds(
            self.rest, after.path[0], RISE
        )
        if gap > max(away + 0.2, WAIT):
            return self._moves(before, None) + self._moves(None, after)
        if gap <= 1.4 * direct + 0.1:
            return [_Move(before.end, after.start, before.path[-1], after.path[0], leave, arrive)]
        # Long enough to wait: slow down into a hold that sinks a little, then go.
        go = min(1.25 * direct + 0.08, gap)
        hold = rotation.slerp(before.path[-1], self.rest, SINK)
        return [
            _Move(before.end, after.start - go, before.path[-1], hold, leave, still),
            _Move(after.start - go, after.start, hold, after.path[0], still, arrive),
        ]

    def _seconds(self, a: np.ndarray, b: np.ndarray, at_least: float) -> float:
        return max(at_least, travel_time(a, b, self.limits), 0.04)
