"""SLP-MoE on signs whose gloss it never saw: priors from phonology, completed, beside real takes.

Every row of the table makes the same signs at the same lengths, so that length ratios are equal and the
distances can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from stable_signer.body.motion import Motion
from stable_signer.metrics import motion as mm
from stable_signer.metrics.handshape import HandshapeReader, hand_points, merged
from stable_signer.slp_moe import priors
from stable_signer.slp_moe import residual as rs
from stable_signer.slp_moe.clearance import keep_clear, keep_in_view
from stable_signer.slp_moe.condition import AROUND, GRID, SOURCES, SignCondition, codes, frame_features
from stable_signer.slp_moe.lexicon import Prototype, from_built
from stable_signer.slp_moe.limbs import LIMBS, rest_quaternions
from stable_signer.slp_moe.model import SlpMoe, collate, smooth_noise
from stable_signer.slp_moe.pairs import ONSET, Take, part_of, window
from stable_signer.slp_moe.perform import ask
from stable_signer.slp_moe.phonology import Phonology, phonology
from stable_signer.slp_moe.touch import keep_touch
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.linker import Linker


@dataclass(frozen=True)
class Case:
    """A held-out sign: its prior around the stroke (see pairs.window) and the stroke of a real take."""

    gloss: str
    prototype: Prototype
    times: np.ndarray
    q: np.ndarray
    face: np.ndarray
    end: float
    take: Take
    two_handed: bool
    row: Phonology

    def stroke(self, q: np.ndarray) -> Motion:
        """The stroke of a pose q (T, J, 4) over `times`, hands out of the body as in the product."""
        clear = keep_clear(keep_in_view(q))
        return self.judged(clear[AROUND : len(q) - AROUND])

    def judged(self, q: np.ndarray) -> Motion:
        """Poses (T, J, 4) as a motion without a face; a left hand that does not sign is at rest, so that it
        is not what is judged."""
        if not self.two_handed:
            q = q.copy()
            left = list(LIMBS["left"])
            q[:, left] = rest_quaternions()[left]
        return Motion.of_quaternions(q, fps=GRID)

    @property
    def real(self) -> Motion:
        """The real take's stroke."""
        return self.judged(self.take.q[slice(*self.take.stroke)])


def cases(takes: Sequence[Take], part: str) -> list[Case]:
    """The takes of 'dev' or 'test' glosses that a prior can be built for from phonology."""
    glossary, table, out = Glossary.load(), phonology(), []
    for take in takes:
        built = priors.build_from_phonology(take.gloss) if part_of(take.gloss) == part else None
        if built is None:
            continue
        prototype = from_built(take.gloss, built)
        times, q, face, end = window(prototype, prototype.duration)
        row = table[glossary.entry(take.gloss).phonology]
        both = prototype.two_handed and take.two_handed
        out.append(Case(take.gloss, prototype, times, q, face, end, take, both, row))
    return out


def sampler(
    moe: SlpMoe, linker: Linker, variation: float, seed: int, bare: bool = False
) -> Callable[[Case], Motion]:
    """What makes a case's stroke with the experts, in the sign's own context alone.

    bare: all that the network says, as it was trained, without what the product takes back or corrects: to
    compare networks.
    """

    def make(case: Case) -> Motion:
        numbers, flags = codes(case.gloss)
        manner, known = np.zeros(3, np.float32), np.array([1, 0, 0], np.float32)
        around = linker.around([case.gloss], 0)
        sign = SignCondition(numbers, flags, SOURCES.index("phonology"), around, manner)
        features = frame_features(case.q, case.face, case.times, ONSET, case.end, case.prototype.two_handed)
        random = np.random.default_rng([seed, *case.gloss.encode()])
        noise = variation * smooth_noise(len(case.times), random)
        if bare:
            batch = collate([features], [sign], [known])
            rows = moe.sample(batch, torch.from_numpy(noise.astype(np.float32))[None])[0].numpy()
            rows = rows.astype(float)
        else:
            rows = ask(moe, features, sign, known, noise, np.zeros(len(noise)))
        if not case.prototype.two_handed:
            rows[:, rs.SIDE : 2 * rs.SIDE] = 0
        if not bare:
            rows = keep_touch(case.q, case.face, rows, case.prototype.two_handed)
        return case.stroke(rs.decode(case.q, case.face, rows)[0])

    return make


def measure(cases_: Sequence[Case], make: Callable[[Case], Motion]) -> dict[str, float]:
    """The mean of every figure of metrics.motion over cases; contact in metres over signs that have it;
    handshape and handshape_3, the shares of signs whose handshape in the phonology is the first guess, or
    among the first three, of a reader trained on real hands."""
    rows, touches, shapes = [], [], []
    reader = HandshapeReader.load()
    for case in cases_:
        made = make(case)
        wanted = merged(case.row.handshape)
        if wanted in reader.codes:
            scores = reader.read(hand_points(made, "R")).mean(0)
            place = int((scores > scores[reader.codes.index(wanted)]).sum())
            shapes.append((place < 1, place < 3))
        rows.append(mm.compare(made, case.real) | mm.describe(made))
        touch = mm.contact_error(made, case.row)
        touches += [] if touch is None else [touch]
    first, third = np.mean(shapes, axis=0)
    return mm.summary(rows) | {
        "contact": float(np.mean(touches)),
        "handshape": float(first),
        "handshape_3": float(third),
    }


def floors(cases_: Sequence[Case]) -> dict[str, Callable[[Case], Motion]]:
    """The prior alone, and the rows below which nothing is worth anything."""
    other = {id(c): cases_[(k + 1) % len(cases_)] for k, c in enumerate(cases_)}
    real = [c.real for c in cases_]
    return {
        "prior": lambda c: c.stroke(c.q),
        "shuffled": lambda c: c.judged(other[id(c)].stroke(other[id(c)].q).quaternions),
        "mean pose": lambda c: mm.mean_pose(real, len(c.q) - 2 * AROUND),
    }
