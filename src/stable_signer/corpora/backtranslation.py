"""Making the back-translator of `metrics/backtranslation.py` from real pairs of ASL glosses and English.

In order: each pair's spelled words are found in its English; words and glosses are aligned in both directions
(a lexical model with a preference for the diagonal, as in Dyer et al. 2013, whose first guess the dictionary
pulls towards words that a gloss is known to mean); the two are made one (grow-diag-final-and, Koehn et al.
2003); runs of glosses and words that agree with it become readings; the English makes a language model
(interpolated Kneser-Ney); weights are found on the n-best translations of held-out files, by BLEU-4.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import lemminflect
import numpy as np

from stable_signer.corpora.ncslgr import Utterance
from stable_signer.errors import StableSignerError
from stable_signer.metrics.backtranslation import (
    END,
    FEATURES,
    LONGEST_READING,
    LONGEST_RUN,
    NAME,
    SPELLED,
    START,
    UNKNOWN,
    BackTranslator,
    LanguageModel,
    Reading,
    Search,
    dictionary,
    split_clitics,
    text_words,
)
from stable_signer.metrics.text import edit_distance

CANDIDATES = 30  # translations of a line among which weights are chosen
FREE = tuple(f for f in FEATURES if f != "language")  # its weight is 1: only proportions count
NOTHING = ""  # the gloss, or word, that stands for none
FIRST_WEIGHTS = {
    "phrase": 0.3485, "phrase_back": -0.0228, "lexical": 0.0946, "lexical_back": 1.1211, "language": 1.0,
    "words": 2.7, "readings": 0.8238, "jump": -1.2978, "unseen": -1.786, "silent": 4.6688, "own": 0.5,
}  # fmt: skip
"""Where the search for weights begins: those that an earlier form of the translator ended with."""


@dataclass(frozen=True)
class Settings:
    """What is decided before the weights.

    rounds: of the alignment, in either direction. pull: counts that the dictionary adds. sharpness: of the
    diagonal. no_partner: probability of a word without a gloss. smoothing: counts of the lexical model
    that a reading is given. discount: what each reading's own count loses, so that one seen once is
    no certainty. least: how often a reading of more than one gloss or word, and three words in a row,
    must be seen to be kept: so that no line of the corpus can be put together from the table. order: of the
    language model. fillers: how many; negative: no dictionary.
    """

    rounds: int = 8
    pull: float = 1.0
    sharpness: float = 3.0
    no_partner: float = 0.2
    smoothing: float = 1.0
    discount: float = 0.6
    least: int = 2
    order: int = 3
    fillers: int = 12


# ----------------------------------------------------------------------------------------------------
# Pairs
# ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Glosses and words of one utterance. A word `@k` is what gloss k, `fs-`, spells."""

    signs: tuple[str, ...]
    words: tuple[str, ...]


def pair(glosses: Sequence[str], english: str) -> Pair:
    """The pair of an utterance: a spelled word that its English has becomes a class on both sides."""
    signs = list(glosses)
    words = split_clitics(text_words(english))
    for k, gloss in enumerate(glosses):
        if not gloss.startswith(SPELLED):
            continue
        spelled = gloss.removeprefix(SPELLED).lower()
        for size in (1, 2, 3):
            starts = [i for i in range(len(words) - size + 1) if "".join(words[i : i + size]) == spelled]
            if starts:
                signs[k] = SPELLED
                words[starts[0] : starts[0] + size] = [f"{NAME}{k}"]
                break
    return Pair(tuple(signs), tuple(words))


def pairs_of(utterances: Iterable[Utterance]) -> list[Pair]:
    """Pairs of a corpus, those without words left out."""
    found = [pair(u.glosses, u.english) for u in utterances]
    return [p for p in found if p.words]


# ----------------------------------------------------------------------------------------------------
# Alignment
# ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def _means(gloss: str, word: str) -> bool:
    """Does the dictionary say that a word, in any of its forms, is what a gloss means?"""
    return bool(_lemmas(word) & _meant(gloss))


@lru_cache(maxsize=8192)
def _meant(gloss: str) -> frozenset[str]:
    words = {part for phrase in dictionary(gloss) for part in phrase.split()}
    return frozenset(words | {"n't"} if "not" in words else words)


@lru_cache(maxsize=8192)
def _lemmas(word: str) -> frozenset[str]:
    return frozenset({word, *(f for group in lemminflect.getAllLemmas(word).values() for f in group)})


Lexicon = dict[str, dict[str, float]]  # target -> source -> probability of the target


class _Side(NamedTuple):
    """One direction of a pair: targets, each explained by one of the sources, or by none."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    may: tuple[tuple[int, ...], ...]  # for each target the sources it may have
    means: tuple[tuple[bool, ...], ...]
    named: tuple[bool, ...]  # targets that must have a partner


def _sides(given: Pair) -> tuple[_Side, _Side]:
    """(words explained by glosses, glosses explained by words)."""
    classes = tuple(NAME if w[0] == NAME else w for w in given.words)
    partner = {int(w[1:]): j for j, w in enumerate(given.words) if w[0] == NAME}
    n, m = len(given.signs), len(given.words)
    fit = [
        [partner.get(i) == j or (i not in partner and classes[j] != NAME) for j in range(m)] for i in range(n)
    ]
    means = [[_means(given.signs[i], classes[j]) for j in range(m)] for i in range(n)]
    forward = _Side(
        given.signs,
        classes,
        tuple(tuple(i for i in range(n) if fit[i][j]) for j in range(m)),
        tuple(tuple(means[i][j] for i in range(n)) for j in range(m)),
        tuple(c == NAME for c in classes),
    )
    back = _Side(
        classes,
        given.signs,
        tuple(tuple(j for j in range(m) if fit[i][j]) for i in range(n)),
        tuple(tuple(row) for row in means),
        tuple(i in partner for i in range(n)),
    )
    return forward, back


def _shares(side: _Side, target: int, lexicon: Lexicon | None, settings: Settings) -> list[tuple[int, float]]:
    """How likely each source (-1: none) is the partner of a target; sums to 1."""
    n, m = len(side.sources), len(side.targets)
    near = [
        (i, math.exp(-settings.sharpness * abs((i + 0.5) / n - (target + 0.5) / m))) for i in side.may[target]
    ]
    total = sum(x for _, x in near)
    scale = (1.0 if side.named[target] else 1 - settings.no_partner) / total if total else 0.0
    found = [] if side.named[target] else [(-1, settings.no_partner if total else 1.0)]
    found += [(i, scale * x) for i, x in near]
    if lexicon is None:
        found = [(i, x * (10.0 if i >= 0 and side.means[target][i] else 1.0)) for i, x in found]
    else:
        row = lexicon.get(side.targets[target], {})
        found = [(i, x * row.get(side.sources[i] if i >= 0 else NOTHING, 1e-7)) for i, x in found]
    total = sum(x for _, x in found)
    return [(i, x / total) for i, x in found]


def _learned(sides: Sequence[_Side], settings: Settings) -> Lexicon:
    """The lexical model after some rounds of expectation and maximisation."""
    lexicon: Lexicon | None = None
    for _ in range(settings.rounds):
        counts: Lexicon = defaultdict(lambda: defaultdict(float))
        totals: dict[str, float] = defaultdict(float)
        known: set[tuple[str, str]] = set()
        for side in sides:
            for j, target in enumerate(side.targets):
                for i, share in _shares(side, j, lexicon, settings):
                    source = side.sources[i] if i >= 0 else NOTHING
                    counts[target][source] += share
                    totals[source] += share
                    if i >= 0 and side.means[j][i]:
                        known.add((target, source))
        for target, source in sorted(known):
            counts[target][source] += settings.pull
            totals[source] += settings.pull
        lexicon = {
            target: {source: c / totals[source] for source, c in row.items() if c > 1e-9}
            for target, row in counts.items()
        }
    assert lexicon is not None
    return lexicon


def _best(side: _Side, lexicon: Lexicon, settings: Settings) -> set[tuple[int, int]]:
    """(source, target) of each target's likeliest partner."""
    links = (
        (max(_shares(side, j, lexicon, settings), key=lambda s: s[1])[0], j) for j in range(len(side.targets))
    )
    return {(i, j) for i, j in links if i >= 0}


def symmetrised(forward: set[tuple[int, int]], back: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """grow-diag-final-and of two sets of links (gloss, word)."""
    links, either = forward & back, forward | back
    neighbours = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
    grew = True
    while grew:
        grew = False
        for i, j in sorted(links):
            for a, b in neighbours:
                new = (i + a, j + b)
                lonely = all(new[0] != x for x, _ in links) or all(new[1] != y for _, y in links)
                if new in either and new not in links and lonely:
                    links.add(new)
                    grew = True
    for direction in (forward, back):
        for i, j in sorted(direction):
            if all(i != x for x, _ in links) and all(j != y for _, y in links):
                links.add((i, j))
    return links


@dataclass(frozen=True)
class Aligned:
    """Pairs with the links of each, and the two lexical models: of words by glosses, of glosses by words."""

    pairs: tuple[Pair, ...]
    links: tuple[frozenset[tuple[int, int]], ...]
    words: Lexicon
    signs: Lexicon


def align(pairs: Sequence[Pair], settings: Settings) -> Aligned:
    """Align all pairs."""
    sides = [_sides(p) for p in pairs]
    forward = _learned([s for s, _ in sides], settings)
    back = _learned([s for _, s in sides], settings)
    links = []
    for one, other in sides:
        there = _best(one, forward, settings)
        here = {(i, j) for j, i in _best(other, back, settings)}
        links.append(frozenset(symmetrised(there, here)))
    return Aligned(tuple(pairs), tuple(links), forward, back)


# ----------------------------------------------------------------------------------------------------
# Readings
# ----------------------------------------------------------------------------------------------------


def _runs(links: frozenset[tuple[int, int]], n: int, m: int) -> Iterable[tuple[int, int, int, int]]:
    """(first gloss, last, first word, last), ends excluded: no link of one side leaves the other."""
    linked = {j for _, j in links}
    for a in range(n):
        for b in range(a + 1, min(a + LONGEST_RUN, n) + 1):
            inside = [j for i, j in links if a <= i < b]
            if not inside:
                continue
            low, high = min(inside), max(inside)
            if high - low >= LONGEST_READING or any(low <= j <= high and not a <= i < b for i, j in links):
                continue
            first = low
            while True:  # words without a gloss at either edge belong to both neighbours
                last = high
                while True:
                    if last - first < LONGEST_READING:
                        yield a, b, first, last + 1
                    last += 1
                    if last >= m or last in linked:
                        break
                first -= 1
                if first < 0 or first in linked:
                    break


def _lexical(
    targets: Sequence[str], sources: Sequence[str], links: Iterable[tuple[int, int]], lexicon: Lexicon
) -> float:
    """Log-probability of targets given sources; links are (source, target)."""
    partners: dict[int, list[int]] = defaultdict(list)
    for i, j in links:
        partners[j].append(i)
    total = 0.0
    for j, target in enumerate(targets):
        row = lexicon.get(target, {})
        names = [sources[i] for i in partners[j]] or [NOTHING]
        total += math.log(max(sum(row.get(s, 0.0) for s in names) / len(names), 1e-6))
    return total


def readings(
    aligned: Aligned, settings: Settings, longest: int = LONGEST_RUN
) -> dict[tuple[str, ...], list[Reading]]:
    """All readings with their smoothed scores. longest: glosses in a run, 1 for a lexicon."""
    joint: Counter[tuple[tuple[str, ...], tuple[str, ...]]] = Counter()
    lexical: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[float, float]] = {}
    silent: Counter[str] = Counter()
    said: Counter[str] = Counter()
    for given, links in zip(aligned.pairs, aligned.links, strict=True):
        n, m = len(given.signs), len(given.words)
        with_partner = {i for i, _ in links}
        for i, sign in enumerate(given.signs):
            said[sign] += 1
            silent[sign] += i not in with_partner
        for a, b, c, d in _runs(links, n, m):
            if b - a > longest:
                continue
            words = _in_run(given.words[c:d], a, b)
            if words is None:
                continue
            run = given.signs[a:b]
            spoken = tuple(NAME if w[0] == NAME else w for w in words)
            inside = [(i - a, j - c) for i, j in links if a <= i < b]
            scores = (
                _lexical(spoken, run, inside, aligned.words),
                _lexical(run, spoken, [(j, i) for i, j in inside], aligned.signs),
            )
            joint[run, words] += 1
            lexical[run, words] = max(lexical.get((run, words), scores), scores)
    return _scored(joint, lexical, silent, said, settings)


def _in_run(words: Sequence[str], first: int, last: int) -> tuple[str, ...] | None:
    """Words with spelled ones counted from the run's start; None when one is spelled outside of it."""
    found = []
    for word in words:
        if word[0] == NAME:
            place = int(word[1:])
            if not first <= place < last:
                return None
            word = f"{NAME}{place - first}"
        found.append(word)
    return tuple(found)


def _scored(
    joint: Mapping[tuple[tuple[str, ...], tuple[str, ...]], int],
    lexical: Mapping[tuple[tuple[str, ...], tuple[str, ...]], tuple[float, float]],
    silent: Mapping[str, int],
    said: Mapping[str, int],
    settings: Settings,
) -> dict[tuple[str, ...], list[Reading]]:
    of_run: Counter[tuple[str, ...]] = Counter()
    of_words: Counter[tuple[str, ...]] = Counter()
    for (run, words), count in joint.items():
        of_run[run] += count
        of_words[words] += count
    found: dict[tuple[str, ...], list[Reading]] = defaultdict(list)
    k = settings.smoothing
    for (run, words), count in joint.items():
        if (len(run) > 1 or len(words) > 1) and count < settings.least:
            continue
        there, here = lexical[run, words]
        left = count - settings.discount
        phrase = math.log((left + k * math.exp(there)) / (of_run[run] + k))
        back = math.log((left + k * math.exp(here)) / (of_words[words] + k))
        found[run].append(Reading(words, (phrase, back, there, here)))
    for sign, count in said.items():
        share = math.log((silent[sign] + 0.05) / (count + 1.0))
        found[(sign,)].append(Reading((), (0.0, 0.0, 0.0, 0.0), share))
    return {run: sorted(f) for run, f in sorted(found.items())}


def fillers(aligned: Aligned, most: int) -> dict[str, float]:
    """What stands without a gloss before a word that has one, "" for nothing; log-probabilities."""
    counts: Counter[str] = Counter()
    for given, links in zip(aligned.pairs, aligned.links, strict=True):
        linked = {j for _, j in links}
        for j in linked:
            before = j > 0 and j - 1 not in linked
            counts[given.words[j - 1] if before else ""] += 1
    total = sum(counts.values())
    kept = sorted(counts.items(), key=lambda x: (-x[1], x[0]))[: max(most + 1, 0)]
    return {word: math.log(count / total) for word, count in kept}


# ----------------------------------------------------------------------------------------------------
# The language model
# ----------------------------------------------------------------------------------------------------


def language_model(lines: Sequence[Sequence[str]], order: int = 3, least: int = 1) -> LanguageModel:
    """Interpolated Kneser-Ney of lines of words, one discount an order.

    Three words in a row and more seen less than `least` times are left to the shorter ones. A word never
    seen has a share of what is discounted of words.
    """
    grams: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(order + 1)]
    for line in lines:
        padded = (START, *(NAME if w[0] == NAME else w for w in line), END)
        for size in range(1, order + 1):
            for k in range(len(padded) - size + 1):
                if padded[k + size - 1] != START:
                    grams[size][padded[k : k + size]] += 1
    # shorter n-grams count the different words that stand before them; those at a start nothing can precede
    for size in range(1, order):
        continued = Counter(gram[1:] for gram in grams[size + 1])
        grams[size] = Counter({g: continued[g] if g[0] != START else c for g, c in grams[size].items()})
    table: dict[tuple[str, ...], tuple[float, float]] = {}
    lost: dict[tuple[str, ...], float] = {}
    words = len(grams[1]) + 1
    for size in range(1, order + 1):
        once = sum(c == 1 for c in grams[size].values())
        twice = sum(c == 2 for c in grams[size].values())
        discount = once / (once + 2 * twice) if once and twice else 0.5
        totals: Counter[tuple[str, ...]] = Counter()
        taken: dict[tuple[str, ...], float] = defaultdict(float)
        for gram, count in grams[size].items():
            totals[gram[:-1]] += count
            taken[gram[:-1]] += count if size > 2 and count < least else discount
        lost = {history: t / totals[history] for history, t in taken.items()}
        model = LanguageModel(table) if size > 1 else None
        for gram, count in grams[size].items():
            if size > 2 and count < least:
                continue
            shorter = math.exp(model.step(gram[1:-1], gram[-1])[0]) if model else 1 / words
            p = (count - discount) / totals[gram[:-1]] + lost[gram[:-1]] * shorter
            table[gram] = (math.log(p), 0.0)
        if size == 1:
            table[(UNKNOWN,)] = (math.log(lost[()] / words), 0.0)
        for history, share in lost.items():
            if history:
                p = table.get(history, (-99.0, 0.0))[0]
                table[history] = (p, math.log(share))
    return LanguageModel(table)


# ----------------------------------------------------------------------------------------------------
# All of it, and its weights
# ----------------------------------------------------------------------------------------------------


def build(
    pairs: Sequence[Pair],
    weights: Mapping[str, float] = FIRST_WEIGHTS,
    settings: Settings | None = None,
    search: Search | None = None,
    more: Sequence[str] = (),
) -> BackTranslator:
    """A translator of pairs. more: lines of English for the language model only."""
    settings = settings or Settings()
    if not pairs:
        raise StableSignerError("there are no pairs to build a back-translator from: give it some")
    aligned = align(pairs, settings)
    english = [p.words for p in pairs] + [tuple(split_clitics(text_words(line))) for line in more]
    search = search or Search()
    return BackTranslator(
        readings(aligned, settings, search.longest),
        language_model(english, settings.order, settings.least),
        fillers(aligned, settings.fillers),
        weights,
        search,
    )


def folds(utterances: Sequence[Utterance], count: int = 5) -> list[list[Utterance]]:
    """Utterances in `count` parts of like size, each file whole in one of them."""
    files: dict[str, list[Utterance]] = defaultdict(list)
    for u in utterances:
        files[u.file].append(u)
    parts: list[list[Utterance]] = [[] for _ in range(count)]
    for _, lines in sorted(files.items(), key=lambda x: (-len(x[1]), x[0])):
        min(parts, key=len).extend(lines)
    return parts


WER_SHARE = 0.1  # of the goal: tuned on BLEU alone, lines fill with words that are not there


class PoolArrays(NamedTuple):
    """Candidates of many lines: features (N, F), matches (N, 9: `_matches`, then edits to the reference).

    starts (S,): the first candidate of each line; words: of all references.
    """

    features: np.ndarray
    matches: np.ndarray
    starts: np.ndarray
    words: float

    def goal(self, weights: np.ndarray) -> float:
        """BLEU-4 less a share of the WER, in percent, of the best by these weights (F,)."""
        scores = self.features @ weights
        best = np.maximum.reduceat(scores, self.starts)
        sizes = np.diff(np.append(self.starts, len(scores)))
        hit = np.flatnonzero(scores == np.repeat(best, sizes))
        line = np.searchsorted(self.starts, hit, side="right") - 1
        _, first = np.unique(line, return_index=True)
        sums = self.matches[hit[first]].sum(0)
        right, said, edits = sums[0:8:2], sums[1:8:2], sums[8]
        brevity = min(0.0, 1 - self.words / max(said[0], 1))
        bleu = np.exp(brevity + np.log(right / said).mean()) if right.all() else 0.0
        return float(100 * (bleu - WER_SHARE * edits / self.words))


class Pool:
    """Translations of lines with their features, among which weights choose; BLEU-4 of what they choose."""

    def __init__(self, references: Sequence[str]) -> None:
        self.references = [r.split() for r in references]
        self._seen: list[dict[str, tuple[float, ...]]] = [{} for _ in references]

    def add(self, line: int, candidates: Iterable[tuple[str, tuple[float, ...]]]) -> int:
        """More translations of a line; how many were new."""
        before = len(self._seen[line])
        for text, features in candidates:
            self._seen[line].setdefault(text, features)
        return len(self._seen[line]) - before

    def arrays(self, lines: Iterable[int] | None = None) -> PoolArrays:
        """Of these lines (None: all), for `PoolArrays.goal`."""
        features: list[tuple[float, ...]] = []
        matches: list[list[int]] = []
        starts: list[int] = []
        lengths: list[int] = []
        for k in range(len(self._seen)) if lines is None else lines:
            if not self._seen[k]:
                continue
            starts.append(len(features))
            lengths.append(len(self.references[k]))
            for text, values in self._seen[k].items():
                features.append(values)
                words = text.split()
                edits = edit_distance(words, self.references[k])
                matches.append([*_matches(words, self.references[k]), edits])
        return PoolArrays(
            np.array(features), np.array(matches, dtype=float), np.array(starts), float(sum(lengths))
        )


def _matches(words: Sequence[str], reference: Sequence[str]) -> list[int]:
    """For n of 1 to 4: n-grams that the reference has, then n-grams in all; as BLEU counts."""
    found = []
    for n in range(1, 5):
        ours = Counter(tuple(words[k : k + n]) for k in range(len(words) - n + 1))
        theirs = Counter(tuple(reference[k : k + n]) for k in range(len(reference) - n + 1))
        found += [(ours & theirs).total(), ours.total()]
    return found


STEPS = (-1.0, -0.4, -0.15, -0.05, 0.05, 0.15, 0.4, 1.0)


def best_weights(
    arrays: PoolArrays, start: Mapping[str, float], free: Sequence[str], seed: int, restarts: int = 6
) -> dict[str, float]:
    """Weights found by steps of one `free` weight at a time, from `start` and from places about it."""
    rng = np.random.default_rng(seed)
    places = [FEATURES.index(name) for name in free]
    best, top = np.array([start[name] for name in FEATURES]), -np.inf
    for k in range(restarts):
        now = best.copy()
        if k:
            now[places] += rng.normal(0, 0.5, len(places))
        score = arrays.goal(now)
        better = True
        while better:
            better = False
            for place in rng.permutation(places):
                for step in STEPS:
                    tried = now.copy()
                    tried[place] += step
                    got = arrays.goal(tried)
                    if got > score + 0.005:
                        now, score, better = tried, got, True
        if score > top:
            best, top = now, score
    return {name: round(float(w), 4) for name, w in zip(FEATURES, best, strict=True)}


class Validated(NamedTuple):
    """What cross-validation finds.

    weights: of all folds together. texts: of each of the lines, what a translator without its file makes of
    it, with weights that its fold had no part in.
    """

    weights: dict[str, float]
    lines: list[Utterance]
    texts: list[str]


def cross_validated(
    utterances: Sequence[Utterance],
    *,
    settings: Settings | None = None,
    search: Search | None = None,
    start: Mapping[str, float] = FIRST_WEIGHTS,
    free: Sequence[str] = FREE,
    rounds: int = 3,
    seed: int = 0,
) -> Validated:
    """Find weights on held-out files.

    Each fold is translated without its own files, weights are chosen among the translations, and again
    with those, `rounds` times. free: the weights that are sought.
    """
    parts = folds(utterances)
    models = [
        build(pairs_of(u for q in parts if q is not part for u in q), start, settings, search)
        for part in parts
    ]
    lines = [(k, u) for k, part in enumerate(parts) for u in part]
    pool = Pool([text_words(u.english) for _, u in lines])
    weights = dict(start)
    for r in range(rounds):
        for line, (k, u) in enumerate(lines):
            models[k].weights = weights
            pool.add(line, models[k].candidates(u.glosses, CANDIDATES))
        weights = best_weights(pool.arrays(), weights, free, seed + r)
    texts: list[str] = []
    for k, part in enumerate(parts):
        others = pool.arrays(i for i, (fold, _) in enumerate(lines) if fold != k)
        models[k].weights = best_weights(others, weights, free, seed + rounds + k)
        texts += [models[k].translate(u.glosses) for u in part]
    return Validated(weights, [u for _, u in lines], texts)
