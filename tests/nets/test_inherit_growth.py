"""Children that only grew, in many choices at once, compute what their parent does: every space."""

import numpy as np
import pytest
import torch

from hwnas.errors import SpecError
from hwnas.nets import channel_maps, inherit
from hwnas.spaces import Architecture, BlockSpec, space
from hwnas.spaces.cell import live
from hwnas.spaces.registry import SPACES

TOLERANCE = 1e-5
IMAGE_SIZES = {"micro": 20, "efficientnetv2": 64} | dict.fromkeys(
    ("mobilenet", "resnet", "shufflenet", "mobilenetv1", "efficientnet", "vit", "convnext"), 64
)
"""Of spaces that are not for 16 pixels."""
MORE = ("depth", "width", "kernel", "expansion", "ratio", "squeeze_excite", "heads")
HEAD = BlockSpec.of("classifier", classes=2)


def grows(kind, before, after, normed=False):
    """Whether a choice became more, so that the child can do what the parent did."""
    if kind == "groups":
        return after < before
    if kind == "family":
        return before == "skip"
    if kind == "dimension" or (kind == "width" and normed):
        # Layer norm needs every feature equally often.
        return after > before and after % before == 0
    if kind.startswith("edge"):
        if before == "none":
            return after.startswith("nor_conv")
        return (before, after) == ("nor_conv_1x1", "nor_conv_3x3")
    return kind in MORE and after > before


def grown(own, rng, genes):
    """A genotype of which about half of what can grow did."""
    child = np.array(genes)
    for index, choice in enumerate(own.choices):
        kind, before = choice.name.rpartition(".")[2], choice.values[genes[index]]
        normed = own.name.startswith("convnext")
        larger = [gene for gene, v in enumerate(choice.values) if grows(kind, before, v, normed)]
        if larger and rng.random() < 0.5:
            child[index] = rng.choice(larger)
    return own.canonical(child[None])[0]


def pairs(name, count, seed):
    """Random parents and children that only grew, of one space."""
    own = space(f"{name}:image_size={IMAGE_SIZES.get(name, 16)}")
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(20 * count):
        genes = own.sample(rng, 1, over="choices")[0]
        if name == "nasbench201" and not any(
            operation != "none" for operation in live(list(own.values(genes).values()))
        ):
            continue  # A cell of nothing has no sum that a new edge could add nothing to.
        parent, child = own.decode(genes), own.decode(grown(own, rng, genes))
        if parent != child:
            yield parent, child
            found += 1
            if found == count:
                return


@pytest.mark.parametrize("name", sorted(SPACES))
def test_children_that_only_grew_compute_what_their_parent_does(name, trained, deviation):
    count = 1 if IMAGE_SIZES.get(name) == 64 else 6
    tried = 0
    for seed, (before, after) in enumerate(pairs(name, count, seed=3)):
        parent = trained(before, seed)
        network, found = inherit(parent, after, seed=seed)
        assert found.preserved, (before.to_json(), after.to_json(), found)
        assert deviation(parent, network) <= TOLERANCE
        # A network that gives the same for every image would prove nothing.
        with torch.no_grad():
            assert parent(torch.randn(8, *before.input_shape)).std(0).max() > 1e-3
        tried += 1
    assert tried == count


ACTIVATIONS = ("relu", "relu", "relu", "relu6", "hardswish")


def random_block(rng):
    """A block of any kind, of few channels."""
    kind = str(
        rng.choice(
            ["conv", "depthwise_separable", "inverted_bottleneck", "bottleneck", "shuffle_unit"]
        )
    )
    own = {
        "channels": int(rng.choice([4, 6, 8, 12])),
        "stride": int(rng.choice([1, 1, 1, 2])),
        "activation": str(rng.choice(ACTIVATIONS)),
    }
    if kind == "bottleneck":
        groups = int(rng.choice([1, 2]))
        own |= {"groups": groups, "width": groups * int(rng.integers(1, 4))}
    else:
        own["kernel"] = int(rng.choice([1, 3, 5]))
    if kind == "inverted_bottleneck":
        own |= {
            "expansion": int(rng.integers(1, 4)),
            "squeeze_excite": bool(rng.integers(2)),
        }
    return BlockSpec.of(kind, **own)


def changed(rng, spec):
    """A block of which some arguments grew."""
    larger = {
        "channels": lambda value: value + 2 * int(rng.integers(5)),
        "width": lambda value: 2 * value,
        "kernel": lambda value: value + 2,
        "expansion": lambda value: value + 1,
        "squeeze_excite": lambda _: True,
        "groups": lambda _: 1,
    }
    return BlockSpec.of(
        spec.kind,
        **{
            name: larger[name](value) if name in larger and rng.random() < 0.3 else value
            for name, value in spec.arguments
        },
    )


def random_chains(rng, count):
    """Chains of random blocks, and children with larger and with new ones."""
    found = 0
    for _ in range(20 * count):
        before = [random_block(rng) for _ in range(rng.integers(1, 5))]
        after = []
        for spec in before:
            after.append(changed(rng, spec))
            if rng.random() < 0.25:
                after.append(random_block(rng))
        chains = [Architecture((3, 8, 8), (*blocks, HEAD)) for blocks in (before, after)]
        try:
            sizes = [chain.parameters for chain in chains]
        except SpecError:
            continue  # A shuffle unit that would have to change its channels.
        if min(sizes) and found < count:
            found += 1
            yield chains


def test_any_chain_of_blocks_is_told_truly(trained):
    """In double precision a kept function differs by rounding, a changed one by far more."""
    rng = np.random.default_rng(0)
    images = torch.randn(4, 3, 8, 8, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    kept = tried = 0
    for seed, (before, after) in enumerate(random_chains(rng, 60)):
        parent = trained(before, seed).double()
        network, found = inherit(parent, after, seed=seed)
        with torch.no_grad():
            expected = parent(images)
            difference = (network(images) - expected).abs().max() / expected.abs().max()
        told = (before.to_json(), after.to_json(), found)
        assert (difference < 1e-10) == found.preserved, told
        assert found.preserved == (not found.reasons)
        kept += found.preserved
        tried += 1
    assert tried == 60 and 20 <= kept <= 50


def shuffled(channels, units):
    """A chain of shuffle units."""
    shared = {"channels": channels, "kernel": 3, "activation": "relu"}
    strides = (2, *[1] * units)
    blocks = (BlockSpec.of("shuffle_unit", stride=stride, **shared) for stride in strides)
    return Architecture((3, 8, 8), (*blocks, HEAD))


@pytest.mark.parametrize(("before", "after"), [(4, 8), (4, 10), (6, 14), (8, 18)])
@pytest.mark.parametrize("units", [2, 3, 4])
def test_wider_shuffle_units_keep_channels_where_they_are_computed(
    before, after, units, trained, deviation
):
    """A channel of the child can pass through other units than any of the parent's does."""
    parent = trained(shuffled(before, units))
    network, found = inherit(parent, shuffled(after, units))
    assert (deviation(parent, network) <= TOLERANCE) == found.preserved, found


@pytest.mark.parametrize("after", [8, 10, 12, 14])
def test_the_verdict_is_true_whichever_channels_are_taken(after, trained, deviation, monkeypatch):
    """Classes that begin somewhere else are the parent's in name only."""

    def another(signature, buckets, order):
        places, tensors = signature
        near = [
            (len(tensors & other), numbers)
            for (theirs, other), numbers in buckets.items()
            if theirs == places and tensors & other
        ]
        return max(near)[1] if near else []

    monkeypatch.setattr(channel_maps, "_nearest", another)
    parent = trained(shuffled(4, 2))
    network, found = inherit(parent, shuffled(after, 2))
    assert (deviation(parent, network) <= TOLERANCE) == found.preserved, found
    assert found.preserved or found.reasons[0].endswith(
        "a channel that should be the parent's was not computed as the parent does"
    )
