"""What a request asks for, and how the model makes it: the work behind `POST /v1/signing`."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

from stable_signer import pipeline
from stable_signer.errors import StableSignerError
from stable_signer.media.captions import sentence_captions
from stable_signer.media.provenance import tool_version
from stable_signer.media.sidecar import weights_hash
from stable_signer.media.video import VideoWriter
from stable_signer.pipeline import StableSigner
from stable_signer.service.cache import Answer, Cache
from stable_signer.service.settings import Settings
from stable_signer.service.worker import Job
from stable_signer.slul.edit import edited
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.plan import Plan

MEDIA_TYPES = {
    "mp4": "video/mp4",
    "webm": "video/webm",
    "gif": "image/gif",
    "pose": "application/x-pose",
    "json": "application/json",
    "vtt": "text/vtt; charset=utf-8",
}
VIDEOS = ("mp4", "webm", "gif")
EVENTS = "text/event-stream"
DELIVERIES = ("whole", "stream", "events")


@dataclass(frozen=True)
class Order:
    """One request in full: every field that changes the answer, and no other.

    Either `text` or `plan` (JSON of a plan) is set. delivery: "whole" has a length and can be sought in,
    "stream" is fragmented mp4 while it is made, "events" is one mp4 a sentence as server-sent events.
    """

    text: str | None
    plan: str | None
    language: str
    signer: str
    style: str
    look: str
    size: int
    fps: float
    speed: float
    seed: int
    left_handed: bool | None
    label: bool
    format: str
    delivery: str

    @property
    def media_type(self) -> str:
        """The answer's content type."""
        return EVENTS if self.delivery == "events" else MEDIA_TYPES[self.format]

    @property
    def look_of(self) -> dict[str, Any]:
        """The arguments of `StableSigner.render`."""
        return {k: getattr(self, k) for k in ("signer", "style", "look", "size", "label")}

    def key(self) -> str:
        """What the answer is cached under: the order, the version and the weights."""
        content = json.dumps([asdict(self), tool_version(), weights_hash()], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Made:
    """What the headers of an answer tell: the plan that is signed, and how long it takes."""

    plan: Plan

    @property
    def seconds(self) -> float:
        """Length of the signing."""
        return self.plan.duration


class Studio:
    """Makes answers with one StableSigner. Only the worker's thread calls what uses the model."""

    def __init__(
        self,
        load: Callable[[], StableSigner],
        settings: Settings,
        workdir: Path,
        glossary: Callable[[], Glossary],
    ) -> None:
        self._load, self._glossary, self.settings, self.workdir = load, glossary, settings, workdir
        self.cache = Cache(settings.cache_bytes)
        self.ready = False

    @cached_property
    def engine(self) -> StableSigner:
        """The model, loaded when it is first used."""
        return self._load()

    @cached_property
    def glossary(self) -> Glossary:
        """The glosses that a plan may use."""
        return self._glossary()

    def warm_up(self, job: Job) -> Iterator[None]:
        """Load everything and draw a picture, so that the first client does not wait for it."""
        plan = self.engine.plan("Hello")
        yield
        movement = self.engine.movement(plan)
        frames = self.engine.render(movement.pieces())
        for _ in range(3):
            next(frames)
            yield
        self.ready = True

    # --- plans ---

    def plan(self, text: str, language: str, speed: float) -> Plan:
        """Understand a text within the limits."""
        self._check_characters(text)
        return self._checked(self.engine.plan(text, language, speed))

    def edit(self, plan: Plan, edits: list[dict[str, Any]], speed: float) -> Plan:
        """Change a plan and time it anew."""
        draft = edited(plan, edits, self.glossary)
        timed = self.engine._stages.schedule(draft, speed)
        return self._checked(replace(timed, left_handed=plan.left_handed))

    def _check_characters(self, text: str) -> None:
        if len(text) > self.settings.max_characters:
            raise StableSignerError(
                f"the input has {len(text):,} characters, more than {self.settings.max_characters:,}: "
                "send it in pieces"
            )

    def _checked(self, plan: Plan) -> Plan:
        if plan.duration > self.settings.max_seconds:
            raise StableSignerError(
                f"the signing would last {plan.duration:.0f} s, more than {self.settings.max_seconds:.0f} s: "
                "send it in pieces"
            )
        return plan

    # --- signing ---

    def make(self, order: Order, job: Job) -> Iterator[None]:
        """The steps of an answer; it is kept in the cache when it is complete."""
        if order.plan is not None:
            plan = self._checked(Plan.from_dict(json.loads(order.plan)))
        else:
            plan = self.plan(order.text or "", order.language, order.speed)
        yield
        chunks: list[bytes] = []

        def send(data: bytes) -> None:
            chunks.append(data)
            job.send(data)

        movement = self.engine.movement(plan, order.seed, order.left_handed, order.fps)
        plan = self._checked(movement.plan)  # moved signs may have made it longer
        job.start(Made(plan))
        yield
        if order.delivery == "events":
            yield from self._events(order, movement, send)
        elif order.format in VIDEOS:
            yield from self._video(order, movement, send)
        elif order.format == "pose":
            send(self._pose(order, pipeline.joined(movement.pieces())))
        elif order.format == "vtt":
            send(sentence_captions(plan).encode())
        else:
            send(json.dumps(plan.to_dict(), ensure_ascii=False).encode())
        self.cache.put(order.key(), Answer(order.media_type, tuple(chunks), plan.duration))

    def _video(
        self, order: Order, movement: pipeline.Movement, send: Callable[[bytes], None]
    ) -> Iterator[None]:
        frames = self.engine.render(movement.pieces(), **order.look_of)
        tags = pipeline.provenance_of(movement.plan, order.look_of, order.seed).tags()
        if order.delivery == "stream":
            sink = cast(BinaryIO, _Sink(send))
            yield from encode(sink, frames, order.size, order.fps, tags)
            return
        with tempfile.NamedTemporaryFile(dir=self.workdir, suffix=f".{order.format}") as part:
            yield from encode(Path(part.name), frames, order.size, order.fps, tags)
            send(Path(part.name).read_bytes())

    def _events(
        self, order: Order, movement: pipeline.Movement, send: Callable[[bytes], None]
    ) -> Iterator[None]:
        """Server-sent events: `plan`, one `sentence` with its mp4 in base64 each, `done`."""
        send(event("plan", movement.plan.to_dict()))
        tags = pipeline.provenance_of(movement.plan, order.look_of, order.seed).tags()
        pieces = pipeline.sentence_pieces(movement.plan, movement.frame_count, movement.fps)
        for number, (plan, first, last) in enumerate(pieces):
            clip = BytesIO()
            frames = self.engine.render(movement.frames(first, last), **order.look_of)
            yield from encode(clip, frames, order.size, order.fps, tags)
            told = {
                "index": number,
                "text": plan.text,
                "start": round(first / movement.fps, 3),
                "end": round(last / movement.fps, 3),
                "media_type": "video/mp4",
                "video": base64.b64encode(clip.getvalue()).decode(),
            }
            send(event("sentence", told))
        send(event("done", {"seconds": round(movement.frame_count / movement.fps, 3)}))

    def _pose(self, order: Order, motion: Any) -> bytes:
        with tempfile.NamedTemporaryFile(dir=self.workdir, suffix=".pose") as part:
            self.engine.write_pose(Path(part.name), motion, signer=order.signer, size=order.size)
            return Path(part.name).read_bytes()


def encode(
    target: Path | BinaryIO, frames: Iterator[Any], size: int, fps: float, tags: dict[str, str]
) -> Iterator[None]:
    """Encode picture by picture, with a pause after each; closing the generator gives the video up."""
    video = VideoWriter(target, size=size, fps=fps, tags=tags)
    try:
        for frame in frames:
            video.write(frame)
            yield
        video.close()
    except BaseException:
        video.abandon()
        raise


def event(name: str, data: Any) -> bytes:
    """One server-sent event with JSON data."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


class _Sink:
    """A file to an encoder, a callback to us."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def write(self, data: bytes) -> int:
        self._send(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""
