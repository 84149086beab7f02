"""The same batch by one process, by two, and by Ray: equal bytes, and how much faster two are.

    python benchmarks/batch_engines.py [--count 500] [--size 128] [--engines one two ray]

Prints one JSON object with seconds for each engine, `speed_up` of two workers, and `equal`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from stable_signer.batch import Item, run_batch

WORDS = ("book", "friend", "school", "water", "house", "dog", "teacher", "family", "food", "car")
FRAMES = ("I like the {}.", "Where is my {}?", "The {} is not here.", "Do you want a {}?", "My {} is blue.")
ENGINES = {"one": ("local", 1), "two": ("local", 2), "ray": ("ray", 2)}


def main() -> int:
    """Run the engines that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    options = parser.parse_args()
    items = [
        Item(f"s{i:05d}", FRAMES[i % 5].format(WORDS[i // 5 % 10]), size=options.size, seed=i)
        for i in range(options.count)
    ]
    seconds, sums = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.engines:
            engine, workers = ENGINES[name]
            started = time.perf_counter()
            done = run_batch(items, Path(folder) / name, engine=engine, workers=workers)
            seconds[name] = round(time.perf_counter() - started, 1)
            assert done.made == options.count, done
            lines = (Path(folder) / name / "manifest.jsonl").read_text().splitlines()
            sums[name] = [json.loads(line)["files"][0]["sha256"] for line in lines]
    equal = all(found == sums[options.engines[0]] for found in sums.values())
    report = {"count": options.count, "size": options.size, "seconds": seconds, "equal": equal}
    if {"one", "two"} <= set(seconds):
        report["speed_up"] = round(seconds["one"] / seconds["two"], 2)
    print(json.dumps(report))
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
