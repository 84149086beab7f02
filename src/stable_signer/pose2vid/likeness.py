"""Measures of pictures: SSIM, PSNR, SSIM of hands and face, flicker, deep features. Torch, differentiable
where a loss needs it.

Pictures are (B, 3, H, W) floats in [0, 1]. SSIM follows Wang, Bovik, Sheikh and Simoncelli 2004: a Gaussian
window of 11 x 11 with sigma 1.5, K = (0.01, 0.03), on each colour channel, mean over pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW, SIGMA = 11, 1.5


def ssim_map(a: Tensor, b: Tensor) -> Tensor:
    """Local similarity of two batches of pictures -> (B, 3, H - 10, W - 10)."""
    with torch.autocast(a.device.type, enabled=False):  # variances drown in the rounding of bf16
        return _ssim_map(a.float(), b.float())


def _ssim_map(a: Tensor, b: Tensor) -> Tensor:
    line = torch.arange(WINDOW, device=a.device, dtype=a.dtype) - WINDOW // 2
    bell = torch.exp(-line * line / (2 * SIGMA * SIGMA))
    bell = bell / bell.sum()
    channels = a.shape[1]
    across = bell.reshape(1, 1, 1, -1).repeat(channels, 1, 1, 1)
    down = bell.reshape(1, 1, -1, 1).repeat(channels, 1, 1, 1)

    def mean(x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, across, groups=channels), down, groups=channels)

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    return (2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))


def weighed_loss(found: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """L1 and 1 - SSIM (a quarter) of pictures (B, 3, H, W), every pixel by its weight (B, 1, H, W) -> ()."""
    edge = WINDOW // 2
    inner = weight[:, :, edge:-edge, edge:-edge]
    near = ((found - truth).abs() * weight).sum() / (3 * weight.sum())
    alike = (1 - ssim_map(found, truth)) * inner
    return near + 0.25 * alike.sum() / (3 * inner.sum())


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """(B,) similarity of pictures, 1 for equal ones."""
    return ssim_map(a, b).mean((1, 2, 3))


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """(B,) decibels; infinite for equal pictures."""
    return -10 * torch.log10(((a - b) ** 2).mean((1, 2, 3)))


def boxes(points: Tensor, size: int, margin: float = 0.35) -> list[tuple[int, int, int, int]]:
    """Squares around hands or a face, points (N, P, 2) pixels -> (top, left, bottom, right), moved into the
    picture.

    The side is the points' extent with `margin` of it on each side, at least 16 pixels.
    """
    out = []
    for part in points:
        low, high = part.amin(0), part.amax(0)
        side = min(max(int(float((high - low).max()) * (1 + 2 * margin)), 16), size)
        left, top = (int(min(max(float(c) - side / 2, 0), size - side)) for c in (low + high) / 2)
        out.append((top, left, top + side, left + side))
    return out


def part_ssim(a: Tensor, b: Tensor, points: Tensor) -> Tensor:
    """SSIM within the squares around N hands or faces: points (B, N, P, 2) pixels -> (B, N)."""
    rows = []
    for picture, truth, parts in zip(a, b, points):
        row = [
            ssim(picture[None, :, t:d, l:r], truth[None, :, t:d, l:r])[0]
            for t, l, d, r in boxes(parts, a.shape[-1])  # noqa: E741
        ]
        rows.append(torch.stack(row))
    return torch.stack(rows)


def flicker(frames: Tensor, truth: Tensor) -> float:
    """How much frames (T, 3, H, W) change from one to the next, relative to the truth's own change.

    1 is as steady as the truth; a frozen video has 0. Mean absolute differences.
    """
    own, real = ((x[1:] - x[:-1]).abs().mean() for x in (frames, truth))
    return float(own / real)
