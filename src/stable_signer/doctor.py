"""Is this installation whole? Versions, weights, and a short real run."""

from __future__ import annotations

import io
import platform
import sys
import time
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from stable_signer.errors import StableSignerError

PACKAGES = (
    "torch",
    "numpy",
    "numba",
    "av",
    "pillow",
    "lemminflect",
    "pose-format",
    "pysubs2",
    "safetensors",
    "typer",
    "rich",
)
TEST_SIZE, TEST_SECONDS = 128, 2.0


def examine() -> dict[str, Any]:
    """A report for people and programs: `versions`, `weights`, `self-test`, `ok`, `problem`."""
    report: dict[str, Any] = {"versions": _versions(), "weights": _weights(), "self-test": {}, "problem": ""}
    try:
        report["self-test"] = _self_test()
    except Exception as error:  # noqa: BLE001 - whatever is wrong is what the report is for
        report["problem"] = " ".join(f"{type(error).__name__}: {error}".split())
    report["ok"] = not report["problem"]
    return report


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0], "system": platform.platform()}
    for package in ("stable-signer", *PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    found["mediapipe (for lexicon add CLIP.mp4)"] = _mediapipe()
    return found


def _mediapipe() -> str:
    """Where MediaPipe's own environment is, or how to make it; nothing else needs it."""
    from stable_signer.media.landmarks import mediapipe_python

    try:
        return str(mediapipe_python())
    except StableSignerError as error:
        return f"not set up: {error}"


def _weights() -> dict[str, str]:
    folder = resources.files("stable_signer") / "weights"
    files = sorted(
        (f for f in folder.iterdir() if f.is_file() and not f.name.endswith(".py")), key=lambda f: f.name
    )
    return {f.name: f"{len(f.read_bytes()) / 1e6:.2f} MB" for f in files}


def _self_test() -> dict[str, str]:
    """Sign HELLO in a small picture for at most two seconds, encode it and read it back."""
    import av

    from stable_signer.pipeline import StableSigner, provenance_of, write_frames

    started = time.perf_counter()
    engine = StableSigner.from_pretrained()
    plan = engine.plan("Hello")
    motion = engine.motion(plan)
    loaded = time.perf_counter()
    frames = engine.render(motion, size=TEST_SIZE)
    shown = [next(frames).copy()]
    first = time.perf_counter()
    for frame in frames:
        shown.append(frame.copy())
        if time.perf_counter() - first > TEST_SECONDS:
            break
    seconds = time.perf_counter() - first
    video = io.BytesIO()
    look_of = {"signer": "", "style": "", "look": "mesh"}
    write_frames(video, iter(shown), motion.fps, provenance_of(plan, look_of, 0))
    with av.open(io.BytesIO(video.getvalue()), "r") as container:
        read = len(list(container.decode(video=0)))
    if read != len(shown):
        raise StableSignerError(f"{len(shown)} frames were encoded but {read} were read back: reinstall av")
    if all(bool((frame == shown[0]).all()) for frame in shown):
        raise StableSignerError("the signer does not move: reinstall stable-signer")
    return {
        "signs": " ".join(plan.glosses),
        "load and plan": f"{loaded - started:.2f} s",
        "first frame": f"{first - loaded:.2f} s",
        f"frames a second at {TEST_SIZE}²": f"{(len(shown) - 1) / max(seconds, 1e-9):.0f}",
        "video": f"{len(shown)} frames written and read back",
    }
