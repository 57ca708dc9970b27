import math

import numpy as np
import pytest
import torch

from hwnas.errors import DataError
from hwnas.estimators import Budget
from hwnas.estimators.batch_score import image_batch
from hwnas.estimators.naswot import NaswotScore, activation_kernel, naswot
from hwnas.nets import Network
from hwnas.spaces import BLOCKS, space
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.spaces.graph import INPUT
from hwnas.spaces.registry import SPACES
from hwnas.training.images import ImageData, Split

IMAGES = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def test_naswot_by_hand(tiny):
    conv = next(iter(tiny.parameters())).detach().numpy()[:, :, 0, 0]
    hidden = np.einsum("oc,nchw->nohw", conv, IMAGES.numpy())
    codes = (hidden > hidden.mean((0, 2, 3), keepdims=True)).reshape(5, -1)
    kernel = np.array([[(a == b).sum() for b in codes] for a in codes], float)
    assert np.array_equal(activation_kernel(tiny, IMAGES).numpy(), kernel)
    assert naswot(tiny, IMAGES) == pytest.approx(np.linalg.slogdet(kernel)[1])


def test_the_network_is_left_as_it_was(tiny):
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    naswot(tiny.train(), IMAGES)
    after = tiny.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_images_that_are_not_told_apart_lower_the_score_but_keep_it_finite(tiny):
    same = torch.cat([IMAGES[:4], IMAGES[:1]])
    assert math.isfinite(naswot(tiny, same))
    assert naswot(tiny, same) < naswot(tiny, IMAGES)


def test_a_network_without_activations_has_a_finite_score():
    network = Network(Architecture((3, 4, 4), (BlockSpec.of("classifier", classes=2),)))
    assert not activation_kernel(network, IMAGES).any()
    assert math.isfinite(naswot(network, IMAGES))


def test_the_batch_is_of_the_training_images_and_changes_with_the_seed(data, tiny):
    def value(seed):
        return NaswotScore(data, seed=seed, batch_size=6).estimate(tiny.architecture, Budget())

    images, _ = image_batch(data, tiny.architecture, 6, 3)
    assert value(3).value == naswot(Network(tiny.architecture, seed=3), images)
    assert value(3).value != value(4).value
    data.train.images[:20] = data.train.images[0]
    assert NaswotScore(data).estimate(tiny.architecture, Budget()).provenance["images"] == 5


def test_images_that_do_not_fit_are_refused(data, tiny):
    found = NaswotScore(data, batch_size=6).estimate(tiny.architecture, Budget())
    assert found.provenance == {"estimator": "naswot", "data": "noise", "seed": 0, "images": 6}
    parts = (data.train, data.validation, data.test)
    pairs = (Split(part.images.repeat(2, 1), part.labels) for part in parts)
    two_channels = ImageData("two", 2, ("a", "b"), *pairs)
    with pytest.raises(DataError, match="images of 2 channels"):
        NaswotScore(two_channels).estimate(tiny.architecture, Budget())


@pytest.mark.parametrize("name", [name for name in SPACES if f"{name}-32" not in SPACES])
def test_every_space_has_finite_scores(name, data):
    own = space(f"{name}:classes=2,image_size=16")
    for genes in own.sample(np.random.default_rng(3), 3).tolist():
        found = NaswotScore(data, batch_size=4).estimate(own.decode(genes), Budget())
        assert math.isfinite(found.value)


def test_what_is_not_used_does_not_count(monkeypatch):
    def used(b):
        b.conv_bn("first", INPUT, 4, 3, activation="relu")

    def with_unused(b):
        dead = b.conv_bn("dead", INPUT, 8, 3, activation="relu")
        b.conv_bn("dead.too", dead, 8, 3, activation="relu")
        used(b)

    values = set()
    for kind, build in (("naswot_used", used), ("naswot_unused", with_unused)):
        monkeypatch.setitem(BLOCKS, kind, build)
        specs = (BlockSpec.of(kind), BlockSpec.of("classifier", classes=2))
        values.add(naswot(Network(Architecture((3, 4, 4), specs)), IMAGES))
    assert len(values) == 1
