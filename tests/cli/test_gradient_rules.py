"""The gradient strategies with real shared weights, on two classes that one choice decides."""

import numpy as np
import pytest
import torch

from hwnas.cli.gradient_rules import check_gradient, gradient_rule
from hwnas.errors import RequestError
from hwnas.search import LatencyConstraint
from hwnas.search.gradient import GradientSearch
from hwnas.spaces import space
from hwnas.spaces.chain import place
from hwnas.spaces.space import Choice, SearchSpace, Slot
from hwnas.training.images import ImageData, Split

NAMES = ("gradient", "gdas", "darts", "darts2")
STEPS = 40


def stripes_space():
    """Kernels of 1 cannot tell upright from lying stripes once the image is averaged."""

    def body(kernel):
        return place("conv", (1, 8, 8), channels=8, kernel=kernel, stride=1, activation="relu")

    def head(_):
        return place("classifier", (8, 8, 8), classes=2)

    return SearchSpace(
        "stripes",
        [Choice("kernel", (1, 3))],
        [Slot("body", (0,), body), Slot("head", (0,), head)],
        input_channels=1,
        image_sizes=[8],
        resolution=None,
        classes=2,
    )


STRIPES = stripes_space()


def stripes(count, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    upright = np.broadcast_to(np.sign(np.arange(8) % 4 - 1.5), (8, 8))
    pattern = np.stack([upright, upright.T])[labels]
    images = pattern[:, None] + rng.normal(0, 0.2, (count, 1, 8, 8))
    return Split(images.astype(np.float32), labels)


DATA = ImageData("stripes", 2, ("upright", "lying"), stripes(128, 0), stripes(8, 1), stripes(8, 2))


class Flat:
    """The better value is also the dearer one, and both are within the limit."""

    class Slot:
        choices, costs_ms = (0,), np.array([0.1, 0.2])

    def table_ms(self, genotypes):
        return self.Slot.costs_ms[genotypes[:, 0]]

    predict_ms = table_ms

    def bounds_ms(self, genotypes, quantile):
        return self.table_ms(genotypes), self.table_ms(genotypes)

    def slot_costs_ms(self):
        return 0.0, [self.Slot()]


def searching(name, *, seed=0, steps=STEPS, limit=1.0, **options):
    rule = gradient_rule(name, STRIPES, DATA, steps=steps, seed=seed)
    constraint = LatencyConstraint(Flat(), limit)
    return GradientSearch(STRIPES, constraint, seed, rule=rule, steps=steps, **options)


def weights(own):
    return [value.detach() for value in own.relaxation.model.network.parameters()]


@pytest.mark.parametrize("name", NAMES)
def test_the_better_of_two_values_wins(name):
    own = searching(name, steps=120)
    assert own.name == name
    assert own.ask(1) == [(1,)]
    assert own.relaxation.probabilities()[0][1] > 0.6


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_overrules_what_is_better(name):
    own = searching(name, limit=0.15)
    assert own.ask(4) == [(0,)]
    assert own.relaxation.dual.level > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step", [5, 25])
def test_a_killed_search_reaches_the_same_weights_and_probabilities(name, step, tmp_path):
    def stop(own, steps, info):
        if own == step:
            raise KeyboardInterrupt

    whole = searching(name)
    expected = whole.ask(2)
    with pytest.raises(KeyboardInterrupt):
        searching(name, folder=tmp_path, on_step=stop).ask(2)
    resumed = searching(name, folder=tmp_path)
    assert resumed.ask(2) == expected
    assert resumed.relaxation.state_dict() == whole.relaxation.state_dict()
    assert all(map(torch.equal, weights(resumed), weights(whole)))


@pytest.mark.parametrize("name", ["darts", "darts2"])
def test_a_space_of_large_cells_is_refused_with_what_works_there(name):
    with pytest.raises(RequestError, match=r"slot 'stage1\.cell1' .*15,625 settings") as caught:
        check_gradient(["random", name], space("nasbench201"))
    assert "'gradient' or 'gdas'" in str(caught.value)
    check_gradient(["gradient", "gdas"], space("nasbench201"))


@pytest.mark.parametrize("name", ["darts", "darts2"])
def test_other_spaces_are_not_refused(name):
    check_gradient([name], space("micro"))
    check_gradient([name], space("mobilenet-32"))
