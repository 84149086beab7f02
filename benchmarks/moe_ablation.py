"""What each part of SLP-MoE is worth: the same small budget for every row, several seeds, resumable.

    python benchmarks/moe_ablation.py --pairs runs/pairs.npz --takes runs/takes/plain.npz --output runs/abl

Every network is trained on the same pairs for the same steps; what is measured are signs whose gloss none of
them saw (`pairs.part_of`: test), made from phonology at the lengths of their priors, beside real takes that
were fitted without knowing the phonology. The budget is below that of the weights that ship: compare rows,
not with other tables. A finished run is a folder with best.safetensors; an interrupted one goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from stable_signer.cli_moe import COLUMNS
from stable_signer.corpora.takes import read_takes
from stable_signer.metrics import held_out as ho
from stable_signer.slp_moe.model import SlpMoe
from stable_signer.slp_moe.train import MoeRecipe, train
from stable_signer.slul.linker import Linker
from stable_signer.slul.planner import load_reader

SLUL = str(resources.files("stable_signer.weights") / "slul-ase.safetensors")
ROWS: dict[str, dict[str, Any]] = {
    "full": {},
    "dense": {"dense": True},
    "nolinker": {"linker": False},
    "three": {"parts": "three"},
    "noprior": {"prior": False},
    "joint": {"slul": SLUL},
    "one": {"parts": "one"},
    "two": {"parts": "two"},
    "split": {"parts": "split"},
}
NAMES = {
    "full": "4 experts (hands, body, face, spelling)",
    "dense": "dense, as many weights, no gate",
    "nolinker": "4 experts without linker states",
    "three": "3 experts (hands, body, face)",
    "noprior": "4 experts that do not see the prior",
    "joint": "4 experts, SLUL trained along",
    "one": "1 expert",
    "two": "2 experts (manual, face)",
    "split": "4 experts, each hand its own",
}
BUDGET = {"steps": 500, "evaluate_every": 100}


def train_all(options: argparse.Namespace) -> None:
    """Every row and seed that is not there yet; seeds outermost, so that a table exists early."""
    for seed in range(1, options.seeds + 1):
        for row, changes in ROWS.items():
            folder = options.output / f"{row}_{seed}"
            if (folder / "done").exists():
                continue
            recipe = MoeRecipe.from_dict({"data": str(options.pairs), "seed": seed, **BUDGET, **changes})
            train(recipe, folder)
            (folder / "done").touch()
            print(f"trained {folder.name}", flush=True)


def spread(values: list[float]) -> str:
    """Mean and, of several seeds, standard deviation."""
    mean = statistics.mean(values)
    digits = 1 if abs(mean) >= 10 else 2
    return f"{mean:.{digits}f}" + (f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else "")


def main() -> None:
    """Train what is missing, measure, print the table and write OUTPUT/table.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--takes", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--part", default="test", choices=("dev", "test"))
    parser.add_argument("--variation", type=float, default=0.0, help="0: what the experts expect")
    parser.add_argument("--measure-only", action="store_true", help="measure the runs that are there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.measure_only:
        train_all(options)
    cases = ho.cases(list(read_takes(options.takes)), options.part)
    linker = Linker(load_reader("ase"))
    results: dict[str, list[dict[str, float]]] = {"real": [ho.measure(cases, lambda c: c.real)]}
    for name, make in ho.floors(cases).items():
        results[name] = [ho.measure(cases, make)]
    for row in ROWS:
        for folder in sorted(options.output.glob(f"{row}_[0-9]")):
            if not (folder / "best.safetensors").exists():
                continue
            states = joint_linker(folder) if row == "joint" else linker
            moe = SlpMoe.load(folder / "best.safetensors")
            found = ho.measure(cases, ho.sampler(moe, states, options.variation, seed=0, bare=True))
            results.setdefault(row, []).append(found)
            print(f"measured {folder.name}: hands {1000 * found['dtw_hands']:.1f} mm", flush=True)
    show(results, len(cases))
    text = json.dumps({"cases": len(cases), "part": options.part, "rows": results}, indent=1)
    part = options.output / "table.json.part"
    part.write_text(text, encoding="utf-8")
    part.replace(options.output / "table.json")


def joint_linker(folder: Path) -> Linker:
    """The linker whose SLUL was trained along in a run."""
    from stable_signer.slul.decode import Reader
    from stable_signer.slul.model import Checkpoint

    return Linker(Reader(Checkpoint.load(folder / "slul.safetensors")))


def show(results: dict[str, list[dict[str, float]]], count: int) -> None:
    """A Markdown table."""
    print(f"\n{count} held-out signs")
    print("| row | seeds | " + " | ".join(heading for _, heading, _ in COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for name, runs in results.items():
        cells = [spread([float(r[key]) * unit for r in runs]) for key, _, unit in COLUMNS]
        print(f"| {NAMES.get(name, name)} | {len(runs)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
