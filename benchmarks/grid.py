"""Contact sheets to look at: every signer in every rendering with six handshapes, at full size, and the same
hands enlarged.

    python benchmarks/grid.py runs/grid                     mesh, soft, cartoon and line
    python benchmarks/grid.py runs/grid --looks diffusion   Pose2Vid in its four renderings

Writes for each look (and rendering) one sheet of the whole pictures (`LOOK.png`), one row a signer, and one
of the right hand's surroundings, cut from the picture at 512 and enlarged (`LOOK-hands.png`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.media.posefile import hand_pixels
from stable_signer.pose2vid.signers import SIGNERS, STYLES, SignerCard
from stable_signer.pose2vid.studio import RENDERINGS, Appearance, StudioRenderer
from stable_signer.slp_moe.lexicon import Lexicon

GLOSSES = {"flat": "HELLO", "1": "THINK", "fist": "YES", "y": "PHONE", "f": "CAT", "5": "MOTHER"}
SIZE, CELL, HAND = 512, 256, 176  # pixels: drawn, shown whole, shown of a hand


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the sheets that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--looks", nargs="+", default=["mesh", "soft", "cartoon", "line"],
                        choices=["mesh", "soft", "cartoon", "line", "diffusion"])
    parser.add_argument("--signers", nargs="+", default=list(SIGNERS), choices=list(SIGNERS))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    moments = poses(Lexicon.load())
    for look in options.looks:
        for rendering in RENDERINGS if look == "diffusion" else [look]:
            name = f"diffusion-{rendering}" if look == "diffusion" else look
            rows = [list(drawn(SIGNERS[s], name, moments)) for s in options.signers]
            sheet(rows, CELL).save(options.output / f"{name}.png")
            hands = [[hand(picture, SIGNERS[s], moments, k) for k, picture in enumerate(row)]
                     for s, row in zip(options.signers, rows)]
            sheet(hands, HAND).save(options.output / f"{name}-hands.png")
    return 0


def poses(lexicon: Lexicon) -> Motion:
    """One frame a handshape, from the middle of a sign."""
    takes = [lexicon.prototype(gloss).motion for gloss in GLOSSES.values()]
    return Motion(*(np.concatenate([getattr(t, part)[len(t) // 2 :][:1] for t in takes])
                    for part in ("rotations", "face", "root")))


def drawn(card: SignerCard, look: str, moments: Motion) -> Iterator[np.ndarray]:
    """Every moment as a picture; each on its own, so that none is the frame before another."""
    body, style = Body.load(), STYLES["studio"]
    if look.startswith("diffusion-"):
        from stable_signer.pose2vid.diffusion import DiffusionRenderer

        renderer = DiffusionRenderer(body, Appearance(card, style, look.removeprefix("diffusion-")), SIZE)
        for k in range(len(moments)):
            yield from renderer.frames(moments[k : k + 1])
        return
    rendering = "natural" if look == "mesh" else look
    yield from StudioRenderer(body, Appearance(card, style, rendering), SIZE).frames(moments)


def hand(picture: np.ndarray, card: SignerCard, moments: Motion, k: int) -> np.ndarray:
    """The surroundings of the right hand, enlarged."""
    points = hand_pixels(moments[k : k + 1], Body.load(), card.id, SIZE)[0, 1]
    half = max(float(np.ptp(points, axis=0).max()) * 0.75, 40.0)
    x, y = (float(np.clip(c, half, SIZE - half)) for c in (points.min(0) + points.max(0)) / 2)
    crop = Image.fromarray(picture).crop((int(x - half), int(y - half), int(x + half), int(y + half)))
    return np.asarray(crop.resize((2 * HAND, 2 * HAND), Image.Resampling.LANCZOS))


def sheet(rows: list[list[np.ndarray]], cell: int) -> Image.Image:
    """Pictures side by side, each `cell` pixels a side."""
    image = Image.new("RGB", (cell * len(rows[0]), cell * len(rows)))
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            image.paste(Image.fromarray(picture).resize((cell, cell), Image.Resampling.LANCZOS),
                        (x * cell, y * cell))
    return image


if __name__ == "__main__":
    sys.exit(main())
