"""The face's paint: brows, lashes, lips, cheeks, beard and the lines of age, drawn once per signer.

A picture of the canonical face seen from straight ahead (an orthographic map of x and z). Each skin vertex
knows its canonical place, so the paint moves with the skin: raise the brows and the painted brows rise. The
shapes follow the face points of `body.keypoints`.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from stable_signer.body.keypoints import FACE_VERTICES
from stable_signer.body.skeleton import Body
from stable_signer.pose2vid.signers import SignerCard, linear

LEFT, TOP, WIDTH, HEIGHT = -0.1, 0.92, 0.2, 0.27  # metres of the canonical face that the paint covers
TEXELS = 2500  # a metre
FINE = 3  # drawn this much larger, then made smaller

LIPS_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
LIPS_INNER = (78, 80, 81, 82, 13, 312, 311, 310, 308)
BROWS = {-1: ((70, 63, 105, 66, 107), (46, 53, 52, 65, 55))}
UPPER_LID = (33, 160, 159, 158, 133)
LOWER_LID = (33, 144, 145, 153, 133)


class Easel:
    """Draws covers (H, W) in [0, 1] over the face map; places in metres, canonical (x, z)."""

    def __init__(self, body: Body) -> None:
        canon = body.arrays["vertices"][0]
        self.point = {i: canon[v][[0, 2]] for i, v in FACE_VERTICES.items()}
        self.shape = (round(HEIGHT * TEXELS), round(WIDTH * TEXELS))

    def texel(self, places: np.ndarray) -> list[tuple[float, float]]:
        """Metres -> coordinates on the fine drawing."""
        scale = TEXELS * FINE
        return [((x - LEFT) * scale, (TOP - z) * scale) for x, z in np.asarray(places, float)]

    def draw(self, shapes: list[tuple[str, np.ndarray, float]], blur: float) -> np.ndarray:
        """shapes: ('fill', places, cover) or ('line', places, width in metres). blur in metres."""
        size = (self.shape[1] * FINE, self.shape[0] * FINE)
        image = Image.new("L", size, 0)
        pen = ImageDraw.Draw(image)
        for kind, places, value in shapes:
            if kind == "fill":
                pen.polygon(self.texel(places), fill=round(255 * value))
            else:
                pen.line(
                    self.texel(places), fill=255, width=max(round(value * TEXELS * FINE), 1), joint="curve"
                )
        small = image.resize((self.shape[1], self.shape[0]), Image.Resampling.BOX)
        if blur > 0:
            small = small.filter(ImageFilter.GaussianBlur(blur * TEXELS))
        return np.asarray(small, np.float32) / 255

    def spot(self, x: float, z: float, wide: float, high: float) -> np.ndarray:
        """A soft round spot on both sides of the face."""
        column = LEFT + (np.arange(self.shape[1]) + 0.5) / TEXELS
        row = TOP - (np.arange(self.shape[0]) + 0.5) / TEXELS
        dx, dz = (np.abs(column)[None, :] - x) / wide, (row[:, None] - z) / high
        return np.exp(-(dx * dx + dz * dz)).astype(np.float32)


def curve(places: np.ndarray, count: int = 24) -> np.ndarray:
    """A smooth line (Catmull-Rom) through places (K, 2) -> (count, 2)."""
    p = np.concatenate([[2 * places[0] - places[1]], places, [2 * places[-1] - places[-2]]])
    t = np.linspace(0, len(places) - 1 - 1e-9, count)
    i = t.astype(int)
    t = (t - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def mirrored(places: np.ndarray) -> np.ndarray:
    """The same on the other side of the face."""
    return places * [-1, 1]


def face_paint(body: Body, card: SignerCard) -> np.ndarray:
    """(H, W, 4) float32: linear RGB and cover, to be laid over the skin."""
    easel = Easel(body)
    skin = np.array(linear(card.skin))
    rgb = np.tile(skin.astype(np.float32), (*easel.shape, 1))
    cover = np.zeros(easel.shape, np.float32)
    rng = np.random.default_rng(7)

    def lay(colour: np.ndarray | tuple[float, float, float], mask: np.ndarray) -> None:
        """Put a colour over what is there: the usual 'over' of two layers."""
        nonlocal cover, rgb
        total = mask + cover * (1 - mask)
        share = (mask / np.maximum(total, 1e-6))[..., None]
        rgb = rgb * (1 - share) + np.asarray(colour, np.float32) * share
        cover = total

    blush = float(np.clip(skin.sum() / 1.2, 0.15, 1))  # a dark skin hides it
    lay(skin * [1.06, 0.74, 0.72], 0.42 * blush * easel.spot(0.04, 0.772, 0.022, 0.016))  # cheeks
    lay(skin * [1.05, 0.78, 0.76], 0.35 * blush * easel.spot(0.0, 0.783, 0.013, 0.012))  # tip of the nose
    lay(skin * [0.80, 0.66, 0.66], 0.35 * easel.spot(0.031, 0.822, 0.021, 0.0085))  # lids
    lay(
        skin * [0.84, 0.74, 0.76], (0.2 + 0.4 * card.age_lines) * easel.spot(0.027, 0.801, 0.014, 0.004)
    )  # under eyes
    _age(easel, card, skin, lay)
    _beard(easel, card, rng, lay)
    _lips(easel, card, skin, lay)
    _eyes(easel, card, skin, lay)
    _brows(easel, card, rng, lay)
    if card.freckles:
        mask = np.zeros(easel.shape, np.float32)
        for _ in range(260):
            x, z = rng.normal(0, 0.03), rng.normal(0.787, 0.012)
            column, row = int((x - LEFT) * TEXELS), int((TOP - z) * TEXELS)
            mask[row : row + rng.integers(2, 4), column : column + rng.integers(2, 4)] = rng.uniform(0.2, 0.5)
        lay(skin * [0.72, 0.52, 0.42], mask)
    return np.ascontiguousarray(np.concatenate([rgb, cover[..., None]], -1), dtype=np.float32)


def _lips(easel: Easel, card: SignerCard, skin: np.ndarray, lay) -> None:  # type: ignore[no-untyped-def]
    outer = curve(np.array([easel.point[i] for i in (*LIPS_OUTER, LIPS_OUTER[0])]), 90)
    lips = np.array(linear(card.lips))
    lay(lips, 0.86 * easel.draw([("fill", outer, 1.0)], 0.0012))
    inner = curve(np.array([easel.point[i] for i in LIPS_INNER]), 40)
    lay(lips * 0.35, 0.6 * easel.draw([("line", inner, 0.0013)], 0.0005))
    lay(skin * 0.75, 0.35 * easel.spot(0.0, 0.7295, 0.014, 0.0025))  # the shade under the lower lip


def _eyes(easel: Easel, card: SignerCard, skin: np.ndarray, lay) -> None:  # type: ignore[no-untyped-def]
    upper = curve(np.array([easel.point[i] for i in UPPER_LID]))
    lower = curve(np.array([easel.point[i] for i in LOWER_LID]))
    wing = upper[:1] + np.array([-0.0022, 0.0004])
    lash = np.concatenate([wing, upper + np.array([0, 0.0006])])
    both = [("line", side, card.lash_width) for side in (lash, mirrored(lash))]
    lay((0.012, 0.008, 0.007), 0.8 * easel.draw(both, 0.0004))
    thin = [("line", side, 0.0009) for side in (lower, mirrored(lower))]
    lay(skin * 0.35, 0.35 * easel.draw(thin, 0.0005))
    crease = upper + np.array([0, 0.0052])
    lay(
        skin * [0.62, 0.5, 0.48],
        0.45 * easel.draw([("line", s, 0.0013) for s in (crease, mirrored(crease))], 0.0006),
    )


def _brows(easel: Easel, card: SignerCard, rng: np.random.Generator, lay) -> None:  # type: ignore[no-untyped-def]
    """Many short strokes along the brow, over a soft ground: thick enough to be read from across a room."""
    over, under = BROWS[-1]
    top = curve(np.array([easel.point[i] for i in over]))
    bottom = curve(np.array([easel.point[i] for i in under]))
    middle = (top + bottom) / 2 + [0, 0.0012]
    t = np.linspace(0, 1, len(middle))  # 0 at the temple, 1 at the nose
    # a calm brow: its tail as high as its head, an arch between; the landmarks alone look worried
    middle[:, 1] += 0.0018 * np.sin(np.pi * np.clip(t * 1.2, 0, 1)) + 0.0014 * (1 - t) - 0.0016 * t**2
    half = card.brow_width / 2 * np.clip(np.minimum(t / 0.55 + 0.12, 1.0), 0, 1) * np.where(t > 0.92, 0.8, 1)
    outline = np.concatenate(
        [middle + np.stack([0 * t, half], 1), (middle - np.stack([0 * t, half], 1))[::-1]]
    )
    shapes = [("fill", outline, 0.85), ("fill", mirrored(outline), 0.85)]
    strokes = []
    for _ in range(150):
        k = rng.integers(0, len(middle))
        root = middle[k] + [rng.uniform(-0.001, 0.001), rng.uniform(-1, 0.6) * half[k]]
        lean = np.array([-0.0035 * (1.1 - 0.5 * t[k]), 0.0036 * t[k] ** 1.5 + 0.0004])
        stroke = np.stack([root, root + lean])
        strokes += [("line", stroke, 0.0006), ("line", mirrored(stroke), 0.0006)]
    colour = np.array(linear(card.brows))
    lay(colour, 0.82 * easel.draw(shapes, 0.0007))
    lay(colour * 0.7, 0.7 * easel.draw(strokes, 0.0))


def _beard(easel: Easel, card: SignerCard, rng: np.random.Generator, lay) -> None:  # type: ignore[no-untyped-def]
    if card.beard == "none":
        return
    right = np.array(
        [
            (-0.074, 0.806),
            (-0.066, 0.800),
            (-0.061, 0.776),
            (-0.050, 0.757),
            (-0.034, 0.752),
            (-0.028, 0.762),
            (-0.012, 0.768),
            (0.0, 0.765),
        ]
    )
    below = np.array([(-0.074, 0.66), (0.0, 0.66)])
    outline = np.concatenate([right, mirrored(right)[::-1], mirrored(below), below[::-1][1:], below[:1]])
    mask = easel.draw([("fill", outline, 1.0)], 0.0028)
    lips = curve(np.array([easel.point[i] for i in (*LIPS_OUTER, LIPS_OUTER[0])]), 90)
    centre = lips.mean(0)
    mask *= 1 - easel.draw([("fill", (lips - centre) * [1.06, 1.15] + centre, 1.0)], 0.001)
    # the neck is bare under the jaw
    row = TOP - (np.arange(easel.shape[0]) + 0.5) / TEXELS
    mask *= np.clip((row - 0.688) / 0.012, 0, 1)[:, None].astype(np.float32)
    grain = Image.fromarray(rng.integers(0, 256, easel.shape, dtype=np.uint8)).filter(
        ImageFilter.GaussianBlur(0.9)
    )
    noise = (np.asarray(grain, np.float32) / 255 - 0.5) * 2.2 + 0.5
    strength = {"stubble": 0.42, "full": 1.0}[card.beard]
    colour = np.array(linear(card.hair.colour if card.beard == "full" else card.brows))
    lay(colour, mask * strength * np.clip(0.8 + 0.35 * (noise - 0.5), 0, 1))


def _age(easel: Easel, card: SignerCard, skin: np.ndarray, lay) -> None:  # type: ignore[no-untyped-def]
    """Lines from the nose to the mouth, on the forehead and beside the eyes."""
    if card.age_lines <= 0:
        return
    fold = curve(np.array([(-0.017, 0.781), (-0.025, 0.770), (-0.031, 0.756), (-0.033, 0.744)]))
    feet = [np.array([(-0.049, 0.815 + d), (-0.058, 0.817 + 2.6 * d)]) for d in (-0.003, 0.0, 0.003)]
    brow = [
        curve(np.array([(-0.03, z - 0.002), (0.0, z + 0.001), (0.03, z - 0.002)])) for z in (0.848, 0.857)
    ]
    lay(
        skin * [0.66, 0.52, 0.5],
        0.55
        * card.age_lines
        * easel.draw([("line", side, 0.0018) for side in (fold, mirrored(fold))], 0.0013),
    )
    lines = [("line", s, 0.0009) for f in feet for s in (f, mirrored(f))] + [("line", b, 0.001) for b in brow]
    lay(skin * [0.66, 0.52, 0.5], 0.5 * card.age_lines * easel.draw(lines, 0.0008))
