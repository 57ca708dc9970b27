import json

import numpy as np
import pytest

from hwnas.errors import SpecError
from hwnas.spaces import space
from hwnas.spaces.costs import COSTS, SlotCosts
from hwnas.spaces.limited import LimitedSpace


def parameters(own):
    return SlotCosts(own, COSTS["parameters"])


def test_everything_that_a_limited_space_gives_is_within():
    whole = space("mobilenet-32")
    own = space("mobilenet-32:max_parameters=60000")
    cost = parameters(whole)
    rng = np.random.default_rng(0)
    rows = own.sample(rng, 200)
    assert len(rows) == 200 and cost(rows).max() <= 60_000
    assert cost(whole.sample(rng, 200)).max() > 60_000
    mutants = own.mutate(rng, rows, 0.2)
    assert cost(mutants).max() <= 60_000 and (mutants != rows).any(axis=1).mean() > 0.9
    children = own.crossover(rng, rows, rows[::-1])
    assert cost(children).max() <= 60_000
    moves = own.neighbours(rows[0])
    expected = [move for move in whole.neighbours(rows[0]) if cost(np.array([move]))[0] <= 60_000]
    assert moves == expected and 0 < len(moves) < len(whole.neighbours(rows[0]))


def test_samples_are_uniform_over_what_is_left():
    own = LimitedSpace(space("micro"), {"parameters": 8_000})
    every = own._listed
    assert own.size == len(every) < space("micro").size
    drawn = own.sample(np.random.default_rng(1), 60 * len(every))
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    assert (found == every).all()
    # Chi-square over the cells, five deviations: fails by chance less than once in a million.
    chi = ((counts - 60) ** 2 / 60).sum()
    freedom = len(every) - 1
    assert abs(chi - freedom) < 5 * np.sqrt(2 * freedom)


def test_the_size_of_a_large_space_is_estimated():
    whole, own = space("resnet-32"), LimitedSpace(space("resnet-32"), {"macs": 20e6})
    rows = whole.sample(np.random.default_rng(5), 20_000)
    share = (SlotCosts(whole, COSTS["macs"])(rows) <= 20e6).mean()
    assert own.size == pytest.approx(share * whole.size, rel=0.1)


def test_references_beyond_the_limits_are_dropped():
    own = LimitedSpace(space("micro"), {"macs": 600_000})
    cost = SlotCosts(space("micro"), COSTS["macs"])
    kept = {k for k, v in space("micro").references.items() if cost(np.array([v]))[0] <= 600_000}
    assert set(own.references) == kept


def test_a_file_knows_the_limits_of_its_space():
    described = space("micro:max_macs=700000").describe()
    assert json.loads(json.dumps(described))["limits"] == {"macs": 700_000}
    assert described != {**space("micro").describe(), "name": described["name"]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("micro:max_parameters=10", "smallest found has 622 parameters. Raise the limits"),
        ("mobilenet-32:max_macs=1000", "multiply-accumulates. Raise the limits"),
        ("micro:max_latency=10", "has no setting 'max_latency'; it has image_size"),
        ("micro:max_macs=-1", "positive whole number"),
        ("micro:max_macs=1000000,max_macs=2000000", "stands twice"),
    ],
)
def test_limits_that_exclude_everything_or_are_none_are_refused(text, says):
    with pytest.raises(SpecError, match=says):
        space(text)


def test_limits_of_python_are_checked():
    with pytest.raises(SpecError, match="no limit 'latency'; there are parameters, macs"):
        LimitedSpace(space("micro"), {"latency": 1.0})
    with pytest.raises(SpecError, match="positive number, received nan"):
        LimitedSpace(space("micro"), {"macs": float("nan")})
