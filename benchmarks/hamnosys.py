"""How much of a collection of HamNoSys notations can be read, and whether what is made of it can be shown.

    python benchmarks/hamnosys.py hamnosys_ham2pose.json [--performed 400] [--json OUT.json]

The file is JSON, `{name: {"hamnosys": "…"}}`, as the data of Ham2Pose has it (5,752 notations of DGS, PJM,
GSL and LSF). Counted: notations read; of these read without anything left out; what is left out, and why a
notation is refused. A seeded sample is then performed: is everything finite, how deep is a hand in body or
other hand, what is the largest turn of a joint between two frames.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np

from stable_signer.body.motion import Motion
from stable_signer.errors import StableSignerError
from stable_signer.lexicons import sign_from_notation
from stable_signer.metrics.motion import describe
from stable_signer.slp_moe.hamnosys_sign import sign_from_hamnosys


def main() -> None:
    """Read all, perform a sample, print the table, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notations", type=Path)
    parser.add_argument("--performed", type=int, default=400)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    texts = [row["hamnosys"] for row in json.loads(options.notations.read_text(encoding="utf-8")).values()]
    refused: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    read = []
    whole = 0
    for text in texts:
        try:
            reading = sign_from_hamnosys("X", text)
        except StableSignerError as error:
            refused[re.sub(r"symbol \d+ of the HamNoSys notation, |: mend it there", "", str(error))] += 1
            continue
        read.append(text)
        whole += not reading.simplified
        left_out.update(reading.simplified)
    random.Random(0).shuffle(read)
    rows = [_performed(text) for text in read[: options.performed]]
    out = {
        "notations": len(texts), "read": len(read), "read_whole": whole,
        "left_out": dict(left_out.most_common()), "refused": dict(refused.most_common()),
        "performed": len(rows), "not_finite": sum(not r["finite"] for r in rows),
        "seconds_median": float(np.median([r["seconds"] for r in rows])),
        "body_deeper_than_5_mm": sum(r["inside_body"] > 0.005 for r in rows),
        "hands_deeper_than_5_mm": sum(r["inside_hand"] > 0.005 for r in rows),
        "turns_over_60_degrees": sum(r["largest_step_degrees"] > 60 for r in rows),
    }  # fmt: skip
    for key, value in out.items():
        if isinstance(value, dict):
            print(f"{key}:", *(f"\n  {n:5d}  {name}" for name, n in value.items()))
        else:
            print(f"{key:24s} {value:g}")
    print(f"read {len(read) / len(texts):.1%}, whole {whole / len(texts):.1%}")
    if options.json:
        part = options.json.with_name(options.json.name + ".part")
        part.write_text(json.dumps(out, indent=1), encoding="utf-8")
        part.replace(options.json)


def _performed(text: str) -> dict[str, float]:
    motion: Motion = sign_from_notation(text, "X")[1]
    finite = float(np.isfinite(motion.rotations).all())
    return describe(motion) | {"finite": finite, "seconds": motion.duration}


if __name__ == "__main__":
    main()
