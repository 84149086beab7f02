"""The study's page: what goes in is checked, and in a real browser a participant gets through to the CSV."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from browser import CHROMIUM, Browser
from stable_signer.errors import StableSignerError
from stable_signer.media.video import VideoWriter
from stable_signer.study import make

HEADING = "sentence,question,right,wrong1,wrong2\n"
LINES = (
    HEADING + 'I like tea.,What does the signer like?,tea,coffee,milk\n</script> & "she",Who?,a girl,a boy,\n'
)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import numpy as np

    path = tmp_path_factory.mktemp("video") / "1.mp4"
    writer = VideoWriter(path, size=64, fps=25, tags={})
    for k in range(10):
        writer.write(np.full((64, 64, 3), 20 * k, np.uint8))
    writer.close()
    return path


def items_file(folder: Path, text: str) -> Path:
    path = folder / "items.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sentence,question\na,b\n", "no column 'right'"),
        (HEADING, "no sentences"),
        (HEADING + ",q,a,b,\n", "line 2"),
        (HEADING + "s,q,a,,\n", "wrong1"),
        (HEADING + "s,q,a,a,\n", "same answer twice"),
        (HEADING + "s,q,a,b,\n" * 61, "more than 60"),
    ],
)
def test_items_that_cannot_be_asked_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(StableSignerError, match=said):
        make.read_items(items_file(tmp_path, text))


def test_a_missing_video_is_named(tmp_path: Path, video: Path) -> None:
    (tmp_path / "01.mp4").write_bytes(video.read_bytes())
    assert make.folder_videos(tmp_path, 1)[0].name == "01.mp4"
    with pytest.raises(StableSignerError, match="sentence 2"):
        make.folder_videos(tmp_path, 2)
    with pytest.raises(StableSignerError, match="does not exist"):
        make.folder_videos(tmp_path / "none", 1)


def page(folder: Path, video: Path) -> Path:
    items = make.read_items(items_file(folder, LINES))
    out = folder / "study.html"
    make.write_study(
        out, items, {"ours": [video] * 2, "rival": [video] * 2}, {"welcome": video, "question 1": video},
        title="A <test> of @data@", contact="x@example.org",
    )  # fmt: skip
    return out


def test_the_page_is_one_file_that_names_no_address(tmp_path: Path, video: Path) -> None:
    text = page(tmp_path, video).read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "http:" not in text
    assert "https:" not in text
    assert "A &lt;test&gt;" in text


def test_two_systems_are_needed(tmp_path: Path, video: Path) -> None:
    items = make.read_items(items_file(tmp_path, LINES))
    with pytest.raises(StableSignerError, match="two systems"):
        make.write_study(tmp_path / "s.html", items, {"ours": [video] * 2}, {}, title="", contact="")
    with pytest.raises(StableSignerError, match="1 videos for 2"):
        videos = {"ours": [video] * 2, "b": [video]}
        make.write_study(tmp_path / "s.html", items, videos, {}, title="", contact="")
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")
def test_a_participant_gets_through(tmp_path: Path, video: Path) -> None:
    browser = Browser(tmp_path)
    try:
        browser.open(page(tmp_path, video).as_uri())
        browser.wait("document.querySelector('#go') !== null")
        assert browser.js("document.querySelector('#go').disabled")  # no way on without consent
        assert browser.js("document.querySelectorAll('video').length") == 1
        browser.js("document.querySelector('#agree').click()")
        browser.js("document.querySelector('#go').click()")
        browser.js("document.querySelector('#identity').value = 'Deaf'")
        browser.js("document.querySelector('#code').value = '=P1'")
        browser.js("document.querySelector('#go').click()")
        for expected in (0, 1, 1, 0, 2, 2):  # a word, two questions, a word, two pairs
            assert browser.js("document.querySelectorAll('#stage > video, .pair video').length") == expected
            if expected:
                assert browser.js("document.querySelector('#go').disabled")
                browser.wait("[...document.querySelectorAll('video')].every((v) => v.readyState > 1)")
                browser.js("document.querySelector('input[name=answer]').click()")
            browser.js("document.querySelector('#go').click()")
        browser.wait("document.querySelector('#save') !== null")
        browser.js("document.querySelector('#save').click()")
        for _ in range(100):
            saved = list(browser.downloads.glob("*.csv"))
            if saved:
                break
            browser.js("new Promise((done) => setTimeout(done, 100))")
        rows = list(csv.DictReader(saved[0].read_text(encoding="utf-8").splitlines()))
        assert browser.errors == []
    finally:
        browser.close()
    assert [r["phase"] for r in rows] == ["about"] * 3 + ["comprehension"] * 2 + ["preference"] * 2
    assert {r["participant"] for r in rows} == {"'=P1"}  # a spreadsheet must not run it
    asked = rows[3:5]
    assert {r["system"] for r in asked} == {"ours", "rival"}  # half of the sentences by each
    assert all(r["correct"] in "01" for r in asked)
    assert all(r["answer"] in ("ours", "rival") for r in rows[5:])
