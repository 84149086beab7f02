"""The takes that the recogniser of signs learns from, and those it must not see.

A WLASL clip is, for nearly every gloss, the same film as one of that gloss's SMPL-X takes, and the lexicon's
prototypes were fitted from the WLASL clips. `twins` finds those takes by comparing how the wrists move in the
picture; they are kept out of training and are a test set of their own: real motion of the very takes that the
prototypes were made from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stable_signer.body.fit import Fitter, default_fitter
from stable_signer.body.rotation import between_rows
from stable_signer.body.skeleton import Body
from stable_signer.corpora.landmarks import (
    clip_landmarks,
    holistic_names,
    smplx_names,
    smplx_take,
)
from stable_signer.errors import StableSignerError
from stable_signer.metrics import recognition as rec
from stable_signer.metrics.motion import places

BATCH = 64
TWIN = 0.5  # correlation from which the best-matching take of a gloss counts as the WLASL clip's film
SURELY = 0.9  # from which any take does
OVERLAP = 0.6  # of the shorter path that must be compared


def gloss_of(name: str) -> str:
    """The gloss of a take's name `gloss__video`."""
    return name.rpartition("__")[0]


def twins(data: Path) -> dict[str, float]:
    """SMPL-X takes that are, or may be, the film of their gloss's WLASL clip: name -> correlation.

    Compared are the velocities of both wrists in the picture, smoothed, at the best offset in time: the best
    take of each gloss from TWIN on, and every take from SURELY on. (Films of different glosses correlate at
    0.49 in the median and 0.87 at most in 99 of 100 pairs: the rule takes out too many rather than too few.)
    """
    clips = set(holistic_names(data))
    fitter = default_fitter()
    by_gloss: dict[str, list[tuple[float, str]]] = {}
    paths: dict[str, list[np.ndarray]] = {}
    for name in smplx_names(data):
        gloss = gloss_of(name)
        if gloss not in clips:
            continue
        if gloss not in paths:
            paths[gloss] = _clip_paths(data, gloss, fitter)
        wrists = _smooth(_wrists(data, name))
        best = max((_correlation(path, wrists) for path in paths[gloss]), default=0.0)
        by_gloss.setdefault(gloss, []).append((best, name))
    out: dict[str, float] = {}
    for found in by_gloss.values():
        best, name = max(found)
        out |= {n: c for c, n in found if c >= SURELY}
        if best >= TWIN:
            out[name] = best
    return out


def _wrists(data: Path, name: str) -> np.ndarray:
    """(T, 2, 2) both wrists of an SMPL-X take in the picture, metres."""
    body = Body.load()
    at = places(smplx_take(data, name).motion).world
    return at[:, [body.index["wrist.R"], body.index["wrist.L"]]][..., [0, 2]]


def _clip_paths(data: Path, clip: str, fitter: Fitter) -> list[np.ndarray]:
    """The wrists (T, 2, 2) of a WLASL clip at 25 frames a second and frame by frame as filmed, smoothed."""
    marks = clip_landmarks(data, clip)
    try:
        sides = fitter.prepare(marks).sides
    except StableSignerError:  # nobody in the picture: it cannot be a twin of anything
        return []
    path = np.stack([s.points[:, 2][:, [0, 2]] * [1 - 2 * i, 1] for i, s in enumerate(sides)], 1)
    paths = []
    for count in {len(path), len(marks)}:
        paths.append(_smooth(between_rows(path, np.linspace(0, len(path) - 1, count))))
    return paths


def _smooth(path: np.ndarray) -> np.ndarray:
    kernel = np.array([1, 2, 3, 2, 1]) / 9
    padded = np.pad(path, ((2, 2), (0, 0), (0, 0)), mode="edge")
    return np.asarray(sum(w * padded[k : k + len(path)] for k, w in enumerate(kernel)))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """The largest correlation of the velocities of paths (T, 2, 2) and (S, 2, 2) over their offset."""
    va, vb = np.diff(a, axis=0).reshape(len(a) - 1, 4), np.diff(b, axis=0).reshape(len(b) - 1, 4)
    best = 0.0
    for offset in range(12 - len(vb), len(va) - 11):
        i, j = max(offset, 0), max(-offset, 0)
        n = min(len(va) - i, len(vb) - j)
        if n >= OVERLAP * min(len(va), len(vb)):
            x, y = va[i : i + n], vb[j : j + n]
            best = max(best, float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum() + 1e-12)))
    return best


@dataclass(frozen=True)
class Split:
    """Names of takes. twins: of the prototypes' own films, for testing alone. test: one of every gloss with
    at least four others. dev: one more, for choosing; trained on at the end. train: the rest."""

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    twins: tuple[str, ...]


def split(names: Sequence[str], kept_out: Mapping[str, float]) -> Split:
    """Split takes by the hash of their names; a gloss keeps at least two takes for training."""
    by_gloss: dict[str, list[str]] = {}
    for name in names:
        if name not in kept_out:
            by_gloss.setdefault(gloss_of(name), []).append(name)
    train: list[str] = []
    dev: list[str] = []
    test: list[str] = []
    for takes in by_gloss.values():
        order = sorted(takes, key=lambda n: hashlib.sha256(n.encode()).hexdigest())
        out = int(len(order) >= 4)
        test += order[:out]
        dev += order[out : out + 1] if len(order) >= 3 else []
        train += order[out + 1 :] if len(order) >= 3 else order
    return Split(tuple(train), tuple(dev), tuple(test), tuple(n for n in names if n in kept_out))


def train_recogniser(
    data: Path, *, seed: int = 0, steps: int = 2000, configs: Sequence[rec.Config] = (rec.Config(),)
) -> tuple[rec.Recogniser, dict[str, dict[str, float]]]:
    """Train on real takes and measure on those kept out: 'test' and 'twins' (see Split)."""
    names = smplx_names(data)
    parts = split(names, twins(data))
    glosses = sorted({gloss_of(n) for n in names})
    seen = {n: rec.prepared(rec.features(smplx_take(data, n).motion)) for n in names}
    used = [*parts.train, *parts.dev]
    takes, labels = [seen[n] for n in used], [glosses.index(gloss_of(n)) for n in used]
    members = []
    for k, config in enumerate(configs):
        net, head = rec.fit_encoder(
            takes, labels, len(glosses), config, seed=seed + k, steps=steps, batch=BATCH
        )
        members.append((config, net, head.eval()))
    recogniser = rec.Recogniser(members, glosses)
    figures = {}
    for name in ("test", "twins"):
        chosen = getattr(parts, name)
        wanted = [gloss_of(n) for n in chosen]
        figures[name] = rec.accuracy(recogniser.score([seen[n] for n in chosen]), glosses, wanted)
    return recogniser, figures
