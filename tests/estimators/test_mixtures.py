import numpy as np
import pytest
import torch
from tiny_space import TINY, split

from hwnas.errors import DivergedError
from hwnas.estimators import MixtureTrainer
from hwnas.training.images import ImageData

GENOTYPE = (1, 0)
DATA = ImageData("two", 2, ("left", "top"), split(32, 0), split(8, 1), split(8, 2))
SHARES = [np.array([0.5, 0.5]), np.array([0.3, 0.7])]


def trainer(**settings):
    return MixtureTrainer(TINY, DATA, total_steps=20, batch_size=16, **settings)


def weights(own):
    return [value.detach().clone() for value in own.network.parameters()]


def test_looking_moves_no_weights():
    own = trainer()
    own.mixed_weight_step(GENOTYPE, SHARES)
    before = weights(own)
    for step in (own.mixed_gate_step, own.unrolled_gate_step):
        loss, slopes = step(GENOTYPE, SHARES)
        assert np.isfinite(loss)
        # The channels change shapes: no share of theirs is in the mixture.
        assert not slopes[0].any() and slopes[1].all()
    assert all(map(torch.equal, before, weights(own)))


def test_training_the_mixture_lowers_its_loss():
    own = trainer()
    first = [own.mixed_weight_step(GENOTYPE, SHARES) for _ in range(20)]
    assert np.mean(first[-4:]) < 0.95 * np.mean(first[:4])


def test_certain_shares_train_and_see_what_a_path_does():
    certain = [np.array([0.0, 1.0]), np.array([1.0, 0.0])]
    one, other = trainer(), trainer()
    for _ in range(3):
        assert one.mixed_weight_step(GENOTYPE, certain) == pytest.approx(
            other.weight_step(GENOTYPE), rel=1e-5
        )
    assert one.mixed_gate_step(GENOTYPE, certain)[0] == pytest.approx(
        other.loss(GENOTYPE), rel=1e-4
    )


def test_the_second_order_vanishes_with_the_rate():
    found = []
    for name in ("mixed_gate_step", "unrolled_gate_step"):
        own = trainer()
        own.mixed_weight_step(GENOTYPE, SHARES)
        for group in own._optimiser.param_groups:
            group["lr"] = 0.0
        if name == "mixed_gate_step":
            # The unrolled step draws training images first.
            own._batch(0, GENOTYPE)
        found.append(getattr(own, name)(GENOTYPE, SHARES))
    assert found[0][0] == pytest.approx(found[1][0])
    np.testing.assert_allclose(found[0][1][1], found[1][1][1])


def test_weights_that_diverge_are_an_error():
    own = trainer(learning_rate=1e30)
    with pytest.raises(DivergedError, match="diverged in step"):
        for _ in range(4):
            own.mixed_weight_step(GENOTYPE, SHARES)


def test_a_loaded_trainer_goes_on_as_the_saved_one(tmp_path):
    first = trainer()
    first.mixed_weight_step(GENOTYPE, SHARES)
    first.save(tmp_path / "state")
    second = trainer()
    second.load(tmp_path / "state")
    for name in ("mixed_weight_step", "unrolled_gate_step", "mixed_gate_step"):
        one, other = (getattr(own, name)(GENOTYPE, SHARES) for own in (first, second))
        if name == "mixed_weight_step":
            assert one == other
        else:
            assert one[0] == other[0] and all(map(np.array_equal, one[1], other[1]))
