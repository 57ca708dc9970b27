"""The contract that every estimator keeps, and how they are found."""

import math

import numpy as np
import pytest

from hwnas.errors import RequestError, UnknownNameError
from hwnas.estimators import ESTIMATORS, Budget, Setting, estimator
from hwnas.spaces import space
from hwnas.training.recipe import Recipe

RESNET = space("resnet-32:classes=2,image_size=16")


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimates_are_finite_named_and_repeatable(name, data):
    own = estimator(name, Setting(data, Recipe(batch_size=12, epochs=1), 3, RESNET))
    assert own.name == name
    for genes in RESNET.sample(np.random.default_rng(0), 2).tolist():
        architecture = RESNET.decode(genes)
        first, again = (own.estimate(architecture, Budget(epochs=1)) for _ in range(2))
        assert math.isfinite(first.value) and first.value == again.value
        assert first.provenance["estimator"] == name
        assert first.to_json()["value"] == first.value
        assert first.seconds >= 0


@pytest.mark.parametrize("name", ["synflow", "naswot"])
def test_the_seed_reaches_the_scores(name, data):
    architecture = RESNET.decode([0] * RESNET.length)
    values = {
        estimator(name, Setting(data, Recipe(), seed)).estimate(architecture, Budget()).value
        for seed in range(3)
    }
    assert len(values) == 3


def test_the_recipe_reaches_the_training(data):
    found = estimator("scratch", Setting(data, Recipe(epochs=7), 0))
    assert found.recipe.epochs == 7


@pytest.mark.parametrize("name", ["supernet", "ofa"])
def test_sharing_weights_needs_a_space_and_has_its_own_folder(name, data, tmp_path):
    with pytest.raises(RequestError, match=f"'{name}' shares weights over a search space"):
        estimator(name, Setting(data, Recipe(), 0))
    assert estimator(name, Setting(data, Recipe(), 0, RESNET, tmp_path)).folder == tmp_path / name
    assert estimator(name, Setting(data, Recipe(), 0, RESNET)).folder is None


def test_unknown_estimators_are_refused(data):
    with pytest.raises(UnknownNameError, match="did you mean synflow"):
        estimator("synflw", Setting(data, Recipe(), 0))


def test_the_training_of_shared_weights_says_how_far_it_is(data):
    said = []
    setting = Setting(data, Recipe(epochs=1, batch_size=12), 0, RESNET, say=said.append)
    own = estimator("supernet", setting)
    own.estimate(RESNET.decode([0] * RESNET.length), Budget())
    assert len(said) == own.epochs and said[0].startswith("supernet: epoch 1 of ")
