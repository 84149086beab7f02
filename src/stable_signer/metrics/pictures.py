"""Pose2Vid measured on motion that it never saw, drawn of signers that it knows, beside ceilings and floors.

Ground truth are studio frames. Rows: the autoencoder alone (the ceiling of what the denoiser can reach), the
mesh look, the denoiser without its ControlNet, with 1, 2 and 20 steps, and as floors the truth of another
frame (shuffled) and the mean of all frames. Figures are of whole pictures, before the style's wall, which
every row but the floors shares with the truth; `figure_psnr` counts the figure's pixels alone.

With a `FeatureNet` three more figures are found (SEEN). `features` is the distance in its features, mean over
frames. `signer` and `rendering` are style accuracies: how often a frame's figure, over grey, has as its
nearest reference that of its own signer among all signers, and of its own rendering among all. The references
are studio frames of one other moment, so that a like pose does not help; chance is one over their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.metrics.features import FeatureNet, distance, nearest
from stable_signer.pose2vid.autoencoder import coverage, over_grey
from stable_signer.pose2vid.diffusion import HOLD, DiffusionRenderer, Told
from stable_signer.pose2vid.frames import Motions
from stable_signer.pose2vid.likeness import flicker, part_ssim, psnr, ssim
from stable_signer.pose2vid.mesh import MeshRenderer
from stable_signer.pose2vid.sampler import Pose2Vid
from stable_signer.pose2vid.signers import SIGNERS, STYLES
from stable_signer.pose2vid.studio import RENDERINGS, Appearance, Studio

FIGURES = ("ssim", "psnr", "figure_psnr", "hand_ssim", "face_ssim", "flicker")
SEEN = ("features", "signer", "rendering")
CHANCE = {"signer": 1 / len(SIGNERS), "rendering": 1 / len(RENDERINGS)}


@dataclass(frozen=True)
class Clipping:
    """Consecutive true frames (T, 3, S, S) in [0, 1], their figures over grey, likewise, their maps
    (T, C, S, S) uint8, hand points (T, 2, 21, 2) and face points (T, 1, K, 2) in pixels, and who is seen;
    mesh (T, 3, S, S): the mesh look of the same; other: one frame of another moment."""

    appearance: Appearance
    truth: Tensor
    figures: Tensor
    maps: Tensor
    hands: Tensor
    face: Tensor
    mesh: Tensor
    other: Motion


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
        shots = list(studio.shots(motion))
        posed = studio.renderer.figure.skin.pose_motion(motion)
        points = torch.from_numpy(studio.control.keypoints(posed, studio.renderer.camera))
        mesh = MeshRenderer(body, appearance.signer, appearance.style, size).frames(motion)
        far = spans[(k + 1) % len(spans)]
        other = min(far[0] + 20, far[1] - 1)
        yield Clipping(
            appearance,
            _stacked([shot.picture for shot in shots]),
            _stacked([shot.figure for shot in shots]),
            torch.from_numpy(np.stack([shot.maps for shot in shots])),
            points[:, :42].reshape(len(points), 2, 21, 2),
            points[:, None, 42:],
            _stacked(list(mesh)),
            motions.piece(other, other + 1),
        )


def _stacked(pictures: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def measure(
    model: Pose2Vid,
    motions: Motions,
    size: int = 256,
    count: int = 10,
    length: int = 8,
    net: FeatureNet | None = None,
) -> dict[str, dict[str, float]]:
    """Every row's figures, means over the clippings' frames; `flicker` is relative to the truth's own. SEEN
    is there with a `net` only."""
    found: dict[str, list[dict[str, float]]] = {}
    for clip in clippings(motions, size, count, length):
        look_at = None if net is None else _Looker(net, clip, size)
        for row, frames in rows_of(model, clip, size).items():
            figures = _figures(frames, clip) | (look_at(frames) if look_at else {})
            found.setdefault(row, []).append(figures)
    return {
        row: {name: float(np.mean([one[name] for one in values])) for name in values[0]}
        for row, values in found.items()
    }


class _Looker:
    """What a network sees in the rows of one clipping."""

    def __init__(self, net: FeatureNet, clip: Clipping, size: int) -> None:
        self.net, self.clip, self.share = net, clip, coverage(clip.maps)
        one = clip.appearance
        self.signers = [self._figure(replace(one, signer=card), size) for card in SIGNERS.values()]
        self.renderings = [self._figure(replace(one, rendering=name), size) for name in RENDERINGS]

    def _figure(self, appearance: Appearance, size: int) -> Tensor:
        """(3, S, S): the other moment, over grey."""
        picture, maps = next(Studio(Body.load(), appearance, size).frames(self.clip.other))
        return over_grey(_stacked([picture]), coverage(torch.from_numpy(maps)[None]))[0]

    def __call__(self, frames: Tensor) -> dict[str, float]:
        shown, one = over_grey(frames, self.share), self.clip.appearance
        signer = nearest(self.net, shown, torch.stack(self.signers))
        rendering = nearest(self.net, shown, torch.stack(self.renderings))
        return {
            "features": float(distance(self.net, frames, self.clip.truth).mean()),
            "signer": float((signer == list(SIGNERS).index(one.signer.id)).float().mean()),
            "rendering": float((rendering == list(RENDERINGS).index(one.rendering)).float().mean()),
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
    figures = clip.figures
    if size != 256:
        figures = torch.nn.functional.avg_pool2d(figures, 2)
    latents = model.autoencoder.encode(figures.to(renderer.device))
    decoded = _stacked([renderer.picture(t, z[None]) for z, t in zip(latents, told)])
    return {
        "ground truth": clip.truth,
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
        "hand_ssim": float(part_ssim(frames, clip.truth, clip.hands).mean()),
        "face_ssim": float(part_ssim(frames, clip.truth, clip.face).mean()),
        "flicker": flicker(frames, clip.truth),
    }
