"""The manner of signing: a vector that can be named, mixed, and told to the experts."""

from __future__ import annotations

from dataclasses import dataclass

from stable_signer.shares import read_shares


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
    named: list[str] = []
    signer: int | None = None
    for part in text.split(","):
        number = part.strip().removeprefix("signer-")
        if number != part.strip() and number.isascii() and number.isdigit() and len(number) < 10:
            signer = int(number)
        else:
            named.append(part)
    instead = ", a mixture such as lively:0.6,calm:0.4, or signer-7"
    weights = read_shares(",".join(named) if named else NEUTRAL, "manner", MANNERS, instead)
    return Manner(
        size=sum(w * MANNERS[n].size for n, w in weights.items()),
        emphasis=sum(w * MANNERS[n].emphasis for n, w in weights.items()),
        variation=sum(w * MANNERS[n].variation for n, w in weights.items()),
        signer=signer,
    )
