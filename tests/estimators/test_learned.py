import json
import math

import numpy as np
import pytest

from hwnas.errors import RequestError, UnknownNameError
from hwnas.estimators import Budget, LearnedEstimator, LearnedPredictor, Sample
from hwnas.estimators.ranking import rank_statistics
from hwnas.estimators.size import MacsScore
from hwnas.spaces import space

MICRO = space("micro")


def trials(count, seed=0, noise=0.005):
    """Architectures of micro and accuracies that grow with their logarithm of MACs, and noise."""
    rng = np.random.default_rng(seed)
    genotypes = np.unique(MICRO.sample(rng, 4 * count), axis=0)
    genotypes = rng.permutation(genotypes)[:count]
    own = [MICRO.decode(genes) for genes in genotypes.tolist()]
    skips = (genotypes == 0).sum(axis=1)
    accuracy = 0.6 + 0.03 * np.log([item.macs for item in own]) - 0.01 * skips
    return [Sample(item) for item in own], accuracy + rng.normal(0, noise, count)


@pytest.fixture(scope="module")
def fitted():
    samples, accuracy = trials(80)
    return LearnedPredictor().fit(samples[:60], accuracy[:60]), samples, accuracy


def test_it_ranks_what_it_did_not_see_and_knows_how_sure_it_is(fitted):
    predictor, samples, accuracy = fitted
    assert predictor.trusted and predictor.kendall_ > 0.8
    mean, deviation = predictor.predict(samples[60:])
    assert rank_statistics(mean, accuracy[60:]).kendall > 0.8
    inside = np.abs(mean - accuracy[60:]) <= 2 * deviation
    assert inside.mean() >= 0.8
    assert (deviation > 0).all() and deviation.mean() < accuracy.std()


def test_deviations_are_those_of_trials_left_out(fitted):
    predictor, _, accuracy = fitted
    errors = predictor.out_of_fold_ - accuracy[:60]
    error = math.sqrt(float((errors**2).mean()))
    assert error == pytest.approx(predictor.errors_[predictor.chosen_])
    assert error < 0.5 * predictor.errors_["mean"]
    assert set(predictor.errors_) == {"mean", "gaussian-process", "trees"}
    assert "off by" in predictor.verdict_ and "60 trials" in predictor.verdict_


def test_it_says_when_nothing_is_learned_from_so_few():
    samples, _ = trials(12)
    accuracy = np.random.default_rng(5).random(12)
    predictor = LearnedPredictor().fit(samples, accuracy)
    assert not predictor.trusted and predictor.chosen_ == "mean"
    assert "12 trials are too few" in predictor.verdict_
    assert math.isnan(predictor.kendall_)
    mean, deviation = predictor.predict(samples)
    np.testing.assert_allclose(mean, accuracy.mean())
    assert deviation[0] == pytest.approx(predictor.errors_["mean"], rel=0.2)


def test_noise_is_seldom_taken_for_something_learned():
    """Cross-validated gains of a twentieth by chance: at most 2 of 6 draws of pure noise."""
    samples, _ = trials(20)
    draws = np.random.default_rng(0).random((6, 20))
    assert sum(LearnedPredictor().fit(samples, own).trusted for own in draws) <= 2


def test_seven_trials_are_refused_and_failures_do_not_count():
    samples, accuracy = trials(12)
    with pytest.raises(RequestError, match="at least 8 trials with an accuracy; received 7"):
        LearnedPredictor().fit(samples[:7], accuracy[:7])
    accuracy[2] = accuracy[5] = math.nan
    predictor = LearnedPredictor(models=("trees",)).fit(samples, accuracy)
    assert (predictor.trials_, predictor.left_out_) == (10, 2)
    assert len(predictor.out_of_fold_) == 10
    accuracy[:5] = math.nan
    with pytest.raises(RequestError, match="received 6"):
        LearnedPredictor().fit(samples, accuracy)
    with pytest.raises(RequestError, match="one accuracy per sample"):
        LearnedPredictor().fit(samples, accuracy[:-1])


def test_equal_accuracies_teach_nothing():
    samples, _ = trials(10)
    predictor = LearnedPredictor().fit(samples, [0.5] * 10)
    mean, deviation = predictor.predict(samples)
    assert not predictor.trusted and set(mean) == {0.5}
    assert deviation.max() < 1e-5


def test_one_architecture_many_times_has_no_columns():
    samples, accuracy = trials(10)
    predictor = LearnedPredictor().fit([samples[0]] * 10, accuracy)
    assert not predictor.trusted
    assert predictor.predict(samples[:1])[0] == pytest.approx(accuracy.mean())


def test_a_score_is_used_where_it_tells_what_the_architecture_does_not():
    samples, _ = trials(40)
    hidden = np.random.default_rng(2).random(40)
    told = [Sample(s.architecture, {"oracle": v}) for s, v in zip(samples, hidden, strict=True)]
    plain = LearnedPredictor().fit(samples, hidden)
    better = LearnedPredictor().fit(told, hidden)
    assert better.trusted and better.errors_[better.chosen_] < 0.5 * plain.errors_["mean"]
    with pytest.raises(RequestError, match="lacks oracle"):
        better.predict(samples)


def with_curves(samples, curves):
    return [
        Sample(item.architecture, curve=tuple(own))
        for item, own in zip(samples, curves, strict=True)
    ]


def test_early_curves_are_used_but_not_the_accuracy_itself():
    samples, _ = trials(30)
    early = np.random.default_rng(3).random(30)
    late = 0.5 + 0.4 * early
    longer = LearnedPredictor().fit(with_curves(samples, np.stack([early, late], axis=1)), late)
    assert longer.features_.epochs_ == 1 and longer.trusted
    # Another training's first epoch is early too, although the curve is no longer than that.
    other = LearnedPredictor().fit(with_curves(samples, early[:, None]), late)
    assert other.features_.epochs_ == 1 and other.trusted
    # A curve of one epoch that is the trial itself is no early sign of it.
    same = LearnedPredictor().fit(with_curves(samples, late[:, None]), late)
    assert same.features_.epochs_ == 0
    some = with_curves(samples, early[:, None])
    some[3] = samples[3]
    assert LearnedPredictor().fit(some, late).features_.epochs_ == 0
    assert LearnedPredictor(epochs=0).fit(some, late).features_.epochs_ == 0


@pytest.mark.parametrize("model", ["gaussian-process", "trees", "mean"])
def test_a_predictor_comes_back_from_its_file(tmp_path, model):
    samples, accuracy = trials(30, noise=10.0 if model == "mean" else 0.005)
    own = LearnedPredictor(models=() if model == "mean" else (model,), seed=4)
    own.fit(samples[:25], accuracy[:25])
    assert own.chosen_ == model
    own.save(tmp_path / "learned.json")
    again = LearnedPredictor.load(tmp_path / "learned.json")
    for first, second in zip(own.predict(samples), again.predict(samples), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6)
    assert again.verdict_ == own.verdict_ and again.trusted == own.trusted
    assert again.to_json().keys() == own.to_json().keys()


def test_files_that_are_no_predictors_are_refused(tmp_path):
    path = tmp_path / "learned.json"
    with pytest.raises(RequestError, match="cannot be read"):
        LearnedPredictor.load(path)
    samples, accuracy = trials(10)
    good = LearnedPredictor(models=("trees",)).fit(samples, accuracy).to_json()
    for wrong in (
        "{",
        "[]",
        json.dumps({"schema": 1}),
        json.dumps({**good, "schema": 99}),
        json.dumps({key: own for key, own in good.items() if key != "features"}),
        json.dumps({**good, "chosen": "trees", "model": {"members": ["no trees"]}}),
    ):
        path.write_text(wrong)
        with pytest.raises(RequestError, match="is no learned predictor"):
            LearnedPredictor.load(path)


def test_unknown_models_are_refused():
    with pytest.raises(UnknownNameError, match="did you mean trees"):
        LearnedPredictor(models=("tree",))


def test_the_same_trials_give_the_same_predictor():
    samples, accuracy = trials(20)
    first, second = (LearnedPredictor(seed=1).fit(samples, accuracy) for _ in range(2))
    np.testing.assert_array_equal(first.predict(samples)[0], second.predict(samples)[0])


def test_it_is_an_estimator_with_its_scores_made_on_the_way():
    samples, accuracy = trials(30)
    macs = MacsScore()
    told = [
        Sample(s.architecture, {"macs": macs.estimate(s.architecture, Budget()).value})
        for s in samples
    ]
    predictor = LearnedPredictor().fit(told, accuracy)
    with pytest.raises(RequestError, match="fitted with macs, which this estimator cannot make"):
        LearnedEstimator(predictor)
    own = LearnedEstimator(predictor, {"macs": macs})
    found = own.estimate(told[0].architecture, Budget())
    mean, deviation = predictor.predict(told[:1])
    assert found.value == mean[0]
    assert found.provenance == {
        "estimator": "learned",
        "std": deviation[0],
        "model": predictor.chosen_,
        "trials": 30,
        "trusted": True,
    }
    curved = LearnedPredictor().fit(with_curves(samples, accuracy[:, None] * 0.9), accuracy)
    with pytest.raises(RequestError, match="a learning curve"):
        LearnedEstimator(curved)
