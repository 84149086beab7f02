"""The sentences of a batch: JSON lines, each an object with `text`, perhaps an `id`, perhaps settings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from stable_signer import pipeline
from stable_signer.errors import StableSignerError
from stable_signer.media.files import read_bytes
from stable_signer.media.provenance import tool_version
from stable_signer.media.sidecar import weights_hash
from stable_signer.media.video import check_fps

ENDINGS = ("mp4", "webm", "gif")
SIDES = ("plan", "captions", "pose", "provenance")
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_OURS = re.compile(r"manifest|failures", re.IGNORECASE)


@dataclass(frozen=True)
class Item:
    """One sentence and everything that its video depends on; `also` are side outputs out of SIDES."""

    id: str
    text: str
    language: str = pipeline.DEFAULT_LANGUAGE
    signer: str | None = None
    style: str | None = None
    look: str = pipeline.DEFAULT_LOOK
    size: int = pipeline.DEFAULT_SIZE
    fps: float = 25.0
    speed: float = 1.0
    seed: int = 0
    left_handed: bool | None = None
    label: bool = True
    format: str = "mp4"
    also: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """SHA-256 over the item, the version and the weights: the same key is the same video."""
        told = json.dumps([asdict(self), tool_version(), weights_hash()], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def look_of(self) -> dict[str, Any]:
        """The arguments of `StableSigner.render`."""
        signer = pipeline.check_signer(self.signer)  # by name only: a worker may have other folders
        return pipeline.checked_look(signer, self.style, self.look, self.size, self.label)


OWN = tuple(f.name for f in fields(Item) if f.name not in ("id", "format", "also"))
_KINDS = {"str": str, "str | None": str, "int": int, "float": (int, float), "bool": bool, "bool | None": bool}


def read_items(path: str | Path, defaults: Item | None = None) -> list[Item]:
    """The items of a JSON-lines file; `defaults` gives the settings that a line does not.

    A line without `id` has its number, in six digits. Blank lines are skipped.
    Raises StableSignerError, naming the line, for what is not an item, and for an id that comes twice.
    """
    raw = read_bytes(path, "the sentences")
    try:
        lines = raw.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        number = raw[: error.start].count(b"\n") + 1
        raise StableSignerError(f"line {number} of {path} is not UTF-8: save the file as UTF-8") from error
    base = defaults or Item("", "")
    items: dict[str, Item] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item = _item(json.loads(line), number, base)
        except (json.JSONDecodeError, RecursionError) as error:
            raise StableSignerError(
                f"line {number} of {path} is not JSON: write one object a line"
            ) from error
        except StableSignerError as error:
            raise StableSignerError(f"line {number} of {path}: {error}") from error
        folded = item.id.lower()  # some file systems do not tell a from A
        if folded in items:
            raise StableSignerError(
                f"line {number} of {path}: the id {item.id!r} comes twice: make each its own"
            )
        items[folded] = item
    if not items:
        raise StableSignerError(f"{path} holds no sentence: write one JSON object a line, with a text")
    return list(items.values())


def _item(data: object, number: int, base: Item) -> Item:
    if not isinstance(data, Mapping):
        raise StableSignerError("a line must be a JSON object with a text")
    unknown = [k for k in data if k not in ("id", *OWN)]
    if unknown:
        raise StableSignerError(f"{unknown[0]!r} is unknown: use id, {', '.join(OWN)}")
    if not isinstance(data.get("text"), str):
        raise StableSignerError("'text' is missing or not a string")
    name = data.get("id", f"{number:06d}")
    if not isinstance(name, str) or not _ID.fullmatch(name) or _OURS.fullmatch(name):
        raise StableSignerError(
            f"the id {name!r} cannot name a file: use letters, digits, dots, dashes and underscores"
        )
    given = {k: _typed(k, v) for k, v in data.items() if k in OWN}
    return checked(replace(base, id=name, **given))


def _typed(name: str, value: Any) -> Any:
    kind = next(f.type for f in fields(Item) if f.name == name)
    wanted: Any = _KINDS[str(kind)]
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise StableSignerError(f"{name!r} has the wrong kind of value: {value!r}")
    return value


def checked(item: Item) -> Item:
    """The item when its settings exist and work; whether its text can be signed shows when it is made."""
    item.look_of  # noqa: B018 - refuses an unknown signer, style, look or size
    check_fps(item.fps)
    pipeline.check_speed(item.speed)
    pipeline.check_seed(item.seed)
    for name, value, known in (("format", (item.format,), ENDINGS), ("side output", item.also, SIDES)):
        for one in value:
            if one not in known:
                raise StableSignerError(f"there is no {name} {one!r}: use one of {', '.join(known)}")
    return replace(item, language=pipeline.check_language(item.language))
