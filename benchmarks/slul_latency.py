"""How long SLUL takes for ten words, warm, one sentence at a time, and how much memory.

python benchmarks/slul_latency.py [--threads 2]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import torch

from stable_signer.slul.decode import GlossTrie
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.planner import SlulPlanner, german, load_reader

ENGLISH = "My old friend will buy two red cars next year."
GERMAN = "im norden regnet es morgen und im süden scheint sonne"


def median_ms(call: Callable[[], object], count: int = 40) -> float:
    """Median of `count` calls after five that warm up, in milliseconds."""
    times = []
    for number in range(count + 5):
        began = time.perf_counter()
        call()
        if number >= 5:
            times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def main() -> None:
    """Print the medians and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    planner = SlulPlanner(Glossary.load())
    reader = load_reader("gsg")
    trie = GlossTrie(reader.vocabulary, reader.vocabulary.glosses)
    print(f"ASL plan of ten words: {median_ms(lambda: planner.draft(ENGLISH)):.1f} ms")
    print(f"DGS glosses of ten words: {median_ms(lambda: german(reader, GERMAN, trie)):.1f} ms")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
