"""The commands that serve, and that work on many texts: `register` adds them to the command line."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from stable_signer.errors import StableSignerError

TOKENS_VARIABLE = "STABLE_SIGNER_TOKENS"


def register(app: typer.Typer) -> None:
    """Add `serve` and its kin to `app`."""
    app.command(name="serve")(serve_command)


def serve_command(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8765,
    max_characters: Annotated[int, typer.Option(help="Longest text.")] = 2000,
    max_seconds: Annotated[float, typer.Option(help="Longest signing, in seconds.")] = 180.0,
    max_size: Annotated[int, typer.Option(help="Largest picture, pixels a side.")] = 1024,
    concurrent: Annotated[int, typer.Option(help="Videos made at a time, in turns.")] = 3,
    queue: Annotated[int, typer.Option(help="Requests that may wait; more are refused with 429.")] = 8,
    job_seconds: Annotated[float, typer.Option(help="Longest a request may take.")] = 600.0,
    drain_seconds: Annotated[float, typer.Option(help="How long a stop waits for what is under way.")] = 60.0,
    cache_mb: Annotated[int, typer.Option(help="Memory for finished answers; 0 keeps none.")] = 256,
    token_file: Annotated[
        str | None,
        typer.Option(
            help=f"File of bearer tokens, one a line; or set {TOKENS_VARIABLE}, separated by commas."
        ),
    ] = None,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="Web origin that may call, as https://example.org; repeatable.")
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="Host name to answer to; repeatable. Without: see docs/service.md."),
    ] = None,
) -> None:
    """Serve the web page and the HTTP interface, on this machine only unless told otherwise."""
    try:
        from stable_signer.service.app import serve
        from stable_signer.service.settings import Settings, is_loopback, read_tokens
    except ModuleNotFoundError as error:
        raise StableSignerError(
            f"the service needs {error.name}: install it with pip install 'stable-signer[serve]'"
        ) from error
    from stable_signer.pipeline import StableSigner

    tokens = read_tokens(token_file) if token_file else ()
    tokens += tuple(t.strip() for t in os.environ.get(TOKENS_VARIABLE, "").split(",") if t.strip())
    settings = Settings(
        host=host,
        port=port,
        allowed_hosts=tuple(allowed_host or ()),
        max_characters=max_characters,
        max_seconds=max_seconds,
        max_size=max_size,
        concurrent=concurrent,
        queue=queue,
        job_seconds=job_seconds,
        drain_seconds=drain_seconds,
        cache_bytes=cache_mb * 1_000_000,
        tokens=tokens,
        cors_origins=tuple(cors_origin or ()),
    )
    if not is_loopback(host) and not tokens:
        typer.echo(
            "note: everybody who can reach this address can use it; --token-file asks for a token", err=True
        )
    shown = f"[{host}]" if ":" in host else host
    typer.echo(f"Stable Signer listens on http://{shown}:{port} (Ctrl-C stops)", err=True)
    serve(StableSigner.from_pretrained, settings)
