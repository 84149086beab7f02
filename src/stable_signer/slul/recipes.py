"""Reading a training recipe: a TOML file whose every key and value is checked against a dataclass."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from stable_signer.errors import StableSignerError


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
