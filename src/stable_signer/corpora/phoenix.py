"""RWTH-PHOENIX-Weather 2014T: German weather forecasts and their DGS glosses, and any TSV of that form.

The corpus is not part of this project (CC BY-NC-SA); these readers take it from the user's disk.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from stable_signer.errors import StableSignerError


@dataclass(frozen=True)
class Pair:
    """One utterance: spoken-language `text`, its `glosses` in signing order, the `language` signed (ISO
    639-3).

    `name` identifies the utterance in its corpus; `group` is what a split must keep together (a file, a
    broadcast).
    """

    text: str
    glosses: tuple[str, ...]
    language: str
    name: str = ""
    group: str = ""


def read_tsv(path: str | Path, language: str) -> list[Pair]:
    """Pairs of a TSV with a header and the columns `text` and `gloss` (and `name`, if there is one).

    StableSignerError when the file cannot be read, lacks a column or has a row of another length.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StableSignerError(
            f"the data {path} cannot be read as tab-separated UTF-8 text: {error}"
        ) from error
    if not rows:
        raise StableSignerError(
            f"the data {path} is empty: it needs a header with the columns text and gloss"
        )
    header, body = [h.strip() for h in rows[0]], rows[1:]
    for column in ("text", "gloss"):
        if column not in header:
            raise StableSignerError(
                f"the data {path} has no column {column!r}: its header must name the columns text and gloss"
            )
    pairs = []
    for number, row in enumerate(body, start=2):
        if not row or row == [""]:
            continue
        if len(row) != len(header):
            raise StableSignerError(
                f"line {number} of {path} has {len(row)} fields, the header {len(header)}: mend that line"
            )
        cells = dict(zip(header, row, strict=True))
        name = cells.get("name", str(number))
        pairs.append(
            Pair(cells["text"].strip(), tuple(cells["gloss"].split()), language, name, name.rsplit("-", 1)[0])
        )
    if not pairs:
        raise StableSignerError(f"the data {path} has a header but no rows: add sentences to evaluate")
    return pairs
