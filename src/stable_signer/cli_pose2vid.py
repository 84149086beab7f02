"""`stable-signer train pose2vid` and `stable-signer evaluate pose2vid`: for researchers of pictures.

They join the groups `train` and `evaluate` of cli_slul.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stable_signer.cli_slul import _check_plot, _needs, evaluate_app, train_app
from stable_signer.errors import StableSignerError


def register() -> None:
    """Hook the commands in."""
    train_app.command("pose2vid")(train_pose2vid)
    evaluate_app.command("pose2vid")(evaluate_pose2vid)


def train_pose2vid(
    output: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run in it goes on.")],
    config: Annotated[
        Path | None, typer.Option(help="The recipe, TOML: see docs/pose2vid.md. With --footage not needed.")
    ] = None,
    pool: Annotated[Path | None, typer.Option(help="Folder for the frames, 4.5 MB each.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a PNG of the curve here at the end.")] = None,
    footage: Annotated[
        Path | None, typer.Option(help="A clip of a signer who consented: learn to draw them instead.")
    ] = None,
    signer_card: Annotated[
        Path | None, typer.Option(help="With --footage: the signer's card, JSON, with consent and licence.")
    ] = None,
    environment: Annotated[
        Path | None, typer.Option(help="With --footage: the Python of MediaPipe's environment.")
    ] = None,
    landmarks: Annotated[
        Path | None, typer.Option(help="With --footage: landmarks found before, .npz of media/holistic.py.")
    ] = None,
) -> None:
    """Train Pose2Vid on frames of the studio, rendered while it learns, or on footage of a signer."""
    if config is None and footage is None:
        raise StableSignerError("there is nothing to learn from: give --config recipe.toml or --footage clip")
    if footage is None and (signer_card or environment or landmarks):
        raise StableSignerError("--signer-card, --environment, --landmarks go with --footage: give the clip")
    if footage is not None:
        if signer_card is None:
            raise StableSignerError(
                "footage needs --signer-card card.json with the signer's consent and licence: "
                "nothing is learned without it"
            )
        if pool:
            raise StableSignerError("--pool is for frames of the studio: leave it out with --footage")
        _needs("accelerate")
        _check_plot(plot)
        _train_footage(footage, signer_card, output, config, environment, landmarks, plot)
        return
    assert config is not None
    _needs("accelerate")
    from stable_signer.pose2vid.train import STAGES, Pose2VidRecipe, train

    recipe = Pose2VidRecipe.load(config)
    _check_plot(plot)
    console = Console()
    with _bar(console) as bar:
        on_step = _follower(bar, dict(zip(STAGES, recipe.steps)))
        folder = train(recipe, output, on_step, pool)
    _plot(folder, plot)
    console.print(f"weights: {folder / 'weights'}")


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def _follower(bar: Progress, steps: dict[str, int]) -> Callable[[str, int, float], None]:
    task = bar.add_task("frames", total=None)

    def on_step(stage: str, step: int, loss: float) -> None:
        bar.update(task, description=f"{stage}, loss {loss:.3f}", completed=step + 1, total=steps[stage])

    return on_step


def _plot(folder: Path, plot: Path | None) -> None:
    if plot:
        from stable_signer.slul.train import plot_log

        plot_log(folder / "log.jsonl", plot, (("loss", ("loss",)),), axis="step")


def _train_footage(
    clip: Path,
    signer_card: Path,
    output: Path,
    config: Path | None,
    environment: Path | None,
    landmarks: Path | None,
    plot: Path | None,
) -> None:
    """The rest of `train pose2vid --footage`."""
    from stable_signer.media.footage import footage_landmarks
    from stable_signer.pose2vid.consent import ConsentCard
    from stable_signer.pose2vid.footage_train import STAGES, FootageRecipe, learn

    card = ConsentCard.load(signer_card)
    recipe = FootageRecipe.load(config) if config else FootageRecipe()
    console = Console()
    with _bar(console) as bar:
        figures = learn(
            clip,
            lambda: footage_landmarks(clip, environment, landmarks),
            card,
            output,
            recipe,
            _follower(bar, dict(zip(STAGES, recipe.steps))),
        )
    _plot(output, plot)
    table = Table(title=f"{figures['frames_held_out']} held-out frames of {card.name}, {card.licence}")
    table.add_column("row")
    for heading in ("SSIM", "PSNR dB", "hand SSIM"):
        table.add_column(heading, justify="right")
    for name, row in figures["rows"].items():
        table.add_row(name, f"{row['ssim']:.3f}", f"{row['psnr']:.1f}", f"{row['hand_ssim']:.3f}")
    console.print(table)
    console.print(f"weights: {output / 'weights'}")
    how = f'stable-signer sign "Hello" --signer {output} -o hello.mp4'
    console.print(f"sign with them: {how}", soft_wrap=True)


def evaluate_pose2vid(
    motions: Annotated[Path, typer.Option(help="Motions of tools/build_motions.py; the last tenth is used.")],
    weights: Annotated[Path | None, typer.Option(help="Folder of other weights than the shipped.")] = None,
    size: Annotated[int, typer.Option(help="256 or 512.")] = 256,
    clips: Annotated[int, typer.Option(min=1, help="Pieces of motion, each of another signer.")] = 10,
    frames: Annotated[int, typer.Option(min=2, help="Frames of each piece.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON, nothing else.")] = False,
) -> None:
    """Measure Pose2Vid on held-out motion, beside the autoencoder's ceiling, the mesh look and floors."""
    from stable_signer.metrics.features import NETWORK, FeatureNet, weights_path
    from stable_signer.metrics.pictures import CHANCE, FIGURES, SEEN, measure
    from stable_signer.pose2vid.diffusion import fast, shipped
    from stable_signer.pose2vid.frames import Motions
    from stable_signer.pose2vid.framing import check_network_size
    from stable_signer.pose2vid.sampler import Pose2Vid

    check_network_size(size)
    takes = Motions.load(motions)
    model = fast(Pose2Vid.from_pretrained(weights)) if weights else shipped()
    net = FeatureNet.load() if weights_path() else None
    if net is None:
        print(  # noqa: T201
            "note: feature distance and style accuracy are left out; they need pip install "
            "'stable-signer[pictures]'",
            file=sys.stderr,
        )
    rows = measure(model, takes, size, clips, frames, net)
    if as_json:
        shown = {
            "size": size, "clips": clips, "frames": frames, "features": NETWORK if net else None,
            "chance": CHANCE if net else None, "rows": rows,
        }
        print(json.dumps(shown, indent=1))  # noqa: T201 - for a program to read
        return
    headings = {
        "ssim": "SSIM", "psnr": "PSNR dB", "figure_psnr": "figure PSNR dB", "hand_ssim": "hand SSIM",
        "face_ssim": "face SSIM", "flicker": "flicker / truth", "features": "feature distance",
        "signer": "nearest signer", "rendering": "nearest rendering",
    }
    shown_keys = (*FIGURES, *(SEEN if net else ()))
    table = Table(title=f"{clips} pieces of {frames} frames of held-out motion at {size} x {size}")
    table.add_column("row")
    for key in shown_keys:
        table.add_column(headings[key], justify="right")
    for name, row in rows.items():
        table.add_row(name, *(f"{row[key]:.{1 if 'psnr' in key else 3}f}" for key in shown_keys))
    if net:
        table.add_row("chance", *(f"{CHANCE[key]:.3f}" if key in CHANCE else "" for key in shown_keys))
        table.caption = f"feature distance and nearest: by features of {NETWORK} (ImageNet)"
    Console(width=160).print(table)
