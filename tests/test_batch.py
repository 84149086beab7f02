"""Many sentences: resuming, checksums, killed workers, the two engines."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes import FakeRenderer, fake_stages
from stable_signer import cli
from stable_signer.batch import Item, read_items, run_batch
from stable_signer.batch.engines import ENGINES
from stable_signer.errors import StableSignerError
from stable_signer.pipeline import StableSigner


def load() -> StableSigner:
    return StableSigner(fake_stages())


class SleepyRenderer(FakeRenderer):
    """5 ms a picture, so that there is time to kill somebody."""

    def frames(self, motion: Any) -> Iterator[Any]:
        for frame in super().frames(motion):
            time.sleep(0.005)
            yield frame


def load_sleepy() -> StableSigner:
    return StableSigner(replace(fake_stages(), renderer=SleepyRenderer))


def items(count: int) -> list[Item]:
    return [Item(f"s{i}", f"Hello you. Good morning {'you ' * (i % 3)}", size=64) for i in range(count)]


def manifest(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def check(out: Path, wanted: list[Item]) -> None:
    """The manifest has every item once, in order, and the files are what it says."""
    told = manifest(out)
    assert [r["id"] for r in told] == [i.id for i in wanted]
    for record in told:
        for file in record["files"]:
            data = (out / file["name"]).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
    names = {f["name"] for r in told for f in r["files"]}
    assert {p.name for p in out.iterdir()} == names | {"manifest.jsonl", "failures.jsonl", ".records"}


def sums(out: Path) -> list[str]:
    return [f["sha256"] for r in manifest(out) for f in r["files"]]


# --- reading ---


def test_lines_become_items(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "Hello"}\n\n{"id": "b", "text": "You", "signer": "ben", "speed": 2}\n')
    assert read_items(path, Item("", "", size=64)) == [
        Item("000001", "Hello", size=64),
        Item("b", "You", signer="ben", speed=2, size=64),
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2 of .* is not JSON"),
        ("[" * 100_000, "line 2 of .* is not JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "'text' is missing"),
        ('{"text": 1}', "'text' is missing"),
        ('{"text": "a", "id": "../x"}', "cannot name a file"),
        ('{"text": "a", "id": ".x"}', "cannot name a file"),
        ('{"text": "a", "id": ""}', "cannot name a file"),
        ('{"text": "a", "id": 3}', "cannot name a file"),
        ('{"text": "a", "id": "manifest"}', "cannot name a file"),
        ('{"text": "a", "id": "FIRST"}', "comes twice"),
        ('{"text": "a", "sped": 1}', "'sped' is unknown"),
        ('{"text": "a", "size": "64"}', "wrong kind"),
        ('{"text": "a", "seed": true}', "wrong kind"),
        ('{"text": "a", "size": 63}', "even number"),
        ('{"text": "a", "signer": "nobody"}', "there is no signer"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "first", "text": "Hello"}\n' + line)
    with pytest.raises(StableSignerError, match=told) as caught:
        read_items(path)
    assert "line 2" in str(caught.value)


# --- running ---


def test_every_item_is_made_once_with_its_sums(tmp_path: Path) -> None:
    wanted = [replace(i, also=("plan", "captions", "pose", "provenance")) for i in items(5)]
    done = run_batch(wanted, tmp_path / "out", load=load, shard_size=2)
    assert (done.made, done.kept, done.failed) == (5, 0, 0)
    check(tmp_path / "out", wanted)
    assert len(list((tmp_path / "out").glob("*.pose"))) == 5


def test_a_second_run_makes_only_what_is_missing(tmp_path: Path) -> None:
    wanted, out = items(6), tmp_path / "out"
    run_batch(wanted[:4], out, load=load)
    (out / "s1.mp4").unlink()
    (out / "s2.mp4").write_bytes(b"short")
    before = (out / "s0.mp4").stat().st_mtime_ns
    done = run_batch(wanted, out, load=load)
    assert (done.made, done.kept) == (4, 2)
    assert (out / "s0.mp4").stat().st_mtime_ns == before
    check(out, wanted)
    changed = [replace(wanted[0], seed=1), *wanted[1:]]
    assert run_batch(changed, out, load=load).made == 1
    data = bytearray((out / "s3.mp4").read_bytes())
    data[-1] ^= 1
    (out / "s3.mp4").write_bytes(data)
    assert run_batch(changed, out, load=load).made == 0
    assert run_batch(changed, out, load=load, verify=True).made == 1


def test_failures_are_listed_and_tried_again(tmp_path: Path) -> None:
    wanted, out = [*items(2), Item("bad", "你好", size=64)], tmp_path / "out"
    done = run_batch(wanted, out, load=load)
    assert (done.made, done.failed) == (2, 1)
    check(out, wanted[:2])
    (failure,) = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert (failure["id"], failure["attempts"]) == ("bad", 1)
    assert "nothing in the text can be signed" in failure["error"]
    assert run_batch(wanted, out, load=load).failed == 1


def test_an_odd_fault_is_tried_again(tmp_path: Path) -> None:
    class Flaky(FakeRenderer):
        faults = 2

        def frames(self, motion: Any) -> Iterator[Any]:
            if Flaky.faults:
                Flaky.faults -= 1
                raise OSError("the disk blinked")
            yield from super().frames(motion)

    out = tmp_path / "out"
    done = run_batch(items(2), out, load=lambda: StableSigner(replace(fake_stages(), renderer=Flaky)))
    assert (done.made, done.failed) == (2, 0)
    assert [r["attempts"] for r in manifest(out)] == [3, 1]


def test_workers_of_another_version_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_version(shards: Any, *_: Any) -> Iterator[list[dict[str, Any]]]:
        yield [{"id": item.id, "key": "another", "files": []} for shard in shards for item in shard]

    monkeypatch.setitem(ENGINES, "local", other_version)
    with pytest.raises(StableSignerError, match="another version"):
        run_batch(items(2), tmp_path / "out", load=load)


def test_two_batches_do_not_share_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    running = threading.Thread(target=run_batch, args=(items(20), out), kwargs={"load": load_sleepy})
    running.start()
    while not (out / ".records" / "lock").exists():
        time.sleep(0.01)
    time.sleep(0.1)
    with pytest.raises(StableSignerError, match="another batch"):
        run_batch(items(2), out, load=load)
    running.join()


killed: list[int] = []


def kill_a_worker(out: Path, find: Callable[[], list[int]]) -> threading.Thread:
    """Kill one worker when some videos are there."""
    killed.clear()

    def work() -> None:
        end = time.monotonic() + 60
        while len(list(out.glob("*.mp4"))) < 4 and time.monotonic() < end:
            time.sleep(0.02)
        for number in find()[:1]:
            os.kill(number, signal.SIGKILL)
            killed.append(number)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def processes(text: str) -> list[int]:
    """Processes of ours whose command line has `text` in it, by id."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if text in (folder / "cmdline").read_bytes().decode(errors="replace"):
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def children() -> list[int]:
    """Worker processes of the pool that this process has started."""
    mine = []
    for number in processes("spawn_main"):
        status = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
        if int(status[1]) == os.getpid():
            mine.append(number)
    return mine


def test_local_workers_give_the_same_bytes_and_survive_a_kill(tmp_path: Path) -> None:
    wanted = items(30)
    run_batch(wanted, tmp_path / "one", load=load)
    killer = kill_a_worker(tmp_path / "two", children)
    done = run_batch(wanted, tmp_path / "two", load=load_sleepy, workers=2, shard_size=3)
    killer.join()
    assert killed
    assert done.failed == 0
    check(tmp_path / "two", wanted)
    assert sums(tmp_path / "two") == sums(tmp_path / "one")


RUN = """
import sys
sys.path.insert(0, {tests!r})
import test_batch
test_batch.run_batch(test_batch.items(30), {out!r}, load=test_batch.load_sleepy, shard_size=3)
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = RUN.format(tests=str(Path(__file__).parent), out=str(out))
    process = subprocess.Popen([sys.executable, "-c", script])
    while len(list((out / ".records").glob("[!.]*.jsonl"))) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait(10)
    done = run_batch(items(30), out, load=load)
    assert done.kept >= 9
    assert done.kept + done.made == 30
    check(out, items(30))  # also: nothing half written is left
    run_batch(items(30), tmp_path / "whole", load=load)
    assert sums(out) == sums(tmp_path / "whole")


@pytest.mark.slow
def test_ray_gives_the_same_bytes_and_survives_a_kill(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="needs the extra [ray]")
    wanted = items(30)
    run_batch(wanted, tmp_path / "one", load=load)
    env = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}  # where `load_sleepy` is
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, runtime_env=env)
    try:
        killer = kill_a_worker(tmp_path / "two", lambda: processes("ray::Maker"))
        done = run_batch(wanted, tmp_path / "two", load=load_sleepy, engine="ray", workers=3, shard_size=3)
        killer.join()
    finally:
        ray.shutdown()
    assert killed
    assert done.failed == 0
    check(tmp_path / "two", wanted)
    assert sums(tmp_path / "two") == sums(tmp_path / "one")


# --- the command ---


@pytest.fixture(autouse=True)
def registered() -> None:
    """The commands, while `cli` does not register them itself."""
    from stable_signer.cli_service import register

    if "batch" not in [c.name for c in cli.app.registered_commands]:
        register(cli.app)


def test_the_command(run: Any, tmp_path: Path) -> None:
    path, out = tmp_path / "a.jsonl", tmp_path / "out"
    path.write_text('{"text": "Hello you."}\n{"id": "x", "text": "Good morning."}\n')
    result = run("batch", path, "-o", out, "--size", 64, "--also", "captions", "--format", "webm")
    assert (result.code, result.err) == (0, "2 made, 0 kept from before, 0 failed\n")
    assert {"000001.webm", "x.webm", "x.vtt", "x.webm.provenance.json"} <= {p.name for p in out.iterdir()}
    path.write_text('{"text": "你好"}\n')
    result = run("batch", path, "-o", out)
    assert result.code == 2
    assert "failures.jsonl lists them" in result.err
    for wrong, told in (
        (["--engine", "cloud"], "there is no engine 'cloud'"),
        (["--workers", "0"], "use 1 to"),
        (["--also", "audio"], "there is no side output 'audio'"),
        (["--format", "avi"], "there is no format 'avi'"),
    ):
        result = run("batch", path, "-o", tmp_path / "new", *wrong)
        assert result.code == 2
        assert told in result.err
        assert not (tmp_path / "new").exists()
