"""What stands before every request: host, token, size, kind, and headers that keep browsers careful."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stable_signer.service.metrics import Metrics
from stable_signer.service.problems import problem
from stable_signer.service.settings import Settings

BODY_SECONDS = 20.0  # a client that sends its body more slowly than this is cut off
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}
PROTECTED = ("/v1", "/metrics")


class Guard:
    """ASGI middleware, the outermost but for CORS."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        headers = Headers(scope=scope)

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out.setdefault(name, value)
                out.setdefault(
                    "cross-origin-resource-policy",
                    "cross-origin" if self.settings.cors_origins else "same-origin",
                )
                out.setdefault("cache-control", "no-store")
            await send(message)

        try:
            refusal = self._refusal(scope, headers)
            if refusal is not None:
                await refusal(scope, receive, with_headers)
                return
            body = await self._body(headers, receive)
            if isinstance(body, str):
                status_code = 408 if body.startswith("the body came too slowly") else 413
                await problem(status_code, body)(scope, receive, with_headers)
                return
            await self.app(scope, _replay(body, receive), with_headers)
        finally:
            route = scope.get("route")
            path = getattr(route, "path", "other")  # never the raw path: it would make a series for each
            self.metrics.requests.labels(path, scope["method"] if path != "other" else "any", status).inc()
            self.metrics.request_seconds.labels(path).observe(time.perf_counter() - started)

    def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        if "*" not in self.settings.hosts and host_name(headers.get("host", "")) not in self.settings.hosts:
            return problem(
                421, "this server does not answer to that host name: see the option --allowed-host"
            )
        path = scope["path"]
        guarded = any(path == p or path.startswith(f"{p}/") for p in PROTECTED)
        if guarded and self.settings.tokens and not has_token(headers, self.settings.tokens):
            return problem(
                401,
                "a token is needed: send the header Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )
        if scope["method"] == "POST":
            kind = headers.get("content-type", "").split(";")[0].strip().lower()
            if kind != "application/json":  # a form of another site can send text/plain, but not this
                return problem(415, "the body must be JSON: send the header Content-Type: application/json")
        return None

    async def _body(self, headers: Headers, receive: Receive) -> bytes | str:
        """The whole body, or the sentence that refuses it."""
        limit = self.settings.max_body
        too_large = f"the body has more than {limit:,} bytes: send less"
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > limit:
            return too_large
        if length == "0" and "transfer-encoding" not in headers:
            return b""
        chunks, size = [], 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > limit:
                        return too_large
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            return f"the body came too slowly: send it within {BODY_SECONDS:.0f} s"


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives out the body that was read, then whatever comes next (the client's leaving)."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replayed


def host_name(host: str) -> str:
    """The name in a Host header, without its port and the brackets of IPv6."""
    if host.startswith("["):
        return host[1:].split("]")[0].lower()
    return host.rsplit(":", 1)[0].lower() if host.count(":") == 1 else host.lower()


def has_token(headers: Headers, tokens: Sequence[str]) -> bool:
    """Whether the request carries one of the tokens; takes the same time whichever it is."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    found = [hmac.compare_digest(given.strip().encode(), token.encode()) for token in tokens]
    return scheme.lower() == "bearer" and any(found)
