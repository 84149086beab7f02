"""Runs spoken-to-signed 0.4.0 in its own environment: this file is given to that environment's Python.

    python rival_driver.py gloss|pose < requests.jsonl > answers.jsonl

gloss: {"text"} -> {"tokens": [[word, gloss], …]}. pose: {"text", "lexicon", "out"} -> {"tokens", "spans",
"fps", "coverage", "seconds"}: what its command `text_to_gloss_to_pose --glosser simple` does, with the same
functions, and where each token's sign lies in the result (frames, first included, last not), read off the
joins that it makes. Nothing of what it does is changed. Imports nothing of stable_signer.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from typing import Any


def glosses(text: str) -> Any:
    """Its glosser that needs no model from the network."""
    from spoken_to_signed.bin import _text_to_gloss

    return _text_to_gloss(text, "en", "simple", signed_language="ase")


def pose(text: str, lexicon: str, out: str) -> dict[str, Any]:
    """Make one sentence's pose file."""
    from spoken_to_signed import bin as commands
    from spoken_to_signed.gloss_to_pose import smoothing

    joins: list[tuple[int, int, int]] = []  # length of the earlier sign; where it ends; where the next begins
    last = [0]
    find = smoothing.find_best_connection_point

    def noted(first: Any, second: Any, *more: Any, **named: Any) -> Any:
        end, start = find(first, second, *more, **named)
        if threading.current_thread() is threading.main_thread():  # spelled words are joined in others
            joins.append((len(first.body.data), int(end), int(start)))
            last[0] = len(second.body.data)
        return end, start

    smoothing.find_best_connection_point = noted
    began = time.perf_counter()
    try:
        result, coverage = commands._gloss_to_pose(glosses(text), lexicon, "en", "ase")
    finally:
        smoothing.find_best_connection_point = find
    seconds = time.perf_counter() - began
    with open(out, "wb") as file:
        result.pose.write(file)
    tokens = [t for sentence in coverage for t in sentence]
    frames = len(result.pose.body.data)
    return {
        "tokens": [[t.word, t.gloss, t.coverage.value] for t in tokens],
        "spans": spans(joins, last[0] or frames, int(0.07 * result.pose.body.fps), frames),
        "fps": float(result.pose.body.fps),
        "seconds": seconds,
    }


def spans(joins: list[tuple[int, int, int]], last: int, padding: int, frames: int) -> list[list[int]]:
    """Where each sign lies after its joins: it cuts the ends off where they fit best and pads in between.

    An earlier sign is cut from its front before it is joined to the next, so every length is what is left of
    it at that moment. `joins` has (length, end, next start) of each join, and `last` the last sign's length.
    """
    out, at, start = [], 0, 0
    for _, end, following in joins:
        out.append([at, at + end - start])
        at += end - start + padding
        start = following
    out.append([at, at + last - start])
    return [[min(a, frames), min(max(b, a + 1), frames)] for a, b in out]


def main() -> int:
    """Answer every line; a request that fails is answered with its error."""
    kind = sys.argv[1]
    for line in sys.stdin:
        request = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr):  # it reports its progress there
            try:
                answer = (
                    {"tokens": [[t.word, t.gloss] for s in glosses(request["text"]) for t in s]}
                    if kind == "gloss"
                    else pose(request["text"], request["lexicon"], request["out"])
                )
            except Exception as error:  # noqa: BLE001 - whatever fails over there is a result to report
                answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
