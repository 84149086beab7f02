"""`stable-signer train handshape` and `train recogniser`: the networks that measure, for researchers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from stable_signer.cli_slul import train_app
from stable_signer.errors import StableSignerError


def register() -> None:
    """Hook the commands into `train`, which `cli_slul` hooks into the application."""
    train_app.command("handshape")(train_handshape)


def _destination(path: Path, suffix: str = ".safetensors") -> Path:
    """A file that can be written, before anything slow begins."""
    if path.suffix != suffix:
        raise StableSignerError(f"the output {path} must end in {suffix}")
    if not path.resolve().parent.is_dir():
        raise StableSignerError(f"the folder of {path} does not exist: make it first")
    return path


def train_handshape(
    data: Annotated[Path, typer.Option(help="Folder with asl_alphabet_cc0.npz and wlasl_holistic.npz.")],
    asl_lex: Annotated[Path, typer.Option(help="ASL-LEX 2.0's table, signdata CSV.")],
    out: Annotated[Path, typer.Option(help="The weights to write, .safetensors.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights.")] = 0,
) -> None:
    """Train the reader of handshapes and letters; prints its held-out figures as JSON."""
    from stable_signer.corpora.hands import train_reader

    _destination(out)
    reader, figures = train_reader(data, asl_lex, seed)
    reader.save(out)
    print(json.dumps(figures, indent=2))  # noqa: T201 - for a program to read
