"""The reference signer in a motion's poses: what every measure starts from, whoever signed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from stable_signer.body.keypoints import RigidPoints
from stable_signer.body.skeleton import forward_kinematics, rotation_6d_to_matrix
from stable_signer.slp_moe.notation import reference_body


@lru_cache(maxsize=1)
def points_of_body() -> RigidPoints:
    """MediaPipe's points of the reference signer."""
    return RigidPoints(*reference_body())


def posed(rotations: np.ndarray) -> tuple[Tensor, Tensor]:
    """World turns (T, J, 3, 3) and places (T, J, 3), metres, for a motion's rotations (T, J, 6)."""
    matrices = rotation_6d_to_matrix(torch.from_numpy(np.ascontiguousarray(rotations)).float())
    return forward_kinematics(*reference_body(), matrices, torch.zeros(len(matrices), 3))


@lru_cache(maxsize=1)
def at_rest() -> tuple[Tensor, Tensor]:
    """Turns and places of the reference pose, one frame."""
    body, rest = reference_body()
    return forward_kinematics(body, rest, torch.eye(3).expand(1, len(body.joints), 3, 3), torch.zeros(1, 3))
