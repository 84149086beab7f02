"""The diffusion look: Pose2Vid's networks draw the signer from control maps.

Only the figure is drawn, within the cells that it touches: it is laid over the style's wall by its coverage,
which is exact at full size. At 512 the networks draw at 256 and the upsampler adds what the full-size maps
know. A latent serves HOLD frames in real time: it carries light and look, and where the fingers are the
decoder is told anew in every frame.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stable_signer.body.kernels import kernel
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.pose2vid.autoencoder import (
    CELL,
    FACTOR,
    coverage,
    over_grey,
    unit_cells,
    unlit,
    unlit_over_grey,
)
from stable_signer.pose2vid.control import (
    COVERAGE,
    ControlFigure,
    cells_into,
    controls,
    halve_into,
    posed_frames,
)
from stable_signer.pose2vid.framing import NETWORK_SIZES, check_network_size
from stable_signer.pose2vid.mesh import ahead
from stable_signer.pose2vid.sampler import Pose2Vid
from stable_signer.pose2vid.studio import Appearance, StudioRenderer
from stable_signer.slul.runs import best_device, has_bf16

CAREFUL = 20  # steps of a frame in high quality
HOLD = 2  # frames that one latent serves
BLOCK = 4  # cells: what is drawn is a rectangle of blocks, so that there are few shapes to compile for


@lru_cache(maxsize=1)
def shipped() -> Pose2Vid:
    """The networks in the package. Raises StableSignerError where they are not."""
    with resources.as_file(resources.files("stable_signer") / "weights") as folder:
        return fast(Pose2Vid.from_pretrained(Path(folder)))


def fast(model: Pose2Vid) -> Pose2Vid:
    """The same on the `best_device`, laid out as convolutions like it. Where the device has bf16, decoder and
    upsampler use it (half their time); the denoiser, of many small layers, would not gain."""
    device = best_device()
    model.eval().requires_grad_(False)
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if has_bf16(device):
        for part in (model.autoencoder.decoder, model.upsampler):
            nn.Module.to(part, torch.bfloat16)  # diffusers' own warns of layers that we do not have
    return model


@dataclass(frozen=True)
class Told:
    """What the networks are told of a frame: the rectangle of latent cells (top, bottom, left, right) that
    the figure touches (all 0 where nobody is); its control maps within it, (1, C, h, w) uint8, at full size
    and at that of the networks; and the `unit_cells` of both, in the precision of the decoder."""

    cells: tuple[int, int, int, int]
    maps: Tensor
    small: Tensor
    map_cells: Tensor
    small_cells: Tensor

    @staticmethod
    def of(maps: np.ndarray, precision: torch.dtype = torch.float32) -> Told:
        """From maps (C, S, S) uint8."""
        full = maps.shape[1] // NETWORK_SIZES[0]
        small = maps
        if full != 1:
            small = np.empty((len(maps), NETWORK_SIZES[0], NETWORK_SIZES[0]), np.uint8)
            halve_into(maps, small)
        seen = small[COVERAGE] > 0
        bounds = [*_blocks(seen.any(1)), *_blocks(seen.any(0))]
        top, bottom, left, right = (BLOCK * b for b in bounds)
        cells = (top, bottom, left, right)
        small = small[_area(cells, FACTOR)[1:]]
        small_cells = _cells(small, precision)
        if full == 1:
            return Told(cells, _batch(small), _batch(small), small_cells, small_cells)
        maps = maps[_area(cells, FACTOR * full)[1:]]
        return Told(cells, _batch(maps), _batch(small), _cells(maps, precision), small_cells)

    @property
    def nobody(self) -> bool:
        """Whether the figure is out of the picture."""
        return self.cells[1] == 0


def _batch(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array)[None]


@lru_cache
def _values(precision: torch.dtype) -> np.ndarray:
    """(256,) `unit_cells` of every byte; numpy has no bf16: its bits."""
    values = unit_cells(torch.arange(256)).to(precision)
    return values.numpy() if precision == torch.float32 else values.view(torch.int16).numpy()


def _cells(maps: np.ndarray, precision: torch.dtype) -> Tensor:
    """Maps (C, H, W) uint8 -> the `unit_cells` of their `map_cells` (1, CELL, H/4, W/4)."""
    values = _values(precision)
    out = np.empty((maps.shape[1] // 4, maps.shape[2] // 4, CELL), values.dtype)
    cells_into(maps, values, out)
    return _batch(out).view(precision).permute(0, 3, 1, 2)


def _blocks(seen: np.ndarray) -> tuple[int, int]:
    """First block and end of what is seen in a line (256,) bool."""
    where = np.flatnonzero(seen)
    if not len(where):
        return 0, 0
    side = BLOCK * FACTOR
    return int(where[0]) // side, int(where[-1]) // side + 1


@dataclass(frozen=True)
class Held:
    """A latent (1, L, 32, 32), 0 outside the cells in which it was drawn, and how many frames it serves by
    now."""

    latent: Tensor
    cells: tuple[int, int, int, int]
    served: int

    def covers(self, cells: tuple[int, int, int, int]) -> bool:
        """Whether all these cells (top, bottom, left, right) were drawn."""
        top, bottom, left, right = self.cells
        return top <= cells[0] and cells[1] <= bottom and left <= cells[2] and cells[3] <= right


class DiffusionRenderer:
    """Draws motions of one appearance. The same motion and seed give the same pictures on the same machine.

    `vector` overrides what the networks are told (a mixture of appearances); the appearance still gives the
    geometry and the wall. `hold`: frames that one latent serves; 1 draws every frame for itself. The
    networks compute where they lie, maps are made on the CPU. Raises StableSignerError for a size that is not
    in NETWORK_SIZES.
    """

    def __init__(
        self,
        body: Body,
        appearance: Appearance,
        size: int = 512,
        *,
        model: Pose2Vid | None = None,
        steps: int = 1,
        guidance: float = 1.0,
        steered: bool = True,
        seed: int = 0,
        hold: int = HOLD,
        vector: np.ndarray | None = None,
    ) -> None:
        check_network_size(size)
        self.model = model or shipped()
        self.device = next(self.model.parameters()).device
        self.size, self.steps, self.guidance, self.steered, self.hold = size, steps, guidance, steered, hold
        self.studio = StudioRenderer(body, appearance, size)
        self.camera = self.studio.camera
        self.control = ControlFigure.of(self.studio)
        told = appearance.vector() if vector is None else vector
        self.vector = torch.from_numpy(told)[None].to(self.device)
        self.noise = self.model.noise(seed)

    def careful(self) -> DiffusionRenderer:
        """The same renderer with CAREFUL steps, and a latent for every frame."""
        slow = copy.copy(self)
        slow.steps, slow.hold = CAREFUL, 1
        return slow

    def frames(self, motion: Motion) -> Iterator[np.ndarray]:
        """Yields uint8 (size, size, 3) sRGB pictures, one for each frame, in constant memory."""
        return self.film([motion])

    def film(self, pieces: Iterable[Motion]) -> Iterator[np.ndarray]:
        """`frames` of pieces of one motion in order: as if it were whole, each latent following the last.

        Maps are made, and latents decoded, in threads of their own.
        """

        def mapping() -> Iterator[Callable[[], Told]]:
            for piece in pieces:
                for posed in posed_frames(self.studio, self.control, piece):
                    yield partial(self.told, *posed)

        def decoding() -> Iterator[Callable[[], np.ndarray]]:
            held: Held | None = None
            for frame in ahead(mapping()):
                held = self.held(frame, held)
                yield partial(self.picture, frame, held.latent)

        return ahead(decoding())

    def told(self, vertices: Tensor, spots: np.ndarray) -> Told:
        """What the networks are told of one of the `posed_frames`."""
        _, _, maps = controls(self.studio, self.control, vertices, spots)
        return Told.of(maps, self.model.autoencoder.decoder.coarse.weight.dtype)

    def held(self, told: Told, before: Held | None) -> Held:
        """The latent that serves a frame: the one of the frame before, or a new one, also where the figure
        has moved out of the cells that were drawn."""
        if before is None or before.served >= self.hold or not before.covers(told.cells):
            return Held(self.latent(told, before), told.cells, 1)
        return Held(before.latent, before.cells, before.served + 1)

    @torch.inference_mode()
    def latent(self, told: Told, held: Held | None) -> Tensor:
        """A frame's latent (1, L, 32, 32), drawn within its cells."""
        if told.nobody:
            return torch.zeros_like(self.noise)
        area = _area(told.cells, 1)
        previous = None if held is None else held.latent[area]
        drawn = torch.zeros_like(self.noise)
        drawn[area] = self.model.latents(
            told.small_cells.to(self.device, torch.float32),
            self.vector,
            previous,
            self.noise[area],
            self.steps,
            self.guidance,
            self.steered,
        )
        return drawn

    @torch.inference_mode()
    def picture(self, told: Told, latent: Tensor) -> np.ndarray:
        """A frame and the latent (1, L, 32, 32) that serves it -> the picture (size, size, 3) uint8."""
        picture = self.studio.wall().copy()
        if told.nobody:
            return picture
        decoder, upsampler = self.model.autoencoder.decoder, self.model.upsampler
        flat = unlit(told.small).to(self.device)
        figure = decoder(latent[_area(told.cells, 1)], told.small_cells.to(self.device), flat)
        if self.size != NETWORK_SIZES[0]:
            # what the decoder leaves outside the figure is anything: the upsampler learned from grey there
            figure = over_grey(figure.clamp(0, 1), coverage(told.small).to(self.device))
            flat = unlit_over_grey(told.maps).to(self.device)
            figure = upsampler(figure, told.map_cells.to(self.device), flat)
        area = _area(told.cells, FACTOR * self.size // NETWORK_SIZES[0])
        lay_over(figure[0].cpu().numpy(), told.maps[0, COVERAGE].numpy(), picture[area[2:]])
        return picture


@kernel
def lay_over(figure, share, picture):  # type: ignore[no-untyped-def]
    """figure (3, H, W) float32 in [0, 1] over picture (H, W, 3) uint8, by share (H, W) uint8."""
    for row in range(share.shape[0]):
        for column in range(share.shape[1]):
            here = np.float32(share[row, column]) / np.float32(255)
            if here == 0:
                continue
            for c in range(3):
                colour = 255 * min(max(figure[c, row, column], np.float32(0)), np.float32(1))
                below = np.float32(picture[row, column, c])
                picture[row, column, c] = np.uint8(np.rint(below + (colour - below) * here))


def _area(cells: tuple[int, int, int, int], factor: int) -> tuple[slice, slice, slice, slice]:
    """Cells -> the index of their pixels, `factor` a cell, in (B, C, H, W)."""
    top, bottom, left, right = (factor * c for c in cells)
    return slice(None), slice(None), slice(top, bottom), slice(left, right)
