"""The manner of signing: a vector that can be named, mixed, and told to the experts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stable_signer.errors import StableSignerError


@dataclass(frozen=True)
class Manner:
    """How signs are made. Zero is neutral, except for variation.

    size: natural logarithm of how much wider the hands travel than the experts would have them. emphasis: how
    much sharper the movement is, in standard deviations over real takes. variation: how far a take strays
    from what the experts expect (0 not at all, 1 as much as real takes of different people do). signer: a
    number that names a signer's own habits, or None; the same signer strays the same way in every sign.
    """

    size: float = 0.0
    emphasis: float = 0.0
    variation: float = 0.4
    signer: int | None = None


NEUTRAL = "neutral"
MANNERS: dict[str, Manner] = {
    NEUTRAL: Manner(),
    "lively": Manner(size=0.18, emphasis=0.8, variation=0.6),
    "calm": Manner(size=-0.15, emphasis=-0.7, variation=0.2),
    "formal": Manner(size=0.05, emphasis=-0.2, variation=0.1),
    "casual": Manner(size=-0.15, emphasis=0.2, variation=0.8),
    "large": Manner(size=0.3),
    "small": Manner(size=-0.3),
}
"""Manners by name. The numbers are ours: real takes are not labelled with a manner."""


def mix(text: str) -> Manner:
    """A manner by name, or a mixture: "lively:0.6,calm:0.4"; the shares are brought to a sum of 1. A part
    "signer-7" adds the habits of signer number 7.

    Raises StableSignerError for a name or a share that cannot be used.
    """
    shares: dict[str, float] = {}
    signer: int | None = None
    for part in text.split(","):
        name, _, share = (x.strip() for x in part.partition(":"))
        number = name.removeprefix("signer-")
        if number != name and number.isascii() and number.isdigit() and len(number) < 10 and not share:
            signer = int(number)
            continue
        if name not in MANNERS:
            raise StableSignerError(
                f"there is no manner {name!r}: use one of {', '.join(MANNERS)}, a mixture such as "
                "lively:0.6,calm:0.4, or signer-7"
            )
        try:
            value = float(share) if share else 1.0
        except ValueError:
            value = math.nan
        if not 0 < value <= 1000:
            raise StableSignerError(f"the share {share!r} of the manner {name} must be a number above 0")
        shares[name] = shares.get(name, 0.0) + value
    total = sum(shares.values())
    weights = {name: share / total for name, share in shares.items()} or {NEUTRAL: 1.0}
    return Manner(
        size=sum(w * MANNERS[n].size for n, w in weights.items()),
        emphasis=sum(w * MANNERS[n].emphasis for n, w in weights.items()),
        variation=sum(w * MANNERS[n].variation for n, w in weights.items()),
        signer=signer,
    )
