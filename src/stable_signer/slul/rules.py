"""Understanding by rule: English (or German) text in, an untimed plan out. SLUL's teacher and its safety net.

The way through: tokens (tokens.py) -> items, words with a part of speech and their signs (reading.py) ->
clauses in ASL order with their non-manuals (grammar.py) -> Draft. Word lists are tables in english.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stable_signer.errors import StableSignerError
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.grammar import Clause, Discourse, clauses, order, spans_of
from stable_signer.slul.items import PREDICATES, entry_sign, override, pause, spell
from stable_signer.slul.plan import LANGUAGES, Draft, Sign, Span
from stable_signer.slul.reading import Reader
from stable_signer.slul.tokens import Token, letters, sentences, tokenise

LONGEST_TEXT = 20_000
SENTENCE_PAUSE, CLAUSE_PAUSE = 0.5, 0.25


class RulePlanner:
    """Turns text into a Draft by rule; `glossary` says what can be signed."""

    def __init__(self, glossary: Glossary) -> None:
        self.glossary = glossary

    def draft(self, text: str, language: str = "ase") -> Draft:
        """The plan of `text` without times.

        `language` is "ase" (ASL) or "gsg" (German: spelled and numbered in the order of the text).
        Raises StableSignerError for blank or overlong text, an unknown language, a bad override, or when
        nothing in the text can be signed. What cannot be signed beside other words is listed in `dropped`.
        """
        if language not in LANGUAGES:
            raise StableSignerError(
                f"the language {language!r} is unknown: use one of {', '.join(LANGUAGES)}"
            )
        if not text.strip():
            raise StableSignerError("the text is empty: write at least one word to sign")
        if len(text) > LONGEST_TEXT:
            raise StableSignerError(
                f"the text has {len(text):,} characters, more than {LONGEST_TEXT:,}: sign it in parts"
            )
        signs: list[Sign] = []
        spans: list[Span] = []
        counts: list[tuple[str, int]] = []
        dropped: list[str] = []
        said, position = Discourse(), 0
        for tokens in sentences(tokenise(text)):
            dropped += [_printable(t.text) for t in tokens if t.kind == "unsignable"]
            tokens = [t for t in tokens if t.kind != "unsignable"]
            made, found = self._spell_all(tokens) if language == "gsg" else self._sentence(tokens, said)
            if not made:
                continue
            if signs:
                signs.append(pause(SENTENCE_PAUSE))
                counts[-1] = (counts[-1][0], counts[-1][1] + 1)
            spans += [Span(s.kind, s.first + len(signs), s.last + len(signs)) for s in found]
            signs += made
            surface, position = _surface(text, tokens, position)
            counts.append((surface, len(made)))
        if not any(s.kind != "pause" for s in signs):
            what = f": {', '.join(dict.fromkeys(dropped))}" if dropped else ""
            raise StableSignerError(
                f"nothing in the text can be signed{what[:80]}; write words in Latin letters"
            )
        return Draft(
            text=text,
            language=language,
            signs=tuple(signs),
            spans=tuple(spans),
            sentences=tuple(counts),
            notes=tuple(self._notes(signs, language)),
            dropped=tuple(dropped),
        )

    def _sign(self, gloss: str, text: str) -> Sign:
        return entry_sign(self.glossary, self.glossary.entry(gloss), text)

    def _sentence(self, tokens: list[Token], said: Discourse) -> tuple[list[Sign], list[Span]]:
        """The signs of an English sentence and the spans over them."""
        question = any(t.kind == "end" and "?" in t.text for t in tokens[-2:])
        shout = any(t.kind == "end" and "!" in t.text for t in tokens[-1:])
        items = Reader(self.glossary, tokens, question).items()
        if not any(i.signs for i in items):  # only grammar, such as "the": the word itself is meant
            return [spell(t.text) for t in tokens if t.kind == "word"], []
        found = clauses(items, question, self._sign)
        signs: list[Sign] = []
        spans: list[Span] = []
        last = _asked(found)
        for index, clause in enumerate(found):
            asked = question and index == last
            ordered, fronted = order(clause, asked, said, self._sign)
            made = [s for item in ordered for s in item.signs]
            if not made:
                continue
            if signs and clause.pause and signs[-1].kind != "pause":
                signs.append(pause(CLAUSE_PAUSE))
            first = len(signs)
            signs += made
            spans += spans_of(clause, ordered, fronted, first, asked)
        while signs and signs[-1].kind == "pause" and signs[-1].end == CLAUSE_PAUSE:
            signs.pop()
        if shout and signs and not question:
            spans.append(Span("intensity", len(signs) - 1, len(signs) - 1))
        return signs, spans

    def _spell_all(self, tokens: list[Token]) -> tuple[list[Sign], list[Span]]:
        """German: every word spelled, every number digit by digit, in the order of the text."""
        signs: list[Sign] = []
        for token in tokens:
            if token.kind == "override":
                signs += override(self.glossary, token.text)
            elif token.kind == "comma":
                signs.append(pause(CLAUSE_PAUSE))
            elif spelled := letters(token.text, "gsg"):
                if spelled.isdigit():
                    signs.append(
                        Sign(
                            spelled,
                            "number",
                            source="composed",
                            approximate=True,
                            text=token.text,
                            parts=tuple(spelled),
                        )
                    )
                else:
                    signs.append(
                        Sign(
                            f"fs-{spelled}",
                            "fingerspelled",
                            source="alphabet",
                            approximate=True,
                            text=token.text,
                            parts=tuple(spelled),
                        )
                    )
        while signs and signs[-1].kind == "pause":
            signs.pop()
        return signs, []

    def _notes(self, signs: Sequence[Sign], language: str) -> Iterable[str]:
        if language == "gsg":
            yield (
                "German Sign Language has no lexicon here yet: words are spelled in the text's order, with "
                "the handshapes of the American alphabet and digits; this is not DGS"
            )
            return
        for gloss in dict.fromkeys(s.gloss for s in signs if s.approximate and s.gloss in self.glossary):
            note = self.glossary.entry(gloss).note or "built from its phonology"
            yield f"{gloss} is approximate: {note}"


def _asked(found: Sequence[Clause]) -> int:
    """Which clause carries the question: the last with a wh-sign or inversion, else the last main clause."""
    main = [k for k, c in enumerate(found) if c.kind == "main"] or [len(found) - 1]
    for k in reversed(main):
        tags = [i.tag for i in found[k].items if i.tag not in ("CONJ", "INTJ", "TIME", "PREP", "ADV")]
        if "WH" in tags or (tags[:1] and tags[0] in PREDICATES - {"VERB"}):
            return k
    return main[-1]


def _printable(text: str) -> str:
    """Control characters by number, so that a report can show them."""
    return "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in text)


def _surface(text: str, tokens: list[Token], position: int) -> tuple[str, int]:
    """The stretch of `text` from the first to the last token, white space evened out, and where it ends."""
    start = end = text.find(tokens[0].text, position)
    for token in tokens:
        end = text.find(token.text, end) + len(token.text)
    return " ".join(text[start:end].split()), end
