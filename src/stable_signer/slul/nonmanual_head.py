"""The non-manual head: topic, mouth and gaze over the signs of a planned sentence, from the linker's states.

SLUL writes the spans that a text decides (questions, negation, conditions) as tags among its slots. Topic,
mouth and gaze are another matter: there are few of them, a signer is free to use them, and a decoder that
must place two tags for each learns next to nothing from 1,300 utterances (topics: F1 5.6). So they are read
from what SLUL already knows: for every sign its decoder state, its neighbours' states, the three glosses
where they are frequent, and where in the sentence it stands. A small network says for each kind how likely
the sign is under a span; spans are the runs of signs over the kind's threshold.

The paper (arXiv 2512.04048) hands the linker states on to motion only; this head on them is ours. Trained
and measured by tools/build_nonmanuals.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from stable_signer.errors import StableSignerError
from stable_signer.slul.decode import one_thread
from stable_signer.slul.linker import neighbours
from stable_signer.slul.plan import Span
from stable_signer.slul.stored import read_tensors

WEIGHTS = "slul-nonmanual.safetensors"
FORMAT = "stable-signer-nonmanual-head-1"
PLACES = 6
"""Numbers that tell where a sign stands: see `features`."""
ALL_LEARNED = ("topic", "mouth", "gaze")
GRAMMAR = ("topic",)
"""What the planner shows as a rule; mouth and gaze are right too seldom for that (docs/slul.md)."""


@dataclass(frozen=True)
class HeadConfig:
    """width: numbers in a linker state. glosses: those with an embedding of their own. thresholds: of each
    kind, the probability from which a sign is under it."""

    width: int
    glosses: tuple[str, ...]
    kinds: tuple[str, ...]
    thresholds: tuple[float, ...]
    embedding: int = 24
    hidden: int = 64
    dropout: float = 0.4


class NonmanualHead(nn.Module):
    """Two layers over a sign, its neighbours, and its place; one output a kind."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        wide = 3 * config.width
        self.register_buffer("mean", torch.zeros(wide))
        self.register_buffer("scale", torch.ones(wide))
        self.glosses = nn.Embedding(len(config.glosses) + 1, config.embedding)  # 0: any other, or none
        self.dropout = nn.Dropout(config.dropout)
        self.inner = nn.Linear(wide + 3 * config.embedding + PLACES, config.hidden)
        self.outer = nn.Linear(config.hidden, len(config.kinds))

    def forward(self, states: Tensor, places: Tensor, glosses: Tensor) -> Tensor:
        """states (N, 3, d) of the sign before, the sign, the sign after; places (N, PLACES); glosses (N, 3)
        ids -> logits (N, kinds)."""
        seen = (states.flatten(1) - self.mean) / self.scale  # (N, 3d)
        known = self.glosses(glosses).flatten(1)  # (N, 3 x embedding)
        inner = self.inner(self.dropout(torch.cat([known, places, seen], 1)))  # (N, hidden)
        return self.outer(self.dropout(torch.relu(inner)))

    @cached_property
    def ids(self) -> dict[str, int]:
        """Gloss -> its id."""
        return {gloss: k for k, gloss in enumerate(self.config.glosses, 1)}

    def features(
        self, glosses: Sequence[str], states: np.ndarray, question: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What `forward` takes, of one sentence: glosses (N), linker states (N, d)."""
        n = len(glosses)
        places = [[k / n, (n - 1 - k) / n, k == 0, k == n - 1, n / 10, question] for k in range(n)]
        ids = [0, *(self.ids.get(g, 0) for g in glosses), 0]
        around = [ids[k : k + 3] for k in range(n)]
        return (
            torch.from_numpy(neighbours(states)).float(),
            torch.tensor(places, dtype=torch.float32).reshape(n, PLACES),
            torch.tensor(around).reshape(n, 3),
        )

    def probabilities(self, glosses: Sequence[str], states: np.ndarray, question: bool) -> np.ndarray:
        """(N, kinds) how likely each sign is under a span of each kind."""
        with one_thread, torch.inference_mode():
            return torch.sigmoid(self(*self.features(glosses, states, question))).numpy()

    def spans(
        self, glosses: Sequence[str], states: np.ndarray, question: bool, kinds: Sequence[str]
    ) -> list[Span]:
        """The spans of `kinds` over the signs of one sentence; ValueError for one that it has not learned."""
        likely = self.probabilities(glosses, states, question)
        out = []
        for kind in kinds:
            column = self.config.kinds.index(kind)
            over = likely[:, column] > self.config.thresholds[column]
            out += [Span(kind, first, last) for first, last in runs(over)]
        return out

    def save(self, path: Path) -> None:
        """Write one safetensors file in float16, its configuration in its metadata; whole or not at all."""
        part = path.with_name(path.name + ".part")
        tensors = {name: t.half().contiguous() for name, t in self.state_dict().items()}
        save_file(tensors, part, {"format": FORMAT, "config": json.dumps(asdict(self.config))})
        part.replace(path)

    @classmethod
    def load(cls, path: Path | None = None) -> NonmanualHead:
        """From a file or the package; StableSignerError when it is missing, damaged or another's."""
        if path is None:
            with resources.as_file(resources.files("stable_signer.weights") / WEIGHTS) as shipped:
                return cls.load(shipped)
        try:
            tensors, metadata = read_tensors(path)
            if metadata.get("format") != FORMAT:
                raise StableSignerError(
                    f"{path} holds no non-manual head of this version: make one with "
                    "tools/build_nonmanuals.py"
                )
            config: dict[str, Any] = json.loads(metadata["config"])
            for name in ("glosses", "kinds", "thresholds"):
                config[name] = tuple(config[name])
            head = cls(HeadConfig(**config))
            head.load_state_dict(tensors)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise StableSignerError(
                f"the weights {path} cannot be read ({error}): check the path, or copy them anew"
            ) from error
        return head.eval()


def runs(over: np.ndarray) -> list[tuple[int, int]]:
    """(first, last) of each run of true values, both included."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], over.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]
