"""Build weights/glosses.csv, the table of what can be signed, from the corpora's names and our own curation.

    python tools/build_glosses.py --data ../shared/data

Three layers, later ones win:
1. every gloss of WLASL that has a clip in motion/wlasl_holistic.npz, and the letters;
2. StudioGalt (CC0) for words that WLASL lacks: its performer is hearing and nobody has audited it,
   so these are marked approximate;
3. tools/glosses_curated.csv, written by hand: pointing, numbers, compounds, everyday synonyms, senses,
   and the commonest glosses that have no clip. There an empty cell keeps what is known already; in `words`
   a leading "=" replaces the words instead of adding to them; kind `drop` removes an entry.

ASL-LEX gives the identifier under which a sign's phonology can be looked up (column `phonology`).
The shipped table is derived: names and identifiers only, no landmark and no translation list.
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path

import numpy as np

from stable_signer.slp_moe import priors
from stable_signer.slul.glosses import COLUMNS

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "src" / "stable_signer" / "weights" / "glosses.csv"
CURATED = ROOT / "tools" / "glosses_curated.csv"

# StudioGalt: a date ends each name, "Alt" and "Variant" mark takes; a bracket gives a sense: not guessed.
GALT_NAME = re.compile(r"^SG ASL (?P<word>.+?)(?: \d)? \d{4}-\d+-\d+.*$")
GALT_TAKE = re.compile(r"\(?\b(?:alt|variant|other|extended)\b\)?", re.IGNORECASE)
GALT_MISSPELT = {
    "archaelogy",
    "ardous",
    "armidillo",
    "assitant",
    "audtion",
    "audicity",
    "baliff",
    "bargin",
    "bengladesh",
    "biospy",
    "calender",
    "cementary",
    "celcius",
    "annoint",
    "cheque",
    "chauffer",
    "compliant",
}
# Words that a planner must never reach by look-up: function words, insults, and forms of other lemmas.
GALT_LEFT_OUT = {
    "as",
    "aside",
    "became",
    "been",
    "asshole",
    "bastard",
    "bitch",
    "bullshit",
    "cock",
    "bum",
    "bindi",
    "bi",
    "backpay",
    "arms",
    "buttons",
    "coins",
    "choices",
    "comments",
    "bangs",
    "aww",
    "boo",
    "bp",
    "app",
    "beau",
    "bay",
    "arc",
    "bond",
    "brand",
    "code",
    "club",
    "band",
    "batch",
    "beam",
}


def upper(name: str) -> str:
    """The gloss of a name: "don't want" -> "DONT-WANT"."""
    return re.sub(r"[^A-Z0-9]+", "-", name.upper().replace("'", "")).strip("-")


def wlasl(names: list[str]) -> dict[str, dict[str, str]]:
    """One entry a clip; single letters among the words repeat the LETTER clips and are left out."""
    entries = {}
    for name in names:
        if name.startswith("LETTER-"):
            letter = name.removeprefix("LETTER-")
            entries[letter] = row(letter, "letter", words="", clip=name)
        elif len(name) > 1:
            entries[upper(name)] = row(upper(name), "lexical", words=name, clip=name)
    return entries


def studiogalt(names: list[str], known: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Entries for words that `known` lacks; the shortest take name wins when a word has several."""
    entries: dict[str, dict[str, str]] = {}
    for name in sorted(names, key=len):
        match = GALT_NAME.match(name)
        if not match:
            continue
        word = GALT_TAKE.sub("", match["word"]).strip().lower()
        if not re.fullmatch(r"[a-z]{2,}(?: [a-z]+)?", word) or word in GALT_MISSPELT | GALT_LEFT_OUT:
            continue
        gloss = upper(word)
        if gloss not in known and gloss not in entries:
            entries[gloss] = row(
                gloss,
                "lexical",
                words=word,
                clip=f"SG:{name}",
                approximate="1",
                note="StudioGalt, hearing performer, not audited",
            )
    return entries


def row(
    gloss: str,
    kind: str,
    *,
    words: str = "",
    clip: str = "",
    approximate: str = "0",
    note: str = "",
    parts: str = "",
    phonology: str = "",
) -> dict[str, str]:
    """A line of the table."""
    return {
        "gloss": gloss,
        "kind": kind,
        "parts": parts,
        "words": words,
        "clip": clip,
        "phonology": phonology,
        "approximate": approximate,
        "written": "0",
        "note": note,
    }


def curate(entries: dict[str, dict[str, str]], lines: list[dict[str, str]], galt: list[str]) -> None:
    """Lay the hand-written lines over `entries`, in place."""
    for line in lines:
        gloss = line["gloss"]
        if line["kind"] == "drop":
            entries.pop(gloss, None)
            continue
        entry = entries.setdefault(gloss, row(gloss, "lexical", words=gloss.lower().replace("-", " ")))
        if line["parts"] or (line["phonology"] and not entry["clip"]):
            entry.update(clip="", note="", approximate="0")
        for column in ("kind", "parts", "phonology", "approximate", "note"):
            entry[column] = line[column] or entry[column]
        if line["clip"].startswith("SG:"):
            entry["clip"] = "SG:" + next(n for n in galt if n.startswith("SG ASL " + line["clip"][3:]))
        elif line["clip"]:
            entry["clip"] = line["clip"]
        words, new = entry["words"].split("|"), line["words"]
        if new.startswith("="):
            words, new = [], new[1:]
        entry["words"] = "|".join(dict.fromkeys(w for w in [*words, *new.split("|")] if w))


def claim_words(entries: dict[str, dict[str, str]], curated: dict[str, str]) -> list[str]:
    """Give every word to one entry: a curated claim beats a name. Returns the quarrels of curated lines."""
    owner: dict[str, str] = {}
    quarrels = []
    for gloss, entry in sorted(entries.items(), key=lambda e: e[0] not in curated):
        kept = []
        for word in entry["words"].split("|") if entry["words"] else []:
            if word not in owner:
                owner[word] = gloss
                kept.append(word)
            elif word in curated.get(gloss, "").lstrip("=").split("|"):
                quarrels.append(f"{word!r} is claimed by {owner[word]} and by {gloss}")
        entry["words"] = "|".join(kept)
    return quarrels


def mark_written(entries: dict[str, dict[str, str]]) -> None:
    """Let the signs of weights/signs.txt stand for their glosses: the notation goes before clip and
    phonology, and before a composition, unless it is itself only approximate."""
    for gloss in priors.glosses():
        entry, approximate = entries.get(gloss), priors.written(gloss).approximate
        if entry is None or (entry["parts"] and approximate):
            continue
        kind = "lexical" if entry["kind"] == "composed" else entry["kind"]
        entry.update(kind=kind, parts="", written="1", approximate="1" if approximate else "0")


def main() -> None:
    """Write the table and say how many entries of each kind it has."""
    parser = argparse.ArgumentParser(description="Build weights/glosses.csv")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    data = parser.parse_args().data
    names = [str(n) for n in np.load(data / "motion" / "wlasl_holistic.npz")["names"]]
    galt = [str(n) for n in np.load(data / "motion" / "studiogalt_holistic.npz")["names"]]
    with CURATED.open(encoding="utf-8", newline="") as file:
        curated = list(csv.DictReader(file))
    signdata = data / "lexicons" / "asl_lex_signdata-2020-10-28.csv"
    with signdata.open(encoding="utf-8-sig", newline="") as file:
        asllex = [r["EntryID"].strip() for r in csv.DictReader(file)]

    entries = wlasl(names)
    entries |= studiogalt(galt, entries)
    curate(entries, curated, galt)
    claims: dict[str, str] = {}
    for line in curated:
        claims[line["gloss"]] = claims.get(line["gloss"], "") + "|" + line["words"].lstrip("=")
    problems = claim_words(entries, claims)

    mark_written(entries)
    identifiers: dict[str, str] = {}
    for identifier in asllex:
        identifiers.setdefault(upper(identifier), identifier)
        identifiers.setdefault(upper(re.sub(r"_\d$", "", identifier)), identifier)
    for gloss, entry in entries.items():
        if not entry["phonology"] and not entry["parts"] and entry["kind"] == "lexical":
            entry["phonology"] = identifiers.get(gloss, "")
        if entry["phonology"] and entry["phonology"] not in asllex:
            problems.append(f"{gloss}: ASL-LEX has no entry {entry['phonology']}")
        if entry["parts"] and entry["kind"] == "lexical":
            entry["kind"] = "composed"
        problems += [f"{gloss}: part {p} is no entry" for p in entry["parts"].split() if p not in entries]
        if entry["kind"] == "lexical" and not (
            entry["clip"] or entry["phonology"] or entry["written"] == "1"
        ):
            problems.append(f"{gloss}: neither clip, parts nor phonology")
        if entry["clip"] and not entry["clip"].startswith("SG:") and entry["clip"] not in names:
            problems.append(f"{gloss}: no clip {entry['clip']}")
    if problems:
        raise SystemExit("the curation has faults:\n  " + "\n  ".join(problems))

    temporary = TABLE.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(entries[g] for g in sorted(entries))
    temporary.replace(TABLE)
    kinds = [e["kind"] for e in entries.values()]
    print(
        {k: kinds.count(k) for k in sorted(set(kinds))},
        "words:",
        sum(len(e["words"].split("|")) for e in entries.values()),
    )


if __name__ == "__main__":
    main()
