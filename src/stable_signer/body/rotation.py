"""Rotations over time in NumPy: 6D <-> unit quaternions (w, x, y, z), and smooth paths between them.

Motion is stored as 6D (it has no jumps); paths are drawn on quaternions, whose geodesics are the shortest
turns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def six_to_quaternion(six: Floats) -> Floats:
    """(…, 6) first two columns of a rotation -> (…, 4) unit quaternion with w >= 0."""
    a, b = six[..., :3], six[..., 3:]
    x = a / np.linalg.norm(a, axis=-1, keepdims=True)
    y = b - (x * b).sum(-1, keepdims=True) * x
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    return matrix_to_quaternion(np.stack([x, y, np.cross(x, y)], -1))


def matrix_to_quaternion(m: Floats) -> Floats:
    """(…, 3, 3) -> (…, 4), w >= 0. Each component by its own stable formula, the largest chosen (Shepperd
    1978).
    """
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = np.stack(
        [1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1
    )
    largest = squares.argmax(-1)
    w = np.stack(
        [
            squares[..., 0],
            m[..., 2, 1] - m[..., 1, 2],
            m[..., 0, 2] - m[..., 2, 0],
            m[..., 1, 0] - m[..., 0, 1],
        ],
        -1,
    )
    x = np.stack([w[..., 1], squares[..., 1], m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0]], -1)
    y = np.stack([w[..., 2], x[..., 2], squares[..., 2], m[..., 1, 2] + m[..., 2, 1]], -1)
    z = np.stack([w[..., 3], x[..., 3], y[..., 3], squares[..., 3]], -1)
    candidates = np.stack([w, x, y, z], -2)  # (…, 4 formulas, 4)
    q = np.take_along_axis(candidates, largest[..., None, None], -2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q)


def quaternion_to_six(q: Floats) -> Floats:
    """(…, 4) unit quaternion -> (…, 6)."""
    w, x, y, z = np.moveaxis(q, -1, 0)
    return np.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y + w * z),
            2 * (x * z - w * y),
            2 * (x * y - w * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z + w * x),
        ],
        -1,
    )


def multiply(a: Floats, b: Floats) -> Floats:
    """Quaternion product a b: first turn by b, then by a."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def conjugate(q: Floats) -> Floats:
    """The inverse of a unit quaternion."""
    return q * np.array([1.0, -1.0, -1.0, -1.0])


def log(q: Floats) -> Floats:
    """(…, 4) -> (…, 3) rotation vector in radians, at most pi long."""
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., :1])
    return q[..., 1:] * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)


def exp(vector: Floats) -> Floats:
    """(…, 3) rotation vector in radians -> (…, 4)."""
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    scale = np.where(angle > 1e-9, np.sin(angle / 2) / np.maximum(angle, 1e-9), 0.5)
    return np.concatenate([np.cos(angle / 2), vector * scale], -1)


def slerp(a: Floats, b: Floats, weight: Floats | float) -> Floats:
    """From a (weight 0) to b (weight 1) by the shortest turn; `weight` broadcasts against (…, 1)."""
    return multiply(a, exp(log(multiply(conjugate(a), b)) * weight))


def turn_between(a: Floats, b: Floats) -> Floats:
    """The angle in radians between two rotations (…, 4) -> (…)."""
    return np.linalg.norm(log(multiply(conjugate(a), b)), axis=-1)


def resample(q: Floats, frames: Floats) -> Floats:
    """Read a path (T, …, 4) at fractional frame numbers (N,), by slerp -> (N, …, 4)."""
    frames = np.clip(frames, 0, len(q) - 1)
    low = np.minimum(frames.astype(int), max(len(q) - 2, 0))
    high = np.minimum(low + 1, len(q) - 1)
    weight = (frames - low).reshape(-1, *[1] * (q.ndim - 1))
    return slerp(q[low], q[high], weight)


def between_rows(rows: Floats, frames: Floats) -> Floats:
    """Read rows (T, …) of plain numbers at fractional frame numbers (N,), linearly -> (N, …)."""
    frames = np.clip(frames, 0, len(rows) - 1)
    low = frames.astype(int)
    high = np.minimum(low + 1, len(rows) - 1)
    weight = (frames - low).reshape(-1, *[1] * (rows.ndim - 1)).astype(rows.dtype)
    return rows[low] * (1 - weight) + rows[high] * weight


def calmed(q: Floats, limit: float, rounds: int = 20) -> Floats:
    """Turns (T, J, 4) in which no joint turns more than `limit` radians from one frame to the next, as far
    as `rounds` of smoothing around each leap can do it; what does not leap stays bit by bit. Ends are kept.
    """
    q = q.copy()
    for _ in range(rounds):
        leaps = turn_between(q[:-1], q[1:]) > limit  # (T - 1, J)
        if not leaps.any():
            break
        near = np.zeros(q.shape[:2], bool)
        for shift in (-1, 0, 1, 2):  # both frames of the leap and one more on either side
            rows = np.arange(len(leaps)) + shift
            inside = (rows > 0) & (rows < len(q) - 1)
            near[rows[inside]] |= leaps[inside]
        middle = slerp(q[:-2], q[2:], 0.5)
        smooth = slerp(middle, q[1:-1], 0.5)
        q[1:-1] = np.where(near[1:-1, :, None], smooth, q[1:-1])
    return q


def minimum_jerk(x: Floats) -> Floats:
    """Progress 0..1 of a movement that starts and ends at rest with the least jerk (Flash and Hogan 1985)."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (10 + x * (6 * x - 15))


# The peak speed of a minimum-jerk movement over its mean speed.
MINIMUM_JERK_PEAK = 1.875


def bridge(
    a: Floats, b: Floats, velocity_a: Floats, velocity_b: Floats, duration: float, times: Floats
) -> Floats:
    """A smooth path from rotation a to b, with given angular velocities at its ends.

    a, b: (J, 4). velocity_a, velocity_b: (J, 3) rad/s in the body frame of each end. times: (N,) seconds, 0
    to duration. Returns (N, J, 4). Quintic Hermite with zero end accelerations on the rotation vector from a;
    with both velocities zero it is minimum jerk. The velocities are limited so that the path cannot overshoot
    by more than a third of the turn.
    """
    turn = log(multiply(conjugate(a), b))  # (J, 3)
    reach = np.linalg.norm(turn, axis=-1, keepdims=True) + 0.05
    x = np.clip(times / max(duration, 1e-6), 0, 1)[:, None, None]
    x3 = x * x * x
    rise = x3 * (10 + x * (6 * x - 15))
    leave = x + x3 * (-6 + x * (8 - 3 * x))
    arrive = x3 * (-4 + x * (7 - 3 * x))
    start = _limit(velocity_a * duration, reach)
    end = _limit(velocity_b * duration, reach)
    return multiply(a[None], exp(rise * turn + leave * start + arrive * end))


def _limit(vector: Floats, bound: Floats) -> Floats:
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return vector * np.minimum(1.0, bound / np.maximum(length, 1e-9))
