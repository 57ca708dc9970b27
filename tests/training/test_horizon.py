import numpy as np
import pytest
import torch

from hwnas.training.batches import batch_indices
from hwnas.training.horizon import Horizon, epochs_within


@pytest.mark.parametrize(("images", "batch_size"), [(64, 16), (65, 16), (7, 16), (100, 32)])
def test_images_are_those_of_the_batches(images, batch_size):
    own = Horizon(images, batch_size, 3, None, 10)
    generator = torch.Generator().manual_seed(0)
    sizes = [len(i) for _ in range(3) for i in batch_indices(images, batch_size, generator)]
    assert own.steps == len(sizes) and not own.cut
    assert [own.images(step) for step in range(own.steps + 1)] == [0, *np.cumsum(sizes)]


@pytest.mark.parametrize("macs", [1, 30 * 17, 30 * 65, 30 * 66, 30 * 100.5, 30 * 1000])
def test_a_budget_is_used_up_and_not_passed(macs):
    own = Horizon(65, 16, 8, macs, 10)
    assert own.steps == 1 or own.macs(own.steps) <= macs
    assert own.cut == (macs < 30 * 65 * 8)
    if own.cut:
        assert own.macs(own.steps + 1) > macs


def test_equal_operations_are_epochs_in_inverse_proportion():
    assert epochs_within(3 * 10 * 100 * 6, 100, 10) == 6
    assert epochs_within(3 * 10 * 100 * 6, 100, 20) == 3
    # A part of an epoch is begun, and one always.
    assert epochs_within(3 * 10 * 100 * 6 + 1, 100, 10) == 7
    assert epochs_within(1, 100, 10) == 1
