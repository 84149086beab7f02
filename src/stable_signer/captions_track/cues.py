"""Reading captions: SubRip (.srt), WebVTT (.vtt), SubStation Alpha (.ass, .ssa).

pysubs2 reads the texts; before that every timing line is checked here, because a reader that skips what it
does not understand would silently leave a sentence unsigned.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path

import pysubs2

from stable_signer.errors import StableSignerError
from stable_signer.media.files import check_ending, read_bytes

ENDINGS = (".srt", ".vtt", ".ass", ".ssa")
MAX_CUES = 50_000
LONGEST = 24 * 3600.0  # seconds: no film is longer, so a later time is a mistake

_CLOCK = r"(?:(\d{1,3}):)?([0-5]?\d):([0-5]?\d)[.,](\d{1,3})"
_TIMING = re.compile(rf"\s*{_CLOCK}\s+-->\s+{_CLOCK}(?:\s+\S.*)?\s*")
_NEARLY = re.compile(r"\d:\d\d[.,:]\d+\s*\S{1,4}\s*\d+:\d\d")  # two times with something else than an arrow
_ASS_CLOCK = re.compile(r"\s*(\d):([0-5]\d):([0-5]\d)\.(\d\d)\s*")
_MARKUP = re.compile(r"<[^>]*>")
_MUSIC = re.compile(r"[♩♪♫♬#]+")


@dataclass(frozen=True)
class Cue:
    """One caption: `start` and `end` in seconds, its text, and the line of the file that has its time."""

    start: float
    end: float
    text: str
    line: int


def read_cues(path: str | Path) -> list[Cue]:
    """The captions of a file in time order, without markup; those without words are left out.

    Raises StableSignerError, naming the line, for a time that cannot be read or runs backwards.
    """
    ending = check_ending(path, ENDINGS)
    raw = read_bytes(path, "the captions")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise StableSignerError(
            f"the captions {path} are not UTF-8 at line {line}: save them as UTF-8"
        ) from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    timed = _ass_times(text, path) if ending in (".ass", ".ssa") else _arrow_times(text, path, ending)
    if not timed:
        raise StableSignerError(f"the captions {path} hold no caption: give a {ending} file with some")
    if len(timed) > MAX_CUES:
        raise StableSignerError(f"the captions {path} hold {len(timed):,} captions, more than {MAX_CUES:,}")
    texts = _texts(text, ending, path)
    cues = []
    for line, start, end in timed:
        words = texts.get((round(start * 1000), round(end * 1000)), [])
        plain = _plain(words.pop(0)) if words else ""
        if plain:
            cues.append(Cue(start, end, plain, line))
    if not cues:
        raise StableSignerError(f"the captions {path} hold no words: give a file whose captions have text")
    return sorted(cues, key=lambda cue: (cue.start, cue.line))


def _arrow_times(text: str, path: str | Path, ending: str) -> list[tuple[int, float, float]]:
    lines = text.split("\n")
    if ending == ".vtt" and not re.match(r"WEBVTT(?:\s|$)", lines[0]):
        raise StableSignerError(
            f"the captions {path} do not begin with WEBVTT in line 1: add it, or name it .srt"
        )
    found = []
    in_note = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            in_note = False
        elif ending == ".vtt" and re.match(r"(NOTE|STYLE|REGION)(\s|$)", line):
            in_note = True
        if in_note or ("-->" not in line and not _NEARLY.search(line)):
            continue
        match = _TIMING.fullmatch(line)
        if not match:
            raise _bad_time(path, number, line, "00:00:01,000 --> 00:00:02,500")
        found.append((number, *_span(match.groups(), path, number)))
    return found


def _ass_times(text: str, path: str | Path) -> list[tuple[int, float, float]]:
    if "[events]" not in text.lower():
        raise StableSignerError(f"the captions {path} have no [Events] part: give a whole .ass file")
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.startswith("Dialogue:"):
            continue
        fields = line.removeprefix("Dialogue:").split(",", 9)
        times = [_ASS_CLOCK.fullmatch(field) for field in fields[1:3]]
        if len(fields) < 10 or not all(times):
            raise _bad_time(path, number, line, "Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,Text")
        parts = tuple(part for match in times if match for part in match.groups())
        found.append((number, *_span(parts, path, number)))
    return found


def _span(parts: tuple[str | None, ...], path: str | Path, number: int) -> tuple[float, float]:
    start, end = _seconds(parts[:4]), _seconds(parts[4:])
    if end <= start:
        raise StableSignerError(
            f"line {number} of the captions {path} ends at {end:g} s, not after its start at {start:g} s: "
            "mend it"
        )
    if end > LONGEST:
        raise StableSignerError(
            f"line {number} of the captions {path} is at {end:g} s, after a whole day: mend it"
        )
    return start, end


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    thousandths = int((fraction or "0").ljust(3, "0"))
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + thousandths / 1000


def _bad_time(path: str | Path, number: int, line: str, example: str) -> StableSignerError:
    shown = line.strip()[:60]
    return StableSignerError(
        f"line {number} of the captions {path} is not a time that can be read ({shown}): "
        f"write it like {example}"
    )


def _texts(text: str, ending: str, path: str | Path) -> dict[tuple[int, int], list[str]]:
    """Texts by start and end in milliseconds."""
    try:
        parsed = pysubs2.SSAFile.from_string(text, format_=ending[1:])
    except (ValueError, KeyError, IndexError, pysubs2.Pysubs2Error) as error:
        raise StableSignerError(f"the captions {path} cannot be read ({error}): save them anew") from error
    found: dict[tuple[int, int], list[str]] = {}
    for event in parsed.events:
        if not event.is_comment:
            found.setdefault((event.start, event.end), []).append(event.plaintext)
    return found


def _plain(text: str) -> str:
    """One line of words: no markup, no music notes, no dashes of a change of speaker."""
    text = html.unescape(_MARKUP.sub("", text))
    lines = [re.sub(r"^\s*[-–—]\s*", "", _MUSIC.sub(" ", line)) for line in text.split("\n")]
    text = " ".join(" ".join(lines).split())
    text = "".join(c for c in text if c.isprintable())
    return text if any(c.isalnum() for c in text) else ""
