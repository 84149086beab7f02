"""A filmed signer: the networks that were learned from footage of one person, and the pictures they draw.

What is drawn is the whole picture, with the wall behind the signer and what of them our body does not cover.
So there is a plate, a picture that is learned as such:

    picture = decoded + (1 - coverage) * plate

and the autoencoder sees pictures with the plate taken out in the same way, which leaves it grey behind the
figure, as it was in the studio. Appearance is a vector of its own, learned as well.

A folder that `train pose2vid --footage` wrote is a signer as long as the signer's card lies in it: the card
that the weights were learned with, which every video made with them quotes.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from stable_signer.body.motion import Motion
from stable_signer.errors import StableSignerError
from stable_signer.pose2vid.autoencoder import GREY, coverage, told_cells
from stable_signer.pose2vid.consent import ConsentCard
from stable_signer.pose2vid.control import controls, posed_ahead
from stable_signer.pose2vid.diffusion import CAREFUL
from stable_signer.pose2vid.footage import SIZE, painted_body
from stable_signer.pose2vid.mesh import ahead
from stable_signer.pose2vid.sampler import PARTS, Pose2Vid, other_layout
from stable_signer.pose2vid.studio import VECTOR
from stable_signer.slul.runs import best_device
from stable_signer.slul.stored import read_tensors

FOOTAGE = "pose2vid-footage.safetensors"  # plate, vector, looks and the card learned with
CARD = "signer-card.json"
FILES = (FOOTAGE, *(f"pose2vid-{part}.safetensors" for part in PARTS))
LOOKS = {"skin", "lips", "hair", "top", "sleeves"}


class Filmed(nn.Module):
    """The networks of a filmed signer: Pose2Vid, plate (3, SIZE, SIZE) in [0, 1], vector (VECTOR,)."""

    def __init__(self, model: Pose2Vid, plate: Tensor, vector: Tensor) -> None:
        super().__init__()
        self.model, self.plate, self.vector = model, nn.Parameter(plate), nn.Parameter(vector)

    def encode(self, picture: Tensor, maps: Tensor, plate: Tensor) -> Tensor:
        """picture (B, 3, H, W), maps (B, C, H, W) uint8, plate (B or 1, 3, H, W) -> latent."""
        return self.model.autoencoder.encode(picture - (1 - coverage(maps)) * (plate - GREY))

    def decode(self, latent: Tensor, maps: Tensor, plate: Tensor) -> Tensor:
        """The inverse; not clamped."""
        drawn = self.model.autoencoder.decode(latent, maps).float()
        return drawn + (1 - coverage(maps)) * plate

    @torch.inference_mode()
    def latent(self, maps: Tensor, before: Tensor | None, noise: Tensor, steps: int = 1) -> Tensor:
        """maps (1, C, SIZE, SIZE) uint8 and the latent of the frame before -> the frame's latent."""
        return self.model.latents(told_cells(maps), self.vector[None], before, noise, steps)

    @torch.inference_mode()
    def picture(self, latent: Tensor, maps: Tensor) -> Tensor:
        """A frame's latent and maps (1, C, SIZE, SIZE) uint8 -> (1, 3, SIZE, SIZE) in [0, 1]."""
        return self.decode(latent, maps, self.plate[None]).clamp(0, 1)

    def film(self, maps: Tensor, seed: int = 0) -> Tensor:
        """Consecutive maps (T, C, SIZE, SIZE) uint8 -> pictures (T, 3, SIZE, SIZE) in [0, 1]: one step a
        frame, each latent told the one before."""
        noise, latent, pictures = self.model.noise(seed), None, []
        for one in maps.split(1):
            latent = self.latent(one, latent, noise)
            pictures.append(self.picture(latent, one))
        return torch.cat(pictures)

    def save(self, folder: Path, card: ConsentCard, looks: dict[str, str]) -> None:
        """Pose2Vid's files, FOOTAGE with plate, vector, looks and the card's text, and the card."""
        self.model.save_pretrained(folder)
        # one entry: several are written in an order that changes from run to run
        told = {"footage": json.dumps({"card": card.json(), "looks": looks})}
        part = folder / "pose2vid-footage.part"
        tensors = {"plate": self.plate, "vector": self.vector}
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part, told)
        part.replace(folder / FOOTAGE)
        (folder / CARD).write_text(card.json(), encoding="utf-8")

    @staticmethod
    def load(folder: str | Path) -> tuple[Filmed, dict[str, str], str]:
        """What `save` wrote: the networks, the looks, and the text of the card that they were learned with.
        Raises StableSignerError for a folder without it, and for networks of another layout."""
        path = Path(folder) / FOOTAGE
        try:
            tensors, metadata = read_tensors(path)
            told = json.loads(metadata["footage"])
            looks, card = dict(told["looks"]), str(told["card"])
            plate, vector = tensors["plate"], tensors["vector"]
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise StableSignerError(
                f"{path} cannot be read ({error}): give the weights folder of `train pose2vid --footage`"
            ) from error
        if plate.shape != (3, SIZE, SIZE) or vector.shape != (VECTOR,) or not LOOKS.issubset(looks):
            raise StableSignerError(other_layout(path))
        return Filmed(Pose2Vid.from_pretrained(folder), plate, vector).eval(), looks, card


@dataclass(frozen=True)
class FilmedSigner:
    """A signer who can be drawn from what was learned from footage of them; read by `filmed_signer`.

    weights: name and SHA-256 of each file. Two are the same signer when folder, card and weights are.
    """

    folder: Path
    card: ConsentCard
    weights: tuple[tuple[str, str], ...]
    looks: dict[str, str] = field(compare=False)
    networks: Filmed = field(compare=False, repr=False)


def filmed_signer(folder: str | Path) -> FilmedSigner:
    """The signer in a folder that `train pose2vid --footage` wrote, or in its folder `weights`.

    Raises StableSignerError when the folder is missing, holds no weights or no card, the card gives no
    consent or is another than the one the weights were learned with, or the networks have another layout.
    """
    run = Path(folder).expanduser()
    if not run.is_dir():
        raise StableSignerError(
            f"there is no folder {folder} of a filmed signer: give one that `train pose2vid --footage` wrote"
        )
    place = run / "weights" if (run / "weights").is_dir() else run
    missing = [name for name in FILES if not (place / name).is_file()]
    if missing:
        raise StableSignerError(
            f"the folder {folder} has no weights of a filmed signer ({missing[0]} is missing): "
            "run `train pose2vid --footage` to its end, and give the folder that it wrote"
        )
    if not (place / CARD).is_file():
        raise StableSignerError(
            f"the folder {folder} has no {CARD}: nothing is drawn without the consent of who was filmed"
        )
    card = ConsentCard.load(place / CARD)
    networks, looks, learned_with = Filmed.load(place)
    if card.json() != learned_with:
        raise StableSignerError(
            f"{place / CARD} is not the card that its weights were learned with: put that one back, "
            "or learn from the footage again with the new card"
        )
    networks.requires_grad_(False).to(best_device())
    hashes = tuple((name, hashlib.sha256((place / name).read_bytes()).hexdigest()) for name in FILES)
    return FilmedSigner(place.resolve(), card, hashes, looks, networks)


class FilmedRenderer:
    """Draws motions as a filmed signer, SIZE x SIZE, one latent a frame, as `footage_train.measure` does.

    The same motion gives the same pictures on the same machine. Maps are made on the CPU, the networks
    compute on the `best_device`.
    """

    def __init__(self, signer: FilmedSigner, steps: int = 1) -> None:
        self.networks, self.steps, self.size = signer.networks, steps, SIZE
        self.mesh, self.control = painted_body(signer.looks)
        self.camera = self.mesh.camera
        self.noise = self.networks.model.noise()

    def careful(self) -> FilmedRenderer:
        """The same renderer with CAREFUL steps a frame."""
        slow = copy.copy(self)
        slow.steps = CAREFUL
        return slow

    def frames(self, motion: Motion) -> Iterator[np.ndarray]:
        """Yields uint8 (SIZE, SIZE, 3) sRGB pictures, one for each frame, in constant memory."""
        return self.film([motion])

    def film(self, pieces: Iterable[Motion]) -> Iterator[np.ndarray]:
        """`frames` of pieces of one motion in order: each latent is told the last."""

        def decoding() -> Iterator[Callable[[], np.ndarray]]:
            latent = None
            for maps in posed_ahead(self.mesh, self.control, pieces, self.maps):
                latent = self.networks.latent(maps, latent, self.noise, self.steps)
                yield partial(self.picture, latent, maps)

        return ahead(decoding())

    def maps(self, vertices: Tensor, spots: np.ndarray) -> Tensor:
        """One of the `posed_frames` -> its control maps (1, C, SIZE, SIZE) uint8."""
        _, _, maps = controls(self.mesh, self.control, vertices, spots)
        return torch.from_numpy(maps)[None].to(self.noise.device)

    def picture(self, latent: Tensor, maps: Tensor) -> np.ndarray:
        """(SIZE, SIZE, 3) uint8."""
        drawn = self.networks.picture(latent, maps)[0].permute(1, 2, 0)
        return (drawn * 255).round().byte().contiguous().cpu().numpy()
