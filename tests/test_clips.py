"""A sign added from a video: with a MediaPipe of our own making, then with the real one if it is there."""

from __future__ import annotations

import csv
import os
import stat
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stable_signer.errors import StableSignerError
from stable_signer.lexicons import OwnLexicon
from stable_signer.media import landmarks
from stable_signer.media.landmarks import VARIABLE, WIDTHS, clip_landmarks
from stable_signer.media.posefile import _landmarks, _parse
from stable_signer.pipeline import StableSigner

FOOTAGE = Path(os.environ.get("STABLE_SIGNER_FOOTAGE", "/work/shared/data/video/human_signer.mp4"))


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What MediaPipe would see of BOOK, from our own points: no picture is needed."""
    place = tmp_path_factory.mktemp("seen") / "book.pose"
    engine = StableSigner.from_pretrained()
    engine.save_pose(engine.motion(engine.plan("[[BOOK]]")), place)
    marks = _landmarks(_parse(place.read_bytes(), place), place)
    tracks = {name: np.full((len(marks), *shape), np.nan, np.float32) for name, shape in WIDTHS.items()}
    for name in ("pose", "left_hand", "right_hand"):
        found = getattr(marks, name)
        tracks[name][:, : found.shape[1]] = found
    tracks["face"][:, list(marks.face_ids)] = marks.face
    return tracks | {"fps": np.float32(marks.fps)}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of nothing: the landmarker of these tests does not look."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    """A program in the place of the environment's Python: called with -I, script, clip, output."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(VARIABLE, str(program))


def test_a_clip_is_added_previewed_and_asked_about(
    run: Any, clip: Path, seen: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "seen.npz", **seen)  # type: ignore[arg-type]
    pretend(monkeypatch, tmp_path, f'test "$1" = -I && test "$3" = "{clip}" && cp {tmp_path}/seen.npz $4')
    arguments = ("lexicon", "add", clip, "--gloss", "tome", "--lexicon", tmp_path / "mine")
    result = run(*arguments, "--preview", tmp_path / "look.mp4")
    assert result.code == 0, result.err
    assert "well tracked" in result.err
    assert (tmp_path / "look.mp4").stat().st_size > 1000
    own = OwnLexicon.load(tmp_path / "mine")
    assert own.signs["TOME"].two_handed
    assert 0.2 < own.motion("TOME").duration < 2.2
    result = run(*arguments)
    assert result.code == 2
    assert "--yes writes over it" in result.err
    assert run(*arguments, "--yes").code == 0

    index = tmp_path / "index.csv"
    with index.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("path", "signed_language", "words", "glosses"), ("clip.mp4", "ase", "tome", "TOME")]
        )
    assert run("lexicon", "import", index, "--lexicon", tmp_path / "again").code == 0


def test_without_the_environment_the_command_that_makes_it_is_told(
    run: Any, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(landmarks, "PLACE", tmp_path / "no where")
    result = run("lexicon", "add", clip, "--gloss", "X", "--lexicon", tmp_path / "mine")
    assert result.code == 2
    assert result.err.count("\n") == 1
    place = f"{tmp_path}/no where"
    assert f"-m venv '{place}' && '{place}/bin/pip' install mediapipe==0.10.21 'numpy<2'" in result.err
    assert not (tmp_path / "mine").exists()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(StableSignerError, match="cannot be run"):
        clip_landmarks(clip)


def test_what_goes_wrong_is_told_in_a_sentence(
    clip: Path, seen: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(body: str, match: str, path: Path = clip) -> None:
        pretend(monkeypatch, tmp_path, body)
        with pytest.raises(StableSignerError, match=match) as error:
            clip_landmarks(path)
        assert "\n" not in str(error.value)

    def sees(**tracks: np.ndarray) -> str:
        np.savez(tmp_path / "s.npz", **{**seen, **tracks})  # type: ignore[arg-type]
        return f'cp "{tmp_path}/s.npz" "$4"'

    told("echo one >&2; echo no module named mediapipe >&2; exit 1", "no module named mediapipe")
    told("exit 0", "it said nothing")
    told('echo no > "$4"', "gave no landmarks")
    told(sees(pose=np.full_like(seen["pose"], np.nan)), "no person was seen")
    nothing = np.full_like(seen["left_hand"], np.nan)
    told(sees(left_hand=nothing, right_hand=nothing), "no hand was seen")
    told(sees(face=seen["face"][:, :10]), "another version")
    told(sees(fps=np.float32(1440)), "1440 frames a second")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    told("exit 0", "cannot be read as a video", broken)
    told("exit 0", "check its name", tmp_path / "missing.mp4")
    monkeypatch.setattr(landmarks, "LONGEST_CLIP", 0.1)
    told("exit 0", "cut it to one sign")


@pytest.mark.slow
def test_a_filmed_person_is_fitted_by_the_real_mediapipe(tmp_path: Path) -> None:
    if not FOOTAGE.exists():
        pytest.skip("needs footage of a signer: STABLE_SIGNER_FOOTAGE names an mp4")
    try:
        landmarks.mediapipe_python()
    except StableSignerError as error:
        pytest.skip(str(error))
    short = tmp_path / "short.mp4"
    with av.open(str(FOOTAGE)) as source, av.open(str(short), "w") as out:
        stream: Any = out.add_stream("libx264", rate=25)
        for number, frame in enumerate(source.decode(video=0)):
            if number == 75:
                break
            if number == 0:
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
            out.mux(stream.encode(frame.reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    marks = clip_landmarks(short)
    assert len(marks) == 75
    assert np.isfinite(marks.pose).mean() > 0.9
    assert max(np.isfinite(h).mean() for h in (marks.left_hand, marks.right_hand)) > 0.3
