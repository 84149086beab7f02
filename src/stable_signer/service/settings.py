"""What an operator may set; `docs/service.md` explains each."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from stable_signer.errors import StableSignerError
from stable_signer.media.files import read_bytes
from stable_signer.pipeline import MAX_CHARACTERS, MAX_SECONDS

DEFAULT_PORT = 8765
SHORTEST_TOKEN = 16
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750, section 2.1


@dataclass(frozen=True)
class Settings:
    """Limits and rights of one server.

    host, port: where it listens; loopback unless told. allowed_hosts: names it answers to (the Host header);
    empty allows the loopback names when it listens on loopback, else any.
    max_characters, max_seconds, max_size: the largest request: text, signing in seconds, pixels a side.
    max_body: bytes of a request's body. concurrent: videos made in turns. queue: videos that may wait,
    however long; None lets in those that are forecast to be seen soon (`worker.PATIENCE`).
    job_seconds: the longest a request may take, waiting included. drain_seconds: how long a stop waits for
    requests under way. cache_bytes: memory for finished answers, 0 for none. tokens: when there are any, a
    request for /v1 or /metrics must carry one. cors_origins: web origins that may call from a browser.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    allowed_hosts: tuple[str, ...] = ()
    max_characters: int = 2_000
    max_seconds: float = 180.0
    max_size: int = 1024
    max_body: int = 1_000_000
    concurrent: int = 2
    queue: int | None = None
    job_seconds: float = 600.0
    drain_seconds: float = 60.0
    cache_bytes: int = 256_000_000
    tokens: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, low, high in (
            ("port", 0, 65535),
            ("max_characters", 1, MAX_CHARACTERS),
            ("max_seconds", 1, MAX_SECONDS),
            ("max_size", 64, 2048),
            ("max_body", 1_000, 100_000_000),
            ("concurrent", 1, 64),
            ("queue", 0, 10_000),
            ("job_seconds", 1, 86_400),
            ("drain_seconds", 0, 3_600),
            ("cache_bytes", 0, 1 << 40),
        ):
            value = getattr(self, name)
            if name == "queue" and value is None:
                continue
            if not low <= value <= high:
                raise StableSignerError(
                    f"the setting {name} is {value:g}: use a number from {low:g} to {high:g}"
                )
        for token in self.tokens:
            if len(token) < SHORTEST_TOKEN or not _TOKEN.fullmatch(token):
                raise StableSignerError(
                    f"a token does not work: use {SHORTEST_TOKEN} or more letters, digits or -._~+/ for each"
                )
        for origin in self.cors_origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
                raise StableSignerError(
                    f"the web origin {origin!r} does not work: write it as https://example.org"
                )

    @property
    def hosts(self) -> tuple[str, ...]:
        """Host names that are answered; ("*",) is any. On loopback this stops DNS rebinding."""
        if self.allowed_hosts:
            return self.allowed_hosts
        return ("localhost", "127.0.0.1", "::1") if is_loopback(self.host) else ("*",)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_tokens(path: str | Path) -> tuple[str, ...]:
    """The tokens in a file, one a line; blank lines and lines that start with # are skipped."""
    raw = read_bytes(path, "the token file")
    try:
        lines = [line.strip() for line in raw.decode("utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise StableSignerError(f"the token file {path} is not text: write one token a line") from error
    tokens = tuple(line for line in lines if line and not line.startswith("#"))
    if not tokens:
        raise StableSignerError(f"the token file {path} holds no token: write one a line")
    return tokens
