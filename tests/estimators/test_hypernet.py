import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_space import TINY, split, tiny

from hwnas.errors import DataError, DivergedError, RequestError, SpecError
from hwnas.estimators import Budget, Setting, estimator
from hwnas.estimators.hypernet import (
    CHECKPOINT,
    HypernetEstimator,
    HypernetInitEstimator,
    Predictions,
    batch_accuracy,
)
from hwnas.training import Recipe, evaluate
from hwnas.training.hypernet_recipe import HypernetRecipe
from hwnas.training.images import ImageData

HYPER = HypernetRecipe(
    epochs=10, batch_size=16, architectures=2, hidden=16, channels=8, kernel=5, learning_rate=1e-2
)
RECIPE = Recipe(epochs=1, batch_size=16)


@pytest.fixture(scope="module")
def sides():
    return ImageData("sides", 2, ("left", "top"), split(64, 0), split(60, 1), split(20, 2))


@pytest.fixture(scope="module")
def folder(sides, tmp_path_factory):
    """A trained hypernetwork's folder."""
    found = tmp_path_factory.mktemp("hypernet")
    Predictions(sides, TINY, HYPER, found).network(TINY.decode([0] * TINY.length), seed=0)
    return found


def architectures(count):
    genes = TINY.sample(np.random.default_rng(3), count).tolist()
    return [TINY.decode(own) for own in genes]


def test_predicted_networks_are_far_better_than_chance(sides, folder):
    own = HypernetEstimator(Predictions(sides, TINY, HYPER, folder))
    found = [own.estimate(item, Budget()) for item in architectures(4)]
    assert np.mean([item.value for item in found]) > 0.8
    for item in found:
        assert item.value == item.provenance["recalibrated"]
        assert 0 <= item.provenance["batch_statistics"] <= 1
        assert item.provenance["estimator"] == "hypernet"
    assert np.mean([item.provenance["batch_statistics"] for item in found]) > 0.8


def test_the_first_estimate_trains_and_pays(sides, tmp_path):
    recipe, told = replace(HYPER, epochs=2), []
    own = HypernetEstimator(Predictions(sides, TINY, recipe, tmp_path, told.append))
    (item,) = architectures(1)
    first, again = own.estimate(item, Budget()), own.estimate(item, Budget())
    assert len(told) == 2 and (tmp_path / CHECKPOINT).exists()
    cost = first.provenance["hypernet_seconds"]
    assert first.seconds > cost == again.provenance["hypernet_seconds"] > 0
    assert first.value == again.value
    restored = HypernetEstimator(Predictions(sides, TINY, recipe, tmp_path, told.append))
    other = restored.estimate(item, Budget())
    assert other.value == first.value and len(told) == 2
    assert other.provenance["hypernet_seconds"] == cost


def test_a_short_training_starts_from_the_prediction(sides, folder):
    predictions = Predictions(sides, TINY, HYPER, folder)
    (item,) = architectures(1)
    own = HypernetInitEstimator(predictions, RECIPE, tuning_rate=0.5)
    found = own.estimate(item, Budget(epochs=2))
    assert found.provenance["predicted"] == evaluate(predictions.network(item, seed=0), sides)
    assert found.provenance["recipe"]["learning_rate"] == 0.5 * RECIPE.learning_rate
    assert found.provenance["epochs"] == len(found.provenance["curve"]) == 2
    assert found.value == pytest.approx(found.provenance["curve"][-1], abs=1e-6)
    # With next to no step, what was predicted is what is evaluated.
    still = HypernetInitEstimator(
        predictions, replace(RECIPE, learning_rate=1e-9, shift=0.0), tuning_rate=1.0
    ).estimate(item, Budget())
    assert abs(still.value - still.provenance["predicted"]) < 0.2


def test_batch_statistics_leave_the_running_ones_alone(sides, folder):
    network = Predictions(sides, TINY, HYPER, folder).network(architectures(1)[0], seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first, again = (batch_accuracy(network, sides, seed=1) for _ in range(2))
    assert first == again
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_both_estimators_of_a_run_share_one_hypernetwork(sides, tmp_path):
    setting = Setting(sides, replace(RECIPE, batch_size=32), 0, TINY, tmp_path)
    (item,) = architectures(1)
    first = estimator("hypernet", setting).estimate(item, Budget())
    second = estimator("hypernet-init", setting).estimate(item, Budget())
    assert (tmp_path / "hypernet" / CHECKPOINT).exists()
    assert first.provenance["hypernet_seconds"] == second.provenance["hypernet_seconds"]
    assert first.value == second.provenance["predicted"]


def test_a_hypernetwork_that_diverges_is_recorded_once_and_not_trained_again(sides, monkeypatch):
    trained = []

    def diverge(*_, **__):
        trained.append(1)
        raise DivergedError("the hypernetwork's loss is nan in epoch 1")

    monkeypatch.setattr("hwnas.estimators.hypernet.train_hypernetwork", diverge)
    predictions = Predictions(sides, TINY, HYPER)
    (item,) = architectures(1)
    for own in (HypernetEstimator(predictions), HypernetInitEstimator(predictions, RECIPE)):
        found = own.estimate(item, Budget())
        assert math.isnan(found.value) and found.provenance["diverged"]
        assert "nan in epoch 1" in found.provenance["reason"]
        assert found.provenance["estimator"] == own.name
    assert len(trained) == 1


def test_what_does_not_fit_is_refused(sides, folder):
    with pytest.raises(RequestError, match="give one"):
        estimator("hypernet", Setting(sides, RECIPE, 0))
    predictions = Predictions(sides, TINY, HYPER, folder)
    three = tiny(classes=3)
    with pytest.raises(DataError, match="classes"):
        HypernetEstimator(predictions).estimate(three.decode([0] * three.length), Budget())
    with pytest.raises(SpecError, match="tuning_rate must be above 0 to 1, received 0"):
        HypernetInitEstimator(predictions, RECIPE, tuning_rate=0)
