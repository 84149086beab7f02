"""Which glosses an English word means: its own entry, its lemma's, a derivation's, or none."""

from __future__ import annotations

from collections.abc import Iterable

from stable_signer.slul import english as en
from stable_signer.slul.glosses import Glossary


class Senses:
    """Looks words up in a glossary, inflected and derived forms included."""

    def __init__(self, glossary: Glossary) -> None:
        self.glossary = glossary

    def known(self, word: str) -> bool:
        """Whether the word, as a noun or whatever else it can be, has a sign."""
        return bool(self.glosses(word, "NOUN"))

    def glosses(self, word: str, tag: str) -> list[str]:
        """The glosses that a word means as part of speech `tag`; empty when it must be spelled."""
        forms = en.lemmas(word)
        as_tag = forms.get(tag, ())
        for lemma in (word, *as_tag):
            if (lemma, tag) in en.SENSES and (
                lemma == word or tag == "VERB" or not self.glossary.lookup(word)
            ):
                sense = en.SENSES[lemma, tag]
                return [sense] if sense else []
        others = [x for group in forms.values() for x in group]
        order = [*as_tag, word, *others] if tag == "VERB" else [word, *as_tag, *others]
        if tag in ("ADJ", "ADV") and word.endswith(("er", "est")) and not self.glossary.lookup(word):
            base = next((x for x in as_tag if x != word and self.glossary.lookup(x)), None)
            if base:
                return ["MORE" if word.endswith("er") else "MOST", self._own(base)]
        for lemma in order:
            if self.glossary.lookup(lemma) and not (len(lemma) == 1 and lemma != word):
                return [self._own(lemma)]
        if word in en.AGENTS:
            verb = self.base(word, (("er", ""), ("er", "e"), ("or", ""), ("or", "e")))
            if verb:
                return [verb, "PERSON"]
        for prefix in en.NEGATIVE_PREFIXES:
            rest = word.removeprefix(prefix)
            if rest != word and len(rest) > 3 and (entry := self.glossary.lookup(rest)) and "ADJ" in forms:
                return ["NOT", entry.gloss]
        base_gloss = self.base(word, en.SUFFIXES) if len(word) > 3 else None
        return [base_gloss] if base_gloss else []

    def _own(self, word: str) -> str:
        entry = self.glossary.lookup(word)
        return entry.gloss if entry else ""

    def base(self, word: str, endings: Iterable[tuple[str, str]]) -> str | None:
        """The gloss of the word without one of `endings`, its last letter undoubled where that helps."""
        for ending, instead in endings:
            stem = word.removesuffix(ending)
            if stem == word or len(stem) < 3:
                continue
            for form in (stem + instead, stem[:-1] if stem[-1] == stem[-2] and not instead else ""):
                if len(form) > 2 and (entry := self.glossary.lookup(form)):
                    return entry.gloss
        return None
