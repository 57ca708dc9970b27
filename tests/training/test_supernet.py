from dataclasses import replace

import numpy as np
import pytest
import torch

from hwnas.errors import DataError, DivergedError, RequestError, SpecError
from hwnas.nets import OnceForAllNetwork
from hwnas.spaces import Choice, SearchSpace, space
from hwnas.spaces.nasbench201 import nasbench201
from hwnas.training import Recipe
from hwnas.training.checkpoint import load_state
from hwnas.training.images import ImageData, Split
from hwnas.training.phases import largest
from hwnas.training.supernet import supernet_of, train_supernet

RECIPE = Recipe(batch_size=12, learning_rate=0.05, seed=5)
SPACES = (
    "mobilenet-32",
    "resnet-32",
    "shufflenet-32",
    "mobilenetv1-32",
    "efficientnet-32",
    "vit-32",
    "micro",
)


def split(count, seed):
    """Images whose class shows in their brightness."""
    labels = np.arange(count, dtype=np.int64) % 2
    noise = np.random.default_rng(seed).random((count, 1, 8, 8))
    return Split((noise + labels[:, None, None, None]).astype(np.float32), labels)


@pytest.fixture(scope="module")
def data():
    return ImageData("noise", 2, ("a", "b"), split(24, 0), split(8, 1), split(8, 2))


def small(name):
    return space(f"{name}:classes=2,input_channels=1,image_size=16")


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def equal(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


class Killed(Exception):
    pass


def killed_after(epochs):
    def on_epoch(epoch):
        if epoch.epoch == epochs:
            raise Killed

    return on_epoch


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("mode", ["uniform", "progressive"])
def test_the_paths_of_every_space_can_be_trained(name, mode, data):
    own = small(name)
    found = train_supernet(own, data, RECIPE, epochs=7, mode=mode)
    assert len(found.curve) == 7 and all(np.isfinite(epoch.loss) for epoch in found.curve)
    state = weights(found.network)
    assert all(value.isfinite().all() for value in state.values())
    before = weights(supernet_of(own, mode, RECIPE.seed))
    assert not equal(before, state)


def test_it_learns(data):
    own = small("micro")
    found = train_supernet(own, data, RECIPE, epochs=30)
    assert found.curve[-1].loss < 0.75 * found.curve[0].loss


@pytest.mark.parametrize("name", SPACES)
def test_before_training_the_largest_network_of_both_modes_is_the_plain_one(name, data):
    own = small(name)
    genes = largest(own)
    plain = supernet_of(own, "uniform", 3).extract(genes).state_dict()
    assert type(supernet_of(own, "progressive", 3)) is OnceForAllNetwork
    assert equal(plain, supernet_of(own, "progressive", 3).extract(genes).state_dict())


def test_cells_without_a_live_edge_can_be_trained(data):
    whole = nasbench201("cells", image_size=8, classes=2, input_channels=1, channels=4, cells=2)
    operations = ("none", "skip_connect", "nor_conv_3x3")
    own = SearchSpace(
        "some cells",
        [Choice(choice.name, operations) for choice in whole.choices],
        whole.slots,
        input_channels=1,
        image_sizes=[8],
        resolution=None,
        classes=2,
    )
    found = train_supernet(own, data, replace(RECIPE, batch_size=4), epochs=4)
    assert all(np.isfinite(epoch.loss) for epoch in found.curve)
    assert all(value.isfinite().all() for value in found.network.state_dict().values())


def test_phases_open_one_after_the_other_and_the_teacher_stays(data, tmp_path):
    own, path, states = small("mobilenet-32"), tmp_path / "supernet.pt", []
    train_supernet(
        own,
        data,
        RECIPE,
        epochs=7,
        mode="progressive",
        checkpoint=path,
        on_epoch=lambda _: states.append(load_state(path)),
    )
    untrained = OnceForAllNetwork(own, seed=RECIPE.seed).state_dict()
    maps = [name for name in untrained if "transform" in name]
    used = [
        {name for name in maps if not torch.equal(untrained[name], state["network"][name])}
        for state in states
    ]
    assert [state["curve"][-1]["phase"] for state in states][:3] == ["largest", "kernel", "depth 1"]
    assert used[0] == set() and used[1] and used[1] <= used[-1]
    assert states[0]["teacher"] is None
    assert all(equal(states[0]["network"], state["teacher"]) for state in states[1:])


def test_paths_learn_from_the_teacher(data, monkeypatch):
    own = small("micro")
    told = train_supernet(own, data, RECIPE, epochs=4, mode="progressive")
    monkeypatch.setattr("hwnas.training.supernet.DISTILLATION", 0.0)
    alone = train_supernet(own, data, RECIPE, epochs=4, mode="progressive")
    assert [epoch.phase for epoch in told.curve] == ["largest", "width", "width", "width"]
    pairs = [(a.loss, b.loss) for a, b in zip(told.curve, alone.curve, strict=True)]
    assert pairs[0][0] == pairs[0][1] and all(with_it > without for with_it, without in pairs[1:])
    assert not equal(weights(told.network), weights(alone.network))


@pytest.mark.parametrize(
    ("mode", "epochs", "kills"), [("uniform", 3, (1, 2)), ("progressive", 9, (1, 4, 6))]
)
def test_killed_and_resumed_is_as_if_uninterrupted(mode, epochs, kills, data, tmp_path):
    own = small("mobilenet-32")
    whole = train_supernet(own, data, RECIPE, epochs=epochs, mode=mode)
    path = tmp_path / "supernet.pt"
    for kill in kills:
        with pytest.raises(Killed):
            train_supernet(
                own,
                data,
                RECIPE,
                epochs=epochs,
                mode=mode,
                checkpoint=path,
                on_epoch=killed_after(kill),
            )
    resumed = train_supernet(own, data, RECIPE, epochs=epochs, mode=mode, checkpoint=path)
    assert resumed.resumed_at == kills[-1]
    assert equal(weights(whole.network), weights(resumed.network))
    assert [e.loss for e in whole.curve] == [e.loss for e in resumed.curve]
    again = train_supernet(own, data, RECIPE, epochs=epochs, mode=mode, checkpoint=path)
    assert again.resumed_at == epochs and again.seconds == resumed.seconds
    assert equal(weights(whole.network), weights(again.network))


def test_checkpoints_of_something_else_are_refused(data, tmp_path):
    own, path = small("micro"), tmp_path / "supernet.pt"
    train_supernet(own, data, RECIPE, epochs=2, checkpoint=path)
    with pytest.raises(RequestError, match=r"is of another space: 'micro:.*', not 'resnet-32"):
        train_supernet(small("resnet-32"), data, RECIPE, epochs=2, checkpoint=path)
    with pytest.raises(RequestError, match="differs in mode"):
        train_supernet(own, data, RECIPE, epochs=2, mode="progressive", checkpoint=path)
    with pytest.raises(RequestError, match="differs in recipe"):
        other = replace(RECIPE, seed=6)
        train_supernet(own, data, other, epochs=2, checkpoint=path)
    with pytest.raises(RequestError, match="differs in images"):
        others = ImageData("noise", 2, ("a", "b"), split(24, 9), split(8, 1), split(8, 2))
        train_supernet(own, others, RECIPE, epochs=2, checkpoint=path)


def test_seeds_decide(data):
    own = small("micro")
    first, again = (weights(train_supernet(own, data, RECIPE, epochs=1).network) for _ in range(2))
    assert equal(first, again)
    other = train_supernet(own, data, replace(RECIPE, seed=6), epochs=1)
    assert not equal(first, weights(other.network))


def test_global_randomness_is_neither_used_nor_moved(data):
    own = small("micro")
    first = weights(train_supernet(own, data, RECIPE, epochs=1).network)
    torch.manual_seed(123)
    state = torch.get_rng_state()
    assert equal(first, weights(train_supernet(own, data, RECIPE, epochs=1).network))
    assert torch.equal(state, torch.get_rng_state())


def test_divergence_is_said(data):
    recipe = replace(RECIPE, learning_rate=1e30, warmup=0.0, batch_size=4)
    with pytest.raises(DivergedError, match=r"space 'micro:.*' diverged.*lower the learning rate"):
        train_supernet(small("micro"), data, recipe, epochs=5)


def test_what_cannot_be_trained_is_refused(data):
    with pytest.raises(DataError, match="2 classes, space 'micro' has 10"):
        train_supernet(space("micro"), data, RECIPE, epochs=1)
    with pytest.raises(SpecError, match="epochs must be a whole number from 1, received 0"):
        train_supernet(small("micro"), data, RECIPE, epochs=0)
