"""Inverse kinematics of the arms: from where a hand is and how it is turned to the rotations of seven joints.

The two-bone problem is solved in closed form for every frame at once (Tolani, Goswami & Badler 2000,
"Real-time inverse kinematics techniques for anthropomorphic limbs"); what is left free, the swivel of the
elbow about the line from shoulder to wrist, is chosen where elbow, forearm and wrist are most at ease. The
choice is a soft minimum over a fixed set of angles, so that it moves smoothly when the target does.

A *palm frame* (3, 3) has the columns (side, fingers, normal): `fingers` runs from the wrist to the knuckle
of the middle finger, `normal` comes out of the palm, side = fingers × normal (for a right hand: towards the
thumb). Frame of reference as in `body.skeleton`: metres, z up, the signer faces -y, the right hand is at
negative x.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from stable_signer.body.skeleton import Body, RestPose, forward_kinematics
from stable_signer.errors import StableSignerError

ARM = ("clavicle", "shoulder01", "upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist")
FINGER_JOINTS = tuple(f"finger{f}-{k}" for f in range(1, 6) for k in range(1, 4))

# Limits of the joints in radians (American Academy of Orthopaedic Surgeons' normal ranges, rounded).
WRIST_FLEXION = (-1.15, 1.30)  # extension, flexion
WRIST_DEVIATION = (-0.65, 0.45)  # towards the little finger, towards the thumb
FOREARM_TURN = (-1.65, 1.60)  # pronated (palm down), supinated (palm up), from thumb up
ELBOW_BEND = (0.06, 2.55)

# radians; 0 has the elbow at its lowest, positive lifts it to the outside
SWIVELS = np.linspace(-0.9, 2.1, 61)
SWIVEL_EASE = 0.22


@dataclass(frozen=True)
class ArmTargets:
    """What an arm does, free of the build: wrist (T, 3) metres, palm (T, 3, 3), swivel (T,) radians."""

    wrist: np.ndarray
    palm: np.ndarray
    swivel: np.ndarray


@dataclass(frozen=True)
class ArmGeometry:
    """One arm of one signer in the reference pose.

    sign: -1 for the right arm (at negative x), +1 for the left. joints: the seven indices of ARM in the
    skeleton. offsets: (7, 3) from the parent joint. upper, fore: unit vectors of the upper arm and the
    forearm; hinge: the axis about which the elbow bends; bend: how far it is bent (radians). palm: (3, 3)
    the hand's frame. turn: how far the forearm is supinated in the reference pose (radians). chest: (3,)
    the clavicle's parent joint.
    """

    sign: float
    joints: tuple[int, ...]
    offsets: np.ndarray
    upper: np.ndarray
    fore: np.ndarray
    upper_length: float
    fore_length: float
    hinge: np.ndarray
    bend: float
    palm: np.ndarray
    turn: float
    parent: int

    @property
    def wrist_axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Axes of the wrist's flexion and of its deviation towards the thumb, square to the forearm."""
        flexion = unit(self.palm[:, 0] - (self.palm[:, 0] @ self.fore) * self.fore)
        return flexion, np.cross(flexion, self.fore) * self.sign


def unit(vector: np.ndarray) -> np.ndarray:
    """(…, 3) scaled to length 1."""
    length: np.ndarray = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.asarray(vector / np.maximum(length, 1e-12))


def rotation(axis: np.ndarray, angle: np.ndarray | float) -> np.ndarray:
    """Rotation about unit axes (…, 3) by angles (…) in radians -> (…, 3, 3)."""
    angle = np.asarray(angle, dtype=float)
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = axis[..., 0], axis[..., 1], axis[..., 2]
    dx, dy, dz = (1 - c) * x, (1 - c) * y, (1 - c) * z
    out = np.empty((*dx.shape, 3, 3))
    out[..., 0, 0], out[..., 0, 1], out[..., 0, 2] = c + dx * x, dx * y - s * z, dx * z + s * y
    out[..., 1, 0], out[..., 1, 1], out[..., 1, 2] = dx * y + s * z, c + dy * y, dy * z - s * x
    out[..., 2, 0], out[..., 2, 1], out[..., 2, 2] = dx * z - s * y, dy * z + s * x, c + dz * z
    return out


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The shortest rotation (…, 3, 3) from unit vectors a (…, 3) to b (…, 3)."""
    a, b = np.broadcast_arrays(a, b)
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis, axis=-1)
    spare = unit(np.cross(a, np.where(np.abs(a[..., :1]) < 0.7, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])))
    axis = np.where((sine > 1e-9)[..., None], axis / np.maximum(sine, 1e-9)[..., None], spare)
    return rotation(axis, np.arctan2(sine, (a * b).sum(-1)))


def frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Right-handed frame (…, 3, 3): column 0 along `first`, column 1 as near to `second` as that leaves
    it.
    """
    x = unit(first)
    y = unit(second - (x * second).sum(-1, keepdims=True) * x)
    return np.stack([x, y, np.cross(x, y)], -1)


def palm_frame(normal: np.ndarray, fingers: np.ndarray) -> np.ndarray:
    """Palm frame (…, 3, 3) from the palm's normal and the fingers' direction; the fingers decide if not
    square.
    """
    f = unit(np.asarray(fingers, dtype=float))
    n = np.asarray(normal, dtype=float)
    n = unit(n - (f * n).sum(-1, keepdims=True) * f)
    return np.stack([np.cross(f, n), f, n], -1)


def twist_angle(turn: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Angle (…) in (-pi, pi] of the part of rotations (…, 3, 3) that turns about the unit axis (3,)."""
    skew = np.stack(
        [
            turn[..., 2, 1] - turn[..., 1, 2],
            turn[..., 0, 2] - turn[..., 2, 0],
            turn[..., 1, 0] - turn[..., 0, 1],
        ],
        -1,
    )
    # With q the quaternion of the rotation, the twist is 2 atan2(q_v · axis, q_w); skew = 4 q_w q_v, and
    # 1 + trace = 4 q_w², so the products with q_w serve as well, except near half turns of the swing.
    return 2 * np.arctan2((skew * axis).sum(-1), 1 + np.trace(turn, axis1=-2, axis2=-1))


@lru_cache(maxsize=64)
def arm_geometry(body: Body, rest: RestPose, side: str) -> ArmGeometry:
    """Measure an arm ('R' or 'L') in the reference pose."""
    if side not in ("R", "L"):
        raise StableSignerError(f"there is no arm {side!r}: use 'R' or 'L'")
    places = reference_joints(body, rest)
    at = {n: places[body.index[f"{n}.{side}"]] for n in (*ARM, *FINGER_JOINTS)}
    joints = tuple(body.index[f"{n}.{side}"] for n in ARM)
    sign = -1.0 if side == "R" else 1.0
    upper, fore = at["lowerarm01"] - at["upperarm01"], at["wrist"] - at["lowerarm01"]
    upper_length, fore_length = float(np.linalg.norm(upper)), float(np.linalg.norm(fore))
    upper, fore = unit(upper), unit(fore)
    hinge = unit(np.cross(upper, fore))
    knuckles = at["finger2-1"] - at["finger5-1"]
    fingers = unit(at["finger3-1"] - at["wrist"])
    palm = palm_frame(np.cross(knuckles, fingers) * -sign, fingers)
    # Thumb up is when the hand's thumb edge lies in the plane of the bent elbow, on the side of the upper
    # arm.
    thumb = palm[:, 0] * -sign
    inward = np.cross(hinge, fore)  # from the forearm towards the upper arm, in the elbow's plane
    turn = float(np.arctan2(thumb @ hinge, thumb @ inward)) * sign
    return ArmGeometry(
        sign=sign,
        joints=joints,
        offsets=rest.offsets.numpy()[list(joints)].astype(float),
        upper=upper,
        fore=fore,
        upper_length=upper_length,
        fore_length=fore_length,
        hinge=hinge,
        bend=float(np.arccos(np.clip(upper @ fore, -1, 1))),
        palm=palm,
        turn=turn,
        parent=body.parents[joints[0]],
    )


def reference_joints(body: Body, rest: RestPose) -> np.ndarray:
    """(J, 3) joint positions in the reference pose."""
    places = rest.offsets.numpy().astype(float)
    for j, parent in enumerate(body.parents):
        if parent >= 0:
            places[j] = places[parent] + places[j]
    return places


def solve_arm(
    body: Body,
    rest: RestPose,
    side: str,
    wrist: np.ndarray,
    palm: np.ndarray,
    *,
    swivel: np.ndarray | None = None,
    rotations: np.ndarray | None = None,
    root: np.ndarray | None = None,
) -> np.ndarray:
    """Rotations of one arm that bring the wrist joint to a place and turn the palm.

    side: 'R' or 'L'. wrist: (T, 3) metres. palm: (T, 3, 3) palm frames, see the module. swivel: (T,)
    radians, where the elbow should be if not where it is most at ease. rotations: (T, J, 3, 3) of the rest
    of the body, of which the trunk's are used (the reference pose if not given), root: (T, 3).
    Returns (T, 7, 3, 3) for the joints ARM of that side, relative to their parents.
    A wrist out of reach is clamped to the nearest place within reach; a palm beyond the limits of forearm
    and wrist is turned as far as they go. Raises StableSignerError on shapes that do not fit or values that
    are not finite.
    """
    wrist, palm = np.asarray(wrist, dtype=float), np.asarray(palm, dtype=float)
    frames = len(wrist)
    if wrist.shape != (frames, 3) or palm.shape != (frames, 3, 3):
        raise StableSignerError(
            f"the arm's target has shapes {wrist.shape} and {palm.shape}: give (T, 3) and (T, 3, 3)"
        )
    if not (np.isfinite(wrist).all() and np.isfinite(palm).all()):
        raise StableSignerError("the arm's target is not finite: give numbers")
    g = arm_geometry(body, rest, side)
    trunk, base = _trunk(body, rest, g, frames, rotations, root)
    local = np.einsum("tba,tb->ta", trunk, wrist - base)  # wrist seen from the chest
    turned = np.swapaxes(trunk, -1, -2) @ palm
    girdle = _girdle(g, local)
    shoulder, to_wrist = _reach(g, girdle, local)
    hand = turned @ g.palm.T  # (T, 3, 3) turn of the hand from the reference pose, seen from the chest
    if swivel is None:
        swivel = _easiest_swivel(g, to_wrist, hand)
    # The rig's middle joints lie a millimetre or two off the lines of the limbs, so that sharing out the
    # twist moves the wrist a little: aim past the target by what was missed, twice (leaves under 0.1 mm).
    aim = to_wrist
    for _ in range(3):
        upper_turn, bend = _upper_arm(g, aim, swivel)
        chain = _chain(g, girdle, upper_turn, bend, hand)
        aim = aim + (to_wrist - (_chain_wrist(g, chain) - shoulder))
    return chain


def _chain_wrist(g: ArmGeometry, chain: np.ndarray) -> np.ndarray:
    """Wrist (T, 3) as the chest sees it, from the seven joints' rotations (T, 7, 3, 3)."""
    turn = np.broadcast_to(np.eye(3), (len(chain), 3, 3))
    place = np.zeros((len(chain), 3))
    for k in range(7):
        place = place + turn @ g.offsets[k]
        turn = turn @ chain[:, k]
    return place


def _trunk(
    body: Body,
    rest: RestPose,
    g: ArmGeometry,
    frames: int,
    rotations: np.ndarray | None,
    root: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """World turn (T, 3, 3) and position (T, 3) of the joint that bears the clavicle."""
    if rotations is None:
        place = reference_joints(body, rest)[g.parent] + (0.0 if root is None else np.asarray(root))
        return np.broadcast_to(np.eye(3), (frames, 3, 3)), np.broadcast_to(place, (frames, 3))
    if rotations.shape != (frames, len(body.joints), 3, 3):
        raise StableSignerError(f"the body's rotations have shape {rotations.shape}, not (T, J, 3, 3)")
    turn = np.broadcast_to(np.eye(3), (frames, 3, 3))
    place = np.zeros((frames, 3)) if root is None else np.asarray(root, dtype=float)
    offsets = rest.offsets.numpy().astype(float)
    line = [g.parent]
    while body.parents[line[-1]] >= 0:
        line.append(body.parents[line[-1]])
    for j in reversed(line):
        place = place + (turn @ offsets[j])
        turn = turn @ rotations[:, j]
    return turn, place


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))


def _girdle(g: ArmGeometry, local: np.ndarray) -> np.ndarray:
    """Turn of the clavicle (T, 3, 3): the shoulder rises with a raised hand and comes forward with a long
    reach.
    """
    shoulder = g.offsets[:3].sum(0)
    reach = g.upper_length + g.fore_length
    away = local - shoulder
    rise = 0.20 * _smoothstep((away[:, 2] / reach + 0.15) / 0.9)
    across = -away[:, 0] * g.sign
    forward = 0.16 * _smoothstep((np.maximum(across, 0) - away[:, 1]) / reach - 0.35)
    return rotation(np.array([0.0, -g.sign, 0.0]), rise) @ rotation(np.array([0.0, 0.0, -g.sign]), forward)


def _reach(g: ArmGeometry, girdle: np.ndarray, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shoulder joint (T, 3) and the vector from it to the wrist (T, 3), clamped to what the elbow allows."""
    shoulder = g.offsets[0] + girdle @ (g.offsets[1] + g.offsets[2])
    to_wrist = local - shoulder
    a, b = g.upper_length, g.fore_length
    near, far = (np.sqrt(a * a + b * b + 2 * a * b * np.cos(bend)) for bend in (ELBOW_BEND[1], ELBOW_BEND[0]))
    distance = np.linalg.norm(to_wrist, axis=-1)
    # at the shoulder itself: straight ahead
    safe = np.where((distance > 1e-6)[:, None], to_wrist, [0.0, -1.0, 0.0])
    return shoulder, unit(safe) * np.clip(distance, near, far)[:, None]


def _upper_arm(g: ArmGeometry, to_wrist: np.ndarray, swivel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn of the upper arm (…, 3, 3) and the elbow's bend (…) for wrists (…, 3) and swivels (…)."""
    a, b = g.upper_length, g.fore_length
    line = unit(to_wrist)
    distance = np.linalg.norm(to_wrist, axis=-1)
    bend = np.arccos(np.clip((distance**2 - a * a - b * b) / (2 * a * b), -1, 1))
    lift = np.arccos(np.clip((a * a + distance**2 - b * b) / (2 * a * distance), -1, 1))
    low, out = _pole(g, line)
    towards = low * np.cos(swivel)[..., None] + out * np.sin(swivel)[..., None]  # from the line to the elbow
    upper = line * np.cos(lift)[..., None] + towards * np.sin(lift)[..., None]
    # the forearm turns from `upper` back to the line: about towards × line reversed
    hinge = np.cross(line, towards)
    target = frame(upper, -hinge)
    return target @ frame(g.upper, g.hinge).T, bend


def _pole(g: ArmGeometry, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors square to the line from shoulder to wrist: the elbow's lowest place, and outwards of
    it.
    """
    down = np.array([0.25 * g.sign, 0.22, -1.0])
    low = unit(down - (line * down).sum(-1, keepdims=True) * line)
    return low, np.cross(low, line) * -g.sign


def _forearm(
    g: ArmGeometry, upper_turn: np.ndarray, bend: np.ndarray, hand: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Elbow rotation (…, 3, 3), forearm turn (…), and the wrist's flexion and deviation (…), before
    limits.
    """
    elbow = rotation(g.hinge, bend - g.bend)
    relative = np.swapaxes(upper_turn @ elbow, -1, -2) @ hand
    twist = twist_angle(relative, g.fore)
    swing = np.swapaxes(rotation(g.fore, twist), -1, -2) @ relative
    vector = rotation_vector(swing)
    flexes, deviates = g.wrist_axes
    return elbow, twist, vector @ flexes, vector @ deviates


def rotation_vector(turn: np.ndarray) -> np.ndarray:
    """Rotations (…, 3, 3) -> rotation vectors (…, 3) in radians; good below half a turn."""
    skew = np.stack(
        [
            turn[..., 2, 1] - turn[..., 1, 2],
            turn[..., 0, 2] - turn[..., 2, 0],
            turn[..., 1, 0] - turn[..., 0, 1],
        ],
        -1,
    )
    sine = np.linalg.norm(skew, axis=-1) / 2
    angle = np.arctan2(sine, (np.trace(turn, axis1=-2, axis2=-1) - 1) / 2)
    scale = np.where(sine > 1e-7, angle / np.maximum(2 * sine, 1e-12), 0.5)
    return np.asarray(skew * scale[..., None])


def _easiest_swivel(g: ArmGeometry, to_wrist: np.ndarray, hand: np.ndarray) -> np.ndarray:
    """Swivel (T,) at which elbow, forearm and wrist are most at ease: the soft minimum of a cost over
    SWIVELS.
    """
    frames, count = len(to_wrist), len(SWIVELS)
    line = np.broadcast_to(to_wrist[:, None], (frames, count, 3))
    angle = np.broadcast_to(SWIVELS, (frames, count))
    upper_turn, bend = _upper_arm(g, line, angle)
    hands = np.broadcast_to(hand[:, None], (frames, count, 3, 3))
    _, twist, flexion, deviation = _forearm(g, upper_turn, bend, hands)
    turn = _wrap(g.turn - twist * g.sign)
    cost = 0.55 * (angle - 0.15) ** 2 + 1.6 * np.maximum(angle - 0.6, 0) ** 2
    cost = cost + (flexion / 0.95) ** 4 + (deviation / 0.42) ** 4 + (turn / 1.45) ** 6
    upper = upper_turn @ g.upper
    inwards = -upper[..., 0] * g.sign  # how far the upper arm crosses the body
    cost = cost + 12 * np.maximum(inwards - 0.05, 0) ** 2
    weight = np.exp(-np.minimum(cost - cost.min(1, keepdims=True), 60) / SWIVEL_EASE)
    return np.asarray((weight * angle).sum(1) / weight.sum(1))


def _wrap(angle: np.ndarray) -> np.ndarray:
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)


def _chain(
    g: ArmGeometry, girdle: np.ndarray, upper_turn: np.ndarray, bend: np.ndarray, hand: np.ndarray
) -> np.ndarray:
    """The seven joints' rotations (T, 7, 3, 3) within the limits of forearm and wrist.

    The upper arm's twist is shared by upperarm01 and 02, the forearm's by lowerarm01 and 02, so that the
    skin winds over the length of the limb instead of wringing at one joint.
    """
    frames = len(bend)
    elbow, twist, flexion, deviation = _forearm(g, upper_turn, bend, hand)
    turn = np.clip(_wrap(g.turn - twist * g.sign), *FOREARM_TURN)
    twist = _wrap((g.turn - turn) * g.sign)
    forearm = upper_turn @ elbow @ rotation(g.fore, twist)
    vector = rotation_vector(np.swapaxes(forearm, -1, -2) @ hand)
    flexes, deviates = g.wrist_axes
    flexion = np.clip(vector @ flexes, *WRIST_FLEXION)
    deviation = np.clip(vector @ deviates, *WRIST_DEVIATION)
    vector = flexion[:, None] * flexes + deviation[:, None] * deviates
    shoulder = np.swapaxes(girdle, -1, -2) @ upper_turn
    shoulder_twist = _wrap(twist_angle(shoulder, g.upper))
    out = np.empty((frames, 7, 3, 3))
    out[:, 0] = girdle
    out[:, 1] = np.eye(3)
    out[:, 2] = shoulder @ rotation(g.upper, -0.5 * shoulder_twist)
    out[:, 3] = rotation(g.upper, 0.5 * shoulder_twist)
    out[:, 4] = elbow @ rotation(g.fore, 0.4 * twist)
    out[:, 5] = rotation(g.fore, 0.6 * twist)
    out[:, 6] = rotation(unit(vector), np.linalg.norm(vector, axis=-1))
    return out


def arm_targets(
    body: Body, rest: RestPose, side: str, rotations: np.ndarray, root: np.ndarray | None = None
) -> ArmTargets:
    """The inverse of `solve_arm`: wrist, palm frame and swivel of one arm from rotations (T, J, 3, 3)."""
    g = arm_geometry(body, rest, side)
    frames = len(rotations)
    trunk, base = _trunk(body, rest, g, frames, rotations, root)
    turn, place, places = trunk, base, []
    for k, j in enumerate(g.joints):
        place = place + turn @ g.offsets[k]
        turn = turn @ rotations[:, j]
        places.append(np.einsum("tba,tb->ta", trunk, place - base))
    line = unit(places[6] - places[2])
    low, out = _pole(g, line)
    elbow = places[4] - places[2]
    swivel = np.arctan2((elbow * out).sum(-1), (elbow * low).sum(-1))
    return ArmTargets(wrist=place, palm=turn @ g.palm, swivel=swivel)


# --- from one signer to another
# ---------------------------------------------------------------------------------

# Joints whose skin a hand can touch: the landmarks of `retarget_arms` are spread over it.
TOUCHED = (
    "head",
    "neck01",
    "neck02",
    "neck03",
    "jaw",
    "spine01",
    "spine02",
    "spine03",
    "spine04",
    "clavicle.L",
    "clavicle.R",
    "shoulder01.L",
    "shoulder01.R",
)
LANDMARKS = 160


@lru_cache(maxsize=1)
def _landmark_vertices(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N,) on the front of head and trunk, spread evenly by farthest-point sampling, and the joint
    of each.
    """
    weights, joints = body.arrays["skin_weights"], body.arrays["skin_joints"]
    main = joints[np.arange(len(joints)), weights.argmax(1)].astype(int)
    touched = [body.index[n] for n in TOUCHED if n in body.index]
    head = [i for i, name in enumerate(body.joints) if _has_ancestor(body, i, body.index["head"])]
    rest = body.arrays["vertices"][0]
    candidates = np.flatnonzero(np.isin(main, touched + head) & (rest[:, 1] < 0.05))
    points = rest[candidates] * np.where(rest[candidates, 2:] > 0.68, 2.0, 1.0)  # twice as dense on the face
    chosen = [int(points[:, 1].argmin())]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < LANDMARKS:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    vertices = candidates[chosen]
    return vertices, np.where(np.isin(main[vertices], head), body.index["head"], main[vertices])


def _has_ancestor(body: Body, joint: int, ancestor: int) -> bool:
    while joint >= 0:
        if joint == ancestor:
            return True
        joint = body.parents[joint]
    return False


def _landmarks(body: Body, rest: RestPose, turns: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(T, N, 3) places of the landmarks on a posed body, each moving rigidly with its joint."""
    vertices, joint = _landmark_vertices(body)
    local = rest.vertices.numpy()[vertices] - rest.heads.numpy()[joint]
    local = np.einsum("nab,nb->na", rest.align.numpy()[joint], local)
    return places[:, joint] + np.einsum("tnab,nb->tna", turns[:, joint], local)


@dataclass(frozen=True)
class _Hand:
    """One hand on its way to another build: what `retarget_arms` needs of it, T frames and P points of the
    hand.
    """

    geometry: ArmGeometry
    goal: ArmTargets
    here: np.ndarray  # (T, P, 3) the points on the source
    goal_points: np.ndarray  # (T, P, 3) where the body alone would have them on the target
    share: np.ndarray  # (T, P) how much each point matters: the nearest to the body
    reach: np.ndarray  # (T, P, 3) the points from the wrist on the target, in palm coordinates


def retarget_arms(
    body: Body, source: RestPose, target: RestPose, rotations: np.ndarray, root: np.ndarray
) -> np.ndarray:
    """Re-pose both arms so that the target's hands are where the source's are on the body and on each other.

    The same rotations on another build would miss the chin. Head and trunk carry 160 landmarks; the part of
    the hand that is nearest to them is moved as the landmarks about it differ between the two builds
    (inverse-distance weights), and the arm is solved anew with the same palm and swivel. Hands within a few
    centimetres of each other keep the vector between the parts that are nearest.
    rotations: (T, J, 3, 3); root: (T, 3). Returns (T, J, 3, 3), only the arms' joints changed.
    """
    rotations = np.asarray(rotations, dtype=float)
    hands = _hands(body, source, target, rotations, root)
    out = rotations.copy()
    held = [hand.goal.palm for hand in hands]
    for _ in range(3):  # a hand that cannot turn as far on this arm is placed as it is really held
        offsets = [np.einsum("tab,tpb->tpa", p, hand.reach) for p, hand in zip(held, hands, strict=True)]
        wrists = [
            ((hand.goal_points - offset) * hand.share[..., None]).sum(1)
            for hand, offset in zip(hands, offsets, strict=True)
        ]
        meet = _meeting(hands, [w[:, None] + o for w, o in zip(wrists, offsets, strict=True)])
        for k, (side, hand) in enumerate(zip("RL", hands, strict=True)):
            wrist = wrists[k] + (0.5 if side == "R" else -0.5) * meet
            out[:, list(hand.geometry.joints)] = solve_arm(
                body, target, side, wrist, hand.goal.palm, swivel=hand.goal.swivel, rotations=out, root=root
            )
            held[k] = arm_targets(body, target, side, out, root).palm
    return out


def _hands(
    body: Body, source: RestPose, target: RestPose, rotations: np.ndarray, root: np.ndarray
) -> list[_Hand]:
    """Right and left hand of the source, and where head and trunk of the target would have them."""
    poses = []
    for rest in (source, target):
        turn, place = forward_kinematics(
            body,
            rest,
            torch.from_numpy(np.asarray(rotations, dtype=np.float32)),
            torch.from_numpy(np.asarray(root, dtype=np.float32)),
        )
        poses.append((turn.numpy().astype(float), place.numpy().astype(float)))
    (turns, places), (_, target_places) = poses
    here = _landmarks(body, source, turns, places)
    there = _landmarks(body, target, turns, target_places)
    out = []
    for side in ("R", "L"):
        goal = arm_targets(body, source, side, rotations, root)
        wrist = body.index[f"wrist.{side}"]
        points = [body.index[f"finger{f}-{k}.{side}"] for f in range(1, 6) for k in (1, 3)] + [wrist]
        hand = places[:, points]  # (T, P, 3)
        distance = np.linalg.norm(hand[:, :, None] - here[:, None], axis=-1)  # (T, P, N)
        weight = 1 / (distance**4 + 1e-8)
        weight = weight / weight.sum(-1, keepdims=True)
        moved = hand + np.einsum("tpn,tna->tpa", weight, there - here)
        nearest = distance.min(-1)
        share = np.exp(-(nearest - nearest.min(1, keepdims=True)) / 0.01)
        # The same rotations give the target the palm that the source has: its points are read in that frame.
        reach = np.einsum("tab,tpa->tpb", goal.palm, target_places[:, points] - target_places[:, [wrist]])
        geometry = arm_geometry(body, target, side)
        out.append(_Hand(geometry, goal, hand, moved, share / share.sum(1, keepdims=True), reach))
    return out


def _meeting(hands: list[_Hand], now: list[np.ndarray]) -> np.ndarray:
    """(T, 3) how the right hand must move against the left to keep the vector between their nearest parts."""
    before = hands[0].here[:, :, None] - hands[1].here[:, None]  # (T, P, P, 3)
    after = now[0][:, :, None] - now[1][:, None]
    distance = np.linalg.norm(before, axis=-1)
    least = distance.min((1, 2))
    weight = np.exp(-(distance - least[:, None, None]) / 0.012)
    weight = weight / weight.sum((1, 2), keepdims=True)
    near = np.exp(-((np.maximum(least - 0.02, 0) / 0.04) ** 2))
    return np.asarray(near[:, None] * ((before - after) * weight[..., None]).sum((1, 2)))
