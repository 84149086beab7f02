"""The HTTP service: `create_app` makes it, `serve` runs it.

One thread owns the model (`worker`); this module only checks requests and passes bytes on.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Container, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import Route

from stable_signer import pipeline
from stable_signer.errors import StableSignerError
from stable_signer.media.provenance import tool_version
from stable_signer.media.sidecar import weights_hash
from stable_signer.pipeline import StableSigner
from stable_signer.pose2vid.signers import SIGNERS, STYLES
from stable_signer.service import schemas
from stable_signer.service.answers import Kept, Making, result, submit
from stable_signer.service.guard import Guard
from stable_signer.service.metrics import Metrics
from stable_signer.service.orders import DELIVERIES, EVENTS, MEDIA_TYPES, Order, Studio
from stable_signer.service.problems import MEDIA_TYPE, install, of_error, problem
from stable_signer.service.reference import reference_page
from stable_signer.service.search import search
from stable_signer.service.settings import Settings
from stable_signer.service.worker import Busy, Job, Late, Worker
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.plan import LANGUAGES, Plan

WORKS = {
    "ase": "plans, motion and video",
    "gsg": "fingerspelling only: German words are spelled, no DGS signs yet",
}
PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/player.js": ("player.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
WORKDIR_PREFIX = "stable-signer-serve-"
_REFUSED = {"model": schemas.Problem, "content": {MEDIA_TYPE: {}}}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {**_REFUSED, "description": what}
    for status, what in {
        400: "The body is not JSON.",
        401: "A token is needed.",
        413: "The body is too large.",
        415: "The body is not declared as JSON.",
        422: "Something in the request is wrong; `detail` says what.",
        429: "All places are taken; Retry-After says when to try again.",
        503: "The request took too long.",
    }.items()
}
GET_REFUSALS: dict[int | str, dict[str, Any]] = {status: REFUSALS[status] for status in (401, 422)}
PICTURES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}}},
    401: REFUSALS[401],
    404: {**_REFUSED, "description": "There is no such card."},
}


def create_app(
    load: Callable[[], StableSigner],
    settings: Settings,
    workdir: Path | None = None,
    glossary: Callable[[], Glossary] = Glossary.load,
) -> FastAPI:
    """The service as an ASGI application.

    load: makes the StableSigner, once, in the model's thread. glossary: the glosses that it knows. workdir: a
    folder for files that must be seekable while they are written; the system's temporary one when not given.
    Nothing a client sends becomes a path.
    """
    with_folder = workdir if workdir is not None else Path(tempfile.gettempdir())
    studio = Studio(load, settings, with_folder, glossary)
    worker = Worker(settings.concurrent, settings.queue)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker.run()
        worker.submit(Job(studio.warm_up, math.inf, light=True))  # however slow: else it is never ready
        yield
        worker.stop()

    app = FastAPI(
        title="Stable Signer",
        version=tool_version(),
        description="Text in, synthetic sign-language video out. It does not replace an interpreter.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    install(app)
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["retry-after", "x-signing-seconds", "x-cache"],
        )
    app.state.studio, app.state.worker, app.state.metrics = studio, worker, metrics

    def light(work: Callable[[], Any]) -> Job:
        def steps(job: Job) -> Iterator[None]:
            job.start(work())
            yield

        return Job(steps, settings.job_seconds, light=True)

    @app.post("/v1/signing", responses={**_signing_contents(), **REFUSALS}, response_class=Response)
    async def signing(request: schemas.SigningRequest) -> Response:
        """Sign a text or a plan: a video, its pose, its plan or its captions."""
        order = order_of(request, settings)
        headers = {"x-synthetic": "true", "content-disposition": f'inline; filename="signing.{order.format}"'}
        streamed = order.delivery != "whole"
        kept = studio.cache.get(order.key())
        if kept is not None:
            return Kept(kept, headers, streamed=streamed)
        job = Job(
            lambda j: studio.make(order, j),
            settings.job_seconds,
            light=order.format in ("json", "vtt"),
            streams=order.delivery == "stream",
        )
        try:
            submit(job, worker, metrics)
        except Busy as error:
            return of_error(error)
        return Making(job, order.media_type, headers, metrics, streamed=streamed)

    @app.post("/v1/plan", responses=REFUSALS)
    async def plan(request: schemas.PlanRequest) -> Response:
        """Understand a text: which signs, when, with which face."""
        work = light(lambda: studio.plan(request.input, request.language, request.speed))
        return await _plan_answer(work)

    @app.post("/v1/plan/edit", responses=REFUSALS)
    async def edit(request: schemas.EditRequest) -> Response:
        """Change signs of a plan and time it anew."""
        _check_strings(request.edits)
        old = read_plan(request.plan)
        work = light(lambda: studio.edit(old, request.edits, request.speed))
        return await _plan_answer(work)

    async def _plan_answer(work: Job) -> Response:
        try:
            made: Plan = await result(work, worker, metrics)
        except (StableSignerError, Busy, Late) as error:
            return of_error(error)
        return _json(made.to_dict())

    @app.get("/v1/glosses", responses=GET_REFUSALS, response_model=schemas.Glosses)
    async def glosses(
        q: Annotated[
            str, Query(max_length=100, description="An English word, or the start of a gloss.")
        ] = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Any:
        """Signs that a plan may name, by word or gloss."""
        found = search(studio.glossary, q, limit)
        return {"glosses": [{k: getattr(e, k) for k in schemas.Gloss.model_fields} for e in found]}

    @app.get("/v1/signers", responses=GET_REFUSALS, response_model=schemas.Cards)
    async def signers() -> Any:
        """Who can sign; the first is the default."""
        return {"items": [asdict(card) for card in SIGNERS.values()]}

    @app.get("/v1/styles", responses=GET_REFUSALS, response_model=schemas.Cards)
    async def styles() -> Any:
        """Backgrounds and lights; the first is the default."""
        return {"items": [asdict(style) for style in STYLES.values()]}

    @app.get("/v1/signers/{name}/thumbnail.png", responses=PICTURES, response_class=Response)
    async def signer_thumbnail(name: str) -> Response:
        """A signer as a picture, 256 pixels a side."""
        return await _thumbnail("signers", name, SIGNERS)

    @app.get("/v1/styles/{name}/thumbnail.png", responses=PICTURES, response_class=Response)
    async def style_thumbnail(name: str) -> Response:
        """A background and its light as a picture, 256 pixels a side."""
        return await _thumbnail("styles", name, STYLES)

    @app.get("/v1/languages", responses=GET_REFUSALS, response_model=schemas.Languages)
    async def languages() -> Any:
        """Sign languages and what works in each."""
        return {
            "items": [
                {
                    "id": k,
                    "name": v,
                    "works": WORKS.get(k, "signs of the operator's lexicon, in the order of the text"),
                }
                for k, v in LANGUAGES.items()
            ]
        }

    @app.get("/v1/limits", responses=GET_REFUSALS, response_model=schemas.Limits)
    async def limits() -> Any:
        """The largest request that is answered."""
        return {
            "characters": settings.max_characters,
            "seconds": settings.max_seconds,
            "size": settings.max_size,
            "body_bytes": settings.max_body,
        }

    @app.get("/health", response_model=schemas.Health)
    async def health() -> Any:
        """Whether the server lives."""
        return {"status": "alive", "version": tool_version()}

    @app.get(
        "/ready", response_model=schemas.Health, responses={503: {**_REFUSED, "description": "Not yet."}}
    )
    async def ready() -> Any:
        """Whether the model is loaded and requests are taken."""
        if not studio.ready or getattr(app.state, "draining", False):
            return problem(503, "the server is starting or stopping: try again soon", {"Retry-After": "5"})
        return {"status": "ready", "version": tool_version()}

    @app.get("/metrics", response_class=Response, responses={401: REFUSALS[401]})
    async def prometheus() -> Response:
        """Counters in Prometheus' text format."""
        active, waiting = worker.load
        metrics.active.set(active)
        metrics.waiting.set(waiting)
        metrics.cache_bytes.set(studio.cache.held)
        metrics.cache_hits.set(studio.cache.hits)
        metrics.cache_misses.set(studio.cache.misses)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def docs(request: Request) -> Response:
        return Response(reference_page(app.openapi()), media_type="text/html; charset=utf-8")

    app.router.routes.append(Route("/docs", docs, include_in_schema=False))
    for path, (name, media_type) in PAGE.items():
        app.router.routes.append(Route(path, _page_file(name, media_type), include_in_schema=False))
    return app


async def _thumbnail(kind: str, name: str, known: Container[str]) -> Response:
    if name not in known:  # a name is looked up, it is never a path
        return problem(404, f"there is no such thumbnail: see /v1/{kind} for what there is")
    from stable_signer.pose2vid.thumbnails import (
        thumbnail_png,  # loads what draws: not before it is asked for
    )

    picture = await run_in_threadpool(thumbnail_png, kind, name)
    return Response(picture, media_type="image/png", headers={"cache-control": "private, max-age=3600"})


def order_of(request: schemas.SigningRequest, settings: Settings) -> Order:
    """The order that a request stands for; StableSignerError when its fields do not go together."""
    if (request.input is None) == (request.plan is None):
        raise StableSignerError("there must be either 'input' or 'plan': send one of them")
    if request.input is not None:
        pipeline.check_text(request.input)
    elif request.speed != 1.0:
        raise StableSignerError("a plan has its times already: leave out 'speed', or set it in /v1/plan/edit")
    if request.size > settings.max_size:
        raise StableSignerError(
            f"the size {request.size} is more than {settings.max_size}, which is the largest here: send less"
        )
    if request.stream and request.response_format != "mp4":
        raise StableSignerError(
            "only mp4 can be streamed: leave out 'stream', or set 'response_format' to mp4"
        )
    if request.stream_format == "events" and not request.stream:
        raise StableSignerError("'stream_format' needs 'stream': set it to true")
    delivery = DELIVERIES[0]
    if request.stream:
        delivery = "events" if request.stream_format == "events" else "stream"
    # by name only: no request makes us look at a file
    signer = pipeline.check_signer(request.signer)
    look_of = pipeline.checked_look(signer, request.style, request.look, request.size, request.label)
    return Order(
        text=request.input,
        plan=None if request.plan is None else json.dumps(read_plan(request.plan).to_dict(), sort_keys=True),
        language=pipeline.check_language(request.language),
        signer=signer,
        style=look_of["style"],
        look=look_of["look"],
        size=look_of["size"],
        fps=request.fps,
        speed=request.speed,
        seed=request.seed,
        left_handed=request.left_handed,
        label=request.label,
        format=request.response_format,
        delivery=delivery,
    )


def read_plan(data: dict[str, Any]) -> Plan:
    """A client's plan, checked."""
    plan = Plan.from_dict(data)
    _check_strings(plan.to_dict())
    return plan


def _check_strings(data: Any) -> None:
    try:
        json.dumps(data, ensure_ascii=False).encode("utf-8")
    except (UnicodeEncodeError, RecursionError) as error:
        raise StableSignerError(
            "the request holds text that is not valid Unicode, or nests too deeply: mend it"
        ) from error


def _signing_contents() -> dict[int | str, dict[str, Any]]:
    kinds = [*MEDIA_TYPES.values(), EVENTS]
    binary = {"schema": {"type": "string", "format": "binary"}}
    content = {kind.split(";")[0]: {} if "json" in kind else binary for kind in kinds}
    return {200: {"description": "The signing, in the format that was asked for.", "content": content}}


def _json(data: Any) -> Response:
    return Response(json.dumps(data, ensure_ascii=False), media_type="application/json")


def _page_file(name: str, media_type: str) -> Callable[[Request], Any]:
    content = (resources.files("stable_signer.service") / "page" / name).read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'

    async def answer(request: Request) -> Response:
        headers = {"cache-control": "no-cache", "etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media_type)

    return answer


# --- running it ---


class _Server(uvicorn.Server):
    """Stops on SIGTERM and SIGINT when what is under way is done, and returns."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        wanted = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.signal(number, self._stop) for number in wanted}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.config.app.state.draining = True  # type: ignore[union-attr]
        self.handle_exit(number, frame)


def serve(
    load: Callable[[], StableSigner], settings: Settings, glossary: Callable[[], Glossary] = Glossary.load
) -> None:
    """Listen until SIGTERM or Ctrl-C, then finish what is under way (a second signal stops at once).

    Raises StableSignerError when the address cannot be used.
    """
    _sweep(Path(tempfile.gettempdir()))
    prefix = f"{WORKDIR_PREFIX}{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix) as workdir:
        config = uvicorn.Config(
            create_app(load, settings, Path(workdir), glossary),
            host=settings.host,
            port=settings.port,
            timeout_graceful_shutdown=int(settings.drain_seconds),
            server_header=False,
            log_level="warning",
            access_log=False,  # what people ask for is theirs; /metrics has the numbers
        )
        try:
            socket = config.bind_socket()
        except SystemExit as stop:  # uvicorn has logged why
            raise StableSignerError(
                f"the address {settings.host}:{settings.port} cannot be used: choose another --port or --host"
            ) from stop
        weights_hash()
        _Server(config).run(sockets=[socket])


def _sweep(folder: Path) -> None:
    """Remove the working folders of servers that were killed."""
    for left in folder.glob(f"{WORKDIR_PREFIX}*-*"):
        number = left.name.removeprefix(WORKDIR_PREFIX).split("-")[0]
        if number.isdigit() and not Path(f"/proc/{number}").exists() and Path("/proc").exists():
            shutil.rmtree(left, ignore_errors=True)
