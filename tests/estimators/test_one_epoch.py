import math

from hwnas.estimators import Budget, ScratchEstimator
from hwnas.estimators.one_epoch import OneEpochEstimator
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.training.recipe import Recipe

CONV = BlockSpec.of("conv", channels=4, kernel=1, stride=1, activation="relu")
NETWORK = Architecture((1, 8, 8), (CONV, BlockSpec.of("classifier", classes=2)))


def test_it_is_one_epoch_whatever_recipe_and_budget_say(data):
    own = OneEpochEstimator(data, Recipe(epochs=5, batch_size=8, seed=2))
    found = own.estimate(NETWORK, Budget(epochs=3))
    recipe = Recipe(epochs=1, batch_size=8, seed=2)
    expected = ScratchEstimator(data, recipe).estimate(NETWORK, Budget())
    assert found.value == expected.value
    assert found.provenance == {**expected.provenance, "estimator": "one-epoch"}
    assert found.provenance["epochs"] == 1 and len(found.provenance["curve"]) == 1


def test_divergence_is_no_accuracy(data):
    recipe = Recipe(batch_size=4, learning_rate=1e30, warmup=0)
    assert math.isnan(OneEpochEstimator(data, recipe).estimate(NETWORK, Budget()).value)
