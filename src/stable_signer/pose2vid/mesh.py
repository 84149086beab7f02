"""The mesh look: a clothed synthetic person, painted frame by frame on the CPU."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.pose2vid.camera import Camera
from stable_signer.pose2vid.face_paint import LEFT, TEXELS, TOP, face_paint
from stable_signer.pose2vid.figure import build_figure
from stable_signer.pose2vid.hair import AXIS
from stable_signer.pose2vid.raster import visible
from stable_signer.pose2vid.shading import Scene, mean_depth, shade, tone_curve, vertex_normals_into
from stable_signer.pose2vid.signers import SignerCard, Style, linear

CHUNK = 8  # frames posed at once
SAMPLES = 2  # samples a pixel, in each direction
SHADOW_TEXELS = 256  # side of the shadow map; coarse, for a soft edge of about 2 cm
LIGHT_DISTANCE = 10.0  # metres; far enough that the key light's rays are nearly parallel
IRIS_RADIUS = 0.0071  # metres; the body's eyeballs are a quarter larger than ours
Result = TypeVar("Result")


class Painters:
    """How many frames this process paints at once; the kernels let go of Python's lock. 1: in the caller's
    own thread, for a process that is one of many and must keep to its core."""

    count = max(2, min(os.cpu_count() or 2, 8))


def ahead(work: Iterable[Callable[[], Result]]) -> Iterator[Result]:
    """The results of `work` in its order, made by the Painters ahead of who takes them."""
    painters = Painters.count
    if painters == 1:
        for make in work:
            yield make()
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(painters) as pool:
        try:
            for make in work:
                waiting.append(pool.submit(make))
                if len(waiting) > painters:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class Surface(NamedTuple):
    """A frame before it is lit: normals (N, 3), mean depths (H, W) and (H / 4, W / 4), see `mean_depth`."""

    normals: np.ndarray
    narrow: np.ndarray
    wide: np.ndarray


class MeshRenderer:
    """Paints motions of one signer in one style.

    `camera` is the camera of the pictures: project joints with it to overlay them. The same motion gives the
    same pictures, bit for bit, on the same machine.
    """

    def __init__(
        self, body: Body, signer: SignerCard, style: Style, size: int = 512, camera: Camera | None = None
    ) -> None:
        """camera: of that size; the product's unless given."""
        self.body, self.signer, self.style, self.size = body, signer, style, size
        self.camera = camera or Camera.of(body, signer.body, size)
        self.figure = build_figure(body, signer)
        self.paint = face_paint(body, signer)
        self.background = backdrop(style, size)
        self.tones = tone_curve()
        self.plain = dithered(self.background, self.tones)
        self.scene = make_scene(body, signer, style, self.camera)

    def frames(self, motion: Motion) -> Iterator[np.ndarray]:
        """Yields uint8 (size, size, 3) sRGB pictures, one for each frame, in constant memory."""

        def work() -> Iterator[Callable[[], np.ndarray]]:
            for start in range(0, len(motion), CHUNK):
                posed = self.figure.skin.pose_motion(motion[start : start + CHUNK])
                for vertices in posed.vertices:
                    points = self.camera.project(vertices).numpy()
                    yield partial(self.picture, vertices.numpy(), points)

        return ahead(work())

    def picture(self, vertices: np.ndarray, points: np.ndarray) -> np.ndarray:
        """One frame: the figure's vertices (N, 3) in metres and projected (N, 3) -> (H, W, 3) uint8."""
        return self.painted(vertices, *self.samples(points))

    def samples(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Projected vertices (N, 3) -> the same in sample coordinates, and what `visible` finds at 2 x 2
        samples a pixel: triangle (2H, 2W) int32, inverse depth (2H, 2W) float32."""
        fine = np.ascontiguousarray(points * np.array([SAMPLES, SAMPLES, 1], dtype=np.float32))
        triangle = np.empty((self.size * SAMPLES, self.size * SAMPLES), np.int32)
        inverse = np.empty(triangle.shape, np.float32)
        visible(fine, self.figure.triangles, self.figure.cull, triangle, inverse)
        return fine, triangle, inverse

    def painted(
        self, vertices: np.ndarray, fine: np.ndarray, triangle: np.ndarray, inverse: np.ndarray
    ) -> np.ndarray:
        """Vertices (N, 3) and their `samples` -> (H, W, 3) uint8."""
        return self.lit(self.scene, vertices, self.surface(vertices, inverse), fine, triangle, inverse)

    def surface(self, vertices: np.ndarray, inverse: np.ndarray) -> Surface:
        """What shading needs of a frame, whatever the light."""
        normals = np.empty_like(vertices)
        vertex_normals_into(vertices, self.figure.triangles, normals)
        # the narrow mean reaches 7 mm, the wide one 5 cm, at any size of the picture
        narrow = mean_depth(inverse, SAMPLES, max(round(self.size / 340), 1), 0.12)
        wide = mean_depth(inverse, SAMPLES * 4, max(round(self.size / 128), 1), 0.25)
        return Surface(normals, narrow, wide)

    def shadow(self, scene: Scene, vertices: np.ndarray) -> np.ndarray:
        """Inverse depths (SHADOW_TEXELS, SHADOW_TEXELS) float32 as a scene's key light sees the figure."""
        axes = np.array([scene.across, scene.upward, scene.key[:3]], np.float32)
        from_light = np.stack(
            [
                vertices @ axes[0] * scene.shadow_map[0] + scene.shadow_map[1],
                vertices @ -axes[1] * scene.shadow_map[0] + scene.shadow_map[2],
                scene.shadow_map[3] - vertices @ axes[2],
            ],
            1,
        ).astype(np.float32)
        shadow = np.empty((SHADOW_TEXELS, SHADOW_TEXELS), np.float32)
        figure = self.figure
        visible(from_light, figure.triangles, figure.cull, np.empty(shadow.shape, np.int32), shadow)
        return shadow

    def lit(
        self,
        scene: Scene,
        vertices: np.ndarray,
        surface: Surface,
        fine: np.ndarray,
        triangle: np.ndarray,
        inverse: np.ndarray,
    ) -> np.ndarray:
        """A frame's `surface` and `samples` in the light of a scene -> (H, W, 3) uint8."""
        figure = self.figure
        picture = np.empty((self.size, self.size, 3), np.uint8)
        shade(
            triangle,
            inverse,
            fine,
            vertices,
            figure.triangles,
            figure.material,
            surface.normals,
            figure.attributes,
            self.paint,
            scene,
            self.shadow(scene, vertices),
            surface.narrow,
            surface.wide,
            self.background,
            self.plain,
            self.tones,
            picture,
        )
        return picture


def make_scene(body: Body, signer: SignerCard, style: Style, camera: Camera) -> Scene:
    """Lights, shadow map and the places on the canonical face, for the kernels."""

    def light(direction: tuple[float, float, float], colour: tuple[float, float, float]) -> np.ndarray:
        unit = np.array(direction) / np.linalg.norm(direction)
        return np.array([*unit, *colour], dtype=np.float32)

    key = light(style.key.direction, style.key.colour)
    across = np.cross([0.0, 0.0, 1.0], key[:3])
    across /= np.linalg.norm(across)
    upward = np.cross(key[:3], across)
    middle = np.array([0.0, -0.1, camera.position[2]])
    reach = 0.8 * camera.height  # half the side of the shadow map: the picture and a little more
    scale = SHADOW_TEXELS / (2 * reach)
    canon, base = body.arrays["vertices"][0], body.arrays["base_index"]
    eye = canon[(base >= 14598) & (base < 14670)].mean(0)
    values: dict[str, object] = {
        "camera": camera.position,
        "key": key,
        "fill": light(style.fill.direction, style.fill.colour),
        "rim": light(style.rim.direction, style.rim.colour),
        "sky": style.sky,
        "ground": style.ground,
        "contact": [0.0008, 0.005, 0.012, 1 / 0.10, 0.58, 0.45],
        "face_map": [LEFT, TOP, TEXELS],
        "eye": eye,
        "iris": [*linear(signer.eyes), IRIS_RADIUS],
        "across": across,
        "upward": upward,
        "shadow_map": [
            scale,
            SHADOW_TEXELS / 2 - middle @ across * scale,
            SHADOW_TEXELS / 2 + middle @ upward * scale,
            LIGHT_DISTANCE,
        ],
        "strands": np.array([0.0, 0.35, -1.0]) / np.linalg.norm([0.35, 1.0]),
        "head": [*AXIS, 0.0, 14.0],
    }
    return Scene(**{name: tuple(np.asarray(value, float).tolist()) for name, value in values.items()})


def backdrop(style: Style, size: int) -> np.ndarray:
    """(size, size, 3) float32 linear RGB: the style's background, from the middle to the corners."""
    centre, corner = (np.array(linear(c), dtype=np.float32) for c in style.background)
    line = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    distance = np.sqrt(line[:, None] ** 2 + line[None, :] ** 2)[..., None] / np.float32(np.sqrt(2))
    share = distance * distance * (3 - 2 * distance)
    return np.ascontiguousarray(centre * (1 - share) + corner * share, dtype=np.float32)


def dithered(picture: np.ndarray, tones: np.ndarray) -> np.ndarray:
    """Linear (H, W, 3) -> uint8 through the tone curve, with a fixed noise of one step against bands."""
    exact = np.interp(picture, np.arange(len(tones)) / len(tones) * 2, tones.astype(np.float64))
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, picture.shape[:2])[..., None]
    return np.clip(np.rint(exact + noise), 0, 255).astype(np.uint8)
