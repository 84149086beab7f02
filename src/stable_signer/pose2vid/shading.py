"""Shading: from visible triangles to colours. numba kernels, one frame at a time."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, error_model="numpy")
def vertex_normals_into(position, triangles, normals):  # type: ignore[no-untyped-def]
    """position (N, 3), triangles (F, 3) -> normals (N, 3), area-weighted and of unit length."""
    normals[:] = 0
    for f in range(triangles.shape[0]):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ux, uy, uz = (position[j, 0] - position[i, 0], position[j, 1] - position[i, 1], position[j, 2] - position[i, 2])
        vx, vy, vz = (position[k, 0] - position[i, 0], position[k, 1] - position[i, 1], position[k, 2] - position[i, 2])
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (i, j, k):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(normals.shape[0]):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if length > 0:
            for c in range(3):
                normals[v, c] /= length


@njit(nogil=True, cache=True, error_model="numpy")
def shade(triangle, points, triangles, normals, colour, lights, background, picture):  # type: ignore[no-untyped-def]
    """Gouraud over 2 x 2 samples a pixel -> picture (H, W, 3) linear."""
    height, width = picture.shape[:2]
    for row in range(height):
        for column in range(width):
            r = g = b = np.float32(0)
            for s in range(4):
                y, x = 2 * row + s // 2, 2 * column + s % 2
                f = triangle[y, x]
                if f < 0:
                    r += background[row, column, 0]
                    g += background[row, column, 1]
                    b += background[row, column, 2]
                    continue
                v = triangles[f, 0]
                nx, ny, nz = normals[v, 0], normals[v, 1], normals[v, 2]
                for l in range(lights.shape[0]):
                    d = max(nx * lights[l, 0] + ny * lights[l, 1] + nz * lights[l, 2], np.float32(0)) + np.float32(0.1)
                    r += colour[v, 0] * lights[l, 3] * d
                    g += colour[v, 1] * lights[l, 4] * d
                    b += colour[v, 2] * lights[l, 5] * d
            picture[row, column, 0] = r / 4
            picture[row, column, 1] = g / 4
            picture[row, column, 2] = b / 4
