"""Answers that are sent while they are made, and stop being made when the client leaves."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from stable_signer.service.cache import Answer
from stable_signer.service.metrics import Metrics
from stable_signer.service.orders import Made
from stable_signer.service.problems import of_error
from stable_signer.service.worker import Busy, Job, Worker


async def result(job: Job, worker: Worker, metrics: Metrics) -> Any:
    """What a light job hands to `start`; raises what it raised."""
    submit(job, worker, metrics)
    kind, value = await job.events.get()
    if kind == "error":
        raise value
    return value


def submit(job: Job, worker: Worker, metrics: Metrics) -> None:
    """Queue a job and count a refusal."""
    try:
        worker.submit(job)
    except Busy:
        metrics.refused.inc()
        raise


class Making(Response):
    """The answer that a job makes: as it grows when `streamed`, else whole and with its length."""

    def __init__(
        self, job: Job, media_type: str, headers: dict[str, str], metrics: Metrics, *, streamed: bool
    ) -> None:
        self.job, self.kind, self.extra = job, media_type, headers
        self.metrics, self.streamed = metrics, streamed
        self.background = None
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what the job sends, until it ends or the client leaves."""
        gone = asyncio.create_task(_until_gone(receive))
        chunks: list[bytes] = []
        made: Made | None = None
        try:
            while True:
                event = asyncio.create_task(self.job.events.get())
                await asyncio.wait({event, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not event.done():  # the client has left
                    event.cancel()
                    self.metrics.cancelled.inc()
                    return
                kind, value = event.result()
                if kind == "start":
                    made = value
                elif kind == "data" and self.streamed:
                    await self._start(send, made)
                    await send({"type": "http.response.body", "body": value, "more_body": True})
                elif kind == "data":
                    chunks.append(value)
                elif kind == "error":
                    if (
                        self._started
                    ):  # too late for a status: cut the line, so that nobody takes half for all
                        raise ConnectionAbortedError("an answer under way could not be finished") from value
                    await of_error(value)(scope, receive, send)
                    return
                else:
                    body = b"".join(chunks)
                    await self._start(send, made, None if self.streamed else len(body))
                    await send({"type": "http.response.body", "body": body, "more_body": False})
                    if made:
                        self.metrics.signed_seconds.inc(made.seconds)
                    if self.job.first is not None:
                        self.metrics.first_seconds.observe(self.job.first)
                    return
        finally:
            self.job.cancel()  # harmless when it has ended
            gone.cancel()

    async def _start(self, send: Send, made: Made | None, length: int | None = None) -> None:
        if self._started:
            return
        self._started = True
        headers = dict(self.extra, **{"content-type": self.kind})
        if made is not None:
            headers["x-signing-seconds"] = f"{made.seconds:.3f}"
        if length is not None:
            headers["content-length"] = str(length)
        raw = [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})


class Kept(Response):
    """An answer from the cache, in the same chunks as it was first sent when `streamed`."""

    def __init__(self, answer: Answer, headers: dict[str, str], *, streamed: bool) -> None:
        headers = {**headers, "x-signing-seconds": f"{answer.seconds:.3f}", "x-cache": "hit"}
        super().__init__(None if streamed else b"".join(answer.chunks), headers=headers, media_type=None)
        self.answer, self.streamed = answer, streamed
        self.headers["content-type"] = answer.media_type
        if streamed:
            del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        if not self.streamed:
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        for chunk in self.answer.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            return
