import math

import pytest

from hwnas.errors import DataError
from hwnas.estimators import Budget, ScratchEstimator
from hwnas.estimators import scratch as module
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.training.curve import EarlyStopping
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
    assert found.provenance["curve"] == []


def test_data_of_other_classes_are_refused(data):
    with pytest.raises(DataError, match="classes"):
        ScratchEstimator(data, Recipe(epochs=1)).estimate(network(classes=3), Budget())


def test_equal_operations_give_small_architectures_more_epochs(data):
    own = ScratchEstimator(data, Recipe(epochs=1, batch_size=8))
    wide = BlockSpec.of("conv", channels=16, kernel=1, stride=1, activation="relu")
    large = Architecture((1, 8, 8), (wide, BlockSpec.of("classifier", classes=2)))
    # Twenty-four training images: six epochs of the small one.
    macs = 3 * network().macs * 24 * 6
    small, other = (own.estimate(item, Budget(macs=macs)) for item in (network(), large))
    assert small.provenance["epochs"] == 6 and small.provenance["macs"] == macs
    assert other.provenance["epochs"] < 6
    assert macs - 3 * large.macs * 8 < other.provenance["macs"] <= macs
    assert own.estimate(network(), Budget(epochs=2, macs=macs)).provenance["epochs"] == 2


def test_early_stopping_is_in_the_provenance_with_the_whole_curve(data):
    recipe = Recipe(epochs=30, batch_size=8, learning_rate=1e-6)
    own = ScratchEstimator(data, recipe, stopping=EarlyStopping(patience=3))
    found = own.estimate(network(), Budget()).provenance
    assert found["ended_by"] == "patience" and found["epochs"] == len(found["curve"]) < 30
    assert found["stopping"] == {"patience": 3, "min_delta": 0.0}
    assert found["best_epoch"] == len(found["curve"]) - 3


class Killed(Exception):
    pass


@pytest.mark.parametrize("stopping", [None, EarlyStopping(patience=20)])
def test_a_killed_training_goes_on_and_gives_the_same(data, tmp_path, monkeypatch, stopping):
    recipe, budget = Recipe(batch_size=8, seed=4), Budget(epochs=5)

    def own():
        return ScratchEstimator(data, recipe, folder=tmp_path, stopping=stopping)

    expected = ScratchEstimator(data, recipe, stopping=stopping).estimate(network(), budget)
    real = module.train

    def killed(*args, on_epoch, **more):
        def kill(epoch):
            on_epoch(epoch)
            if epoch.epoch == 3:
                raise Killed

        return real(*args, on_epoch=kill, **more)

    with monkeypatch.context() as patch:
        patch.setattr(module, "train", killed)
        with pytest.raises(Killed):
            own().estimate(network(), budget)
    # Others in the same folder do not take it up, and leave it.
    other = ScratchEstimator(data, Recipe(batch_size=8, seed=5), folder=tmp_path)
    other.estimate(network(), Budget(epochs=1))
    own().estimate(network(), Budget(epochs=1))
    assert len(list(tmp_path.iterdir())) == 1
    made = []

    def counted(*args, on_epoch, **more):
        return real(*args, on_epoch=lambda e: (made.append(e), on_epoch(e)), **more)

    monkeypatch.setattr(module, "train", counted)
    found = own().estimate(network(), budget)
    assert [epoch.epoch for epoch in made] == [4, 5]
    assert found.value == expected.value and found.provenance == expected.provenance
    assert found.seconds > sum(epoch.seconds for epoch in made)
    assert list(tmp_path.iterdir()) == []
