"""`stable-signer train handshape` and `train recogniser`: the networks that measure, for researchers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from stable_signer.cli_slul import evaluate_app, train_app
from stable_signer.errors import StableSignerError


def register() -> None:
    """Hook the commands into `train`, which `cli_slul` hooks into the application."""
    train_app.command("handshape")(train_handshape)
    train_app.command("recogniser")(train_recogniser)
    evaluate_app.command("signs")(evaluate_signs)


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


def train_recogniser(
    data: Annotated[Path, typer.Option(help="Folder with the motion sets (signavatars_smplx.npz, …).")],
    out: Annotated[Path, typer.Option(help="The weights to write, .safetensors.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights.")] = 0,
    steps: Annotated[int, typer.Option(help="Batches to train on.", min=1)] = 2000,
    members: Annotated[int, typer.Option(help="Networks, differing in their seed.", min=1, max=8)] = 2,
) -> None:
    """Train the recogniser of isolated signs on real takes; prints its held-out figures as JSON."""
    from stable_signer.corpora import recogniser as corpus
    from stable_signer.metrics.recognition import Config

    _destination(out)
    made, figures = corpus.train_recogniser(data, seed=seed, steps=steps, configs=(Config(),) * members)
    made.save(out)
    print(json.dumps(figures, indent=2))  # noqa: T201 - for a program to read


def evaluate_signs(
    recogniser: Annotated[Path | None, typer.Option(help="Other weights than those that ship.")] = None,
) -> None:
    """Is the lexicon's signing recognised: every sign that the recogniser knows, signed alone. JSON."""
    from stable_signer.metrics.recognition import Recogniser, accuracy, lone_signs

    judge = Recogniser.load(recogniser)
    glosses = judge.lexicon_glosses()
    scores = judge.predict(lone_signs(list(glosses)))
    print(json.dumps(accuracy(scores, judge.glosses, list(glosses.values())), indent=2))  # noqa: T201
