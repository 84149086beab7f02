"""HamNoSys: symbols, grammar, what is made of a notation, and the way into a lexicon."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stable_signer.body.skeleton import Body
from stable_signer.cli import main
from stable_signer.errors import StableSignerError
from stable_signer.lexicons import OwnLexicon, read_notations, sign_from_notation
from stable_signer.metrics.motion import places
from stable_signer.slp_moe.hamnosys import parse
from stable_signer.slp_moe.hamnosys_sign import sign_from_hamnosys
from stable_signer.slp_moe.hamnosys_tree import symbols, tokens
from stable_signer.slp_moe.handshapes import shape_angles, table
from stable_signer.slp_moe.notation import SignSpec
from stable_signer.slp_moe.places import HAND_POINTS, PLACES
from stable_signer.slp_moe.priors import realise

FLAT = "hamflathand,hamextfingeru,hampalml"


def ham(text: str) -> str:
    """`flathand extfingeru` -> `hamflathand,hamextfingeru`."""
    return ",".join(f"ham{word}" for word in text.split())


def made(text: str) -> SignSpec:
    return sign_from_hamnosys("X", ham(text)).sign


def wrists(text: str) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3) of the right and the left wrist, metres."""
    motion = sign_from_notation(ham(text), "X")[1]
    hands = places(motion).hands
    return hands[:, 0, 0], hands[:, 1, 0]


def test_the_table_names_only_what_there_is() -> None:
    for symbol in {id(s): s for s in symbols().values()}.values():
        words = symbol.value.split()
        if symbol.kind == "shape":
            shape_angles(words[0])
            for setting in words[1:]:
                name, _, value = setting.partition("=")
                if name not in ("bent", "digits"):
                    assert shape_angles(value).shape == (22,)
                    assert name in ("straight", "round") or value in table()
        elif symbol.kind == "place":
            assert words[0] in PLACES and words[1] in PLACES and float(words[3]) >= 0
        elif symbol.kind in ("hand", "digit"):
            assert words[0] in HAND_POINTS


def test_characters_and_names_say_the_same() -> None:
    names = "hamsymmlr,hamflathand,hamextfingerul,hampalmd,hamclose,hammovel,hamsmallmod,hamtouch"
    characters = "".join(symbols()[n].code for n in names.split(","))
    assert tokens(names) == tokens(characters) == tokens(" ".join(characters))
    assert parse(characters).parts[0].symmetry == "mirrored"


@pytest.mark.parametrize(
    ("fingers", "palm", "normal"),
    [
        ("o", "d", (0, 0, -1)),  # flat over a table
        ("u", "d", (0, -1, 0)),  # a hand that says stop
        ("u", "u", (0, 1, 0)),
        ("u", "l", (1, 0, 0)),
        ("l", "l", (0, 1, 0)),  # fingers to the left, palm to the signer
        ("l", "d", (0, 0, -1)),
        ("r", "l", (0, -1, 0)),
        ("d", "d", (0, 1, 0)),
    ],
)
def test_the_palm_turns_along_with_the_fingers(fingers: str, palm: str, normal: tuple[float, ...]) -> None:
    key = made(f"flathand extfinger{fingers} palm{palm}").right[0]
    assert np.allclose(key.normal, normal, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "straight"),
    [
        ("fist", ""),
        ("fist thumboutmod", ""),
        ("flathand thumbacrossmod", "index middle ring pinky"),
        ("finger2", "index"),
        ("finger2 thumboutmod pinky", "pinky"),
        ("finger23spread", "index middle"),
        ("finger23spread thumbacrossmod indexfinger pinky", "index pinky"),
        ("finger2345 thumboutmod middlefinger fingerstraightmod", "index ring pinky"),
        ("finger2345 thumbacrossmod pinky", "index middle ring"),
        ("pinch12open", "middle ring pinky"),
        ("pinch12open middlefinger", "index ring pinky"),
        ("fist indexfinger fingerhookmod", ""),
    ],
)
def test_handshapes_stretch_the_fingers_that_they_name(shape: str, straight: str) -> None:
    angles = shape_angles(made(f"{shape} extfingeru palmd").right[0].shape)
    flexed = angles[6:].reshape(4, 4)[:, 1:].sum(1)
    found = [f for f, sum_ in zip(("index", "middle", "ring", "pinky"), flexed, strict=True) if sum_ < 40]
    assert found == straight.split()


def test_a_way_goes_where_it_is_written() -> None:
    for name, axis, sign in (("u", 2, 1), ("d", 2, -1), ("o", 1, -1), ("r", 0, -1), ("l", 0, 1)):
        right, _ = wrists(f"flathand extfingero palml move{name}")
        moved = right[-1] - right[0]
        assert np.abs(moved).argmax() == axis and np.sign(moved[axis]) == sign
        small, _ = wrists(f"flathand extfingero palml move{name} smallmod")
        assert np.linalg.norm(small[-1] - small[0]) < 0.7 * np.linalg.norm(moved)


def test_symmetry() -> None:
    right, left = wrists("symmlr flathand extfingero palmd shoulders mover")
    assert np.allclose(right * [-1, 1, 1], left, atol=0.01)
    right, left = wrists("symmpar flathand extfingero palmd shoulders mover")
    assert (right[-1] - right[0])[0] < -0.08 and (left[-1] - left[0])[0] < -0.08
    right, left = wrists("symmlr alternatingmotion flathand extfingero palmu moveu repeatfromstart")
    assert (right[3] - right[0])[2] > 0 > (left[3] - left[0])[2]


def test_circles_turn_clockwise_along_their_axis() -> None:
    # Seen by the signer, a circle about the way out goes over the top to the right.
    key = made("finger2 extfingero palmd circleo").right[-1]
    assert key.circle is not None
    first, second, radius, turns = key.circle
    assert np.allclose(first, (0, 0, 1)) and np.allclose(second, (-1, 0, 0)) and radius == 0.05 and turns == 1


def test_contact_on_the_body_and_on_the_other_hand() -> None:
    near = made("finger2 extfingerul palmdl forehead touch").right[0]
    assert near.place in ("forehead", "brow") and near.point != "inside" and np.linalg.norm(near.shift) < 0.03
    far = made("finger2 extfingerul palmdl forehead").right[0]
    assert np.linalg.norm(far.shift) > 0.06
    both = made("parbegin flathand extfingerol palmd plus flathand extfingeror palmu parend palm moved touch")
    assert both.right[0].place == "L.palm" and isinstance(both.left, tuple)


def test_repeats_and_taps() -> None:
    once = made("flathand extfingero palmd moved")
    assert len(made("flathand extfingero palmd moved repeatfromstart").right) == len(once.right) + 2
    assert len(made("flathand extfingero palmd moved repeatfromstartseveral").right) == len(once.right) + 4
    tapped = made("fist extfingeril palml shouldertop lrat touch repeatfromstart")
    assert len(tapped.right) > 2 and not np.allclose(tapped.right[1].shift, tapped.right[2].shift)


def test_what_is_left_out_is_told() -> None:
    reading = sign_from_hamnosys("X", ham("finger2 extfingero palmd circleo ellipseh increasing"))
    assert reading.simplified == ("the lie of an ellipse", "growing or shrinking")
    assert reading.sign.approximate


def test_a_compound_plays_one_after_the_other() -> None:
    one, two = "flathand extfingeru palml chin touch", "symmlr fist extfingero palml shoulders moved"
    both = made(f"{one} plus {two}")
    assert len(both.right) == len(made(one).right) + len(made(two).right)
    assert both.seconds > made(two).seconds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("hello", "is not known"),
        ("hamflathand,hamnonsense", "'hamnonsense'"),
        ("hamextfingeru,hampalml", "before any handshape"),
        ("hamflathand,hamparbegin,hammoveu", "bracket"),
        ("hamflathand,hamparend", "nothing can follow"),
        ("hamflathand,hamreplace," * 240, "at most 400"),
        ("hamflathand," + "hamparbegin,hammoveu," * 30, "nested too deep"),
    ],
)
def test_refusals_name_the_symbol(text: str, reason: str) -> None:
    with pytest.raises(StableSignerError, match=reason):
        sign_from_hamnosys("X", text)


CODES = sorted({s.code for s in symbols().values()})


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(CODES), min_size=1, max_size=30), st.booleans())
def test_any_row_of_symbols_is_read_or_refused(row: list[str], started: bool) -> None:
    text = "".join(([symbols()["hamflathand"].code] if started else []) + row)
    try:
        reading = sign_from_hamnosys("X", text)
    except StableSignerError:
        return
    assert 0.3 <= reading.sign.seconds <= 6.0
    for key in reading.sign.right:
        assert np.isfinite(key.shift).all() and np.isfinite(key.normal).all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(CODES), min_size=1, max_size=10))
def test_what_is_read_can_be_performed(row: list[str]) -> None:
    text = symbols()["hamflathand"].code + symbols()["hamextfingerul"].code + "".join(row)
    try:
        sign = sign_from_hamnosys("X", text).sign
    except StableSignerError:
        return
    built = realise(sign, "notation")
    assert np.isfinite(built.rotations).all() and built.rotations.shape[1:] == (len(Body.load().joints), 6)


# --- into a lexicon


def test_add_and_sign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "dgs")
    assert (
        main(
            [
                *(
                    "lexicon",
                    "add",
                    "--hamnosys",
                    "hamsymmlr,hamfinger2,hamextfingero,hampalml,hamcircleu,hamellipseh",
                ),
                *("--gloss", "ROUND", "--lexicon", folder, "--language", "gsg", "--words", "rund"),
            ]
        )
        == 0
    )
    assert "two hands, approximate: from HamNoSys, without the lie of an ellipse" in capsys.readouterr().err
    sign = OwnLexicon.load(folder).signs["ROUND"]
    assert sign.approximate and sign.two_handed and sign.words == ("rund",)


def test_a_take_and_a_notation_are_not_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["lexicon", "add", "--gloss", "X", "--lexicon", str(tmp_path / "own")]
    assert main(base) == 2
    assert main([*base, "take.pose", "--hamnosys", FLAT]) == 2
    assert "either a take" in capsys.readouterr().err
    assert not (tmp_path / "own").exists()


def test_a_list_is_imported_and_what_cannot_be_read_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "signs.csv"
    listed.write_text(
        f'gloss,words,hamnosys\nBOOK,book|volume,"{FLAT}"\n,tree,"hamfist,hamparend"\n', encoding="utf-8"
    )
    folder = str(tmp_path / "own")
    assert main(["lexicon", "import", str(listed), "--lexicon", folder]) == 0
    said = capsys.readouterr().err
    assert (
        "left out TREE: symbol 2 of the HamNoSys notation, hamparend" in said and "1 of 2 signs added" in said
    )
    assert OwnLexicon.load(folder).signs["BOOK"].words == ("book", "volume")


def test_sigml(tmp_path: Path) -> None:
    file = tmp_path / "signs.sigml"
    file.write_text(
        '<sigml><hns_sign gloss="take part"><hamnosys_nonmanual/><hamnosys_manual><hamflathand/>'
        "<hamextfingeru/><hampalml/></hamnosys_manual></hns_sign></sigml>",
        encoding="utf-8",
    )
    assert list(read_notations(file)) == [(FLAT, "TAKE-PART", ("take part",))]
    file.write_text('<!DOCTYPE x [<!ENTITY a "aa">]><sigml>&a;</sigml>', encoding="utf-8")
    with pytest.raises(StableSignerError, match="document type"):
        list(read_notations(file))
    file.write_text("<sigml>", encoding="utf-8")
    with pytest.raises(StableSignerError, match="no SiGML"):
        list(read_notations(file))
