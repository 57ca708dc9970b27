import numpy as np
import pytest
import torch

from hwnas.errors import SpecError
from hwnas.nets import Network
from hwnas.nets.hypernetwork import Hypernetwork, run_with
from hwnas.spaces import space

SPACES = (
    "micro",
    "mobilenet-32",
    "resnet-32",
    "mobilenetv1-32",
    "shufflenet-32",
    "efficientnet-32",
    "vit-32",
    "nasbench201",
)
MICRO = space("micro:image_size=16")


def hypernetwork(classes=10, seed=0):
    return Hypernetwork(classes, hidden=8, channels=16, kernel=5, seed=seed)


def images(architecture, count=4):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, *architecture.input_shape, generator=generator)


@pytest.mark.parametrize("name", SPACES)
def test_predicted_networks_of_every_space_are_finite_and_pass_gradients(name):
    own = space(f"{name}:image_size=16")
    hyper = hypernetwork(own.classes)
    genes = own.sample(np.random.default_rng(0), 3).tolist()
    architectures = [own.decode(item) for item in genes]
    logits = [
        run_with(architecture, weights, images(architecture))
        for architecture, weights in zip(architectures, hyper(architectures), strict=True)
    ]
    assert all(own.shape == (4, 10) and own.isfinite().all() for own in logits)
    sum(own.square().mean() for own in logits).backward()
    for label, parameter in hyper.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), label
    assert hyper.states.kinds.weight.grad.any() and hyper.states.far[0].weight.grad.any()


def test_a_network_of_its_own_computes_the_same():
    architecture = MICRO.decode(MICRO.sample(np.random.default_rng(1), 1)[0])
    hyper = hypernetwork()
    network = hyper.network(architecture, seed=3)
    assert isinstance(network, Network) and all(p.requires_grad for p in network.parameters())
    batch = images(architecture)
    (weights,) = hyper([architecture])
    with torch.no_grad():
        expected = run_with(architecture, weights, batch)
        torch.testing.assert_close(network.train()(batch), expected)
    assert {name for name, _ in network.named_parameters()} == weights.keys()


def test_what_is_predicted_does_not_depend_on_the_others():
    rng = np.random.default_rng(2)
    first, second = (MICRO.decode(own) for own in MICRO.sample(rng, 2).tolist())
    hyper = hypernetwork()
    with torch.no_grad():
        (alone,) = hyper([first])
        _, together = hyper([second, first])
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=1e-4, atol=1e-5)


def test_the_seed_decides_the_weights_and_the_global_generator_is_left_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = hypernetwork(), hypernetwork(), hypernetwork(seed=1)
    assert torch.equal(before, torch.get_rng_state())
    for left, right in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(left, right)
    assert not torch.equal(first.decoder.dense.weight, other.decoder.dense.weight)


@pytest.mark.parametrize(
    ("sizes", "wrong"),
    [({"hidden": 1}, "hidden must be at least 2"), ({"kernel": 4}, "kernel must be odd")],
)
def test_impossible_sizes_are_refused(sizes, wrong):
    with pytest.raises(SpecError, match=wrong):
        Hypernetwork(10, **sizes)
