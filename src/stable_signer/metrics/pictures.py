"""Pose2Vid measured on motion that it never saw, drawn of signers that it knows, beside ceilings and floors.

Ground truth are studio frames. Rows: the autoencoder alone (the ceiling of what the denoiser can reach), the
mesh look, the denoiser without its ControlNet, with 1, 2 and 20 steps, and as floors the truth of another
frame (shuffled) and the mean of all frames. Figures are of whole pictures, before the style's wall, which
every row but the floors shares with the truth; `figure_psnr` counts the figure's pixels alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stable_signer.body.skeleton import Body
from stable_signer.pose2vid.autoencoder import GREY, coverage
from stable_signer.pose2vid.diffusion import HOLD, DiffusionRenderer, Told
from stable_signer.pose2vid.frames import Motions
from stable_signer.pose2vid.likeness import flicker, hand_ssim, psnr, ssim
from stable_signer.pose2vid.mesh import MeshRenderer
from stable_signer.pose2vid.sampler import Pose2Vid
from stable_signer.pose2vid.signers import SIGNERS, STYLES
from stable_signer.pose2vid.studio import RENDERINGS, Appearance, Studio

FIGURES = ("ssim", "psnr", "figure_psnr", "hand_ssim", "flicker")


@dataclass(frozen=True)
class Clipping:
    """Consecutive true frames (T, 3, S, S) in [0, 1], their maps (T, C, S, S) uint8, hand points
    (T, 2, 21, 2) in pixels, and who is seen; mesh (T, 3, S, S): the mesh look of the same."""

    appearance: Appearance
    truth: Tensor
    maps: Tensor
    hands: Tensor
    mesh: Tensor


def clippings(motions: Motions, size: int, count: int, length: int) -> Iterator[Clipping]:
    """`count` held-out pieces of `length` frames; the shipped signers, styles and renderings in turn."""
    spans, body = motions.part(held_out=True), Body.load()
    cards, styles, renderings = list(SIGNERS.values()), list(STYLES.values()), list(RENDERINGS)
    for k in range(count):
        appearance = Appearance(
            cards[k % len(cards)], styles[k % len(styles)], renderings[(k + k // 4) % len(renderings)]
        )
        first, end = spans[k % len(spans)]
        start = min(first + 12 + 9 * (k // len(spans)), max(end - length, first))
        motion = motions.piece(start, min(start + length, end))
        studio = Studio(body, appearance, size)
        pairs = list(studio.frames(motion))
        posed = studio.renderer.figure.skin.pose_motion(motion)
        points = torch.from_numpy(studio.control.keypoints(posed, studio.renderer.camera))[:, :42]
        mesh = MeshRenderer(body, appearance.signer, appearance.style, size).frames(motion)
        yield Clipping(
            appearance,
            _stacked([picture for picture, _ in pairs]),
            torch.from_numpy(np.stack([maps for _, maps in pairs])),
            points.reshape(len(points), 2, 21, 2),
            _stacked(list(mesh)),
        )


def _stacked(pictures: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def measure(
    model: Pose2Vid,
    motions: Motions,
    size: int = 256,
    count: int = 10,
    length: int = 8,
) -> dict[str, dict[str, float]]:
    """Every row's figures, means over the clippings' frames; `flicker` is relative to the truth's own."""
    found: dict[str, list[dict[str, float]]] = {}
    for clip in clippings(motions, size, count, length):
        for row, frames in rows_of(model, clip, size).items():
            found.setdefault(row, []).append(_figures(frames, clip))
    return {
        row: {name: float(np.mean([one[name] for one in values])) for name in FIGURES}
        for row, values in found.items()
    }


@torch.inference_mode()
def rows_of(model: Pose2Vid, clip: Clipping, size: int) -> dict[str, Tensor]:
    """The frames (T, 3, S, S) of every row for one clipping."""
    body = Body.load()

    told = [Told.of(maps.numpy()) for maps in clip.maps]

    def drawn(steps: int, steered: bool = True, hold: int = 1) -> Tensor:
        renderer = DiffusionRenderer(
            body, clip.appearance, size, model=model, steps=steps, steered=steered, hold=hold
        )
        held, pictures = None, []
        for frame in told:
            held = renderer.held(frame, held)
            pictures.append(renderer.picture(frame, held.latent))
        return _stacked(pictures)

    renderer = DiffusionRenderer(body, clip.appearance, size, model=model)
    share = coverage(clip.maps)
    figures = clip.truth + (1 - share) * (GREY - _stacked([renderer.studio.wall()]))
    if size != 256:
        figures = torch.nn.functional.avg_pool2d(figures, 2)
    latents = model.autoencoder.encode(figures)
    decoded = _stacked([renderer.picture(t, z[None]) for z, t in zip(latents, told)])
    return {
        "autoencoder": decoded,
        "mesh look": clip.mesh,
        "ControlNet off": drawn(1, steered=False),
        "1 step": drawn(1),
        f"1 step for {HOLD} frames (real time)": drawn(1, hold=HOLD),
        "2 steps": drawn(2),
        "20 steps": drawn(20),
        "shuffled": clip.truth.roll(len(clip.truth) // 2, 0),
        "mean picture": clip.truth.mean(0, keepdim=True).expand_as(clip.truth),
    }


def _figures(frames: Tensor, clip: Clipping) -> dict[str, float]:
    share = coverage(clip.maps)
    error = (((frames - clip.truth) ** 2) * share).sum() / (3 * share.sum())
    return {
        "ssim": float(ssim(frames, clip.truth).mean()),
        # frames that equal the truth would be infinite: 60 dB is below one step of 8 bits
        "psnr": float(psnr(frames, clip.truth).clamp(max=60).mean()),
        "figure_psnr": float(-10 * torch.log10(error.clamp(min=1e-6))),
        "hand_ssim": float(hand_ssim(frames, clip.truth, clip.hands).mean()),
        "flicker": flicker(frames, clip.truth),
    }
