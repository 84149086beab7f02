"""Keypoints: MediaPipe's points on our body."""

import pytest
import torch

from stable_signer.body.keypoints import FACE_IDS, RigidPoints, holistic
from stable_signer.body.skeleton import Body, axis_angle_to_matrix, forward_kinematics
from stable_signer.body.skinning import Skin


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load()


def posed(body: Body, signer: str, angle: float = 0.0):
    angles = torch.zeros(2, len(body.joints), 3)
    angles[:, :, 0] = angle
    skin = Skin(body, body.signer(signer))
    return skin.pose(axis_angle_to_matrix(angles), torch.zeros(2, 52), torch.zeros(2, 3))


def test_shapes_sides_and_heights_for_every_signer(body: Body) -> None:
    for signer in body.signer_ids:
        points = holistic(posed(body, signer))
        assert points.pose.shape == (2, 33, 3) and points.face.shape == (2, len(FACE_IDS), 3)
        assert torch.isfinite(points.pose).all()
        # the signer faces -y: left is +x, right is -x
        for left, right in ((2, 5), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16), (23, 24), (31, 32)):
            assert points.pose[0, left, 0] > 0.01 and points.pose[0, right, 0] < -0.01
            torch.testing.assert_close(points.pose[0, left] * torch.tensor([-1, 1, 1]), points.pose[0, right],
                                       atol=5e-3, rtol=0)
        assert (points.left_hand[..., 0] > 0.2).all() and (points.right_hand[..., 0] < -0.2).all()
        down = [float(points.face[0, FACE_IDS.index(i), 2]) for i in (10, 105, 159, 145, 1, 0, 13, 17, 152)]
        assert down == sorted(down, reverse=True)  # forehead to chin
        assert points.face[0, FACE_IDS.index(1), 1] == points.face[0, :, 1].min()  # the nose is foremost


def test_finger_bones_have_the_lengths_of_fingers(body: Body) -> None:
    for hand in (holistic(posed(body, "maya")).left_hand, holistic(posed(body, "maya")).right_hand):
        for tip in (4, 8, 12, 16, 20):
            assert 0.015 < float((hand[0, tip] - hand[0, tip - 1]).norm()) < 0.04


def test_joints_alone_give_the_same_points(body: Body) -> None:
    rest = body.signer("ben")
    angles = 0.3 * torch.randn(3, len(body.joints), 3, generator=torch.Generator().manual_seed(0))
    rotations = axis_angle_to_matrix(angles)
    turns, joints = forward_kinematics(body, rest, rotations, torch.zeros(3, 3))
    full = holistic(Skin(body, rest).pose(rotations, torch.zeros(3, 52), torch.zeros(3, 3)))
    rigid = RigidPoints(body, rest)
    torch.testing.assert_close(rigid.hand(turns, joints, "L"), full.left_hand, atol=5e-4, rtol=0)
    torch.testing.assert_close(rigid.hand(turns, joints, "R"), full.right_hand, atol=5e-4, rtol=0)
    assert (rigid.face(turns, joints) - full.face).norm(dim=-1).median() < 1e-3


def test_the_face_moves_with_its_actions_and_gradients_flow(body: Body) -> None:
    skin = Skin(body, body.signer("maya"))
    face = torch.zeros(1, 52)
    face[0, body.face_index["jawOpen"]] = 1
    face.requires_grad_()
    eye = torch.eye(3).expand(1, len(body.joints), 3, 3)
    points = holistic(skin.pose(eye, face, torch.zeros(1, 3)))
    upper, lower = points.face[0, FACE_IDS.index(13)], points.face[0, FACE_IDS.index(14)]
    assert (upper - lower)[2] > 0.02
    lower[2].backward()
    assert face.grad is not None and face.grad[0, body.face_index["jawOpen"]] < 0
