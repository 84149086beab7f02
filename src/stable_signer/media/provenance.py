"""What says that a video is synthetic: tags inside the file, and a small label that can be seen.

Platforms strip tags, so the label is on by default; people crop labels, so the tags are always written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from stable_signer.pose2vid.consent import ConsentCard

LABEL = "synthetic signing"
NO_INTERPRETER = "It does not replace a sign language interpreter."
DISCLAIMER = f"Synthetic signing made by a computer; no person was filmed. {NO_INTERPRETER}"


def tool_version() -> str:
    """The installed version of Stable Signer, or `0+unknown` when it runs without being installed."""
    try:
        return version("stable-signer")
    except PackageNotFoundError:
        return "0+unknown"


def text_hash(text: str) -> str:
    """SHA-256 of the text in hex: it proves which text was signed without telling it."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@dataclass(frozen=True)
class Provenance:
    """How a video came about; `tags()` is what the file carries.

    language: ISO 639-3. text_sha256: see `text_hash`; empty when the video was not made from a text.
    planner: who made the plan ("rules", "author", a model's name); empty for a motion from elsewhere.
    filmed: the card of the real person whose picture was learned from footage; None: nobody was filmed.
    weights: name and SHA-256 of the files used instead of those that ship; told in the sidecar only.
    """

    language: str = ""
    signer: str = ""
    style: str = ""
    look: str = ""
    planner: str = ""
    seed: int | None = None
    text_sha256: str = ""
    filmed: ConsentCard | None = None
    weights: tuple[tuple[str, str], ...] = ()

    @property
    def disclaimer(self) -> str:
        """What a video says to people: that it is synthetic, and who was filmed, if anybody was."""
        if self.filmed is None:
            return DISCLAIMER
        card = self.filmed
        said = (
            f"Synthetic signing made by a computer in the likeness of {card.name}, who was filmed; "
            f"consent: {card.consent} (given by {card.consent_by} on {card.consent_on}); "
            f"licence: {card.licence}. {NO_INTERPRETER}"
        )
        return " ".join(said.split())

    def told(self) -> dict[str, Any]:
        """What is known, as JSON."""
        return {k: v for k, v in asdict(self).items() if k != "weights" and v not in ("", None)}

    def tags(self) -> dict[str, str]:
        """Container tags: title, artist, description for people; comment, a JSON object, for programs."""
        tool = f"Stable Signer {tool_version()}"
        comment = {"synthetic": True, "what": LABEL, "tool": tool, **self.told()}
        title = "Synthetic signing" + (f" ({self.language})" if self.language else "")
        return {
            "title": title,
            "artist": tool,
            "description": self.disclaimer,
            "comment": json.dumps(comment, ensure_ascii=True, sort_keys=True),
        }


def told_by(tags: Mapping[str, str]) -> Provenance | None:
    """What the tags of a video say of its making; None for tags that are not `Provenance.tags`.

    Names may be in capitals (webm), and a gif has all tags in one comment: ours is the object at its end.
    """
    comment = next((value for name, value in tags.items() if name.lower() == "comment"), "")
    start = comment.find("{")
    while start >= 0:
        try:
            data = json.loads(comment[start:])
            break
        except (ValueError, RecursionError):  # a brace of the description
            start = comment.find("{", start + 1)
    else:
        return None
    if not isinstance(data, dict) or data.get("what") != LABEL:
        return None
    names = {f.name for f in fields(Provenance)}
    known = {k: v for k, v in data.items() if k in names}
    try:
        card = known.pop("filmed", None)
        return Provenance(**known, filmed=None if card is None else ConsentCard(**card))
    except TypeError:  # a card with other keys
        return None


def stamp(frame: np.ndarray, text: str = LABEL) -> np.ndarray:
    """Draw the label into the top left corner, where no hand signs.

    frame: (H, W, 3) uint8, 64 pixels or more a side. Drawn in place when the frame is writable, else on a
    copy; returns the labelled frame. White letters on their own dark ground, so they read on any background.
    """
    ground, letters = _label(text, frame.shape[0], frame.shape[1])  # (h, w, 1) each, in [0, 1]
    if not frame.flags.writeable:
        frame = frame.copy()
    margin = max(2, frame.shape[0] // 64)
    corner = frame[margin : margin + ground.shape[0], margin : margin + ground.shape[1]]
    shaded = corner * (1.0 - ground) + 20.0 * ground  # dark ground, mostly opaque
    corner[:] = (shaded * (1.0 - letters) + 255.0 * letters + 0.5).astype(np.uint8)
    return frame


@lru_cache(maxsize=8)
def _label(text: str, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Opacity of the ground and of the letters, each (h, w, 1) float32; made once for a picture size."""
    from PIL import Image, ImageDraw, ImageFont

    size = max(8, round(height / 32))
    while True:
        font = ImageFont.load_default(size)  # Pillow's own font: no font file to find or ship
        left, top, right, bottom = font.getbbox(text)
        if right - left <= 0.8 * width or size <= 5:
            break
        size -= 1
    pad = max(2, size // 3)
    shape = (round(right - left) + 2 * pad, round(bottom - top) + 2 * pad)
    shape = (min(shape[0], width - 4), min(shape[1], height - 4))
    ground = Image.new("L", shape, 0)
    ImageDraw.Draw(ground).rounded_rectangle((0, 0, shape[0] - 1, shape[1] - 1), radius=pad, fill=190)
    letters = Image.new("L", shape, 0)
    ImageDraw.Draw(letters).text((pad - left, pad - top), text, fill=255, font=font)
    return (
        np.asarray(ground, np.float32)[..., None] / 255.0,
        np.asarray(letters, np.float32)[..., None] / 255.0,
    )
