"""SLP-MoE: a gated mixture of experts that turns a rule-based prior into motion, by flow matching.

    prior features (T,F) ─┐
    residual at time t ───┼─▶ shared blocks ─▶ experts, weighted by the gate ─▶ residual (T,CHANNELS)
    sign condition ───────┘

The network is trained to tell from x_t = (1 - t) z + t x the residual x itself, z being Gaussian noise that
is smooth in time (Lipman et al. 2023, "Flow matching for generative modeling", with straight paths;
predicting x instead of the velocity leaves a part whose experts the gate did not choose at its prior, x = 0).
Sampling is a few Euler steps. One gloss has many right motions: a regression would learn their average (the
paper's motive).
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from stable_signer.errors import StableSignerError
from stable_signer.slp_moe import residual as rs
from stable_signer.slp_moe.condition import FEATURES, FIELDS, MANNER, SignCondition, vocabulary
from stable_signer.slp_moe.experts import PARTS, Block, Expert, Gate, SignEncoder
from stable_signer.slul.stored import read_tensors

FORMAT = "stable-signer-moe-1"
SMOOTH = 3.0  # frames: how far the noise hangs together
SIZES: dict[str, dict[str, int]] = {
    "tiny": {"width": 48, "inner": 96, "condition": 48, "shared": 1, "blocks": 1},
    "small": {"width": 128, "inner": 256, "condition": 128, "shared": 2, "blocks": 2},
    "base": {"width": 192, "inner": 384, "condition": 160, "shared": 2, "blocks": 3},
}


@dataclass(frozen=True)
class MoeConfig:
    """What an SLP-MoE network is.

    parts: a name of `experts.PARTS`. top: how many experts sign a sign. dense: one network of the same size
    without gate or parts, for comparison. prior, linker: whether the network sees them. codes: the sizes of
    the phonology's vocabularies, checked when weights are read. steps: Euler steps at run time.
    """

    parts: str = "four"
    top: int = 3
    dense: bool = False
    prior: bool = True
    linker: bool = True
    linker_width: int = 128
    width: int = 128
    inner: int = 256
    condition: int = 128
    shared: int = 2
    blocks: int = 2
    kernel: int = 9
    dropout: float = 0.1
    steps: int = 4
    codes: tuple[int, ...] = ()

    @classmethod
    def preset(cls, size: str, **changes: Any) -> MoeConfig:
        """A named size with `changes`; StableSignerError when there is no such size or split."""
        if size not in SIZES:
            raise StableSignerError(f"there is no SLP-MoE size {size!r}: use one of {', '.join(SIZES)}")
        config = cls(**{**SIZES[size], "codes": code_sizes(), **changes})
        if config.parts not in PARTS:
            raise StableSignerError(
                f"there is no split of experts {config.parts!r}: use one of {', '.join(PARTS)}"
            )
        return config


def code_sizes() -> tuple[int, ...]:
    """How many codes each field of the phonology has."""
    return tuple(len(vocabulary()[f]) for f in FIELDS)


def dense_inner(c: MoeConfig) -> int:
    """The inner width that gives one expert for everything as many weights as the experts of the split."""
    count = len(PARTS[c.parts])
    return count * c.inner + (count - 1) * (3 * (c.condition + 1) + c.kernel + 1) // 2


@dataclass
class Batch:
    """Signs side by side, padded: features (B,T,F), frames (B,T,1) 1 where there is a frame, and the fields
    of SignCondition as tensors; known (B,3): which numbers of the manner are given."""

    features: Tensor
    frames: Tensor
    codes: Tensor
    flags: Tensor
    source: Tensor
    linker: Tensor
    manner: Tensor
    known: Tensor


class SlpMoe(nn.Module):
    """The network. Residuals are in units of `scale` (CHANNELS,), their spread in the training data."""

    scale: Tensor
    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, config: MoeConfig) -> None:
        super().__init__()
        self.config = c = config
        self.parts = PARTS["one" if c.dense else c.parts]
        inner = dense_inner(c) if c.dense else c.inner
        self.register_buffer("scale", torch.ones(rs.CHANNELS))
        self.register_buffer("feature_mean", torch.zeros(FEATURES))
        self.register_buffer("feature_scale", torch.ones(FEATURES))
        self.sign = SignEncoder(c.condition, c.linker_width, c.linker, c.dropout)
        self.time = nn.Sequential(nn.Linear(32, c.condition), nn.GELU(), nn.Linear(c.condition, c.condition))
        self.into = nn.Linear(rs.CHANNELS + FEATURES, c.width)
        self.shared = nn.ModuleList(
            Block(c.width, c.inner, c.condition, c.kernel, c.dropout) for _ in range(c.shared)
        )
        self.experts = nn.ModuleDict(
            {
                name: Expert(c.width, inner, c.condition, c.kernel, c.dropout, c.blocks, channels)
                for name, channels in self.parts.items()
            }
        )
        self.gate = Gate(c.condition, len(self.parts), c.top)
        for name, channels in self.parts.items():
            self.register_buffer(f"of_{name}", torch.tensor(channels), persistent=False)

    def sign_vector(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The signs (B,C), the experts' weights (B,E) and the balance loss (); not needed anew each step."""
        vector = self.sign(batch.codes, batch.flags, batch.source, batch.linker, batch.manner, batch.known)
        weights, balance = self.gate(vector)
        return vector, weights, balance

    def forward(self, x: Tensor, t: Tensor, batch: Batch, vector: Tensor, weights: Tensor) -> Tensor:
        """x (B,T,CHANNELS) at times t (B,) -> the residual (B,T,CHANNELS), both in units of `scale`."""
        features = (batch.features - self.feature_mean) / self.feature_scale
        if not self.config.prior:
            features = torch.cat([torch.zeros_like(features[..., :-6]), features[..., -6:]], -1)
        condition = vector + self.time(_waves(t))
        h = self.into(torch.cat([x, features], -1)) * batch.frames
        for block in self.shared:
            h = block(h, condition, batch.frames)
        out = torch.zeros_like(x)
        for e, (name, expert) in enumerate(self.experts.items()):
            if not self.training and not weights[:, e].any():
                continue
            said = expert(h, condition, batch.frames) * weights[:, e, None, None]
            out = out.index_add(2, getattr(self, f"of_{name}"), said.to(out.dtype))
        return out

    @torch.inference_mode()
    def sample(self, batch: Batch, noise: Tensor, steps: int | None = None) -> Tensor:
        """Residuals (B,T,CHANNELS) in metres and radians, from noise (B,T,CHANNELS) of `smooth_noise`."""
        vector, weights, _ = self.sign_vector(batch)
        steps = steps or self.config.steps
        x = noise
        for k in range(steps):
            t = k / steps
            goal = self(x, torch.full((len(x),), t), batch, vector, weights)
            x = x + (goal - x) / (steps - k)  # Euler: (1/steps) * (goal - x) / (1 - t)
        return x * self.scale * batch.frames

    # --- the file ---

    def save(self, path: str | Path, about: dict[str, Any]) -> None:
        """Write float16 safetensors, whole or not at all; `about` is for the card."""
        path = Path(path)
        tensors = {k: v.detach().to(torch.float16).contiguous() for k, v in self.state_dict().items()}
        metadata = {"format": FORMAT, "config": json.dumps(asdict(self.config)), "about": json.dumps(about)}
        part = path.with_name(path.name + ".part")
        save_file(tensors, part, metadata)
        part.replace(path)

    @classmethod
    def load(cls, path: str | Path | None = None) -> SlpMoe:
        """Read weights, those that ship by default; StableSignerError when they are missing, damaged, of
        another version, or made for other phonology."""
        file = Path(path) if path else Path(str(resources.files("stable_signer.weights") / "moe.safetensors"))
        try:
            tensors, metadata = read_tensors(file)
            if metadata.get("format") != FORMAT:
                raise StableSignerError(
                    f"{file} is no SLP-MoE weights file of this version: train one with `train moe`"
                )
            values = json.loads(metadata["config"])
            model = cls(MoeConfig(**{**values, "codes": tuple(values["codes"])}))
            model.load_state_dict(tensors)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise StableSignerError(
                f"the weights {file} cannot be read ({str(error)[:200]}): check the path, or copy them anew"
            ) from error
        if model.config.codes != code_sizes():
            raise StableSignerError(f"the weights {file} were trained with another phonology: train anew")
        return model.eval()


def _waves(t: Tensor) -> Tensor:
    """Times (B,) in [0, 1] as sines and cosines (B,32)."""
    rates = torch.exp(torch.arange(16) * (math.log(200.0) / 15)).to(t)
    angles = t[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1)


def noise_kernel() -> np.ndarray:
    """What white noise is smoothed with in time, (K,); its frames on either side are (K - 1) / 2."""
    around = int(4 * SMOOTH)
    return np.exp(-0.5 * (np.arange(-around, around + 1) / SMOOTH) ** 2)


def smooth_noise(frames: int, random: np.random.Generator) -> np.ndarray:
    """(frames, CHANNELS) float32 Gaussian noise of unit variance that hangs together over SMOOTH frames."""
    kernel = noise_kernel()
    white = random.standard_normal((frames + len(kernel) - 1, rs.CHANNELS))
    windows = np.lib.stride_tricks.sliding_window_view(white, len(kernel), axis=0)  # (frames, CHANNELS, K)
    return np.asarray(windows @ kernel / np.linalg.norm(kernel), dtype=np.float32)


def collate(
    features: list[np.ndarray], signs: list[SignCondition], known: list[np.ndarray] | None = None
) -> Batch:
    """Signs of different lengths as a batch."""
    longest = max(len(f) for f in features)
    padded = np.zeros((len(features), longest, FEATURES), np.float32)
    frames = np.zeros((len(features), longest, 1), np.float32)
    for row, (mask, f) in enumerate(zip(frames, features, strict=True)):
        padded[row, : len(f)] = f
        mask[: len(f)] = 1
    ones = np.ones((len(signs), MANNER), np.float32) if known is None else np.stack(known)

    def stack(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(s, name) for s in signs]))

    return Batch(
        torch.from_numpy(padded),
        torch.from_numpy(frames),
        stack("codes"),
        stack("flags").float(),
        torch.tensor([s.source for s in signs]),
        stack("linker").float(),
        stack("manner").float(),
        torch.from_numpy(ones).float(),
    )
