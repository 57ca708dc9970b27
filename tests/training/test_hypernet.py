from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_space import TINY, split, tiny

from hwnas.errors import DataError, DivergedError, RequestError, StorageError
from hwnas.nets.hypernetwork import run_with
from hwnas.training.hypernet import train_hypernetwork
from hwnas.training.hypernet_recipe import HypernetRecipe
from hwnas.training.images import ImageData

RECIPE = HypernetRecipe(
    epochs=3, batch_size=16, architectures=2, hidden=16, channels=8, kernel=5, learning_rate=3e-3
)


class Stop(Exception):
    pass


@pytest.fixture
def data():
    return ImageData("sides", 2, ("left", "top"), split(64, 0), split(20, 1), split(20, 2))


def test_predicted_networks_learn(data):
    found = train_hypernetwork(TINY, data, replace(RECIPE, epochs=10, learning_rate=1e-2))
    assert found.curve[-1].loss < 0.5 * found.curve[0].loss
    assert found.curve[-1].accuracy > 0.9
    assert found.seconds == sum(epoch.seconds for epoch in found.curve)


def test_a_resumed_training_equals_an_uninterrupted_one(data, tmp_path):
    expected = train_hypernetwork(TINY, data, RECIPE)
    path = tmp_path / "folder" / "state"

    def stop(epoch):
        if epoch.epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        train_hypernetwork(TINY, data, RECIPE, checkpoint=path, on_epoch=stop)
    told = []
    resumed = train_hypernetwork(TINY, data, RECIPE, checkpoint=path, on_epoch=told.append)
    assert [epoch.epoch for epoch in told] == [3]
    own = resumed.hypernetwork.state_dict()
    for name, value in expected.hypernetwork.state_dict().items():
        assert torch.equal(value, own[name]), name
    assert [e.loss for e in resumed.curve] == [e.loss for e in expected.curve]
    # A finished one is read, not trained.
    again = train_hypernetwork(TINY, data, RECIPE, checkpoint=path, on_epoch=told.append)
    assert again.curve == resumed.curve and len(told) == 1


def test_foreign_and_torn_checkpoints_are_refused(data, tmp_path):
    path = tmp_path / "state"
    recipe = replace(RECIPE, epochs=1)
    train_hypernetwork(TINY, data, recipe, checkpoint=path)
    with pytest.raises(RequestError, match="differs in recipe"):
        train_hypernetwork(TINY, data, replace(recipe, seed=1), checkpoint=path)
    other = tiny(classes=3)
    with pytest.raises(RequestError, match="differs in space"):
        three = replace(data, classes=3, class_names=("a", "b", "c"))
        train_hypernetwork(other, three, recipe, checkpoint=path)
    images = np.ascontiguousarray(data.train.images[::-1])
    with pytest.raises(RequestError, match="differs in images"):
        changed = replace(data, train=data.train._replace(images=images))
        train_hypernetwork(TINY, changed, recipe, checkpoint=path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StorageError, match="cannot be read"):
        train_hypernetwork(TINY, data, recipe, checkpoint=path)


def test_an_epoch_sees_no_more_images_than_its_steps_take(data, monkeypatch):
    seen = []
    run = torch.nn.functional.cross_entropy

    def counted(logits, labels):
        seen.append(len(labels))
        return run(logits, labels)

    monkeypatch.setattr("hwnas.training.hypernet.functional.cross_entropy", counted)
    train_hypernetwork(TINY, data, replace(RECIPE, epochs=1, epoch_steps=2))
    assert seen == [16, 16] * RECIPE.architectures


def test_architectures_spread_from_the_largest_over_the_space(data, monkeypatch):
    drawn = []
    run = run_with

    def watched(architecture, weights, images):
        drawn.append(architecture.digest)
        return run(architecture, weights, images)

    monkeypatch.setattr("hwnas.training.hypernet.run_with", watched)
    train_hypernetwork(TINY, data, replace(RECIPE, epochs=8))
    # Four steps of two architectures an epoch; a quarter is two epochs.
    assert set(drawn[:2]) <= {TINY.decode(genes).digest for genes in ((1, 1), (0, 1), (1, 0))}
    everything = {TINY.decode(genes).digest for genes in np.ndindex(2, 2)}
    assert set(drawn[16:]) == everything
    assert Counter(drawn[16:]).most_common()[-1][1] >= 4


def test_divergence_is_an_error(data):
    with pytest.raises(DivergedError, match="lower the learning rate"):
        train_hypernetwork(TINY, data, replace(RECIPE, learning_rate=1e30))


def test_data_of_other_classes_are_refused(data):
    with pytest.raises(DataError, match="tiny:classes=2"):
        train_hypernetwork(tiny(classes=3), data, RECIPE)
