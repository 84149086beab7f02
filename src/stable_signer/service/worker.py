"""One thread that owns the model; requests take turns on it, picture by picture.

Turns, not one after the other: a long request must not keep a short one from its first picture. Whoever has
sent nothing yet goes first, the others share what is left. Encoding has threads of its own.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from stable_signer.errors import StableSignerError

HEAD_START = (
    25  # turns that a new job gets before others have theirs: a second of video, more than a fragment
)

HEADER_BYTES = 2_000  # of a stream come before there is a picture in it
LIGHT_PLACES = 64  # requests of milliseconds that may wait: they have places of their own

log = logging.getLogger(__name__)


class Busy(Exception):
    """No room to wait; `retry_after` is when there may be some, in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"all places are taken: try again in {retry_after} s")
        self.retry_after = retry_after


class Late(Exception):
    """The request took longer than it may."""


class Job:
    """One request at the model.

    steps: given the job, a generator that does a small piece of work between yields and calls `start` and
    `send`. light: it takes milliseconds, so it need not wait for a place among the videos.
    What happens is read from `events` in the event loop: ("start", info), ("data", bytes), ("end", None),
    ("error", exception).
    """

    def __init__(
        self, steps: Callable[[Job], Iterator[None]], seconds: float, *, light: bool = False
    ) -> None:
        self.light, self.sent, self.turns = light, False, 0
        self.events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.submitted = time.monotonic()
        self.deadline = self.submitted + seconds
        self.first: float | None = None  # seconds from submission to the first picture
        self.cancelled = threading.Event()
        self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._make, self._steps = steps, None  # type: Callable[[Job], Iterator[None]], Iterator[None] | None

    def start(self, info: Any = None) -> None:
        """The request is good and is being answered: what fails from now on cannot be told as a status."""
        self._tell("start", info)

    def send(self, data: bytes) -> None:
        """Pass bytes to the client; called from the model's thread or an encoder's."""
        self._bytes += len(data)
        if self.first is None and self._bytes > HEADER_BYTES:
            self.first = time.monotonic() - self.submitted
            self.sent = True
        self._tell("data", data)

    def cancel(self) -> None:
        """The client is gone: stop at the next picture."""
        self.cancelled.set()

    def _tell(self, what: str, value: Any = None) -> None:
        with suppress(RuntimeError):  # the loop has closed: the server is going down and nobody listens
            self._loop.call_soon_threadsafe(self.events.put_nowait, (what, value))

    def _step(self) -> bool:
        """Do one piece of work; False when there is no more."""
        self.turns += 1
        try:
            if self.cancelled.is_set():
                self._close()
                return False
            if time.monotonic() > self.deadline:
                raise Late
            if self._steps is None:
                self._steps = self._make(self)
            next(self._steps)
            return True
        except StopIteration:
            self._tell("end")
        except (StableSignerError, Late) as error:
            self._close()
            self._tell("error", error)
        except Exception as error:
            log.exception("a request failed")  # without its text: what people sign is theirs
            self._close()
            self._tell("error", error)
        return False

    def _close(self) -> None:
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()  # type: ignore[attr-defined]  # a generator: its `finally` lets go of files


class Worker:
    """Gives jobs their turns. `concurrent` videos are made at a time, `queue` more of them may wait."""

    def __init__(self, concurrent: int, queue: int) -> None:
        self.concurrent, self.capacity = concurrent, concurrent + queue
        self._waiting: deque[Job] = deque()
        self._active: deque[Job] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._mean = 5.0  # seconds a video took of late
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def run(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Give up what is under way and end the thread."""
        with self._changed:
            self._stopping = True
            for job in (*self._waiting, *self._active):
                job.cancel()
            self._changed.notify()
        self._thread.join(timeout=10)

    @property
    def load(self) -> tuple[int, int]:
        """How many jobs are being made, and how many wait."""
        return len(self._active), len(self._waiting)

    def submit(self, job: Job) -> None:
        """Queue a job, or raise Busy."""
        with self._changed:
            for gone in [j for j in self._waiting if j.cancelled.is_set()]:
                self._waiting.remove(gone)
            alike = [j for j in (*self._waiting, *self._active) if j.light == job.light]
            if len(alike) >= (LIGHT_PLACES if job.light else self.capacity):
                before = 1 + sum(not j.light for j in self._waiting)
                raise Busy(min(120, max(1, math.ceil(self._mean * before / self.concurrent))))
            self._waiting.append(job)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._admit()
                while not self._active and not self._stopping:
                    self._changed.wait()
                    self._admit()
                if self._stopping and not self._active:
                    return
                job = self._pick()
            if not job._step():
                with self._changed:
                    self._active.remove(job)
                if not job.light and not job.cancelled.is_set():
                    self._mean += 0.2 * (time.monotonic() - job.submitted - self._mean)

    def _admit(self) -> None:
        """Move waiting jobs to the active ones while there is room; light ones always have room."""
        room = self.concurrent - sum(not job.light for job in self._active)
        for job in list(self._waiting):
            if job.light or room > 0:
                self._waiting.remove(job)
                self._active.append(job)
                room -= not job.light

    def _pick(self) -> Job:
        """A light job; else the oldest that has sent nothing and is new; else the next in turn."""
        light = (job for job in self._active if job.light)
        fresh = (job for job in self._active if not job.sent and job.turns < HEAD_START)
        first = next(light, None) or next(fresh, None)
        if first is not None:
            return first
        self._active.rotate(-1)
        return self._active[-1]
