import numpy as np
import pytest

from hwnas.predictors.mixture import solve
from hwnas.predictors.priors import AROUND, PLAIN, PRIORS, Prior


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (8, 3))
    covariances = [0.3 * rows @ rows.T + noise * np.eye(8) for noise in (0.05, 0.5)]
    return covariances, rng.normal(0, 0.4, (8, 5))


@pytest.mark.parametrize("shape", [0.0, 1.0])
def test_weights_are_of_all_pairs_and_errors_of_samples(samples, shape):
    covariances, residuals = samples
    found = solve(covariances, residuals, np.ones(8), shape)
    assert found.weights.shape == (2, 5) and found.scales.shape == (2,)
    assert found.weights.sum() == pytest.approx(1)
    assert found.out_of_fold.shape == (8,)


def test_errors_are_those_of_a_fit_without_the_sample(samples):
    covariances, residuals = samples
    found = solve(covariances, residuals, np.ones(8), 1.0)
    for one in range(8):
        rest = np.delete(np.arange(8), one)
        part = [c[np.ix_(rest, rest)] for c in covariances]
        without = solve(part, residuals[rest], np.ones(7), 1.0)
        said = [
            c[one, rest] @ inverse @ residuals[rest]
            for c, inverse in zip(covariances, without.inverses, strict=True)
        ]
        error = (without.weights * (residuals[one] - np.array(said))).sum()
        assert found.out_of_fold[one] == pytest.approx(error)


def test_the_mean_that_fits_gets_the_weight(samples):
    covariances, residuals = samples
    residuals = residuals.copy()
    residuals[:, 3] = 0.0
    weights = solve(covariances, residuals, np.ones(8), 1.0).weights
    assert weights.sum(axis=0).argmax() == 3


def test_a_covariance_is_the_weighted_sum_of_its_terms():
    terms = {"shared": np.eye(2), "curved": np.ones((2, 2))}
    found = Prior(shared=2.0, curved=0.5).covariance(terms) - Prior(shared=0, curved=0).covariance(
        terms
    )
    np.testing.assert_allclose(found, 2 * np.eye(2) + 0.5)


def test_the_usual_priors_are_of_two_kinds():
    assert PRIORS == PLAIN + AROUND
    assert all(prior.around for prior in AROUND) and not any(prior.around for prior in PLAIN)
