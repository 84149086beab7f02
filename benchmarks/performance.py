"""Ours beside spoken-to-signed on this machine, in one run: time, memory, energy, and how cost grows.

    python benchmarks/performance.py --rival /path/to/venv-rival [--counts 1 10 100] [--size 512]
        [--look mesh] [--rounds 1] [--install] [--json performance.json]

Every figure is of a process of its own, from its start to its end, so loading is in it: N sentences of
`benchmarks/everyday.txt` become N `.pose` files (what the rival makes), and with ours also N videos. Ours
and the rival take turns; with --rounds 3 the median is shown. The rival gets our lexicon in its own form,
made before the clock starts. Memory is the largest resident size. Energy is the processor's own counter
(RAPL), where the machine lets one read it. --install makes two new environments and installs both, from the
package index that pip is set to. The ratio is of seconds to those of our poses.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stable_signer.end_to_end.rivals import DRIVER, VERSION, SpokenToSigned, export_lexicon

HERE = Path(__file__).parent
ENERGY = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
OURS = """
import sys
from pathlib import Path
from stable_signer import StableSigner
folder, kind, size, look = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
signer = StableSigner.from_pretrained()
for k, text in enumerate(sys.stdin.read().splitlines()):
    if kind == "pose":
        signer.save_pose(signer.motion(signer.plan(text)), folder / f"{k}.pose")
    else:
        signer.sign(text, size=size, look=look).save(folder / f"{k}.mp4")
"""


@dataclass(frozen=True)
class Cost:
    """Of one process: seconds on the clock and of processors, peak memory, joules (None: cannot be read)."""

    seconds: float
    processor: float
    megabytes: float
    joules: float | None


def energy() -> float | None:
    """The processor package's counter in joules; None where it cannot be read."""
    try:
        return int(ENERGY.read_text()) / 1e6
    except OSError:
        return None


def cost(command: Sequence[str | Path], text: str) -> Cost:
    """Run a command with `text` as its input. Raises SystemExit when it fails."""
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as said:
        given.write(text)
        given.seek(0)
        before, start = energy(), time.perf_counter()
        process = subprocess.Popen(command, stdin=given, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        seconds, after = time.perf_counter() - start, energy()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{command[0]} failed: {said.read()[-500:]}")
    spent = None if before is None or after is None else after - before
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, spent)


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    joules = [c.joules for c in costs if c.joules is not None]
    return Cost(
        statistics.median(c.seconds for c in costs),
        statistics.median(c.processor for c in costs),
        statistics.median(c.megabytes for c in costs),
        statistics.median(joules) if len(joules) == len(costs) else None,
    )


def sentences(count: int) -> list[str]:
    """The first `count` of the everyday list, over and over if it is short."""
    lines = (HERE / "everyday.txt").read_text(encoding="utf-8").splitlines()
    known = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return [known[k % len(known)] for k in range(count)]


def compare(rival: SpokenToSigned, options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """A row for each count: ours to poses, ours to videos, the rival to poses."""
    most = sentences(max(options.counts))
    asked = {form for tokens in rival.glosses(most) for pair in tokens for form in pair}
    lexicon = folder / "lexicon"
    export_lexicon(lexicon, asked)
    ours = [sys.executable, "-c", OURS, str(folder)]
    rows = []
    for count in options.counts:
        texts = sentences(count)
        plain = "\n".join(texts)
        told = "".join(
            json.dumps({"text": t, "lexicon": str(lexicon), "out": str(folder / f"r{k}.pose")}) + "\n"
            for k, t in enumerate(texts)
        )
        runs: dict[str, tuple[list[str | Path], str]] = {
            "ours, poses": ([*ours, "pose", "0", "none"], plain),
            "rival, poses": ([rival.python, "-W", "ignore", DRIVER, "pose"], told),
            "ours, videos": ([*ours, "video", str(options.size), options.look], plain),
        }
        found: dict[str, list[Cost]] = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, run in runs.items():
                found[name].append(cost(*run))
        rows.append({"sentences": count, **{name: asdict(middle(costs)) for name, costs in found.items()}})
    return rows


def growth(size: int, look: str) -> list[dict[str, float]]:
    """Warm, in this process, texts of 1 to 32 sentences: milliseconds to plan, to move, to the first
    frame of a stream."""
    from stable_signer import StableSigner

    signer = StableSigner.from_pretrained()
    signer.sign("Hello.", size=size, look=look)
    rows = []
    for count in (1, 2, 4, 8, 16, 32):
        text = " ".join(sentences(count))
        start = time.perf_counter()
        plan = signer.plan(text)
        planned = time.perf_counter()
        motion = signer.motion(plan)
        moved = time.perf_counter()
        stream = signer.stream(text, size=size, look=look)
        next(iter(next(stream)))
        first = time.perf_counter()
        rows.append(
            {
                "sentences": count,
                "words": len(text.split()),
                "video_s": round(motion.duration, 2),
                "plan_ms": round(1000 * (planned - start), 1),
                "motion_ms": round(1000 * (moved - planned), 1),
                "first_frame_ms": round(1000 * (first - moved), 1),
            }
        )
    return rows


def installed(requirement: str) -> dict[str, float]:
    """Seconds and megabytes of a new environment with a package in it."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/pip", "install", "--quiet", "--no-cache-dir", requirement]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        size = sum(f.lstat().st_size for f in Path(folder).rglob("*") if not f.is_symlink() and f.is_file())
    return {"seconds": round(seconds, 1), "megabytes": round(size / 1e6)}


def show(found: dict[str, Any]) -> None:
    """The tables."""
    print(f"{'':<22}{'seconds':>10}{'processor s':>13}{'peak MB':>10}{'joules':>10}{'ratio':>8}")
    for row in found["costs"]:
        ours = row["ours, poses"]["seconds"]
        for name in ("ours, poses", "rival, poses", "ours, videos"):
            one = row[name]
            joules = "-" if one["joules"] is None else f"{one['joules']:.0f}"
            print(
                f"{row['sentences']:>4} {name:<17}{one['seconds']:>10.2f}{one['processor']:>13.2f}"
                f"{one['megabytes']:>10.0f}{joules:>10}{one['seconds'] / ours:>8.2f}"
            )
    print("\nwarm, by length: " + ", ".join(found["growth"][0]))
    for row in found["growth"]:
        print("  " + "  ".join(f"{value:>9}" for value in row.values()))
    for name, one in found.get("install", {}).items():
        print(f"install {name}: {one['seconds']} s, {one['megabytes']} MB")


def main() -> None:
    """Measure, print tables, write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rival", type=Path, required=True, help="environment with spoken-to-signed")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--look", default="mesh")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rival = SpokenToSigned(options.rival)
    found: dict[str, Any] = {
        "rival": rival.version,
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "energy": "RAPL" if energy() is not None else "cannot be read on this machine",
    }
    with tempfile.TemporaryDirectory() as folder:
        found["costs"] = compare(rival, options, Path(folder))
    found["growth"] = growth(options.size, options.look)
    if options.install:
        found["install"] = {
            "ours": installed(str(HERE.parent)),
            "spoken-to-signed": installed(f"spoken-to-signed=={VERSION}"),
        }
    show(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
