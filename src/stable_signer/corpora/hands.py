"""Real hands with a known shape, for `metrics/handshape.py`: the CC0 alphabet, filmed letters, and WLASL
clips whose handshape ASL-LEX 2.0 states."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stable_signer.body import fit
from stable_signer.body.fit import Fitter, default_fitter
from stable_signer.corpora.landmarks import clip_landmarks, held_out, holistic_names, right_dominant
from stable_signer.errors import StableSignerError
from stable_signer.metrics.handshape import (
    LETTER_CODES,
    HandshapeReader,
    balanced,
    clip_scores,
    features,
    from_mediapipe,
    merged,
    top_k,
    train_network,
)

ALPHABET = "asl_alphabet_cc0.npz"
FEWEST = 3  # frames with the hand found that a clip must have


@dataclass(frozen=True, eq=False)
class Hands:
    """Right hands (N, 21, 3) in our axes, each with a label and the clip it is from."""

    points: np.ndarray
    labels: tuple[str, ...]
    groups: tuple[str, ...]

    def __getitem__(self, keep: np.ndarray) -> Hands:
        rows = np.flatnonzero(keep)
        labels = tuple(self.labels[i] for i in rows)
        return Hands(self.points[rows], labels, tuple(self.groups[i] for i in rows))

    def __add__(self, other: Hands) -> Hands:
        points = np.concatenate([self.points, other.points])
        return Hands(points, self.labels + other.labels, self.groups + other.groups)


def alphabet(data: Path) -> Hands:
    """The CC0 alphabet, one signer's, labelled A to Z. It is mirrored: here it is a right hand again."""
    path = data / ALPHABET
    if not path.is_file():
        raise StableSignerError(f"the alphabet {path} does not exist: name the folder that holds {ALPHABET}")
    with np.load(path, allow_pickle=False) as file:
        points, labels = file["X"], file["Y"]
    right = from_mediapipe(points).astype(float) * np.array([-1.0, 1.0, 1.0])
    return Hands(right, tuple(str(y) for y in labels), ("cc0",) * len(labels))


def filmed_letters(data: Path) -> Hands:
    """The stroke of WLASL's clips LETTER-A to LETTER-Z, each of one signer."""
    names = [n for n in holistic_names(data) if n.startswith("LETTER-")]
    return _strokes(data, {n: n[-1] for n in names})


def described_signs(data: Path, asl_lex: Path) -> Hands:
    """Strokes of WLASL clips whose gloss has one handshape in ASL-LEX's table, labelled with its code.

    Left out: signs that change flexion or spread, or that are compounds of different shapes. A clip may show
    another variant of its gloss than ASL-LEX describes: that is label noise of unknown size.
    """
    if not asl_lex.is_file():
        raise StableSignerError(f"ASL-LEX's table {asl_lex} does not exist: name its CSV file")
    with asl_lex.open(encoding="utf-8-sig") as file:
        rows = {row["EntryID"]: row for row in csv.DictReader(file)}
    wanted = {}
    for name in holistic_names(data):
        row = rows.get(name)
        if (
            row
            and row["Handshape.2.0"]
            and row["FlexionChange.2.0"] == "0"
            and row["SpreadChange.2.0"] != "1"
        ):
            second = row["HandshapeM2.2.0"]
            if second in ("", "NA", row["Handshape.2.0"]):
                wanted[name] = merged(row["Handshape.2.0"])
    return _strokes(data, wanted)


def _strokes(data: Path, labels: dict[str, str]) -> Hands:
    fitter = default_fitter()
    parts = [(name, label, _stroke_hands(data, name, fitter)) for name, label in labels.items()]
    kept = [(name, label, hands) for name, label, hands in parts if len(hands) >= FEWEST]
    if not kept:
        raise StableSignerError("no clip of the landmark set shows a hand with a known handshape")
    return Hands(
        np.concatenate([hands for _, _, hands in kept]),
        tuple(label for _, label, hands in kept for _ in hands),
        tuple(name for name, _, hands in kept for _ in hands),
    )


def _stroke_hands(data: Path, name: str, fitter: Fitter) -> np.ndarray:
    """The leading hand in the frames of the stroke that show it; none for a clip without a person."""
    if not np.isfinite(clip_landmarks(data, name).pose[:, 11:13, 0]).all(1).any():
        return np.zeros((0, 21, 3))
    marks, targets, _ = right_dominant(data, name, fitter)
    span = fit.stroke(targets)
    hand = marks.resampled()[span].right_hand
    found = np.isfinite(hand).all(axis=(1, 2)) & targets.sides[0].found[span]
    return from_mediapipe(hand[found]).astype(float)


def train_reader(data: Path, asl_lex: Path, seed: int = 0) -> tuple[HandshapeReader, dict[str, float]]:
    """Train the reader of handshapes and letters, and measure it on what it has not seen.

    One described clip in five (by hash) is kept out and stays out of the weights; letters are measured with
    the filmed ones kept out and then trained on those too. Shares are 0 to 1.
    """
    letters, filmed, signs = alphabet(data), filmed_letters(data), described_signs(data, asl_lex)
    out = np.array([held_out(g, 0.2, "handshape") for g in signs.groups])
    spelled = letters + filmed
    coded = Hands(spelled.points, tuple(LETTER_CODES[c] for c in spelled.labels), spelled.groups)
    train, test = signs[~out] + coded, signs[out]
    shapes = train_network(
        train.points, train.labels, balanced(train.groups, train.labels), oriented=False, seed=seed
    )
    known = test[np.isin(test.labels, shapes.classes)]
    by_clip = clip_scores(shapes(features(known.points)[:, :-6]), known.groups)
    label = dict(zip(known.groups, known.labels, strict=True))
    scores, wanted = np.stack(list(by_clip.values())), [label[g] for g in by_clip]
    figures = {f"shape_top{k}": top_k(scores, shapes.classes, wanted, k) for k in (1, 3, 5)}
    figures["clips"] = float(len(wanted))
    figures["majority"] = max(wanted.count(c) for c in set(wanted)) / len(wanted)
    alone = train_network(
        letters.points, letters.labels, np.ones(len(letters.points)), oriented=True, seed=seed
    )
    by_clip = clip_scores(alone(features(filmed.points)), filmed.groups)
    scores, wanted = np.stack(list(by_clip.values())), [g[-1] for g in by_clip]
    figures |= {f"letter_top{k}": top_k(scores, alone.classes, wanted, k) for k in (1, 3)}
    every = train_network(
        spelled.points, spelled.labels, balanced(spelled.groups, spelled.labels), oriented=True, seed=seed
    )
    return HandshapeReader(shapes, every), figures
