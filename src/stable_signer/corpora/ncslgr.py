"""NCSLGR / ASLLRP: American Sign Language of native signers, read into a documented normal form.

The corpus is not part of this project (research and education; cite Neidle et al.); it is read from the
user's disk as the JSON that its researchers' exports are converted to: a list of utterances with `id`,
`file`, `english`, `gloss` [[label, start ms, end ms], ...] and `nmm` {tier: [[value, start ms, end ms],
...]}.

Normal form of a label, in this order (`normal_form`):
 1. phases (HOLD, ONSET, OFFSET), `part:indef`, gestures ("..." and 5"...") and classifiers (DCL, ICL, SCL
 ...) have
    no gloss that the lexicon could sign: left out. `"WHAT"` is the sign WHAT.
 2. handshape and hand notes in front `(1h)`, `(25)`, `alt.` go; so do loci `:i`, repeats `+`, `wg`,
 variants `_2`.
 3. pointing: IX-1p -> IX-1, IX-3p-pl-arc -> IX-3-PL, IX-loc -> IX-LOC, likewise POSS and SELF.
 4. fs-, ns- (name signs) and # (loan signs): the gloss if the glossary has it, otherwise fs-NAME.
 5. `X+NEG`: DONT-X if the glossary has it, otherwise NOT X. `A/B`: the first that is in the glossary;
 `VERB+AGENT`: the entry of the person (TEACHER) or VERB PERSON;
    other `A+B`: both, one after the other.
 6. number words become figures; what the glossary has under another name takes that name (FUTURE -> WILL).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stable_signer.errors import StableSignerError
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.nonmanual_head import runs
from stable_signer.slul.plan import Span

DEV_FILES = ("ncslgr10t.xml", "ncslgr10d.xml", "siblings.xml", "football.xml")
"""Held out for development: two files of elicited sentences, a story and a talk; never trained on."""

TIERS = {
    "wh question": "wh-question",
    "yes-no question": "yes-no-question",
    "negative": "negation",
    "topic/focus": "topic",
    "relative clause": "relative-clause",
}
FACE = {
    ("eye brows", "raised"): "brows-raised",
    ("eye brows", "lowered"): "brows-lowered",
    ("head mvmt: shake", ""): "headshake",
    ("mouth", ""): "mouth",
    ("eye gaze", "to addressee"): "gaze-addressee",
    ("eye gaze", ""): "gaze",
}
"""What face and head are seen to do, by tier and a word in its value ("" takes what is left)."""
_SAME = {
    "FUTURE": "WILL",
    "FORMERLY": "PAST",
    "RECENT-PAST": "RECENT",
    "MOVIE_3": "MOVIE",
    "UP-TO-NOW": "SINCE",
    "END": "FINISH",
    "COP": "POLICE",
    "DO": "ACTION",
    "GIFT": "GIVE",
    "NOT-LIKE": "DONT-LIKE",
}
_NUMBERS = {
    w.upper(): str(i)
    for i, w in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ]
    )
}
_PERSONS = {"TEACH": "TEACHER", "LEARN": "STUDENT", "DRIVE": "DRIVER", "LAW": "LAWYER", "POLICE": "POLICE"}
_CLASSIFIER = re.compile(r"(?:^|:)(?:alt\.)?[A-Z]{1,3}CL\b|^[A-Z]{1,3}CL[:\"]")


@dataclass(frozen=True)
class Utterance:
    """One utterance in normal form: English, ASL glosses, non-manual spans over them, and its file.

    spans: what they mean (TIERS); face: what is seen (FACE), a span for each run of signs under it.
    """

    english: str
    glosses: tuple[str, ...]
    spans: tuple[Span, ...]
    name: str
    file: str
    face: tuple[Span, ...] = ()


def normal_form(label: str, glossary: Glossary) -> tuple[str, ...]:
    """The glosses of one label; empty when it has none (see the module)."""
    if label in ("HOLD", "ONSET", "OFFSET") or "part:indef" in label or _CLASSIFIER.search(label):
        return ()
    if label.strip('"') in ("WHAT", "WHEN", "WHO"):
        return (label.strip('"'),)
    if '"' in label:
        return ()
    text = re.sub(r"\([^)]*\)|alt\.|==+|^[a-z0-9]+:", "", label).replace("^", "+")
    text = re.sub(r"(?<=[A-Z])wg\b|:[a-z0-9/-]+|_\d+", "", text).strip("+*-")
    text = re.sub(r"\++", "+", text)
    pointing = re.match(r"(IX|POSS|SELF)-(\d|loc)p?(-pl|-arc|-dual)?", text)
    if pointing:
        kind, person, plural = pointing.groups()
        return ("IX-LOC",) if person == "loc" else (f"{kind}-{person}" + ("-PL" if plural else ""),)
    if not re.search("[A-Z0-9]", text) or text.startswith("QM"):
        return ()
    if text.startswith(("fs-", "ns-", "#", "ns-#")):
        word = re.sub(r"^(?:fs-|ns-)?(?:fs-|#)?", "", text)
        word = re.sub(r"[^A-Za-z0-9]", "", word.split("/")[0].split("+")[0]).upper()
        if not word:
            return ()
        entry = glossary.lookup(word) if not text.startswith("fs-") else None
        return (entry.gloss,) if entry else (f"fs-{word}",)
    if "/" in text:
        options = [o.strip("+") for o in text.split("/")]
        text = next((o for o in options if _known(o, glossary)), options[0])
    if text.endswith("+AGENT"):
        verb = text.removesuffix("+AGENT").split("+")[-1]
        return (
            (_PERSONS[verb],)
            if _PERSONS.get(verb, "") in glossary
            else (*normal_form(verb, glossary), "PERSON")
        )
    if text.endswith("+NEG"):
        denied = normal_form(text.removesuffix("+NEG"), glossary)
        return (f"DONT-{denied[-1]}",) if f"DONT-{denied[-1]}" in glossary else ("NOT", *denied)
    if "+" in text:
        parts = list(dict.fromkeys(p for p in text.split("+") if p))
        return tuple(g for p in parts for g in normal_form(p, glossary))
    return (_known(text, glossary) or text.upper(),)


def _known(text: str, glossary: Glossary) -> str:
    """The glossary's name of a plain label, or ""."""
    text = _SAME.get(text, text)
    if text in _NUMBERS:
        return _NUMBERS[text]
    if text in glossary:
        return text
    entry = glossary.lookup(text.replace("-", " "))
    return entry.gloss if entry else ""


def read_ncslgr(path: str | Path, glossary: Glossary) -> list[Utterance]:
    """All utterances with at least one gloss; StableSignerError when the file is no such export."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        found = [_utterance(u, glossary) for u in data]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise StableSignerError(
            f"{path} is not an NCSLGR export in JSON ({error!r}): see corpora/ncslgr.py for its form"
        ) from error
    return [u for u in found if u.glosses and u.english]


def _utterance(data: Mapping[str, Any], glossary: Glossary) -> Utterance:
    glosses: list[str] = []
    times: list[tuple[float, float]] = []
    for label, start, end in data["gloss"]:
        for gloss in normal_form(label, glossary):
            glosses.append(gloss)
            times.append((start, end))
    spans = []
    for tier, values in data["nmm"].items():
        for value, start, end in values:
            kind = TIERS.get(tier, "")
            if tier == "conditional/when":
                kind = "conditional" if value == "conditional" else "topic" if value == "when" else ""
            under = _under(times, start, end) if kind and value not in ("ONSET", "OFFSET") else []
            if under:
                spans.append(Span(kind, under[0], under[-1]))
    english = " ".join(data["english"].replace("...", " ").split())
    return Utterance(
        english,
        tuple(glosses),
        tuple(dict.fromkeys(spans)),
        data["id"],
        data["file"],
        _face(data["nmm"], times),
    )


def _face(tiers: Mapping[str, Any], times: Sequence[tuple[float, float]]) -> tuple[Span, ...]:
    """The FACE spans over the signs at `times` (ms)."""
    under: dict[str, set[int]] = {}
    for tier, values in tiers.items():
        for value, start, end in values:
            kind = next((k for (t, word), k in FACE.items() if t == tier and word in value), "")
            if kind and value not in ("ONSET", "OFFSET"):
                under.setdefault(kind, set()).update(_under(times, start, end))
    return tuple(
        Span(kind, first, last)
        for kind, places in under.items()
        for first, last in runs(np.isin(np.arange(len(times)), list(places)))
    )


def _under(times: Sequence[tuple[float, float]], start: float, end: float) -> list[int]:
    """Signs whose middle lies in the span, or that overlap it by more than half of the span."""
    out = []
    for index, (a, b) in enumerate(times):
        if start <= (a + b) / 2 <= end or min(b, end) - max(a, start) > 0.5 * max(end - start, 1):
            out.append(index)
    return out


def split(
    utterances: Sequence[Utterance], dev_files: Sequence[str] = DEV_FILES
) -> tuple[list[Utterance], list[Utterance]]:
    """(train, dev) by file, never by line: elicited sentences come back almost unchanged within a file."""
    return (
        [u for u in utterances if u.file not in dev_files],
        [u for u in utterances if u.file in dev_files],
    )
