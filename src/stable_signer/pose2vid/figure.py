"""The figure: one signer's body, dressed, as a single mesh ready to be posed and painted.

The parametric body comes without hair or clothes. Both are made here, once per signer, at rest: clothes from
the body's CC0 tights helper, moved out along its normals and cut at neck and sleeves; hair from a shell over
the scalp (`hair.py`). What the clothes cover and what lies under the picture is left out.

Every vertex carries the attributes that `shading.py` reads. Its canonical place is where the same vertex of
the first signer lies at rest: hairlines, brows and lips are drawn once, there, and fit every face.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from stable_signer.body.skeleton import Body, RestPose
from stable_signer.body.skinning import Skin
from stable_signer.pose2vid.hair import behind_hairline, grow_hair
from stable_signer.pose2vid.parts import Part, vertex_normals
from stable_signer.pose2vid.raster import visible
from stable_signer.pose2vid.shading import (
    AMBIENT,
    ATTRIBUTES,
    CANON,
    CLOTH,
    COLOUR,
    EYE,
    GLOSS,
    PAINTED,
    SKIN,
    TEETH,
    TONGUE,
)
from stable_signer.pose2vid.signers import SignerCard, linear

# The body's neutral face looks stern; a trace of these makes it attentive. Below a millimetre at the lips.
FRIENDLY = {"mouthSmileLeft": 0.16, "mouthSmileRight": 0.16, "browInnerUp": 0.06}
WEIGHTS_KEPT = 8  # joints per vertex
RIB = 0.014  # metres, width of the knitted band at neck and cuffs
INSEAM = 0.036  # metres: what of the trousers is nearer to the middle than this is drawn towards it
SEEN_INSIDE = 0.08  # metres: how far one can look in at the neck or under the hem
UNDER_CLOTHES = 0.045  # metres behind a seam where the skin is left out
AMBIENT_DIRECTIONS, AMBIENT_SIZE, AMBIENT_REACH = 40, 320, 0.22  # of the baked ambient light; metres


@dataclass(frozen=True)
class Figure:
    """A dressed signer. N vertices, F triangles.

    skin: poses the N vertices (`Posed.vertices`). triangles (F, 3) int32. material (F,) uint8, one of
    shading.SKIN ... cull (F,) bool, closed surfaces whose back is never seen. attributes (N, ATTRIBUTES)
    float32. rest (N, 3) float32.
    """

    skin: Skin
    triangles: np.ndarray
    material: np.ndarray
    cull: np.ndarray
    attributes: np.ndarray
    rest: np.ndarray


def build_figure(body: Body, card: SignerCard) -> Figure:
    """Dress a signer. Takes about half a second."""
    rest = body.signer(card.body)
    landmarks = {name: rest.heads[i].numpy() for i, name in enumerate(body.joints)}
    arm = _arm_share(body)
    floor = landmarks["root"][2] - 0.32  # nothing lower is ever in the picture
    whole = _body_part(body, rest, card)
    hair = grow_hair(body, whole, card)
    clothes = _clothes(_extra_part(body, rest, "tights", CLOTH), landmarks, arm, card)
    covered = clothed(whole.position, whole.weights @ arm, landmarks, card)
    seen = ~(covered[whole.triangles] > UNDER_CLOTHES).all(1)
    parts = [
        *clothes,
        *_split_body(body, whole.triangles[seen], whole, card),
        _extra_part(body, rest, "teeth", TEETH).tint("#ece6da", 0.25),
        *hair,
    ]
    parts = [part.select((part.position[part.triangles][:, :, 2] > floor).any(1)) for part in parts]
    figure = _join(body, rest, parts)
    _bake_ambient(figure)
    return figure


def _body_part(body: Body, rest: RestPose, card: SignerCard) -> Part:
    arrays = body.arrays
    count = len(rest.vertices)
    face = np.zeros((count, len(body.face_actions), 3), dtype=np.float32)
    face[arrays["face_vertex"], arrays["face_action"]] = arrays["face_delta"]
    attributes = np.zeros((count, ATTRIBUTES), np.float32)
    attributes[:, CANON : CANON + 3] = arrays["vertices"][0]
    weights = _dense(arrays["skin_weights"], arrays["skin_joints"], len(body.joints))
    friendly = sum(FRIENDLY[name] * face[:, body.face_index[name]] for name in FRIENDLY)
    return Part(
        rest.vertices.numpy() + friendly, weights, face, attributes, arrays["triangles"].astype(int), SKIN
    )


def _extra_part(body: Body, rest: RestPose, name: str, material: int) -> Part:
    arrays = body.arrays
    count = len(rest.extra_vertices)
    face = np.zeros((count, len(body.face_actions), 3), dtype=np.float32)
    face[arrays["extra_face_vertex"], arrays["extra_face_action"]] = arrays["extra_face_delta"]
    attributes = np.zeros((count, ATTRIBUTES), np.float32)
    attributes[:, CANON : CANON + 3] = rest.extra_vertices.numpy()
    weights = _dense(arrays["extra_skin_weights"], arrays["extra_skin_joints"], len(body.joints))
    triangles = arrays["extra_triangles"][arrays["extra_part"] == name].astype(int)
    return Part(rest.extra_vertices.numpy(), weights, face, attributes, triangles, material).used()


def _clothes(tights: Part, landmarks: dict[str, np.ndarray], arm: np.ndarray, card: SignerCard) -> list[Part]:
    """The top, a knitted band along its neck, cuffs and hem, and trousers."""
    cloth = tights.smoothed(4).subdivided().smoothed(2)
    on_arm = cloth.weights @ arm
    hips = landmarks["root"][2]
    hem = cloth.position[:, 2] - (hips - 0.045)
    trousers = cloth.cut(0.03 - hem)[0].tint(card.clothes.trousers, 0.0)
    trousers.position = trousers.position + 0.004 * vertex_normals(trousers.position, trousers.triangles)
    _close_inseam(trousers)
    covered = np.where(on_arm > 0.5, 1.0, hem)  # arms hang lower than the hem
    field = np.minimum(clothed(cloth.position, on_arm, landmarks, card), covered)
    loose = 0.011 + 0.002 * np.clip(on_arm, 0, 1)
    loose = loose + 0.009 * np.clip((hips + 0.16 - cloth.position[:, 2]) / 0.16, 0, 1) * (on_arm < 0.5)
    # the neckline lies on the skin: a gap would show the dark inside of the collar
    loose = loose * np.where(on_arm > 0.5, 1.0, 0.3 + 0.7 * np.clip(field / 0.05, 0, 1))
    # folds die out at the seams, where the band lies close
    loose = loose + _folds(cloth.position, on_arm, landmarks) * np.clip(field / 0.06, 0, 1)
    cloth.position = cloth.position + loose[:, None] * vertex_normals(cloth.position, cloth.triangles)
    field = np.minimum(clothed(cloth.position, on_arm, landmarks, card), covered)
    cloth, field = cloth.cut(field)
    main, behind_rib = cloth.cut(field - RIB)
    main = main.tint(card.clothes.top, 0.0)
    in_sleeve = main.weights @ arm > 0.3
    main.both_sides = ((behind_rib < SEEN_INSIDE) | in_sleeve)[main.triangles].any(1)
    band = cloth.cut(RIB - field)[0].tint(card.clothes.top, 0.0)
    band.attributes[:, COLOUR : COLOUR + 3] *= 0.78
    band.both_sides = True
    return [main, band, trousers]


def _close_inseam(trousers: Part) -> None:
    """Loose between the legs, else the wall shows there at the picture's lower edge: what lies below the fork
    and near the middle is drawn to it, and a little beyond, where the other leg is."""
    x, _, z = trousers.position.T
    off = np.abs(x)
    fork = z[off < 0.004].min()
    below = np.clip((fork + 0.012 - z) / 0.01, 0, 1)
    nearer = np.where(off < INSEAM, np.maximum(2 * off - INSEAM, -INSEAM / 4), off)
    trousers.position[:, 0] = np.sign(x) * (off + (nearer - off) * below)


def _folds(position: np.ndarray, on_arm: np.ndarray, landmarks: dict[str, np.ndarray]) -> np.ndarray:
    """(N,) metres, wrinkles of the cloth: rings around the elbows, soft long folds over the body."""
    x, y, z = position.T
    elbow = np.minimum(*(np.linalg.norm(position - landmarks[f"lowerarm01.{s}"], axis=1) for s in "LR"))
    arm_axis = np.abs(x) * 0.62 - z * 0.7  # runs down both arms
    rings = np.sin(arm_axis * 210 + 1.4 * np.sin(y * 60 + z * 25)) * np.exp(-((elbow / 0.09) ** 2)) * 0.0036
    drape = np.sin(x * 52 + 1.7 * np.sin(z * 13 + x * 9)) * np.sin(z * 17 + 2.2 * np.sin(x * 15)) * 0.0038
    sway = np.sin((np.abs(x) * 0.8 + z * 0.55) * 95 + 2 * np.sin(y * 30)) * 0.0022
    return np.where(on_arm > 0.5, rings + sway * 0.7, drape + sway * 0.4)


def _dense(weights: np.ndarray, joints: np.ndarray, joint_count: int) -> np.ndarray:
    out = np.zeros((len(weights), joint_count), dtype=np.float32)
    np.add.at(out, (np.arange(len(weights))[:, None], joints), weights)
    return out


def _arm_share(body: Body) -> np.ndarray:
    """(J,) 1 for the joints from the upper arm to the fingertips."""
    names = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
    return np.array([name.startswith(names) for name in body.joints], dtype=np.float32)


def clothed(
    position: np.ndarray, arm: np.ndarray, landmarks: dict[str, np.ndarray], card: SignerCard
) -> np.ndarray:
    """(N,) metres, positive where clothes cover the body: distance to the neckline or to the sleeve's end."""
    side = np.where(position[:, 0] > 0, 1.0, -1.0)
    along = np.full(len(position), -1.0)  # metres along the arm from the shoulder
    length = 0.0
    best = np.full(len(position), np.inf)
    mirrored = position * np.stack([side, np.ones_like(side), np.ones_like(side)], 1)
    chain = [landmarks[f"{name}.L"] for name in ("upperarm01", "lowerarm01", "wrist")]
    stops = [0.0]
    for start, end in pairwise(chain):
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
    lateral, forward = (
        np.abs(position[:, 0]),
        neck[1] - position[:, 1],
    )  # forward of the neck's axis is positive
    height, slope, dip, width = {
        "crew": (0.012, 0.50, 0.0, 0.1),
        "high": (0.03, 0.30, 0.0, 0.1),
        "boat": (-0.012, 0.25, 0.0, 0.1),
        "v": (0.008, 0.45, 0.085, 0.075),
    }[card.clothes.neck]
    line = (
        neck[2]
        + height
        - slope * forward
        - np.where(forward > 0, dip * np.clip(1 - lateral / width, 0, 1), 0)
    )
    return np.minimum(sleeve, line - position[:, 2])


def _split_body(body: Body, triangles: np.ndarray, whole: Part, card: SignerCard) -> list[Part]:
    """Skin, tongue and eyes as parts of their own."""
    base = body.arrays["base_index"]
    tongue, eye = (base >= 13380) & (base <= 13605), base >= 14598
    label = np.where(eye, EYE, np.where(tongue, TONGUE, SKIN))[triangles[:, 0]]

    def piece(material: int) -> Part:
        part = replace(whole, triangles=triangles[label == material], material=material)
        part.attributes = whole.attributes.copy()
        return part

    skin = piece(SKIN)
    _paint_skin(body, skin, card)
    return [skin, piece(EYE).tint("#ebe6e1", 0.0), piece(TONGUE).tint("#b4595c", 0.3)]


def _paint_skin(body: Body, skin: Part, card: SignerCard) -> None:
    """Colour by vertex: palms, knuckles, nails, ears, the inside of the mouth; where face paint goes."""
    arrays = body.arrays
    canon = arrays["vertices"][0]
    heads = {name: arrays["heads"][0][i] for i, name in enumerate(body.joints)}
    normals = vertex_normals(canon, arrays["triangles"])
    base = np.array(linear(card.skin))
    colour = np.tile(base, (len(canon), 1))
    red, light = np.array([1.08, 0.86, 0.84]), np.array([1.0, 0.82, 0.74])

    def blend(target: np.ndarray, share: np.ndarray) -> None:
        colour[:] = colour + (target - colour) * np.clip(share, 0, 1)[:, None]

    hand_joints = [i for i, n in enumerate(body.joints) if n.startswith(("wrist", "finger", "metacarpal"))]
    on_hand = skin.weights[:, hand_joints].sum(1)
    for side in "LR":
        wrist, index, little = (heads[f"{n}.{side}"] for n in ("wrist", "finger2-1", "finger5-1"))
        palm = np.cross(index - wrist, little - wrist) * (1 if side == "R" else -1)
        palm /= np.linalg.norm(palm)
        here = on_hand * (canon[:, 0] * (1 if side == "L" else -1) > 0)
        inner = np.clip((normals @ palm + 0.15) / 0.6, 0, 1) * here
        # palms carry little pigment: the darker the skin, the larger the difference
        blend(base**0.5 * light, inner * 0.85)
        for finger in range(1, 6):
            for k in (1, 2, 3):
                joint = heads[f"finger{finger}-{k}.{side}"]
                near = np.exp(-(((canon - joint) ** 2).sum(1)) / 0.011**2) * here * (1 - inner)
                blend(base * red * 0.9, near * 0.55)
        tips = np.exp(
            -np.min([((canon - heads[f"finger{f}-3.{side}"]) ** 2).sum(1) for f in range(1, 6)], axis=0)
            / 0.022**2
        )
        blend(colour * red, tips * here * 0.3)
    labels = {name: arrays[f"label_{name}"] / 255.0 for name in ("nail", "ear", "mouth_inside")}
    blend(colour * red, labels["ear"] * 0.6)
    blend(base**0.85 * np.array([1.03, 0.84, 0.82]), labels["nail"] * 0.8)
    blend(np.array([0.16, 0.035, 0.035]), labels["mouth_inside"])
    if card.hair.style != "bald":  # the first fine hairs before the hairline
        edge = np.clip((behind_hairline(canon) + 0.007) / 0.014, 0, 1) * (1 - labels["ear"])
        blend(np.array(linear(card.hair.colour)) * 0.9, edge * 0.85 * (canon[:, 2] > 0.735))
    skin.attributes[:, COLOUR : COLOUR + 3] = colour
    skin.attributes[:, GLOSS] = 0.22 + 0.5 * labels["nail"] - 0.1 * on_hand
    on_head = canon[:, 2] > heads["neck02"][2]
    facing = np.clip((-normals[:, 1] + 0.55) / 0.3, 0, 1) * np.clip((-0.052 - canon[:, 1]) / 0.012, 0, 1)
    skin.attributes[:, PAINTED] = on_head * facing * (1 - labels["mouth_inside"])


def _join(body: Body, rest: RestPose, parts: list[Part]) -> Figure:
    """One mesh with its own skinning."""
    starts = np.cumsum([0, *[len(part.position) for part in parts]])
    position = np.concatenate([part.position for part in parts]).astype(np.float32)
    weights = np.concatenate([part.weights for part in parts])
    face = np.concatenate([part.face for part in parts])
    kept = np.argpartition(-weights, WEIGHTS_KEPT, axis=1)[:, :WEIGHTS_KEPT]
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
        skin=Skin(Body(arrays), dressed, anatomy=rest),
        triangles=np.ascontiguousarray(triangles),
        material=material,
        cull=~np.concatenate([np.broadcast_to(part.both_sides, len(part.triangles)) for part in parts]),
        attributes=np.ascontiguousarray(
            np.concatenate([part.attributes for part in parts]).astype(np.float32)
        ),
        rest=position,
    )


def _bake_ambient(figure: Figure) -> None:
    """Fill the AMBIENT column: the share of the sky that each vertex sees at rest, weighted by the cosine.

    Depth maps from directions spread evenly over the sphere; only what stands nearer than AMBIENT_REACH
    counts, so that the arms' place at rest does not show.
    """
    rest, triangles = figure.rest, figure.triangles
    normals = vertex_normals(rest, triangles)
    low, high = rest.min(0), rest.max(0)
    centre, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
    scale = AMBIENT_SIZE / 2 / radius
    count = np.arange(AMBIENT_DIRECTIONS) + 0.5
    height, turn = 1 - 2 * count / AMBIENT_DIRECTIONS, np.pi * (1 + 5**0.5) * count
    ring = np.sqrt(1 - height**2)
    seen, total = np.zeros(len(rest)), np.full(len(rest), 1e-6)
    keep_all = np.zeros(len(triangles), bool)
    triangle = np.empty((AMBIENT_SIZE, AMBIENT_SIZE), np.int32)
    inverse = np.empty((AMBIENT_SIZE, AMBIENT_SIZE), np.float32)
    for direction in np.stack([ring * np.cos(turn), ring * np.sin(turn), height], 1):
        across = np.cross(direction, [0.3, 0.9, 0.1])
        across /= np.linalg.norm(across)
        up = np.cross(across, direction)
        local = rest - centre
        far = 10 * radius - local @ direction
        points = np.stack(
            [AMBIENT_SIZE / 2 + local @ across * scale, AMBIENT_SIZE / 2 + local @ up * scale, far], 1
        )
        points = np.ascontiguousarray(points, np.float32)
        visible(points, triangles, keep_all, triangle, inverse)
        column, row = (np.clip(points[:, k].astype(int), 0, AMBIENT_SIZE - 1) for k in (0, 1))
        gap = far - 1 / np.maximum(inverse[row, column], 1e-6)
        cosine = np.maximum(normals @ direction, 0)
        seen += cosine * ((gap < 0.006) | (gap > AMBIENT_REACH))
        total += cosine
    figure.attributes[:, AMBIENT] = np.clip(0.1 + 1.0 * seen / total, 0, 1)
