"""Write sentences of NCSLGR's development files for `evaluate end-to-end`: text and reference glosses.

    python tools/ncslgr_sentences.py --data ../shared/data --out runs/ncslgr_dev.tsv [--count 60] [--seed 0]

Utterances whose glosses the judge knows one of, drawn by the seed without regard to their file; nothing of
ours was trained on these files (`corpora.ncslgr.DEV_FILES`). The corpus is not part of this project: inside
the repository the file may only lie in runs/, which git leaves out. Prints the numbers by file as JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from stable_signer.corpora.ncslgr import Utterance, read_ncslgr, split
from stable_signer.errors import StableSignerError
from stable_signer.media.files import Outputs
from stable_signer.metrics.recognition import Recogniser
from stable_signer.slul.glosses import Glossary

ROOT = Path(__file__).resolve().parent.parent


def drawn(utterances: list[Utterance], names: set[str], count: int, seed: int) -> list[Utterance]:
    """Up to `count` different utterances with a gloss among `names`, in the corpus' order."""
    first: dict[tuple[str, tuple[str, ...]], int] = {}
    for k, u in enumerate(utterances):
        if names.intersection(u.glosses):
            first.setdefault((u.english, u.glosses), k)
    fit = sorted(first.values())
    picked = np.random.default_rng(seed).permutation(len(fit))[:count]
    return [utterances[fit[k]] for k in sorted(picked)]


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with text_gloss/ncslgr/ncslgr.json")
    parser.add_argument("--out", type=Path, required=True, help="TSV to write")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.count < 1:
        raise StableSignerError(f"--count is {args.count}: draw one utterance or more")
    place = args.out.resolve()
    if place.is_relative_to(ROOT) and not place.is_relative_to(ROOT / "runs"):
        raise StableSignerError(f"{args.out} would lie in the repository: write it to runs/ or elsewhere")
    _, dev = split(read_ncslgr(args.data / "text_gloss/ncslgr/ncslgr.json", Glossary.load()))
    some = drawn(dev, set(Recogniser.load().lexicon_glosses()), args.count, args.seed)
    with (
        Outputs() as outputs,
        outputs.claim(args.out, (".tsv",)).open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(["text", "gloss"])
        table.writerows([u.english.replace("\t", " "), " ".join(u.glosses)] for u in some)
    print(json.dumps({"sentences": len(some), "of": len(dev), "files": Counter(u.file for u in some)}))


if __name__ == "__main__":
    try:
        main()
    except StableSignerError as error:
        sys.exit(f"error: {error}")
