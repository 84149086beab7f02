"""What a recipe names as data, as training examples for SLUL.

An entry is `KIND:REST`, with `N*` in front to repeat it:
    tsv:gsg:PATH        a TSV with text and gloss (see corpora.phoenix); German is normalised
    tsv:ase:PATH        the same in ASL, glosses of the glossary; read into slots
    ncslgr-train:PATH   NCSLGR without its development files; ncslgr-dev:PATH only those
    taught:N            N everyday sentences from templates, planned by the rules
    taught-ncslgr:PATH  the English of ncslgr-train, planned by the rules
Texts of people's signing begin with SIGNER, those of the rules with RULES, so that SLUL can tell the two
apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

from stable_signer.corpora.ncslgr import Utterance, read_ncslgr, split
from stable_signer.corpora.phoenix import read_tsv
from stable_signer.errors import StableSignerError
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.plan import LANGUAGES
from stable_signer.slul.reading import Reader
from stable_signer.slul.rules import RulePlanner
from stable_signer.slul.slots import DOMAIN, aligned
from stable_signer.slul.teacher import end_of, everyday, rule_pairs
from stable_signer.slul.text import normalise_german
from stable_signer.slul.tokens import sentences, tokenise
from stable_signer.slul.train import Example

TAUGHT = "RULES"


@cache
def _glossary() -> Glossary:
    return Glossary.load()


def load_examples(entries: Iterable[str]) -> list[Example]:
    """All examples of `entries`, in order; StableSignerError for an entry of no known kind."""
    return [example for entry in entries for example in _entry(entry)]


def _entry(entry: str) -> list[Example]:
    match = re.fullmatch(r"(?:(\d+)\*)?([a-z-]+):(.+)", entry)
    if not match:
        raise StableSignerError(
            f"the data entry {entry!r} has no kind: write it as tsv:gsg:PATH or ncslgr-train:PATH"
        )
    times, kind, rest = int(match[1] or 1), match[2], match[3]
    if kind == "tsv":
        language, _, path = rest.partition(":")
        if language not in LANGUAGES:
            raise StableSignerError(
                f"the data entry {entry!r} has no language: write tsv:ase:PATH or tsv:gsg:PATH"
            )
        pairs = read_tsv(path, language)
        if language == "gsg":
            found = [Example(normalise_german(p.text), p.glosses, "gsg") for p in pairs]
        else:
            found = real_pairs([Utterance(p.text, p.glosses, (), p.name, p.group) for p in pairs])
    elif kind in ("ncslgr-train", "ncslgr-dev"):
        train, dev = split(read_ncslgr(rest, _glossary()))
        found = real_pairs(train if kind == "ncslgr-train" else dev)
    elif kind in ("taught", "taught-ncslgr"):
        if kind == "taught" and not rest.isdigit():
            raise StableSignerError(f"the data entry {entry!r} has no number: write taught:4000")
        texts = (
            everyday(int(rest), 1)
            if kind == "taught"
            else (u.english for u in split(read_ncslgr(rest, _glossary()))[0])
        )
        found = [_marked(e, TAUGHT) for e in rule_pairs(RulePlanner(_glossary()), texts)]
    else:
        raise StableSignerError(f"the data entry {entry!r} is of no known kind: see corpora/examples.py")
    return found * times


def real_pairs(utterances: Sequence[Utterance]) -> list[Example]:
    """Slotted pairs of what signers signed; utterances of several sentences or signed too freely are left
    out."""
    out = []
    for utterance in utterances:
        parts = sentences(tokenise(utterance.english))
        if len(parts) != 1:
            continue
        question, end = end_of(parts[0])
        items = Reader(_glossary(), list(parts[0]), question).items()
        pair = aligned(items, end, utterance.glosses, utterance.spans)
        if pair:
            out.append(_marked(Example(pair[0].text, pair[1], "ase"), DOMAIN))
    return out


def _marked(example: Example, mark: str) -> Example:
    return replace(example, text=f"{mark} {example.text}")
