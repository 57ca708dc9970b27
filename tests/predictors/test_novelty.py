import json

import numpy as np

from hwnas.predictors.novelty import Novelty


def test_what_lies_among_the_samples_is_not_new_and_what_is_far_off_is():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(200, 4))
    novelty = Novelty().fit(samples)
    assert novelty.of(samples).max() == 0
    assert novelty.of(rng.normal(size=(500, 4))).mean() < 0.02
    assert (novelty.of(samples + 20) == 1).all()
    along = novelty.of(np.outer(np.linspace(0, 20, 50), np.ones(4)))
    assert (np.diff(along) >= -1e-9).all()
    assert 0 < along[np.searchsorted(along, 0.5)] < 1


def test_a_feature_that_never_varied_says_that_something_is_new():
    rng = np.random.default_rng(0)
    samples = np.column_stack([rng.normal(size=60), np.zeros(60)])
    novelty = Novelty().fit(samples)
    assert (novelty.of(samples + [0, 0.8]) > 0.5).all()


def test_many_rows_at_once_are_as_few():
    rng = np.random.default_rng(1)
    novelty = Novelty().fit(rng.normal(size=(30, 3)))
    rows = 3 * rng.normal(size=(5000, 3))
    found = novelty.of(rows)
    assert 0 < found.mean() < 1
    assert np.array_equal(found[4990:], novelty.of(rows)[4990:])
    assert np.allclose(found[::500], [float(novelty.of(row[None])[0]) for row in rows[::500]])


def test_without_samples_everything_is_new_and_saving_keeps_all():
    assert (Novelty().fit(np.zeros((0, 3))).of(np.zeros((2, 3))) == 1).all()
    rows = np.random.default_rng(2).normal(size=(40, 3))
    novelty = Novelty().fit(rows)
    again = Novelty.from_json(json.loads(json.dumps(novelty.to_json())))
    assert np.array_equal(again.of(2 * rows), novelty.of(2 * rows))


def test_a_wide_group_does_not_hide_what_lies_beside_a_narrow_one():
    rng = np.random.default_rng(3)
    narrow, wide = rng.normal(size=(60, 3)), 30 * rng.normal(size=(60, 3)) + 300
    rows, beside = np.concatenate([narrow, wide]), narrow + 9
    groups = ["narrow"] * 60 + ["wide"] * 60
    assert (Novelty().fit(rows).of(beside) == 0).all()
    novelty = Novelty().fit(rows, groups)
    assert novelty.of(beside).mean() > 0.9
    assert novelty.of(rows).max() == 0
    # A sample alone in its group reaches nowhere.
    alone = Novelty().fit(rows, [*groups[:-1], "alone"])
    assert alone.of(rows[-1:])[0] == 0 and alone.of(rows[-1:] + 1000)[0] == 1
