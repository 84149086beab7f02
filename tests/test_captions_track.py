"""Captions made into a track of signing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes import FakeRenderer
from stable_signer import captions_track, cli
from stable_signer.captions_track import Look, Report, fit_cues, make_track, read_cues
from stable_signer.captions_track import track as track_module
from stable_signer.captions_track.track import cut
from stable_signer.errors import StableSignerError
from stable_signer.media.sidecar import check_sidecar
from stable_signer.pipeline import StableSigner

LOOK = Look(signer="maya", style="studio", size=64)
SRT = """1
00:00:01,000 --> 00:00:04,000
<i>Hello</i> you.

2
00:00:05,000 --> 00:00:06,000
- What is your name?
- My name is Ana.

3
00:01:40,000 --> 00:01:44,000
♪ Good morning ♪
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def srt(*cues: tuple[float, float, str]) -> str:
    def clock(s: float) -> str:
        return f"{int(s // 3600):02d}:{int(s // 60) % 60:02d}:{int(s) % 60:02d},{round(s % 1 * 1000):03d}"

    return "".join(f"{i}\n{clock(a)} --> {clock(b)}\n{t}\n\n" for i, (a, b, t) in enumerate(cues, 1))


# --- reading ---


def test_the_three_formats_give_the_same_captions(tmp_path: Path) -> None:
    vtt = "WEBVTT\n\nNOTE 1:2 --> not a time\n\n" + SRT.replace(",000", ".000")
    ass = (
        "[Script Info]\n\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Comment: 0,0:00:00.00,0:00:00.50,Default,,0,0,0,,not this\n"
        "Dialogue: 0,0:00:01.00,0:00:04.00,Default,,0,0,0,,{\\i1}Hello{\\i0} you.\n"
        "Dialogue: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,- What is your name?\\N- My name is Ana.\n"
        "Dialogue: 0,0:01:40.00,0:01:44.00,Default,,0,0,0,,♪ Good morning ♪\n"
    )
    found = [
        read_cues(write(tmp_path / name, text))
        for name, text in (("a.srt", SRT), ("a.vtt", vtt), ("a.ass", ass))
    ]
    wanted = [
        (1.0, 4.0, "Hello you."),
        (5.0, 6.0, "What is your name? My name is Ana."),
        (100.0, 104.0, "Good morning"),
    ]
    for cues in found:
        assert [(c.start, c.end, c.text) for c in cues] == wanted
    assert [c.line for c in found[0]] == [2, 6, 11]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.srt", SRT.replace("00:00:05,000 -->", "00:00:xx,000 -->"), "line 6 of the captions"),
        ("a.srt", SRT.replace("00:00:05,000 --> ", "00:00:05,000 -> "), "line 6"),
        ("a.srt", SRT.replace("00:00:06,000", "00:00:04,000"), "line 6 .* ends at 4 s, not after its start"),
        ("a.srt", SRT.replace("00:00:06,000", "00:00:66,000"), "line 6"),
        ("a.srt", SRT.replace("00:01:44", "99:01:44"), "after a whole day"),
        ("a.vtt", SRT.replace(",", "."), "WEBVTT in line 1"),
        ("a.ass", "Hello", r"no \[Events\] part"),
        ("a.ass", "[Events]\nDialogue: 0,0:00:01,0:00:02,,0,0,0,,x\n", "line 2"),
        ("a.srt", "", "hold no caption"),
        ("a.srt", "Just a text.\n", "hold no caption"),
        ("a.srt", srt((1, 2, "♪"), (3, 4, "...")), "hold no words"),
        ("a.txt", SRT, "the ending '.txt'"),
    ],
)
def test_a_bad_file_names_its_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(StableSignerError, match=told):
        read_cues(write(tmp_path / name, text))


def test_bytes_that_are_not_utf8_name_their_line(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_bytes(SRT.replace("Ana", "Jos\xe9").encode("latin-1", "replace"))
    with pytest.raises(StableSignerError, match="not UTF-8 at line 8"):
        read_cues(tmp_path / "a.srt")
    with pytest.raises(StableSignerError, match="cannot be read"):
        read_cues(tmp_path / "none.srt")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, len(SRT) - 1), st.characters(codec="utf-8")), max_size=8),
    st.sampled_from([".srt", ".vtt", ".ass"]),
)
def test_a_damaged_file_is_read_or_refused(
    tmp_path: Path, changes: list[tuple[int, str]], ending: str
) -> None:
    text = list(SRT)
    for at, character in changes:
        text[at] = character
    path = write(tmp_path / f"a{ending}", ("WEBVTT\n\n" if ending == ".vtt" else "") + "".join(text))
    try:
        for cue in read_cues(path):
            assert cue.start < cue.end
            assert cue.text
    except StableSignerError as error:
        assert "\n" not in str(error)


# --- fitting ---


def fit(signer: StableSigner, tmp_path: Path, *cues: tuple[float, float, str], **more: Any) -> Any:
    report = Report()
    path = write(tmp_path / "f.srt", srt(*cues))
    return list(fit_cues(signer, read_cues(path), report, language="ase", **more)), report


def test_a_caption_with_time_is_signed_at_its_pace(signer: StableSigner, tmp_path: Path) -> None:
    (only,), report = fit(signer, tmp_path, (10, 15, "Hello you."))
    assert only.speed == 1
    assert 10 <= only.start < 10.5
    assert only.end < 15
    assert not report.over and not report.late and report.sped_up == 0


def test_a_tight_caption_is_signed_faster_up_to_the_cap(signer: StableSigner, tmp_path: Path) -> None:
    text = "Hello you what is your name my"  # 7 signs of 0.4 s
    (one,), report = fit(signer, tmp_path, (10, 12.4, text))
    assert 1 < one.speed < 1.5
    assert one.end <= 12.45
    assert report.sped_up == 1 and not report.over
    (one,), report = fit(signer, tmp_path, (10, 11, text))
    assert one.speed == 1.5
    assert report.over == {2: pytest.approx(one.end - 11)}


def test_what_is_too_long_runs_into_the_gap_and_then_delays_the_next(
    signer: StableSigner, tmp_path: Path
) -> None:
    text = "Hello you what is your name my good"
    fitted, report = fit(signer, tmp_path, (0, 1, text), (1.1, 2, text), (30, 34, "Hello"))
    assert list(report.over) == [2, 6]
    assert list(report.late) == [6]
    for before, after in pairwise(fitted):
        assert before.end < after.start
    assert fitted[2].start < 30.5  # the gap has taken up the delay
    assert any("begins" in line and "late" in line for line in report.lines())


def test_what_cannot_be_signed_is_reported(signer: StableSigner, tmp_path: Path) -> None:
    fitted, report = fit(signer, tmp_path, (1, 2, "你好"), (3, 5, "Hello Zoe"))
    assert len(fitted) == 1
    assert "nothing in the text can be signed" in report.unsigned[2]
    assert report.spelled == {"Zoe": 1}
    with pytest.raises(StableSignerError, match="below the speed"):
        fit(signer, tmp_path, (1, 2, "Hello"), speed=2.0)


# --- the track ---


def pieces(signer: StableSigner, tmp_path: Path, count: int, gap: float) -> list[Any]:
    cues = [(i * (2 + gap) + 1, i * (2 + gap) + 3, "Hello you.") for i in range(count)]
    fitted, _ = fit(signer, tmp_path, *cues)
    return list(cut(fitted, 25))


def test_pieces_are_a_minute_long_and_leave_no_gap(signer: StableSigner, tmp_path: Path) -> None:
    found = pieces(signer, tmp_path, 60, 4)
    assert [p.start for p in found[1:]] == [p.end for p in found[:-1]]
    assert sum(p.count for p in found) == round(found[-1].end * 25)
    assert all(60 <= p.end - p.start < 80 for p in found[:-1])
    assert len(pieces(signer, tmp_path, 60, 0.2)) == 1  # no rest in it: not cut


def track_info(path: Path) -> tuple[int, float, list[Any]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [float(f.time) for f in container.decode(stream)]
        assert np.allclose(np.diff(times), 1 / 25, atol=1e-3)
        return len(times), times[0], container.chapters()


def test_the_track_keeps_the_captions_times(signer: StableSigner, tmp_path: Path) -> None:
    report = make_track(signer, read_cues(write(tmp_path / "a.srt", SRT)), tmp_path / "t.mp4", LOOK)
    count, first, chapters = track_info(tmp_path / "t.mp4")
    assert first == 0
    assert 100 * 25 < count < 104 * 25
    assert report.captions == 3
    assert [(c["start"] * float(c["time_base"]), c["metadata"]["title"]) for c in chapters] == [
        (0, "Hello you."),
        (pytest.approx(100), "Good morning"),
    ]
    glosses = (tmp_path / "t.glosses.vtt").read_text()
    assert glosses.count("-->") == 2 + 8 + 2
    assert glosses.index("GOOD") > glosses.index("00:01:40.200 -->")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("a.srt", "t.glosses.vtt", "t.mp4", "t.mp4.provenance.json")
    ]
    assert check_sidecar(tmp_path / "t.mp4")["made"]["signer"] == "maya"
    with av.open(str(tmp_path / "t.mp4")) as container:
        assert json.loads(container.metadata["comment"])["synthetic"] is True


def test_an_interrupted_track_goes_on_where_it_was(
    signer: StableSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cues = read_cues(
        write(tmp_path / "a.srt", srt(*[(i * 10.0, i * 10 + 3, "Hello you.") for i in range(21)]))
    )
    make_track(signer, cues, tmp_path / "whole.mp4", LOOK)
    made = track_module._made_piece
    calls = 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return made(*arguments)

    monkeypatch.setattr(track_module, "_made_piece", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_track(signer, cues, tmp_path / "t.mp4", LOOK)
    assert not (tmp_path / "t.mp4").exists()
    assert len(list((tmp_path / "t.mp4.parts").glob("*.mp4"))) == 2
    drawn = FakeRenderer.drawn
    make_track(signer, cues, tmp_path / "t.mp4", LOOK)
    assert FakeRenderer.drawn - drawn < 110 * 25  # the first two minutes were not drawn again
    assert (tmp_path / "t.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert not (tmp_path / "t.mp4.parts").exists()


def film(path: Path, seconds: float, size: tuple[int, int] = (320, 180)) -> Path:
    """A grey film with a tone."""
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        sound: Any = out.add_stream("aac", rate=16000, layout="mono")
        for i in range(int(seconds * 30)):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 50, np.uint8), format="rgb24")
            frame.pts = i
            out.mux(video.encode(frame))
        for i in range(int(seconds * 16000 / 1024)):
            wave = np.sin(np.arange(i * 1024, (i + 1) * 1024) / 8).astype(np.float32)[None]
            tone = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            tone.sample_rate, tone.pts = 16000, i * 1024
            out.mux(sound.encode(tone))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    return path


def decoded(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24").astype(int)


def test_the_signer_is_laid_over_the_film(signer: StableSigner, tmp_path: Path) -> None:
    movie = film(tmp_path / "film.mp4", 8)
    cues = read_cues(write(tmp_path / "a.srt", srt((1, 3, "Hello you."))))
    make_track(signer, cues, tmp_path / "t.mp4", LOOK, over=movie, corner="top-left", scale=0.5)
    frames = list(decoded(tmp_path / "t.mp4"))
    assert len(frames) == 240
    at_two = frames[60]
    assert abs(at_two[60, 40] - [90, 120, 160]).max() < 12  # the ground of the small stages
    assert abs(at_two[150, 280] - 50).max() < 6
    assert abs(frames[-1][60, 40] - 50).max() < 6  # after the signing the film is alone
    with av.open(str(tmp_path / "t.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        assert sum(1 for _ in container.decode(audio=0)) > 100


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--over", "none.mp4"], "does not exist"),
        (["--corner", "middle"], "there is no corner 'middle'"),
        (["--scale", "3"], "share of the film's height"),
        (["--max-speed", "0.5"], "below the speed"),
        (["--size", "63"], "even number"),
        (["--signer", "nobody"], "there is no signer"),
    ],
)
def test_the_command_refuses_what_does_not_work(
    run: Any, tmp_path: Path, arguments: list[str], told: str
) -> None:
    path = write(tmp_path / "a.srt", SRT)
    result = run("captions", path, "-o", tmp_path / "t.mp4", *arguments)
    assert result.code == 2
    assert told in result.err
    assert [p.name for p in tmp_path.iterdir()] == ["a.srt"]


def test_the_command_reports(run: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.srt", srt((1, 3, "Hello you."), (4, 5, "你好")))
    result = run("captions", path, "-o", tmp_path / "t.mp4", "--size", 64, "--report", tmp_path / "r.json")
    assert result.code == 0, result.err
    assert "line 6: not signed" in result.err
    assert json.loads((tmp_path / "r.json").read_text())["captions"] == 2


@pytest.fixture(autouse=True)
def registered() -> None:
    """The commands, while `cli` does not register them itself."""
    from stable_signer.cli_service import register

    if "captions" not in [c.name for c in cli.app.registered_commands]:
        register(cli.app)


def test_the_public_names_are_these() -> None:
    assert "make_track" in captions_track.__all__
