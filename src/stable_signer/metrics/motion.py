"""How good is a motion: distances to a reference under time warping, and what can be seen without one.

Numbers that can be gamed have their companions: a still figure wins DTW distances, so the ratio of the
distances travelled stands beside them, and the ratio of the lengths. All positions are metres on the
reference signer, from the middle of the shoulders (so that sway and place do not count); angles are radians,
unless a name says degrees.

DTW: the path of least cost with steps (1, 1), (1, 0), (0, 1) (Sakoe & Chiba 1978); a distance is the mean
cost along that path. `dtw_mje` has the mean distance of the joints of head, arms and fingers as its cost (as
in Progressive Transformers, Saunders et al. 2020, with other joints); `dtw_hands` has, for each hand, the
distance of the wrists plus the mean distance of the 20 finger points about the wrist in the palm's own axes,
a mean over the two hands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from stable_signer.body import rotation
from stable_signer.body.kernels import kernel
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError
from stable_signer.metrics.handshape import palm_frames
from stable_signer.metrics.posed import at_rest, points_of_body, posed
from stable_signer.slp_moe.clearance import hands_overlap, penetration
from stable_signer.slp_moe.phonology import BODY, HEAD, Phonology
from stable_signer.slp_moe.places import PLACES

ARM = ("clavicle", "upperarm01", "lowerarm01", "wrist")
COMPARED = ("dtw_mje", "dtw_hands", "length_ratio", "distance_ratio")
DESCRIBED = (
    "jitter",
    "peak_turn",
    "peak_wrist",
    "largest_step_degrees",
    "inside_body",
    "inside_hand",
    "travel",
)
SKIN = 0.012  # metres from a hand's points to its surface


@dataclass(frozen=True, eq=False)
class Places:
    """Where a motion's joints are.

    joints: (T, K, 3) of head, arms and fingers, from the middle of the shoulders. hands: (T, 2, 21, 3)
    MediaPipe's points, right then left, in the same frame. world: (T, J, 3) and turns (T, J, 3, 3) of every
    joint. fps: frames a second.
    """

    joints: np.ndarray
    hands: np.ndarray
    world: np.ndarray
    turns: np.ndarray
    fps: float


@lru_cache(maxsize=1)
def _rig() -> tuple[tuple[int, ...], tuple[int, int]]:
    """Indices of the joints that are compared, and of the shoulders."""
    body = Body.load()
    names = [f"{a}.{s}" for s in "RL" for a in ARM]
    fingers = [n for n in body.joints if n.startswith("finger")]
    joints = tuple(body.index[n] for n in ["head", *names, *fingers])
    shoulders = (body.index["upperarm01.R"], body.index["upperarm01.L"])
    return joints, shoulders


def places(motion: Motion) -> Places:
    """Forward kinematics of a motion on the reference signer."""
    joints, shoulders = _rig()
    turns, world = posed(motion.rotations)
    middle = world[:, list(shoulders)].mean(1, keepdim=True)
    hands = torch.stack([points_of_body().hand(turns, world, s) for s in "RL"], 1) - middle[:, None]
    return Places(
        (world[:, list(joints)] - middle).numpy(), hands.numpy(), world.numpy(), turns.numpy(), motion.fps
    )


def hand_states(at: Places) -> np.ndarray:
    """(T, 2, 21, 3): per hand its wrist, then its 20 finger points about the wrist in palm axes, metres."""
    out = np.empty_like(at.hands)
    for s, flip in enumerate((1.0, -1.0)):
        hand = at.hands[:, s] * np.array([flip, 1.0, 1.0], np.float32)
        out[:, s, 1:] = (hand[:, 1:] - hand[:, :1]) @ palm_frames(hand.astype(float))
    out[:, :, 0] = at.hands[:, :, 0]
    return np.nan_to_num(out)


@kernel
def _warp(cost: np.ndarray) -> tuple[float, int]:
    """Total cost and length of the cheapest path through a cost matrix."""
    n, m = cost.shape
    total = np.empty((n, m))
    steps = np.empty((n, m), np.int64)
    for i in range(n):
        for j in range(m):
            if i == 0 and j == 0:
                total[i, j], steps[i, j] = cost[0, 0], 1
                continue
            best, length = np.inf, 0
            if i > 0 and j > 0:
                best, length = total[i - 1, j - 1], steps[i - 1, j - 1]
            if i > 0 and total[i - 1, j] < best:
                best, length = total[i - 1, j], steps[i - 1, j]
            if j > 0 and total[i, j - 1] < best:
                best, length = total[i, j - 1], steps[i, j - 1]
            total[i, j], steps[i, j] = best + cost[i, j], length + 1
    return total[n - 1, m - 1], steps[n - 1, m - 1]


@kernel
def _costs(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted sums of distances of points a (T, K, 3) and b (S, K, 3) -> (T, S)."""
    out = np.zeros((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            total = 0.0
            for k in range(a.shape[1]):
                x = a[i, k, 0] - b[j, k, 0]
                y = a[i, k, 1] - b[j, k, 1]
                z = a[i, k, 2] - b[j, k, 2]
                total += weight[k] * np.sqrt(x * x + y * y + z * z)
            out[i, j] = total
    return out


def dtw(a: np.ndarray, b: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean cost along the best path between points a (T, K, 3) and b (S, K, 3).

    weight: (K,) of each point's distance in the cost; by default their mean. Symmetric, 0 for equal paths.
    """
    if a.ndim != 3 or b.ndim != 3 or a.shape[1:] != b.shape[1:] or not len(a) or not len(b):
        raise StableSignerError(f"paths of points must be (T, K, 3) alike, not {a.shape} and {b.shape}")
    weight = np.full(a.shape[1], 1 / a.shape[1]) if weight is None else weight
    total, steps = _warp(_costs(a.astype(np.float64), b.astype(np.float64), weight.astype(np.float64)))
    return total / steps


def travel(at: Places) -> float:
    """Metres that wrists and finger points went, a mean over the points of both hands."""
    return (
        float(np.linalg.norm(np.diff(at.hands, axis=0), axis=-1).sum(0).mean()) if len(at.hands) > 1 else 0.0
    )


HAND_WEIGHTS = np.tile(np.array([1.0] + [1 / 20] * 20), 2) / 2


def compare(made: Motion, real: Motion) -> dict[str, float]:
    """A motion against its reference: the keys of COMPARED.

    length_ratio and distance_ratio are made over real; the latter is NaN when the reference stands still.
    """
    a, b = places(made), places(real)
    return {
        "dtw_mje": dtw(a.joints, b.joints),
        "dtw_hands": dtw(
            hand_states(a).reshape(len(made), 42, 3), hand_states(b).reshape(len(real), 42, 3), HAND_WEIGHTS
        ),
        "length_ratio": made.duration / real.duration,
        "distance_ratio": travel(a) / travel(b) if travel(b) > 1e-6 else float("nan"),
    }


def describe(motion: Motion) -> dict[str, float]:
    """What a motion alone tells: the keys of DESCRIBED.

    jitter: mean length of the third difference of the hands' points, m/s³ (raw: noise is not smoothed away).
    peak_turn: the fastest joint, rad/s. peak_wrist: m/s. largest_step_degrees: the largest turn of a joint
    from one frame to the next. inside_body, inside_hand: metres by which a hand is at the deepest inside
    trunk or head, or the other hand. travel: metres, see `travel`.
    """
    at = places(motion)
    q = motion.quaternions
    steps = rotation.turn_between(q[:-1], q[1:]) if len(q) > 1 else np.zeros((1, q.shape[1]))
    wrists = (
        np.linalg.norm(np.diff(at.hands[:, :, 0], axis=0), axis=-1) * at.fps if len(q) > 1 else np.zeros(1)
    )
    third = np.diff(at.hands, 3, axis=0) * at.fps**3 if len(q) > 3 else np.zeros((1, 3))
    depth = [np.linalg.norm(penetration(q, s), axis=-1).max() for s in "RL"]
    return {
        "jitter": float(np.linalg.norm(third, axis=-1).mean()),
        "peak_turn": float(steps.max() * at.fps),
        "peak_wrist": float(wrists.max()),
        "largest_step_degrees": float(np.degrees(steps.max())),
        "inside_body": float(max(depth)),
        "inside_hand": float(np.linalg.norm(hands_overlap(q), axis=-1).max()),
        "travel": travel(at),
    }


def contact_error(motion: Motion, sign: Phonology) -> float | None:
    """Metres from the hand to where the sign touches, at its nearest: 0 when it touches; None: no contact.

    Head and trunk: from the right hand's points to the place, less the skin. The other hand or arm: from one
    hand's points to the other's (or to the left forearm's).
    """
    if not sign.contact:
        return None
    at = places(motion)
    right = _world_hand(at, 0)
    if sign.major in ("Hand", "Arm") and sign.minor != "UpperArm":
        other = _world_hand(at, 1)
        body = Body.load()
        wrist, elbow = (at.world[:, body.index[f"{n}.L"]] for n in ("wrist", "lowerarm01"))
        arm = np.stack([wrist + (elbow - wrist) * k for k in (0.25, 0.5, 0.75)], 1)
        target = np.concatenate([other, arm], 1)
        gap = np.linalg.norm(right[:, :, None] - target[:, None], axis=-1).min((1, 2)) - 2 * SKIN
        return float(max(gap.min(), 0.0))
    name = HEAD.get(sign.minor) if sign.major == "Head" else BODY.get(sign.minor)
    if name is None:
        return None
    gaps = []
    for mirror in (1.0, -1.0):  # either side of the body counts: which one is not coded
        place = _carried(
            at, np.array(PLACES[name]) * [mirror, 1, 1], "head" if sign.major == "Head" else "spine01"
        )
        gaps.append(np.linalg.norm(right - place[:, None], axis=-1).min() - SKIN)
    return float(max(min(gaps), 0.0))


def _world_hand(at: Places, side: int) -> np.ndarray:
    """(T, 21, 3) points of a hand where the joints' world is."""
    _, shoulders = _rig()
    return np.asarray(at.hands[:, side] + at.world[:, list(shoulders)].mean(1)[:, None])


def _joint_at_rest(name: str) -> np.ndarray:
    return at_rest()[1][0, Body.load().index[name]].numpy()


def _carried(at: Places, place: np.ndarray, joint: str) -> np.ndarray:
    """A place of the upright body (3,) as the joint carries it (T, 3)."""
    j = Body.load().index[joint]
    return np.asarray(at.world[:, j] + at.turns[:, j] @ (place - _joint_at_rest(joint)))


# ----------------------------------------------------------------------------------------------------
# Many at once, and the floors
# ----------------------------------------------------------------------------------------------------


def mean_pose(motions: Sequence[Motion], frames: int) -> Motion:
    """The floor that stands still: the mean of all frames of all motions, held for `frames`."""
    six = np.concatenate([m.rotations for m in motions]).mean(0)
    quaternion = rotation.six_to_quaternion(six)  # orthogonal again
    row = rotation.quaternion_to_six(quaternion).astype(np.float32)
    face = np.concatenate([m.face for m in motions]).mean(0)
    return Motion(
        np.repeat(row[None], frames, 0),
        np.repeat(face[None], frames, 0).astype(np.float32),
        np.zeros((frames, 3), np.float32),
        motions[0].fps,
    )


def shuffled(motions: Sequence[Motion], seed: int = 0) -> list[Motion]:
    """The floor that says something else: every motion in another's place (a random cycle)."""
    if len(motions) < 2:
        raise StableSignerError("one motion alone cannot be shuffled: give at least two")
    order = np.random.default_rng(seed).permutation(len(motions))
    out = list(motions)
    for a, b in zip(order, np.roll(order, 1), strict=True):
        out[a] = motions[b]
    return out


def evaluate(made: Sequence[Motion], real: Sequence[Motion]) -> dict[str, float]:
    """Means of `compare` and `describe` over pairs; jitter and peaks also as 95th percentiles (`_p95`)."""
    if len(made) != len(real) or not made:
        raise StableSignerError(
            f"there are {len(made)} motions for {len(real)} references: give one for each"
        )
    rows = [compare(a, b) | describe(a) for a, b in zip(made, real, strict=True)]
    return summary(rows)


def summary(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over rows (NaN left out; of ratios the geometric mean), and DESCRIBED's 95th percentiles."""
    with np.errstate(divide="ignore"):
        out = {
            key: float(np.exp(np.nanmean(np.log([row[key] for row in rows]))))
            if key.endswith("_ratio")
            else float(np.nanmean([row[key] for row in rows]))
            for key in rows[0]
        }
    out |= {
        f"{key}_p95": float(np.percentile([row[key] for row in rows], 95))
        for key in DESCRIBED
        if key in rows[0]
    }
    return out


def evaluation_rows(
    made: Sequence[Motion], real: Sequence[Motion], seed: int = 0
) -> dict[str, dict[str, float]]:
    """The table: 'made', and beside it 'real' against itself shuffled, and the mean pose, as floors."""
    still = [mean_pose(real, len(m)) for m in real]
    return {
        "made": evaluate(made, real),
        "shuffled": evaluate(shuffled(made, seed) if len(made) > 1 else list(made), real),
        "mean pose": evaluate(still, real),
    }
