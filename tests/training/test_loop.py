from dataclasses import replace

import numpy as np
import pytest
import torch

from hwnas.errors import DataError, DivergedError, RequestError, StorageError
from hwnas.nets import Network
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.training import Recipe, evaluate, train
from hwnas.training.images import ImageData, Split

RECIPE = Recipe(epochs=4, batch_size=16)


class Stop(Exception):
    pass


def split(count, seed):
    """Class 0 is bright on the left, class 1 on the right."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    images = rng.normal(0, 0.3, (count, 1, 8, 8)).astype(np.float32)
    images[labels == 0, :, :, :4] += 1
    images[labels == 1, :, :4, :] += 1
    return Split(images, labels)


@pytest.fixture
def data():
    return ImageData("sides", 2, ("left", "top"), split(64, 0), split(20, 1), split(20, 2))


def network(classes=2, seed=0):
    stem = BlockSpec.of("conv", channels=8, kernel=3, stride=2, activation="relu")
    specs = (stem, stem, BlockSpec.of("classifier", classes=classes))
    return Network(Architecture((1, 8, 8), specs), seed=seed)


def test_a_separable_problem_is_learned(data):
    net = network()
    result = train(net, data, replace(RECIPE, epochs=12))
    assert min(result.accuracy, result.test_accuracy) >= 0.9
    assert result.curve[-1].loss < result.curve[0].loss
    assert result.epochs == len(result.curve) == 12
    assert result.accuracy == evaluate(net, data) and not net.training


def test_a_resumed_training_equals_an_uninterrupted_one(data, tmp_path):
    whole, part, path = network(), network(), tmp_path / "state"
    expected = train(whole, data, RECIPE)

    def stop(epoch):
        if epoch.epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        train(part, data, RECIPE, checkpoint=path, on_epoch=stop)
    resumed = network(seed=9)
    result = train(resumed, data, RECIPE, checkpoint=path)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert [epoch.loss for epoch in result.curve] == [epoch.loss for epoch in expected.curve]


def test_a_foreign_checkpoint_is_refused(data, tmp_path):
    path = tmp_path / "state"
    train(network(), data, RECIPE, checkpoint=path)
    with pytest.raises(RequestError, match="differs in recipe"):
        train(network(), data, replace(RECIPE, seed=1), checkpoint=path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StorageError, match="cannot be read"):
        train(network(), data, RECIPE, checkpoint=path)


def test_a_checkpoint_of_other_images_is_refused(data, tmp_path):
    path = tmp_path / "state.pt"
    train(network(), data, RECIPE, checkpoint=path)
    images = np.ascontiguousarray(data.train.images[::-1])
    other = replace(data, train=data.train._replace(images=images))
    with pytest.raises(RequestError, match="images"):
        train(network(), other, RECIPE, checkpoint=path)


def test_a_judge_need_not_see_the_test_images(data):
    assert train(network(), data, replace(RECIPE, epochs=1), test=False).test_accuracy is None


def test_divergence_is_an_error(data):
    with pytest.raises(DivergedError, match="lower the learning rate"):
        train(network(), data, replace(RECIPE, learning_rate=1e30, warmup=0))


def test_a_spent_budget_still_makes_one_step(data):
    assert train(network(), data, RECIPE, budget_s=1e-9).epochs == 0.25


def test_data_of_other_classes_are_refused(data):
    with pytest.raises(DataError, match="2 classes"):
        train(network(classes=3), data, RECIPE)
