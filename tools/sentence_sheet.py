"""Contact sheets of sentences: one picture in the middle of each sign, prior and experts one above the other.

python tools/sentence_sheet.py --out sheet.png [--weights FILE] [--size 150] < sentences.txt
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from stable_signer.body.motion import Motion, joined
from stable_signer.body.skeleton import Body
from stable_signer.pipeline import StableSigner
from stable_signer.pose2vid.mesh import MeshRenderer
from stable_signer.pose2vid.signers import signer_card, style_card
from stable_signer.slp_moe.compose import Composer
from stable_signer.slp_moe.lexicon import Lexicon
from stable_signer.slp_moe.manner import mix
from stable_signer.slp_moe.model import SlpMoe
from stable_signer.slp_moe.perform import ExpertComposer
from stable_signer.slul.linker import Linker
from stable_signer.slul.plan import Plan
from stable_signer.slul.planner import load_reader

LABEL = 16  # pixels over each row


def pictures(renderer: MeshRenderer, motion: Motion, plan: Plan) -> list[np.ndarray]:
    """One (size, size, 3) picture in the middle of each sign."""
    at = [round((s.start + s.end) / 2 * motion.fps) for s in plan.signs if s.kind != "pause"]
    return [np.array(next(iter(renderer.frames(motion[k : k + 1])))) for k in at]


def main() -> int:
    """Draw the sheet of the sentences on standard input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--weights", type=Path, default=None, help="SLP-MoE weights, those that ship if not given"
    )
    parser.add_argument("--manner", default="neutral")
    parser.add_argument("--size", type=int, default=150)
    options = parser.parse_args()
    signer, lexicon = StableSigner.from_pretrained(), Lexicon.load()
    moe, linker = SlpMoe.load(options.weights), Linker(load_reader("ase"))
    renderer = MeshRenderer(Body.load(), signer_card("maya"), style_card("studio"), size=options.size)
    rows: list[tuple[str, list[np.ndarray]]] = []
    for text in filter(None, map(str.strip, sys.stdin)):
        plan = signer.plan(text)
        prior = Composer(plan, lexicon)
        experts = ExpertComposer(plan, lexicon, moe, linker, manner=mix(options.manner))
        label = f"{text}  =  {' '.join(s.gloss for s in plan.signs)}"
        rows.append((label, pictures(renderer, joined(prior.pieces()), prior.plan)))
        rows.append(("with the experts", pictures(renderer, joined(experts.pieces()), experts.plan)))
    width = max(len(p) for _, p in rows) * options.size
    sheet = Image.new("RGB", (width, len(rows) * (options.size + LABEL)), "white")
    draw = ImageDraw.Draw(sheet)
    for r, (label, row) in enumerate(rows):
        top = r * (options.size + LABEL)
        draw.text((2, top + 2), label, fill="black")
        for c, picture in enumerate(row):
            sheet.paste(Image.fromarray(picture), (c * options.size, top + LABEL))
    sheet.save(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
