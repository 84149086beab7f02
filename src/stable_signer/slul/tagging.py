"""Parts of speech by rule: closed word classes from tables, open ones from what stands around the word.

No model: the sentences that people ask for are short, and a dictionary of what each word can be
(lemminflect) with the words on its left decides nearly all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from stable_signer.slul import english as en
from stable_signer.slul.items import Item, has_predicate
from stable_signer.slul.tokens import Token

NOMINAL = frozenset({"ART", "DET", "POSS", "NUM", "PREP", "SILENT", "ADJ"})
"""After these a word that can be a noun is one."""
_NEVER_NOUNS = en.CLOSED | en.GRAMMAR_WORDS | {"here", "now"}
_STOPS = ("", "<comma>", "<end>")
_BETWEEN = en.words("ever never already just always also the a your my his their anyone someone")
_SAME_PARTICIPLE = en.words("put read cut hit let set shut hurt cost quit become come run")
_CLASSES = (
    (en.ARTICLES, "ART"),
    (frozenset(en.POSSESSIVES), "POSS"),
    (en.NEGATIONS, "NOT"),
    (en.CONJUNCTIONS, "CONJ"),
    (en.CONDITIONALS, "IF"),
    (en.SILENT_PREPOSITIONS, "SILENT"),
    (en.PREPOSITIONS, "PREP"),
    (en.DETERMINERS, "DET"),
)


class Tagger:
    """Tells the part of speech of a word from the sentence's words and the items made so far.

    `words` are lower case, other tokens in angle brackets ("<comma>"); `made` grows while the sentence is
    read; `known(word)` says whether the word has a sign.
    """

    def __init__(
        self,
        tokens: list[Token],
        words: list[str],
        made: list[Item],
        question: bool,
        known: Callable[[str], bool],
    ) -> None:
        self.tokens, self.words, self.made = tokens, words, made
        self.question, self.known = question, known
        capitals = [t.text for t in tokens if t.kind == "word" and len(t.text) > 1]
        # In a sentence written in capitals they tell nothing about names.
        self.shouting = len(capitals) > 2 and all(w.isupper() for w in capitals)
        self._special: dict[str, Callable[[int], str]] = {
            "'s": self._clitic_s, "her": self._her, "it": self._it, "that": self._that, "to": self._to,
            "there": self._there, "no": self._no, "going": self._going, "so": self._so, "like": self._like,
            "one": self._one, "ones": self._one, "been": self._been, "ago": lambda _: "ADV",
            "later": lambda _: "ADV", "earlier": lambda _: "ADV",
            "hearing": lambda _: "ADJ",
        }  # fmt: skip

    # -- what stands around ------------------------------------------------------------------------

    def word(self, index: int) -> str:
        """The word at `index`, "" outside the sentence."""
        return self.words[index] if 0 <= index < len(self.words) else ""

    @property
    def last(self) -> Item | None:
        """The item just made."""
        return self.made[-1] if self.made else None

    @property
    def last_tag(self) -> str:
        """Its tag, "" at the start."""
        return self.made[-1].tag if self.made else ""

    @property
    def at_start(self) -> bool:
        """Whether a sentence or a stretch after a comma begins here."""
        return self.last_tag in ("", "COMMA", "PAUSE")

    def before(self) -> Item | None:
        """The last item, adverbs and negations passed over."""
        return next((i for i in reversed(self.made) if i.tag not in ("ADV", "NOT")), None)

    def rest(self, index: int) -> list[str]:
        """The words from `index` to the next comma or the end."""
        stop = next((k for k in range(index, len(self.words)) if self.words[k] in _STOPS), len(self.words))
        return self.words[index:stop]

    def nounlike(self, index: int) -> bool:
        """Whether the word can be a noun, or an adjective before one, and is of no closed class."""
        while True:
            word = self.word(index)
            if not word or word.startswith("<") or word in _NEVER_NOUNS:
                return word.startswith(("<number", "<override"))
            options = en.lemmas(word)
            if "NOUN" in options or not options:
                return True
            if "ADJ" not in options:
                return False
            index += 1

    def is_adjective(self, index: int) -> bool:
        """Whether the word can be an adjective or an adverb."""
        options = en.lemmas(self.word(index))
        return "ADJ" in options or "ADV" in options or self.word(index) in ("many", "much", "few")

    def bare_adjective(self, index: int) -> bool:
        """Whether an adjective without a noun stands at `index` (a degree word before it is passed over)."""
        index += self.word(index) in en.DEGREE
        adjective = "ADJ" in en.lemmas(self.word(index)) and self.word(index) != "like"
        return adjective and not self.nounlike(index + 1)

    # -- names -------------------------------------------------------------------------------------

    def is_name(self, index: int) -> bool:
        """Whether a capital letter makes this word a name, spelled even where a common word has a sign."""
        token, word, after = self.tokens[index], self.words[index], self.word(index + 1)
        if token.kind != "word" or not token.text[:1].isupper() or self.shouting or word == "i":
            return False
        following = self.tokens[index + 1].text if after and self.tokens[index + 1].kind == "word" else ""
        first = not any(i.tag not in ("COMMA", "PAUSE") for i in self.made)
        goes_on = len(self.made) > 1 and self.last_tag == "NAME" and self.tokens[index - 1].kind != "clitic"
        predicate = after in en.BE | en.HAVE | {"'s"} | frozenset(en.MODALS)
        if word in en.CLOSED:
            # "Will is here", "in May Street": function words that are somebody's or something's name.
            owned = goes_on or (not first and following[:1].isupper())
            return word in en.FIRST_NAMES and after != "" and (predicate or owned)
        if len(token.text) > 1 and token.text.isupper():
            return False
        if not self.known(word):
            return True
        surname = following[:1].isupper() and not following.isupper() and not self.known(following.lower())
        if first:
            does = en.verb_form(after) in ("third", "past")
            return word in en.FIRST_NAMES and (predicate or does or surname)
        called = self.word(index - 1) in ("named", "called") or (
            self.word(index - 1) in en.BE | {"'s"} and self.word(index - 2) == "name"
        )
        return called or goes_on or surname or word in en.FIRST_NAMES

    # -- closed classes ----------------------------------------------------------------------------

    def tag(self, index: int) -> str:
        """The part of speech of the plain word at `index`; see Item for the names."""
        word = self.words[index]
        if word in self._special and (tag := self._special[word](index)):
            return tag
        if word in en.PRONOUNS:
            return "PRON"
        if word in en.WH:
            return self._wh(index)
        if word in en.BE:
            alone = self.word(index + 1) in en.CONJUNCTIONS | en.NEGATIONS | set(_STOPS)
            return "VERB" if word == "be" and self.word(index - 1) == "to" and alone else "BE"
        if word in en.DO:
            return "DO" if self._auxiliary_do(index) else "VERB"
        if word in en.HAVE:
            return "PERFECT" if self._participle_follows(index) else "VERB"
        if word in en.MODALS and not (self.before() and self.before_tag() in ("ART", "POSS")):
            return "MODAL"
        if word in ("while", "once", "whenever") and self._subject_follows(index):
            return "WHEN"
        if self._interjection(index):
            return "INTJ"
        always = ("because", "although", "though", "whether")
        if word in en.SUBORDINATORS and (word in always or self._subject_follows(index)):
            return "SUB"
        return next((tag for members, tag in _CLASSES if word in members), "") or self._open(index)

    def before_tag(self) -> str:
        """The tag of `before`; "it" without a sign is still a subject."""
        before = self.before()
        return "" if before is None else "PRON" if before.word == "it" else before.tag

    def _interjection(self, index: int) -> bool:
        word = self.words[index]
        if word in ("well", "right", "sure", "like"):
            return self.at_start and self.word(index + 1) == "<comma>"
        return word == "please" or (word in en.INTERJECTIONS and self.at_start)

    def _clitic_s(self, index: int) -> str:
        """'s: possessive after a noun or name that owns what follows, otherwise is or has."""
        if self.last_tag not in ("NOUN", "NAME", "TIME"):
            return "BE"
        after = self.word(index + 1)
        options = en.lemmas(after)
        noun = "NOUN" in options or not options
        owned = self.nounlike(index + 1) and noun and en.verb_form(after) != "ing"
        unclear = "ADJ" in options and not self.nounlike(index + 2)
        return "POSSESSOR" if owned and not unclear else "BE"

    def _her(self, index: int) -> str:
        return "POSS" if self.nounlike(index + 1) else "PRON"

    def _it(self, index: int) -> str:
        return "SILENT" if self._expletive(index) else "PRON"

    def _that(self, index: int) -> str:
        """Pointing (DET), or joining a clause (THAT, not signed)."""
        after = self.word(index + 1)
        clause = after in en.SUBJECTS | en.ARTICLES | en.DETERMINERS or after in en.POSSESSIVES
        name = index + 1 < len(self.tokens) and self.tokens[index + 1].text[:1].isupper()
        told = self.last_tag == "PRON" and clause and any(i.tag == "VERB" for i in self.made)
        content = self.last_tag in ("VERB", "ADJ") and (clause or name)
        finite = after in en.BE or after in en.MODALS or en.verb_form(after) in ("third", "past", "base")
        plural = en.is_plural(after)
        content = content or (self.last_tag == "VERB" and plural)
        relative = self.last_tag == "NOUN" and (clause or finite or name)
        return "THAT" if told or content or relative else "DET"

    def _to(self, index: int) -> str:
        """Before a verb TO; in "from 3 to 5" a preposition with a sign; otherwise silent."""
        after = self.word(index + 1)
        figure = after in ("<time>", "<date>", "<money>") or after in en.TIME_WORDS
        if "from" in self.words[:index] and (figure or self.nounlike(index + 1)):
            return "PREP"
        return "TO" if en.verb_form(after) == "base" and after not in en.PLACES | {"home"} else "SILENT"

    def _there(self, index: int) -> str:
        """"there is" (EXIST, signed HAVE) or a place (LOC)."""
        after = self.word(index + 1)
        inverted = self.last_tag == "BE" and self.question and after not in _STOPS
        later = after in en.MODALS and self.word(index + 2) == "be"
        if self.last is not None and self.last_tag == "VERB" and en.verb_form(self.last.word) == "ing":
            return "LOC"  # "the woman who is sitting there is my mother"
        return "EXIST" if after in en.BE | {"'s"} or inverted or later else "LOC"

    def _no(self, index: int) -> str:
        return "NONE" if self.nounlike(index + 1) else "INTJ"

    def _going(self, index: int) -> str:
        """"going to" before a verb is the future."""
        verb = self.word(index + 2)
        future = self.word(index + 1) == "to" and en.verb_form(verb) == "base" and verb not in en.PLACES
        return "MODAL" if self.before_tag() == "BE" and future else ""

    def _so(self, index: int) -> str:
        return "ADV" if self.is_adjective(index + 1) and self.last_tag not in ("", "COMMA") else "CONJ"

    def _like(self, index: int) -> str:
        if self._interjection(index):
            return "INTJ"
        subjects = ("PRON", "TO", "MODAL", "DO", "NAME", "NOUN", "WH")
        likes = self.before_tag() in subjects and self.last_tag != "BE"
        return "VERB" if likes or (self.at_start and not self.question) else "PREP"

    def _one(self, index: int) -> str:
        """"the red one": the noun is known from before."""
        return "SILENT" if self.before_tag() in ("ADJ", "NOUN", "DET", "WH") else ""

    def _been(self, index: int) -> str:
        return "VERB" if self.word(index + 1) == "to" else ""

    def _wh(self, index: int) -> str:
        """A wh-word: sign (WH), time clause (WHEN) or relative pronoun (THAT, not signed)."""
        word, last = self.words[index], self.last
        if word == "what" and self.word(index + 1) in en.ARTICLES and not self.question:
            return "THAT"  # "What a day!"
        asking = self.last_tag in ("", "COMMA", "CONJ", "PAUSE", "INTJ", "SILENT", "PREP", "TO")
        inverted = self.word(index + 1) not in en.SUBJECTS and "<comma>" not in self.words[index:]
        if word == "when" and not (last and asks(last)) and not (self.question and asking and inverted):
            return "WHEN"
        opens = self.question and not has_predicate(self.made)
        relative = word in ("who", "which", "whom", "whose") and self.last_tag in ("NOUN", "NAME", "COMMA")
        return "THAT" if relative and not opens else "WH"

    # -- what verbs and pronouns do ----------------------------------------------------------------

    def _subject_follows(self, index: int) -> bool:
        """Whether a clause with a subject and a verb follows the subordinator at `index`."""
        rest = self.rest(index + 1)
        if not rest or en.verb_form(rest[0]) == "ing":
            return False
        verbs = (w in en.AUXILIARIES or en.verb_form(w) in ("third", "past", "base") for w in rest[1:])
        return rest[0] in en.SUBJECTS or any(verbs)

    def _participle_follows(self, index: int) -> bool:
        """Whether have/has/had is an auxiliary: a participle follows (not, adverbs, a subject between)."""
        inverted = self.last_tag in ("", "WH", "COMMA")
        for offset, word in enumerate(self.rest(index + 1)[:5]):
            participle = en.verb_form(word) == "past" or word in _SAME_PARTICIPLE
            attribute = offset == 0 and "ADJ" in en.lemmas(word) and self.nounlike(index + 2)
            if word == "been" or (participle and not attribute):
                return True
            passed = word in en.NEGATIONS | _BETWEEN or word in en.PRONOUNS
            if not passed and not (inverted and "NOUN" in en.lemmas(word)):
                return False
        return False

    def _auxiliary_do(self, index: int) -> bool:
        """Whether do/does/did only carries tense, negation or a question."""
        rest = self.rest(index + 1)
        if not rest:
            return False
        base = en.verb_form(rest[0]) == "base" and rest[0] not in en.TIME_NOUNS | {"work", "homework"}
        if rest[0] in en.NEGATIONS or base:
            return True
        inverted = self.last_tag in ("", "WH", "COMMA", "INTJ", "NOUN", "ADJ", "CONJ")
        return inverted and any(en.verb_form(w) == "base" or w in en.DO | en.HAVE for w in rest[1:])

    def _expletive(self, index: int) -> bool:
        """Whether "it" stands for nothing: it is raining, it is 3:30, it takes an hour, it is good to ..."""
        after = self.rest(index + 1)
        if self.question and self.word(index - 1) in en.BE and "time" in self.words[:index]:
            return True
        if not after:
            return False
        if after[0] in en.MODALS and len(after) > 1:
            after = after[1:]
        if en.WEATHER & set(en.lemmas(after[0]).get("VERB", ())):
            return True
        if en.is_verb(after[0], "take") and any(map(en.is_time_noun, after[1:4])):
            return True
        if after[0] not in en.BE | {"'s", "will", "not"}:
            return self.word(index - 1) in en.BE and after[0] in en.WEATHER
        content = [w for w in after[1:] if w not in en.BE | en.NEGATIONS | en.DEGREE | en.ARTICLES]
        if not content:
            return False
        forms = {content[0], *[x for group in en.lemmas(content[0]).values() for x in group]}
        remark = "ADJ" in en.lemmas(content[0]) and content[1:2] in (["to"], ["that"], ["for"])
        hour = content[0] == "time" or "<time>" in self.words[index + 1 : index + 4]
        return bool(forms & en.WEATHER) or hour or remark

    # -- open classes ------------------------------------------------------------------------------

    def _open(self, index: int) -> str:
        """NOUN, VERB, ADJ or ADV for a word of an open class."""
        word = self.words[index]
        options = en.lemmas(word)
        if len(options) < 2:
            return next((o for o in options if o != "PROPN"), "NOUN")
        if self.last and self.last.word == "how" and "ADJ" in options:
            return "ADJ"
        tag, form = self.before_tag(), en.verb_form(word)
        noun = "NOUN" if "NOUN" in options else "ADJ" if "ADJ" in options else next(iter(options))
        if form and self._verb_here(index, tag, form, "NOUN" in options):
            return "VERB"
        if tag == "BE":
            if "ADJ" in options and form != "ing":
                return "ADJ"
            return "VERB" if form in ("ing", "past") else noun
        if tag in NOMINAL and form != "ing":
            return "ADJ" if "ADJ" in options and self.nounlike(index + 1) else noun
        if tag == "VERB" and "ADV" in options and not self.nounlike(index + 1):
            return "ADV"
        if form == "past" and "NOUN" not in options and "ADJ" not in options:
            return "VERB"
        return "ADJ" if "ADJ" in options and ("NOUN" not in options or self.nounlike(index + 1)) else noun

    def _verb_here(self, index: int, tag: str, form: str, nounable: bool) -> bool:
        """Whether a word that can be a verb (in `form`) is one here, after an item tagged `tag`."""
        clause = self.made[_clause_start(self.made) :]
        verbs = sum(i.tag == "VERB" for i in clause)
        helped = any(i.tag in ("DO", "MODAL", "TO") for i in clause)
        if tag in ("TO", "MODAL", "DO", "PERFECT"):
            return not (tag == "MODAL" and form == "ing")
        if tag in ("THAT", "WH") and form in ("third", "past"):
            return True
        if tag == "THAT" and form == "base" and self.last is not None and self.last.word in ("who", "which"):
            return True
        if tag in ("PRON", "EXIST") and not verbs and (self.last_tag != "BE" or form == "base"):
            return True
        if tag in NOMINAL or tag == "BE":
            return False
        after = self.word(index + 1)
        if self.at_start and form == "base" and (not self.question or tag == ""):
            closed = after in en.BE or after in en.MODALS or after == "'s" or after in _STOPS
            return not (closed and nounable)
        if self.last_tag == "CONJ" and form == "base" and verbs:
            return True
        if tag in ("NOUN", "NAME", "CONJ") and not verbs:
            before = self.before()
            plural = before is not None and before.word.endswith("s")
            later = any(w in en.BE or w in en.MODALS or w in en.DO for w in self.rest(index + 1))
            return not later and (form in ("third", "past") or helped or plural or tag == "NAME")
        return False


def asks(item: Item) -> bool:
    """Whether the item is a verb that an indirect question can follow: know, ask, tell ..."""
    return item.tag == "VERB" and bool(en.ASKING_VERBS & {item.word, *en.lemmas(item.word).get("VERB", ())})


def _clause_start(items: list[Item]) -> int:
    """The index after the last comma, subordinator, conjunction or wh-word."""
    openers = ("COMMA", "IF", "WHEN", "SUB", "CONJ", "THAT", "WH")
    return max((k + 1 for k, i in enumerate(items) if i.tag in openers), default=0)
