"""One thread that owns the model; requests take turns on it, picture by picture.

Turns, not one after the other: a long request must not keep a short one from its first picture. Whoever has
sent nothing yet goes first, the others share what is left. Encoding has threads of its own.

Only so many are let in as will see their first picture soon: within PATIENCE times what a client alone waits.
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
PATIENCE = 2.5  # longest wait for a first fragment as forecast, in waits of a client alone: 3 is promised
AHEAD = int(PATIENCE) - 1  # first fragments of others that may be made before one's own
RECENT = 0.2  # weight of the newest in running means

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
    `send`. light: it takes milliseconds, so it need not wait for a place among the videos. streams: what it
    sends is seen while it is made, so its first bytes tell how long a first fragment takes.
    What happens is read from `events` in the event loop: ("start", info), ("data", bytes), ("end", None),
    ("error", exception).
    """

    def __init__(
        self,
        steps: Callable[[Job], Iterator[None]],
        seconds: float,
        *,
        light: bool = False,
        streams: bool = False,
    ) -> None:
        self.light, self.streams, self.sent, self.turns = light, streams, False, 0
        self.work = 0.0  # seconds that the model's thread has given it
        self.first_work: float | None = None  # of them until the first picture was sent
        self.learnt = False  # whether the worker has taken note of it
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
            self.first, self.first_work = time.monotonic() - self.submitted, self.work
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
        started = time.monotonic()
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
        finally:
            self.work += time.monotonic() - started
        return False

    @property
    def waited(self) -> float:
        """Seconds since it came."""
        return time.monotonic() - self.submitted

    @property
    def fresh(self) -> bool:
        """Whether it still goes before the others: it has sent nothing, and is new."""
        return not self.light and not self.sent and self.turns < HEAD_START

    def _close(self) -> None:
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()  # type: ignore[attr-defined]  # a generator: its `finally` lets go of files


class Worker:
    """Gives jobs their turns. `concurrent` videos are made at a time.

    queue: how many more may wait, however long; None lets in whoever will see a first fragment within
    PATIENCE times the wait of a client alone, as forecast from what first fragments and whole videos took of
    late, and refuses one that was let in and has waited longer than that for a place.
    """

    def __init__(self, concurrent: int, queue: int | None) -> None:
        self.concurrent, self.queue = concurrent, queue
        self._waiting: deque[Job] = deque()
        self._active: deque[Job] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._mean = 5.0  # seconds a video took of late, from submission to its end
        self._first: float | None = None  # seconds of work until a first fragment; None: not measured yet
        self._whole: float | None = None  # seconds of work for a whole video
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
            if job.light:
                full = sum(j.light for j in (*self._waiting, *self._active)) >= LIGHT_PLACES
                wait = self._mean / self.concurrent if full else 0.0
            else:
                wait = self._too_long()
            if wait > 0:
                raise Busy(min(120, max(1, math.ceil(wait))))
            self._waiting.append(job)
            self._changed.notify()

    def _too_long(self) -> float:
        """Seconds after which a video that comes now may be let in; 0 is now."""
        active, waiting = _videos(self._active), _videos(self._waiting)
        places = self.concurrent + (AHEAD if self.queue is None else self.queue)
        if self.queue is None and self._first is None:
            places = self.concurrent  # nothing to forecast from: nobody waits
        if len(active) + len(waiting) >= places:
            return self._mean * (1 + len(waiting)) / self.concurrent
        if self.queue is not None or self._first is None:
            return 0.0
        return max(0.0, self._forecast(self._first) - PATIENCE * self._first)

    def _forecast(self, first: float) -> float:
        """Seconds until a video that comes now has sent its first fragment; `first` is the work for one.

        Those that have sent nothing go before it; when all places are taken, some must end first.
        """
        active, waiting = _videos(self._active), _videos(self._waiting)
        ahead = sum(max(0.0, first - job.work) for job in (*active, *waiting) if job.fresh)
        whole = max(first, self._whole or 0.0)
        ends = _ends([max(0.0, whole - job.work) for job in (*active, *waiting)])
        place = len(active) + len(waiting) - self.concurrent  # which end frees ours; below 0 there is room
        return max(ahead, ends[place] if place >= 0 else 0.0) + first

    def _run(self) -> None:
        while self.turn():
            pass

    def turn(self) -> bool:
        """Give one job its turn, waiting for one when there is none; False when the worker was stopped."""
        with self._changed:
            self._admit()
            while not self._active and not self._stopping:
                self._changed.wait()
                self._admit()
            if self._stopping and not self._active:
                return False
            job = self._pick()
        goes_on = job._step()
        with self._changed:
            self._learn(job, ended=not goes_on)
        return True

    def _learn(self, job: Job, ended: bool) -> None:
        """Take a job that has ended from the active ones; remember how long things take."""
        if job.streams and job.first_work is not None and not job.learnt:
            job.learnt = True
            self._first = _recent(self._first, job.first_work)
        if ended:
            self._active.remove(job)
            if not job.light and not job.cancelled.is_set():
                self._mean = _recent(self._mean, job.waited)
                self._whole = _recent(self._whole, job.work)

    def _admit(self) -> None:
        """Move waiting jobs to the active ones while there is room; light ones always have room."""
        room = self.concurrent - sum(not job.light for job in self._active)
        for job in list(self._waiting):
            if job.light or room > 0:
                self._waiting.remove(job)
                self._active.append(job)
                room -= not job.light
            elif self.queue is None and self._first is not None and job.waited > AHEAD * self._first:
                self._waiting.remove(job)  # the forecast was wrong: better told now than seen late
                job._tell("error", Busy(min(120, max(1, math.ceil(self._mean / self.concurrent)))))

    def _pick(self) -> Job:
        """A light job; else the oldest that has sent nothing and is new; else the next in turn."""
        light = (job for job in self._active if job.light)
        fresh = (job for job in self._active if job.fresh)
        first = next(light, None) or next(fresh, None)
        if first is not None:
            return first
        self._active.rotate(-1)
        return self._active[-1]


def _videos(jobs: deque[Job]) -> list[Job]:
    return [job for job in jobs if not job.light and not job.cancelled.is_set()]


def _ends(left: list[float]) -> list[float]:
    """When jobs with so much work left end, in order, while they take turns on one thread."""
    ends, now, done = [], 0.0, 0.0
    for number, work in enumerate(sorted(left)):
        now += (work - done) * (len(left) - number)
        done = work
        ends.append(now)
    return ends


def _recent(mean: float | None, newest: float) -> float:
    return newest if mean is None else mean + RECENT * (newest - mean)
