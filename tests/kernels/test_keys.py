"""Keys of kernels are what committed profiles hold prices by: they do not change."""

import hashlib

import pytest

from hwnas.export.bags import SpaceBags
from hwnas.spaces import space


@pytest.mark.parametrize(
    ("runtime", "digest"),
    [
        ("torch", "329b62a60b405eb9963b599416519af4"),
        ("onnxruntime", "2a2a224b59904280457e9b2897ff4ce2"),
    ],
)
def test_keys_of_a_space_are_those_of_earlier_profiles(runtime, digest):
    bags = SpaceBags(space("resnet-32"), runtime).kernels
    lines = sorted(f"{kernel.key} {count}" for bag in bags for kernel, count in bag.items())
    assert hashlib.md5("\n".join(lines).encode()).hexdigest() == digest
