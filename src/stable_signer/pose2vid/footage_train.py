"""Fine-tuning Pose2Vid on a filmed signer.

    stable-signer train pose2vid --footage clip.mp4 --signer-card card.json --output runs/ana

What is learned is a `filmed.Filmed`: whole pictures, the plate, which starts as the clip's median, and an
appearance vector, from where our words for it would put it.

Two stages, each from the running mean of the one before: the autoencoder with the plate; then denoiser,
decoder, plate and vector through the decoder, half of the time from pure noise. Pieces of pictures are cut at
any pixel, which is the augmentation. The last frames of the clip are held out and only measured on.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from stable_signer.body.fit import Landmarks
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.autoencoder import coverage, off_unit, told_cells
from stable_signer.pose2vid.consent import ConsentCard
from stable_signer.pose2vid.control import FACE, RIGHT_HAND
from stable_signer.pose2vid.controlnet import SIZES
from stable_signer.pose2vid.filmed import Filmed
from stable_signer.pose2vid.footage import FEWEST, SIZE, Pairs, learned_frames, make_pairs
from stable_signer.pose2vid.likeness import part_ssim, psnr, ssim, weighed_loss
from stable_signer.pose2vid.sampler import Pose2Vid, make_scheduler
from stable_signer.pose2vid.signers import STYLES
from stable_signer.pose2vid.studio import VECTOR, Appearance
from stable_signer.slul.runs import (
    checked,
    follow,
    has_bf16,
    learning_rate,
    read_state,
    read_toml,
    write_state,
)

STAGES = ("autoencoder", "denoiser")
HAND_WEIGHT, FACE_WEIGHT, MOVED_WEIGHT = 5.0, 3.0, 2.0  # beside 1 for every pixel of the figure
WALL_WEIGHT, UNSEEN_WEIGHT = 0.3, 0.02  # behind the figure; beyond what the camera saw


@dataclass(frozen=True)
class FootageRecipe:
    """Everything a run depends on. Unknown keys in the TOML are refused.

    start: folder of weights to start from ("": those that ship; "fresh": none, of `size`). steps: of the two
    STAGES. square: side of the pieces. held: chance that a latent is decoded into the frame after its own.
    clip: the SHA-256 of clip and card, filled in by the run.
    """

    start: str = ""
    size: str = "small"
    latent_channels: int = 12
    steps: tuple[int, ...] = (700, 1800)
    batch: int = 6
    square: int = 128
    learning_rate: float = 6e-4
    warmup: int = 40
    average: float = 0.99
    previous_dropout: float = 0.3
    pure_noise: float = 0.5
    held: float = 0.3
    save_every: int = 200
    seed: int = 1
    clip: str = ""

    @classmethod
    def load(cls, path: str | Path) -> FootageRecipe:
        """Read a TOML file; StableSignerError when it is missing, no TOML, or has a wrong key or value."""
        recipe = cls(**checked(cls, read_toml(path), str(path)))
        if len(recipe.steps) != len(STAGES) or min(recipe.steps) < 1:
            raise StableSignerError(f"{path}: steps needs {len(STAGES)} numbers of at least 1, one a stage")
        if recipe.size not in SIZES:
            raise StableSignerError(
                f"{path}: there is no size {recipe.size!r}: choose one of {', '.join(SIZES)}"
            )
        if recipe.square % 32 or not 64 <= recipe.square <= SIZE or recipe.batch < 1:
            raise StableSignerError(
                f"{path}: square must be 64 to {SIZE}, a multiple of 32, and batch 1 or more"
            )
        return recipe


class _Clip:
    """The frames learned from, on the training device."""

    def __init__(self, pairs: Pairs, device: torch.device) -> None:
        self.train = learned_frames(len(pairs))
        self.pairs, self.device = pairs, device
        self.pictures = torch.from_numpy(np.array(pairs.pictures[: self.train])).permute(0, 3, 1, 2)
        self.plate = self.pictures.median(0).values.float() / 255
        top, bottom, left, right = pairs.filmed
        self.filmed = torch.full((1, SIZE, SIZE), UNSEEN_WEIGHT)
        self.filmed[:, top:bottom, left:right] = 1

    def draw(self, recipe: FootageRecipe, seed: int) -> tuple[Tensor, Tensor, Tensor, list[tuple[int, int]]]:
        """-> pictures (3, B, 3, S, S) in [0, 1] of the frame before, the frame, the one after; maps (3, B, C,
        S, S) uint8 of the same; filmed (B, 1, S, S) weight; top and left of each piece."""
        rng = np.random.default_rng(seed)
        side, pieces, places = recipe.square, [], []
        for _ in range(recipe.batch):
            row = int(rng.integers(1, self.train - 1))
            corner = rng.integers(0, SIZE - side + 1, 2)
            hands = self.pairs.hands[row]
            if rng.random() < 0.6:  # around a hand
                middle = hands[int(rng.integers(2))].mean(0)[::-1] + rng.uniform(-side / 3, side / 3, 2)
                corner = np.clip(np.rint(middle - side / 2), 0, SIZE - side)
            y, x = (int(v) for v in corner)
            area = (..., slice(y, y + side), slice(x, x + side))
            three = slice(row - 1, row + 2)
            maps = torch.from_numpy(np.array(self.pairs.maps[three][area]))
            pieces.append((self.pictures[three][area], maps, self.filmed[area]))
            places.append((y, x))
        pictures, maps = (torch.stack([p[k] for p in pieces], 1).to(self.device) for k in (0, 1))
        return pictures.float() / 255, maps, torch.stack([p[2] for p in pieces]).to(self.device), places


def _cut(plate: Tensor, places: list[tuple[int, int]], side: int) -> Tensor:
    return torch.stack([plate[:, y : y + side, x : x + side] for y, x in places])


def footage_loss(found: Tensor, truth: Tensor, maps: Tensor, filmed: Tensor, plate: Tensor) -> Tensor:
    """L1 and 1 - SSIM of whole pictures; hands, face and what differs from the plate weigh more."""
    hands = F.max_pool2d(maps[:, RIGHT_HAND:FACE].amax(1, keepdim=True).float() / 255, 13, 1, 6)
    face = F.max_pool2d(maps[:, FACE:].float() / 255, 5, 1, 2)
    moved = ((truth - plate.detach()).abs().amax(1, keepdim=True) > 0.12).float()
    weight = WALL_WEIGHT + coverage(maps) + HAND_WEIGHT * hands + FACE_WEIGHT * face + MOVED_WEIGHT * moved
    return weighed_loss(found, truth, weight * filmed)


def _loss(
    stage: str,
    filmed: Filmed,
    frozen: Filmed,
    clip: _Clip,
    recipe: FootageRecipe,
    seed: int,
    device: torch.device,
) -> Tensor:
    """Of one batch. frozen: the encoder and the plate that latents of the second stage are made with."""
    (before, now, after), maps, seen, places = clip.draw(recipe, seed)
    plate = _cut(filmed.plate, places, recipe.square)
    if stage == "autoencoder":
        latent = filmed.encode(now, maps[1], plate.detach())
        drawn = filmed.decode(latent, maps[1], plate)
        return footage_loss(drawn, now, maps[1], seen, plate) + 0.01 * off_unit(latent)
    generator = torch.Generator().manual_seed(seed)
    chance = torch.rand(recipe.batch, 5, generator=generator).to(device)
    with torch.no_grad():
        old = _cut(frozen.plate, places, recipe.square)
        clean, previous = (
            frozen.encode(now, maps[1], old).float(),
            frozen.encode(before, maps[0], old).float(),
        )
    noise = torch.randn(2, *clean.shape, generator=generator).to(device)
    kept = (chance[:, 0] > recipe.previous_dropout).float()[:, None, None, None]
    previous = (previous + 0.4 * chance[:, 1, None, None, None] * noise[1]) * kept
    scheduler = make_scheduler()
    last = scheduler.config.num_train_timesteps - 1
    step = torch.where(chance[:, 2] < recipe.pure_noise, torch.ones_like(chance[:, 3]), chance[:, 3])
    step = (step * last).round().long()
    noisy = scheduler.add_noise(clean, noise[0], step)
    vector = filmed.vector.expand(recipe.batch, VECTOR)
    found = filmed.model.denoiser(noisy, step, previous, told_cells(maps[1]), vector)
    held = (chance[:, 4] < recipe.held)[:, None, None, None]
    told, truth = torch.where(held, maps[2], maps[1]), torch.where(held, after, now)
    drawn = filmed.decode(found, told, plate)
    return 0.1 * ((found.float() - clean) ** 2).mean() + footage_loss(drawn, truth, told, seen, plate)


def _learning(filmed: Filmed, stage: str) -> list[nn.Parameter]:
    if stage == "autoencoder":
        return [*filmed.model.autoencoder.parameters(), filmed.plate]
    parts = (filmed.model.denoiser, filmed.model.autoencoder.decoder)
    return [*(p for part in parts for p in part.parameters()), filmed.plate, filmed.vector]


def _begin(recipe: FootageRecipe, pairs: Pairs, clip: _Clip) -> Filmed:
    torch.manual_seed(recipe.seed)
    if recipe.start == "fresh":
        model = Pose2Vid.fresh(recipe.size, recipe.latent_channels)
    elif recipe.start:
        model = Pose2Vid.from_pretrained(recipe.start)
    else:
        with resources.as_file(resources.files("stable_signer") / "weights") as folder:
            model = Pose2Vid.from_pretrained(folder)
    appearance = Appearance(pairs.card, next(iter(STYLES.values())))
    return Filmed(model, clip.plate.clone(), torch.from_numpy(appearance.vector()))


def learn(
    clip: str | Path,
    marks: Callable[[], Landmarks],
    card: ConsentCard,
    output: Path,
    recipe: FootageRecipe | None = None,
    on_step: Callable[[str, int, float], None] = lambda *_: None,
) -> dict[str, Any]:
    """Make the pairs, fine-tune, measure; returns what metrics.json holds. Interrupted, it goes on.

    marks is called once, and not when the pairs are there. Raises StableSignerError before it writes
    anything when the clip or its landmarks cannot be used, or `output` holds another run.
    """
    try:
        clip_bytes = Path(clip).read_bytes()
    except OSError as error:
        raise StableSignerError(f"the clip {clip} cannot be read ({error.strerror}): give a video") from error
    recipe = replace(
        recipe or FootageRecipe(), clip=hashlib.sha256(clip_bytes + card.json().encode()).hexdigest()[:32]
    )
    state = read_state(output, recipe) if output.exists() else None
    if state is None:
        found = marks()
        if len(found) < FEWEST:
            raise StableSignerError(
                f"{clip} has {len(found)} frames: at least {FEWEST} are needed to learn from"
            )
        pairs = make_pairs(clip, found, output / "pairs")
        state = {"stage": 0, "step": 0}
        write_state(output, recipe, state)
    else:
        pairs = Pairs.load(output / "pairs")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    frames = _Clip(pairs, device)
    filmed = _begin(recipe, pairs, frames).to(device)
    if "mean" in state:
        filmed.load_state_dict(state["mean"])
    seconds = float(state.get("seconds", 0.0))
    for number in range(state["stage"], len(STAGES)):
        began = time.monotonic()
        filmed = _stage(number, filmed, frames, recipe, output, state, seconds, on_step)
        seconds += time.monotonic() - began
        state = {"stage": number + 1, "step": 0, "mean": filmed.state_dict(), "seconds": seconds}
        write_state(output, recipe, state)
    filmed.eval()
    looks = json.loads((output / "pairs" / "pairs.json").read_text(encoding="utf-8"))["looks"]
    filmed.save(output / "weights", card, looks)
    figures = measure(filmed, pairs, frames.train, output)
    figures |= {"training_seconds": round(seconds), "signer": card.name, "licence": card.licence}
    part = output / "metrics.json.part"
    part.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(output / "metrics.json")
    return figures


def _stage(
    number: int,
    filmed: Filmed,
    clip: _Clip,
    recipe: FootageRecipe,
    output: Path,
    state: dict[str, Any],
    seconds: float,
    on_step: Callable[[str, int, float], None],
) -> Filmed:
    """Train one stage; returns the running mean of its weights."""
    stage, device = STAGES[number], clip.device
    frozen, mean = copy.deepcopy(filmed).eval().requires_grad_(False), copy.deepcopy(filmed)
    first = int(state["step"]) if state["stage"] == number else 0
    if first:
        filmed.load_state_dict(state["model"])
        frozen.load_state_dict(state["frozen"])
    filmed.train()
    learned = _learning(filmed, stage)
    optimizer = torch.optim.AdamW(learned, recipe.learning_rate, (0.9, 0.99), weight_decay=1e-4)
    if first:
        optimizer.load_state_dict(state["optimizer"])
    steps, began, recent = recipe.steps[number], time.monotonic(), []
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, recipe.learning_rate, recipe.warmup)
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bf16()):
            seed = recipe.seed * 1_000_003 + number * 100_003 + step
            loss = _loss(stage, filmed, frozen, clip, recipe, seed, device)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        follow(mean, filmed, step, recipe.average)
        recent.append(float(loss.detach()))
        if step % 25 == 0 or step == steps - 1:
            on_step(stage, step, recent[-1])
        if (step + 1) % 50 == 0:
            line = {"stage": stage, "step": step + 1, "loss": float(np.mean(recent[-50:]))}
            with open(output / "log.jsonl", "a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        if (step + 1) % recipe.save_every == 0 and step + 1 < steps:
            kept = {
                "model": filmed.state_dict(),
                "mean": mean.state_dict(),
                "frozen": frozen.state_dict(),
                "optimizer": optimizer.state_dict(),
                "seconds": seconds + time.monotonic() - began,
            }
            write_state(output, recipe, {"stage": number, "step": step + 1, **kept})
    return mean


def _figures(
    found: Tensor, truth: Tensor, hands: Tensor, filmed: tuple[int, int, int, int]
) -> dict[str, float]:
    top, bottom, left, right = filmed
    a, b = (x[:, :, top:bottom, left:right] for x in (found, truth))
    return {
        "ssim": round(float(ssim(a, b).mean()), 4),
        "psnr": round(float(psnr(a, b).mean()), 2),
        "hand_ssim": round(float(part_ssim(found, truth, hands).mean()), 4),
    }


@torch.inference_mode()
def measure(filmed: Filmed, pairs: Pairs, train: int, output: Path | None = None) -> dict[str, Any]:
    """SSIM, PSNR and SSIM of the squares around the hands on the frames from `train` on, within what the
    camera saw; beside the autoencoder alone, the mean and the last training frame, and training frames. With
    `output`, pictures beside the truth: held_out.png."""
    device = filmed.plate.device

    def of(rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        picture = (
            torch.from_numpy(np.array(pairs.pictures[rows])).permute(0, 3, 1, 2).float().to(device) / 255
        )
        return (
            picture,
            torch.from_numpy(np.array(pairs.maps[rows])).to(device),
            torch.from_numpy(np.array(pairs.hands[rows])),
        )

    truth, maps, hands = of(slice(train, len(pairs)))
    drawn = filmed.film(maps)
    plate = filmed.plate[None]
    again = torch.cat(
        [filmed.decode(filmed.encode(t, m, plate), m, plate) for t, m in zip(truth.split(1), maps.split(1))]
    )
    known, known_maps, known_hands = of(slice(max(0, train - len(truth)), train))
    mean = (
        torch.from_numpy(np.asarray(pairs.pictures[:train], np.float32).mean(0)).permute(2, 0, 1).to(device)
        / 255
    )
    rows = {
        "pose2vid": _figures(drawn, truth, hands, pairs.filmed),
        "autoencoder alone (ceiling)": _figures(again.clamp(0, 1), truth, hands, pairs.filmed),
        "floor: mean training frame": _figures(mean.expand_as(truth), truth, hands, pairs.filmed),
        "floor: last training frame": _figures(known[-1:].expand_as(truth), truth, hands, pairs.filmed),
        "pose2vid, the last training frames": _figures(
            filmed.film(known_maps), known, known_hands, pairs.filmed
        ),
    }
    if output is not None:
        shown = np.linspace(0, len(truth) - 1, min(6, len(truth))).round().astype(int)
        sheet = torch.cat([torch.cat([x[k] for k in shown], 2) for x in (truth, drawn, again.clamp(0, 1))], 1)
        Image.fromarray((sheet * 255).round().byte().permute(1, 2, 0).cpu().numpy()).save(
            output / "held_out.png"
        )
    return {
        "size": SIZE,
        "frames_learned": train,
        "frames_held_out": len(truth),
        "filmed": list(pairs.filmed),
        "fit_error_pixels": round(pairs.error, 3),
        "rows": rows,
    }
