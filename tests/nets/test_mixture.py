"""Mixtures against sums over all settings, each run as a path of its own."""

import itertools

import numpy as np
import pytest
import torch
from tiny_space import TINY
from torch.nn import functional

from hwnas.nets import ElasticNetwork, mixed_forward, most_blocks, shape_genes, slot_mixture
from hwnas.spaces import space

STEP = 1e-6


def random_shares(own, seed):
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.dirichlet(np.ones(n))) for n in own.cardinalities]


def by_settings(network, images, genotype, shares):
    """Each slot's blocks summed setting by setting, equal ones as often as they come."""
    own = network.space
    output = images
    for index, slot in enumerate(own.slots):
        free = [gene for gene in slot.choices if gene not in shape_genes(own)]
        total = 0.0
        for values in itertools.product(*(range(own.cardinalities[gene]) for gene in free)):
            genes = [*genotype]
            for gene, value in zip(free, values, strict=True):
                genes[gene] = value
            weight = torch.ones((), dtype=torch.float64)
            for gene, value in zip(free, values, strict=True):
                weight = weight * shares[gene][value]
            total = total + weight * network.run_slot(index, output, genes)
        output = total
    return output


@pytest.mark.parametrize("name", ["tiny", "micro", "resnet-32:classes=2,image_size=16"])
def test_values_and_slopes_are_those_of_the_sum_over_all_settings(name):
    own = TINY if name == "tiny" else space(name)
    network = ElasticNetwork(own, seed=1).double()
    genotype = [0] * own.length
    images = torch.randn(4, *own.input_shape(genotype), generator=torch.manual_seed(0)).double()
    labels = torch.arange(4) % 2
    found, slopes = [], []
    for forward in (mixed_forward, by_settings):
        shares = [item.requires_grad_() for item in random_shares(own, 3)]
        logits = forward(network, images, genotype, shares)
        loss = functional.cross_entropy(20 * logits, labels)
        found.append(logits.detach())
        slopes.append(torch.autograd.grad(loss, shares, allow_unused=True))
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-11)
    for gene, (one, other) in enumerate(zip(*slopes, strict=True)):
        assert (one is None) == (other is None) == (gene in shape_genes(own))
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


def test_slopes_are_finite_differences():
    network = ElasticNetwork(TINY, seed=1).double()
    images = torch.randn(8, 1, 8, 8, generator=torch.manual_seed(0)).double()
    labels = torch.arange(8) % 2

    def loss(shares):
        return functional.cross_entropy(20 * mixed_forward(network, images, (1, 0), shares), labels)

    shares = [item.requires_grad_() for item in random_shares(TINY, 0)]
    (slopes,) = torch.autograd.grad(loss(shares), shares[1:])
    with torch.no_grad():
        for value in range(2):
            ends = []
            for sign in (-1, 1):
                moved = shares[1].detach().clone()
                moved[value] += sign * STEP
                ends.append(float(loss([shares[0], moved])))
            assert float(slopes[value]) == pytest.approx(
                (ends[1] - ends[0]) / (2 * STEP), rel=1e-5, abs=1e-7
            )


@pytest.mark.parametrize("name", ["mobilenet-32", "resnet-32", "vit-32"])
def test_shares_of_a_slots_blocks_sum_to_one_and_merge_what_is_left_out(name):
    own = space(name)
    shares = random_shares(own, 1)
    for index, slot in enumerate(own.slots):
        fixed = tuple(0 for gene in slot.choices if gene in shape_genes(own))
        mixture = slot_mixture(own, index, fixed)
        assert len(set(mixture.blocks)) == len(mixture.blocks)
        found = mixture.shares(shares)
        assert float(found.sum()) == pytest.approx(1)
        if None in mixture.blocks:
            (depth,) = (gene for gene in slot.choices if "depth" in own.choices[gene].name)
            absent = [
                value
                for value in range(own.cardinalities[depth])
                if own.slot_block(slot, [value if g == depth else 0 for g in slot.choices]) is None
            ]
            expected = float(shares[depth][absent].sum())
            assert float(found[mixture.blocks.index(None)]) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["mobilenet-32", "resnet-32"])
def test_certain_shares_run_the_path_and_nothing_else(name, monkeypatch):
    own = space(name)
    network = ElasticNetwork(own, seed=1)
    calls = []
    original = ElasticNetwork.run_block
    monkeypatch.setattr(
        ElasticNetwork,
        "run_block",
        lambda self, index, placed, image: (
            calls.append((index, placed)) or original(self, index, placed, image)
        ),
    )
    for genes in own.sample(np.random.default_rng(0), 3).tolist():
        images = torch.randn(2, *own.input_shape(genes), generator=torch.manual_seed(0))
        certain = [
            torch.eye(n, dtype=torch.float64)[value]
            for n, value in zip(own.cardinalities, genes, strict=True)
        ]
        with torch.no_grad():
            expected = network(images, genes)
            once = calls[:]
            calls.clear()
            torch.testing.assert_close(mixed_forward(network, images, genes, certain), expected)
        assert calls == once
        calls.clear()


def test_a_slot_with_more_blocks_than_allowed_is_found():
    assert most_blocks(space("mobilenet-32"), 64) is None
    assert most_blocks(space("mobilenet-32"), 19) is None
    assert most_blocks(space("mobilenet-32"), 18) == ("stage1.block2", 3 * 3 * 54)
    assert most_blocks(space("nasbench201"), 64) == ("stage1.cell1", 15625)
