"""The symbols of HamNoSys 4, and the tree of postures and movements that a notation is read into.

HamNoSys (Prillwitz et al. 1989; Hanke 2004, "HamNoSys: representing sign language data in language
resources") writes a sign's form as a row of symbols: which hands, their shapes, how they are turned, where
they are, and what they then do. `weights/hamnosys.txt` says what each symbol stands for on our body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from stable_signer.errors import StableSignerError

LONGEST = 400  # symbols


@dataclass(frozen=True)
class Symbol:
    """One symbol. kind: what the grammar knows it as; value: the rest of its line in the table."""

    code: str
    name: str
    kind: str
    value: str


@lru_cache(maxsize=1)
def symbols() -> dict[str, Symbol]:
    """Every symbol, by its character and by its name."""
    text = (resources.files("stable_signer") / "weights" / "hamnosys.txt").read_text(encoding="utf-8")
    out: dict[str, Symbol] = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            code, name, kind, *value = line.split(" ", 3)
            symbol = Symbol(chr(int(code, 16)), name, kind, value[0] if value else "")
            out[symbol.code] = out[symbol.name] = symbol
    return out


@dataclass(frozen=True)
class Site:
    """Somewhere on the body. name: of a place or of a point of a hand; hand: the latter.

    side: 'left', 'right' or '' as the signer sees it; beside: a hand's breadth further to that side.
    out: for a point of a hand, which way is out there, in palm coordinates (3,).
    """

    name: str
    hand: bool = False
    side: str = ""
    beside: bool = False
    out: tuple[float, float, float] = (0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Posture:
    """What is said of a hand; None where nothing is.

    shape: an expression over the table of handshapes. fingers: unit direction (3,) of the stretched fingers,
    as the signer sees it. palm: unit direction (3,) of the palm if the fingers pointed straight ahead.
    sites: where it is, the middle if there are several. contact: metres between hand and site, `met_first`
    if that was said before any site. own: the point of the hand that is there. apart: metres further out.
    behind: behind the site. other: the same of the left hand, if it is said by itself.
    """

    shape: str | None = None
    fingers: np.ndarray | None = None
    palm: np.ndarray | None = None
    sites: tuple[Site, ...] = ()
    contact: float | None = None
    met_first: bool = False
    own: Site | None = None
    apart: float = 0.0
    behind: bool = False
    other: Posture | None = None

    def said(self) -> dict[str, Any]:
        """What is said, by name, without `other`."""
        given = {k: v for k, v in vars(self).items() if v is not None and k != "other"}
        return {k: v for k, v in given.items() if isinstance(v, np.ndarray) or k == "contact" or v}

    def overlaid(self, above: Posture) -> Posture:
        """This posture, with what `above` says instead."""
        return replace(self, **above.said())


@dataclass
class Action:
    """Something that the hands do.

    kind: 'move', 'circle', 'play', 'tap', 'replace', 'still', or of several actions 'row' (one after the
    other), 'together', 'hands' (the right hand's, the left hand's), 'again' (with `mode` and `times`).
    way: (3,) unit direction, a circle's axis; what: which play. size, pace: factors. arc: (3,) direction of
    the bulge, with arc_size. ripple: wavy. start: (3,) where on a circle it begins. hold: time units of
    staying at the end. posture: what is reached.
    """

    kind: str
    way: np.ndarray | None = None
    what: str = ""
    size: float = 1.0
    pace: float = 1.0
    arc: np.ndarray | None = None
    arc_size: float = 1.0
    ripple: bool = False
    start: np.ndarray | None = None
    hold: float = 0.0
    posture: Posture | None = None
    parts: tuple[Action, ...] = ()
    mode: str = ""
    times: int = 0


@dataclass(frozen=True)
class Part:
    """A sign, or one of the signs of a compound. symmetry: '', 'mirrored' or 'parallel'."""

    symmetry: str
    alternating: bool
    posture: Posture
    actions: tuple[Action, ...]


@dataclass(frozen=True)
class Notation:
    """A whole notation. simplified: what it says that is not performed, in words, each once."""

    parts: tuple[Part, ...]
    simplified: tuple[str, ...] = ()


def tokens(text: str) -> tuple[Symbol, ...]:
    """The symbols of a notation: characters of the HamNoSys font, or names parted by commas or spaces.

    Raises StableSignerError for an unknown symbol, an empty or an overlong notation.
    """
    known = symbols()
    if re.search(r"ham[a-z]", text):
        row = [w for w in re.split(r"[\s,]+", text.strip()) if w]
    else:
        row = [c for c in text if not c.isspace()]
    for n, word in enumerate(row):
        if word not in known:
            shown = word if word.isascii() else f"U+{ord(word[0]):04X}"
            raise StableSignerError(
                f"symbol {n + 1} of the HamNoSys notation, {shown[:40]!r}, is not known: write the "
                "characters of the HamNoSys 4 font, or names such as hamflathand,hamextfingeru,hampalml"
            )
    if not row:
        raise StableSignerError("the HamNoSys notation is empty: give at least a handshape")
    if len(row) > LONGEST:
        raise StableSignerError(f"the HamNoSys notation has {len(row)} symbols: at most {LONGEST} are read")
    return tuple(known[word] for word in row)
