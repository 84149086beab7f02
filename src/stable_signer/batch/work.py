"""What a worker does: its shard's videos, each whole or not at all, and a record of them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stable_signer import pipeline
from stable_signer.batch.items import Item
from stable_signer.errors import StableSignerError
from stable_signer.media.captions import sentence_captions
from stable_signer.media.files import Outputs
from stable_signer.media.sidecar import sidecar_path, write_sidecar
from stable_signer.pipeline import StableSigner

log = logging.getLogger(__name__)
RECORDS = ".records"
SUFFIXES = {"plan": ".json", "captions": ".vtt", "pose": ".pose"}  # after the id

Load = Callable[[], StableSigner]
Record = dict[str, Any]


class Maker:
    """One model, for as many shards as its process is given."""

    def __init__(self, load: Load) -> None:
        import torch

        from stable_signer.pose2vid.mesh import Painters

        # one worker, one core; and the same sums, so the same bytes, everywhere
        torch.set_num_threads(1)
        Painters.count = 1
        self._engine = load()

    def shard(self, items: list[Item], out: str, attempts: int) -> list[Record]:
        """Make the items and write their record; doing it again gives the same files."""
        records = [self._one(item, Path(out), attempts) for item in items]
        write_records(Path(out), records)
        return records

    def _one(self, item: Item, out: Path, attempts: int) -> Record:
        told: Record = {"id": item.id, "key": item.key}
        for attempt in range(1, attempts + 1):
            try:
                return {**told, **self._make(item, out), "attempts": attempt}
            except StableSignerError as error:  # the text is at fault: trying again changes nothing
                return {**told, "error": str(error), "attempts": attempt}
            except Exception as error:  # noqa: BLE001 - one sentence must not end a batch of a million
                log.warning("item %s, attempt %d: %s", item.id, attempt, type(error).__name__)
                last = f"{type(error).__name__}: {error}"
        return {**told, "error": f"failed {attempts} times, last with {last}", "attempts": attempts}

    def _make(self, item: Item, out: Path) -> Record:
        engine = self._engine
        pipeline.check_text(item.text)
        look_of = item.look_of
        movement = engine.movement(
            engine.plan(item.text, item.language, item.speed), item.seed, item.left_handed, item.fps
        )
        plan = movement.plan
        names = [f"{item.id}.{item.format}", *(_side_name(item, side) for side in item.also)]
        with Outputs() as outputs:
            parts = [outputs.claim(out / name) for name in names]
            frames = engine.render(movement.pieces(), **look_of)
            made_by = pipeline.provenance_of(plan, look_of, item.seed)
            count = pipeline.write_frames(parts[0], frames, item.fps, made_by)
            for side, part in zip(item.also, parts[1:]):
                if side == "plan":
                    part.write_text(json.dumps(plan.to_dict(), ensure_ascii=False), encoding="utf-8")
                elif side == "captions":
                    part.write_text(sentence_captions(plan), encoding="utf-8")
                elif side == "provenance":
                    write_sidecar(made_by, parts[0], part)
                else:
                    motion = pipeline.joined(movement.pieces())
                    engine.write_pose(part, motion, signer=look_of["signer"], size=item.size)
        return {
            "files": [file_record(out / name) for name in names],
            "seconds": round(count / item.fps, 3),
            "glosses": list(plan.glosses),
            "coverage": plan.coverage,
        }


def _side_name(item: Item, side: str) -> str:
    video = f"{item.id}.{item.format}"
    return sidecar_path(video).name if side == "provenance" else f"{item.id}{SUFFIXES[side]}"


def file_record(path: Path) -> Record:
    """Name, size and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest}


def write_records(out: Path, records: list[Record]) -> None:
    """One file of records for a shard, under a name that its items give it."""
    told = "".join(json.dumps(r, ensure_ascii=False, sort_keys=True) + "\n" for r in records)
    name = hashlib.sha256("".join(r["key"] for r in records).encode()).hexdigest()[:32]
    with Outputs() as outputs:
        outputs.claim(out / RECORDS / f"{name}.jsonl").write_text(told, encoding="utf-8")


def read_records(out: Path) -> dict[str, Record]:
    """The records of all shards by key; a success stands before a failure."""
    found: dict[str, Record] = {}
    for path in sorted((out / RECORDS).glob("[!.]*.jsonl")):  # not those being written
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if "error" not in record or record["key"] not in found:
                found[record["key"]] = record
    return found
