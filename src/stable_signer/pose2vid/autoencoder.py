"""The autoencoder of Pose2Vid: pictures of the figure <-> latents, its decoder guided by the control maps.

An eighth of the picture's side in each direction is too coarse for fingers, so the decoder is told where they
are: it takes the control maps at full size beside the latent, and the latent need only carry what they do not
say (colour, light, the look). The background is never drawn: pictures are of the figure over grey, and are
laid over the style's background by their coverage.

All three are built of diffusers' `AutoencoderTinyBlock` (from TAESD, Ollin Boer Bohan, MIT). Pictures
enter and leave through pixel (un)shuffles, so that no layer works at full size: on a laptop that is most of
the time. For the same reason the control maps come in as *cells* of 4 x 4 pixels (`map_cells`), made once
and read by all the networks through layers of one cell's reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F

from stable_signer.pose2vid.control import ALBEDO, CHANNELS, COVERAGE, RIGHT_HAND
from stable_signer.pose2vid.studio import GREY as BEHIND

CELL = 16 * CHANNELS  # what the maps say of 4 x 4 pixels
GREY = BEHIND / 255  # behind the figure in the network's pictures
FACTOR = 8  # picture pixels a latent cell, in each direction


def map_cells(maps: Tensor) -> Tensor:
    """Control maps (B, CHANNELS, H, W) uint8 -> (B, CELL, H/4, W/4) uint8: `F.pixel_unshuffle` by 4, laid out
    channels last, as convolutions like it."""
    b, c, h, w = maps.shape
    cells = maps.reshape(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5)
    return cells.reshape(b, h // 4, w // 4, c * 16).permute(0, 3, 1, 2)


def unit_cells(cells: Tensor) -> Tensor:
    """`map_cells` -> what the networks are told: the same in [-1, 1]."""
    return cells.float() * (2 / 255) - 1


def told_cells(maps: Tensor) -> Tensor:
    """Control maps (B, CHANNELS, H, W) uint8 -> what the networks are told (B, CELL, H/4, W/4)."""
    return unit_cells(map_cells(maps))


@dataclass(frozen=True)
class SeenCells:
    """`told_cells` of one frame where anything is seen: values (N, CELL), the index of each among the h * w
    cells (row by row), and (h, w). Of the others every value is -1."""

    values: Tensor
    where: Tensor
    shape: tuple[int, int]

    def to(self, *to: torch.device | torch.dtype) -> SeenCells:
        """As `Tensor.to`, for the values; `where` follows them to their device."""
        values = self.values.to(*to)  # type: ignore[call-overload]
        return SeenCells(values, self.where.to(values.device), self.shape)

    def within(self, top: int, bottom: int, left: int, right: int) -> SeenCells:
        """The same, counted in a rectangle that holds all of them."""
        row, column = self.where // self.shape[1] - top, self.where % self.shape[1] - left
        return SeenCells(self.values, row * (right - left) + column, (bottom - top, right - left))

    def whole(self) -> Tensor:
        """(1, CELL, h, w), as `told_cells` gives it."""
        h, w = self.shape
        cells = self.values.new_full((h * w, CELL), -1.0)
        cells[self.where] = self.values
        return cells.reshape(1, h, w, CELL).permute(0, 3, 1, 2)


Cells = Tensor | SeenCells  # what networks are told: (B, CELL, H/4, W/4) in [-1, 1]


def read_cells(layer: nn.Conv2d, told: Cells) -> Tensor:
    """A 1 x 1 layer of what the networks are told -> (B, out_channels, H/4, W/4). Of `SeenCells` only those
    are computed: what the layer makes of the others is one value a channel."""
    if isinstance(told, Tensor):
        return layer(told)
    assert layer.bias is not None
    weight = layer.weight[:, :, 0, 0]
    h, w = told.shape
    out = (layer.bias - weight.sum(1)).repeat(h * w, 1)
    out[told.where] = F.linear(told.values, weight, layer.bias)
    return out.reshape(1, h, w, -1).permute(0, 3, 1, 2)  # channels last in memory


def unlit(maps: Tensor) -> Tensor:
    """Control maps (B, CHANNELS, H, W) uint8 -> (B, 3, H, W) in [0, 1]: the surface's own colour."""
    return maps[:, ALBEDO : ALBEDO + 3].float() / 255


def coverage(maps: Tensor) -> Tensor:
    """Control maps (B, CHANNELS, H, W) uint8 -> (B, 1, H, W) in [0, 1]."""
    return maps[:, COVERAGE : COVERAGE + 1].float() / 255


def over_grey(pictures: Tensor, share: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) with what share (B, 1, H, W) does not cover made grey."""
    return pictures * share + GREY * (1 - share)


def unlit_over_grey(maps: Tensor) -> Tensor:
    """Control maps (B, CHANNELS, H, W) uint8 -> (B, 3, H, W) in [0, 1]: the unlit figure, grey behind it."""
    return over_grey(unlit(maps), coverage(maps))


def halved(maps: Tensor) -> Tensor:
    """Maps of half the side, (B, C, H, W) uint8 -> (B, C, H/2, W/2): means weighted by coverage."""
    share = maps[:, COVERAGE : COVERAGE + 1].float()
    total = F.avg_pool2d(share, 2)
    weighted = F.avg_pool2d(maps[:, 1:RIGHT_HAND].float() * share, 2) / total.clamp(min=1)
    return (
        torch.cat([total, weighted, F.avg_pool2d(maps[:, RIGHT_HAND:].float(), 2)], 1).round().to(torch.uint8)
    )


def silent(layer: nn.Conv2d) -> nn.Conv2d:
    """A last layer that adds nothing before it has learned."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


def off_unit(latent: Tensor) -> Tensor:
    """How far channels of latents (B, L, h, w) are from mean 0 and deviation 1, squared -> ()."""
    flat = latent.float().transpose(0, 1).flatten(1)  # (L, B * h * w)
    return (flat.mean(1) ** 2 + (flat.std(1) - 1) ** 2).mean()


class Autoencoder(ModelMixin, ConfigMixin):
    """Picture (B, 3, H, W) in [0, 1] -> latent (B, latent_channels, H/8, W/8) -> picture again."""

    @register_to_config
    def __init__(self, latent_channels: int = 12, width: int = 64, fine_width: int = 32) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, width, 3, padding=1),
            AutoencoderTinyBlock(width, width, "relu"),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            AutoencoderTinyBlock(width, width, "relu"),
            nn.Conv2d(width, latent_channels, 3, padding=1),
        )
        self.decoder = GuidedDecoder(latent_channels, width, fine_width)

    def encode(self, picture: Tensor) -> Tensor:
        """Figure over grey, (B, 3, H, W) in [0, 1] -> latent, of about unit variance."""
        return self.encoder(2 * picture - 1)

    def decode(self, latent: Tensor, maps: Tensor) -> Tensor:
        """latent (B, L, H/8, W/8), maps (B, CHANNELS, H, W) uint8 -> picture (B, 3, H, W), not clamped."""
        return self.decoder(latent, told_cells(maps), unlit(maps))


class GuidedDecoder(nn.Module):
    """Latent and maps meet at a quarter of the side and again at half of it."""

    def __init__(self, latent_channels: int, width: int, fine_width: int) -> None:
        super().__init__()
        self.latent = nn.Sequential(
            nn.Conv2d(latent_channels, width, 3, padding=1),
            nn.ReLU(),
            AutoencoderTinyBlock(width, width, "relu"),
        )
        self.rise = nn.Conv2d(width, 4 * width, 1)
        self.coarse = nn.Conv2d(CELL, width, 1)
        self.middle = AutoencoderTinyBlock(width, width, "relu")
        self.lift = nn.Conv2d(width, 4 * fine_width, 1)
        self.fine = nn.Conv2d(CELL, 4 * fine_width, 1)
        self.finest = AutoencoderTinyBlock(fine_width, fine_width, "relu")
        self.out = silent(nn.Conv2d(fine_width, 4 * 3, 3, padding=1))

    def forward(self, latent: Tensor, told: Cells, flat: Tensor) -> Tensor:
        """latent (B, L, H/8, W/8), told (B, CELL, H/4, W/4) in [-1, 1], flat (B, 3, H, W): the unlit figure,
        so that what is learned is the light on it -> picture (B, 3, H, W). The layers may be of less
        precision than flat."""
        precision = self.coarse.weight.dtype
        told = told.to(precision)
        x = F.pixel_shuffle(self.rise(self.latent(latent.to(precision))), 2)  # (B, width, H/4, W/4)
        x = self.middle(F.relu(x + read_cells(self.coarse, told)))
        x = F.pixel_shuffle(self.lift(x) + read_cells(self.fine, told), 2)  # (B, fine, H/2, W/2)
        x = self.finest(F.relu(x))
        return flat + F.pixel_shuffle(self.out(x), 2).to(flat.dtype)  # (B, 3, H, W)


def lost_by_halving(flat: Tensor) -> Tensor:
    """(B, 3, H, W) -> what of it is too fine for half the side."""
    return flat - doubled(F.avg_pool2d(flat, 2))


def doubled(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 3, 2H, 2W), bilinear."""
    return F.interpolate(pictures, scale_factor=2, mode="bilinear", align_corners=False)


class Upsampler(ModelMixin, ConfigMixin):
    """A picture of half the side and full-size maps -> the picture at full size, with sharp edges.

    What the unlit colours have in finer detail (eyes, brows, lips) comes in as it is; learned is what light
    makes of it, and the rest.
    """

    @register_to_config
    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.picture = nn.Conv2d(12, width, 3, padding=1)
        self.maps = nn.Conv2d(CELL, width, 1)
        self.body = AutoencoderTinyBlock(width, width, "relu")
        self.out = silent(nn.Conv2d(width, 48, 3, padding=1))

    def forward(self, picture: Tensor, told: Cells, flat: Tensor) -> Tensor:
        """picture (B, 3, H/2, W/2) in [0, 1]; of the full size told (B, CELL, H/4, W/4) in [-1, 1] and flat
        (B, 3, H, W), the unlit figure over grey -> (B, 3, H, W). The layers may be of less precision than
        the picture."""
        detail = F.pixel_shuffle(self.learned(picture, told), 4)
        return doubled(picture) + lost_by_halving(flat) + detail.to(picture.dtype)

    def learned(self, picture: Tensor, told: Cells) -> Tensor:
        """What is added to the rest, before its pixels are shuffled: (B, 48, H/4, W/4)."""
        precision = self.maps.weight.dtype
        drawn = F.pixel_unshuffle(picture, 2).to(precision)
        x = self.picture(drawn) + read_cells(self.maps, told.to(precision))  # at H/4
        return self.out(self.body(F.relu(x)))
