"""How fast the diffusion look draws, beside the mesh look, in one run.

    python benchmarks/pose2vid_speed.py [--sizes 256 512] [--frames 75] [--rounds 3] [--json speed.json]

Each round draws the same motion with every renderer in turn and encodes it to mp4; the best of the rounds is
shown, warm, in frames a second. Rows: mesh; diffusion in real time (a latent for two frames), with a latent
for every frame, and with two steps. torch computes with one thread, as in the product: what runs at once are
frames, not sums. On a busy machine the figures mean nothing: the load before is printed with them.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stable_signer import StableSigner
from stable_signer.body.skeleton import Body
from stable_signer.media.video import write_video
from stable_signer.pose2vid.diffusion import HOLD, DiffusionRenderer
from stable_signer.pose2vid.mesh import MeshRenderer
from stable_signer.pose2vid.signers import SIGNERS, STYLES
from stable_signer.pose2vid.studio import Appearance
from stable_signer.slul.runs import has_bf16

SENTENCE = "Yesterday my sister bought two books for her new school."


def rate(frames: Iterable[np.ndarray], count: int, size: int, folder: Path) -> float:
    """Frames a second, drawn and encoded."""
    start = time.perf_counter()
    write_video(folder / "speed.mp4", frames, size=size, fps=25.0)
    return count / (time.perf_counter() - start)


def main() -> None:
    """Measure, print a table, write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    torch.set_num_threads(1)
    signer = StableSigner.from_pretrained(motion="prior")
    motion = signer.motion(signer.plan(SENTENCE))[: options.frames]
    body, card, style = Body.load(), SIGNERS["maya"], STYLES["studio"]
    appearance = Appearance(card, style)
    found: dict[str, Any] = {"cores": os.cpu_count(), "load_before": load, "bf16": has_bf16(), "rows": {}}
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            rows = {
                "mesh": MeshRenderer(body, card, style, size),
                f"diffusion, a latent for {HOLD} frames": DiffusionRenderer(body, appearance, size),
                "diffusion, a latent a frame": DiffusionRenderer(body, appearance, size, hold=1),
                "diffusion, 2 steps a frame": DiffusionRenderer(body, appearance, size, hold=1, steps=2),
            }
            best = dict.fromkeys(rows, 0.0)
            for _ in range(options.rounds):
                for name, renderer in rows.items():
                    frames = renderer.frames(motion)
                    best[name] = max(best[name], rate(frames, len(motion), size, Path(folder)))
            found["rows"][size] = best
            for name, value in best.items():
                print(f"{size:>4}  {name:<36}{value:6.1f} frames a second, {value / 25:.2f} x real time")
    print(f"{found['cores']} cores, load before {load:.2f}, bf16 {'yes' if found['bf16'] else 'no'}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
