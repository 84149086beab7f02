"""What each of SLUL's losses is worth: the same small budget for every row, several seeds, resumable.

    nice -n 15 python benchmarks/slul_ablation.py --phoenix TRAIN.tsv DEV.tsv --ncslgr FILE.json --output
    runs/x
    python benchmarks/slul_ablation.py --table --output runs/x

Every finished run is a line in OUTPUT/results.json; an interrupted run goes on from its state. The rows
differ in the losses only. The budget is far below that of the weights that ship: compare rows, not with other
tables.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from stable_signer.corpora.examples import load_examples
from stable_signer.metrics.text import text_scores
from stable_signer.slul.decode import BeamConfig, GlossTrie, Reader, best_lines
from stable_signer.slul.model import Checkpoint
from stable_signer.slul.train import Example, Recipe, train
from stable_signer.slul.vocabulary import OPEN_TAGS, SLOT_NAMES

ROWS: dict[str, dict[str, Any]] = {
    "MLE": {},
    "+ SAGM uniform": {"sagm": 0.3, "semantic": False},
    "+ SAGM semantic": {"sagm": 0.3},
    "+ KL": {"kl": 0.7},
    "+ contrastive": {"contrastive": 0.1},
    "all": {"sagm": 0.3, "kl": 0.7, "contrastive": 0.1},
}
BUDGETS: dict[str, dict[str, Any]] = {
    "phoenix": {"size": "tiny", "epochs": 8, "evaluate_every": 8, "dropout": 0.2, "batch": 32},
    "ncslgr": {"size": "tiny", "epochs": 12, "evaluate_every": 12, "dropout": 0.15, "batch": 32,
               "pieces": 1200, "warmup": 50},
}  # fmt: skip


def measure(weights: Path, dev: list[Example]) -> dict[str, float]:
    """Scores on `dev` with a beam of 4."""
    checkpoint = Checkpoint.load(weights)
    vocabulary = checkpoint.vocabulary
    outputs = {g for e in dev for g in e.glosses}
    slots = sorted(set(SLOT_NAMES) if outputs & set(SLOT_NAMES) else ())
    trie = GlossTrie(vocabulary, [*vocabulary.glosses, *slots], tags=not outputs.isdisjoint(OPEN_TAGS))
    sources = [vocabulary.text_ids(e.text, e.language) for e in dev]
    lines = best_lines(Reader(checkpoint), sources, trie, BeamConfig(beams=4, reward=0.5))
    return text_scores([" ".join(x) for x in lines], [" ".join(e.glosses) for e in dev])


def run_all(options: argparse.Namespace, results: list[dict[str, Any]]) -> None:
    """Every row and seed that is not in `results` yet; seeds outermost, so that a table exists early."""
    data = {}
    if options.phoenix:
        data["phoenix"] = tuple([f"tsv:gsg:{p}"] for p in options.phoenix)
    if options.ncslgr:
        data["ncslgr"] = ([f"ncslgr-train:{options.ncslgr}"], [f"ncslgr-dev:{options.ncslgr}"])
    loaded = {name: (load_examples(a), load_examples(b)) for name, (a, b) in data.items()}
    for seed in range(1, options.seeds + 1):
        for name, (examples, dev) in loaded.items():
            for row, changes in ROWS.items():
                if any((r["data"], r["row"], r["seed"]) == (name, row, seed) for r in results):
                    continue
                keys = {
                    **BUDGETS[name],
                    **changes,
                    "seed": seed,
                    "train": data[name][0],
                    "dev": data[name][1],
                }
                folder = options.output / f"{name}-{row.replace(' ', '')}-{seed}"
                weights = train(Recipe.from_dict(keys), examples, dev, folder, text_scores)
                results.append({"data": name, "row": row, "seed": seed, **measure(weights, dev)})
                part = options.output / "results.json.part"
                part.write_text(json.dumps(results, indent=1), encoding="utf-8")
                part.replace(options.output / "results.json")
                print(name, row, seed, f"{results[-1]['bleu4']:.2f}", flush=True)


def print_table(results: list[dict[str, Any]]) -> None:
    """Mean and standard deviation over seeds, as Markdown."""
    print("| data | losses | BLEU-1 | BLEU-4 | ROUGE-L | WER | seeds |\n|---|---|---|---|---|---|---|")
    for name in BUDGETS:
        for row in ROWS:
            found = [r for r in results if (r["data"], r["row"]) == (name, row)]
            if found:
                cells = [_cell([r[k] for r in found]) for k in ("bleu1", "bleu4", "rouge_l", "wer")]
                print(f"| {name} | {row} | {' | '.join(cells)} | {len(found)} |")


def _cell(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phoenix", nargs=2, metavar=("TRAIN", "DEV"))
    parser.add_argument("--ncslgr")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="print only")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "results.json"
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    if not options.table:
        run_all(options, results)
    print_table(results)


if __name__ == "__main__":
    main()
