from dataclasses import replace

import numpy as np
import pytest
import torch

from hwnas.errors import DataError, DivergedError, RequestError, StorageError
from hwnas.nets import Network
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.training import EarlyStopping, Recipe, evaluate, loop, train
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


def test_equal_operations_end_trainings_of_different_networks(data):
    net = network()
    images = 64 * 2 + 32
    macs = 3 * net.architecture.macs * images
    result = train(net, data, RECIPE, budget_macs=macs)
    assert result.macs == macs and result.epochs == 2.5 and result.ended_by == "macs"
    assert len(result.curve) == 3
    # A budget of one operation still makes a step; more than the epochs need does not count.
    assert train(network(), data, RECIPE, budget_macs=1).epochs == 0.25
    assert train(network(), data, RECIPE, budget_macs=100 * macs).ended_by == "epochs"


def test_the_learning_rate_falls_to_the_end_of_the_budget(data, monkeypatch):
    seen = []
    real = Recipe.rate
    monkeypatch.setattr(Recipe, "rate", lambda own, at: seen.append(at) or real(own, at))
    macs = 3 * network().architecture.macs * (64 * 2 + 32)
    train(network(), data, RECIPE, budget_macs=macs)
    # Asked once for each of the two groups of parameters.
    assert seen[::2] == seen[1::2] == [step / 10 for step in range(10)]


def accuracies(monkeypatch, *values):
    """Pretends the validation accuracies of the epochs."""
    left = list(values)
    monkeypatch.setattr(loop, "evaluate", lambda *_: left.pop(0))


def weights(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def test_early_stopping_gives_back_the_best_weights(data, monkeypatch):
    accuracies(monkeypatch, 0.5, 0.7, 0.6, 0.7, 0.9)
    net, seen = network(), []
    result = train(
        net,
        data,
        replace(RECIPE, epochs=5),
        stopping=EarlyStopping(patience=2),
        on_epoch=lambda _: seen.append(weights(net)),
        test=False,
    )
    assert result.ended_by == "patience" and result.epochs == 4
    assert [epoch.accuracy for epoch in result.curve] == [0.5, 0.7, 0.6, 0.7]
    assert result.accuracy == 0.7 and result.best_epoch == 2
    assert all(torch.equal(own, seen[1][name]) for name, own in net.state_dict().items())
    assert not torch.equal(net.state_dict()["blocks.2.linear.weight"], list(seen[3].values())[-2])


def test_a_resumed_training_stops_early_where_an_uninterrupted_one_does(
    data, monkeypatch, tmp_path
):
    recipe, stopping = replace(RECIPE, epochs=6), EarlyStopping(patience=3)
    values = (0.5, 0.8, 0.6, 0.7, 0.7, 0.9)
    whole, resumed, path = network(), network(), tmp_path / "state"
    accuracies(monkeypatch, *values)
    expected = train(whole, data, recipe, stopping=stopping, test=False)

    def stop(epoch):
        if epoch.epoch == 3:
            raise Stop

    accuracies(monkeypatch, *values)
    with pytest.raises(Stop):
        train(network(), data, recipe, stopping=stopping, checkpoint=path, on_epoch=stop)
    accuracies(monkeypatch, *values[3:])
    found = train(resumed, data, recipe, stopping=stopping, checkpoint=path, test=False)
    assert found.ended_by == expected.ended_by == "patience" and found.best_epoch == 2
    assert found.accuracy == expected.accuracy == 0.8 and found.macs == expected.macs
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize(
    "changed",
    [{"budget_s": 60.0}, {"budget_macs": 1e9}, {"stopping": EarlyStopping(patience=2)}],
)
def test_a_checkpoint_of_another_budget_is_refused(data, tmp_path, changed):
    path = tmp_path / "state"
    train(network(), data, RECIPE, checkpoint=path)
    with pytest.raises(RequestError, match=f"differs in {next(iter(changed))}"):
        train(network(), data, RECIPE, checkpoint=path, **changed)


def test_a_checkpoint_of_another_network_is_refused(data, tmp_path):
    path = tmp_path / "state"
    train(network(), data, RECIPE, checkpoint=path)
    wide = BlockSpec.of("conv", channels=16, kernel=3, stride=2, activation="relu")
    specs = (wide, BlockSpec.of("classifier", classes=2))
    other = Network(Architecture((1, 8, 8), specs))
    with pytest.raises(RequestError, match="differs in architecture. Give another path"):
        train(other, data, RECIPE, checkpoint=path)


def test_divergence_keeps_the_curve_so_far(data):
    class Late(Recipe):
        """A rate that is sound for two epochs."""

        def rate(self, progress):
            return 0.1 if progress < 0.5 else 1e30

    with pytest.raises(DivergedError, match="step 10 of epoch 3") as caught:
        train(network(), data, Late(**RECIPE.to_json()))
    assert len(caught.value.curve) == 2 and caught.value.seconds > 0


def test_outputs_that_are_not_finite_are_no_accuracy(data):
    net = network()
    with torch.no_grad():
        next(net.parameters()).fill_(torch.nan)
    net.train()
    with pytest.raises(DivergedError, match="outputs for validation images .* not finite"):
        evaluate(net, data)
    assert net.training
    # The last step is what breaks it: no loss is computed after it.
    with pytest.raises(DivergedError, match="not finite"):
        train(
            network(),
            data,
            replace(RECIPE, epochs=1, learning_rate=1e38, warmup=0, batch_size=64),
        )
