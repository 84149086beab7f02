"""Writing video with PyAV: mp4 (H.264), webm (VP9), gif, and fragmented mp4 for a pipe.

Encoding runs in a thread of its own: FFmpeg lets go of Python's lock, so the next frame is drawn meanwhile.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol

import av
import numpy as np

from stable_signer.errors import StableSignerError
from stable_signer.media.files import check_ending

ENDINGS = (".mp4", ".webm", ".gif")
MIN_SIZE, MAX_SIZE = 64, 2048
MIN_FPS, MAX_FPS = 10.0, 60.0
QUEUE_FRAMES = 8  # how far rendering may run ahead of encoding; bounds the memory

# H.264 and VP9 store colours as BT.709 luma and chroma; saying so keeps players from turning skin orange.
BT709 = 1
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    ".mp4": ("libx264", {"preset": "veryfast", "crf": "20"}),
    ".webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "crf": "30"}),
}
STREAM_CODEC = ("libx264", {"preset": "veryfast", "tune": "zerolatency", "crf": "20"})
STREAM_FLAGS = "frag_keyframe+empty_moov+default_base_moof"
FRAGMENT_MICROSECONDS = "200000"
GIF_PALETTE_FRAMES = 75  # three seconds at 25 fps: enough to see the face move, little enough to hold


def check_size(size: int) -> int:
    """`size` when a square video can have it, else StableSignerError."""
    if not MIN_SIZE <= size <= MAX_SIZE or size % 2:
        raise StableSignerError(
            f"the size {size} does not work: use an even number from {MIN_SIZE} to {MAX_SIZE}"
        )
    return size


def check_fps(fps: float) -> float:
    """`fps` when a video can have it, else StableSignerError."""
    if not MIN_FPS <= fps <= MAX_FPS:  # also refuses NaN
        raise StableSignerError(f"{fps:g} frames a second do not work: use {MIN_FPS:g} to {MAX_FPS:g}")
    return float(fps)


def read_tags(video: str | Path) -> dict[str, str]:
    """The tags in a video's container. Raises StableSignerError for a file that is no video."""
    try:
        with av.open(str(video)) as container:
            return dict(container.metadata)
    except (av.FFmpegError, IndexError) as error:
        raise StableSignerError(f"{video} cannot be read as a video: give the mp4 or gif") from error


class VideoWriter:
    """Writes frames to a file, whose ending picks the container, or to a binary stream as fragmented mp4.

    target: a path ending in .mp4, .webm or .gif, or an object with `write(bytes)` (a pipe, standard output).
    size: side of the square picture in pixels. fps: frames per second. tags: title, comment, description ...

    >>> with VideoWriter("out.mp4", size=512, fps=25) as video:
    ...     for frame in frames:          # (512, 512, 3) uint8
    ...         video.write(frame)

    An error of the encoder or the disk is raised by the next `write` or by leaving the block. The file is
    written in place: claim it through `media.files.Outputs` to have it appear whole or not at all.
    """

    def __init__(
        self, target: str | Path | BinaryIO, *, size: int, fps: float, tags: Mapping[str, str] | None = None
    ) -> None:
        self._size = check_size(size)
        rate = Fraction(check_fps(fps)).limit_denominator(1001)
        self._encoder = _encoder(target, self._size, rate, dict(tags or {}))
        self._queue: queue.Queue[np.ndarray | None] = queue.Queue(QUEUE_FRAMES)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="video-encoder", daemon=True)
        self._thread.start()
        self.frames = 0

    def write(self, frame: np.ndarray) -> None:
        """Add one frame, (size, size, 3) uint8; it is copied, so the caller may reuse the array."""
        if frame.shape != (self._size, self._size, 3) or frame.dtype != np.uint8:
            raise ValueError(f"a frame of shape {frame.shape} {frame.dtype} for a video of size {self._size}")
        if self._error is not None:
            raise self._error
        self._queue.put(np.array(frame, order="C"))
        self.frames += 1

    def close(self) -> None:
        """Encode what is waiting and finish the file."""
        self._join()
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """Drop what is waiting and let go of the file, finished or not."""
        self._error = self._error or InterruptedError("the video was given up")
        self._join()

    def _join(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (frame := self._queue.get()) is not None:
            if self._error is None:  # after an error keep emptying the queue, so that `write` never blocks
                self._guard(self._encoder.encode, frame)
        if self._error is None:
            self._guard(self._encoder.finish)
        self._encoder.abandon()

    def _guard(self, step: Any, *args: Any) -> None:
        try:
            step(*args)
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread and raised there
            self._error = _readable(error)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def write_video(
    target: str | Path | BinaryIO,
    frames: Iterable[np.ndarray],
    *,
    size: int,
    fps: float,
    tags: Mapping[str, str] | None = None,
) -> int:
    """Write all `frames`, (size, size, 3) uint8 each, and return how many there were. See `VideoWriter`."""
    with VideoWriter(target, size=size, fps=fps, tags=tags) as video:
        for frame in frames:
            video.write(frame)
    return video.frames


class _Encoder(Protocol):
    def encode(self, frame: np.ndarray) -> None: ...
    def finish(self) -> None: ...
    def abandon(self) -> None: ...


def _encoder(target: str | Path | BinaryIO, size: int, rate: Fraction, tags: dict[str, str]) -> _Encoder:
    if not isinstance(target, (str, Path)):
        return _CodecEncoder(target, size, rate, tags)
    path = Path(target)
    ending = check_ending(path, ENDINGS)
    return (_GifEncoder if ending == ".gif" else _CodecEncoder)(path, size, rate, tags)


class _CodecEncoder:
    """H.264 or VP9 through one PyAV stream."""

    def __init__(self, target: Path | BinaryIO, size: int, rate: Fraction, tags: dict[str, str]) -> None:
        self._container: Any
        if isinstance(target, Path):
            ending = target.suffix.lower()
            codec, options = CODECS[ending]
            flags = {"movflags": "faststart"} if ending == ".mp4" else {}
            self._container = av.open(str(target), "w", format=ending[1:], options=flags)
        else:
            codec, options = STREAM_CODEC
            flags = {"movflags": STREAM_FLAGS, "frag_duration": FRAGMENT_MICROSECONDS, "flush_packets": "1"}
            pipe: Any = _WriteOnly(target)
            self._container = av.open(pipe, "w", format="mp4", options=flags, buffer_size=4096)
        self._container.metadata.update(tags)
        self._stream: Any = self._container.add_stream(codec, rate=rate, options=options)
        self._stream.width = self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.gop_size = max(
            1, round(2 * rate)
        )  # a key frame every two seconds: players seek in half a blink
        context.color_range = 1
        context.color_primaries = context.color_trc = context.colorspace = BT709
        if codec == "libvpx-vp9":
            context.bit_rate = 0  # constant quality
        self._time_base = 1 / rate
        self._count = 0

    def encode(self, frame: np.ndarray) -> None:
        rgb = av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        picture.pts, picture.time_base = self._count, self._time_base
        self._count += 1
        self._container.mux(self._stream.encode(picture))

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Let go of the file; harmless after `finish`."""
        try:
            self._container.close()
        except (OSError, ValueError):  # the disk or the reader is gone: that error is already on its way
            return


class _GifEncoder:
    """A gif with one palette for all frames, so that still parts stay still and cost nothing.

    The palette is found from frames spread over the first three seconds, which are held until then.
    """

    def __init__(self, target: Path, size: int, rate: Fraction, tags: dict[str, str]) -> None:
        self._target, self._tags = target, tags
        # FFmpeg's writer stores only the pixels that changed since the frame before.
        self._container = av.open(str(target), "w", format="gif", options={"loop": "0"})
        self._stream: Any = self._container.add_stream("gif", rate=rate)
        self._stream.width = self._stream.height = size
        self._stream.pix_fmt = "pal8"
        self._time_base = 1 / rate
        self._waiting: list[np.ndarray] = []
        self._palette: Any = None  # a Pillow image that carries the palette
        self._colours = np.zeros((256, 4), np.uint8)
        self._count = 0

    def encode(self, frame: np.ndarray) -> None:
        if self._palette is not None:
            self._put(frame)
            return
        self._waiting.append(frame)
        if len(self._waiting) >= GIF_PALETTE_FRAMES:
            self._start()

    def finish(self) -> None:
        if self._palette is None and self._waiting:
            self._start()
        self._container.mux(self._stream.encode(None))
        self._container.close()
        _add_gif_comment(self._target, "; ".join(self._tags.values()))

    def abandon(self) -> None:
        self._container.close()

    def _start(self) -> None:
        from PIL import Image

        chosen = self._waiting[:: max(1, len(self._waiting) // 6)]
        small = [np.asarray(frame[::2, ::2]) for frame in chosen]
        sheet = Image.fromarray(np.concatenate(small, axis=1))
        # Entry 255 is left free: FFmpeg needs one index for "as before".
        self._palette = sheet.quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        rgb = np.asarray(self._palette.getpalette()[: 255 * 3], np.uint8).reshape(-1, 3)
        self._colours[: len(rgb), 0] = 255  # alpha, red, green, blue
        self._colours[: len(rgb), 1:] = rgb
        for frame in self._waiting:
            self._put(frame)
        self._waiting.clear()

    def _put(self, frame: np.ndarray) -> None:
        from PIL import Image

        indices = Image.fromarray(frame).quantize(palette=self._palette, dither=Image.Dither.NONE)
        paletted: Any = (np.asarray(indices), self._colours)
        picture = av.VideoFrame.from_ndarray(paletted, format="pal8")
        picture.pts, picture.time_base = self._count, self._time_base
        self._count += 1
        self._container.mux(self._stream.encode(picture))


class _WriteOnly:
    """Shows PyAV only `write`, so that it does not seek in something that happens to be a file."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        self._stream.flush()
        return len(data)


def _add_gif_comment(path: Path, text: str) -> None:
    """FFmpeg writes no gif comment: put one (GIF89a, section 24) before the trailer byte."""
    raw = text.encode("ascii", "replace")
    blocks = b"".join(bytes([len(raw[i : i + 255])]) + raw[i : i + 255] for i in range(0, len(raw), 255))
    with path.open("r+b") as file:
        file.seek(-1, 2)
        if file.read(1) == b";":
            file.seek(-1, 2)
            file.write(b"\x21\xfe" + blocks + b"\x00;")


def _readable(error: BaseException) -> BaseException:
    if isinstance(error, BrokenPipeError) or not isinstance(error, OSError):
        return error
    return StableSignerError(
        f"the video could not be written ({error.strerror or error}): check the disk's space and your rights"
    )
