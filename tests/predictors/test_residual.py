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


def families(rng, shifts, count=30):
    """Samples of families that lie apart, each with a log ratio of its own."""
    x = np.concatenate([rng.normal(size=(count, 3)) + 8 * i for i in range(len(shifts))])
    logs = np.repeat(shifts, count) + 0.02 * rng.normal(size=len(x))
    return x, logs, [f"family{i}" for i in range(len(shifts)) for _ in range(count)]


def test_families_left_out_say_how_wide_the_interval_of_a_new_one_is():
    rng = np.random.default_rng(4)
    x, logs, groups = families(rng, [0.0, 0.3, -0.2, 0.1])
    found = Residual().fit(x, logs, groups)
    assert len(found.foreign_) == 4
    low, high = found.bounds(np.concatenate([x[:1], x[:1] - 60]), 0.95)
    assert high[0] - low[0] < 0.2
    assert high[1] - low[1] > 0.4
    # Another family with a shift of its own is held by the wide interval.
    error = 0.25 - found.predict(x[:1] - 60)[0]
    assert low[1] < error < high[1]


def test_something_wholly_new_gets_what_the_families_have_in_common():
    rng = np.random.default_rng(5)
    x, logs, groups = families(rng, [0.3, 0.1, 0.32, 0.28, 0.31])
    found = Residual().fit(x, logs, groups)
    assert found.common_ == pytest.approx(0.3, abs=0.02)
    assert found.predict(x[:1] + 300)[0] == pytest.approx(found.common_, abs=1e-6)
    assert found.predict(x[30:31])[0] == pytest.approx(0.1, abs=0.05)


def test_with_one_family_what_is_new_is_doubted():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(40, 3))
    found = Residual().fit(x, 0.01 * rng.normal(size=40))
    low, high = found.bounds(np.concatenate([x[:1], x[:1] + 50]), 0.95)
    assert high[0] < 0.05 and -low[0] < 0.05
    assert high[1] > 0.2 and -low[1] > 0.2


def test_rescaling_keeps_the_shape_and_takes_the_scale():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(60, 3))
    lent = Residual().fit(x, 0.3 * x[:, 0])
    own = rng.normal(size=(6, 3))
    found = lent.rescaled(own, 0.3 * own[:, 0] + 0.5)
    fresh = rng.normal(size=(20, 3))
    assert np.allclose(found.predict(fresh) - lent.predict(fresh), 0.5, atol=0.1)
    assert len(found.out_of_fold_) == 6


def test_no_correction_leaves_the_range_of_those_that_were_seen():
    rng = np.random.default_rng(5)
    features = rng.normal(size=(60, 4))
    logs = 0.1 * features[:, 0] + 0.001 * rng.normal(size=60)
    residual = Residual().fit(features, logs, ["a", "b", "c"] * 20)
    half = (logs.max() - logs.min()) / 2
    far = residual.predict(1000 * rng.normal(size=(200, 4)))
    assert far.min() >= logs.min() - half - 1e-9 and far.max() <= logs.max() + half + 1e-9
    assert np.abs(residual.predict(features) - logs).max() < 0.02
