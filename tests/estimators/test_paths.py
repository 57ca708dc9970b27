import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hwnas.errors import DataError, DivergedError, RequestError, SpecError, StorageError
from hwnas.estimators import PathTrainer
from hwnas.spaces import space
from hwnas.training.images import ImageData, Split

RESNET = space("resnet-32:classes=2,image_size=16")
SHALLOW = RESNET.encode({})
DEEP = RESNET.encode({f"stage{stage}.depth": 3 for stage in (1, 2, 3)})
GENES = {choice.name: index for index, choice in enumerate(RESNET.choices)}


def trainer(data, **settings):
    return PathTrainer(RESNET, data, total_steps=8, batch_size=4, **settings)


def weights(own):
    return [[value.detach().clone() for value in slot.parameters()] for slot in own.network.slots]


def test_a_loaded_trainer_goes_on_as_the_saved_one(data, tmp_path):
    first = trainer(data)
    assert first.global_genes == (0, 1)
    first.weight_step(SHALLOW)
    first.save(tmp_path / "state")
    # The halves come from the seed alone, which a resumed search gives again.
    second = trainer(data)
    second.load(tmp_path / "state")
    for step in ("weight_step", "weight_step", "loss"):
        assert getattr(first, step)(SHALLOW) == getattr(second, step)(SHALLOW)


def test_a_torn_state_is_refused(data, tmp_path):
    (tmp_path / "state").write_bytes(b"torn")
    with pytest.raises(StorageError, match="Delete it to start anew"):
        trainer(data).load(tmp_path / "state")


def test_only_the_weights_of_the_path_move(data):
    own = trainer(data)
    # A first step on the deep path gives all of its weights momentum.
    own.weight_step(DEEP)
    before = weights(own)
    own.weight_step(SHALLOW)
    for slot, old, new in zip(RESNET.slots, before, weights(own), strict=True):
        used = RESNET.slot_block(slot, [SHALLOW[choice] for choice in slot.choices]) is not None
        assert all(map(torch.equal, old, new)) != used


def test_looking_at_gates_and_losses_moves_no_weights(data):
    own = trainer(data)
    before = weights(own)
    ratio, depth = GENES["stage1.ratio"], GENES["stage2.depth"]
    loss, slopes = own.gate_step(SHALLOW, {ratio: 1, depth: 2})
    assert math.isfinite(loss) and slopes.keys() == {ratio, depth}
    assert math.isfinite(own.loss(SHALLOW))
    for old, new in zip(before, weights(own), strict=True):
        assert all(map(torch.equal, old, new))
    with pytest.raises(SpecError, match="cannot be gated"):
        own.gate_step(SHALLOW, {GENES["width"]: 1})


def test_weights_and_choices_see_different_images(data):
    """Every training image is a constant of its own, so that a batch tells its images."""
    images = np.broadcast_to(np.arange(24, dtype=np.float32).reshape(24, 1, 1, 1), (24, 3, 8, 8))
    train = Split(images.copy(), data.train.labels)
    rgb = (Split(part.images.repeat(3, 1), part.labels) for part in (data.validation, data.test))
    own = trainer(ImageData("constants", 2, ("a", "b"), train, *rgb))
    seen = []
    own.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))

    def values(step):
        seen.clear()
        for _ in range(40):
            step(SHALLOW)
        return {round(value, 4) for batch in seen for value in batch[:, 0, 0, 0].tolist()}

    learned, held_out = values(own.weight_step), values(own.loss)
    # 160 draws of 12 images miss one with a probability of 12 * (11/12)**160, 1e-5.
    assert len(learned) == len(held_out) == 12
    assert not learned & held_out


def test_weights_that_diverge_are_an_error(data):
    own = trainer(data, learning_rate=1e30)
    with pytest.raises(DivergedError, match="diverged in step"):
        for _ in range(4):
            own.weight_step(SHALLOW)


def test_other_classes_and_too_few_images_are_refused(data):
    with pytest.raises(DataError, match="classes=2"):
        PathTrainer(space("resnet-32"), data, total_steps=1)
    few = Split(data.train.images[:3], data.train.labels[:3])
    with pytest.raises(DataError, match="has 3 training images; at least 4"):
        trainer(replace(data, train=few))


def test_weights_of_another_seed_are_refused(data, tmp_path):
    trainer(data, seed=1).save(tmp_path / "weights")
    with pytest.raises(RequestError, match="seed 1, this search has seed 0"):
        trainer(data).load(tmp_path / "weights")


def test_weights_of_another_space_are_refused(data, tmp_path):
    path = tmp_path / "state.pt"
    trainer(data).save(path)
    other = PathTrainer(space("mobilenetv1-32:classes=2,image_size=16"), data, total_steps=8)
    with pytest.raises(RequestError, match="shared weights of another space"):
        other.load(path)
