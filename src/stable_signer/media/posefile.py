"""`.pose` files (pose-format): MediaPipe Holistic's points for everyone, and our exact motion for ourselves.

The points are named and ordered as MediaPipe names them, x and y in the pixels of the rendered video, z in
picture widths, smaller towards the camera: for the body from the middle of the hips, for a hand from its
wrist, for the face from its nose tip. A last component carries the motion itself, so that `render` draws the
same picture from the file; tools that do not know it leave it alone.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

from stable_signer.body.fit import FACE17, Landmarks, fit_holistic
from stable_signer.body.keypoints import FACE_IDS, holistic
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.body.skinning import Skin
from stable_signer.errors import StableSignerError
from stable_signer.media.files import read_bytes
from stable_signer.pose2vid.camera import Camera
from stable_signer.pose2vid.signers import signer_card

VERSION = 0.2
MOTION_COMPONENT = "STABLE_SIGNER_MOTION"
CHUNK = 64  # frames skinned at once
NOSE_TIP = 1  # in the face mesh

_SIDES = ("LEFT", "RIGHT")
_FINGERS = ("INDEX_FINGER", "MIDDLE_FINGER", "RING_FINGER", "PINKY")
POSE_POINTS = [
    "NOSE",
    *[f"{side}_EYE{part}" for side in _SIDES for part in ("_INNER", "", "_OUTER")],
    *["LEFT_EAR", "RIGHT_EAR", "MOUTH_LEFT", "MOUTH_RIGHT"],
    *[
        f"{side}_{part}"
        for part in ("SHOULDER", "ELBOW", "WRIST", "PINKY", "INDEX", "THUMB")
        for side in _SIDES
    ],
    *[f"{side}_{part}" for part in ("HIP", "KNEE", "ANKLE", "HEEL", "FOOT_INDEX") for side in _SIDES],
]
HAND_POINTS = [
    "WRIST",
    *[f"THUMB_{part}" for part in ("CMC", "MCP", "IP", "TIP")],
    *[f"{finger}_{part}" for finger in _FINGERS for part in ("MCP", "PIP", "DIP", "TIP")],
]
FACE_POINTS = (
    468  # the whole face mesh: tools pick its points by number, so those we have not are there, unseen
)
_NEEDED = [f"{side}_{part}" for side in _SIDES for part in ("SHOULDER", "ELBOW", "WRIST")]  # for a fit
LEFT_HIP, RIGHT_HIP = POSE_POINTS.index("LEFT_HIP"), POSE_POINTS.index("RIGHT_HIP")
POSE_LIMBS = [
    *[(0, 1), (1, 2), (2, 3), (3, 7), (0, 4), (4, 5), (5, 6), (6, 8), (9, 10), (11, 12), (11, 23), (12, 24)],
    *[(23, 24), (11, 13), (13, 15), (12, 14), (14, 16), (15, 17), (15, 19), (15, 21), (17, 19), (16, 18)],
    *[(16, 20), (16, 22), (18, 20), (23, 25), (25, 27), (27, 29), (29, 31), (27, 31), (24, 26), (26, 28)],
    *[(28, 30), (30, 32), (28, 32)],
]
HAND_LIMBS = [
    *[(base + k, base + k + 1) for base in (1, 5, 9, 13, 17) for k in range(3)],  # along the fingers
    *[(0, 1), (0, 5), (5, 9), (9, 13), (13, 17), (0, 17)],  # around the palm
]


def write_pose(path: str | Path, motion: Motion, body: Body, signer: str, size: int) -> None:
    """Write `motion` as a `.pose` for the video of `signer` (see `signer_card`) at `size` pixels.

    Raises StableSignerError when the file cannot be written.
    """
    points = np.concatenate([*_points(motion, body, signer, size)])  # (T, P, 3)
    carried = _pack(motion)  # (T, M, 3)
    data = np.concatenate([points, carried], axis=1)[:, None].astype(np.float32)  # (T, 1, P + M, 3)
    seen = np.ones(data.shape[:3], np.float32)
    face = np.isin(np.arange(FACE_POINTS), FACE_IDS)
    seen[:, :, len(POSE_POINTS) : len(POSE_POINTS) + FACE_POINTS] = face
    header = PoseHeader(VERSION, PoseHeaderDimensions(size, size, 1), _components(body))
    pose = Pose(header, NumPyPoseBody(motion.fps, data, seen))
    buffer = io.BytesIO()
    pose.write(buffer)
    try:
        Path(path).write_bytes(buffer.getvalue())
    except OSError as error:
        raise StableSignerError(
            f"the pose {path} cannot be written ({error.strerror or error}): name another file"
        ) from error


def without_motion(path: Path) -> None:
    """Take our exact motion out of a `.pose`, so that only what any tool has is left."""
    pose = _parse(read_bytes(path, "the pose"), path)
    names = [c.name for c in pose.header.components if c.name != MOTION_COMPONENT]
    buffer = io.BytesIO()
    pose.get_components(names).write(buffer)
    path.write_bytes(buffer.getvalue())


def read_pose(path: str | Path, body: Body) -> Motion:
    """The motion in a `.pose`: the one it carries, or one fitted to its MediaPipe Holistic points.

    Raises StableSignerError when the file cannot be read, is damaged, or has not the points that a fit needs.
    """
    pose = _parse(read_bytes(path, "the pose"), path)
    names = [component.name for component in pose.header.components]
    if MOTION_COMPONENT in names:
        return _unpack(pose, body, path)
    return fit_holistic(_landmarks(pose, path)).motion


def _landmarks(pose: Pose, path: str | Path) -> Landmarks:
    """MediaPipe Holistic's points of the first person, for a fit: pixels, NaN where nothing was seen."""
    needed = ("POSE_LANDMARKS", "LEFT_HAND_LANDMARKS", "RIGHT_HAND_LANDMARKS")
    parts: dict[str, np.ndarray] = {}
    names: dict[str, list[str]] = {}
    first = 0
    width = max(pose.header.dimensions.width, 1)
    for component in pose.header.components:
        where = slice(first, first + len(component.points))
        first = where.stop
        xyz = np.array(pose.body.data.data[:, 0, where], float)  # (T, N, 2 or 3)
        if xyz.shape[2] == 2:
            xyz = np.concatenate([xyz, np.zeros_like(xyz[..., :1])], axis=2)
        xyz[..., 2] *= width  # MediaPipe's z is in picture widths
        xyz[np.asarray(pose.body.confidence[:, 0, where]) <= 0] = np.nan
        parts[component.name], names[component.name] = xyz, list(component.points)
    if "POSE_LANDMARKS" in parts:  # some tools keep a few of the points: each to its row by its name
        rows = {name: i for i, name in enumerate(POSE_POINTS)}
        here = [(rows[n], k) for k, n in enumerate(names["POSE_LANDMARKS"]) if n in rows]
        whole = np.full((len(parts["POSE_LANDMARKS"]), len(POSE_POINTS), 3), np.nan)
        whole[:, [i for i, _ in here]] = parts["POSE_LANDMARKS"][:, [k for _, k in here]]
        if set(_NEEDED) <= set(names["POSE_LANDMARKS"]):
            parts["POSE_LANDMARKS"], names["POSE_LANDMARKS"] = whole, POSE_POINTS
    missing = [n for n in needed if n not in parts or len(names[n]) < (21 if "HAND" in n else 17)]
    if missing:
        raise StableSignerError(
            f"the pose {path} lacks {', '.join(missing)}: make it with MediaPipe Holistic"
        )
    body = parts["POSE_LANDMARKS"]
    body[..., 2] = np.where(np.isnan(body[..., 0]), 0.0, 1.0)  # the fit wants visibility in its place
    face = np.full((len(body), len(FACE17), 2), np.nan)
    row = {name: i for i, name in enumerate(names.get("FACE_LANDMARKS", []))}
    for k, point in enumerate(FACE17):
        if str(point) in row:
            face[:, k] = parts["FACE_LANDMARKS"][:, row[str(point)], :2]
    return Landmarks(
        body, parts["LEFT_HAND_LANDMARKS"], parts["RIGHT_HAND_LANDMARKS"], face, fps=float(pose.body.fps)
    )


def hand_pixels(motion: Motion, body: Body, signer: str, size: int) -> np.ndarray:
    """(T, 2, 21, 2): x, y of the left and right hand's points in the video of `signer` at `size` pixels."""
    points = np.concatenate([*_points(motion, body, signer, size)])
    first = len(POSE_POINTS) + FACE_POINTS
    return points[:, first : first + 42, :2].reshape(len(points), 2, 21, 2)


def _points(motion: Motion, body: Body, signer: str, size: int) -> Iterator[np.ndarray]:
    """(T, P, 3) holistic points in pieces of CHUNK frames: body, face, left hand, right hand."""
    card = signer_card(signer)
    camera = Camera.of(body, card.body, size)
    skin = Skin(body, body.signer(card.body))
    for start in range(0, len(motion), CHUNK):
        found = holistic(skin.pose_motion(motion[start : start + CHUNK]), body)
        hips = found.pose[:, [LEFT_HIP, RIGHT_HIP]].mean(1, keepdim=True)  # (B, 1, 3)
        nose = found.face[:, [found.face_ids.index(NOSE_TIP)]]
        groups = (
            (found.pose, hips),
            (found.face, nose),
            (found.left_hand, found.left_hand[:, :1]),
            (found.right_hand, found.right_hand[:, :1]),
        )
        pieces = []
        for points, origin in groups:
            pixels, depth = camera.project(points), camera.project(origin)[..., 2]  # (B, N, 3), (B, 1)
            pixels[..., 2] = (pixels[..., 2] - depth) * camera.focal / depth / size
            pieces.append(pixels.numpy())
        mesh = np.zeros((len(pieces[1]), FACE_POINTS, 3), np.float32)
        mesh[:, list(found.face_ids)] = pieces[1]
        pieces[1] = mesh
        yield np.concatenate(pieces, axis=1)


def _components(body: Body) -> list[PoseHeaderComponent]:
    faces = [str(i) for i in range(FACE_POINTS)]
    return [
        _component("POSE_LANDMARKS", POSE_POINTS, POSE_LIMBS, (230, 120, 40)),
        _component("FACE_LANDMARKS", faces, [], (120, 120, 120)),
        _component("LEFT_HAND_LANDMARKS", HAND_POINTS, HAND_LIMBS, (40, 140, 230)),
        _component("RIGHT_HAND_LANDMARKS", HAND_POINTS, HAND_LIMBS, (30, 170, 90)),
        _component(MOTION_COMPONENT, _motion_names(body), [], (0, 0, 0)),
    ]


def _component(name: str, points: list[str], limbs: list[Any], colour: tuple[int, int, int]) -> Any:
    return PoseHeaderComponent(name, points, limbs, [colour] * max(1, len(limbs)), "XYZC")


def _motion_names(body: Body) -> list[str]:
    """The carried points: each joint's two rotation columns, the face three actions a point, the root.

    They are checked on reading, so that a motion of another skeleton is refused and not misread.
    """
    joints = [f"{name}:{column}" for name in body.joints for column in ("x", "y")]
    actions = [*body.face_actions, "unused", "unused"]  # 52 actions in 18 points of three
    faces = ["+".join(actions[i : i + 3]) for i in range(0, 54, 3)]
    return [*joints, *faces, "root"]


def _pack(motion: Motion) -> np.ndarray:
    """(T, 2 J + 19, 3), see `_motion_names`."""
    frames, joints = motion.rotations.shape[:2]
    rotations = motion.rotations.reshape(frames, 2 * joints, 3)  # 6 numbers a joint: two columns of three
    face = np.pad(motion.face, ((0, 0), (0, 2))).reshape(frames, 18, 3)
    return np.concatenate([rotations, face, motion.root[:, None]], axis=1)


def _unpack(pose: Pose, body: Body, path: str | Path) -> Motion:
    names = _motion_names(body)
    first = 0
    for component in pose.header.components:
        if component.name == MOTION_COMPONENT:
            break
        first += len(component.points)
    if component.points != names:
        raise StableSignerError(
            f"the pose {path} carries the motion of another skeleton: make it anew with this version"
        )
    carried = np.asarray(pose.body.data.data[:, 0, first : first + len(names)], np.float32)  # (T, M, 3)
    frames, joints = len(carried), len(body.joints)
    return Motion(
        rotations=carried[:, : 2 * joints].reshape(frames, joints, 6),
        face=carried[:, 2 * joints : 2 * joints + 18].reshape(frames, 54)[:, :52],
        root=np.ascontiguousarray(carried[:, -1]),
        # The file keeps 32 bits: 29.97 comes back as 29.969999..., so take the fraction that was meant.
        fps=float(Fraction(float(pose.body.fps)).limit_denominator(1001)),
    )


def _parse(raw: bytes, path: str | Path) -> Pose:
    try:
        pose = Pose.read(raw)
        frames, people, points, dimensions = pose.body.data.shape
        expected = sum(len(c.points) for c in pose.header.components)
        whole = frames > 0 and people > 0 and points == expected and dimensions >= 2
        # What the library raises for bytes that are not a pose depends on where they go wrong.
    except (ValueError, TypeError, IndexError, KeyError, struct.error, OverflowError, MemoryError) as error:
        raise StableSignerError(f"the pose {path} is damaged or not a .pose file: make it anew") from error
    except NotImplementedError as error:
        raise StableSignerError(
            f"the pose {path} has a version that cannot be read: use 0.1 or {VERSION}"
        ) from error
    if not whole or not 1 <= pose.body.fps <= 240:  # also refuses NaN
        raise StableSignerError(f"the pose {path} has no frames or no frame rate: make it anew")
    return pose
