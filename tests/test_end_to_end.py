"""The harness that measures the whole: what it refuses, that it resumes, and that it tells what is broken."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stable_signer.body.fit import FACE17, Landmarks
from stable_signer.end_to_end import redetection, rivals, run
from stable_signer.end_to_end.text import SCORES, WORDS, TextReader
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe.compose import compose
from stable_signer.slp_moe.lexicon import Lexicon
from stable_signer.slp_moe.schedule import schedule
from stable_signer.slul.plan import Draft, Sign

TEXTS = ("aunt argue art", "adult adopt animal", "author address add", "afraid all animal")
RIVAL = """#!{python}
import json, shutil, sys
if "-c" in sys.argv:
    print("0.4.0")
    sys.exit()
for line in sys.stdin:
    asked = json.loads(line)
    words = asked["text"].split()
    if sys.argv[-1] == "gloss":
        print(json.dumps({{"tokens": [[w, w] for w in words]}}))
    elif "wrong" in words:
        print(json.dumps({{"error": "ValueError: no sign"}}))
    else:
        shutil.copy(f"{{asked['lexicon']}}/{{words[0].upper()}}.pose", asked["out"])
        found = [[words[0], words[0], "lexicon"], *([w, w, "unmatched"] for w in words[1:])]
        print(json.dumps({{"tokens": found, "spans": [[0, 20]], "fps": 25.0, "seconds": 0.1}}))
"""


def signed(text: str) -> run.Signed:
    """The words of a text, each a sign of the lexicon, one after the other."""
    lexicon = Lexicon.load()
    signs = tuple(Sign(w.upper(), "lexical", 0.0, 0.0, text=w) for w in text.split())
    plan = schedule(Draft(text, "ase", signs, sentences=((text, len(signs)),)), lexicon)
    motion = compose(plan, lexicon, seed=0)
    return run.Signed(
        motion, tuple((s.gloss, round(s.start * motion.fps), round(s.end * motion.fps)) for s in plan.signs)
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Our planners replaced by one that copies the words; what was asked of it, planner and text."""
    seen: list[tuple[str, str]] = []

    def sign_ours(texts: Sequence[str], planner: str, motion: str) -> Iterator[run.Signed]:
        for text in texts:
            seen.append((planner, text))
            yield signed(text)

    monkeypatch.setattr(run, "sign_ours", sign_ours)
    return seen


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    path = tmp_path / "sentences.tsv"
    path.write_text("text\tgloss\n" + "".join(f"{t}\t{t.upper()}\n" for t in TEXTS))
    return path


def environment(place: Path, script: str) -> Path:
    """A virtual environment whose Python is a script."""
    (place / "bin").mkdir(parents=True)
    python = place / "bin" / "python"
    python.write_text(script)
    python.chmod(0o755)
    return place


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no sentences"),
        ("text\tgloss\n", "has no sentences"),
        ("text\tgloss\nHello.\tHELLO\nBye.\n", "line 3 of .* needs text and gloss"),
        ("gloss\nHELLO\n", "line 2 of .* needs text and gloss"),
        ("text\tgloss\nHello.\tZZZ\n", "the judge knows none"),
    ],
)
def test_sentences_that_cannot_be_used_are_told(tmp_path: Path, run: Any, text: str, told: str) -> None:
    path = tmp_path / "s.tsv"
    path.write_text(text)
    result = run("evaluate", "end-to-end", "--sentences", path, "--work", tmp_path / "w", "--rivals", "ours")
    refused(result, told)


def refused(result: Any, told: str) -> None:
    """Exit 2, and one line that says so."""
    import re

    assert result.code == 2, result.err
    assert re.search(told, result.err), result.err
    assert "Traceback" not in result.err
    assert not result.out


def test_a_missing_rival_or_environment_is_told_before_any_work(
    tmp_path: Path, sentences: Path, asked: list[Any], run: Any
) -> None:
    call = ("evaluate", "end-to-end", "--sentences", sentences, "--work", tmp_path / "w", "--rivals")
    refused(run(*call, "ours,nobody"), "the system 'nobody' is unknown: use ours")
    refused(run(*call, "ours,spoken-to-signed"), "needs its environment: name it with --environment")
    refused(
        run(*call, "ours,spoken-to-signed", "--environment", tmp_path / "no"),
        "there is no environment .*spoken-to-signed==0.4.0",
    )
    empty = environment(tmp_path / "empty", "#!/bin/sh\nexit 1\n")
    refused(run(*call, "ours,spoken-to-signed", "--environment", empty), "has no spoken-to-signed")
    refused(run(*call, "ours", "--recogniser", tmp_path / "no.safetensors"), "cannot be read")
    assert not asked


def test_identical_systems_score_alike_and_broken_ones_are_caught(
    tmp_path: Path, sentences: Path, asked: list[Any], run: Any
) -> None:
    result = run(
        *("evaluate", "end-to-end", "--sentences", sentences, "--work", tmp_path / "w"),
        *("--rivals", "ours,ours-rules", "--json"),
    )
    assert result.code == 0, result.err
    rows = json.loads(result.out)["rows"]
    ours = rows["ours"]
    assert rows["ours-rules"] == ours
    assert ours["planned_wer"] == 0
    assert ours["planned_words_wer"] == 0  # the texts are the glosses' own words
    assert {f"{kind}_{k}" for kind in (*WORDS, *WORDS.values()) for k in SCORES} <= set(ours)
    assert ours["sign_top5"] > 0.5
    assert rows["ours, shuffled"]["wer"] > ours["wer"]
    assert rows["ours, mirrored"]["left_led"] > ours["left_led"] + 0.3
    assert rows["ours, reversed"]["planned_wer"] > 50
    assert rows["ours, reversed"]["sign_top1"] == ours["sign_top1"]
    assert ours["face_activity"] > 0 == rows["ours, frozen-face"]["face_activity"]
    assert rows["ours, mean-pose"]["sign_top1"] < ours["sign_top1"]
    assert rows["ours, mean-pose"]["travel"] < 0.1 * ours["travel"]


def test_an_interrupted_run_goes_on_where_it_stopped(
    tmp_path: Path, sentences: Path, asked: list[Any], run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stable_signer.end_to_end import run as harness

    call = (
        *("evaluate", "end-to-end", "--sentences", sentences, "--work", tmp_path / "w"),
        *("--rivals", "ours", "--no-checks", "--json"),
    )
    read = harness.read_back
    seen: list[Any] = []

    def interrupted(*given: Any) -> Any:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(given)
        return read(*given)

    with monkeypatch.context() as patch:
        patch.setattr(harness, "read_back", interrupted)
        assert run(*call).code != 0
    kept = sorted((tmp_path / "w" / "ours").iterdir())
    assert len(kept) == 2
    assert {p.suffix for p in kept} == {".json"}
    asked.clear()
    first = run(*call)
    assert first.code == 0, first.err
    assert asked == [("slul", t) for t in TEXTS[3:]]  # the third was made, but not read
    asked.clear()
    again = run(*call)
    assert again.out == first.out
    assert not asked
    kept[0].write_text("{")
    refused(run(*call), "is damaged: delete it")


def test_a_rival_that_answers_is_scored_and_its_failures_are_counted(
    tmp_path: Path, sentences: Path, asked: list[Any], run: Any
) -> None:
    sentences.write_text("text\tgloss\naunt\tAUNT\nwrong\tANIMAL\n")
    place = environment(tmp_path / "rival", RIVAL.format(python=sys.executable))
    result = run(
        *("evaluate", "end-to-end", "--sentences", sentences, "--work", tmp_path / "w", "--no-checks"),
        *("--rivals", "ours,spoken-to-signed", "--environment", place, "--json"),
    )
    assert result.code == 0, result.err
    report = json.loads(result.out)
    row = report["rows"]["spoken-to-signed"]
    assert (row["signs"], row["failed"]) == (1, 1)
    assert set(report["gain"]) == {"glosses", *WORDS, *WORDS.values()}
    for told in report["gain"].values():
        assert told["bleu1_low"] <= told["bleu1_gain"] <= told["bleu1_high"]
        assert "bleu4_gain" not in told  # two sentences of a sign each have no four in a row


def test_a_rival_that_dies_is_one_sentence(
    tmp_path: Path, sentences: Path, asked: list[Any], run: Any
) -> None:
    script = '#!/bin/sh\nif [ "$1" = -c ]; then echo 0.4.0; exit 0; fi\necho out of memory >&2\nexit 1\n'
    place = environment(tmp_path / "rival", script)
    result = run(
        *("evaluate", "end-to-end", "--sentences", sentences, "--work", tmp_path / "w"),
        *("--rivals", "spoken-to-signed", "--environment", place),
    )
    refused(result, "stopped after 0 sentences: out of memory")


BLIND = """#!{python}
import sys
if "-c" in sys.argv:
    print("{version}")
    sys.exit()
import av
import numpy as np
with av.open(sys.argv[-2]) as container:
    count = sum(1 for _ in container.decode(video=0))
shapes = dict(pose=(33, 3), left_hand=(21, 3), right_hand=(21, 3), face=(468, 2), world=(33, 3))
np.savez(sys.argv[-1], fps=25.0, **{{k: np.full((count, *s), np.nan) for k, s in shapes.items()}})
"""


def test_an_eye_that_is_missing_is_told_before_any_work(
    tmp_path: Path, sentences: Path, asked: list[Any], run: Any
) -> None:
    call = (
        *("evaluate", "end-to-end", "--sentences", sentences, "--work", tmp_path / "w"),
        *("--rivals", "ours", "--redetect"),
    )
    refused(run(*call, tmp_path / "no"), "there is no Python .*: make MediaPipe's environment with .*venv")
    old = environment(tmp_path / "old", BLIND.format(python=sys.executable, version="0.9.0"))
    refused(run(*call, old / "bin" / "python"), "has no mediapipe==0.10.21: make its environment with")
    bare = environment(tmp_path / "bare", "#!/bin/sh\nexit 1\n")
    refused(run(*call, bare / "bin" / "python"), "has no mediapipe==0.10.21")
    assert not asked


def test_an_eye_that_sees_nobody_recognises_nothing(
    tmp_path: Path, sentences: Path, asked: list[Any], run: Any
) -> None:
    sentences.write_text("text\tgloss\naunt argue\tAUNT ARGUE\n")
    place = environment(tmp_path / "blind", BLIND.format(python=sys.executable, version="0.10.21"))
    result = run(
        *("evaluate", "end-to-end", "--sentences", sentences, "--work", tmp_path / "w", "--no-checks"),
        *("--rivals", "ours", "--redetect", place / "bin" / "python", "--json"),
    )
    assert result.code == 0, result.err
    rows = json.loads(result.out)["rows"]
    row = rows["ours, from the video"]
    assert (row["face_found"], row["hands_found"], row["pck_palm"]) == (0, 0, 0)
    assert row["signs"] == rows["ours"]["signs"] == 2
    assert row["sign_top1"] == 0
    assert "hands_found" not in rows["ours"]


LOOKED = {"face_found": 1.0, "hands_found": 0.9, "pck_palm": 0.8}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """An eye that sees a motion as it is; what it was shown, look and motion."""
    seen: list[tuple[str, bytes]] = []

    def looked_at(motion: Any, python: Path, look: str) -> tuple[Any, dict[str, float]]:
        seen.append((look, motion.rotations.tobytes() + motion.face.tobytes()))
        return motion, LOOKED

    monkeypatch.setattr(run, "looked_at", looked_at)
    monkeypatch.setattr(run, "check_mediapipe", lambda python: None)
    monkeypatch.setattr(run, "check_look", lambda look, size: None)
    return seen


def videos_call(sentences: Path, work: Path, *more: Any) -> tuple[Any, ...]:
    return (
        *("evaluate", "end-to-end", "--sentences", sentences, "--work", work, "--json"),
        *("--rivals", "ours,ours-prior", "--redetect", "python", *more),
    )


def test_videos_of_all_rows_are_read_and_no_motion_is_looked_at_twice(
    tmp_path: Path, sentences: Path, asked: list[Any], watched: list[Any], run: Any
) -> None:
    result = run(*videos_call(sentences, tmp_path / "w", "--videos", "3"))
    assert result.code == 0, result.err
    report = json.loads(result.out)
    rows = report["rows"]
    assert report["videos"] == 3
    assert len(watched) == len(set(watched)) == 3 * 4  # the prior makes what ours makes here
    ours = rows["ours, from the video"]
    assert rows["ours-prior, from the video"] == ours
    assert {k: ours[k] for k in LOOKED} == pytest.approx(LOOKED)
    assert ours["time_ratio"] == ours["distance_ratio"] == 1
    assert rows["ours, mirrored, from the video"]["left_led"] > ours["left_led"] + 0.3
    assert rows["ours, frozen-face, from the video"]["face_activity"] == 0 < ours["face_activity"]
    assert rows["ours, mean-pose, from the video"]["distance_ratio"] < 0.1
    assert rows["ours, mean-pose, from the video"]["time_ratio"] == 1
    assert "ours, reversed, from the video" not in rows  # its video is no other


def test_more_videos_take_in_those_that_are_done_and_all_rows_of_a_sentence_come_first(
    tmp_path: Path, sentences: Path, asked: list[Any], watched: list[Any], run: Any
) -> None:
    work = tmp_path / "w"
    assert run(*videos_call(sentences, work, "--videos", "2")).code == 0
    assert len(watched) == 2 * 4
    made = list(asked)
    assert run(*videos_call(sentences, work, "--videos", "3")).code == 0
    assert len(watched) == len(set(watched)) == 3 * 4
    assert asked == made
    folders = [work / f"{name}-mesh-video" for name in ("ours", "ours-prior", "ours-mirrored")]
    assert [len(list(f.iterdir())) for f in folders] == [3, 3, 3]


def test_another_look_is_read_beside_the_usual_one(
    tmp_path: Path, sentences: Path, asked: list[Any], watched: list[Any], run: Any
) -> None:
    call = videos_call(sentences, tmp_path / "w", "--no-checks", "--videos", "3", "--diffusion", "2")
    rows = json.loads(run(*call).out)["rows"]
    assert rows["ours, look diffusion, 2 videos"] == rows["ours, look mesh, 2 videos"]
    assert [look for look, _ in watched] == ["mesh"] * 3 + ["diffusion"] * 2


def test_a_damaged_motion_is_told(
    tmp_path: Path, sentences: Path, asked: list[Any], watched: list[Any], run: Any
) -> None:
    work = tmp_path / "w"
    assert run(*videos_call(sentences, work, "--videos", "1", "--no-checks")).code == 0
    for path in (work / "motions" / "ours").iterdir():
        path.write_bytes(b"PK no archive")
    refused(run(*videos_call(sentences, work, "--videos", "2", "--no-checks")), "is damaged: delete it")


def test_a_look_without_videos_and_a_run_without_systems_are_told(
    tmp_path: Path, sentences: Path, asked: list[Any], run: Any
) -> None:
    call = ("evaluate", "end-to-end", "--sentences", sentences, "--work", tmp_path / "w", "--rivals")
    refused(run(*call, "ours", "--diffusion", "1"), "only be read from videos: name --redetect too")
    refused(run(*call, " , "), "no system is named: use ours")
    assert not asked


def test_several_files_of_sentences_are_one_set(
    tmp_path: Path, sentences: Path, asked: list[Any], run: Any
) -> None:
    more = tmp_path / "more.tsv"
    more.write_text("text\tgloss\nall art\tALL ART\n")
    call = ("evaluate", "end-to-end", "--sentences", sentences, "--sentences", more, "--no-checks", "--json")
    report = json.loads(run(*call, "--work", tmp_path / "w", "--rivals", "ours").out)
    assert report["sentences"] == len(TEXTS) + 1
    assert asked[-1] == ("slul", "all art")


def test_a_report_becomes_a_picture_of_its_rows(
    tmp_path: Path, sentences: Path, asked: list[Any], run: Any
) -> None:
    from PIL import Image

    place = environment(tmp_path / "rival", RIVAL.format(python=sys.executable))
    call = (
        *("evaluate", "end-to-end", "--sentences", sentences, "--work", tmp_path / "w", "--json"),
        *("--rivals", "ours,spoken-to-signed", "--environment", place, "--plot"),
    )
    refused(run(*call, tmp_path / "a.svg"), "must end in .png")
    refused(run(*call, tmp_path / "no" / "a.png"), "does not exist: make it first")
    assert not asked
    result = run(*call, tmp_path / "a.png")
    assert result.code == 0, result.err
    again = run(*call[:-4], "spoken-to-signed", "--no-checks", *call[-3:], tmp_path / "b.png")
    assert again.code == 0, again.err
    with Image.open(tmp_path / "a.png") as one, Image.open(tmp_path / "b.png") as other:
        assert one.width == other.width == 1000
        assert one.height > other.height  # more rows, and the gains
        colours = {c for _, c in one.getcolors(100000)}
    assert {(11, 95, 165), (193, 68, 14), (158, 158, 158), (46, 125, 50)} <= colours


class Parrot:
    """A translator that says "hello" whatever it is given."""

    def translate(self, line: Sequence[str]) -> str:
        return "hello"


def test_what_a_translator_adds_stands_beside_the_same_glosses_as_words() -> None:
    reader = TextReader(Parrot(), {"AUNT": "AUNT"})  # type: ignore[arg-type]
    found = reader.scores("told", [["IX-1", "ASK", "AUNT"]], ["I ask, aunt!"])
    assert (found["told_bleu1"], found["told_wer"]) == (0, 100)
    assert (found["told_words_rouge_l"], found["told_words_wer"]) == (100, 0)
    bounds = reader.bounds([["ASK", "AUNT"], ["ALL"]], ["ask aunt", "all"])
    assert bounds["reference glosses"]["words_wer"] == 0 < bounds["reference glosses"]["text_wer"]
    assert bounds["reference glosses that the judge knows"]["words_length_ratio"] == pytest.approx(1 / 3)
    assert bounds["reference glosses, sentences shuffled"]["words_wer"] > 100  # 4 edits of 3 words


def test_found_tells_a_hand_in_its_place_from_one_that_is_not() -> None:
    driven = np.random.default_rng(0).uniform(100, 400, (4, 2, 21, 2))
    driven[0, 0, 3] = -5  # partly outside the picture: not asked for
    palm = np.linalg.norm(driven[:, :, 9] - driven[:, :, 0], axis=-1)

    def marks(off: float) -> Landmarks:
        hands = np.concatenate([driven, np.zeros((4, 2, 21, 1))], -1)
        hands[..., 0] += off * palm[..., None]
        hands[1, 1] = np.nan
        face = np.zeros((4, len(FACE17), 2))
        face[0] = np.nan
        return Landmarks(np.zeros((4, 33, 3)), hands[:, 0], hands[:, 1], face)

    near, far = (redetection.found(marks(off), driven, 512) for off in (0.1, 0.3))
    assert near == {"face_found": 0.75, "hands_found": 6 / 7, "pck_palm": 1.0}
    assert far == near | {"pck_palm": 0.0}
    with pytest.raises(StableSignerError, match="3 were drawn"):
        redetection.found(marks(0), driven[:3], 512)


def test_the_rivals_lexicon_has_a_line_a_word(tmp_path: Path) -> None:
    assert rivals.export_lexicon(tmp_path / "lexicon", ["aunt", "ZZZ"]) == 1
    head, line = (tmp_path / "lexicon" / "index.csv").read_text().splitlines()
    assert head == "path,spoken_language,signed_language,start,end,words,glosses,priority"
    assert line.startswith("AUNT.pose,en,ase,0,")
    assert line.endswith(",aunt,AUNT,0")
