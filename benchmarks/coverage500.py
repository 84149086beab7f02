"""How the 500 commonest ASL glosses are signed: from the lexicon, composed, approximated or spelled.

    python benchmarks/coverage500.py [--json coverage500.json]

The list (coverage500.txt) holds the gloss names of ASL-LEX 2.0 (Sehyr, Caselli, Cohen-Goldberg and
Emmorey 2021) by rated frequency. A gloss is looked up under its own name: "dont know" is DONT-KNOW.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from stable_signer.slp_moe.lexicon import Lexicon
from stable_signer.slul.glosses import Entry, Glossary

LIST = Path(__file__).with_name("coverage500.txt")
ROWS = ("signed", "composed", "approximate", "spelled")


def entry_of(glossary: Glossary, name: str) -> Entry | None:
    """The entry of a gloss name of the list, by gloss or by word."""
    gloss = name.upper().replace(" ", "-")
    return glossary.entry(gloss) if gloss in glossary else glossary.lookup(name)


def judge(glossary: Glossary, lexicon: Lexicon, name: str) -> str:
    """Which of ROWS the gloss falls under; an approximate part makes the whole approximate."""
    entry = entry_of(glossary, name)
    if entry is None:
        return "spelled"
    atoms = [glossary.entry(a) for a in glossary.expand(entry.gloss)]
    if entry.kind != "letter" and all(a.kind == "letter" for a in atoms):
        return "spelled"
    poorly_tracked = any(lexicon.prototype(a.gloss).approximate for a in atoms)
    if entry.approximate or poorly_tracked or any(a.approximate for a in atoms):
        return "approximate"
    return "composed" if entry.parts else "signed"


def main() -> None:
    """Print the table; write the JSON where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the result there")
    path = parser.parse_args().json
    glossary, lexicon = Glossary.load(), Lexicon.load()
    names = LIST.read_text(encoding="utf-8").splitlines()
    found = {row: [n for n in names if judge(glossary, lexicon, n) == row] for row in ROWS}
    phonology = [n for n in found["approximate"] if (e := entry_of(glossary, n)) and e.source == "phonology"]
    print(f"{'':12}{'glosses':>8}{'share':>8}")
    for row in ROWS:
        print(f"{row:12}{len(found[row]):8}{len(found[row]) / len(names):8.1%}")
    print(f"of the approximate, {len(phonology)} have no recording and are built from their phonology")
    print(f"not spelled: {1 - len(found['spelled']) / len(names):.1%}")
    if path:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(
            json.dumps(
                {"counts": {r: len(found[r]) for r in ROWS}, "glosses": found, "phonology": phonology},
                indent=1,
            )
            + "\n",
            encoding="utf-8",
        )
        temporary.replace(path)


if __name__ == "__main__":
    main()
