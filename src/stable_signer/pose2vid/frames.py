"""Training frames for Pose2Vid, rendered by worker processes into files that the training reads.

A pool holds runs of RUN consecutive frames (each but the first has its previous frame), at 512 x 512: the
figure over grey, its control maps and its appearance. Run k depends only on (motions, seed, k): a pool can be
filled by any number of processes, and goes on where it stopped.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from stable_signer.body.motion import FPS, Motion
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.control import CHANNELS, COVERAGE
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

    def fill(self, motions: str, seed: int, workers: int = 0) -> ProcessPoolExecutor:
        """Render what is missing in the background; returns the processes at work (shut them down)."""
        pool = ProcessPoolExecutor(workers or os.cpu_count() or 1, mp_context=get_context("spawn"))
        for sitting in range(0, self.runs, RUNS_A_SITTING):
            if not self.ready[sitting : sitting + RUNS_A_SITTING].all():
                order = (str(self.folder), self.runs, motions, seed, sitting)
                self.work.append(pool.submit(render_sitting, *order))
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


def render_sitting(folder: str, runs: int, motions: str, seed: int, first: int) -> None:
    """Render runs `first` to `first + RUNS_A_SITTING` of a pool, all of one appearance."""
    import torch

    from stable_signer.body.skeleton import Body

    torch.set_num_threads(1)
    pool, takes = FramePool(Path(folder), runs), Motions.load(motions)
    rng = np.random.default_rng([seed, first, 1])
    appearance = appearance_of(seed, first)
    studio = Studio(Body.load(), appearance, SIZE)
    wall = studio.renderer.wall().astype(np.float32)
    spans = takes.part(held_out=False)
    for run in range(first, min(first + RUNS_A_SITTING, runs)):
        begin, end = spans[int(rng.integers(len(spans)))]
        start = int(rng.integers(begin, max(end - RUN, begin) + 1))
        for k, (picture, maps) in enumerate(studio.frames(takes.piece(start, start + RUN))):
            row = run * RUN + k
            pool.picture[row], pool.maps[row] = over_grey(picture, maps, wall), maps
            pool.vector[row] = appearance.vector()
        pool.ready[run] = 1


def over_grey(picture: np.ndarray, maps: np.ndarray, wall: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 before a wall (H, W, 3) -> the same before grey, uint8."""
    bare = 1 - maps[COVERAGE].astype(np.float32)[..., None] / 255
    return np.clip(picture + bare * (127.5 - wall) + 0.5, 0, 255).astype(np.uint8)
