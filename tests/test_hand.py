"""The hand that leads: a prompt's wish reaches every path through the plan; a caller's word wins."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes import FakeMovement, fake_stages
from stable_signer.batch import Item, read_items, run_batch
from stable_signer.captions_track import Look, make_track, read_cues
from stable_signer.pipeline import StableSigner

LEFT = "How do you sign 'hello you' left-handed?"


class Hands:
    """A signer that remembers with which hand it was asked to sign."""

    def __init__(self) -> None:
        self.led: list[bool] = []

        def compose(plan: Any, seed: int, left_handed: bool, fps: float) -> FakeMovement:
            self.led.append(left_handed)
            return FakeMovement(plan, seed, left_handed, fps)

        self.engine = StableSigner(replace(fake_stages(), compose=compose))


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.mark.parametrize(("text", "asked", "leads"), [
    (LEFT, None, True), (LEFT, False, False), ("Hello you.", None, False), ("Hello you.", True, True),
])  # fmt: skip
def test_every_path_follows_the_wish(
    hands: Hands, tmp_path: Path, text: str, asked: bool | None, leads: bool
) -> None:
    hands.engine.sign(text, size=64, left_handed=asked)
    list(hands.engine.stream(text, size=64, left_handed=asked))

    item = Item("a", text, size=64, left_handed=asked)
    assert run_batch([item], tmp_path / "out", load=lambda: hands.engine).failed == 0

    film = tmp_path / "a.srt"
    film.write_text(f"1\n00:00:01,000 --> 00:00:04,000\n{text}\n", encoding="utf-8")
    look = Look(signer="maya", style="studio", size=64, left_handed=asked)
    make_track(hands.engine, read_cues(film), tmp_path / "track.mp4", look)

    assert hands.led == [leads] * 4


def test_one_line_of_a_film_does_not_turn_its_neighbours_round(hands: Hands, tmp_path: Path) -> None:
    film = tmp_path / "a.srt"
    film.write_text(
        f"1\n00:00:01,000 --> 00:00:04,000\n{LEFT}\n\n2\n00:00:05,000 --> 00:00:08,000\nHello you.\n",
        encoding="utf-8",
    )
    make_track(hands.engine, read_cues(film), tmp_path / "track.mp4", Look("maya", "studio", size=64))
    assert hands.led == [False]


def test_a_batch_line_may_name_the_hand(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "Hello"}\n{"text": "Hello", "left_handed": false}\n')
    assert [item.left_handed for item in read_items(path)] == [None, False]


def test_the_service_follows_the_wish_also_through_a_plan_and_its_edits(hands: Hands, tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="needs the extra [serve]")
    from stable_signer.service.app import order_of
    from stable_signer.service.orders import Studio
    from stable_signer.service.schemas import SigningRequest
    from stable_signer.service.settings import Settings
    from stable_signer.service.worker import Job
    from stable_signer.slul.glosses import Glossary

    settings = Settings()
    studio = Studio(lambda: hands.engine, settings, tmp_path, Glossary.load)
    plan = studio.plan(LEFT, "ase", 1.0)
    edited = studio.edit(plan, [{"op": "pause", "at": 1, "seconds": 0.5}], 1.0)
    assert plan.left_handed is edited.left_handed is True

    def make(**fields: Any) -> None:
        order = order_of(SigningRequest(response_format="json", **fields), settings)

        async def run() -> None:
            list(studio.make(order, Job(iter, 60)))  # type: ignore[arg-type]  # the job only listens

        asyncio.run(run())

    make(input=LEFT)
    make(plan=edited.to_dict())
    make(plan=edited.to_dict(), left_handed=False)
    make(input="Hello")
    assert hands.led == [True, True, False, False]
