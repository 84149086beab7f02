"""The mesh look: a clothed synthetic person, painted frame by frame on the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.pose2vid.camera import Camera
from stable_signer.pose2vid.figure import build_figure
from stable_signer.pose2vid.raster import visible
from stable_signer.pose2vid.shading import shade, vertex_normals_into
from stable_signer.pose2vid.signers import SignerCard, Style, linear

CHUNK = 8  # frames posed at once
SAMPLES = 2  # samples a pixel, in each direction


class MeshRenderer:
    """Paints motions of one signer in one style.

    `camera` is the camera of the pictures: project joints with it to overlay them. The same motion gives the same
    pictures, bit for bit, on the same machine.
    """

    def __init__(self, body: Body, signer: SignerCard, style: Style, size: int = 512) -> None:
        self.body, self.signer, self.style, self.size = body, signer, style, size
        self.camera = Camera.of(body, signer.body, size)
        self.figure = build_figure(body, signer)
        self.background = backdrop(style, size)
        lights = [(light.direction, light.colour) for light in (style.key, style.fill, style.rim)]
        self.lights = np.array([[*np.array(d) / np.linalg.norm(d), *c] for d, c in lights], dtype=np.float32)

    def frames(self, motion: Motion) -> Iterator[np.ndarray]:
        """Yields uint8 (size, size, 3) sRGB pictures, one for each frame of the motion, in constant memory."""
        for start in range(0, len(motion), CHUNK):
            posed = self.figure.skin.pose_motion(motion[start : start + CHUNK])
            for vertices in posed.vertices:
                points = self.camera.project(vertices).numpy()
                yield self._paint(vertices.numpy(), points)

    def _paint(self, vertices: np.ndarray, points: np.ndarray) -> np.ndarray:
        figure = self.figure
        fine = points * np.array([SAMPLES, SAMPLES, 1], dtype=np.float32)
        triangle = np.empty((self.size * SAMPLES, self.size * SAMPLES), np.int32)
        inverse = np.empty(triangle.shape, np.float32)
        visible(fine, figure.triangles, figure.cull, triangle, inverse)
        normals = np.empty_like(vertices)
        vertex_normals_into(vertices, figure.triangles, normals)
        picture = np.empty((self.size, self.size, 3), np.float32)
        shade(triangle, points, figure.triangles, normals, figure.colour, self.lights, self.background, picture)
        return (np.clip(picture, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)


def backdrop(style: Style, size: int) -> np.ndarray:
    """(size, size, 3) float32 linear RGB: the style's background, from the middle to the corners."""
    centre, corner = (np.array(linear(c), dtype=np.float32) for c in style.background)
    line = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    distance = np.sqrt(line[:, None] ** 2 + line[None, :] ** 2)[..., None] / np.float32(np.sqrt(2))
    share = distance * distance * (3 - 2 * distance)
    return np.ascontiguousarray(centre * (1 - share) + corner * share, dtype=np.float32)
