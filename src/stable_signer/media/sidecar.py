"""The JSON sidecar: what is known of a video's making, in a file beside it, bound to it by a checksum."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from stable_signer.errors import StableSignerError
from stable_signer.media.files import read_bytes
from stable_signer.media.provenance import LABEL, Provenance, tool_version
from stable_signer.pose2vid.signers import signer_card

VERSION = 1
SUFFIX = ".provenance.json"
FILMED = "filmed: a real person, drawn by networks that learned from footage of them with their consent"


def sidecar_path(video: str | Path) -> Path:
    """Where the sidecar of a video lies: `out.mp4` has `out.mp4.provenance.json`."""
    return Path(f"{video}{SUFFIX}")


def sidecar(provenance: Provenance, video: str | Path) -> dict[str, Any]:
    """What the sidecar of the file `video` says.

    No time of making is in it: the same input gives the same sidecar.
    """
    card: dict[str, Any] | None = None
    if provenance.filmed is not None:
        card = {**asdict(provenance.filmed), "origin": FILMED}
    elif provenance.signer:
        card = asdict(signer_card(provenance.signer))
    return {
        "version": VERSION,
        "synthetic": True,
        "what": LABEL,
        "disclaimer": provenance.disclaimer,
        "tool": f"Stable Signer {tool_version()}",
        "made": provenance.told(),
        "signer_card": card,
        "weights": weights_hashes() | dict(provenance.weights),
        "video": {"sha256": _sha256(Path(video)), "bytes": Path(video).stat().st_size},
    }


def write_sidecar(provenance: Provenance, video: str | Path, target: str | Path) -> None:
    """Write the sidecar of `video` to `target`, a path claimed from `media.files.Outputs`."""
    text = json.dumps(sidecar(provenance, video), indent=2, ensure_ascii=False) + "\n"
    Path(target).write_text(text, encoding="utf-8")


def check_sidecar(video: str | Path) -> dict[str, Any]:
    """The sidecar of a video, when it belongs to it.

    Raises StableSignerError when there is none, when it is damaged, or when the video was changed.
    """
    path = sidecar_path(video)
    try:
        told = json.loads(read_bytes(path, "the sidecar"))
        wanted = told["video"]["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StableSignerError(f"the sidecar {path} is damaged: make the video anew") from error
    read_bytes(video, "the video")
    if wanted != _sha256(Path(video)):
        raise StableSignerError(f"the video {video} is not the one its sidecar tells of: it was changed")
    return dict(told)


@cache
def weights_hashes() -> dict[str, str]:
    """SHA-256 of each weight file that ships, by name."""
    folder = resources.files("stable_signer") / "weights"
    files = sorted((f for f in folder.iterdir() if f.is_file()), key=lambda f: f.name)
    return {
        f.name: hashlib.sha256(f.read_bytes()).hexdigest()
        for f in files
        if not f.name.endswith((".py", ".md"))
    }


@cache
def weights_hash() -> str:
    """One SHA-256 for all weight files: with other weights it is another."""
    return hashlib.sha256(json.dumps(weights_hashes(), sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
