"""From plan to motion: times, continuity, speed, the face's grammar, and hands that stay out of the body."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stable_signer.body import rotation
from stable_signer.body.ik import ARM, palm_frame, solve_arm
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.camera import Camera
from stable_signer.slp_moe.clearance import (
    hand_points,
    hands_overlap,
    keep_clear,
    keep_in_view,
    kinematics,
    penetration,
)
from stable_signer.slp_moe.compose import Composer, compose, mirrored
from stable_signer.slp_moe.limbs import LIMBS, SPEED_LIMITS, WRIST_LIMIT, rest_quaternions
from stable_signer.slp_moe.nonmanual import ACTIONS
from stable_signer.slp_moe.schedule import relax, schedule, strokes
from stable_signer.slul.plan import NONMANUALS, Draft, Plan, Sign, Span


@dataclass(frozen=True, eq=False)
class FakePrototype:
    """A straight movement of one or both flat hands, different for every gloss."""

    gloss: str
    motion: Motion
    two_handed: bool
    source: str = "lexicon"
    approximate: bool = False

    @property
    def duration(self) -> float:
        return self.motion.duration

    def uses(self, limb: str) -> bool:
        return limb != "left" or self.two_handed


class FakeLexicon:
    """Any gloss can be signed; those of even length take both hands."""

    @staticmethod
    @cache
    def prototype(gloss: str) -> FakePrototype:
        body = Body.load()
        rng = np.random.default_rng(list(gloss.encode()))
        frames = int(rng.integers(8, 25))
        q = np.tile(np.eye(3), (frames, len(body.joints), 1, 1))
        two_handed = len(gloss) % 2 == 0
        for side, x in (("R", -1), ("L", 1))[: 1 + two_handed]:
            start = np.array([x * rng.uniform(0.05, 0.2), -rng.uniform(0.3, 0.4), rng.uniform(0.4, 0.7)])
            way = start + np.linspace(0, 1, frames)[:, None] * rng.normal(0, 0.05, 3)
            palm = np.broadcast_to(
                palm_frame(np.array([0, -1.0, 0]), np.array([-x * 0.3, -0.2, 1])), (frames, 3, 3)
            )
            arm = [body.index[f"{name}.{side}"] for name in ARM]
            q[:, arm] = solve_arm(body, body.signer("maya"), side, way, palm)
        six = np.concatenate([q[..., 0], q[..., 1]], -1).astype(np.float32)
        motion = Motion(six, np.zeros((frames, 52), np.float32), np.zeros((frames, 3), np.float32))
        return FakePrototype(gloss, motion, two_handed)

    def spelled(self, parts: tuple[str, ...]) -> FakePrototype:
        return self.prototype("-".join(parts) + "!")


LEXICON = FakeLexicon()


def draft(*glosses: str, spans: tuple[Span, ...] = ()) -> Draft:
    signs = tuple(Sign("PAUSE", "pause", end=0.5, source="none") if g == "," else Sign(g) for g in glosses)
    return Draft("text", "ase", signs, spans, (("text", len(signs)),))


gloss_lists = st.lists(
    st.sampled_from(["A", "BB", "CCC", "DDDD", "EEEEE", ","]), min_size=1, max_size=7
).filter(lambda glosses: any(g != "," for g in glosses))


@settings(deadline=None, max_examples=25)
@given(gloss_lists, st.floats(0.25, 3.0))
def test_signs_follow_one_another_and_plans_survive_json_and_relaxing(
    glosses: list[str], speed: float
) -> None:
    plan = schedule(draft(*glosses), LEXICON, speed)
    times = [t for s in plan.signs for t in (s.start, s.end)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert Plan.from_dict(plan.to_dict()).glosses == plan.glosses
    again = relax(plan, LEXICON)
    assert [s.start for s in again.signs] == pytest.approx([s.start for s in plan.signs], abs=2e-3)


@settings(deadline=None, max_examples=12)
@given(gloss_lists)
def test_no_joint_jumps_or_outruns_its_limit(glosses: list[str]) -> None:
    motion = compose(schedule(draft(*glosses), LEXICON), LEXICON)
    q = motion.quaternions
    speed = rotation.turn_between(q[:-1], q[1:]) * motion.fps
    arms = [*LIMBS["right"], *LIMBS["left"]]
    assert (speed[:, arms] <= 1.6 * SPEED_LIMITS[arms]).all()
    wrists = kinematics(q)[1][:, [Body.load().index[f"wrist.{side}"] for side in "RL"]]
    assert np.linalg.norm(np.diff(wrists, axis=0), axis=-1).max() * motion.fps < 1.5 * WRIST_LIMIT
    assert np.abs(np.diff(speed[:, arms], axis=0)).max() < 16  # rad/s from one frame to the next


def test_the_signer_comes_from_rest_and_returns_to_it() -> None:
    motion = compose(schedule(draft("BB", "CCC"), LEXICON), LEXICON)
    q = motion.quaternions
    arms = [j for limb in ("right", "left") for j in LIMBS[limb] if "clavicle" not in Body.load().joints[j]]
    for frame in (0, -1):
        assert rotation.turn_between(q[frame, arms], rest_quaternions()[arms]).max() < 0.05


def test_the_weak_hand_stays_at_rest_in_one_handed_signs() -> None:
    motion = compose(schedule(draft("A", "CCC"), LEXICON), LEXICON)
    q = motion.quaternions
    left = [j for j in LIMBS["left"] if "clavicle" not in Body.load().joints[j]]
    assert rotation.turn_between(q[:, left], rest_quaternions()[left]).max() < 0.02


def test_pieces_join_to_the_whole_and_streams_do_not_jump() -> None:
    text = draft("A", "BB", ",", "CCC", "DDDD")
    two = Draft(text.text, "ase", text.signs, (), (("one", 3), ("two", 2)))
    composer = Composer(schedule(two, LEXICON), LEXICON)
    pieces = list(composer.pieces())
    assert len(pieces) == 2
    assert sum(map(len, pieces)) == composer.frame_count
    whole = composer.frames(0, composer.frame_count)
    joined = np.concatenate([p.rotations for p in pieces])
    assert np.abs(joined - whole.rotations).max() < 0.02


def test_seeds_are_takes_and_the_same_seed_gives_the_same_bytes() -> None:
    plan = schedule(draft("A", "BB"), LEXICON)
    first, again, other = (compose(plan, LEXICON, seed=s) for s in (1, 1, 2))
    assert first.rotations.tobytes() == again.rotations.tobytes()
    assert first.face.tobytes() == again.face.tobytes()
    assert np.abs(first.rotations - other.rotations).max() > 1e-3


def test_left_handed_signing_is_the_mirror_image() -> None:
    plan = schedule(draft("A"), LEXICON)
    right, left = compose(plan, LEXICON), compose(plan, LEXICON, left_handed=True)
    np.testing.assert_array_equal(left.rotations, mirrored(right).rotations)
    np.testing.assert_allclose(mirrored(left).rotations, right.rotations)
    body = Body.load()
    moved = np.abs(np.diff(left.rotations, axis=0)).max((0, 2))
    assert moved[body.index["upperarm01.L"]] > 10 * moved[body.index["upperarm01.R"]]


@pytest.mark.parametrize(
    ("kind", "action", "up"),
    [
        ("wh-question", "browDownLeft", 0.7),
        ("yes-no-question", "browOuterUpLeft", 0.7),
        ("topic", "browInnerUp", 0.7),
        ("conditional", "browInnerUp", 0.7),
        ("negation", "mouthFrownLeft", 0.3),
    ],
)
def test_the_face_carries_the_grammar(kind: str, action: str, up: float) -> None:
    index = Body.load().face_index[action]
    plain = compose(schedule(draft("A", "BB"), LEXICON), LEXICON)
    marked = compose(schedule(draft("A", "BB", spans=(Span(kind, 0, 1),)), LEXICON), LEXICON)
    assert plain.face[:, index].max() < 0.1
    assert marked.face[:, index].max() >= up


def test_negation_shakes_the_head_there_and_back() -> None:
    span = (Span("negation", 0, 3),)
    motion = compose(schedule(draft("A", "BB", "CCC", "DDDD", spans=span), LEXICON), LEXICON)
    head = motion.rotations[:, Body.load().index["head"]]
    yaw = head[:, 1]  # the first column's y: the sine of a turn about the vertical
    assert yaw.max() > 0.05
    assert yaw.min() < -0.05


def test_every_nonmanual_kind_has_an_action() -> None:
    assert set(ACTIONS) == set(NONMANUALS)
    assert all(name in Body.load().face_index for action in ACTIONS.values() for name in action.face)


def test_a_hand_in_the_belly_is_moved_out() -> None:
    body = Body.load()
    q = np.zeros((50, len(body.joints), 4))
    q[..., 0] = 1
    bend = np.sin(np.linspace(0, np.pi, 50))[:, None] * np.array([0, 0, 1.0])
    q[:, body.index["upperarm01.R"]] = rotation.exp(0.9 * bend)
    q[:, body.index["lowerarm01.R"]] = rotation.exp(1.2 * bend)
    assert np.linalg.norm(penetration(q, "R"), axis=-1).max() > 0.03
    assert np.linalg.norm(penetration(keep_clear(q), "R"), axis=-1).max() < 0.005


def test_hands_that_pass_through_each_other_are_moved_apart() -> None:
    body = Body.load()
    turns = np.tile(np.eye(3), (40, len(body.joints), 1, 1))
    close = 0.08 - 0.078 * np.sin(np.linspace(0, np.pi, 40))  # together, palm to palm, and apart
    for side, sign in (("R", -1.0), ("L", 1.0)):
        way = np.stack([sign * close, np.full(40, -0.35), np.full(40, 0.45)], 1)
        palm = np.broadcast_to(palm_frame(np.array([-sign, 0, 0]), np.array([0, -0.7, 0.7])), (40, 3, 3))
        arm = [body.index[f"{name}.{side}"] for name in ARM]
        turns[:, arm] = solve_arm(body, body.signer("maya"), side, way, palm)
    q = rotation.matrix_to_quaternion(turns)
    before, after = (np.linalg.norm(hands_overlap(p), axis=-1).max() for p in (q, keep_clear(q)))
    assert before > 0.01
    assert after < 0.65 * before  # what is left are the thumbs, hooked into each other


def test_a_hand_that_leaves_the_picture_is_brought_back() -> None:
    body = Body.load()
    q = np.zeros((50, len(body.joints), 4))
    q[..., 0] = 1
    lift = np.sin(np.linspace(0, np.pi, 50))[:, None] * np.array([0, 1.0, 0])
    q[:, body.index["upperarm01.R"]] = rotation.exp(0.8 * lift)
    camera = Camera(512)
    outside, inside = (hand_pixels(motion, camera) for motion in (q, keep_in_view(q)))
    assert outside[..., 0].min() < 0
    assert inside[..., :2].min() >= 0
    assert inside[..., :2].max() <= 512


def hand_pixels(q: np.ndarray, camera: Camera) -> np.ndarray:
    points, _ = hand_points(*kinematics(q), "R")
    return camera.project(torch.from_numpy(points)).numpy()


def test_a_hand_written_plan_that_is_too_fast_is_slowed_and_says_so() -> None:
    hasty = Plan("t", signs=tuple(Sign(g, start=i * 0.05, end=i * 0.05 + 0.04) for i, g in enumerate("ABC")))
    slower = relax(hasty, LEXICON)
    assert slower.duration > hasty.duration + 0.3
    assert "moved back" in slower.notes[-1]


def test_a_sign_of_several_parts_keeps_to_its_time() -> None:
    plan = schedule(Draft("t", "ase", (Sign("X", parts=("A", "BB")),), (), (("t", 1),)), LEXICON)
    placed = strokes(plan.signs, LEXICON)
    assert [s.prototype.gloss for s in placed] == ["A", "BB"]
    assert placed[0].start == pytest.approx(plan.signs[0].start)
    assert placed[1].end == pytest.approx(plan.signs[0].end)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": 500}, "500 frames a second"),
        ({"plan": Plan("t")}, "no signs"),
        ({"plan": Plan("t", signs=(Sign("A", start=0, end=4000),))}, "4000 s"),
    ],
)
def test_what_cannot_be_composed_is_refused(change: dict, message: str) -> None:
    plan = change.pop("plan", None) or schedule(draft("A"), LEXICON)
    with pytest.raises(StableSignerError, match=message):
        Composer(plan, LEXICON, **change)


def test_a_speed_out_of_range_is_refused() -> None:
    with pytest.raises(StableSignerError, match=r"choose 0\.25 to 3"):
        schedule(draft("A"), LEXICON, speed=9)
