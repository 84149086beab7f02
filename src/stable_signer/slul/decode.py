"""Decoding: beam search under a trie of what the next level can sign, with the decoder state of every sign.

T5's arithmetic in plain torch with cached keys and values, one sentence at a time: a batch gives exactly what
each of its sentences gives alone, and a small network answers in some milliseconds.
`tests/test_slul_model.py` holds it to transformers' own forward pass.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from stable_signer.slul.model import Checkpoint, SlulConfig, output_bias, relative_buckets
from stable_signer.slul.vocabulary import CLOSE_TAGS, EOS, OPEN_TAGS, PAD, Vocabulary

MAX_TOKENS = 128


@dataclass(frozen=True)
class BeamConfig:
    """How to search.

    `beams` are kept at every step. A line's score is sum log p + `reward` * its length: the reward makes
    up for a
    network's love of short lines. With `expected` = (a, b) it is paid up to a * (ids of the text) + b
    only, the
    length that such a text usually has (the bounded reward of Huang et al. 2017). No line has more tokens
    than
    `max_ratio` times the text's ids plus 8 (and MAX_TOKENS), so that decoding always ends.
    """

    beams: int = 5
    reward: float = 0.8
    expected: tuple[float, float] | None = None
    max_ratio: float = 2.0


@dataclass(frozen=True)
class Hypothesis:
    """A line of glosses and markup, its score (see BeamConfig), and the linker `states` (n items,
    d)."""

    glosses: tuple[str, ...]
    score: float
    states: Tensor = field(compare=False)


State = tuple[int, frozenset[int]]


class Trie(Protocol):
    """What beam search asks: the state before the first id, what may follow a state, and the state after
    an id."""

    start: Any

    def mask(self, state: Any) -> Tensor:
        """(V,) 0 for ids that may come next, -inf for the rest."""
        ...

    def step(self, state: Any, token: int) -> Any:
        """The state after an id that `mask` allowed."""
        ...


class GlossTrie:
    """Which ids may follow: a trie over the ids of each gloss, and well-formedness of the markup tags.

    A state is (node, tags open); node 0 is the border between two glosses. `tags` allows non-manual markup.
    """

    start: State = (0, frozenset())

    def __init__(self, vocabulary: Vocabulary, glosses: Iterable[str], tags: bool = False) -> None:
        self.children: list[dict[int, int]] = [{}]
        self.ends: list[bool] = [True]
        for gloss in glosses:
            node = 0
            for token in vocabulary.gloss_ids(gloss):
                if token not in self.children[node]:
                    self.children.append({})
                    self.ends.append(False)
                    self.children[node][token] = len(self.children) - 1
                node = self.children[node][token]
            self.ends[node] = True
        ids = vocabulary.special_ids
        self.opens = {ids[t]: i for i, t in enumerate(OPEN_TAGS)} if tags else {}
        self.closes = {ids[t]: i for i, t in enumerate(CLOSE_TAGS)} if tags else {}
        self.size = vocabulary.size
        self._masks: dict[State, Tensor] = {}

    def mask(self, state: State) -> Tensor:
        """(V,) 0 for ids that may come next, -inf for the rest."""
        node, is_open = state
        if not self.children[node] and self.ends[node]:
            state = node, is_open = 0, is_open  # a leaf is a border
        if state not in self._masks:
            allowed = set(self.children[node])
            if self.ends[node]:
                allowed |= set(self.children[0])
                allowed |= {t for t, i in self.opens.items() if i not in is_open}
                allowed |= {t for t, i in self.closes.items() if i in is_open}
                if not is_open:
                    allowed.add(EOS)
            mask = torch.full((self.size,), -math.inf)
            mask[sorted(allowed)] = 0.0
            self._masks[state] = mask
        return self._masks[state]

    def step(self, state: State, token: int) -> State:
        """The state after `token`, which `mask(state)` allowed."""
        node, is_open = state
        if token in self.opens:
            return 0, is_open | {self.opens[token]}
        if token in self.closes:
            return 0, is_open - {self.closes[token]}
        node = self.children[node].get(token) or self.children[0].get(token, 0)
        return node, is_open


class Reader:
    """A checkpoint's networks, ready to run: tensors by name, position biases, output restriction."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.config: SlulConfig = checkpoint.config
        self.vocabulary = checkpoint.vocabulary
        self.members = checkpoint.members
        self.output_bias = output_bias(checkpoint.vocabulary)
        self.tables = [
            relative_buckets(MAX_TOKENS + 1, bidirectional, self.config.buckets, self.config.distance)
            for bidirectional in (True, False)
        ]

    def bias(self, member: int, part: str) -> Tensor:
        """(heads, L, L) relative position bias of "encoder" or "decoder"."""
        weight = self.members[member][f"{part}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        return weight[self.tables[part == "decoder"]].permute(2, 0, 1)

    def split(self, x: Tensor) -> Tensor:
        """(B,T,h*w) -> (B,h,T,w)."""
        b, t, _ = x.shape
        return x.view(b, t, self.config.heads, self.config.d_kv).transpose(1, 2)

    def norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """T5's layer norm: no mean, no bias."""
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * weight

    def feed_forward(self, x: Tensor, p: dict[str, Tensor], name: str) -> Tensor:
        """x + FF(norm(x)), "relu" or "gated-gelu"."""
        h = self.norm(x, p[name + "layer_norm.weight"])
        dense = name + "DenseReluDense."
        if self.config.feed_forward == "gated-gelu":
            inner = F.gelu(h @ p[dense + "wi_0.weight"].T, approximate="tanh") * (
                h @ p[dense + "wi_1.weight"].T
            )
        else:
            inner = torch.relu(h @ p[dense + "wi.weight"].T)
        return x + inner @ p[dense + "wo.weight"].T

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        """(B,h,T,w) heads -> (B,T,h*w); T5 does not scale the scores."""
        scores = query @ key.transpose(2, 3)
        mixed = torch.softmax(scores if bias is None else scores + bias, -1) @ value
        return mixed.transpose(1, 2).reshape(mixed.shape[0], mixed.shape[2], -1)

    def encode(self, member: int, source: Sequence[int]) -> Tensor:
        """H (1,S,d) of one sentence."""
        p = self.members[member]
        x = p["shared.weight"][torch.tensor([list(source)])]
        bias = self.bias(member, "encoder")[:, : len(source), : len(source)]
        for i in range(self.config.layers):
            name = f"encoder.block.{i}.layer.0."
            h = self.norm(x, p[name + "layer_norm.weight"])
            q, k, v = (self.split(h @ p[f"{name}SelfAttention.{c}.weight"].T) for c in "qkv")
            x = x + self.attend(q, k, v, bias) @ p[name + "SelfAttention.o.weight"].T
            x = self.feed_forward(x, p, f"encoder.block.{i}.layer.1.")
        return self.norm(x, p["encoder.final_layer_norm.weight"])


class Stepper:
    """One network reading one sentence: the encoder once, then the decoder a token at a time for all
    beams."""

    def __init__(self, reader: Reader, member: int, source: Sequence[int]) -> None:
        self.reader, self.p = reader, reader.members[member]
        self.encoded = reader.encode(member, source)  # (1,S,d)
        self.bias = reader.bias(member, "decoder")
        self.cross = [self._memory(i) for i in range(reader.config.layers)]
        self.cache: list[tuple[Tensor, Tensor]] = []
        self.position = 0

    def _memory(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values (1,h,S,w) of the text for cross-attention."""
        name = f"decoder.block.{layer}.layer.1.EncDecAttention."
        key, value = (self.reader.split(self.encoded @ self.p[f"{name}{c}.weight"].T) for c in "kv")
        return key, value

    def step(self, tokens: Tensor, parents: Tensor) -> tuple[Tensor, Tensor]:
        """`tokens` (k,) last ids, `parents` (k,) the old beam each continues -> log p (k,V), states (k,d)."""
        r, p = self.reader, self.p
        x = p["shared.weight"][tokens][:, None]  # (k,1,d)
        bias = self.bias[:, self.position, : self.position + 1][None, :, None]
        cache = []
        for i in range(r.config.layers):
            name = f"decoder.block.{i}.layer.0."
            h = r.norm(x, p[name + "layer_norm.weight"])
            q, k, v = (r.split(h @ p[f"{name}SelfAttention.{c}.weight"].T) for c in "qkv")
            if self.cache:
                k = torch.cat([self.cache[i][0][parents], k], 2)
                v = torch.cat([self.cache[i][1][parents], v], 2)
            cache.append((k, v))
            x = x + r.attend(q, k, v, bias) @ p[name + "SelfAttention.o.weight"].T
            name = f"decoder.block.{i}.layer.1."
            q = r.split(r.norm(x, p[name + "layer_norm.weight"]) @ p[name + "EncDecAttention.q.weight"].T)
            x = x + r.attend(q, *self.cross[i], None) @ p[name + "EncDecAttention.o.weight"].T
            x = r.feed_forward(x, p, f"decoder.block.{i}.layer.2.")
        self.cache = cache
        self.position += 1
        hidden = r.norm(x, p["decoder.final_layer_norm.weight"])[:, 0]  # (k,d)
        logits = hidden * r.config.d_model**-0.5 @ p["shared.weight"].T + r.output_bias
        return torch.log_softmax(logits, -1), hidden


class OneThread:
    """While any thread of the program decodes, torch computes with one thread; then with as many as before.

    The matrices are too small to share: with two threads on two busy cores, waiting for one another took five
    times as long as the work.
    """

    def __init__(self) -> None:
        self.lock, self.inside, self.before = threading.Lock(), 0, 1

    def __enter__(self) -> None:
        with self.lock:
            if not self.inside:
                self.before = torch.get_num_threads()
                torch.set_num_threads(1)
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                torch.set_num_threads(self.before)


one_thread = OneThread()


def beam_search(
    reader: Reader, source: Sequence[int], trie: Trie, config: BeamConfig | None = None
) -> list[Hypothesis]:
    """The n-best lines for source ids, best first; several networks vote by the mean of their log p.

    The states of a hypothesis are the first network's, one per item: the state that predicted its first id.
    A line that is not complete when the limit is reached is not returned; the list is empty if none was.
    """
    with one_thread, torch.inference_mode():
        return _search(reader, source, trie, config or BeamConfig())


def _search(reader: Reader, source: Sequence[int], trie: Trie, config: BeamConfig) -> list[Hypothesis]:
    source = list(source)[: MAX_TOKENS - 1] + ([EOS] if len(source) >= MAX_TOKENS else [])
    steppers = [Stepper(reader, m, source) for m in range(len(reader.members))]
    enough = config.expected[0] * len(source) + config.expected[1] if config.expected else math.inf

    def paid(length: int) -> float:
        return config.reward * min(length, enough)

    limit = min(MAX_TOKENS, int(config.max_ratio * len(source)) + 8)
    lines: list[tuple[int, ...]] = [()]
    trails: list[tuple[Tensor, ...]] = [()]
    states = [trie.start]
    sums, tokens, parents = torch.zeros(1), torch.tensor([PAD]), torch.tensor([0])
    done: list[tuple[float, tuple[int, ...], tuple[Tensor, ...]]] = []
    for length in range(1, limit + 1):
        results = [s.step(tokens, parents) for s in steppers]
        logp = torch.stack([r[0] for r in results]).mean(0)  # (k,V)
        hidden = results[0][1]
        totals = sums[:, None] + logp + torch.stack([trie.mask(s) for s in states])
        if length == limit:  # whatever can end has to end now
            totals[:, :EOS] = totals[:, EOS + 1 :] = -math.inf
        best, flat = totals.flatten().topk(min(2 * config.beams, totals.numel()))
        chosen: list[tuple[float, int, int]] = []
        for score, place in zip(best.tolist(), flat.tolist()):
            beam, token = divmod(place, totals.shape[1])
            if score == -math.inf:
                continue
            if token == EOS:
                done.append((score + paid(length), lines[beam], trails[beam]))
            elif len(chosen) < config.beams:
                chosen.append((score, beam, token))
        done.sort(key=lambda d: -d[0])
        if not chosen:
            break
        # What is unfinished can win at most its reward for some more tokens; two are enough in practice.
        hope = chosen[0][0] + paid(length + 2)
        if len(done) >= config.beams and done[config.beams - 1][0] >= hope:
            break
        states = [trie.step(states[b], t) for _, b, t in chosen]
        lines = [(*lines[b], t) for _, b, t in chosen]
        trails = [(*trails[b], hidden[b]) for _, b, _ in chosen]
        sums = torch.tensor([s for s, _, _ in chosen])
        parents, tokens = torch.tensor([b for _, b, _ in chosen]), torch.tensor([t for _, _, t in chosen])
    return [_hypothesis(reader, *d) for d in done[: config.beams]]


def _hypothesis(reader: Reader, score: float, ids: tuple[int, ...], trail: tuple[Tensor, ...]) -> Hypothesis:
    items = reader.vocabulary.lines(ids)
    states = [trail[index] for _, index in items]
    stacked = torch.stack(states) if states else torch.zeros(0, reader.config.d_model)
    return Hypothesis(tuple(g for g, _ in items), score, stacked)


def best_lines(
    reader: Reader, sources: Iterable[Sequence[int]], trie: Trie, config: BeamConfig | None = None
) -> list[tuple[str, ...]]:
    """The best line of every source; an empty line where none was complete in time."""
    found = (beam_search(reader, s, trie, config) for s in sources)
    return [hypotheses[0].glosses if hypotheses else () for hypotheses in found]
