"""The linker: for every sign of any plan, the decoder state that SLUL has when it is about to sign it.

While SLUL plans a sentence it makes one state a sign (`decode.Hypothesis.states`), but a plan may also come
from the rules or from a hand, may be edited, and holds signs that were fused or added afterwards. So the
states are made from the plan itself: its sentences are written as SLUL reads them, slots with part of speech
and word, its signs and non-manual spans as SLUL would answer, and the decoder is made to say just that
(teacher forcing). The state that predicts a sign's slot is the sign's linker state. The same plan has the
same states, whoever planned it.

Source: the paper's "linker" between understanding and production; how it is taken from a decoder is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from stable_signer.slul import english as en
from stable_signer.slul.decode import MAX_TOKENS, Reader, Stepper, one_thread
from stable_signer.slul.plan import Nonmanual, Plan, Sign, Span
from stable_signer.slul.slots import DOMAIN, NAMELESS
from stable_signer.slul.vocabulary import NONMANUAL_TAGS, PAD, SLOT_NAMES, SLOTS

_TAG_OF_KIND = {"fingerspelled": "NAME", "number": "NUM", "classifier": "X"}
_WH = frozenset(en.WH.values())


@dataclass(frozen=True)
class Line:
    """A stretch of a plan as SLUL reads and answers it: `text`, `line`, and where in `line` each sign is."""

    text: str
    line: tuple[str, ...]
    places: tuple[int, ...]


def lines(signs: Sequence[Sign], spans: Sequence[Nonmanual] = ()) -> list[Line]:
    """The signs of one sentence as lines of at most SLOTS signs; `spans` count by their times."""
    out = []
    for first in range(0, len(signs), SLOTS):
        part = signs[first : first + SLOTS]
        words: list[str] = []
        line: list[str] = []
        places = []
        opened: list[str] = []
        for k, sign in enumerate(part):
            tag = part_of_speech(sign)
            words += [SLOT_NAMES[k], tag, *([] if tag in NAMELESS else _word(sign).split())]
            over = [NONMANUAL_TAGS[s.kind] for s in spans if s.kind in NONMANUAL_TAGS and _covers(s, sign)]
            line += [f"</{t}>" for t in reversed(opened) if t not in over]
            line += [f"<{t}>" for t in over if t not in opened]
            opened = [*(t for t in opened if t in over), *(t for t in over if t not in opened)]
            places.append(len(line))
            line.append(SLOT_NAMES[k])
        end = "?" if any(s.kind.endswith("-question") for s in spans) else "."
        out.append(Line(" ".join([DOMAIN, *words, end]), tuple(line), tuple(places)))
    return out


def part_of_speech(sign: Sign) -> str:
    """The tag by which SLUL knows a sign's word (see slots.py), from its gloss and kind alone."""
    if sign.kind in _TAG_OF_KIND:
        return _TAG_OF_KIND[sign.kind]
    if sign.kind == "index":
        return "POSS" if sign.gloss.startswith("POSS") else "PRON"
    return _lexical_tag(sign.gloss)


@lru_cache(maxsize=4096)
def _lexical_tag(gloss: str) -> str:
    if gloss in _WH:
        return "WH"
    if gloss in ("NOT", "NEVER", "NONE"):
        return "NOT"
    word = gloss.lower().split("-")[0]
    if en.is_time_noun(word):
        return "TIME"
    kinds = en.lemmas(word)
    order = (("VERB", "VERB"), ("ADJ", "ADJ"), ("NOUN", "NOUN"), ("ADV", "ADV"))
    if "NOUN" in kinds and "VERB" not in kinds:
        return "NOUN"
    return next((tag for name, tag in order if name in kinds), "NOUN")


def _word(sign: Sign) -> str:
    return (sign.text or sign.gloss.replace("-", " ")).lower().replace("<", "").replace(">", "")


def _covers(span: Nonmanual, sign: Sign) -> bool:
    middle = (sign.start + sign.end) / 2
    return span.start <= middle <= span.end


class Linker:
    """SLUL's decoder states for the signs of plans."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    @property
    def width(self) -> int:
        """Numbers in a state."""
        return self.reader.config.d_model

    def states(self, plan: Plan) -> np.ndarray:
        """(N, d) float32, a row for each sign of the plan, pauses included (zero)."""
        out = np.zeros((len(plan.signs), self.width), np.float32)
        for rows in _sentences(plan):
            signs = [plan.signs[k] for k in rows]
            states = [self.of_line(line) for line in lines(signs, plan.nonmanuals)]
            out[rows] = np.concatenate(states)
        return out

    def of_draft(self, signs: Sequence[Sign], spans: Sequence[Span]) -> np.ndarray:
        """(N, d) of the signs of one sentence that has no times yet, pauses not among them."""
        timed = [replace(sign, start=float(k), end=k + 0.9) for k, sign in enumerate(signs)]
        over = [Nonmanual(s.kind, float(s.first), s.last + 0.9) for s in spans]
        return np.concatenate([self.of_line(line) for line in lines(timed, over)])

    def around(self, glosses: Sequence[str], place: int) -> np.ndarray:
        """(3, d): states of the gloss at `place` of a bare line of glosses, of its neighbours before and
        after; zero where there is none. `fs-` marks spelled words."""
        states = self.of_line(bare_line(glosses))
        return neighbours(states)[place]

    def of_line(self, line: Line) -> np.ndarray:
        """(signs, d) of one line."""
        vocabulary = self.reader.vocabulary
        source = vocabulary.text_ids(line.text, "ase")
        source = [*source[: MAX_TOKENS - 1], source[-1]]
        target = [vocabulary.gloss_ids(item)[0] for item in line.line]
        states = []
        with one_thread, torch.inference_mode():
            stepper = Stepper(self.reader, 0, source)
            for token in [PAD, *target[: MAX_TOKENS - 2]]:
                states.append(stepper.step(torch.tensor([token]), torch.tensor([0]))[1][0])
        # a line has at most SLOTS signs with a few tags each, so every place is within MAX_TOKENS
        return torch.stack([states[place] for place in line.places]).numpy()


def bare_line(glosses: Sequence[str]) -> Line:
    """Glosses without text or spans, at most SLOTS, as SLUL reads them."""
    kinds = ("fingerspelled" if g.startswith("fs-") else "lexical" for g in glosses)
    return lines([Sign(gloss=g, kind=k) for g, k in zip(glosses, kinds, strict=True)])[0]


def neighbours(states: np.ndarray) -> np.ndarray:
    """(N, d) states of signs in order -> (N, 3, d): of the sign before, the sign, the sign after."""
    none = np.zeros_like(states[:1])
    return np.stack([np.concatenate([none, states[:-1]]), states, np.concatenate([states[1:], none])], 1)


def _sentences(plan: Plan) -> list[list[int]]:
    """Indices of the signs of each sentence, pauses left out; signs outside every sentence together."""
    left = [k for k, s in enumerate(plan.signs) if s.kind != "pause"]
    out = []
    for sentence in plan.sentences:
        inside = [k for k in left if sentence.start <= plan.signs[k].start < max(sentence.end, 1e-6)]
        left = [k for k in left if k not in inside]
        if inside:
            out.append(inside)
    return [*out, left] if left else out
