"""Inverse kinematics of the arms: reached targets, limits, continuity, and the way to another signer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stable_signer.body import ik
from stable_signer.body.skeleton import Body, forward_kinematics
from stable_signer.body.skinning import Skin
from stable_signer.errors import StableSignerError

BODY = Body.load()
COUNT = len(BODY.joints)


def posed(signer: str, side: str, chain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Full rotations (T, J, 3, 3) with this arm, and the joints' places (T, J, 3)."""
    rotations = np.tile(np.eye(3), (len(chain), COUNT, 1, 1))
    rotations[:, list(ik.arm_geometry(BODY, BODY.signer(signer), side).joints)] = chain
    _, places = forward_kinematics(
        BODY,
        BODY.signer(signer),
        torch.from_numpy(rotations),
        torch.zeros(len(chain), 3, dtype=torch.float64),
    )
    return rotations, places.numpy()


unit_vectors = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.2)


@given(
    side=st.sampled_from("RL"),
    signer=st.sampled_from(BODY.signer_ids),
    across=st.floats(-0.25, 0.45),
    ahead=st.floats(0.4, 0.75),
    up=st.floats(-0.6, 0.5),
    normal=unit_vectors,
    fingers=unit_vectors,
)
@settings(max_examples=60, deadline=None)
def test_reachable_wrists_are_reached_within_a_millimetre_and_limits_hold(
    side: str, signer: str, across: float, ahead: float, up: float, normal: tuple, fingers: tuple
) -> None:
    g = ik.arm_geometry(BODY, BODY.signer(signer), side)
    reach = g.upper_length + g.fore_length
    away = np.array([-g.sign * across, -ahead, up])
    away *= min(1.0, 0.9 / np.linalg.norm(away)) * reach
    shoulder = ik.reference_joints(BODY, BODY.signer(signer))[g.joints[2]]
    wrist = (shoulder + away)[None]
    if np.linalg.norm(np.cross(normal, fingers)) < 0.05:
        normal = (normal[1] + 0.5, normal[2], normal[0])
    palm = ik.palm_frame(np.array([normal]), np.array([fingers]))
    chain = ik.solve_arm(BODY, BODY.signer(signer), side, wrist, palm)
    rotations, places = posed(signer, side, chain)
    assert np.linalg.norm(places[0, g.joints[6]] - wrist[0]) < 1e-3
    assert np.allclose(chain @ np.swapaxes(chain, -1, -2), np.eye(3), atol=1e-9)
    vector = ik.rotation_vector(chain[:, 6])
    flexion, deviation = (vector @ axis for axis in g.wrist_axes)
    assert ik.WRIST_FLEXION[0] - 1e-6 <= flexion[0] <= ik.WRIST_FLEXION[1] + 1e-6
    assert ik.WRIST_DEVIATION[0] - 1e-6 <= deviation[0] <= ik.WRIST_DEVIATION[1] + 1e-6
    back = ik.arm_targets(BODY, BODY.signer(signer), side, rotations)
    assert np.linalg.norm(back.wrist - wrist) < 1e-3


def test_a_comfortable_palm_is_held_and_comes_back() -> None:
    rest = BODY.signer("maya")
    wrist = np.array([[-0.2, -0.3, 0.45]])
    palm = ik.palm_frame(np.array([[0.3, -0.9, 0.0]]), np.array([[0.0, 0.0, 1.0]]))
    rotations, _ = posed("maya", "R", ik.solve_arm(BODY, rest, "R", wrist, palm))
    back = ik.arm_targets(BODY, rest, "R", rotations)
    off = np.degrees(np.linalg.norm(ik.rotation_vector(np.swapaxes(back.palm, -1, -2) @ palm)))
    assert off < 3.0
    again = ik.solve_arm(BODY, rest, "R", back.wrist, back.palm, swivel=back.swivel)
    joints = list(ik.arm_geometry(BODY, rest, "R").joints)
    assert np.abs(again - rotations[:, joints]).max() < 5e-3


def test_left_arm_mirrors_the_right() -> None:
    rest, flip = BODY.signer("maya"), np.array([-1.0, 1.0, 1.0])
    wrist = np.array([[-0.1, -0.35, 0.5], [0.05, -0.3, 0.3]])
    normal, fingers = np.array([[0.5, -0.8, 0.0]] * 2), np.array([[0.3, -0.2, 0.9]] * 2)
    right = ik.solve_arm(BODY, rest, "R", wrist, ik.palm_frame(normal, fingers))
    left = ik.solve_arm(BODY, rest, "L", wrist * flip, ik.palm_frame(normal * flip, fingers * flip))
    assert np.abs(left - right * flip[:, None] * flip).max() < 1e-4


def test_out_of_reach_is_clamped_towards_the_target() -> None:
    rest = BODY.signer("maya")
    wrist = np.array([[-0.2, -3.0, 0.6], [-0.166, -0.04, 0.571]])
    palm = ik.palm_frame(np.array([[0.0, -1.0, 0.0]] * 2), np.array([[0.0, 0.0, 1.0]] * 2))
    chain = ik.solve_arm(BODY, rest, "R", wrist, palm)
    assert np.isfinite(chain).all()
    _, places = posed("maya", "R", chain)
    g = ik.arm_geometry(BODY, rest, "R")
    arm = np.linalg.norm(places[:, g.joints[6]] - places[:, g.joints[2]], axis=1)
    assert arm[0] < g.upper_length + g.fore_length
    assert arm[1] > 0.05


def test_the_arm_moves_smoothly_with_its_target() -> None:
    rest = BODY.signer("maya")
    x = np.linspace(0, 1, 400)[:, None]
    wrist = np.array([-0.30, -0.30, 0.25]) * (1 - x) + np.array([0.05, -0.30, 0.70]) * x
    normal = np.array([0.0, -1.0, 0.1]) * (1 - x) + np.array([0.6, 0.6, 0.0]) * x
    palm = ik.palm_frame(normal, np.broadcast_to([0.1, -0.2, 1.0], (400, 3)))
    chain = ik.solve_arm(BODY, rest, "R", wrist, palm)
    step = np.linalg.norm(ik.rotation_vector(np.swapaxes(chain[:-1], -1, -2) @ chain[1:]), axis=-1)
    assert np.degrees(step.max()) < 4.0


def test_bad_targets_are_refused() -> None:
    rest, palm = BODY.signer("maya"), np.eye(3)[None]
    with pytest.raises(StableSignerError, match="not finite"):
        ik.solve_arm(BODY, rest, "R", np.array([[np.nan, 0, 0]]), palm)
    with pytest.raises(StableSignerError, match="shapes"):
        ik.solve_arm(BODY, rest, "R", np.zeros((2, 3)), palm)
    with pytest.raises(StableSignerError, match="no arm"):
        ik.solve_arm(BODY, rest, "B", np.zeros((1, 3)), palm)


def surface(signer: str) -> np.ndarray:
    """(V, 3) skin in the reference pose."""
    skin = Skin(BODY, BODY.signer(signer))
    return (
        skin.pose(torch.eye(3).repeat(1, COUNT, 1, 1), torch.zeros(1, 52), torch.zeros(1, 3))
        .vertices[0]
        .numpy()
    )


def test_retargeting_keeps_the_chin_at_the_chin() -> None:
    source = BODY.signer("maya")
    chin = np.array([0.0, -0.180, 0.724])
    palm = ik.palm_frame(np.array([[0.2, 0.9, 0.0]]), np.array([[0.3, 0.3, 0.9]]))
    wrist = chin - palm[0] @ np.array([0.0, 0.175, 0.01])  # middle fingertip at the chin
    rotations, _ = posed("maya", "R", ik.solve_arm(BODY, source, "R", wrist[None], palm))
    root = np.zeros((1, 3))
    skin = surface("maya")
    near = np.flatnonzero((np.abs(skin[:, 0]) < 0.008) & (np.abs(skin[:, 2] - chin[2]) < 0.008))
    vertex = int(near[skin[near, 1].argmin()])  # the foremost there, not the inside of the mouth
    tip = BODY.index["finger3-3.R"]

    def gap(signer: str, pose: np.ndarray) -> np.ndarray:
        rest = BODY.signer(signer)
        _, places = forward_kinematics(
            BODY, rest, torch.from_numpy(pose), torch.zeros(1, 3, dtype=torch.float64)
        )
        return places[0, tip].numpy() - surface(signer)[vertex]

    for signer in BODY.signer_ids:
        moved = ik.retarget_arms(BODY, source, BODY.signer(signer), rotations, root)
        naive = np.linalg.norm(gap(signer, rotations) - gap("maya", rotations))
        kept = np.linalg.norm(gap(signer, moved) - gap("maya", rotations))
        assert kept < max(0.012, 0.5 * naive), (signer, kept, naive)


def test_retargeting_keeps_hands_together() -> None:
    source = BODY.signer("maya")
    left = ik.palm_frame(np.array([[-1.0, 0.0, 0.0]]), np.array([[0.0, -0.3, 0.9]]))
    right = ik.palm_frame(np.array([[0.0, 0.0, -1.0]]), np.array([[1.0, -0.2, 0.0]]))
    chain = ik.solve_arm(BODY, source, "L", np.array([[0.06, -0.3, 0.30]]), left)
    rotations, places = posed("maya", "L", chain)
    tip = places[0, BODY.index["finger3-3.L"]]
    chain = ik.solve_arm(BODY, source, "R", (tip - right[0] @ np.array([0.0, 0.08, 0.03]))[None], right)
    rotations[:, list(ik.arm_geometry(BODY, source, "R").joints)] = chain

    def between(signer: str, pose: np.ndarray) -> np.ndarray:
        root = torch.zeros(1, 3, dtype=torch.float64)
        at = forward_kinematics(BODY, BODY.signer(signer), torch.from_numpy(pose), root)[1][0].numpy()
        return at[BODY.index["finger3-1.R"]] - at[BODY.index["finger3-3.L"]]

    for signer in BODY.signer_ids:
        moved = ik.retarget_arms(BODY, source, BODY.signer(signer), rotations, np.zeros((1, 3)))
        assert np.linalg.norm(between(signer, moved) - between("maya", rotations)) < 0.015, signer
