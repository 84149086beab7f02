"""How well ASL glosses are read back as English: floors, each part of the translator added, and the whole.

    python benchmarks/backtranslation.py --data ../shared/data [--dev] [--only whole] [--seed 0]

Every row is cross-validated over the training files of NCSLGR: a file is translated by one that never saw
it, with weights that its fold had no part in. With --dev the development files are measured too, each row
built from all training files; they choose nothing. Prints a JSON line a row; on one core about eight minutes
each. Intervals are of a paired bootstrap over sentences (95%), of BLEU-4 over that of the floor.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stable_signer.corpora import backtranslation as corpus
from stable_signer.corpora.backtranslation import FIRST_WEIGHTS, FREE, Settings
from stable_signer.corpora.ncslgr import Utterance, read_ncslgr, split
from stable_signer.metrics.backtranslation import BackTranslator, Search, as_words, text_words
from stable_signer.metrics.text import bleu_counts, bleu_of, text_scores
from stable_signer.slul.glosses import Glossary

SILENT_LM: dict[str, Any] = {"start": {**FIRST_WEIGHTS, "language": 0.0}}
ROWS: dict[str, dict[str, Any]] = {
    "lexicon": {**SILENT_LM, "search": Search(longest=1, jump=0)},
    "+ runs of glosses": {**SILENT_LM, "search": Search(jump=0)},
    "+ language model": {"search": Search(jump=0)},
    "+ order (whole)": {},
    "whole, without the dictionary": {"settings": Settings(fillers=-1)},
    "whole, singletons kept": {"settings": Settings(least=1)},
}
DRAWS = 1000


def compared(
    texts: Sequence[str], floor: Sequence[str], wanted: Sequence[str], seed: int
) -> dict[str, float]:
    """Scores, and by how much BLEU-4 is over the floor's, with its interval."""
    rng = np.random.default_rng(seed)
    ours, theirs = (bleu_counts(side, wanted) for side in (texts, floor))
    gains = []
    for k in range(DRAWS + 1):
        rows = np.arange(len(wanted)) if k == 0 else rng.integers(0, len(wanted), len(wanted))
        gains.append(bleu_of(ours[rows].sum(0), 4) - bleu_of(theirs[rows].sum(0), 4))
    low, high = np.percentile(gains[1:], [2.5, 97.5])
    return {
        **text_scores(texts, wanted), "gain": gains[0], "gain_low": float(low), "gain_high": float(high),
    }  # fmt: skip


def told(name: str, where: str, texts: Sequence[str], lines: Sequence[Utterance], seed: int) -> None:
    """Print a row."""
    floor = [as_words(u.glosses) for u in lines]
    scores = compared(texts, floor, [text_words(u.english) for u in lines], seed)
    print(json.dumps({"row": name, "on": where} | {k: round(v, 2) for k, v in scores.items()}), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with text_gloss/ncslgr/ncslgr.json")
    parser.add_argument("--dev", action="store_true", help="measure the development files too")
    parser.add_argument("--shipped", action="store_true", help="only what ships, on the development files")
    parser.add_argument("--only", action="append", choices=ROWS, help="these rows, not all")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    train, dev = split(read_ncslgr(args.data / "text_gloss/ncslgr/ncslgr.json", Glossary.load()))
    parts = [u for part in corpus.folds(train) for u in part]
    if args.shipped:
        shipped = BackTranslator.load()
        texts = [shipped.translate(u.glosses) for u in dev]
        known = {text_words(u.english) for u in train}
        told("as it ships", "dev", texts, dev, args.seed)
        for name in sorted({u.file for u in dev}):
            some = [k for k, u in enumerate(dev) if u.file == name]
            told("as it ships", name, [texts[k] for k in some], [dev[k] for k in some], args.seed)
        new = [k for k, u in enumerate(dev) if text_words(u.english) not in known]
        told(
            "as it ships",
            "dev, English not in training",
            [texts[k] for k in new],
            [dev[k] for k in new],
            args.seed,
        )
        return
    for where, lines in (("held-out files", parts), ("dev", dev)):
        if where != "dev" or args.dev:
            floor = [as_words(u.glosses) for u in lines]
            told("glosses as words", where, floor, lines, args.seed)
    for name in args.only or ROWS:
        given = ROWS[name]
        free = [f for f in FREE if f != "jump" or given.get("search", Search()).jump]
        found = corpus.cross_validated(train, seed=args.seed, free=free, **given)
        told(name, "held-out files", found.texts, found.lines, args.seed)
        if args.dev:
            made = corpus.build(
                corpus.pairs_of(train), found.weights, given.get("settings"), given.get("search")
            )
            told(name, "dev", [made.translate(u.glosses) for u in dev], dev, args.seed)
            following = [*dev[1:], *dev[:1]]
            told(f"{name}, shuffled", "dev", [made.translate(u.glosses) for u in following], dev, args.seed)


if __name__ == "__main__":
    main()
