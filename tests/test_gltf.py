"""The glTF file, played back by the rules of its specification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stable_signer.body.motion import Motion
from stable_signer.body.skeleton import Body
from stable_signer.media.gltf import write_glb
from stable_signer.pipeline import StableSigner
from stable_signer.pose2vid.figure import build_figure
from stable_signer.pose2vid.signers import SIGNERS

SIZES = {5126: "<f4", 5125: "<u4", 5121: "u1"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Reader:
    """As much of glTF as the file uses."""

    def __init__(self, path: Path) -> None:
        raw = path.read_bytes()
        assert raw[:4] == b"glTF"
        assert int.from_bytes(raw[8:12], "little") == len(raw)
        length = int.from_bytes(raw[12:16], "little")
        self.json: dict[str, Any] = json.loads(raw[20 : 20 + length])
        self.binary = raw[28 + length :]

    def view(self, number: int, component: int, count: int, width: int) -> np.ndarray:
        view = self.json["bufferViews"][number]
        start = view["byteOffset"]
        data = np.frombuffer(self.binary[start : start + view["byteLength"]], SIZES[component])
        return data.reshape(count, width)

    def read(self, number: int) -> np.ndarray:
        a = self.json["accessors"][number]
        width = WIDTHS[a["type"]]
        if "sparse" not in a:
            return self.view(a["bufferView"], a["componentType"], a["count"], width)
        s, out = a["sparse"], np.zeros((a["count"], width), np.float32)
        rows = self.view(s["indices"]["bufferView"], s["indices"]["componentType"], s["count"], 1)[:, 0]
        out[rows] = self.view(s["values"]["bufferView"], 5126, s["count"], width)
        return out

    def vertices(self, frame: int) -> np.ndarray:
        """Where the mesh is at a frame, in glTF's axes."""
        nodes, animation = [dict(n) for n in self.json["nodes"]], self.json["animations"][0]
        morph = np.zeros(0)
        for channel in animation["channels"]:
            output = self.read(animation["samplers"][channel["sampler"]]["output"])
            target = channel["target"]
            if target["path"] == "weights":
                morph = output.reshape(-1, len(self.json["meshes"][0]["weights"]))[frame]
            else:
                nodes[target["node"]][target["path"]] = output[frame]
        world: dict[int, np.ndarray] = {}

        def walk(number: int, above: np.ndarray) -> None:
            node = nodes[number]
            own = np.eye(4)
            x, y, z, w = node.get("rotation", (0, 0, 0, 1))
            own[:3, :3] = [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
            own[:3, 3] = node.get("translation", (0, 0, 0))
            world[number] = above @ own
            for child in node.get("children", []):
                walk(child, world[number])

        for top in self.json["scenes"][0]["nodes"]:
            walk(top, np.eye(4))
        skin, primitive = self.json["skins"][0], self.json["meshes"][0]["primitives"][0]
        inverse = self.read(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints = np.stack([world[n] for n in skin["joints"]]) @ inverse
        at = {k: self.read(v) for k, v in primitive["attributes"].items()}
        place = at["POSITION"].astype(float)
        for weight, target in zip(morph, primitive.get("targets", []), strict=True):
            place = place + weight * self.read(target["POSITION"])
        blended = (joints[at["JOINTS_0"]] * at["WEIGHTS_0"][..., None, None]).sum(1)
        return np.asarray((blended[:, :3, :3] @ place[..., None])[..., 0] + blended[:, :3, 3])


@pytest.fixture(scope="module")
def motion() -> Motion:
    engine = StableSigner.from_pretrained()
    return engine.motion(engine.plan("What is your name?"))


@pytest.mark.parametrize("signer", ["maya", "samuel"])
def test_the_mesh_moves_as_ours_does(tmp_path: Path, motion: Motion, signer: str) -> None:
    write_glb(tmp_path / "a.glb", motion, signer)
    reader = Reader(tmp_path / "a.glb")
    figure = build_figure(Body.load(), SIGNERS[signer])
    for frame in (0, len(motion) // 2, len(motion) - 1):
        ours = figure.skin.pose_motion(motion[frame : frame + 1]).vertices[0].numpy()
        theirs = reader.vertices(frame)
        off = np.linalg.norm(np.stack([ours[:, 0], ours[:, 2], -ours[:, 1]], 1) - theirs, axis=1)
        few = (figure.skin.weights.to_dense().numpy() > 0).sum(1) <= 4
        assert off[few].max() < 1e-4  # metres
        assert np.median(off) < 1e-3  # the others have four joints instead of eight
        assert np.quantile(off, 0.99) < 0.008
    assert reader.json["asset"]["extras"]["synthetic"] is True
    head = [n["name"] for n in reader.json["nodes"]].index("head")
    assert reader.json["skins"][0]["joints"].count(head) == 1


def test_bounds_and_ranges_hold(tmp_path: Path, motion: Motion) -> None:
    write_glb(tmp_path / "a.glb", motion, "maya")
    reader = Reader(tmp_path / "a.glb")
    for number, accessor in enumerate(reader.json["accessors"]):
        data = reader.read(number)
        if "min" in accessor:
            np.testing.assert_allclose(data.min(0), accessor["min"], atol=1e-6)
            np.testing.assert_allclose(data.max(0), accessor["max"], atol=1e-6)
    attributes = reader.json["meshes"][0]["primitives"][0]["attributes"]
    np.testing.assert_allclose(reader.read(attributes["WEIGHTS_0"]).sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(reader.read(attributes["NORMAL"]), axis=1), 1, atol=1e-5)
