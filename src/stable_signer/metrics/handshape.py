"""Which handshape is this? A small network on the directions of the finger bones, trained on real hands only.

It reads MediaPipe's 21 hand points and those of our own skeleton alike, because of what it looks at: the hand
is turned into the palm's own frame and every bone is given our length, so that size, position and build drop
out. `HandshapeReader` names the handshape (codes of ASL-LEX 2.0, see CODES); `letters` of the same reader
names the fingerspelled letter, for which it also sees how the hand is turned (H and U, K and P, G and Q are
one shape each).

Source of the shapes' names: ASL-LEX 2.0. What it was trained on: `weights/handshape.md`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from stable_signer.body.motion import Motion
from stable_signer.errors import StableSignerError
from stable_signer.metrics.posed import at_rest, points_of_body, posed

LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
# The handshape of each letter; J and Z by the shape that draws them. M, N, T, X, B are shapes of their own.
LETTER_CODES = dict(zip(LETTERS, LETTERS, strict=True)) | {
    "A": "a", "C": "c", "D": "d", "E": "e", "F": "f", "G": "g", "H": "h", "I": "i", "J": "i", "K": "p",
    "L": "l", "O": "o", "P": "p", "Q": "g", "R": "r", "S": "s", "U": "h", "V": "v", "W": "w", "Y": "y",
    "Z": "1",
}  # fmt: skip
# Codes of ASL-LEX that the points of a hand cannot tell apart, or of which there are too few takes: read as.
MERGED = {
    "k": "p", "t": "T", "flat_m": "M", "flat_n": "N", "closed_e": "e", "open_e": "e", "spread_e": "e",
    "spread_open_e": "e", "curved_1": "X", "flat_horns": "horns", "flat_ily": "ily", "open_f": "f",
    "7": "w", "flat_4": "4", "curved_4": "4", "curved_h": "flat_h", "open_h": "h", "flat_v": "bent_v",
    "curved_v": "bent_v", "stacked_5": "5", "B": "B", "goody_goody": "1",
}  # fmt: skip
CHAINS = ((0, 1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
BONES = tuple((a, b) for chain in CHAINS for a, b in itertools.pairwise(chain))  # 16
TIPS = (4, 8, 12, 16, 20)
VERSION = "1"


def merged(code: str) -> str:
    """The class that the reader has for a handshape code of ASL-LEX (or a letter, a capital)."""
    return MERGED.get(code, code)


def from_mediapipe(points: np.ndarray) -> np.ndarray:
    """MediaPipe's hand points (…, 21, 3) in pixels (x right, y down, z away) in our axes (z up, y away)."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


def features(points: np.ndarray, left: bool = False) -> np.ndarray:
    """What the network sees of hands (N, 21, 3) in our axes, any unit -> (N, 91), float32.

    All but the last six numbers do not change when the hand is moved, turned or resized. left: left hands,
    which are mirrored. A hand whose palm has no extent gives NaN.
    """
    p = np.asarray(points, dtype=np.float64) * (np.array([-1.0, 1, 1]) if left else 1.0)
    if p.ndim != 3 or p.shape[1:] != (21, 3):
        raise StableSignerError(f"hand points must be (N, 21, 3), not {p.shape}")
    frame = palm_frames(p)
    bones = np.stack([p[:, b] - p[:, a] for a, b in BONES], 1) @ frame  # (N, 16, 3) in palm axes
    unit = bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-9)
    rebuilt = _rebuilt(unit)
    thumb = rebuilt[:, 4]
    away = [np.linalg.norm(thumb - rebuilt[:, k], axis=-1) for k in (8, 12, 16, 20, 6, 10, 14, 5, 9, 13, 17)]
    beside = [
        np.linalg.norm(rebuilt[:, a] - rebuilt[:, b], axis=-1) for a, b in ((8, 12), (12, 16), (16, 20))
    ]
    bends = np.stack([(unit[:, i] * unit[:, i + 1]).sum(-1) for i in range(15) if i not in (3, 6, 9, 12)], 1)
    crossed = np.stack(
        [rebuilt[:, a, 0] - rebuilt[:, b, 0] for a, b in ((8, 12), (12, 16), (16, 20), (6, 10))], 1
    )
    reach = np.linalg.norm(rebuilt[:, TIPS], axis=-1)
    turned = frame[:, :, 1:].transpose(0, 2, 1).reshape(-1, 6)  # the fingers' and the palm's directions
    flat = unit.reshape(len(p), -1)
    parts = [flat, np.stack([*away, *beside], 1) * 10, bends, crossed * 20, reach * 10, turned]
    return np.concatenate(parts, 1).astype(np.float32)


def palm_frames(points: np.ndarray) -> np.ndarray:
    """Palm axes (N, 3, 3) of right hands (N, 21, 3): columns to the thumb's side, along the fingers, out of
    the palm."""
    along = _unit(points[:, 9] - points[:, 0])
    across = points[:, 5] - points[:, 17]
    across = _unit(across - (across * along).sum(-1, keepdims=True) * along)
    return np.stack([across, along, np.cross(across, along)], -1)


def _unit(v: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(length > 1e-9, v / length, np.nan))


def _rebuilt(unit: np.ndarray) -> np.ndarray:
    """Our hand with these bone directions: (N, 16, 3) in palm axes -> points (N, 21, 3), metres."""
    rest = _standard_hand()
    out = np.broadcast_to(rest, (len(unit), 21, 3)).copy()
    for (a, b), direction in zip(BONES, np.moveaxis(unit, 1, 0), strict=True):
        out[:, b] = out[:, a] + direction * np.linalg.norm(rest[b] - rest[a])
    return out


@lru_cache(maxsize=1)
def _standard_hand() -> np.ndarray:
    """The reference signer's right hand in the reference pose, (21, 3) metres in palm axes."""
    hand = points_of_body().hand(*at_rest(), "R").double().numpy()
    return np.asarray(((hand - hand[:, :1]) @ palm_frames(hand))[0])


def hand_points(motion: Motion, side: str = "R", frames: Sequence[int] | None = None) -> np.ndarray:
    """MediaPipe's 21 points of one hand of a motion (T, 21, 3), metres, our axes; `frames` picks some."""
    if side not in ("R", "L"):
        raise StableSignerError(f"the side {side!r} is unknown: R or L")
    rows = np.arange(len(motion)) if frames is None else np.asarray(frames)
    return points_of_body().hand(*posed(motion.rotations[rows]), side).double().numpy()


@dataclass(frozen=True, eq=False)
class Network:
    """A perceptron: features are standardised, then linear layers with GELU in between; class names."""

    classes: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Features (N, F) -> log-probabilities (N, C)."""
        h = torch.from_numpy(((x - self.mean) / self.scale).astype(np.float32))
        for k, (weight, bias) in enumerate(self.layers):
            h = h @ torch.from_numpy(weight).T + torch.from_numpy(bias)
            if k + 1 < len(self.layers):
                h = torch.nn.functional.gelu(h)
        return np.asarray(torch.log_softmax(h, -1).numpy())


class HandshapeReader:
    """Names handshapes and letters. `HandshapeReader.load()` reads the weights that ship.

    `shapes` and `spelled` are the two networks; their `.classes` are the names of the columns.
    """

    def __init__(self, shapes: Network, spelled: Network) -> None:
        self.shapes, self.spelled = shapes, spelled

    @staticmethod
    def load(path: Path | None = None) -> HandshapeReader:
        """From `path`, or what ships. Raises StableSignerError when the file is missing or another's."""
        if path:
            return _read(path)
        with resources.as_file(resources.files("stable_signer.weights") / "handshape.safetensors") as file:
            return _read(file)

    def save(self, path: Path) -> None:
        """Write both networks: to a temporary name first, then renamed."""
        from safetensors.numpy import save_file

        tensors: dict[str, np.ndarray] = {}
        for name, net in (("shapes", self.shapes), ("spelled", self.spelled)):
            tensors |= {f"{name}.mean": net.mean, f"{name}.scale": net.scale}
            for k, (weight, bias) in enumerate(net.layers):
                tensors |= {f"{name}.{k}.weight": weight, f"{name}.{k}.bias": bias}
        classes = json.dumps({"shapes": self.shapes.classes, "spelled": self.spelled.classes})
        part = path.with_suffix(".part")
        save_file(tensors, str(part), metadata={"version": VERSION, "classes": classes})
        part.replace(path)

    @property
    def codes(self) -> tuple[str, ...]:
        """The handshapes that it knows: ASL-LEX codes after `merged`."""
        return self.shapes.classes

    def read(self, points: np.ndarray, left: bool = False) -> np.ndarray:
        """Hands (N, 21, 3) in our axes -> log-probabilities (N, len(codes))."""
        return self.shapes(features(points, left)[:, :-6])

    def letters(self, points: np.ndarray, left: bool = False) -> np.ndarray:
        """Hands (N, 21, 3) in our axes, as the viewer sees them -> log-probabilities (N, 26) of A to Z."""
        return self.spelled(features(points, left))

    def handshape(self, motion: Motion, frame: int, side: str = "R") -> str:
        """The handshape of one hand of a motion at a frame (negative: from the end)."""
        points = hand_points(motion, side, [range(len(motion))[frame]])
        return self.codes[int(self.read(points, side == "L")[0].argmax())]

    def handshapes(self, motion: Motion, side: str = "R") -> list[str]:
        """The handshape of every frame."""
        return [self.codes[k] for k in self.read(hand_points(motion, side), side == "L").argmax(1)]

    def letter(self, motion: Motion, frame: int, side: str = "R") -> str:
        """The fingerspelled letter at a frame; J and Z cannot be told from I and 1 without their movement."""
        points = hand_points(motion, side, [range(len(motion))[frame]])
        return LETTERS[int(self.letters(points, side == "L")[0].argmax())]


def _read(path: Path) -> HandshapeReader:
    from safetensors import SafetensorError

    from stable_signer.slul.stored import read_tensors

    try:
        tensors, metadata = read_tensors(path, "np")
    except (OSError, SafetensorError) as error:
        raise StableSignerError(f"the handshape reader {path} cannot be read ({error})") from error
    if metadata.get("version") != VERSION:
        raise StableSignerError(f"the handshape reader {path} has version {metadata.get('version')!r}, not 1")
    classes = json.loads(metadata["classes"])

    def network(name: str) -> Network:
        depth = sum(key.startswith(f"{name}.") and key.endswith(".weight") for key in tensors)
        layers = tuple((tensors[f"{name}.{k}.weight"], tensors[f"{name}.{k}.bias"]) for k in range(depth))
        return Network(tuple(classes[name]), tensors[f"{name}.mean"], tensors[f"{name}.scale"], layers)

    return HandshapeReader(network("shapes"), network("spelled"))


# ----------------------------------------------------------------------------------------------------
# Training
# ----------------------------------------------------------------------------------------------------


def disturbed(points: np.ndarray, rng: np.random.Generator, turn: float) -> np.ndarray:
    """Hands as another camera and another detector would give them: (N, 21, 3), our axes.

    Depth, which MediaPipe guesses, is stretched by 0.6 to 1.8; the hand is seen from up to `turn` radians
    aside; every point is off by 3% of the palm and every finger by 6 degrees.
    """
    palm = np.linalg.norm(points[:, 9] - points[:, 0], axis=1)[:, None, None]
    out = (points - points[:, :1]) / np.maximum(palm, 1e-9)
    out[..., 1] *= np.exp(rng.uniform(np.log(0.6), np.log(1.8), (len(points), 1)))
    out = out @ _turns(rng.normal(0, turn / 2, (len(points), 3)))
    for chain in CHAINS:
        bent = _turns(rng.normal(0, 0.1, (len(points), 3)))
        root = out[:, [chain[0]]]
        out[:, list(chain[1:])] = root + (out[:, list(chain[1:])] - root) @ bent
    return np.asarray(out + rng.normal(0, 0.03, out.shape))


def _turns(vectors: np.ndarray) -> np.ndarray:
    from stable_signer.body.skeleton import axis_angle_to_matrix

    return np.asarray(axis_angle_to_matrix(torch.from_numpy(vectors)).numpy())


def train_network(
    points: np.ndarray,
    labels: Sequence[str],
    weights: np.ndarray,
    *,
    oriented: bool,
    seed: int = 0,
    steps: int = 4000,
    width: int = 128,
) -> Network:
    """Train on right hands (N, 21, 3) in our axes. weights: (N,) how often each is drawn.

    oriented: let it see how the hand is turned. Every batch is drawn anew and disturbed.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    classes = tuple(sorted(set(labels)))
    y = np.array([classes.index(label) for label in labels])
    chance = weights / weights.sum()
    cut = None if oriented else -6
    sample = features(disturbed(points[rng.choice(len(points), 4000, p=chance)], rng, 0.4))[:, :cut]
    mean, scale = sample.mean(0), sample.std(0) + 0.05
    net = torch.nn.Sequential(
        torch.nn.Linear(sample.shape[1], width), torch.nn.GELU(), torch.nn.Dropout(0.2),
        torch.nn.Linear(width, width), torch.nn.GELU(), torch.nn.Dropout(0.2),
        torch.nn.Linear(width, len(classes)),
    )  # fmt: skip
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    net.train()
    for _ in range(steps):
        rows = rng.choice(len(points), 256, p=chance)
        x = features(disturbed(points[rows], rng, 0.4))[:, :cut]
        logits = net(torch.from_numpy(((x - mean) / scale).astype(np.float32)))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y[rows]), label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    linear = [m for m in net if isinstance(m, torch.nn.Linear)]
    layers = tuple((m.weight.detach().numpy().copy(), m.bias.detach().numpy().copy()) for m in linear)
    return Network(classes, mean, scale, layers)


def balanced(groups: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """(N,) weights that make every class (label) count by the root of its size, and in it every group alike.

    A group is what belongs together: a clip, a signer. Sizes are counted in groups.
    """
    per_group: dict[tuple[str, str], int] = {}
    for key in zip(labels, groups, strict=True):
        per_group[key] = per_group.get(key, 0) + 1
    per_label: dict[str, int] = {}
    for label, _ in per_group:
        per_label[label] = per_label.get(label, 0) + 1
    return np.array([per_label[a] ** -0.5 / per_group[a, g] for a, g in zip(labels, groups, strict=True)])


def top_k(scores: np.ndarray, classes: Sequence[str], labels: Sequence[str], k: int = 1) -> float:
    """Share (0 to 1) of rows whose label is among the k best-scored classes."""
    best = np.argsort(-scores, axis=1)[:, :k]
    return float(
        np.mean([label in {classes[i] for i in row} for row, label in zip(best, labels, strict=True)])
    )


def clip_scores(scores: np.ndarray, groups: Sequence[str]) -> Mapping[str, np.ndarray]:
    """Mean log-probabilities of the rows of each group."""
    order: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        order.setdefault(group, []).append(i)
    return {group: scores[rows].mean(0) for group, rows in order.items()}
