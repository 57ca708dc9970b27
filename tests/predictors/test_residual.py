import json

import numpy as np
import pytest

from hwnas.predictors.residual import LEAST_FOR_LINE, LEAST_FOR_TREES, Residual


def features(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 5))


@pytest.mark.parametrize("count", [0, 1, 5, LEAST_FOR_LINE - 1])
def test_few_samples_give_a_factor(count):
    x = features(count)
    logs = 0.2 + 0.3 * x[:, 0]
    found = Residual().fit(x, logs)
    assert found.line_ is None and found.trees_ is None
    assert found.scale_ == (pytest.approx(np.median(logs)) if count else 0)
    assert found.predict(features(3)) == pytest.approx([found.scale_] * 3)
    assert len(found.out_of_fold_) == count


def test_a_line_is_taken_where_it_helps():
    x, fresh = features(30), features(200, 1) / 2
    rng = np.random.default_rng(2)
    found = Residual().fit(x, 0.2 + 0.3 * x[:, 0] + 0.01 * rng.normal(size=30))
    assert found.line_ is not None
    assert np.abs(found.predict(fresh) - 0.2 - 0.3 * fresh[:, 0]).mean() < 0.03
    assert np.abs(found.out_of_fold_).mean() < 0.06


def test_trees_are_taken_where_a_line_does_not_do():
    x = features(120)
    logs = np.where(np.abs(x[:, 0]) > 0.7, 0.5, -0.5)
    found = Residual().fit(x, logs)
    assert found.trees_ is not None
    assert np.abs(found.out_of_fold_).mean() < 0.25
    few = Residual().fit(x[: LEAST_FOR_TREES - 1], logs[: LEAST_FOR_TREES - 1])
    assert few.trees_ is None


def test_noise_leaves_the_factor_alone():
    x = features(40)
    found = Residual().fit(x, 0.1 * np.random.default_rng(3).normal(size=40))
    assert np.abs(found.predict(features(50, 4)) - found.scale_).max() < 0.1


def test_it_reads_back_to_the_bit_and_without_a_line():
    x = features(60)
    found = Residual().fit(x, 0.2 + 0.3 * x[:, 0] + np.sign(x[:, 1]))
    value = json.loads(json.dumps(found.to_json()))
    again = Residual.from_json(value)
    assert np.array_equal(again.predict(x), found.predict(x))
    assert np.array_equal(again.out_of_fold_, found.out_of_fold_)
    # Files of before there were lines.
    del value["line"]
    assert Residual.from_json(value).line_ is None
