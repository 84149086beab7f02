"""The rooms: data flows from top to bottom, and no room imports one below it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import stable_signer

ROOMS = (
    *("errors", "shares", "body", "slul", "slp_moe", "pose2vid", "media", "metrics", "corpora"),
    *(
        "pipeline",
        "doctor",
        "lexicons",
        "captions_track",
        "batch",
        "study",
        "end_to_end",
        "service",
        "cli_service",
        "cli_slul",
        "cli_moe",
        "cli_pose2vid",
        "cli_metrics",
        "cli",
    ),
)
SOURCE = Path(stable_signer.__file__).parent
FILES = sorted(
    p for p in SOURCE.rglob("*.py") if p.parent != SOURCE or p.stem not in ("__init__", "__main__")
)
FORBIDDEN_CALLS = {"exec", "eval", "compile"}
FORBIDDEN_MODULES = {
    "pickle",
    "marshal",
    "shelve",
    "urllib",
    "requests",
    "socket",
    "http",
    "anny",
    "warp",
    "bpy",
}


def room_of(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found += (
                [f"{module}.{alias.name}" for alias in node.names] if module == "stable_signer" else [module]
            )
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_room_imports_one_below_it(path: Path) -> None:
    room = room_of(path)
    if room == "weights":
        return
    for name in imports(path):
        if name.startswith("stable_signer."):
            other = name.split(".")[1]
            assert other in ROOMS, f"{path.name} imports {name}, which is no room"
            assert ROOMS.index(other) <= ROOMS.index(room), f"{room} must not import {other} ({path.name})"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_nothing_reaches_for_the_network_or_runs_data_as_code(path: Path) -> None:
    forbidden = FORBIDDEN_MODULES - ({"http", "socket"} if room_of(path) == "service" else set())
    assert not {name.split(".")[0] for name in imports(path)} & forbidden
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN_CALLS, f"{path.name} calls {node.func.id}"


def test_the_public_names_are_these() -> None:
    assert set(stable_signer.__all__) == {
        "Clip",
        "Motion",
        "Plan",
        "Sign",
        "StableSigner",
        "StableSignerError",
    }
    assert (SOURCE / "py.typed").exists()


def test_the_weights_are_small_enough_to_ship() -> None:
    weights = [p for p in (SOURCE / "weights").iterdir() if p.is_file()]
    learned = [p for p in weights if p.name.startswith(("slul-", "moe", "pose2vid"))]
    assert sum(p.stat().st_size for p in learned if p.name.startswith("slul-")) <= 12e6
    assert sum(p.stat().st_size for p in learned if p.name.startswith("moe")) <= 10e6
    assert sum(p.stat().st_size for p in learned if p.name.startswith("pose2vid")) <= 16e6
    assert sum(p.stat().st_size for p in weights if p not in learned) <= 10e6
