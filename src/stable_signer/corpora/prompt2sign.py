"""Prompt2Sign's prompt templates: one a line, `{}` where the sentence goes (CC BY-NC; read from the user's
disk)."""

from __future__ import annotations

import zlib
from pathlib import Path

from stable_signer.errors import StableSignerError


def read_templates(path: str | Path) -> list[str]:
    """The different templates of a file, in order; StableSignerError when it cannot be read or has none."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StableSignerError(f"the templates {path} cannot be read ({error}): give a text file") from error
    found = list(dict.fromkeys(line.strip() for line in lines if "{}" in line))
    if not found:
        raise StableSignerError(
            f"{path} has no line with {{}}: write one template a line, {{}} for the sentence"
        )
    return found


def is_held_out(template: str) -> bool:
    """Whether a template is kept for testing: a fifth, by its checksum, so that the choice never changes."""
    return zlib.crc32(template.encode()) % 5 == 0
