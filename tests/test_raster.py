"""The rasteriser: the torch definition, and the numba kernel that must equal it."""

import numpy as np
import torch

from stable_signer.body.skeleton import Body
from stable_signer.body.skinning import Skin
from stable_signer.pose2vid.camera import Camera
from stable_signer.pose2vid.raster import rasterise, visible


def by_kernel(points: np.ndarray, triangles: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    triangle, inverse = np.empty((size, size), np.int32), np.empty((size, size), np.float32)
    visible(points, triangles.astype(np.int32), np.zeros(len(triangles), bool), triangle, inverse)
    return triangle, inverse


def random_scene(seed: int, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-10, size + 10, (count, 1, 2))
    corners = centre + rng.normal(0, size / 8, (count, 3, 2))
    depth = rng.uniform(1, 5, (count, 3, 1))
    points = np.concatenate([corners, depth], -1).reshape(-1, 3).astype(np.float32)
    return points, np.arange(3 * count).reshape(-1, 3)


def test_kernel_equals_torch_on_random_triangles() -> None:
    for seed in range(5):
        points, triangles = random_scene(seed, 200, 96)
        expected = rasterise(torch.from_numpy(points)[None], torch.from_numpy(triangles), 96, 96)
        triangle, inverse = by_kernel(points, triangles, 96)
        same = triangle == expected.triangle[0].numpy()
        assert same.mean() > 0.999  # what lies exactly on an edge may round either way
        depth, seen = expected.depth[0].numpy(), same & (triangle >= 0)
        np.testing.assert_allclose(1 / inverse[seen], depth[seen], rtol=1e-4)


def test_kernel_equals_torch_on_a_body() -> None:
    body = Body.load()
    rest = body.signer("maya")
    eye = torch.eye(3).expand(1, len(body.joints), 3, 3)
    posed = Skin(body, rest).pose(eye, torch.zeros(1, 52), torch.zeros(1, 3))
    points = Camera.of(body, "maya", 160).project(posed.vertices)
    triangles = torch.from_numpy(body.arrays["triangles"]).long()
    expected = rasterise(points, triangles, 160, 160)
    triangle, _ = by_kernel(points[0].numpy(), triangles.numpy(), 160)
    seen = expected.triangle[0].numpy()
    assert 0.1 < (seen >= 0).mean() < 0.9
    assert ((triangle >= 0) == (seen >= 0)).mean() > 0.9999
    assert (triangle == seen).mean() > 0.999


def test_barycentrics_find_the_point_again_in_space() -> None:
    camera = Camera(64)
    x, y, z = (float(c) for c in camera.position)
    corners = torch.tensor([[x - 0.3, y + 2, z - 0.3], [x + 0.4, y + 3, z - 0.2], [x, y + 4, z + 0.4]])
    points = camera.project(corners)[None]
    fragments = rasterise(points, torch.tensor([[0, 1, 2]]), 64, 64)
    seen = fragments.triangle[0] == 0
    weights = fragments.barycentric[0][seen]  # (N, 3)
    torch.testing.assert_close(weights.sum(-1), torch.ones(len(weights)))
    again = camera.project(weights @ corners)
    row, column = seen.nonzero().unbind(1)
    torch.testing.assert_close(again[:, 0], column + 0.5, atol=1e-3, rtol=0)
    torch.testing.assert_close(again[:, 1], row + 0.5, atol=1e-3, rtol=0)
    torch.testing.assert_close(again[:, 2], fragments.depth[0][seen], atol=1e-4, rtol=0)


def test_the_nearest_wins_and_the_first_of_equals() -> None:
    square = np.array([[0, 0], [20, 0], [0, 20]])
    layers = [np.c_[square, np.full(3, depth)] for depth in (3.0, 2.0, 2.0, 4.0)]
    points = np.concatenate(layers).astype(np.float32)
    triangles = np.arange(12).reshape(4, 3)
    fragments = rasterise(torch.from_numpy(points)[None], torch.from_numpy(triangles), 10, 10)
    assert (fragments.triangle[0, :5, :5] == 1).all()
    assert (by_kernel(points, triangles, 10)[0][:5, :5] == 1).all()


def test_degenerate_hidden_and_outside_triangles_are_left_out() -> None:
    points = np.array(
        [[1, 1, 2], [5, 5, 2], [9, 9, 2],  # a line
         [1, 1, -1], [9, 1, 2], [1, 9, 2],  # reaches behind the camera
         [-50, -50, 2], [-40, -50, 2], [-50, -40, 2]],  # outside
        np.float32,
    )  # fmt: skip
    triangles = np.arange(9).reshape(3, 3)
    fragments = rasterise(torch.from_numpy(points)[None], torch.from_numpy(triangles), 10, 10)
    assert (fragments.triangle == -1).all()
    assert torch.isinf(fragments.depth).all()
    assert (fragments.barycentric == 0).all()
    assert (by_kernel(points, triangles, 10)[0] == -1).all()


def test_backs_are_culled_when_asked() -> None:
    front = np.array([[0, 0, 2], [0, 9, 2], [9, 0, 2]], np.float32)  # anticlockwise in the world, y down here
    triangle, inverse = np.empty((10, 10), np.int32), np.empty((10, 10), np.float32)
    for order, seen in (([0, 1, 2], True), ([0, 2, 1], False)):
        visible(front, np.array([order], np.int32), np.ones(1, bool), triangle, inverse)
        assert (triangle >= 0).any() == seen


def test_gradients_reach_the_points() -> None:
    points = torch.tensor([[[1.0, 1, 2], [9, 1, 3], [1, 9, 4]]], requires_grad=True)
    fragments = rasterise(points, torch.tensor([[0, 1, 2]]), 10, 10)
    (fragments.barycentric[..., 0].sum()).backward()
    assert points.grad is not None and points.grad.abs().sum() > 0
