import math

import numpy as np
import pytest
import torch

from hwnas.errors import SpecError
from hwnas.estimators import ESTIMATORS, Budget, mean_rank
from hwnas.estimators.zero_shot import (
    AzNasScore,
    FisherScore,
    GradNormScore,
    GradSignScore,
    GraspScore,
    JacobCovScore,
    SnipScore,
    SynflowScore,
    ZenScore,
    ZicoScore,
    az_nas,
    fisher,
    grad_norm,
    gradsign,
    grasp,
    jacob_cov,
    snip,
    synflow,
    zen,
    zico,
)
from hwnas.nets import Network
from hwnas.spaces import BLOCKS, space
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.spaces.channel_layers import Zero
from hwnas.spaces.graph import INPUT
from hwnas.spaces.layers import GlobalAveragePool
from hwnas.spaces.registry import SPACES


def test_mean_rank_puts_what_is_not_finite_below_all():
    found = mean_rank([[1.0, 3.0, math.nan, 3.0], [-math.inf, 5.0, 1.0, math.nan]])
    assert found == [1.75, 3.75, 2.0, 2.5]


def test_mean_rank_survives_a_journal_in_which_minus_infinity_is_nothing():
    kept, read = [-math.inf, 2.0, math.nan, 1.0], [math.nan, 2.0, math.nan, 1.0]
    assert mean_rank([kept, [1.0, 2.0, 3.0, 4.0]]) == mean_rank([read, [1.0, 2.0, 3.0, 4.0]])


def test_one_score_keeps_its_order_and_its_scale_does_not_matter():
    scores = [[0.1, 0.3, 0.2], [100.0, 300.0, 200.0]]
    assert mean_rank(scores[:1]) == mean_rank(scores) == [1.0, 3.0, 2.0]


def test_equals_and_missing_values_share_the_mean_of_their_ranks():
    assert mean_rank([[5.0, 5.0, 5.0]]) == [2.0] * 3
    assert mean_rank([[math.nan] * 3]) == [2.0] * 3


@pytest.mark.parametrize(
    ("scores", "says"), [([], "received none"), ([[1.0], [1.0, 2.0]], "received pools of 1, 2")]
)
def test_scores_of_no_or_several_pools_are_refused(scores, says):
    with pytest.raises(SpecError, match=says):
        mean_rank(scores)


def one_pass(function):
    return lambda network, images, labels: function(network, images)


FUNCTIONS = {
    "synflow": lambda network, images, labels: synflow(network),
    "snip": snip,
    "grasp": grasp,
    "fisher": fisher,
    "grad_norm": grad_norm,
    "jacob_cov": one_pass(jacob_cov),
    "zen": lambda network, images, labels: zen(network, batch_size=2, repeats=1),
    "gradsign": gradsign,
    "zico": zico,
    "az_nas": lambda network, images, labels: az_nas(
        network, torch.Generator().manual_seed(0), batch_size=2
    ),
}
SMALL = {
    "synflow": lambda data, seed: SynflowScore(seed=seed),
    "snip": lambda data, seed: SnipScore(data, seed=seed, batch_size=4),
    "grasp": lambda data, seed: GraspScore(data, seed=seed, batch_size=4),
    "fisher": lambda data, seed: FisherScore(data, seed=seed, batch_size=4),
    "grad_norm": lambda data, seed: GradNormScore(data, seed=seed, batch_size=4),
    "jacob_cov": lambda data, seed: JacobCovScore(data, seed=seed, batch_size=4),
    "zen": lambda data, seed: ZenScore(seed=seed, batch_size=2, repeats=1),
    "gradsign": lambda data, seed: GradSignScore(data, seed=seed, batch_size=4),
    "zico": lambda data, seed: ZicoScore(data, seed=seed, batch_size=4),
    "az_nas": lambda data, seed: AzNasScore(seed=seed, batch_size=4),
}
# Of a space for two image sizes the smaller; the data of these tests have two classes.
NAMES = [name for name in SPACES if f"{name}-32" not in SPACES]


def small_space(name):
    return space(f"{name}:classes=2,image_size=16")


SHARED = ("supernet", "ofa", "hypernet", "hypernet-init")


def test_every_score_of_the_registry_is_tested_here():
    elsewhere = {"scratch", "inherit", "one-epoch", "naswot", "parameters", "macs", *SHARED}
    assert FUNCTIONS.keys() == SMALL.keys() == ESTIMATORS.keys() - elsewhere


@pytest.mark.parametrize("space_name", NAMES)
@pytest.mark.parametrize("name", SMALL)
def test_scores_are_finite_where_something_passes(name, space_name, data):
    own, judge = small_space(space_name), SMALL[name](data, 0)
    for genes in own.sample(np.random.default_rng(3), 3).tolist():
        architecture = own.decode(genes)
        passes = not any(
            isinstance(node.layer, Zero)
            for item in architecture.placed
            for node in item.graph.nodes
        )
        value = judge.estimate(architecture, Budget()).value
        assert math.isfinite(value) if passes else value == -math.inf


@pytest.mark.parametrize("name", SMALL)
def test_the_lowest_score_is_that_of_a_network_that_passes_nothing_on(name, data):
    own, judge = small_space("nasbench201"), SMALL[name](data, 0)
    # Without operations, and with one that leads nowhere.
    for genes in ([0] * 6, [3, 0, 0, 0, 0, 0]):
        assert judge.estimate(own.decode(genes), Budget()).value == -math.inf


@pytest.mark.parametrize("name", SMALL)
def test_what_is_not_used_does_not_count(name, data, monkeypatch):
    def used(b):
        tensor = b.conv_bn("first", INPUT, 4, 3, activation="relu")
        b.residual("residual", b.conv_bn("second", tensor, 4, 1), tensor)

    def with_unused(b):
        dead = b.conv_bn("dead", INPUT, 8, 3, activation="relu")
        b.add("dead.pool", GlobalAveragePool(), dead)
        used(b)

    values = []
    for kind, build in (("zero_shot_used", used), ("zero_shot_unused", with_unused)):
        monkeypatch.setitem(BLOCKS, kind, build)
        specs = (BlockSpec.of(kind), BlockSpec.of(kind), BlockSpec.of("classifier", classes=2))
        found = SMALL[name](data, 0).estimate(Architecture((1, 8, 8), specs), Budget())
        assert math.isfinite(found.value)
        values.append((found.value, found.provenance))
    assert values[0] == values[1]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_networks_are_left_as_they_were(name):
    own = small_space("mobilenet-32")
    network = Network(own.decode([0] * own.length))
    channels, height, width = network.architecture.input_shape
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, channels, height, width, generator=generator)
    labels = torch.tensor([0, 1, 1, 0])
    seen = images.clone()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.random.get_rng_state()
    expected = FUNCTIONS[name](network.train(), images, labels)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(value.grad is None and value.requires_grad for value in network.parameters())
    assert network.training and torch.equal(images, seen) and not images.requires_grad
    assert torch.equal(torch.random.get_rng_state(), state)
    # An unused module, and the other mode.
    network.add_module("unused", torch.nn.Conv2d(3, 3, 3))
    assert FUNCTIONS[name](network.eval(), images, labels) == expected


@pytest.mark.parametrize("name", SMALL)
def test_seeds_repeat_and_matter(name, data):
    own = small_space("resnet-32")
    architecture = own.decode([0] * own.length)

    def found(seed):
        estimate = SMALL[name](data, seed).estimate(architecture, Budget())
        return estimate.value, estimate.provenance | {"seed": None}

    assert found(1) == found(1) != found(2)
