"""The moving body as glTF 2.0 (.glb), for three.js, Blender and game engines.

One skinned mesh with vertex colours, a node for each joint, morph targets for the face actions that are used,
and one animation. What the renderer paints at each pixel (irises, brows, weave) is not in it. glTF is metres,
y up, facing +z; a node above the skeleton turns our z up, facing -y.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from stable_signer.body.motion import Motion
from stable_signer.body.rotation import matrix_to_quaternion
from stable_signer.body.skeleton import Body
from stable_signer.media.provenance import DISCLAIMER, tool_version
from stable_signer.pose2vid.figure import Figure, build_figure
from stable_signer.pose2vid.shading import AMBIENT, COLOUR
from stable_signer.pose2vid.signers import signer_card

WEIGHTS = 4  # joints a vertex: what every viewer supports
CHUNK = 64  # frames posed at once
FLOAT, UINT, USHORT, UBYTE = 5126, 5125, 5123, 5121  # component types of glTF
ARRAY, ELEMENTS = 34962, 34963  # buffer view targets
TO_Y_UP = [-float(np.sqrt(0.5)), 0.0, 0.0, float(np.sqrt(0.5))]  # x, y, z, w: a quarter turn about x


def write_glb(path: str | Path, motion: Motion, signer: str) -> None:
    """Write `motion` of a signer (see `signer_card`) to `path`, in place: claim it from `Outputs`."""
    body, card = Body.load(), signer_card(signer)
    figure = build_figure(body, card)
    Path(path).write_bytes(_Document(figure, motion, card.name, body).bytes())


class _Document:
    """Collects the binary parts and the JSON that describes them."""

    def __init__(self, figure: Figure, motion: Motion, name: str, body: Body) -> None:
        self.binary = bytearray()
        self.json: dict[str, Any] = {
            "asset": {
                "version": "2.0",
                "generator": f"Stable Signer {tool_version()}",
                "copyright": DISCLAIMER,
                "extras": {"synthetic": True},
            },
            "bufferViews": [],
            "accessors": [],
            "materials": [
                {
                    "name": "painted",
                    "doubleSided": True,
                    "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.85},
                }
            ],
        }
        self.used = np.flatnonzero(np.abs(motion.face).max(0) > 1e-3)  # face actions worth a morph target
        self._mesh(figure, body)
        self._nodes(figure, body, name)
        self._animation(figure, motion, body)

    def bytes(self) -> bytes:
        """The file: a header, the JSON, the binary."""
        self.json["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.json, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        binary = bytes(self.binary) + b"\0" * (-len(self.binary) % 4)
        chunks = b"".join(
            len(data).to_bytes(4, "little") + kind + data
            for kind, data in ((b"JSON", text), (b"BIN\0", binary))
        )
        return b"glTF" + (2).to_bytes(4, "little") + (12 + len(chunks)).to_bytes(4, "little") + chunks

    def _view(self, data: np.ndarray, target: int | None = None) -> int:
        self.binary += b"\0" * (-len(self.binary) % 4)
        view: dict[str, int] = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": data.nbytes}
        if target:
            view["target"] = target
        self.binary += np.ascontiguousarray(data).tobytes()
        self.json["bufferViews"].append(view)
        return len(self.json["bufferViews"]) - 1

    def _accessor(
        self, data: np.ndarray, kind: str, component: int, *, target: int | None = None, **more: Any
    ) -> int:
        entry = {"bufferView": self._view(data, target), "componentType": component, "count": len(data)}
        self.json["accessors"].append({**entry, "type": kind, **more})
        return len(self.json["accessors"]) - 1

    def _bounds(self, data: np.ndarray) -> dict[str, Any]:
        flat = data.reshape(len(data), -1)
        return {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}

    def _sparse(self, rows: np.ndarray, values: np.ndarray, count: int) -> int:
        """An accessor of 3-vectors that are zero but in `rows`."""
        whole = np.concatenate([values, np.zeros((1, 3), np.float32)])  # the zeros count for the bounds
        self.json["accessors"].append(
            {
                "componentType": FLOAT,
                "count": count,
                "type": "VEC3",
                **self._bounds(whole),
                "sparse": {
                    "count": len(rows),
                    "indices": {"bufferView": self._view(rows.astype(np.uint32)), "componentType": UINT},
                    "values": {"bufferView": self._view(values.astype(np.float32))},
                },
            }
        )
        return len(self.json["accessors"]) - 1

    def _mesh(self, figure: Figure, body: Body) -> None:
        position = figure.rest.astype(np.float32)
        joints, strength = strongest(figure.skin.weights.to_dense().numpy())
        colour = np.clip(figure.attributes[:, COLOUR:AMBIENT], 0, 1).astype(np.float32)
        attributes = {
            "POSITION": self._accessor(position, "VEC3", FLOAT, target=ARRAY, **self._bounds(position)),
            "NORMAL": self._accessor(normals(position, figure.triangles), "VEC3", FLOAT, target=ARRAY),
            "COLOR_0": self._accessor(colour, "VEC3", FLOAT, target=ARRAY),
            "JOINTS_0": self._accessor(joints.astype(np.uint8), "VEC4", UBYTE, target=ARRAY),
            "WEIGHTS_0": self._accessor(strength, "VEC4", FLOAT, target=ARRAY),
        }
        indices = figure.triangles.astype(np.uint32).reshape(-1)
        primitive: dict[str, Any] = {
            "attributes": attributes,
            "indices": self._accessor(indices, "SCALAR", UINT, target=ELEMENTS),
            "material": 0,
        }
        moves = figure.skin.face.to_dense().numpy().reshape(len(position), 3, -1)
        targets, names = [], []
        for action in self.used:
            rows = np.flatnonzero(np.abs(moves[:, :, action]).max(1) > 1e-6)
            if len(rows):
                targets.append({"POSITION": self._sparse(rows, moves[rows, :, action], len(position))})
                names.append(action)
        self.used = np.array(names, int)
        mesh: dict[str, Any] = {"name": "signer", "primitives": [primitive]}
        if targets:
            primitive["targets"] = targets
            mesh["weights"] = [0.0] * len(targets)
            mesh["extras"] = {"targetNames": [body.face_actions[a] for a in names]}
        self.json["meshes"] = [mesh]

    def _nodes(self, figure: Figure, body: Body, name: str) -> None:
        """0: the turn to y up. 1: the mesh. From 2 on: the joints."""
        heads = figure.skin.rest.heads.numpy()
        nodes: list[dict[str, Any]] = [
            {"name": name, "rotation": TO_Y_UP, "children": [2]},
            {
                "name": "body",
                "mesh": 0,
                "skin": 0,
            },  # apart: a skinned mesh follows its joints, not its parent
        ]
        for j, parent in enumerate(body.parents):
            place = heads[j] - (heads[parent] if parent >= 0 else 0)
            node: dict[str, Any] = {"name": body.joints[j], "translation": place.tolist()}
            children = [2 + k for k, p in enumerate(body.parents) if p == j]
            nodes.append({**node, "children": children} if children else node)
        inverse = np.tile(np.eye(4, dtype=np.float32), (len(heads), 1, 1))
        inverse[:, :3, 3] = -heads
        columns = np.ascontiguousarray(inverse.transpose(0, 2, 1)).reshape(
            -1, 16
        )  # glTF's matrices go by column
        self.json |= {
            "nodes": nodes,
            "skins": [
                {
                    "inverseBindMatrices": self._accessor(columns, "MAT4", FLOAT),
                    "joints": [2 + j for j in range(len(heads))],
                    "skeleton": 2,
                }
            ],
            "scenes": [{"nodes": [0, 1]}],
            "scene": 0,
        }

    def _animation(self, figure: Figure, motion: Motion, body: Body) -> None:
        times = (np.arange(len(motion)) / motion.fps).astype(np.float32)
        clock = self._accessor(times, "SCALAR", FLOAT, **self._bounds(times))
        local, root = local_rotations(figure, motion, body)
        samplers: list[dict[str, Any]] = []
        channels: list[dict[str, Any]] = []

        def channel(node: int, path: str, data: np.ndarray, kind: str) -> None:
            samplers.append(
                {"input": clock, "output": self._accessor(data, kind, FLOAT), "interpolation": "LINEAR"}
            )
            channels.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": path}})

        for j in range(len(body.joints)):
            channel(2 + j, "rotation", local[:, j], "VEC4")
        channel(2, "translation", root, "VEC3")
        if len(self.used):
            channel(1, "weights", motion.face[:, self.used].astype(np.float32).reshape(-1), "SCALAR")
        self.json["animations"] = [{"name": "signing", "samplers": samplers, "channels": channels}]


def local_rotations(figure: Figure, motion: Motion, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """(T, J, 4) each joint's turn from its parent, x y z w, signs steady; (T, 3) the root's place."""
    align = figure.skin.rest.align.numpy()
    parents = np.array(body.parents)
    turned, places = [], []
    for start in range(0, len(motion), CHUNK):
        posed = figure.skin.pose_motion(motion[start : start + CHUNK])
        world = posed.turns.numpy() @ align  # (B, J, 3, 3)
        above = world[:, np.maximum(parents, 0)]
        above[:, parents < 0] = np.eye(3)
        turned.append(matrix_to_quaternion(np.swapaxes(above, -1, -2).astype(float) @ world))
        places.append(posed.joints[:, 0].numpy())
    q = np.concatenate(turned)  # w first
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    flips = np.cumprod(np.where((q[1:] * q[:-1]).sum(-1) < 0, -1.0, 1.0), axis=0)
    q[1:] *= flips[..., None]
    return np.roll(q, -1, axis=-1).astype(np.float32), np.concatenate(places).astype(np.float32)


def strongest(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, J) -> the WEIGHTS strongest joints of each vertex (N, 4) and their share (N, 4) float32."""
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :WEIGHTS]
    share = np.take_along_axis(weights, joints, 1)
    share = (share / share.sum(1, keepdims=True)).astype(np.float32)
    return np.where(share > 0, joints, 0), share  # an unused place must name joint 0


def normals(position: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(N, 3) unit normals, those of the triangles around a vertex weighted by area."""
    a, b, c = (position[triangles[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    out = np.zeros_like(position)
    for k in range(3):
        np.add.at(out, triangles[:, k], across)
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return np.where(length > 1e-12, out / np.maximum(length, 1e-12), [0.0, 0.0, 1.0]).astype(np.float32)
