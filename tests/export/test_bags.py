import hashlib
from collections import Counter

import numpy as np
import pytest

from hwnas.export.bags import (
    ABSENT,
    SpaceBags,
    architecture_kernels,
    block_kernels,
    fusion_rules,
)
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.kernels import FUSION, Kernel, lower
from hwnas.spaces import space

NAMES = [
    "mobilenet-32",
    "resnet-32",
    "mobilenet:image_size=96",
    "resnet:image_size=96",
    "shufflenet-32",
    "mobilenetv1-32",
    "efficientnet-32",
    "efficientnetv2-32",
    "convnext-32",
    "nasbench201",
    "vit-32",
]


def scales(kernel):
    """Whether it is a batch norm that the runtime runs as a convolution."""
    return kernel.family == "depthwise" and kernel.attribute("kernel_shape", ()) == (1, 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_is_the_sum_of_its_blocks(name, apart):
    found = space(name)
    for row in found.sample(np.random.default_rng(2), 3, over="choices"):
        architecture = found.decode(row)
        whole = lower(architecture_to_onnx(architecture), FUSION["onnxruntime"]).kernels
        assert architecture_kernels(architecture) == apart(whole)
        assert sum(k.macs * n for k, n in whole.items() if not scales(k)) == architecture.macs
        assert all(Kernel.from_key(kernel.key) == kernel for kernel in whole)


@pytest.mark.parametrize("name", ["mobilenet-32", "resnet-32"])
def test_the_tables_of_a_space_give_the_blocks_that_decoding_gives(name):
    own = space(name)
    bags = SpaceBags(own)
    assert len(set(bags.keys)) == len(bags.keys) == len(bags.blocks) == len(bags.kernels)
    rows = own.sample(np.random.default_rng(0), 12, over="choices")
    indices = bags.block_indices(rows)
    assert indices.shape == (12, len(own.slots))
    # Slots are left out where a stage is not as deep as it can be.
    assert (indices == ABSENT).any()
    for row, found in zip(rows, indices, strict=True):
        architecture = own.decode(row)
        present = [index for index in found.tolist() if index != ABSENT]
        assert [bags.keys[index] for index in present] == [b.key for b in architecture.placed]
        total = sum((bags.kernels[index] for index in present), Counter())
        assert total == architecture_kernels(architecture)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("mobilenet-32", "c912684060b59cf9"),
        ("resnet-32", "c7d68b23e1a5678a"),
        ("micro", "260c73d57ff48a92"),
    ],
)
def test_the_keys_of_blocks_that_profiles_were_measured_under_stay(name, digest):
    keys = "\n".join(SpaceBags(space(name)).keys)
    assert hashlib.sha256(keys.encode()).hexdigest().startswith(digest)


def test_bags_that_are_given_out_are_copies():
    own = space("resnet-32")
    (block, *_) = own.decode([0] * own.length).placed
    first = block_kernels(block)
    expected = Counter(first)
    first.clear()
    assert block_kernels(block) == expected != Counter()


def test_runtimes_without_rules_of_their_own_get_those_of_onnxruntime():
    assert fusion_rules("simulated") is fusion_rules("onnxruntime") is FUSION["onnxruntime"]


def test_progress_is_told_while_blocks_are_lowered():
    bags, shares = SpaceBags(space("mobilenet-32")), []
    found = bags.prepare(shares.append)
    assert found is bags.kernels
    assert shares[0] == 0.0 and shares[-1] == 1.0
    assert shares == sorted(shares) and len(shares) > 3
