"""Who gives shards to workers: processes of this machine, or Ray. Neither schedules anything by itself here.

An engine is a function (shards, load, out, workers, attempts) -> iterator of records, in any order.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

from stable_signer.batch.items import Item
from stable_signer.batch.work import Load, Maker, Record
from stable_signer.errors import StableSignerError

Shards = Sequence[list[Item]]
AHEAD = 2  # shards given out for each worker, so that none waits

_maker: Maker | None = None  # of a worker process


def run_local(shards: Shards, load: Load, out: str, workers: int, attempts: int) -> Iterator[list[Record]]:
    """This process for one worker, else a pool; a pool whose worker was killed is built anew."""
    if workers == 1:
        from stable_signer.pose2vid.mesh import Painters

        threads = Painters.count
        try:
            maker = Maker(load)
            for shard in shards:
                yield maker.shard(shard, out, attempts)
        finally:
            Painters.count = threads  # the caller's process may have more to do
        return
    left = list(shards)
    for _ in range(attempts):
        done: list[list[Item]] = []
        try:
            for shard, records in _pooled(left, load, out, workers, attempts):
                done.append(shard)
                yield records
        except BrokenProcessPool:  # killed, or out of memory: what it had begun is done again
            left = [shard for shard in left if shard not in done]
            continue
        return
    raise StableSignerError(
        f"a worker was killed {attempts} times: use fewer --workers, or look for what kills it; "
        "the same command goes on where it was"
    )


def _pooled(
    shards: Shards, load: Load, out: str, workers: int, attempts: int
) -> Iterator[tuple[list[Item], list[Record]]]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(load,)) as pool:
        coming = iter(shards)
        running: dict[Future[list[Record]], list[Item]] = {}
        while True:
            for shard in islice(coming, AHEAD * workers - len(running)):
                running[pool.submit(_work, shard, out, attempts)] = shard
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


def _begin(load: Load) -> None:
    global _maker
    _maker = Maker(load)


def _work(shard: list[Item], out: str, attempts: int) -> list[Record]:
    assert _maker is not None
    return _maker.shard(shard, out, attempts)


def run_ray(shards: Shards, load: Load, out: str, workers: int, attempts: int) -> Iterator[list[Record]]:
    """Ray actors, one a worker: Ray places them, restarts those that die and repeats what they were doing.

    Connects to the cluster of RAY_ADDRESS, or starts one on this machine. `out` must be a folder that every
    node sees under the same path.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would tell its makers; nothing leaves here
    try:
        import ray
        from ray.exceptions import RayError
        from ray.util import ActorPool
    except ModuleNotFoundError as error:
        raise StableSignerError(
            "the engine ray is not installed: pip install 'stable-signer[ray]', or use --engine local"
        ) from error
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        remote: Any = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(Maker)
        pool: Any = ActorPool([remote.remote(load) for _ in range(workers)])
        yield from pool.map_unordered(lambda actor, shard: actor.shard.remote(shard, out, attempts), shards)
    except RayError as error:
        first = str(error).strip().splitlines()[0]
        raise StableSignerError(
            f"the Ray cluster failed ({first}): the same command goes on where it was"
        ) from error
    finally:
        if started:
            ray.shutdown()


ENGINES = {"local": run_local, "ray": run_ray}
