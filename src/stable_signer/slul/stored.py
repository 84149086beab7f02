"""Reading weight files: what every one of them has, tensors and what its metadata says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import safe_open


def read_tensors(path: str | Path, framework: str = "pt") -> tuple[dict[str, Any], dict[str, str]]:
    """The tensors of a safetensors file, torch's ("pt") or numpy's ("np"), and its metadata.

    Raises OSError or SafetensorError: what to do about it depends on whose file it is.
    """
    with safe_open(str(path), framework=framework) as file:
        # not a mapping: it has no iterator of its own
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
