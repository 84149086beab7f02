"""Text-to-gloss metrics: BLEU-1..4, ROUGE-L, WER and exact match over lines of glosses.

BLEU is sacrebleu's corpus BLEU with tokenize="none" (no smoothing beyond its default, effective order off);
ROUGE-L is the F score with beta 1.2 averaged over sentences, as sign-language papers print it;
WER is total edit distance over total reference length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import sacrebleu

from stable_signer.errors import StableSignerError

ROUGE_BETA = 1.2


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, float, float, float]:
    """Corpus BLEU-1, 2, 3 and 4 in percent; lines are glosses separated by spaces."""
    scores = []
    for order in (1, 2, 3, 4):
        metric = sacrebleu.BLEU(tokenize="none", max_ngram_order=order, force=True)
        scores.append(metric.corpus_score(list(hypotheses), [list(references)]).score)
    return scores[0], scores[1], scores[2], scores[3]


def bleu_counts(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """What BLEU is made of, a row a line, (N, 10) whole numbers: n-grams of 1 to 4 that the reference has,
    n-grams in all, words of the hypothesis, words of the reference. `bleu_of` takes sums of rows."""
    rows = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        h, r = hypothesis.split(), reference.split()
        ours, theirs = ([_grams(words, n) for n in range(1, 5)] for words in (h, r))
        right = [(a & b).total() for a, b in zip(ours, theirs, strict=True)]
        rows.append([*right, *(a.total() for a in ours), len(h), len(r)])
    return np.array(rows, dtype=int).reshape(-1, 10)


def _grams(words: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[k : k + size]) for k in range(len(words) - size + 1))


def bleu_of(counts: np.ndarray, order: int) -> float:
    """BLEU-`order` in percent of summed rows of `bleu_counts`, (10,): what `bleu` gives for those lines."""
    right, said = counts[:order].tolist(), counts[4 : 4 + order].tolist()
    found = sacrebleu.BLEU.compute_bleu(
        right, said, int(counts[8]), int(counts[9]), smooth_method="exp", max_ngram_order=order
    )
    return float(found.score)


def lcs_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        previous = 0
        for j, y in enumerate(b, start=1):
            previous, row[j] = row[j], previous + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


def rouge_l(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Mean sentence ROUGE-L F (beta 1.2), in percent; an empty hypothesis scores 0."""
    total = 0.0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        h, r = hypothesis.split(), reference.split()
        common = lcs_length(h, r)
        if common:
            precision, recall = common / len(h), common / len(r)
            total += (1 + ROUGE_BETA**2) * precision * recall / (recall + ROUGE_BETA**2 * precision)
    return 100 * total / max(len(references), 1)


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein distance: substitutions, insertions and deletions cost 1 each."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def wer(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Word error rate in percent: all edits over all reference glosses."""
    edits = sum(edit_distance(h.split(), r.split()) for h, r in zip(hypotheses, references, strict=True))
    return 100 * edits / max(sum(len(r.split()) for r in references), 1)


def text_scores(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """All of them: keys bleu1..bleu4, rouge_l, wer, exact (percent) and length_ratio.

    StableSignerError when the two lists differ in length or are empty.
    """
    if len(hypotheses) != len(references) or not references:
        raise StableSignerError(
            f"there are {len(hypotheses)} hypotheses for {len(references)} references: give one for each"
        )
    b1, b2, b3, b4 = bleu(hypotheses, references)
    lengths = [sum(len(x.split()) for x in side) for side in (hypotheses, references)]
    return {
        "bleu1": b1,
        "bleu2": b2,
        "bleu3": b3,
        "bleu4": b4,
        "rouge_l": rouge_l(hypotheses, references),
        "wer": wer(hypotheses, references),
        "exact": 100
        * sum(h.split() == r.split() for h, r in zip(hypotheses, references, strict=True))
        / len(references),
        "length_ratio": lengths[0] / max(lengths[1], 1),
    }


class Spanned(NamedTuple):
    """A line of glosses and the non-manual spans over it, each (kind, first, last), both ends included."""

    glosses: Sequence[str]
    spans: Sequence[tuple[str, int, int]]


def span_scores(hypotheses: Sequence[Spanned], references: Sequence[Spanned]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 (percent) and support of non-manual spans by kind, and "all".

    A span is right when a reference span of its kind and sentence stands over the same signs: the Jaccard
    overlap of the glosses under the two is at least one half. Each reference span counts once.
    """
    right: Counter[str] = Counter()
    said: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        left = list(reference.spans)
        wanted.update(kind for kind, _, _ in left)
        for kind, first, last in hypothesis.spans:
            said[kind] += 1
            under = Counter(hypothesis.glosses[first : last + 1])
            for span in left:
                over = Counter(reference.glosses[span[1] : span[2] + 1])
                if span[0] == kind and 2 * (under & over).total() >= (under | over).total():
                    right[kind] += 1
                    left.remove(span)
                    break
    for counter in (right, said, wanted):
        counter["all"] = counter.total()
    return {kind: _prf(right[kind], said[kind], wanted[kind]) for kind in sorted({*said, *wanted})}


def _prf(right: int, said: int, wanted: int) -> dict[str, float]:
    precision, recall = right / max(said, 1), right / max(wanted, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return {"precision": 100 * precision, "recall": 100 * recall, "f1": 100 * f1, "support": wanted}
