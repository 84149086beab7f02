"""The command line: what it writes, what it says, and how it refuses."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from conftest import Run
from fakes import FakeRenderer
from stable_signer import cli
from stable_signer.media.provenance import LABEL
from stable_signer.media.sidecar import check_sidecar, sidecar_path
from stable_signer.slul.plan import Plan, Sign

SMALL = ("--size", "64")


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


# --- the commands ---


def test_sign_writes_the_video_and_every_side_output(run: Run, folder: Path) -> None:
    result = run(
        *("sign", "Hello Ana. What is your name?", "-o", folder / "a.mp4", *SMALL, "--seed", "5"),
        *("--plan", folder / "a.json", "--pose", folder / "a.pose", "--captions", folder / "a.vtt"),
    )
    assert (result.code, result.out) == (0, b"")
    assert sorted(p.name for p in folder.iterdir()) == [
        *("a.json", "a.mp4", "a.mp4.provenance.json", "a.pose", "a.vtt")
    ]
    plan = json.loads((folder / "a.json").read_text())
    assert [s["gloss"] for s in plan["signs"]][:2] == ["HELLO", "fs-ANA"]
    assert plan["coverage"]["fingerspelled"] == 1
    assert (folder / "a.vtt").read_text().count("-->") == 2
    with av.open(str(folder / "a.mp4")) as container:
        told = json.loads(container.metadata["comment"])
    assert told["what"] == LABEL and told["seed"] == 5 and told["language"] == "ase"
    assert (folder / "a.mp4").stat().st_mode & 0o444 == 0o444  # readable by others, as any new file


def test_a_sidecar_says_how_the_video_was_made_unless_it_is_left_out(run: Run, folder: Path) -> None:
    assert run("sign", "Hello", "-o", folder / "a.mp4", *SMALL, "--seed", "5").code == 0
    told = check_sidecar(folder / "a.mp4")
    assert told["synthetic"] is True and told["weights"] and told["signer_card"]
    assert told["made"]["seed"] == 5 and len(told["made"]["text_sha256"]) == 64
    (folder / "a.json").write_bytes(run("plan", "Hello", "--json").out)
    assert run("render", folder / "a.json", "-o", folder / "b.gif", *SMALL).code == 0
    check_sidecar(folder / "b.gif")
    assert run("sign", "Hello", "-o", folder / "c.mp4", *SMALL, "--no-sidecar").code == 0
    assert not sidecar_path(folder / "c.mp4").exists()


def test_what_is_not_signed_as_a_word_is_told(run: Run, folder: Path) -> None:
    result = run("sign", "Hello Zyx 你好", "-o", folder / "a.mp4", *SMALL)
    assert result.code == 0
    assert "spelled" in result.err and "Zyx" in result.err
    assert "left out" in result.err and "你好" in result.err
    assert (folder / "a.mp4").exists()


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".gif"])
def test_the_ending_picks_the_container(run: Run, folder: Path, ending: str) -> None:
    path = folder / f"a{ending.upper()}"
    assert run("sign", "Hello", "-o", path, *SMALL).code == 0
    with av.open(str(path)) as container:
        assert ending[1:] in container.format.name


def test_dash_streams_mp4_to_a_pipe(run: Run) -> None:
    result = run("sign", "Hello", "-o", "-", *SMALL)
    assert result.code == 0
    with av.open(io.BytesIO(result.out)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 10


def test_the_text_comes_from_a_file_or_from_standard_input(run: Run, folder: Path) -> None:
    file = folder / "text.txt"
    file.write_bytes("\ufeffHello you\n".encode())  # as Windows writes it
    for arguments in (("--file", file), ("-",), ("--file", "-")):
        result = run("plan", *arguments, "--json", stdin=b"Hello you\n")
        assert result.code == 0
        assert [s["gloss"] for s in json.loads(result.out)["signs"]] == ["HELLO", "YOU"]


def test_plan_shows_signs_times_face_and_coverage(run: Run) -> None:
    result = run("plan", "Hello Ana")
    assert result.code == 0
    shown = result.out.decode()
    for piece in ("HELLO", "fs-ANA", "0.20", "topic", "coverage: 1 lexicon, 0 composed, 1 fingerspelled"):
        assert piece in shown


def test_a_plan_can_be_moved_and_drawn_and_a_pose_drawn_alike(run: Run, folder: Path) -> None:
    plan = folder / "plan.json"
    plan.write_bytes(run("plan", "Hello you", "--json").out)
    assert run("motion", plan, "-o", folder / "a.pose", *SMALL).code == 0
    assert run("render", plan, "-o", folder / "a.mp4", *SMALL).code == 0
    assert run("render", folder / "a.pose", "-o", folder / "b.mp4", *SMALL).code == 0
    shown = []
    for name in ("a.mp4", "b.mp4"):
        with av.open(str(folder / name)) as container:
            shown.append([f.to_ndarray().tobytes() for f in container.decode(video=0)])
    assert shown[0] == shown[1]


@pytest.mark.parametrize("command", ["signers", "styles", "languages"])
def test_lists_are_tables_and_json(run: Run, command: str) -> None:
    table, raw = run(command), run(command, "--json")
    assert (table.code, raw.code) == (0, 0)
    cards = json.loads(raw.out)
    assert cards
    assert all(key in table.out.decode() for key in cards)


def test_there_are_eight_signers_and_each_says_where_it_comes_from(run: Run) -> None:
    cards = json.loads(run("signers", "--json").out)
    assert len(cards) >= 8
    assert all("synthetic" in card["origin"] for card in cards.values())


def test_help_and_version(run: Run) -> None:
    assert b"sign" in run("--help").out
    for command in ("sign", "plan", "motion", "render", "signers", "styles", "languages", "doctor"):
        result = run(command, "--help")
        assert result.code == 0
    sign = run("sign", "--help").out.decode()
    flags = ("file", "language", "signer", "style", "look", "size", "fps", "speed", "seed", "left-handed")
    for flag in (*flags, "no-label", "plan", "pose", "captions", "output"):
        assert f"--{flag}" in sign
    assert run("--version").out.decode()[0].isdigit()


def test_output_that_was_there_is_replaced_whole(run: Run, folder: Path) -> None:
    (folder / "a.mp4").write_bytes(b"old")
    assert run("sign", "Hello", "-o", folder / "a.mp4", *SMALL).code == 0
    assert frames_of(folder / "a.mp4") > 10


def test_the_users_own_brackets_are_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    cli._show_plan(Plan("", signs=(Sign("BOLD", start=0, end=1, text="[bold] :smile:"),)))
    assert "[bold] :smile:" in capsys.readouterr().out


def test_json_is_utf8_whatever_the_terminal_thinks() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    process = start("plan", "Hello 你", "--json", environment=environment)
    out, err = process.communicate(timeout=60)
    assert json.loads(out.decode("utf-8"))["text"] == "Hello 你"
    assert b"\\u4f60" in err


# --- bad input: exit code 2, one sentence, nothing left behind ---


def refused(result: object, folder: Path, *there: str) -> str:
    assert result.code == 2, result  # type: ignore[attr-defined]
    assert result.out == b""  # type: ignore[attr-defined]
    message = result.err  # type: ignore[attr-defined]
    assert message.startswith("stable-signer: ") and message.count("\n") == 1
    assert "Traceback" not in message
    assert sorted(p.name for p in folder.iterdir()) == sorted(there)
    return str(message)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("  \n ", "empty"),
        ("word " * 10_000, "50,000 characters"),
        ("🙂🙂", "nothing in the text can be signed"),
        ("你好", "nothing in the text can be signed"),
        ("bell\x07", "control character (U+0007"),
        ("\x1b[31mred", "control character (U+001B"),
        ("!?...", "nothing in the text can be signed"),
    ],
)
def test_texts_that_cannot_be_signed(run: Run, folder: Path, text: str, says: str) -> None:
    assert says in refused(run("sign", text, "-o", folder / "a.mp4", *SMALL), folder)
    assert says in refused(run("plan", text), folder)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--signer", "nobody"), "there is no signer 'nobody': use one of maya"),
        (("--style", "baroque"), "there is no style 'baroque': use one of studio"),
        (("--language", "xyz"), "there is no language 'xyz': use one of ase, gsg"),
        (("--look", "oil"), "use one of mesh, soft, cartoon, line, skeleton, diffusion"),
        (("--look", "diffusion", "--size", "128"), "draws at 256 or 512 pixels, not 128"),
        (("--look", "mesh", "--quality", "high"), "the look mesh has one quality only"),
        (("--look", "diffusion", "--quality", "best"), "no quality 'best': use one of fast, high"),
        (("--size", "511"), "even number from 64 to 2048"),
        (("--size", "big"), "--size"),
        (("--fps", "0"), "10 to 60"),
        (("--fps", "nan"), "10 to 60"),
        (("--speed", "-1"), "0.25 to 3"),
        (("--seed", "-1"), "seed"),
        (("--colour", "red"), "--colour"),
        (("--pose", "b.txt"), "use .pose"),
        (("--captions", "b.srt"), "use .vtt"),
        (("--plan", "b.yaml"), "use .json"),
        (("--file", "none.txt"), "one text"),
    ],
)
def test_options_that_do_not_work(run: Run, folder: Path, arguments: tuple[str, str], says: str) -> None:
    drawn = FakeRenderer.drawn
    assert says in refused(run("sign", "Hello", "-o", folder / "a.mp4", *arguments), folder)
    assert FakeRenderer.drawn == drawn  # refused before any work


def test_outputs_that_cannot_be_written(run: Run, folder: Path) -> None:
    drawn = FakeRenderer.drawn
    (folder / "taken.mp4").mkdir()
    for output, says in [
        (folder / "a.avi", "use .mp4, .webm, .gif"),
        (folder / "a", "no ending"),
        (folder / "missing" / "a.mp4", "does not exist"),
        (folder / "taken.mp4", "is a folder"),
        (Path("/proc/a.mp4"), "cannot be written"),
    ]:
        assert says in refused(run("sign", "Hello", "-o", output), folder, "taken.mp4")
    # A side output that cannot be written stops the run as well, and the video does not appear.
    result = run("sign", "Hello", "-o", folder / "a.mp4", "--pose", folder / "missing" / "a.pose")
    assert "does not exist" in refused(result, folder, "taken.mp4")
    result = run(
        "sign", "Hello", "-o", folder / "a.mp4", "--plan", folder / "a.json", "--captions", "/proc/a.vtt"
    )
    assert "cannot be written" in refused(result, folder, "taken.mp4")
    assert FakeRenderer.drawn == drawn


def test_no_text_or_two_texts(run: Run, folder: Path) -> None:
    assert "one text" in refused(run("sign", "-o", folder / "a.mp4"), folder)
    (folder / "t.txt").write_text("Hello")
    both = run("sign", "Hello", "--file", folder / "t.txt", "-o", folder / "a.mp4")
    assert "one text" in refused(both, folder, "t.txt")
    assert "cannot be read" in refused(run("plan", "--file", folder / "none.txt"), folder, "t.txt")
    assert "--output" in refused(run("sign", "Hello"), folder, "t.txt")


def test_text_that_is_not_utf8(run: Run, folder: Path) -> None:
    assert "not valid UTF-8" in refused(run("plan", "-", stdin=b"caf\xe9"), folder)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"version": 9, "language": "ase", "signs": []}', "version 9"),
        ('{"version": 1, "language": "ase", "signs": []}', "no signs"),
        ('{"version": 1, "language": "xxx", "signs": []}', "language 'xxx'"),
        ('{"version": 1, "language": "ase", "signs": [{"gloss": "A", "start": 1, "end": 0}]}', "run"),
        (
            '{"version": 1, "language": "ase", "signs": [{"gloss": "A", "start": 0, "end": 1e99}]}',
            "in pieces",
        ),
        ('{"version": 1, "language": "ase", "signs": [{"gloss": "A", "start": NaN, "end": 1}]}', "number"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_broken_plans(run: Run, folder: Path, raw: str, says: str) -> None:
    plan = folder / "plan.json"
    plan.write_text(raw)
    assert says in refused(run("render", plan, "-o", folder / "a.mp4", *SMALL), folder, "plan.json")
    assert says in refused(run("motion", plan, "-o", folder / "a.pose", *SMALL), folder, "plan.json")


def test_poses_that_are_truncated_or_missing(run: Run, folder: Path) -> None:
    plan, pose = folder / "plan.json", folder / "a.pose"
    plan.write_bytes(run("plan", "Hello", "--json").out)
    assert run("motion", plan, "-o", pose, *SMALL).code == 0
    pose.write_bytes(pose.read_bytes()[:5000])
    there = ("plan.json", "a.pose")
    assert "damaged" in refused(run("render", pose, "-o", folder / "b.mp4"), folder, *there)
    assert "cannot be read" in refused(
        run("render", folder / "no.pose", "-o", folder / "b.mp4"), folder, *there
    )
    result = run("render", pose, "-o", folder / "b.mp4", "--fps", "30")
    assert "already has its frames" in refused(result, folder, *there)


def test_a_failure_while_drawing_leaves_nothing(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: FakeRenderer, motion: object) -> object:
        raise RuntimeError("the renderer\nbroke")

    monkeypatch.setattr(FakeRenderer, "frames", broken)
    result = run("sign", "Hello", "-o", folder / "a.mp4", "--plan", folder / "a.json", *SMALL)
    assert result.code == 1
    assert result.err.count("\n") == 1 and "a fault of Stable Signer" in result.err
    assert not list(folder.iterdir())


def test_ctrl_c_while_drawing_leaves_nothing(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(self: FakeRenderer, motion: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeRenderer, "frames", stopped)
    result = run("sign", "Hello", "-o", folder / "a.mp4", "--pose", folder / "a.pose", *SMALL)
    assert (result.code, result.err) == (130, "stable-signer: stopped\n")
    assert not list(folder.iterdir())


# --- as a process ---

# A runner in the background hands down an ignored SIGINT; a terminal does not.
PROCESS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {tests!r})
from fakes import FakeRenderer, fake_stages
from stable_signer import cli, pipeline
pipeline.StableSigner.from_pretrained = classmethod(lambda cls, *names, **choices: cls(fake_stages()))
draw = FakeRenderer.frames
def slowly(self, motion):
    for frame in draw(self, motion):
        time.sleep({pause})
        yield frame
FakeRenderer.frames = slowly
sys.exit(cli.main())
"""


def start(
    *arguments: str | Path, pause: float = 0.0, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    code = PROCESS.format(tests=str(Path(__file__).parent), pause=pause)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_process_cleans_up(folder: Path, number: signal.Signals) -> None:
    process = start(
        "sign", "Hello you " * 20, "-o", folder / "a.mp4", "--captions", folder / "a.vtt", pause=0.05
    )
    deadline = time.monotonic() + 30
    while not list(folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert not list(folder.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_reader_that_leaves_early_gets_no_complaint(folder: Path) -> None:
    process = start("sign", "Hello you " * 40, "-o", "-", "--size", "256")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(100)
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert err == b""


def test_help_starts_without_the_heavy_parts() -> None:
    code = (
        "import sys; from stable_signer import cli; cli.main(['sign', '--help']); cli.main(['languages'])\n"
        "heavy = {'torch', 'numba', 'av', 'scipy', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_doctor_finds_a_whole_installation() -> None:
    command = [sys.executable, "-m", "stable_signer", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert (done.returncode, report["problem"]) == (0, "")
    assert report["ok"] and "body.npz" in report["weights"]
    assert "HELLO" in report["self-test"]["signs"]


def test_an_unknown_planner_is_refused(run: Run) -> None:
    result = run("plan", "Hello", "--planner", "magic")
    assert result.code == 2
    assert "no planner 'magic'" in result.err
