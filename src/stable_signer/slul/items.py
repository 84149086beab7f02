"""The items of a sentence, and the signs that words, numbers and overrides are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from stable_signer.errors import StableSignerError
from stable_signer.slul.glosses import Entry, Glossary
from stable_signer.slul.plan import SPELLED_HOLD, SPELLING_PACES, Sign
from stable_signer.slul.tokens import letters

LONGEST_PAUSE = 10.0
PREDICATES = frozenset({"VERB", "BE", "MODAL", "DO", "PERFECT"})


@dataclass
class Item:
    """A word or phrase of the sentence: surface text, lower-case word, part of speech, and its signs.

    `tag` is NOUN, NAME, VERB, ADJ, ADV, PRON, POSS, ART, DET, NUM, PREP, CONJ, SUB (subordinator), IF,
    WHEN, WH, BE, DO, PERFECT, MODAL, NOT, TO, TIME, INTJ, COMMA, PAUSE or X (override). `unit` marks a noun
    that measures time.
    """

    text: str
    word: str
    tag: str
    signs: list[Sign] = field(default_factory=list)
    unit: bool = False

    @property
    def gloss(self) -> str:
        """The gloss of the first sign, or ""."""
        return self.signs[0].gloss if self.signs else ""


def has_predicate(items: Iterable[Item]) -> bool:
    """Whether a verb, modal or form of be is among items."""
    return any(i.tag in PREDICATES for i in items)


def spell(text: str, pace: str = "") -> Sign:
    """A word spelled: Sign(gloss "fs-MARIA", parts M A R I A). The text must have letters or digits.

    pace: one of SPELLING_PACES asks for a length, which the sign's `end` then holds until it is scheduled.
    """
    spelled = letters(text)
    end = SPELLING_PACES[pace] * len(spelled) + SPELLED_HOLD if pace else 0.0
    return Sign(f"fs-{spelled}", "fingerspelled", end=end, source="alphabet", text=text, parts=tuple(spelled))


def entry_sign(glossary: Glossary, entry: Entry, text: str) -> Sign:
    """The sign of a glossary entry, standing for `text`; made of letters alone it counts as spelled."""
    parts = glossary.expand(entry.gloss) if entry.parts else ()
    if entry.kind == "letter" or (parts and all(glossary.entry(p).kind == "letter" for p in parts)):
        spelled = parts or (entry.gloss,)
        return Sign(f"fs-{''.join(spelled)}", "fingerspelled", source="alphabet", text=text, parts=spelled)
    kind = entry.kind if entry.kind in ("number", "index") else "lexical"
    approximate = entry.approximate or any(glossary.entry(p).approximate for p in parts)
    return Sign(entry.gloss, kind, source=entry.source, approximate=approximate, text=text, parts=parts)


def number_sign(glossary: Glossary, label: str, glosses: Sequence[str], text: str) -> Sign:
    """A number of one or more glosses, e.g. label "125", glosses 1 HUNDRED 25."""
    parts = tuple(atom for g in glosses for atom in glossary.expand(g))
    approximate = any(glossary.entry(p).approximate for p in (*parts, *glosses))
    source = "lexicon" if len(parts) == 1 else "composed"
    return Sign(label.upper(), "number", source=source, approximate=approximate, text=text, parts=parts)


def override(glossary: Glossary, text: str) -> list[Sign]:
    """The signs of an author's override: [[GLOSS GLOSS]], [[fs:Ana]] or [[pause 0.5]], brackets included.

    [[fs-learner:Ana]] and [[fs-fluent:Ana]] spell slowly and fast (SPELLING_PACES).
    """
    inner = text[2:-2].strip()
    if not inner:
        raise StableSignerError("the override [[]] is empty: write [[GLOSS]], [[fs:Name]] or [[pause 0.5]]")
    if paced := re.match(r"(?i)fs(?:-(\w+))?:", inner):
        pace = (paced[1] or "").lower()
        if pace and pace not in SPELLING_PACES:
            raise StableSignerError(
                f"the override {text} asks for an unknown pace: write [[fs-learner:Ana]] or [[fs-fluent:Ana]]"
            )
        words = inner[paced.end() :].split()
        if not words or not all(letters(w) for w in words):
            raise StableSignerError(
                f"the override {text} has nothing to spell: write letters after fs:, as in [[fs:Ana]]"
            )
        return [spell(w, pace) for w in words]
    if re.match(r"(?i)pause\b(?!-)", inner):
        length = re.fullmatch(r"(?i)pause\s+(\d{1,4}(?:\.\d{1,4})?|\.\d{1,4})\s*s?", inner)
        if not length or not 0 <= float(length[1]) <= LONGEST_PAUSE:
            raise StableSignerError(
                f"the override {text} needs a length from 0 to {LONGEST_PAUSE:g} seconds: write [[pause 0.5]]"
            )
        return [pause(float(length[1]))]
    return [entry_sign(glossary, glossary.entry(g.upper()), g) for g in inner.split()]


def pause(seconds: float) -> Sign:
    """A pause of that many seconds."""
    return Sign("PAUSE", "pause", end=seconds, source="none")
