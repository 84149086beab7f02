"""Can spelled words be read? Letters re-recognised at their hold by a reader trained on real hands only.

    python benchmarks/fingerspelling.py [--data DIR] [--pace standard] [--json fingerspelling.json]

Every word of `coverage500.txt` that is one word, and names (NAMES), is spelled (`priors.spell`) at 25
frames a second. In the frames of a letter's hold the reader (metrics/handshape.py) must name that letter; J
and Z must show their handshape when the trace begins, and the fingertip must draw the letter. A word counts
when all its letters do. Floors: the labels shuffled, and always guessing the letter that is read most.
Ceiling, with --data (the folder of asl_alphabet_cc0.npz and wlasl_holistic.npz): the same network trained
on one real signer, read on others' letters, and on every fifth hand of the same signer.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from stable_signer.body.motion import Motion
from stable_signer.metrics.handshape import (
    LETTERS,
    HandshapeReader,
    features,
    hand_points,
    train_network,
)
from stable_signer.slp_moe import priors

NAMES = [
    "maria",
    "jane",
    "zoe",
    "zack",
    "jazz",
    "buzz",
    "pizza",
    "puzzle",
    "anna",
    "emma",
    "hannah",
    "bobby",
    "jenny",
    "terry",
    "sally",
    "willy",
    "jeff",
    "matt",
    "scott",
    "quentin",
    "xavier",
    "roxy",
    "max",
    "felix",
    "kevin",
    "vicky",
    "wyatt",
    "yvonne",
    "george",
    "gregory",
    "hugh",
    "phoebe",
    "ursula",
    "oscar",
    "ulrich",
    "thomas",
    "timothy",
    "edith",
    "daniel",
    "fred",
    "nina",
    "monica",
    "norman",
    "samantha",
    "tessa",
    "steven",
    "rupert",
    "barbara",
    "kyle",
    "blake",
    "quincy",
    "london",
    "berlin",
    "paris",
    "tokyo",
    "texas",
    "ohio",
    "iowa",
    "kansas",
    "mexico",
    "brazil",
    "egypt",
    "japan",
    "quebec",
    "zurich",
    "geneva",
    "oxford",
    "netflix",
    "google",
    "amazon",
    "pepsi",
    "lexus",
    "mazda",
    "honda",
    "toyota",
    "subaru",
    "ikea",
    "lego",
    "fedex",
    "kodak",
    "sony",
    "bmw",
    "hbo",
    "aardvark",
    "bookkeeper",
    "coffee",
    "mississippi",
    "tennessee",
    "committee",
    "balloon",
    "vacuum",
    "hollywood",
    "quartz",
    "jigsaw",
    "zigzag",
]
SHAPE_OF = {"J": "i", "Z": "1"}


def words() -> list[str]:
    """A few hundred words and names, capitals."""
    listed = (Path(__file__).with_name("coverage500.txt")).read_text(encoding="utf-8").splitlines()
    plain = [w for w in listed if w.isascii() and w.isalpha() and 2 <= len(w) <= 12]
    return sorted({w.upper() for w in (*plain, *NAMES)})


def drawn(tip: np.ndarray, letter: str) -> bool:
    """Does the fingertip (T, 3), metres, draw J (down, then a hook to the other side) or Z (3 strokes)."""
    across, up = tip[:, 0], tip[:, 2]  # the right hand's other side is at positive x
    if letter == "J":
        lowest = int(up.argmin())
        return bool(up[0] - up[lowest] > 0.03 and across.max() - across[0] > 0.03)
    steps = np.diff(across)
    turns = [s for s in np.sign(np.where(np.abs(steps) > 2e-3, steps, 0)) if s]
    strokes = [turns[0]] if turns else []
    for s in turns:
        if s != strokes[-1]:
            strokes.append(s)
    return bool(strokes[-3:] == [-1, 1, -1] and up[:3].max() - up[-3:].min() > 0.04)


def read_word(reader: HandshapeReader, word: str, seconds: float | None) -> list[str]:
    """What the reader makes of each letter of a word ('-' for a J or Z that is not drawn)."""
    built = priors.spell(tuple(word), seconds)
    frames = len(built.rotations)
    motion = Motion(
        built.rotations, np.zeros((frames, 52), np.float32), np.zeros((frames, 3), np.float32), built.fps
    )
    points = hand_points(motion)
    letters, shapes = reader.letters(points), reader.read(points)
    out = []
    for letter, (first, last) in zip(word, priors.letter_holds(tuple(word), seconds), strict=True):
        a, b = round(first * built.fps), round(last * built.fps)
        if letter in SHAPE_OF:
            shape = reader.codes[int(shapes[a : a + 2].mean(0).argmax())]
            tip = points[a : b + 1, 20 if letter == "J" else 8]
            out.append(letter if shape == SHAPE_OF[letter] and drawn(tip, letter) else "-")
            continue
        rows = [t for t in range(a, b + 1) if first <= t / built.fps <= last] or [
            round((first + last) / 2 * built.fps)
        ]
        scores = letters[[min(t, frames - 1) for t in rows]].mean(0)
        # a still hand is never J nor Z: those are read from the movement
        order = [LETTERS[k] for k in np.argsort(-scores) if LETTERS[k] not in SHAPE_OF]
        out.append(order[0])
    return out


def ceiling(data: Path) -> dict[str, float]:
    """How well real letters are read: the same signer's (held out) and other signers', J and Z left out."""
    from stable_signer.corpora.hands import alphabet, filmed_letters

    hands, filmed = alphabet(data), filmed_letters(data)
    rows = np.arange(len(hands.labels))
    train, test = hands[rows % 5 != 0], hands[rows % 5 == 0]
    net = train_network(train.points, train.labels, np.ones(len(train.labels)), oriented=True, seed=0)
    same = _share(net(features(test.points)), net.classes, test.labels)
    groups = sorted(set(filmed.groups))
    scores = net(features(filmed.points))
    owner = np.array(filmed.groups)
    other = _share(
        np.stack([scores[owner == g].mean(0) for g in groups]), net.classes, [g[-1] for g in groups]
    )
    return {"real hands, same signer": same, "real hands, other signers": other}


def _share(scores: np.ndarray, classes: tuple[str, ...], labels: object) -> float:
    still = np.array([c not in SHAPE_OF for c in classes])
    hits = [
        classes[int(np.where(still, row, -np.inf).argmax())] == label
        for row, label in zip(scores, list(labels), strict=True)  # type: ignore[call-overload]
        if label not in SHAPE_OF
    ]
    return float(np.mean(hits))


def main() -> None:
    """Print the table; write the JSON where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="also measure the ceiling on real hands")
    parser.add_argument("--pace", choices=tuple(priors.PACES), default="standard")
    parser.add_argument("--json", type=Path, help="write the result there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    reader = HandshapeReader.load()
    wanted, seen = words(), []
    for word in wanted:
        seen.append(read_word(reader, word, priors.spelling_seconds(tuple(word), options.pace)))
    truth, read = "".join(wanted), [c for row in seen for c in row]
    shuffled = list(truth)
    random.Random(0).shuffle(shuffled)
    commonest = Counter(read).most_common(1)[0][0]
    rows = {
        "letters": float(np.mean([a == b for a, b in zip(truth, read, strict=True)])),
        "words": float(np.mean(["".join(r) == w for r, w in zip(seen, wanted, strict=True)])),
        "floor: labels shuffled": float(np.mean([a == b for a, b in zip(shuffled, read, strict=True)])),
        "floor: one letter for all": truth.count(commonest) / len(truth),
    }
    if options.data:
        rows |= ceiling(options.data)
    errors = Counter(f"{a} as {b}" for a, b in zip(truth, read, strict=True) if a != b)
    print(f"{len(wanted)} words, {len(truth)} letters, pace {options.pace}")
    for name, value in rows.items():
        print(f"{name:28}{value:8.1%}")
    print("misread:", ", ".join(f"{k} ({n})" for k, n in errors.most_common(12)) or "nothing")
    if options.json:
        part = options.json.with_suffix(".part")
        result = {"words": len(wanted), "pace": options.pace, "share": rows, "misread": dict(errors)}
        part.write_text(json.dumps(result, indent=2), encoding="utf-8")
        part.replace(options.json)


if __name__ == "__main__":
    main()
