"""A thousand sentences made into motion, by the prior and by the experts: what could look or be wrong.

    python benchmarks/motion_sentences.py [--takes runs/takes/plain.npz] [--count 1000] [--json OUT.json]

Sentences: benchmarks/everyday.txt, then others from templates, seeded. For every sentence: how deep a hand is
in body or other hand at worst, the largest turn of a joint from frame to frame, jitter, the fastest joint and
wrist, whether everything is finite, and what it costs in processor time. With --takes the 5th and 95th
percentile of the same figures over real takes stand beside them. A cost is a time: compare the two rows of
one run, not with another machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from stable_signer.body.motion import Motion
from stable_signer.corpora.takes import read_takes
from stable_signer.metrics.motion import DESCRIBED, describe
from stable_signer.pipeline import StableSigner
from stable_signer.slul.plan import Plan
from stable_signer.slul.teacher import everyday

LIMIT = 5.0  # mm that a hand may be in body or other hand
JUMP = 60.0  # degrees between two frames at which a joint jumps: 26 rad/s, faster than real signers' joints


def sentences(count: int) -> list[str]:
    """`count` sentences: our own first, then others from templates."""
    own = (Path(__file__).parent / "everyday.txt").read_text(encoding="utf-8").splitlines()
    own = [line for line in own if line.strip()][:count]
    return own + list(everyday(count - len(own), seed=5))


def measure(make: Callable[[Plan], Motion], plans: list[Plan]) -> tuple[list[dict[str, float]], float]:
    """The figures of every plan's motion, and seconds of processor a second of motion."""
    rows, spent, lasted = [], 0.0, 0.0
    for k, plan in enumerate(plans):
        began = time.process_time()
        motion = make(plan)
        spent += time.process_time() - began
        lasted += motion.duration
        rows.append(describe(motion) | {"finite": float(np.isfinite(motion.rotations).all())})
        if 1000 * rows[-1]["inside_body"] > LIMIT:
            print(f"{1000 * rows[-1]['inside_body']:.0f} mm in the body: {plan.text}", flush=True)
        if k % 100 == 99:
            print(f"{k + 1} of {len(plans)}", flush=True)
    return rows, spent / lasted


def summary(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """5th, 50th and 95th percentile and the largest of every figure."""
    return {
        key: [
            float(v) for v in (*np.percentile([r[key] for r in rows], [5, 50, 95]), max(r[key] for r in rows))
        ]
        for key in DESCRIBED
    }


def main() -> None:
    """Measure, print the table, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--takes", type=Path, default=None)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    signers = {name: StableSigner.from_pretrained(motion=name) for name in ("prior", "moe")}
    plans = [signers["prior"].plan(text) for text in sentences(options.count)]
    out: dict[str, dict[str, object]] = {}
    if options.takes:
        rows = [
            describe(Motion.of_quaternions(t.q, t.face))
            for k, t in enumerate(read_takes(options.takes))
            if k % 3 == 0
        ]
        out["real takes"] = {"figures": summary(rows), "count": len(rows)}
    for name, signer in signers.items():
        signer.motion(plans[0])  # warm
        rows, cost = measure(signer.motion, plans)
        out[name] = {
            "figures": summary(rows),
            "count": len(rows),
            "processor_ms_a_second": 1000 * cost,
            "body_deeper_than_5_mm": sum(1000 * r["inside_body"] > LIMIT for r in rows),
            "hands_deeper_than_5_mm": sum(1000 * r["inside_hand"] > LIMIT for r in rows),
            "jumps": sum(r["largest_step_degrees"] > JUMP for r in rows),
            "not_finite": sum(r["finite"] < 1 for r in rows),
        }
    for name, row in out.items():
        print(f"\n{name}: " + ", ".join(f"{k} {v:.1f}" for k, v in row.items() if isinstance(v, int | float)))
        for key, (low, middle, high, most) in row["figures"].items():  # type: ignore[attr-defined]
            print(f"  {key:22s} 5% {low:8.3f}  50% {middle:8.3f}  95% {high:8.3f}  most {most:8.3f}")
    if options.json:
        part = options.json.with_name(options.json.name + ".part")
        part.write_text(json.dumps(out, indent=1), encoding="utf-8")
        part.replace(options.json)


if __name__ == "__main__":
    main()
