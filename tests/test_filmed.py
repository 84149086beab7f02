"""Drawing a filmed signer: the folder that a training on footage wrote, given as signer. On tiny networks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from conftest import Run
from fakes import fake_stages
from stable_signer import pipeline
from stable_signer.errors import StableSignerError
from stable_signer.media.provenance import DISCLAIMER, LABEL, Provenance, told_by
from stable_signer.media.sidecar import check_sidecar
from stable_signer.media.video import read_tags, write_video
from stable_signer.pipeline import StableSigner, checked_look
from stable_signer.pose2vid import filmed
from stable_signer.pose2vid.consent import ConsentCard
from stable_signer.pose2vid.filmed import CARD, FILES, FOOTAGE, Filmed, filmed_signer
from stable_signer.pose2vid.footage import SIZE, painted_body
from stable_signer.pose2vid.sampler import Pose2Vid
from stable_signer.pose2vid.studio import VECTOR
from stable_signer.service.app import order_of
from stable_signer.service.schemas import SigningRequest
from stable_signer.service.settings import Settings

PERSON = ConsentCard(
    "Ana Lucía", 'my picture may be drawn {"in my own videos"}', "CC-BY-4.0", "Ana Lucía", "2026-11-01"
)
BRIEF = ("--fps", "10")  # a few frames are enough
LOOKS = {"skin": "#d9a582", "lips": "#b5605a", "hair": "#3a2419", "top": "#1f5a60", "sleeves": "long"}


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `train pose2vid --footage` leaves it, with networks that have learned nothing."""
    torch.manual_seed(3)
    run = tmp_path_factory.mktemp("runs") / "ana"
    model = Pose2Vid.fresh("tiny", 4)
    torch.nn.init.normal_(model.autoencoder.decoder.out.weight, std=0.1)  # silent before it has learned
    Filmed(model, torch.rand(3, SIZE, SIZE), torch.rand(VECTOR)).save(run / "weights", PERSON, LOOKS)
    return run


@pytest.fixture(autouse=True)
def dressed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The looks are the same in all these tests: the body is dressed once."""
    monkeypatch.setattr(filmed, "painted_body", lambda looks: dressed())


@cache
def dressed() -> Any:
    return painted_body(LOOKS)


@pytest.fixture
def spoiled(learned: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(learned, tmp_path / "copy"))


def test_sign_draws_the_filmed_signer_names_them_and_does_it_again_alike(
    run: Run, learned: Path, folder: Path
) -> None:
    out = folder / "a.mp4"
    result = run("sign", "Hello", "--signer", learned, "-o", out, *BRIEF)
    assert result.code == 0, result.err
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (SIZE, SIZE)
    tags, told = read_tags(out), check_sidecar(out)
    comment = json.loads(tags["comment"])
    assert comment["synthetic"] is True and comment["what"] == LABEL
    assert (comment["signer"], comment["look"]) == ("Ana Lucía", "diffusion") and "style" not in comment
    assert comment["filmed"] == json.loads(PERSON.json()) == told["made"]["filmed"]
    for said in (tags["description"], told["disclaimer"]):
        assert said.startswith("Synthetic signing made by a computer") and "no person was filmed" not in said
        assert all(x in said for x in (PERSON.name, PERSON.consent, PERSON.licence, PERSON.consent_on))
    assert told["signer_card"]["name"] == "Ana Lucía" and told["signer_card"]["origin"].startswith("filmed")
    drawn_with = dict(filmed_signer(learned).weights)
    assert set(drawn_with) == set(FILES) and drawn_with.items() <= told["weights"].items()
    assert run("sign", "Hello", "--signer", learned, "-o", folder / "b.mp4", *BRIEF).code == 0
    assert (folder / "b.mp4").read_bytes() == out.read_bytes()
    assert str(learned) not in json.dumps(told) + json.dumps(tags)  # where it lay is nobody's business


def test_render_draws_the_filmed_signer(run: Run, learned: Path, folder: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_bytes(run("plan", "Hello", "--json").out)
    assert run("render", plan, "--signer", learned, "-o", folder / "a.gif", *BRIEF).code == 0
    made = told_by(read_tags(folder / "a.gif"))
    assert made is not None and made.filmed == PERSON


def test_python_takes_the_folder_too(learned: Path, folder: Path) -> None:
    engine = StableSigner(fake_stages())
    clip = engine.sign("Hello", signer=learned, fps=10, label=False)
    assert clip.frames.shape[1:] == (SIZE, SIZE, 3)
    assert clip.provenance.filmed == PERSON
    again = StableSigner(fake_stages()).sign("Hello", signer=str(learned / "weights"), fps=10, label=False)
    assert np.array_equal(clip.frames[0], next(iter(again)))
    piece = next(iter(engine.stream("Hello", signer=learned, fps=10, label=False)))
    assert np.array_equal(piece.frames, clip.frames)
    clip.save(folder / "a.mp4", sidecar=True)
    assert check_sidecar(folder / "a.mp4")["made"]["filmed"]["name"] == "Ana Lucía"
    engine.save_pose(clip.motion, folder / "a.pose", signer=learned)
    engine.save_pose(clip.motion, folder / "b.pose", signer="maya", size=SIZE)  # whose body is theirs
    assert (folder / "a.pose").read_bytes() == (folder / "b.pose").read_bytes()


def test_what_is_drawn_is_what_was_measured(learned: Path) -> None:
    """The renderer's pictures are those of `Filmed.film`, which `measure` compares with the truth."""
    from stable_signer.pose2vid.control import controlled
    from stable_signer.pose2vid.filmed import FilmedRenderer

    who = filmed_signer(learned)
    renderer = FilmedRenderer(who)
    motion = StableSigner(fake_stages()).sign("Hello").motion[:4]
    maps = np.stack([maps for _, _, maps in controlled(renderer.mesh, renderer.control, motion)])
    film = who.networks.film(torch.from_numpy(maps)).permute(0, 2, 3, 1)
    expected = (film * 255).round().byte().cpu().numpy()
    assert np.array_equal(np.stack(list(renderer.frames(motion))), expected)
    assert np.array_equal(np.stack(list(renderer.film([motion[:2], motion[2:]]))), expected)
    careful = np.stack(list(renderer.careful().frames(motion[:1])))
    assert careful.shape == expected[:1].shape and not np.array_equal(careful, expected[:1])
    assert np.ptp(expected[0].astype(int), (0, 1)).min() > 50  # not one flat colour


def test_weights_learned_anew_in_the_same_folder_are_seen(spoiled: Path) -> None:
    engine = StableSigner(fake_stages())
    before = next(iter(engine.sign("Hello", signer=spoiled, label=False))).copy()
    networks, looks, _ = Filmed.load(spoiled / "weights")
    with torch.no_grad():
        networks.plate.mul_(0.2)
    networks.save(spoiled / "weights", PERSON, looks)
    after = next(iter(engine.sign("Hello", signer=spoiled, label=False)))
    assert not np.array_equal(before, after)


def test_a_checked_look_stays_when_it_is_checked_again(learned: Path) -> None:
    drawn = checked_look(learned)
    assert (drawn["look"], drawn["size"], drawn["style"]) == ("diffusion", SIZE, None)
    assert checked_look(**drawn) == drawn == checked_look(str(learned), look="diffusion", size=SIZE)
    ours = checked_look()
    assert (ours["signer"], ours["look"], ours["size"]) == ("maya", "diffusion", 512)
    assert checked_look(**ours) == ours


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--look", "mesh"), "drawn by the look diffusion only, not mesh"),
        (("--look", "oil"), "there is no look 'oil'"),
        (("--size", "512"), "drawn at 256 pixels, as learned, not at 512"),
        (("--style", "dark"), "wall and light of the footage"),
        (("--quality", "best"), "there is no quality 'best'"),
    ],
)
def test_another_look_size_or_style_is_refused(
    run: Run, learned: Path, folder: Path, options: tuple[str, ...], reason: str
) -> None:
    refused(run("sign", "Hello", "--signer", learned, "-o", folder / "a.mp4", *options), reason, folder)


def refused(result: Any, reason: str, folder: Path | None = None) -> None:
    assert result.code == 2
    assert reason in result.err and result.err.count("\n") == 1
    assert folder is None or not list(folder.iterdir())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("{}:0.5,maya:0.5", "cannot be mixed: name the folder"),
        ("maya,{}", "cannot be mixed: name the folder"),
        ("{}:1", "cannot be mixed: name the folder"),
        ("{}/nothing", "there is no folder"),
        ("{}/..", "has no weights of a filmed signer"),
        ("nobody", "there is no signer 'nobody'"),
        ("maya:1/2,ben:1/2", "the share '1/2' of the signer maya"),
    ],
)
def test_what_is_no_filmed_signer_is_refused(
    run: Run, learned: Path, folder: Path, name: str, reason: str
) -> None:
    named = name.format(learned)
    refused(run("sign", "Hello", "--signer", named, "-o", folder / "a.mp4"), reason, folder)
    with pytest.raises(StableSignerError, match=reason):
        StableSigner(fake_stages()).sign("Hello", signer=named)


def without(name: str) -> Callable[[Path], None]:
    return lambda weights: (weights / name).unlink()


def with_card(**change: Any) -> Callable[[Path], None]:
    def spoil(weights: Path) -> None:
        card = json.loads(PERSON.json()) | change
        (weights / CARD).write_text(json.dumps(card), encoding="utf-8")

    return spoil


def of_another_layout(name: str, tensor: str) -> Callable[[Path], None]:
    """As weights of an earlier version: one tensor has another shape, the metadata is the same."""

    def spoil(weights: Path) -> None:
        path = weights / name
        with safe_open(path, "pt") as file:
            told = file.metadata()
        tensors = load_file(path)
        tensors[tensor] = torch.cat([tensors[tensor]] * 2)
        save_file(tensors, path, told)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (without(FOOTAGE), f"no weights of a filmed signer ({FOOTAGE} is missing)"),
        (without("pose2vid-denoiser.safetensors"), "no weights of a filmed signer (pose2vid-denoiser"),
        (without(CARD), "nothing is drawn without the consent"),
        (with_card(consent=" "), "has no consent"),
        (with_card(licence=None), "has no licence"),
        (with_card(name="Ben"), "is not the card that its weights were learned with"),
        (lambda weights: (weights / CARD).write_text("{"), "is not JSON"),
        (lambda weights: (weights / FOOTAGE).write_bytes(b"x" * 99), "cannot be read"),
        (lambda weights: (weights / FILES[1]).write_bytes(b"x" * 99), "cannot be read"),
        (of_another_layout("pose2vid-denoiser.safetensors", "press.weight"), "must be trained again"),
        (of_another_layout("pose2vid-upsampler.safetensors", "maps.weight"), "an earlier version"),
        (of_another_layout(FOOTAGE, "vector"), "must be trained again"),
    ],
)
def test_a_folder_that_cannot_be_drawn_from_is_refused(
    run: Run, spoiled: Path, folder: Path, spoil: Callable[[Path], Any], reason: str
) -> None:
    spoil(spoiled / "weights")
    refused(run("sign", "Hello", "--signer", spoiled, "-o", folder / "a.mp4"), reason, folder)


def test_every_command_that_draws_refuses_before_it_writes(
    run: Run, spoiled: Path, folder: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_bytes(run("plan", "Hello", "--json").out)
    assert run("motion", plan, "--signer", spoiled, "-o", folder / "a.pose").code == 0
    (folder / "a.pose").unlink()
    with_card(consent="")(spoiled / "weights")
    refused(run("render", plan, "--signer", spoiled, "-o", folder / "a.mp4"), "has no consent", folder)
    refused(run("motion", plan, "--signer", spoiled, "-o", folder / "a.pose"), "has no consent", folder)


def test_batch_captions_and_gltf_take_no_folder(
    run: Run, learned: Path, folder: Path, tmp_path: Path
) -> None:
    lines, film = tmp_path / "s.jsonl", tmp_path / "f.srt"
    lines.write_text(json.dumps({"text": "Hello", "signer": str(learned)}) + "\n", encoding="utf-8")
    film.write_text("1\n00:00:00,000 --> 00:00:02,000\nHello\n", encoding="utf-8")
    told = "filmed signers are drawn by `sign` and `render` only"
    refused(run("batch", lines, "-o", folder / "videos"), told, folder)
    lines.write_text('{"text": "Hello"}\n', encoding="utf-8")
    refused(run("batch", lines, "-o", folder / "videos", "--signer", learned), told, folder)
    refused(run("captions", film, "-o", folder / "a.mp4", "--signer", learned), told, folder)
    refused(run("gltf", lines, "-o", folder / "a.glb", "--signer", learned), told, folder)


@pytest.mark.parametrize("name", ["{}", "{}/weights", "./ana", "ana", "..", "~", "maya,{}:0.5", "C:\\ana"])
def test_a_request_makes_the_service_look_at_no_file(
    learned: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(learned.parent)  # `ana` lies beside it
    monkeypatch.setattr("os.path.isdir", lambda path: pytest.fail(f"looked at {path}"))
    monkeypatch.setattr(pipeline, "_folder_of", lambda signer: pytest.fail(f"looked for {signer}"))
    request = SigningRequest(input="Hello", signer=name.format(learned))
    with pytest.raises(StableSignerError, match=r"only: use one of|there is no signer"):
        order_of(request, Settings())


def test_names_come_before_folders(
    learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(learned, tmp_path / "maya")
    monkeypatch.chdir(tmp_path)
    assert checked_look("maya")["signer"] == "maya"
    assert checked_look("./maya")["signer"].card == PERSON
    shutil.copytree(learned, tmp_path / "ana")
    assert checked_look("ana")["signer"].card == PERSON


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".gif"])
def test_the_tags_of_a_file_tell_who_was_filmed(tmp_path: Path, ending: str) -> None:
    frames = [np.full((64, 64, 3), shade, np.uint8) for shade in range(0, 250, 25)]
    path = tmp_path / f"a{ending}"
    for made in (Provenance("ase", "Ana Lucía", seed=3, filmed=PERSON), Provenance("ase", "maya", seed=3)):
        write_video(path, frames, size=64, fps=25, tags=made.tags())
        assert told_by(read_tags(path)) == made
    assert told_by({"comment": "a {brace}"}) is None and told_by({}) is None
    assert told_by({"comment": '{"what": "a film"}'}) is None
    assert Provenance().disclaimer == DISCLAIMER
