"""The sum of activation times slope is the derivative by what stretches the activation."""

import numpy as np
import pytest

from hwnas.estimators.fisher import fisher
from hwnas.nets import Network
from hwnas.spaces import BLOCKS
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.spaces.graph import INPUT
from hwnas.spaces.token_layers import TokenLinear


def score(*stretches):
    return sum((found**2).mean(0).sum() / 2 for found in stretches)


def test_fisher_by_hand(exact, images, labels, by_hand, by_complex_steps):
    own, logits = by_hand.weights, by_hand.logits(by_hand.weights)
    conv = by_complex_steps(
        lambda stretch: by_hand.loss(by_hand.logits(own, stretch=stretch)), np.ones((6, 4, 1, 1))
    )
    linear = by_complex_steps(lambda stretch: by_hand.loss(logits * stretch), np.ones((6, 2)))
    assert fisher(exact, images, labels) == pytest.approx(score(conv, linear), rel=1e-9)


def test_tokens_are_the_places_of_a_feature(images, labels, by_hand, by_complex_steps, monkeypatch):
    """Patches of 2x2 pixels, a matrix on their 5 features, layer norm, mean over tokens, linear."""
    monkeypatch.setitem(
        BLOCKS, "fisher_tokens", lambda builder: builder.add("mix", TokenLinear(5), INPUT)
    )
    embedding = BlockSpec.of(
        "patch_embedding", dimension=5, patch=2, class_token=False, positions=False
    )
    head = BlockSpec.of("vit_head", classes=2, pool="mean")
    specs = (embedding, BlockSpec.of("fisher_tokens"), head)
    network = Network(Architecture((3, 4, 4), specs)).double()
    values = {name: value.detach().numpy() for name, value in network.named_parameters()}
    patches = images.numpy().reshape(6, 3, 2, 2, 2, 2)
    tokens = np.einsum("ocij,nchiwj->nhwo", values["blocks.0.patches.weight"], patches)
    tokens = tokens.reshape(6, 4, 5)

    def logits(first, second):
        mixed = (tokens * first) @ values["blocks.1.mix.weight"].T * second
        centred = mixed - mixed.mean(-1, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
        return normed.mean(1) @ values["blocks.2.linear.weight"].T

    stretches = [
        by_complex_steps(lambda by: by_hand.loss(logits(by, 1)), np.ones((6, 1, 5)))[:, 0],
        by_complex_steps(lambda by: by_hand.loss(logits(1, by)), np.ones((6, 1, 5)))[:, 0],
        by_complex_steps(lambda by: by_hand.loss(logits(1, 1) * by), np.ones((6, 2))),
    ]
    assert fisher(network, images, labels) == pytest.approx(score(*stretches), rel=1e-9)
