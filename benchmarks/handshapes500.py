"""Do the 500 commonest signs show the handshape that their phonology names? Read by a network of real hands.

    python benchmarks/handshapes500.py [--lexicon asl_lex_signdata-2020-10-28.csv] [--json OUT.json]

A sign's recording is read over its middle (the inner six tenths of the stroke), the mean of the frames'
scores. Rows: the signs that ship, and the ceiling, the same signs with the table's own handshape on the hand.
With --lexicon (ASL-LEX 2.0, not shipped) signs whose handshape changes on the way are left out. The reader is
`weights/handshape.safetensors`; it did not see any of our signs, but the table's shapes were tuned with a
sister of it, so the ceiling row is a development figure.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np

from coverage500 import LIST, entry_of  # beside this file
from stable_signer.metrics.handshape import HandshapeReader, hand_points, merged
from stable_signer.slp_moe.handshapes import handshape
from stable_signer.slp_moe.lexicon import Lexicon
from stable_signer.slp_moe.phonology import phonology, shape_name
from stable_signer.slp_moe.priors import six
from stable_signer.slp_moe.residual import finger_joints
from stable_signer.slul.glosses import Glossary

MIDDLE = 0.6


def main() -> None:
    """Read every sign, print the table and what is taken for what."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lexicon", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    glossary, lexicon, reader = Glossary.load(), Lexicon.load(), HandshapeReader.load()
    changing = _changing(options.lexicon) if options.lexicon else set()
    rows: dict[str, list[tuple[str, str, str, int]]] = {"signs": [], "table's shape": []}
    for name in LIST.read_text(encoding="utf-8").splitlines():
        entry = entry_of(glossary, name)
        if (
            entry is None
            or not entry.clip
            or entry.phonology in changing
            or entry.phonology not in phonology()
        ):
            continue
        code = phonology()[entry.phonology].handshape
        if merged(code) not in reader.codes:
            continue
        motion = lexicon.prototype(entry.gloss).motion
        middle = np.abs(np.linspace(-1, 1, len(motion))) <= MIDDLE
        rotations = motion.rotations.copy()
        rotations[:, list(finger_joints("R"))] = six(handshape(shape_name(code)))
        for row, points in (
            ("signs", hand_points(motion)),
            ("table's shape", hand_points(type(motion)(rotations, motion.face, motion.root, motion.fps))),
        ):
            scores = reader.read(points)[middle].mean(0)
            order = [reader.codes[k] for k in np.argsort(-scores)]
            rows[row].append((entry.gloss, merged(code), order[0], order.index(merged(code))))
    out = {}
    for row, found in rows.items():
        places = np.array([f[3] for f in found])
        out[row] = {
            "signs": len(found),
            "first": float((places < 1).mean()),
            "of_three": float((places < 3).mean()),
        }
        print(
            f"{row:14} {len(found)} signs, at first guess {out[row]['first']:.1%}, "
            f"of three {out[row]['of_three']:.1%}"
        )
        taken = Counter((f[1], f[2]) for f in found if f[3])
        print("  ", ", ".join(f"{a} as {b} {n}" for (a, b), n in taken.most_common(14)))
        print("  ", " ".join(f"{f[0]}({f[1]}>{f[2]},{f[3]})" for f in found if f[3]))
    if options.json:
        part = options.json.with_name(options.json.name + ".part")
        part.write_text(json.dumps(out, indent=1), encoding="utf-8")
        part.replace(options.json)


def _changing(path: Path) -> set[str]:
    """Entries of ASL-LEX whose handshape changes within the sign."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {
            row["EntryID"]
            for row in csv.DictReader(file)
            if row["FlexionChange.2.0"] != "0" or row["SpreadChange.2.0"] == "1"
        }


if __name__ == "__main__":
    main()
