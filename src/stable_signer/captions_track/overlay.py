"""Laying the signer over a film, in a corner; the film keeps its sound."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from stable_signer.errors import StableSignerError
from stable_signer.media.files import read_bytes

MP4_SOUND = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")
MARGIN = 0.02  # of the film's height


def lay_over(
    film: str | Path,
    signer: Iterator[np.ndarray],
    fps: float,
    target: Path,
    *,
    corner: str,
    scale: float,
    tags: dict[str, str],
) -> None:
    """Write `film` with the signer's pictures (`fps` a second from the film's start) in a corner.

    After the last picture of the signer the film goes on alone; the film ends where it ends.
    Raises StableSignerError when the film cannot be read or its sound cannot be kept in an mp4.
    """
    try:
        source = av.open(str(film))
    except (OSError, ValueError) as error:
        read_bytes_or_tell(film)
        raise StableSignerError(f"the film {film} cannot be read ({error}): give a video file") from error
    try:
        _encode(source, film, signer, fps, target, corner, scale, tags)
    except av.FFmpegError as error:
        raise StableSignerError(
            f"the film {film} cannot be worked through ({error}): repair it first"
        ) from error


def _encode(
    source: Any,
    film: str | Path,
    signer: Iterator[np.ndarray],
    fps: float,
    target: Path,
    corner: str,
    scale: float,
    tags: dict[str, str],
) -> None:
    with source, av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as out:
        if not source.streams.video:
            raise StableSignerError(f"the film {film} has no picture: give a video file")
        out.metadata.update(tags)
        picture_in: Any = source.streams.video[0]
        picture_in.thread_type = "AUTO"
        height = picture_in.codec_context.height // 2 * 2
        width = picture_in.codec_context.width // 2 * 2
        rate = picture_in.average_rate or Fraction(25)
        picture: Any = out.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20"})
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        base = picture_in.time_base or Fraction(1, 90_000)
        picture.codec_context.time_base = base
        sound_in: Any = source.streams.audio[0] if source.streams.audio else None
        sound: Any = None
        if sound_in is not None:
            name = sound_in.codec_context.name
            if name not in MP4_SOUND:
                raise StableSignerError(
                    f"the sound of {film} is {name}, which an mp4 cannot hold: convert it to AAC first"
                )
            sound = out.add_stream_from_template(sound_in)
        paste = _Paste(signer, fps, width, height, corner, scale)
        last = -1
        for packet in source.demux([s for s in (picture_in, sound_in) if s is not None]):
            if packet.stream is sound_in:
                if packet.dts is not None:
                    packet.stream = sound
                    out.mux(packet)
                continue
            for frame in packet.decode():
                if frame.pts is None or frame.pts <= last:  # a damaged film: time must go on
                    continue
                last = frame.pts
                out.mux(picture.encode(paste.onto(frame, float(frame.pts * base), base)))
        out.mux(picture.encode(None))


class _Paste:
    """Keeps the signer's picture of the moment, in the size and place it has in the film."""

    def __init__(
        self, signer: Iterator[np.ndarray], fps: float, width: int, height: int, corner: str, scale: float
    ) -> None:
        self.signer, self.fps, self.width, self.height = signer, fps, width, height
        self.side = max(16, int(min(scale * height, width)) // 2 * 2)
        margin = int(MARGIN * height) if self.side < min(width, height) else 0
        low, far = "bottom" in corner, "right" in corner
        self.top = height - self.side - margin if low else margin
        self.left = width - self.side - margin if far else margin
        self.number, self.shown = -1, None  # type: int, np.ndarray | None

    def onto(self, frame: Any, seconds: float, base: Fraction) -> Any:
        wanted = int(max(seconds, 0.0) * self.fps + 1e-6)
        while self.number < wanted:
            self.number += 1
            picture = next(self.signer, None)
            if picture is None:
                self.shown, self.number = None, wanted
                break
            self.shown = picture
        film = frame.to_ndarray(format="rgb24")[: self.height, : self.width]
        if self.shown is not None:
            small = Image.fromarray(self.shown).resize((self.side, self.side), Image.Resampling.LANCZOS)
            film = film.copy()
            film[self.top : self.top + self.side, self.left : self.left + self.side] = np.asarray(small)
        made = av.VideoFrame.from_ndarray(np.ascontiguousarray(film), format="rgb24")
        made.pts, made.time_base = frame.pts, base
        return made


def read_bytes_or_tell(film: str | Path) -> None:
    """A missing or unreadable file is told as such before it is called no video."""
    path = Path(film)
    if not path.is_file():
        read_bytes(path, "the film")
