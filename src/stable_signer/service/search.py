"""Finding signs for a word: what the page's list of variants shows."""

from __future__ import annotations

import difflib

from stable_signer.slul.glosses import Entry, Glossary


def search(glossary: Glossary, query: str, limit: int) -> list[Entry]:
    """Entries for a word or the start of a gloss, the best first; all, in order, for an empty query."""
    word = " ".join(query.lower().split())
    gloss = word.upper().replace(" ", "-")
    if not word:
        return sorted(glossary, key=lambda e: e.gloss)[:limit]
    ranked = [
        (rank, entry.gloss, entry) for entry in glossary if (rank := _rank(entry, word, gloss)) is not None
    ]
    found = [entry for _, _, entry in sorted(ranked, key=lambda r: r[:2])[:limit]]
    if found:
        return found
    near = difflib.get_close_matches(gloss, [e.gloss for e in glossary], n=limit, cutoff=0.6)
    return [glossary.entry(g) for g in near]


def _rank(entry: Entry, word: str, gloss: str) -> int | None:
    """0 is the best; None: it does not fit."""
    main = glossary_word(entry)
    tests = (
        main == word,
        word in entry.words,
        entry.gloss == gloss,
        entry.gloss.startswith(gloss),
        any(w.startswith(word) for w in entry.words),
        any(word in w.split() for w in entry.words),
    )
    return next((i for i, test in enumerate(tests) if test), None)


def glossary_word(entry: Entry) -> str:
    """The word that an entry chiefly means."""
    return entry.words[0] if entry.words else entry.gloss.lower().replace("-", " ")
