"""The denoiser of Pose2Vid: diffusers' UNet, steered by diffusers' ControlNet.

The ControlNet takes the control maps in cells of 4 x 4 pixels, pressed into a few channels; the appearance
comes in twice: as one token a group (skin, hair, clothes ...) by cross-attention, and as one vector beside
the time step. The UNet sees the noisy latent and the previous frame's (zeros where there is none). It
predicts the clean latent, which stays well-posed at pure noise, so that one step can do: the picture is
nearly decided by maps and appearance.

Classifier-free guidance: an appearance of zeros stands for "any".
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from stable_signer.pose2vid.autoencoder import CELL, Cells, read_cells
from stable_signer.pose2vid.studio import GROUPS, VECTOR

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"widths": (16, 16), "attention": (False, True), "token": 16},
    "small": {"widths": (48, 64, 96), "attention": (False, False, True), "token": 64},
}
HEADS = 4  # of the attention: in these two classes of diffusers `attention_head_dim` is their number
PRESSED = 32  # channels of a cell of the maps for the ControlNet, which halves them once more


class AppearanceEncoder(ModelMixin, ConfigMixin):
    """Appearance vector (B, VECTOR) -> tokens (B, len(GROUPS), token) and one vector (B, token)."""

    @register_to_config
    def __init__(self, token: int = 64) -> None:
        super().__init__()
        self.groups = nn.ModuleList(
            nn.Sequential(nn.Linear(length, token), nn.SiLU(), nn.Linear(token, token))
            for length in GROUPS.values()
        )
        self.whole = nn.Sequential(nn.Linear(VECTOR, token), nn.SiLU(), nn.Linear(token, token))

    def forward(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """(B, VECTOR) -> (B, G, token), (B, token)."""
        parts = vector.split(list(GROUPS.values()), -1)
        return torch.stack([f(p) for f, p in zip(self.groups, parts)], 1), self.whole(vector)


class Denoiser(nn.Module):
    """UNet, ControlNet and appearance encoder as one function; each is saved as diffusers saves it."""

    def __init__(
        self, unet: UNet2DConditionModel, control: ControlNetModel, appearance: AppearanceEncoder
    ) -> None:
        super().__init__()
        self.unet, self.control, self.appearance = unet, control, appearance
        self.press = nn.Conv2d(CELL, PRESSED, 1)  # the ControlNet's own first layer would be 3 x 3 of all

    @classmethod
    def of_size(cls, size: str = "small", latent_channels: int = 12) -> Denoiser:
        """Fresh weights of a size in SIZES."""
        widths, attention, token = (SIZES[size][key] for key in ("widths", "attention", "token"))
        down = tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention)
        up = tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention))
        common: dict[str, Any] = {
            "in_channels": 2 * latent_channels,
            "down_block_types": down,
            "block_out_channels": widths,
            "layers_per_block": 1,
            "cross_attention_dim": token,
            "attention_head_dim": HEADS,
            "norm_num_groups": 8,
            "class_embed_type": "projection",
            "projection_class_embeddings_input_dim": token,
        }
        unet = UNet2DConditionModel(
            sample_size=32,
            out_channels=latent_channels,
            up_block_types=up,
            mid_block_type="UNetMidBlock2D",
            **common,
        )
        control = ControlNetModel(
            conditioning_channels=PRESSED,
            conditioning_embedding_out_channels=(32, 64) if size == "small" else (8, 16),
            mid_block_type="UNetMidBlock2D",
            **common,
        )
        return cls(unet, control, AppearanceEncoder(token))

    def forward(
        self,
        noisy: Tensor,
        step: Tensor,
        previous: Tensor,
        told: Cells,
        vector: Tensor,
        steered: bool = True,
    ) -> Tensor:
        """noisy, previous (B, L, h, w); step (B,) in 0..999; told (B, CELL, 2h, 2w) in [-1, 1]; vector (B,
        VECTOR) -> the clean latent (B, L, h, w). steered False leaves the ControlNet out."""
        tokens, whole = self.appearance(vector)
        x = torch.cat([noisy, previous], 1)
        if not steered:
            return self.unet(x, step, tokens, class_labels=whole, return_dict=False)[0]
        down, mid = self.control(
            x, step, tokens, read_cells(self.press, told), class_labels=whole, return_dict=False
        )
        return self.unet(
            x,
            step,
            tokens,
            class_labels=whole,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
            return_dict=False,
        )[0]
