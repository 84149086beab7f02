"""Video, captions, `.pose`, label and tags."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from pose_format import Pose
from pose_format.utils.generic import detect_known_pose_format, reduce_holistic

from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError
from stable_signer.media import captions, posefile, video
from stable_signer.media.files import Outputs
from stable_signer.media.provenance import LABEL, Provenance, stamp, text_hash
from stable_signer.pose2vid.camera import Camera
from stable_signer.pose2vid.signers import SIGNERS
from stable_signer.slul.plan import Plan, Sentence, Sign

TAGS = Provenance(language="ase", signer="maya", planner="rules", seed=7, text_sha256=text_hash("hi")).tags()


def pictures(count: int, size: int = 64) -> list[np.ndarray]:
    out = []
    for i in range(count):
        frame = np.full((size, size, 3), (90, 120, 160), np.uint8)
        frame[20:40, i % 30 : i % 30 + 20] = (220, 170, 140)
        out.append(frame)
    return out


# --- video ---


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".gif"])
def test_every_container_gives_back_its_frames(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    frames = pictures(90)  # more than the gif's palette waits for
    assert video.write_video(path, frames, size=64, fps=25, tags=TAGS) == 90
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (64, 64, 25)
        assert LABEL in {k.lower(): v for k, v in container.metadata.items()}["comment"]
        read = [f.to_ndarray(format="rgb24").astype(int) for f in container.decode(stream)]
    assert len(read) == 90
    assert (
        max(np.abs(a - b).mean() for a, b in zip(read, frames, strict=True)) < 4
    )  # also: the colours are right


def test_mp4_is_h264_420_with_its_index_first_and_tells_its_making(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    video.write_video(path, pictures(5), size=64, fps=25, tags=TAGS)
    raw = path.read_bytes()
    assert raw.index(b"moov") < raw.index(b"mdat")
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        told = json.loads(container.metadata["comment"])
    assert told["synthetic"] is True
    assert (told["signer"], told["planner"], told["seed"]) == ("maya", "rules", 7)
    assert told["text_sha256"] == text_hash("hi")


def test_the_same_frames_give_the_same_video(tmp_path: Path) -> None:
    shown = []
    for name in ("a.mp4", "b.mp4"):
        video.write_video(tmp_path / name, pictures(20), size=64, fps=25, tags=TAGS)
        with av.open(str(tmp_path / name)) as container:
            shown.append(np.stack([f.to_ndarray() for f in container.decode(video=0)]))
            assert "creation_time" not in container.metadata
    np.testing.assert_array_equal(*shown)


def test_stream_grows_while_frames_come_and_plays() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data, self.grown = b"", threading.Event()

        def write(self, data: object) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            if len(self.data) > 2000:
                self.grown.set()
            return len(bytes(data))  # type: ignore[call-overload]

    pipe = Pipe()
    noise = np.random.default_rng(0).integers(0, 256, (60, 64, 64, 3), np.uint8)
    with video.VideoWriter(pipe, size=64, fps=25, tags=TAGS) as writer:  # type: ignore[arg-type]
        for frame in noise[:30]:
            writer.write(frame)
        assert pipe.grown.wait(10)  # bytes leave before the end is known
        for frame in noise[30:]:
            writer.write(frame)
    with av.open(io.BytesIO(pipe.data)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 60
        assert LABEL in container.metadata["comment"]


def test_a_reader_that_goes_away_is_a_broken_pipe() -> None:
    class Closed(io.RawIOBase):
        def write(self, data: object) -> int:
            raise BrokenPipeError(32, "gone")

    with (
        pytest.raises(BrokenPipeError),
        video.VideoWriter(Closed(), size=64, fps=25) as writer,  # type: ignore[arg-type]
    ):
        for frame in pictures(100):
            writer.write(frame)


def test_an_error_while_rendering_stops_the_encoder(tmp_path: Path) -> None:
    before = threading.active_count()
    with (
        pytest.raises(RuntimeError, match="boom"),
        video.VideoWriter(tmp_path / "a.mp4", size=64, fps=25) as writer,
    ):
        writer.write(pictures(1)[0])
        raise RuntimeError("boom")
    assert threading.active_count() == before


@pytest.mark.parametrize("size", [0, 62, 65, 511, 2050, -2])
def test_sizes_that_no_video_has_are_refused(size: int) -> None:
    with pytest.raises(StableSignerError, match="even number from 64 to 2048"):
        video.check_size(size)


@pytest.mark.parametrize("fps", [0, 9, 61, float("nan"), float("inf"), -25])
def test_frame_rates_that_do_not_work_are_refused(fps: float) -> None:
    with pytest.raises(StableSignerError, match="10 to 60"):
        video.check_fps(fps)


def test_a_fractional_frame_rate_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    video.write_video(path, pictures(30), size=64, fps=29.97)
    with av.open(str(path)) as container:
        assert float(container.streams.video[0].average_rate or 0) == pytest.approx(29.97, abs=0.01)


# --- outputs that appear whole or not at all ---


def test_outputs_appear_together_at_the_end(tmp_path: Path) -> None:
    with Outputs() as outputs:
        for name in ("a.json", "b.vtt"):
            outputs.claim(tmp_path / name).write_text(name)
        assert not (tmp_path / "a.json").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b.vtt"]


def test_an_error_leaves_nothing_and_spares_what_was_there(tmp_path: Path) -> None:
    old = tmp_path / "a.json"
    old.write_text("old")
    with pytest.raises(KeyboardInterrupt), Outputs() as outputs:
        outputs.claim(old).write_text("new")
        outputs.claim(tmp_path / "b.vtt").write_text("new")
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert old.read_text() == "old"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    with Outputs() as outputs:
        outputs.claim(tmp_path / "link.json").write_text("new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "new"


def test_claims_that_cannot_work_are_refused(tmp_path: Path) -> None:
    def refuse(path: Path | str, match: str) -> None:
        with pytest.raises(StableSignerError, match=match), Outputs() as outputs:
            outputs.claim(path, (".mp4",))

    refuse(tmp_path / "a.avi", r"'.avi', which is not known here: use .mp4")
    refuse(tmp_path / "a", "no ending")
    refuse(tmp_path / "missing" / "a.mp4", "does not exist")
    (tmp_path / "folder.mp4").mkdir()
    refuse(tmp_path / "folder.mp4", "is a folder")
    refuse("/proc/a.mp4", "cannot be written")
    with pytest.raises(StableSignerError, match="named twice"), Outputs() as outputs:
        outputs.claim(tmp_path / "a.mp4")
        outputs.claim(tmp_path / "a.mp4")
    with pytest.raises(StableSignerError, match="regular file"), Outputs() as outputs:
        outputs.claim("/dev/null")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.mp4"]


# --- the label ---


@pytest.mark.parametrize("size", [64, 256, 512, 1024])
@pytest.mark.parametrize("ground", [0, 128, 255])
def test_the_label_reads_on_any_ground_and_keeps_to_its_corner(size: int, ground: int) -> None:
    plain = np.full((size, size, 3), ground, np.uint8)
    drawn = stamp(plain.copy())
    changed = np.argwhere((drawn != plain).any(-1))
    assert changed[:, 0].max() < max(0.12 * size, 20)  # far above the hands
    assert changed[:, 1].max() < max(0.5 * size, 62)
    corner = drawn[: changed[:, 0].max() + 1, : changed[:, 1].max() + 1]
    assert int(corner.max()) - int(corner.min()) > 140  # light letters on dark


def test_the_label_copies_a_frame_that_may_not_be_drawn_on() -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    frame.flags.writeable = False
    assert stamp(frame).max() > 0
    assert frame.max() == 0


# --- captions ---


def test_captions_are_one_cue_a_sentence_as_written() -> None:
    plan = Plan(
        "",
        sentences=(Sentence("Hi <b> & {you}!", 0.2, 1.5), Sentence("Two\nlines.", 3600.25, 3601)),
        signs=(Sign("HI", start=0.2, end=0.5), Sign("", "pause", 0.5, 0.9), Sign("YOU", start=1, end=1.5)),
    )
    text = captions.sentence_captions(plan)
    assert text.startswith("WEBVTT\n")
    assert "00:00:00.200 --> 00:00:01.500\nHi &lt;b&gt; &amp; (you)!" in text
    assert "01:00:00.250 --> 01:00:01.000\nTwo lines." in text
    assert captions.gloss_captions(plan).count("-->") == 2


def test_captions_read_without_the_authors_marks() -> None:
    plan = Plan("", sentences=(Sentence("[[BOOK]] for [[fs: Ana]], [[pause 0.5]] please [ok].", 0, 1),))
    assert "\nBOOK for Ana, please [ok]." in captions.sentence_captions(plan)


def test_a_plan_without_sentences_shows_its_text() -> None:
    plan = Plan("Hello", signs=(Sign("HELLO", start=0.2, end=0.9),))
    assert "00:00:00.000 --> 00:00:00.900\nHello" in captions.sentence_captions(plan)


# --- .pose ---


@pytest.fixture(scope="module")
def motion() -> Motion:
    body = Body.load()
    rng = np.random.default_rng(0)
    rotations = np.tile(np.array([1, 0, 0, 0, 1, 0], np.float32), (5, len(body.joints), 1))
    rotations = rotations + rng.normal(0, 0.03, rotations.shape).astype(np.float32)
    face = rng.random((5, 52), dtype=np.float32)
    return Motion(rotations, face, rng.normal(0, 0.01, (5, 3)).astype(np.float32), 29.97)


@pytest.fixture(scope="module")
def pose_file(motion: Motion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pose") / "a.pose"
    posefile.write_pose(path, motion, Body.load(), next(iter(SIGNERS)), 512)
    return path


def test_a_pose_gives_back_its_motion_exactly(motion: Motion, pose_file: Path) -> None:
    back = posefile.read_pose(pose_file, Body.load())
    for name in ("rotations", "face", "root"):
        np.testing.assert_array_equal(getattr(back, name), getattr(motion, name))
    assert back.fps == motion.fps


def test_other_tools_read_the_pose(pose_file: Path) -> None:
    pose = Pose.read(pose_file.read_bytes())
    assert detect_known_pose_format(pose) == "holistic"
    assert [(c.name, len(c.points)) for c in pose.header.components][:4] == [
        ("POSE_LANDMARKS", 33),
        ("FACE_LANDMARKS", 468),
        ("LEFT_HAND_LANDMARKS", 21),
        ("RIGHT_HAND_LANDMARKS", 21),
    ]
    assert pose.header.components[0].points[11:17] == [
        *["LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_ELBOW", "RIGHT_ELBOW", "LEFT_WRIST", "RIGHT_WRIST"]
    ]
    assert len(reduce_holistic(pose).header.components[1].points) == 128
    pose.normalize()


def test_the_points_lie_where_the_video_shows_them(motion: Motion, pose_file: Path) -> None:
    from stable_signer.body.skinning import Skin

    body, card = Body.load(), next(iter(SIGNERS.values()))
    joints = Skin(body, body.signer(card.body)).pose_motion(motion).joints  # (T, J, 3)
    pixels = Camera.of(body, card.body, 512).project(joints[:, body.index["wrist.R"]]).numpy()
    pose = Pose.read(pose_file.read_bytes())
    at = pose.header.get_point_index("RIGHT_HAND_LANDMARKS", "WRIST")
    np.testing.assert_allclose(pose.body.data[:, 0, at, :2], pixels[:, :2], atol=1e-3)
    assert pose.body.data[0, 0, at, 0] < 256  # the signer's right hand is on the picture's left


def test_a_truncated_or_damaged_pose_is_refused(pose_file: Path, tmp_path: Path) -> None:
    raw = pose_file.read_bytes()
    damaged = tmp_path / "b.pose"
    for cut in [0, 1, 5, 100, 2000, len(raw) // 2, len(raw) - 1]:
        damaged.write_bytes(raw[:cut])
        with pytest.raises(StableSignerError, match=r"damaged|no frames|version"):
            posefile.read_pose(damaged, Body.load())
    rng = np.random.default_rng(1)
    for _ in range(200):  # one wrong byte: read or refused, never another error
        wrong = bytearray(raw)
        wrong[int(rng.integers(9000))] = int(rng.integers(256))
        damaged.write_bytes(wrong)
        try:
            posefile.read_pose(damaged, Body.load())
        except StableSignerError:
            continue


def test_a_pose_that_is_not_finite_is_refused(pose_file: Path, tmp_path: Path) -> None:
    pose = Pose.read(pose_file.read_bytes())
    pose.body.data.data[2] = np.nan
    with (tmp_path / "nan.pose").open("wb") as file:
        pose.write(file)
    with pytest.raises(StableSignerError, match="not finite"):
        posefile.read_pose(tmp_path / "nan.pose", Body.load())


def test_a_pose_without_hands_is_refused(pose_file: Path, tmp_path: Path) -> None:
    pose = Pose.read(pose_file.read_bytes()).get_components(["POSE_LANDMARKS"])
    with (tmp_path / "body.pose").open("wb") as file:
        pose.write(file)
    with pytest.raises(StableSignerError, match="lacks LEFT_HAND_LANDMARKS"):
        posefile.read_pose(tmp_path / "body.pose", Body.load())


def test_the_example_in_the_plan_page_is_a_plan() -> None:
    page = Path(__file__).parents[1] / "docs" / "plan.md"
    example = page.read_text(encoding="utf-8").split("```json\n")[1].split("```")[0]
    plan = Plan.from_dict(json.loads(example))
    assert plan.glosses == ("POSS-2", "NAME", "WHAT")


def test_points_of_another_program_are_fitted(tmp_path: Path) -> None:
    """A hand held up, written as points only, comes back as a motion whose points lie where they lay."""
    from stable_signer.body.skeleton import axis_angle_to_matrix, matrix_to_rotation_6d

    body, signer = Body.load(), next(iter(SIGNERS))
    turns = torch.zeros(20, len(body.joints), 3)
    bend = torch.linspace(0.9, 1.1, 20)[:, None]
    turns[:, body.index["upperarm01.R"]] = bend * torch.tensor([-0.7, 0.5, 0.0])
    turns[:, body.index["lowerarm01.R"]] = bend * torch.tensor([-1.3, 0.4, 0.6])
    six = matrix_to_rotation_6d(axis_angle_to_matrix(turns)).numpy()
    motion = Motion(six, np.zeros((20, 52), np.float32), np.zeros((20, 3), np.float32))
    posefile.write_pose(tmp_path / "a.pose", motion, body, signer, 512)
    pose = Pose.read((tmp_path / "a.pose").read_bytes())
    foreign = pose.get_components([c.name for c in pose.header.components if "LANDMARKS" in c.name])
    with (tmp_path / "b.pose").open("wb") as file:
        foreign.write(file)
    fitted = posefile.read_pose(tmp_path / "b.pose", body)
    assert len(fitted) == 20
    posefile.write_pose(tmp_path / "c.pose", fitted, body, signer, 512)
    again = Pose.read((tmp_path / "c.pose").read_bytes())
    hand = slice(33 + 468 + 21, 33 + 468 + 42)
    away = (again.body.data - pose.body.data)[:, 0, hand, :2]
    assert float(np.abs(away).mean()) < 8  # pixels; the palm is 45 long


def test_a_missing_pose_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StableSignerError, match="cannot be read"):
        posefile.read_pose(tmp_path / "none.pose", Body.load())
