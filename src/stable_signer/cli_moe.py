"""`stable-signer train moe` and `stable-signer evaluate moe`: the commands for researchers of motion.

They join the groups `train` and `evaluate` of cli_slul.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stable_signer.cli_slul import _check_plot, _needs, evaluate_app, train_app
from stable_signer.errors import StableSignerError


def register() -> None:
    """Hook the commands in."""
    train_app.command("moe")(train_moe)
    evaluate_app.command("moe")(evaluate_moe)


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
    _check_plot(plot)
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("step", total=recipe.steps)

        def on_line(line: dict[str, Any]) -> None:
            shown = ("flow", "error", "wrist_mm", "palm_degrees", "finger_degrees")
            console.print(f"step {line['step']}: " + ", ".join(f"{k} {line[k]:.3f}" for k in shown))

        best = train(recipe, output, lambda done, _: bar.update(task, completed=done), on_line)
    if plot:
        panels = (("losses", ("flow", "balance")), ("development", ("error", "prior_error")))
        plot_log(output / "log.jsonl", plot, panels, axis="step")
    console.print(f"best weights: {best}")


# What the table shows: the figure, its heading, and by what it is multiplied.
COLUMNS = (
    ("dtw_hands", "hands DTWp mm", 1000),
    ("dtw_mje", "DTW-MJE mm", 1000),
    ("length_ratio", "length", 1),
    ("distance_ratio", "distance", 1),
    ("handshape", "handshape %", 100),
    ("handshape_3", "in 3 %", 100),
    ("contact", "contact mm", 1000),
    ("jitter", "jitter m/s3", 1),
    ("peak_turn", "turn rad/s", 1),
    ("peak_wrist", "wrist m/s", 1),
    ("inside_body", "in body mm", 1000),
    ("inside_hand", "in hand mm", 1000),
)


def evaluate_moe(
    takes: Annotated[Path, typer.Option(help="Real takes, .npz of tools/build_takes.py (the plain ones).")],
    weights: Annotated[Path | None, typer.Option(help="Other SLP-MoE weights than those that ship.")] = None,
    part: Annotated[str, typer.Option(help="Which held-out glosses: dev or test.")] = "dev",
    variation: Annotated[float, typer.Option(help="How far takes stray, 0 to 1.")] = 0.4,
    seed: Annotated[int, typer.Option(help="Of the takes.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON, nothing else.")] = False,
) -> None:
    """Measure motion on signs whose gloss the experts never saw, beside real takes, the prior and floors.

    The signs are made from their phonology alone, at the prior's length, so that rows can be compared.
    """
    if part not in ("dev", "test"):
        raise StableSignerError(f"there is no part {part!r}: use dev or test")
    if not 0 <= variation <= 2:
        raise StableSignerError(f"the variation {variation:g} does not work: use 0 to 2")
    from stable_signer.corpora.takes import read_takes
    from stable_signer.metrics import held_out
    from stable_signer.slp_moe.model import SlpMoe
    from stable_signer.slul.linker import Linker
    from stable_signer.slul.planner import load_reader

    moe, linker = SlpMoe.load(weights), Linker(load_reader("ase"))
    cases = held_out.cases(list(read_takes(takes)), part)
    if len(cases) < 2:
        raise StableSignerError(f"{takes} has fewer than two takes of held-out glosses: give more takes")
    makers = {"real": lambda case: case.real, **held_out.floors(cases)}
    makers["experts"] = held_out.sampler(moe, linker, variation, seed)
    makers["experts' expectation"] = held_out.sampler(moe, linker, 0.0, seed)
    rows = {name: held_out.measure(cases, make) for name, make in makers.items()}
    if as_json:
        print(json.dumps({"signs": len(cases), "part": part, "rows": rows}, indent=1))  # noqa: T201 - for a program to read
        return
    table = Table(title=f"{len(cases)} signs of held-out glosses ({part}), made from phonology")
    table.add_column("row")
    for _, heading, _ in COLUMNS:
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(f"{row[key] * unit:.{1 if unit > 1 else 2}f}" for key, _, unit in COLUMNS))
    Console(width=200).print(table)
