"""Pieces of mesh while a figure is made: cutting, smoothing, subdividing, painting by vertex."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stable_signer.pose2vid.shading import COLOUR, GLOSS
from stable_signer.pose2vid.signers import linear


@dataclass
class Part:
    """A piece of the figure while it is being made.

    position (N, 3) at rest; weights (N, J); face (N, 52, 3) deltas; attributes (N, ATTRIBUTES); triangles (F,
    3).
    """

    position: np.ndarray
    weights: np.ndarray
    face: np.ndarray
    attributes: np.ndarray
    triangles: np.ndarray
    material: int
    both_sides: np.ndarray | bool = False

    def used(self) -> Part:
        """Without the vertices that no triangle uses."""
        keep, inverse = np.unique(self.triangles, return_inverse=True)
        return replace(
            self,
            position=self.position[keep],
            weights=self.weights[keep],
            face=self.face[keep],
            attributes=self.attributes[keep],
            triangles=inverse.reshape(-1, 3),
        )

    def select(self, keep: np.ndarray) -> Part:
        """Only the triangles where keep (F,) holds."""
        sides = self.both_sides if isinstance(self.both_sides, bool) else self.both_sides[keep]
        return replace(self, triangles=self.triangles[keep], both_sides=sides).used()

    def tint(self, colour: str, gloss: float) -> Part:
        """Painted all over with an sRGB colour."""
        self.attributes[:, COLOUR : COLOUR + 3] = linear(colour)
        self.attributes[:, GLOSS] = gloss
        return self

    def extended(self, start: np.ndarray, end: np.ndarray, share: np.ndarray) -> Part:
        """With new vertices between start and end (M,), share (M,) of the way."""

        def extend(values: np.ndarray) -> np.ndarray:
            t = share.reshape(-1, *[1] * (values.ndim - 1))
            return np.concatenate([values, values[start] * (1 - t) + values[end] * t]).astype(np.float32)

        return replace(
            self,
            position=extend(self.position),
            weights=extend(self.weights),
            face=extend(self.face),
            attributes=extend(self.attributes),
        )

    def subdivided(self) -> Part:
        """Every triangle in four, at the middles of its edges."""
        corners = self.triangles
        edges = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), axis=1)
        unique, inverse = np.unique(edges, axis=0, return_inverse=True)
        ab, bc, ca = inverse.reshape(3, -1) + len(self.position)
        a, b, c = corners.T
        fine = self.extended(unique[:, 0], unique[:, 1], np.full(len(unique), 0.5))
        fine.triangles = np.concatenate(
            [np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
        )
        return fine

    def smoothed(self, passes: int) -> Part:
        """Vertices drawn towards the mean of their neighbours and back (Taubin 1995), so that nothing
        shrinks.

        Open borders stay.
        """
        corners = self.triangles
        pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
        _, first, counts = np.unique(np.sort(pairs, axis=1), axis=0, return_index=True, return_counts=True)
        free = np.ones(len(self.position), bool)
        free[pairs[first[counts == 1]].ravel()] = False
        position = self.position.astype(np.float64)
        degree = np.bincount(pairs.ravel(), minlength=len(position))[:, None]
        for step in range(2 * passes):
            share = 0.5 if step % 2 == 0 else -0.52
            total = np.zeros_like(position)
            for k in range(3):
                total[:, k] = np.bincount(pairs[:, 0], position[pairs[:, 1], k], len(position))
                total[:, k] += np.bincount(pairs[:, 1], position[pairs[:, 0], k], len(position))
            mean = total / np.maximum(degree, 1)
            position[free] += share * (mean - position)[free]
        return replace(self, position=position.astype(np.float32))

    def cut(self, field: np.ndarray) -> tuple[Part, np.ndarray]:
        """Keep where field (N,) is positive; triangles on the border are cut along it.

        Returns the part and its field (0 along the cut).
        """
        inside = field > 0
        corners = inside[self.triangles].sum(1)
        triangles = [self.triangles[corners == 3]]
        edges: dict[tuple[int, int], int] = {}
        count = len(self.position)

        def crossing(a: int, b: int) -> int:
            """Index of the new vertex between a, inside, and b, outside."""
            return edges.setdefault((a, b), count + len(edges))

        border = []
        for corner in self.triangles[(corners == 1) | (corners == 2)].tolist():
            lone = next(v for v in corner if inside[v] == (sum(inside[w] for w in corner) == 1))
            k = corner.index(lone)
            a, b, c = corner[k], corner[(k + 1) % 3], corner[(k + 2) % 3]
            if inside[a]:
                border.append([a, crossing(a, b), crossing(a, c)])
            else:
                ab, ac = crossing(b, a), crossing(c, a)
                border += [[ab, b, c], [ab, c, ac]]
        triangles.append(np.array(border, dtype=int).reshape(-1, 3))
        start = np.array([a for a, _ in edges], dtype=int)
        end = np.array([b for _, b in edges], dtype=int)
        whole = self.extended(start, end, field[start] / (field[start] - field[end]))
        whole.triangles = np.concatenate(triangles)
        full_field = np.concatenate([field, np.zeros(len(edges))])
        return whole.used(), full_field[np.unique(whole.triangles)]


def vertex_normals(position: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(N, 3), (F, 3) -> unit normals (N, 3), triangles weighted by area."""
    a, b, c = (position[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    out = np.zeros_like(position)
    for k in range(3):
        for axis in range(3):
            out[:, axis] += np.bincount(triangles[:, k], face[:, axis], len(position))
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
