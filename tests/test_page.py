"""The page in a real browser, on small stages. Skipped where there is no Chromium.

STABLE_SIGNER_AXE names axe.min.js (npm axe-core) for the accessibility check, STABLE_SIGNER_SCREENSHOTS a
folder for pictures to look at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from browser import CHROMIUM, Browser

pytest.importorskip("httpx", reason="needs the extra [serve] and httpx")
pytest.importorskip("uvicorn", reason="needs the extra [serve]")
pytest.importorskip("fastapi", reason="needs the extra [serve]")

from stable_signer.service.settings import Settings
from test_service import TOKEN, Served

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)"
)

AXE = os.environ.get("STABLE_SIGNER_AXE")
SCREENSHOTS = os.environ.get("STABLE_SIGNER_SCREENSHOTS")
TEXT = "Hello you. What is your name?"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = Served(Settings(), tmp_path_factory.mktemp("work"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.close()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Browser]:
    browser.errors.clear()
    browser.size(1200, 900)
    browser.media()
    browser.open("about:blank")
    browser.open(f"http://127.0.0.1:{served.port}/")
    browser.wait("document.querySelectorAll('#signer option').length > 5")
    yield browser
    assert browser.errors == []


def sign(page: Browser, text: str = TEXT) -> None:
    page.js(f"document.getElementById('text').value = {json.dumps(text)}")
    page.js("document.getElementById('size').value = '256'")
    page.js("document.getElementById('form').requestSubmit()")
    page.wait("document.body.dataset.complete")


def glosses(page: Browser) -> list[str]:
    found: list[str] = page.js(
        "[...document.querySelectorAll('#signs button')].map(b => b.firstChild.textContent)"
    )
    return found


def shot(page: Browser, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(Path(SCREENSHOTS) / f"{name}.png")


def test_a_text_becomes_a_video_and_its_signs(page: Browser) -> None:
    sign(page)
    assert glosses(page) == ["HELLO", "YOU", "WHAT", "IS", "YOUR", "NAME"]
    assert page.js("video.videoWidth") == 256
    assert page.js("video.duration") == pytest.approx(3.4, abs=0.05)
    assert "6 from the lexicon" in page.js("document.getElementById('coverage').textContent")
    page.wait("video.currentTime > 0.3")  # it plays by itself
    page.wait("!!document.querySelector('#signs button[aria-current=true]')")
    assert page.js("document.getElementById('now').textContent") in glosses(page)
    assert page.js("document.getElementById('caption').textContent").strip()


def test_it_plays_while_it_is_being_made(page: Browser) -> None:
    page.js("document.getElementById('text').value = 'Hello you. '.repeat(10)")
    slow = "{plan: JSON.parse(o.body).plan, size: 256, stream: true, look: 'skeleton'}"  # in the small stages
    page.js("window.real = window.fetch")
    page.js(
        "window.fetch = (url, o) => real(url, url === '/v1/signing' ? "
        f"{{...o, body: JSON.stringify({slow})}} : o)"
    )
    page.js("document.getElementById('form').requestSubmit()")
    page.wait("video.currentTime > 0.2")
    assert not page.js("document.body.dataset.complete")
    assert page.js("document.getElementById('status').textContent") == "Playing while it is made."
    page.js("document.getElementById('stop').click()")
    page.wait("document.getElementById('status').textContent === 'Stopped.'")


def test_the_player_steps_loops_mirrors_and_replays_slowly(page: Browser) -> None:
    sign(page)
    page.js("video.pause(); document.getElementById('signs').children[2].firstChild.click()")
    page.wait("Math.abs(video.currentTime - 1.52) < 0.01")
    page.js("document.getElementById('forward').click()")
    assert page.js("video.currentTime") == pytest.approx(1.58, abs=0.011)
    page.js("document.getElementById('back').focus()")
    page.key(",", ",")
    assert page.js("video.currentTime") == pytest.approx(1.54, abs=0.011)
    page.key("m", "m")
    assert page.js("document.getElementById('mirror').getAttribute('aria-pressed')") == "true"
    assert page.js("getComputedStyle(video).transform").startswith("matrix(-1")
    page.js("document.getElementById('replay').click()")
    assert page.js("video.playbackRate") == pytest.approx(0.35)
    page.wait("video.paused && video.playbackRate === 1")
    assert page.js("video.currentTime") == pytest.approx(1.9 + 0.15, abs=0.12)
    page.js("document.getElementById('loop').click(); document.getElementById('play').click()")
    page.wait("video.currentTime > 2.5")
    page.wait("video.currentTime < 1")  # it came round


def test_a_sign_is_changed_by_keyboard_alone(page: Browser) -> None:
    def tab_to(wanted: str) -> None:
        for _ in range(80):
            page.key("Tab")
            if page.js(f"document.activeElement.matches({json.dumps(wanted)})"):
                return
        raise AssertionError(f"the keyboard does not reach {wanted}")

    tab_to("#text")
    page.type(TEXT)
    tab_to("#go")
    page.key("Enter")
    page.wait("document.body.dataset.complete")
    page.js("delete document.body.dataset.complete")
    tab_to("#signs li:nth-child(2) button")
    page.key("Enter")
    assert page.js("document.getElementById('chosen-title').textContent") == "Chosen: YOU, 2 of 6"
    tab_to("#change")
    page.key("Enter")
    page.wait("document.getElementById('dialog').open && document.getElementById('variants').options.length")
    assert page.js("document.activeElement.id") == "search"
    page.js("document.getElementById('search').select()")
    page.type("book")
    page.wait("document.getElementById('variants').value === 'BOOK'")
    tab_to("#variants")
    tab_to("#use")
    page.key("Enter")
    page.wait("document.querySelectorAll('#signs button')[1].firstChild.textContent === 'BOOK'")
    assert page.js("document.activeElement.id") == "change"  # where it was left
    tab_to("#later")
    page.key("Enter")
    page.wait("document.querySelectorAll('#signs button')[2].firstChild.textContent === 'BOOK'")
    tab_to("#pause")
    page.key("Enter")
    page.wait("document.querySelectorAll('#signs button').length === 7")
    tab_to("#again")
    page.key("Enter")
    page.wait("document.body.dataset.complete")
    assert glosses(page) == ["HELLO", "WHAT", "…", "BOOK", "IS", "YOUR", "NAME"]
    page.js("document.getElementById('undo').click()")
    assert len(glosses(page)) == 6


def test_a_word_is_spelled_instead(page: Browser) -> None:
    sign(page)
    page.js("document.getElementById('signs').children[5].firstChild.click()")
    page.js("document.getElementById('change').click()")
    page.js("document.getElementById('spell').value = 'Ana'; document.getElementById('use-spell').click()")
    page.wait("document.querySelectorAll('#signs button')[5].firstChild.textContent === 'A-N-A'")


@pytest.mark.parametrize("kind", ["mp4", "webm", "gif", "vtt", "pose", "json"])
def test_downloads(page: Browser, kind: str) -> None:
    sign(page)
    page.js(f"document.querySelector('[data-format={kind}]').click()")
    page.wait(f"document.getElementById('status').textContent === 'The {kind} file is ready.'")
    page.js("new Promise(r => setTimeout(r, 300))")
    files = list(page.downloads.glob(f"signing*.{kind}"))
    assert files
    assert files[0].stat().st_size > 100


def test_a_link_brings_back_text_and_settings_and_holds_nothing_else(page: Browser, served: Served) -> None:
    page.js(
        "document.getElementById('signer').value = 'ruth'; document.getElementById('left').checked = true"
    )
    sign(page)
    link = page.js("document.getElementById('link').value")
    at, _, rest = link.partition("#")
    assert at == f"http://127.0.0.1:{served.port}/"  # after the #: no server ever sees it
    keys = {part.split("=")[0] for part in rest.split("&")}
    assert keys == {"text", "speed", "language", "signer", "style", "size", "left_handed"}
    page.open("about:blank")
    page.open(link)
    page.wait("document.getElementById('signer').value === 'ruth'")
    assert page.js("document.getElementById('text').value") == TEXT
    assert page.js("document.getElementById('left').checked") is True


def test_a_refusal_is_shown_and_announced(page: Browser) -> None:
    page.js("document.getElementById('text').value = '你好'; document.getElementById('form').requestSubmit()")
    page.wait("document.getElementById('error').textContent.startsWith('Nothing in the text can be signed')")
    assert page.js("document.getElementById('error').getAttribute('role')") == "alert"
    page.errors[:] = [e for e in page.errors if "422" not in e]


def test_a_busy_server_is_asked_again(browser: Browser, tmp_path: Path) -> None:
    server = Served(Settings(concurrent=1), tmp_path)
    try:
        with ThreadPoolExecutor(1) as pool:
            long = pool.submit(server.sign, input="Hello you. " * 3, look="skeleton")
            browser.open(f"http://127.0.0.1:{server.port}/")
            browser.wait("document.querySelectorAll('#signer option').length > 5")
            browser.js("document.getElementById('text').value = 'Hello'")
            assert not long.done()
            browser.js("document.getElementById('form').requestSubmit()")
            browser.wait("document.getElementById('status').textContent.startsWith('The server is busy')")
            browser.wait("document.body.dataset.complete")
            assert long.result().status_code == 200
    finally:
        server.stop()


def test_its_help_signs_itself(page: Browser) -> None:
    buttons = "document.querySelectorAll('#help-parts article button')"
    assert page.js(f"{buttons}.length") == page.js("document.querySelectorAll('#help-parts article').length")
    page.js(f"{buttons}[1].click()")
    page.wait("document.body.dataset.complete")
    assert glosses(page)


def test_a_token_is_asked_for(browser: Browser, tmp_path: Path) -> None:
    server = Served(Settings(tokens=(TOKEN,)), tmp_path)
    try:
        browser.open(f"http://127.0.0.1:{server.port}/")
        browser.wait("!document.getElementById('token-form').hidden")
        browser.js(f"document.getElementById('token').value = '{TOKEN}'")
        browser.js("document.getElementById('token-form').requestSubmit()")
        browser.wait("document.querySelectorAll('#signer option').length > 5")
    finally:
        server.stop()


def test_with_reduced_motion_nothing_plays_by_itself(page: Browser) -> None:
    page.media(prefers_reduced_motion="reduce")
    page.open("about:blank")
    page.open(page_url(page))
    page.wait("document.querySelectorAll('#signer option').length > 5")
    sign(page)
    assert page.js("video.paused && video.currentTime === 0")


def page_url(page: Browser) -> str:
    history = page.call("Page.getNavigationHistory")
    return str(next(e["url"] for e in reversed(history["entries"]) if e["url"].startswith("http")))


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (320, "dark"), (768, "light"), (1200, "dark")])
def test_it_fits_and_passes_axe(page: Browser, width: int, scheme: str) -> None:
    page.size(width, 800)
    page.media(prefers_color_scheme=scheme)
    sign(page, "Hello Anastasia. What is your name?")
    page.js("document.getElementById('signs').children[1].firstChild.click()")
    assert page.js("document.documentElement.scrollWidth") <= width
    small = page.js(
        "[...document.querySelectorAll('button, select, input, textarea')].filter(e => e.offsetParent &&"
        "(e.getBoundingClientRect().height < 24 || e.getBoundingClientRect().width < 24)).map(e => e.id)"
    )
    assert small == []  # WCAG 2.5.8
    shot(page, f"page-{width}-{scheme}")
    violations(page)
    page.js("document.getElementById('change').click()")
    page.wait("document.getElementById('variants').options.length")
    assert page.js("document.documentElement.scrollWidth") <= width
    shot(page, f"dialog-{width}-{scheme}")
    violations(page)


def test_the_reference_fits_and_passes_axe(page: Browser) -> None:
    page.size(320, 800)
    page.open(page_url(page).split("#")[0] + "docs")
    assert page.js("document.documentElement.scrollWidth") <= 320
    shot(page, "docs-320")
    violations(page)


def violations(page: Browser) -> None:
    if not AXE:
        return
    # The page's own policy lets in no foreign script, so it comes in through the debugger.
    page.js(Path(AXE).read_text(encoding="utf-8"))
    tags = json.dumps(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"])
    found = page.js(f"axe.run(document, {{runOnly: {tags}}}).then(r => r.violations.map(v => "
                    "[v.id, v.nodes.map(n => n.target.join(' ') + ': ' + n.failureSummary)]))")  # fmt: skip
    assert found == []
