"""Signs built by rule: handshapes, spelling, numbers, notation and phonology."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stable_signer.body.skeleton import Body, forward_kinematics, rotation_6d_to_matrix
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe import apart, notation, phonology, priors
from stable_signer.slp_moe import handshapes as hs
from stable_signer.slp_moe.places import HAND_POINTS, PLACES, hand_point
from stable_signer.slul.glosses import Glossary

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BODY = Body.load()


def joints_of(built: priors.Built) -> np.ndarray:
    """(T, J, 3) places of the joints."""
    matrices = rotation_6d_to_matrix(torch.from_numpy(built.rotations))
    return forward_kinematics(BODY, BODY.signer("maya"), matrices, torch.zeros(len(matrices), 3))[1].numpy()


def test_every_shape_of_asl_lex_and_every_letter_and_digit_is_there() -> None:
    shapes = {phonology.shape_name(row.handshape) for row in phonology.phonology().values()}
    shapes |= {phonology.shape_name(row.other_handshape) for row in phonology.phonology().values()}
    for name in shapes | set(LETTERS) | set("0123456789"):
        rotations = hs.handshape(name)
        assert rotations.shape == (15, 3, 3)
        assert np.allclose(np.linalg.det(rotations), 1)


@pytest.mark.parametrize("name", sorted(hs.table()))
def test_no_finger_passes_through_another_or_the_palm(name: str) -> None:
    angles = hs.shape_angles(name)
    worst = int(hs.clearance(angles).argmin())
    assert hs.clearance(angles)[worst] > -0.0018, hs.PAIRS[worst]
    assert hs.palm_clearance(angles).min() > -0.002
    assert (angles >= hs.LIMITS[:, 0] - 0.5).all() and (angles <= hs.LIMITS[:, 1] + 0.5).all()


@pytest.mark.parametrize(
    ("name", "finger"),
    [
        ("F", 5),
        ("O", 5),
        ("O", 8),
        ("D", 8),
        ("8", 8),
        ("7", 11),
        ("6", 14),
        ("baby_o", 5),
        ("flat_o", 8),
        ("9", 5),
    ],
)
def test_fingertips_touch_the_thumb_where_the_shape_asks(name: str, finger: int) -> None:
    angles = hs.shape_angles(name)
    assert abs(hs.clearance(angles)[hs.PAIRS.index((2, finger))]) < 0.002


def test_letters_differ_from_one_another() -> None:
    """In shape, or in how the hand is turned, or in that they are traced."""
    for a, b in itertools.combinations(LETTERS, 2):
        shape = np.abs(hs.shape_angles(a) - hs.shape_angles(b)).max()
        turn = priors.LETTER_TURNS.get(a, priors.UPRIGHT) != priors.LETTER_TURNS.get(b, priors.UPRIGHT)
        traced = (a in priors.TRACED) != (b in priors.TRACED)
        assert shape > 14 or turn or traced, (a, b, shape)


def test_mirroring_twice_is_nothing() -> None:
    rotations = hs.handshape("L")
    assert np.array_equal(hs.mirror(hs.mirror(rotations)), rotations)


@pytest.mark.parametrize(
    "number",
    [str(n) for n in range(31)] + ["40", "50", "60", "70", "80", "90", "HUNDRED", "THOUSAND", "MILLION"],
)
def test_numbers_build(number: str) -> None:
    built = priors.build(number)
    assert built is not None and built.right and not built.approximate
    assert np.isfinite(built.rotations).all()
    assert 0.2 < built.duration < 1.0


def test_everything_written_builds_and_stays_in_the_picture() -> None:
    for gloss in priors.glosses():
        built = priors.build(gloss)
        assert built is not None and built.rotations.dtype == np.float32
        places = joints_of(built)
        hands = places[
            :, [BODY.index[f"finger3-3.{s}"] for s, used in (("R", built.right), ("L", built.left)) if used]
        ]
        assert np.abs(hands[..., 0]).max() < 0.53, gloss
        assert hands[..., 2].max() < 1.05 and hands[..., 2].min() > 0.05, gloss
        speed = np.linalg.norm(np.diff(hands, axis=0), axis=-1) * built.fps
        assert speed.max(initial=0) < 4.5, (gloss, speed.max())  # metres a second


def test_phonology_builds_every_kind() -> None:
    rows = phonology.phonology()
    kinds = {(r.type, r.movement, r.major, r.contact): r for r in rows.values()}
    for row in itertools.islice(kinds.values(), 0, None, 4):
        built = priors.realise(phonology.sign_from_phonology(row.entry, row), "phonology")
        assert built.approximate and np.isfinite(built.rotations).all()
        assert (
            built.left == (row.type != "OneHanded" or row.major in ("Hand", "Arm")) or row.minor == "UpperArm"
        )


@given(word=st.text(alphabet=LETTERS + LETTERS.lower() + "0123456789", min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_words_are_spelled_smoothly(word: str) -> None:
    built = priors.spell(tuple(word))
    assert built.right and not built.left
    wrist = joints_of(built)[:, BODY.index["wrist.R"]]
    assert np.linalg.norm(np.diff(wrist, axis=0), axis=1).max(initial=0) * built.fps < 3.0
    assert 0.15 * len(word) < built.duration < 0.6 * len(word) + 0.6


def test_doubled_letters_slide_outwards_and_the_last_letter_is_held() -> None:
    single, double = priors.spell(("L",)), priors.spell(("L", "L"))
    move = joints_of(double)[-1, BODY.index["wrist.R"]] - joints_of(single)[-1, BODY.index["wrist.R"]]
    assert -0.06 < move[0] < -0.03
    hold = joints_of(double)[-4:, BODY.index["wrist.R"]]
    assert np.abs(np.diff(hold, axis=0)).max() < 1e-3


def test_j_and_z_are_traced() -> None:
    for letter in "JZ":
        tips = joints_of(priors.spell((letter,)))[
            :, BODY.index["finger5-3.R" if letter == "J" else "finger2-3.R"]
        ]
        assert np.ptp(tips, axis=0).max() > 0.05


def test_the_duration_of_a_word_can_be_set() -> None:
    assert priors.spell(tuple("MARIA"), duration=0.8).duration == pytest.approx(0.8, abs=0.03)


def test_building_is_deterministic() -> None:
    first = priors.build("I-LOVE-YOU")
    priors.build.cache_clear()
    second = priors.build("I-LOVE-YOU")
    assert first is not None and second is not None
    assert np.array_equal(first.rotations, second.rotations)


def test_unknown_things_are_refused_or_none() -> None:
    assert priors.build("NO-SUCH-SIGN-AT-ALL") is None
    with pytest.raises(StableSignerError, match="alphabet"):
        priors.spell(("ß",))
    with pytest.raises(StableSignerError, match="nothing to spell"):
        priors.spell(())
    with pytest.raises(StableSignerError, match="no handshape"):
        priors.handshape("tentacle")


@pytest.mark.parametrize(
    "line",
    [
        "A | 0.4",
        "A | x | 1 O.U index@chin",
        "A | 0.4 | 1 OU index@chin",
        "A | 0.4 | 1 O.U index@knee",
        "A | 0.4 | 1 X.U index@chin",
        "A | 0.4 | 1 UD.U index@chin",
        "A | 0.4 | 1 O.U index@chin quick",
        "A | 99 | 1 O.U a@chin",
    ],
)
def test_broken_notation_is_refused_in_one_sentence(line: str) -> None:
    with pytest.raises(StableSignerError) as error:
        notation.parse_sign(line)
    assert "\n" not in str(error.value)


def test_contact_reaches_its_place() -> None:
    """The point that the notation names is where it says, after the arm's limits."""
    sign = notation.parse_sign("X | 0.4 | 1 I6D5.I6U8 index@chin")
    right, _ = notation.tracks(sign)
    built = priors.realise(sign, "notation")
    joint = joints_of(built)[-1, BODY.index["finger2-3.R"]]
    assert np.linalg.norm(right.place("index")[-1] - np.array(PLACES["chin"])) < 0.003
    assert np.linalg.norm(joint - np.array(PLACES["chin"])) < 0.035


def test_hand_points_exist_for_many_hands_at_once() -> None:
    angles = np.stack([hs.shape_angles("1"), hs.shape_angles("5")])
    for name in HAND_POINTS:
        assert hand_point(angles, name).shape == (2, 3)
    with pytest.raises(StableSignerError, match="no point"):
        hand_point(angles, "elbow")


def test_rest_is_in_the_picture_before_the_belly() -> None:
    rest = priors.rest_pose()
    assert rest.shape == (len(BODY.joints), 6)
    matrices = rotation_6d_to_matrix(torch.from_numpy(rest.copy()))[None]
    places = forward_kinematics(BODY, BODY.signer("maya"), matrices, torch.zeros(1, 3))[1][0].numpy()
    for side in "RL":
        wrist = places[BODY.index[f"wrist.{side}"]]
        assert wrist[1] < -0.15 and 0.08 < wrist[2] < 0.35
    joints, fingers = priors.relaxed_fingers("L")
    assert len(joints) == 15 and fingers.shape == (15, 3, 3)


def test_hands_do_not_pass_through_each_other() -> None:
    deep = {}
    for gloss in priors.glosses():
        sign = priors.written(gloss)
        right, left = notation.tracks(sign)
        if left is not None:
            moved = apart.part_hands(right, left, 1.0 if isinstance(sign.left, tuple) else 0.5)
            deep[gloss] = float(apart.overlap_depth(*moved).max())
    assert np.median(list(deep.values())) < 0.003
    # Fingers between fingers (BREAKTIME) and hands rubbing each other may overlap a little more.
    assert max(deep.values()) < 0.022, max(deep, key=lambda g: deep[g])
    assert sum(d > 0.006 for d in deep.values()) <= 5


def test_a_fitted_take_comes_before_a_sketch_from_phonology() -> None:
    fitted = next(e for e in Glossary.load() if e.clip and e.phonology and e.gloss not in priors.glosses())
    assert priors.build(fitted.gloss) is None
    sketch = priors.build_from_phonology(fitted.gloss)
    assert sketch is not None and sketch.approximate


def test_letters_stand_in_order_within_the_word_at_every_pace() -> None:
    word = tuple("JAZZ")
    seconds = [priors.spelling_seconds(word, pace) for pace in ("learner", "standard", "fluent")]
    assert seconds[0] > seconds[1] > seconds[2]
    holds = priors.letter_holds(word, seconds[2])
    assert [a for a, _ in holds] == sorted(a for a, _ in holds)
    assert all(a < b <= seconds[2] + 1e-6 for a, b in holds)
    with pytest.raises(StableSignerError, match="pace"):
        priors.spelling_seconds(word, "hasty")
