"""Making the track: pieces of about a minute, each its own file, joined at the end without encoding anew.

A piece that is there from an earlier run, made from the same captions with the same settings, is used again.
Only one piece is ever in memory, so a film of two hours needs no more than one of a minute.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from stable_signer import pipeline
from stable_signer.captions_track.cues import Cue
from stable_signer.captions_track.fit import Fitted, Report, check_cap, fit_cues, joined_plan
from stable_signer.captions_track.overlay import lay_over
from stable_signer.errors import StableSignerError
from stable_signer.media.captions import gloss_captions
from stable_signer.media.files import Outputs
from stable_signer.media.provenance import Provenance, text_hash, tool_version
from stable_signer.media.sidecar import sidecar_path, write_sidecar
from stable_signer.pipeline import StableSigner
from stable_signer.slul.plan import Plan, Sign

PIECE = 60.0  # seconds of film after which a piece may end
LONGEST_PIECE = 600.0  # after which it ends at the next caption, gap or not
REST_GAP = 2.0  # a gap in which the hands come to rest, so that a cut in it is not seen
CHAPTER_GAP = 4.0  # a silence that begins a chapter
TAIL = 1.2  # seconds after the last sign: the hands go down
CORNERS = ("bottom-right", "bottom-left", "top-right", "top-left")


@dataclass(frozen=True)
class Look:
    """How the track is drawn: the arguments of `StableSigner.render`, and the rest of the motion's."""

    signer: str
    style: str
    look: str = pipeline.QUICK_LOOK
    size: int = pipeline.DEFAULT_SIZE
    label: bool = True
    fps: float = 25.0
    seed: int = 0
    left_handed: bool | None = None

    @property
    def render(self) -> dict[str, Any]:
        """The arguments of `StableSigner.render`."""
        return {k: getattr(self, k) for k in ("signer", "style", "look", "size", "label")}


@dataclass(frozen=True)
class Piece:
    """Captions of `start` to `end` of the film, which are cut on whole frames: `count` of them."""

    parts: list[Fitted]
    start: float
    end: float
    count: int


def make_track(
    engine: StableSigner,
    cues: list[Cue],
    output: str | Path,
    look: Look,
    *,
    language: str = pipeline.DEFAULT_LANGUAGE,
    speed: float = 1.0,
    cap: float = 1.5,
    over: str | Path | None = None,
    corner: str = CORNERS[0],
    scale: float = 0.4,
    progress: Callable[[float], None] = lambda seconds: None,
) -> Report:
    """Write the track to `output` (.mp4), its glosses (.glosses.vtt) and its sidecar; returns the report.

    over: a film to lay the signer over, in `corner`, `scale` of its height; without it the track is the
    signer alone, as long as the captions. progress: called with the seconds of film that are done.
    The pieces stay in a folder beside the output when the work is interrupted, and are used by the next run.
    """
    if corner not in CORNERS:
        raise StableSignerError(f"there is no corner {corner!r}: use one of {', '.join(CORNERS)}")
    if not 0.1 <= scale <= 1:
        raise StableSignerError(
            f"the scale {scale:g} does not work: use 0.1 to 1, a share of the film's height"
        )
    check_cap(speed, cap)
    report = Report()
    parts_folder = Path(f"{output}.parts")
    with Outputs() as outputs:
        target = outputs.claim(output, (".mp4",))
        glosses_part = outputs.claim(Path(output).with_suffix(".glosses.vtt"))
        sidecar_part = outputs.claim(sidecar_path(output))
        parts_folder.mkdir(exist_ok=True)
        fitted = fit_cues(engine, cues, report, language=language, speed=speed, cap=cap)
        files: list[Path] = []
        frames, signs, chapters, spoken = 0, list[Sign](), list[tuple[float, str]](), 0.0
        for piece in cut(fitted, look.fps):
            file, plan = _made_piece(engine, piece, look, parts_folder)
            files.append(file)
            frames += piece.count
            signs += plan.shifted(piece.start).signs
            for part in piece.parts:
                if not chapters or part.cue.start - spoken >= CHAPTER_GAP:
                    chapters.append((part.cue.start, part.cue.text))
                spoken = part.cue.end
            progress(piece.end)
        if not files:
            parts_folder.rmdir()
            why = next(iter(report.unsigned.values()), "there are none")
            raise StableSignerError(f"no caption can be signed: {why}")
        made_by = _provenance(cues, look, language)
        if over is None:
            join(files, target, look.fps, made_by.tags(), _chapters(chapters, frames / look.fps))
        else:
            lay_over(
                over, signer_frames(files), look.fps, target, corner=corner, scale=scale, tags=made_by.tags()
            )
        glosses_part.write_text(gloss_captions(Plan("", signs=tuple(signs))), encoding="utf-8")
        write_sidecar(made_by, target, sidecar_part)
    shutil.rmtree(parts_folder)
    return report


def cut(fitted: Iterable[Fitted], fps: float) -> Iterator[Piece]:
    """Pieces of at least PIECE seconds, cut in the middle of gaps in which the hands rest."""
    parts: list[Fitted] = []
    first = 0  # frame
    for part in fitted:
        if parts:
            gap, length = part.plan.signs[0].start - parts[-1].end, parts[-1].end - first / fps
            if (length >= PIECE and gap >= REST_GAP) or length >= LONGEST_PIECE:
                last = round((parts[-1].end + gap / 2) * fps)
                yield Piece(parts, first / fps, last / fps, last - first)
                parts, first = [], last
        parts.append(part)
    if parts:
        last = round((parts[-1].end + TAIL) * fps)
        yield Piece(parts, first / fps, last / fps, last - first)


def _made_piece(engine: StableSigner, piece: Piece, look: Look, folder: Path) -> tuple[Path, Plan]:
    """The piece's file and what is signed in it, made now or by an earlier run."""
    plan = joined_plan(piece.parts, piece.start, piece.end)
    told = json.dumps([plan.to_dict(), asdict(look), piece.count, tool_version()], sort_keys=True)
    path = folder / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.mp4"
    signed = path.with_suffix(".json")
    if path.exists() and signed.exists():
        return path, Plan.load(signed)
    movement = engine.movement(plan, look.seed, look.left_handed, look.fps)
    frames = engine.render(movement.pieces(), **look.render)
    made_by = pipeline.provenance_of(plan, look.render, look.seed)
    with Outputs() as outputs:
        outputs.claim(signed).write_text(json.dumps(movement.plan.to_dict()), encoding="utf-8")
        pipeline.write_frames(outputs.claim(path), _exactly(frames, piece.count), look.fps, made_by)
    return path, movement.plan


def _exactly(frames: Iterator[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """`count` frames: the last one stands when there are fewer."""
    made, last = 0, None
    for frame in islice(frames, count):
        made, last = made + 1, frame
        yield frame
    if last is not None:
        last = last.copy()
        for _ in range(count - made):
            yield last


def _provenance(cues: list[Cue], look: Look, language: str) -> Provenance:
    whole = "\n".join(cue.text for cue in cues)
    return Provenance(
        language=language,
        signer=look.signer,
        style=look.style,
        look=look.look,
        planner="captions",
        seed=look.seed,
        text_sha256=text_hash(whole),
    )


def join(files: list[Path], target: Path, fps: float, tags: dict[str, str], chapters: list[Any]) -> None:
    """One mp4 of pieces that were encoded alike, without encoding anew."""
    with av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as out:
        out.metadata.update(tags)
        stream: Any = None
        offset, last_dts = 0, -(1 << 60)
        for file in files:
            with av.open(str(file)) as piece:
                source = piece.streams.video[0]
                base: Any = source.time_base
                if stream is None:
                    stream = out.add_stream_from_template(source)
                    stream.time_base = base
                    out.set_chapters(chapters)  # before the first picture: the header lists them
                step = round(1 / (Fraction(fps).limit_denominator(1001) * base))
                count = 0
                for packet in piece.demux(source):
                    if packet.dts is None or packet.pts is None:  # the mark of the end
                        continue
                    packet.pts, packet.dts = packet.pts + offset, max(packet.dts + offset, last_dts + 1)
                    last_dts, count = packet.dts, count + 1
                    packet.stream = stream
                    out.mux(packet)
                offset += count * step


def _chapters(chapters: list[tuple[float, str]], end: float) -> list[Any]:
    base = Fraction(1, 1000)
    starts = [0, *(round(start * 1000) for start, _ in chapters[1:])]
    ends = [*starts[1:], round(end * 1000)]
    return [
        {"id": i + 1, "start": a, "end": b, "time_base": base, "metadata": {"title": text[:60]}}
        for i, (a, b, (_, text)) in enumerate(zip(starts, ends, chapters))
    ]


def signer_frames(files: list[Path]) -> Iterator[np.ndarray]:
    """The pictures of the pieces, (H, W, 3) uint8, one at a time."""
    for file in files:
        with av.open(str(file)) as piece:
            for frame in piece.decode(video=0):
                yield frame.to_ndarray(format="rgb24")
