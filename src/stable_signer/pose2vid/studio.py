"""The studio: pictures of synthetic signers for Pose2Vid to learn from, with the control maps beside them.

An `Appearance` is who is seen and how: a signer's card, a style (background, light) and a rendering look.
As a vector (`Appearance.vector`) it is what the network is told, so looks, colours and light can be mixed.

The looks, all made from the same deferred shading (`mesh.py`) at full size:

    natural   the shaded figure, its skin mottled by vertex, light scattered under the skin
    soft      a large soft light, a little bloom
    cartoon   light in steps, strong colours, outlines
    line      a drawing: outlines, washes and hatched tones on paper

Outlines run where two parts meet that do not grow out of one another, and where depth jumps. The camera is
the product's unless a `Lens` says otherwise.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageFilter

from stable_signer.body.kernels import kernel
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.camera import Camera
from stable_signer.pose2vid.control import PARTS, ControlFigure, controlled, part_labels
from stable_signer.pose2vid.hair import CUTS
from stable_signer.pose2vid.lens import Lens, defocused, instants, instants_needed, moved, wall_depth
from stable_signer.pose2vid.mesh import SAMPLES, MeshRenderer, dithered
from stable_signer.pose2vid.shading import COLOUR, SKIN, linear_light, toned
from stable_signer.pose2vid.signers import SIGNERS, STYLES, Clothes, Hair, Light, SignerCard, Style, linear
from stable_signer.pose2vid.soft_light import SoftLight

RENDERINGS = {
    "natural": "a shaded person in the style's light",
    "soft": "the same in large soft light, with a little bloom",
    "cartoon": "light in steps, strong colours, outlines",
    "line": "outlines and washes on paper",
}
# The groups of the appearance vector, each a token for the network's cross-attention, and their lengths.
GROUPS = {"skin": 6, "face": 9, "hair": 4, "clothes": 6, "light": 24, "rendering": len(RENDERINGS)}
VECTOR = sum(GROUPS.values())
SLEEVES, NECKS = ("long", "three-quarter", "short"), ("crew", "v", "boat", "high")
BEARDS = ("none", "stubble", "full")
LAMP, LAMPS = 0.1, {"soft": 0.28}  # radius of the key lamp, see SoftLight
Samples = tuple[np.ndarray, np.ndarray, np.ndarray]  # of `MeshRenderer.samples`
PAPER = np.array([246, 241, 230], np.float32)
GREY = 127.5  # what a figure is laid over to be learned


@dataclass(frozen=True)
class Appearance:
    """Who is seen and how. Raises StableSignerError for an unknown rendering."""

    signer: SignerCard
    style: Style
    rendering: str = "natural"

    def __post_init__(self) -> None:
        if self.rendering not in RENDERINGS:
            raise StableSignerError(
                f"there is no rendering {self.rendering!r}: choose one of {', '.join(RENDERINGS)}"
            )

    def vector(self) -> np.ndarray:
        """(VECTOR,) float32, linear colours and unit directions, in the order of GROUPS."""
        card, style = self.signer, self.style

        def lit(light: Light) -> list[float]:
            unit = np.array(light.direction) / np.linalg.norm(light.direction)
            return [*unit.tolist(), *light.colour]

        groups = {
            "skin": [*linear(card.skin), *linear(card.lips)],
            "face": [
                *linear(card.eyes), *linear(card.brows), BEARDS.index(card.beard) / 2, card.age_lines,
                float(card.freckles),
            ],
            "hair": [*linear(card.hair.colour), float(card.hair.style == "bald")],
            "clothes": [*linear(card.clothes.top), *linear(card.clothes.trousers)],
            "light": [*lit(style.key), *lit(style.fill), *lit(style.rim), *style.sky, *style.ground],
            "rendering": [float(self.rendering == name) for name in RENDERINGS],
        }  # fmt: skip
        assert {name: len(values) for name, values in groups.items()} == GROUPS
        return np.array([value for values in groups.values() for value in values], np.float32)


def mixed(shares: list[tuple[np.ndarray, float]]) -> np.ndarray:
    """The mean of appearance vectors, weighted; weights are made to sum to one.

    Raises StableSignerError when no weight is positive.
    """
    total = sum(share for _, share in shares)
    if not shares or total <= 0 or min(share for _, share in shares) < 0:
        raise StableSignerError("a mixture needs positive shares: write it as maya:0.6,ben:0.4")
    return sum((vector * np.float32(share / total) for vector, share in shares), np.zeros(VECTOR, np.float32))


def random_appearance(rng: np.random.Generator) -> Appearance:
    """A new person in new clothes and light: half of the time one of the shipped signers and styles."""
    card = SIGNERS[str(rng.choice(list(SIGNERS)))]
    style = STYLES[str(rng.choice(list(STYLES)))]
    rendering = str(rng.choice(list(RENDERINGS), p=[0.4, 0.2, 0.2, 0.2]))
    if rng.random() < 0.5:
        return Appearance(card, style, rendering)

    def colour(low: float, high: float) -> str:
        return "#" + "".join(f"{int(v):02x}" for v in rng.uniform(low, high, 3))

    donor, hair = (SIGNERS[str(rng.choice(list(SIGNERS)))] for _ in range(2))
    card = replace(
        card,
        skin=donor.skin,
        lips=donor.lips,
        eyes=str(rng.choice([s.eyes for s in SIGNERS.values()])),
        brows=hair.brows,
        hair=Hair(
            str(rng.choice([*CUTS, "bald"])), hair.hair.colour if rng.random() < 0.7 else colour(15, 230)
        ),
        clothes=Clothes(colour(15, 240), str(rng.choice(SLEEVES)), str(rng.choice(NECKS)), colour(20, 110)),
        age_lines=float(rng.choice([0.0, 0.0, 0.4, 0.8])),
        freckles=bool(rng.random() < 0.15),
    )

    def jitter(light: Light, turn: float) -> Light:
        direction = np.array(light.direction) + rng.normal(0, turn, 3)
        strength = np.array(light.colour) * rng.uniform(0.8, 1.15) * rng.uniform(0.94, 1.06, 3)
        return Light(tuple(direction.tolist()), tuple(strength.tolist()))

    style = replace(
        style, key=jitter(style.key, 0.25), fill=jitter(style.fill, 0.2), rim=jitter(style.rim, 0.2)
    )
    return Appearance(card, style, rendering)


class StudioRenderer(MeshRenderer):
    """The mesh look in one of the RENDERINGS."""

    def __init__(
        self, body: Body, appearance: Appearance, size: int = 512, camera: Camera | None = None
    ) -> None:
        self.appearance = appearance
        style = softened(appearance.style) if appearance.rendering == "soft" else appearance.style
        super().__init__(body, appearance.signer, style, size, camera)
        self._wall = self._make_wall()
        if appearance.rendering == "natural":
            self._mottle()

    def picture(self, vertices: np.ndarray, points: np.ndarray) -> np.ndarray:
        """One frame: the figure's vertices (N, 3) in metres and projected (N, 3) -> (H, W, 3) uint8."""
        samples = self.samples(points)
        return self.rendered(self.painted(vertices, *samples), *samples[1:])

    def rendered(self, picture: np.ndarray, triangle: np.ndarray, inverse: np.ndarray) -> np.ndarray:
        """A painted frame (H, W, 3) uint8 and its samples -> the frame in this rendering."""
        if self.appearance.rendering == "natural":
            return picture
        covered = self.covered(triangle)
        changed = self._changed(picture, covered, lambda: outlines(triangle, inverse, self.label, self.size))
        return np.where(covered[..., None] > 0, changed, self.wall())  # the wall is never drawn

    def _changed(
        self, picture: np.ndarray, covered: np.ndarray, lines: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """Colours (H, W, 3) uint8 of a figure that fills `covered` (H, W) of each pixel in this rendering,
        another than natural; lines: its outlines (H, W) in [0, 1], made where they are drawn."""
        if self.appearance.rendering == "soft":
            return bloomed(picture)
        if self.appearance.rendering == "cartoon":
            return cartoon(picture, lines())
        return drawing(picture, lines(), covered)

    def covered(self, triangle: np.ndarray) -> np.ndarray:
        """Samples (2H, 2W) -> (H, W) float32: how much of each pixel the figure fills."""
        samples = triangle.reshape(self.size, SAMPLES, self.size, SAMPLES)
        return (samples >= 0).mean((1, 3), dtype=np.float32)

    def before_black(self) -> StudioRenderer:
        """The same signer before a wall that gives no light: a pixel holds the figure's share alone."""
        black = copy.copy(self)
        black.background, black.plain = np.zeros_like(self.background), np.zeros_like(self.plain)
        return black

    def layer(self, picture: np.ndarray, triangle: np.ndarray, inverse: np.ndarray) -> np.ndarray:
        """A frame painted `before_black` (H, W, 3) uint8 and its samples -> the figure in this rendering,
        (H, W, 4) float32: colours in linear light times coverage, and coverage.

        The colour of a pixel on the outline is the figure's own, without the wall behind it. But the bloom of
        soft light and a drawing's strokes tell a light wall from a dark one.
        """
        tones = self.tones
        light, covered = linear_light(tones), self.covered(triangle)[..., None]
        inside = covered > 0
        if self.appearance.rendering == "natural":
            return np.concatenate([np.where(inside, light[picture], 0), covered], -1)
        filled = np.where(inside, covered, 1)
        own = np.where(inside, toned(light[picture] / filled, tones), self.plain)
        own = self._changed(
            own,
            1.0 * inside[..., 0],
            lambda: outlines(triangle, inverse, self.label, self.size) / filled[..., 0],
        )
        return np.concatenate([light[own] * covered, covered], -1)

    @cached_property
    def label(self) -> np.ndarray:
        """(F,) `part_labels`, for the renderings with outlines."""
        return part_labels(self.figure, self.body)

    def wall(self) -> np.ndarray:
        """(H, W, 3) uint8, what is behind the figure: the style's wall, or paper."""
        return self._wall

    def _make_wall(self) -> np.ndarray:
        if self.appearance.rendering == "line":
            return np.broadcast_to(PAPER.astype(np.uint8), self.plain.shape).copy()
        return bloomed(self.plain) if self.appearance.rendering == "soft" else self.plain

    def _mottle(self) -> None:
        """Skin is not of one colour: blotches of some millimetres to centimetres, redder where darker."""
        skin = np.unique(self.figure.triangles[self.figure.material == SKIN])
        place = self.figure.attributes[skin, :3].astype(np.float64)
        blotch = sum(
            np.sin(place @ (direction * 2 * np.pi / length) + phase)
            for direction, length, phase in (
                (np.array([0.8, 0.3, 0.5]), 0.021, 0.4), (np.array([-0.5, 0.7, 0.6]), 0.014, 1.9),
                (np.array([0.2, -0.6, 0.8]), 0.033, 2.7), (np.array([0.6, 0.6, -0.5]), 0.009, 0.9),
            )
        )  # fmt: skip
        tone = 1 + np.asarray(blotch)[:, None] * np.array([0.012, 0.024, 0.026])
        self.figure.attributes[skin, COLOUR : COLOUR + 3] *= tone.astype(np.float32)


class Shot(NamedTuple):
    """One training frame: the picture (H, W, 3) uint8 before the wall, mixed in linear light; the figure
    (H, W, 3) uint8 over GREY, mixed as the networks' pictures are, in display values, with nothing of the
    wall; and the control maps (C, H, W) uint8 of the frame's instant, sharp whatever the lens."""

    picture: np.ndarray
    figure: np.ndarray
    maps: np.ndarray


class Studio:
    """Pictures of one appearance at one size in `soft_light`, through one lens, with their control maps."""

    def __init__(self, body: Body, appearance: Appearance, size: int = 512, lens: Lens | None = None) -> None:
        """lens: the product's unless given."""
        self.appearance, self.size, self.lens = appearance, size, lens or Lens()
        camera = self.lens.camera(body, appearance.signer.body, size)
        self.renderer = StudioRenderer(body, appearance, size, camera)
        self.control = ControlFigure.of(self.renderer)
        self.light = SoftLight.of(self.renderer, LAMPS.get(appearance.rendering, LAMP))

    def frames(self, motion: Motion) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Each frame as a picture (H, W, 3) uint8 on the style's background and its maps (C, H, W) uint8."""
        for shot in self.shots(motion):
            yield shot.picture, shot.maps

    def shots(self, motion: Motion, first: int = 0, end: int | None = None) -> Iterator[Shot]:
        """Frames `first` to `end` (excluded) of a motion. An open shutter sees the frames around them too."""
        renderer, seen = self.renderer, self.lens.turned(motion)
        frames = controlled(renderer, self.control, seen[first:end])
        for number, (vertices, samples, maps) in enumerate(frames, first):
            yield Shot(*self._seen(seen, number, vertices, samples), maps)

    def _seen(
        self, motion: Motion, number: int, vertices: np.ndarray, samples: Samples
    ) -> tuple[np.ndarray, np.ndarray]:
        """One frame of a motion, its vertices (N, 3) and samples -> picture and figure as in a `Shot`: the
        mean, in linear light, of what the lens sees while the shutter is open."""
        renderer, tones = self.renderer, self.renderer.tones
        count = 1
        if self.lens.shutter > 0:
            ends = self._posed(motion, number + self.lens.shutter * np.array([-0.5, 0.0, 0.5]))
            path = np.stack([renderer.camera.project(torch.from_numpy(v)).numpy()[:, :2] for v in ends])
            count = instants_needed(path, self.size)
        if count == 1:
            total = self._layer(vertices, samples)
        else:
            total = np.zeros((self.size, self.size, 4), np.float32)
            for bare in self._posed(motion, number + instants(self.lens.shutter, count)):
                points = renderer.camera.project(torch.from_numpy(bare)).numpy()
                total += self._layer(bare, renderer.samples(points))
            total /= count
        colour, share = total[..., :3], total[..., 3:]
        picture = toned(colour + (1 - share) * linear_light(tones)[self._wall], tones)
        picture = np.where(share > 0, picture, self._wall)
        own = toned(colour / np.maximum(share, 1e-6), tones)
        figure = np.clip(own * share + GREY * (1 - share) + 0.5, 0, 255).astype(np.uint8)
        return picture, figure

    def _posed(self, motion: Motion, frames: np.ndarray) -> np.ndarray:
        """(K, N, 3) metres: vertices at fractional frame numbers (K,)."""
        return self.renderer.figure.skin.pose_motion(moved(motion, frames)).vertices.numpy()

    def _layer(self, vertices: np.ndarray, samples: Samples) -> np.ndarray:
        """An instant -> `StudioRenderer.layer` as the aperture blurs it."""
        _, triangle, inverse = samples
        painted = self.light.painted(self._black, vertices, *samples)
        layer = self.renderer.layer(painted, triangle, inverse)
        if self.lens.aperture == 0:
            return layer
        nearest = inverse.reshape(self.size, SAMPLES, self.size, SAMPLES).max((1, 3))
        return defocused(layer, nearest, self.renderer.camera, self.lens.aperture)

    @cached_property
    def _black(self) -> StudioRenderer:
        return self.renderer.before_black()

    @cached_property
    def _wall(self) -> np.ndarray:
        """(H, W, 3) uint8, the wall as the aperture blurs it."""
        wall, tones, camera = self.renderer.wall(), self.renderer.tones, self.renderer.camera
        if self.lens.aperture == 0:
            return wall
        layer = np.ones((*wall.shape[:2], 4), np.float32)
        layer[..., :3] = linear_light(tones)[wall]
        depth = np.full(wall.shape[:2], 1 / wall_depth(camera), np.float32)
        return dithered(defocused(layer, depth, camera, self.lens.aperture)[..., :3], tones)


def softened(style: Style) -> Style:
    """The same place in the light of a large soft box: less key, more fill and sky."""

    def times(light: Light, factor: float) -> Light:
        r, g, b = (c * factor for c in light.colour)
        return Light(light.direction, (r, g, b))

    def lit(colour: tuple[float, float, float]) -> tuple[float, float, float]:
        r, g, b = colour
        return 1.7 * r, 1.7 * g, 1.7 * b

    return replace(
        style,
        key=times(style.key, 0.62),
        fill=times(style.fill, 1.3),
        sky=lit(style.sky),
        ground=lit(style.ground),
    )


def bloomed(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 with a glow around what is light, and lifted shadows."""
    grey = Image.fromarray(picture).convert("L").filter(ImageFilter.GaussianBlur(len(picture) / 42))
    sharp = picture.astype(np.float32)
    screen = 255 - (255 - sharp) * (255 - 0.28 * np.asarray(grey, np.float32)[..., None]) / 255
    return np.clip(12 + screen * 0.93, 0, 255).astype(np.uint8)


def cartoon(picture: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Light in steps, stronger colours, outlines; lines (H, W) in [0, 1]."""
    sharp = picture.astype(np.float32)
    level = sharp.max(2, keepdims=True) + 1
    step = level / 44
    stepped = (np.floor(step) + np.clip((step % 1 - 0.35) / 0.3, 0, 1)) * 44 + 6
    colour = sharp * stepped / level
    grey = colour.mean(2, keepdims=True)
    return np.clip((grey + (colour - grey) * 1.3) * (1 - 0.88 * lines[..., None]), 0, 255).astype(np.uint8)


def drawing(picture: np.ndarray, lines: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Outlines and two washes on paper; lines, covered (H, W) in [0, 1]."""
    light = picture.astype(np.float32).mean(2)
    wide = np.asarray(
        Image.fromarray(picture).convert("L").filter(ImageFilter.GaussianBlur(len(picture) / 150)), np.float32
    )
    strokes = np.clip((wide - light - 7) / 16, 0, 1) * covered  # brows, lips, eyes, folds
    wash = np.clip((150 - light) / 26, 0, 1) * 0.14 + np.clip((72 - light) / 22, 0, 1) * 0.3
    tint = picture.astype(np.float32) * 0.22 + PAPER * 0.78
    body = tint * (1 - wash[..., None])
    page = PAPER + (body - PAPER) * covered[..., None]
    ink = np.clip(np.maximum(lines, 0.85 * strokes), 0, 1)[..., None]
    return np.clip(page + (np.array([38, 36, 44], np.float32) - page) * ink, 0, 255).astype(np.uint8)


SHOULDERS = 20  # the group of the right upper arm; the left one's is the next


def _groups() -> np.ndarray:
    """(len(PARTS),) from 1 on: which parts grow out of one another."""
    names = {"trunk": 1, "head": 1, "neck": 1, "clothes": 2, "sleeve": 2, "hair": 3, "eye": 4, "teeth": 5,
             "tongue": 6}  # fmt: skip
    fingers = [name for name in PARTS if name.startswith("finger")]
    names |= {name: 10 + k for k, name in enumerate(fingers)}
    names |= {"upperarm.R": SHOULDERS, "upperarm.L": SHOULDERS + 1}
    arms = {"R": 7, "L": 8}
    return np.array([names[n] if n in names else arms[n[-1]] for n in PARTS])


_GROUP = _groups()


def outlines(triangle: np.ndarray, inverse: np.ndarray, label: np.ndarray, size: int) -> np.ndarray:
    """Samples (2H, 2W) -> (H, W) float32 in [0, 1]: where parts meet, where depth jumps by over 15 mm, and
    inside the figure's rim."""
    lines = np.empty((size, size), np.float32)
    # lines of about 1/300 of the side
    _outline_into(triangle, inverse, _GROUP[label].astype(np.int64), 1 if size >= 384 else 0, lines)
    return lines


@kernel
def _outline_into(triangle, inverse, group, reach, lines):  # type: ignore[no-untyped-def]
    """group (F,): triangles of one group meet without a line; a finger (10 to 19) and its palm (7, 8) too."""
    height, width = triangle.shape
    edge = np.zeros((height, width), np.uint8)
    for row in range(height):
        for column in range(width):
            f = triangle[row, column]
            here = group[f] if f >= 0 else 0
            depth = 1 / inverse[row, column] if f >= 0 else 100.0
            for step in range(2):
                y, x = row + step, column + 1 - step
                if y >= height or x >= width:
                    continue
                g = triangle[y, x]
                there = group[g] if g >= 0 else 0
                gap = (1 / inverse[y, x] if g >= 0 else 100.0) - depth
                low, high = min(here, there), max(here, there)
                if high >= SHOULDERS:  # an upper arm grows out of the trunk, and its forearm out of it
                    own = low == 1 or low == high - SHOULDERS + 7
                else:
                    own = high >= 10 and low == (7 if high < 15 else 8)
                if (here != there and not own) or abs(gap) > 0.015:
                    edge[row, column] = 1
    for row in range(height // 2):
        for column in range(width // 2):
            inked = 0
            for s in range(4):
                y, x = 2 * row + s // 2, 2 * column + s % 2
                if triangle[y, x] < 0:  # the wall is never drawn
                    continue
                found = 0
                for v in range(max(y - reach, 0), min(y + reach + 1, height)):
                    for u in range(max(x - reach, 0), min(x + reach + 1, width)):
                        found |= edge[v, u]
                inked += found
            lines[row, column] = inked / 4
