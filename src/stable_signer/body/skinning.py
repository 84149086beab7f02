"""Skinning: from a posed skeleton and face actions to the vertices of a signer. Torch, differentiable."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stable_signer.body.ik import retarget_arms
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body, RestPose, forward_kinematics, product, rotation_6d_to_matrix


@dataclass(frozen=True)
class Posed:
    """A posed body. vertices (B, V, 3), extra_vertices (B, E, 3), joints (B, J, 3), all in metres;
    turns (B, J, 3, 3), world rotations from the reference pose."""

    vertices: Tensor
    extra_vertices: Tensor
    joints: Tensor
    turns: Tensor


class Skin:
    """Linear-blend skinning of one signer, with the 52 face actions.

    The per-vertex weights are kept as one sparse (V, J) matrix: a frame is then one sparse product over the
    joints' transforms, which measured 0.4 ms on one core.
    """

    def __init__(self, body: Body, rest: RestPose, anatomy: RestPose | None = None) -> None:
        """`anatomy` is the signer's bare rest pose where `rest` has other vertices (a dressed figure)."""
        self.body, self.rest, self.anatomy = body, rest, anatomy or rest
        arrays = body.arrays
        self.weights = _sparse(arrays["skin_weights"], arrays["skin_joints"], len(body.joints))
        self.extra_weights = _sparse(
            arrays["extra_skin_weights"], arrays["extra_skin_joints"], len(body.joints)
        )
        self.face = _face_matrix(arrays, "face", len(rest.vertices))
        self.extra_face = _face_matrix(arrays, "extra_face", len(rest.extra_vertices))

    def pose(self, rotations: Tensor, face: Tensor, root: Tensor) -> Posed:
        """rotations (B, J, 3, 3), face (B, 52), root (B, 3) -> Posed."""
        turns, joints = forward_kinematics(self.body, self.rest, rotations, root)
        linear = product(turns, self.rest.align.to(rotations))  # (B, J, 3, 3)
        shift = joints - (linear * self.rest.heads.to(rotations)[:, None]).sum(-1)  # (B, J, 3)
        transforms = torch.cat([linear, shift[..., None]], -1)  # (B, J, 3, 4)
        return Posed(
            vertices=_skin(self.weights, transforms, self.rest.vertices, self.face, face),
            extra_vertices=_skin(
                self.extra_weights, transforms, self.rest.extra_vertices, self.extra_face, face
            ),
            joints=joints,
            turns=turns,
        )

    def pose_motion(self, motion: Motion) -> Posed:
        """Every frame of a motion (hold short pieces: a frame is 0.2 MB).

        A motion is made for the body's first signer; on another build the arms are solved anew, so that a
        hand that touched the chin still does.
        """
        rotations = rotation_6d_to_matrix(torch.from_numpy(motion.rotations))
        bare = Body.load()
        reference = bare.signer(bare.signer_ids[0])
        if not torch.equal(self.anatomy.heads, reference.heads):
            own = retarget_arms(bare, reference, self.anatomy, rotations.numpy(), motion.root)
            rotations = torch.from_numpy(own.astype(np.float32))
        return self.pose(rotations, torch.from_numpy(motion.face), torch.from_numpy(motion.root))


def _sparse(weights: np.ndarray, joints: np.ndarray, joint_count: int) -> Tensor:
    """(V, K) weights and joint indices -> sparse CSR (V, J)."""
    rows = torch.arange(len(weights))[:, None].expand(-1, weights.shape[1])
    used = torch.from_numpy(weights > 0)
    index = torch.stack([rows[used], torch.from_numpy(joints.astype("int64"))[used]])
    return _csr(index, torch.from_numpy(weights)[used], (len(weights), joint_count))


def _face_matrix(arrays: Mapping[str, np.ndarray], name: str, vertex_count: int) -> Tensor:
    """Sparse (V * 3, 52) matrix from face actions to vertex offsets."""
    action = torch.from_numpy(arrays[f"{name}_action"].astype("int64"))
    vertex = torch.from_numpy(arrays[f"{name}_vertex"].astype("int64"))
    delta = torch.from_numpy(arrays[f"{name}_delta"])
    rows = (vertex[:, None] * 3 + torch.arange(3)).reshape(-1)  # (N * 3,)
    index = torch.stack([rows, action.repeat_interleave(3)])
    return _csr(index, delta.reshape(-1), (vertex_count * 3, 52))


def _csr(index: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    coo = torch.sparse_coo_tensor(index, values, size, check_invariants=True).coalesce()
    with warnings.catch_warnings():  # torch calls CSR "beta"; its matrix product is all that is used here
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return coo.to_sparse_csr()


def _skin(weights: Tensor, transforms: Tensor, rest: Tensor, face_matrix: Tensor, face: Tensor) -> Tensor:
    # Frame by frame: a sparse product's rounding can depend on its number of columns (it does in MKL on some
    # processors), and a frame must not depend on those it is made with. It is also faster.
    frames = []
    for transform, actions in zip(transforms, face):
        bound = rest + (face_matrix @ actions[:, None]).reshape(-1, 3)  # (V, 3)
        blended = (weights @ transform.reshape(-1, 12)).reshape(-1, 3, 4)  # (V, 3, 4)
        frames.append((blended[..., :3] * bound[:, None]).sum(-1) + blended[..., 3])
    return torch.stack(frames)  # (B, V, 3)
