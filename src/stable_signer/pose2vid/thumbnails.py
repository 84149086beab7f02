"""Thumbnails: every signer and every style as one small picture, drawn on the fly."""

from __future__ import annotations

import io
from functools import lru_cache
from threading import Lock

import numpy as np
import torch
from PIL import Image, ImageDraw

from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body, axis_angle_to_matrix, matrix_to_rotation_6d
from stable_signer.pose2vid.mesh import MeshRenderer
from stable_signer.pose2vid.signers import SIGNERS, STYLES, signer_card, style_card

SIZE = 256  # pixels a side
LABEL = 22  # pixels under each picture of the sheet
COLUMNS = 5


def standing(body: Body) -> Motion:
    """One frame: elbows at the sides, forearms a little raised, a calm face."""
    turns = torch.zeros(len(body.joints), 3)
    for side, sign in (("R", 1), ("L", -1)):
        turns[body.index[f"upperarm01.{side}"]] = torch.tensor([0.0, -0.45 * sign, 0.0])
        turns[body.index[f"lowerarm01.{side}"]] = torch.tensor([-0.4, -0.2 * sign, 0.2 * sign])
    rotations = matrix_to_rotation_6d(axis_angle_to_matrix(turns))[None].numpy()
    return Motion(rotations, np.zeros((1, len(body.face_actions)), np.float32), np.zeros((1, 3), np.float32))


def thumbnail(signer: str, style: str, size: int = SIZE) -> np.ndarray:
    """(size, size, 3) uint8: head and shoulders of a signer (see `signer_card`) in a style.

    Raises StableSignerError for unknown ones.
    """
    card, light, body = signer_card(signer), style_card(style), Body.load()
    whole = next(MeshRenderer(body, card, light, size=2 * size).frames(standing(body)))
    left = size // 2
    return np.ascontiguousarray(whole[:size, left : left + size])


def signer_thumbnails(size: int = SIZE) -> dict[str, np.ndarray]:
    """Every signer in the first style, by id."""
    return {name: _card("signers", name, size) for name in SIGNERS}


def style_thumbnails(size: int = SIZE) -> dict[str, np.ndarray]:
    """Every style with the first signer, by id."""
    return {name: _card("styles", name, size) for name in STYLES}


def _card(kind: str, name: str, size: int) -> np.ndarray:
    """A signer in the first style, or a style with the first signer."""
    if kind == "signers":
        return thumbnail(name, next(iter(STYLES)), size)
    return thumbnail(next(iter(SIGNERS)), name, size)


def contact_sheet(pictures: dict[str, np.ndarray]) -> np.ndarray:
    """Pictures of one size, each with its id under it, COLUMNS a row -> one picture (H, W, 3) uint8."""
    size = len(next(iter(pictures.values())))
    rows = -(-len(pictures) // COLUMNS)
    image = Image.new("RGB", (min(len(pictures), COLUMNS) * size, rows * (size + LABEL)), "white")
    pen = ImageDraw.Draw(image)
    for k, (name, picture) in enumerate(pictures.items()):
        x, y = k % COLUMNS * size, k // COLUMNS * (size + LABEL)
        image.paste(Image.fromarray(picture), (x, y))
        pen.text((x + size / 2, y + size + LABEL / 2), name, fill="black", anchor="mm", font_size=14)
    return np.asarray(image)


def png(picture: np.ndarray) -> bytes:
    """(H, W, 3) uint8 -> a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def thumbnail_png(kind: str, name: str) -> bytes:
    """The PNG of 'signers' or 'styles' and an id in SIGNERS or STYLES: kept, so each is drawn once."""
    with _one_at_a_time:
        return _kept(kind, name)


@lru_cache(maxsize=len(SIGNERS) + len(STYLES))
def _kept(kind: str, name: str) -> bytes:
    return png(_card(kind, name, SIZE))


_one_at_a_time = Lock()
