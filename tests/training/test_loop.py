from dataclasses import replace

import numpy as np
import pytest
import torch

from hwnas.errors import DataError, DivergedError, RequestError, SpecError, StorageError
from hwnas.nets import Network
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.training import Recipe, evaluate, train
from hwnas.training.batches import batch_indices, shifted
from hwnas.training.checkpoint import load_state, save_state
from hwnas.training.images import ImageData, Split
from hwnas.training.splits import stratified_split

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


def test_divergence_is_an_error(data):
    with pytest.raises(DivergedError, match="lower the learning rate"):
        train(network(), data, replace(RECIPE, learning_rate=1e30, warmup=0))


def test_a_spent_budget_still_makes_one_step(data):
    assert train(network(), data, RECIPE, budget_s=1e-9).epochs == 0.25


def test_data_of_other_classes_are_refused(data):
    with pytest.raises(DataError, match="2 classes"):
        train(network(classes=3), data, RECIPE)


def test_recipes():
    with pytest.raises(SpecError, match="epochs"):
        Recipe(epochs=0)
    with pytest.raises(SpecError, match="shift"):
        Recipe(shift=0.6)
    assert Recipe.from_json(RECIPE.to_json()) == RECIPE
    own = Recipe(learning_rate=0.2, warmup=0.5)
    rates = [own.rate(progress) for progress in (0.25, 0.5, 0.75, 1)]
    assert rates == pytest.approx([0.1, 0.2, 0.1, 0])


def test_batches_cover_all_images_once_in_equal_parts():
    parts = list(batch_indices(10, 4, torch.manual_seed(0)))
    assert sorted(torch.cat(parts).tolist()) == list(range(10))
    assert [len(part) for part in parts] == [4, 3, 3]


def test_shifts_are_crops_of_the_image_padded_by_its_edge():
    images = torch.arange(2 * 64.0).view(2, 1, 8, 8)
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    for before, after in zip(padded, shifted(images, 0.125, torch.manual_seed(0)), strict=True):
        crops = [before[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
        assert any(torch.equal(after, crop) for crop in crops)


def test_splits_are_disjoint_and_keep_the_classes():
    labels = np.repeat(np.arange(3), (50, 30, 20))
    parts = stratified_split(labels, (0.6, 0.2, 0.2), np.random.default_rng(0))
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
        assert abs(np.bincount(labels[part]) - share * np.array([50, 30, 20])).max() <= 1


def test_states_come_back_and_run_nothing(tmp_path):
    path = tmp_path / "deep" / "state"
    save_state(path, {"a": torch.arange(3), "b": [1, "x"]})
    state = load_state(path)
    assert state["a"].tolist() == [0, 1, 2] and state["b"] == [1, "x"]
    assert [item.name for item in path.parent.iterdir()] == ["state"]
    torch.save({"a": Stop()}, path)
    with pytest.raises(StorageError):
        load_state(path)
