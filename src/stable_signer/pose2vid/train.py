"""Training Pose2Vid: autoencoder, then denoiser (UNet and ControlNet), then upsampler, on studio frames.

    stable-signer train pose2vid --config recipe.toml --output runs/pose2vid

The run folder holds the pool of frames, `log.jsonl`, `state.pt` (to go on from) and, in
`weights`, the files that the renderer reads. The same code runs on a CPU and on a GPU, in bf16 where
the hardware has it.

Losses. Autoencoder: L1 and 1 - SSIM in the picture, hands and face counted more, and latents held near unit
variance. Denoiser: the clean latent's squared error from a noisy one, half of the time from pure noise, which
is what one step has; and through the decoder, which goes on learning, the picture loss again, half of the
time that of the frame after, since in real time a latent serves two frames. Upsampler: the picture loss on
squares of the full picture, from what the networks before it draw. Decoder and upsampler can learn on
together (`finish`): the picture loss at full size through both, and at half of it.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import DDIMScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.autoencoder import (
    FACTOR,
    Autoencoder,
    Upsampler,
    coverage,
    halved,
    off_unit,
    over_grey,
    told_cells,
    unlit,
    unlit_over_grey,
)
from stable_signer.pose2vid.control import FACE, RIGHT_HAND
from stable_signer.pose2vid.controlnet import SIZES
from stable_signer.pose2vid.diffusion import HOLD
from stable_signer.pose2vid.frames import RUN, FramePool, MadeOf, Motions
from stable_signer.pose2vid.lens import Lenses
from stable_signer.pose2vid.likeness import weighed_loss
from stable_signer.pose2vid.sampler import PARTS, Pose2Vid, make_scheduler
from stable_signer.slul.runs import (
    checked,
    follow,
    has_bf16,
    learning_rate,
    read_state,
    read_toml,
    write_state,
)

STAGES = PARTS  # one after the other
HAND_WEIGHT, FACE_WEIGHT = 5.0, 3.0  # beside 1 for every pixel of the figure
TOGETHER = 16  # runs that are drawn at once for it


@dataclass(frozen=True)
class Pose2VidRecipe:
    """Everything a run depends on. Unknown keys in the TOML are refused.

    motions: .npz of tools/build_motions.py. runs: of RUN frames each, in the pool. size: a key of
    controlnet.SIZES. steps: of the three STAGES, 0 to leave one as it is in `start`. minutes: of the three
    STAGES, after which a stage ends though steps are left (0: no limit; a run that a limit cut is not
    repeatable to the bit). batch: of all stages. square: side of the pieces that the first two stages see, a
    multiple of 32, drawn where hands, face and figure are (256: whole pictures). start: folder of weights to
    start from ("" for fresh ones). style_dropout: chance that the appearance is not told, for guidance.
    previous_dropout: chance that the previous frame is not. held: chance that a latent is decoded into the
    frame after its own. full_frames: how many frames are held at full size for the upsampler. piece: side of
    the squares that it learns on, a multiple of 64. finish: whether the decoder learns on with it.

    cameras, aperture, shutter: the `lens.Lenses` through which the studio sees; each sitting draws one. With
    all at 0 it is the product's camera.
    """

    motions: str = "runs/motions.npz"
    runs: int = 500
    size: str = "small"
    latent_channels: int = 12
    steps: tuple[int, ...] = (2000, 6000, 1500)
    minutes: tuple[float, ...] = (0.0, 0.0, 0.0)
    batch: int = 16
    square: int = 256
    start: str = ""
    learning_rate: float = 1e-3
    warmup: int = 100
    average: float = 0.998
    style_dropout: float = 0.1
    previous_dropout: float = 0.3
    pure_noise: float = 0.5
    held: float = 0.5
    full_frames: int = 800
    piece: int = 128
    finish: bool = False
    cameras: float = 0.0
    aperture: float = 0.0
    shutter: float = 0.0
    workers: int = 0
    save_every: int = 500
    seed: int = 1

    @classmethod
    def load(cls, path: str | Path) -> Pose2VidRecipe:
        """Read a TOML file; StableSignerError when it is missing, no TOML, or has a wrong key or value."""
        recipe = cls(**checked(cls, read_toml(path), str(path)))
        if len(recipe.steps) != len(STAGES) or len(recipe.minutes) != len(STAGES):
            raise StableSignerError(f"{path}: steps and minutes need {len(STAGES)} numbers, one a stage")
        if recipe.size not in SIZES:
            raise StableSignerError(
                f"{path}: there is no size {recipe.size!r}: choose one of {', '.join(SIZES)}"
            )
        if recipe.square % 32 or not 64 <= recipe.square <= 256:
            raise StableSignerError(f"{path}: square must be 64 to 256 and a multiple of 32")
        if recipe.piece % 64 or not 64 <= recipe.piece <= 512:
            raise StableSignerError(f"{path}: piece must be 64 to 512 and a multiple of 64")
        if min(recipe.steps) < 0 or max(recipe.steps) < 1 or recipe.batch < 1 or recipe.runs < 1:
            raise StableSignerError(
                f"{path}: batch, runs and one of steps must be at least 1, the other steps at least 0"
            )
        try:
            recipe.made_of()
        except StableSignerError as error:
            raise StableSignerError(f"{path}: {error}") from error
        return recipe

    def made_of(self) -> MadeOf:
        """What its pool of frames is made of."""
        return MadeOf(self.motions, self.seed, self.runs, Lenses(self.cameras, self.aperture, self.shutter))


class Squares(NamedTuple):
    """Pieces of B frames: picture (B, 3, S, S) in [0, 1] and maps (B, C, S, S) uint8 at full size, the same
    two at half of it; what the networks drew there, (B, 3, S/2, S/2) in [0, 1], from which latents (B, L,
    S/16, S/16)."""

    picture: Tensor
    maps: Tensor
    small: Tensor
    small_maps: Tensor
    drawn: Tensor
    latent: Tensor


class Frames:
    """The pool at half size on the training device, and some of it at full size."""

    def __init__(self, pool: FramePool, full_frames: int, device: torch.device) -> None:
        self.pool, self.device = pool, device
        count = pool.runs * RUN
        self.picture = torch.empty(count, 3, 256, 256, dtype=torch.uint8, device=device)
        self.maps = torch.empty(count, pool.maps.shape[1], 256, 256, dtype=torch.uint8, device=device)
        self.vector = torch.empty(count, pool.vector.shape[1], device=device)
        self.loaded: list[int] = []
        self.full = full_frames
        # by the networks, see `draw_halves`: what they draw at half size, and from which latents
        self.drawn = torch.empty(0, 3, 256, 256, dtype=torch.uint8)
        self.latents = torch.empty(0)

    def refresh(self) -> int:
        """Take in the runs that have become ready; returns how many runs there are."""
        for run in np.setdiff1d(np.flatnonzero(self.pool.ready), self.loaded).tolist():
            rows = slice(run * RUN, (run + 1) * RUN)
            picture, maps, vector = (
                torch.from_numpy(kept[rows]).to(self.device)
                for kept in (self.pool.picture, self.pool.maps, self.pool.vector)
            )
            half = F.avg_pool2d(picture.permute(0, 3, 1, 2).float(), 2)  # (RUN, 3, 256, 256)
            self.picture[rows], self.maps[rows] = half.round().to(torch.uint8), halved(maps)
            self.vector[rows] = vector
            self.loaded.append(run)
        self.loaded.sort()  # what is drawn must not depend on who was ready first
        return len(self.loaded)

    def wait(self, runs: int) -> None:
        """Until that many runs are there. What a process that renders them raised is raised here."""
        while self.refresh() < min(runs, self.pool.runs):
            self.pool.check()
            time.sleep(0.5)

    def draw(self, batch: int, square: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """-> pictures (3, B, 3, square, square) in [0, 1]: the frame before, the frame, the frame after; maps
        (2, B, C, square, square) uint8 of the last two; vector (B, VECTOR)."""
        device = self.device
        loaded = torch.tensor(self.loaded, device=device)
        runs = loaded[torch.randint(len(loaded), (batch,), generator=generator, device=device)]
        rows = runs * RUN + torch.randint(1, RUN - 1, (batch,), generator=generator, device=device)
        pictures = torch.stack([self.picture[rows + k] for k in (-1, 0, 1)])
        maps = torch.stack([self.maps[rows + k] for k in (0, 1)])
        if square < 256:
            places = _places(maps[0], square, generator)
            pictures, maps = (
                torch.stack(
                    [x[:, b, :, y : y + square, c : c + square] for b, (y, c) in enumerate(places)], 1
                )
                for x in (pictures, maps)
            )
        return pictures.float() / 255, maps, self.vector[rows]

    @torch.no_grad()
    def draw_halves(self, model: Pose2Vid) -> None:
        """Draw the frames that are held at full size at half of it, as a video is drawn: each run from its
        start, one step a latent that serves HOLD frames."""
        runs = self.loaded[: self.full // RUN]
        self.drawn = torch.empty(len(runs) * RUN, 3, 256, 256, dtype=torch.uint8)
        still = model.noise()
        self.latents = still.new_empty(len(runs) * RUN, *still.shape[1:]).cpu()
        for first in range(0, len(runs), TOGETHER):
            part = torch.tensor(runs[first : first + TOGETHER])
            noise, before = still.expand(len(part), -1, -1, -1), None
            for k in range(RUN):
                rows = part * RUN + k  # the k-th frame of each run
                told = told_cells(self.maps[rows])
                if k % HOLD == 0:
                    latent = before = model.latents(told, self.vector[rows], before, noise)
                figure = model.autoencoder.decoder(latent, told, unlit(self.maps[rows])).float().clamp(0, 1)
                figure = over_grey(figure, coverage(self.maps[rows]))
                places = torch.arange(first, first + len(part)) * RUN + k
                self.drawn[places] = (figure * 255).round().to(torch.uint8).cpu()
                self.latents[places] = latent.float().cpu()

    def row(self, number: int) -> int:
        """Where in the pool the `number`-th of the loaded frames is."""
        return self.loaded[number // RUN] * RUN + number % RUN

    def squares(self, batch: int, side: int, generator: torch.Generator) -> Squares:
        """Pieces of that side at full size, more often where hands and face are."""
        chosen = torch.randint(len(self.drawn), (batch,), generator=generator, device=self.device).tolist()
        rows = [self.row(number) for number in chosen]
        places = _places(self.maps[rows], side // 2, generator)
        found: list[tuple[Tensor, ...]] = []
        for number, row, (top, left) in zip(chosen, rows, places, strict=True):
            area, half, cells = (
                tuple(slice(int(at * factor), int((at + side // 2) * factor)) for at in (top, left))
                for factor in (2, 1, 1 / FACTOR)
            )
            found.append(
                (
                    torch.from_numpy(self.pool.picture[row][area]).permute(2, 0, 1),
                    torch.from_numpy(np.ascontiguousarray(self.pool.maps[row][:, area[0], area[1]])),
                    self.picture[row, :, half[0], half[1]],
                    self.maps[row, :, half[0], half[1]],
                    self.drawn[number, :, half[0], half[1]],
                    self.latents[number, :, cells[0], cells[1]],
                )
            )
        picture, maps, small, small_maps, drawn, latent = (
            torch.stack(x).to(self.device) for x in zip(*found, strict=True)
        )
        picture, small, drawn = (x.float() / 255 for x in (picture, small, drawn))
        return Squares(picture, maps, small, small_maps, drawn, latent)


def _places(maps: Tensor, square: int, generator: torch.Generator) -> list[tuple[int, int]]:
    """Where to cut pieces out of maps (B, C, 256, 256): top and left, multiples of 8, more often where hands,
    face and figure are."""
    weight = 0.02 + coverage(maps) + 12 * maps[:, RIGHT_HAND:].float().amax(1, keepdim=True) / 255
    chance = F.avg_pool2d(weight, square, stride=8)[:, 0] ** 2  # (B, n, n)
    drawn = torch.multinomial(chance.flatten(1), 1, generator=generator)[:, 0].tolist()
    return [(8 * (d // chance.shape[2]), 8 * (d % chance.shape[2])) for d in drawn]


def picture_loss(found: Tensor, truth: Tensor, maps: Tensor) -> Tensor:
    """L1 and 1 - SSIM of figures laid over grey by their coverage; hands and face weigh more."""
    share = coverage(maps)
    found = over_grey(found.float(), share)
    hands = F.max_pool2d(maps[:, RIGHT_HAND:FACE].amax(1, keepdim=True).float() / 255, 9, 1, 4)
    face = F.max_pool2d(maps[:, FACE:].float() / 255, 5, 1, 2)
    weight = 0.1 + share + HAND_WEIGHT * hands + FACE_WEIGHT * face
    return weighed_loss(found, truth, weight)


class AutoencoderLoss(nn.Module):
    """One batch through the autoencoder."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, picture: Tensor, maps: Tensor) -> Tensor:
        """picture (B, 3, 256, 256), maps uint8 -> ()."""
        latent = self.model.encode(picture)
        found = self.model.decode(latent, maps)
        return picture_loss(found, picture, maps) + 0.01 * off_unit(latent)


class DenoiserLoss(nn.Module):
    """One batch through the denoiser and the decoder, which goes on learning; the encoder is frozen."""

    def __init__(self, model: nn.ModuleDict, autoencoder: Autoencoder, recipe: Pose2VidRecipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe
        self.frozen = [autoencoder]  # in a list: not trained
        self.scheduler: DDIMScheduler = make_scheduler()

    def forward(
        self, pictures: Tensor, maps: Tensor, vector: Tensor, chance: Tensor, noise: Tensor
    ) -> Tensor:
        """pictures, maps, vector of `Frames.draw`; chance (B, 6) uniform, noise (2, B, L, h, w) normal
        -> ()."""
        autoencoder = self.frozen[0]
        before, now, after = pictures
        with torch.no_grad():
            clean, previous = (autoencoder.encode(x).float() for x in (now, before))
        kept = (chance[:, 0] > self.recipe.previous_dropout).float()[:, None, None, None]
        previous = (previous + 0.4 * chance[:, 4, None, None, None] * noise[1]) * kept
        vector = vector * (chance[:, 1] > self.recipe.style_dropout).float()[:, None]
        last = self.scheduler.config.num_train_timesteps - 1
        step = torch.where(chance[:, 2] < self.recipe.pure_noise, torch.ones_like(chance[:, 3]), chance[:, 3])
        step = (step * last).round().long()
        noisy = self.scheduler.add_noise(clean, noise[0], step)
        found = self.model["denoiser"](noisy, step, previous, told_cells(maps[0]), vector)
        near = ((found.float() - clean) ** 2).mean()
        held = (chance[:, 5] < self.recipe.held)[:, None, None, None]
        served = torch.where(held, maps[1], maps[0])
        drawn = self.model["decoder"](found, told_cells(served), unlit(served))
        return near * 0.1 + picture_loss(drawn, torch.where(held, after, now), served)


class UpsamplerLoss(nn.Module):
    """One batch of squares through the upsampler."""

    def __init__(self, model: Upsampler) -> None:
        super().__init__()
        self.model = model

    def forward(self, *squares: Tensor) -> Tensor:
        """The fields of `Squares` -> ()."""
        picture, maps, _, _, drawn, _ = squares
        return picture_loss(self.model(drawn, told_cells(maps), unlit_over_grey(maps)), picture, maps)


class FinishLoss(nn.Module):
    """One batch of squares from their latents through decoder and upsampler, both of which learn."""

    def __init__(self, model: nn.ModuleDict) -> None:
        super().__init__()
        self.model = model

    def forward(self, *squares: Tensor) -> Tensor:
        """The fields of `Squares` -> ()."""
        picture, maps, small, small_maps, _, latent = squares
        drawn = self.model["decoder"](latent, told_cells(small_maps), unlit(small_maps))
        half = over_grey(drawn.float().clamp(0, 1), coverage(small_maps))
        full = self.model["upsampler"](half, told_cells(maps), unlit_over_grey(maps))
        return picture_loss(full, picture, maps) + picture_loss(drawn, small, small_maps)


def train(
    recipe: Pose2VidRecipe,
    output: Path,
    on_step: Callable[[str, int, float], None] = lambda *_: None,
    pool_folder: Path | None = None,
) -> Path:
    """Train all stages that are not done yet; returns the folder with the weights.

    on_step(stage, step, loss) is called every 25 steps. Interrupted, it goes on where the last state was
    saved.
    """
    Motions.load(recipe.motions).part(held_out=False)  # told here and not by the processes
    made_of, folder = recipe.made_of(), pool_folder or output / "pool"
    made_of.claim(folder)
    output.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision="bf16" if has_bf16() else "no")
    device = accelerator.device
    torch.manual_seed(recipe.seed)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    pool = FramePool(folder, recipe.runs)
    makers = pool.fill(made_of, recipe.workers)
    state = read_state(output, recipe) or {"stage": 0, "step": 0}
    try:
        frames = Frames(pool, recipe.full_frames, device)
        early = any(recipe.minutes) and state["stage"] == 0  # such a run is not repeatable anyway
        frames.wait(recipe.runs // 8 + 1 if early else recipe.runs)
        begun = (
            Pose2Vid.from_pretrained(recipe.start)
            if recipe.start
            else Pose2Vid.fresh(recipe.size, recipe.latent_channels)
        )
        models: dict[str, Any] = {stage: getattr(begun, stage).train() for stage in STAGES}
        for number, stage in enumerate(STAGES):
            if number < state["stage"]:
                models[stage].load_state_dict(
                    torch.load(output / f"{stage}.pt", map_location=device, weights_only=True)
                )
                continue
            learned = _stage(
                number,
                stage,
                models,
                frames,
                recipe,
                output,
                accelerator,
                state if number == state["stage"] else {},
                on_step,
            )
            if stage == "denoiser":
                models["autoencoder"].decoder = learned["decoder"]
                learned = learned["denoiser"]
            elif stage == "upsampler" and recipe.finish:
                models["autoencoder"].decoder = learned["decoder"]
                learned = learned["upsampler"]
            models[stage] = learned
            for done in STAGES[: number + 1]:
                torch.save(models[done].state_dict(), output / f"{done}.pt")
            write_state(output, recipe, {"stage": number + 1, "step": 0})
    finally:
        makers.shutdown(wait=False, cancel_futures=True)
    Pose2Vid(**models).save_pretrained(output / "weights")
    return output


def _stage(
    number: int,
    stage: str,
    models: dict[str, Any],
    frames: Frames,
    recipe: Pose2VidRecipe,
    output: Path,
    accelerator: Accelerator,
    state: dict[str, Any],
    on_step: Callable[[str, int, float], None],
) -> Any:
    """Train one stage; returns the running mean of its weights (for the denoiser, the decoder's beside)."""
    device = accelerator.device
    layout = {"memory_format": torch.channels_last}
    model: Any = models[stage].to(device, **layout)
    if stage == "autoencoder":
        objective: nn.Module = AutoencoderLoss(model)
    elif stage == "denoiser":
        autoencoder = models["autoencoder"].to(device, **layout)
        model = nn.ModuleDict({"denoiser": model, "decoder": autoencoder.decoder})
        objective = DenoiserLoss(model, autoencoder, recipe)
    else:
        whole = Pose2Vid(**models).to(device, **layout)  # type: ignore[call-overload]
        frames.draw_halves(whole.eval())
        whole.train()
        if recipe.finish:
            model = nn.ModuleDict({"upsampler": model, "decoder": whole.autoencoder.decoder})
        objective = FinishLoss(model) if recipe.finish else UpsamplerLoss(model)
    mean = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, (0.9, 0.99), weight_decay=1e-4)
    first = int(state.get("step", 0))
    if first:
        model.load_state_dict(state["model"])
        mean.load_state_dict(state["mean"])
        optimizer.load_state_dict(state["optimizer"])
    wrapped, optimizer = accelerator.prepare(objective, optimizer)
    steps, limit = recipe.steps[number], recipe.minutes[number] * 60
    began, recent = time.monotonic(), []
    for step in range(first, steps):
        done = (time.monotonic() - began) / limit if limit else 0.0
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, recipe.learning_rate, recipe.warmup, done)
        if step % 200 == 0 and len(frames.loaded) < frames.pool.runs:
            frames.refresh()
        loss = wrapped(*_inputs(stage, frames, recipe, recipe.seed * 1_000_003 + number * 100_003 + step))
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        follow(mean, model, step, recipe.average)
        if step % 25 == 0 or step in (first, steps - 1):
            recent.append(float(loss.detach()))
            on_step(stage, step, recent[-1])
        if (step + 1) % 100 == 0 and accelerator.is_main_process:
            line = {
                "stage": stage,
                "step": step + 1,
                "loss": float(np.mean(recent[-4:])),
                "frames": len(frames.loaded) * RUN,
            }
            with open(output / "log.jsonl", "a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        if (step + 1) % recipe.save_every == 0 and accelerator.is_main_process:
            kept = {
                "model": model.state_dict(),
                "mean": mean.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            write_state(output, recipe, {"stage": number, "step": step + 1, **kept})
    return mean.eval()


def _inputs(stage: str, frames: Frames, recipe: Pose2VidRecipe, seed: int) -> tuple[Tensor, ...]:
    """What a stage's loss takes, drawn with the step's seed."""
    device, batch = frames.device, recipe.batch
    generator = torch.Generator(device).manual_seed(seed)
    if stage == "upsampler":
        return frames.squares(batch, recipe.piece, generator)
    pictures, maps, vector = frames.draw(batch, recipe.square, generator)
    if stage == "autoencoder":
        return pictures[1], maps[0]
    chance = torch.rand(batch, 6, generator=generator, device=device)
    cells = recipe.square // FACTOR
    noise = torch.randn(2, batch, recipe.latent_channels, cells, cells, generator=generator, device=device)
    return pictures, maps, vector, chance, noise
