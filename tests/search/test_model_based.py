import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from hwnas.errors import RequestError
from hwnas.search import LatencyConstraint, RandomSearch
from hwnas.search.model_based import Encoding, ModelBased, expected_improvement
from hwnas.spaces import space


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (2.0, 0.5), (-3.0, 0.7)])
def test_expected_improvement_is_the_integral(mean, deviation):
    own = expected_improvement(np.array([mean]), np.array([deviation]), 0.4)[0]
    exact, _ = quad(lambda f: (f - 0.4) * norm.pdf(f, mean, deviation), 0.4, 12)
    assert own == pytest.approx(exact, rel=1e-5, abs=1e-9)


def test_without_doubt_it_is_the_difference():
    found = expected_improvement(np.array([1.0, 3.0]), np.zeros(2), 2.0)
    assert found == pytest.approx([0.0, 1.0])


def test_encodings_keep_order_and_names_apart():
    encode = Encoding(space("resnet-32"))
    own = encode.space
    rows = own.sample(np.random.default_rng(0), 50)
    found = encode(rows)
    assert found.shape[0] == 50 and found.min() >= 0 and found.max() <= 1
    assert len(np.unique(found.round(9), axis=0)) == len(np.unique(rows, axis=0))
    # Names: any two values of an edge are equally far.
    cells = Encoding(space("nasbench201"))(np.array([[a, 0, 0, 0, 0, 0] for a in range(5)]))
    distances = np.linalg.norm(cells[:, None] - cells, axis=2)
    assert distances[~np.eye(5, dtype=bool)] == pytest.approx(1.0)


def test_it_needs_fewer_trials_than_random_search(wide):
    predictor_of, paths_of = wide
    own = space("mobilenet-32")
    constraint, model = LatencyConstraint(predictor_of(own, 1.0), 38.0), paths_of(own, 1.0)
    means = []
    for kind in (ModelBased, RandomSearch):
        best = []
        for seed in range(4):
            strategy, losses = kind(own, constraint, seed), []
            while len(losses) < 60:
                for genotype in strategy.ask(4):
                    losses.append(model.true_loss(np.array([genotype]))[0])
                    strategy.tell(genotype, -losses[-1])
            best.append(min(losses))
        means.append(np.mean(best))
    assert means[0] < means[1] - 0.02


def test_where_all_are_equal_it_goes_on_at_random(predictor, constraint):
    strategy = ModelBased(predictor.space, constraint, 0, initial=4)
    for _ in range(4):
        for genotype in strategy.ask(3):
            strategy.tell(genotype, 1.0)
    assert len(strategy.told) == 12


def test_initial_is_checked(predictor, constraint):
    with pytest.raises(RequestError, match="initial must be at least 2"):
        ModelBased(predictor.space, constraint, 0, initial=1)
