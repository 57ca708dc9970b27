import math

import numpy as np
import pytest
import torch

from hwnas.estimators.jacob_cov import jacob_cov
from hwnas.nets import Network
from hwnas.spaces import BLOCKS
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.spaces.graph import INPUT
from hwnas.spaces.layers import Conv2d


def score(correlations):
    values = np.linalg.eigvalsh(correlations) + 1e-5
    return -(np.log(values) + 1 / values).sum()


def test_jacobian_covariance_by_hand(exact, images, by_hand, by_complex_steps):
    slopes = by_complex_steps(
        lambda pixels: by_hand.logits(by_hand.weights, pixels).sum(), by_hand.images
    )
    expected = score(np.corrcoef(slopes.reshape(6, -1)))
    assert jacob_cov(exact, images) == pytest.approx(expected, rel=1e-6)


def test_no_correlation_at_all_has_the_highest_score(exact, images):
    assert jacob_cov(exact, images) < score(np.eye(6)) == pytest.approx(-6, rel=1e-9)


def test_images_that_repeat_lower_the_score_but_keep_it_finite(exact, images):
    same = torch.cat([images[:5], images[:1]])
    assert math.isfinite(jacob_cov(exact, same))
    # An eigenvalue of zero costs 1e5.
    assert jacob_cov(exact, same) < jacob_cov(exact, images) - 9e4


def test_images_on_which_no_output_depends(images, monkeypatch):
    """Without batch norm, ReLU passes nothing of an image that is negative everywhere."""

    def conv_relu(builder):
        builder.act("conv", builder.add("conv", Conv2d(4, 1), INPUT), "relu")

    monkeypatch.setitem(BLOCKS, "jacobian_conv_relu", conv_relu)
    specs = (BlockSpec.of("jacobian_conv_relu"), BlockSpec.of("classifier", classes=2))
    network = Network(Architecture((3, 4, 4), specs)).double()
    with torch.no_grad():
        network.get_parameter("blocks.0.conv.weight").abs_()
    dark = -images.abs()
    assert jacob_cov(network, dark) == -math.inf
    one_dark = torch.cat([images[:5], dark[5:]])
    # One eigenvalue of zero costs 1e5; the others are those of the five images.
    assert jacob_cov(network, one_dark) == pytest.approx(
        jacob_cov(network, images[:5]) - math.log(1e-5) - 1e5, rel=1e-9
    )
