import numpy as np
import pytest

from hwnas.errors import RequestError
from hwnas.search import LatencyConstraint
from hwnas.search.compound import CompoundScaling
from hwnas.search.scales import choice_groups
from hwnas.spaces import space
from hwnas.spaces.space import Choice, SearchSpace


def test_each_ray_ends_at_the_limit(predictor):
    own = predictor.space
    limit = LatencyConstraint(predictor, 0.5)
    strategy = CompoundScaling(own, limit, 0)
    for shares in strategy._rays[:12]:
        ray = strategy._ray(shares)
        feasible = limit.feasible(ray)
        upper = limit.upper_ms(ray)
        # The next larger network of the ray is beyond the limit, or there is none.
        last = int(np.flatnonzero(feasible).max())
        assert last == len(ray) - 1 or upper[last + 1] > 0.5
    for genotype in strategy.ask(8):
        assert limit.feasible(np.array([genotype]))[0]


def test_scales_rise_together_and_other_choices_stay(predictor):
    own = predictor.space
    base = tuple(int(n) - 1 for n in own.cardinalities)
    strategy = CompoundScaling(own, LatencyConstraint(predictor, 1e3), 0, base=base)
    groups = choice_groups(own)
    scaled = groups["depth"] + groups["width"] + groups["resolution"]
    shares = (1 / 3, 1 / 3, 1 / 3)
    ray = strategy._ray(shares)
    assert (np.diff(ray[:, scaled], axis=0) >= 0).all()
    assert not ray[0][scaled].any() and (ray[-1][scaled] == np.array(base)[scaled]).all()
    kept = [i for i in range(own.length) if i not in scaled]
    active = own.active(ray)[:, kept]
    assert (np.where(active, ray[:, kept], np.array(base)[kept]) == np.array(base)[kept]).all()


def test_exponents_are_those_of_the_paper():
    # Half of the doubling to depth and half to width: after two units of φ the depth is twice
    # and the width √2 times what it was, each of which doubles the operations.
    choices = [Choice("depth", (1, 2, 4, 8)), Choice("width", (1.0, 2**0.5, 2.0, 2**1.5))]
    own = SearchSpace(
        "two", choices, [], input_channels=1, image_sizes=(1,), resolution=None, classes=2
    )
    strategy = CompoundScaling(own, LatencyConstraint(Half(), 1.0), 0)
    assert strategy._ray((0.5, 0.5)).tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]
    # All to the width: α stays 1, and β² is 2.
    assert strategy._ray((0.0, 1.0)).tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]


def test_spaces_without_scales_are_refused(cell_predictor):
    with pytest.raises(RequestError, match="needs choices of depth, width or resolution"):
        CompoundScaling(space("nasbench201"), LatencyConstraint(cell_predictor, 1.0), 0)


class Half:
    def bounds_ms(self, genotypes, quantile):
        return np.full(len(genotypes), 0.5), np.full(len(genotypes), 0.5)
