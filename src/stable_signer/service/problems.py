"""Refusals: `application/problem+json` (RFC 9457) with one clear sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from stable_signer.errors import StableSignerError
from stable_signer.service.worker import Busy, Late

MEDIA_TYPE = "application/problem+json"
NOT_MADE = "the server could not make this: the fault is ours; try again, and report it if it stays"


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal with `detail`, one sentence."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": " ".join(detail.split()),
    }
    content = json.dumps(body, ensure_ascii=True)
    return Response(content, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def of_error(error: Exception) -> Response:
    """The refusal that an error of the model or of the queue stands for."""
    if isinstance(error, StableSignerError):
        return problem(422, str(error))
    if isinstance(error, Busy):
        return problem(429, str(error), {"Retry-After": str(error.retry_after)})
    if isinstance(error, Late):
        return problem(503, "the request took too long: send a shorter text", {"Retry-After": "30"})
    return problem(500, NOT_MADE)


def install(app: FastAPI) -> None:
    """Make every refusal of `app` a problem."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first: dict[str, Any] = dict(error.errors()[0])
        if first["type"] == "json_invalid":
            return problem(400, "the body is not JSON: send one JSON object")
        where = ".".join(str(part) for part in first["loc"][1:])
        message = first["msg"][:1].lower() + first["msg"][1:]
        return problem(
            422, f"the field {where!r} is wrong: {message}" if where else f"the request is wrong: {message}"
        )

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        details = {
            404: "there is nothing here: see /docs for what there is",
            405: f"{request.method} does not work here: see /docs",
        }
        if error.status_code == 400 and error.detail == "There was an error parsing the body":
            return problem(400, "the body is not JSON: send one JSON object")
        return problem(error.status_code, details.get(error.status_code, str(error.detail)), error.headers)

    @app.exception_handler(StableSignerError)
    async def bad_input(request: Request, error: StableSignerError) -> Response:
        return of_error(error)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        return problem(500, NOT_MADE)
