"""Fit whole clips, from before the sign to after it: what `stable-signer train moe` learns from.

    python tools/build_takes.py --data DIR --out runs/takes

The lexicon keeps only strokes, and draws the fingers to the handshape that ASL-LEX names. To learn how people
move, and to judge it, we need takes with the way to the sign and back, as seen: so each clip is fitted twice,
`plain` (nothing known but the landmarks) and `known` (with the handshape and contact of ASL-LEX). Written is
one npz a kind with joint angles of `body.fit.LIMB_DOFS` at 25 fps; never commit it.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from build_lexicon import phonology, wanted_clips
from stable_signer.body import fit
from stable_signer.body.fit import Fitter, Targets, default_fitter
from stable_signer.corpora.landmarks import one_or_two, right_dominant
from stable_signer.errors import StableSignerError

AROUND = 18  # frames kept before and after the stroke
BATCH = 80


def prepare(data: Path, clip: str, fitter: Fitter) -> tuple[Targets, slice, bool]:
    """A clip's targets from `AROUND` before the stroke to after it, the stroke within them, and whether it
    was mirrored."""
    _, targets, flip = right_dominant(data, clip, fitter)
    stroke = fit.stroke(targets)
    low, high = max(stroke.start - AROUND, 0), min(stroke.stop + AROUND, len(targets))
    two = one_or_two(targets.cut(stroke))
    targets.sides[1].raised[:] &= bool(two.sides[1].raised.any())
    return targets.cut(slice(low, high)), slice(stroke.start - low, stroke.stop - low), flip


def build(data: Path, out: Path, known: bool, fitter: Fitter) -> None:
    """Fit all clips of one kind and write them."""
    rows: dict[str, list[np.ndarray]] = {k: [] for k in ("dofs", "head", "face", "tracked", "raised")}
    names, spans, facts = [], [], []
    clips = wanted_clips()
    began = time.perf_counter()
    for b in range(0, len(clips), BATCH):
        batch = []
        for clip in clips[b : b + BATCH]:
            try:
                targets, stroke, flip = prepare(data, clip, fitter)
            except StableSignerError as error:
                print(f"left out {clip}: {error}", file=sys.stderr)
                continue
            facts_of = phonology(data).get(clip) if known else None
            targets = replace(
                targets,
                touches=facts_of.touches if facts_of else None,
                handshapes=facts_of.handshapes(fitter) if facts_of else (None, None),
            )
            batch.append((clip, targets, stroke, flip))
        for (clip, _, stroke, flip), r in zip(batch, fit.fit_many(fitter, [t for _, t, _, _ in batch])):
            active = r.raised[stroke].any(0)
            errors, found = r.side_errors[stroke][:, active], r.tracked[stroke][:, active]
            error = float(np.nanmedian(errors)) if np.isfinite(errors).any() else 9.0
            names.append(clip)
            spans.append((len(r.dofs), stroke.start, stroke.stop))
            facts.append(
                (float(active.all()), error, float(found.mean()) if found.size else 0.0, float(flip))
            )
            for key, value in (
                ("dofs", r.dofs),
                ("head", r.head),
                ("face", r.face),
                ("tracked", r.tracked),
                ("raised", r.raised),
            ):
                rows[key].append(value)
        print(
            f"{min(b + BATCH, len(clips))}/{len(clips)} clips, {time.perf_counter() - began:.0f} s",
            flush=True,
        )
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{'known' if known else 'plain'}.npz"
    part = out / f"part-{file.name}"
    np.savez_compressed(
        part,
        names=np.array(names),
        spans=np.array(spans),
        facts=np.array(facts, np.float32),
        **{
            k: np.concatenate(v).astype(bool if k in ("tracked", "raised") else np.float32)
            for k, v in rows.items()
        },
    )
    part.rename(file)


def main() -> int:
    """Fit and write both kinds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/takes"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    fitter = default_fitter()
    for known in (True, False):
        build(options.data, options.out, known, fitter)
    return 0


if __name__ == "__main__":
    sys.exit(main())
