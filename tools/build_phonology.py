"""Make `weights/phonology.csv` from the ASL-LEX 2.0 sign data: `python tools/build_phonology.py asllex.csv`.

Input: ASL-LEX 2.0 (Sehyr, Caselli, Cohen-Goldberg & Emmorey 2021), https://asl-lex.org, CC BY-NC 4.0, read
as UTF-8 with a byte-order mark. Only the columns that build a sign are kept.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

OUT = Path(__file__).parents[1] / "src/stable_signer/weights/phonology.csv"
COLUMNS = {
    "EntryID": "entry",
    "Handshape.2.0": "handshape",
    "NonDominantHandshape.2.0": "other_handshape",
    "SignType.2.0": "type",
    "Movement.2.0": "movement",
    "RepeatedMovement.2.0": "repeated",
    "MajorLocation.2.0": "major",
    "MinorLocation.2.0": "minor",
    "SecondMinorLocation.2.0": "second",
    "Contact.2.0": "contact",
    "UlnarRotation.2.0": "rotation",
    "SignDuration(ms)": "milliseconds",
}


def main(source: Path) -> None:
    """Write the table, one line an entry (the first if an identifier is repeated)."""
    rows, seen = [], set()
    with source.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            if row["EntryID"] not in seen:
                seen.add(row["EntryID"])
                rows.append({new: row[old] for old, new in COLUMNS.items()})
    with OUT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(COLUMNS.values()), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(OUT, len(rows), "entries")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
