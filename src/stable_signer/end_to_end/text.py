"""What was read of signing as English text, by the back-translator, against the sentences themselves.

Two readings of each line, because the judge knows few signs:

- `text_*`: the signs that the judge read, nothing else. Honest, and poor where it knows one sign in four.
- `told_*`: the same with the other signs taken at the system's word. It can be compared between rows that say
  the same, and only there: a figure that stands still tells most of it too (row mean-pose).

Beside them `planned_text_*`: all that a system says it signs, as if every sign were read.

Each has a companion from the same glosses taken as words, with no translator: `words_*`, `told_words_*`,
`planned_words_*`. Where the translator's figure is not above it, the translator adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from stable_signer.metrics.backtranslation import BackTranslator, as_words, text_words
from stable_signer.metrics.text import text_scores

Line = Sequence[str]  # glosses
SCORES = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "wer", "length_ratio")
WORDS = {"text": "words", "told": "told_words", "planned_text": "planned_words"}
"""What the companion of each kind of scores is called."""
BOUNDS = {
    "glosses": "reference glosses",
    "known": "reference glosses that the judge knows",
    "shuffled": "reference glosses, sentences shuffled",
}


class TextReader:
    """Glosses to scores of text. classes: the judge's class -> our gloss (`glosses_of`)."""

    def __init__(self, translator: BackTranslator, names: Mapping[str, str]) -> None:
        """names: our gloss -> the judge's class, as `Recogniser.lexicon_glosses` has it."""
        self.translator, self.names = translator, names
        self._glosses: dict[str, str] = {}
        for gloss, name in names.items():
            self._glosses.setdefault(name, gloss)
        self._read: dict[tuple[str, ...], str] = {}

    def glosses_of(self, classes: Iterable[str]) -> list[str]:
        """Our glosses of the judge's classes; one that our lexicon does not sign is its upper-case name."""
        return [self._glosses.get(c, c.upper()) for c in classes]

    def text(self, line: Line) -> str:
        """A line in English; each line is translated once."""
        key = tuple(line)
        if key not in self._read:
            self._read[key] = self.translator.translate(key)
        return self._read[key]

    def scores(self, name: str, lines: Iterable[Line], texts: Sequence[str]) -> dict[str, float]:
        """Scores of lines against texts, as the translator has them and as words.

        Each key has `name`, one of WORDS, or its companion, and an underscore in front.
        """
        lines, wanted = list(lines), [text_words(t) for t in texts]
        found = text_scores([self.text(line) for line in lines], wanted)
        plain = text_scores([as_words(line) for line in lines], wanted)
        return {f"{name}_{key}": found[key] for key in SCORES} | {
            f"{WORDS[name]}_{key}": plain[key] for key in SCORES
        }

    def bounds(self, lines: Sequence[Line], texts: Sequence[str]) -> dict[str, dict[str, float]]:
        """Ceilings and floors of the references' own glosses, by name: rows with `text_*`, `words_*` only.

        No system and no judge is in them: every sign read, those that the judge knows, and the glosses of
        the next sentence.
        """
        return {
            BOUNDS["glosses"]: self.scores("text", lines, texts),
            BOUNDS["known"]: self.scores("text", [[g for g in x if g in self.names] for x in lines], texts),
            BOUNDS["shuffled"]: self.scores("text", [*lines[1:], *lines[:1]], texts),
        }
