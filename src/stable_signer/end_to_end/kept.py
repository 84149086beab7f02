"""What a run has made already: motions in its folder, each under a key of all that decides it.

A key is a digest of the text, the system with its settings, its version and the weights, so that a folder in
which an older program worked does no harm: what that made lies under other keys. Edits of the source between
two releases are not seen; whoever makes them takes a new folder.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from stable_signer.body.motion import Motion
from stable_signer.errors import StableSignerError
from stable_signer.media.files import Outputs

JUDGES = ("recogniser", "backtranslation", "pose2vid", "slul-gsg", "handshape.")
"""Weights that make no motion."""


@dataclass(frozen=True, eq=False)
class Signed:
    """What a system made of a sentence: its motion, and the frames (first, last excluded) of each gloss.

    error: why there is nothing, empty if there is. found: `redetection.found`, where a video was read.
    """

    motion: Motion
    signs: tuple[tuple[str, int, int], ...]
    error: str = ""
    found: Mapping[str, float] = field(default_factory=dict)


def key(*parts: Any) -> str:
    """A short digest of things that JSON can write."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@cache
def weights_mark() -> str:
    """A digest of the weights in the package that decide a motion."""
    digest = hashlib.sha256()
    for file in sorted(resources.files("stable_signer.weights").iterdir(), key=lambda f: f.name):
        if not file.name.startswith((*JUDGES, "_")) and not file.name.endswith(".md"):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def motion_mark(motion: Motion) -> str:
    """A digest of a motion, frame for frame."""
    digest = hashlib.sha256(repr(motion.fps).encode())
    for part in (motion.rotations, motion.face, motion.root):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]


def keep(path: Path, made: Signed) -> None:
    """Write what was made; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = json.dumps({"signs": made.signs, "error": made.error, "found": dict(made.found)})
    m = made.motion
    with Outputs() as outputs, outputs.claim(path).open("wb") as file:
        np.savez_compressed(
            file, rotations=m.rotations, face=m.face, root=m.root, fps=np.float64(m.fps), told=np.array(told)
        )


def kept(path: Path) -> Signed:
    """Read it again. Raises StableSignerError for a damaged file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            motion = Motion(file["rotations"], file["face"], file["root"], float(file["fps"]))
            told = json.loads(str(file["told"]))
        signs = tuple((str(g), int(a), int(b)) for g, a, b in told["signs"])
        return Signed(motion, signs, str(told["error"]), told["found"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise StableSignerError(f"the result {path} is damaged: delete it, and the run goes on") from error
