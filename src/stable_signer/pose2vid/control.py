"""Control maps: what Pose2Vid is told of the body, exactly, before it draws a pixel.

CHANNELS maps (C, H, W) uint8 for each frame, made from the same samples as the mesh look:

    0       coverage     how much of the pixel the figure fills
    1       depth        128 at the signing plane, one step 4 mm, larger is nearer
    2 - 4   normal       x to the right, y down, z to the camera; 128 is zero, 127 steps are one
    5 - 7   place        where on the body: the canonical place of the surface (x, y, z), see `figure.py`
    8 - 10  part         the code of the part, `PART_CODES`: every finger has its own
    11 - 13 albedo       the surface's own colour, unlit, as the square root of linear light (skin, face
                         paint, eyes, cloth, hair with its strands)
    14, 15  hands        heat of the 21 points of the right and of the left hand
    16      face         heat of the face points

Coverage is antialiased over 2 x 2 samples; the others are means over the samples of a pixel that hit the
figure, so that they do not fade at its outline. What no sample hits is 0 in every channel but the heats.

Two implementations of one definition: `maps_into`, a numba kernel for one frame on the CPU, and
`control_maps` in torch, batched, on any device. A test holds them equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from stable_signer.body.kernels import kernel
from stable_signer.body.keypoints import RigidPoints
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.body.skinning import Posed
from stable_signer.pose2vid.camera import Camera
from stable_signer.pose2vid.figure import Figure
from stable_signer.pose2vid.mesh import CHUNK, MeshRenderer, ahead
from stable_signer.pose2vid.raster import edge, rasterise
from stable_signer.pose2vid.shading import (
    ATTRIBUTES,
    CANON,
    CLOTH,
    COLOUR,
    DARKEST_STRAND,
    EYE,
    GLOSS,
    HAIR,
    PAINTED,
    SKIN,
    STRANDS_APART,
    TEETH,
    TONGUE,
    Scene,
    corner_weights,
    eye_colour,
    one,
    painted_skin,
    strand_of,
    strand_tone,
    three,
    vertex_normals_into,
)

Made = TypeVar("Made")
CHANNELS = 17
COVERAGE, DEPTH, NORMAL, PLACE, PART, ALBEDO, RIGHT_HAND, LEFT_HAND, FACE = 0, 1, 2, 5, 8, 11, 14, 15, 16
DEPTH_STEP = 0.004  # metres
HEAT_WIDTH = 1 / 160  # standard deviation of a point's heat, in picture sides
PLACE_LOW = np.array([-0.75, -0.25, -0.10], np.float32)  # metres; the canonical figure lies between these
PLACE_HIGH = np.array([0.75, 0.20, 1.00], np.float32)
# Columns of what the kernel reads of a vertex: its place in the picture, its normal, its attributes.
NORMAL_IN_ROW, ATTRIBUTES_IN_ROW, ROW = 3, 6, 6 + ATTRIBUTES

_LIMBS = {
    "palm": ("wrist", "metacarpal"),
    "forearm": ("lowerarm",),
    "upperarm": ("upperarm", "shoulder", "clavicle"),
}
PARTS: tuple[str, ...] = (
    *("trunk", "head", "neck", "clothes", "sleeve", "hair", "eye", "teeth", "tongue"),
    *(f"{limb}.{side}" for side in "RL" for limb in _LIMBS),
    *(f"finger{f}.{side}" for side in "RL" for f in range(1, 6)),
)


def _codes() -> np.ndarray:
    """(len(PARTS), 3) uint8: well-spread colours, one a part (an R3 sequence, Roberts 2018)."""
    golden = 1.2207440846057596  # the root of x^4 = x + 1
    steps = np.arange(1, len(PARTS) + 1)[:, None] / golden ** np.arange(1, 4)[None]
    return (40 + 215 * (steps % 1.0)).astype(np.uint8)


PART_CODES = _codes()


def part_labels(figure: Figure, body: Body) -> np.ndarray:
    """(F,) uint8 index into PARTS for every triangle."""
    weights = figure.skin.weights.to_dense().numpy()  # (N, J)
    names = [_part_of_joint(name) for name in body.joints]
    strongest = weights.argmax(1)  # (N,)
    bare = np.array([PARTS.index(n) for n in names], np.uint8)[strongest]  # (N,)
    label = bare[figure.triangles[:, 0]]
    on_arm = np.char.find(np.array(PARTS)[label].astype(str), "arm") >= 0
    cloth = figure.material == CLOTH
    label = np.where(cloth, np.where(on_arm, PARTS.index("sleeve"), PARTS.index("clothes")), label)
    for material, name in ((HAIR, "hair"), (EYE, "eye"), (TEETH, "teeth"), (TONGUE, "tongue")):
        label = np.where(figure.material == material, PARTS.index(name), label)
    return label.astype(np.uint8)


def _part_of_joint(name: str) -> str:
    stem, _, side = name.partition(".")
    if side in ("L", "R"):
        if stem.startswith("finger"):
            return f"{stem.split('-')[0]}.{side}"
        for limb, starts in _LIMBS.items():
            if stem.startswith(starts):
                return f"{limb}.{side}"
    if stem.startswith(("head", "jaw", "eye")):
        return "head"
    return "neck" if stem.startswith("neck") else "trunk"


@dataclass(frozen=True)
class ControlFigure:
    """What the maps need of a dressed signer: N vertices, F triangles.

    triangles (F, 3) int32, code (F, 3) uint8, label (F,) uint8 index into PARTS, points: the body's points
    from its joints. material (F,), attributes (N,
    ATTRIBUTES), paint and scene are those of `shading.py`: they give place and albedo.
    """

    triangles: np.ndarray
    code: np.ndarray
    label: np.ndarray
    points: RigidPoints
    material: np.ndarray
    attributes: np.ndarray
    paint: np.ndarray
    scene: Scene

    @staticmethod
    def of(renderer: MeshRenderer) -> ControlFigure:
        """Of the signer whom a renderer draws."""
        figure, body = renderer.figure, renderer.body
        label = part_labels(figure, body)
        return ControlFigure(
            figure.triangles,
            PART_CODES[label],
            label,
            RigidPoints(body, body.signer(renderer.signer.body)),
            figure.material,
            figure.attributes,
            renderer.paint,
            renderer.scene,
        )

    def keypoints(self, posed: Posed, camera: Camera) -> np.ndarray:
        """A posed body (B frames) -> (B, 42 + K, 2) pixels: right hand, left hand, face points."""
        turns, joints = posed.turns, posed.joints
        spots = [self.points.hand(turns, joints, side) for side in "RL"] + [self.points.face(turns, joints)]
        return camera.project(torch.cat(spots, 1))[..., :2].numpy()


def controlled(
    renderer: MeshRenderer, figure: ControlFigure, motion: Motion
) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]]:
    """Each frame of a motion: its vertices (N, 3), its `MeshRenderer.samples`, its maps (C, H, W) uint8."""
    for vertices, spots in posed_frames(renderer, figure, motion):
        yield controls(renderer, figure, vertices, spots)


def posed_frames(
    renderer: MeshRenderer, figure: ControlFigure, motion: Motion
) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Each frame's vertices (N, 3) and keypoints (42 + K, 2) in pixels: what `controls` takes."""
    for start in range(0, len(motion), CHUNK):
        posed = renderer.figure.skin.pose_motion(motion[start : start + CHUNK])
        yield from zip(posed.vertices, figure.keypoints(posed, renderer.camera))


def posed_ahead(
    renderer: MeshRenderer,
    figure: ControlFigure,
    pieces: Iterable[Motion],
    tell: Callable[[Tensor, np.ndarray], Made],
) -> Iterator[Made]:
    """What `tell` makes of each of the `posed_frames` of pieces of one motion in order, `ahead` of who takes
    it."""
    return ahead(partial(tell, *posed) for piece in pieces for posed in posed_frames(renderer, figure, piece))


def controls(
    renderer: MeshRenderer, figure: ControlFigure, vertices: Tensor, spots: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """What `controlled` yields of one of the `posed_frames`; may be called in any thread."""
    samples = renderer.samples(renderer.camera.project(vertices).numpy())
    bare = vertices.numpy()
    return bare, samples, frame_maps(figure, renderer.camera, bare, *samples, spots)


def frame_maps(
    figure: ControlFigure,
    camera: Camera,
    vertices: np.ndarray,
    fine: np.ndarray,
    triangle: np.ndarray,
    inverse: np.ndarray,
    keypoints: np.ndarray,
) -> np.ndarray:
    """One frame: vertices (N, 3) metres, `MeshRenderer.samples` of them, keypoints (42 + K, 2) pixels ->
    maps (CHANNELS, H, W) uint8."""
    size = camera.size
    normals = np.empty_like(vertices)
    vertex_normals_into(vertices, figure.triangles, normals)
    out = np.empty((CHANNELS, size, size), np.uint8)
    rows = np.empty((len(vertices), ROW), np.float32)
    gathered_into(fine, normals, figure.attributes, rows)
    maps_into(
        triangle,
        inverse,
        rows,
        figure.triangles,
        figure.code,
        figure.material,
        figure.paint,
        figure.scene,
        np.float32(camera.signing_depth),
        out,
    )
    heat_into(keypoints.astype(np.float32), HEAT_WIDTH * size, out[RIGHT_HAND:])
    return out


@kernel
def gathered_into(points, normals, attributes, out):  # type: ignore[no-untyped-def]
    """points, normals (N, 3), attributes (N, ATTRIBUTES) -> out (N, ROW): what `maps_into` reads of a vertex,
    in one line of the processor's cache."""
    for v in range(out.shape[0]):
        for c in range(3):
            out[v, c] = points[v, c]
            out[v, NORMAL_IN_ROW + c] = normals[v, c]
        for c in range(attributes.shape[1]):
            out[v, ATTRIBUTES_IN_ROW + c] = attributes[v, c]


@kernel
def maps_into(  # type: ignore[no-untyped-def]
    triangle,
    inverse,
    rows,
    triangles,
    code,
    material,
    paint,
    scene,
    middle,
    out,
):
    """All channels but the heats, see the module; rows (N, ROW): `gathered_into`; middle: depth of the
    signing plane in metres.

    What a triangle shows of a pixel is taken at the middle of its samples there: nearly their mean (the test
    against the torch definition says how nearly), and most pixels need one evaluation and not four.
    """
    height, width = out.shape[1:]
    total = np.empty(13, np.float32)
    faces = np.empty(4, np.int32)
    # a row of every channel: the channels themselves lie so far apart that one pixel's stores would throw one
    # another out of the processor's cache
    line = np.empty((RIGHT_HAND, width), np.uint8)
    f32 = np.float32
    for row in range(height):
        line[:] = 0
        for column in range(width):
            covered = 0
            for s in range(4):
                faces[s] = triangle[2 * row + s // 2, 2 * column + s % 2]
                covered += faces[s] >= 0
            if covered == 0:
                continue
            total[:] = 0
            for s in range(4):
                f = faces[s]
                if f < 0:
                    continue
                samples, px, py, depth = f32(0), f32(0), f32(0), f32(0)
                for t in range(s, 4):
                    if faces[t] != f:
                        continue
                    y, x = 2 * row + t // 2, 2 * column + t % 2
                    samples, px, py = samples + f32(1), px + f32(x), py + f32(y)
                    depth += f32(1) / inverse[y, x]
                    faces[t] = -1
                px, py = px / samples + f32(0.5), py / samples + f32(0.5)
                corners = (triangles[f, 0], triangles[f, 1], triangles[f, 2])
                back, weights = corner_weights(rows, corners, px, py)
                nx, ny, nz = three(rows, corners, weights, NORMAL_IN_ROW)
                unit = f32(-127.0 if back else 127.0) / np.sqrt(nx * nx + ny * ny + nz * nz + f32(1e-12))
                total[0] += (samples * middle - depth) / f32(DEPTH_STEP) + samples * f32(128)
                total[1] += samples * (f32(128) + nx * unit)
                total[2] += samples * (f32(128) - nz * unit)  # the picture's y points down
                total[3] += samples * (f32(128) - ny * unit)  # the camera looks along +y
                canon = three(rows, corners, weights, ATTRIBUTES_IN_ROW + CANON)
                colour = three(rows, corners, weights, ATTRIBUTES_IN_ROW + COLOUR)
                for c in range(3):
                    share = (canon[c] - PLACE_LOW[c]) / (PLACE_HIGH[c] - PLACE_LOW[c])
                    total[4 + c] += samples * (min(max(share, f32(0)), f32(1)) * f32(254) + f32(1))
                    total[7 + c] += samples * f32(code[f, c])
                if material[f] == SKIN:
                    cover = one(rows, corners, weights, ATTRIBUTES_IN_ROW + PAINTED)
                    if cover > 0.02:
                        colour = painted_skin(colour, canon, cover, paint, scene)
                elif material[f] == EYE:
                    colour = eye_colour(colour, canon, scene)
                elif material[f] == HAIR:  # strands are finer than a pixel: looked at in every sample
                    sleek = one(rows, corners, weights, ATTRIBUTES_IN_ROW + GLOSS)
                    tone = f32(0)
                    for t in range(s, 4):
                        y, x = 2 * row + t // 2, 2 * column + t % 2
                        if triangle[y, x] == f:
                            _, there = corner_weights(rows, corners, f32(x) + f32(0.5), f32(y) + f32(0.5))
                            canon = three(rows, corners, there, ATTRIBUTES_IN_ROW + CANON)
                            tone += strand_tone(strand_of(canon, sleek, scene))
                    tone /= samples
                    colour = (f32(colour[0] * tone), f32(colour[1] * tone), f32(colour[2] * tone))
                for c in range(3):
                    shown = min(max(f32(colour[c]), f32(0)), f32(1))
                    total[10 + c] += samples * f32(255) * np.sqrt(shown)
            over = f32(1) / f32(covered)
            line[0, column] = min(covered * 64, 255)
            for c in range(13):
                value = total[c] * over + f32(0.5)
                line[1 + c, column] = np.uint8(min(max(value, f32(0)), f32(255)))
        for c in range(RIGHT_HAND):
            out[c, row] = line[c]


@kernel
def halve_into(maps, out):  # type: ignore[no-untyped-def]
    """`autoencoder.halved` for one frame on the CPU: maps (C, H, W) uint8 -> out (C, H/2, W/2) uint8."""
    share = maps[0]
    for k in range(maps.shape[0]):
        plane = maps[k]
        weighted = 0 < k < RIGHT_HAND
        for row in range(out.shape[1]):
            for column in range(out.shape[2]):
                y, x = 2 * row, 2 * column
                total, mean = np.float32(0), np.float32(0)
                for s in range(4):
                    v, u = y + s // 2, x + s % 2
                    weight = np.float32(share[v, u] if weighted else 1)
                    total += weight
                    mean += weight * np.float32(plane[v, u])
                out[k, row, column] = np.uint8(np.rint(mean / max(total, np.float32(4))))


@kernel
def seen_cells(maps):  # type: ignore[no-untyped-def]
    """Maps (C, H, W) uint8 -> (N,) int64, which of the cells of 4 x 4 pixels, row by row, are not 0 in every
    channel."""
    high, wide = maps.shape[1] // 4, maps.shape[2] // 4
    where = np.empty(high * wide, np.int64)
    found = 0
    for cell in range(high * wide):
        top, left = 4 * (cell // wide), 4 * (cell % wide)
        seen = np.uint8(0)
        for dy in range(4):
            for dx in range(4):
                y, x = top + dy, left + dx
                seen |= maps[COVERAGE, y, x]  # where it is 0, only the heats may be something else
                for heat in range(RIGHT_HAND, FACE + 1):
                    seen |= maps[heat, y, x]
        if seen:
            where[found] = cell
            found += 1
    return where[:found]


@kernel
def cells_into(maps, where, values, out):  # type: ignore[no-untyped-def]
    """`autoencoder.map_cells` for one frame on the CPU, each byte looked up: maps (C, H, W) uint8, where (N,)
    of its cells, row by row, values (256,) -> out (N, 16 C) of the type of `values`."""
    wide = maps.shape[2] // 4
    for n in range(len(where)):
        top, left = 4 * (where[n] // wide), 4 * (where[n] % wide)
        cell = out[n]
        for c in range(maps.shape[0]):
            for dy in range(4):
                for dx in range(4):
                    cell[16 * c + 4 * dy + dx] = values[maps[c, top + dy, left + dx]]


@kernel
def heat_into(keypoints, sigma, out):  # type: ignore[no-untyped-def]
    """keypoints (42 + K, 2) pixels -> out (3, H, W) uint8: the highest of the points' bells at each pixel."""
    height, width = out.shape[1:]
    out[:] = 0
    reach = int(np.ceil(3 * sigma))
    for p in range(keypoints.shape[0]):
        layer = 0 if p < 21 else (1 if p < 42 else 2)
        x, y = keypoints[p, 0], keypoints[p, 1]
        if not (-1e6 < x < 1e6 and -1e6 < y < 1e6):
            continue
        for row in range(max(int(y) - reach, 0), min(int(y) + reach + 1, height)):
            for column in range(max(int(x) - reach, 0), min(int(x) + reach + 1, width)):
                dx, dy = column + 0.5 - x, row + 0.5 - y
                heat = np.uint8(255 * np.exp(-(dx * dx + dy * dy) / (2 * sigma * sigma)) + 0.5)
                if heat > out[layer, row, column]:
                    out[layer, row, column] = heat


def control_maps(figure: ControlFigure, camera: Camera, vertices: Tensor, keypoints: Tensor) -> Tensor:
    """The same in torch, for a batch, on the device of `vertices` (B, N, 3); keypoints (B, 42 + K, 2) pixels.

    Returns (B, CHANNELS, H, W) uint8. Back faces of closed surfaces need no culling here: a nearer front
    face hides them.
    """
    device, size = vertices.device, camera.size
    triangles = torch.from_numpy(figure.triangles).to(device).long()
    code, table, low, high = (
        torch.from_numpy(a).to(device) for a in (figure.code, figure.attributes, PLACE_LOW, PLACE_HIGH)
    )
    points = camera.project(vertices) * torch.tensor([2.0, 2.0, 1.0], device=device)
    seen = rasterise(points, triangles, 2 * size, 2 * size)
    hit = seen.triangle >= 0  # (B, 2H, 2W)
    face = seen.triangle.clamp(min=0)
    corner = triangles[face]  # (B, 2H, 2W, 3)
    edges = vertices[:, triangles]  # (B, F, 3, 3)
    flat = torch.linalg.cross(edges[:, :, 1] - edges[:, :, 0], edges[:, :, 2] - edges[:, :, 0], dim=-1)
    normals = torch.zeros_like(vertices)
    for k in range(3):
        normals.index_add_(1, triangles[:, k], flat)
    normals = F.normalize(normals, dim=-1, eps=1e-20)
    frame = torch.arange(len(vertices), device=device)[:, None, None]
    weights = seen.barycentric[..., None]
    normal = (normals[frame[..., None], corner] * weights).sum(-2)  # (B, 2H, 2W, 3)
    a, b, c = points[frame[..., None], corner].unbind(-2)
    area = edge(a, b, c[..., 0], c[..., 1])
    normal = F.normalize(normal, dim=-1) * torch.where(area > 0, -1.0, 1.0)[..., None]
    depth = (camera.signing_depth - seen.depth.where(hit, torch.ones_like(seen.depth))) / DEPTH_STEP + 128
    attributes = (table[corner] * weights).sum(-2)  # (B, 2H, 2W, ATTRIBUTES)
    canon = attributes[..., CANON : CANON + 3]
    where = ((canon - low) / (high - low)).clamp(0, 1) * 254 + 1  # (B, 2H, 2W, 3)
    turned = normal[..., [0, 2, 1]] * torch.tensor([127.0, -127.0, -127.0], device=device) + 128
    albedo = 255 * _albedo(figure, attributes, face).clamp(0, 1).sqrt()
    values = torch.cat([depth[..., None], turned, where, code[face].float(), albedo], -1) * hit[..., None]
    share = F.avg_pool2d(hit[:, None].float(), 2)  # (B, 1, H, W)
    mean = F.avg_pool2d(values.permute(0, 3, 1, 2), 2) / share.clamp(min=0.25)
    mean = torch.where(share > 0, (mean + 0.5).clamp(0, 255), 0)
    heat = _heat(keypoints.to(device), HEAT_WIDTH * size, size)
    return torch.cat([(share * 256).clamp(max=255), mean, heat], 1).to(torch.uint8)


def _albedo(figure: ControlFigure, seen: Tensor, face: Tensor) -> Tensor:
    """seen (B, H, W, ATTRIBUTES), face (B, H, W) -> linear (B, H, W, 3):
    `shading.painted_skin`, `eye_colour` and the tones of hair for many points."""
    device = seen.device
    canon, colour, cover = seen[..., CANON : CANON + 3], seen[..., COLOUR : COLOUR + 3], seen[..., PAINTED]
    material = torch.from_numpy(figure.material).to(device)[face]
    paint = torch.from_numpy(np.ascontiguousarray(figure.paint)).to(device)
    left, top, texels = figure.scene.face_map
    s, t = (canon[..., 0] - left) * texels, (top - canon[..., 2]) * texels
    height, width = paint.shape[:2]
    on = (
        (material == SKIN)
        & (cover > 0.02)
        & (s > 0)
        & (t > 0)
        & (s.floor() < width - 1)
        & (t.floor() < height - 1)
    )
    column, row = (x.floor().clamp(0, n - 2).long() for x, n in ((s, width), (t, height)))
    fs, ft = ((x - i)[..., None] for x, i in ((s, column), (t, row)))
    upper = paint[row, column] * (1 - fs) + paint[row, column + 1] * fs
    lower = paint[row + 1, column] * (1 - fs) + paint[row + 1, column + 1] * fs
    layer = upper * (1 - ft) + lower * ft  # (B, H, W, 4)
    laid = colour + (layer[..., :3] - colour) * layer[..., 3:] * cover[..., None]
    colour = torch.where(on[..., None], laid, colour)
    colour = torch.where((material == EYE)[..., None], _eyes(figure.scene, canon, colour), colour)
    tone = _strand_tones(figure.scene, canon, seen[..., GLOSS])[..., None]
    return torch.where((material == HAIR)[..., None], colour * tone, colour)


def _strand_tones(scene: Scene, canon: Tensor, sleek: Tensor) -> Tensor:
    """`shading.strand_tone` of `shading.strand_of` for many points: canon (B, H, W, 3), sleek (B, H, W) ->
    (B, H, W)."""
    px, py, pz = canon.double().unbind(-1)

    def noise(x: Tensor) -> Tensor:
        cell = x.floor()
        t = x - cell
        a, b = ((torch.sin((cell + k) * 127.1) * 43758.5453) for k in (0, 1))
        a, b = a - a.floor(), b - b.floor()
        return a + (b - a) * t * t * (3 - 2 * t)

    x, y, z = 520 * px, 520 * py, 520 * pz
    waves = torch.sin(x + 1.7 * torch.sin(z * 0.31)) * torch.sin(y + 2 * torch.sin(x * 0.27))
    curls = 0.5 + 0.22 * (waves + torch.sin(z * 0.83 + y * 0.4))
    angle = torch.atan2(px - scene.head[0], scene.head[1] - py) * scene.head[3]
    straight = noise(angle) * 0.6 + noise(angle * 2.7 + 31 + pz * 25) * 0.4
    return (DARKEST_STRAND + STRANDS_APART * torch.where(sleek < 0.5, curls, straight)).float()


def _eyes(scene: Scene, canon: Tensor, white: Tensor) -> Tensor:
    """`shading.eye_colour` for many points: canon, white (B, H, W, 3) -> (B, H, W, 3)."""
    x, z = canon[..., 0].abs() - scene.eye[0], canon[..., 2] - scene.eye[2]
    radius = (x * x + z * z).sqrt()[..., None] / scene.iris[3]
    tone = 0.62 + 1.5 * radius * (1 - radius) - 0.5 * (radius > 0.85)
    iris = torch.tensor(scene.iris[:3], device=canon.device) * tone
    pupil = torch.tensor([0.008, 0.007, 0.007], device=canon.device)
    iris = iris + (pupil - iris) * ((0.43 - radius) / 0.12).clamp(0, 1)
    seen = white + (iris - white) * ((1.12 - radius) / 0.2).clamp(0, 1)
    hidden = (canon[..., 1:2] > scene.eye[1]) | (radius > 1.12)
    return torch.where(hidden, white, seen)


def _heat(keypoints: Tensor, sigma: float, size: int) -> Tensor:
    """keypoints (B, 42 + K, 2) -> (B, 3, H, W) in 0..255."""
    line = torch.arange(size, device=keypoints.device) + 0.5
    layers = []
    for group in (keypoints[:, :21], keypoints[:, 21:42], keypoints[:, 42:]):
        cell = group.clamp(-1e6, 1e6).trunc()
        reach = int(np.ceil(3 * sigma))
        bells = []
        for axis in (1, 0):
            apart = line[None, None] - group[..., axis, None]  # (B, P, size)
            near = (line[None, None] - 0.5 - cell[..., axis, None]).abs() <= reach
            bells.append(torch.exp(-apart * apart / (2 * sigma * sigma)) * near)
        layer = torch.zeros(len(group), size, size, device=group.device)
        for p in range(group.shape[1]):
            layer = torch.maximum(layer, bells[0][:, p, :, None] * bells[1][:, p, None, :])
        layers.append(layer)
    return 255 * torch.stack(layers, 1) + 0.5
