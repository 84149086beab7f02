"""A lexicon of one's own, on the real body and lexicon."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pose_format import Pose

from stable_signer import lexicons
from stable_signer.body.motion import Motion
from stable_signer.errors import StableSignerError
from stable_signer.lexicons import OwnLexicon, OwnSign, sign_from_pose, sign_from_take, signer_with
from stable_signer.media.posefile import MOTION_COMPONENT
from stable_signer.pipeline import StableSigner
from stable_signer.slul.plan import LANGUAGES


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BOOK as our own .pose, and as another program's: MediaPipe points only."""
    folder = tmp_path_factory.mktemp("takes")
    engine = StableSigner.from_pretrained()
    engine.save_pose(engine.motion(engine.plan("[[BOOK]]")), folder / "ours.pose")
    pose = Pose.read((folder / "ours.pose").read_bytes())
    names = [c.name for c in pose.header.components if c.name != MOTION_COMPONENT]
    with (folder / "theirs.pose").open("wb") as file:
        pose.get_components(names).write(file)
    return folder


@pytest.mark.parametrize("take", ["ours.pose", "theirs.pose"])
def test_a_take_is_fitted_and_cut_to_its_stroke(takes: Path, take: str) -> None:
    sign, motion = sign_from_pose(takes / take, "my book", ("tome",))
    assert (sign.gloss, sign.words, sign.two_handed) == ("MY-BOOK", ("tome",), True)
    assert 0.2 < motion.duration < 2.2
    assert sign.error < 0.25
    assert not sign.approximate


@pytest.fixture(scope="module")
def fitted(takes: Path) -> tuple[OwnSign, Motion]:
    """A fit takes seconds: one is enough for most tests."""
    return sign_from_pose(takes / "theirs.pose", "FLOOBLE", ("flooble",), licence="CC0-1.0")


@pytest.fixture
def own(fitted: tuple[OwnSign, Motion], tmp_path: Path) -> OwnLexicon:
    made = OwnLexicon.create(tmp_path / "mine", "ase", "ours", "CC0-1.0")
    made.add(*fitted)
    return made


def test_a_folder_lies_over_what_ships(own: OwnLexicon) -> None:
    engine = signer_with(own.folder)
    plan = engine.plan("I like flooble books.")
    assert "FLOOBLE" in plan.glosses and "BOOK" in plan.glosses
    assert len(engine.motion(plan)) > 50
    again = OwnLexicon.load(own.folder)
    assert again.signs == own.signs
    np.testing.assert_array_equal(again.motion("FLOOBLE").rotations, own.motion("FLOOBLE").rotations)
    with pytest.raises(StableSignerError, match="FLOOBLE already"):
        own.add(own.signs["FLOOBLE"], own.motion("FLOOBLE"))


def test_a_new_language_is_a_folder(takes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicons, "LANGUAGES", LANGUAGES)
    made = OwnLexicon.create(tmp_path / "bfi", "bfi", "British Sign Language", "")
    made.add(*sign_from_pose(takes / "ours.pose", "BOOK", ("book", "good book")))
    try:
        plan = signer_with(made.folder).plan("A good book, Ana!", language="bfi")
    finally:
        LANGUAGES.pop("bfi", None)
    assert [s.gloss for s in plan.signs if s.kind != "pause"] == ["fs-A", "BOOK", "fs-ANA"]
    assert "in the order of the text" in plan.notes[0]


def test_export_and_import_bring_the_same_signs(own: OwnLexicon, tmp_path: Path, run: Any) -> None:
    result = run("lexicon", "export", "--lexicon", own.folder, "-o", tmp_path / "out")
    assert result.code == 0, result.err
    with (tmp_path / "out" / "index.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["path"], row["signed_language"], row["words"]) == ("FLOOBLE.pose", "ase", "flooble")
    result = run("lexicon", "import", tmp_path / "out" / "index.csv", "--lexicon", tmp_path / "again")
    assert result.code == 0, result.err
    back = OwnLexicon.load(tmp_path / "again")
    assert back.signs["FLOOBLE"].words == ("flooble",)
    assert abs(len(back.motion("FLOOBLE")) - len(own.motion("FLOOBLE"))) <= 2


def test_an_export_has_a_line_a_word_and_comes_back_as_one_sign(
    own: OwnLexicon, tmp_path: Path, run: Any
) -> None:
    """spoken-to-signed looks a whole cell up: alternatives in one cell are never found."""
    motion = own.motion("FLOOBLE")
    own.add(lexicons.OwnSign("BOOK", ("book", "volume", "tome")), motion)
    own.add(lexicons.OwnSign("NAMELESS"), motion)
    result = run("lexicon", "export", "--lexicon", own.folder, "-o", tmp_path / "out")
    assert result.code == 0, result.err
    assert "3 signs written" in result.err
    with (tmp_path / "out" / "index.csv").open() as file:
        rows = [(r["path"], r["words"], r["glosses"]) for r in csv.DictReader(file)]
    assert rows == [
        *(("BOOK.pose", w, "BOOK") for w in ("book", "volume", "tome")),
        ("FLOOBLE.pose", "flooble", "FLOOBLE"),
        ("NAMELESS.pose", "", "NAMELESS"),
    ]
    read = [(g, w) for _, g, w in lexicons.read_index(tmp_path / "out" / "index.csv", "ase")]
    assert read == [("BOOK", ("book", "volume", "tome")), ("FLOOBLE", ("flooble",)), ("NAMELESS", ())]


def test_the_command_adds_previews_and_asks(takes: Path, tmp_path: Path, run: Any) -> None:
    arguments = ("lexicon", "add", takes / "theirs.pose", "--gloss", "book", "--lexicon", tmp_path / "mine")
    result = run(*arguments, "--words", "book, tome")
    assert result.code == 0, result.err
    assert "well tracked" in result.err
    assert OwnLexicon.load(tmp_path / "mine").signs["BOOK"].words == ("book", "tome")
    result = run(*arguments)
    assert result.code == 2
    assert "--yes writes over it" in result.err
    assert run(*arguments, "--yes").code == 0


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("lexicon.json", "{", "damaged"),
        ("lexicon.json", '{"version": 1}', "damaged"),
        ("lexicon.json", '{"version": 9, "language": "ase", "name": "", "licence": ""}', "another version"),
        ("lexicon.json", '{"version": 1, "language": "../x", "name": "", "licence": ""}', "ISO"),
        ("signs.csv", "a,b\n", "must have the columns"),
        ("signs.csv", ",".join(lexicons.COLUMNS) + "\n../X,,0,0,0,0,,\n", "line 2 .* is no gloss"),
        ("signs.csv", ",".join(lexicons.COLUMNS) + "\nX,,0,0,nix,0,,\n", "damaged"),
    ],
)
def test_a_broken_folder_is_told(own: OwnLexicon, name: str, text: str, told: str) -> None:
    (own.folder / name).write_text(text)
    with pytest.raises(StableSignerError, match=told):
        OwnLexicon.load(own.folder)


def test_what_does_not_work_is_refused(own: OwnLexicon, takes: Path, tmp_path: Path) -> None:
    with pytest.raises(StableSignerError, match=r"not known here: use \.pose"):
        sign_from_pose(tmp_path / "a.mp4", "X")
    with pytest.raises(StableSignerError, match=r"not known here: use \.pose, \.mp4"):
        sign_from_take(tmp_path / "a.txt", "X")
    with pytest.raises(StableSignerError, match="is no gloss"):
        sign_from_pose(takes / "ours.pose", "../X")
    with pytest.raises(StableSignerError, match="three small letters"):
        OwnLexicon.create(tmp_path / "x", "asl!", "", "")
    with pytest.raises(StableSignerError, match="there already"):
        OwnLexicon.create(own.folder, "ase", "", "")
    (own.folder / "signs" / "FLOOBLE.safetensors").write_bytes(b"no")
    with pytest.raises(StableSignerError, match="cannot be read"):
        own.motion("FLOOBLE")
    index = tmp_path / "index.csv"
    index.write_text("path,signed_language,words,glosses\n../../etc/passwd,ase,x,X\n")
    with pytest.raises(StableSignerError, match=r"line 2 .* leads out"):
        list(lexicons.read_index(index, "ase"))
    assert json.loads((own.folder / "lexicon.json").read_text())["version"] == 1
