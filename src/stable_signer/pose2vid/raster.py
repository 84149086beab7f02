"""The rasteriser: which triangle is seen at each pixel, where on it, and how far away.

Two implementations of one definition. `rasterise` in torch runs on any device and in batches; `visible` is a
numba kernel for one frame on the CPU, about five times faster, which the mesh look uses. A test holds them
equal.

The definition: a triangle covers a pixel when the pixel's centre lies inside it or on its edge, whichever way
the triangle turns; the nearest covers the others; between equally near ones the lower index wins. Depth is
interpolated perspective-correctly (its inverse is linear in the picture).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stable_signer.body.kernels import kernel

MAX_CANDIDATES = 1 << 24  # pixels in bounding boxes handled at once in torch; bounds the memory


@dataclass(frozen=True)
class Fragments:
    """What is seen at each pixel of a batch of pictures.

    triangle: (B, H, W) int64, -1 where there is only background. barycentric: (B, H, W, 3), weights of the
    triangle's corners in space (perspective-correct), zero on the background. depth: (B, H, W) metres,
    infinite there.
    """

    triangle: Tensor
    barycentric: Tensor
    depth: Tensor


def rasterise(points: Tensor, triangles: Tensor, height: int, width: int) -> Fragments:
    """points (B, V, 3) x, y in pixels and depth in metres; triangles (F, 3) -> Fragments of (height, width).

    Triangles that reach behind the camera (depth <= 0) and degenerate ones are left out.
    """
    frames = [_rasterise_one(p, triangles, height, width) for p in points]
    triangle = torch.stack([f[0] for f in frames])
    depth = torch.stack([f[1] for f in frames])
    return Fragments(triangle, _barycentric(points, triangles, triangle), depth)


def _rasterise_one(points: Tensor, triangles: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """One frame -> triangle (H, W) and depth (H, W)."""
    device = points.device
    corners = points[triangles]  # (F, 3, 3)
    inverse = torch.full((height * width,), 0.0, device=device, dtype=points.dtype)
    winner = torch.full((height * width,), len(triangles), device=device, dtype=torch.int64)
    xy, z = corners[..., :2], corners[..., 2]
    limit = torch.tensor([width, height], device=device)
    low = torch.minimum(
        (xy.amin(1) - 0.5).ceil().clamp(min=0), limit
    ).long()  # first pixel centre inside the box
    high = torch.maximum(torch.minimum((xy.amax(1) - 0.5).floor() + 1, limit), low).long()
    span = high - low  # (F, 2)
    area = edge(corners[:, 0], corners[:, 1], corners[:, 2, 0], corners[:, 2, 1])
    usable = (z > 0).all(1) & (area != 0)
    counts = torch.where(usable, span[:, 0] * span[:, 1], 0)
    passes: list[tuple[Tensor, Tensor, Tensor]] = []
    start = 0
    totals = counts.cumsum(0)
    while start < len(triangles):
        done = int(totals[start - 1]) if start else 0
        stop = int(torch.searchsorted(totals, done + MAX_CANDIDATES, right=True))
        stop = min(max(stop, start + 1), len(triangles))
        passes.append(_candidates(corners, area, low, span, counts, start, stop, width))
        start = stop
    for pixel, inv, _ in passes:
        inverse.scatter_reduce_(0, pixel, inv, "amax")
    for pixel, inv, face in passes:
        nearest = inv == inverse[pixel]
        winner.scatter_reduce_(0, pixel[nearest], face[nearest], "amin")
    triangle = torch.where(winner < len(triangles), winner, -1).reshape(height, width)
    depth = torch.where(inverse > 0, 1 / inverse.clamp(min=1e-12), torch.inf).reshape(height, width)
    return triangle, depth


def _candidates(
    corners: Tensor,
    area: Tensor,
    low: Tensor,
    span: Tensor,
    counts: Tensor,
    start: int,
    stop: int,
    width: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels covered by triangles start..stop: pixel index (N,), inverse depth (N,), triangle (N,)."""
    count = counts[start:stop]
    face = torch.arange(start, stop, device=count.device).repeat_interleave(count)
    rank = torch.arange(len(face), device=count.device) - (count.cumsum(0) - count).repeat_interleave(count)
    column = low[face, 0] + rank % span[face, 0].clamp(min=1)
    row = low[face, 1] + rank // span[face, 0].clamp(min=1)
    x, y = column.to(corners.dtype) + 0.5, row.to(corners.dtype) + 0.5
    a, b, c = corners[face, 0], corners[face, 1], corners[face, 2]
    w0, w1, w2 = edge(b, c, x, y), edge(c, a, x, y), edge(a, b, x, y)
    sign = torch.sign(area[face])
    inside = (w0 * sign >= 0) & (w1 * sign >= 0) & (w2 * sign >= 0)
    inverse = (w0 / a[:, 2] + w1 / b[:, 2] + w2 / c[:, 2]) / area[face]
    return (row * width + column)[inside], inverse[inside], face[inside]


def edge(a: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Twice the signed area of (a, b, point)."""
    return (b[..., 0] - a[..., 0]) * (y - a[..., 1]) - (b[..., 1] - a[..., 1]) * (x - a[..., 0])


def _barycentric(points: Tensor, triangles: Tensor, triangle: Tensor) -> Tensor:
    """Perspective-correct weights (B, H, W, 3) of the corners; differentiable in the points."""
    batch, height, width = triangle.shape
    seen = triangle >= 0
    index = triangles[triangle.clamp(min=0)]  # (B, H, W, 3)
    frame = torch.arange(batch, device=points.device)[:, None, None, None]
    corner = points[frame, index]  # (B, H, W, 3, 3)
    y, x = torch.meshgrid(
        torch.arange(height, device=points.device, dtype=points.dtype) + 0.5,
        torch.arange(width, device=points.device, dtype=points.dtype) + 0.5,
        indexing="ij",
    )
    a, b, c = corner.unbind(-2)
    weights = torch.stack([edge(b, c, x, y), edge(c, a, x, y), edge(a, b, x, y)], -1) / corner[..., 2]
    total = weights.sum(-1, keepdim=True)
    return torch.where(seen[..., None], weights / torch.where(total == 0, 1, total), 0)


@kernel
def visible(points, triangles, cull, triangle, inverse):  # type: ignore[no-untyped-def]
    """The same for one frame, on the CPU, into buffers.

    points (V, 3) float32 x, y in pixels, depth in metres. triangles (F, 3) int32. cull (F,) bool: leave the
    triangle out when it turns its back (clockwise in the world seen from outside). triangle (H, W) int32 and
    inverse (H, W) float32 are overwritten: -1 and 0 on the background; `inverse` is 1 / depth.
    """
    height, width = triangle.shape
    triangle[:] = -1
    inverse[:] = 0
    one, half, zero = np.float32(1), np.float32(0.5), np.float32(0)
    for f in range(triangles.shape[0]):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay, az = points[i, 0], points[i, 1], points[i, 2]
        bx, by, bz = points[j, 0], points[j, 1], points[j, 2]
        cx, cy, cz = points[k, 0], points[k, 1], points[k, 2]
        if az <= zero or bz <= zero or cz <= zero:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        # y points down in the picture, so a triangle that faces the camera has a negative area
        if area == zero or (cull[f] and area > zero):
            continue
        left = max(int(np.ceil(min(ax, bx, cx) - half)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - half)) + 1, width)
        top = max(int(np.ceil(min(ay, by, cy) - half)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - half)) + 1, height)
        if left >= right or top >= bottom:
            continue
        if area < zero:  # turn it, so that inside is where all three are positive
            bx, by, bz, cx, cy, cz = cx, cy, cz, bx, by, bz
            area = -area
        ia, ib, ic = one / (az * area), one / (bz * area), one / (cz * area)
        for row in range(top, bottom):
            y = np.float32(row) + half
            e0, e1, e2 = (cx - bx) * (y - by), (ax - cx) * (y - cy), (bx - ax) * (y - ay)
            entered = False
            for column in range(left, right):
                x = np.float32(column) + half
                w0 = e0 - (cy - by) * (x - bx)
                w1 = e1 - (ay - cy) * (x - cx)
                w2 = e2 - (by - ay) * (x - ax)
                if w0 >= zero and w1 >= zero and w2 >= zero:
                    entered = True
                    inv = w0 * ia + w1 * ib + w2 * ic
                    if inv > inverse[row, column]:
                        inverse[row, column] = inv
                        triangle[row, column] = f
                elif entered:  # a triangle is convex: the rest of the row lies outside
                    break
