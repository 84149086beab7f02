"""The HTTP service over a real socket, on small stages."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from fakes import FakeRenderer, fake_stages
from stable_signer.errors import StableSignerError
from stable_signer.pipeline import StableSigner
from stable_signer.pose2vid import thumbnails
from stable_signer.slul.edit import drafted, edited
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.plan import Plan

httpx = pytest.importorskip("httpx", reason="needs the extra [serve] and httpx")
uvicorn = pytest.importorskip("uvicorn", reason="needs the extra [serve]")
pytest.importorskip("fastapi", reason="needs the extra [serve]")

from stable_signer.service.app import create_app  # noqa: E402
from stable_signer.service.cache import Answer, Cache  # noqa: E402
from stable_signer.service.settings import Settings, read_tokens  # noqa: E402

TOKEN = "a-token-of-some-length"


class SlowRenderer(FakeRenderer):
    """20 ms a picture in the skeleton look, at once in the other."""

    def __init__(self, signer: str, style: str, look: str, size: int) -> None:
        super().__init__(signer, style, look, size)
        self.wait = 0.02 if look == "skeleton" else 0.0

    def frames(self, motion: Any) -> Iterator[np.ndarray]:
        for frame in super().frames(motion):
            time.sleep(self.wait)
            yield frame


class Served:
    """A server in a thread of this process, and a client for it."""

    def __init__(self, settings: Settings, workdir: Path) -> None:
        stages = replace(fake_stages(), renderer=SlowRenderer)
        self.workdir = workdir
        self.app = create_app(lambda: StableSigner(stages), settings, workdir)
        config = uvicorn.Config(self.app, host="127.0.0.1", port=0, log_level="error")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not (self.server.started and self.app.state.studio.ready):
            time.sleep(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.port = port
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)

    def sign(self, **fields: Any) -> httpx.Response:
        return self.client.post("/v1/signing", json={"size": 64, **fields})

    def metric(self, name: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"stable_signer_{name}"))

    def stop(self) -> None:
        self.client.close()
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = Served(Settings(max_size=256, max_seconds=20, max_body=100_000), tmp_path_factory.mktemp("work"))
    yield server
    server.stop()
    assert not list(server.workdir.iterdir())  # nothing is left on the disk


def start(tmp_path: Path, **settings: Any) -> Served:
    return Served(Settings(**settings), tmp_path)


def frames_of(data: bytes) -> int:
    with av.open(io.BytesIO(data)) as container:
        return sum(1 for _ in container.decode(video=0))


# --- answers ---


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [("mp4", "video/mp4"), ("webm", "video/webm"), ("gif", "image/gif"), ("pose", "application/x-pose")],
)
def test_every_format_comes_whole(served: Served, kind: str, media_type: str) -> None:
    answer = served.sign(input="Hello you.", response_format=kind)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["x-synthetic"] == "true"
    if kind != "pose":
        assert frames_of(answer.content) == 32  # (0.2 + 2 signs of 0.4 + 0.3) s at 25


def test_the_plan_and_the_captions_come_as_formats(served: Served) -> None:
    plan = served.sign(input="Hello you.", response_format="json").json()
    assert [s["gloss"] for s in plan["signs"]] == ["HELLO", "YOU"]
    assert served.sign(input="Hello you.", response_format="vtt").text.startswith("WEBVTT")
    assert served.sign(plan=plan, response_format="json").json() == plan


def test_a_stream_starts_before_it_is_made(served: Served) -> None:
    times = []
    body = {"input": "Hello you. " * 4, "look": "skeleton", "stream": True, "size": 64}
    started = time.perf_counter()
    with served.client.stream("POST", "/v1/signing", json=body) as answer:
        data = b""
        for chunk in answer.iter_bytes():
            times.append(time.perf_counter() - started)
            data += chunk
    assert "content-length" not in answer.headers
    assert times[0] < times[-1] / 3
    assert frames_of(data) > 100


def test_sentences_come_as_events_with_a_video_each(served: Served) -> None:
    answer = served.sign(input="Hello you. Good morning.", stream=True, stream_format="events")
    assert answer.headers["content-type"] == "text/event-stream"
    events = [block.split("\ndata: ") for block in answer.text.strip().split("\n\n")]
    assert [e[0] for e in events] == ["event: plan", "event: sentence", "event: sentence", "event: done"]
    sentences = [json.loads(e[1]) for e in events[1:3]]
    assert [s["text"] for s in sentences] == ["Hello you.", "Good morning."]
    total = sum(frames_of(base64.b64decode(s["video"])) for s in sentences)
    assert total == round(json.loads(events[3][1])["seconds"] * 25)


def test_the_same_request_comes_from_the_cache(served: Served) -> None:
    first = served.sign(input="Good morning you.", seed=3)
    again = served.sign(input="Good morning you.", seed=3)
    assert "x-cache" not in first.headers
    assert again.headers["x-cache"] == "hit"
    assert again.content == first.content
    for change in (
        {"seed": 4},
        {"input": "Good morning."},
        {"speed": 1.5},
        {"signer": "ben"},
        {"left_handed": True},
        {"label": False},
        {"fps": 30},
        {"size": 66},
        {"stream": True},
        {"style": "dark"},
    ):
        other = served.sign(**{"input": "Good morning you.", "seed": 3, **change})
        assert other.status_code == 200
        assert "x-cache" not in other.headers, change


def test_the_cache_keeps_within_its_bound() -> None:
    cache = Cache(100)
    for number in range(10):
        cache.put(str(number), Answer("x/y", (b"a" * 20,)))
    assert cache.held == 100
    assert cache.get("4") is None
    assert cache.get("5") is not None
    cache.put("large", Answer("x/y", (b"a" * 26,)))
    assert cache.get("large") is None
    cache.put("10", Answer("x/y", (b"a" * 20,)))
    assert cache.get("5") is not None  # used a moment ago
    assert cache.get("6") is None
    assert Cache(0).get("a") is None


@pytest.mark.parametrize("path", ["signers", "styles", "languages", "limits", "glosses?q=book"])
def test_lists(served: Served, path: str) -> None:
    answer = served.client.get(f"/v1/{path}")
    assert answer.status_code == 200
    assert answer.json()


def test_cards_have_thumbnails_and_nothing_else_has(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, str]] = []

    def draw(signer: str, style: str, size: int = 8) -> np.ndarray:
        drawn.append((signer, style))
        return np.full((8, 8, 3), 90, np.uint8)

    monkeypatch.setattr(thumbnails, "thumbnail", draw)
    thumbnails._kept.cache_clear()
    for _ in range(2):  # the second is kept
        for path in ("signers/leo", "styles/dark"):
            answer = served.client.get(f"/v1/{path}/thumbnail.png")
            assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
            assert answer.content.startswith(b"\x89PNG")
    assert drawn == [("leo", "studio"), ("maya", "dark")]
    for path in ("signers/nobody", "styles/maya", "signers/maya:1,ben:1", "signers/..%2f..%2fetc%2fpasswd"):
        answer = served.client.get(f"/v1/{path}/thumbnail.png")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    assert len(drawn) == 2
    thumbnails._kept.cache_clear()


def test_signs_are_found_by_word_and_gloss(served: Served) -> None:
    def find(q: str) -> list[str]:
        return [g["gloss"] for g in served.client.get("/v1/glosses", params={"q": q}).json()["glosses"]]

    assert find("book")[0] == "BOOK"
    assert "THANK-YOU" in find("thank you")
    assert find("zzzzqqq") == []
    assert len(find("")) == 20


# --- plans ---


def test_a_plan_is_edited_and_timed_anew(served: Served) -> None:
    plan = served.client.post("/v1/plan", json={"input": "What is your name? Hello."}).json()
    edits = [
        {"op": "replace", "at": 0, "gloss": "BOOK"},
        {"op": "spell", "at": 1, "text": "José"},
        {"op": "move", "at": 3, "to": 0},
        {"op": "pause", "at": 1, "seconds": 0.5},
        {"op": "remove", "at": 4},
    ]
    answer = served.client.post("/v1/plan/edit", json={"plan": plan, "edits": edits})
    assert answer.status_code == 200, answer.text
    glosses = [s["gloss"] for s in answer.json()["signs"]]
    assert glosses == ["NAME", "PAUSE", "BOOK", "fs-JOSE", "HELLO"]
    assert served.sign(plan=answer.json()).status_code == 200


def test_the_face_stays_with_the_signs_it_was_over() -> None:
    plan = Plan.from_dict(
        {
            "version": 1,
            "language": "ase",
            "text": "a b. c",
            "signs": [{"gloss": g, "start": i, "end": i + 0.5} for i, g in enumerate("ABC")],
            "nonmanuals": [{"kind": "wh-question", "start": 0, "end": 1.5}],
            "sentences": [{"text": "a b.", "start": 0, "end": 1.5}, {"text": "c", "start": 2, "end": 2.5}],
        }
    )
    glossary = Glossary.load()

    def spans(*edits: dict[str, Any]) -> list[tuple[int, int]]:
        draft = edited(plan, edits, glossary)
        assert sum(count for _, count in draft.sentences) == len(draft.signs)
        return [(s.first, s.last) for s in draft.spans]

    assert [(s.first, s.last) for s in drafted(plan).spans] == [(0, 1)]
    assert spans({"op": "insert", "at": 1, "gloss": "BOOK"}) == [(0, 2)]  # within: under it
    assert spans({"op": "insert", "at": 2, "gloss": "BOOK"}) == [(0, 1)]  # after: not
    assert spans({"op": "move", "at": 1, "to": 0}) == [(0, 1)]
    assert spans({"op": "move", "at": 0, "to": 2}) == [(0, 0)]  # into the next sentence: leaves it
    assert spans({"op": "remove", "at": 0}, {"op": "remove", "at": 0}) == []


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"op": "fly", "at": 0}, "no operation 'fly'"),
        ({"op": "remove"}, "remove takes op, at"),
        ({"op": "remove", "at": 9}, "position from 0 to 0"),
        ({"op": "remove", "at": True}, "position from 0 to 0"),
        ({"op": "replace", "at": 0, "gloss": "BOOOK"}, "did you mean BOOK"),
        ({"op": "spell", "at": 0, "text": "你好"}, "cannot be spelled"),
        ({"op": "pause", "at": 0, "seconds": 99}, "at most 10"),
        ({"op": "remove", "at": 0}, "leave no sign"),
        ({"op": "spell", "at": 0, "text": "\ud800"}, "not valid Unicode"),
    ],
)
def test_edits_that_do_not_work_are_refused(served: Served, edit: dict[str, Any], told: str) -> None:
    plan = served.sign(input="Hello.", response_format="json").json()
    content = json.dumps({"plan": plan, "edits": [edit]})  # ASCII: a lone surrogate goes through as an escape
    answer = served.client.post(
        "/v1/plan/edit", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert told in answer.json()["detail"]


# --- refusals ---


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({}, 422, "either 'input' or 'plan'"),
        ({"input": "Hello", "plan": {}}, 422, "either 'input' or 'plan'"),
        ({"input": "  "}, 422, "the text is empty"),
        ({"input": "a" * 5000}, 422, "more than 2,000"),
        ({"input": "你好"}, 422, "nothing in the text can be signed"),
        ({"input": "a\x00b"}, 422, "control character"),
        ({"input": "Hello " * 100}, 422, "more than 20 s"),
        ({"input": "Hello", "signer": "nobody"}, 422, "there is no signer 'nobody': use one of maya"),
        ({"input": "Hello", "style": "../../etc/passwd"}, 422, "there is no style"),
        ({"input": "Hello", "language": "xyz"}, 422, "there is no language"),
        ({"input": "Hello", "look": "diffusion", "size": 64}, 422, "draws at 256 or 512 pixels, not 64"),
        ({"input": "Hello", "size": 512}, 422, "the largest here"),
        ({"input": "Hello", "size": 65}, 422, "'size' is wrong"),
        ({"input": "Hello", "speed": 9}, 422, "'speed' is wrong"),
        ({"input": "Hello", "sped": 1}, 422, "'sped' is wrong"),
        ({"input": "Hello", "response_format": "avi"}, 422, "'response_format' is wrong"),
        ({"input": "Hello", "response_format": "gif", "stream": True}, 422, "only mp4 can be streamed"),
        ({"input": "Hello", "stream_format": "events"}, 422, "needs 'stream'"),
        ({"plan": {"version": 1}}, 422, "the plan lacks 'language'"),
        ({"plan": {"version": 1, "language": "ase", "signs": []}}, 422, "the plan has no signs"),
    ],
)
def test_bad_input_is_told_in_a_sentence(
    served: Served, fields: dict[str, Any], status: int, told: str
) -> None:
    answer = served.sign(**fields)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert told in problem["detail"]
    assert "\n" not in problem["detail"]


def test_requests_that_are_not_json_are_refused(served: Served) -> None:
    post = served.client.post
    json_type = {"content-type": "application/json"}
    for content, headers, status in (
        (b"{", json_type, 400),
        (b"", json_type, 422),
        (b"[]", json_type, 422),
        (b"\xff\xfe", json_type, 400),
        (b"[" * 50_000, json_type, 400),
        (b'{"input": "Hello", "seed": ' + b"9" * 6000 + b"}", json_type, 400),
        (b'{"input": "Hello", "speed": 1e999}', json_type, 422),
        (b'{"input": "\\ud800"}', json_type, 422),
        (b'{"input": "Hello"}', {"content-type": "text/plain"}, 415),
        (b'{"input": "Hello"}', {}, 415),
        (b" " * 100_001, json_type, 413),
    ):
        answer = post("/v1/signing", content=content, headers=headers)
        assert answer.status_code == status, (content[:40], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"

    def drip() -> Iterator[bytes]:
        yield from [b" " * 60_000] * 2

    assert post("/v1/signing", content=drip(), headers=json_type).status_code == 413
    assert served.client.get("/nothing").status_code == 404
    assert served.client.get("/../pyproject.toml").status_code == 404
    assert served.client.get("/v1/signing").status_code == 405


def test_an_unlikely_fault_is_told_without_its_insides(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(served.app.state.studio, "plan", broken)
    answer = served.sign(input="A fault.")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert served.client.get("/health").status_code == 200


# --- guards ---


def test_careful_headers_are_on_every_answer(served: Served) -> None:
    for path in ("/", "/docs", "/health", "/nothing", "/v1/signers", "/app.js"):
        headers = served.client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers or "uvicorn" in headers["server"]  # `serve` leaves it out


def test_another_host_name_is_refused_on_loopback(served: Served) -> None:
    assert served.client.get("/v1/signers", headers={"host": "evil.example"}).status_code == 421
    assert served.client.get("/v1/signers", headers={"host": "localhost:1"}).status_code == 200
    assert served.client.get("/v1/signers", headers={"host": "[::1]:80"}).status_code == 200


def test_tokens_are_asked_for(tmp_path: Path) -> None:
    server = start(tmp_path, tokens=("another-long-token", TOKEN))
    try:
        get = server.client.get
        assert get("/health").status_code == get("/").status_code == 200
        for headers in (
            {},
            {"authorization": TOKEN},
            {"authorization": "Bearer wrong"},
            {"authorization": "Bearer"},
        ):
            refused = get("/v1/signers", headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        assert get("/metrics").status_code == 401
        assert get("/v1/signers", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    finally:
        server.stop()


def test_cors_is_off_unless_told(tmp_path: Path) -> None:
    server = start(tmp_path, cors_origins=("https://a.example",))
    try:
        ours = server.client.get("/v1/signers", headers={"origin": "https://a.example"})
        other = server.client.get("/v1/signers", headers={"origin": "https://b.example"})
        assert ours.headers["access-control-allow-origin"] == "https://a.example"
        assert "access-control-allow-origin" not in other.headers
    finally:
        server.stop()


def test_settings_that_do_not_work_are_refused(tmp_path: Path) -> None:
    for wrong in (
        {"port": 70000},
        {"concurrent": 0},
        {"tokens": ("short",)},
        {"cors_origins": ("a.example",)},
    ):
        with pytest.raises(StableSignerError):
            Settings(**wrong)  # type: ignore[arg-type]
    file = tmp_path / "tokens"
    file.write_text(f"# ours\n\n{TOKEN}\n")
    assert read_tokens(file) == (TOKEN,)
    file.write_text("# none\n")
    with pytest.raises(StableSignerError, match="holds no token"):
        read_tokens(file)


# --- load ---


def test_what_does_not_fit_is_refused_with_a_time(tmp_path: Path) -> None:
    server = start(tmp_path, concurrent=1, queue=2)
    try:

        def one(seed: int) -> httpx.Response:
            return server.sign(input="Hello you.", look="skeleton", seed=seed)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(one, range(8)))
        codes = sorted(a.status_code for a in answers)
        assert set(codes) == {200, 429}
        assert codes.count(200) >= 3
        refused = next(a for a in answers if a.status_code == 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 120
        assert refused.json()["title"] == "Too Many Requests"
        assert server.metric("refused_busy_total") == codes.count(429)
        assert one(99).status_code == 200
    finally:
        server.stop()


def test_a_plan_is_answered_while_all_places_are_taken(tmp_path: Path) -> None:
    server = start(tmp_path, concurrent=1)
    try:
        with ThreadPoolExecutor(1) as pool:
            long = pool.submit(server.sign, input="Hello you. " * 6, look="skeleton")
            time.sleep(0.3)
            assert server.sign(input="Hello").status_code == 429
            assert server.client.post("/v1/plan", json={"input": "Hello"}).status_code == 200
            assert long.result().status_code == 200
    finally:
        server.stop()


def test_a_short_request_does_not_wait_for_a_long_one(served: Served) -> None:
    def long() -> float:
        started = time.perf_counter()
        served.sign(input="Hello you. " * 8, look="skeleton", seed=1)
        return time.perf_counter() - started

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(long)
        time.sleep(0.3)
        started = time.perf_counter()
        assert served.sign(input="Hello", seed=77).status_code == 200
        short = time.perf_counter() - started
        assert short < waiting.result() / 3


def test_a_client_that_leaves_stops_the_work(served: Served) -> None:
    before = served.metric("cancelled_total")
    for stream in (True, False):
        drawn = FakeRenderer.drawn
        body = {"input": "Hello you. " * 6, "look": "skeleton", "size": 64, "stream": stream, "seed": 5}
        if stream:
            with served.client.stream("POST", "/v1/signing", json=body) as answer:
                next(answer.iter_bytes())
        else:
            with pytest.raises(httpx.ReadTimeout):
                served.client.post("/v1/signing", json=body, timeout=0.4)
        time.sleep(0.3)
        stopped = FakeRenderer.drawn
        time.sleep(0.3)
        assert FakeRenderer.drawn == stopped
        assert stopped - drawn < 100  # of more than 200
    assert served.metric("cancelled_total") == before + 2


def test_a_request_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    server = start(tmp_path, job_seconds=1)
    try:
        answer = server.sign(input="Hello you. " * 8, look="skeleton")
        assert answer.status_code == 503
        assert "took too long" in answer.json()["detail"]
        with pytest.raises(
            httpx.RemoteProtocolError
        ):  # cut, not ended: half a video is not taken for a whole
            server.sign(input="Hello you. " * 8, look="skeleton", stream=True)
    finally:
        server.stop()


def test_metrics_count_without_telling_texts(served: Served) -> None:
    served.sign(input="Hello secretword")
    text = served.client.get("/metrics").text
    assert 'stable_signer_requests_total{method="POST",route="/v1/signing",status="200"}' in text
    assert "secretword" not in text
    served.client.get("/wp-login.php")
    assert "wp-login" not in served.client.get("/metrics").text


# --- the process ---

SERVER = """
import sys, time
sys.path.insert(0, {tests!r})
from dataclasses import replace
from fakes import fake_stages
from test_service import SlowRenderer
from stable_signer import cli, pipeline
from stable_signer.cli_service import register
stages = replace(fake_stages(), renderer=SlowRenderer)
pipeline.StableSigner.from_pretrained = classmethod(lambda cls, *names, **choices: cls(stages))
if "serve" not in [c.name for c in cli.app.registered_commands]:
    register(cli.app)
sys.exit(cli.main(["serve", "--port", {port!r}]))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(tmp_path: Path, port: int) -> subprocess.Popen[bytes]:
    script = SERVER.format(tests=str(Path(__file__).parent), port=str(port))
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", script], env=env, stderr=subprocess.PIPE)
    for _ in range(600):
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                return process
        except httpx.TransportError:
            assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.1)
    raise AssertionError("the server did not start")


def test_sigterm_finishes_what_is_under_way(tmp_path: Path) -> None:
    port = free_port()
    process = launch(tmp_path, port)
    body = {"input": "Hello you. " * 3, "look": "skeleton", "stream": True, "size": 64}
    data = b""
    with httpx.stream("POST", f"http://127.0.0.1:{port}/v1/signing", json=body, timeout=30) as answer:
        for number, chunk in enumerate(answer.iter_bytes()):
            data += chunk
            if number == 0:
                process.send_signal(signal.SIGTERM)
    assert frames_of(data) == 97
    assert process.wait(20) == 0
    assert not list(tmp_path.iterdir())


def test_after_sigkill_nothing_stays_but_a_folder_that_the_next_start_removes(tmp_path: Path) -> None:
    port = free_port()
    process = launch(tmp_path, port)
    body = {"input": "Hello you. " * 6, "look": "skeleton", "size": 64}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"http://127.0.0.1:{port}/v1/signing", json=body, timeout=0.5)
    process.kill()
    process.wait(10)
    left = [p.name for p in tmp_path.iterdir()]
    assert len(left) == 1
    assert left[0].startswith("stable-signer-serve-")
    process = launch(tmp_path, port)
    assert left[0] not in [p.name for p in tmp_path.iterdir()]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        script = SERVER.format(tests=str(Path(__file__).parent), port=str(taken.getsockname()[1]))
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, text=True)
    assert done.returncode == 2
    assert "cannot be used: choose another --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_slow_start_becomes_ready_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stable_signer.service.orders import Studio

    warm_up = Studio.warm_up

    def slow(self: Studio, job: Any) -> Iterator[None]:
        time.sleep(1.3)
        yield from warm_up(self, job)

    monkeypatch.setattr(Studio, "warm_up", slow)
    server = start(tmp_path, job_seconds=1)  # waits until it is ready
    try:
        assert server.client.get("/ready").status_code == 200
    finally:
        server.stop()
