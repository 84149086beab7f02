"""A recogniser of isolated signs that has seen only real people: the judge of generated signing.

It was trained on SMPL-X fits of several signers a sign (SignAvatars). No take whose film a prototype of the
lexicon was fitted from is among its training takes, so that it cannot know a prototype by heart (see
`corpora/recogniser.py`).

What it looks at survives another body and another way of fitting: where the wrists are between the shoulders,
how the palms are turned, and the directions of the finger bones in the palm; a hand that hangs counts as
absent. A sign is `FRAMES` frames, whatever its length.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stable_signer.body.motion import Motion
from stable_signer.body.rotation import between_rows
from stable_signer.body.skeleton import Body, axis_angle_to_matrix
from stable_signer.errors import StableSignerError
from stable_signer.metrics.handshape import BONES, palm_frames
from stable_signer.metrics.posed import points_of_body, posed
from stable_signer.slp_moe.compose import compose
from stable_signer.slp_moe.lexicon import Lexicon
from stable_signer.slp_moe.schedule import schedule
from stable_signer.slul.plan import Draft, Plan, Sign

FRAMES = 32
RAISED = -1.25  # shoulder widths from the shoulders down to a wrist that hangs or lies in the lap
SOFT = 0.12  # over which it comes to count
HAND = 3 + 6 + 3 * len(BONES) + 1  # wrist, palm's fingers and normal, bones, raised
FEATURES = 2 * HAND + 3  # and the right wrist from the left
VERSION = "1"


# ----------------------------------------------------------------------------------------------------
# What it sees
# ----------------------------------------------------------------------------------------------------


def features(motion: Motion) -> np.ndarray:
    """(T, FEATURES) float32 of a motion, frame by frame. Build and place of the signer do not matter."""
    points, index = points_of_body(), Body.load().index
    turns, places = posed(motion.rotations)
    shoulders = [places[:, index[f"upperarm01.{s}"]].double().numpy() for s in "RL"]
    hands = [points.hand(turns, places, s).double().numpy() for s in "RL"]
    return from_points(np.stack(shoulders, 1), np.stack(hands, 1))


def from_points(shoulders: np.ndarray, hands: np.ndarray) -> np.ndarray:
    """The same from points in our axes: shoulders (T, 2, 3), hands (T, 2, 21, 3), right then left."""
    middle = shoulders.mean(1)
    across = shoulders[:, 1] - shoulders[:, 0]
    across[:, 2] = 0  # a shrug is not a turn of the body
    width = np.linalg.norm(across, axis=-1, keepdims=True)
    x = across / np.maximum(width, 1e-6)
    z = np.broadcast_to([0.0, 0.0, 1.0], x.shape)
    axes = np.stack([x, np.cross(z, x), z], -1)  # (T, 3, 3) of the trunk
    local = (hands - middle[:, None, None]) / max(float(np.median(width)), 1e-6) @ axes[:, None]
    wrists = local[:, :, 0]  # (T, 2, 3)
    parts = []
    raised = 1 / (1 + np.exp(-(wrists[..., 2] - RAISED) / SOFT))  # (T, 2)
    for s, flip in enumerate((1.0, -1.0)):  # a left hand as if it were a right one
        hand = local[:, s] * np.array([flip, 1.0, 1.0])
        frame = palm_frames(hand)
        bones = np.stack([hand[:, b] - hand[:, a] for a, b in BONES], 1) @ frame
        bones /= np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-9)
        seen = np.concatenate(
            [
                hand[:, 0],
                frame[:, :, 1],
                frame[:, :, 2],
                bones.reshape(len(bones), -1),
                np.ones((len(hand), 1)),
            ],
            1,
        )
        parts.append(seen * raised[:, [s]])
    both = (wrists[:, 0] - wrists[:, 1]) * (raised[:, [0]] * raised[:, [1]])
    return np.nan_to_num(np.concatenate([*parts, both], 1)).astype(np.float32)


def active(seen: np.ndarray) -> slice:
    """The frames (of features (T, F)) in which a hand is up; all of them if none ever is."""
    up = np.flatnonzero(np.maximum(seen[:, HAND - 1], seen[:, 2 * HAND - 1]) > 0.5)
    return slice(int(up[0]), int(up[-1]) + 1) if len(up) >= 4 else slice(0, len(seen))


def swapped(seen: np.ndarray) -> np.ndarray:
    """The features of the mirror image: the hands change places."""
    both = seen[..., -3:] * np.array([1, -1, -1], np.float32)
    return np.concatenate([seen[..., HAND : 2 * HAND], seen[..., :HAND], both], -1)


def right_led(seen: np.ndarray) -> np.ndarray:
    """Mirrored where the left hand leads: where it alone is up, or moves clearly more."""
    travel = []
    for s in range(2):
        wrist, up = seen[:, s * HAND : s * HAND + 3], seen[:, (s + 1) * HAND - 1]
        travel.append(
            float((np.linalg.norm(np.diff(wrist, axis=0), axis=1) * np.minimum(up[1:], up[:-1])).sum())
        )
    raised = seen[:, HAND - 1].sum(), seen[:, 2 * HAND - 1].sum()
    left = raised[1] > 2 * raised[0] or (raised[1] >= 0.5 * raised[0] and travel[1] > 1.4 * travel[0] + 0.1)
    return swapped(seen) if left else seen


# ----------------------------------------------------------------------------------------------------
# The network
# ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Config:
    """kind: 'conv' or 'attention'. width: channels. blocks: layers. dropout: in every block."""

    kind: str = "conv"
    width: int = 96
    blocks: int = 3
    dropout: float = 0.3


class ConvBlock(nn.Module):
    """Residual: a depthwise look over time, then channels mixed."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.time = nn.Conv1d(width, width, 5, padding=2, groups=width)
        self.mix = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        h = self.time(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return torch.as_tensor(x + self.mix(h))


class Encoder(nn.Module):
    """Features (B, FRAMES, FEATURES) -> an embedding (B, 2 C): the mean and the largest over time."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        c = config.width
        self.enter = nn.Linear(2 * FEATURES, c)  # places and velocities
        self.place = nn.Parameter(torch.zeros(1, FRAMES, c))
        if config.kind == "conv":
            self.blocks: nn.Module = nn.Sequential(
                *(ConvBlock(c, config.dropout) for _ in range(config.blocks))
            )
        else:
            layer = nn.TransformerEncoderLayer(
                c, 4, 2 * c, config.dropout, activation="gelu", batch_first=True, norm_first=True
            )
            self.blocks = nn.TransformerEncoder(layer, config.blocks, enable_nested_tensor=False)
        self.leave = nn.LayerNorm(c)

    def forward(self, x: Tensor) -> Tensor:
        """(B, FRAMES, FEATURES) -> (B, 2 C)."""
        velocity = torch.diff(x, dim=1, append=x[:, -1:]) * 4
        h = self.enter(torch.cat([x, velocity], -1)) + self.place
        h = self.leave(self.blocks(h))
        return torch.cat([h.mean(1), h.amax(1)], -1)


class Shelf:
    """Takes of different lengths, after one another, from which disturbed batches are read."""

    def __init__(self, takes: Sequence[np.ndarray]) -> None:
        self.rows = np.concatenate(takes)
        self.last = np.array([len(t) - 1 for t in takes])
        self.first = np.cumsum(self.last + 1) - self.last - 1

    def read(self, picks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Takes as another signer, camera and cut would give them: (N, FRAMES, FEATURES).

        Cut at both ends by up to a fifth, warped in time, wrists moved and scaled by a tenth, palms turned
        and bones bent by some degrees, and now and then one hand's fingers unseen.
        """
        n = len(picks)
        last = self.last[picks][:, None]
        ends = rng.uniform(0, 0.2, (2, n, 1)) * last
        knots = np.cumsum(_lumpy(n, rng), 1)
        pace = np.concatenate([np.zeros((n, 1)), knots / knots[:, -1:]], 1)
        at = ends[0] + pace * (last - ends[0] - ends[1])
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, last)
        part = (at - low)[..., None].astype(np.float32)
        base = self.first[picks][:, None]
        out = self.rows[base + low] * (1 - part) + self.rows[base + high] * part
        return _disturbed(out, rng)


def _lumpy(n: int, rng: np.random.Generator) -> np.ndarray:
    """Paces (n, FRAMES - 1) that change slowly, 0.5 to 1.5."""
    knots = rng.uniform(0.5, 1.5, (n, 5))
    at = np.linspace(0, 3.999, FRAMES - 1)
    low = at.astype(int)
    return np.asarray(knots[:, low] * (1 - at + low) + knots[:, low + 1] * (at - low))


def _disturbed(out: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n = len(out)

    def normal(size: float, *shape: int) -> np.ndarray:
        return rng.standard_normal((n, *shape), dtype=np.float32) * np.float32(size)

    scale, shift = np.exp(normal(0.08, 1, 3)), normal(0.08, 1, 3)
    for s in range(2):
        at = s * HAND
        up = out[:, :, [at + HAND - 1]]
        side = np.array([1 - 2 * s, 1, 1], np.float32)
        out[:, :, at : at + 3] = out[:, :, at : at + 3] * scale + up * (shift * side + normal(0.05, 1, 3))
        turn = axis_angle_to_matrix(torch.from_numpy(normal(0.15, 3))).numpy()
        palm = out[:, :, at + 3 : at + 9].reshape(n, -1, 3) @ turn
        out[:, :, at + 3 : at + 9] = palm.reshape(n, FRAMES, 6)
        bones = slice(at + 9, at + HAND - 1)
        width = HAND - 10
        bent = out[:, :, bones] + up * (normal(0.12, 1, width) + normal(0.04, FRAMES, width))
        out[:, :, bones] = bent * (rng.random((n, 1, 1)) > 0.1)
    out[:, :, -3:] = out[:, :, -3:] * scale + normal(0.06, 1, 3) * (out[:, :, -3:] != 0)
    return np.asarray(out, dtype=np.float32)


def prepared(seen: np.ndarray) -> np.ndarray:
    """Features (T, F) of a take as training and reading use them: its active part, led by the right hand."""
    return right_led(seen[active(seen)])


def window(seen: np.ndarray) -> np.ndarray:
    """Prepared features (T, F) -> (FRAMES, F)."""
    return between_rows(seen, np.linspace(0, len(seen) - 1, FRAMES)).astype(np.float32)


def fit_encoder(
    takes: Sequence[np.ndarray],
    labels: Sequence[int],
    classes: int,
    config: Config,
    *,
    seed: int = 0,
    steps: int = 2500,
    batch: int = 96,
    rate: float = 2e-3,
) -> tuple[Encoder, nn.Linear]:
    """Train on prepared takes (T, F) with class numbers."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    shelf = Shelf(takes)
    net, head = Encoder(config), nn.Linear(2 * config.width, classes)
    chance = np.full(len(takes), 1 / len(takes))
    y = torch.tensor(list(labels))
    parameters = [*net.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    net.train()
    drop = nn.Dropout(0.3)
    for _ in range(steps):
        rows = rng.choice(len(takes), batch, p=chance)
        x = torch.from_numpy(shelf.read(rows, rng))
        loss = nn.functional.cross_entropy(head(drop(net(x))), y[rows], label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
    net.eval()
    return net, head


# ----------------------------------------------------------------------------------------------------
# The judge
# ----------------------------------------------------------------------------------------------------


class Recogniser:
    """Names isolated signs. `Recogniser.load()` reads the weights that ship.

    members: encoders with their heads, whose log-probabilities are averaged. glosses: the classes, as the
    takes' names have them (lower case); `lexicon_glosses` are those that our lexicon signs.
    """

    def __init__(self, members: Sequence[tuple[Config, Encoder, nn.Linear]], glosses: Sequence[str]) -> None:
        self.members, self.glosses = tuple(members), tuple(glosses)

    @staticmethod
    def load(path: Path | None = None) -> Recogniser:
        """From `path`, or what ships. Raises StableSignerError when the file is missing or another's."""
        if path:
            return _read(path)
        with resources.as_file(resources.files("stable_signer.weights") / "recogniser.safetensors") as file:
            return _read(file)

    def save(self, path: Path) -> None:
        """Write it in half precision: to a temporary name first, then renamed."""
        from safetensors.torch import save_file

        tensors: dict[str, Tensor] = {}
        for i, (_, net, head) in enumerate(self.members):
            tensors |= {f"{i}.net.{k}": v.half().contiguous() for k, v in net.state_dict().items()}
            tensors |= {f"{i}.head.{k}": v.half().contiguous() for k, v in head.state_dict().items()}
        facts = {
            "version": VERSION,
            "glosses": json.dumps(self.glosses),
            "members": json.dumps([asdict(config) for config, _, _ in self.members]),
        }
        part = path.with_suffix(".part")
        save_file(tensors, str(part), metadata=facts)
        part.replace(path)

    def predict(self, motions: Sequence[Motion]) -> np.ndarray:
        """(N, classes) log-probabilities of isolated signs; each motion is one sign, with or without the way
        from and to rest. Left-handed signing is mirrored first."""
        return self.score([prepared(features(m)) for m in motions])

    def score(self, takes: Sequence[np.ndarray]) -> np.ndarray:
        """The same for prepared features (T, FEATURES)."""
        if not takes:
            raise StableSignerError("there are no motions to recognise: give at least one")
        x = torch.from_numpy(np.stack([window(t) for t in takes]))
        with torch.inference_mode():
            logs = [torch.log_softmax(head(net(x)), -1) for _, net, head in self.members]
        return np.asarray(torch.stack(logs).mean(0).log_softmax(-1).numpy())

    def names(self, motions: Sequence[Motion]) -> list[str]:
        """The likeliest gloss of each."""
        return [self.glosses[k] for k in self.predict(motions).argmax(1)]

    def lexicon_glosses(self) -> dict[str, str]:
        """Our lexicon's gloss -> the class that names it, for classes whose clip the lexicon knows."""
        text = (resources.files("stable_signer.weights") / "glosses.csv").read_text(encoding="utf-8")
        known = set(self.glosses)
        return {r["gloss"]: r["clip"] for r in csv.DictReader(text.splitlines()) if r["clip"] in known}


def _read(path: Path) -> Recogniser:
    from safetensors import SafetensorError

    from stable_signer.slul.stored import read_tensors

    try:
        stored, facts = read_tensors(path)
        tensors = {key: tensor.float() for key, tensor in stored.items()}
    except (OSError, SafetensorError) as error:
        raise StableSignerError(f"the recogniser {path} cannot be read ({error})") from error
    if facts.get("version") != VERSION:
        raise StableSignerError(
            f"the recogniser {path} has version {facts.get('version')!r}, not {VERSION!r}"
        )
    glosses = json.loads(facts["glosses"])
    members = []
    for i, values in enumerate(json.loads(facts["members"])):
        config = Config(**values)
        net, head = Encoder(config), nn.Linear(2 * config.width, len(glosses))
        for module, name in ((net, "net"), (head, "head")):
            start = f"{i}.{name}."
            own = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
            module.load_state_dict(own)
        members.append((config, net.eval(), head.eval()))
    return Recogniser(members, glosses)


def accuracy(scores: np.ndarray, glosses: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """top1 and top5 (0 to 1) of scores (N, classes), with the floors of chance: majority and shuffled.

    shuffled: top1 when every take is asked for another's gloss; majority: of always naming the commonest.
    """
    order = [[glosses[k] for k in row] for row in np.argsort(-scores, axis=1)[:, :5]]
    turned = [*wanted[1:], *wanted[:1]]
    return {
        "top1": float(np.mean([w == row[0] for w, row in zip(wanted, order, strict=True)])),
        "top5": float(np.mean([w in row for w, row in zip(wanted, order, strict=True)])),
        "shuffled": float(np.mean([w == row[0] for w, row in zip(turned, order, strict=True)])),
        "majority": max(wanted.count(w) for w in set(wanted)) / len(wanted),
        "count": float(len(wanted)),
    }


def lone_signs(glosses: Sequence[str], seed: int = 0) -> list[Motion]:
    """Each gloss of the lexicon signed alone, from rest to rest, as the product signs it without experts."""
    lexicon = Lexicon.load()
    return [compose(lone_plan(gloss, lexicon), lexicon, seed=seed) for gloss in glosses]


def lone_plan(gloss: str, lexicon: Lexicon) -> Plan:
    """A plan of one sign. Raises StableSignerError for a gloss that the lexicon cannot sign."""
    draft = Draft(gloss, "ase", (Sign(gloss, "lexical", 0.0, 0.0),), sentences=((gloss, 1),))
    return schedule(draft, lexicon)
