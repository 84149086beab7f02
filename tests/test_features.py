"""Deep features: the network's shape, its distance, and which reference is nearest. Weights are random."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from stable_signer.errors import StableSignerError
from stable_signer.metrics import features
from stable_signer.metrics.features import FeatureNet, distance, manner_of, nearest


@pytest.fixture(scope="module")
def net() -> FeatureNet:
    torch.manual_seed(0)
    return FeatureNet()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Pictures this small are slower on many."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pictures(count: int, seed: int = 1) -> torch.Tensor:
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bilinear")


def test_maps_shrink_by_two_and_have_unit_length(net: FeatureNet) -> None:
    maps = net(pictures(2))
    assert [tuple(m.shape) for m in maps] == [(2, 24, 16, 16), (2, 40, 8, 8), (2, 112, 4, 4), (2, 320, 2, 2)]
    assert all(torch.allclose(m.norm(dim=1), torch.ones(()), atol=1e-3) for m in maps)
    assert tuple(manner_of(net, pictures(2)).shape) == (2, 2 * (24 + 40 + 112 + 320))


def test_equal_pictures_lie_at_zero_and_farther_ones_farther(net: FeatureNet) -> None:
    truth, other = pictures(3), pictures(3, seed=2)
    near = truth * 0.9 + other * 0.1
    assert (distance(net, truth, truth) == 0).all()
    assert (distance(net, truth, near) < distance(net, truth, other)).all()


def test_the_nearest_reference_is_the_most_alike(net: FeatureNet) -> None:
    references = pictures(4)
    shown = references[[2, 0, 3]] * 0.98 + 0.01
    assert nearest(net, shown, references).tolist() == [2, 0, 3]


def test_weights_that_are_missing_or_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "weights_path", lambda: None)
    with pytest.raises(StableSignerError, match=r"pip install 'stable-signer\[pictures\]'"):
        FeatureNet.load()
    other = tmp_path / "other.pth"
    other.write_bytes(b"other")
    monkeypatch.setattr(features, "weights_path", lambda: other)
    with pytest.raises(StableSignerError, match="install it anew"):
        FeatureNet.load()


@pytest.mark.skipif(features.weights_path() is None, reason="needs the extra [pictures]")
def test_the_published_weights_fit() -> None:
    net = FeatureNet.load()
    assert (distance(net, pictures(1), pictures(1, seed=2)) > 0.05).all()
