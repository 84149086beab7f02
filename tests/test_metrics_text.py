"""Text metrics against numbers worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stable_signer.errors import StableSignerError
from stable_signer.metrics.text import (
    Spanned,
    bleu,
    bleu_counts,
    bleu_of,
    edit_distance,
    lcs_length,
    rouge_l,
    span_scores,
    text_scores,
    wer,
)


def test_a_perfect_line_scores_100_everywhere() -> None:
    lines = ["MORGEN REGEN NORD KOMMEN BIS ABEND", "SONNE"]
    scores = text_scores(lines, lines)
    assert scores["exact"] == scores["rouge_l"] == 100
    assert scores["wer"] == 0 and scores["length_ratio"] == 1
    assert scores["bleu4"] == pytest.approx(100)


def test_bleu_is_sacrebleu_without_tokenisation() -> None:
    scores = text_scores(["A B C D X"], ["A B C D E"])
    assert scores["bleu1"] == pytest.approx(80)
    assert scores["bleu4"] == pytest.approx(100 * (0.8 * 0.75 * 2 / 3 * 0.5) ** 0.25)


def test_rouge_l_uses_beta_1_2() -> None:
    precision, recall = 2 / 4, 2 / 3
    expected = (1 + 1.44) * precision * recall / (recall + 1.44 * precision)
    assert lcs_length(["A", "X", "B", "Y"], ["A", "B", "C"]) == 2
    assert rouge_l(["A X B Y"], ["A B C"]) == pytest.approx(100 * expected)
    assert rouge_l([""], ["A"]) == 0


def test_wer_counts_all_edits_over_all_references() -> None:
    assert edit_distance(["A", "B", "C"], ["A", "C"]) == 1
    assert wer(["A B C", "D"], ["A C", "E F"]) == pytest.approx(100 * 3 / 4)


def test_lines_must_pair_up() -> None:
    with pytest.raises(StableSignerError, match="2 hypotheses for 1 references"):
        text_scores(["A", "B"], ["A"])
    with pytest.raises(StableSignerError):
        text_scores([], [])


def test_a_span_counts_when_it_stands_over_the_same_signs() -> None:
    reference = Spanned(["YOUR", "NAME", "WHAT"], [("wh-question", 0, 2)])
    moved = Spanned(["WHAT", "YOUR", "NAME"], [("wh-question", 0, 2)])
    short = Spanned(["YOUR", "NAME", "WHAT"], [("wh-question", 2, 2), ("topic", 0, 0)])
    assert span_scores([moved], [reference])["wh-question"]["f1"] == pytest.approx(100)
    scores = span_scores([short], [reference])
    assert scores["wh-question"]["f1"] == 0 and scores["topic"]["support"] == 0
    assert scores["all"]["precision"] == 0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(*[st.lists(st.sampled_from("abc"), max_size=7)] * 2), min_size=1, max_size=6))
def test_bleu_of_summed_counts_is_that_of_the_lines(lines: list[tuple[list[str], list[str]]]) -> None:
    said, wanted = ([" ".join(side) for side in both] for both in zip(*lines, strict=True))
    sums = bleu_counts(said, wanted).sum(0)
    whole = bleu(said, wanted)
    assert [bleu_of(sums, n) for n in (1, 2, 3, 4)] == pytest.approx(whole)
