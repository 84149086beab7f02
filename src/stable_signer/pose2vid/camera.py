"""The camera: one framing for every signer and every look, so that pictures, maps and `.pose` files overlay.

World frame as everywhere: metres, z up, the signer faces -y. Picture frame: x to the right, y down, pixels,
the centre of the first pixel at (0.5, 0.5). A signer who looks at the camera has the right hand on the
picture's left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError

# Measured in units of the signer's own height from hips to the top of the head (about 0.85 m), so that a tall
# and a short signer fill the same part of the picture and reach equally far within it.
SIDE = 1.22  # the picture's side: 0.5 m to both sides of the midline, where 97% of the lexicon's signs stay
BELOW_HIPS = 0.14  # the picture begins below the hips, so that resting hands stay in it
DISTANCE = 3.9  # mild perspective: a hand held out to the camera grows by an eighth
SIGNING_PLANE = 0.16  # how far before the hips the side is measured: there the hands move


@dataclass(frozen=True)
class Camera:
    """A pinhole camera straight before the signer.

    size: side of the square picture in pixels. hips: z of the signer's root at rest, metres. height: from
    there to the top of the head, metres.
    """

    size: int
    hips: float = 0.11
    height: float = 0.82

    def __post_init__(self) -> None:
        if self.size < 1 or not self.height > 0:
            raise StableSignerError(
                f"a camera of {self.size} pixels and {self.height} m cannot see: use positive numbers"
            )

    @staticmethod
    def of(body: Body, signer_id: str, size: int) -> Camera:
        """The camera that frames this signer. Raises StableSignerError for an unknown one."""
        rest = body.signer(signer_id)
        hips = float(rest.heads[0, 2])
        return Camera(size, hips, float(rest.vertices[:, 2].max()) - hips)

    @property
    def position(self) -> np.ndarray:
        """(3,) metres, where the camera stands."""
        middle = self.hips + (SIDE / 2 - BELOW_HIPS) * self.height
        return np.array([0.0, -DISTANCE * self.height, middle])

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return (DISTANCE - SIGNING_PLANE) / SIDE * self.size

    @property
    def signing_depth(self) -> float:
        """Metres from the camera to the plane in which the hands move."""
        return (DISTANCE - SIGNING_PLANE) * self.height

    def project(self, points: Tensor) -> Tensor:
        """points (..., 3) metres in the world -> (..., 3): x, y in pixels, depth in metres along the view."""
        x, y, z = points.unbind(-1)
        _, cy, cz = (float(c) for c in self.position)
        depth = y - cy
        scale = self.focal / depth.clamp(min=1e-3)
        half = self.size / 2
        return torch.stack([half + x * scale, half - (z - cz) * scale, depth], -1)
