"""A batch from its items to its manifest, going on where an earlier run was stopped."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stable_signer.batch.engines import ENGINES
from stable_signer.batch.items import Item
from stable_signer.batch.work import RECORDS, Load, Record, file_record, read_records
from stable_signer.errors import StableSignerError
from stable_signer.media.files import Outputs
from stable_signer.pipeline import StableSigner

MANIFEST, FAILURES = "manifest.jsonl", "failures.jsonl"


@dataclass(frozen=True)
class Summary:
    """How many videos were made now, were there from before, and failed."""

    made: int
    kept: int
    failed: int


def run_batch(
    items: list[Item],
    out: str | Path,
    *,
    engine: str = "local",
    workers: int = 1,
    shard_size: int = 8,
    attempts: int = 3,
    verify: bool = False,
    load: Load = StableSigner.from_pretrained,
    progress: Callable[[int], None] = lambda done: None,
) -> Summary:
    """Make every item's video in the folder `out`, with `manifest.jsonl` and `failures.jsonl` in item order.

    A video that is there with its record is kept (with `verify` only when its checksum still holds); what
    failed before is tried again. engine: "local" or "ray". shard_size: items a worker gets at a time.
    attempts: how often an item is tried when the fault is not its text's. load: makes the model in a worker.
    Raises StableSignerError for settings that do not work, and when another batch writes to `out`.
    """
    if engine not in ENGINES:
        raise StableSignerError(f"there is no engine {engine!r}: use one of {', '.join(ENGINES)}")
    for name, value, high in (
        ("workers", workers, 4096),
        ("shard size", shard_size, 10_000),
        ("attempts", attempts, 100),
    ):
        if not 1 <= value <= high:
            raise StableSignerError(f"the number of {name} {value} does not work: use 1 to {high}")
    folder = Path(out)
    try:
        (folder / RECORDS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StableSignerError(
            f"the folder {out} cannot be made ({error.strerror}): name another"
        ) from error
    with _alone(folder):
        _sweep(folder)
        keys = {item.key: item for item in items}
        before = {k: r for k, r in read_records(folder).items() if k in keys and _stands(r, folder, verify)}
        todo = [item for key, item in keys.items() if key not in before]
        shards = [todo[i : i + shard_size] for i in range(0, len(todo), shard_size)]
        records = dict(before)
        progress(len(records))
        if shards:
            for made in ENGINES[engine](shards, load, str(folder.resolve()), workers, attempts):
                records.update((r["key"], r) for r in made)
                progress(len(records))
            _sweep(folder)  # a worker may have been killed
        if not records.keys() >= keys.keys():
            raise StableSignerError(
                "a worker has another version of Stable Signer or other weights than this process: "
                "install the same everywhere"
            )
        _write_lists(folder, [records[key] for key in keys])
    failed = sum("error" in r for r in records.values())
    return Summary(made=len(todo) - failed, kept=len(before), failed=failed)


def _stands(record: Record, folder: Path, verify: bool) -> bool:
    """Whether the record's files are there."""
    if "error" in record:
        return False
    for told in record["files"]:
        path = folder / told["name"]
        if not path.is_file() or path.stat().st_size != told["bytes"]:
            return False
        if verify and file_record(path) != told:
            return False
    return True


def _write_lists(folder: Path, records: list[Record]) -> None:
    with Outputs() as outputs:
        for name, failures in ((MANIFEST, False), (FAILURES, True)):
            lines = [
                json.dumps(r, ensure_ascii=False, sort_keys=True)
                for r in records
                if ("error" in r) == failures
            ]
            outputs.claim(folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _sweep(folder: Path) -> None:
    """Remove what somebody who was killed left half written."""
    for place in (folder, folder / RECORDS):
        for part in place.glob(".*.part*"):
            part.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse a second batch into the same folder; the lock goes with the process, however it ends."""
    with (folder / RECORDS / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StableSignerError(
                f"another batch is writing to {folder}: wait for it, or name another folder"
            ) from error
        yield
