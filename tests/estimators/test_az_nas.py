import math

import numpy as np
import pytest
import torch

from hwnas.errors import SpecError
from hwnas.estimators import Budget
from hwnas.estimators.az_nas import (
    AzNasScore,
    Components,
    _folded,
    az_nas,
    log_ranks,
    pool_scores,
)
from hwnas.nets import Network
from hwnas.spaces import space
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec

RESNET = space("resnet-32:classes=2,image_size=16")
CONVS = [
    BlockSpec.of("conv", channels=count, kernel=1, stride=1, activation="relu") for count in (4, 5)
]
HEAD = BlockSpec.of("classifier", classes=2)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def resnets(count):
    return [RESNET.decode(genes) for genes in RESNET.sample(np.random.default_rng(1), count)]


def entropy(features):
    values = np.linalg.eigvalsh(np.cov(np.moveaxis(features, 1, 0).reshape(features.shape[1], -1)))
    shares = np.maximum(values / values.sum(), 1e-300)
    return -(shares * np.log(shares)).sum()


def test_the_four_scores_by_hand(first_block, by_complex_steps):
    network = Network(Architecture((3, 4, 4), (*CONVS, HEAD)), seed=2)
    found = az_nas(network, seeded(), 3)
    weights = [v.detach().double().numpy() for v in network.parameters() if v.ndim == 4]
    draws = seeded()
    images = torch.randn(3, 3, 4, 4, generator=draws).double().numpy()
    signs = 2 * torch.randint(0, 2, (3, 5, 4, 4), generator=draws).double().numpy() - 1
    first = first_block(images, weights[0][:, :, 0, 0])
    second = first_block(first, weights[1][:, :, 0, 0])
    entropies = [entropy(first), entropy(second)]
    slopes = by_complex_steps(
        lambda given: (first_block(given, weights[1][:, :, 0, 0]) * signs).sum(), first
    )
    stretch = np.linalg.norm(np.einsum("nchw,ndhw->cd", slopes, signs) / (3 * 16), 2)
    expected = (
        sum(entropies),
        entropies[1] - entropies[0],
        2 - stretch - 1 / stretch,
        (3 * 4 + 4 * 5) * 16 + 5 * 2,
    )
    # Single precision.
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(("rows", "height"), [(6, 3), (7, 4), (5, 5), (3, 1)])
def test_pixels_that_become_one_are_its_channels(rows, height):
    image = torch.arange(2.0 * 3 * rows * rows).reshape(2, 3, rows, rows) + 1
    size = math.ceil(rows / height)
    found = _folded(image, height, height)
    assert found.shape == (2, 3 * size * size, height, height)
    for count, channel, row, column in np.ndindex(image.shape):
        place = (channel * size + row % size) * size + column % size
        value = found[count, place, row // size, column // size]
        assert value == image[count, channel, row, column]
    # All else is padding.
    assert found.sum() == image.sum()


def test_a_block_that_changes_nothing_is_the_most_trainable():
    """Batch norm of what has mean 0 and variance 1 already, without an activation."""
    plain = BlockSpec.of("conv", channels=4, kernel=1, stride=1, activation="none")
    network = Network(Architecture((4, 8, 8), (plain, plain)))
    with torch.no_grad():
        for position in (0, 1):
            weight = network.get_parameter(f"blocks.{position}.conv.conv.weight")
            weight.copy_(torch.eye(4).reshape(4, 4, 1, 1))
    found = az_nas(network, seeded(), 64)
    # Nothing is longer by more than what 4096 random signs add to the identity.
    assert -0.02 < found.trainability <= 1e-6
    with torch.no_grad():
        network.get_parameter("blocks.1.conv.bn.weight").mul_(3)
    assert az_nas(network, seeded(), 64).trainability == pytest.approx(2 - 3 - 1 / 3, abs=0.1)


def test_more_channels_are_more_expressive():
    def network(channels):
        spec = BlockSpec.of("conv", channels=channels, kernel=3, stride=1, activation="relu")
        return Network(Architecture((3, 8, 8), (spec, spec, HEAD)))

    scores = [az_nas(network(channels), seeded(), 16).expressivity for channels in (2, 8, 32)]
    assert scores == sorted(scores)
    # No more than the logarithm of the channels for each block.
    assert scores[0] < 2 * math.log(2) and scores[-1] < 2 * math.log(32)


def test_transformers_have_no_progressivity():
    own = space("vit-32:classes=2,image_size=16")
    found = az_nas(Network(own.decode([0] * own.length)), seeded(), 4)
    assert found.progressivity == 0 and found.expressivity > 0 > found.trainability


def test_fewer_than_two_blocks_are_refused(tiny):
    with pytest.raises(SpecError, match="needs two, one behind the other"):
        az_nas(tiny, seeded(), 4)


def test_log_ranks_by_hand():
    pool = [
        Components(1.0, 5.0, 0.0, 10.0),
        Components(2.0, 6.0, 0.0, 30.0),
        Components(-math.inf, -math.inf, -math.inf, 20.0),
    ]
    found = log_ranks(pool)
    # The first two share the second and the third rank of the trainability.
    half = 2.5 / 3
    assert found[0] == pytest.approx(math.log(2 / 3 * 2 / 3 * half * 1 / 3))
    assert found[1] == pytest.approx(math.log(1 * 1 * half * 1))
    assert found[2] == pytest.approx(math.log(1 / 3 * 1 / 3 * 1 / 3 * 2 / 3))
    assert log_ranks(pool[:1]) == [0.0] and log_ranks([]) == []


def test_the_first_stands_in_the_middle_and_others_against_it():
    own = AzNasScore(batch_size=4)
    first, second = resnets(2)
    values = [own.estimate(item, Budget()) for item in (first, second, second, first)]
    assert values[0].value == pytest.approx(4 * math.log(1 / 2))
    assert [found.provenance["ranked"] for found in values] == [1, 2, 2, 2]
    assert values[1].value == values[2].value
    pool = [Components(*(found.provenance[n] for n in Components._fields)) for found in values[2:]]
    shift = 4 * math.log(2 / 3)
    expected = [value + shift for value in log_ranks(pool)]
    assert [values[2].value, values[3].value] == pytest.approx(expected)


def test_against_a_reference_the_order_does_not_matter():
    *reference, first, second = resnets(6)
    one, other = (AzNasScore(reference, batch_size=4) for _ in range(2))
    forth = [one.estimate(item, Budget()).value for item in (first, second)]
    back = [other.estimate(item, Budget()).value for item in (second, first)]
    assert forth == back[::-1]
    assert one.estimate(first, Budget()).provenance["ranked"] == 5
    assert one.seen_.keys() == {item.digest for item in reference}
    # One of the reference is not ranked against itself.
    assert one.estimate(reference[0], Budget()).provenance["ranked"] == 4


def test_provenance_of_a_network_that_passes_nothing_on_is_json():
    own = space("nasbench201:classes=2,image_size=16")
    found = AzNasScore(batch_size=4).estimate(own.decode([0] * own.length), Budget())
    assert found.value == -math.inf and found.to_json()["value"] is None
    assert found.provenance["expressivity"] is None and found.provenance["complexity"] > 0


def test_a_pool_is_ranked_the_same_in_any_order_and_after_a_cut():
    own = space("micro:image_size=16")
    sample = [own.decode(genes) for genes in own.sample(np.random.default_rng(0), 5).tolist()]
    score = AzNasScore(batch_size=4)
    told = [score.estimate(item, Budget()).provenance for item in sample]
    # Another process, which has not seen those before.
    again = [AzNasScore(batch_size=4).estimate(i, Budget()).provenance for i in sample[::-1]]
    assert pool_scores(told) == pool_scores(again)[::-1]
    assert pool_scores(told) == log_ranks([score.components(item) for item in sample])


def test_a_pool_with_what_passes_nothing_on_and_what_failed():
    dead = dict(expressivity=None, progressivity=None, trainability=None, complexity=9.0)
    alive = dict(expressivity=1.0, progressivity=0.5, trainability=-1.0, complexity=3.0)
    found = pool_scores([dead, {"reason": "no convergence"}, alive])
    assert found[0] == -math.inf and math.isnan(found[1])
    # Of two: best in three, worst in complexity.
    assert found[2] == pytest.approx(math.log(0.5))
