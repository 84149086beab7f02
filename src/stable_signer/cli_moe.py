"""`stable-signer train moe` and `stable-signer evaluate moe`: the commands for researchers of motion.

They join the groups `train` and `evaluate` of cli_slul.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stable_signer.cli_slul import _needs, train_app


def register() -> None:
    """Hook the commands in."""
    train_app.command("moe")(train_moe)


def train_moe(
    config: Annotated[Path, typer.Option(help="The recipe, TOML: see docs/moe.md.")],
    output: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run in it goes on.")],
    plot: Annotated[Path | None, typer.Option(help="Write a PNG of the curves here at the end.")] = None,
) -> None:
    """Train SLP-MoE on pairs of tools/build_pairs.py."""
    _needs("accelerate")
    from stable_signer.slp_moe.train import MoeRecipe, train
    from stable_signer.slul.train import plot_log

    recipe = MoeRecipe.load(config)
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("step", total=recipe.steps)

        def on_line(line: dict[str, Any]) -> None:
            shown = ("flow", "error", "wrist_mm", "palm_degrees", "finger_degrees")
            console.print(f"step {line['step']}: " + ", ".join(f"{k} {line[k]:.3f}" for k in shown))

        best = train(recipe, output, lambda done, _: bar.update(task, completed=done), on_line)
    if plot:
        plot_log(output / "log.jsonl", plot)
    console.print(f"best weights: {best}")
