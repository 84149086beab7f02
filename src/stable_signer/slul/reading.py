"""From tokens to items: every word of a sentence with its part of speech and the signs that stand for it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from stable_signer.slul import english as en
from stable_signer.slul import numbers as num
from stable_signer.slul.glosses import Entry, Glossary
from stable_signer.slul.items import Item, entry_sign, number_sign, override, spell
from stable_signer.slul.plan import Sign
from stable_signer.slul.senses import Senses
from stable_signer.slul.tagging import Tagger
from stable_signer.slul.tokens import TITLES, Token, letters

SYMBOLS = {
    "&": "AND",
    "+": "PLUS",
    "=": "EQUAL",
    "@": "fs-AT",
    "#": "NUMBER",
    "%": "PERCENT",
    "°": "DEGREE",
    "$": "DOLLAR",
    "€": "fs-EURO",
    "£": "fs-POUND",
    "¥": "fs-YEN",
}


class Reader:
    """Turns the tokens of one sentence into items: contractions, numbers, phrases, names, parts of speech."""

    def __init__(self, glossary: Glossary, tokens: list[Token], question: bool) -> None:
        self.glossary = glossary
        self.senses = Senses(glossary)
        self.tokens = [piece for token in tokens for piece in _split(token)]
        self.words = [_lower(t) for t in self.tokens]
        self.made: list[Item] = []
        self.tagger = Tagger(self.tokens, self.words, self.made, question, self.senses.known)

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
        return [
            number_sign(self.glossary, label, parts, text) if parts else self._gloss(label, text)
            for label, parts in reading
        ]

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
                    self.made.append(
                        Item(sign.text, sign.gloss.lower(), "PAUSE" if sign.kind == "pause" else "X", [sign])
                    )
                return 1
            case "symbol":
                return self._add("NOUN", index, 1, [self._gloss(SYMBOLS[text], text)])
            case "title":
                entry = self.glossary.lookup(TITLES[text.lower().rstrip(".")])
                return self._add(
                    "NAME", index, 1, [entry_sign(self.glossary, entry, text) if entry else spell(text)]
                )
            case "dotted":
                return self._dotted(index)
            case "email" | "url":
                return self._add("NAME", index, 1, self._address(text))
            case "phone":
                groups_of_digits = re.findall(r"\d+", text)
                return self._add(
                    "NUM",
                    index,
                    1,
                    [
                        number_sign(self.glossary, g, num.digits(g), text if i == 0 else g)
                        for i, g in enumerate(groups_of_digits)
                    ],
                )
            case "time":
                hour = int(groups.get("hour") or groups.get("hour_only") or groups["sharp"])
                half = (groups.get("half") or groups.get("half_only") or "").lower().replace(".", "")
                if hour > 24:
                    return self._add(
                        "NUM", index, 1, [number_sign(self.glossary, text, num.digits(text), text)]
                    )
                return self._add(
                    "TIME", index, 1, self._reading(num.clock(hour, int(groups.get("minute", 0)), half), text)
                )
            case "date":
                reading = num.numeric_date(text)
                if reading:
                    return self._add("TIME", index, 1, self._reading(reading, text))
                return self._add("NUM", index, 1, [number_sign(self.glossary, text, num.digits(text), text)])
            case "money":
                unit = num.CURRENCIES[groups["currency"]]
                reading = num.money(groups["currency"], groups["amount"], groups.get("scale", "").lower())
                known = unit in ("DOLLAR",)
                return self._add(
                    "NUM",
                    index,
                    1,
                    self._reading(
                        tuple(
                            (f"fs-{label}" if label == unit and not known else label, p)
                            for label, p in reading
                        ),
                        text,
                    ),
                )
            case "percent":
                return self._add(
                    "NUM",
                    index,
                    1,
                    self._reading(((groups["rate"], num.decimal(groups["rate"])), ("PERCENT", ())), text),
                )
            case "ordinal":
                return self._add("ADJ", index, 1, self._ordinal(int(groups["rank"]), text))
            case "fraction":
                if (groups["top"], groups["bottom"]) == ("1", "2"):
                    return self._add("NUM", index, 1, [self._gloss("HALF", text)])
                # two signs: in one movement, 3/4 would read as 34
                halves = tuple((n, num.cardinal(int(n))) for n in (groups["top"], groups["bottom"]))
                return self._add("NUM", index, 1, self._reading(halves, text))
        return 0

    def _dotted(self, index: int) -> int:
        """U.S., a.m., e.g.: a known word without its dots, else spelled."""
        text = self.tokens[index].text
        bare = text.replace(".", "").lower()
        if bare in ("eg", "ie"):
            return self._add("ADV", index, 1, [self._gloss("EXAMPLE" if bare == "eg" else "MEANING", text)])
        full = {"us": "united states", "usa": "united states", "am": "morning", "pm": "afternoon"}
        entry = self.glossary.lookup(full.get(bare, bare))
        sign = entry_sign(self.glossary, entry, text) if entry else _spelled_as(bare, text)
        return self._add("NAME", index, 1, [sign])

    def _address(self, text: str) -> list[Sign]:
        """An address piece by piece; the scheme is not signed but stands in the text of the first piece."""
        signs = []
        body = re.sub(r"(?i)^(?:https?://)?(?:www\.)?", "", text)
        scheme = text[: len(text) - len(body)]
        for piece in re.findall(r"[^\W_]+|[.@]", body):
            if piece in ".@":
                signs.append(self._gloss("PERIOD" if piece == "." else "fs-AT", piece))
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
            if (
                following
                and value.isdigit()
                and 1 <= int(value) <= 31
                and self.tokens[index + 1].text[:1].isupper()
            ):
                return self._day_first(index, following)
            return self._figure(index, 1, value)
        read = num.read_words(self.words, index)
        if not read or (
            word == "one"
            and self.word(index + 1) not in en.TIME_NOUNS
            and (
                self.word(index - 1) in en.DETERMINERS | en.ARTICLES | {"which"}
                or "ADJ" in en.lemmas(self.word(index - 1))
            )
        ):
            return 0
        value_read, length = read
        if self.word(index + length) in ("'s", "another"):
            return 0
        return self._figure(index, length, str(value_read))

    def _figure(self, index: int, length: int, value: str) -> int:
        """A number and, where it is an age or a year, the way signers sign those."""
        text = _join(t.text for t in self.tokens[index : index + length])
        after = self.words[index + length : index + length + 2]
        if after[:2] in (["years", "old"], ["year", "old"]):
            signs = [
                self._gloss("AGE", "old"),
                number_sign(self.glossary, value, num.decimal(value), f"{text} {after[0]}"),
            ]
            return self._add("NUM", index, length + 2, signs)
        if after[:1] == ["o'clock"]:
            text = f"{text} {self.tokens[index + length].text}"
            return self._add("TIME", index, length + 1, self._reading(num.clock(int(value), 0, ""), text))
        figure = self.tokens[index].kind == "number"
        is_year = (
            figure
            and value.isdigit()
            and len(value) == 4
            and 1100 <= int(value) < 2100
            and (
                self.word(index - 1)
                in (
                    "in",
                    "since",
                    "by",
                    "until",
                    "from",
                    "to",
                    "during",
                    "before",
                    "after",
                    "year",
                    "of",
                    "<comma>",
                )
                or self.word(index + 1) in ("", "<end>", "<comma>")
            )
        )
        glosses = num.year(int(value)) if is_year else num.decimal(value)
        tag = "TIME" if is_year and self.word(index - 1) == "in" else "NUM"
        return self._add(tag, index, length, [number_sign(self.glossary, value, glosses, text)])

    def _is_month(self, index: int) -> bool:
        """Whether the month name at `index` means a month: "may" needs a day, a preposition or a year."""
        if not self.tokens[index].text[:1].isupper() and not self.tagger.shouting:
            return False
        if self.word(index) not in en.MONTH_LIKE and len(self.word(index)) > 3:
            return True
        before, after = self.word(index - 1), self.tokens[index + 1 : index + 2]
        if after and after[0].kind == "word" and after[0].text[:1].isupper():
            return False
        near = before in (
            "in",
            "of",
            "since",
            "until",
            "by",
            "last",
            "next",
            "this",
            "every",
            "<number>",
            "<ordinal>",
            "on",
            "during",
            "from",
            "to",
            "late",
            "early",
            "<comma>",
        )
        return near or any(t.kind in ("number", "ordinal") for t in after)

    def _month(self, index: int, month: int) -> int:
        """A month, and the day and year that follow it: May 5, 2024."""
        length, day, year = 1, "", ""
        after = self.tokens[index + 1 :]
        if (
            after
            and after[0].kind in ("number", "ordinal")
            and 1 <= int(num_digits(after[0].text) or 0) <= 31
        ):
            day, length = num_digits(after[0].text), 2
            after = after[1:]
        rest = after[1:] if after and after[0].text == "," else after
        if (
            rest
            and rest[0].kind == "number"
            and re.fullmatch(r"\d{4}", rest[0].text)
            and (day or rest is after)
        ):
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
        """The longest phrase of the glossary (two words or more) that starts here, inflected or not."""
        for length in range(min(self.glossary.longest_phrase, len(self.words) - index), 1, -1):
            words = self.words[index : index + length]
            if any(w.startswith("<") for w in words):
                continue
            entry = self._phrase_entry(words)
            if entry and not (words == ["used", "to"] and self.made and self.made[-1].tag == "BE"):
                sign = entry_sign(
                    self.glossary, entry, _join(t.text for t in self.tokens[index : index + length])
                )
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
        """The entry of `words`, the first as its verb lemma and the last as its noun lemma if need be."""
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
        if words[0] in en.ARTICLES | en.DETERMINERS | {"lots", "couple", "plenty"} and words[-1] in (
            "of",
            "few",
            "lot",
        ):
            return "DET"
        if entry.gloss in (
            "THANK-YOU",
            "HOW-ABOUT",
            "EXCUSE",
            "GOOD-MORNING",
            "GOOD-NIGHT",
            "NICE-MEET-YOU",
            "SEE-YOU-LATER",
            "GOOD-AFTERNOON",
            "GOOD-EVENING",
            "WELCOME",
            "OF-COURSE",
        ):
            return "INTJ"
        if words[0] in en.SILENT_PREPOSITIONS | en.PREPOSITIONS or (
            words[-1] in ("of", "to") and not en.lemmas(words[0]).get("VERB")
        ):
            return "PREP" if words[-1] in en.SILENT_PREPOSITIONS else "ADV"
        verb = en.lemmas(words[0]).get("VERB") and words[0] not in (
            "video",
            "pay",
            "phone",
            "credit",
            "bus",
            "hot",
            "ice",
        )
        return "VERB" if verb else "NOUN"

    def _word(self, index: int) -> int:
        """One plain word."""
        token, word = self.tokens[index], self.words[index]
        if self.words[index : index + 3] == ["as", "soon", "as"]:
            return self._add("WHEN", index, 3, ())
        if self.words[index : index + 2] == ["as", "for"] and not self.made:
            return self._add("SILENT", index, 2, ())
        name = self.tagger.is_name(index)
        tag = "NAME" if name else self.tagger.tag(index)
        if tag == "POSSESSOR":
            return self._add("POSS", index, 1, [self._gloss("POSS-3", token.text)])
        if tag in ("ART", "BE", "DO", "PERFECT", "TO", "SILENT", "THAT"):
            return self._add(tag, index, 1, ())
        if tag == "MODAL":
            asks_leave = word == "may" and (
                (self.tagger.question and self.word(index + 1) in ("i", "we"))
                or self.word(index - 1) == "you"
            )
            gloss = "CAN" if asks_leave else en.MODALS.get(word, "WILL")
            return self._add(tag, index, 1, [self._gloss(gloss, token.text)] if gloss else ())
        fixed = {"PRON": en.PRONOUNS, "POSS": en.POSSESSIVES, "WH": en.WH, "NOT": {"not": "NOT"}}.get(
            tag, {}
        ).get(word)
        if tag == "EXIST":
            fixed, tag = "HAVE", "VERB"
        if word in ("him", "her") and tag == "PRON":
            fixed = "IX-3"
        if tag == "NONE":
            fixed, tag = "NONE", "DET"
        if word == "too" and self.tagger.is_adjective(index + 1):
            fixed = "TOO-MUCH"
        if en.is_verb(word, "look") and tag == "VERB" and self.tagger.bare_adjective(index + 1):
            fixed = "SEEM"
        if (
            en.is_verb(word, "take")
            and tag == "VERB"
            and any(
                en.TIME_NOUNS & {w, *en.lemmas(w).get("NOUN", ())} for w in self.words[index + 1 : index + 4]
            )
        ):
            fixed = "NEED"
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
        """The signs of a content word: those of its senses, else of its pieces, else the word spelled."""
        plain = letters(word).lower() if not word.isascii() else word
        glosses = self.senses.glosses(plain, tag)
        if glosses:
            return [self._gloss(g, text) for g in glosses]
        pieces = re.split(r"['\u2010\u2011-]", plain) if not plain.isalnum() else []
        if len(pieces) > 1 and any(self.senses.glosses(p, "NOUN") for p in pieces if len(p) > 1):
            surface = re.split(r"['’\u2010\u2011-]", text)
            return [
                s
                for shown, piece in zip(surface, pieces, strict=False)
                if piece
                for s in self._signs(shown, piece, "NOUN")
            ]
        return [spell(text)]


def num_digits(text: str) -> str:
    """The digits of a figure such as "5th"."""
    return re.sub(r"\D", "", text)


def _spelled_as(piece: str, text: str) -> Sign:
    """`piece` spelled, standing for `text`."""
    spelled = letters(piece)
    return Sign(f"fs-{spelled}", "fingerspelled", source="alphabet", text=text, parts=tuple(spelled))


def _lower(token: Token) -> str:
    """What the tagger sees: a word in lower case, anything else as its kind in angle brackets."""
    if token.kind not in ("word", "clitic"):
        return f"<{token.kind}>"
    return token.groups.get("word", token.text).lower().replace("’", "'")


def _join(texts: Iterable[str]) -> str:
    """Surface texts with spaces, none before a comma or an ending that begins with an apostrophe."""
    return re.sub(r" (?=[,'])", "", " ".join(t for t in texts if t))


def _split(token: Token) -> list[Token]:
    """A word token cut into its contracted parts: don't -> do, not; John's -> John, 's."""
    if token.kind != "word" or (
        "'" not in token.text and "’" not in token.text and token.text.lower() not in en.CONTRACTIONS
    ):
        return [token]
    text = token.text.replace("’", "'")
    low = text.lower()
    if low in en.CONTRACTIONS:
        parts = en.CONTRACTIONS[low].split()
        shown = parts.index("not") if "not" in parts else 0  # the part that surely has a sign
        return [Token("clitic", token.text if k == shown else "", {"word": p}) for k, p in enumerate(parts)]
    if low.endswith("n't") and len(low) > 3:
        return [Token("word", text[:-3], {}), Token("clitic", token.text, {"word": "not"})]
    for ending in ("'m", "'re", "'ve", "'ll", "'d", "'s"):
        if low.endswith(ending) and len(low) > len(ending):
            return [Token("word", text[: -len(ending)], {}), Token("clitic", ending, {})]
    if low.endswith("s'"):
        return [Token("word", text[:-1], {}), Token("clitic", "'s", {})]
    return [token]
