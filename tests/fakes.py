"""Small stages in place of the real ones: the whole way runs in milliseconds, without weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stable_signer.body.motion import Motion
from stable_signer.pipeline import Stages
from stable_signer.slul.plan import Draft, Nonmanual, Plan, Sentence, Sign

KNOWN = {"hello", "you", "name", "what", "your", "is", "my", "good", "morning"}
SECONDS = 0.4  # a sign
JOINTS = 104


def fake_draft(text: str, language: str) -> Draft:
    """One sign a word: known, spelled (Latin letters) or dropped."""
    signs: list[Sign] = []
    sentences: list[tuple[str, int]] = []
    dropped: list[str] = []
    for sentence in filter(str.strip, re.findall(r"[^.?!]+[.?!]*", text)):
        before = len(signs)
        for word in re.findall(r"\w+|[^\w\s.?!,]+", sentence):
            if word.lower() in KNOWN:
                signs.append(Sign(word.upper(), text=word))
            elif word.isascii() and word.isalpha():
                letters = tuple(word.upper())
                signs.append(
                    Sign(f"fs-{word.upper()}", "fingerspelled", source="alphabet", text=word, parts=letters)
                )
            else:
                dropped.append(word)
        sentences.append((sentence.strip(), len(signs) - before))
    return Draft(
        text, language, tuple(signs), sentences=tuple(sentences), planner="fake", dropped=tuple(dropped)
    )


def fake_schedule(draft: Draft, speed: float) -> Plan:
    """Every sign as long as the other, half a second between sentences."""
    signs: list[Sign] = []
    sentences: list[Sentence] = []
    now, first = 0.2, 0
    for text, count in draft.sentences:
        start = now
        for sign in draft.signs[first : first + count]:
            end = now + SECONDS / speed
            signs.append(Sign(sign.gloss, sign.kind, now, end, sign.source, text=sign.text, parts=sign.parts))
            now = end
        first += count
        sentences.append(Sentence(text, start, now))
        now += 0.5
    return Plan(
        draft.text,
        draft.language,
        tuple(signs),
        (Nonmanual("topic", 0.2, 0.4),),
        tuple(sentences),
        draft.planner,
        dropped=draft.dropped,
    )


@dataclass
class FakeMovement:
    """The reference pose with a slow sway; the frame's number can be read off the root."""

    plan: Plan
    seed: int
    left_handed: bool
    fps: float

    @property
    def frame_count(self) -> int:
        return round((self.plan.duration + 0.3) * self.fps)

    def frames(self, first: int, last: int) -> Motion:
        count = last - first
        rotations = np.tile(np.array([1, 0, 0, 0, 1, 0], np.float32), (count, JOINTS, 1))
        root = np.zeros((count, 3), np.float32)
        root[:, 0] = np.arange(first, last) / 1000 + self.seed
        return Motion(rotations, np.zeros((count, 52), np.float32), root, self.fps)

    def pieces(self) -> Iterator[Motion]:
        for first in range(0, self.frame_count, 10):
            yield self.frames(first, min(first + 10, self.frame_count))


class FakeRenderer:
    """A plain ground with a block that moves; counts what it draws."""

    drawn = 0

    def __init__(self, signer: str, style: str, look: str, size: int) -> None:
        self.size = size

    def frames(self, motion: Motion) -> Iterator[np.ndarray]:
        for root in motion.root:
            frame = np.full((self.size, self.size, 3), (90, 120, 160), np.uint8)
            x = int(root[0] * 1000) % (self.size - 16)
            frame[self.size // 2 : self.size // 2 + 16, x : x + 16] = (220, 170, 140)
            FakeRenderer.drawn += 1
            yield frame


def fake_body() -> object:
    from stable_signer.body.skeleton import Body

    return Body.load()


def fake_stages() -> Stages:
    return Stages(fake_draft, fake_schedule, FakeMovement, FakeRenderer, fake_body)  # type: ignore[arg-type]
