import math

import pytest

from hwnas.errors import DataError
from hwnas.estimators import Budget, ScratchEstimator
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.training.recipe import Recipe

CONV = BlockSpec.of("conv", channels=4, kernel=1, stride=1, activation="relu")


def network(classes=2):
    return Architecture((1, 8, 8), (CONV, BlockSpec.of("classifier", classes=classes)))


def test_the_accuracy_is_that_of_the_validation_images(data):
    found = ScratchEstimator(data, Recipe(epochs=2, batch_size=8)).estimate(network(), Budget())
    # Eight validation images.
    assert 8 * found.value in range(9)
    assert found.provenance["data"] == "noise" and not found.provenance["diverged"]
    assert found.provenance["epochs"] == 2


def test_the_epochs_of_the_budget_replace_those_of_the_recipe(data):
    found = ScratchEstimator(data, Recipe(epochs=9)).estimate(network(), Budget(epochs=1))
    assert found.provenance["epochs"] == found.provenance["recipe"]["epochs"] == 1


def test_a_diverged_training_has_no_accuracy(data):
    recipe = Recipe(epochs=9, batch_size=8, learning_rate=1e30, warmup=0)
    found = ScratchEstimator(data, recipe).estimate(network(), Budget(epochs=3))
    assert math.isnan(found.value) and found.provenance["diverged"]
    assert found.provenance["recipe"]["epochs"] == 3


def test_data_of_other_classes_are_refused(data):
    with pytest.raises(DataError, match="classes"):
        ScratchEstimator(data, Recipe(epochs=1)).estimate(network(classes=3), Budget())
