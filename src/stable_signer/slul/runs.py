"""What every training run needs: a checked recipe, a learning rate, a running mean, a state to go on from."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stable_signer.errors import StableSignerError


def best_device() -> torch.device:
    """Where networks compute: on a GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16(device: torch.device | None = None) -> bool:
    """Whether a device, `best_device` unless given, multiplies bf16 in hardware: elsewhere it is slower than
    float32."""
    if (device or best_device()).type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def read_toml(path: str | Path) -> dict[str, Any]:
    """The content of a TOML file; StableSignerError when it is missing or no TOML."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise StableSignerError(
            f"there is no recipe {path} ({error.strerror}): give the path of a TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StableSignerError(f"the recipe {path} is not TOML ({error}): mend that line") from error


def checked(kind: Any, data: dict[str, Any], where: str) -> dict[str, Any]:
    """The values for a dataclass `kind` of defaults: every key known, every value of its default's type; a
    whole number may stand for a float, and one value for a tuple of one."""
    known = {f.name: f.default for f in fields(kind)}
    out = dict(data)
    for key, value in data.items():
        if key not in known:
            raise StableSignerError(f"{where} has an unknown key {key!r}: known keys are {', '.join(known)}")
        if isinstance(known[key], tuple):
            out[key] = tuple(value) if isinstance(value, list | tuple) else (value,)
        elif isinstance(known[key], float) and type(value) in (int, float):
            out[key] = float(value)
        elif type(value) is not type(known[key]):
            raise StableSignerError(f"{where}: {key} must be {type(known[key]).__name__}, not {value!r}")
    return out


def fingerprint(recipe: Any) -> str:
    """Identifies a recipe, so that a run is never resumed with another one."""
    return hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode()).hexdigest()[:16]


def learning_rate(step: int, steps: int, peak: float, warmup: int, done: float = 0.0) -> float:
    """Of a step: linear warm-up to the peak, then a cosine down to 3% of it.

    done: share of the run that is over by another measure than steps (time); the larger of both counts.
    """
    rise = min((step + 1) / max(warmup, 1), 1.0)
    fall = 0.5 * (1 + math.cos(math.pi * min(max(step / steps, done), 1.0)))
    return peak * rise * (0.97 * fall + 0.03)


def follow(mean: nn.Module, now: nn.Module, step: int, average: float) -> None:
    """Move the running mean of the weights after `step` steps; it follows faster at the beginning."""
    decay = min(average, (1 + step) / (10 + step))
    kept: list[Tensor] = list(mean.parameters())
    new = [p.detach().to(k.device) for k, p in zip(kept, now.parameters(), strict=True)]
    with torch.no_grad():  # all at once: on a GPU each tensor by itself would cost a launch
        torch._foreach_lerp_(kept, new, 1 - decay)


def read_state(folder: Path, recipe: Any) -> dict[str, Any] | None:
    """What `write_state` left in a run's folder; None when there is nothing yet.

    Raises StableSignerError when another recipe wrote it.
    """
    path = folder / "state.pt"
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    if state["recipe"] != fingerprint(recipe):
        raise StableSignerError(
            f"{folder} holds a run of another recipe: give another --output or its own recipe"
        )
    return state


def write_state(folder: Path, recipe: Any, state: dict[str, Any]) -> None:
    """Write state.pt, whole or not at all."""
    part = folder / "state.pt.part"
    torch.save({"recipe": fingerprint(recipe), **state}, part)
    part.replace(folder / "state.pt")
