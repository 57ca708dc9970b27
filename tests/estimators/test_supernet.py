import math

import numpy as np
import pytest
import torch

from hwnas.errors import DataError, RequestError, SpecError, UnknownNameError
from hwnas.estimators import Budget, SupernetEstimator
from hwnas.nets.parameters import channels_last
from hwnas.spaces import space
from hwnas.training import Recipe, evaluate, recalibrate, train_supernet
from hwnas.training.images import ImageData, Split

RECIPE = Recipe(batch_size=12, learning_rate=0.05, seed=5)
MICRO = space("micro:image_size=16,classes=2")
MOBILE = space("mobilenet-32:image_size=16,classes=2,input_channels=1")


class Killed(Exception):
    pass


def killed_after(epochs):
    def on_epoch(epoch):
        if epoch.epoch == epochs:
            raise Killed

    return on_epoch


def sample(own, count, seed=0):
    return own.sample(np.random.default_rng(seed), count, over="choices").tolist()


@pytest.mark.parametrize(("own", "mode"), [(MICRO, "uniform"), (MOBILE, "progressive")])
def test_an_estimate_is_the_accuracy_of_the_recalibrated_slice(own, mode, data):
    judge = SupernetEstimator(data, RECIPE, own, epochs=7, mode=mode)
    shared = train_supernet(own, data, RECIPE, epochs=7, mode=mode).network
    for genes in sample(own, 3):
        network = shared.extract(genes)
        size = own.input_shape(genes)[1]
        recalibrate(network, data.tensor("train", size, 1))
        found = judge.estimate(own.decode(genes), Budget())
        assert found.value == evaluate(network, data)
        assert found.provenance["genotype"] == list(genes)


@pytest.mark.parametrize(("own", "mode"), [(MICRO, "uniform"), (MOBILE, "progressive")])
def test_a_subnet_equals_the_slice_with_the_same_statistics(own, mode, data):
    """The supernet normalises by the batch, and so does a subnet in training mode."""
    shared = train_supernet(own, data, RECIPE, epochs=7, mode=mode).network
    for genes in sample(own, 4):
        size = own.input_shape(genes)[1]
        images = data.tensor("train", size, 1).contiguous(memory_format=channels_last(shared))
        network = shared.extract(genes)
        with torch.no_grad():
            wanted = shared(images, genes)
            channels_last(network)
            assert float((network.train()(images) - wanted).abs().max()) <= 1e-6


def test_the_first_estimate_pays_for_the_training(data):
    judge = SupernetEstimator(data, RECIPE, MICRO, epochs=6)
    first, second = (judge.estimate(MICRO.decode(genes), Budget()) for genes in sample(MICRO, 2))
    assert first.provenance["trained"] and not second.provenance["trained"]
    trained_s = first.provenance["training_seconds"]
    assert first.seconds >= trained_s > 0
    assert second.provenance["training_seconds"] == trained_s
    assert first.provenance["epochs"] == 6 and first.provenance["estimator"] == "supernet"
    assert first.provenance["calibration_images"] == 24


def test_interrupted_and_resumed_gives_the_same_and_counts_all_its_seconds(data, tmp_path):
    architectures = [MICRO.decode(genes) for genes in sample(MICRO, 3)]

    def judge(**settings):
        return SupernetEstimator(data, RECIPE, MICRO, epochs=4, **settings)

    whole = judge()
    wanted = [whole.estimate(item, Budget()).value for item in architectures]
    with pytest.raises(Killed):
        judge(folder=tmp_path, on_epoch=killed_after(3)).estimate(architectures[0], Budget())
    resumed = judge(folder=tmp_path)
    found = [resumed.estimate(item, Budget()) for item in architectures]
    assert [item.value for item in found] == wanted
    assert found[0].provenance["trained"]
    assert found[0].seconds >= found[0].provenance["training_seconds"]
    restored = judge(folder=tmp_path)
    again = [restored.estimate(item, Budget()) for item in architectures]
    assert [item.value for item in again] == wanted
    assert not again[0].provenance["trained"]
    assert again[0].provenance["training_seconds"] == found[0].provenance["training_seconds"]


def test_epochs_follow_the_recipe_where_nothing_is_said(data):
    assert SupernetEstimator(data, Recipe(epochs=3), MICRO).epochs == 24
    assert SupernetEstimator(data, Recipe(epochs=3), MICRO, epochs=5).epochs == 5


def test_no_more_images_than_wanted_are_used_for_statistics(data):
    judge = SupernetEstimator(data, RECIPE, MICRO, epochs=1, images=10)
    found = judge.estimate(MICRO.decode([0] * MICRO.length), Budget())
    assert found.provenance["calibration_images"] == 10


def test_divergence_is_no_accuracy_and_is_not_tried_again(data):
    epochs = []
    judge = SupernetEstimator(
        data,
        Recipe(batch_size=4, learning_rate=1e30, warmup=0.0),
        MICRO,
        epochs=3,
        on_epoch=epochs.append,
    )
    for trained in (True, False):
        found = judge.estimate(MICRO.decode([0] * MICRO.length), Budget())
        assert math.isnan(found.value) and found.provenance["diverged"]
        assert "lower the learning rate" in found.provenance["reason"]
        assert found.provenance["trained"] is trained
    assert len(epochs) <= 2


def test_what_is_not_of_the_space_is_refused_before_anything_is_trained(data):
    epochs = []
    judge = SupernetEstimator(data, RECIPE, MICRO, epochs=1, on_epoch=epochs.append)
    with pytest.raises(SpecError, match="is not of space 'micro:"):
        judge.estimate(MOBILE.decode([0] * MOBILE.length), Budget())
    assert epochs == []
    with pytest.raises(DataError, match="has 2 classes, space 'micro' has 10"):
        SupernetEstimator(data, RECIPE, space("micro"))
    with pytest.raises(UnknownNameError, match="supernet mode"):
        SupernetEstimator(data, RECIPE, MICRO, mode="fair")
    with pytest.raises(SpecError, match="at least 2, received 1"):
        SupernetEstimator(data, RECIPE, MICRO, images=1)


def test_a_folder_of_another_space_is_refused(data, tmp_path):
    judge = SupernetEstimator(data, RECIPE, MICRO, epochs=1, folder=tmp_path)
    judge.estimate(MICRO.decode([0] * MICRO.length), Budget())
    other = SupernetEstimator(data, RECIPE, MOBILE, epochs=1, folder=tmp_path)
    with pytest.raises(RequestError, match="is of another space"):
        other.estimate(MOBILE.decode([0] * MOBILE.length), Budget())


def test_trained_paths_tell_bright_images_from_dark_ones_and_need_statistics(tmp_path):

    def bright(count, seed):
        labels = np.arange(count, dtype=np.int64) % 2
        noise = np.random.default_rng(seed).random((count, 1, 8, 8))
        return Split((noise + 2 * labels[:, None, None, None]).astype(np.float32), labels)

    data = ImageData("bright", 2, ("a", "b"), bright(96, 0), bright(32, 1), bright(32, 2))
    judge = SupernetEstimator(data, RECIPE, MICRO, epochs=40, folder=tmp_path)
    genotypes = sample(MICRO, 4)
    values = [judge.estimate(MICRO.decode(genes), Budget()).value for genes in genotypes]
    assert min(values) > 0.9
    path = tmp_path / "supernet.pt"
    shared = train_supernet(MICRO, data, RECIPE, epochs=40, checkpoint=path).network
    bare = [evaluate(shared.extract(genes), data) for genes in genotypes]
    assert np.mean(bare) < np.mean(values) - 0.2
