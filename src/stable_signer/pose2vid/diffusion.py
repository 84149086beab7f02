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
    GREY,
    SeenCells,
    coverage,
    over_grey,
    unit_cells,
    unlit,
)
from stable_signer.pose2vid.control import (
    ALBEDO,
    COVERAGE,
    ControlFigure,
    cells_into,
    controls,
    halve_into,
    posed_ahead,
    seen_cells,
)
from stable_signer.pose2vid.framing import NETWORK_SIZES, check_network_size
from stable_signer.pose2vid.mesh import ahead
from stable_signer.pose2vid.sampler import Pose2Vid
from stable_signer.pose2vid.shading import linear_light, tone_curve
from stable_signer.pose2vid.studio import Appearance, StudioRenderer
from stable_signer.slul.runs import best_device, has_bf16

CAREFUL = 20  # steps of a frame in high quality
HOLD = 2  # frames that one latent serves
BLOCK = 4  # cells: the denoiser halves its rectangle twice
MARGIN = 1  # cells around the figure: a layer that meets nothing there draws its rim otherwise


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


Rectangle = tuple[int, int, int, int]  # of latent cells: top, bottom, left, right


@dataclass(frozen=True)
class Told:
    """What the networks are told of a frame.

    figure: the rectangle of latent cells around the figure, in which decoder and upsampler draw (all 0
    where nobody is); cells: the one of whole blocks around it, in which the denoiser does. maps, small:
    control maps within `figure`, (1, C, h, w) uint8, at full size and at that of the networks; map_cells,
    small_cells: the cells of both, in the precision of the decoder; wide_cells: the latter within `cells`.
    """

    figure: Rectangle
    cells: Rectangle
    maps: Tensor
    small: Tensor
    map_cells: SeenCells
    small_cells: SeenCells
    wide_cells: SeenCells

    @staticmethod
    def of(maps: np.ndarray, precision: torch.dtype = torch.float32) -> Told:
        """From maps (C, S, S) uint8."""
        full = maps.shape[1] // NETWORK_SIZES[0]
        small, map_cells = maps, _cells(maps, precision)
        small_cells = map_cells
        if full != 1:
            small = np.empty((len(maps), NETWORK_SIZES[0], NETWORK_SIZES[0]), np.uint8)
            halve_into(maps, small)
            small_cells = _cells(small, precision)
        figure = _bounds(map_cells, full * FACTOR // 4)
        top, bottom, left, right = figure
        cells = (*_blocks(top, bottom), *_blocks(left, right))
        return Told(
            figure,
            cells,
            _batch(maps[_area(figure, FACTOR * full)[1:]]),
            _batch(small[_area(figure, FACTOR)[1:]]),
            map_cells.within(*_scaled(figure, full * FACTOR // 4)),
            small_cells.within(*_scaled(figure, FACTOR // 4)),
            small_cells.within(*_scaled(cells, FACTOR // 4)),
        )

    @property
    def nobody(self) -> bool:
        """Whether the figure is out of the picture."""
        return self.figure[1] == 0


def _bounds(cells: SeenCells, side: int) -> Rectangle:
    """The rectangle of latent cells, each of side x side of these, that holds all that are seen, and MARGIN
    around it. All 0 where none is seen."""
    if not len(cells.where):
        return 0, 0, 0, 0
    high, wide = (length // side for length in cells.shape)
    row, column = (at // side for at in (cells.where // cells.shape[1], cells.where % cells.shape[1]))
    return (
        max(int(row.min()) - MARGIN, 0),
        min(int(row.max()) + 1 + MARGIN, high),
        max(int(column.min()) - MARGIN, 0),
        min(int(column.max()) + 1 + MARGIN, wide),
    )


def _blocks(first: int, end: int) -> tuple[int, int]:
    """Cells from `first` to `end`, made whole blocks."""
    return first // BLOCK * BLOCK, -(-end // BLOCK) * BLOCK


def _scaled(area: Rectangle, factor: int) -> Rectangle:
    top, bottom, left, right = (factor * c for c in area)
    return top, bottom, left, right


def _batch(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array)[None]


@lru_cache
def _values(precision: torch.dtype) -> np.ndarray:
    """(256,) `unit_cells` of every byte; numpy has no bf16: its bits."""
    values = unit_cells(torch.arange(256)).to(precision)
    return values.numpy() if precision == torch.float32 else values.view(torch.int16).numpy()


def _cells(maps: np.ndarray, precision: torch.dtype) -> SeenCells:
    """Maps (C, H, W) uint8 -> their `told_cells`, where anything is seen."""
    values, where = _values(precision), seen_cells(maps)
    out = np.empty((len(where), CELL), values.dtype)
    cells_into(maps, where, values, out)
    shape = maps.shape[1] // 4, maps.shape[2] // 4
    return SeenCells(torch.from_numpy(out).view(precision), torch.from_numpy(where), shape)


@dataclass(frozen=True)
class Held:
    """A latent (1, L, 32, 32), 0 outside the cells in which it was drawn, and how many frames it serves by
    now."""

    latent: Tensor
    cells: Rectangle
    served: int

    def covers(self, cells: Rectangle) -> bool:
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

        def decoding() -> Iterator[Callable[[], np.ndarray]]:
            held: Held | None = None
            for frame in posed_ahead(self.studio, self.control, pieces, self.told):
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
            told.wide_cells.to(self.device, torch.float32),
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
        figure = decoder(latent[_area(told.figure, 1)], told.small_cells.to(self.device), flat)
        area = picture[_area(told.figure, FACTOR * self.size // NETWORK_SIZES[0])[2:]]
        maps = told.maps[0].numpy()
        if self.size != NETWORK_SIZES[0]:
            # what the decoder leaves outside the figure is anything: the upsampler learned from grey there
            figure = over_grey(figure.clamp(0, 1), coverage(told.small).to(self.device))
            learned = upsampler.learned(figure, told.map_cells.to(self.device)).permute(0, 2, 3, 1)
            learned = learned.to(figure.dtype).contiguous()
            drawn = np.empty((3, *maps.shape[1:]), np.float32)
            doubled_into(figure[0].cpu().numpy(), learned[0].cpu().numpy(), maps, drawn)
        else:
            drawn = figure[0].cpu().numpy()
        lay_over(drawn, maps[COVERAGE], *_mixing(), area)
        return picture


@lru_cache
def _mixing() -> tuple[np.ndarray, np.ndarray]:
    """The linear light of each byte (256,) float32, and `tone_curve`."""
    tones = tone_curve()
    return linear_light(tones), tones


@kernel
def lay_over(figure, share, light, tones, picture):  # type: ignore[no-untyped-def]
    """figure (3, H, W) float32 in [0, 1] over picture (H, W, 3) uint8, by share (H, W) uint8, mixed in linear
    light as in a camera; light (256,), tones: `linear_light` and `tone_curve`."""
    for c in range(3):
        for row in range(share.shape[0]):
            for column in range(share.shape[1]):
                here = share[row, column]
                if here == 0:
                    continue
                value = min(max(figure[c, row, column], np.float32(0)), np.float32(1))
                over = np.uint8(np.rint(np.float32(255) * value))
                if here < 255:
                    below = light[picture[row, column, c]]
                    mean = below + (light[over] - below) * np.float32(here / 255)
                    over = tones[min(int(mean * np.float32(len(tones) / 2)), len(tones) - 1)]
                picture[row, column, c] = over


@kernel
def doubled_into(half, learned, maps, out):  # type: ignore[no-untyped-def]
    """What `Upsampler.forward` makes of its input and of `Upsampler.learned`, where the figure is: half (3,
    H/2, W/2) float32, learned (H/4, W/4, 48) float32, maps (C, H, W) uint8 -> out (3, H, W) float32."""
    high, wide = half.shape[1:]
    byte, grey, quarter = np.float32(1 / 255), np.float32(GREY), np.float32(0.25)
    share = maps[COVERAGE] * byte
    flat = np.empty((2 * high, 2 * wide), np.float32)
    base = np.empty((high, wide), np.float32)
    line = np.empty(wide, np.float32)
    for c in range(3):
        colour = maps[ALBEDO + c]
        for row in range(2 * high):  # the unlit figure over grey
            for column in range(2 * wide):
                here = share[row, column]
                flat[row, column] = colour[row, column] * byte * here + grey * (np.float32(1) - here)
        for row in range(high):  # what is `doubled`: the half and minus the halved unlit figure
            upper, lower = flat[2 * row], flat[2 * row + 1]
            for column in range(wide):
                x = 2 * column
                total = upper[x] + upper[x + 1] + lower[x] + lower[x + 1]
                base[row, column] = half[c, row, column] - total * quarter
        for row in range(2 * high):
            up, down = base[max((row - 1) // 2, 0)], base[min((row + 1) // 2, high - 1)]
            nearer = np.float32(0.25 if row % 2 else 0.75)
            for column in range(wide):
                line[column] = up[column] + (down[column] - up[column]) * nearer
            for column in range(2 * wide):
                if share[row, column] == 0:
                    continue
                left, right = line[max((column - 1) // 2, 0)], line[min((column + 1) // 2, wide - 1)]
                between = left + (right - left) * np.float32(0.25 if column % 2 else 0.75)
                detail = learned[row // 4, column // 4, 16 * c + 4 * (row % 4) + column % 4]
                out[c, row, column] = between + flat[row, column] + detail


def _area(cells: Rectangle, factor: int) -> tuple[slice, slice, slice, slice]:
    """Cells -> the index of their pixels, `factor` a cell, in (B, C, H, W)."""
    top, bottom, left, right = _scaled(cells, factor)
    return slice(None), slice(None), slice(top, bottom), slice(left, right)
