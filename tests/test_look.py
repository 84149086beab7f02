"""The looks: camera, signers, styles, and what is seen in the pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stable_signer.body.keypoints import FACE_IDS, holistic
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body, axis_angle_to_matrix, matrix_to_rotation_6d
from stable_signer.body.skinning import Skin
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.camera import Camera
from stable_signer.pose2vid.figure import build_figure
from stable_signer.pose2vid.hair import CUTS
from stable_signer.pose2vid.mesh import MeshRenderer
from stable_signer.pose2vid.signers import SIGNERS, STYLES, linear, signer_card, style_card
from stable_signer.pose2vid.skeleton import SkeletonRenderer

SIZE = 128


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load()


@pytest.fixture(scope="module")
def maya(body: Body) -> MeshRenderer:
    return MeshRenderer(body, SIGNERS["maya"], STYLES["studio"], size=SIZE)


def still(body: Body, frames: int = 1, **actions: float) -> Motion:
    """Arms hanging, with some face actions."""
    turns = torch.zeros(len(body.joints), 3)
    for side, sign in (("R", 1), ("L", -1)):  # elbows at the sides, so that the hands are in the picture
        turns[body.index[f"upperarm01.{side}"]] = torch.tensor([0.0, -0.45 * sign, 0.0])
        turns[body.index[f"lowerarm01.{side}"]] = torch.tensor([-0.4, -0.2 * sign, 0.2 * sign])
    rotations = matrix_to_rotation_6d(axis_angle_to_matrix(turns)).expand(frames, -1, -1).numpy().copy()
    face = np.zeros((frames, 52), np.float32)
    for name, value in actions.items():
        face[:, body.face_index[name]] = value
    return Motion(rotations, face, np.zeros((frames, 3), np.float32))


def one(renderer: MeshRenderer | SkeletonRenderer, motion: Motion) -> np.ndarray:
    return next(iter(renderer.frames(motion)))


def test_every_body_has_a_card_and_every_card_is_complete(body: Body) -> None:
    assert {card.body for card in SIGNERS.values()} == set(body.signer_ids)
    for key, card in SIGNERS.items():
        assert card.id == key and card.description and "no real person" in card.origin
        assert card.hair.style in CUTS or card.hair.style == "bald"
        for colour in (card.skin, card.lips, card.eyes, card.brows, card.hair.colour, card.clothes.top):
            linear(colour)
    assert len(STYLES) >= 3
    for key, style in STYLES.items():
        assert style.id == key and style.description


def test_skin_stands_out_from_the_clothes() -> None:
    """Hands are read against the clothes: their luminances differ by a ratio of at least 2 (WCAG)."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    for card in SIGNERS.values():
        skin, top = (float(weights @ linear(c)) + 0.05 for c in (card.skin, card.clothes.top))
        assert max(skin, top) / min(skin, top) > 2, card.id


def test_unknown_names_are_one_sentence() -> None:
    with pytest.raises(StableSignerError, match="no signer 'nobody': use one of maya"):
        signer_card("nobody")
    with pytest.raises(StableSignerError, match="no style 'neon': choose one of studio"):
        style_card("neon")
    for colour in ("red", "#12", "#gggggg"):
        with pytest.raises(StableSignerError, match="is not a colour"):
            linear(colour)


def test_camera_frames_every_signer_alike(body: Body) -> None:
    for signer in body.signer_ids:
        rest = body.signer(signer)
        camera = Camera.of(body, signer, 512)
        crown = rest.vertices[rest.vertices[:, 2].argmax()]
        hips = rest.heads[0]
        top, bottom = camera.project(crown)[1], camera.project(hips)[1]
        assert 25 < top < 60 and 430 < bottom < 470
        assert abs(float(camera.project(hips)[0]) - 256) < 2


def test_signing_space_lies_in_the_picture(body: Body) -> None:
    for signer in body.signer_ids:
        camera = Camera.of(body, signer, 512)
        unit, hips = camera.height, camera.hips
        space = torch.tensor(
            [
                [x * unit, y * unit, hips + z * unit]
                for x in (-0.55, 0.55)
                for y in (-0.25, 0)
                for z in (0, 1.02)
            ]
        )
        pixels = camera.project(space)[:, :2]
        assert (pixels > 0).all() and (pixels < 512).all()


def test_a_camera_needs_a_size() -> None:
    with pytest.raises(StableSignerError, match="cannot see"):
        Camera(0)


@pytest.mark.parametrize("signer", SIGNERS)
def test_every_signer_is_drawn_large_on_a_plain_ground(body: Body, signer: str) -> None:
    renderer = MeshRenderer(body, SIGNERS[signer], STYLES["green"], size=SIZE)
    picture = one(renderer, still(body))
    assert picture.shape == (SIZE, SIZE, 3) and picture.dtype == np.uint8
    person = np.abs(picture.astype(int) - renderer.plain).max(-1) > 12
    assert person.mean() > 0.3
    assert person[:, SIZE // 2].sum() > 0.75 * SIZE  # from the crown to the lower edge
    assert not person[:2].any()  # no hair is cut off


@pytest.mark.parametrize("signer", ["maya", "ben", "theo"])
def test_no_wall_is_seen_between_the_legs(body: Body, signer: str) -> None:
    renderer = MeshRenderer(body, SIGNERS[signer], STYLES["studio"], 256)
    posed = renderer.figure.skin.pose_motion(still(body))
    triangle = renderer.samples(renderer.camera.project(posed.vertices[0]).numpy())[1]  # (512, 512) samples
    assert (triangle[-60:, 230:282] >= 0).all()  # below the hips, around the middle


def test_same_motion_same_pictures(body: Body, maya: MeshRenderer) -> None:
    motion = still(body, frames=10, jawOpen=0.5)
    first, second = list(maya.frames(motion)), list(maya.frames(motion))
    assert len(first) == 10
    assert all((a == b).all() for a, b in zip(first, second))
    assert (first[0] == first[9]).all()


def test_frames_stream(body: Body, maya: MeshRenderer) -> None:
    """The first picture comes before the last is made, and stopping early leaves nothing running."""
    frames = maya.frames(still(body, frames=2000))
    next(frames)
    frames.close()  # type: ignore[attr-defined]


def head_box(body: Body, camera: Camera) -> tuple[slice, slice]:
    eye = camera.project(body.signer("maya").heads[[body.index["eye.L"], body.index["eye.R"]]])
    middle, span = eye.mean(0), float(eye[0, 0] - eye[1, 0])
    x, y = int(middle[0]), int(middle[1])
    return slice(int(y - span), int(y + 0.4 * span)), slice(int(x - span), int(x + span))


@pytest.mark.parametrize("actions", [
    {"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0},
    {"browDownLeft": 1.0, "browDownRight": 1.0},
    {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
])  # fmt: skip
def test_brows_lids_and_gaze_are_seen(body: Body, actions: dict[str, float]) -> None:
    """The face's grammar is visible at 512: the part around the eyes clearly changes."""
    renderer = MeshRenderer(body, SIGNERS["maya"], STYLES["studio"], size=512)
    rows, columns = head_box(body, renderer.camera)
    neutral = one(renderer, still(body))[rows, columns].astype(int)
    moved = one(renderer, still(body, **actions))[rows, columns].astype(int)
    assert (np.abs(neutral - moved).max(-1) > 40).sum() >= 12


def test_the_open_mouth_is_dark_with_teeth(body: Body) -> None:
    renderer = MeshRenderer(body, SIGNERS["maya"], STYLES["studio"], size=512)
    motion = still(body, jawOpen=0.8)
    face = holistic(Skin(body, body.signer("maya")).pose_motion(motion), body).face
    lips = renderer.camera.project(face[0, [FACE_IDS.index(13), FACE_IDS.index(14)]]).numpy()
    column = round(float(lips[:, 0].mean()))
    gap = one(renderer, motion)[round(lips[0, 1]) : round(lips[1, 1]), column].astype(int).sum(-1)
    assert len(gap) > 5 and gap.min() < 200


def test_looks_lie_over_each_other(body: Body) -> None:
    """Joints projected with the camera fall on the person, in both looks."""
    card, motion = SIGNERS["leo"], still(body)
    mesh = MeshRenderer(body, card, STYLES["green"], size=256)
    lines = SkeletonRenderer(body, card, STYLES["green"], size=256)
    assert mesh.camera == lines.camera
    joints = Skin(body, body.signer(card.body)).pose_motion(motion).joints
    parts = ("upperarm01", "lowerarm01", "wrist", "finger2-1", "finger4-2")
    names = [f"{part}.{side}" for side in "LR" for part in parts]
    pixels = mesh.camera.project(joints[0, [body.index[n] for n in names]])[:, :2].numpy().astype(int)
    for renderer, near in ((mesh, 0), (lines, 2)):
        drawn = np.abs(one(renderer, motion).astype(int) - renderer.plain).max(-1) > 20
        for x, y in pixels:
            assert drawn[y - near : y + near + 1, x - near : x + near + 1].any()


def test_skeleton_pictures(body: Body) -> None:
    renderer = SkeletonRenderer(body, SIGNERS["maya"], STYLES["dark"], size=SIZE)
    pictures = list(renderer.frames(still(body, frames=3)))
    assert len(pictures) == 3 and pictures[0].dtype == np.uint8 and pictures[0].shape == (SIZE, SIZE, 3)
    assert (pictures[0] == pictures[2]).all()


def test_a_bald_signer_has_no_hair(body: Body) -> None:
    card = SIGNERS["omar"]
    full = build_figure(body, card)
    bald = build_figure(body, replace(card, hair=replace(card.hair, style="bald")))
    assert len(bald.triangles) < len(full.triangles)
