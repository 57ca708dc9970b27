"""What every gradient strategy must do, whatever its rule."""

import itertools
import json

import numpy as np
import pytest

from hwnas.errors import DivergedError, RequestError
from hwnas.search.darts import ContinuousRelaxation
from hwnas.search.gdas import GumbelSoftmax
from hwnas.search.proxyless import BinaryGates
from hwnas.search.relaxation import PATIENCE, Relaxation
from hwnas.search.strategy import STRATEGIES

RULES = {
    "gradient": BinaryGates,
    "gdas": GumbelSoftmax,
    "darts": ContinuousRelaxation,
    "darts2": lambda model: ContinuousRelaxation(model, order=2),
}
STEPS = 60


@pytest.fixture(params=RULES)
def make(request, search, predictor, mixture_model):
    """A search with the rule under test."""

    def made(limit=0.3, *, seed=0, steps=STEPS, model=None, **options):
        model = model or mixture_model(predictor.space)
        rule = RULES[request.param]
        return search(predictor, limit, rule=rule, model=model, seed=seed, steps=steps, **options)

    made.name = request.param
    return made


def test_it_is_known_by_its_name(make):
    assert make().name == make.name and make.name in STRATEGIES


@pytest.mark.parametrize("limit", [0.2, 0.3, 0.4])
def test_it_lands_below_the_limit_and_beats_the_typical_feasible_network(make, limit):
    found = make(limit, steps=200)
    finalists = np.array(found.ask(4))
    upper = found.constraint.upper_ms(finalists)
    assert (upper <= limit).all() and upper.max() >= 0.9 * limit
    rows = found.space.sample(np.random.default_rng(0), 2000, over="choices")
    rows = rows[found.constraint.feasible(rows)]
    model = found.relaxation.model
    # GDAS learns from what it draws alone, the least of all.
    assert model.loss(finalists[0]) <= np.median([model.loss(row) for row in rows])


def test_without_a_price_the_best_values_win(make):
    found = make(100.0, steps=200)
    (best,) = found.ask(1)
    assert found.relaxation.multiplier == 0
    assert found.relaxation.model.loss(best) < -0.85


def test_seeds_reproduce(make):
    first = make(seed=5)
    asked = first.ask(3)
    again = make(seed=5)
    assert again.ask(3) == asked
    assert again.relaxation.state_dict() == first.relaxation.state_dict()
    other = make(seed=6)
    other.ask(3)
    assert other.relaxation.state_dict() != first.relaxation.state_dict()


def test_a_state_goes_through_json(make):
    first = make()
    first.ask(2)
    second = make()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())), first.proposed)
    assert second.ask(3) == first.ask(3)


@pytest.mark.parametrize("step", [1, 25, 40, STEPS])
def test_a_search_that_is_stopped_ends_as_a_whole_one(make, tmp_path, step):
    def stop(own, steps, info):
        if own == step:
            raise KeyboardInterrupt

    whole = make()
    expected = whole.ask(2)
    with pytest.raises(KeyboardInterrupt):
        make(folder=tmp_path, on_step=stop).ask(2)
    resumed = make(folder=tmp_path)
    assert resumed.ask(2) == expected
    assert resumed.relaxation.state_dict() == whole.relaxation.state_dict()
    assert resumed.relaxation.model.steps == whole.relaxation.model.steps == STEPS


def test_a_checkpoint_of_another_rule_is_refused(make, search, predictor, path_model, tmp_path):
    make(folder=tmp_path).ask(1)
    other = BinaryGates(path_model(predictor.space))
    other.name = "another"
    own = search(predictor, 0.3, rule=lambda model: other, steps=STEPS, folder=tmp_path)
    with pytest.raises(RequestError, match=f"strategy is {make.name} there and another here"):
        own.ask(1)


def failing(kind, names, failure, calls):
    """A model of which some calls of some methods fail."""
    count = itertools.count(1)

    def wrapped(name):
        original = getattr(kind, name)

        def method(self, *arguments):
            given = original(self, *arguments)
            if next(count) not in calls:
                return given
            if failure == "raised":
                raise DivergedError("the shared weights diverged")
            if failure == "loss":
                return np.nan if isinstance(given, float) else (np.nan, given[1])
            if isinstance(given[1], dict):
                return given[0], {gene: (np.inf, other) for gene, (_, other) in given[1].items()}
            return given[0], [slopes * np.inf for slopes in given[1]]

        return method

    return type("Failing", (kind,), {name: wrapped(name) for name in names})


WEIGHTS = ("weight_step", "mixed_weight_step")
GATES = ("gate_step", "mixed_gate_step")
FAILURES = [(WEIGHTS, "raised"), (WEIGHTS, "loss"), (GATES, "loss"), (GATES, "slopes")]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(("names", "failure"), FAILURES)
@pytest.mark.parametrize("rule", RULES)
def test_a_step_that_diverges_moves_nothing_and_many_end_the_search(
    rule, names, failure, predictor, constraint, mixture_model
):
    own = predictor.space
    model = failing(mixture_model, names, failure, {3, *range(5, 1000)})(own)
    relaxation = Relaxation(own, constraint, 0, rule=RULES[rule](model), steps=60, rate=0.1)
    moved = []
    for _ in range(60):
        if relaxation.done:
            break
        before = relaxation.probabilities()
        info = relaxation.advance(warm=False)
        after = relaxation.probabilities()
        assert all(np.isfinite(p).all() for p in after)
        moved.append(not all(map(np.array_equal, before, after)))
        assert moved[-1] == (info["diverged"] == 0)
    assert relaxation.stopped
    assert moved == [True, True, False, True] + [False] * PATIENCE
