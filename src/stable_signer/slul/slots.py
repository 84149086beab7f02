"""Between a read English sentence and SLUL: words with a sign become slots that the network orders.

A network that has seen 1,300 utterances cannot know 2,800 signs. So `reading.Reader` finds the sign of every
word (names, numbers and the author's own signs too), and SLUL reads

    <w1> WH what  is  <w2> POSS your  <w3> NOUN name  ?          ->    <wh> <w2> <w3> <w1> </wh>

that is, slots with part of speech and word (names and numbers without), other words as they are. It answers
with the slots in signing order, glosses of a small closed class that signing adds (`ADDED`), and tags around
non-manual spans. Every slot but those of small words (`OPTIONAL`) has to be used, once: no content word can
be lost or made up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stable_signer.slul.grammar import UNSIGNED
from stable_signer.slul.plan import Sign, Span
from stable_signer.slul.reading import Item
from stable_signer.slul.vocabulary import (
    CLOSE_TAGS,
    EOS,
    NONMANUAL_TAGS,
    OPEN_TAGS,
    SLOT_NAMES,
    SLOTS,
    Vocabulary,
)

CONTENT = frozenset({"NOUN", "NAME", "VERB", "ADJ", "ADV", "NUM", "WH", "TIME", "NOT", "X", "INTJ"})
"""Parts of speech that a plan must not lose."""
OPTIONAL = frozenset({"and", "at", "by", "for", "from", "of", "to", "when"})
"""Words that signers often leave to order, space and face; every other word with a sign has to be used."""
PHRASE = frozenset({"ADJ", "NUM", "POSS", "DET"})
"""Parts of speech that stay in front of the noun that they belong to, as the text has them."""
NAMELESS = frozenset({"NAME", "NUM", "X"})
"""Parts of speech whose word tells nothing about the order: the network does not see it."""
ADDED = frozenset(
    [
        "IX-1",
        "IX-2",
        "IX-3",
        "IX-1-PL",
        "IX-2-PL",
        "IX-3-PL",
        "IX-LOC",
        "POSS-1",
        "POSS-2",
        "POSS-3",
        "SELF-1",
        "SELF-3",
        "WILL",
        "FINISH",
        "PAST",
        "NOT",
        "NONE",
        "HAVE",
        "THAT",
        "WHAT",
        "IF",
        "WHEN",
        "BUT",
        "FOR",
        "IN",
        "ON",
        "WITH",
        "THEN",
        "CAN",
        "NOW",
    ]
)
"""Glosses that may be signed without a word of their own: what training keeps of a signer's line."""
TRUSTED = frozenset({"FINISH", "PAST"})
"""Those of ADDED that the product lets SLUL add: with 1,300 utterances it has not learned where the others
belong."""
DOMAIN = "SIGNER"
"""The first word of a text: order as signers do, not as the rules that taught most of the examples."""
_TAG_OF = dict(NONMANUAL_TAGS)
_KIND_OF = {tag: kind for kind, tag in NONMANUAL_TAGS.items()}


@dataclass(frozen=True)
class Slotted:
    """A sentence as SLUL reads it: `text`, the items of slots 1, 2, .., and which slots (0-based) must be
    used.

    `linked` are slots that the next slot has to follow at once: the beginning of a phrase.
    """

    text: str
    items: tuple[Item, ...]
    required: frozenset[int]
    linked: frozenset[int] = frozenset()


def slotted(items: Sequence[Item], end: str, without: frozenset[int] = frozenset()) -> Slotted | None:
    """The sentence of `items`, closed by `end` (one of . ? !); None when it has more than SLOTS signed items.

    `without`: positions of items that get no slot although they have signs (while training: what a signer
    left out).
    """
    words: list[str] = []
    slots: list[Item] = []
    for position, item in enumerate(items):
        if item.tag == "COMMA":
            words.append(",")
            continue
        seen = "" if item.tag in NAMELESS else item.word
        if item.signs and item.tag not in UNSIGNED:
            if position not in without:
                if len(slots) == SLOTS:
                    return None
                words.append(SLOT_NAMES[len(slots)])
                slots.append(item)
            words.append(item.tag)
        words += seen.replace("<", "").replace(">", "").split()
    required = frozenset(k for k, item in enumerate(slots) if item.word not in OPTIONAL)
    linked = frozenset(k for k in range(len(slots) - 1) if _linked(items, slots[k], slots[k + 1]))
    return Slotted(" ".join([*words, end]), tuple(slots), required, linked)


def _linked(items: Sequence[Item], left: Item, right: Item) -> bool:
    """Whether `right` belongs to the phrase that `left` begins: neighbours but for articles."""
    first, last = (next(k for k, i in enumerate(items) if i is x) for x in (left, right))
    if any(i.tag not in ("ART", "SILENT") for i in items[first + 1 : last]) or left.tag == "TIME":
        return False
    if left.tag in PHRASE and not any(i.tag == "SILENT" for i in items[first + 1 : last]):
        return right.tag in ("NOUN", "NAME") or (right.tag in PHRASE and left.tag != "ADJ")
    if left.tag == "PREP":
        return right.tag in (*PHRASE, "NOUN", "NAME", "PRON", "TIME")
    return left.word == "how" and right.tag in ("ADJ", "ADV")


SlotState = tuple[frozenset[int], frozenset[int], Counter[int], int]


class SlotTrie:
    """What may follow, for one sentence: unused slots, added glosses, tags; the end only when nothing is
    missing."""

    def __init__(
        self, vocabulary: Vocabulary, sentence: Slotted, added: frozenset[str] = TRUSTED, most_added: int = 2
    ) -> None:
        self.start: SlotState = (frozenset(), frozenset(), Counter(), -1)
        ids = vocabulary.special_ids
        self.slots = {ids[SLOT_NAMES[k]]: k for k in range(len(sentence.items))}
        self.required, self.linked = sentence.required, sentence.linked
        self.first_slot = ids[SLOT_NAMES[0]]
        self.opens = {ids[t]: k for k, t in enumerate(OPEN_TAGS)}
        self.closes = {ids[t]: k for k, t in enumerate(CLOSE_TAGS)}
        self.added = {vocabulary.whole_ids[g] for g in added if g in vocabulary.whole_ids}
        self.most_added, self.size = most_added, vocabulary.size

    def mask(self, state: SlotState) -> Tensor:
        """(V,) 0 for ids that may come next, -inf for the rest."""
        used, is_open, added, last = state
        mask = torch.full((self.size,), -math.inf)
        if last in self.linked and last + 1 not in used:  # inside a phrase
            mask[self.first_slot + last + 1] = 0.0
            return mask
        allowed = [t for t, k in self.slots.items() if k not in used and not self._inside(k, used)]
        if sum(n for t, n in added.items() if t in self.added) < self.most_added:
            allowed += [t for t in self.added if added[t] < 1]
        allowed += [t for t, k in self.closes.items() if k in is_open]
        if len(used) < len(self.slots):  # a span must have something to stand over
            allowed += [t for t, k in self.opens.items() if k not in is_open and added[t] < 2]
        if self.required <= used and not is_open:
            allowed.append(EOS)
        mask[allowed] = 0.0
        return mask

    def _inside(self, slot: int, used: frozenset[int]) -> bool:
        """Whether a slot has to wait for the beginning of its phrase; an optional beginning may be left
        out."""
        before = slot - 1
        return before in self.linked and before not in used and before in self.required

    def step(self, state: SlotState, token: int) -> SlotState:
        """The state after `token`."""
        used, is_open, added, _ = state
        if token in self.slots:
            slot = self.slots[token]
            return used | {slot}, is_open, added, slot
        if token in self.opens:
            return used, is_open | {self.opens[token]}, added + Counter([token]), -1
        if token in self.closes:
            return used, is_open - {self.closes[token]}, added, -1
        return used, is_open, added + Counter([token]), -1


def signed(line: Sequence[str], sentence: Slotted, sign_of: dict[str, Sign]) -> tuple[list[Sign], list[Span]]:
    """Signs and spans of an output line; `sign_of` makes the added glosses. Empty spans are left out."""
    signs: list[Sign] = []
    spans: list[Span] = []
    opened: dict[str, int] = {}
    for token in line:
        if token in SLOT_NAMES:
            signs += sentence.items[SLOT_NAMES.index(token)].signs
        elif token in OPEN_TAGS:
            opened[token.strip("<>")] = len(signs)
        elif token in CLOSE_TAGS:
            tag = token.strip("</>")
            first = opened.pop(tag, len(signs))
            if first < len(signs):
                spans.append(Span(_KIND_OF[tag], first, len(signs) - 1))
        else:
            signs.append(sign_of[token])
    return signs, spans


def aligned(
    items: Sequence[Item], end: str, glosses: Sequence[str], spans: Sequence[Span]
) -> tuple[Slotted, tuple[str, ...]] | None:
    """A training pair from a read sentence and what a signer signed: the slotted text and the line to answer.

    Each gloss goes to the first unused item with that sign; glosses of `ADDED` stay as they are; others are
    left out, and so are the slots of content items that were not signed. None when less than half of the
    content is found, or fewer than two items: then the signer said it another way, which teaches nothing
    about order.
    """
    where: dict[int, int] = {}  # gloss position -> item position
    used: set[int] = set()
    position = 0
    while position < len(glosses):
        length = 1
        for index, item in enumerate(items):
            names = [s.gloss for s in item.signs]
            if index in used or item.tag in UNSIGNED or not names:
                continue
            if list(glosses[position : position + len(names)]) == names:
                where[position] = index
                used.add(index)
                length = len(names)
                break
        position += length
    content = [k for k, i in enumerate(items) if i.tag in CONTENT and i.signs]
    lost = frozenset(k for k in content if k not in used)
    if len(used) < 2 or len(lost) * 2 > len(content):
        return None
    sentence = slotted(items, end, lost)
    if sentence is None:
        return None
    slot_of = {id(item): k for k, item in enumerate(sentence.items)}
    line: list[str] = []
    for place, gloss in enumerate(glosses):
        for span in spans:
            if span.first == place and span.kind in _TAG_OF:
                line.append(f"<{_TAG_OF[span.kind]}>")
        if place in where:
            line.append(SLOT_NAMES[slot_of[id(items[where[place]])]])
        elif gloss in ADDED:
            line.append(gloss)
        for span in reversed(spans):
            if span.last == place and span.kind in _TAG_OF:
                line.append(f"</{_TAG_OF[span.kind]}>")
    return sentence, _tidy(line)


def _tidy(line: Sequence[str]) -> tuple[str, ...]:
    """Drop spans with nothing under them and second openings of the same kind."""
    out: list[str] = []
    is_open: set[str] = set()
    for token in line:
        if token in OPEN_TAGS:
            if token in is_open:
                continue
            is_open.add(token)
        elif token in CLOSE_TAGS:
            opening = token.replace("/", "")
            if opening not in is_open:
                continue
            is_open.discard(opening)
            start = len(out) - 1 - out[::-1].index(opening)
            if all(t in OPEN_TAGS or t in CLOSE_TAGS for t in out[start + 1 :]):
                del out[start]
                continue
        out.append(token)
    return tuple(t for t in out if t not in is_open)
