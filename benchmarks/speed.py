"""How fast is it? Warm `sign` of a ten-word sentence, first frame, memory, and the cold command line.

    python benchmarks/speed.py [--size 512] [--fps 25] [--look diffusion] [--repeats 3] [--json speed.json]

Real-time factor = seconds of video made / seconds spent making it, encoding to mp4 included: 1 is real time,
more is faster. The parts are timed one after the other in one run. "First frame" is from the call to the
first encoded picture, warm. Memory is the largest resident size of a process of its own that signs once.
"Cold" is the command `stable-signer sign ...` from start to exit, with everything to load. On a busy machine
(a load above the number of cores) only the processor time means something.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SENTENCE = "Yesterday my sister bought two books for her new school."  # ten words


def main() -> None:
    """Measure, print a table, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--look", default="diffusion")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one-run", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_run:  # the process whose memory is measured
        _sign_once(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(options, Path(folder))
    for name, value in figures.items():
        print(f"{name:<34} {value:.2f}" if isinstance(value, float) else f"{name:<34} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures, by name with their unit."""
    from stable_signer import StableSigner
    from stable_signer.media.video import write_video

    kwargs = {"size": options.size, "fps": options.fps, "look": options.look}
    start = time.perf_counter()
    signer = StableSigner.from_pretrained()
    signer.sign(SENTENCE, **kwargs).save(folder / "warm.mp4")
    load = time.perf_counter() - start

    plan = signer.plan(SENTENCE)
    motion = signer.motion(plan, fps=options.fps)
    render_kwargs = {"size": options.size, "look": options.look}
    frames = [frame.copy() for frame in signer.render(motion, **render_kwargs)]
    seconds = motion.duration

    def draw() -> None:
        for _ in signer.render(motion, **render_kwargs):
            pass

    def encode() -> None:
        write_video(folder / "encode.mp4", frames, size=options.size, fps=options.fps)

    def everything() -> None:
        signer.sign(SENTENCE, **kwargs).save(folder / "all.mp4")

    def first() -> None:
        stream = _FirstBytes()
        try:
            clip = signer.sign(SENTENCE, **kwargs)
            write_video(stream, iter(clip), size=options.size, fps=options.fps)  # type: ignore[arg-type]
        except BrokenPipeError:
            return

    processor = time.process_time()
    whole = _median(everything, options.repeats)
    processor = (time.process_time() - processor) / options.repeats
    return {
        "words": len(SENTENCE.split()),
        "signs": len(plan.glosses),
        "frames": len(motion),
        "video, s": seconds,
        "real-time factor, all, warm": seconds / whole,
        "processor time, all, ms a frame": 1000 * processor / len(motion),
        "load of the machine before": os.getloadavg()[0],
        "  plan, ms": 1000 * _median(lambda: signer.plan(SENTENCE), options.repeats),
        "  motion, ms a frame": 1000 * _median(lambda: signer.motion(plan), options.repeats) / len(motion),
        "  drawing, ms a frame": 1000 * _median(draw, options.repeats) / len(motion),
        "  encoding, ms a frame": 1000 * _median(encode, options.repeats) / len(motion),
        "first frame, warm, s": _median(first, options.repeats),
        "load and first sentence, s": load,
        "peak memory, MB": _peak_memory(options),
        "cold command line, s": _cold(options, folder),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


class _FirstBytes:
    """A pipe whose reader leaves after the first picture."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        if self.size > 1500:  # past the header: a picture has come
            raise BrokenPipeError
        return len(data)

    def flush(self) -> None:
        return


def _median(work: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _sign_once(options: argparse.Namespace) -> None:
    from stable_signer import StableSigner

    with tempfile.TemporaryDirectory() as folder:
        clip = StableSigner.from_pretrained().sign(
            SENTENCE, size=options.size, fps=options.fps, look=options.look
        )
        clip.save(Path(folder) / "a.mp4")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _peak_memory(options: argparse.Namespace) -> float:
    command = [sys.executable, __file__, "--one-run", "--size", str(options.size), "--look", options.look]
    done = subprocess.run([*command, "--fps", str(options.fps)], check=True, capture_output=True, text=True)
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes here
    return int(done.stdout) / unit


def _cold(options: argparse.Namespace, folder: Path) -> float:
    command = [sys.executable, "-m", "stable_signer", "sign", SENTENCE, "-o", str(folder / "cold.mp4")]
    command += ["--size", str(options.size), "--fps", str(options.fps), "--look", options.look]
    start = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
