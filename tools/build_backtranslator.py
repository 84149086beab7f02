"""Build weights/backtranslation.txt, the back-translator that scores signing as text, from NCSLGR's pairs.

    python tools/build_backtranslator.py --data ../shared/data

Only the training files are read (`corpora.ncslgr.split`); the weights are found on held-out files among them.
Prints the cross-validated scores, and those of the floor (the glosses taken as words), as JSON. The same data
and seed give the same bytes. About eight minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from stable_signer.corpora import backtranslation as corpus
from stable_signer.corpora.ncslgr import read_ncslgr, split
from stable_signer.errors import StableSignerError
from stable_signer.media.files import Outputs
from stable_signer.metrics.backtranslation import as_words, text_words, written
from stable_signer.metrics.text import text_scores
from stable_signer.slul.glosses import Glossary

TABLE = Path(__file__).resolve().parent.parent / "src/stable_signer/weights/backtranslation.txt"


def main() -> None:
    """Build, write and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with text_gloss/ncslgr/ncslgr.json")
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with Outputs() as outputs:
        place = outputs.claim(args.out, (".txt",))
        utterances = read_ncslgr(args.data / "text_gloss/ncslgr/ncslgr.json", Glossary.load())
        train, _ = split(utterances)
        found = corpus.cross_validated(train, seed=args.seed)
        translator = corpus.build(corpus.pairs_of(train), found.weights)
        place.write_text(written(translator), encoding="utf-8")
    wanted = [text_words(u.english) for u in found.lines]
    scores = {
        "translator, cross-validated": text_scores(found.texts, wanted),
        "glosses as words": text_scores([as_words(u.glosses) for u in found.lines], wanted),
    }
    print(json.dumps({"pairs": len(train), "bytes": args.out.stat().st_size, "scores": scores}, indent=2))


if __name__ == "__main__":
    try:
        main()
    except StableSignerError as error:
        sys.exit(f"error: {error}")
