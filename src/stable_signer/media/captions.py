"""Captions: one WebVTT cue a sentence, or one a sign, timed by the plan."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pysubs2

from stable_signer.errors import StableSignerError
from stable_signer.slul.plan import Plan

ENDINGS = (".vtt",)
FORMATS = {".vtt": "vtt"}


def sentence_captions(plan: Plan) -> str:
    """WebVTT with one cue a sentence: the text while it is signed.

    A plan written by hand may have no sentences: then one cue shows its text for the whole plan.
    """
    cues = [(s.start, s.end, s.text) for s in plan.sentences]
    if not cues and plan.text:
        cues = [(0.0, plan.duration, plan.text)]
    return _vtt((start, end, _readable(text)) for start, end, text in cues)


def gloss_captions(plan: Plan) -> str:
    """WebVTT with one cue a sign: its gloss while it is signed; pauses have none."""
    return _vtt((s.start, s.end, s.gloss) for s in plan.signs if s.kind != "pause")


def write_captions(plan: Plan, path: str | Path) -> None:
    """Write `sentence_captions` to `path` as UTF-8; StableSignerError when it cannot be written."""
    try:
        Path(path).write_text(sentence_captions(plan), encoding="utf-8")
    except OSError as error:
        raise StableSignerError(
            f"the captions {path} cannot be written ({error.strerror or error}): name another file"
        ) from error


def _vtt(cues: Iterable[tuple[float, float, str]]) -> str:
    subtitles = pysubs2.SSAFile()
    for start, end, text in cues:
        event = pysubs2.SSAEvent(start=pysubs2.make_time(s=start), end=pysubs2.make_time(s=end))
        event.plaintext = _escaped(" ".join(text.split()))
        subtitles.events.append(event)
    return str(subtitles.to_string("vtt"))


def _readable(text: str) -> str:
    """The text without the author's marks: [[fs:Ana]] reads Ana, [[BOOK]] reads BOOK, [[pause 1]] nothing."""
    text = re.sub(r"\[\[\s*pause\b[^\]]*\]\]", " ", text)
    return re.sub(r"\[\[\s*(?:fs(?:-\w+)?:)?\s*(.*?)\s*\]\]", r"\1", text)


def _escaped(text: str) -> str:
    """WebVTT gives a meaning to &, < and >; pysubs2 to { and backslash. Words must come out as written."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("{", "(").replace("}", ")").replace("\\", "/")
