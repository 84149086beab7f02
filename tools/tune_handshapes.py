"""Move the handshapes of `weights/handshapes.json` a little, towards what real hands of that name look like.

    python tools/tune_handshapes.py --reader runs/tuner.safetensors [SHAPE ...]

`fit_handshapes.py` makes each shape from a description; a description can be right and still unlike how
hands hold the shape. Here every shape that has a class in the reader (metrics/handshape.py, trained on real
hands only) is moved within a few degrees until the reader names it surely, with every finger clear of the
others and the palm. Use a reader of another seed than the shipped one, so that the shipped one can judge
what came out. Deterministic.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from stable_signer.body.keypoints import RigidPoints
from stable_signer.body.skeleton import forward_kinematics
from stable_signer.metrics.handshape import LETTERS, HandshapeReader, merged
from stable_signer.slp_moe import handshapes as hs
from stable_signer.slp_moe import phonology as ph
from stable_signer.slp_moe import priors
from stable_signer.slp_moe.notation import reference_body

TABLE = Path(hs.__file__).parents[1] / "weights" / "handshapes.json"
REACH = 7.0  # degrees: how dearly an angle leaves its description (a standard deviation)
SURE = -0.3  # log-probability of a name that is sure enough
SAMPLES, ROUNDS = 48, 60


class Looks:
    """The points of a hand held as for a letter, from angles (N, 22)."""

    def __init__(self, letter: str) -> None:
        body, rest = reference_body()
        self.body, self.rest = body, rest
        six = torch.from_numpy(priors.spell((letter,)).rotations[-1:].copy())
        from stable_signer.body.skeleton import rotation_6d_to_matrix

        self.pose = rotation_6d_to_matrix(six)
        self.joints = [body.index[f"{n}.R"] for n in hs.FINGER_JOINTS]

    def __call__(self, angles: np.ndarray) -> np.ndarray:
        matrices = self.pose.expand(len(angles), -1, -1, -1).clone()
        matrices[:, self.joints] = torch.from_numpy(hs.finger_rotations(angles)).float()
        turns, places = forward_kinematics(self.body, self.rest, matrices, torch.zeros(len(angles), 3))
        return np.asarray(RigidPoints(self.body, self.rest).hand(turns, places, "R").double().numpy())


def views(points: np.ndarray) -> np.ndarray:
    """The hands as they are and turned by 0.15 rad about each axis: (5 N, 21, 3)."""
    out = [points]
    for axis, angle in ((0, 0.15), (0, -0.15), (2, 0.15), (2, -0.15)):
        c, s = np.cos(angle), np.sin(angle)
        a, b = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[a, a], turn[b, b], turn[a, b], turn[b, a] = c, c, -s, s
        out.append(points @ turn.T)
    return np.concatenate(out)


def wishes(reader: HandshapeReader, same: dict[str, str]) -> dict[str, tuple[set[str], set[str]]]:
    """For every shape of the table: the letters and the codes that it should be read as."""
    letters: dict[str, set[str]] = {}
    codes: dict[str, set[str]] = {}
    for letter in LETTERS:
        letters.setdefault(same.get(letter, letter), set()).add(letter)
    for row in ph.phonology().values():
        name = ph.shape_name(row.handshape)
        if merged(row.handshape) == row.handshape and row.handshape in reader.codes:
            codes.setdefault(same.get(name, name), set()).add(row.handshape)
    return {n: (letters.get(n, set()), codes.get(n, set())) for n in letters.keys() | codes.keys()}


def tuned(start: np.ndarray, letters: set[str], codes: set[str], reader: HandshapeReader) -> np.ndarray:
    """Angles (22,) near `start`, degrees, that the reader names surely, with the shape's contacts kept."""
    touch = hs.clearance(start) < 0.001
    looks = {letter: Looks(letter) for letter in sorted(letters) or ["B"]}
    low, high = hs.LIMITS.T

    def loss(a: np.ndarray) -> np.ndarray:
        total = 0.5 * (((a - start) / REACH) ** 2).sum(1) / 4
        for letter, look in looks.items():
            seen = views(look(a))
            if letter in letters:
                score = reader.letters(seen)[:, LETTERS.index(letter)].reshape(5, -1)
                if letter in "JZ":
                    continue
                total = total - 4 * np.minimum(score, SURE).mean(0) / len(letters)
            for code in codes:
                score = reader.read(seen)[:, reader.codes.index(code)].reshape(5, -1)
                total = total - 4 * np.minimum(score, SURE).mean(0) / len(codes) / len(looks)
        open_by = np.maximum(hs.clearance(a)[:, touch] - 0.001, 0)
        total = total + (np.minimum(open_by / 0.001, 6.0) ** 2).sum(1)
        gap = np.minimum(hs.clearance(a) + 0.0012, 0).sum(1) + np.minimum(
            hs.palm_clearance(a) + 0.0012, 0
        ).sum(1)
        return np.asarray(total - 4000 * gap)

    rng = np.random.default_rng(0)
    mean, spread = start.copy(), np.full(22, 5.0)
    for _ in range(ROUNDS):
        tries = np.clip(mean + spread * rng.normal(size=(SAMPLES, 22)), low, high)
        tries[0] = mean
        best = tries[np.argsort(loss(tries))[:10]]
        mean = 0.3 * mean + 0.7 * best.mean(0)
        spread = np.maximum(0.3 * spread + 0.7 * best.std(0), 0.4)
    both = np.stack([start, np.round(mean)])
    return both[int(loss(both).argmin())]


def main() -> None:
    """Tune the shapes named, or all that the reader knows, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shapes", nargs="*")
    parser.add_argument("--reader", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    reader = HandshapeReader.load(options.reader)
    data = json.loads(TABLE.read_text(encoding="utf-8"))
    for name, (letters, codes) in sorted(wishes(reader, data["same"]).items()):
        if name not in data["shapes"] or (options.shapes and name not in options.shapes):
            continue
        start = np.array(data["shapes"][name], float)
        end = tuned(start, letters, codes, reader)
        data["shapes"][name] = [int(a) for a in end]
        print(f"{name:14s} moved {np.abs(end - start).max():.0f} degrees at most", flush=True)
    text = json.dumps(data, separators=(",", ":")).replace('],"', '],\n"') + "\n"
    part = TABLE.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(TABLE)


if __name__ == "__main__":
    main()
