"""Fitted takes of signs, as tools/build_takes.py writes them: one npz of joint angles at 25 fps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stable_signer.body.fit import default_fitter, to_motion
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe.pairs import Take
from stable_signer.slul.glosses import Glossary

ERROR, TRACKED = 0.30, 0.6  # palm lengths, share of frames: takes worse than this teach nothing
SHORTEST = 4  # frames of a stroke


def read_takes(path: str | Path) -> Iterator[Take]:
    """The takes that were tracked well enough, in the file's order, under the glosses of the glossary.

    Raises StableSignerError when the file is missing or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as store:
            data = {k: store[k] for k in ("names", "spans", "facts", "dofs", "head", "face")}
    except (OSError, ValueError, KeyError) as error:
        raise StableSignerError(
            f"there are no fitted takes in {path} ({error}): make them with tools/build_takes.py"
        ) from error
    glosses = {e.clip: e.gloss for e in reversed(list(Glossary.load())) if e.clip}
    fitter, at = default_fitter(), 0
    for name, span, facts in zip(data["names"], data["spans"], data["facts"], strict=True):
        frames, first, last = (int(v) for v in span)
        rows = slice(at, at + frames)
        at += frames
        two, miss, tracked, _ = facts
        if miss > ERROR or tracked < TRACKED or last - first < SHORTEST or str(name) not in glosses:
            continue
        motion = to_motion(fitter, data["dofs"][rows], data["head"][rows], data["face"][rows])
        face = motion.face.astype(float)
        yield Take(str(name), glosses[str(name)], motion.quaternions, face, (first, last), bool(two))
