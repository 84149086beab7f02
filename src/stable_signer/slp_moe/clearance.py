"""Hands stay out of the body, out of each other and in the picture: a pass over composed motion.

The trunk and the head are signed distance grids (`weights/distance.npz`, made by `tools/build_distance.py`);
the hands are points with a radius. Where a point is too deep, the wrist is moved out along the distance's
gradient, with the hand's own turn kept; the correction is smoothed over time, so that it never jumps.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

import numpy as np

from stable_signer.body import rotation
from stable_signer.body.kernels import kernel
from stable_signer.body.skeleton import Body, RestPose
from stable_signer.slp_moe.handshapes import capsule_gap

FINGER_RADIUS, PALM_RADIUS, WRIST_RADIUS = 0.008, 0.012, 0.024  # metres
HANDS_REACH = 0.30  # metres between the wrists, beyond which hands cannot meet
HANDS_TOUCH = 0.004  # metres that two hands give way where they touch
CLOTHES = 0.006  # thickness of what the trunk wears
TOLERANCE = 0.002  # skin gives way a little at a contact
SMALLEST = 0.0007  # metres: less is not corrected
SPREAD, SMOOTH = 3, 2.0  # frames that a correction reaches out, and its smoothing
# What the camera sees of the reference signer (pose2vid/camera.py), less a border: metres in a plane
# VIEW_PLANE before the hips, VIEW_DISTANCE before the camera.
VIEW_HALF, VIEW_TOP, VIEW_MIDDLE, VIEW_PLANE, VIEW_DISTANCE = 0.46, 0.95, 0.5, 0.13, 3.05
LARGEST_PUSH = 0.20  # metres


class _Solid:
    """A signed distance grid carried by a joint."""

    def __init__(self, arrays: dict[str, np.ndarray], name: str, body: Body) -> None:
        self.grid = arrays[f"{name}_mm"].astype(np.float32) / 1000
        self.origin, self.cell = arrays[f"{name}_origin"], float(arrays[f"{name}_cell"])
        self.joint = body.index[str(arrays[f"{name}_joint"])]
        self.cover = CLOTHES if name == "trunk" else 0.0

    def distance(self, local: np.ndarray) -> np.ndarray:
        """Points (…, 3) in the carrier's frame -> metres (…), trilinear; 1 m outside the grid."""
        at = (local - self.origin) / self.cell
        top = np.array(self.grid.shape) - 1
        inside = ((at >= 0) & (at < top)).all(-1)
        low = np.clip(at.astype(int), 0, top - 1)
        part = np.clip(at - low, 0, 1)
        out = np.zeros(local.shape[:-1], dtype=np.float32)
        for corner in range(8):
            step = np.array([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
            weight = np.where(step, part, 1 - part).prod(-1)
            index = low + step
            out += weight * self.grid[index[..., 0], index[..., 1], index[..., 2]]
        return np.where(inside, out - self.cover, 1.0)

    def push(self, points: np.ndarray, radius: np.ndarray, turn: np.ndarray, place: np.ndarray) -> np.ndarray:
        """How each frame's points (T, K, 3) must move together to come out (T, 3), world frame."""
        local = np.einsum("tba,tkb->tka", turn, points - place[:, None])
        deep = radius - TOLERANCE - self.distance(local)  # (T, K) > 0 where too deep
        worst = deep.argmax(1)
        depth = np.maximum(np.take_along_axis(deep, worst[:, None], 1)[:, 0], 0)
        if not depth.any():
            return np.zeros((len(points), 3))
        at = np.take_along_axis(local, worst[:, None, None], 1)[:, 0]  # (T, 3)
        h = self.cell
        steps = np.eye(3) * h
        slope = np.stack([self.distance(at + s) - self.distance(at - s) for s in steps], -1)
        slope[:, 1] -= 0.5 * h  # out to the front (-y) when in doubt: hands sign before the body
        slope /= np.maximum(np.linalg.norm(slope, axis=-1, keepdims=True), 1e-9)
        return np.einsum("tab,tb->ta", turn, slope) * depth[:, None]


@lru_cache(maxsize=1)
def _solids() -> tuple[_Solid, ...]:
    path = resources.files("stable_signer") / "weights" / "distance.npz"
    with resources.as_file(path) as file, np.load(file, allow_pickle=False) as data:
        arrays = {key: data[key] for key in data.files}
    return tuple(_Solid(arrays, name, Body.load()) for name in ("trunk", "head"))


@lru_cache(maxsize=1)
def _rest() -> RestPose:
    return Body.load().signer(Body.load().signer_ids[0])


def keep_clear(q: np.ndarray) -> np.ndarray:
    """Move hands out of the trunk, the head and each other. q: (T, J, 4) at any frame rate."""
    for _ in range(12):  # a push out of one solid, smoothed, may leave a remainder
        still = True
        for side in ("R", "L"):
            push = _worth(penetration(q, side))
            if push.any():
                still, q = False, move_wrist(q, side, _spread(push))
        push = _worth(hands_overlap(q))
        if push.any():
            apart = 0.5 * _spread(push)
            still, q = False, move_wrist(move_wrist(q, "R", apart), "L", -apart)
        if still:
            break
    return q


def _worth(push: np.ndarray) -> np.ndarray:
    """A push (T, 3) without what is too little to correct, frame by frame: what happens to a frame must not
    depend on how long others far from it need."""
    return np.where(_norm(push) > SMALLEST, push, 0.0)


def hands_overlap(q: np.ndarray) -> np.ndarray:
    """(T, 3) metres by which the right hand must move to be out of the left; zero where they only touch."""
    body = Body.load()
    turns, places = kinematics(q)
    wrists = [places[:, body.index[f"wrist.{side}"]] for side in ("R", "L")]
    out = np.zeros((len(q), 3))
    near = np.flatnonzero(np.linalg.norm(wrists[0] - wrists[1], axis=-1) < HANDS_REACH)
    if not len(near):
        return out
    p, q_end, radius = _capsules(turns[near], places[near], "R")
    r, s_end, other = _capsules(turns[near], places[near], "L")
    gap = capsule_gap(p[:, :, None], q_end[:, :, None], r[:, None], s_end[:, None])  # (N, K, K, 3)
    length = np.linalg.norm(gap, axis=-1)
    depth = (radius[:, None] + other - HANDS_TOUCH - length).reshape(len(near), -1)
    worst, rows = depth.argmax(1), np.arange(len(near))
    size = length.reshape(len(near), -1)[rows, worst][:, None]
    away = gap.reshape(len(near), -1, 3)[rows, worst] / np.maximum(size, 1e-6)
    # Where two bones cross there is no way out to read off: take that from palm to palm.
    palms = p[:, -4:].mean(1) - r[:, -4:].mean(1)
    palms /= np.maximum(_norm(palms), 1e-6)
    blend = np.clip(size / HANDS_TOUCH, 0, 1)
    out[near] = (blend * away + (1 - blend) * palms) * np.maximum(depth[rows, worst], 0)[:, None]
    return out


def gaps_to_body(q: np.ndarray, side: str) -> np.ndarray:
    """(T, K) metres between the points of one hand (`hand_points`) and the surface of trunk or head, less the
    points' radii: negative inside, at most 1."""
    turns, places = kinematics(q)
    points, radius = hand_points(turns, places, side)
    gaps = []
    for solid in _solids():
        turn, place = turns[:, solid.joint], places[:, solid.joint]
        local = np.einsum("tba,tkb->tka", turn, points - place[:, None])
        gaps.append(solid.distance(local) - radius)
    return np.asarray(np.min(gaps, axis=0))


def gap_between_hands(q: np.ndarray) -> np.ndarray:
    """(T,) metres between the hands' surfaces, negative where they overlap."""
    turns, places = kinematics(q)
    p, q_end, radius = _capsules(turns, places, "R")
    r, s_end, other = _capsules(turns, places, "L")
    gap = capsule_gap(p[:, :, None], q_end[:, :, None], r[:, None], s_end[:, None])  # (T, K, K, 3)
    return np.asarray((np.linalg.norm(gap, axis=-1) - radius[:, None] - other).min((1, 2)))


def _capsules(turns: np.ndarray, places: np.ndarray, side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A hand as 15 phalanges and 4 rays of the palm: starts and ends (T, 19, 3), radii (19,)."""
    body, offsets = Body.load(), _rest().offsets.numpy()
    starts, ends = [], []
    for finger in range(1, 6):
        chain = [body.index[f"finger{finger}-{k}.{side}"] for k in (1, 2, 3)]
        tip = places[:, chain[2]] + turns[:, chain[2]] @ (0.9 * offsets[chain[2]])
        starts += [places[:, j] for j in chain]
        ends += [places[:, chain[1]], places[:, chain[2]], tip]
    for finger in range(2, 6):
        starts.append(places[:, body.index[f"wrist.{side}"]])
        ends.append(places[:, body.index[f"finger{finger}-1.{side}"]])
    radius = np.array([FINGER_RADIUS] * 15 + [PALM_RADIUS] * 4)
    return np.stack(starts, 1), np.stack(ends, 1), radius


def keep_in_view(q: np.ndarray) -> np.ndarray:
    """Move hands that would leave the picture back to its border. q: (T, J, 4)."""
    for side in ("R", "L"):
        turns, places = kinematics(q)
        points, _ = hand_points(turns, places, side)
        nearness = VIEW_DISTANCE / (
            VIEW_DISTANCE + points[..., 1] + VIEW_PLANE
        )  # nearer to the camera: larger
        x, z = points[..., 0] * nearness, VIEW_MIDDLE + (points[..., 2] - VIEW_MIDDLE) * nearness
        push = np.zeros((len(q), 3))
        push[:, 0] = -np.maximum(x.max(1) - VIEW_HALF, 0) + np.maximum(-VIEW_HALF - x.min(1), 0)
        push[:, 2] = -np.maximum(z.max(1) - VIEW_TOP, 0)
        if push.any():
            q = move_wrist(q, side, _spread(push))
    return q


def penetration(q: np.ndarray, side: str) -> np.ndarray:
    """(T, 3) metres by which one hand must move to be out of trunk and head; zero where it is out."""
    turns, places = kinematics(q)
    points, radius = hand_points(turns, places, side)
    total = np.zeros((len(q), 3))
    for solid in _solids():
        total += solid.push(points + total[:, None], radius, turns[:, solid.joint], places[:, solid.joint])
    length = np.linalg.norm(total, axis=-1, keepdims=True)
    return total * np.minimum(1.0, LARGEST_PUSH / np.maximum(length, 1e-9))


def kinematics(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World turns (T, J, 3, 3) and places (T, J, 3) of the reference signer's joints, for q (T, J, 4)."""
    parents, offsets = _chain()
    return _forward(np.ascontiguousarray(q, dtype=np.float64), parents, offsets)


@lru_cache(maxsize=1)
def _chain() -> tuple[np.ndarray, np.ndarray]:
    """Parents (J,) and offsets (J, 3) of the reference signer's joints."""
    return np.array(Body.load().parents), _rest().offsets.numpy().astype(np.float64)


@kernel
def _forward(
    q: np.ndarray, parents: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover - compiled
    """`skeleton.forward_kinematics` of quaternions, compiled: it is asked for often, a few frames at a time.
    A joint comes after its parent."""
    frames, joints = q.shape[:2]
    turns, places = np.empty((frames, joints, 3, 3)), np.empty((frames, joints, 3))
    for t in range(frames):
        for j in range(joints):
            w, x, y, z = q[t, j, 0], q[t, j, 1], q[t, j, 2], q[t, j, 3]
            m00, m01, m02 = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
            m10, m11, m12 = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
            m20, m21, m22 = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
            parent = parents[j]
            if parent < 0:
                turn = turns[t, j]
                turn[0, 0], turn[0, 1], turn[0, 2] = m00, m01, m02
                turn[1, 0], turn[1, 1], turn[1, 2] = m10, m11, m12
                turn[2, 0], turn[2, 1], turn[2, 2] = m20, m21, m22
                for a in range(3):
                    places[t, j, a] = offsets[j, a]
                continue
            for a in range(3):
                p0, p1, p2 = turns[t, parent, a, 0], turns[t, parent, a, 1], turns[t, parent, a, 2]
                turns[t, j, a, 0] = p0 * m00 + p1 * m10 + p2 * m20
                turns[t, j, a, 1] = p0 * m01 + p1 * m11 + p2 * m21
                turns[t, j, a, 2] = p0 * m02 + p1 * m12 + p2 * m22
                moved = p0 * offsets[j, 0] + p1 * offsets[j, 1] + p2 * offsets[j, 2]
                places[t, j, a] = places[t, parent, a] + moved
    return turns, places


def hand_points(turns: np.ndarray, places: np.ndarray, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Points of a hand and forearm (T, K, 3) with their radii (K,)."""
    body, offsets = Body.load(), _rest().offsets.numpy()
    joints = [i for i in body.side(side) if body.joints[i].startswith(("finger", "metacarpal"))]
    last = [i for i in joints if body.joints[i][:9].endswith("-3")]
    # A fingertip is about nine tenths of the middle phalanx beyond the last joint.
    tips = places[:, last] + np.einsum("tkab,kb->tka", turns[:, last], 0.9 * offsets[last])
    wrist, elbow = places[:, [body.index[f"wrist.{side}"]]], places[:, [body.index[f"lowerarm01.{side}"]]]
    points = np.concatenate([places[:, joints], tips, wrist, 0.6 * wrist + 0.4 * elbow], 1)
    radius = np.array([FINGER_RADIUS] * (len(joints) + len(last)) + [WRIST_RADIUS] * 2)
    return points, radius


def move_wrist(q: np.ndarray, side: str, shift: np.ndarray) -> np.ndarray:
    """Move one wrist by `shift` (T, 3) metres: elbow and shoulder follow in the arm's own plane, the hand
    keeps its turn in space. Out of reach is clamped."""
    body = Body.load()
    turns, places = kinematics(q)
    name = {
        k: body.index[f"{k}.{side}"]
        for k in ("upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist")
    }
    shoulder, elbow, wrist = (places[:, name[k]] for k in ("upperarm01", "lowerarm01", "wrist"))
    upper, fore = _norm(elbow - shoulder), _norm(wrist - elbow)
    goal = wrist + shift - shoulder
    reach = np.clip(_norm(goal), abs(upper - fore) + 0.02, (upper + fore) * 0.998)
    along = goal / _norm(goal)
    aside = (elbow - shoulder) - ((elbow - shoulder) * along).sum(-1, keepdims=True) * along
    aside /= np.maximum(_norm(aside), 1e-9)
    a = (reach**2 + upper**2 - fore**2) / (2 * reach)
    new_elbow = shoulder + a * along + np.sqrt(np.maximum(upper**2 - a**2, 0)) * aside
    new_wrist = shoulder + reach * along
    turn_upper = _between(elbow - shoulder, new_elbow - shoulder)
    turn_fore = _between(wrist - elbow, new_wrist - new_elbow)
    world = {k: rotation.matrix_to_quaternion(turns[:, j]) for k, j in name.items()}
    parent = rotation.matrix_to_quaternion(turns[:, body.parents[name["upperarm01"]]])
    moved = {
        "upperarm01": rotation.multiply(turn_upper, world["upperarm01"]),
        "upperarm02": rotation.multiply(turn_upper, world["upperarm02"]),
        "lowerarm01": rotation.multiply(turn_fore, world["lowerarm01"]),
        "lowerarm02": rotation.multiply(turn_fore, world["lowerarm02"]),
    }
    out = q.copy()
    out[:, name["upperarm01"]] = rotation.multiply(rotation.conjugate(parent), moved["upperarm01"])
    out[:, name["lowerarm01"]] = rotation.multiply(
        rotation.conjugate(moved["upperarm02"]), moved["lowerarm01"]
    )
    out[:, name["wrist"]] = rotation.multiply(rotation.conjugate(moved["lowerarm02"]), world["wrist"])
    still = ~shift.any(-1)
    out[still] = q[still]
    return out


def _spread(push: np.ndarray) -> np.ndarray:
    """A push (T, 3) that reaches its neighbours in time: the largest nearby, then smoothed."""
    size = _norm(push)[:, 0]
    padded = np.pad(size, SPREAD)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * SPREAD + 1)
    largest = windows.max(1)
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / SMOOTH) ** 2)
    kernel /= kernel.sum()
    length = np.convolve(np.pad(largest, 6, mode="edge"), kernel, mode="valid")
    wide = np.exp(-0.5 * (np.arange(-12, 13) / 4) ** 2)
    direction = np.stack([np.convolve(np.pad(push[:, k], 12), wide, mode="valid") for k in range(3)], -1)
    norm = _norm(direction)
    direction = np.where(norm > 1e-9, direction / np.maximum(norm, 1e-9), 0)
    return np.asarray(direction * np.maximum(length, 0)[:, None])


def _norm(vector: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(vector, axis=-1, keepdims=True))


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The shortest turn from vectors a to b (T, 3) -> quaternions (T, 4)."""
    a, b = a / _norm(a), b / _norm(b)
    q = np.concatenate([1 + (a * b).sum(-1, keepdims=True), np.cross(a, b)], -1)
    return np.asarray(q / _norm(q))
