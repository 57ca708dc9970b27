"""The same settings work whatever the unit of the loss and however fast the device."""

import numpy as np
import pytest

from hwnas.search import LatencyConstraint, RandomSearch
from hwnas.search.gradient import GradientSearch
from hwnas.search.proxyless import BinaryGates
from hwnas.spaces import space


def finalists(classes, own, limit_ms, seed, loss_unit=1.0, time_unit=1.0):
    predictor_of, paths_of = classes
    constraint = LatencyConstraint(predictor_of(own, time_unit), limit_ms * time_unit)
    model = paths_of(own, loss_unit)
    asked = np.array(
        GradientSearch(own, constraint, seed, rule=BinaryGates(model), steps=300).ask(4)
    )
    assert constraint.feasible(asked).all()
    return asked, constraint, model


@pytest.mark.parametrize(("loss_unit", "time_unit"), [(0.01, 1000.0), (100.0, 0.001)])
def test_it_lands_on_the_limit_in_any_unit(wide, loss_unit, time_unit):
    own = space("mobilenet-32")
    asked, constraint, _ = finalists(wide, own, 18.0, 0, loss_unit, time_unit)
    assert constraint.upper_ms(asked).max() >= 0.97 * constraint.limit_ms


# From a tight limit (the lowest that the space can reach is 4 ms) to one that binds little.
@pytest.mark.parametrize(("limit_ms", "seed"), [(10.0, 1), (12.0, 2), (38.0, 1), (200.0, 2)])
def test_it_beats_the_best_of_300_random_ones(wide, limit_ms, seed):
    own = space("mobilenet-32")
    asked, constraint, model = finalists(wide, own, limit_ms, seed)
    # Seeds are fixed; the random ones are even judged without noise.
    random = np.array(RandomSearch(own, constraint, seed).ask(300))
    assert model.true_loss(asked).min() < model.true_loss(random).min()
