"""The diffusion look: Pose2Vid's networks draw the signer from control maps.

Only the figure is drawn: it is laid over the style's wall by its coverage, which is exact at full size. At
512 the networks draw at 256 and the upsampler adds what the full-size maps know.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.autoencoder import FACTOR, coverage, halved, unit_maps
from stable_signer.pose2vid.control import ControlFigure, controlled
from stable_signer.pose2vid.sampler import Pose2Vid
from stable_signer.pose2vid.studio import Appearance, StudioRenderer

SIZES = (256, 512)


@lru_cache(maxsize=1)
def shipped() -> Pose2Vid:
    """The networks in the package. Raises StableSignerError where they are not."""
    with resources.as_file(resources.files("stable_signer") / "weights") as folder:
        return fast(Pose2Vid.from_pretrained(Path(folder)))


def fast(model: Pose2Vid) -> Pose2Vid:
    """The same, laid out as convolutions on a CPU like it best."""
    return model.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def check_size(size: int) -> None:
    """Raises StableSignerError for a size that is not in SIZES."""
    if size not in SIZES:
        raise StableSignerError(f"the diffusion look draws at {SIZES[0]} or {SIZES[1]} pixels, not {size}")


class DiffusionRenderer:
    """Draws motions of one appearance. The same motion and seed give the same pictures on the same machine.

    `vector` overrides what the networks are told (a mixture of appearances); the appearance still gives the
    geometry and the wall. Raises StableSignerError for a size that is not in SIZES.
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
        vector: np.ndarray | None = None,
    ) -> None:
        check_size(size)
        self.model = model or shipped()
        self.size, self.steps, self.guidance, self.steered = size, steps, guidance, steered
        self.studio = StudioRenderer(body, appearance, size)
        self.camera = self.studio.camera
        self.control = ControlFigure.of(self.studio)
        self.vector = torch.from_numpy(appearance.vector() if vector is None else vector)[None]
        self.wall = torch.from_numpy(self.studio.wall()).permute(2, 0, 1)[None].float() / 255
        cells = SIZES[0] // FACTOR
        channels = self.model.autoencoder.config.latent_channels
        noise = torch.Generator().manual_seed(seed)
        self.noise = torch.randn(1, channels, cells, cells, generator=noise)  # one for all frames: no flicker

    def frames(self, motion: Motion) -> Iterator[np.ndarray]:
        """Yields uint8 (size, size, 3) sRGB pictures, one for each frame, in constant memory."""
        previous: Tensor | None = None
        for _, _, maps in controlled(self.studio, self.control, motion):
            picture, previous = self.picture(torch.from_numpy(maps)[None], previous)
            yield picture

    @torch.inference_mode()
    def picture(self, maps: Tensor, previous: Tensor | None) -> tuple[np.ndarray, Tensor]:
        """maps (1, C, size, size) uint8 and the frame before's latent -> the picture (size, size, 3) uint8
        and this frame's latent."""
        small = maps if self.size == SIZES[0] else halved(maps)
        latent = self.model.latents(
            small, self.vector, previous, self.noise, self.steps, self.guidance, self.steered
        )
        whole = self.composed(latent, small, maps)
        return (whole[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy(), latent

    def composed(self, latent: Tensor, small: Tensor, maps: Tensor) -> Tensor:
        """latent (1, L, 32, 32), maps (1, C, 256, 256) and at full size -> (1, 3, size, size) in [0, 1]: the
        figure, decoded, before the wall."""
        figure = self.model.autoencoder.decode(latent, unit_maps(small)).clamp(0, 1)
        if self.size != SIZES[0]:
            figure = self.model.upsampler(figure, unit_maps(maps)).clamp(0, 1)
        share = coverage(maps)
        return figure * share + self.wall * (1 - share)
