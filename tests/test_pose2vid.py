"""Pose2Vid: control maps, the studio's looks, the networks, their files, the renderer and the commands."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from stable_signer import StableSigner
from stable_signer.body.motion import FPS, Motion
from stable_signer.body.skeleton import Body
from stable_signer.cli import app
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.control import (
    ALBEDO,
    CHANNELS,
    COVERAGE,
    FACE,
    LEFT_HAND,
    PART,
    PART_CODES,
    PARTS,
    RIGHT_HAND,
    ControlFigure,
    control_maps,
    controlled,
)
from stable_signer.pose2vid.framing import hands_outside
from stable_signer.pose2vid.likeness import boxes, flicker, psnr, ssim
from stable_signer.pose2vid.mesh import MeshRenderer
from stable_signer.pose2vid.shading import linear_light, tone_curve, toned
from stable_signer.pose2vid.signers import SIGNERS, STYLES
from stable_signer.pose2vid.studio import (
    GROUPS,
    RENDERINGS,
    VECTOR,
    Appearance,
    Studio,
    StudioRenderer,
    mixed,
    outlines,
    random_appearance,
)

SIZE = 96


def still(frames: int = 2) -> Motion:
    """The reference pose, the hips moving a little to the side."""
    body = Body.load()
    rotations = np.tile(np.array([1, 0, 0, 0, 1, 0], np.float32), (frames, len(body.joints), 1))
    root = np.zeros((frames, 3), np.float32)
    root[:, 0] = 0.01 * np.arange(frames)
    return Motion(rotations, np.zeros((frames, 52), np.float32), root, fps=FPS)


def mapped(size: int = SIZE, signer: str = "maya") -> tuple[MeshRenderer, ControlFigure, np.ndarray]:
    body = Body.load()
    renderer = MeshRenderer(body, SIGNERS[signer], STYLES["studio"], size)
    figure = ControlFigure.of(renderer)
    return renderer, figure, np.stack([maps for _, _, maps in controlled(renderer, figure, still())])


@pytest.mark.parametrize("signer", ["maya", "amara"])  # straight hair and curls
def test_the_kernel_and_the_torch_definition_make_the_same_maps(signer: str) -> None:
    renderer, figure, maps = mapped(signer=signer)
    posed = renderer.figure.skin.pose_motion(still())
    points = torch.from_numpy(figure.keypoints(posed, renderer.camera))
    other = control_maps(figure, renderer.camera, posed.vertices, points).numpy()
    apart = np.abs(maps.astype(int) - other)
    assert maps.shape == (2, CHANNELS, SIZE, SIZE)
    assert (apart > 2).mean() < 1e-3
    code = PART_CODES[PARTS.index("hair"), :, None, None]
    hair = maps[0, ALBEDO][(maps[0, PART : PART + 3] == code).all(0)]
    assert len(np.unique(hair)) > 3  # it has strands


def test_every_finger_has_a_code_of_its_own_and_the_figure_is_covered() -> None:
    _, figure, maps = mapped(192)
    assert len({tuple(code) for code in PART_CODES.tolist()}) == len(PARTS)
    shown = {PARTS[i] for i in np.unique(figure.label)}
    assert {f"finger{f}.{side}" for f in range(1, 6) for side in "RL"} <= shown
    assert {"hair", "eye", "head", "clothes", "sleeve"} <= shown
    assert 0.1 < (maps[0, COVERAGE] > 0).mean() < 0.7
    outside = maps[0, COVERAGE] == 0
    assert not maps[0, 1:RIGHT_HAND, outside].any()


def test_heat_lies_where_the_hands_and_the_face_are() -> None:
    renderer, figure, maps = mapped(192)
    posed = renderer.figure.skin.pose_motion(still())
    points = figure.keypoints(posed, renderer.camera)[0]
    for channel, group in ((RIGHT_HAND, points[:21]), (LEFT_HAND, points[21:42]), (FACE, points[42:])):
        inside = group[((group >= 1) & (group < 191)).all(1)].astype(int)
        assert all(maps[0, channel, y, x] > 120 for x, y in inside)
        assert (maps[0, channel] > 0).mean() < 0.2


def test_a_hand_that_leaves_the_picture_is_told_with_its_time() -> None:
    signer = StableSigner.from_pretrained(planner="rules", motion="prior")
    motion = signer.motion(signer.plan("Yes."))
    assert hands_outside(motion, Body.load()) == []
    motion.root[5:8, 0] -= 0.5  # the signer's right, the picture's left
    found = [one for one in hands_outside(motion, Body.load()) if one.hand == "right"]
    assert [(one.start, one.end) for one in found] == [(5 / FPS, 8 / FPS)]
    assert str(found[0]) == "the right hand leaves the picture from 0.20 to 0.32 s"


def test_appearance_vectors_mix_and_bad_mixtures_are_refused() -> None:
    a, b = (Appearance(SIGNERS[name], STYLES["studio"]).vector() for name in ("maya", "ben"))
    assert len(a) == VECTOR == sum(GROUPS.values())
    np.testing.assert_allclose(mixed([(a, 3.0), (b, 1.0)]), 0.75 * a + 0.25 * b, rtol=1e-5, atol=1e-6)
    for shares in ([], [(a, 0.0)], [(a, 1.0), (b, -0.5)]):
        with pytest.raises(StableSignerError, match="positive shares"):
            mixed(shares)
    with pytest.raises(StableSignerError, match="choose one of natural"):
        Appearance(SIGNERS["maya"], STYLES["studio"], "oil")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_random_appearance_has_a_finite_vector(seed: int) -> None:
    vector = random_appearance(np.random.default_rng(seed)).vector()
    assert vector.shape == (VECTOR,) and np.isfinite(vector).all()


@pytest.mark.parametrize("rendering", RENDERINGS)
def test_a_look_changes_the_figure_and_leaves_the_wall(rendering: str) -> None:
    renderer = StudioRenderer(
        Body.load(), Appearance(SIGNERS["omar"], STYLES["classroom-light"], rendering), SIZE
    )
    first, second = list(renderer.frames(still()))
    assert first.shape == (SIZE, SIZE, 3) and first.dtype == np.uint8
    assert (first != second).any()
    np.testing.assert_allclose(first[0, 0].astype(int), renderer.wall()[0, 0], atol=1)
    assert np.abs(first.astype(int) - renderer.wall()).max() > 60


@pytest.mark.parametrize(
    ("left", "right", "drawn"),
    [
        ("trunk", "upperarm.R", False),
        ("upperarm.L", "forearm.L", False),
        ("palm.R", "finger2.R", False),
        ("palm.R", "trunk", True),
        ("forearm.R", "upperarm.L", True),
        ("finger2.R", "finger3.R", True),
        ("palm.L", "head", True),
    ],
)
def test_outlines_run_where_parts_meet_that_do_not_grow_out_of_one_another(
    left: str, right: str, drawn: bool
) -> None:
    triangle = np.repeat(np.array([[0] * 8 + [1] * 8], np.int32), 16, axis=0)
    label = np.array([PARTS.index(left), PARTS.index(right)], np.uint8)
    lines = outlines(triangle, np.full((16, 16), 0.3, np.float32), label, 8)
    assert lines[2:6, 2:6].any() == drawn


def test_the_studio_lights_the_figure_softly_and_leaves_the_wall() -> None:
    appearance = Appearance(SIGNERS["mei"], STYLES["studio"])
    studio = Studio(Body.load(), appearance, SIZE)
    (lit, maps), (again, _) = (next(studio.frames(still())) for _ in range(2))
    mesh = next(StudioRenderer(Body.load(), appearance, SIZE).frames(still()))
    bare = maps[COVERAGE] == 0
    assert (lit == again).all() and (lit[bare] == studio.renderer.wall()[bare]).all()
    apart = np.abs(lit.astype(int) - mesh)[~bare]
    assert 1 < apart.mean() < 25  # another light, the same picture


def test_the_lamp_s_points_lie_on_it_and_the_sky_is_over_the_figure() -> None:
    from stable_signer.pose2vid.soft_light import SoftLight

    renderer = StudioRenderer(Body.load(), Appearance(SIGNERS["mei"], STYLES["studio"]), SIZE)
    light, key = SoftLight.of(renderer, 0.1), np.array(renderer.scene.key[:3])
    assert all(np.isclose(np.linalg.norm(scene.key[:3]), 1) for scene in (*light.lamp, *light.sky))
    assert all(np.dot(scene.key[:3], key) > np.sqrt(1 - 0.1**2) for scene in light.lamp)
    assert all(np.dot(scene.key[:3], [0, -0.6, 0.8]) > 0 for scene in light.sky)


@pytest.mark.parametrize(("hidden", "dark"), [((), 0), ((0,), 0.5), ((0, 1), 1), ((2,), 0), ((0, 2), 0.5)])
def test_a_place_is_dark_by_the_lights_that_it_faces_and_does_not_see(
    hidden: tuple[int, ...], dark: float
) -> None:
    from stable_signer.pose2vid.soft_light import unseen_sky_into

    # one triangle over all samples, facing +z; two lights before it, the third behind it; what hides a light
    # is half a metre before the triangle, which is 1 m away from it
    points = np.array([[0, 0, 1], [0, 60, 1], [60, 0, 1]], np.float32)
    normals, world = np.tile(np.float32([0, 0, 1]), (3, 1)), np.zeros((3, 3), np.float32)
    scene = StudioRenderer(Body.load(), Appearance(SIGNERS["mei"], STYLES["studio"]), SIZE).scene
    axes = {"across": (1.0, 0.0, 0.0), "upward": (0.0, 1.0, 0.0), "shadow_map": (1.0, 8.0, 8.0, 1.0)}
    sky = tuple(scene._replace(key=(0.0, 0.0, z, *scene.key[3:]), **axes) for z in (1.0, 1.0, -1.0))
    shadows = np.zeros((3, 16, 16), np.float32)
    shadows[list(hidden)] = 1 / 0.5
    out = np.empty((8, 8), np.float32)
    triangles = np.array([[0, 1, 2]], np.int32)
    unseen_sky_into(np.zeros((16, 16), np.int32), points, world, triangles, normals, sky, shadows, out)
    assert np.allclose(out, dark)
    unseen_sky_into(np.full((16, 16), -1, np.int32), points, world, triangles, normals, sky, shadows, out)
    assert (out == 0).all()


def test_measures_of_likeness() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(2, 3, 40, 40, generator=generator)
    b = (a + 0.1 * torch.randn(a.shape, generator=generator)).clamp(0, 1)
    assert torch.allclose(ssim(a, a), torch.ones(2), atol=1e-5)
    assert (ssim(a, b) < 0.99).all() and (psnr(a, b) > 15).all() and (psnr(a, b) < 30).all()
    assert flicker(a, a) == pytest.approx(1) and flicker(a[:1].expand(2, -1, -1, -1), a) == 0
    points = torch.tensor([[[-5.0, -5.0], [3.0, 4.0]], [[39.0, 39.0], [50.0, 50.0]]])
    assert all(0 <= t < d <= 40 and 0 <= left < r <= 40 for t, left, d, r in boxes(points, 40))


# --- the networks (tiny and untrained) ---


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stable_signer.pose2vid.sampler import Pose2Vid

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    model = Pose2Vid.fresh("tiny", 4)
    with torch.no_grad():
        for weight in model.parameters():  # a fresh ControlNet adds nothing: its last layers are zero
            weight.add_(0.05 * torch.randn_like(weight))
    model.save_pretrained(folder)
    return folder


def test_saved_networks_are_read_again_and_draw_the_same(weights: Path) -> None:
    from stable_signer.pose2vid.diffusion import DiffusionRenderer
    from stable_signer.pose2vid.sampler import Pose2Vid

    appearance = Appearance(SIGNERS["leo"], STYLES["studio"])

    def draw(**options: object) -> np.ndarray:
        model = Pose2Vid.from_pretrained(weights)
        renderer = DiffusionRenderer(Body.load(), appearance, 256, model=model, **options)  # type: ignore[arg-type]
        return np.stack(list(renderer.frames(still())))

    once = draw()
    assert once.shape == (2, 256, 256, 3) and (once == draw()).all()
    assert (once != draw(seed=1)).any() and (once != draw(steps=2)).any()
    assert (once != draw(steered=False)).any() and (once != draw(guidance=2.0)).any()
    model = Pose2Vid.from_pretrained(weights)
    large = next(DiffusionRenderer(Body.load(), appearance, 512, model=model).frames(still(1)))
    assert large.shape == (512, 512, 3)
    with pytest.raises(StableSignerError, match="256 or 512"):
        DiffusionRenderer(Body.load(), appearance, 300, model=model)


def test_weights_that_are_missing_or_of_another_layout_are_refused(weights: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from stable_signer.pose2vid.sampler import Pose2Vid

    with pytest.raises(StableSignerError, match="cannot be read"):
        Pose2Vid.from_pretrained(tmp_path)
    for file in weights.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    save_file(
        {"x": torch.zeros(1)},
        tmp_path / "pose2vid-denoiser.safetensors",
        {"config": '{"size": "tiny", "latent_channels": 4}'},
    )
    with pytest.raises(StableSignerError, match="another layout"):
        Pose2Vid.from_pretrained(tmp_path)


def test_a_latent_serves_as_many_frames_as_asked_and_only_cells_with_the_figure_are_drawn(
    weights: Path,
) -> None:
    from stable_signer.pose2vid.diffusion import BLOCK, DiffusionRenderer, Told
    from stable_signer.pose2vid.sampler import CELLS, Pose2Vid

    model = Pose2Vid.from_pretrained(weights)
    appearance = Appearance(SIGNERS["maya"], STYLES["studio"])
    renderer = DiffusionRenderer(Body.load(), appearance, 256, model=model, hold=2)
    signer = StableSigner.from_pretrained(planner="rules", motion="prior")
    motion = signer.motion(signer.plan("Yes."))[8:10]
    told = [Told.of(maps) for *_, maps in controlled(renderer.studio, renderer.control, motion)] * 2
    held, latents = None, []
    for frame in told:
        held = renderer.held(frame, held)
        latents.append(held.latent)
    assert latents[0] is latents[1] and latents[2] is latents[3] and latents[0] is not latents[2]
    narrow = dataclasses.replace(held, cells=(0, 32, 12, 16), served=1)
    assert renderer.held(told[0], narrow).latent is not narrow.latent  # the figure has moved out of it
    top, bottom, left, right = told[0].cells
    assert 0 <= top < bottom <= CELLS and 0 < left < right < CELLS and not left % BLOCK
    assert not latents[0][..., :left].any() and not latents[0][..., right:].any()
    assert latents[0][..., left:right].any()
    picture, wall = renderer.picture(told[0], latents[0]), renderer.studio.wall()
    bare = np.ones((256, 256), bool)
    top, bottom, left, right = told[0].figure  # within the cells above: what decoder and upsampler draw
    assert told[0].cells[2] <= left < right <= told[0].cells[3]
    bare[8 * top : 8 * bottom, 8 * left : 8 * right] = told[0].maps[0, COVERAGE].numpy() == 0
    assert (picture[bare] == wall[bare]).all() and (picture != wall).any()


def test_a_motion_in_pieces_is_drawn_as_the_whole(weights: Path) -> None:
    from stable_signer.pose2vid.diffusion import DiffusionRenderer
    from stable_signer.pose2vid.sampler import Pose2Vid

    model = Pose2Vid.from_pretrained(weights)
    renderer = DiffusionRenderer(Body.load(), Appearance(SIGNERS["maya"], STYLES["studio"]), 256, model=model)
    motion = still(5)
    whole = list(renderer.frames(motion))
    pieces = list(renderer.film([motion[:3], motion[3:]]))
    assert all((a == b).all() for a, b in zip(whole, pieces, strict=True))


def test_high_quality_takes_more_steps_and_a_latent_for_every_frame() -> None:
    signer, motion = StableSigner.from_pretrained(planner="rules", motion="prior"), still(2)
    fast, high = (
        list(signer.render(motion, look="diffusion", size=256, label=False, quality=quality))
        for quality in ("fast", "high")
    )
    again = list(signer.render(motion, look="diffusion", size=256, label=False, quality="fast"))
    assert all((a == b).all() for a, b in zip(fast, again, strict=True))  # the kept renderer is as it was
    apart = np.abs(np.array(fast, int) - np.array(high, int))
    assert 0 < apart.mean() < 6
    clip = signer.sign("Yes.", look="diffusion", size=256, quality="high")
    assert clip.provenance.look == "diffusion in high quality"


def test_a_frame_without_the_signer_shows_the_wall(weights: Path) -> None:
    from stable_signer.pose2vid.diffusion import DiffusionRenderer
    from stable_signer.pose2vid.sampler import Pose2Vid

    model = Pose2Vid.from_pretrained(weights)
    renderer = DiffusionRenderer(
        Body.load(), Appearance(SIGNERS["maya"], STYLES["studio"]), 256, model=model, hold=1
    )
    motion = still(3)
    motion.root[1, 0] += 9
    seen, nobody, again = renderer.frames(motion)
    assert (nobody == renderer.studio.wall()).all() and (seen != nobody).any() and (again != nobody).any()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_kernel_cuts_maps_into_cells_as_training_does(precision: torch.dtype) -> None:
    from stable_signer.pose2vid.autoencoder import told_cells
    from stable_signer.pose2vid.diffusion import Told

    renderer = StudioRenderer(Body.load(), Appearance(SIGNERS["maya"], STYLES["studio"]), 512)
    *_, maps = next(controlled(renderer, ControlFigure.of(renderer), still(1)))
    told = Told.of(maps, precision)
    for cells, within in ((told.map_cells, told.maps), (told.small_cells, told.small)):
        assert cells.values.dtype == precision and len(cells.where) < 0.8 * cells.shape[0] * cells.shape[1]
        assert (cells.whole() == told_cells(within).to(precision)).all()
    top, bottom, left, right = (16 * side for side in told.figure)
    assert (told.maps[0].numpy() == maps[:, top:bottom, left:right]).all()
    outside = maps.copy()
    outside[:, top:bottom, left:right] = 0
    assert not outside.any()  # nothing of what is told is left out
    first, _, begin, _ = told.cells
    top, bottom, left, right = (
        8 * (side - at) for side, at in zip(told.figure, (first, first, begin, begin))
    )
    wide = torch.zeros(1, CHANNELS, *(4 * side for side in told.wide_cells.shape), dtype=torch.uint8)
    wide[:, :, top:bottom, left:right] = told.small
    assert (told.wide_cells.whole() == told_cells(wide).to(precision)).all()


def test_a_layer_reads_seen_cells_as_it_reads_all() -> None:
    from stable_signer.pose2vid.autoencoder import CELL, SeenCells, read_cells

    torch.manual_seed(0)
    cells = SeenCells(torch.rand(3, CELL), torch.tensor([1, 2, 7]), (2, 4))
    layer = torch.nn.Conv2d(CELL, 5, 1).requires_grad_(False)
    assert torch.allclose(read_cells(layer, cells), layer(cells.whole()), atol=1e-5)
    moved = cells.within(0, 2, 1, 4)
    assert torch.equal(moved.whole(), cells.whole()[..., 1:])


def test_the_kernel_doubles_as_the_upsampler_does() -> None:
    from stable_signer.pose2vid.autoencoder import Upsampler, told_cells, unlit_over_grey
    from stable_signer.pose2vid.diffusion import doubled_into

    torch.manual_seed(0)
    upsampler = Upsampler().requires_grad_(False)
    for weight in upsampler.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    maps = torch.randint(0, 256, (1, CHANNELS, 32, 48)).byte()
    maps[:, :, :9] = 0
    half = torch.rand(1, 3, 16, 24)
    expected = upsampler(half, told_cells(maps), unlit_over_grey(maps))[0].numpy()
    learned = upsampler.learned(half, told_cells(maps))[0].permute(1, 2, 0).contiguous()
    drawn = np.full((3, 32, 48), 7, np.float32)
    doubled_into(half[0].numpy(), learned.numpy(), maps[0].numpy(), drawn)
    seen = maps[0, COVERAGE].numpy() > 0
    assert expected.std() > 0.1 and np.allclose(drawn[:, seen], expected[:, seen], atol=1e-5)
    assert (drawn[:, ~seen] == 7).all()


def test_a_figure_is_laid_over_the_wall_in_linear_light() -> None:
    from stable_signer.pose2vid.diffusion import lay_over

    tones = tone_curve()
    figure = np.ones((3, 1, 5), np.float32) * np.array([0, 1, 1.7, 0.5, 0.5], np.float32)
    share = np.array([[255, 255, 255, 128, 0]], np.uint8)
    picture = np.full((1, 5, 3), 20, np.uint8)
    lay_over(figure, share, linear_light(tones), tones, picture)
    light = linear_light(tones)[[128, 20]].mean()
    assert picture[0, :, 0].tolist() == [0, 255, 255, int(toned(light, tones)), 20]
    assert picture[0, 3, 0] > 80  # half of the light looks lighter than half of the value


def test_the_kernel_halves_maps_as_training_does(weights: Path) -> None:
    from stable_signer.pose2vid.autoencoder import halved
    from stable_signer.pose2vid.control import halve_into

    maps = mapped(128)[2][0]
    small = np.empty((CHANNELS, 64, 64), np.uint8)
    halve_into(maps, small)
    assert (small == halved(torch.from_numpy(maps)[None])[0].numpy()).all()


def test_halved_maps_do_not_fade_at_the_outline(weights: Path) -> None:
    from stable_signer.pose2vid.autoencoder import halved

    maps = torch.zeros(1, CHANNELS, 4, 4, dtype=torch.uint8)
    maps[0, 0, 0, 0], maps[0, 5, 0, 0] = 255, 200
    small = halved(maps)
    assert small.shape == (1, CHANNELS, 2, 2)
    assert small[0, 0, 0, 0] == 64 and small[0, 5, 0, 0] == 200 and not small[0, :, 1, 1].any()


def test_the_shipped_networks_draw_what_the_studio_shows() -> None:
    from stable_signer.pose2vid.diffusion import DiffusionRenderer

    signer = StableSigner.from_pretrained(planner="rules", motion="prior")
    motion = signer.motion(signer.plan("Yes."))[8:10]
    appearance = Appearance(SIGNERS["amara"], STYLES["studio"])
    (truth, _), _ = Studio(Body.load(), appearance, 256).frames(motion)
    drawn = next(DiffusionRenderer(Body.load(), appearance, 256).frames(motion))
    a, b = (torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (truth, drawn))
    assert float(ssim(a, b)) > 0.9 and float(psnr(a, b)) > 24
    frame = next(signer.render(motion, signer="amara", look="diffusion", size=256, label=False))
    assert (frame == drawn).all()


# --- training and the commands ---


def motions(path: Path) -> Path:
    pieces = [still(6), still(6)]
    np.savez(
        path,
        rotations=np.concatenate([p.rotations for p in pieces]).astype(np.float16),
        face=np.concatenate([p.face for p in pieces]).astype(np.float16),
        root=np.concatenate([p.root for p in pieces]).astype(np.float16),
        offsets=np.array([0, 6, 12]),
    )
    return path


@pytest.fixture
def accelerate_anew() -> Iterator[None]:
    """accelerate keeps one precision a process: forget it, for the trainings of other tests."""
    state = pytest.importorskip("accelerate.state").AcceleratorState
    state._reset_state(True)
    yield
    state._reset_state(True)


@pytest.mark.usefixtures("accelerate_anew")
def test_training_ends_goes_on_and_is_measured(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    data = motions(tmp_path / "motions.npz")
    recipe.write_text(
        f'motions = "{data}"\nruns = 2\nsize = "tiny"\nlatent_channels = 4\nsteps = [2, 2, 2]\n'
        "batch = 2\nsquare = 64\nfull_frames = 8\nworkers = 1\nsave_every = 1\n"
    )
    run = CliRunner()
    arguments = ["train", "pose2vid", "--config", str(recipe), "--output", str(tmp_path / "run")]
    result = run.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    weights = tmp_path / "run" / "weights"
    before = {p.name: p.read_bytes() for p in weights.iterdir()}
    assert len(before) == 3
    assert run.invoke(app, arguments).exit_code == 0  # finished: nothing is trained again
    assert {p.name: p.read_bytes() for p in weights.iterdir()} == before
    arguments = ["evaluate", "pose2vid", "--motions", str(data), "--weights", str(weights)]
    result = run.invoke(app, [*arguments, "--clips", "1", "--frames", "2"])
    assert result.exit_code == 0, result.output
    assert "autoencoder" in result.output and "mean picture" in result.output
    # one stage alone, from those weights: the others stay as they are, but for the decoder where it is asked
    told = recipe.read_text().replace("[2, 2, 2]", "[0, 0, 2]") + f'start = "{weights}"\n'
    for more, learned in (("", {"upsampler"}), ("finish = true\npiece = 64\n", {"autoencoder", "upsampler"})):
        recipe.write_text(told + more)
        output = tmp_path / "-".join(sorted(learned))
        arguments = ["train", "pose2vid", "--config", str(recipe), "--output", str(output)]
        result = run.invoke(app, [*arguments, "--pool", str(tmp_path / "run" / "pool")])
        assert result.exit_code == 0, result.output
        after = {p.name: p.read_bytes() for p in (output / "weights").iterdir()}
        changed = {name for name in before if before[name] != after[name]}
        assert changed == {f"pose2vid-{name}.safetensors" for name in learned}


def test_the_upsampler_begins_with_the_unlit_figure_s_own_detail() -> None:
    pytest.importorskip("diffusers")
    from stable_signer.pose2vid.autoencoder import CELL, Upsampler, doubled, lost_by_halving

    flat = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    half = torch.nn.functional.avg_pool2d(flat, 2)
    assert torch.allclose(doubled(half) + lost_by_halving(flat), flat, atol=1e-6)
    drawn = Upsampler()(half, torch.zeros(1, CELL, 8, 8), flat)  # in a light of one everywhere
    assert torch.allclose(drawn, flat, atol=1e-6)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("pixels = 3", "unknown key 'pixels'"),
        ("steps = [1, 1]", "3 numbers"),
        ("square = 100", "multiple of 32"),
        ("piece = 100", "multiple of 64"),
        ("batch = 0", "at least 1"),
        ("steps = [0, 0, 0]", "at least 1"),
        ('size = "huge"', "there is no size 'huge'"),
    ],
)
def test_a_bad_recipe_is_refused_in_one_sentence(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "r.toml").write_text(line)
    from stable_signer.pose2vid.train import Pose2VidRecipe

    with pytest.raises(StableSignerError, match=says):
        Pose2VidRecipe.load(tmp_path / "r.toml")


def test_motions_that_are_none_are_refused(tmp_path: Path) -> None:
    from stable_signer.pose2vid.frames import Motions

    (tmp_path / "m.npz").write_bytes(b"no zip")
    for name in ("m.npz", "missing.npz"):
        with pytest.raises(StableSignerError, match=r"build_motions\.py"):
            Motions.load(tmp_path / name)


def test_training_without_motions_ends_at_once(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    from stable_signer.pose2vid.train import Pose2VidRecipe, train

    with pytest.raises(StableSignerError, match=r"build_motions\.py"):
        train(Pose2VidRecipe(motions=str(tmp_path / "none.npz")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_a_rendering_process_raises_is_told(tmp_path: Path) -> None:
    from stable_signer.pose2vid.frames import FramePool, MadeOf
    from stable_signer.pose2vid.lens import Lenses

    pool = FramePool(tmp_path, 1)
    with pool.fill(MadeOf(str(tmp_path / "none.npz"), seed=0, runs=1, lenses=Lenses()), workers=1):
        pass  # waits for the process
    with pytest.raises(StableSignerError, match=r"build_motions\.py"):
        pool.check()
