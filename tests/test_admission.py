"""Who is let in: a server simulated on a clock of its own, so that a busy machine changes nothing."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi", reason="needs the extra [serve]")

from stable_signer.service import worker as worker_module
from stable_signer.service.worker import PATIENCE, Busy, Job, Worker

PICTURE = 0.02  # seconds
FIRST = 12  # pictures in a first fragment
ALONE = FIRST * PICTURE


class Clock:
    """Time that passes only when somebody works."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(worker_module, "time", made)
    return made


def video(clock: Clock, pictures: int) -> Job:
    """A streamed video of so many pictures; a fragment of bytes after every FIRST."""

    def steps(job: Job) -> Iterator[None]:
        for number in range(1, pictures + 1):
            clock.now += PICTURE
            if number % FIRST == 0:
                job.send(bytes(3000))
            yield

    return Job(steps, 600, streams=True)


def load(clock: Clock, worker: Worker, clients: int, seconds: float, pictures: int) -> tuple[list[Job], int]:
    """Clients that ask again when they are answered, or when Retry-After has passed; (let in, refusals)."""
    let_in: list[Job] = []
    refused = 0
    due = [(0.001 * n, n) for n in range(clients)]  # when each asks next
    watched: list[tuple[int, Job]] = []
    while clock.now < seconds:
        while due and due[0][0] <= clock.now:
            _, client = heapq.heappop(due)
            job = video(clock, pictures)
            try:
                worker.submit(job)
                let_in.append(job)
                watched.append((client, job))
            except Busy as busy:
                refused += 1
                heapq.heappush(due, (clock.now + busy.retry_after, client))
        if any(worker.load):
            worker.turn()
        else:
            clock.now = due[0][0]
        busy_with = {id(job) for job in (*worker._active, *worker._waiting)}
        for client, job in [w for w in watched if id(w[1]) not in busy_with]:
            watched.remove((client, job))
            heapq.heappush(due, (clock.now + 0.01, client))
    return let_in, refused


def simulate(clock: Clock, concurrent: int, queue: int | None, pictures: int = 90) -> tuple[list[float], int]:
    async def run() -> tuple[list[float], int]:
        worker = Worker(concurrent, queue)
        worker.submit(video(clock, pictures))
        while any(worker.load):
            worker.turn()
        jobs, refused = load(clock, worker, 50, clock.now + 120, pictures)
        return sorted(job.first for job in jobs if job.first is not None), refused

    return asyncio.run(run())


@pytest.mark.parametrize("concurrent", [1, 2, 4, 8])
@pytest.mark.parametrize("pictures", [15, 90, 400])
def test_whoever_is_let_in_sees_a_picture_soon(clock: Clock, concurrent: int, pictures: int) -> None:
    first, refused = simulate(clock, concurrent, None, pictures)
    assert refused > 0
    assert len(first) > 5
    assert first[int(0.95 * (len(first) - 1))] <= PATIENCE * ALONE * 1.01
    assert first[-1] <= (PATIENCE + 1) * ALONE  # one picture of another may be under way, no more


def test_a_fixed_queue_lets_in_more_than_are_seen_soon(clock: Clock) -> None:
    """What the forecast is for: with places to wait in, the wait is that of the whole queue."""
    first, _ = simulate(clock, 2, 8)
    assert first[int(0.95 * (len(first) - 1))] > 3 * PATIENCE * ALONE


def test_the_places_are_used(clock: Clock) -> None:
    """Refusing must not leave the model idle: as many videos are made as with a long queue, nearly."""
    few, _ = simulate(clock, 2, None)
    clock.now = 0.0
    many, _ = simulate(clock, 2, 8)
    assert len(few) > 0.9 * len(many)


def test_nobody_waits_before_anything_was_measured(clock: Clock) -> None:
    async def run() -> None:
        worker = Worker(2, None)
        worker.submit(video(clock, 50))
        worker.submit(video(clock, 50))
        with pytest.raises(Busy) as refused:
            worker.submit(video(clock, 50))
        assert 1 <= refused.value.retry_after <= 120

    asyncio.run(run())


def test_one_who_waits_too_long_is_told(clock: Clock) -> None:
    """The forecast took the video under way for a short one: the next gets 429, not a late start."""

    async def run() -> None:
        worker = Worker(1, None)
        worker.submit(video(clock, FIRST + 2))
        while any(worker.load):
            worker.turn()
        worker.submit(video(clock, 500))
        for _ in range(FIRST + 1):
            worker.turn()
        late = video(clock, 20)
        worker.submit(late)
        while late in worker._waiting:
            worker.turn()
        assert late.turns == 0
        await asyncio.sleep(0)  # what it was told comes through the event loop
        kind, error = late.events.get_nowait()
        assert kind == "error" and isinstance(error, Busy)

    asyncio.run(run())
