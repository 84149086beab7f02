"""Hair: a shell over the scalp with a hairline, and what hangs or is tied behind the face, never over it.

All shapes are drawn in canonical places (the first signer's head, metres) and carried to a signer's own head
by the affine map between the two scalps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stable_signer.body.skeleton import Body
from stable_signer.pose2vid.parts import Part, vertex_normals
from stable_signer.pose2vid.shading import ATTRIBUTES, CANON, HAIR
from stable_signer.pose2vid.signers import SignerCard

AXIS = np.array([0.0, -0.036])  # x and y of the head's upright axis
CROWN = 0.929  # z
MIDDLE = np.array([0.0, -0.03, 0.852])  # of the head
# The hairline: degrees from straight ahead, and z there. Temples, sideburns before the ear, over the ear,
# nape.
HAIRLINE = np.array(
    [
        *((0, 0.888), (18, 0.886), (32, 0.882), (42, 0.875), (49, 0.862), (54, 0.846)),
        *((58, 0.828), (62, 0.808), (66, 0.799), (72, 0.803), (78, 0.826), (98, 0.826)),
        *((106, 0.790), (120, 0.757), (150, 0.747), (180, 0.744)),
    ]
)


@dataclass(frozen=True)
class Cut:
    """A hair style in numbers, metres.

    thickness: of the shell over the crown. ramp: how far behind the hairline it is reached. lift: extra
    height of the front on one side (a parting). rough: unevenness. hang: z where hanging hair ends (None:
    none hangs).
    knot: centre (x, y, z) and radius of a bun.
    """

    thickness: float
    ramp: float = 0.035
    lift: float = 0.0
    rough: float = 0.0015
    sleek: float = 1.0
    ball: float = 0.0
    hang: float | None = None
    knot: tuple[float, float, float, float] | None = None


CUTS: dict[str, Cut] = {
    "crop": Cut(0.0045, ramp=0.012, rough=0.0006, sleek=0.35),
    "short": Cut(0.014, ramp=0.045, lift=0.004, rough=0.002),
    "side": Cut(0.016, ramp=0.045, lift=0.016, rough=0.0025),
    "bun": Cut(0.009, ramp=0.035, rough=0.001, knot=(0.0, 0.046, 0.938, 0.038)),
    "low-bun": Cut(0.010, ramp=0.035, rough=0.001, knot=(0.0, 0.078, 0.80, 0.04)),
    "bob": Cut(0.016, ramp=0.05, rough=0.0015, hang=0.722),
    "long": Cut(0.014, ramp=0.05, lift=0.004, rough=0.0015, hang=0.60),
    "afro": Cut(0.03, ramp=0.035, rough=0.003, sleek=0.0, ball=0.134),
}


def angle_from_front(canon: np.ndarray) -> np.ndarray:
    """(N, 3) canonical -> (N,) degrees around the head's axis, 0 ahead, 180 behind."""
    return np.degrees(np.arctan2(np.abs(canon[:, 0] - AXIS[0]), AXIS[1] - canon[:, 1]))


def behind_hairline(canon: np.ndarray) -> np.ndarray:
    """(N, 3) canonical -> (N,) metres above the hairline; negative on the face and neck."""
    return canon[:, 2] - np.interp(angle_from_front(canon), HAIRLINE[:, 0], HAIRLINE[:, 1])


def grow_hair(body: Body, whole: Part, card: SignerCard) -> list[Part]:
    """The parts of a signer's hair; none for 'bald'."""
    if card.hair.style == "bald":
        return []
    cut = CUTS[card.hair.style]
    arrays = body.arrays
    canon = arrays["vertices"][0]
    on_scalp = (canon[:, 2] > 0.735) & (arrays["base_index"] < 13380) & (arrays["label_mouth_inside"] < 100)
    keep = on_scalp[whole.triangles].all(1)
    fit = _affine(canon[on_scalp & (canon[:, 2] > 0.80)], whole.position[on_scalp & (canon[:, 2] > 0.80)])
    parts = [_shell(body, whole.select(keep), arrays["label_ear"][np.unique(whole.triangles[keep])], cut)]
    if cut.hang is not None:
        parts.append(_hanging(body, cut, fit))
    if cut.knot is not None:
        parts.append(_knot(body, cut.knot, fit))
    return [part.tint(card.hair.colour, cut.sleek) for part in parts]


def _affine(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(4, 3) least-squares map from canonical places to the signer's."""
    return np.linalg.lstsq(np.c_[source, np.ones(len(source))], target, rcond=None)[0]


def _rough(canon: np.ndarray) -> np.ndarray:
    """(N,) in about [-1, 1]: locks of hair."""
    around = np.arctan2(canon[:, 0] - AXIS[0], AXIS[1] - canon[:, 1])
    x, y, z = canon.T
    return (
        np.sin(around * 17 + 2 * np.sin(z * 40))
        + np.sin(around * 41 + z * 60) * 0.6
        + np.sin(x * 150 + 2 * np.sin(y * 90)) * np.sin(y * 130) * np.sin(z * 140) * 1.2
    ) / 2


def _shell(body: Body, scalp: Part, ear: np.ndarray, cut: Cut) -> Part:
    """The scalp moved out by the hair's thickness, which vanishes into the skin at the hairline."""
    scalp.material = HAIR
    scalp.attributes = scalp.attributes.copy()
    scalp.attributes[:, CANON + 3] = ear / 255.0  # carried through the subdivision
    fine = scalp.subdivided()
    canon = fine.attributes[:, CANON : CANON + 3]
    field = behind_hairline(canon)
    field = np.minimum(field, 0.02 - 0.06 * fine.attributes[:, CANON + 3])
    depth = np.clip(field / cut.ramp, 0, 1)
    depth = depth * (2 - depth)
    front = np.clip((-0.05 - canon[:, 1]) / 0.05, 0, 1) * np.clip((canon[:, 2] - 0.885) / 0.03, 0, 1)
    parting = np.clip(0.5 + (canon[:, 0] + 0.02) / 0.03, 0, 1)
    full = np.full(len(canon), cut.thickness)
    if cut.ball > 0:
        full = np.clip(cut.ball - np.linalg.norm(canon - MIDDLE, axis=1), 0.02, 0.075)
    thickness = depth * (full + cut.lift * front * parting + cut.rough * _rough(canon)) - 0.001
    fine.position = (
        fine.position + vertex_normals(fine.position, fine.triangles) * thickness[:, None]
    ).astype(np.float32)
    shell = fine.cut(field)[0]
    shell.both_sides = cut.ball > 0  # thick enough to be looked under
    return shell


def _part_from_grid(
    body: Body, canon: np.ndarray, rows: int, columns: int, closed: bool, neck: np.ndarray, fit: np.ndarray
) -> Part:
    """A sheet of rows x columns canonical places; neck (N,) is the share that follows the neck."""
    weights = np.zeros((len(canon), len(body.joints)), np.float32)
    weights[:, body.index["head"]] = 1 - neck
    weights[:, body.index["neck01"]] = neck
    grid = np.arange(rows * columns).reshape(rows, columns)
    right = np.roll(grid, -1, axis=1) if closed else grid[:, 1:]
    left = grid if closed else grid[:, :-1]
    a, b, c, d = left[:-1].ravel(), right[:-1].ravel(), right[1:].ravel(), left[1:].ravel()
    triangles = np.concatenate([np.stack([a, c, b], 1), np.stack([a, d, c], 1)])
    attributes = np.zeros((len(canon), ATTRIBUTES), np.float32)
    attributes[:, CANON : CANON + 3] = canon
    position = (np.c_[canon, np.ones(len(canon))] @ fit).astype(np.float32)
    face = np.zeros((len(canon), len(body.face_actions), 3), np.float32)
    return Part(position, weights, face, attributes, triangles, HAIR, both_sides=not closed)


def _hanging(body: Body, cut: Cut, fit: np.ndarray) -> Part:
    """Hair that falls from the crown around the back of the head, never further forward than the cheeks."""
    assert cut.hang is not None
    rows, columns = 22, 90
    t = np.linspace(0, 1, rows)[:, None]
    s = np.linspace(-1, 1, columns)[None, :]
    top = CROWN - 0.028
    z = top + (cut.hang - top) * t + 0 * s
    below = np.clip((0.79 - z) / 0.15, 0, 1)
    tucked = cut.hang < 0.7  # long hair is worn behind the ears and shoulders
    start = 99 + 6 * below if tucked else 64 + 2 * below  # degrees from ahead where the sheet begins
    around = np.radians(180 + (180 - start) * s)
    wide = np.clip((top - z) / 0.09, 0, 1)
    wide = np.sqrt(wide * (2 - wide))
    curl = np.clip((cut.hang + 0.03 - z) / 0.03, 0, 1) ** 2 * (0.0 if tucked else 0.018)
    lock = 0.0025 * (np.sin(around * 21 + z * 30) + np.sin(around * 47) * 0.5)
    rx = 0.055 + (0.033 if tucked else 0.041) * wide + lock - curl
    ry = 0.065 + 0.035 * wide + lock - curl
    edge = np.clip((np.abs(s) - 0.93) / 0.07, 0, 1) ** 2 * 0.008  # the front edge turns in
    x = AXIS[0] + np.sin(around) * (rx - edge)
    y = AXIS[1] - np.cos(around) * (ry - edge)
    canon = np.stack([x, y, z], -1).reshape(-1, 3)
    neck = np.clip((0.74 - canon[:, 2]) / 0.16, 0, 0.6)
    return _part_from_grid(body, canon, rows, columns, False, neck, fit)


def _knot(body: Body, knot: tuple[float, float, float, float], fit: np.ndarray) -> Part:
    """A bun: a ball with twisted locks."""
    rows, columns = 14, 28
    x, y, z, radius = knot
    polar = np.linspace(0.02, np.pi - 0.02, rows)[:, None]
    around = (np.arange(columns) / columns * 2 * np.pi)[None, :]
    r = radius * (1 + 0.05 * np.sin(around * 5 + polar * 4))
    canon = np.stack(
        [
            x + 1.08 * r * np.sin(polar) * np.sin(around),
            y - r * np.sin(polar) * np.cos(around),
            z + 0.85 * r * np.cos(polar) + 0 * around,
        ],
        -1,
    ).reshape(-1, 3)
    return _part_from_grid(body, canon, rows, columns, True, np.zeros(len(canon)), fit)
