"""The same batch by one process, by two, and by Ray: equal bytes, and how much faster two are.

    python benchmarks/batch_engines.py [--count 500] [--size 128] [--look mesh] [--fps 25]
        [--engines one two ray] [--kill] [--out FOLDER]

With --kill one worker of each engine but `one` is killed (SIGKILL) when a tenth of its videos are there.
With --out the videos stay in FOLDER/ENGINE, and the same command goes on where it was stopped; seconds
then count only what was made now. Prints one JSON object: seconds, what was made and kept, workers killed,
records lost or doubled, `speed_up` of two workers (without --kill), and `equal`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from stable_signer.batch import Item, run_batch

WORDS = ("book", "friend", "school", "water", "house", "dog", "teacher", "family", "food", "car")
FRAMES = ("I like the {}.", "Where is my {}?", "The {} is not here.", "Do you want a {}?", "My {} is blue.")
ENGINES = {"one": ("local", 1), "two": ("local", 2), "ray": ("ray", 2)}
WORKER = {"two": "spawn_main", "ray": "ray::Maker"}  # in the command line of an engine's workers


def descendants(process: int) -> set[int]:
    """The processes that `process` has started, and those that they have."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:  # it has ended meanwhile
                continue
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


def workers(mark: str) -> list[int]:
    """Worker processes of this benchmark's own, by the mark in their command line."""
    found = []
    for number in sorted(descendants(os.getpid())):
        try:
            if mark in Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace"):
                found.append(number)
        except OSError:
            continue
    return found


def killer(folder: Path, count: int, find: Callable[[], list[int]], killed: list[int]) -> threading.Thread:
    """Kill one worker when `count` videos more than now are there."""
    wanted = len(list(folder.glob("*.mp4"))) + count

    def work() -> None:
        while not done.is_set() and len(list(folder.glob("*.mp4"))) < wanted:
            time.sleep(0.1)
        for number in [] if done.is_set() else find()[:1]:
            os.kill(number, signal.SIGKILL)
            killed.append(number)

    done = threading.Event()
    thread = threading.Thread(target=work, daemon=True)
    thread.stop = done.set  # type: ignore[attr-defined]
    thread.start()
    return thread


def run(name: str, items: list[Item], folder: Path, kill: bool) -> dict[str, Any]:
    """One engine's run and what is to be said of it."""
    engine, count = ENGINES[name]
    killed: list[int] = []
    watch = None
    if kill and name in WORKER:
        watch = killer(folder, max(1, len(items) // 10), lambda: workers(WORKER[name]), killed)
    started = time.perf_counter()
    done = run_batch(items, folder, engine=engine, workers=count)
    seconds = round(time.perf_counter() - started, 1)
    if watch is not None:
        watch.stop()  # type: ignore[attr-defined]
        watch.join()
    records = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    names = [record["id"] for record in records]
    return {
        "seconds": seconds,
        "made": done.made,
        "kept": done.kept,
        "failed": done.failed,
        "killed": len(killed),
        "lost": len({item.id for item in items} - set(names)),
        "doubled": len(names) - len(set(names)),
        "sums": [record["files"][0]["sha256"] for record in records],
    }


def main() -> int:
    """Run the engines that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--look", default="mesh")
    parser.add_argument("--fps", type=float, default=25)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    items = [
        Item(f"s{i:05d}", FRAMES[i % 5].format(WORDS[i // 5 % 10]), seed=i,
             size=options.size, look=options.look, fps=options.fps)
        for i in range(options.count)
    ]  # fmt: skip
    with ExitStack() as stack:
        folder = options.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        told = {name: run(name, items, folder / name, options.kill) for name in options.engines}
    sums = [told[name].pop("sums") for name in options.engines]
    equal = all(found == sums[0] and len(found) == options.count for found in sums)
    report: dict[str, Any] = {"count": options.count, "size": options.size, "look": options.look,
                              "fps": options.fps, "engines": told, "equal": equal}  # fmt: skip
    if {"one", "two"} <= set(told) and not options.kill and not any(t["kept"] for t in told.values()):
        report["speed_up"] = round(told["one"]["seconds"] / told["two"]["seconds"], 2)
    print(json.dumps(report))
    whole = all(not (t["lost"] or t["doubled"] or t["failed"]) for t in told.values())
    return 0 if equal and whole else 1


if __name__ == "__main__":
    sys.exit(main())
