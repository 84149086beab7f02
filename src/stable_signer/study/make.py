"""Build the page of a study from sentences, questions and two systems' videos.

The page holds everything (videos as data, no address in it), asks for consent, shows every sentence by one of
the two systems with a comprehension question, then both side by side with a preference question, and hands
the answers over as CSV. What is asked is written and signed. Nothing leaves the page but that file.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from stable_signer.errors import StableSignerError
from stable_signer.media.files import Outputs, read_bytes

COLUMNS = ("sentence", "question", "right")
WRONG = ("wrong1", "wrong2", "wrong3")
MOST_ITEMS = 60
MIME = {".mp4": "video/mp4", ".webm": "video/webm"}
# What is asked on every page; the keys are the names of the signed videos too.
PROMPTS = {
    "welcome": "Hello. This is a study of signing made by a computer.",
    "consent": "Do you agree to take part?",
    "watch": "Watch the video. Then answer the question.",
    "compare": "Which video is easier to understand?",
    "thanks": "Thank you. Please save the file and send it.",
}


@dataclass(frozen=True)
class Item:
    """A sentence with a question about it; the first of `options` is the right answer."""

    sentence: str
    question: str
    options: tuple[str, ...]


def read_items(path: Path) -> list[Item]:
    """Items of a CSV file with the columns sentence, question, right, wrong1 and more wrong answers.

    Raises StableSignerError, naming the line, for what is missing, empty or double.
    """
    text = read_bytes(path, "the items")
    try:
        reader = csv.DictReader(text.decode("utf-8-sig").splitlines(), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise StableSignerError(f"{path} is not a CSV file in UTF-8 ({error})") from error
    missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
    if missing:
        raise StableSignerError(f"{path} has no column {missing[0]!r}: it needs {', '.join(COLUMNS)}, wrong1")
    items = [_item(row, path, line) for line, row in enumerate(rows, 2)]
    if not items:
        raise StableSignerError(f"{path} has no sentences: write at least one line under the heading")
    if len(items) > MOST_ITEMS:
        raise StableSignerError(
            f"{path} has {len(items)} sentences, more than {MOST_ITEMS}: people tire; split it"
        )
    return items


def _item(row: Mapping[str, str | None], path: Path, line: int) -> Item:
    values = {k: (row.get(k) or "").strip() for k in (*COLUMNS, *WRONG)}
    for column in COLUMNS:
        if not values[column]:
            raise StableSignerError(f"line {line} of {path} has no {column}: fill it in")
    options = tuple(v for v in (values["right"], *(values[w] for w in WRONG)) if v)
    if len(options) < 2:
        raise StableSignerError(f"line {line} of {path} has no wrong answer: give at least wrong1")
    if len(set(options)) < len(options):
        raise StableSignerError(f"line {line} of {path} offers the same answer twice: make them differ")
    return Item(values["sentence"], values["question"], options)


def folder_videos(folder: Path, count: int) -> list[Path]:
    """The videos 1.mp4, 2.mp4 … (or .webm) of a system. Raises StableSignerError for a missing one."""
    if not folder.is_dir():
        raise StableSignerError(f"the folder of videos {folder} does not exist")
    found = {
        int(p.stem): p
        for p in sorted(folder.iterdir())
        if p.suffix in MIME and p.stem.isdecimal() and p.is_file()
    }
    missing = [k for k in range(1, count + 1) if k not in found]
    if missing:
        raise StableSignerError(
            f"{folder} has no video of sentence {missing[0]}: name it {missing[0]}.mp4 or .webm"
        )
    return [found[k] for k in range(1, count + 1)]


def write_study(
    out: Path,
    items: Sequence[Item],
    videos: Mapping[str, Sequence[Path]],
    signed: Mapping[str, Path],
    *,
    title: str,
    contact: str,
    seed: int = 0,
) -> None:
    """Write the page. videos: for each of two systems a video an item. signed: videos of PROMPTS' keys, and
    'question 1' … for the questions, as far as there are any.

    Raises StableSignerError for another number of systems or videos, or a video that cannot be read.
    """
    if len(videos) != 2:
        raise StableSignerError(f"a study compares two systems, not {len(videos)}: give --system twice")
    for name, files in videos.items():
        if len(files) != len(items):
            raise StableSignerError(f"the system {name} has {len(files)} videos for {len(items)} sentences")
    names = list(videos)
    study = {
        "title": title,
        "contact": contact,
        "seed": seed,
        "systems": names,
        "prompts": PROMPTS,
        "items": [
            {"sentence": i.sentence, "question": i.question, "options": list(i.options)} for i in items
        ],
        "videos": [[_data(videos[name][k]) for name in names] for k in range(len(items))],
        "signed": {key: _data(path) for key, path in signed.items()},
    }
    study["id"] = hashlib.sha256(json.dumps(study).encode()).hexdigest()[:10]
    with Outputs() as outputs:
        outputs.claim(out, (".html",)).write_text(page(study), encoding="utf-8")


def page(study: Mapping[str, object]) -> str:
    """The page as text: template, style, script and data in one, allowed to fetch nothing."""
    folder = resources.files("stable_signer.study")
    template, style, script = (
        (folder / f"page.{e}").read_text(encoding="utf-8") for e in ("html", "css", "js")
    )
    data = json.dumps(study, ensure_ascii=False).replace("<", "\\u003c")
    marks = {
        "title": html.escape(str(study["title"])),
        "hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "style": style,
        "script": script,
        "data": data,
    }
    return re.sub(r"@(title|hash|style|script|data)@", lambda found: marks[found[1]], template)


def _data(path: Path) -> str:
    kind = MIME.get(path.suffix.lower())
    if kind is None:
        raise StableSignerError(f"the video {path} must be .mp4 or .webm")
    return f"data:{kind};base64,{base64.b64encode(read_bytes(path, 'the video')).decode()}"


def prompts_to_sign(items: Iterable[Item]) -> dict[str, str]:
    """What the page asks, by key: PROMPTS, and every question."""
    return PROMPTS | {f"question {k}": item.question for k, item in enumerate(items, 1)}
