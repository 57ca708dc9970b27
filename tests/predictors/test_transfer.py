import numpy as np
import pytest
from scipy.stats import spearmanr

from hwnas.errors import SpecError
from hwnas.predictors.candidates import Candidates
from hwnas.predictors.transfer import FewShot, choose


class World:
    """Devices whose cost per operation is drawn around a common one."""

    def __init__(self, seed=0, count=600, operations=6):
        rng = np.random.default_rng(seed)
        self.counts = rng.integers(0, 5, (count, operations)).astype(float)
        self.common = rng.uniform(0.5, 3, operations)
        self.rng = rng
        self.references = np.log(np.stack([self.device() for _ in range(5)], axis=1))

    def device(self, spread=0.4):
        costs = self.common * np.exp(self.rng.normal(0, spread, len(self.common)))
        return (2 + self.counts @ costs) * np.exp(self.rng.normal(0, 0.01, len(self.counts)))

    def candidates(self, references=True, features=True):
        return Candidates(
            self.references if references else None, [self.counts] if features else []
        )

    def samples(self, count, seed=0):
        return np.random.default_rng(seed).choice(len(self.counts), count, replace=False)


@pytest.fixture
def world():
    return World()


def rank(predicted, truth, own):
    left = np.setdiff1d(np.arange(len(truth)), own)
    return spearmanr(predicted[left], truth[left]).statistic


@pytest.mark.parametrize("seed", range(3))
def test_few_samples_beat_every_reference(seed):
    world = World(seed)
    truth, own = world.device(), world.samples(20, seed)
    predicted = FewShot().fit(world.candidates(), own, truth[own]).predict()
    assert predicted.shape == truth.shape and (predicted > 0).all()
    best = max(spearmanr(column, truth).statistic for column in world.references.T)
    assert rank(predicted, truth, own) > max(0.97, best)
    assert np.abs(predicted / truth - 1).mean() < 0.08


@pytest.mark.parametrize("given", [{"references": False}, {"features": False}])
def test_references_or_features_alone_will_do(world, given):
    truth, own = world.device(), world.samples(30)
    predicted = FewShot().fit(world.candidates(**given), own, truth[own]).predict()
    assert rank(predicted, truth, own) > 0.9


def test_known_costs_serve_few_samples():
    gains = []
    for seed in range(5):
        world = World(seed)
        truth, own = world.device(), world.samples(5, seed)
        priced = Candidates(world.references, [world.counts], [world.counts])
        one, other = (
            rank(FewShot().fit(candidates, own, truth[own]).predict(), truth, own)
            for candidates in (priced, world.candidates())
        )
        gains.append(one - other)
        # The mean over seeds is judged; no seed may fall far behind.
        assert one > 0.9
    assert np.mean(gains) > 0


def test_intervals_around_imagined_devices_hold_what_they_promise():
    inside = []
    for seed in range(10):
        world = World(seed)
        truth, own = world.device(), world.samples(10, seed)
        priced = Candidates(world.references, [world.counts], [world.counts])
        model = FewShot().fit(priced, own, truth[own])
        latency, low, high = model.predict_interval(0.9)
        np.testing.assert_allclose(latency, model.predict())
        inside.append(((low <= truth) & (truth <= high)).mean())
    assert 0.8 < np.mean(inside) <= 1


def test_few_samples_do_not_turn_what_all_references_agree_on(world):
    truth = world.device()
    for seed in range(20):
        own = world.samples(3, seed)
        predicted = FewShot().fit(world.candidates(), own, truth[own]).predict()
        assert rank(predicted, truth, own) > 0.5


def test_a_unit_of_time_is_a_factor(world):
    truth, own = world.device(), world.samples(10)
    once = FewShot().fit(world.candidates(), own, truth[own]).predict()
    # In nanoseconds or so: no whole numbers, which would be taken for rounded ones.
    again = FewShot().fit(world.candidates(), own, truth[own] * 1234.5).predict()
    np.testing.assert_allclose(again, once * 1234.5, rtol=1e-6)


def test_intervals_hold_what_they_promise():
    inside = []
    for seed in range(10):
        world = World(seed)
        truth, own = world.device(), world.samples(20, seed)
        model = FewShot().fit(world.candidates(), own, truth[own])
        latency, low, high = model.predict_interval(0.9)
        assert (low < latency).all() and (latency < high).all()
        np.testing.assert_allclose(latency, model.predict())
        inside.append(((low <= truth) & (truth <= high)).mean())
    assert 0.8 < np.mean(inside) <= 1


def test_an_outlier_among_the_samples_is_doubted(world):
    truth, own = world.device(), world.samples(12)
    spoilt = truth[own].copy()
    spoilt[4] = 1e-3
    clean = FewShot().fit(world.candidates(), own, truth[own])
    model = FewShot().fit(world.candidates(), own, spoilt)
    assert not clean.doubted_.any()
    assert np.flatnonzero(model.doubted_).tolist() == [4]
    error = np.abs(np.log(model.predict() / truth)).mean()
    assert error < 2 * np.abs(np.log(clean.predict() / truth)).mean()


def test_an_outlier_in_a_reference_does_no_harm(world):
    truth, own = world.device(), world.samples(12)
    world.references[7, 0] = np.log(1e-6)
    predicted = FewShot().fit(world.candidates(), own, truth[own]).predict()
    assert rank(predicted, truth, own) > 0.95


def test_whole_milliseconds_are_trusted_less(world):
    truth = world.device() / 4
    own = world.samples(15)
    whole = np.maximum(1, np.rint(truth))
    model = FewShot().fit(world.candidates(), own, whole[own])
    assert rank(model.predict(), truth, own) > 0.9
    # The same values with the finest trace of a fraction are believed as they are.
    believed = FewShot().fit(world.candidates(), own, whole[own] + 1e-9)
    assert np.abs(model.predict() - believed.predict()).max() > 1e-6


def test_samples_that_are_all_alike(world):
    own = world.samples(5)
    predicted = FewShot().fit(world.candidates(), own, np.full(5, 7.0)).predict()
    assert np.isfinite(predicted).all()


def test_the_cross_validated_error_is_that_of_new_candidates():
    said, true = [], []
    for seed in range(10):
        world = World(seed)
        truth, own = world.device(), world.samples(15, seed)
        model = FewShot().fit(world.candidates(), own, truth[own])
        said.append(model.cross_validated_error_)
        true.append(100 * np.abs(model.predict() / truth - 1).mean())
    assert 0.6 < np.mean(said) / np.mean(true) < 1.7


def test_what_is_still_needed(world):
    truth, own = world.device(), world.samples(10)
    model = FewShot().fit(world.candidates(), own, truth[own])
    error = model.cross_validated_error_
    assert model.needs_more(error) is None
    near, far = model.needs_more(0.9 * error), model.needs_more(0.5 * error)
    assert 1 <= near < far <= 990
    assert far == model.needs_more(0.5 * error)


def test_chosen_samples_beat_random_ones():
    gains = []
    for seed in range(6):
        world = World(seed)
        truth, candidates = world.device(), world.candidates(references=False)
        own = choose(candidates, 8, seed)
        assert len(set(own.tolist())) == 8
        assert (choose(candidates, 4, seed) == own[:4]).all()
        chosen = rank(FewShot().fit(candidates, own, truth[own]).predict(), truth, own)
        drawn = [world.samples(8, 100 + s) for s in range(5)]
        random = [rank(FewShot().fit(candidates, d, truth[d]).predict(), truth, d) for d in drawn]
        gains.append(chosen - np.mean(random))
    assert np.mean(gains) > 0.01


def test_choosing_all_and_none(world):
    candidates = world.candidates()
    assert sorted(choose(candidates, 10_000)) == list(range(600))
    with pytest.raises(SpecError, match="from 1 to .*; received 0"):
        choose(candidates, 0)


def test_what_cannot_be_learned_from_is_refused(world):
    candidates = world.candidates()
    for words, indices, latencies in (
        ("at least 3 samples are needed; received 2", [1, 2], [1.0, 2.0]),
        ("positive milliseconds", [1, 2, 3], [1.0, 0.0, 2.0]),
        ("positive milliseconds", [1, 2, 3], [1.0, np.nan, 2.0]),
        ("indices are from 0 to 599", [1, 2, 600], [1.0, 2.0, 3.0]),
        ("received \\(3,\\) and \\(2,\\)", [1, 2, 3], [1.0, 2.0]),
        ("at least 3 samples are needed; received 0", [], []),
        ("whole numbers; received float64", [0.9, 1.9, 2.9], [1.0, 2.0, 3.0]),
        ("received bool; np.flatnonzero", np.arange(600) < 9, np.ones(600)),
        ("index 4 has several latencies", [1, 4, 2, 4], [1.0, 2.0, 1.0, 3.0]),
        ("positive milliseconds", [1, 2, 3], ["1", "2", "3"]),
        ("positive milliseconds", [1, 2, 3], [1j, 2, 3]),
        ("from 0 to 599", [-1, 2, 3], [1.0, 2.0, 3.0]),
    ):
        with pytest.raises(SpecError, match=words):
            FewShot().fit(candidates, indices, latencies)


def test_one_latency_that_is_given_twice_is_one(world):
    truth, own = world.device(), [1, 5, 9, 5, 30]
    predicted = FewShot().fit(world.candidates(), own, truth[own]).predict()
    assert np.isfinite(predicted).all()


def test_numbers_that_are_none_are_refused(world):
    model = FewShot()
    for use in (model.predict, model.predict_interval, lambda: model.needs_more(5.0)):
        with pytest.raises(SpecError, match="not fitted: call fit"):
            use()
    own = world.samples(10)
    model.fit(world.candidates(), own, world.device()[own])
    for level in (0, 1, -1, 1.5, float("nan"), None, "0.9"):
        with pytest.raises(SpecError, match="level must be a number above 0 and below 1"):
            model.predict_interval(level)
    for target in (float("nan"), None, "5", True):
        with pytest.raises(SpecError, match="target_pct must be a number"):
            model.needs_more(target)
    assert model.needs_more(float("inf")) is None
    for count in (2.5, -1, None, "3"):
        with pytest.raises(SpecError, match="count must be a whole number"):
            choose(world.candidates(), count)
    with pytest.raises(SpecError, match="at least one Prior"):
        FewShot([]).fit(world.candidates(), own, world.device()[own])


def test_the_constructor_stores_parameters_only():
    assert set(vars(FewShot())) == {"priors"}
