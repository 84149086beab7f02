"""The skeleton look: body, hands and face as antialiased lines, with the same camera as the mesh look.

The lines join the points of `body.keypoints`: each finger has its own colour, brows, eyes and lips are drawn
as they move. What is nearer to the camera is drawn later, and every line has a dark border, so that crossing
fingers stay apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch

from stable_signer.body.kernels import kernel
from stable_signer.body.keypoints import FACE_IDS, Holistic, holistic
from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.body.skinning import Posed, Skin
from stable_signer.pose2vid.camera import Camera
from stable_signer.pose2vid.mesh import CHUNK, backdrop, dithered
from stable_signer.pose2vid.shading import tone_curve
from stable_signer.pose2vid.signers import SignerCard, Style

BORDER = (20, 24, 30)
PALM, FACE, BROWS, LIPS, IRIS = (
    (214, 220, 228),
    (236, 236, 236),
    (255, 196, 70),
    (240, 110, 120),
    (90, 170, 255),
)
FINGERS = (
    (245, 130, 95),
    (250, 205, 90),
    (130, 215, 125),
    (90, 190, 240),
    (190, 140, 245),
)  # thumb to little finger
SPINE, RIGHT_ARM, LEFT_ARM = (160, 172, 186), (255, 150, 60), (70, 200, 190)

Line = tuple[
    np.ndarray, np.ndarray, tuple[int, int, int], float
]  # both ends (x, y, depth), colour, half the width

HAND_STROKES = [[(a, b, PALM) for a, b in ((0, 1), (0, 5), (0, 17), (5, 9), (9, 13), (13, 17))]] + [
    [(4 * f + k, 4 * f + k + 1, FINGERS[f]) for k in (1, 2, 3)] for f in range(5)
]
RIGHT_ARM_LINES = [(12, 14, RIGHT_ARM), (14, 16, RIGHT_ARM)]
LEFT_ARM_LINES = [(11, 13, LEFT_ARM), (13, 15, LEFT_ARM)]
TRUNK = [(11, 12, SPINE), (11, 23, SPINE), (12, 24, SPINE), (23, 24, SPINE)]
OVAL = (
    10,
    338,
    297,
    332,
    284,
    251,
    356,
    454,
    323,
    361,
    397,
    365,
    379,
    378,
    400,
    377,
    152,
    148,
    176,
    149,
    150,
    136,
    172,
    58,
    132,
    93,
    234,
    127,
    162,
    21,
    54,
    103,
    67,
    109,
    10,
)
FACE_CHAINS = (
    (OVAL, SPINE, 0.8),
    ((168, 197, 195, 1), FACE, 0.8),
    ((98, 1, 327), FACE, 0.8),
    ((33, 160, 159, 158, 133, 153, 145, 144, 33), FACE, 0.9),
    ((263, 387, 386, 385, 362, 380, 374, 373, 263), FACE, 0.9),
    ((61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 61), LIPS, 1.0),
    ((78, 81, 13, 311, 308, 402, 14, 178, 78), LIPS, 0.8),
    ((70, 63, 105, 66, 107), BROWS, 1.4),
    ((300, 293, 334, 296, 336), BROWS, 1.4),
)


@kernel
def draw_lines(lines, colours, strokes, border, picture):  # type: ignore[no-untyped-def]
    """Draw antialiased lines with round ends, stroke by stroke: first the border of a stroke's lines, then
    the lines.

    lines (N, 5) float32: x, y of both ends and half the width, in pixels. colours (N, 3) float32 in [0, 255].
    strokes (S + 1,) int: where each stroke begins in lines. border (4,): colour and width in pixels. picture
    (H, W, 3) float32 is painted over.
    """
    height, width = picture.shape[:2]
    for stroke in range(strokes.shape[0] - 1):
        for inner in range(2):
            for n in range(strokes[stroke], strokes[stroke + 1]):
                ax, ay, bx, by = lines[n, 0], lines[n, 1], lines[n, 2], lines[n, 3]
                half = lines[n, 4] + (0.0 if inner else border[3])
                reach = half + 1
                left, right = max(int(min(ax, bx) - reach), 0), min(int(max(ax, bx) + reach) + 1, width)
                top, bottom = max(int(min(ay, by) - reach), 0), min(int(max(ay, by) + reach) + 1, height)
                dx, dy = bx - ax, by - ay
                over = 1 / max(dx * dx + dy * dy, 1e-9)
                for row in range(top, bottom):
                    for column in range(left, right):
                        px, py = column + 0.5 - ax, row + 0.5 - ay
                        t = min(max((px * dx + py * dy) * over, 0.0), 1.0)
                        distance = np.sqrt((px - t * dx) ** 2 + (py - t * dy) ** 2)
                        cover = min(max(half + 0.5 - distance, 0.0), 1.0)
                        if cover > 0:
                            for c in range(3):
                                colour = colours[n, c] if inner else border[c]
                                picture[row, column, c] += (colour - picture[row, column, c]) * cover


class SkeletonRenderer:
    """Draws the points of a motion of one signer.

    Takes what `MeshRenderer` takes; `camera` is the same, so that the two looks lie over each other.
    """

    def __init__(self, body: Body, signer: SignerCard, style: Style, size: int = 512) -> None:
        self.body, self.signer, self.style, self.size = body, signer, style, size
        self.camera = Camera.of(body, signer.body, size)
        self.skin = Skin(body, body.signer(signer.body))
        self.plain = dithered(backdrop(style, size), tone_curve())
        canon, base = body.arrays["vertices"][0], body.arrays["base_index"]
        eyes = [np.flatnonzero((base >= first) & (base < first + 72)) for first in (14598, 14670)]
        self.pupils = [eye[canon[eye, 1] < canon[eye, 1].min() + 0.001].tolist() for eye in eyes]
        self.chains = [
            ([FACE_IDS.index(i) for i in chain if i in FACE_IDS], colour, wide)
            for chain, colour, wide in FACE_CHAINS
        ]

    def frames(self, motion: Motion) -> Iterator[np.ndarray]:
        """Yields uint8 (size, size, 3) sRGB pictures, one for each frame, in constant memory."""
        border = np.array([*BORDER, self.size / 600], np.float32)
        for start in range(0, len(motion), CHUNK):
            posed = self.skin.pose_motion(motion[start : start + CHUNK])
            points = self._project(posed)
            for frame in range(len(posed.joints)):
                lines, colours, starts = self._lines({name: part[frame] for name, part in points.items()})
                picture = self.plain.astype(np.float32)
                draw_lines(lines, colours, starts, border, picture)
                yield np.rint(picture).astype(np.uint8)

    def _project(self, posed: Posed) -> dict[str, np.ndarray]:
        """Every group of points (B, N, 3) in pixels and metres of depth."""
        found: Holistic = holistic(posed, self.body)
        pupils = torch.stack([posed.vertices[:, eye].mean(1) for eye in self.pupils], 1)
        groups = {
            "pose": found.pose,
            "left": found.left_hand,
            "right": found.right_hand,
            "face": found.face,
            "pupils": pupils,
        }
        return {name: self.camera.project(points).numpy() for name, points in groups.items()}

    def _lines(self, points: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One frame's lines, far strokes first: (N, 5) ends and widths, (N, 3) colours, strokes' starts."""
        unit = self.size / 512
        pose, face = points["pose"], points["face"]
        neck, chin = (pose[11] + pose[12]) / 2, face[FACE_IDS.index(152)]
        strokes: list[list[Line]] = [
            [(neck, chin, SPINE, 3.0)] + [(pose[a], pose[b], c, 3.0) for a, b, c in TRUNK]
        ]
        strokes += [
            [(face[a], face[b], colour, wide) for a, b in pairwise(chain)]
            for chain, colour, wide in self.chains
        ]
        strokes += [[(pupil, pupil, IRIS, 1.7)] for pupil in points["pupils"]]
        limbs = []
        for side, arm in (("right", RIGHT_ARM_LINES), ("left", LEFT_ARM_LINES)):
            limbs.append([(pose[a], pose[b], c, 3.0) for a, b, c in arm])
            hand = points[side]
            limbs += [[(hand[a], hand[b], c, 2.0) for a, b, c in stroke] for stroke in HAND_STROKES]
        # a stroke is as near as its last line: a forearm as its wrist, a finger as its tip
        limbs.sort(key=lambda stroke: -float(stroke[-1][0][2] + stroke[-1][1][2]))
        strokes += limbs
        every = [line for stroke in strokes for line in stroke]
        lines = np.array([[*a[:2], *b[:2], wide * unit] for a, b, _, wide in every], np.float32)
        starts = np.cumsum([0, *[len(stroke) for stroke in strokes]])
        return lines, np.array([colour for _, _, colour, _ in every], np.float32), starts
