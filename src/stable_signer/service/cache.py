"""Finished answers, kept in memory while they fit."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True)
class Answer:
    """What a request is answered with: its chunks in order, each as it was sent, and its length in time."""

    media_type: str
    chunks: tuple[bytes, ...]
    seconds: float = 0.0

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.chunks))


class Cache:
    """Least recently used answers go first when more than `limit` bytes are held."""

    def __init__(self, limit: int) -> None:
        self.limit, self.held, self.hits, self.misses = limit, 0, 0, 0
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> Answer | None:
        """The answer kept under `key`, now the most recently used; None when there is none."""
        with self._lock:
            answer = self._answers.get(key)
            if answer is None:
                self.misses += 1
                return None
            self.hits += 1
            self._answers.move_to_end(key)
            return answer

    def put(self, key: str, answer: Answer) -> None:
        """Keep `answer`, unless it is larger than a quarter of the limit: it would push all else out."""
        with self._lock:
            if answer.size > self.limit // 4:
                return
            old = self._answers.pop(key, None)
            self.held += answer.size - (old.size if old else 0)
            self._answers[key] = answer
            while self.held > self.limit:
                self.held -= self._answers.popitem(last=False)[1].size

    def __len__(self) -> int:
        return len(self._answers)
