"""Output files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from stable_signer.errors import StableSignerError


class Outputs:
    """The files one run writes: checked before the work, moved to their places together at its end.

    Used as a context manager. `claim` checks a path and returns a temporary file beside it, already made, so
    that an unwritable folder is known before any work is done. Leaving the block normally moves every file to
    its place; leaving it by any exception (Ctrl-C too) removes them all.

    >>> with Outputs() as outputs:
    ...     part = outputs.claim("plan.json", (".json",))
    ...     part.write_text("{}")
    """

    def __init__(self) -> None:
        self._parts: dict[Path, Path] = {}  # final place -> temporary file

    def claim(self, path: str | Path, endings: Iterable[str] = ()) -> Path:
        """A temporary file beside `path`, with the same ending, that will become `path`.

        `endings` are the allowed ones, lower case with the dot; empty allows all.
        Raises StableSignerError when the ending is not allowed, the folder is missing or unwritable, `path`
        is no regular file, or two outputs have the same path.
        """
        place = Path(path)
        check_ending(place, endings)
        if place.is_symlink():  # write to where it points, and leave the link
            place = place.resolve()
        if place.is_dir():
            raise StableSignerError(f"the output {place} is a folder: name a file in it")
        if place.exists() and not place.is_file():
            raise StableSignerError(
                f"the output {place} is not a regular file: name one, or use -o - for a pipe"
            )
        folder = place.parent
        if not folder.is_dir():
            raise StableSignerError(f"the output's folder {folder} does not exist: make it, or name another")
        key = folder.resolve() / place.name
        if key in self._parts:
            raise StableSignerError(f"the output {place} is named twice: give each output its own file")
        if place.exists() and not os.access(place, os.W_OK):
            raise StableSignerError(f"the output {place} may not be written over: name another file")
        try:
            handle, name = tempfile.mkstemp(
                prefix=f".{place.stem[:40]}.", suffix=f".part{place.suffix}", dir=folder
            )
        except OSError as error:
            raise StableSignerError(
                f"the output {place} cannot be written ({error.strerror or error}): use a writable folder"
            ) from error
        os.close(handle)
        self._parts[key] = Path(name)
        return Path(name)

    def commit(self) -> None:
        """Move every claimed file to its place."""
        mode = 0o666 & ~_umask()  # mkstemp makes files that only their owner reads
        while self._parts:
            place, part = next(iter(self._parts.items()))
            try:
                part.chmod(mode)
                part.replace(place)
            except OSError as error:
                self.discard()
                raise StableSignerError(
                    f"the output {place} cannot be written ({error.strerror or error}): name another file"
                ) from error
            del self._parts[place]

    def discard(self) -> None:
        """Remove every temporary file; what stood at the places before stays."""
        while self._parts:
            self._parts.popitem()[1].unlink(missing_ok=True)

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


def check_ending(path: str | Path, endings: Iterable[str]) -> str:
    """The lower-case ending of `path`; StableSignerError when it is not among `endings` (empty: any)."""
    suffix = Path(path).suffix.lower()
    allowed = tuple(endings)
    if allowed and suffix not in allowed:
        what = f"the ending {suffix!r}" if suffix else "no ending"
        raise StableSignerError(
            f"the file {path} has {what}, which is not known here: use {', '.join(allowed)}"
        )
    return suffix


def read_bytes(path: str | Path, what: str) -> bytes:
    """The bytes of an input file; StableSignerError, naming it as `what`, when it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StableSignerError(
            f"{what} {path} cannot be read ({error.strerror or error}): check its name and your rights"
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
