"""The body: kinematics and skinning against anny, and properties of rotations."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stable_signer.body.skeleton import (
    Body,
    axis_angle_to_matrix,
    forward_kinematics,
    matrix_to_rotation_6d,
    rotation_6d_to_matrix,
)
from stable_signer.body.skinning import Skin
from stable_signer.errors import StableSignerError

REFERENCE = Path(__file__).parent / "data" / "anny_reference.npz"


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load()


def test_posed_vertices_equal_annys_for_every_signer(body: Body) -> None:
    with np.load(REFERENCE) as reference:
        assert tuple(reference["signers"]) == body.signer_ids
        for i, signer in enumerate(body.signer_ids):
            rotations = axis_angle_to_matrix(torch.from_numpy(reference["axis_angle"][i]))[None]
            face = torch.from_numpy(reference["face"][i])[None]
            root = torch.from_numpy(reference["root"][i])[None]
            posed = Skin(body, body.signer(signer)).pose(rotations, face, root)
            np.testing.assert_allclose(posed.joints[0].numpy(), reference["heads"][i], atol=1e-5)
            np.testing.assert_allclose(posed.vertices[0, ::20].numpy(), reference["vertices"][i], atol=1e-5)


def test_unknown_signer_is_one_sentence(body: Body) -> None:
    with pytest.raises(StableSignerError, match="no signer 'nobody': choose one of maya"):
        body.signer("nobody")


def test_mirror_indices_are_involutions(body: Body) -> None:
    for index in (body.mirror_index(), body.face_mirror_index()):
        assert [index[i] for i in index] == list(range(len(index)))


def test_kinematics_is_differentiable(body: Body) -> None:
    angles = torch.zeros(1, len(body.joints), 3, requires_grad=True)
    _, joints = forward_kinematics(body, body.signer("maya"), axis_angle_to_matrix(angles), torch.zeros(1, 3))
    joints[0, body.index["finger2-3.R"]].sum().backward()
    assert angles.grad is not None
    assert angles.grad[0, body.index["upperarm01.R"]].abs().sum() > 0
    assert angles.grad[0, body.index["upperarm01.L"]].abs().sum() == 0


@settings(deadline=None)  # the first call loads torch's kernels
@given(hnp.arrays(np.float64, (3,), elements=st.floats(-6, 6)))
def test_rotation_forms_agree(vector: np.ndarray) -> None:
    matrix = axis_angle_to_matrix(torch.from_numpy(vector))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        rotation_6d_to_matrix(matrix_to_rotation_6d(matrix)), matrix, atol=1e-6, rtol=0
    )
