"""ASL glosses back to English, so that what was read of signing can be scored as text. It measures only.

A phrase-based statistical translator: runs of up to four glosses have readings of up to five words, each with
smoothed probabilities; a reading may be silent; a beam search puts readings one after the other, not always
in the signs' order, and weighs them with a Kneser-Ney language model of English. A gloss that was never seen
is read as an English word that the lexicon has for it, or as itself in lower case, in any of its forms; a
line of which too many were never seen is not translated but taken as words. All of it is in
`weights/backtranslation.txt`, made by `corpora/backtranslation.py`; its card says from what.

Glosses are those of `weights/glosses.csv`, upper case; a spelled word is `fs-NAME`. What stands for a spelled
word is the class `fs-` among glosses and `@0`, `@1` ... among a reading's words (the number counts the
glosses of its run), `@` for the language model: so a name never seen behaves like JOHN.

Text is scored in the form that `text_words` gives it: lower case, no punctuation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import lemminflect

from stable_signer.errors import StableSignerError
from stable_signer.media.files import read_bytes
from stable_signer.slul.english import POSSESSIVES, PRONOUNS
from stable_signer.slul.glosses import Glossary

HEADING = "stable-signer back-translator 1"
FEATURES = (
    "phrase", "phrase_back", "lexical", "lexical_back",  # log-probabilities: words of signs, signs of words
    "language",  # log-probability of the English
    "words", "readings",  # their numbers
    "jump",  # glosses that the search leaps over between two readings
    "unseen",  # readings by the dictionary, not from the pairs
    "silent",  # log-probability that a gloss says nothing
    "own",  # glosses that are read by a form of their own name
)  # fmt: skip
SPELLED = "fs-"
NAME = "@"
START, END, UNKNOWN = "<s>", "</s>", "<unk>"
LONGEST_RUN, LONGEST_READING = 4, 5  # glosses, words
STRANGE = 0.4  # of a line's glosses never seen: with more it is taken as words
_CLITICS = ("'s", "n't", "'m", "'re", "'ll", "'ve", "'d")


# ----------------------------------------------------------------------------------------------------
# Text
# ----------------------------------------------------------------------------------------------------


def text_words(text: str) -> str:
    """The form in which text is scored: lower case, letters, figures and apostrophes, a space between.

    Of alternatives ("he/she", "is/was", as NCSLGR has them) the first is kept; L.A. is la.
    """
    text = text.lower().replace("’", "'")
    text = re.sub(r"(\w)/[\w/]+", r"\1", text)
    text = re.sub(r"(?<=\b[a-z])\.(?=[a-z]\b)", "", text)
    return " ".join(re.findall(r"[a-z0-9]+(?:'[a-z]+)*", text))


def split_clitics(line: str) -> list[str]:
    """Words of a line of `text_words`, with 's, n't and their like as words of their own."""
    found = []
    for word in line.split():
        clitic = next((c for c in _CLITICS if word.endswith(c) and word != c), "")
        found += [word.removesuffix(clitic), clitic] if clitic else [word]
    return found


def join_clitics(words: Sequence[str]) -> str:
    """The line that `split_clitics` makes these words of. One that stands first is left out."""
    line = ""
    for word in words:
        if word not in _CLITICS:
            line += f" {word}"
        elif line:
            line += word
    return line.strip()


_POINTING = {
    **{sign: word for word, sign in reversed((PRONOUNS | POSSESSIVES).items())},
    "IX-2-PL": "you",
    "IX-LOC": "there",
}


def as_words(glosses: Sequence[str]) -> str:
    """The floor: every gloss taken as a word, pointing as its pronoun. No translation."""
    return " ".join(plain_word(g) for g in glosses)


def plain_word(gloss: str) -> str:
    """One gloss taken as a word, or words where it has hyphens."""
    if gloss.startswith(SPELLED):
        return gloss.removeprefix(SPELLED).lower()
    words = gloss.lower().replace("-", " ").replace(NAME, " ")  # NAME has a meaning of its own in readings
    return _POINTING.get(gloss) or " ".join(words.split()).strip("' ")


@cache
def _glossary() -> Glossary:
    return Glossary.load()


@lru_cache(maxsize=8192)
def dictionary(gloss: str) -> tuple[str, ...]:
    """English lemmas and phrases that the lexicon has for a gloss, its own name first."""
    words = [plain_word(gloss)]
    if gloss in _glossary():
        words += _glossary().entry(gloss).words
    return tuple(dict.fromkeys(w for w in words if w))


@lru_cache(maxsize=8192)
def forms(word: str) -> tuple[str, ...]:
    """A word and its inflected forms, in a fixed order; a phrase only itself."""
    if " " in word or not word.isalpha():
        return (word,)
    found = {f.lower() for group in lemminflect.getAllInflections(word).values() for f in group}
    return (word, *sorted(found - {word}))


@lru_cache(maxsize=8192)
def _own(gloss: str) -> frozenset[str]:
    """Forms of a gloss's own name; none of one that points, whose pronoun changes with its place."""
    return frozenset() if gloss in _POINTING else frozenset(forms(plain_word(gloss)))


def own_names(run: Sequence[str], words: Sequence[str]) -> int:
    """How many glosses of a run are read by a form of their own name, or spelled as they are."""
    line = f" {' '.join(words)} "
    return sum(
        f"{NAME}{k}" in words if gloss.startswith(SPELLED) else any(f" {f} " in line for f in _own(gloss))
        for k, gloss in enumerate(run)
    )


# ----------------------------------------------------------------------------------------------------
# The tables
# ----------------------------------------------------------------------------------------------------


class LanguageModel:
    """An n-gram model in back-off form: n-gram -> (log-probability, log of its back-off weight)."""

    def __init__(self, table: Mapping[tuple[str, ...], tuple[float, float]]) -> None:
        self.table = dict(table)
        self.order = max(map(len, self.table), default=1)
        if (UNKNOWN,) not in self.table:
            raise StableSignerError(f"the language model has no entry for {UNKNOWN}: build it again")

    def step(self, context: tuple[str, ...], word: str) -> tuple[float, tuple[str, ...]]:
        """Log-probability of a word after a context, and the context after it."""
        if (word,) not in self.table:
            word = UNKNOWN
        lost, seen = 0.0, context
        while (*seen, word) not in self.table:
            lost += self.table.get(seen, (0.0, 0.0))[1]
            seen = seen[1:]
        after = (*context, word)[-(self.order - 1) :] if self.order > 1 else ()
        return lost + self.table[(*seen, word)][0], after

    def line(self, words: Sequence[str]) -> float:
        """Log-probability of a whole line, its end included."""
        total = 0.0
        context: tuple[str, ...] = (START,)
        for word in (*words, END):
            score, context = self.step(context, word)
            total += score
        return total


class Reading(NamedTuple):
    """Words for a run of glosses, `@0` for its first if that is spelled, and features of FEATURES.

    scores: the four log-probabilities, in order. unseen: 1 for one that the pairs do not have.
    """

    words: tuple[str, ...]
    scores: tuple[float, float, float, float]
    silent: float = 0.0
    unseen: float = 0.0


class Candidate(NamedTuple):
    """A translation: the line as it is scored, and its features, as FEATURES names them."""

    text: str
    features: tuple[float, ...]


@dataclass(frozen=True)
class Search:
    """How far the search looks.

    longest: glosses in a run; jump: how many glosses may be leapt over (0: the signs' order); beam: partial
    translations kept for each number of glosses done; options: readings of a run that are tried.
    """

    longest: int = LONGEST_RUN
    jump: int = 4
    beam: int = 25
    options: int = 15


class _Option(NamedTuple):
    """A reading at its place: what is tried there. `fixed` is its weighed score without language and jump."""

    first: int
    last: int  # excluded
    reading: Reading
    spoken: tuple[str, ...]  # words as the language model has them
    own: int  # glosses read by a form of their own name
    fixed: float


class _Partial(NamedTuple):
    score: float
    done: int  # bits: glosses that were read
    last: int  # where the latest reading ends
    context: tuple[str, ...]
    before: _Partial | None
    option: _Option | None


class BackTranslator:
    """Reads lines of glosses as English."""

    def __init__(
        self,
        readings: Mapping[tuple[str, ...], Sequence[Reading]],
        language: LanguageModel,
        fillers: Mapping[str, float],
        weights: Mapping[str, float],
        search: Search | None = None,
    ) -> None:
        """fillers: words that stand before others without a sign ("the"), "" for none, log-probabilities."""
        self.readings, self.language, self.fillers = dict(readings), language, dict(fillers)
        self.weights = {name: float(weights[name]) for name in FEATURES}
        self.search = search or Search()

    @classmethod
    def load(cls, path: Path | None = None) -> BackTranslator:
        """From `path`, or what ships. Raises StableSignerError when it is missing, or no such table."""
        if path is not None:
            return _parsed(read_bytes(path, "the back-translator"), str(path))
        file = resources.files("stable_signer.weights") / "backtranslation.txt"
        return _parsed(file.read_bytes(), "weights/backtranslation.txt")

    def translate(self, glosses: str | Sequence[str]) -> str:
        """A line of glosses as a line of `text_words`; an empty line stays one. Nothing in it is random.

        A line of which more than STRANGE of the glosses were never seen is left as words (`as_words`): what
        is known of the others says nothing of such a line.
        """
        line = glosses.split() if isinstance(glosses, str) else glosses
        if sum(not self.knows(g) for g in line) > STRANGE * len(line):
            return text_words(as_words(line))
        found = self.candidates(glosses, 1)
        return found[0].text if found else ""

    def knows(self, gloss: str) -> bool:
        """Was a gloss seen in the pairs? Spelled words are all alike."""
        return ((SPELLED,) if gloss.startswith(SPELLED) else (gloss,)) in self.readings

    def candidates(self, glosses: str | Sequence[str], most: int) -> list[Candidate]:
        """Up to `most` different translations of a line, best first; none of an empty line."""
        line = tuple(glosses.split() if isinstance(glosses, str) else glosses)
        if not line:
            return []
        best: dict[str, Candidate] = {}
        for partial in self._search(line):
            found = self._candidate(line, partial)
            best.setdefault(found.text, found)
            if len(best) == most:
                break
        return list(best.values())

    # -- what can be said ----------------------------------------------------------------------------

    def _readings(self, run: tuple[str, ...]) -> Iterator[Reading]:
        """All readings of a run: with its spelled words themselves, as their class, and by the dictionary."""
        as_class = tuple(SPELLED if g.startswith(SPELLED) else g for g in run)
        seen: set[tuple[str, ...]] = set()
        for key in dict.fromkeys((as_class, run)):
            for reading in self.readings.get(key, ()):
                if reading.words not in seen:
                    seen.add(reading.words)
                    yield reading
        if len(run) == 1:
            yield from (r for r in self._unseen(run[0]) if r.words not in seen)

    def _unseen(self, gloss: str) -> Iterator[Reading]:
        """What the dictionary has for a gloss, in forms that are known English, with fillers before.

        Forms share a probability evenly; words that the model does not know are tried as they stand.
        """
        said: dict[tuple[str, ...], int] = {}
        for rank, word in enumerate(dictionary(gloss)[:3]):
            known = [f for f in forms(word) if (f,) in self.language.table]
            for form in known or [word]:
                said.setdefault((NAME + "0",) if gloss.startswith(SPELLED) else tuple(form.split()), rank)
        for words, rank in said.items():
            for filler, probability in self.fillers.items():
                score = probability - rank - math.log(len(said))
                yield Reading((filler, *words) if filler else words, (score, 0.0, score, 0.0), 0.0, 1.0)
        yield Reading((), (0.0, 0.0, 0.0, 0.0), math.log(0.05), 1.0)

    def _options(self, line: tuple[str, ...]) -> dict[tuple[int, int], list[_Option]]:
        """For each run of the line the readings that are worth a try, best first by what is known of them."""
        found = {}
        for first in range(len(line)):
            for last in range(first + 1, min(first + self.search.longest, len(line)) + 1):
                tried = []
                for reading in self._readings(line[first:last]):
                    spoken = tuple(NAME if w[0] == NAME else w for w in reading.words)
                    own = own_names(line[first:last], reading.words)
                    fixed = self._weighed(reading, own)
                    option = _Option(first, last, reading, spoken, own, fixed)
                    tried.append((fixed + self._alone(spoken), option))
                tried.sort(key=lambda x: (-x[0], x[1].reading.words))
                if tried:
                    found[first, last] = [o for _, o in tried[: self.search.options]]
        return found

    def _weighed(self, reading: Reading, own: int) -> float:
        w = self.weights
        return (
            sum(w[name] * s for name, s in zip(FEATURES, reading.scores, strict=False))
            + w["words"] * len(reading.words)
            + w["readings"]
            + w["unseen"] * reading.unseen
            + w["silent"] * reading.silent
            + w["own"] * own
        )

    def _alone(self, words: Sequence[str]) -> float:
        """The language model's weighed share of words whose context is not known yet."""
        total = 0.0
        context: tuple[str, ...] = ()
        for word in words:
            score, context = self.language.step(context, word)
            total += score
        return self.weights["language"] * total

    # -- the search ----------------------------------------------------------------------------------

    def _search(self, line: tuple[str, ...]) -> list[_Partial]:
        """Whole translations, best first. Those alike in what decides the rest are kept once."""
        options = self._options(line)
        rest = self._rest(len(line), options)
        beams: list[dict[tuple[object, ...], _Partial]] = [{} for _ in range(len(line) + 1)]
        beams[0][0, 0, (START,)] = _Partial(0.0, 0, 0, (START,), None, None)
        ends: list[_Partial] = []
        for count, beam in enumerate(beams):
            ranked = sorted(beam.values(), key=lambda p: -(p.score + _open(p.done, rest)))[: self.search.beam]
            if count == len(line):
                ends = [p._replace(score=p.score + self._end(p, count)) for p in ranked]
                break
            for partial in ranked:
                for option in self._next(partial, options, len(line)):
                    made = self._with(partial, option)
                    place = beams[count + option.last - option.first]
                    key = (made.done, made.last, made.context)
                    if key not in place or made.score > place[key].score:
                        place[key] = made
        return sorted(ends, key=lambda p: -p.score)

    def _next(
        self, partial: _Partial, options: Mapping[tuple[int, int], list[_Option]], length: int
    ) -> Iterator[_Option]:
        """What may be read next: runs that are open, not further from the first open gloss than a jump."""
        opened = next(k for k in range(length) if not partial.done >> k & 1)
        for first in range(opened, min(opened + self.search.jump, length - 1) + 1):
            for last in range(first + 1, min(first + self.search.longest, length) + 1):
                if partial.done >> (last - 1) & 1:
                    break
                yield from options.get((first, last), ())

    def _with(self, partial: _Partial, option: _Option) -> _Partial:
        said, context = 0.0, partial.context
        for word in option.spoken:
            score, context = self.language.step(context, word)
            said += score
        score = (
            partial.score
            + option.fixed
            + self.weights["language"] * said
            + self.weights["jump"] * abs(option.first - partial.last)
        )
        bits = (1 << option.last) - (1 << option.first)
        return _Partial(score, partial.done | bits, option.last, context, partial, option)

    def _end(self, partial: _Partial, length: int) -> float:
        ending = self.language.step(partial.context, END)[0]
        return self.weights["language"] * ending + self.weights["jump"] * (length - partial.last)

    def _rest(self, length: int, options: Mapping[tuple[int, int], list[_Option]]) -> list[list[float]]:
        """rest[a][b]: the best that glosses a to b could still bring, their order and context left aside."""
        alone = {
            (a, b): max(o.fixed + self._alone(o.spoken) for o in found) for (a, b), found in options.items()
        }
        rest = [[0.0] * (length + 1) for _ in range(length + 1)]
        for a in range(length):
            for b in range(a + 1, length + 1):
                lasts = range(max(a, b - self.search.longest), b)
                rest[a][b] = max(rest[a][k] + alone[k, b] for k in lasts if (k, b) in alone)
        return rest

    def _candidate(self, line: tuple[str, ...], partial: _Partial) -> Candidate:
        """Words and features of a whole translation."""
        path: list[_Option] = []
        step: _Partial | None = partial
        while step is not None and step.option is not None:
            path.append(step.option)
            step = step.before
        path.reverse()
        spoken: list[str] = []
        words: list[str] = []
        sums = dict.fromkeys(FEATURES, 0.0)
        place = 0
        for option in path:
            spoken += option.spoken
            words += [
                plain_word(line[option.first + int(w[1:])]) if w[0] == NAME else w
                for w in option.reading.words
            ]
            for name, score in zip(FEATURES, option.reading.scores, strict=False):
                sums[name] += score
            sums["jump"] += abs(option.first - place)
            sums["unseen"] += option.reading.unseen
            sums["silent"] += option.reading.silent
            sums["own"] += option.own
            place = option.last
        sums["jump"] += len(line) - place
        sums["language"] = self.language.line(spoken)
        sums["words"], sums["readings"] = float(len(spoken)), float(len(path))
        words = " ".join(words).split()  # a spelled word may be empty
        return Candidate(join_clitics(words), tuple(sums[name] for name in FEATURES))


def _open(done: int, rest: Sequence[Sequence[float]]) -> float:
    """The best that the runs not read yet could bring."""
    total, first, length = 0.0, 0, len(rest) - 1
    while first < length:
        if done >> first & 1:
            first += 1
            continue
        last = first + 1
        while last < length and not done >> last & 1:
            last += 1
        total += rest[first][last]
        first = last
    return total


# ----------------------------------------------------------------------------------------------------
# The file
# ----------------------------------------------------------------------------------------------------


def written(translator: BackTranslator) -> str:
    """The table as text, one entry a line, sorted; logarithms in hundredths. `load` reads it again."""

    def hundredths(values: Sequence[float]) -> str:
        return " ".join(str(round(100 * v)) for v in values)

    lines = [HEADING]
    lines += [f"w\t{name}\t{translator.weights[name]:.4f}" for name in FEATURES]
    lines += [f"f\t{word}\t{hundredths([p])}" for word, p in sorted(translator.fillers.items())]
    for run, readings in sorted(translator.readings.items()):
        for r in sorted(readings):
            lines.append(f"p\t{' '.join(run)}\t{' '.join(r.words)}\t{hundredths((*r.scores, r.silent))}")
    for gram, values in sorted(translator.language.table.items(), key=lambda x: (len(x[0]), x[0])):
        lines.append(f"n\t{' '.join(gram)}\t{hundredths(values)}")
    return "\n".join(lines) + "\n"


def _parsed(data: bytes, where: str) -> BackTranslator:
    weights: dict[str, float] = {}
    fillers: dict[str, float] = {}
    readings: dict[tuple[str, ...], list[Reading]] = {}
    table: dict[tuple[str, ...], tuple[float, float]] = {}
    try:
        heading, *lines = data.decode("utf-8").splitlines()
        if heading != HEADING:
            raise ValueError(f"its first line is not {HEADING!r}")
        for line in lines:
            kind, *cells = line.split("\t")
            if kind == "w":
                weights[cells[0]] = float(cells[1])
                continue
            values = [int(v) / 100 for v in cells[-1].split()]
            if kind == "f":
                (fillers[cells[0]],) = values
            elif kind == "n":
                gram = tuple(cells[0].split())
                probability, back_off = values
                table[gram] = probability, back_off
            elif kind == "p":
                a, b, c, d, silent = values
                run, words = tuple(cells[0].split()), tuple(cells[1].split())
                readings.setdefault(run, []).append(Reading(words, (a, b, c, d), silent))
            else:
                raise ValueError(f"it has a line of the kind {kind!r}")
        return BackTranslator(readings, LanguageModel(table), fillers, weights)
    except (ValueError, KeyError, IndexError, StableSignerError) as error:
        raise StableSignerError(
            f"{where} is not a back-translator ({error}): build it with tools/build_backtranslator.py"
        ) from error
