"""Sampling: from control maps and an appearance to pictures, in 1, 2 or 20 steps.

The network predicts the clean latent and was trained from pure noise half of the time, so one step is a draw
of its own; more steps follow DDIM (Song, Meng and Ermon 2021) with zero terminal signal (Lin et al. 2024).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.autoencoder import FACTOR, Autoencoder, Cells, Upsampler
from stable_signer.pose2vid.controlnet import SIZES, Denoiser
from stable_signer.pose2vid.framing import NETWORK_SIZES
from stable_signer.slul.stored import read_tensors

CELLS = NETWORK_SIZES[0] // FACTOR  # of a latent, in each direction
PARTS = ("autoencoder", "denoiser", "upsampler")
STEPS_TRAINED = 1000


def make_scheduler() -> DDIMScheduler:
    """The noise schedule that training and sampling share: it ends in pure noise."""
    return DDIMScheduler(
        num_train_timesteps=STEPS_TRAINED,
        beta_schedule="scaled_linear",
        prediction_type="sample",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )


def other_layout(path: Path) -> str:
    """What to say of weights whose tensors are not those of this version's networks."""
    return (
        f"{path} holds networks of another layout than this version's: an earlier version of Stable Signer "
        "trained them, and they must be trained again with `stable-signer train pose2vid`"
    )


Predict = Callable[[Tensor, Tensor], Tensor]  # (noisy, step) -> clean


def sample(predict: Predict, noise: Tensor, steps: int) -> Tensor:
    """noise (B, L, h, w) -> clean latent; `steps` calls of `predict`. Deterministic (eta 0)."""
    if steps == 1:  # from pure noise straight to the clean latent: no schedule to make
        return predict(noise, torch.full((len(noise),), STEPS_TRAINED - 1, device=noise.device))
    scheduler = make_scheduler()
    scheduler.set_timesteps(steps)
    x = noise
    for step in scheduler.timesteps:
        clean = predict(x, step.expand(len(x)).to(x.device))
        x = scheduler.step(clean, int(step), x).prev_sample
    return x


class Pose2Vid(nn.Module):
    """The three networks; `pose2vid.diffusion.DiffusionRenderer` draws motions with them."""

    def __init__(self, autoencoder: Autoencoder, denoiser: Denoiser, upsampler: Upsampler) -> None:
        super().__init__()
        self.autoencoder, self.denoiser, self.upsampler = autoencoder, denoiser, upsampler

    @classmethod
    def fresh(cls, size: str = "small", latent_channels: int = 12) -> Pose2Vid:
        """Untrained, of a size in controlnet.SIZES; seed torch before."""
        return cls(Autoencoder(latent_channels), Denoiser.of_size(size, latent_channels), Upsampler())

    def save_pretrained(self, folder: str | Path) -> None:
        """Write pose2vid-autoencoder, -denoiser and -upsampler.safetensors, fp16, sizes in the metadata."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = json.dumps({"size": self.size, "latent_channels": self.autoencoder.config.latent_channels})
        for part in PARTS:
            tensors = {
                k: v.detach().to("cpu", torch.float16).contiguous()
                for k, v in getattr(self, part).state_dict().items()
            }
            path = folder / f"pose2vid-{part}.safetensors"
            save_file(tensors, path.with_suffix(".part"), {"config": config})
            path.with_suffix(".part").replace(path)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Pose2Vid:
        """Read what `save_pretrained` wrote. Raises StableSignerError for missing files, and for
        networks that are laid out otherwise than this version's."""
        model: Pose2Vid | None = None
        for part in PARTS:
            path = Path(folder) / f"pose2vid-{part}.safetensors"
            try:
                tensors, metadata = read_tensors(path)
                config = json.loads(metadata.get("config", "{}"))
            except (OSError, SafetensorError, ValueError) as error:
                raise StableSignerError(
                    f"{path} cannot be read ({error}): give the folder that `train pose2vid` wrote"
                ) from error
            try:
                if model is None:
                    model = cls.fresh(config["size"], config["latent_channels"])
                getattr(model, part).load_state_dict(tensors)
            except (KeyError, TypeError, RuntimeError) as error:
                raise StableSignerError(other_layout(path)) from error
        assert model is not None
        return model.eval()

    @property
    def size(self) -> str:
        """The key of controlnet.SIZES."""
        widths = tuple(self.denoiser.unet.config.block_out_channels)
        return next(name for name, size in SIZES.items() if size["widths"] == widths)

    def noise(self, seed: int = 0) -> Tensor:
        """What every frame is drawn from, (1, L, CELLS, CELLS): one for all, so that nothing flickers."""
        shape = (1, self.autoencoder.config.latent_channels, CELLS, CELLS)
        drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return drawn.to(next(self.parameters()).device)

    def latents(
        self,
        told: Cells,
        vector: Tensor,
        previous: Tensor | None,
        noise: Tensor,
        steps: int = 1,
        guidance: float = 1.0,
        steered: bool = True,
    ) -> Tensor:
        """told (B, CELL, H/4, W/4) in [-1, 1], vector (B, VECTOR), previous and noise (B, L, H/8, W/8) ->
        latents.

        guidance above 1 leans on the appearance more than was learned (classifier-free); it doubles the cost.
        steered False leaves the ControlNet out, to see what it is worth.
        """
        before = torch.zeros_like(noise) if previous is None else previous

        def predict(noisy: Tensor, step: Tensor) -> Tensor:
            styled = self.denoiser(noisy, step, before, told, vector, steered)
            if guidance == 1.0:
                return styled
            plain = self.denoiser(noisy, step, before, told, torch.zeros_like(vector), steered)
            return plain + guidance * (styled - plain)

        return sample(predict, noise, steps)
