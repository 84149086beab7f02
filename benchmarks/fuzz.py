"""Throw damaged and random input at every reader: each must be read, or refused in one sentence, in time.

    python benchmarks/fuzz.py [--count 10000] [--seed 0] [--kinds text plan pose captions batch]

A quarter of the count for each of texts (understood by the real planner), plans (made into motion), poses and
captions. Prints a JSON line for each kind; exits with 1 when anything else than a refusal was raised.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stable_signer import StableSigner, StableSignerError
from stable_signer.batch import read_items
from stable_signer.captions_track import read_cues
from stable_signer.slul.plan import Plan

SECONDS = 30  # longer is a hang
SENTENCES = (
    "What is your name?",
    "I do not understand 25 books.", "If it rains, we stay home.",
    "[[BOOK]] [[fs:Ana]] [[pause 1]]",
    "On 3 May 2026 at 5:30 pm it costs $12.50!",
    "NASA's Dr. O'Neil e-mails a@b.co.", "你好 мир 🎉 café naïve", "a" * 40,
)  # fmt: skip
ODD = "\n\t \u200b\u202e\ud7ff\ufffe[]{}()<>&\"'\\%$#@!?.,;:-–—…0123456789éßİſǅ🧏🏽‍♀️漢字א\u0301\u0300"
ASS = "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n" + (
    "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,Hello {\\i1}you\\Nthere\n" * 4
)
SRT = "".join(
    f"{i}\n00:00:{i:02d},000 --> 00:00:{i + 1:02d},500\nHello <i>you</i> {i}\n\n" for i in range(1, 8)
)


class Hang(BaseException):
    """Too slow; no reader may catch it."""


def texts(rng: random.Random, _: Path) -> Iterator[str]:
    """Sentences with pieces replaced and put in; now and then a control character."""
    while True:
        base = list(rng.choice(SENTENCES))
        for _ in range(rng.randrange(12)):
            at = rng.randrange(len(base) + 1)
            base[at : at + rng.randrange(3)] = rng.choice(
                [rng.choice(ODD), chr(rng.randrange(32, 0xD7FF)), "[[", "]]"]
            )
        yield "".join(base) * rng.choice([1, 1, 1, 3])


def plans(rng: random.Random, _: Path) -> Iterator[Any]:
    """Plans with values replaced, left out and put in."""
    engine = StableSigner.from_pretrained()
    known = [engine.plan(s).to_dict() for s in SENTENCES[:6]]
    odd: list[Any] = [
        None,
        True,
        -1,
        0,
        1e308,
        float("nan"),
        "",
        "X",
        "BOOK",
        "fs-A",
        [],
        {},
        ["A"],
        "\ud800",
        10**30,
    ]

    def damage(value: Any) -> Any:
        if rng.random() < 0.004:
            return rng.choice(odd)
        if isinstance(value, dict):
            out = {k: damage(v) for k, v in value.items() if rng.random() > 0.002}
            return out | ({"extra": 1} if rng.random() < 0.001 else {})
        if isinstance(value, list):
            return [damage(v) for v in value if rng.random() > 0.05]
        if isinstance(value, float) and rng.random() < 0.05:
            return value * rng.choice([-1, 0, 0.5, 2, 10])
        return value

    while True:
        yield damage(copy.deepcopy(rng.choice(known)))


def poses(rng: random.Random, folder: Path) -> Iterator[Path]:
    """A .pose with some bytes changed, some cut short."""
    engine = StableSigner.from_pretrained()
    path = folder / "a.pose"
    engine.save_pose(engine.motion(engine.plan("Hello"))[:12], path)
    raw = path.read_bytes()
    while True:
        data = bytearray(raw)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(min(len(data), rng.choice([64, 12_000, len(data)])))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        path.write_bytes(data)
        yield path


def captions(rng: random.Random, folder: Path) -> Iterator[Path]:
    """Caption files with some characters changed, some cut short."""
    while True:
        ending = rng.choice([".srt", ".vtt", ".ass"])
        text = list(("WEBVTT\n\n" if ending == ".vtt" else "") + SRT)
        if ending == ".ass":
            text = list(ASS)
        for _ in range(rng.randrange(8)):
            text[rng.randrange(len(text))] = rng.choice(ODD)
        path = folder / f"a{ending}"
        path.write_bytes(
            "".join(text).encode("utf-8", "surrogatepass")[: rng.choice([None, None, rng.randrange(1, 400)])]
        )
        yield path


def lines(rng: random.Random, folder: Path) -> Iterator[Path]:
    """JSON lines with some characters changed."""
    while True:
        text = list('{"id": "a", "text": "Hello", "size": 64, "seed": 3}\n{"text": "You", "speed": 1.5}\n')
        for _ in range(rng.randrange(6)):
            text[rng.randrange(len(text))] = rng.choice(ODD + '"{}:,eE+-')
        path = folder / "a.jsonl"
        path.write_text("".join(text), encoding="utf-8", errors="replace")
        yield path


def main() -> int:
    """Run the kinds that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=["text", "plan", "pose", "captions", "batch"])
    options = parser.parse_args()
    engine = StableSigner.from_pretrained()

    def motion(data: Any) -> None:
        movement = engine.movement(Plan.from_dict(data))
        movement.frames(0, min(10, movement.frame_count))

    kinds: dict[str, tuple[Callable[..., Iterator[Any]], Callable[[Any], Any]]] = {
        "text": (texts, engine.plan),
        "plan": (plans, motion),
        "pose": (poses, engine.load_pose),
        "captions": (captions, read_cues),
        "batch": (lines, read_items),
    }

    def late(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, late)
    faults = 0
    for kind in options.kinds:
        make, read = kinds[kind]
        found: Counter[str] = Counter()
        slowest, examples = 0.0, []
        with tempfile.TemporaryDirectory() as folder:
            source = make(random.Random(options.seed), Path(folder))
            for _ in range(options.count // len(options.kinds)):
                case = next(source)
                started = time.perf_counter()
                signal.alarm(SECONDS)
                try:
                    read(case)
                    found["read"] += 1
                except StableSignerError as error:
                    found["refused" if "\n" not in str(error) else "refused in several lines"] += 1
                except (Exception, Hang) as error:  # noqa: BLE001 - this is what is looked for
                    found[f"fault: {type(error).__name__}"] += 1
                    kept = case.read_bytes()[:200] if isinstance(case, Path) else case
                    examples.append(f"{type(error).__name__}: {error} <- {kept!r}"[:600])
                finally:
                    signal.alarm(0)
                slowest = max(slowest, time.perf_counter() - started)
        faults += sum(n for what, n in found.items() if what not in ("read", "refused"))
        print(
            json.dumps({"kind": kind, **found, "slowest_s": round(slowest, 2), "examples": examples[:3]}),
            flush=True,
        )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
