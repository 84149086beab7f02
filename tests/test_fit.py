"""Inverse kinematics: made-up movements are read back, bad landmarks refused in one sentence."""

import numpy as np
import pytest
import torch

from stable_signer.body import fit
from stable_signer.body.fit import DOFS, FACE17, Fitter, Landmarks, Targets, fit_holistic, fit_many
from stable_signer.body.keypoints import FACE_IDS, holistic
from stable_signer.body.skeleton import axis_angle_to_matrix, forward_kinematics, rotation_6d_to_matrix
from stable_signer.body.skinning import Skin
from stable_signer.errors import StableSignerError

SCALE = 600.0  # pixels a metre


@pytest.fixture(scope="module")
def fitter() -> Fitter:
    return fit.default_fitter()


def movement(fitter: Fitter, frames: int = 24) -> np.ndarray:
    """Both hands rise in front of the chest while the fingers close: (T, 2, 30)."""
    t = np.linspace(0, 1, frames)[:, None]
    dofs = np.zeros((frames, 2, DOFS))
    dofs[:, :, 2] = 0.1 + 0.2 * t
    dofs[:, :, 3] = 0.6 + 0.2 * t
    dofs[:, :, 5] = 0.9 + 0.3 * t
    dofs[:, :, 6] = -0.6
    dofs[:, :, 15::4] = (0.9 * t)[..., None]
    dofs[:, :, 16::4] = (1.1 * t)[..., None]
    dofs[:, :, 17::4] = (0.6 * t)[..., None]
    return dofs


def landmarks(fitter: Fitter, dofs: np.ndarray) -> Landmarks:
    """What an ideal detector would see of it: orthographic, 600 pixels a metre."""
    motion = fit.to_motion(fitter, dofs, np.zeros((len(dofs), 3)), np.zeros((len(dofs), 52)))
    points = holistic(Skin(fitter.body, fitter.rest).pose_motion(motion))

    def pixels(x: torch.Tensor) -> np.ndarray:
        y = x.numpy()
        return np.stack([400 + SCALE * y[..., 0], 600 - SCALE * y[..., 2], SCALE * y[..., 1]], -1)

    pose = pixels(points.pose)
    pose[..., 2] = 1.0
    face = pixels(points.face)[:, [FACE_IDS.index(i) for i in FACE17], :2]
    world = points.pose.numpy()[..., [0, 2, 1]] * [1, -1, 1]
    return Landmarks(pose, pixels(points.left_hand), pixels(points.right_hand), face, FACE17, world)


def test_jacobian_equals_finite_differences(fitter: Fitter) -> None:
    dofs = torch.rand(2, DOFS, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 0.5
    points, axes, origins, _ = fitter.limb.pose(dofs)
    jacobian = fitter.limb.jacobian(points, axes, origins)
    for d in range(DOFS):
        step = torch.zeros_like(dofs)
        step[:, d] = 1e-5
        slope = (fitter.limb.pose(dofs + step)[0] - fitter.limb.pose(dofs - step)[0]) / 2e-5
        torch.testing.assert_close(jacobian[..., d], slope, atol=1e-6, rtol=0)


def test_limb_is_the_skeleton(fitter: Fitter) -> None:
    dofs = movement(fitter, 3)
    motion = fit.to_motion(fitter, dofs, np.zeros((3, 3)), np.zeros((3, 52)))
    rotations = rotation_6d_to_matrix(torch.from_numpy(motion.rotations))
    _, joints = forward_kinematics(fitter.body, fitter.rest, rotations, torch.zeros(3, 3))
    for s, side in enumerate("RL"):
        points = fitter.limb.pose(torch.from_numpy(dofs[:, s]).float())[0] * torch.tensor([1.0 - 2 * s, 1, 1])
        for row, name in ((1, "lowerarm01"), (2, "wrist"), (9, "finger2-3")):
            expected = joints[:, fitter.body.index[f"{name}.{side}"]]
            torch.testing.assert_close(points[:, row], expected, atol=2e-3, rtol=0)


def solved(fitter: Fitter, dofs: np.ndarray) -> tuple[np.ndarray, Targets]:
    """Fit to the exact points of a movement."""
    sides = []
    for s in (0, 1):
        points = fitter.limb.pose(torch.from_numpy(dofs[:, s]).float())[0].numpy()
        on = np.ones(len(dofs), dtype=bool)
        sides.append(fit.SideTargets(points, np.ones((len(dofs), 23)), np.ones(len(dofs)), on, on))
    clip = Targets((sides[0], sides[1]), np.zeros((len(dofs), 3)), np.zeros((len(dofs), 52)), touches="")
    return fit.solve(fitter, [clip])[0], clip


def test_a_movement_is_found_again_from_its_points(fitter: Fitter) -> None:
    dofs = movement(fitter)
    found, clip = solved(fitter, dofs)
    assert np.nanmax(fit.measure(fitter, clip, found)) < 0.10  # palm lengths
    assert np.abs(found - dofs)[:, :, 15::4].mean() < 0.25
    low, high = fitter.limb.low.numpy(), fitter.limb.high.numpy()
    assert (found >= low - 1e-4).all() and (found <= high + 1e-4).all()


def test_a_rendered_movement_is_read_back(fitter: Fitter) -> None:
    result = fit_holistic(landmarks(fitter, movement(fitter)))
    assert len(result.motion) == 24 and result.motion.fps == 25
    assert result.tracked.all()
    assert np.nanmedian(result.error_palms) < 0.2
    closing = result.dofs[:, :, 16::4].mean((1, 2))
    assert closing[-3:].mean() - closing[:3].mean() > 0.5  # the fingers close


def test_mirrored_landmarks_give_the_mirrored_motion(fitter: Fitter) -> None:
    dofs = movement(fitter)
    dofs[:, 1] = fit.REST_DOFS
    marks = landmarks(fitter, dofs)
    marks.left_hand[:] = np.nan
    mirror = marks.mirrored()
    np.testing.assert_allclose(mirror.mirrored().pose, marks.pose, equal_nan=True)
    assert np.isnan(mirror.right_hand).all() and np.isfinite(mirror.left_hand).all()
    a, b = (fit_many(fitter, [fitter.prepare(m)])[0] for m in (marks, mirror))
    np.testing.assert_allclose(a.dofs[:, 0], b.dofs[:, 1], atol=0.12)


def test_gaps_are_filled_and_the_rate_becomes_25(fitter: Fitter) -> None:
    marks = landmarks(fitter, movement(fitter, 48))
    marks.right_hand[20:26] = np.nan
    fast = Landmarks(marks.pose, marks.left_hand, marks.right_hand, marks.face, FACE17, marks.world, fps=50.0)
    result = fit_holistic(fast)
    assert len(result.motion) == 24
    assert np.isfinite(result.motion.rotations).all()
    assert np.abs(np.diff(result.dofs[:, 0], axis=0)).max() < 0.5  # no jump at the gap
    assert not result.tracked[11, 0] and result.tracked[:8].all()


def test_known_handshape_wins_where_it_cannot_be_seen(fitter: Fitter) -> None:
    fist = np.zeros(DOFS - 9)
    fist[6::4], fist[7::4], fist[8::4] = 1.2, 1.4, 0.9
    dofs = np.tile(np.concatenate([movement(fitter, 1)[0, 0, :9], fist]), (10, 2, 1))
    _, clip = solved(fitter, dofs)
    for side in clip.sides:
        side.weight[:, 2 + 5:] *= 0.02
    clip.handshapes = (fit.KnownHandshape(fist), None)
    found = fit.solve(fitter, [clip])[0]
    miss = np.abs(found - dofs)[:, :, 15::4].mean((0, 2))
    assert miss[0] < 0.1 and miss[0] <= miss[1]


def test_stroke_leaves_arrival_and_departure_out(fitter: Fitter) -> None:
    frames = 60
    times, heights = [0, 8, 18, 26, 34, 42, 52, 59], [0.1, 0.1, 0.5, 0.5, 0.55, 0.5, 0.1, 0.1]
    wrist = np.interp(np.arange(frames), times, heights)
    points = np.zeros((frames, 23, 3))
    points[:, 2:, 2] = wrist[:, None]
    high = wrist > 0.31
    right = fit.SideTargets(points, np.ones((frames, 23)), np.ones(frames), high, high)
    none = np.zeros(frames, dtype=bool)
    left = fit.SideTargets(np.zeros((frames, 23, 3)), np.zeros((frames, 23)), np.zeros(frames), none, none)
    part = fit.stroke(Targets((right, left), np.zeros((frames, 3)), np.zeros((frames, 52))))
    assert 14 <= part.start <= 22 and 40 <= part.stop <= 47


def test_without_person_or_hands_or_frames_one_clear_sentence(fitter: Fitter) -> None:
    marks = landmarks(fitter, movement(fitter, 4))
    nobody = Landmarks(np.full_like(marks.pose, np.nan), marks.left_hand, marks.right_hand, marks.face)
    with pytest.raises(StableSignerError, match="no person in the landmarks"):
        fit_holistic(nobody)
    gone = np.full_like(marks.left_hand, np.nan)
    with pytest.raises(StableSignerError, match="no hands in the landmarks"):
        fit_holistic(Landmarks(marks.pose, gone, gone, marks.face))
    with pytest.raises(StableSignerError, match="no frames"):
        fit_holistic(marks[0:0])
    pose = marks.pose.copy()
    pose[:, 11] = pose[:, 12]
    with pytest.raises(StableSignerError, match="on one spot"):
        fit_holistic(Landmarks(pose, marks.left_hand, marks.right_hand, marks.face))


def test_a_face_is_read_modestly(fitter: Fitter) -> None:
    dofs = movement(fitter, 30)
    marks = landmarks(fitter, dofs)
    open_mouth = slice(10, 20)
    marks.face[open_mouth, FACE17.index(14), 1] += 0.02 * SCALE
    marks.face[open_mouth, FACE17.index(17), 1] += 0.02 * SCALE
    result = fit_holistic(marks)
    jaw = result.motion.face[:, fitter.body.face_index["jawOpen"]]
    assert 0.2 < jaw[15] <= 0.65 and jaw[3] < 0.1
    assert np.abs(result.head).max() < 0.15


def test_head_turn_is_found(fitter: Fitter) -> None:
    frames = 30
    head = np.zeros((frames, 3))
    head[10:20, 2] = 0.35  # to the signer's left
    motion = fit.to_motion(fitter, movement(fitter, frames), head, np.zeros((frames, 52)))
    marks = landmarks(fitter, movement(fitter, frames))
    points = holistic(Skin(fitter.body, fitter.rest).pose_motion(motion)).face.numpy()
    rows = [FACE_IDS.index(i) for i in FACE17]
    marks.face[:] = np.stack([400 + SCALE * points[:, rows, 0], 600 - SCALE * points[:, rows, 2]], -1)
    found = fit_holistic(marks).head
    assert 0.12 < found[15, 2] < 0.45 and abs(found[3, 2]) < 0.1
    assert np.abs(found[15, :2]).max() < 0.15


def test_rotation_vectors_agree_with_the_skeleton() -> None:
    vectors = np.array([[0.1, -0.2, 0.3]])
    expected = axis_angle_to_matrix(torch.from_numpy(vectors))
    np.testing.assert_allclose(fit._rotvec(vectors), expected.numpy())
