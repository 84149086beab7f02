"""The studio's lens: other cameras, depth of field, motion blur, and the pools of frames made through it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stable_signer.body.motion import FPS, Motion
from stable_signer.body.skeleton import Body, forward_kinematics, rotation_6d_to_matrix
from stable_signer.cli import main
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.camera import Camera
from stable_signer.pose2vid.control import COVERAGE, RIGHT_HAND, ControlFigure, controlled
from stable_signer.pose2vid.frames import MadeOf, lens_of
from stable_signer.pose2vid.lens import (
    APART,
    BOUND,
    INSTANTS,
    Lens,
    Lenses,
    defocused,
    instants,
    instants_needed,
    moved,
    wall_depth,
)
from stable_signer.pose2vid.shading import linear_light, toned
from stable_signer.pose2vid.signers import SIGNERS, STYLES
from stable_signer.pose2vid.soft_light import SoftLight
from stable_signer.pose2vid.studio import (
    LAMP,
    LAMPS,
    Appearance,
    Studio,
    StudioRenderer,
)

SIZE = 128
RIGHT_ARM = "upperarm01.R"


def still(frames: int = 2) -> Motion:
    """The reference pose."""
    rotations = np.tile(np.array([1, 0, 0, 0, 1, 0], np.float32), (frames, len(Body.load().joints), 1))
    return Motion(rotations, np.zeros((frames, 52), np.float32), np.zeros((frames, 3), np.float32), fps=FPS)


def swung(frames: int = 3, step: float = 0.3) -> Motion:
    """The right arm swings up and down beside the body by `step` radians a frame, all else is still."""
    motion = still(frames)
    joint = next(k for k, name in enumerate(Body.load().joints) if name == RIGHT_ARM)
    for frame in range(frames):
        c, s = math.cos(step * (frame - frames // 2)), math.sin(step * (frame - frames // 2))
        motion.rotations[frame, joint] = [c, 0, s, 0, 1, 0]  # about y, the way one looks
    return motion


def studio(lens: Lens | None = None, look: str = "natural", **style: object) -> Studio:
    appearance = Appearance(SIGNERS["maya"], replace(STYLES["studio"], **style), look)
    return Studio(Body.load(), appearance, SIZE, lens)


# --- the product's own camera ---


@pytest.mark.parametrize("look", ["natural", "soft"])
def test_without_a_lens_the_studio_is_what_its_parts_make(look: str) -> None:
    appearance = Appearance(SIGNERS["maya"], STYLES["studio"], look)
    renderer = StudioRenderer(Body.load(), appearance, SIZE)
    figure, light = ControlFigure.of(renderer), SoftLight.of(renderer, LAMPS.get(look, LAMP))
    own = studio(Lens(), look)
    assert own.renderer.camera == Camera.of(Body.load(), "maya", SIZE)
    whole = list(own.shots(swung()))
    for shot, (vertices, samples, maps) in zip(whole, controlled(renderer, figure, swung()), strict=True):
        picture = renderer.rendered(light.painted(renderer, vertices, *samples), *samples[1:])
        filled, bare = maps[COVERAGE] == 255, maps[COVERAGE] == 0
        assert np.array_equal(shot.maps, maps)
        most = 1 if look == "natural" else 4  # the bloom takes in the outline, which is not the same
        assert np.abs(shot.picture[filled].astype(int) - picture[filled]).max() <= most
        assert np.array_equal(shot.picture[bare], renderer.wall()[bare])
        assert np.array_equal(shot.figure[filled], shot.picture[filled])
        assert (shot.figure[bare] == 128).all()
    (one,) = own.shots(swung(), 1, 2)
    assert all(np.array_equal(a, b) for a, b in zip(one, whole[1], strict=True))


def test_a_lens_that_finds_nothing_to_blur_changes_nothing() -> None:
    plain, open_ = (next(studio(lens).shots(still())) for lens in (Lens(), Lens(shutter=1)))
    assert all(np.array_equal(a, b) for a, b in zip(plain, open_, strict=True))


def test_light_of_a_value_is_shown_as_that_value_again() -> None:
    tones = studio().renderer.tones
    light = linear_light(tones)
    assert (np.diff(light) > 0).all()
    assert np.array_equal(toned(light, tones), np.arange(256))
    mean = np.mean([light] * 7, axis=0, dtype=np.float32)
    assert np.array_equal(toned(mean, tones), np.arange(256))


# --- where the camera stands ---


def test_a_camera_to_the_signer_s_left_sees_the_nose_point_to_the_picture_s_left() -> None:
    body = Body.load()
    rest = body.signer("maya")
    motion = still(1)
    motion.root[:] = (0.1, -0.2, 0.05)
    for turn in (0.4, -0.7):
        lens = Lens(turn=turn)
        seen = lens.turned(motion)
        places = []
        for one in (motion, seen):
            six = rotation_6d_to_matrix(torch.from_numpy(one.rotations))
            places.append(forward_kinematics(body, rest, six, torch.from_numpy(one.root))[1][0].double())
        # the same joints as a camera sees them that has gone around the hips by `turn`, towards +x
        hips = rest.heads[0].double()
        ahead = torch.tensor([-math.sin(turn), math.cos(turn), 0], dtype=torch.float64)  # where it looks
        right = torch.tensor([math.cos(turn), math.sin(turn), 0], dtype=torch.float64)
        away = places[0] - hips
        expected = torch.stack([away @ right, away @ ahead, away[:, 2]], -1) + hips
        assert torch.allclose(places[1], expected, atol=1e-5)
        camera = lens.camera(body, "maya", SIZE)
        eye = next(k for k, name in enumerate(body.joints) if name.startswith("eye"))
        forward = places[1][eye] - places[1][body.index["head"]]  # the eyes are before the head's joint
        assert math.copysign(1, float(forward[0])) == -math.copysign(1, turn)
        assert camera == Camera.of(body, "maya", SIZE)


def test_zoom_keeps_the_middle_and_rise_moves_it() -> None:
    body = Body.load()
    plain = Camera.of(body, "maya", SIZE)
    _, y, z = plain.position
    near = Lens(zoom=1.25).camera(body, "maya", SIZE)
    assert near.position[2] == pytest.approx(z)
    assert near.position[1] == pytest.approx(y / 1.25)
    high = Lens(rise=0.07).camera(body, "maya", SIZE)
    assert high.position[2] == pytest.approx(z + 0.07)
    plane = torch.tensor([[0.1, y + plain.signing_depth, z], [0.1, y / 1.25 + near.signing_depth, z]])
    far_x, near_x = plain.project(plane[:1])[0, 0], near.project(plane[1:])[0, 0]
    assert float((near_x - 64) / (far_x - 64)) == pytest.approx(1.25)


def test_maps_and_picture_turn_together() -> None:
    lens = Lens(turn=0.5, zoom=1.2, rise=0.05)
    shot = next(studio(lens).shots(swung()))
    drawn = np.abs(shot.figure.astype(int) - 128).max(2) > 4
    covered = shot.maps[COVERAGE] > 128
    assert (drawn & covered).sum() > 0.97 * covered.sum()
    assert not (drawn & (shot.maps[COVERAGE] == 0)).any()


@settings(max_examples=60, deadline=None)
@given(
    st.floats(), st.floats(), st.floats(), st.floats(), st.floats()
)  # NaN and infinities are among them
def test_every_lens_is_either_in_range_or_refused(
    turn: float, zoom: float, rise: float, aperture: float, shutter: float
) -> None:
    finite = all(math.isfinite(x) for x in (turn, zoom, rise, aperture, shutter))
    if finite and zoom > 0 and aperture >= 0 and 0 <= shutter <= 1:
        assert Lens(turn, zoom, rise, aperture, shutter).blurs == (aperture > 0 or shutter > 0)
    else:
        with pytest.raises(StableSignerError, match=r"lens's (turn|zoom|rise|aperture|shutter) must be"):
            Lens(turn, zoom, rise, aperture, shutter)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 10**5), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_lenses_are_drawn_within_their_bounds(
    seed: int, number: int, cameras: float, aperture: float, shutter: float
) -> None:
    lens = lens_of(seed, number, Lenses(cameras, aperture, shutter))
    assert lens == lens_of(seed, number, Lenses(cameras, aperture, shutter))
    assert abs(lens.turn) <= math.radians(30) * cameras
    assert 1 - 0.2 * cameras - 1e-9 <= lens.zoom <= 1 + 0.3 * cameras + 1e-9
    assert abs(lens.rise) <= 0.1 * cameras + 1e-9
    assert 0 <= lens.aperture <= aperture
    assert 0 <= lens.shutter <= shutter
    assert lens_of(seed, number, Lenses()) == Lens()
    camera = lens.camera(Body.load(), "omar", SIZE)  # the tallest: the crown is not cut off
    crown = torch.tensor([[0.0, 0.0, Camera.of(Body.load(), "omar", 1).hips + 0.904]])
    assert float(camera.project(crown)[0, 1]) > -1


# --- depth of field ---

CAMERA = Camera(SIZE)


def point(depth: float) -> tuple[np.ndarray, np.ndarray]:
    """A layer that covers one pixel, in the middle, at a depth in metres."""
    layer, inverse = np.zeros((SIZE, SIZE, 4), np.float32), np.zeros((SIZE, SIZE), np.float32)
    layer[64, 64], inverse[64, 64] = (0.7, 0.5, 0.2, 1), 1 / depth
    return layer, inverse


def width(layer: np.ndarray) -> float:
    """Root mean square distance of the light from the middle, pixels."""
    share = layer[..., 3].astype(float) / layer[..., 3].sum()
    away = np.arange(SIZE) - 64
    return float(np.sqrt((share * (away[:, None] ** 2 + away[None] ** 2)).sum()))


def test_what_is_in_focus_stays_sharp() -> None:
    layer, inverse = point(CAMERA.signing_depth)
    assert np.array_equal(defocused(layer, inverse, CAMERA, 0.5), layer)
    rng = np.random.default_rng(0)
    full = rng.random((SIZE, SIZE, 4)).astype(np.float32)
    full[..., :3] *= full[..., 3:]
    depth = np.full((SIZE, SIZE), 1 / CAMERA.signing_depth, np.float32)
    depth[:, 100:] = 1 / (CAMERA.signing_depth - 0.5)  # something nearer beside it, blurred
    found = defocused(full, depth, CAMERA, 0.5)
    assert np.allclose(found[:, :80], full[:, :80], atol=2e-6)
    assert not np.allclose(found[:, 105:], full[:, 105:], atol=0.05)


def test_a_point_out_of_focus_is_a_disc_as_wide_as_the_thin_lens_says_and_its_light_is_kept() -> None:
    depth = CAMERA.signing_depth + 0.6
    for aperture in (0.2, 0.4):
        layer, inverse = point(depth)
        found = defocused(layer, inverse, CAMERA, aperture)
        radius = aperture * CAMERA.focal * (1 / CAMERA.signing_depth - 1 / depth) / 2
        assert 2 < radius < BOUND * SIZE * 3
        assert width(found) == pytest.approx(min(radius, BOUND * SIZE) / math.sqrt(2), rel=0.12)
        assert found.sum((0, 1)) == pytest.approx(layer.sum((0, 1)), rel=1e-5)
        assert found[..., 3].max() < 0.2


def test_blur_grows_with_the_aperture_and_is_bounded() -> None:
    layer, inverse = point(CAMERA.signing_depth + 0.3)
    apertures = (0.1, 0.15, 0.2, 0.25)
    widths = [width(defocused(layer, inverse, CAMERA, a)) for a in apertures]
    slopes = [w / a for w, a in zip(widths, apertures)]
    assert max(slopes) < 1.25 * min(slopes)  # in proportion, as far as pixels can show it
    assert widths == sorted(widths)
    huge = width(defocused(layer, inverse, CAMERA, 100.0))
    assert huge == width(defocused(layer, inverse, CAMERA, 1000.0))
    assert huge < BOUND * SIZE + 1


def plane_pair(front: float, behind: float) -> tuple[np.ndarray, np.ndarray]:
    """A red plane on the left at one depth before a green one everywhere at another, all covered."""
    layer, inverse = np.zeros((SIZE, SIZE, 4), np.float32), np.empty((SIZE, SIZE), np.float32)
    layer[..., 3] = 1
    layer[:, :64, 0] = layer[:, 64:, 1] = 1
    inverse[:, :64], inverse[:, 64:] = 1 / front, 1 / behind
    return layer, inverse


def test_a_blurred_plane_behind_does_not_spread_over_a_sharp_one_but_before_it_does() -> None:
    focus = CAMERA.signing_depth
    behind = defocused(*plane_pair(focus, focus + 1), CAMERA, 0.3)
    assert np.allclose(behind[:, :64], [1, 0, 0, 1], atol=1e-6)
    assert np.allclose(behind[:, 64:], [0, 1, 0, 1], atol=1e-6)
    before = defocused(*plane_pair(focus - 0.7, focus), CAMERA, 0.3)
    assert np.allclose(before[..., 3], 1, atol=1e-5)  # nobody can be seen through
    assert before[64, 64, 0] == pytest.approx(0.5, abs=0.15)
    assert (np.diff(before[64, 56:72, 0]) <= 1e-6).all()


def test_the_figure_s_edge_is_blurred_to_both_sides() -> None:
    layer, inverse = plane_pair(CAMERA.signing_depth + 0.8, 1)
    layer[:, 64:], inverse[:, 64:] = 0, 0
    share = defocused(layer, inverse, CAMERA, 0.3)[64, :, 3]
    assert ((share >= 0) & (share <= 1 + 1e-6)).all()
    assert (np.diff(share) <= 1e-5).all()
    assert share[61] < 0.95
    assert share[66] > 0.05
    assert share[63] + share[64] == pytest.approx(1, abs=1e-4)


def test_the_wall_is_out_of_focus_too_and_as_bright_as_before() -> None:
    assert wall_depth(CAMERA) > CAMERA.signing_depth + 0.5
    sharp, blurred = (studio(lens)._wall for lens in (Lens(), Lens(aperture=0.3)))
    assert np.array_equal(sharp, studio().renderer.wall())
    assert blurred.mean() == pytest.approx(sharp.mean(), abs=0.5)
    assert np.abs(blurred.astype(int) - sharp).max() <= 3


# --- motion blur ---


def test_instants_lie_in_the_open_shutter_around_the_frame_s_own() -> None:
    times = instants(0.6, 5)
    assert times == pytest.approx([-0.24, -0.12, 0, 0.12, 0.24])
    assert instants(0.6, 1) == pytest.approx([0])
    path = np.zeros((3, 2, 2))
    assert instants_needed(path, 512) == 1
    path[2, 1, 0] = 4 * APART * 512
    assert instants_needed(path, 512) == 4
    path[2, 1, 0] = 1e9
    assert instants_needed(path, 512) == INSTANTS


def test_a_motion_is_read_between_its_frames_by_slerp() -> None:
    motion = swung(3, 0.5)
    motion.face[:, 3], motion.root[:, 0] = (0, 0.5, 1), (0, 0.1, 0.2)
    assert np.allclose(moved(motion, np.arange(3.0)).rotations, motion.rotations, atol=1e-6)
    half = moved(motion, np.array([0.5, 1.25]))
    joint = Body.load().joints.index(RIGHT_ARM)
    c, s = np.cos([-0.25, 0.125]), np.sin([-0.25, 0.125])
    expected = np.stack([c, 0 * c, s, 0 * c, 1 + 0 * c, 0 * c], -1)
    assert np.allclose(half.rotations[:, joint], expected, atol=1e-6)
    assert np.allclose(half.face[:, 3], [0.25, 0.625])
    assert np.allclose(half.root[:, 0], [0.05, 0.125])


def test_a_moving_hand_smears_along_its_path_only() -> None:
    motion, sharp = swung(), studio()
    plain = next(sharp.shots(motion, 1, 2))
    blurred = next(studio(Lens(shutter=0.6)).shots(motion, 1, 2))
    assert np.array_equal(blurred.maps, plain.maps)  # maps are of the frame's instant
    swept = np.zeros((SIZE, SIZE), bool)
    for shot in sharp.shots(moved(motion, 1 + np.linspace(-0.3, 0.3, 25))):
        swept |= shot.maps[COVERAGE] > 0
    assert (blurred.figure[~swept] == 128).all()
    fresh = swept & (plain.maps[COVERAGE] == 0)
    assert (np.abs(blurred.figure[fresh].astype(int) - 128).max(1) > 8).mean() > 0.5
    hand = plain.maps[RIGHT_HAND] > 100
    assert np.abs(blurred.picture[hand].astype(int) - plain.picture[hand]).mean() > 5
    other = np.zeros((SIZE, SIZE), bool)
    other[:, 80:] = True  # the left arm, which is still, and no shadow of the right one falls there
    assert np.abs(blurred.picture[other].astype(int) - plain.picture[other]).max() <= 1


@pytest.mark.parametrize("lens", [Lens(), Lens(aperture=0.3, shutter=0.6)])
@pytest.mark.parametrize("look", ["natural", "cartoon"])
def test_no_trace_of_the_wall_is_left_in_the_figure(look: str, lens: Lens) -> None:
    light, dark = (
        next(studio(lens, look, background=(colour, colour)).shots(swung(), 1, 2))
        for colour in ("#f4f0e8", "#081020")
    )
    assert np.abs(light.figure.astype(int) - dark.figure).max() <= 1
    assert np.abs(light.picture.astype(int) - dark.picture).max() > 100


# --- recipes and pools ---


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("cameras = 1.5", "cameras must be between 0 and 1"),
        ("cameras = -0.1", "cameras must be between 0 and 1"),
        ("aperture = -1", "aperture must be a finite number"),
        ("aperture = inf", "aperture must be a finite number"),
        ("shutter = nan", "shutter must be between 0 and 1"),
        ("shutter = 2", "shutter must be between 0 and 1"),
        ('shutter = "half"', "shutter must be float"),
    ],
)
def test_a_recipe_s_bad_lens_is_refused_with_its_file_and_key(tmp_path: Path, line: str, says: str) -> None:
    from stable_signer.pose2vid.train import Pose2VidRecipe

    (tmp_path / "r.toml").write_text(line)
    with pytest.raises(StableSignerError, match=says) as error:
        Pose2VidRecipe.load(tmp_path / "r.toml")
    assert str(tmp_path / "r.toml") in str(error.value)


def test_a_recipe_without_a_lens_is_the_product_s_camera(tmp_path: Path) -> None:
    from stable_signer.pose2vid.train import Pose2VidRecipe

    (tmp_path / "r.toml").write_text("cameras = 1\naperture = 0.05\nshutter = 0.5\n")
    assert Pose2VidRecipe().made_of().lenses == Lenses()
    assert Pose2VidRecipe.load(tmp_path / "r.toml").made_of().lenses == Lenses(1.0, 0.05, 0.5)


def motions(path: Path, frames: int = 6) -> Path:
    piece = still(2 * frames)
    np.savez(
        path,
        rotations=piece.rotations.astype(np.float16),
        face=piece.face.astype(np.float16),
        root=piece.root.astype(np.float16),
        offsets=np.array([0, frames, 2 * frames]),
    )
    return path


def test_a_pool_says_what_it_is_made_of_and_is_that_wherever_the_motions_lie(tmp_path: Path) -> None:
    first = MadeOf(str(motions(tmp_path / "a.npz")), 1, 2, Lenses(shutter=0.5))
    pool = tmp_path / "pool"
    first.claim(pool)
    assert [p.name for p in pool.iterdir()] == ["pool.json"]
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes())
    replace(first, motions=str(tmp_path / "b.npz")).claim(pool)
    before = (pool / "pool.json").read_bytes()
    motions(tmp_path / "b.npz", 7)
    for other, says in (
        (replace(first, motions=str(tmp_path / "b.npz")), "other motions:"),
        (replace(first, seed=2, runs=3), "other seed, runs:"),
        (replace(first, lenses=Lenses(0.5, 0.1, 0.5)), "other cameras, aperture:"),
    ):
        with pytest.raises(StableSignerError, match=says):
            other.claim(pool)
    assert (pool / "pool.json").read_bytes() == before
    for torn in ("", "[1]", "{"):
        (pool / "pool.json").write_text(torn)
        with pytest.raises(StableSignerError, match="another --pool folder"):
            first.claim(pool)


@pytest.mark.parametrize("made", ["another", "untold"])
def test_a_pool_of_other_frames_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], made: str
) -> None:
    pytest.importorskip("accelerate")
    data, pool, output = motions(tmp_path / "motions.npz"), tmp_path / "pool", tmp_path / "run"
    if made == "another":
        MadeOf(str(data), 1, 2, Lenses()).claim(pool)
    else:
        pool.mkdir()
        (pool / "ready.bin").write_bytes(b"\1\1")
    before = {p.name: p.read_bytes() for p in pool.iterdir()}
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'motions = "{data}"\nruns = 2\nshutter = 0.5\n')
    code = main(["train", "pose2vid", "--config", str(recipe), "--output", str(output), "--pool", str(pool)])
    told = capsys.readouterr().err
    assert code == 2
    assert "give another --pool folder" in told
    assert ("other shutter" if made == "another" else "no pool.json") in told
    assert "Traceback" not in told
    assert {p.name: p.read_bytes() for p in pool.iterdir()} == before
    assert not output.exists()


def test_a_sitting_is_seen_through_its_lens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stable_signer.pose2vid import frames

    monkeypatch.setattr(frames, "SIZE", 64)
    data = str(motions(tmp_path / "motions.npz"))
    held = {}
    for name, lenses in (("plain", Lenses()), ("turned", Lenses(cameras=1.0, shutter=1.0))):
        made_of, folder = MadeOf(data, 1, 1, lenses), tmp_path / name
        made_of.claim(folder)
        pool = frames.FramePool(folder, 1)
        frames.render_sitting(str(folder), made_of, 0)
        assert pool.ready.all()
        held[name] = np.array(pool.maps[0]), np.array(pool.picture[0])
        told = json.loads((folder / "pool.json").read_text())
        assert told["cameras"] == lenses.cameras
    own = Studio(Body.load(), frames.appearance_of(1, 0), 64, lens_of(1, 0, Lenses(1.0, 0.0, 1.0)))
    shot = next(own.shots(still(1)))
    assert np.array_equal(shot.maps, held["turned"][0])
    assert np.array_equal(shot.figure, held["turned"][1])
    assert not np.array_equal(held["plain"][0], held["turned"][0])
