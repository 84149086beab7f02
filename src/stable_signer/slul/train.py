"""Training SLUL: a recipe (TOML), a resumable seeded loop under accelerate, a log that can be plotted.

    stable-signer train slul --config recipe.toml --output runs/gsg

The run folder holds `log.jsonl` (a line an epoch), `state.pt` (to go on from) and `best.safetensors`.
"""

from __future__ import annotations

import copy
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stable_signer.errors import StableSignerError
from stable_signer.slul import losses
from stable_signer.slul.decode import BeamConfig, GlossTrie, Reader, best_lines
from stable_signer.slul.model import Checkpoint, Slul, SlulConfig, from_t5, shift_right
from stable_signer.slul.runs import (
    checked,
    fingerprint,
    follow,
    has_bf16,
    learning_rate,
    read_state,
    read_toml,
    write_state,
)
from stable_signer.slul.vocabulary import EOS, MASK, OPEN_TAGS, SLOT_NAMES, Vocabulary


@dataclass(frozen=True)
class Example:
    """One training pair: a normalised text, the line of glosses and markup, the language, and its weight."""

    text: str
    glosses: tuple[str, ...]
    language: str
    weight: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """Everything a run depends on. Unknown keys in the TOML are refused.

    train, dev: files of pairs (see `corpora`), the first column of each entry its kind: "tsv:gsg:PATH". size:
    a name of `model.SIZES`; t5: a folder with a T5 checkpoint to start from instead; start: a file of SLUL
    weights to go on from (its size and vocabulary are kept). pieces, whole_from: the vocabulary; bpe_dropout:
    subword regularisation; text_dropout: chance that a text id is hidden from the encoder. sagm, kl,
    contrastive, lexical: weights of the losses (MLE has 1); mask_rate: rho; semantic: draw the mask by
    meaning and confusability; two_encodings: encode the text again for the masked pass (fresh dropout) and
    add its MLE, which makes the KL term R-Drop. lsa: start the embeddings from latent semantic analysis of
    text and glosses side by side. learning_rate is for matrices; embedding_rate and query_rate multiply it
    for embeddings and query matrices (T5's attention is unscaled, so its queries need smaller steps than
    Adam's). average: decay of the weights' running mean, which is what is evaluated and kept.
    """

    train: tuple[str, ...] = ()
    dev: tuple[str, ...] = ()
    size: str = "small"
    t5: str = ""
    start: str = ""
    pieces: int = 2000
    whole_from: int = 3
    epochs: int = 40
    batch: int = 32
    learning_rate: float = 1.5e-3
    embedding_rate: float = 4.0
    query_rate: float = 0.12
    warmup: int = 400
    weight_decay: float = 0.01
    clip: float = 1.0
    dropout: float = 0.3
    attention_dropout: float = 0.1
    smoothing: float = 0.1
    bpe_dropout: float = 0.1
    text_dropout: float = 0.0
    sagm: float = 0.0
    kl: float = 0.0
    contrastive: float = 0.0
    lexical: float = 0.5
    mask_rate: float = 0.15
    semantic: bool = True
    two_encodings: bool = False
    temperature: float = 0.1
    lsa: bool = True
    average: float = 0.998
    evaluate_every: int = 4
    select: str = "bleu4"
    seed: int = 1
    threads: int = 1

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a TOML file; StableSignerError when it is missing, no TOML, or has a wrong key or value."""
        return cls.from_dict(read_toml(path), str(path))

    @classmethod
    def from_dict(cls, data: dict[str, Any], where: str = "the recipe") -> Recipe:
        """Checked: every key known, every value of the default's type."""
        recipe = cls(**checked(cls, data, where))
        SlulConfig.preset(recipe.size)
        if recipe.epochs < 1 or recipe.batch < 1 or not 0 <= recipe.mask_rate < 1:
            raise StableSignerError(f"{where}: epochs and batch must be at least 1 and mask_rate in [0, 1)")
        return recipe

    @property
    def fingerprint(self) -> str:
        """Identifies the recipe, so that a run is never resumed with another one."""
        return fingerprint(self)


@dataclass
class Batch:
    """Padded ids: source (B,S), source mask (B,S), targets (B,T) with IGNORE, weights (B,), masked (B,T)."""

    source: Tensor
    source_mask: Tensor
    targets: Tensor
    weights: Tensor
    masked: Tensor


class Objective(nn.Module):
    """The sum of the losses over a network; a module, so that accelerate can spread it over devices."""

    def __init__(self, model: Slul, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum and its parts, by name."""
        r, model = self.recipe, self.model
        states = model.encode(batch.source, batch.source_mask)  # H (B,S,d)
        inputs = shift_right(batch.targets)
        logits, hidden = model.decode(inputs, states, batch.source_mask)
        targets = model.columns(batch.targets)
        parts = {"mle": losses.mle_loss(logits, targets, r.smoothing, batch.weights)}
        total = parts["mle"]
        if r.sagm or r.kl:
            hidden_inputs = inputs.clone()
            hidden_inputs[:, 1:][batch.masked[:, :-1]] = MASK
            again = model.encode(batch.source, batch.source_mask) if r.two_encodings else states
            masked_logits, _ = model.decode(hidden_inputs, again, batch.source_mask)
            parts["sagm"] = losses.sagm_loss(masked_logits, targets, batch.masked)
            parts["kl"] = losses.kl_loss(masked_logits, logits, targets)
            total = total + r.sagm * parts["sagm"] + r.kl * parts["kl"]
            if r.two_encodings:
                total = total + losses.mle_loss(masked_logits, targets, r.smoothing, batch.weights)
        if r.contrastive:
            parts["contrastive"] = losses.contrastive_loss(
                states, batch.source_mask.bool(), hidden, targets != losses.IGNORE, r.temperature
            )
            total = total + r.contrastive * parts["contrastive"]
        if r.lexical:
            parts["lexical"] = losses.lexical_loss(
                model.logits(states), batch.source_mask.bool(), targets, int(model.place[EOS])
            )
            total = total + r.lexical * parts["lexical"]
        return total, {k: v.detach() for k, v in parts.items()}


@dataclass
class Run:
    """A training run in `folder`: built from a recipe and its data, advanced an epoch at a time."""

    recipe: Recipe
    examples: Sequence[Example]
    dev: Sequence[Example]
    folder: Path
    vocabulary: Vocabulary = field(init=False)

    def __post_init__(self) -> None:
        r = self.recipe
        if not self.examples or not self.dev:
            raise StableSignerError(
                "there is nothing to train on: the recipe must name train and dev files with rows"
            )
        torch.manual_seed(r.seed)
        self.random = random.Random(r.seed)
        self.generator = torch.Generator().manual_seed(r.seed)
        started = Checkpoint.load(r.start) if r.start else None
        self.vocabulary = (
            started.vocabulary
            if started
            else Vocabulary.build(
                [e.text for e in self.examples], [e.glosses for e in self.examples], r.pieces, r.whole_from
            )
        )
        self.targets = [self.vocabulary.line_ids(e.glosses) for e in self.examples]
        languages = tuple(sorted({e.language for e in self.examples}))
        drops: dict[str, Any] = {"dropout": r.dropout, "attention_dropout": r.attention_dropout}
        if started:
            self.config = replace(started.config, **drops)
            self.model = Slul(self.config, self.vocabulary)
            self.model.load_tensors(started.members[0])
        elif r.t5:
            self.config, self.model = from_t5(r.t5, self.vocabulary, languages)
        else:
            self.config = SlulConfig.preset(
                r.size, languages=languages, vocabulary=self.vocabulary.size, **drops
            )
            self.model = Slul(self.config, self.vocabulary)
            if r.lsa:
                table = lsa_embeddings(
                    [self.vocabulary.text_ids(e.text, e.language) for e in self.examples],
                    self.targets,
                    self.vocabulary,
                    self.config.d_model,
                    r.seed,
                )
                _start_from(self.model.t5.shared.weight, table)
        self.averaged = copy.deepcopy(self.model).eval()
        self.optimizer = torch.optim.AdamW(
            _groups(self.model, r), lr=r.learning_rate, betas=(0.9, 0.98), fused=True
        )
        self.mask_weights = (
            torch.tensor(
                losses.semantic_weights([t[:-1] for t in self.targets], self.vocabulary.size),
                dtype=torch.float32,
            )
            if r.semantic
            else None
        )
        self.maskable = torch.arange(self.vocabulary.size) >= self.vocabulary.special_ids[SLOT_NAMES[0]]
        self.epoch = self.step = 0
        self.best = -math.inf
        self.total_steps = r.epochs * math.ceil(len(self.examples) / r.batch)

    def resume(self) -> bool:
        """Go on from `folder`/state.pt, if there is one; StableSignerError when another recipe wrote it."""
        state = read_state(self.folder, self.recipe)
        if state is None:
            return False
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step, self.best = state["epoch"], state["step"], state["best"]
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch"])
        version, internal, gauss = json.loads(state["python"])
        self.random.setstate((version, tuple(internal), gauss))
        return True

    def keep(self) -> None:
        """Write state.pt, whole or not at all."""
        write_state(
            self.folder,
            self.recipe,
            {
                "model": self.model.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "epoch": self.epoch,
                "step": self.step,
                "best": self.best,
                "generator": self.generator.get_state(),
                "torch": torch.get_rng_state(),
                "python": json.dumps(self.random.getstate()),
            },
        )

    def batches(self) -> Iterator[Batch]:
        """One epoch of batches of similar length, in random order, texts cut into pieces afresh."""
        r = self.recipe
        sources = [self.vocabulary.text_ids(e.text, e.language, r.bpe_dropout) for e in self.examples]
        for ids in sources:
            for place in range(1, len(ids) - 1):
                if r.text_dropout and self.random.random() < r.text_dropout:
                    ids[place] = MASK
        keys = [len(s) + 0.7 * len(t) + 4 * self.random.random() for s, t in zip(sources, self.targets)]
        order = sorted(range(len(sources)), key=keys.__getitem__)
        groups = [order[i : i + r.batch] for i in range(0, len(order), r.batch)]
        self.random.shuffle(groups)
        for group in groups:
            yield self._batch(group, sources)

    def _batch(self, group: Sequence[int], sources: Sequence[Sequence[int]]) -> Batch:
        rows, width = len(group), max(len(sources[i]) for i in group)
        source = torch.zeros(rows, width, dtype=torch.long)
        targets = torch.full((rows, max(len(self.targets[i]) for i in group)), losses.IGNORE)
        for row, index in enumerate(group):
            source[row, : len(sources[index])] = torch.tensor(sources[index])
            targets[row, : len(self.targets[index])] = torch.tensor(self.targets[index])
        weights = torch.tensor([self.examples[i].weight for i in group])
        masked = losses.draw_mask(
            targets, self.recipe.mask_rate, self.mask_weights, self.maskable, self.generator
        )
        return Batch(source, (source != 0).long(), targets, weights, masked)

    def rate(self) -> float:
        """Learning rate of this step."""
        r = self.recipe
        return learning_rate(self.step, self.total_steps, r.learning_rate, r.warmup)

    def advance(self) -> None:
        """After an optimiser step: count it and move the running mean of the weights."""
        self.step += 1
        follow(self.averaged, self.model, self.step, self.recipe.average)

    def checkpoint(self, scores: dict[str, float]) -> Checkpoint:
        """What is kept: the averaged network."""
        about = {"recipe": asdict(self.recipe), "epoch": self.epoch, "dev": scores}
        return Checkpoint(self.config, self.vocabulary, [self.averaged.tensors()], about)


Scorer = Callable[[Sequence[str], Sequence[str]], dict[str, float]]


def train(
    recipe: Recipe,
    examples: Sequence[Example],
    dev: Sequence[Example],
    folder: str | Path,
    scorer: Scorer,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> Path:
    """Run `recipe` to its end (or go on with it) and return the path of the best weights.

    scorer: hypotheses, references -> scores by name, of which `recipe.select` picks the best epoch (a name of
    the scorer, "-wer" for lower is better). on_epoch gets a log line, on_batch (batches done, batches in an
    epoch). Interrupted runs go on at the last evaluated epoch. Several devices: start it under `accelerate
    launch`.
    """
    from accelerate import Accelerator

    torch.set_num_threads(recipe.threads)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(recipe, examples, dev, folder)
    resumed = run.resume()
    accelerator = Accelerator(mixed_precision="bf16" if has_bf16() else "no")
    objective, optimizer = accelerator.prepare(Objective(run.model, recipe), run.optimizer)
    run.averaged.to(accelerator.device)
    sources = [run.vocabulary.text_ids(e.text, e.language) for e in dev]
    references = [" ".join(e.glosses) for e in dev]
    outputs = {g for e in (*examples, *dev) for g in e.glosses}
    trie = GlossTrie(
        run.vocabulary,
        [*run.vocabulary.glosses, *sorted(outputs & set(SLOT_NAMES))],
        tags=not outputs.isdisjoint(OPEN_TAGS),
    )
    log = folder / "log.jsonl"
    if not resumed:
        log.write_text("", encoding="utf-8")
    per_epoch = math.ceil(len(examples) / recipe.batch)
    began = time.monotonic()
    while run.epoch < recipe.epochs:
        run.epoch += 1
        objective.train()
        sums: dict[str, float] = {}
        for number, batch in enumerate(run.batches()):
            if number % accelerator.num_processes == accelerator.process_index:
                for group in optimizer.param_groups:
                    group["lr"] = run.rate() * group["rate"]
                moved = Batch(*(t.to(accelerator.device) for t in vars(batch).values()))
                with accelerator.autocast():
                    loss, parts = objective(moved)
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(objective.parameters(), recipe.clip)
                optimizer.step()
                optimizer.zero_grad()
                for name, value in parts.items():
                    sums[name] = sums.get(name, 0.0) + float(value)
            run.advance()
            if on_batch:
                on_batch(number + 1, per_epoch)
        line: dict[str, Any] = {
            "epoch": run.epoch,
            "seconds": round(time.monotonic() - began, 1),
            **{k: round(v * accelerator.num_processes / per_epoch, 4) for k, v in sums.items()},
        }
        if accelerator.is_main_process and (
            run.epoch % recipe.evaluate_every == 0 or run.epoch == recipe.epochs
        ):
            checkpoint = run.checkpoint({})
            lines = best_lines(Reader(_on_cpu(checkpoint)), sources, trie, BeamConfig(beams=1))
            scores = scorer([" ".join(h) for h in lines], references)
            line |= {k: round(v, 3) for k, v in scores.items()}
            sign = -1 if recipe.select.startswith("-") else 1
            value = sign * scores[recipe.select.lstrip("-")]
            if value > run.best:
                run.best = value
                _on_cpu(run.checkpoint(scores)).save(folder / "best.safetensors", "float16")
            run.keep()
        if accelerator.is_main_process:
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            if on_epoch:
                on_epoch(line)
    return folder / "best.safetensors"


def merge(paths: Sequence[str | Path]) -> Checkpoint:
    """Several weights files of one recipe (other seeds) as one checkpoint whose networks vote."""
    loaded = [Checkpoint.load(p) for p in paths]
    first = loaded[0]
    for path, other in zip(paths, loaded):
        if _shape(other) != _shape(first) or other.vocabulary.to_json() != first.vocabulary.to_json():
            raise StableSignerError(
                f"{path} has another architecture or vocabulary than {paths[0]}: "
                "only networks of one recipe can vote"
            )
    about = {
        **first.about,
        "seeds": [c.about.get("recipe", {}).get("seed") for c in loaded],
        "members": [c.about.get("dev", {}) for c in loaded],
    }
    return Checkpoint(first.config, first.vocabulary, [m for c in loaded for m in c.members], about)


def _shape(checkpoint: Checkpoint) -> SlulConfig:
    """The configuration without what only matters while training."""
    return replace(checkpoint.config, dropout=0.0, attention_dropout=0.0)


def lsa_embeddings(
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    vocabulary: Vocabulary,
    dim: int,
    seed: int,
) -> np.ndarray:
    """(V, dim) start embeddings in which pieces and glosses of the same sentences lie close together.

    Latent semantic analysis: tf-idf of ids by sentence (text and glosses side by side), truncated SVD, unit
    rows turned by a random rotation so that no axis is special, scaled to T5's unit variance. Rows of zeros:
    markup and what was never seen.
    """
    table = np.zeros((vocabulary.size, len(sources)), dtype=np.float32)
    for column, ids in enumerate(zip(sources, targets)):
        for side in ids:
            table[list(side), column] = 1
    table[: vocabulary.first_piece] = 0
    seen = table.sum(1)
    table *= np.log(len(sources) / np.maximum(seen, 1))[:, None]
    table /= np.maximum(np.linalg.norm(table, axis=0, keepdims=True), 1e-6)
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-6)
    values, vectors = np.linalg.eigh(table @ table.T)
    found = vectors[:, -dim:] * np.sqrt(np.maximum(values[-dim:], 0))
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    found = np.where(norms > 1e-6, found / np.maximum(norms, 1e-6), 0)
    width = found.shape[1]
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0][:width]
    return found @ turn * math.sqrt(dim)


def _start_from(weight: Tensor, table: np.ndarray) -> None:
    start = torch.tensor(table, dtype=weight.dtype)
    known = start.abs().sum(1) > 0
    with torch.no_grad():  # some noise keeps near-synonyms apart
        weight[known] = 0.9 * start[known] + 0.3 * torch.randn_like(start[known])


def _groups(model: Slul, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameter groups with their own multiple of the learning rate; norms and embeddings do not decay."""
    embedding = model.t5.shared.weight
    queries = {id(p) for n, p in model.named_parameters() if n.endswith(".q.weight")}
    rest = [p for p in model.parameters() if p is not embedding and id(p) not in queries]
    return [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": recipe.weight_decay, "rate": 1.0},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0, "rate": 1.0},
        {"params": [embedding], "weight_decay": 0.0, "rate": recipe.embedding_rate},
        {
            "params": [p for p in model.parameters() if id(p) in queries],
            "weight_decay": recipe.weight_decay,
            "rate": recipe.query_rate,
        },
    ]


def _on_cpu(checkpoint: Checkpoint) -> Checkpoint:
    members = [{k: v.float().cpu() for k, v in m.items()} for m in checkpoint.members]
    return Checkpoint(checkpoint.config, checkpoint.vocabulary, members, checkpoint.about)


PANELS = (
    ("losses", ("mle", "sagm", "kl", "contrastive", "lexical")),
    ("dev scores", ("bleu1", "bleu4", "rouge_l", "wer")),
)


def plot_log(
    log: str | Path,
    output: str | Path,
    panels: Sequence[tuple[str, Sequence[str]]] = PANELS,
    axis: str = "epoch",
) -> None:
    """A PNG of the losses and scores over epochs, or another `axis`, from a `log.jsonl`; StableSignerError
    when there is no such log. panels: two titles with the names of their curves."""
    from PIL import Image, ImageDraw

    try:
        lines = [json.loads(x) for x in Path(log).read_text(encoding="utf-8").splitlines()]
    except (OSError, json.JSONDecodeError) as error:
        raise StableSignerError(
            f"the training log {log} cannot be read ({error}): give a run's log.jsonl"
        ) from error
    picture = Image.new("RGB", (960, 760), "white")
    draw = ImageDraw.Draw(picture)
    colours = ("#0b5fa5", "#c1440e", "#2e7d32", "#7b1fa2", "#6d4c41")
    last = max((x[axis] for x in lines), default=1)
    for panel, (title, keys) in enumerate(panels):
        left, top, width, height = 70, 40 + panel * 370, 840, 300
        present = [k for k in keys if any(k in x for x in lines)]
        high = max((x[k] for x in lines for k in present if k in x), default=1.0) or 1.0
        draw.rectangle((left, top, left + width, top + height), outline="#888888")
        draw.text((left, top - 18), f"{title} (0 to {high:.2f}) over {last} {axis}s", fill="black")
        for index, key in enumerate(present):
            points = [
                (left + width * x[axis] / last, top + height * (1 - x[key] / high)) for x in lines if key in x
            ]
            if len(points) > 1:
                draw.line(points, fill=colours[index], width=2)
            final = next(x[key] for x in reversed(lines) if key in x)
            draw.text((left + 10 + 160 * index, top + height + 6), f"{key} {final:.2f}", fill=colours[index])
    picture.save(output)
