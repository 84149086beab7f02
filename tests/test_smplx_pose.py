"""SMPL-X rotations on our skeleton: the T-pose, a bent elbow, a turned head, and what is refused."""

import numpy as np
import pytest
import torch

from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body, forward_kinematics, rotation_6d_to_matrix
from stable_signer.body.smplx_pose import PARAMETERS, from_smplx
from stable_signer.errors import StableSignerError

LEFT_ELBOW, HEAD = 3 + 3 * 17, 3 + 3 * 14  # where their three numbers begin


def joints(motion: Motion) -> dict[str, np.ndarray]:
    body = Body.load()
    matrices = rotation_6d_to_matrix(torch.from_numpy(motion.rotations))
    _, places = forward_kinematics(body, body.signer("maya"), matrices, torch.from_numpy(motion.root))
    return {name: places[:, i].numpy() for i, name in enumerate(body.joints)}


def test_zeros_are_the_t_pose() -> None:
    at = joints(from_smplx(np.zeros((2, PARAMETERS))))
    for side, x in (("L", 1), ("R", -1)):
        arm = at[f"wrist.{side}"] - at[f"upperarm01.{side}"]
        assert np.allclose(arm / np.linalg.norm(arm, axis=1, keepdims=True), [x, 0, 0], atol=0.02)
        thumb = at[f"finger1-2.{side}"] - at[f"wrist.{side}"]
        assert (thumb[:, 1] < -0.01).all()  # palms down, thumbs to the front


def test_fingers_at_rest_bend_into_the_palm() -> None:
    at = joints(from_smplx(np.zeros((1, PARAMETERS))))
    for side in "LR":  # palms down: into the palm is down
        for finger in range(2, 6):
            assert at[f"finger{finger}-3.{side}"][0, 2] < at[f"finger{finger}-1.{side}"][0, 2] - 0.01


def test_an_elbow_bends_forwards_and_carries_the_hand() -> None:
    pose = np.zeros((1, PARAMETERS))
    pose[0, LEFT_ELBOW + 1] = -np.pi / 2  # about SMPL-X's y, which is up
    at = joints(from_smplx(pose))
    fore = (at["wrist.L"] - at["lowerarm01.L"])[0]
    assert np.allclose(fore / np.linalg.norm(fore), [0, -1, 0], atol=0.02)
    straight = joints(from_smplx(np.zeros((1, PARAMETERS))))
    assert np.allclose(at["wrist.R"], straight["wrist.R"], atol=1e-5)


def test_a_turned_head_turns_to_the_same_side() -> None:
    pose = np.zeros((1, PARAMETERS))
    pose[0, HEAD + 1] = 0.5
    at = joints(from_smplx(pose))
    assert at["eye.L"][0, 1] > at["eye.R"][0, 1]  # to the signer's left: the left eye goes back


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.zeros((3, 100)), r"must be \(T, 182\)"), (np.zeros((0, PARAMETERS)), r"must be \(T, 182\)"),
     (np.full((2, PARAMETERS), np.nan), "gaps")],
)  # fmt: skip
def test_what_is_no_pose_is_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(StableSignerError, match=message):
        from_smplx(values)
