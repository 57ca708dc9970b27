import numpy as np
import pytest

from hwnas.errors import RequestError
from hwnas.predictors.candidates import Candidates


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.3, (50, 4)), [rng.normal(0, 1, (50, 8)), rng.normal(0, 1, (50, 3))]


@pytest.mark.parametrize(
    ("references", "features"), [(True, 0), (True, 1), (True, 2), (False, 1), (False, 2)]
)
def test_terms_are_covariances(table, references, features):
    candidates = Candidates(table[0] if references else None, table[1][:features])
    everything = np.arange(50)
    terms, own = candidates.terms(slice(None), everything), candidates.variances()
    assert set(terms) == set(own)
    for name, term in terms.items():
        np.testing.assert_allclose(term, term.T, atol=1e-12)
        np.testing.assert_allclose(term.diagonal(), own[name], atol=1e-12)
        assert np.linalg.eigvalsh(term).min() > -1e-9
        some = candidates.terms(np.array([3, 1]), np.array([7, 7, 2]))[name]
        np.testing.assert_allclose(some, term[[3, 1]][:, [7, 7, 2]], atol=1e-12)


def test_what_is_expected_is_what_references_have_in_common(table):
    common = np.linspace(-1, 1, 50)
    references = np.stack([3 + 0.5 * common, 0.5 * common, 0.5 * common - 2], axis=1)
    np.testing.assert_allclose(Candidates(references).expected, 0.5 * common, atol=1e-9)
    assert (Candidates(None, table[1]).expected == 0).all()


def test_a_near_zero_reading_changes_little(table):
    references = table[0].copy()
    references[7, 0] = -20
    clean, spoilt = Candidates(table[0]), Candidates(references)
    assert np.abs(np.delete(clean.expected - spoilt.expected, 7)).max() < 0.1


def test_what_is_no_table_is_refused():
    with pytest.raises(RequestError, match="or features, or both"):
        Candidates()
    with pytest.raises(RequestError, match="same n"):
        Candidates(np.zeros((5, 2)), [np.zeros((4, 3))])
    with pytest.raises(RequestError, match="must be finite"):
        Candidates(np.full((5, 1), np.nan))
