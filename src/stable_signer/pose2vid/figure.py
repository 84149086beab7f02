"""The figure: one signer's body, dressed, as a single mesh ready to be posed and painted.

The parametric body comes without hair or clothes. Both are made here, once per signer, at rest: clothes from the
body's CC0 tights helper, moved out along its normals and cut at neck and sleeves; hair from a shell over the scalp.
What the clothes cover and what lies under the picture is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from stable_signer.body.skeleton import Body, RestPose
from stable_signer.body.skinning import Skin
from stable_signer.pose2vid.signers import SignerCard, linear

SKIN, EYE, TONGUE, TEETH, LASH, CLOTH, HAIR = range(7)  # what a triangle is made of
WEIGHTS_KEPT = 8  # joints per vertex


@dataclass
class Part:
    """A piece of the figure while it is being made.

    position (N, 3) at rest; weights (N, J); face (N, 52, 3) deltas; colour (N, 3) linear; triangles (F, 3).
    """

    position: np.ndarray
    weights: np.ndarray
    face: np.ndarray
    colour: np.ndarray
    triangles: np.ndarray
    material: int

    def used(self) -> Part:
        """Without the vertices that no triangle uses."""
        keep, inverse = np.unique(self.triangles, return_inverse=True)
        return Part(
            self.position[keep], self.weights[keep], self.face[keep], self.colour[keep],
            inverse.reshape(-1, 3), self.material,
        )

    def cut(self, field: np.ndarray) -> tuple[Part, np.ndarray]:
        """Keep where field (N,) is positive; triangles on the border are cut along it.

        Returns the part and its field (0 along the cut).
        """
        inside = field > 0
        corners = inside[self.triangles].sum(1)
        triangles = [self.triangles[corners == 3]]
        edges: dict[tuple[int, int], int] = {}
        count = len(self.position)

        def crossing(a: int, b: int) -> int:
            """Index of the new vertex between a, inside, and b, outside."""
            return edges.setdefault((a, b), count + len(edges))

        border = []
        for corner in self.triangles[(corners == 1) | (corners == 2)].tolist():
            lone = [v for v in corner if inside[v] == (sum(inside[w] for w in corner) == 1)][0]
            k = corner.index(lone)
            a, b, c = corner[k], corner[(k + 1) % 3], corner[(k + 2) % 3]
            if inside[a]:
                border.append([a, crossing(a, b), crossing(a, c)])
            else:
                ab, ac = crossing(b, a), crossing(c, a)
                border += [[ab, b, c], [ab, c, ac]]
        triangles.append(np.array(border, dtype=int).reshape(-1, 3))
        start = np.array([a for a, _ in edges], dtype=int)
        end = np.array([b for _, b in edges], dtype=int)
        t = field[start] / (field[start] - field[end])

        def extend(values: np.ndarray) -> np.ndarray:
            share = t.reshape(-1, *[1] * (values.ndim - 1))
            return np.concatenate([values, values[start] * (1 - share) + values[end] * share]).astype(values.dtype)

        whole = Part(
            extend(self.position), extend(self.weights), extend(self.face), extend(self.colour),
            np.concatenate(triangles), self.material,
        )
        full_field = np.concatenate([field, np.zeros(len(edges))])
        return whole.used(), full_field[np.unique(whole.triangles)]


@dataclass(frozen=True)
class Figure:
    """A dressed signer. N vertices, F triangles.

    skin: poses the N vertices (`Posed.vertices`). triangles (F, 3) int32. material (F,) uint8, one of SKIN ... HAIR.
    cull (F,) bool, closed surfaces whose back is never seen. colour (N, 3) float32 linear RGB. rest (N, 3) float32.
    """

    skin: Skin
    triangles: np.ndarray
    material: np.ndarray
    cull: np.ndarray
    colour: np.ndarray
    rest: np.ndarray


def vertex_normals(position: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(N, 3), (F, 3) -> unit normals (N, 3), triangles weighted by area."""
    a, b, c = (position[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    out = np.zeros_like(position)
    for k in range(3):
        np.add.at(out, triangles[:, k], face)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def build_figure(body: Body, card: SignerCard) -> Figure:
    """Dress a signer. About a fifth of a second."""
    rest = body.signer(card.body)
    whole_body = _body_part(body, rest, card)
    tights = _extra_part(body, rest, "tights", CLOTH, card.clothes.top)
    landmarks = {name: rest.heads[i].numpy() for i, name in enumerate(body.joints)}
    arm = _arm_share(body)
    floor = landmarks["root"][2] - 0.22

    tights.position = tights.position + 0.009 * vertex_normals(tights.position, tights.triangles)
    clothes, _ = tights.cut(clothed(tights.position, tights.weights @ arm, landmarks, card))
    covered = clothed(whole_body.position, whole_body.weights @ arm, landmarks, card)
    hidden = (covered[whole_body.triangles] > 0.02).all(1)
    whole_body.triangles = whole_body.triangles[~hidden]
    parts = [clothes, *_split_body(body, whole_body, card),
             _extra_part(body, rest, "teeth", TEETH, "#e9e4da"), _hair(whole_body, landmarks, card)]
    for part in parts:
        above = (part.position[part.triangles][:, :, 2] > floor).any(1)
        part.triangles = part.triangles[above]
    return _join(body, rest, [part.used() for part in parts])


def _body_part(body: Body, rest: RestPose, card: SignerCard) -> Part:
    arrays = body.arrays
    count = len(rest.vertices)
    face = np.zeros((count, len(body.face_actions), 3), dtype=np.float32)
    face[arrays["face_vertex"], arrays["face_action"]] = arrays["face_delta"]
    weights = _dense(arrays["skin_weights"], arrays["skin_joints"], len(body.joints))
    colour = np.tile(np.array(linear(card.skin), dtype=np.float32), (count, 1))
    return Part(rest.vertices.numpy(), weights, face, colour, arrays["triangles"].astype(int), SKIN)


def _extra_part(body: Body, rest: RestPose, name: str, material: int, colour: str) -> Part:
    arrays = body.arrays
    count = len(rest.extra_vertices)
    face = np.zeros((count, len(body.face_actions), 3), dtype=np.float32)
    face[arrays["extra_face_vertex"], arrays["extra_face_action"]] = arrays["extra_face_delta"]
    weights = _dense(arrays["extra_skin_weights"], arrays["extra_skin_joints"], len(body.joints))
    colours = np.tile(np.array(linear(colour), dtype=np.float32), (count, 1))
    triangles = arrays["extra_triangles"][arrays["extra_part"] == name].astype(int)
    return Part(rest.extra_vertices.numpy(), weights, face, colours, triangles, material).used()


def _dense(weights: np.ndarray, joints: np.ndarray, joint_count: int) -> np.ndarray:
    out = np.zeros((len(weights), joint_count), dtype=np.float32)
    np.add.at(out, (np.arange(len(weights))[:, None], joints), weights)
    return out


def _arm_share(body: Body) -> np.ndarray:
    """(J,) 1 for the joints from the upper arm to the fingertips."""
    names = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
    return np.array([name.startswith(names) for name in body.joints], dtype=np.float32)


def clothed(position: np.ndarray, arm: np.ndarray, landmarks: dict[str, np.ndarray], card: SignerCard) -> np.ndarray:
    """(N,) metres, positive where clothes cover the body: distance to the neckline or to the sleeve's end."""
    side = np.where(position[:, 0] > 0, 1.0, -1.0)
    along = np.full(len(position), -1.0)  # metres along the arm from the shoulder
    length = 0.0
    best = np.full(len(position), np.inf)
    mirrored = position * np.stack([side, np.ones_like(side), np.ones_like(side)], 1)
    chain = [landmarks[f"{name}.L"] for name in ("upperarm01", "lowerarm01", "wrist")]
    stops = [0.0]
    for start, end in zip(chain[:-1], chain[1:]):
        axis = end - start
        reach = float(np.linalg.norm(axis))
        t = (mirrored - start) @ axis / reach
        distance = np.linalg.norm(mirrored - start - np.clip(t, 0, reach)[:, None] * axis / reach, axis=1)
        nearer = distance < best
        # beyond the last joint the parameter runs on, before the first it is negative
        limited = t if end is chain[-1] else np.minimum(t, reach)
        along = np.where(nearer, length + limited, along)
        best = np.minimum(best, distance)
        length += reach
        stops.append(length)
    end_of_sleeve = {
        "long": stops[2] - 0.02,
        "three-quarter": stops[1] + 0.45 * (stops[2] - stops[1]),
        "short": 0.62 * stops[1],
    }[card.clothes.sleeves]
    sleeve = np.where(arm > 0.5, end_of_sleeve - along, 1.0)
    neck = landmarks["neck01"]
    lateral, forward = np.abs(position[:, 0]), neck[1] - position[:, 1]  # forward of the neck's axis is positive
    height, slope, dip, width = {
        "crew": (0.012, 0.50, 0.0, 0.1),
        "high": (0.045, 0.30, 0.0, 0.1),
        "boat": (-0.012, 0.25, 0.0, 0.1),
        "v": (0.008, 0.45, 0.085, 0.075),
    }[card.clothes.neck]
    line = neck[2] + height - slope * forward - np.where(forward > 0, dip * np.clip(1 - lateral / width, 0, 1), 0)
    return np.minimum(sleeve, line - position[:, 2])


def _split_body(body: Body, part: Part, card: SignerCard) -> list[Part]:
    """Skin, tongue and eyes as parts of their own."""
    base = body.arrays["base_index"]
    tongue, eye = (base >= 13380) & (base <= 13605), base >= 14598
    label = np.where(eye, EYE, np.where(tongue, TONGUE, SKIN))[part.triangles[:, 0]]
    out = []
    for material, colour in ((SKIN, card.skin), (EYE, "#f2eeea"), (TONGUE, "#b5595a")):
        colours = np.tile(np.array(linear(colour), dtype=np.float32), (len(part.position), 1))
        out.append(Part(part.position, part.weights, part.face, colours, part.triangles[label == material], material))
    return out


def _hair(head: Part, landmarks: dict[str, np.ndarray], card: SignerCard) -> Part:
    """A shell over the scalp."""
    eyes = (landmarks["eye.L"] + landmarks["eye.R"]) / 2
    p = head.position - eyes
    field = np.maximum(p[:, 2] - 0.055, np.minimum(p[:, 1] - 0.075, p[:, 2] + 0.03))
    colours = np.tile(np.array(linear(card.hair.colour), dtype=np.float32), (len(p), 1))
    normals = vertex_normals(head.position, head.triangles)
    shell = Part(
        head.position + normals * np.clip(0.02 * field[:, None] / 0.03, -0.01, 0.02), head.weights, head.face,
        colours, head.triangles, HAIR,
    )
    return shell.cut(field)[0]


def _join(body: Body, rest: RestPose, parts: list[Part]) -> Figure:
    """One mesh with its own skinning."""
    starts = np.cumsum([0, *[len(part.position) for part in parts]])
    position = np.concatenate([part.position for part in parts]).astype(np.float32)
    weights = np.concatenate([part.weights for part in parts])
    face = np.concatenate([part.face for part in parts])
    kept = np.argsort(-weights, axis=1)[:, :WEIGHTS_KEPT]
    strength = np.take_along_axis(weights, kept, 1)
    vertex, action = np.nonzero(np.abs(face).max(2) > 1e-6)
    arrays = {
        **body.arrays,
        "skin_weights": strength / strength.sum(1, keepdims=True),
        "skin_joints": kept.astype(np.uint8),
        "face_action": action,
        "face_vertex": vertex,
        "face_delta": face[vertex, action],
        "extra_skin_weights": np.zeros((0, 1), np.float32),
        "extra_skin_joints": np.zeros((0, 1), np.uint8),
        "extra_face_action": np.zeros(0, np.uint8),
        "extra_face_vertex": np.zeros(0, np.int32),
        "extra_face_delta": np.zeros((0, 3), np.float32),
    }
    dressed = RestPose(torch.from_numpy(position), torch.zeros(0, 3), rest.heads, rest.align, rest.offsets)
    triangles = np.concatenate([part.triangles + s for part, s in zip(parts, starts)]).astype(np.int32)
    material = np.concatenate([np.full(len(part.triangles), part.material, np.uint8) for part in parts])
    return Figure(
        skin=Skin(Body(arrays), dressed),
        triangles=np.ascontiguousarray(triangles),
        material=material,
        cull=np.isin(material, (SKIN, EYE, TONGUE)),
        colour=np.ascontiguousarray(np.concatenate([part.colour for part in parts]).astype(np.float32)),
        rest=position,
    )
