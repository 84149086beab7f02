"""Training pairs: what a prior does for a sign, and what a person did who signed it.

A pair is a window of frames around one stroke: the prior's features, and the residual (see residual.py) from
the prior to a real take whose stroke is laid over the prior's. What a take does not show is masked.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from stable_signer.body import rotation
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe import residual as rs
from stable_signer.slp_moe.compose import PriorPath
from stable_signer.slp_moe.condition import AROUND, GRID, SOURCES, codes, frame_features
from stable_signer.slp_moe.lexicon import Prototype
from stable_signer.slp_moe.schedule import Stroke

GROUPS = ("phonology", "transition", "takes", "spelling")
ONSET = 1.0  # seconds from rest to the stroke in a pair's own plan


@dataclass(frozen=True)
class Take:
    """One person's sign: q (T, J, 4) at 25 fps, face (T, 52), the stroke's first frame and the one after its
    last, whether the left hand signs too. fingers, face_seen: how far these can be trusted, 0 to 1."""

    name: str
    gloss: str
    q: np.ndarray
    face: np.ndarray
    stroke: tuple[int, int]
    two_handed: bool
    fingers: float = 1.0
    face_seen: float = 1.0

    @property
    def seconds(self) -> float:
        """Of the stroke."""
        return (self.stroke[1] - 1 - self.stroke[0]) / GRID


@dataclass(frozen=True)
class Pair:
    """One window: features (T,F), target and mask (T,CHANNELS), with the sign's condition.

    group: what it teaches ("phonology", "transition", "takes", "spelling"). manner, known: (3,), see
    SignCondition.
    """

    gloss: str
    group: str
    source: int
    features: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    codes: np.ndarray
    flags: np.ndarray
    manner: np.ndarray
    known: np.ndarray


def window(prototype: Prototype, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """A prior around one stroke: times (T,), q (T, J, 4), face (T, 52) and when the stroke ends."""
    count = max(2, round(seconds * GRID))
    end = ONSET + count / GRID
    times = ONSET + np.arange(-AROUND, count + AROUND + 1) / GRID
    q, face = PriorPath([Stroke(prototype, ONSET, end)]).at(times)
    return times, q, face, end


def make(prototype: Prototype, seconds: float, take: Take, group: str) -> Pair:
    """The pair of a prior, `seconds` long, and a take of the same sign."""
    times, q, face, end = window(prototype, seconds)
    inside = (times > ONSET - 1e-6) & (times < end + 1e-6)
    first, last = take.stroke[0], take.stroke[1] - 1
    frames = np.where(times < ONSET, first, last).astype(float)
    if group == "transition":  # the stroke is masked: no need to look for what belongs together
        frames[inside] = np.linspace(first, last, int(inside.sum()))
    else:
        frames[inside] = first + laid_over(q[inside], take.q[first : last + 1], prototype.two_handed)
    frames = frames + np.minimum(times - ONSET, 0) * GRID + np.maximum(times - end, 0) * GRID
    seen = (frames >= 0) & (frames <= len(take.q) - 1)
    goal = rotation.resample(take.q, frames)
    at = np.clip(np.round(frames).astype(int), 0, len(take.q) - 1)
    target = rs.encode(q, face, goal, take.face[at])
    mask = np.zeros_like(target)
    mask[seen] = 1
    mask[:, rs.FINGERS] *= take.fingers
    mask[:, rs.FACES + rs.HEADS] *= take.face_seen
    if not (prototype.two_handed and take.two_handed):
        mask[:, rs.SIDE : 2 * rs.SIDE] = 0
    if group == "transition":
        mask[inside] = 0
    numbers, flags = codes(take.gloss)
    manner, known = _manner(q[inside], goal[inside], take, seconds)
    return Pair(
        take.gloss, group, SOURCES.index("phonology" if group == "phonology" else "recorded"),
        frame_features(q, face, times, ONSET, end, prototype.two_handed), target.astype(np.float32),
        mask.astype(np.float32), numbers, flags, manner, known)  # fmt: skip


def laid_over(q: np.ndarray, goal: np.ndarray, two_handed: bool) -> np.ndarray:
    """Which frame (N,) of a goal's stroke (M, J, 4) belongs to each frame of a prior's (N, J, 4).

    From end to end, by dynamic time warping that keeps near the diagonal, smoothed: what is to be learned is
    where hands go and how they are shaped. When they get there is told by the plan.
    """
    a, b = (_course(x, two_handed) for x in (q, goal))
    n, m = len(a), len(b)
    diagonal = np.linspace(0, m - 1, n)
    cost = np.linalg.norm(a[:, None] - b[None], axis=2)
    cost = cost + 2.0 * (np.abs(np.arange(m)[None] - diagonal[:, None]) / max(m, 4)) ** 2
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0
    for i in range(n):
        for j in range(m):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1] + 0.1, total[i + 1, j] + 0.1)
    i, j = n, m
    found: list[list[int]] = [[] for _ in range(n)]
    while i > 0 and j > 0:
        found[i - 1].append(j - 1)
        step = int(np.argmin([total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]]))
        i, j = i - (step < 2), j - (step != 1)
    way = np.array([np.mean(f) if f else np.nan for f in found])
    way = np.interp(np.arange(n), np.flatnonzero(np.isfinite(way)), way[np.isfinite(way)])
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 2.0) ** 2)
    smooth = np.convolve(np.pad(way - diagonal, 6, mode="edge"), kernel / kernel.sum(), "valid") + diagonal
    pull = np.minimum(np.arange(n), np.arange(n)[::-1]) / 3.0  # both strokes begin and end together
    mixed = diagonal + (smooth - diagonal) * np.clip(pull, 0, 1)
    return np.maximum.accumulate(np.clip(mixed, 0, m - 1))


def _course(q: np.ndarray, two_handed: bool) -> np.ndarray:
    """(T, K): where hands are and how they are turned, less what stays the same, in units of a clear
    difference (4 cm, half a radian)."""
    columns = []
    for side in rs.SIDES if two_handed else rs.SIDES[:1]:
        arm = rs.arm(q, side)
        columns += [arm.wrist / 0.04, arm.palm[..., 1:].reshape(len(q), 6) / 0.5]  # (T, 3, 2) -> (T, 6)
    course = np.concatenate(columns, 1)
    return np.asarray(course - course.mean(0))


def _manner(q: np.ndarray, goal: np.ndarray, take: Take, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Log speed and size of a take against its prior, log sharpness of its movement; which are known."""
    here, there = rs.arm(q, "R").wrist, rs.arm(goal, "R").wrist
    reach = [float(np.sqrt(((w - w.mean(0)) ** 2).sum(1).mean())) for w in (here, there)]
    speed = np.linalg.norm(np.diff(there, axis=0), axis=1)
    sharp = float(np.log(max(speed.max(), 1e-4) / max(speed.mean(), 1e-4)))
    size = float(np.clip(np.log(max(reach[1], 1e-3) / max(reach[0], 1e-3)), -0.7, 0.7))
    pace = float(np.clip(np.log(seconds / max(take.seconds, 0.08)), -1, 1))
    return (
        np.array([pace, size, sharp], np.float32),
        np.array([1.0, float(reach[0] > 0.02), float(speed.mean() > 0.002)], np.float32),
    )


def farness(pair: Pair) -> tuple[float, float]:
    """How far the take's right wrist is from the prior's within the pair, metres, and its palm, radians."""
    seen = pair.mask[:, 0] > 0
    if not seen.any():
        return 0.0, 0.0
    return (
        float(np.linalg.norm(pair.target[seen, :3], axis=1).mean()),
        float(np.linalg.norm(pair.target[seen, 3:6], axis=1).mean()),
    )


def part_of(gloss: str) -> str:
    """'test' for one gloss in ten, 'dev' for one in twenty, else 'train': by the gloss's name alone, so that
    a sign is on the same side in every group and every corpus."""
    number = int(hashlib.sha256(gloss.encode()).hexdigest()[:8], 16) % 100
    return "test" if number < 10 else "dev" if number < 15 else "train"


# --- the file ---


@dataclass(frozen=True)
class PairData:
    """Pairs on disk. glosses: G names. contexts: for each gloss K sentences around it as (glosses, place).
    linker: (G, K, 3, d) SLUL's states in them for the sign before, the sign and the sign after."""

    pairs: list[Pair]
    glosses: list[str]
    contexts: list[list[tuple[list[str], int]]]
    linker: np.ndarray


def save(path: Path, data: PairData) -> None:
    """Write all pairs into one npz, frames of all pairs after one another; whole or not at all."""
    lengths = np.array([len(p.features) for p in data.pairs])
    arrays: dict[str, np.ndarray] = {"lengths": lengths, "linker": data.linker.astype(np.float16)}
    arrays["glosses"] = np.array(data.glosses)
    arrays["contexts"] = np.array(json.dumps(data.contexts))
    for field in fields(Pair):
        values = [getattr(p, field.name) for p in data.pairs]
        if field.name in ("features", "target", "mask"):
            arrays[field.name] = np.concatenate(values).astype(np.float16)
        else:
            arrays[field.name] = np.array(values)
    part = path.with_name(path.name + ".part.npz")
    np.savez(part, allow_pickle=False, **arrays)
    part.replace(path)


def load(path: str | Path) -> PairData:
    """Read pairs; StableSignerError when the file is missing or holds something else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        ends = np.cumsum(arrays["lengths"])
        out = []
        for k, (end, length) in enumerate(zip(ends, arrays["lengths"], strict=True)):
            rows = slice(int(end - length), int(end))
            values = {
                f.name: arrays[f.name][rows].astype(np.float32)
                if f.name in ("features", "target", "mask")
                else arrays[f.name][k]
                for f in fields(Pair)
            }
            values |= {
                "gloss": str(values["gloss"]),
                "group": str(values["group"]),
                "source": int(values["source"]),
            }
            out.append(Pair(**values))
        glosses = [str(g) for g in arrays["glosses"]]
        contexts = [[(list(names), at) for names, at in row] for row in json.loads(str(arrays["contexts"]))]
        return PairData(out, glosses, contexts, arrays["linker"].astype(np.float32))
    except (OSError, KeyError, ValueError) as error:
        raise StableSignerError(
            f"there are no training pairs in {path} ({error}): make them with tools/build_pairs.py"
        ) from error
