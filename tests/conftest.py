"""Fixtures: a signer and a command line on the small stages of `fakes.py`."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes import fake_stages
from stable_signer import cli, pipeline
from stable_signer.pipeline import StableSigner


@pytest.fixture
def signer() -> StableSigner:
    """A StableSigner whose stages are the small ones."""
    return StableSigner(fake_stages())


@dataclass
class Result:
    code: int
    out: bytes
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run the command line in this process, on the small stages: `run("sign", "Hello", "-o", path)`."""
    made = classmethod(lambda cls, *choices, **named: cls(fake_stages()))
    monkeypatch.setattr(pipeline.StableSigner, "from_pretrained", made)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str | Path, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = cli.main([str(a) for a in arguments])
        sys.stdout.flush()
        sys.stderr.flush()
        captured = capfdbinary.readouterr()
        return Result(code, captured.out, captured.err.decode())

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for outputs; compare `list(folder.iterdir())` to see what was left in it."""
    path = tmp_path / "out"
    path.mkdir()
    return path
