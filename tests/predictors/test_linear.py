import json

import numpy as np
import pytest

from hwnas.predictors.linear import LinearModel


def data(count=40, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 4)) * [1, 100, 1e-3, 0] + [0, 5, 0, 7]
    return x, 0.3 + 0.1 * x[:, 0] - 0.002 * x[:, 1] + 50 * x[:, 2]


def test_it_finds_a_line_whatever_the_units():
    x, y = data()
    found = LinearModel().fit(x, y).predict(x)
    assert found == pytest.approx(y, abs=0.01)


def test_it_does_not_run_away_where_nothing_was_measured():
    x, y = data()
    model = LinearModel().fit(x, y)
    far = model.predict(np.array([[1e6, 1e6, -1e6, 1e6]]))
    edge = model.predict(np.array([[x[:, 0].max(), x[:, 1].max(), x[:, 2].min(), 7]]))
    assert far == pytest.approx(edge)


def test_noise_is_not_learned():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 15)), rng.normal(size=30)
    model = LinearModel().fit(x, y)
    fresh = rng.normal(size=(200, 15))
    assert np.abs(model.predict(fresh) - y.mean()).mean() < 0.5


def test_it_reads_back_to_the_bit():
    x, y = data()
    model = LinearModel().fit(x, y)
    again = LinearModel.from_json(json.loads(json.dumps(model.to_json())))
    assert np.array_equal(again.predict(x), model.predict(x))
