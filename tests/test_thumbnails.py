"""Thumbnails: what the two lists draw."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import Run
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid import thumbnails
from stable_signer.pose2vid.signers import SIGNERS, STYLES


def test_a_thumbnail_shows_head_and_shoulders() -> None:
    picture = thumbnails.thumbnail("leo", "green", 96)
    assert picture.shape == (96, 96, 3) and picture.dtype == np.uint8
    wall = (picture[..., 1] > 120) & (picture[..., 0] < 60)
    assert wall[0].all() and not wall[-1].all()  # nothing is cut off above, the shoulders fill the bottom
    assert 0.3 < (~wall).mean() < 0.9
    for names in (("nobody", "studio"), ("maya", "neon")):
        with pytest.raises(StableSignerError, match="there is no"):
            thumbnails.thumbnail(*names)


def test_a_sheet_holds_every_picture() -> None:
    pictures = {name: np.full((32, 32, 3), 10 * k, np.uint8) for k, name in enumerate("abcdefg")}
    sheet = thumbnails.contact_sheet(pictures)
    assert sheet.shape == (2 * (32 + thumbnails.LABEL), 5 * 32, 3)
    assert (sheet[0, 32] == 10).all() and (sheet[32 + thumbnails.LABEL, 0] == 50).all()
    again = Image.open(io.BytesIO(thumbnails.png(sheet)))
    assert (np.asarray(again) == sheet).all()


@pytest.mark.parametrize(("kind", "cards"), [("signers", SIGNERS), ("styles", STYLES)])
def test_the_lists_write_their_thumbnails(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, cards: dict[str, object]
) -> None:
    monkeypatch.setattr(thumbnails, "thumbnail", lambda *names: np.full((16, 16, 3), 90, np.uint8))
    target = folder / "pictures"
    result = run(kind, "--json", "--thumbnails", target)
    assert result.code == 0 and list(json.loads(result.out)) == list(cards)
    assert sorted(p.name for p in target.iterdir()) == sorted(f"{name}.png" for name in (*cards, kind))
    (folder / "file").write_bytes(b"")
    refused = run(kind, "--thumbnails", folder / "file")
    assert refused.code == 2 and "cannot be made" in refused.err
