import math

import pytest

from hwnas.errors import SpecError
from hwnas.training.curve import EarlyStopping, Epoch, best_of, training_macs


def curve(*accuracies):
    return [Epoch(number, 1.0, own, 0.1) for number, own in enumerate(accuracies, 1)]


@pytest.mark.parametrize(
    ("accuracies", "over"),
    [
        ((), False),
        ((0.5, 0.4), False),
        ((0.5, 0.4, 0.5), True),  # as good as the best is no improvement
        ((0.5, 0.4, 0.6), False),
        ((0.5, 0.4, 0.6, 0.6, 0.5), True),
    ],
)
def test_patience_counts_epochs_without_improvement(accuracies, over):
    assert EarlyStopping(patience=2).is_over(curve(*accuracies)) is over


def test_small_steps_add_up_to_an_improvement():
    rising = curve(0.50, 0.52, 0.54, 0.56)
    # Compared with the last that counted, not with the epoch before.
    assert not EarlyStopping(patience=3, min_delta=0.05).is_over(rising)
    assert EarlyStopping(patience=3, min_delta=0.1).is_over(rising)


def test_the_best_is_the_first_of_equals():
    assert best_of(curve(0.1, 0.6, 0.6, 0.2)).epoch == 2


def test_training_counts_three_forward_passes_per_image():
    assert training_macs(1000, 7) == 21000


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"patience": 0}, "at least 1; received 0"),
        ({"patience": 1.5}, "whole number"),
        ({"patience": 1, "min_delta": -0.1}, "min_delta must be from 0"),
        ({"patience": 1, "min_delta": math.nan}, "min_delta"),
    ],
)
def test_values_out_of_range_are_refused(wrong, says):
    with pytest.raises(SpecError, match=says):
        EarlyStopping(**wrong)
