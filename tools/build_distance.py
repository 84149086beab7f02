"""Sample the signed distance to the trunk and to the head of the first signer, for `slp_moe/clearance.py`.

Writes `weights/distance.npz`: for each solid an int8 grid in millimetres (negative inside, clipped to ±127),
the position of its first cell, the cell size and the joint that carries it. Needs scipy, which the product
does not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numba
import numpy as np
import torch
from scipy.spatial import cKDTree

from stable_signer.body.skeleton import Body
from stable_signer.body.skinning import Skin

CELL = 0.0125
SOLIDS = {
    "trunk": ("spine01", ("spine", "clavicle", "root", "pelvis", "upperleg", "neck", "shoulder01")),
    "head": ("head", ("head", "eye", "neck03")),
}


def main(out: Path) -> None:
    """Sample both solids and write them to `out`."""
    body = Body.load()
    skin = Skin(body, body.signer(body.signer_ids[0]))
    identity = torch.eye(3).expand(1, len(body.joints), 3, 3)
    posed = skin.pose(identity, torch.zeros(1, 52), torch.zeros(1, 3))
    vertices, joints = posed.vertices[0].double().numpy(), posed.joints[0].double().numpy()
    weights, owner = body.arrays["skin_weights"], body.arrays["skin_joints"]
    main_joint = np.array(body.joints)[owner[np.arange(len(owner)), weights.argmax(1)]]
    arrays = {}
    for name, (carrier, prefixes) in SOLIDS.items():
        kept = np.array([j.startswith(prefixes) for j in main_joint])
        triangles = body.arrays["triangles"]
        triangles = triangles[kept[triangles].all(1)]
        corners = vertices[triangles]
        corners = corners[corners[..., 2].min(1) > -0.15]
        low, high = corners.min((0, 1)) - 0.06, corners.max((0, 1)) + 0.06
        axes = [np.arange(a, b, CELL) for a, b in zip(low, high, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        distance, _ = cKDTree(samples(corners)).query(points)
        distance[winding(points, corners) > 0.5] *= -1
        grid = np.clip(np.round(distance * 1000), -127, 127).astype(np.int8)
        arrays |= {
            f"{name}_mm": grid.reshape([len(a) for a in axes]),
            f"{name}_origin": (low - joints[body.index[carrier]]).astype(np.float32),
            f"{name}_joint": np.array(carrier),
            f"{name}_cell": np.array(CELL, dtype=np.float32),
        }
        print(name, arrays[f"{name}_mm"].shape, "inside", float((grid < 0).mean()))
    np.savez_compressed(out, **arrays)
    print(out, out.stat().st_size)


def samples(corners: np.ndarray) -> np.ndarray:
    """Points about 3 mm apart on triangles (F, 3, 3)."""
    n = 5
    weights = np.array([[i, j, n - i - j] for i in range(n + 1) for j in range(n + 1 - i)]) / n
    return np.einsum("wk,fkd->fwd", weights, corners).reshape(-1, 3)


@numba.njit(parallel=True)
def winding(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Generalised winding number (Jacobson et al. 2013): the solid angles of the triangles, over 4 pi."""
    out = np.zeros(len(points))
    for i in numba.prange(len(points)):
        total = 0.0
        for f in range(len(corners)):
            a, b, c = corners[f, 0] - points[i], corners[f, 1] - points[i], corners[f, 2] - points[i]
            la, lb, lc = np.sqrt((a * a).sum()), np.sqrt((b * b).sum()), np.sqrt((c * c).sum())
            det = (
                a[0] * (b[1] * c[2] - b[2] * c[1])
                - a[1] * (b[0] * c[2] - b[2] * c[0])
                + a[2] * (b[0] * c[1] - b[1] * c[0])
            )
            total += np.arctan2(
                det, la * lb * lc + (a * b).sum() * lc + (b * c).sum() * la + (c * a).sum() * lb
            )
        out[i] = 2 * total / (4 * np.pi)
    return out


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: build_distance.py OUT.npz")
    main(Path(sys.argv[1]))
