"""How the studio's camera sees: where it stands, what it has in focus, how long its shutter is open.

The product's own camera is the default: straight before the signer, everything sharp, an instant. The others
are for those who train on pictures as cameras make them (footage has motion blur), see docs/pose2vid.md.

A camera that goes around the signer with its lamps sees what the camera before them sees of a signer who
turns the other way: that is how it is done, so the picture's geometry stays that of `camera.py`.

Depth of field is that of a thin lens (Potmesil and Chakravarty, "A lens and aperture camera model for
synthetic image generation", SIGGRAPH 1981). A pupil of diameter A metres, focused on the plane F metres away,
gathers from a point z metres away a cone of rays. By similar triangles it cuts the plane in focus in a disc
of A |F - z| / z metres, and a metre there is f / F pixels wide, f the distance from lens to picture in pixels
(`Camera.focal`). So the circle of confusion is, in pixels across,

    c = A |F - z| / z * f / F = A f |1 / z - 1 / F|

Light adds where it falls, so blur is a mean in linear light, of colours times coverage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from stable_signer.body import rotation
from stable_signer.body.kernels import kernel
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.camera import BELOW_HIPS, DISTANCE, SIDE, Camera

TURN, NEAR, FAR, RISE = math.radians(30), 1.3, 0.8, 0.1  # how far `Lenses` goes, with cameras = 1
TALLEST = 0.91  # metres from hips to crown: a little more than the tallest signer has
WALL_BEHIND = 1.0  # metres from the hips back to the wall
BOUND = 1 / 40  # of the picture's side: no point is blurred to a disc of a larger radius
STEPS = 16  # radii are rounded to this share of a pixel, so that each disc sums to one exactly
TILE = 16  # pixels: how far a pixel must look is found for tiles of this side
APART = 3 / 512  # of the side: how far the fastest point goes from one instant of the shutter to the next
INSTANTS = 24  # at most, while the shutter is open


@dataclass(frozen=True)
class Lens:
    """A camera, as it differs from the product's; the defaults are the product's.

    turn: radians about the vertical through the signer's hips; positive: the camera goes to the signer's left
    (+x), sees more of the left side, and a nose that pointed at it points to the picture's left. zoom: above
    1 the camera stands nearer, so that things at the signing plane are that much larger, the picture's middle
    kept. rise: metres that the camera, and with it the picture's middle, is raised. aperture: diameter of the
    pupil in metres, 0 for a pinhole, by which all is sharp; the signing plane is in focus. shutter: share of
    a frame's time that it is open, around the frame's instant; 0 for an instant.

    Raises StableSignerError for a value out of range.
    """

    turn: float = 0.0
    zoom: float = 1.0
    rise: float = 0.0
    aperture: float = 0.0
    shutter: float = 0.0

    def __post_init__(self) -> None:
        for name, right, rule in (
            ("turn", True, "a finite number of radians"),
            ("zoom", self.zoom > 0, "a finite number above 0"),
            ("rise", True, "a finite number of metres"),
            ("aperture", self.aperture >= 0, "a finite number of metres, at least 0"),
            ("shutter", 0 <= self.shutter <= 1, "between 0 and 1"),
        ):
            value = getattr(self, name)
            if not (right and math.isfinite(value)):
                raise StableSignerError(f"a lens's {name} must be {rule}, not {value!r}")

    @property
    def blurs(self) -> bool:
        """Whether anything can be blurred."""
        return self.aperture > 0 or self.shutter > 0

    def camera(self, body: Body, signer_id: str, size: int) -> Camera:
        """The camera for this signer, before whom the motion is `turned`."""
        plain = Camera.of(body, signer_id, size)
        height = plain.height / self.zoom
        middle = (SIDE / 2 - BELOW_HIPS) * (plain.height - height)
        return Camera(size, plain.hips + middle + self.rise, height)

    def turned(self, motion: Motion) -> Motion:
        """The motion as it looks from where this camera stands."""
        if self.turn == 0:
            return motion
        cosine, sine = math.cos(-self.turn), math.sin(-self.turn)
        about = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float32)
        rotations = motion.rotations.copy()
        columns = rotations[:, 0].reshape(-1, 2, 3)  # the first two of the hips' rotation matrix
        rotations[:, 0] = (columns @ about.T).reshape(-1, 6)
        return replace(motion, rotations=rotations, root=motion.root @ about.T)


@dataclass(frozen=True)
class Lenses:
    """Among which lenses one is drawn: cameras from 0 (the product's) to 1 (turned by up to TURN, zoom from
    FAR to NEAR, raised or lowered by up to RISE, but never below the crown of the head), aperture and shutter
    from 0 to these.

    Raises StableSignerError for a value out of range.
    """

    cameras: float = 0.0
    aperture: float = 0.0
    shutter: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("cameras", 1.0), ("aperture", math.inf), ("shutter", 1.0)):
            value = getattr(self, name)
            if not (0 <= value <= most and math.isfinite(value)):
                rule = "a finite number, at least 0" if most == math.inf else f"between 0 and {most:g}"
                raise StableSignerError(f"{name} must be {rule}, not {value!r}")

    def draw(self, rng: np.random.Generator) -> Lens:
        """One of them, each of its numbers uniformly."""
        turn, zoom, rise, aperture, shutter = rng.random(5).tolist()
        zoom = 1 + self.cameras * (FAR + (NEAR - FAR) * zoom - 1)
        crown = TALLEST * (1 - (SIDE / 2 - BELOW_HIPS) - SIDE / 2 / zoom)  # over the picture's upper edge
        lowest, highest = max(-self.cameras * RISE, crown), self.cameras * RISE
        return Lens(
            turn=self.cameras * TURN * (2 * turn - 1),
            zoom=zoom,
            rise=lowest + (highest - lowest) * rise,
            aperture=self.aperture * aperture,
            shutter=self.shutter * shutter,
        )


def instants(shutter: float, count: int) -> np.ndarray:
    """(count,) in frames from the frame's own instant: the middles of equal parts of the open shutter."""
    return shutter * ((np.arange(count) + 0.5) / count - 0.5)


def moved(motion: Motion, frames: np.ndarray) -> Motion:
    """A motion read at fractional frame numbers (N,): turns by slerp, face and root linearly. Before its
    first and after its last frame it stands still."""
    six = rotation.quaternion_to_six(rotation.resample(motion.quaternions, frames)).astype(np.float32)
    face, root = (rotation.between_rows(rows, frames) for rows in (motion.face, motion.root))
    return Motion(six, face.astype(np.float32), root.astype(np.float32), motion.fps)


def instants_needed(path: np.ndarray, size: int) -> int:
    """How many instants show a movement without gaps: path (3, N, 2), where points are in the picture when
    the shutter opens, at the frame's instant and when it closes. 1 when nothing moves by APART."""
    longest = float(np.linalg.norm(np.diff(path, axis=0), axis=-1).sum(0).max())
    return min(max(math.ceil(longest / (APART * size)), 1), INSTANTS)


def wall_depth(camera: Camera) -> float:
    """Metres from the camera to the wall."""
    return DISTANCE * camera.height + WALL_BEHIND


def radii(inverse: np.ndarray, camera: Camera, aperture: float) -> np.ndarray:
    """Inverse depths (H, W) 1/m -> (H, W) int32: the radius of each pixel's circle of confusion, in 1 / STEPS
    of a pixel, at most BOUND of the side."""
    across = aperture * camera.focal * np.abs(inverse - 1 / camera.signing_depth)
    return np.rint(STEPS * np.minimum(across / 2, BOUND * camera.size)).astype(np.int32)


def defocused(layer: np.ndarray, inverse: np.ndarray, camera: Camera, aperture: float) -> np.ndarray:
    """A layer as the lens sees it.

    layer: (H, W, 4) float32, colours in linear light times coverage, and coverage. inverse: (H, W) float32,
    inverse depth in 1/m, 0 where the layer covers nothing. Returns (H, W, 4) float32 likewise. The same
    layer gives the same, bit for bit. Outside the picture its edge goes on.
    """
    radius = radii(inverse, camera, aperture)
    radius[inverse <= 0] = 0
    if radius.max(initial=0) <= STEPS // 2:  # discs within their pixel
        return layer
    largest = int(radius.max())
    reach = int(np.ceil(largest / STEPS + 0.5))
    line = np.arange(-reach, reach + 1)
    away = np.hypot(line[:, None], line[None]).astype(np.float32)
    area = np.array([disc(away, k).sum(dtype=np.float64) for k in range(largest + 1)], np.float32)
    out = np.empty_like(layer)
    _defocus_into(layer, inverse, radius, 1 / area, away, out)
    return out


def disc(away: np.ndarray, radius: int) -> np.ndarray:
    """How much of the pixels at these distances a disc fills; radius in 1 / STEPS of a pixel."""
    return np.clip(np.float32(radius / STEPS + 0.5) - away, 0, 1)


@kernel
def _defocus_into(layer, inverse, radius, over, away, out):  # type: ignore[no-untyped-def]
    """`defocused`: over (K,): one over the sum of the disc of each radius; away (2R + 1, 2R + 1): distances.

    What reaches a pixel from another is spread by the nearer of the two: light of something nearer by that
    one's own disc, laid over the rest; of something as near or farther by the pixel's own disc, as a share of
    all that lies in it and is not nearer. So what is blurred behind does not spread over what is sharp before
    it, and what is blurred before lies over what is sharp behind.
    """
    height, width = inverse.shape
    middle = away.shape[0] // 2
    rows, columns = (height + TILE - 1) // TILE, (width + TILE - 1) // TILE
    widest = np.zeros((rows, columns), np.int32)
    for row in range(height):
        for column in range(width):
            ty, tx = row // TILE, column // TILE
            widest[ty, tx] = max(widest[ty, tx], radius[row, column])
    tiles = (middle + TILE - 1) // TILE  # how many tiles away a disc can begin
    near, own = np.empty(4, np.float32), np.empty(4, np.float32)
    for row in range(height):
        for column in range(width):
            most = 0
            ty, tx = row // TILE, column // TILE
            for v in range(max(ty - tiles, 0), min(ty + tiles + 1, rows)):
                for u in range(max(tx - tiles, 0), min(tx + tiles + 1, columns)):
                    most = max(most, widest[v, u])
            if most <= STEPS // 2:
                for c in range(4):
                    out[row, column, c] = layer[row, column, c]
                continue
            reach = min(int(np.ceil(most / STEPS + 0.5)), middle)
            here, r = inverse[row, column], radius[row, column]
            mine, mine_over = np.float32(r / STEPS + 0.5), over[r]
            near[:] = 0
            own[:] = 0
            whole = np.float32(0)  # of the pixel's own disc, what is not hidden by something nearer
            for dy in range(-reach, reach + 1):
                y = min(max(row + dy, 0), height - 1)
                for dx in range(-reach, reach + 1):
                    x = min(max(column + dx, 0), width - 1)
                    there = inverse[y, x]
                    if there > here:
                        k = radius[y, x]
                        fill = np.float32(k / STEPS + 0.5) - away[middle + dy, middle + dx]
                        if fill > 0:
                            share = min(fill, np.float32(1)) * over[k]
                            for c in range(4):
                                near[c] += share * layer[y, x, c]
                            if here > 0:  # the bare part of that pixel is the wall, behind us both
                                fill = mine - away[middle + dy, middle + dx]
                                if fill > 0:
                                    bare = 1 - layer[y, x, 3]
                                    whole += min(fill, np.float32(1)) * mine_over * bare
                    elif here > 0:
                        fill = mine - away[middle + dy, middle + dx]
                        if fill > 0:
                            share = min(fill, np.float32(1)) * mine_over
                            whole += share
                            for c in range(4):
                                own[c] += share * layer[y, x, c]
            before = near[3]
            scale = np.float32(1) / before if before > 1 else np.float32(1)
            left = (np.float32(1) - min(before, np.float32(1))) / whole if whole > 0 else np.float32(0)
            for c in range(4):
                out[row, column, c] = near[c] * scale + own[c] * left
