import math

import numpy as np
import pytest
import torch

from hwnas.errors import DataError, SpecError, UnknownNameError
from hwnas.estimators import Budget, Estimate, PathTrainer, ScratchEstimator, estimator, mean_rank
from hwnas.estimators.naswot import NaswotScore, activation_kernel, naswot
from hwnas.estimators.synflow import synflow
from hwnas.nets import Network
from hwnas.spaces import space
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.training.images import ImageData, Split
from hwnas.training.recipe import Recipe

RESNET = space("resnet-32:classes=2,image_size=16")


def split(count, seed):
    images = np.random.default_rng(seed).random((count, 1, 8, 8)).astype(np.float32)
    return Split(images, np.arange(count, dtype=np.int64) % 2)


@pytest.fixture
def data():
    return ImageData("noise", 2, ("a", "b"), split(24, 0), split(8, 1), split(8, 2))


@pytest.fixture
def tiny():
    """A 1x1 convolution to 4 channels, batch norm, ReLU, mean over the image, linear."""
    conv = BlockSpec.of("conv", channels=4, kernel=1, stride=1, activation="relu")
    specs = (conv, BlockSpec.of("classifier", classes=2))
    return Network(Architecture((3, 4, 4), specs), seed=1)


def test_synflow_by_hand(tiny):
    weights = [abs(v.detach().numpy().astype(float)) for v in tiny.parameters() if v.ndim > 1]
    conv, linear = weights[0][:, :, 0, 0], weights[1]
    # The output is linear in each of the two, so each one's sum of weight times slope is it.
    assert synflow(tiny) == pytest.approx(math.log(2 * (linear @ conv @ np.ones(3)).sum()))


def test_naswot_by_hand(tiny):
    images = torch.randn(5, 3, 4, 4, generator=torch.manual_seed(0))
    conv = next(iter(tiny.parameters())).detach().numpy()[:, :, 0, 0]
    hidden = np.einsum("oc,nchw->nohw", conv, images.numpy())
    codes = (hidden > hidden.mean((0, 2, 3), keepdims=True)).reshape(5, -1)
    kernel = np.array([[(a == b).sum() for b in codes] for a in codes], float)
    assert np.array_equal(activation_kernel(tiny, images).numpy(), kernel)
    assert naswot(tiny, images) == pytest.approx(np.linalg.slogdet(kernel)[1])


def test_scores_are_finite_on_sampled_architectures(data):
    for genes in RESNET.sample(np.random.default_rng(0), 2).tolist():
        architecture = RESNET.decode(genes)
        for name in ("synflow", "naswot", "parameters", "macs"):
            own = estimator(name, data, recipe=Recipe(), seed=0)
            found = own.estimate(architecture, Budget())
            assert math.isfinite(found.value) and found.provenance["estimator"] == own.name
            if name in ("parameters", "macs"):
                assert found.value == getattr(architecture, name)


def test_naswot_leaves_out_images_that_repeat(data):
    data.train.images[:20] = data.train.images[0]
    assert len(NaswotScore(data).batch()) == 5


def test_unknown_estimators_are_refused(data):
    with pytest.raises(UnknownNameError):
        estimator("oracle", data, recipe=Recipe(), seed=0)


def test_mean_rank_puts_nan_below_all():
    found = mean_rank([[1.0, 3.0, math.nan, 3.0], [-math.inf, 5.0, 1.0, math.nan]])
    assert found == [2.0, 3.75, 2.0, 2.25]
    for scores in ([], [[1.0], [1.0, 2.0]]):
        with pytest.raises(SpecError):
            mean_rank(scores)


def test_budgets_and_estimates():
    for wrong in ({"epochs": 0}, {"seconds": 0}, {"seconds": math.nan}):
        with pytest.raises(SpecError):
            Budget(**wrong)
    assert Estimate(math.nan, 1.0).to_json()["value"] is None


def test_a_diverged_training_has_no_accuracy(data, tiny):
    specs = tiny.architecture.blocks
    recipe = Recipe(epochs=9, batch_size=8, learning_rate=1e30, warmup=0)
    found = ScratchEstimator(data, recipe).estimate(
        Architecture((1, 8, 8), specs), Budget(epochs=3)
    )
    assert math.isnan(found.value) and found.provenance["diverged"]
    assert found.provenance["recipe"]["epochs"] == 3


def test_a_loaded_path_trainer_goes_on_as_the_saved_one(data, tmp_path):
    genes = [0] * RESNET.length
    data = ImageData(
        "rgb",
        2,
        ("a", "b"),
        *(Split(s.images.repeat(3, 1), s.labels) for s in (data.train, data.validation, data.test)),
    )
    first, second = (PathTrainer(RESNET, data, total_steps=8, batch_size=4) for _ in range(2))
    assert first.global_genes == (0, 1)
    first.weight_step(genes)
    first.save(tmp_path / "state")
    second.load(tmp_path / "state")
    for trainer_step in ("weight_step", "weight_step", "loss"):
        assert getattr(first, trainer_step)(genes) == getattr(second, trainer_step)(genes)


def test_path_trainer_refuses_other_classes(data):
    with pytest.raises(DataError, match="classes=2"):
        PathTrainer(space("resnet-32"), data, total_steps=1)
