"""Contact sheets: signs of the lexicon beside the landmarks that they were fitted to.

    python tools/contact_sheet.py --data DIR --out sheet.png HELLO BOOK WATER
    python tools/contact_sheet.py --out sheet.png HELLO BOOK WATER          (without the landmarks)

DIR is the folder of `wlasl_holistic.npz`. Each sign takes two rows: above what was tracked (right side of the
signer red, left blue), below the rendered signer, in eight moments of the stroke. Without DIR only the signer
is drawn.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from build_lexicon import stroke_landmarks  # beside this file
from stable_signer.body.fit import Landmarks
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.pose2vid.mesh import MeshRenderer
from stable_signer.pose2vid.signers import signer_card, style_card
from stable_signer.slp_moe.lexicon import Lexicon

COLUMNS = 8
_FINGERS = [(0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (5, 9, 10, 11, 12), (9, 13, 14, 15, 16), (13, 17, 18, 19, 20),
            (0, 17)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the sheet that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glosses", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--size", type=int, default=176)
    options = parser.parse_args(arguments)
    lexicon = Lexicon.load()
    renderer = Renderer(options.size)
    rows = []
    for gloss in options.glosses:
        proto = lexicon.prototype(gloss)
        marks = None
        if options.data is not None and proto.clip:
            marks = stroke_landmarks(options.data, proto.clip)
        label = f"{gloss}  {proto.duration:.2f} s\nerr {proto.error:.2f} trk {proto.tracked:.2f}"
        rows.append((label + ("\napprox" if proto.approximate else ""), marks, proto.motion))
    sheet(rows, renderer).save(options.out)
    return 0


class Renderer:
    """Small pictures of a motion's frames."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.body = Body.load()
        self.mesh = MeshRenderer(self.body, signer_card("maya"), style_card("studio"), size)

    def __call__(self, motion: Motion, frames: Sequence[int]) -> list[Image.Image]:
        picked = Motion(motion.rotations[list(frames)], motion.face[list(frames)], motion.root[list(frames)])
        return [Image.fromarray(f) for f in self.mesh.frames(picked)]


def sheet(rows: list[tuple[str, Landmarks | None, Motion]], renderer: Renderer) -> Image.Image:
    """One picture of all rows: (label, landmarks over the same time or None, motion)."""
    size = renderer.size
    tall = [2 if marks is not None else 1 for _, marks, _ in rows]
    image = Image.new("RGB", (110 + COLUMNS * size, sum(tall) * size), "black")
    draw = ImageDraw.Draw(image)
    y = 0
    for label, marks, motion in rows:
        draw.multiline_text((4, y + 8), label, fill="white")
        moments = np.linspace(0, 1, COLUMNS)
        if marks is not None:
            for k, t in enumerate(moments):
                picture = draw_landmarks(marks, round(t * (len(marks) - 1)), size)
                image.paste(picture, (110 + k * size, y))
            y += size
        frames = [round(t * (len(motion) - 1)) for t in moments]
        for k, picture in enumerate(renderer(motion, frames)):
            image.paste(picture, (110 + k * size, y))
        y += size
    return image


def draw_landmarks(marks: Landmarks, frame: int, size: int) -> Image.Image:
    """A stick drawing of one frame, framed like the rendered signer."""
    image = Image.new("RGB", (size, size), (245, 245, 240))
    draw = ImageDraw.Draw(image)
    shoulders = marks.pose[:, [11, 12], :2]
    centre = np.nanmedian(shoulders.mean(1), axis=0)
    width = np.nanmedian(np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1))
    scale = size * 0.27 / width

    def at(point: np.ndarray) -> tuple[float, float] | None:
        x, y = (point[:2] - centre) * scale + (size * 0.5, size * 0.5)
        return (float(x), float(y)) if np.isfinite([x, y]).all() else None

    def line(points: Sequence[np.ndarray], colour: object, thick: int = 1) -> None:
        for a, b in pairwise(points):
            p, q = at(a), at(b)
            if p and q:
                draw.line([p, q], fill=colour, width=thick)  # type: ignore[arg-type]

    pose = marks.pose[frame]
    line([pose[12], pose[11]], (120, 120, 120), 2)
    line([pose[12], pose[14], pose[16]], (200, 120, 120), 2)
    line([pose[11], pose[13], pose[15]], (120, 120, 200), 2)
    for point in marks.face[frame]:
        p = at(point)
        if p:
            draw.ellipse([p[0] - 1, p[1] - 1, p[0] + 1, p[1] + 1], fill=(80, 80, 80))
    for hand, colour in ((marks.right_hand[frame], (200, 0, 0)), (marks.left_hand[frame], (0, 0, 200))):
        for finger, chain in enumerate(_FINGERS):
            shade = tuple(min(255, c + 28 * finger) for c in colour)
            line([hand[i] for i in chain], shade, 2)
    return image


if __name__ == "__main__":
    sys.exit(main())
