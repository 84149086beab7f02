"""Training SLP-MoE: a recipe (TOML), a resumable seeded loop under accelerate, a log that can be plotted.

    stable-signer train moe --config recipe.toml --output runs/moe

The run folder holds `log.jsonl` (a line an evaluation), `state.pt` (to go on from) and `best.safetensors`.
With `slul` and `linker_rate` in the recipe SLUL is trained along: the motion loss reaches its decoder through
the linker states.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stable_signer.body import rotation
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe import residual as rs
from stable_signer.slp_moe.condition import ARM_FEATURES, FIELDS, SOURCES, SignCondition, vocabulary
from stable_signer.slp_moe.model import Batch, MoeConfig, SlpMoe, collate, noise_kernel
from stable_signer.slp_moe.pairs import GROUPS, Pair, PairData, load, part_of
from stable_signer.slul.runs import checked, follow, learning_rate, read_state, read_toml, write_state

_TYPE = FIELDS.index("type")
# What a channel's squared error counts for: hands are placed by few numbers and shaped by many.
WEIGHTS = {"wrist": 4.0, "palm": 2.0, "swivel": 0.5, "finger": 1.0, "head": 0.5, "face": 0.5}


@dataclass(frozen=True)
class MoeRecipe:
    """Everything a run depends on. Unknown keys in the TOML are refused.

    data: pairs of tools/build_pairs.py. size, parts, top, dense, prior, linker: see MoeConfig. groups: how
    often each of pairs.GROUPS is drawn, relative to one another. steps of `batch` windows of at most `frames`
    frames, stretched in time by up to `stretch`. balance: weight of the load-balancing loss. manner_dropout:
    chance that a number of the manner is not told. dropout: of the network. feature_noise: how far the
    prior's features are displaced, in units of their spread. average: decay of the weights' running mean,
    which is what is evaluated and kept. slul: weights of a SLUL to train along ("" leaves the linker states
    as they are), with linker_rate times the learning rate.
    """

    data: str = "runs/pairs.npz"
    size: str = "small"
    parts: str = "four"
    top: int = 3
    dense: bool = False
    prior: bool = True
    linker: bool = True
    groups: tuple[float, ...] = (1.0, 0.5, 0.5, 0.25)
    steps: int = 4000
    batch: int = 48
    frames: int = 48
    stretch: float = 0.2
    learning_rate: float = 2e-3
    warmup: int = 150
    weight_decay: float = 0.02
    clip: float = 1.0
    balance: float = 0.02
    manner_dropout: float = 0.3
    dropout: float = 0.1
    feature_noise: float = 0.0
    average: float = 0.998
    evaluate_every: int = 250
    slul: str = ""
    linker_rate: float = 0.1
    seed: int = 1
    threads: int = 1

    @classmethod
    def load(cls, path: str | Path) -> MoeRecipe:
        """Read a TOML file; StableSignerError when it is missing, no TOML, or has a wrong key or value."""
        return cls.from_dict(read_toml(path), str(path))

    @classmethod
    def from_dict(cls, data: dict[str, Any], where: str = "the recipe") -> MoeRecipe:
        """Checked: every key known, every value of the default's type."""
        recipe = cls(**checked(cls, data, where))
        if len(recipe.groups) != len(GROUPS) or not all(isinstance(g, int | float) for g in recipe.groups):
            raise StableSignerError(f"{where}: groups must be {len(GROUPS)} numbers, not {recipe.groups!r}")
        if recipe.steps < 1 or recipe.batch < 1 or recipe.frames < 8 or recipe.evaluate_every < 1:
            raise StableSignerError(
                f"{where}: steps, batch and evaluate_every must be at least 1 and frames at least 8"
            )
        recipe.config(1)
        return recipe

    def config(self, linker_width: int) -> MoeConfig:
        """The network that the recipe asks for."""
        return MoeConfig.preset(
            self.size,
            parts=self.parts,
            top=self.top,
            dense=self.dense,
            prior=self.prior,
            linker=self.linker,
            dropout=self.dropout,
            linker_width=linker_width,
        )


@dataclass
class Draw:
    """A batch with its goal: target and mask (B,T,CHANNELS), the pair's gloss and context (B,) numbers."""

    batch: Batch
    target: Tensor
    mask: Tensor
    context: list[tuple[int, int]]


class Objective(nn.Module):
    """Flow matching over a network; a module, so that accelerate can spread it over devices."""

    weights: Tensor

    def __init__(self, model: SlpMoe, recipe: MoeRecipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe
        self.register_buffer("weights", channel_weights(), persistent=False)

    def forward(self, draw: Draw, noise: Tensor, t: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """noise (B,T,CHANNELS), t (B,) -> the loss () and its parts by name."""
        goal = draw.target / self.model.scale
        x = (1 - t)[:, None, None] * noise + t[:, None, None] * goal * (draw.mask > 0)
        vector, weights, balance = self.model.sign_vector(draw.batch)
        found = self.model(x, t, draw.batch, vector, weights)
        weight = draw.mask * self.weights
        flow = (weight * (found - goal) ** 2).sum() / weight.sum().clamp(min=1)
        return flow + self.recipe.balance * balance, {"flow": flow.detach(), "balance": balance.detach()}


def channel_weights() -> Tensor:
    """(CHANNELS,) what each channel counts for."""
    out = torch.ones(rs.CHANNELS)
    names = ("wrist", "palm", "swivel", "finger", "head", "face")
    for name, channels in zip(names, (rs.WRISTS, rs.PALMS, rs.SWIVELS, rs.FINGERS, rs.HEADS, rs.FACES)):
        out[channels] = WEIGHTS[name]
    return out


def condition_of(pair: Pair, linker: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> SignCondition:
    """A pair's sign; its sharpness becomes standard deviations over all takes."""
    manner = (pair.manner - mean) / spread
    return SignCondition(pair.codes, pair.flags, pair.source, linker, manner.astype(np.float32))


@dataclass
class Run:
    """A training run in `folder`: built from a recipe and its pairs, advanced step by step."""

    recipe: MoeRecipe
    data: PairData
    folder: Path
    model: SlpMoe = field(init=False)

    def __post_init__(self) -> None:
        r = self.recipe
        self.train = [p for p in self.data.pairs if part_of(p.gloss) == "train"]
        self.dev = [p for p in self.data.pairs if part_of(p.gloss) == "dev"]
        if not self.train or not any(p.group == "phonology" for p in self.dev):
            raise StableSignerError(
                f"{r.data} has no pairs to train on, or none for development: make them with "
                "tools/build_pairs.py"
            )
        torch.manual_seed(r.seed)
        self.random = np.random.default_rng(r.seed)
        self.number = {g: k for k, g in enumerate(self.data.glosses)}
        self.by_group = {g: [p for p in self.train if p.group == g] for g in GROUPS}
        self.couples = {
            two: [p for p in self.by_group["takes"] if bool(p.features[0, -1] > 0.5) == two]
            for two in (False, True)
        }
        shares = np.array([w if self.by_group[g] else 0.0 for g, w in zip(GROUPS, r.groups, strict=True)])
        if not shares.sum() > 0:
            raise StableSignerError(f"the groups that the recipe draws from have no pairs in {r.data}")
        self.shares = shares / shares.sum()
        self.model = SlpMoe(r.config(self.data.linker.shape[-1]))
        _measure(self.model, [p for p in self.train if p.group != "takes"])
        sharp = np.array([p.manner[2] for p in self.train if p.known[2]])
        self.mean = np.array([0.0, 0.0, sharp.mean() if len(sharp) else 0.0], np.float32)
        self.spread = np.array([1.0, 1.0, max(float(sharp.std()), 1e-3) if len(sharp) else 1.0], np.float32)
        self.averaged = copy.deepcopy(self.model).eval()
        self.slul = _Understander(r.slul, self.data) if r.slul else None
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self.model.parameters() if p.ndim > 1], "rate": 1.0},
            {"params": [p for p in self.model.parameters() if p.ndim < 2], "rate": 1.0, "weight_decay": 0.0},
        ]
        if self.slul:
            groups.append({"params": list(self.slul.parameters()), "rate": r.linker_rate})
        self.optimizer = torch.optim.AdamW(
            groups, lr=r.learning_rate, betas=(0.9, 0.98), weight_decay=r.weight_decay, fused=True
        )
        self.step, self.best = 0, math.inf

    # --- what is drawn ---

    def draw(self) -> Draw:
        """A random batch: stretched in time, cut to length, some of the manner untold."""
        r = self.recipe
        groups = self.random.choice(len(GROUPS), r.batch, p=self.shares)
        pairs = [self._pair(GROUPS[g]) for g in groups]
        rows = [self._cut(p) for p in pairs]
        context = [
            (self.number[p.gloss], int(self.random.integers(self.data.linker.shape[1]))) for p in pairs
        ]
        known = [p.known * (self.random.random(3) > r.manner_dropout) for p in pairs]
        return self._draw(pairs, rows, context, known)

    def _pair(self, group: str) -> Pair:
        """One pair. What is trusted (a recording, a notation) is taught to stay what it is, but for how
        people's takes differ: such differences, of either sign, stand in for its residual in the stroke."""
        pool = self.by_group["phonology" if group == "takes" else group]
        pair = pool[self.random.integers(len(pool))]
        if group == "transition":
            return self._varied(pair)
        if group == "takes":
            recorded = replace(pair, source=SOURCES.index("recorded"), group=group)
            return self._varied(replace(recorded, mask=np.zeros_like(pair.mask)))
        return pair

    def _varied(self, pair: Pair) -> Pair:
        """A trusted sign's pair whose masked frames get the difference of two takes of some sign."""
        two = bool(pair.features[0, -1] > 0.5)
        pool = self.couples[two] or self.couples[not two]
        if not pool:
            return pair
        other = pool[self.random.integers(len(pool))]
        at = np.linspace(0, len(other.target) - 1, len(pair.target))
        # Two takes differ by the square root of two times what one strays.
        sign = self.random.choice([-1.0, 1.0]) / math.sqrt(2)
        varied = rotation.between_rows(other.target, at) * np.float32(sign)
        seen = _both_seen(other.mask, at)
        if not two:
            seen[:, rs.SIDE : 2 * rs.SIDE] = 0
        free = ~(pair.mask > 0).any(1, keepdims=True)  # frames without a residual of their own
        return replace(pair, target=np.where(free, varied, pair.target), mask=np.where(free, seen, pair.mask))

    def fixed(self, pairs: Sequence[Pair]) -> Draw:
        """Pairs as they are, in the context of the sign alone, nothing of the manner told but the speed."""
        told = np.array([1.0, 0.0, 0.0], np.float32)
        rows = [(p.features, p.target, p.mask) for p in pairs]
        return self._draw(pairs, rows, [(self.number[p.gloss], 0) for p in pairs], [told] * len(pairs))

    def _draw(
        self,
        pairs: Sequence[Pair],
        rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
        context: list[tuple[int, int]],
        known: list[np.ndarray],
    ) -> Draw:
        signs = [
            condition_of(p, self.data.linker[at], self.mean, self.spread)
            for p, at in zip(pairs, context, strict=True)
        ]
        batch = collate([f for f, _, _ in rows], signs, known)
        shape = (len(pairs), batch.features.shape[1], rs.CHANNELS)
        target, mask = torch.zeros(shape), torch.zeros(shape)
        for k, (_, goal, seen) in enumerate(rows):
            target[k, : len(goal)] = torch.from_numpy(goal)
            mask[k, : len(seen)] = torch.from_numpy(seen)
        return Draw(batch, target, mask, context)

    def _cut(self, pair: Pair) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A stretch of a pair's frames, played slower or faster."""
        r = self.recipe
        count = len(pair.features)
        rate = float(np.exp(self.random.uniform(-r.stretch, r.stretch)))
        length = min(max(round(count / rate), 6), r.frames)
        start = self.random.uniform(0, max(count - 1 - (length - 1) * rate, 0))
        at = np.clip(start + np.arange(length) * rate, 0, count - 1)
        features, target = (rotation.between_rows(x, at) for x in (pair.features, pair.target))
        seen = _both_seen(pair.mask, at)
        if r.feature_noise:
            spread = self.model.feature_scale.numpy() * r.feature_noise
            features = features + (self.random.standard_normal(features.shape[1]) * spread).astype(np.float32)
        same = pair.codes[_TYPE] == vocabulary()["type"]["SymmetricalOrAlternating"]
        if same and self.random.random() < 0.5:
            return swapped(features, target, seen)
        return features, target, seen

    # --- going on ---

    def rate(self) -> float:
        """Learning rate of this step."""
        r = self.recipe
        return learning_rate(self.step, r.steps, r.learning_rate, r.warmup)

    def advance(self) -> None:
        """After an optimiser step: count it and move the running mean of the weights."""
        self.step += 1
        follow(self.averaged, self.model, self.step, self.recipe.average)

    def resume(self) -> bool:
        """Go on from `folder`/state.pt, if there is one; StableSignerError when another recipe wrote it."""
        state = read_state(self.folder, self.recipe)
        if state is None:
            return False
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        if self.slul:
            self.slul.load_state_dict(state["slul"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best = state["step"], state["best"]
        torch.set_rng_state(state["torch"])
        self.random.bit_generator.state = json.loads(state["numpy"])
        return True

    def keep(self) -> None:
        """Write state.pt, whole or not at all."""
        write_state(
            self.folder,
            self.recipe,
            {
                "model": self.model.state_dict(),
                "averaged": self.averaged.state_dict(),
                "slul": self.slul.state_dict() if self.slul else {},
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "best": self.best,
                "torch": torch.get_rng_state(),
                "numpy": json.dumps(self.random.bit_generator.state),
            },
        )

    def linked(self, draw: Draw, train: bool) -> Draw:
        """The draw with linker states from the SLUL that is trained along."""
        if self.slul:
            with torch.set_grad_enabled(train):
                draw.batch.linker = self.slul(draw.context)
        return draw


class _Understander(nn.Module):
    """A SLUL whose decoder states are made anew in every step, so that gradients reach it."""

    def __init__(self, weights: str, data: PairData) -> None:
        super().__init__()
        from stable_signer.slul.linker import bare_line
        from stable_signer.slul.model import Checkpoint

        checkpoint = Checkpoint.load(weights)
        self.checkpoint = checkpoint
        self.net = checkpoint.network()
        self.net.eval()  # its dropout off: what is trained along is its meaning, not its robustness
        vocabulary = checkpoint.vocabulary
        self.rows = []
        for row in data.contexts:
            made = []
            for names, at in row:
                line = bare_line(names)
                made.append(
                    (
                        vocabulary.text_ids(line.text, "ase"),
                        [vocabulary.gloss_ids(item)[0] for item in line.line],
                        line.places,
                        at,
                    )
                )
            self.rows.append(made)

    def forward(self, context: list[tuple[int, int]]) -> Tensor:
        """(B,3,d) states of the sign before, the sign and the sign after."""
        picked = [self.rows[g][c] for g, c in context]
        size = (len(picked), max(len(p[0]) for p in picked))
        source, seen = torch.zeros(size, dtype=torch.long), torch.zeros(size, dtype=torch.long)
        inputs = torch.zeros(len(picked), max(len(p[1]) for p in picked), dtype=torch.long)
        for k, (text, line, _, _) in enumerate(picked):
            source[k, : len(text)] = torch.tensor(text)
            seen[k, : len(text)] = 1
            inputs[k, 1 : len(line)] = torch.tensor(line[:-1], dtype=torch.long)
        _, hidden = self.net.decode(inputs, self.net.encode(source, seen), seen)  # (B,T,d)
        none = hidden.new_zeros(hidden.shape[-1])
        rows = []
        for k, (_, _, places, at) in enumerate(picked):
            around = [hidden[k, places[i]] if 0 <= i < len(places) else none for i in (at - 1, at, at + 1)]
            rows.append(torch.stack(around))
        return torch.stack(rows)

    def save(self, path: Path) -> None:
        """Write SLUL as it is now."""
        self.checkpoint.members = [{k: v.clone() for k, v in self.net.tensors().items()}]
        self.checkpoint.save(path, "float16")


def train(
    recipe: MoeRecipe,
    folder: str | Path,
    on_step: Callable[[int, int], None] | None = None,
    on_line: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """Run `recipe` to its end (or go on with it) and return the path of the best weights.

    on_step gets (steps done, steps in all), on_line each line of the log. Interrupted runs go on at the last
    evaluation. Several devices: start it under `accelerate launch`.
    """
    from accelerate import Accelerator

    torch.set_num_threads(recipe.threads)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(recipe, load(recipe.data), folder)
    resumed = run.resume()
    accelerator = Accelerator()
    objective, optimizer = accelerator.prepare(Objective(run.model, recipe), run.optimizer)
    log = folder / "log.jsonl"
    if not resumed:
        log.write_text("", encoding="utf-8")
    sums: dict[str, float] = {}
    began, counted = time.monotonic(), 0
    while run.step < recipe.steps:
        objective.train()
        for group in optimizer.param_groups:
            group["lr"] = run.rate() * group["rate"]
        draw = _to(run.linked(run.draw(), True), accelerator.device)
        t = torch.rand(recipe.batch).to(accelerator.device)
        loss, parts = objective(draw, batch_noise(draw.target), t)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(objective.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + float(value)
        counted += 1
        run.advance()
        if on_step:
            on_step(run.step, recipe.steps)
        if run.step % recipe.evaluate_every and run.step < recipe.steps:
            continue
        line: dict[str, Any] = {
            "step": run.step,
            "seconds": round(time.monotonic() - began, 1),
            **{k: round(v / counted, 4) for k, v in sums.items()},
            **development(run),
        }
        sums, counted = {}, 0
        if accelerator.is_main_process:
            if line["error"] < run.best:
                run.best = line["error"]
                about = {"recipe": asdict(recipe), "step": run.step, "dev": line}
                run.averaged.save(
                    folder / "best.safetensors",
                    about | {"sharpness": [float(run.mean[2]), float(run.spread[2])]},
                )
                if run.slul:
                    run.slul.save(folder / "slul.safetensors")
            run.keep()
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            if on_line:
                on_line(line)
    return folder / "best.safetensors"


def development(run: Run) -> dict[str, float]:
    """Errors on held-out signs built from phonology: `error` the weighted mean square in units of the spread
    (1 would be the prior's own if nothing were known of it), and in metres and degrees, with the prior's."""
    pairs = [p for p in run.dev if p.group == "phonology"]
    draw = run.linked(run.fixed(pairs), False)
    found = run.averaged.sample(draw.batch, torch.zeros_like(draw.target))
    weight = draw.mask * channel_weights() / run.averaged.scale**2
    out = {
        "error": float((weight * (found - draw.target) ** 2).sum() / (draw.mask * channel_weights()).sum()),
        "prior_error": float((weight * draw.target**2).sum() / (draw.mask * channel_weights()).sum()),
    }
    for name, channels, unit in (
        ("wrist_mm", rs.WRISTS[:3], 1000.0),
        ("palm_degrees", rs.PALMS[:3], 180 / math.pi),
        ("finger_degrees", rs.FINGERS[: rs.HAND], 180 / math.pi),
    ):
        seen = draw.mask[..., channels] > 0
        for label, value in (("", found), ("prior_", torch.zeros_like(found))):
            gap = (value - draw.target)[..., channels][seen]
            out[label + name] = float(gap.abs().mean()) * unit
    return {k: round(v, 4) for k, v in out.items()}


def batch_noise(like: Tensor) -> Tensor:
    """Noise of `like`'s shape (B,T,CHANNELS), smooth in time as `model.smooth_noise` is."""
    kernel = torch.from_numpy(noise_kernel()).float()
    batch, frames, channels = like.shape
    white = torch.randn(batch * channels, 1, frames + len(kernel) - 1)
    smooth = nn.functional.conv1d(white, (kernel / kernel.norm())[None, None])
    return smooth.view(batch, channels, frames).transpose(1, 2).to(like.device)


def _both_seen(mask: np.ndarray, at: np.ndarray) -> np.ndarray:
    """A mask (T, CHANNELS) at fractional frames: what both neighbours show."""
    low = np.minimum(at.astype(int), len(mask) - 2)
    return np.minimum(mask[low], mask[low + 1])


def swapped(
    features: np.ndarray, target: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A pair's frames seen in a mirror: as good a take of a sign in which both hands do the same."""
    features, target, mask = features.copy(), target.copy(), mask.copy()
    half = rs.SIDE
    for rows, width in ((features, ARM_FEATURES), (target, half), (mask, half)):
        rows[:, : 2 * width] = np.concatenate([rows[:, width : 2 * width], rows[:, :width]], 1)
    for rows, at in ((features, 2 * ARM_FEATURES), (target, 2 * half)):
        rows[:, at + 1 : at + 3] *= -1  # the head's turn and tilt
    return features, target, mask


def _to(draw: Draw, device: torch.device) -> Draw:
    batch = Batch(**{k: v.to(device) for k, v in vars(draw.batch).items()})
    return Draw(batch, draw.target.to(device), draw.mask.to(device), draw.context)


def _measure(model: SlpMoe, pairs: Sequence[Pair]) -> None:
    """Set the network's units from training pairs."""
    features = np.concatenate([p.features for p in pairs])
    target = np.concatenate([p.target for p in pairs])
    mask = np.concatenate([p.mask for p in pairs]) > 0
    spread = np.sqrt((target**2 * mask).sum(0) / np.maximum(mask.sum(0), 1))
    side = np.arange(2 * rs.SIDE).reshape(2, rs.SIDE)
    spread[side] = spread[side].max(0)  # both arms in the same units
    model.scale.copy_(torch.from_numpy(np.maximum(spread, 1e-3)).float())
    model.feature_mean.copy_(torch.from_numpy(features.mean(0)).float())
    model.feature_scale.copy_(torch.from_numpy(np.maximum(features.std(0), 0.02)).float())
