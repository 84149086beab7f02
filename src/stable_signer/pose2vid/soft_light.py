"""Soft shadows and ambient occlusion for the studio's pictures: slow, for training only.

The mesh look knows one point of key light and guesses the rest from depths. Here the key light is a lamp with
an area, seen as several points on it, each with its own shadow map; and how much of the sky a place sees is
looked up in the shadow maps of lights all over it. Nothing is random: the same frame gives the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stable_signer.body.kernels import kernel
from stable_signer.pose2vid.mesh import SAMPLES, MeshRenderer, make_scene
from stable_signer.pose2vid.shading import Scene, corner_weights, light_from, three, toned
from stable_signer.pose2vid.signers import Light

POINTS = 5  # on the lamp
SKY = 14  # lights over the figure
GOLDEN = np.pi * (3 - np.sqrt(5))  # the turn from one point of a spiral to the next, radians
OCCLUSION = 0.6  # of the light that a place loses that sees no sky; the rest bounces
BIAS = 0.02  # metres: what lies nearer than this does not shade


@dataclass(frozen=True)
class SoftLight:
    """The points of a renderer's key lamp, and the lights of its sky."""

    lamp: tuple[Scene, ...]
    sky: tuple[Scene, ...]

    @staticmethod
    def of(renderer: MeshRenderer, radius: float) -> SoftLight:
        """radius: of the lamp, as the sine of the angle under which the figure sees it. The points lie on
        spirals: over the lamp's disc, and over the half-sphere above and before the figure."""

        def scene(direction: np.ndarray) -> Scene:
            x, y, z = direction.tolist()
            style = replace(renderer.style, key=Light((x, y, z), renderer.style.key.colour))
            return make_scene(renderer.body, renderer.signer, style, renderer.camera)

        key, across, upward = (
            np.array(a) for a in (renderer.scene.key[:3], renderer.scene.across, renderer.scene.upward)
        )
        lamp = []
        for k in range(POINTS):
            out, turn = radius * np.sqrt((k + 0.5) / POINTS), k * GOLDEN
            lamp.append(scene(key + out * (np.cos(turn) * across + np.sin(turn) * upward)))
        pole, side = np.array([0.0, -0.6, 0.8]), np.array([1.0, 0.0, 0.0])  # the camera looks along +y
        sky = []
        for k in range(SKY):
            height, turn = 1 - (k + 0.5) / SKY, k * GOLDEN
            ring = np.cos(turn) * side + np.sin(turn) * np.cross(pole, side)
            sky.append(scene(height * pole + np.sqrt(1 - height * height) * ring))
        return SoftLight(tuple(lamp), tuple(sky))

    def painted(
        self,
        renderer: MeshRenderer,
        vertices: np.ndarray,
        fine: np.ndarray,
        triangle: np.ndarray,
        inverse: np.ndarray,
    ) -> np.ndarray:
        """`MeshRenderer.painted` in this light -> (H, W, 3) uint8."""
        surface, tones = renderer.surface(vertices, inverse), renderer.tones
        linear = np.searchsorted(tones, np.arange(256), "left").astype(np.float32) * 2 / len(tones)
        total = np.zeros((renderer.size, renderer.size, 3), np.float32)
        for scene in self.lamp:
            total += linear[renderer.lit(scene, vertices, surface, fine, triangle, inverse)]
        dark = np.empty((renderer.size, renderer.size), np.float32)
        shadows = np.stack([renderer.shadow(scene, vertices) for scene in self.sky])
        unseen_sky_into(
            triangle, fine, vertices, renderer.figure.triangles, surface.normals, self.sky, shadows, dark
        )
        light = total / len(self.lamp) * (1 - OCCLUSION * dark)[..., None]
        picture = toned(light, tones)
        samples = triangle.reshape(renderer.size, SAMPLES, renderer.size, SAMPLES)
        return np.where(samples.max((1, 3))[..., None] >= 0, picture, renderer.plain)


@kernel
def unseen_sky_into(  # type: ignore[no-untyped-def]
    triangle, points, world, triangles, normals, sky, shadows, out
):
    """Which share of the sky a pixel does not see -> out (H, W), 0 where nobody is, times its coverage.

    triangle (2H, 2W) and points (N, 3) as in `shading.shade`; sky: S scenes, of which the key lights count;
    shadows (S, T, T): inverse depths seen from them. A light counts by its cosine, so that a wall is not dark
    because the sky behind it is hidden.
    """
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] = 0
            covered, first, y, x = 0, -1, 0.0, 0.0
            for s in range(4):
                f = triangle[2 * row + s // 2, 2 * column + s % 2]
                if f >= 0:
                    covered += 1
                    if first < 0:
                        first, y, x = f, 2 * row + s // 2 + 0.5, 2 * column + s % 2 + 0.5
            if covered == 0:
                continue
            corners = (triangles[first, 0], triangles[first, 1], triangles[first, 2])
            back, weights = corner_weights(points, corners, x, y)
            turned = -1.0 if back else 1.0
            place, normal = three(world, corners, weights, 0), three(normals, corners, weights, 0)
            total = hidden = 0.0
            for s in range(len(sky)):
                light = sky[s].key
                cosine = turned * (normal[0] * light[0] + normal[1] * light[1] + normal[2] * light[2])
                if cosine <= 0:
                    continue
                seen = light_from(place, shadows[s], sky[s], BIAS + 0.02 * (1 - cosine))
                total += cosine
                hidden += cosine * (1 - seen)
            if total > 0:
                out[row, column] = covered / 4 * hidden / total
