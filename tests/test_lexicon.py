"""The lexicon: what ships decodes to sound motion, and what is written is read back."""

import time
from pathlib import Path

import numpy as np
import pytest

from stable_signer.body import fit
from stable_signer.body.rotation import calmed, exp, six_to_quaternion, turn_between
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe import lexicon as lx
from stable_signer.slp_moe.lexicon import Entry, Lexicon


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.load()


def entry(name: str, frames: int, two_handed: bool, seed: int) -> Entry:
    rng = np.random.default_rng(seed)
    limb = fit.default_fitter().limb
    low, high = limb.low.numpy(), limb.high.numpy()
    share = rng.uniform(0.1, 0.85, (1, 2, fit.DOFS)) + rng.uniform(0, 0.04, (frames, 2, fit.DOFS))
    dofs = low + share * (high - low)  # a pose that trembles: recordings that leap are calmed
    face = np.zeros((frames, 52))
    face[:, Body.load().face_index["jawOpen"]] = 0.4
    return Entry(name, dofs, rng.uniform(-0.3, 0.3, (frames, 3)), face, two_handed, False, 0.1, 1.0)


def test_written_entries_are_read_back(tmp_path: Path) -> None:
    fitter = fit.default_fitter()
    entries = [entry("a", 5, True, 0), entry("b", 3, False, 1), entry("c", 4, True, 2)]
    lx.write(tmp_path / "x.safetensors", entries, fitter.limb)
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]
    tensors, clips = lx.read(tmp_path / "x.safetensors")
    book = Lexicon(tensors, clips, {e.clip.upper() + "-SIGN": (e.clip, False) for e in entries})
    for one in entries:
        proto = book.prototype(one.clip.upper() + "-SIGN")
        dofs = one.dofs.copy()
        if not one.two_handed:
            dofs[:, 1] = fit.REST_DOFS
        expected = fit.to_motion(fitter, dofs, one.head, one.face)
        np.testing.assert_allclose(proto.motion.rotations, expected.rotations, atol=0.02)
        np.testing.assert_allclose(proto.motion.face, expected.face, atol=0.01)
        assert proto.two_handed == one.two_handed and proto.uses("left") == one.two_handed
        assert book.duration(proto.gloss) == proto.duration == len(one.dofs) / 25


def test_every_sign_that_ships_decodes_to_sound_motion(lexicon: Lexicon) -> None:
    body = Body.load()
    assert len(lexicon) > 2000
    for gloss in lexicon.glosses[:: max(1, len(lexicon.glosses) // 150)]:
        proto = lexicon.prototype(gloss)
        assert proto.gloss == gloss and proto.motion.fps == 25
        assert proto.motion.rotations.shape[1:] == (len(body.joints), 6)
        assert len(proto.motion) >= 2 and 0.08 <= proto.duration <= 2.5, gloss
        columns = proto.motion.rotations.reshape(len(proto.motion), -1, 2, 3)
        np.testing.assert_allclose(np.linalg.norm(columns, axis=-1), 1, atol=1e-4)
        assert (proto.motion.face >= 0).all() and (proto.motion.face <= 1).all()


def test_no_recording_leaps_from_frame_to_frame(lexicon: Lexicon) -> None:
    for gloss in ("ARENA", "BILLBOARD", "DEFEND", "NOTICE", "BEEF"):  # over 60 degrees a frame as tracked
        q = six_to_quaternion(lexicon.prototype(gloss).motion.rotations.astype(np.float64))
        assert np.degrees(turn_between(q[:-1], q[1:])).max() < 60


def test_what_does_not_leap_stays_bit_by_bit() -> None:
    turns = np.zeros((9, 2, 3))
    turns[:, 0, 0] = np.radians([0, 10, 20, 100, 110, 120, 130, 140, 150])
    turns[:, 1, 1] = np.radians(np.arange(9) * 5)
    q = exp(turns)
    calm = calmed(q, np.radians(45))
    assert (calm[:, 1] == q[:, 1]).all() and (calm[[0, -1]] == q[[0, -1]]).all()
    assert np.degrees(turn_between(calm[:-1], calm[1:])).max() < 50
    assert (calmed(calm[:, 1:], np.radians(45)) == q[:, 1:]).all()


def test_signs_are_where_signers_make_them(lexicon: Lexicon) -> None:
    """A few signs whose place everyone knows: heights of the right wrist in metres, shoulders at 0.57."""
    import torch

    from stable_signer.body.skeleton import forward_kinematics, rotation_6d_to_matrix

    body = Body.load()
    rest = body.signer("maya")
    for gloss, low, high in (("FATHER", 0.62, 0.95), ("MOTHER", 0.5, 0.75), ("SORRY", 0.3, 0.56)):
        if gloss not in lexicon:
            continue
        motion = lexicon.prototype(gloss).motion
        rotations = rotation_6d_to_matrix(torch.from_numpy(motion.rotations))
        _, joints = forward_kinematics(body, rest, rotations, torch.from_numpy(motion.root))
        height = float(joints[:, body.index["wrist.R"], 2].median())
        assert low < height < high, (gloss, height)


def test_an_unknown_gloss_is_refused_with_near_matches(lexicon: Lexicon) -> None:
    assert "MOTHRE" not in lexicon and "MOTHER" in lexicon and 7 not in lexicon
    with pytest.raises(StableSignerError, match="no sign 'MOTHRE': did you mean MOTHER"):
        lexicon.prototype("MOTHRE")


def test_broken_files_are_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StableSignerError, match=r"gone.safetensors cannot be read"):
        lx.read(tmp_path / "gone.safetensors")
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"\x10\0\0\0\0\0\0\0nonsense")
    with pytest.raises(StableSignerError, match="reinstall stable-signer"):
        lx.read(bad)
    with monkeypatch.context() as patch:
        patch.setattr(lx, "VERSION", "0")
        lx.write(bad, [entry("a", 2, False, 0)], fit.default_fitter().limb)
    with pytest.raises(StableSignerError, match="version '0'"):
        lx.read(bad)


def test_loading_is_quick() -> None:
    Lexicon.load.cache_clear()
    began = time.perf_counter()
    Lexicon.load()
    assert time.perf_counter() - began < 1.0  # 0.03 s alone on one core; room for a busy machine
