"""Learning a signer from footage: the card, what a clip must be, the pairs, and a run on tiny networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from stable_signer.body.fit import Landmarks
from stable_signer.cli import main
from stable_signer.errors import StableSignerError
from stable_signer.media import footage as seen
from stable_signer.media.landmarks import WIDTHS, stored_landmarks
from stable_signer.media.posefile import _landmarks, _parse
from stable_signer.pipeline import StableSigner
from stable_signer.pose2vid import footage
from stable_signer.pose2vid.consent import ConsentCard
from stable_signer.pose2vid.filmed import Filmed, filmed_signer
from stable_signer.pose2vid.footage import FEWEST, SIZE, Crop, clip_frames
from stable_signer.pose2vid.footage_train import FootageRecipe, learn

CARD = {
    "name": "Ana",
    "consent": "may be learned from, for her own videos",
    "licence": "CC-BY-4.0",
    "consent_by": "Ana",
    "consent_on": "2026-11-01",
}
RECIPE = """
start = "fresh"
size = "tiny"
steps = [2, 2]
batch = 2
square = 64
save_every = 1
"""


def written(path: Path, frames: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Our own signer as if filmed, and the landmarks that MediaPipe would have found."""
    folder = tmp_path_factory.mktemp("filmed")
    engine = StableSigner.from_pretrained(motion="prior")
    motion = engine.motion(engine.plan("My name is Ana and I read books."))[: FEWEST + 6]
    engine.save_pose(motion, folder / "clip.pose")
    clip = written(folder / "clip.mp4", list(engine.render(motion, size=512)))
    marks = _landmarks(_parse((folder / "clip.pose").read_bytes(), folder / "clip.pose"), folder)
    tracks = {name: np.full((len(marks), *shape), np.nan, np.float32) for name, shape in WIDTHS.items()}
    for name in ("pose", "left_hand", "right_hand"):
        found = getattr(marks, name)
        tracks[name][:, : found.shape[1]] = found
    tracks["face"][:, list(marks.face_ids)] = marks.face
    np.savez(folder / "marks.npz", **tracks, fps=np.float32(marks.fps))
    return clip, folder / "marks.npz"


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "card.json"
    path.write_text(json.dumps(CARD), encoding="utf-8")
    return path


def asked(clip: Path, card: Path, output: Path, *more: object) -> list[str]:
    return [
        *("train", "pose2vid", "--footage", str(clip), "--signer-card", str(card)),
        *("--output", str(output), *map(str, more)),
    ]


def test_a_run_learns_measures_and_goes_on(
    filmed: tuple[Path, Path],
    card: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip, marks = filmed
    recipe, output = tmp_path / "tiny.toml", tmp_path / "run"
    recipe.write_text(RECIPE, encoding="utf-8")
    call = asked(clip, card, output, "--landmarks", marks, "--config", recipe)
    decoded = []
    for room in (seen, footage):
        monkeypatch.setattr(room, "clip_frames", lambda path: decoded.append(path) or clip_frames(path))
    assert main(call) == 0
    assert len(decoded) == 2  # to check the clip, to cut the pairs; MediaPipe's would be the third
    assert str(output) in capsys.readouterr().out.replace("\n", "")  # what to sign with
    who = filmed_signer(output)
    assert who.card.name == CARD["name"] and who.folder == (output / "weights").resolve()
    figures = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert figures["frames_held_out"] == round(0.2 * (FEWEST + 6))
    assert figures["fit_error_pixels"] < 4  # our own body must fit itself
    floor, ceiling = (
        figures["rows"][r] for r in ("floor: mean training frame", "autoencoder alone (ceiling)")
    )
    assert 0 < floor["ssim"] < 1 and ceiling["psnr"] > 10
    assert json.loads((output / "weights" / "signer-card.json").read_text(encoding="utf-8")) == CARD
    log = (output / "log.jsonl").read_text(encoding="utf-8") if (output / "log.jsonl").exists() else ""
    capsys.readouterr()
    assert main(call) == 0  # nothing is left to learn
    again = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert again["rows"] == figures["rows"]
    assert log == ((output / "log.jsonl").read_text(encoding="utf-8") if log else "")
    other = tmp_path / "other.json"
    other.write_text(json.dumps(CARD | {"name": "Ben"}), encoding="utf-8")
    assert main(asked(clip, other, output, "--landmarks", marks, "--config", recipe)) == 2


def test_a_run_interrupted_in_mid_training_ends_as_if_it_had_not_been(
    filmed: tuple[Path, Path], card: Path, tmp_path: Path
) -> None:
    clip, marks = filmed
    toml = tmp_path / "tiny.toml"
    toml.write_text(RECIPE, encoding="utf-8")

    def run(output: Path, on_step: Callable[[str, int, float], None] = lambda *_: None) -> None:
        def found() -> Landmarks:
            return seen.footage_landmarks(clip, None, marks)

        learn(clip, found, ConsentCard.load(card), output, FootageRecipe.load(toml), on_step)

    def stop(stage: str, step: int, loss: float) -> None:
        if (stage, step) == ("denoiser", 1):
            raise KeyboardInterrupt

    run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", stop)
    assert not (tmp_path / "cut" / "weights").exists()
    run(tmp_path / "cut")
    files = sorted(path.name for path in (tmp_path / "whole" / "weights").glob("*.safetensors"))
    assert len(files) == 4
    for name in files:
        whole, again = (load_file(tmp_path / run / "weights" / name) for run in ("whole", "cut"))
        assert whole.keys() == again.keys()
        assert all(torch.equal(whole[key], again[key]) for key in whole)
        whole_file, again_file = (tmp_path / run / "weights" / name for run in ("whole", "cut"))
        assert whole_file.read_bytes() == again_file.read_bytes()
    assert set(Filmed.load(tmp_path / "cut" / "weights")[1]) == {"skin", "lips", "hair", "top", "sleeves"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"consent": ""}, "has no consent"),
        ({"licence": None}, "has no licence"),
        ({"consent_on": "soon"}, "is no date"),
        ({"consent_on": "2999-01-01"}, "still to come"),
        ({"consents": "yes"}, "unknown key 'consents'"),
    ],
)
def test_a_card_without_consent_is_refused(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps(CARD | change), encoding="utf-8")
    with pytest.raises(StableSignerError, match=reason):
        ConsentCard.load(path)


@pytest.mark.parametrize(("text", "reason"), [("{", "is not JSON"), ("[]", "is no JSON object")])
def test_what_is_no_card_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(text, encoding="utf-8")
    with pytest.raises(StableSignerError, match=reason):
        ConsentCard.load(tmp_path / "card.json")


def test_footage_needs_a_card_and_a_card_footage(
    filmed: tuple[Path, Path], card: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, _ = filmed
    out = str(tmp_path / "run")
    assert main(["train", "pose2vid", "--footage", str(clip), "--output", out]) == 2
    assert "signer's consent and licence" in capsys.readouterr().err
    assert main(["train", "pose2vid", "--signer-card", str(card), "--output", out, "--config", "x.toml"]) == 2
    assert main(["train", "pose2vid", "--output", out]) == 2
    assert not Path(out).exists()


def test_a_clip_that_cannot_be_learned_from_leaves_nothing(
    filmed: tuple[Path, Path], card: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, marks = filmed
    short = written(tmp_path / "short.mp4", [np.zeros((64, 64, 3), np.uint8)] * 10)
    assert main(asked(short, card, tmp_path / "run", "--landmarks", marks)) == 2
    assert f"has 10 frames: at least {FEWEST}" in capsys.readouterr().err
    (tmp_path / "no.mp4").write_bytes(b"no video")
    assert main(asked(tmp_path / "no.mp4", card, tmp_path / "run", "--landmarks", marks)) == 2
    assert "cannot be read as a video" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_several_people_nobody_and_too_large(
    filmed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, marks = filmed
    monkeypatch.setattr(seen, "check_mediapipe", lambda python: None)
    asked_every = []

    def crowded(clip: Path, python: Path, every: int) -> tuple[Landmarks, list[int]]:
        asked_every.append(every)
        return stored_landmarks(marks, clip), [1, 2, 2, 1]

    monkeypatch.setattr(seen, "landmarks_and_faces", crowded)
    with pytest.raises(StableSignerError, match="more than one person"):
        seen.footage_landmarks(clip, Path("python"), None)
    assert asked_every == [-(-(FEWEST + 6) // seen.MOST)]
    with np.load(marks) as kept:
        empty = {k: np.full_like(v, np.nan) if v.ndim else v for k, v in kept.items()}
    np.savez(tmp_path / "nobody.npz", **empty)
    with pytest.raises(StableSignerError, match="no person was seen"):
        seen.footage_landmarks(clip, None, tmp_path / "nobody.npz")
    monkeypatch.setattr(seen, "LARGEST", 300)
    with pytest.raises(StableSignerError, match="scale it to 300"):
        seen.check_footage(clip)


@given(st.floats(0.1, 3), st.tuples(st.floats(-200, 200), st.floats(-200, 200)), st.integers(0, 2**32 - 1))
def test_a_crop_is_found_again(scale: float, shift: tuple[float, float], seed: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 500, (12, 2))
    crop = Crop(scale, shift)
    found = Crop.between(points, crop(points), np.ones(12))
    assert np.isclose(found.scale, scale, rtol=1e-6) and np.allclose(found.shift, shift, atol=1e-3)


def test_a_crop_goes_on_beyond_the_frame() -> None:
    frame = np.full((90, 160, 3), 70, np.uint8)
    frame[:, :80] = 200
    cut = Crop(2.0, (40.0, 20.0)).cut(frame)
    assert cut.shape == (SIZE, SIZE, 3)
    assert (cut[0, 0] == 200).all() and (cut[-1, -1] == 70).all()
