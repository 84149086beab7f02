"""The experts and their gate: the boxes of SLP-MoE in the paper's figure.

    linker states, phonology ──▶ Gate ──▶ weight of each expert (top k)
    prior, noisy residual ──▶ shared blocks ──▶ Expert "hands" ─┐
                                           ──▶ Expert "body"   ─┼─▶ weighted sum ──▶ residual
                                           ──▶ Expert "face"   ─┤
                                           ──▶ Expert "spelling"┘

Each expert may write the channels of its part of the body; where two may write the same channel (the palm
belongs to the hands and to the arms) the gate's weights decide. A part none of whose experts is chosen keeps
its prior. Published ablations of expert splits for signing: both hands together are better than one expert a
hand (paper.md), so that is the default, and `PARTS` has the other splits to measure it again.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stable_signer.slp_moe import residual as rs
from stable_signer.slp_moe.condition import FIELDS, FLAGS, MANNER, SOURCES, vocabulary

_RIGHT_HAND = [k for k in (*rs.PALMS, *rs.FINGERS) if k < rs.SIDE]
_LEFT_HAND = [k for k in (*rs.PALMS, *rs.FINGERS) if k >= rs.SIDE]
_HANDS = [*rs.PALMS, *rs.FINGERS]
_BODY = [*rs.WRISTS, *rs.SWIVELS, *rs.PALMS, *rs.HEADS]
_FACE = [*rs.FACES, *rs.HEADS]
_SPELLING = [k for k in (*rs.WRISTS, *rs.PALMS, *rs.FINGERS) if k < rs.SIDE]

PARTS: dict[str, dict[str, list[int]]] = {
    "one": {"all": list(range(rs.CHANNELS))},
    "two": {"manual": [*_BODY, *rs.FINGERS], "face": _FACE},
    "three": {"hands": _HANDS, "body": _BODY, "face": _FACE},
    "four": {"hands": _HANDS, "body": _BODY, "face": _FACE, "spelling": _SPELLING},
    "split": {"right": _RIGHT_HAND, "left": _LEFT_HAND, "body": _BODY, "face": _FACE},
}
"""Experts by name with the channels of the residual that each may write, for each way of splitting."""


class Block(nn.Module):
    """Mixes in time, then in channels, both under a condition (FiLM, Perez et al. 2018): (B,T,W) -> (B,T,W).

    inner: width of the channel mixing. The condition is (B,C).
    """

    def __init__(self, width: int, inner: int, condition: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.time = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.film = nn.Linear(condition, 3 * width)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        """mask (B,T,1): 1 for frames that exist."""
        scale, shift, strength = self.film(condition)[:, None].chunk(3, -1)  # (B,1,W) each
        h = self.norm(x) * mask
        h = self.time(h.transpose(1, 2)).transpose(1, 2)  # (B,T,W)
        h = h * (1 + scale) + shift
        h = F.dropout(F.gelu(self.up(h)), self.dropout, self.training)
        return x + (1 + strength) * self.down(h) * mask


class Expert(nn.Module):
    """One part of the body: from what the shared blocks see (B,T,W) to its channels of the residual."""

    def __init__(
        self,
        width: int,
        inner: int,
        condition: int,
        kernel: int,
        dropout: float,
        blocks: int,
        channels: list[int],
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, inner, condition, kernel, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, len(channels))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        """(B,T,W) -> (B,T,its channels)."""
        for block in self.blocks:
            x = block(x, condition, mask)
        out: Tensor = self.out(self.norm(x))
        return out


class SignEncoder(nn.Module):
    """A sign's phonology, source, linker states and manner as one vector (B,C)."""

    def __init__(self, condition: int, linker: int, use_linker: bool, dropout: float) -> None:
        super().__init__()
        self.use_linker, self.dropout = use_linker, dropout
        self.codes = nn.ModuleList(nn.Embedding(len(vocabulary()[f]) + 1, 32) for f in FIELDS)
        self.rest = nn.Linear(32 + len(FLAGS) + len(SOURCES) + 2 * MANNER, condition)
        self.linker = nn.Linear(3 * linker, condition)
        self.mix = nn.Sequential(nn.GELU(), nn.Linear(condition, condition))

    def forward(
        self, codes: Tensor, flags: Tensor, source: Tensor, linker: Tensor, manner: Tensor, known: Tensor
    ) -> Tensor:
        """codes (B,7) long, flags (B,3), source (B,) long, linker (B,3,d), manner (B,3), known (B,3) which
        of the manner's numbers are given."""
        code = sum(table(codes[:, k]) for k, table in enumerate(self.codes))  # (B,32)
        kind = F.one_hot(source, len(SOURCES)).to(flags.dtype)
        x = self.rest(torch.cat([code, flags, kind, manner * known, known], -1))
        if self.use_linker:
            states = F.layer_norm(linker, linker.shape[-1:]).flatten(1)  # (B,3*d)
            x = x + self.linker(F.dropout(states, self.dropout, self.training))
        out: Tensor = self.mix(F.dropout(x, self.dropout, self.training))
        return out


class Gate(nn.Module):
    """Which experts sign a sign, and how much of what each says: (B,C) -> weights (B,E).

    The k strongest experts share k by the softmax of their scores, the others have 0. In training the scores
    are jittered and `balance` is the load-balancing loss of Fedus et al. 2021 (Switch Transformers, equation
    4): E times the sum over experts of the share of signs that choose it and its mean probability.
    """

    def __init__(self, condition: int, experts: int, top: int) -> None:
        super().__init__()
        self.top, self.experts = min(top, experts), experts
        self.score = nn.Sequential(nn.Linear(condition, condition // 2), nn.GELU())
        self.out = nn.Linear(condition // 2, experts)
        nn.init.zeros_(self.out.weight)

    def forward(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (B,E), of which at most `top` are not 0 and all sum to `top`, and the balance loss ()."""
        scores = self.out(self.score(condition))
        if self.training:
            scores = scores + 0.3 * torch.randn_like(scores)
        chosen = scores.topk(self.top, -1).indices
        mask = torch.zeros_like(scores).scatter(-1, chosen, 1.0)
        weights = torch.softmax(scores.masked_fill(mask == 0, float("-inf")), -1) * self.top
        share = mask.mean(0) / self.top
        balance = self.experts * (share * torch.softmax(scores, -1).mean(0)).sum()
        return weights, balance
