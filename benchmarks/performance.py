"""Ours beside spoken-to-signed on this machine, in one run: time, memory, energy, and how cost grows.

    python benchmarks/performance.py --rival /path/to/venv-rival [--counts 1 10 100] [--size 512]
        [--look diffusion] [--rounds 1] [--install] [--json performance.json]

Four tables, ours and the rival taking turns in each. The rival gets our lexicon in its own form, made before
the clock starts.

- Whole processes, from start to end, loading included: N sentences of `benchmarks/everyday.txt` become N
  `.pose` files (what the rival makes), and with ours also N videos. With --rounds 3 the median is shown.
  Factor: seconds of signing made in a second (1 is real time). Memory is the largest resident size. Energy
  is the processor's own counter (RAPL), where the machine lets one read it. The ratio is of seconds to
  those of our poses.
- Stages, in a process of their own: cold is the first sentence, warm the median of six others. "To be seen"
  is from the text to the first picture drawn; the rival, which draws only with a model from
  the network, has nothing to show before its poses are whole, so that is what stands there.
- Warm, texts of 1 to 32 sentences; the first sentence's video is what a stream gives out first, drawn whole.
- --install makes two new environments and installs both, from the package index that pip is set to.
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
        motion = signer.motion(signer.plan(text))
        signer.save_pose(motion, folder / f"{k}.pose")
        print(motion.duration)
    else:
        clip = signer.sign(text, size=size, look=look)
        clip.save(folder / f"{k}.mp4")
        print(clip.motion.duration)
"""
"""Makes poses or videos; prints the seconds of signing of each."""
OUR_STAGES = """
import json, sys, time
from pathlib import Path
folder, size, look = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def told(stage, start):
    print(json.dumps([stage, time.perf_counter() - start]), flush=True)
    return time.perf_counter()
now = time.perf_counter()
from stable_signer import StableSigner
from stable_signer.media.video import write_video
now = told("imports", now)
signer = StableSigner.from_pretrained()
told("models", now)
for text in sys.stdin.read().splitlines():
    now = time.perf_counter()
    plan = signer.plan(text)
    now = told("plan", now)
    motion = signer.motion(plan)
    now = told("motion", now)
    signer.save_pose(motion, folder / "stage.pose")
    now = told("write .pose", now)
    frames = [f.copy() for f in signer.render(motion, size=size, look=look)]
    now = told("draw", now)
    write_video(folder / "stage.mp4", frames, size=size, fps=motion.fps)
    now = told("encode", now)
    next(iter(signer.sign(text, size=size, look=look)))
    told("to be seen", now)
    print(json.dumps(["signing", motion.duration]))
"""
RIVAL_STAGES = """
import contextlib, json, sys, time
answers = sys.stdout
def told(stage, start):
    print(json.dumps([stage, time.perf_counter() - start]), file=answers, flush=True)
    return time.perf_counter()
now = time.perf_counter()
from spoken_to_signed import bin as commands
told("imports", now)
for text in sys.stdin.read().splitlines():
    with contextlib.redirect_stdout(sys.stderr):
        began = now = time.perf_counter()
        glosses = commands._text_to_gloss(text, "en", "simple", signed_language="ase")
        now = told("plan", now)
        result, _ = commands._gloss_to_pose(glosses, sys.argv[1], "en", "ase")
        told("to be seen", began)
        now = told("motion", now)
        with open(sys.argv[2], "wb") as file:
            result.pose.write(file)
        told("write .pose", now)
        print(json.dumps(["signing", len(result.pose.body.data) / result.pose.body.fps]), file=answers)
"""
"""What its command text_to_gloss_to_pose does with `--glosser simple`, as rival_driver.py calls it."""
STAGES = ("imports", "models", "plan", "motion", "write .pose", "draw", "encode", "to be seen")
WARM = 6  # sentences after the first


@dataclass(frozen=True)
class Cost:
    """Of one process: seconds on the clock and of processors, peak memory, joules (None: cannot be read).

    signing: seconds of signing that it made.
    """

    seconds: float
    processor: float
    megabytes: float
    joules: float | None
    signing: float


def energy() -> float | None:
    """The processor package's counter in joules; None where it cannot be read."""
    try:
        return int(ENERGY.read_text()) / 1e6
    except OSError:
        return None


def cost(command: Sequence[str | Path], text: str) -> Cost:
    """Run a command with `text` as its input. Raises SystemExit when it fails."""
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("w+") as said,
        tempfile.TemporaryFile("w+") as answers,
    ):
        given.write(text)
        given.seek(0)
        before, start = energy(), time.perf_counter()
        process = subprocess.Popen(command, stdin=given, stdout=answers, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        seconds, after = time.perf_counter() - start, energy()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{command[0]} failed: {said.read()[-500:]}")
        answers.seek(0)
        signing = sum(map(signed_seconds, answers))
    spent = None if before is None or after is None else after - before
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, spent, signing)


def signed_seconds(answer: str) -> float:
    """Seconds of signing, of a line of OURS or of the rival's driver. Raises SystemExit for a failure."""
    told = json.loads(answer)
    if isinstance(told, float):
        return told
    if "error" in told:
        raise SystemExit(f"the rival failed: {told['error']}")
    return float(told["spans"][-1][1] / told["fps"])


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    joules = [c.joules for c in costs if c.joules is not None]
    return Cost(
        statistics.median(c.seconds for c in costs),
        statistics.median(c.processor for c in costs),
        statistics.median(c.megabytes for c in costs),
        statistics.median(joules) if len(joules) == len(costs) else None,
        statistics.median(c.signing for c in costs),
    )


def sentences(count: int) -> list[str]:
    """The first `count` of the everyday list, over and over if it is short."""
    lines = (HERE / "everyday.txt").read_text(encoding="utf-8").splitlines()
    known = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return [known[k % len(known)] for k in range(count)]


def rival_lexicon(rival: SpokenToSigned, texts: Sequence[str], folder: Path) -> Path:
    """Our lexicon in the rival's form, as far as these texts ask for it."""
    asked = {form for tokens in rival.glosses(texts) for pair in tokens for form in pair}
    export_lexicon(folder / "lexicon", asked)
    return folder / "lexicon"


def compare(
    rival: SpokenToSigned, options: argparse.Namespace, lexicon: Path, folder: Path
) -> list[dict[str, Any]]:
    """A row for each count: ours to poses, ours to videos, the rival to poses."""
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


def stages(
    rival: SpokenToSigned, options: argparse.Namespace, lexicon: Path, folder: Path
) -> dict[str, dict[str, dict[str, float]]]:
    """Milliseconds by system, cold or warm, and stage; "factor": seconds of signing over those from text to
    written poses, "video factor" to an encoded video, imports and models left aside."""
    text = "\n".join(sentences(1 + WARM))
    commands: dict[str, list[str | Path]] = {
        "ours": [sys.executable, "-c", OUR_STAGES, str(folder), str(options.size), options.look],
        "rival": [rival.python, "-W", "ignore", "-c", RIVAL_STAGES, lexicon, folder / "stage-rival.pose"],
    }
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, command in commands.items():
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the stages of {name} failed: {done.stderr[-500:]}")
        told: dict[str, list[float]] = {}
        for line in done.stdout.splitlines():
            stage, seconds = json.loads(line)
            told.setdefault(stage, []).append(seconds)
        found[name] = {
            "cold": _shown({k: v[0] for k, v in told.items()}),
            "warm": _shown({k: statistics.median(v[1:]) for k, v in told.items() if len(v) > 1}),
        }
    return found


def _shown(seconds: dict[str, float]) -> dict[str, float]:
    """Milliseconds, and the factors."""
    out = {k: round(1000 * v, 1) for k, v in seconds.items() if k != "signing"}
    poses = sum(seconds[k] for k in ("plan", "motion", "write .pose"))
    out["factor"] = round(seconds["signing"] / poses, 2)
    if "draw" in seconds:
        video = sum(seconds[k] for k in ("plan", "motion", "draw", "encode"))
        out["video factor"] = round(seconds["signing"] / video, 2)
    return out


def growth(rival: SpokenToSigned, lexicon: Path, folder: Path, size: int, look: str) -> list[dict[str, Any]]:
    """Warm, texts of 1 to 32 sentences: milliseconds to plan, to move, to the first sentence's frames of
    a stream, and those of the rival to its poses, with the seconds of signing of both."""
    from stable_signer import StableSigner

    signer = StableSigner.from_pretrained()
    signer.sign("Hello.", size=size, look=look)
    texts = {count: " ".join(sentences(count)) for count in (1, 2, 4, 8, 16, 32)}
    _, *theirs = rival.poses([texts[1], *texts.values()], lexicon, folder / "growth")
    rows = []
    for (count, text), other in zip(texts.items(), theirs, strict=True):
        if other.error:
            raise SystemExit(f"the rival failed: {other.error}")
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
                "first_sentence_ms": round(1000 * (first - moved), 1),
                "rival_s": round(other.spans[-1][1] / other.fps, 2),
                "rival_ms": round(1000 * other.seconds, 1),
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
    print(f"{'':<22}{'seconds':>10}{'processor s':>13}{'peak MB':>10}{'joules':>10}{'ratio':>8}{'factor':>8}")
    for row in found["costs"]:
        ours = row["ours, poses"]["seconds"]
        for name in ("ours, poses", "rival, poses", "ours, videos"):
            one = row[name]
            joules = "-" if one["joules"] is None else f"{one['joules']:.0f}"
            print(
                f"{row['sentences']:>4} {name:<17}{one['seconds']:>10.2f}{one['processor']:>13.2f}"
                f"{one['megabytes']:>10.0f}{joules:>10}{one['seconds'] / ours:>8.2f}"
                f"{one['signing'] / one['seconds']:>8.2f}"
            )
    sides = [(name, kind) for kind in ("cold", "warm") for name in found["stages"]]
    print("\nmilliseconds     " + "".join(f"{f'{name}, {kind}':>14}" for name, kind in sides))
    for stage in (*STAGES, "factor", "video factor"):
        cells = (found["stages"][name][kind].get(stage) for name, kind in sides)
        print(f"{stage:<17}" + "".join(f"{'-' if c is None else c:>14}" for c in cells))
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
    parser.add_argument("--look", default="diffusion")
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
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lexicon = rival_lexicon(rival, sentences(max(32, *options.counts)), folder)
        found["stages"] = stages(rival, options, lexicon, folder)
        found["costs"] = compare(rival, options, lexicon, folder)
        found["growth"] = growth(rival, lexicon, folder, options.size, options.look)
    found["load_after"] = os.getloadavg()[0]
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
