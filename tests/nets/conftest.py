"""Fixtures: networks whose every number matters, and how far two networks are apart."""

import pytest
import trained_networks


@pytest.fixture
def trained():
    """Networks with weights, biases and running statistics as trained ones have them."""
    return trained_networks.trained


@pytest.fixture
def deviation():
    """The largest difference of the outputs of two networks, by the largest output, at least 1."""
    return trained_networks.deviation
