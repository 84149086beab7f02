"""The plan: what is signed, when, and with which face; the contract between understanding and motion.

The JSON form (`Plan.to_dict`, `Plan.from_dict`) is stable, versioned and documented in `docs/plan.md`.
Times are seconds from the start of the plan.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stable_signer.errors import StableSignerError

VERSION = 1
SPEEDS = (0.25, 3.0)  # slowest and fastest pace of signing; 1 is the default
SPELLING_PACES = {"learner": 0.40, "standard": 0.24, "fluent": 0.16}  # seconds a letter
SPELLED_HOLD = 0.2  # seconds that the last letter of a spelled word is held longer
LONGEST_PLAN = 3600.0  # seconds: beyond this a plan is surely a mistake
LANGUAGES = {"ase": "American Sign Language", "gsg": "German Sign Language"}
KINDS = ("lexical", "fingerspelled", "number", "index", "classifier", "pause")
SOURCES = ("lexicon", "composed", "phonology", "alphabet", "author", "none")
NONMANUALS = (
    "wh-question",
    "yes-no-question",
    "negation",
    "topic",
    "conditional",
    "relative-clause",
    "affirmation",
    "intensity",
    "mouth",
    "gaze",
)


@dataclass(frozen=True)
class Sign:
    """One sign of the plan.

    `gloss` is upper case; a fingerspelled word is `fs-NAME`, pointing is `IX-1`, `IX-2`, `IX-3`, `IX-LOC`.
    `start` and `end` bound the stroke (without the transition into it). `source` says where the movement
    comes from; `approximate` marks a sign whose movement is not attested well enough to call it ASL.
    `text` is the surface text it stands for, `parts` the lexicon entries signed one after the other
    (letters of a spelled word, members of a compound or of a number); empty means the gloss itself.
    """

    gloss: str
    kind: str = "lexical"
    start: float = 0.0
    end: float = 0.0
    source: str = "lexicon"
    approximate: bool = False
    text: str = ""
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Nonmanual:
    """A span of face or head grammar, `start` to `end` in seconds; `kind` is one of NONMANUALS."""

    kind: str
    start: float
    end: float


@dataclass(frozen=True)
class Sentence:
    """A sentence of the text and the time it is signed in: what a caption shows, what a stream yields."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Span:
    """A non-manual over the draft's signs `first` to `last`, both included; `kind` is one of NONMANUALS."""

    kind: str
    first: int
    last: int


@dataclass(frozen=True)
class Draft:
    """An understanding without times: what a planner (rules or SLUL) hands to the scheduler.

    `signs` carry no times, except that the `end` of a pause is its length in seconds, and that of a spelled
    word, where it is not 0, the length asked for at speed 1. `sentences` holds, for each
    sentence, its text and how many of the signs (in order) belong to it. The other fields are those of Plan.
    """

    text: str
    language: str
    signs: tuple[Sign, ...]
    spans: tuple[Span, ...] = ()
    sentences: tuple[tuple[str, int], ...] = ()
    planner: str = "rules"
    notes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is signed for `text` in `language` (ISO 639-3), in time order.

    `notes` are remarks for the reader (a word that could only be approximated, a rule that took over);
    `dropped` are the pieces of the text that nothing stands for in the signing, never silently.
    `left_handed` is a wish for the hand that leads (a prompt's, or the author's); None leaves it to the
    caller, and a caller who names a hand wins over it.
    """

    text: str
    language: str = "ase"
    signs: tuple[Sign, ...] = ()
    nonmanuals: tuple[Nonmanual, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    planner: str = "rules"
    notes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    version: int = field(default=VERSION)
    left_handed: bool | None = None

    @property
    def duration(self) -> float:
        """Seconds from 0 to the end of the last sign, span or sentence."""
        ends = [x.end for group in (self.signs, self.nonmanuals, self.sentences) for x in group]
        return max(ends, default=0.0)

    @property
    def glosses(self) -> tuple[str, ...]:
        """The glosses of everything signed, pauses left out."""
        return tuple(s.gloss for s in self.signs if s.kind != "pause")

    @property
    def coverage(self) -> dict[str, int]:
        """How many signs came from the lexicon, were composed, approximated, spelled; how much was
        dropped.
        """
        signed = [s for s in self.signs if s.kind != "pause"]
        approximate = [s for s in signed if s.approximate]
        exact = [s for s in signed if not s.approximate]
        return {
            "lexicon": sum(s.source == "lexicon" for s in exact),
            "composed": sum(s.source in ("composed", "phonology", "author") for s in exact),
            "fingerspelled": sum(s.source == "alphabet" for s in exact),
            "approximate": len(approximate),
            "dropped": len(self.dropped),
        }

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; `from_dict` reads it back to an equal plan.

        `left_handed` is there only when it is wished for: other plans are as programs before it wrote them.
        """
        hand = {} if self.left_handed is None else {"left_handed": self.left_handed}
        return {
            "version": self.version,
            "language": self.language,
            "text": self.text,
            "planner": self.planner,
            **hand,
            "signs": [_sign_dict(s) for s in self.signs],
            "nonmanuals": [
                {"kind": n.kind, "start": _time(n.start), "end": _time(n.end)} for n in self.nonmanuals
            ],
            "sentences": [
                {"text": s.text, "start": _time(s.start), "end": _time(s.end)} for s in self.sentences
            ],
            "notes": list(self.notes),
            "dropped": list(self.dropped),
            "coverage": self.coverage,
        }

    @classmethod
    def from_dict(cls, data: object) -> Plan:
        """Read the JSON form, checking every field.

        Raises StableSignerError with the place and the mend when anything is missing or wrong.
        Unknown keys are refused, so that a misspelled one is not silently ignored.
        """
        top = _Reader(data, "the plan")
        top.allow(
            "version",
            "language",
            "text",
            "planner",
            "left_handed",
            "signs",
            "nonmanuals",
            "sentences",
            "notes",
            "dropped",
            "coverage",
        )
        version = top.get("version", int)
        if version != VERSION:
            raise StableSignerError(
                f"the plan has version {version}, not {VERSION}, which this program reads: make it anew"
            )
        language = top.get("language", str)
        if language not in LANGUAGES:
            raise StableSignerError(
                f"the plan's language {language!r} is unknown: use one of {', '.join(LANGUAGES)}"
            )
        signs = tuple(_read_sign(s, i) for i, s in enumerate(top.get("signs", list)))
        nonmanuals = tuple(
            _read_span(n, f"nonmanuals[{i}]", NONMANUALS)
            for i, n in enumerate(top.get("nonmanuals", list, []))
        )
        sentences = tuple(_read_sentence(s, i) for i, s in enumerate(top.get("sentences", list, [])))
        for a, b in itertools.pairwise(signs):
            if b.start < a.end - 1e-6:
                raise StableSignerError(
                    f"the plan's sign {b.gloss} starts at {b.start:.2f} s, before {a.gloss} ends at "
                    f"{a.end:.2f} s: signs must follow one another"
                )
        return cls(
            text=top.get("text", str, ""),
            language=language,
            signs=signs,
            nonmanuals=nonmanuals,
            sentences=sentences,
            planner=top.get("planner", str, "author"),
            notes=tuple(top.strings("notes")),
            dropped=tuple(top.strings("dropped")),
            left_handed=top.get("left_handed", bool) if "left_handed" in top.data else None,
        )

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan from a JSON file; StableSignerError when it cannot be read or is not a plan."""
        try:
            raw = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StableSignerError(f"the plan {path} cannot be read: {error}") from error
        try:
            data = json.loads(raw)
        except (json.JSONDecodeError, RecursionError) as error:
            raise StableSignerError(
                f"the plan {path} is not JSON ({error}): make it with `stable-signer plan --json`"
            ) from error
        return cls.from_dict(data)

    def shifted(self, seconds: float) -> Plan:
        """The same plan, every time moved by `seconds`."""

        def move(item: Any) -> Any:
            return replace(item, start=item.start + seconds, end=item.end + seconds)

        return replace(
            self,
            signs=tuple(map(move, self.signs)),
            nonmanuals=tuple(map(move, self.nonmanuals)),
            sentences=tuple(map(move, self.sentences)),
        )


def _time(seconds: float) -> float:
    return round(seconds, 3)


def _sign_dict(sign: Sign) -> dict[str, Any]:
    out: dict[str, Any] = {
        "gloss": sign.gloss,
        "kind": sign.kind,
        "start": _time(sign.start),
        "end": _time(sign.end),
        "source": sign.source,
    }
    if sign.approximate:
        out["approximate"] = True
    if sign.text:
        out["text"] = sign.text
    if sign.parts:
        out["parts"] = list(sign.parts)
    return out


class _Reader:
    """Typed access to a JSON object with messages that name the place."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, Mapping):
            raise StableSignerError(f"{where} must be a JSON object, not {type(data).__name__}")
        self.data, self.where = data, where

    def allow(self, *keys: str) -> None:
        unknown = [k for k in self.data if k not in keys]
        if unknown:
            raise StableSignerError(
                f"{self.where} has an unknown key {unknown[0]!r}: known keys are {', '.join(keys)}"
            )

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        if key not in self.data:
            if default is None:
                raise StableSignerError(
                    f"{self.where} lacks {key!r}: see docs/plan.md for the form of a plan"
                )
            return default
        value = self.data[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise StableSignerError(
                f"{self.where}: {key!r} must be {kind.__name__}, not {type(value).__name__}"
            )
        return value

    def strings(self, key: str) -> list[str]:
        values = self.get(key, list, [])
        if not all(isinstance(v, str) for v in values):
            raise StableSignerError(f"{self.where}: {key!r} must be a list of strings")
        return values

    def span(self) -> tuple[float, float]:
        times = []
        for key in ("start", "end"):
            value = self.data.get(key)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise StableSignerError(f"{self.where}: {key!r} must be a number of seconds")
            times.append(float(value))
        start, end = times
        if start < 0 or end < start:
            raise StableSignerError(
                f"{self.where} runs from {start} to {end} s: times must not be negative or run back"
            )
        return start, end


def _read_sign(data: object, index: int) -> Sign:
    r = _Reader(data, f"signs[{index}]")
    r.allow("gloss", "kind", "start", "end", "source", "approximate", "text", "parts")
    kind = r.get("kind", str, "lexical")
    if kind not in KINDS:
        raise StableSignerError(f"signs[{index}]: kind {kind!r} is unknown: use one of {', '.join(KINDS)}")
    source = r.get("source", str, "author")
    if source not in SOURCES:
        raise StableSignerError(
            f"signs[{index}]: source {source!r} is unknown: use one of {', '.join(SOURCES)}"
        )
    gloss = r.get("gloss", str)
    if not gloss.strip():
        raise StableSignerError(f"signs[{index}] has an empty gloss: name the sign")
    start, end = r.span()
    return Sign(
        gloss=gloss,
        kind=kind,
        start=start,
        end=end,
        source=source,
        approximate=r.get("approximate", bool, False),
        text=r.get("text", str, ""),
        parts=tuple(r.strings("parts")),
    )


def _read_span(data: object, where: str, kinds: tuple[str, ...]) -> Nonmanual:
    r = _Reader(data, where)
    r.allow("kind", "start", "end")
    kind = r.get("kind", str)
    if kind not in kinds:
        raise StableSignerError(f"{where}: kind {kind!r} is unknown: use one of {', '.join(kinds)}")
    return Nonmanual(kind, *r.span())


def _read_sentence(data: object, index: int) -> Sentence:
    r = _Reader(data, f"sentences[{index}]")
    r.allow("text", "start", "end")
    return Sentence(r.get("text", str), *r.span())
