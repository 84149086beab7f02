"""The non-manual head: its spans, its file, and what the planners make of it."""

from __future__ import annotations

import itertools
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stable_signer.errors import StableSignerError
from stable_signer.slp_moe.nonmanual import shows
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.nonmanual_head import ALL_LEARNED, WEIGHTS, HeadConfig, NonmanualHead, runs
from stable_signer.slul.plan import NONMANUALS, Span
from stable_signer.slul.planner import SlulPlanner

GLOSSES = ("BOOK", "IX-1", "LIKE")


@pytest.fixture
def head() -> NonmanualHead:
    torch.manual_seed(0)
    return NonmanualHead(HeadConfig(8, GLOSSES, ("topic", "mouth"), (0.5, 0.5), 4, 6)).eval()


@pytest.fixture(scope="module")
def everything() -> SlulPlanner:
    return SlulPlanner(Glossary.load(), learned=ALL_LEARNED)


@given(st.lists(st.booleans(), max_size=20))
def test_runs_are_the_stretches_of_true_values(over: list[bool]) -> None:
    found = runs(np.array(over, bool))
    again = np.zeros(len(over), bool)
    for first, last in found:
        assert not again[first : last + 1].any()
        again[first : last + 1] = True
    assert again.tolist() == over
    assert all(b + 1 < c for (_, b), (c, _) in itertools.pairwise(found))


def test_a_head_s_spans_are_where_it_finds_them_likely(head: NonmanualHead) -> None:
    states = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    line = ["BOOK", "IX-1", "NEVER-SEEN", "LIKE", "BOOK"]
    likely = head.probabilities(line, states, False)
    assert likely.shape == (5, 2) and not np.allclose(likely, head.probabilities(line, states, True))
    found = head.spans(line, states, False, ["mouth"])
    assert found == [Span("mouth", a, b) for a, b in runs(likely[:, 1] > 0.5)]
    with pytest.raises(ValueError, match="not in"):
        head.spans(line, states, False, ["gaze"])


def test_a_head_s_file_gives_the_same_head(head: NonmanualHead, tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    head.save(path)
    again = NonmanualHead.load(path)
    states = np.ones((3, 8), np.float32)
    assert again.config == head.config and [p.name for p in tmp_path.iterdir()] == [path.name]
    expected = head.probabilities(GLOSSES, states, False)
    assert np.allclose(again.probabilities(GLOSSES, states, False), expected, atol=2e-3)


def test_what_is_no_head_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(StableSignerError, match="cannot be read"):
        NonmanualHead.load(path)
    with pytest.raises(StableSignerError, match="cannot be read"):
        NonmanualHead.load(tmp_path / "none")
    other = resources.files("stable_signer.weights") / "recogniser.safetensors"
    with resources.as_file(other) as file, pytest.raises(StableSignerError, match="no non-manual head"):
        NonmanualHead.load(file)


def test_the_shipped_head_reads_states_of_the_shipped_slul(everything: SlulPlanner) -> None:
    assert everything.head.config.kinds == ALL_LEARNED
    assert everything.head.config.width == everything.reader.config.d_model
    weights = resources.files("stable_signer.weights") / WEIGHTS
    assert len(weights.read_bytes()) < 100_000


def test_mouth_and_gaze_are_shown_only_when_asked_for(everything: SlulPlanner) -> None:
    texts = ["Who bought the car?", "I really like that house.", "My mother never saw the movie."]
    shy = SlulPlanner(Glossary.load())
    grammar = [shy.draft(text) for text in texts]
    full = [everything.draft(text) for text in texts]
    assert [d.signs for d in grammar] == [d.signs for d in full]
    assert not any(s.kind in ("mouth", "gaze") for d in grammar for s in d.spans)
    assert any(s.kind in ("mouth", "gaze") for d in full for s in d.spans)
    for few, many in zip(grammar, full, strict=True):
        assert set(few.spans) == {s for s in many.spans if s.kind not in ("mouth", "gaze")}


def test_a_topic_has_a_noun_or_a_time_under_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_over(*_: object) -> list[Span]:
        return [Span("topic", k, k) for k in range(3)]

    monkeypatch.setattr(NonmanualHead, "spans", all_over)
    draft = SlulPlanner(Glossary.load()).draft("I like books.")
    line = [s.gloss for s in draft.signs]
    assert [line[s.first] for s in draft.spans if s.kind == "topic"] == ["BOOK"]


def test_other_weights_have_no_head(everything: SlulPlanner) -> None:
    weights = resources.files("stable_signer.weights") / "slul-ase.safetensors"
    with resources.as_file(weights) as file:
        other = SlulPlanner(Glossary.load(), file, ALL_LEARNED)
        draft = other.draft("Who bought the car?")
    assert draft.planner == "slul" and not any(s.kind in ("mouth", "gaze") for s in draft.spans)


def test_what_each_kind_lets_see() -> None:
    assert shows("wh-question") == ("brows-lowered",)
    assert shows("negation") == ("headshake",)
    assert {k for k in NONMANUALS if "brows-raised" in shows(k)} == {
        "yes-no-question", "topic", "conditional", "relative-clause",
    }  # fmt: skip
    assert shows("gaze") == ("gaze",) and shows("intensity") == ()
