"""From tokens to items: every word of a sentence with its part of speech and the signs that stand for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from stable_signer.errors import StableSignerError
from stable_signer.slul import english as en
from stable_signer.slul import numbers as num
from stable_signer.slul.glosses import Entry, Glossary
from stable_signer.slul.plan import Sign
from stable_signer.slul.tokens import TITLES, Token, letters

LONGEST_PAUSE = 10.0
SYMBOLS = {"&": "AND", "+": "PLUS", "=": "EQUAL", "@": "fs-AT", "#": "NUMBER", "%": "PERCENT", "°": "DEGREE",
           "$": "DOLLAR", "€": "fs-EURO", "£": "fs-POUND", "¥": "fs-YEN"}
PREDICATES = frozenset({"VERB", "BE", "MODAL", "DO", "PERFECT"})


@dataclass
class Item:
    """A word or phrase of the sentence: surface text, lower-case word, part of speech, and its signs.

    `tag` is NOUN, NAME, VERB, ADJ, ADV, PRON, POSS, ART, DET, NUM, PREP, CONJ, SUB (subordinator), IF, WHEN, WH, BE,
    DO, PERFECT, MODAL, NOT, TO, TIME, INTJ, COMMA, PAUSE or X (override). `unit` marks a noun that measures time.
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


# -- signs --------------------------------------------------------------------------------------------------------


def spell(text: str) -> Sign:
    """A word spelled: Sign(gloss "fs-MARIA", parts M A R I A). The text must have letters or digits."""
    spelled = letters(text)
    return Sign(f"fs-{spelled}", "fingerspelled", source="alphabet", text=text, parts=tuple(spelled))


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
    """The signs of an author's override: [[GLOSS GLOSS]], [[fs:Ana]] or [[pause 0.5]], brackets included."""
    inner = text[2:-2].strip()
    if not inner:
        raise StableSignerError("the override [[]] is empty: write [[GLOSS]], [[fs:Name]] or [[pause 0.5]]")
    if inner.lower().startswith("fs:"):
        words = inner[3:].split()
        if not words or not all(letters(w) for w in words):
            raise StableSignerError(f"the override {text} has nothing to spell: write letters after fs:, as in [[fs:Ana]]")
        return [spell(w) for w in words]
    if re.match(r"(?i)pause\b(?!-)", inner):
        length = re.fullmatch(r"(?i)pause\s+(\d{1,4}(?:\.\d{1,4})?|\.\d{1,4})\s*s?", inner)
        if not length or not 0 <= float(length[1]) <= LONGEST_PAUSE:
            raise StableSignerError(
                f"the override {text} needs a length from 0 to {LONGEST_PAUSE:g} seconds: write [[pause 0.5]]")
        return [pause(float(length[1]))]
    return [entry_sign(glossary, glossary.entry(g.upper()), g) for g in inner.split()]


def pause(seconds: float) -> Sign:
    return Sign("PAUSE", "pause", end=seconds, source="none")


# -- reading: tokens to items ---------------------------------------------------------------------------------------


class Reader:
    """Turns the tokens of one sentence into items: contractions, numbers, phrases, names, parts of speech."""

    def __init__(self, glossary: Glossary, tokens: list[Token], question: bool) -> None:
        self.glossary = glossary
        self.question = question
        self.shouting = _all_capitals(tokens)
        self.tokens = [piece for token in tokens for piece in _split(token)]
        self.words = [t.groups.get("word", t.text).lower().replace("’", "'") if t.kind in ("word", "clitic")
                      else f"<{t.kind}>" for t in self.tokens]
        self.made: list[Item] = []

    def items(self) -> list[Item]:
        """All items of the sentence, in the order of the text."""
        index = 0
        while index < len(self.tokens):
            index += self._special(index) or self._number(index) or self._phrase(index) or self._word(index)
        return self.made

    def word(self, index: int) -> str:
        """The lower-case word at `index`, "" outside the sentence."""
        return self.words[index] if 0 <= index < len(self.words) else ""

    def _add(self, tag: str, first: int, length: int, signs: Iterable[Sign], unit: bool = False) -> int:
        """Append an item made of `length` tokens from `first`; returns `length`."""
        text = _join(t.text for t in self.tokens[first : first + length])
        word = " ".join(self.words[first : first + length])
        self.made.append(Item(text, word, tag, list(signs), unit))
        return length

    def _gloss(self, gloss: str, text: str) -> Sign:
        """The sign of a gloss, or of "fs-WORD" spelled."""
        if gloss.startswith("fs-"):
            return Sign(gloss, "fingerspelled", source="alphabet", text=text, parts=tuple(gloss[3:]))
        return entry_sign(self.glossary, self.glossary.entry(gloss), text)

    def _reading(self, reading: num.Reading, text: str) -> list[Sign]:
        return [number_sign(self.glossary, label, parts, text) if parts else self._gloss(label, text)
                for label, parts in reading]

    # .. everything that is no plain word

    def _special(self, index: int) -> int:
        """Punctuation, overrides, addresses, titles, symbols, and numbers in figures; 0 for a plain word."""
        token = self.tokens[index]
        text, groups = token.text, token.groups
        match token.kind:
            case "end" | "comma":
                return self._add("COMMA", index, 1, ()) if index + 1 < len(self.tokens) and self.made else 1
            case "override":
                for sign in override(self.glossary, text):
                    self.made.append(Item(sign.text, sign.gloss.lower(), "PAUSE" if sign.kind == "pause" else "X", [sign]))
                return 1
            case "symbol":
                return self._add("NOUN", index, 1, [self._gloss(SYMBOLS[text], text)])
            case "title":
                entry = self.glossary.lookup(TITLES[text.lower().rstrip(".")])
                return self._add("NAME", index, 1, [entry_sign(self.glossary, entry, text) if entry else spell(text)])
            case "dotted":
                return self._dotted(index)
            case "email" | "url":
                return self._add("NAME", index, 1, self._address(text))
            case "phone":
                groups_of_digits = re.findall(r"\d+", text)
                return self._add("NUM", index, 1, [number_sign(self.glossary, g, num.digits(g), text if i == 0 else g)
                                                   for i, g in enumerate(groups_of_digits)])
            case "time":
                hour = int(groups.get("hour") or groups.get("hour_only") or groups["sharp"])
                half = (groups.get("half") or groups.get("half_only") or "").lower().replace(".", "")
                if hour > 24:
                    return self._add("NUM", index, 1, [number_sign(self.glossary, text, num.digits(text), text)])
                return self._add("TIME", index, 1, self._reading(num.clock(hour, int(groups.get("minute", 0)), half), text))
            case "date":
                reading = num.numeric_date(text)
                if reading:
                    return self._add("TIME", index, 1, self._reading(reading, text))
                return self._add("NUM", index, 1, [number_sign(self.glossary, text, num.digits(text), text)])
            case "money":
                unit = num.CURRENCIES[groups["currency"]]
                reading = num.money(groups["currency"], groups["amount"], groups.get("scale", "").lower())
                known = unit in ("DOLLAR",)
                return self._add("NUM", index, 1, self._reading(
                    tuple((f"fs-{label}" if label == unit and not known else label, p) for label, p in reading), text))
            case "percent":
                return self._add("NUM", index, 1, self._reading(
                    ((groups["rate"], num.decimal(groups["rate"])), ("PERCENT", ())), text))
            case "ordinal":
                return self._add("ADJ", index, 1, self._ordinal(int(groups["rank"]), text))
            case "fraction":
                if (groups["top"], groups["bottom"]) == ("1", "2"):
                    return self._add("NUM", index, 1, [self._gloss("HALF", text)])
                parts = (*num.cardinal(int(groups["top"])), *num.cardinal(int(groups["bottom"])))
                return self._add("NUM", index, 1, [number_sign(self.glossary, text, parts, text)])
        return 0

    def _dotted(self, index: int) -> int:
        """U.S., a.m., e.g.: a known word without its dots, else spelled."""
        text = self.tokens[index].text
        bare = text.replace(".", "").lower()
        if bare in ("eg", "ie"):
            return self._add("ADV", index, 1, [self._gloss("EXAMPLE" if bare == "eg" else "MEANING", text)])
        entry = self.glossary.lookup({"us": "united states", "usa": "united states", "am": "morning",
                                      "pm": "afternoon"}.get(bare, bare))
        return self._add("NAME", index, 1, [entry_sign(self.glossary, entry, text) if entry else spell(bare.upper())])

    def _address(self, text: str) -> list[Sign]:
        """An address piece by piece; the scheme is not signed but stands in the text of the first piece."""
        signs = []
        body = re.sub(r"(?i)^(?:https?://)?(?:www\.)?", "", text)
        scheme = text[: len(text) - len(body)]
        for piece in re.findall(r"[^\W_]+|[.@]", body):
            if piece in ".@":
                signs.append(self._gloss("POINT" if piece == "." else "fs-AT", piece))
            elif letters(piece):
                signs.append(_spelled_as(piece, scheme + piece))
                scheme = ""
        return signs

    def _ordinal(self, rank: int, text: str) -> list[Sign]:
        glosses = num.ordinal(rank)
        if glosses[0] in num.ORDINALS:
            return [self._gloss(glosses[0], text)]
        return [number_sign(self.glossary, str(rank), glosses, text)]

    # .. numbers in figures and words

    def _number(self, index: int) -> int:
        """Plain figures, number words, and what belongs to them: dates, years, ages."""
        word, token = self.word(index), self.tokens[index]
        month = num.MONTH_NAMES.get(word, 0)
        if month and self._is_month(index):
            return self._month(index, month)
        if token.kind == "number":
            value = token.text
            following = num.MONTH_NAMES.get(self.word(index + 1), 0)
            if following and value.isdigit() and 1 <= int(value) <= 31 and self.tokens[index + 1].text[:1].isupper():
                return self._day_first(index, following)
            return self._figure(index, 1, value)
        read = num.read_words(self.words, index)
        if not read or (word == "one" and self.word(index + 1) not in en.TIME_NOUNS and
                        (self.word(index - 1) in en.DETERMINERS | en.ARTICLES or self.made[-1:] and
                         self.made[-1].tag == "ADJ")):
            return 0
        value_read, length = read
        if self.word(index + length) in ("'s", "another") or self.word(index) == "one" and self.word(index + 1) == "day":
            return 0
        return self._figure(index, length, str(value_read))

    def _figure(self, index: int, length: int, value: str) -> int:
        """A number and, where it is an age or a year, the way signers sign those."""
        text = _join(t.text for t in self.tokens[index : index + length])
        after = self.words[index + length : index + length + 2]
        if after[:2] in (["years", "old"], ["year", "old"]):
            signs = [self._gloss("AGE", "old"), number_sign(self.glossary, value, num.decimal(value), f"{text} {after[0]}")]
            return self._add("NUM", index, length + 2, signs)
        figure = self.tokens[index].kind == "number"
        is_year = figure and value.isdigit() and len(value) == 4 and 1100 <= int(value) < 2100 and (
            self.word(index - 1) in ("in", "since", "by", "until", "from", "to", "during", "before", "after", "year", "of",
                                     "<comma>") or self.word(index + 1) in ("", "<end>", "<comma>"))
        glosses = num.year(int(value)) if is_year else num.decimal(value)
        tag = "TIME" if is_year and self.word(index - 1) == "in" else "NUM"
        return self._add(tag, index, length, [number_sign(self.glossary, value, glosses, text)])

    def _is_month(self, index: int) -> bool:
        """Whether the month name at `index` means a month: "may" and "march" need a day, a preposition or a year."""
        if not self.tokens[index].text[:1].isupper() and not self.shouting:
            return False
        if self.word(index) not in en.MONTH_LIKE and len(self.word(index)) > 3:
            return True
        before, after = self.word(index - 1), self.tokens[index + 1 : index + 2]
        near = before in ("in", "of", "since", "until", "by", "last", "next", "this", "every", "<number>", "<ordinal>", "on",
                          "during", "from", "to", "late", "early", "<comma>")
        return near or any(t.kind in ("number", "ordinal") for t in after)

    def _month(self, index: int, month: int) -> int:
        """A month, and the day and year that follow it: May 5, 2024."""
        length, day, year = 1, "", ""
        after = self.tokens[index + 1 :]
        if after and after[0].kind in ("number", "ordinal") and 1 <= int(num_digits(after[0].text) or 0) <= 31:
            day, length = num_digits(after[0].text), 2
            after = after[1:]
        rest = after[1:] if after and after[0].text == "," else after
        if rest and rest[0].kind == "number" and re.fullmatch(r"\d{4}", rest[0].text) and (day or rest is after):
            year, length = rest[0].text, length + 1 + (rest is not after)
        return self._dated(index, length, month, day, year)

    def _day_first(self, index: int, month: int) -> int:
        """5 May 2024."""
        after = self.tokens[index + 2 : index + 3]
        year = after[0].text if after and re.fullmatch(r"\d{4}", after[0].text) else ""
        return self._dated(index, 2 + bool(year), month, self.tokens[index].text, year)

    def _dated(self, index: int, length: int, month: int, day: str, year: str) -> int:
        text = _join(t.text for t in self.tokens[index : index + length])
        reading: num.Reading = ((f"fs-{num.MONTHS[month - 1]}", ()),)
        if day:
            reading = num.date(int(day), month, year)
        elif year:
            reading = (*reading, (year, num.written(year)))
        return self._add("TIME", index, length, self._reading(reading, text))

    # .. words

    def _phrase(self, index: int) -> int:
        """The longest phrase of the glossary (two words and more) that starts here, inflected forms included."""
        for length in range(min(self.glossary.longest_phrase, len(self.words) - index), 1, -1):
            words = self.words[index : index + length]
            if any(w.startswith("<") for w in words):
                continue
            entry = self._phrase_entry(words)
            if entry and not (words == ["used", "to"] and self.made and self.made[-1].tag == "BE"):
                sign = entry_sign(self.glossary, entry, _join(t.text for t in self.tokens[index : index + length]))
                return self._add(self._phrase_tag(entry, words), index, length, [sign])
        return self._parted_verb(index)

    def _parted_verb(self, index: int) -> int:
        """A verb parted from its particle by a pronoun: "write it down"."""
        verb, pronoun, particle = (self.word(index + k) for k in range(3))
        if pronoun not in en.PRONOUNS or particle not in en.PREPOSITIONS or not en.verb_form(verb):
            return 0
        entry = self._phrase_entry([verb, particle])
        if entry is None:
            return 0
        text = f"{self.tokens[index].text} {self.tokens[index + 2].text}"
        self.made.append(Item(text, verb, "VERB", [entry_sign(self.glossary, entry, text)]))
        return 1 + self._word(index + 1) + 1

    def _phrase_entry(self, words: list[str]) -> Entry | None:
        """The entry of `words`, of them with the first as a verb's lemma, or with the last as a noun's lemma."""
        firsts = [words[0], *en.lemmas(words[0]).get("VERB", ())]
        lasts = [words[-1], *en.lemmas(words[-1]).get("NOUN", ())]
        for first in firsts:
            for last in lasts:
                entry = self.glossary.lookup(" ".join([first, *words[1:-1], last]).replace(" '", "'"))
                if entry:
                    return entry
        return None

    def _phrase_tag(self, entry: Entry, words: list[str]) -> str:
        if entry.gloss in en.TIME_GLOSSES:
            return "TIME"
        if entry.gloss in en.WH_PHRASES or entry.gloss == "HOW-ARE-YOU":
            return "WH"
        if entry.gloss in ("MUST", "SHOULD", "CAN", "CANNOT"):
            return "MODAL"
        if words[0] in en.ARTICLES | en.DETERMINERS | {"lots", "couple", "plenty"} and words[-1] in ("of", "few", "lot"):
            return "DET"
        if entry.gloss in ("THANK-YOU", "EXCUSE", "GOOD-MORNING", "GOOD-NIGHT", "NICE-MEET-YOU",
                           "SEE-YOU-LATER", "GOOD-AFTERNOON", "GOOD-EVENING", "WELCOME", "OF-COURSE"):
            return "INTJ"
        if words[0] in en.SILENT_PREPOSITIONS | en.PREPOSITIONS or words[-1] in ("of", "to") and not en.lemmas(
                words[0]).get("VERB"):
            return "PREP" if words[-1] in en.SILENT_PREPOSITIONS else "ADV"
        verb = en.lemmas(words[0]).get("VERB") and words[0] not in ("video", "pay", "phone", "credit", "bus", "hot", "ice")
        return "VERB" if verb else "NOUN"

    def _word(self, index: int) -> int:
        """One plain word."""
        token, word = self.tokens[index], self.words[index]
        name = self._is_name(index)
        tag = "NAME" if name else self._tag(index)
        if tag == "POSSESSOR":
            return self._add("POSS", index, 1, [self._gloss("POSS-3", token.text)])
        if tag in ("ART", "BE", "DO", "PERFECT", "TO", "SILENT", "THAT"):
            return self._add(tag, index, 1, ())
        if tag == "MODAL":
            asks_leave = word == "may" and self.question and self.word(index + 1) in ("i", "we")
            gloss = "CAN" if asks_leave else en.MODALS.get(word, "WILL")
            return self._add(tag, index, 1, [self._gloss(gloss, token.text)] if gloss else ())
        fixed = {"PRON": en.PRONOUNS, "POSS": en.POSSESSIVES, "WH": en.WH, "NOT": {"not": "NOT"}}.get(tag, {}).get(word)
        if tag == "EXIST":
            fixed, tag = "HAVE", "VERB"
        if word in ("him", "her") and tag == "PRON":
            fixed = "IX-3"
        if tag == "NONE":
            fixed, tag = "NONE", "DET"
        if tag == "PREP":
            fixed = en.PREPOSITION_SIGNS.get(word)
        if word == "unless":
            return self._add(tag, index, 1, [self._gloss("IF", token.text), self._gloss("NOT", token.text)])
        if word == "been" and tag == "VERB":
            fixed = "GO"
        if fixed:
            return self._add(tag, index, 1, [self._gloss(fixed, token.text)])
        signs = [spell(token.text)] if name else self._signs(token.text, word, tag)
        unit = word in en.TIME_NOUNS or any(n in en.TIME_NOUNS for n in en.lemmas(word).get("NOUN", ()))
        if word in en.TIME_WORDS:
            tag = "TIME"
        return self._add(tag, index, 1, signs, unit and tag == "NOUN")

    def _signs(self, text: str, word: str, tag: str) -> list[Sign]:
        """The signs of a content word: its own entry, a lemma's, a derivation's, its pieces', else spelled."""
        plain = letters(word).lower() if not word.isascii() else word
        glosses = self._glosses(plain, tag)
        if glosses:
            return [self._gloss(g, text) for g in glosses]
        pieces = re.split(r"['\u2010\u2011-]", plain) if not plain.isalnum() else []
        if len(pieces) > 1 and any(self._glosses(p, "NOUN") for p in pieces if len(p) > 1):
            surface = re.split(r"['’\u2010\u2011-]", text)
            return [s for shown, piece in zip(surface, pieces, strict=False) if piece
                    for s in self._signs(shown, piece, "NOUN")]
        return [spell(text)]

    def _glosses(self, word: str, tag: str) -> list[str]:
        """The glosses that a word means as part of speech `tag`; empty when it must be spelled."""
        forms = en.lemmas(word)
        as_tag = forms.get(tag, ())
        for lemma in (word, *as_tag):
            if (lemma, tag) in en.SENSES and (lemma == word or tag == "VERB" or not self.glossary.lookup(word)):
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
            verb = self._base(word, (("er", ""), ("er", "e"), ("or", ""), ("or", "e")))
            if verb:
                return [verb, "PERSON"]
        for prefix in en.NEGATIVE_PREFIXES:
            rest = word.removeprefix(prefix)
            if rest != word and len(rest) > 3 and (entry := self.glossary.lookup(rest)) and "ADJ" in forms:
                return ["NOT", entry.gloss]
        base_gloss = self._base(word, en.SUFFIXES) if len(word) > 4 else None
        return [base_gloss] if base_gloss else []

    def _own(self, word: str) -> str:
        entry = self.glossary.lookup(word)
        return entry.gloss if entry else ""

    def _base(self, word: str, endings: Iterable[tuple[str, str]]) -> str | None:
        """The gloss of the word without one of `endings`, its last letter undoubled where that helps."""
        for ending, instead in endings:
            stem = word.removesuffix(ending)
            if stem == word or len(stem) < 3:
                continue
            for form in (stem + instead, stem[:-1] if stem[-1] == stem[-2] and not instead else ""):
                if len(form) > 2 and (entry := self.glossary.lookup(form)):
                    return entry.gloss
        return None

    # .. parts of speech

    def _is_name(self, index: int) -> bool:
        """Whether a capital letter makes this word a name, to be spelled even where a common word has a sign."""
        token, word = self.tokens[index], self.words[index]
        if token.kind != "word" or not token.text[:1].isupper() or self.shouting or word == "i":
            return False
        known = bool(self._glosses(word, "NOUN"))
        closed = word in (en.ARTICLES | en.BE | en.DO | en.HAVE | en.PREPOSITIONS | en.DETERMINERS | en.CONJUNCTIONS
                          | en.SILENT_PREPOSITIONS | en.TIME_WORDS | en.INTERJECTIONS | en.CONDITIONALS | en.TIME_CLAUSES
                          | en.SUBORDINATORS | frozenset(en.WH) | frozenset(en.PRONOUNS) | frozenset(en.POSSESSIVES))
        following = self.tokens[index + 1] if index + 1 < len(self.tokens) else None
        capital_next = (following is not None and following.kind == "word" and following.text[:1].isupper()
                        and following.text != "I" and not self._glosses(following.text.lower(), "NOUN"))
        first = not any(i.tag not in ("COMMA", "PAUSE") for i in self.made)
        after_name = bool(self.made) and self.made[-1].tag == "NAME" and self.tokens[index - 1].kind != "clitic"
        named = self.word(index - 1) in ("named", "called") or (
            self.word(index - 1) in en.BE | {"'s"} and self.word(index - 2) == "name")
        if closed or word in en.MODALS:
            # "Will is here": a modal that is followed by a verb is somebody's name.
            return (word in en.FIRST_NAMES and (self.word(index + 1) in en.BE | en.HAVE | {"'s"} or after_name)
                    and self.word(index + 1) != "")
        if len(token.text) > 1 and token.text.isupper():
            return False
        if not known:
            return True
        if first:
            return word in en.FIRST_NAMES and (self.word(index + 1) in en.BE | en.HAVE | {"'s"} | frozenset(en.MODALS) or
                                               en.verb_form(self.word(index + 1)) in ("third", "past") or capital_next)
        return named or word in en.FIRST_NAMES or after_name or capital_next

    def _tag(self, index: int) -> str:
        """The part of speech of the word at `index`, from closed classes first, then from what stands around it."""
        word, after = self.words[index], self.word(index + 1)
        before = next((i for i in reversed(self.made) if i.tag not in ("ADV", "NOT")), None)
        last = self.made[-1] if self.made else None
        start = last is None or last.tag in ("COMMA", "PAUSE")
        if word == "'s":
            return self._clitic_s(index, last)
        if word == "her" and self._nounlike(index + 1):
            return "POSS"
        if word in ("her", *en.PRONOUNS):
            return "SILENT" if word == "it" and self._expletive(index) else "PRON"
        if word in en.POSSESSIVES:
            return "POSS"
        if word in en.ARTICLES:
            return "ART"
        if word == "that":
            return self._that(index, last)
        if word in en.WH:
            return self._wh(index, last)
        if word in en.NEGATIONS:
            return "NOT"
        if word == "to":
            return "TO" if en.verb_form(after) == "base" and after not in ("work", "school", "bed", "home") else "SILENT"
        if word == "there":
            return "EXIST" if after in en.BE | {"'s"} or (last and last.tag == "BE" and self.question) else "PRON_LOC"
        if word == "no":
            return "NONE" if self._nounlike(index + 1) and not start or (start and self._nounlike(index + 1)) else "INTJ"
        if word in en.BE:
            return "VERB" if word == "been" and after == "to" else "BE"
        if word in en.DO:
            return "DO" if self._auxiliary_do(index) else "VERB"
        if word in en.HAVE:
            return "PERFECT" if self._participle_follows(index) else "VERB"
        if word == "going" and before and before.tag == "BE" and after == "to" and en.verb_form(
                self.word(index + 2)) == "base":
            return "MODAL"
        if word in en.MODALS and not (word in ("may", "will", "can", "might") and before and before.tag in ("ART", "POSS")):
            return "MODAL"
        if word == "so":
            return "ADV" if self._is_adjective(index + 1) and last and last.tag not in ("COMMA",) else "CONJ"
        if word in en.CONJUNCTIONS:
            return "CONJ"
        if word in en.CONDITIONALS:
            return "IF"
        if word in ("ago", "later", "earlier"):
            return "ADV"
        if word in ("one", "ones") and before and before.tag in ("ADJ", "NOUN", "DET", "WH"):
            return "SILENT"
        if word in ("while", "once", "whenever") and self._subject_follows(index):
            return "WHEN"
        if word in ("well", "right", "sure", "like") and start and after == "<comma>":
            return "INTJ"
        if word == "please" or (word in en.INTERJECTIONS and word not in ("well", "right", "sure") and start):
            return "INTJ"
        if word in en.SUBORDINATORS and (word in ("because", "although", "though", "whether")
                                         or self._subject_follows(index)):
            return "SUB"
        if word == "like":
            likes = before and before.tag in ("PRON", "TO", "MODAL", "DO", "NAME", "NOUN", "WH") and not (
                last and last.tag == "BE")
            return "VERB" if likes or (start and not self.question) else "PREP"
        if word in en.SILENT_PREPOSITIONS:
            return "SILENT"
        if word in en.PREPOSITIONS:
            return "PREP"
        if word in en.DETERMINERS:
            return "DET"
        return self._open(index, before, last, start)

    def _open(self, index: int, before: Item | None, last: Item | None, start: bool) -> str:
        """NOUN, VERB, ADJ or ADV for an open-class word."""
        word, after = self.words[index], self.word(index + 1)
        options = en.lemmas(word)
        form = en.verb_form(word)
        if not options:
            return "NOUN"
        if len(options) == 1:
            return next(iter(options)) if "PROPN" not in options else "NOUN"
        tag = before.tag if before else ""
        verbs = sum(i.tag == "VERB" for i in self.made[_clause_start(self.made):])
        helped = any(i.tag in ("DO", "MODAL", "TO") for i in self.made[_clause_start(self.made):])
        if form and tag in ("TO", "MODAL", "DO", "PERFECT") and not (tag == "MODAL" and form == "ing"):
            return "VERB"
        if form and tag in ("THAT", "WH") and form in ("third", "past"):
            return "VERB"
        if form and tag in ("PRON", "EXIST") and not verbs and (last is before or last is None or last.tag != "BE"):
            return "VERB"
        if form and tag == "PRON" and helped and form == "base" and verbs == 0:
            return "VERB"
        if tag == "BE":
            if "ADJ" in options and form != "ing":
                return "ADJ"
            return "VERB" if form in ("ing", "past") else "NOUN" if "NOUN" in options else next(iter(options))
        if tag in ("ART", "DET", "POSS", "NUM", "PREP", "SILENT", "ADJ") and form != "ing":
            if "ADJ" in options and self._nounlike(index + 1) and "ADV" != tag:
                return "ADJ"
            return "NOUN" if "NOUN" in options else "ADJ" if "ADJ" in options else next(iter(options))
        if form and start and form == "base" and (not self.question or tag == ""):
            closed = after in en.BE or after in en.MODALS or after == "'s"
            return "VERB" if not closed and after not in ("", "<comma>", "<end>") or "NOUN" not in options else "NOUN"
        if form and last and last.tag in ("CONJ",) and form == "base" and verbs:
            return "VERB"
        if form and tag in ("NOUN", "NAME", "CONJ") and verbs == 0:
            plural = bool(before) and before.word.endswith("s")
            later = any(w in en.BE or w in en.MODALS or w in en.DO for w in self._rest(index + 1))
            if not later and (form in ("third", "past") or helped or plural or tag == "NAME"):
                return "VERB"
        if tag == "WH" and form in ("third", "past"):
            return "VERB"
        for choice in ("ADV",) if tag == "VERB" and "ADV" in options and not self._nounlike(index + 1) else ():
            return choice
        if form == "past" and "NOUN" not in options and "ADJ" not in options:
            return "VERB"
        if "ADJ" in options and ("NOUN" not in options or self._nounlike(index + 1)):
            return "ADJ"
        return "NOUN" if "NOUN" in options else next(iter(options))

    def _rest(self, index: int) -> list[str]:
        """The words from `index` to the next comma or the end."""
        out = []
        for word in self.words[index:]:
            if word in ("<comma>", "<end>"):
                break
            out.append(word)
        return out

    def _nounlike(self, index: int) -> bool:
        """Whether the word at `index` can be a noun or an adjective before one, and no closed-class word."""
        word = self.word(index)
        if not word or word.startswith("<") or word in en.GRAMMAR_WORDS or word in en.PREPOSITIONS or word in en.PRONOUNS \
                or word in en.CONJUNCTIONS or word in en.SUBORDINATORS or word in en.MODALS or word in ("here", "now"):
            return word.startswith("<number") or word.startswith("<override")
        options = en.lemmas(word)
        return "NOUN" in options or not options or ("ADJ" in options and self._nounlike(index + 1))

    def _is_adjective(self, index: int) -> bool:
        options = en.lemmas(self.word(index))
        return "ADJ" in options or "ADV" in options or self.word(index) in ("many", "much", "few")

    def _subject_follows(self, index: int) -> bool:
        """Whether a clause with a subject and a verb follows the subordinator at `index`."""
        rest = self._rest(index + 1)
        return bool(rest) and (rest[0] in en.SUBJECTS or any(
            w in en.BE or w in en.MODALS or w in en.DO or w in en.HAVE or en.verb_form(w) in ("third", "past", "base")
            for w in rest[1:])) and en.verb_form(rest[0]) != "ing"

    def _participle_follows(self, index: int) -> bool:
        """Whether have/has/had at `index` is an auxiliary: a participle stands after it (not, adverbs, subject between)."""
        rest = self._rest(index + 1)
        skip = en.NEGATIONS | frozenset(en.PRONOUNS) | {"ever", "never", "already", "just", "always", "also", "the", "a",
                                                         "your", "my", "his", "their", "anyone", "someone"}
        inverted = not self.made or self.made[-1].tag in ("WH", "COMMA")
        for offset, word in enumerate(rest[:5]):
            form = en.verb_form(word)
            if word == "been" or (form == "past" or word in _SAME_PARTICIPLE) and not (
                    offset == 0 and "ADJ" in en.lemmas(word) and self._nounlike(index + 2)):
                return True
            if word not in skip and not (inverted and "NOUN" in en.lemmas(word)):
                return False
        return False

    def _auxiliary_do(self, index: int) -> bool:
        """Whether do/does/did at `index` only carries tense, negation or a question."""
        rest = self._rest(index + 1)
        if not rest:
            return False
        if rest[0] in en.NEGATIONS or en.verb_form(rest[0]) == "base" and rest[0] not in en.TIME_NOUNS | {"work", "homework"}:
            return True
        inverted = not self.made or self.made[-1].tag in ("WH", "COMMA", "INTJ", "NOUN", "ADJ", "CONJ")
        return inverted and any(en.verb_form(w) == "base" or w in en.DO | en.HAVE for w in rest[1:])

    def _clitic_s(self, index: int, last: Item | None) -> str:
        """'s: possessive after a noun or name that owns what follows, otherwise is or has."""
        if last is None or last.tag not in ("NOUN", "NAME", "TIME"):
            return "BE"
        options = en.lemmas(self.word(index + 1))
        owned = self._nounlike(index + 1) and ("NOUN" in options or not options) and en.verb_form(
            self.word(index + 1)) != "ing"
        unclear = "ADJ" in options and not self._nounlike(index + 2)
        return "POSSESSOR" if (owned and not unclear) or self.word(index + 1) in ("<number>",) else "BE"

    def _that(self, index: int, last: Item | None) -> str:
        """"that" pointing (DET), or joining a clause (THAT, not signed)."""
        after = self.word(index + 1)
        clause = after in en.SUBJECTS or after in en.ARTICLES or after in en.POSSESSIVES or after in en.DETERMINERS
        if last and last.tag in ("VERB", "ADJ") and (clause or self.tokens[index + 1 : index + 2] and
                                                     self.tokens[index + 1].text[:1].isupper()):
            return "THAT"
        if last and last.tag == "NOUN" and (clause or after in en.BE or after in en.MODALS or en.verb_form(after)
                                            in ("third", "past", "base")):
            return "THAT"
        return "DET"

    def _wh(self, index: int, last: Item | None) -> str:
        """A wh-word: sign (WH), time clause (WHEN) or relative pronoun (THAT, not signed)."""
        word = self.words[index]
        asking = last is None or last.tag in ("COMMA", "CONJ", "PAUSE", "INTJ", "SILENT", "PREP", "TO")
        verb = last is not None and last.tag == "VERB" and bool(
            en.ASKING_VERBS & {last.word, *en.lemmas(last.word).get("VERB", ())})
        if word == "when" and not verb and not (self.question and asking and not self._statement_after_comma(index)):
            return "WHEN"
        if word in ("who", "which", "whom", "whose") and last is not None and last.tag in ("NOUN", "NAME", "COMMA") and not (
                self.question and not any(i.tag in PREDICATES for i in self.made)):
            return "THAT"
        return "WH"

    def _statement_after_comma(self, index: int) -> bool:
        """"When you come, will ...?": the clause of `when` is subordinate, for its verb is not inverted."""
        return self.word(index + 1) in en.SUBJECTS or "<comma>" in self.words[index:]

    def _expletive(self, index: int) -> bool:
        """Whether "it" stands for nothing: it is raining, it is 3:30, it is important to ..."""
        after = self._rest(index + 1)
        if self.question and self.word(index - 1) in en.BE and "time" in self.words[:index]:
            return True
        kinds = [t.kind for t in self.tokens[index + 1 : index + 4]]
        if not after:
            return False
        if en.WEATHER & set(en.lemmas(after[0]).get("VERB", ())):
            return True
        if after[0] not in en.BE | {"'s", "will", "was", "not"}:
            return self.word(index - 1) in en.BE and bool(en.WEATHER & set(after[:1]))
        content = [w for w in after[1:] if w not in en.BE | en.NEGATIONS | en.DEGREE | en.ARTICLES]
        if not content:
            return False
        weather = {content[0], *[x for g in en.lemmas(content[0]).values() for x in g]} & en.WEATHER
        return bool(weather) or "time" in kinds or (
            "ADJ" in en.lemmas(content[0]) and content[1:2] in (["to"], ["that"], ["for"]))


def _clause_start(items: list[Item]) -> int:
    """The index after the last comma, subordinator or conjunction."""
    return max((k + 1 for k, i in enumerate(items) if i.tag in ("COMMA", "IF", "WHEN", "SUB", "CONJ", "THAT", "WH")), default=0)


_SAME_PARTICIPLE = frozenset("put read cut hit let set shut hurt cost quit become come run".split())


def num_digits(text: str) -> str:
    """The digits of a figure such as "5th"."""
    return re.sub(r"\D", "", text)


def _spelled_as(piece: str, text: str) -> Sign:
    """`piece` spelled, standing for `text`."""
    spelled = letters(piece)
    return Sign(f"fs-{spelled}", "fingerspelled", source="alphabet", text=text, parts=tuple(spelled))


def _all_capitals(tokens: list[Token]) -> bool:
    """Whether the sentence is written in capitals, which then tell nothing about names."""
    words = [t.text for t in tokens if t.kind == "word" and len(t.text) > 1]
    return len(words) > 2 and all(w.isupper() for w in words)


def _join(texts: Iterable[str]) -> str:
    """Surface texts with spaces, none before a comma or an ending that begins with an apostrophe."""
    return re.sub(r" (?=[,'])", "", " ".join(t for t in texts if t))


def _split(token: Token) -> list[Token]:
    """A word token cut into its contracted parts: don't -> do, not; John's -> John, 's."""
    if token.kind != "word" or ("'" not in token.text and "’" not in token.text and token.text.lower() not in en.CONTRACTIONS):
        return [token]
    text = token.text.replace("’", "'")
    low = text.lower()
    if low in en.CONTRACTIONS:
        parts = en.CONTRACTIONS[low].split()
        return [Token("clitic", "" if k else token.text, {"word": part}) for k, part in enumerate(parts)]
    if low.endswith("n't") and len(low) > 3:
        return [Token("word", text[:-3], {}), Token("clitic", token.text, {"word": "not"})]
    for ending in ("'m", "'re", "'ve", "'ll", "'d", "'s"):
        if low.endswith(ending) and len(low) > len(ending):
            return [Token("word", text[: -len(ending)], {}), Token("clitic", ending, {})]
    if low.endswith("s'"):
        return [Token("word", text[:-1], {}), Token("clitic", "'s", {})]
    return [token]
