"""Make the pairs that `stable-signer train moe` learns from: priors beside what people did.

    python tools/build_takes.py --data DIR --out runs/takes
    python tools/build_pairs.py --data DIR --takes runs/takes --out runs/pairs.npz

Four groups (slp_moe/pairs.py). "phonology": the prior from ASL-LEX's codes alone, beside the fitted clip.
"transition": the lexicon's own prototype beside its whole clip, the stroke masked: how hands come and go.
"takes": one signer's take as the prior, another's of the same sign as the goal (SMPL-X set): how takes
differ. "spelling": spelled words beside the same words made with real people's letters (CC0 alphabet).
Glosses are held out by name (`pairs.part_of`).
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from stable_signer.body import fit, rotation
from stable_signer.body.fit import Fitter, SideTargets, Targets, default_fitter
from stable_signer.body.ik import FINGER_JOINTS
from stable_signer.body.keypoints import RigidPoints
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.corpora.hands import alphabet
from stable_signer.corpora.landmarks import smplx_names, smplx_take
from stable_signer.corpora.takes import read_takes
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe import priors
from stable_signer.slp_moe import residual as rs
from stable_signer.slp_moe.clearance import kinematics
from stable_signer.slp_moe.compose import mirrored
from stable_signer.slp_moe.condition import SOURCES, codes, frame_features
from stable_signer.slp_moe.handshapes import handshape
from stable_signer.slp_moe.lexicon import Lexicon, Prototype, from_built
from stable_signer.slp_moe.pairs import ONSET, Pair, PairData, Take, farness, make, save, window
from stable_signer.slp_moe.schedule import stroke_length
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.linker import Linker
from stable_signer.slul.planner import load_reader

CONTEXTS = 3  # linker states of each gloss: alone, and in this many made-up sentences less one
FAR, TURNED = (
    0.20,
    1.9,
)  # metres, radians: a take so far from its phonology is another sign, or another variant
APART = 0.11  # metres: two signers' takes so far apart are two variants
PAIRS_A_GLOSS = 10
MISS = 0.018  # metres
LETTERS, WORDS = 80, 700  # hands of each letter, spelled words


def smplx_takes(data: Path) -> Iterator[Take]:
    """Every usable take of the SMPL-X set, left-dominant ones mirrored; fingers are rough there."""
    glossary = Glossary.load()
    for name in smplx_names(data):
        try:
            found = smplx_take(data, name)
        except StableSignerError as error:
            print(f"left out {name}: {error}", file=sys.stderr)
            continue
        entry = glossary.lookup(found.gloss)
        if entry is None or len(found.motion) < 12:
            continue
        take = take_of(found.motion, name, entry.gloss)
        if take is not None:
            yield take


def take_of(motion: Motion, name: str, gloss: str) -> Take | None:
    """A take from a whole motion: dominant hand to the right, stroke found; None if no hand is raised."""
    targets = targets_of(motion.quaternions)
    paths = [
        np.linalg.norm(np.diff(s.points[s.raised, 2], axis=0), axis=1).sum() if s.raised.any() else 0.0
        for s in targets.sides
    ]
    if paths[1] > 1.4 * paths[0] + 0.05:
        motion = mirrored(motion)
        targets = targets_of(motion.quaternions)
    right, left = targets.sides
    if not right.raised.any():
        return None
    stroke = fit.stroke(targets)
    if stroke.stop - stroke.start < 4:
        return None
    two = bool(left.raised[stroke].mean() > 0.5)
    left.raised[:] &= two
    stroke = fit.stroke(targets)
    if stroke.stop - stroke.start < 4:
        return None
    return Take(
        name,
        gloss,
        motion.quaternions,
        motion.face.astype(float),
        (stroke.start, stroke.stop),
        two,
        fingers=0.25,
        face_seen=0.0,
    )


def targets_of(q: np.ndarray) -> Targets:
    """A motion as the fitter's targets, for `fit.stroke`."""
    body = Body.load()
    points = RigidPoints(body, body.signer(body.signer_ids[0]))
    turns, places = kinematics(q)
    sides = []
    for s, side in enumerate("RL"):
        hand = points.hand(torch.from_numpy(turns), torch.from_numpy(places), side).numpy()
        arm = places[:, [body.index[f"{n}.{side}"] for n in ("upperarm01", "lowerarm01")]]
        row = np.concatenate([arm, hand], 1) * ([-1.0, 1, 1] if s else 1.0)
        found = np.ones(len(q), bool)
        sides.append(SideTargets(row, np.ones((len(q), 23)), found, found, row[:, 2, 2] > fit.SIGNING_SPACE))
    return Targets((sides[0], sides[1]), np.zeros((len(q), 3)), np.zeros((len(q), 52)))


def prototype_of(take: Take) -> Prototype:
    """A take's stroke as a prototype."""
    a, b = take.stroke
    motion = Motion.of_quaternions(take.q[a:b], take.face[a:b])
    return Prototype(take.gloss, motion, take.two_handed, source="notation")


def phonology_pairs(takes: list[Take]) -> Iterator[Pair]:
    """Priors from phonology beside takes of the same gloss."""
    far = 0
    for take in takes:
        built = priors.build_from_phonology(take.gloss)
        if built is None:
            continue
        prototype = from_built(take.gloss, built)
        pair = make(prototype, prototype.duration, take, "phonology")
        distance, turned = farness(pair)
        if distance > FAR or turned > TURNED:
            far += 1
            continue
        yield pair
    print(f"left out {far} takes that are far from their phonology: another variant", flush=True)


def transition_pairs(takes: list[Take]) -> Iterator[Pair]:
    """The lexicon's prototypes beside the whole clips that they were cut from."""
    lexicon = Lexicon.load()
    for take in takes:
        prototype = lexicon.prototype(take.gloss)
        if prototype.source == "lexicon":
            yield make(prototype, stroke_length(prototype), take, "transition")


def takes_pairs(takes: list[Take], seed: int) -> Iterator[Pair]:
    """Two signers' takes of one gloss, each as the other's prior."""
    random = np.random.default_rng(seed)
    by_gloss = defaultdict(list)
    for take in takes:
        by_gloss[take.gloss].append(take)
    apart = 0
    for group in by_gloss.values():
        couples = [(a, b) for a in group for b in group if a is not b and a.two_handed == b.two_handed]
        for k in random.permutation(len(couples))[:PAIRS_A_GLOSS]:
            a, b = couples[k]
            pair = make(prototype_of(a), max(a.seconds, 0.16), b, "takes")
            if farness(pair)[0] > APART:
                apart += 1
                continue
            yield pair
    print(f"left out {apart} couples of takes that are two variants", flush=True)


def letter_variation(data: Path, seed: int) -> dict[str, np.ndarray]:
    """How real hands' letters differ among people: for each letter (n, HAND) residuals of the fingers.

    The mean is taken out: it is how the landmarks err about that shape rather than how people differ from our
    drawing of it. Hands that our hand cannot make within MISS a point were not seen well.
    """
    hands_of = alphabet(data)
    points, letters = hands_of.points, np.array(hands_of.labels)
    random = np.random.default_rng(seed)
    fitter = default_fitter()
    rest = fitter.limb.pose(torch.zeros(1, fit.DOFS))[0][0, 2:].numpy().astype(float)
    out = {}
    for letter in sorted(set(letters.tolist())):
        rows = random.permutation(np.flatnonzero(letters == letter))[:LETTERS]
        hands = np.stack([_laid(fitter, points[r], rest) for r in rows])
        best = fit.fingers_of(fitter, hands)
        made = fitter.limb.pose(torch.from_numpy(np.concatenate([np.zeros((len(rows), 9)), best], 1)).float())
        miss = np.linalg.norm(made[0][:, 2:].numpy() - hands, axis=2).mean(1)
        kept = best[miss < MISS]
        if len(kept) < 20:
            print(f"left out {letter}: {len(kept)} hands", file=sys.stderr)
            continue
        turns = fitter.limb.rotations(
            torch.from_numpy(np.concatenate([np.zeros((len(kept), 9)), kept], 1)).float()
        )
        real = np.stack([turns[f"{j}.R"].numpy() for j in FINGER_JOINTS], 1).astype(float)
        drawn = rotation.matrix_to_quaternion(np.array(handshape(letter)))
        change = rotation.log(
            rotation.multiply(rotation.conjugate(drawn), rotation.matrix_to_quaternion(real))
        )
        row = rs.finger_tangent(change)
        out[letter] = (row - np.median(row, axis=0)).clip(-0.6, 0.6)
        print(
            letter, len(kept), f"{np.median(miss) * 1000:.1f} mm", f"{out[letter].std():.2f} rad", flush=True
        )
    return out


def _laid(fitter: Fitter, points: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """A filmed right hand (21, 3), in our axes, brought to our right hand's palm: metres."""
    seen = points - points[0]
    seen *= fitter.palm_length / np.linalg.norm(seen[9])
    seen = fit.sized(fitter._deepen(seen[None]))[0]
    palm = [0, 5, 9, 13, 17]
    a, b = seen - seen[palm].mean(0), rest - rest[palm].mean(0)
    u, _, v = np.linalg.svd(a[palm].T @ b[palm])
    turn = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v))]) @ v
    return np.asarray(a @ turn + rest[palm].mean(0))


def spelling_pairs(data: Path, seed: int) -> Iterator[Pair]:
    """Spelled words beside the same words with real people's letters."""
    variation = letter_variation(data, seed)
    random = np.random.default_rng(seed)
    words = sorted({e.gloss for e in Glossary.load() if e.gloss.isalpha() and 3 <= len(e.gloss) <= 8})
    for word in random.permutation(words)[:WORDS]:
        if not set(word) <= set(variation):
            continue
        gloss = f"fs-{word}"
        prototype = from_built(gloss, priors.spell(tuple(word)))
        times, q, face, end = window(prototype, prototype.duration)
        fingers = q[:, list(rs.finger_joints("R"))]
        drawn = rotation.matrix_to_quaternion(np.stack([np.array(handshape(c)) for c in word]))
        far = rotation.turn_between(fingers[:, None], drawn[None]).mean(2)  # (T, letters)
        share = np.exp(-((far / 0.2) ** 2) + (far.min(1, keepdims=True) / 0.2) ** 2)
        share /= share.sum(1, keepdims=True)
        picked = np.stack([variation[c][random.integers(len(variation[c]))] for c in word])
        target, mask = np.zeros((len(times), rs.CHANNELS)), np.zeros((len(times), rs.CHANNELS))
        inside = (times > ONSET - 1e-6) & (times < end + 1e-6)
        target[:, rs.FINGERS[: rs.HAND]] = share @ picked
        mask[np.ix_(inside, rs.FINGERS[: rs.HAND])] = 1
        numbers, flags = codes(gloss)
        yield Pair(
            gloss,
            "spelling",
            SOURCES.index("alphabet"),
            frame_features(q, face, times, ONSET, end, False),
            target.astype(np.float32),
            mask.astype(np.float32),
            numbers,
            flags,
            np.zeros(3, np.float32),
            np.zeros(3, np.float32),
        )


def sentences(glosses: list[str], seed: int) -> list[list[tuple[list[str], int]]]:
    """For each gloss CONTEXTS made-up sentences around it, the first of it alone: (glosses, its place)."""
    random = np.random.default_rng(seed)
    known = [e.gloss for e in Glossary.load() if e.kind == "lexical"]
    out = []
    for gloss in glosses:
        row: list[tuple[list[str], int]] = []
        for c in range(CONTEXTS):
            others = [] if c == 0 else [str(n) for n in random.choice(known, random.integers(1, 5))]
            at = int(random.integers(0, len(others) + 1))
            row.append(([*others[:at], gloss, *others[at:]], at))
        out.append(row)
    return out


def main() -> int:
    """Build all groups and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--takes", type=Path, default=Path("runs/takes"))
    parser.add_argument("--out", type=Path, default=Path("runs/pairs.npz"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = list(read_takes(options.takes / "known.npz"))
    print(len(known), "fitted takes", flush=True)
    pairs = list(phonology_pairs(known))
    print(len(pairs), "phonology pairs", flush=True)
    pairs += transition_pairs(known)
    print(len(pairs), "with transitions", flush=True)
    pairs += takes_pairs(list(smplx_takes(options.data)), options.seed)
    print(len(pairs), "with takes", flush=True)
    pairs += spelling_pairs(options.data, options.seed)
    print(len(pairs), "with spelling", flush=True)
    glosses = sorted({p.gloss for p in pairs})
    around = sentences(glosses, options.seed)
    linker = Linker(load_reader("ase"))
    states = np.stack([[linker.around(names, at) for names, at in row] for row in around])
    save(options.out, PairData(pairs, glosses, around, states))
    return 0


if __name__ == "__main__":
    sys.exit(main())
