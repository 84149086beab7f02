"""Training frames for Pose2Vid, rendered by worker processes into files that the training reads.

A pool holds runs of RUN consecutive frames (each but the first has its previous frame), at 512 x 512: the
figure over grey, its control maps and its appearance. Run k depends only on `MadeOf` and k: a pool can be
filled by any number of processes, and goes on where it stopped. `pool.json` says what a pool is made of, so
that frames of other motions, of another seed or through other lenses are not taken for those asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from stable_signer.body.motion import FPS, Motion
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.control import CHANNELS
from stable_signer.pose2vid.lens import Lens, Lenses
from stable_signer.pose2vid.signers import SIGNERS, STYLES
from stable_signer.pose2vid.studio import RENDERINGS, VECTOR, Appearance, Studio, random_appearance

SIZE = 512
RUN = 4  # consecutive frames
RUNS_A_SITTING = 5  # runs of one appearance: dressing a figure costs as much as six frames
HELD_OUT = 0.1  # the last of the motions are never trained on


@dataclass(frozen=True)
class Motions:
    """Takes of one skeleton one after the other: rotations (T, J, 6), face (T, 52), root (T, 3) and offsets
    (N + 1,) that cut the takes."""

    rotations: np.ndarray
    face: np.ndarray
    root: np.ndarray
    offsets: np.ndarray

    @staticmethod
    def load(path: str | Path) -> Motions:
        """From the .npz of `tools/build_motions.py`. Raises StableSignerError when it is none."""
        try:
            with np.load(path, allow_pickle=False) as data:
                return Motions(*(data[key] for key in ("rotations", "face", "root", "offsets")))
        except (OSError, KeyError, ValueError) as error:
            raise StableSignerError(
                f"{path} holds no motions ({error}): make it with tools/build_motions.py"
            ) from error

    def part(self, held_out: bool) -> list[tuple[int, int]]:
        """First frame and end of the takes to train on, or of the held-out ones."""
        takes = [(int(a), int(b)) for a, b in zip(self.offsets[:-1], self.offsets[1:])]
        if len(takes) < 2:
            raise StableSignerError("one take is too few to hold any out: give at least two sentences")
        cut = min(round(len(takes) * (1 - HELD_OUT)), len(takes) - 1)
        return takes[cut:] if held_out else takes[:cut]

    def piece(self, first: int, end: int) -> Motion:
        """Frames `first` to `end` (excluded)."""
        rotations, face, root = (
            a[first:end].astype(np.float32) for a in (self.rotations, self.face, self.root)
        )
        return Motion(rotations, face, root, fps=FPS)


@dataclass(frozen=True)
class MadeOf:
    """What a pool is made of: the file of motions, the seed, how many runs, and among which lenses."""

    motions: str
    seed: int
    runs: int
    lenses: Lenses

    def told(self) -> dict[str, object]:
        """For `pool.json`; the motions by their content, wherever they lie."""
        with open(self.motions, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        return {"motions": content, "seed": self.seed, "runs": self.runs, **asdict(self.lenses)}

    def claim(self, folder: Path) -> None:
        """Write `pool.json`, whole or not at all, into a folder without a pool. Raises StableSignerError, and
        writes nothing, where there is one that is made of something else or does not say of what."""
        told, path = self.told(), folder / "pool.json"
        if path.exists():
            try:
                there = dict(json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError) as error:
                raise StableSignerError(f"{path} cannot be read: give another --pool folder") from error
            other = [key for key in told | there if told.get(key) != there.get(key)]
            if other:
                raise StableSignerError(
                    f"the frames in {folder} were made with other {', '.join(other)}: "
                    "give another --pool folder"
                )
        elif any((folder / f"{name}.bin").exists() for name in FILES):
            raise StableSignerError(
                f"{folder} holds frames but no pool.json that says what they are made of: "
                "give another --pool folder"
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / "pool.json.part"
            part.write_text(json.dumps(told, indent=1), encoding="utf-8")
            part.replace(path)


FILES = ("picture", "maps", "vector", "ready")


class FramePool:
    """The files of a pool: `ready` says which runs are there."""

    def __init__(self, folder: Path, runs: int) -> None:
        self.folder, self.runs = folder, runs
        folder.mkdir(parents=True, exist_ok=True)
        count = runs * RUN
        self.picture = self._open("picture", (count, SIZE, SIZE, 3), np.uint8)
        self.maps = self._open("maps", (count, CHANNELS, SIZE, SIZE), np.uint8)
        self.vector = self._open("vector", (count, VECTOR), np.float32)
        self.ready = self._open("ready", (runs,), np.uint8)
        self.work: list[Future[None]] = []

    def _open(self, name: str, shape: tuple[int, ...], dtype: type) -> np.memmap:
        path = self.folder / f"{name}.bin"
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if not path.exists():
            with open(path, "wb") as file:
                file.truncate(size)
        if path.stat().st_size != size:
            raise StableSignerError(f"{path} is of a pool of another size: give another folder")
        return np.memmap(path, dtype, "r+", shape=shape)

    def fill(self, made_of: MadeOf, workers: int = 0) -> ProcessPoolExecutor:
        """Render what is missing in the background; returns the processes at work (shut them down)."""
        pool = ProcessPoolExecutor(workers or os.cpu_count() or 1, mp_context=get_context("spawn"))
        for sitting in range(0, self.runs, RUNS_A_SITTING):
            if not self.ready[sitting : sitting + RUNS_A_SITTING].all():
                self.work.append(pool.submit(render_sitting, str(self.folder), made_of, sitting))
        return pool

    def check(self) -> None:
        """Raise what rendering raised: else one would wait for its frames for ever."""
        for future in self.work:
            if future.done():
                future.result()


def appearance_of(seed: int, number: int) -> Appearance:
    """Who sits for the runs from `number` on; the shipped signers, styles and renderings come round first."""
    index = number // RUNS_A_SITTING
    if index % 2 == 0:  # every second sitting: one of the shipped ones, all in turn
        turn = index // 2
        signers, styles, renderings = list(SIGNERS.values()), list(STYLES.values()), list(RENDERINGS)
        return Appearance(
            signers[turn % len(signers)],
            styles[turn // len(signers) % len(styles)],
            renderings[(turn + turn // len(signers)) % len(renderings)],
        )
    return random_appearance(np.random.default_rng([seed, number]))


def lens_of(seed: int, number: int, lenses: Lenses) -> Lens:
    """Through which lens the runs from `number` on are seen."""
    return lenses.draw(np.random.default_rng([seed, number, 2]))


def render_sitting(folder: str, made_of: MadeOf, first: int) -> None:
    """Render runs `first` to `first + RUNS_A_SITTING` of a pool, all of one appearance
    through one lens."""
    import torch

    from stable_signer.body.skeleton import Body

    torch.set_num_threads(1)
    seed, runs = made_of.seed, made_of.runs
    pool, takes = FramePool(Path(folder), runs), Motions.load(made_of.motions)
    rng = np.random.default_rng([seed, first, 1])
    appearance = appearance_of(seed, first)
    studio = Studio(Body.load(), appearance, SIZE, lens_of(seed, first, made_of.lenses))
    spans = takes.part(held_out=False)
    for run in range(first, min(first + RUNS_A_SITTING, runs)):
        begin, end = spans[int(rng.integers(len(spans)))]
        start = int(rng.integers(begin, max(end - RUN, begin) + 1))
        before, after = min(start - begin, 1), max(min(end - start - RUN, 1), 0)  # an open shutter sees these
        piece = takes.piece(start - before, start + RUN + after)
        for k, shot in enumerate(studio.shots(piece, before, before + RUN)):
            row = run * RUN + k
            pool.picture[row], pool.maps[row] = shot.figure, shot.maps
            pool.vector[row] = appearance.vector()
        pool.ready[run] = 1
