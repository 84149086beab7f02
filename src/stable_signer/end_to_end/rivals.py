"""The rival, spoken-to-signed, in an environment of its own, given our lexicon in its own form.

It looks words up, and their lemmas, in an index with a line a word; so that is what it gets: every sign of
our lexicon that one of its tokens may ask for, as `.pose` files of MediaPipe Holistic's points (without the
component that carries our exact motion, which is ours alone). Words it does not find it spells with the
alphabet that it ships.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError
from stable_signer.lexicons import INDEX_COLUMNS
from stable_signer.media import posefile
from stable_signer.media.files import Outputs
from stable_signer.pose2vid.signers import SIGNERS
from stable_signer.slp_moe.lexicon import Lexicon
from stable_signer.slul.glosses import Glossary

DRIVER = Path(__file__).with_name("rival_driver.py")
VERSION = "0.4.0"
SIZE = 512


@dataclass(frozen=True)
class RivalResult:
    """What the rival made of a sentence. tokens: (word, gloss, how it was found); spans: frames of each token
    that has a sign, in order; error: what went wrong, empty if nothing."""

    pose: Path
    tokens: tuple[tuple[str, str, str], ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    fps: float = 25.0
    seconds: float = 0.0
    error: str = ""


class SpokenToSigned:
    """spoken-to-signed behind its environment's Python. Raises StableSignerError when it is not there."""

    def __init__(self, environment: Path) -> None:
        self.python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
        if not self.python.exists():
            raise StableSignerError(
                f"there is no environment {environment}: python -m venv {environment} && "
                f"{environment}/bin/pip install spoken-to-signed=={VERSION}"
            )
        found = subprocess.run(
            [self.python, "-c", "import importlib.metadata as m; print(m.version('spoken-to-signed'))"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if found.returncode:
            raise StableSignerError(
                f"{environment} has no spoken-to-signed: give it spoken-to-signed=={VERSION} with its pip"
            )
        self.version = found.stdout.strip()

    def glosses(self, texts: Sequence[str]) -> list[list[tuple[str, str]]]:
        """(word, lemma) pairs of each text, by its glosser `simple`."""
        answers = self._ask("gloss", [{"text": t} for t in texts])
        return [[(w, g) for w, g in a.get("tokens", [])] for a in answers]

    def poses(self, texts: Sequence[str], lexicon: Path, folder: Path) -> list[RivalResult]:
        """Sign each text into `folder`; a failure is reported in the result, not raised."""
        folder.mkdir(parents=True, exist_ok=True)
        outs = [folder / f"{k:04d}.pose" for k in range(1, len(texts) + 1)]
        asked = [
            {"text": t, "lexicon": str(lexicon), "out": str(o)} for t, o in zip(texts, outs, strict=True)
        ]
        return [_result(out, answer) for out, answer in zip(outs, self._ask("pose", asked), strict=True)]

    def _ask(self, kind: str, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        lines = "".join(json.dumps(r) + "\n" for r in requests)
        done = subprocess.run(
            [self.python, "-W", "ignore", DRIVER, kind],
            input=lines,
            capture_output=True,
            text=True,
            check=False,
        )
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode or len(answers) != len(requests):
            last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            raise StableSignerError(f"spoken-to-signed stopped after {len(answers)} sentences: {last[0]}")
        return answers


def _result(out: Path, answer: dict[str, Any]) -> RivalResult:
    if "error" in answer:
        return RivalResult(out, error=str(answer["error"]))
    return RivalResult(
        out,
        tuple((w, g, c) for w, g, c in answer["tokens"]),
        tuple((int(a), int(b)) for a, b in answer["spans"]),
        float(answer["fps"]),
        float(answer["seconds"]),
    )


def export_lexicon(folder: Path, terms: Iterable[str]) -> int:
    """Write the signs that any of the terms (words or glosses, any case) may ask for, in the rival's form.

    Returns how many signs. A line a word and sign; numbers and letters included. `folder` must be new.
    """
    wanted = {t.lower() for t in terms}
    lexicon, body = Lexicon.load(), Body.load()
    rows = []
    folder.mkdir(parents=True)
    signs = 0
    for entry in Glossary.load():
        words = [w for w in entry.words if w in wanted] or ([""] if entry.gloss.lower() in wanted else [])
        if not words or entry.gloss not in lexicon:
            continue
        name = f"{entry.gloss}.pose"
        motion = lexicon.prototype(entry.gloss).motion
        posefile.write_pose(folder / name, motion, body, next(iter(SIGNERS)), SIZE)
        posefile.without_motion(folder / name)
        end = round(motion.duration * 1000)
        rows += [[name, "en", "ase", 0, end, word, entry.gloss, k] for k, word in enumerate(words)]
        signs += 1
    with (
        Outputs() as outputs,
        outputs.claim(folder / "index.csv").open("w", encoding="utf-8", newline="") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows([INDEX_COLUMNS, *rows])
    return signs
