"""Mixtures written as text: "maya:0.6,ben:0.4". The one place that reads them, for signers and manners."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from stable_signer.errors import StableSignerError

LARGEST = 1000.0
STEPS = 1000  # a canonical mixture counts in thousandths


def read_shares(text: str, what: str, known: Iterable[str], instead: str = "") -> dict[str, float]:
    """Names and shares, brought to a sum of 1, in the order written: "a:3,b:1" -> {"a": 0.75, "b": 0.25}. A
    name alone has the share 1; a name that comes twice has the sum of both.

    what: 'signer' or 'manner', for messages. instead: what else the caller takes, named at the end of the
    message for an unknown name. Raises StableSignerError for an unknown name or a share that is not a number
    above 0 and at most LARGEST.
    """
    names = tuple(known)
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, colon, number = (x.strip() for x in part.partition(":"))
        if name not in names:
            raise StableSignerError(f"there is no {what} {name!r}: use one of {', '.join(names)}{instead}")
        try:
            share = float(number) if colon else 1.0
        except ValueError:
            share = math.nan
        if not 0 < share <= LARGEST:  # also refuses NaN
            raise StableSignerError(
                f"the share {number!r} of the {what} {name} must be a number above 0, at most {LARGEST:g}"
            )
        shares[name] = shares.get(name, 0.0) + share
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


def written(shares: Mapping[str, float], what: str, known: Iterable[str]) -> str:
    """The one way to write a mixture whose shares sum to 1: the largest share first, equal ones in the order
    of `known`, in thousandths that sum to 1 (largest remainders), and a single name without a share.

    Raises StableSignerError for a share that is under a thousandth.
    """
    order = {name: place for place, name in enumerate(known)}
    exact = {name: shares[name] * STEPS for name in sorted(shares, key=order.__getitem__)}
    counted = {name: int(value + 1e-6) for name, value in exact.items()}  # 0.3 * 1000 may be 299.99999999
    missing = STEPS - sum(counted.values())
    for name in sorted(exact, key=lambda n: counted[n] - exact[n])[:missing]:
        counted[name] += 1
    for name, count in counted.items():
        if count == 0:
            raise StableSignerError(f"the share of the {what} {name} is under a thousandth: leave it out")
    if len(counted) == 1:
        return next(iter(counted))
    return ",".join(f"{n}:{c / STEPS:g}" for n, c in sorted(counted.items(), key=lambda one: -one[1]))
