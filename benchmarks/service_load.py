"""Many clients at once: time to the first fragment, refusals, errors, memory, on a server of its own.

    python benchmarks/service_load.py [--clients 50] [--seconds 300] [--size 256] [--options "--concurrent 2"]

First one client alone, then all; each asks for a stream with a seed of its own (nothing comes from the
cache), waits as long as Retry-After says when it is refused, and asks again. Prints one JSON object. Exits
with 1 when a client saw anything but 200 and 429.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

TEXT = "My name is Maria and I like to read blue books."  # ten words
MAIN = "import sys; from stable_signer.cli import main; sys.exit(main())"


class Load:
    """What the clients saw."""

    def __init__(self, url: str, size: int) -> None:
        self.url, self.size = url, size
        self.seeds = itertools.count(1)
        self.lock = threading.Lock()
        self.first: list[float] = []
        self.whole: list[float] = []
        self.codes: Counter[str] = Counter()

    def ask(self) -> float:
        """One request; returns how long to wait before the next."""
        body = {"input": TEXT, "size": self.size, "stream": True, "seed": next(self.seeds)}
        started = time.perf_counter()
        try:
            with httpx.stream("POST", f"{self.url}/v1/signing", json=body, timeout=120) as answer:
                code, wait, first, size = str(answer.status_code), 0.0, 0.0, 0
                if code == "429":
                    wait = float(answer.headers["retry-after"])
                for chunk in answer.iter_raw():
                    size += len(chunk)
                    if not first and size > 1500:  # past the header: there is a picture in it
                        first = time.perf_counter() - started
        except httpx.HTTPError as error:
            code, wait, first = type(error).__name__, 1.0, 0.0
        with self.lock:
            self.codes[code] += 1
            if code == "200":
                self.first.append(first)
                self.whole.append(time.perf_counter() - started)
        return wait

    def client(self, until: float) -> None:
        """Ask again and again."""
        while (now := time.monotonic()) < until:
            time.sleep(min(self.ask(), max(0.0, until - now)))


def memory(process: int) -> float:
    """Resident memory, MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024


def main() -> int:
    """Start a server, load it, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--alone", type=int, default=5, help="requests of the single client")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--options", default="", help="for `serve`")
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", MAIN, "serve", "--port", str(port), *shlex.split(options.options)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                if httpx.get(f"{url}/ready").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.5)
        alone = Load(url, options.size)
        for _ in range(options.alone):
            alone.ask()
        single = statistics.median(alone.first)
        before = memory(server.pid)
        load = Load(url, options.size)
        load.seeds = itertools.count(1000)
        until = time.monotonic() + options.seconds
        threads = [threading.Thread(target=load.client, args=(until,)) for _ in range(options.clients)]
        for thread in threads:
            thread.start()
        kept = []
        while time.monotonic() < until:
            time.sleep(5)
            kept.append(memory(server.pid))
        for thread in threads:
            thread.join()
    finally:
        server.send_signal(signal.SIGTERM)
        stopped = server.wait(90)
    first = sorted(load.first)
    report: dict[str, Any] = {
        "clients": options.clients,
        "seconds": options.seconds,
        "answers": dict(load.codes),
        "single_first_s": round(single, 3),
        "first_p50_s": round(statistics.median(first), 3),
        "first_p95_s": round(first[int(0.95 * (len(first) - 1))], 3),
        "p95_over_single": round(first[int(0.95 * (len(first) - 1))] / single, 2),
        "whole_p50_s": round(statistics.median(load.whole), 2),
        "memory_mb": {"before": round(before), "half": round(kept[len(kept) // 2]), "end": round(kept[-1])},
        "exit_code_after_sigterm": stopped,
    }
    print(json.dumps(report))
    return 0 if set(load.codes) <= {"200", "429"} and stopped == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
