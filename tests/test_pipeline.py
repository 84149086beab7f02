"""The Python interface: on small stages, then once with everything that ships."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from fakes import FakeRenderer
from stable_signer import Clip, Motion, Plan, Sign, StableSigner, StableSignerError
from stable_signer.pipeline import MAX_CHARACTERS, checked_look, sentence_pieces
from stable_signer.slul.plan import Sentence

TEXT = "Hello. What is your name? Good morning Ana."


def test_sign_gives_frames_plan_and_motion(signer: StableSigner) -> None:
    clip = signer.sign("What is your name?", size=64)
    assert isinstance(clip, Clip) and isinstance(clip.plan, Plan) and isinstance(clip.motion, Motion)
    assert clip.frames.shape == (len(clip), 64, 64, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.fps == 25
    assert clip.plan.glosses == ("WHAT", "IS", "YOUR", "NAME")


def test_iterating_and_saving_hold_no_pictures(signer: StableSigner, folder: Path) -> None:
    clip = signer.sign(TEXT, size=64)
    before = FakeRenderer.drawn
    assert next(iter(clip)).shape == (64, 64, 3)
    assert FakeRenderer.drawn == before + 1  # drawn one at a time
    clip.save(folder / "a.mp4")
    assert "frames" not in vars(clip)
    assert [p.name for p in folder.iterdir()] == ["a.mp4"]
    with av.open(str(folder / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(clip)


def test_save_refuses_an_unknown_ending(signer: StableSigner, folder: Path) -> None:
    with pytest.raises(StableSignerError, match=r"\.mp4, \.webm, \.gif"):
        signer.sign("Hello", size=64).save(folder / "a.mov")
    assert not list(folder.iterdir())


def test_stream_is_the_same_signing_cut_between_sentences(signer: StableSigner) -> None:
    clips = list(signer.stream(TEXT, size=64))
    assert [c.plan.text for c in clips] == ["Hello.", "What is your name?", "Good morning Ana."]
    whole = signer.sign(TEXT, size=64)
    np.testing.assert_array_equal(np.concatenate([c.frames for c in clips]), whole.frames)
    for clip in clips:
        assert all(0 <= s.start <= s.end <= clip.motion.duration + 1 / 25 for s in clip.plan.signs)
        assert sum(len(c.plan.signs) for c in clips) == len(whole.plan.signs)


def test_stream_gives_the_first_sentence_before_it_draws_the_second(signer: StableSigner) -> None:
    before = FakeRenderer.drawn
    first = next(signer.stream(TEXT, size=64))
    assert FakeRenderer.drawn - before == len(first)


def test_pieces_cover_every_frame_once() -> None:
    sentences = (Sentence("a", 0.2, 1.0), Sentence("nothing", 1.0, 1.0), Sentence("b", 1.5, 2.0))
    plan = Plan(
        "a nothing b", signs=(Sign("A", start=0.2, end=1), Sign("B", start=1.5, end=2)), sentences=sentences
    )
    pieces = list(sentence_pieces(plan, 70, 25))
    assert pieces[0][1] == 0 and pieces[-1][2] == 70
    assert all(a[2] == b[1] for a, b in pairwise(pieces))
    assert [p.glosses for p, _, _ in pieces if p.signs] == [("A",), ("B",)]
    alone = Plan("x", signs=(Sign("A", start=0.2, end=1),))
    assert [(a, b) for _, a, b in sentence_pieces(alone, 40, 25)] == [(0, 40)]


def test_the_label_can_be_left_out(signer: StableSigner) -> None:
    with_label = signer.sign("Hello", size=64).frames
    without = signer.sign("Hello", size=64, label=False).frames
    assert (with_label != without).any(axis=(1, 2, 3)).all()


def test_seed_hand_speed_and_fps_reach_the_stages(signer: StableSigner) -> None:
    slow, fast = signer.plan("Hello you", speed=0.5), signer.plan("Hello you", speed=2.0)
    assert slow.duration > 2 * fast.duration
    plan = signer.plan("Hello")
    assert signer.motion(plan, seed=3).root[0, 0] == 3
    assert signer.motion(plan, fps=50).fps == 50
    assert signer.sign("Hello", language="ASL", size=64).plan.language == "ase"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"language": "eng"}, "there is no language 'eng': use one of ase, gsg"),
        ({"signer": "nobody"}, "there is no signer 'nobody': use one of maya"),
        ({"style": "baroque"}, "there is no style 'baroque': use one of studio"),
        (
            {"look": "oil"},
            "there is no look 'oil': use one of mesh, soft, cartoon, line, skeleton, diffusion",
        ),
        ({"size": 513}, "even number"),
        ({"size": 4096}, "even number"),
        ({"fps": 1}, "10 to 60"),
        ({"speed": 0}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"seed": -1}, "seed"),
    ],
)
def test_names_and_numbers_are_checked(
    signer: StableSigner, arguments: dict[str, object], match: str
) -> None:
    for call in (signer.sign, signer.stream):
        with pytest.raises(StableSignerError, match=match):
            call("Hello", **arguments)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("a" * (MAX_CHARACTERS + 1), "characters"),
        ("a\x07b", r"control character \(U\+0007, at position 2\)"),
        ("a\x00", "control character"),
        ("\udcff", "UTF-8"),
        ("你好", "nothing in the text can be signed"),
        ("🙂👍🏽", "nothing in the text can be signed"),
        ("...", "nothing in the text can be signed"),
    ],
)
def test_texts_that_cannot_be_signed_are_refused(signer: StableSigner, text: str, match: str) -> None:
    with pytest.raises(StableSignerError, match=match):
        signer.plan(text)


def test_plans_without_signs_or_without_end_are_refused(signer: StableSigner) -> None:
    with pytest.raises(StableSignerError, match="no signs"):
        signer.motion(Plan(""))
    with pytest.raises(StableSignerError, match="sign it in pieces"):
        signer.motion(Plan("", signs=(Sign("A", start=0, end=1e9),)))


# --- with everything that ships ---


@pytest.fixture(scope="module")
def real() -> StableSigner:
    return StableSigner.from_pretrained()


@pytest.mark.slow
def test_a_real_sentence_is_signed(real: StableSigner, folder: Path) -> None:
    clip = real.sign("What is your name?", size=128)
    assert clip.plan.glosses == ("POSS-2", "NAME", "WHAT")
    assert any(n.kind == "wh-question" for n in clip.plan.nonmanuals)
    frames = clip.frames
    assert frames.shape == (len(clip), 128, 128, 3)
    assert np.abs(frames[1:].astype(int) - frames[:-1]).max() > 60  # somebody moves
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() < 4  # from rest to rest
    np.testing.assert_array_equal(frames, real.sign("What is your name?", size=128).frames)
    clip.save(folder / "name.mp4")
    real.save_pose(clip.motion, folder / "name.pose", size=128)
    again = np.stack([f.copy() for f in real.render(real.load_pose(folder / "name.pose"), size=128)])
    np.testing.assert_array_equal(frames, again)


@pytest.mark.slow
def test_real_sentences_stream_without_a_jump(real: StableSigner) -> None:
    text = "Hello Maria. I do not like coffee."
    whole = real.sign(text, size=64, look="skeleton")
    clips = list(real.stream(text, size=64, look="skeleton"))
    assert len(clips) == 2
    np.testing.assert_array_equal(np.concatenate([c.motion.rotations for c in clips]), whole.motion.rotations)
    np.testing.assert_array_equal(np.concatenate([c.frames for c in clips]), whole.frames)


@pytest.mark.slow
def test_left_handed_signing_is_the_mirror_image(real: StableSigner) -> None:
    plan = real.plan("Hello")
    right, left = real.motion(plan), real.motion(plan, left_handed=True)
    np.testing.assert_allclose(right.root[:, 0], -left.root[:, 0], atol=1e-6)
    assert np.abs(right.rotations - left.rotations).max() > 0.1


def test_a_notebook_shows_the_clip(signer: StableSigner) -> None:
    clip = signer.sign("Hello <you>", size=64)
    html = clip._repr_html_()
    assert html.startswith("<video controls")
    assert "&lt;you&gt;" in html and "<you>" not in html


def test_a_prompt_is_answered_with_its_sentence_and_its_wishes(signer: StableSigner) -> None:
    bare = signer.plan("hello you")
    asked = signer.plan("How do I sign 'hello you' slowly in ASL?")
    assert asked.glosses == bare.glosses
    assert asked.text == "hello you"
    assert asked.duration > bare.duration
    left = signer.sign("How do I sign 'hello you' left-handed in ASL?", size=64)
    right = signer.sign("hello you", size=64)
    assert not np.array_equal(left.motion.rotations, right.motion.rotations)


@pytest.mark.parametrize(
    ("size", "look"), [(None, "diffusion"), (256, "diffusion"), (64, "mesh"), (720, "mesh")]
)
def test_the_networks_draw_the_sizes_that_they_can_when_nobody_says_how(size: int | None, look: str) -> None:
    assert checked_look(size=size)["look"] == look
    assert checked_look(size=size, look="line")["look"] == "line"


def test_an_unknown_planner_is_refused() -> None:
    with pytest.raises(StableSignerError, match="no planner 'magic': use one of slul, slul-face, rules"):
        StableSigner.from_pretrained("magic")


def test_a_wish_that_cannot_be_met_is_noted(real: StableSigner) -> None:
    plan = real.plan("How would you formally sign 'thank you' in ASL?")
    assert plan.glosses == ("THANK-YOU",)
    assert any("formal" in note for note in plan.notes)


LEFT = "How do you sign 'hello you' left-handed?"


def test_a_wish_for_a_hand_stands_in_the_plan_and_the_caller_wins(signer: StableSigner) -> None:
    plan = signer.plan(LEFT)
    assert plan.left_handed is True
    assert plan.to_dict()["left_handed"] is True
    assert Plan.from_dict(plan.to_dict()).left_handed is True
    for hand, leads in ((None, True), (True, True), (False, False)):
        assert signer.movement(plan, left_handed=hand).left_handed is leads  # type: ignore[attr-defined]
    plain = signer.plan("Hello you.")
    assert plain.left_handed is None
    assert "left_handed" not in plain.to_dict()  # as programs before this field wrote it, and read it
    assert signer.movement(plain).left_handed is False  # type: ignore[attr-defined]
    with pytest.raises(StableSignerError, match="'left_handed' must be bool"):
        Plan.from_dict({**plan.to_dict(), "left_handed": "left"})
