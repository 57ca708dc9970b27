import numpy as np
import pytest
import torch

from hwnas.errors import RequestError, UnknownNameError
from hwnas.spaces import space
from hwnas.spaces.space import Choice
from hwnas.training.phases import dimension_of, largest, phases, raised


def opened(own, phase):
    """Values by the part of a choice's name behind the dot, for the first choice of each kind."""
    found = {}
    for choice, indices in zip(own.choices, phase.open, strict=True):
        found.setdefault(choice.name.rpartition(".")[2], {choice.values[i] for i in indices})
    return found


def test_progressive_shrinking_opens_one_dimension_after_the_other():
    own = space("mobilenet-32")
    plan = phases(own, "progressive", 20)
    assert [phase.name for phase in plan] == [
        "largest",
        "kernel",
        "depth 1",
        "depth 2",
        "expansion 1",
        "expansion 2",
        "width",
    ]
    start = {
        "resolution": {24, 28, 32},
        "squeeze_excite": {False, True},
        "kernel": {7},
        "depth": {3},
        "expansion": {6},
        "width": {1.0},
    }
    wanted = []
    for change in (
        {},
        {"kernel": {3, 5, 7}},
        {"depth": {2, 3}},
        {"depth": {1, 2, 3}},
        {"expansion": {4, 6}},
        {"expansion": {3, 4, 6}},
        {"width": {0.5, 0.75, 1.0}},
    ):
        start = start | change
        wanted.append(start)
    assert [opened(own, phase) for phase in plan] == wanted
    assert [phase.distil for phase in plan] == [False] + [True] * 6
    assert [phase.name for phase in plan if phase.sort] == ["expansion 1"]
    assert [phase.epochs for phase in plan] == [6, 2, 2, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("resnet-32", ["largest", "depth 1", "depth 2", "expansion 1", "width"]),
        ("vit-32", ["largest", "depth 1", "depth 2", "expansion 1", "width"]),
        ("efficientnet-32", ["largest", "kernel", "depth 1", "depth 2", "width"]),
        ("micro", ["largest", "width"]),
        ("nasbench201:image_size=8", ["largest"]),
    ],
)
def test_phases_that_open_nothing_are_left_out(name, wanted):
    own = space(name)
    plan = phases(own, "progressive", len(wanted))
    assert [phase.name for phase in plan] == wanted
    assert [phase.epochs for phase in plan] == [1] * len(wanted)
    assert plan[-1].open == phases(own, "uniform", 1)[0].open


def test_families_are_open_from_the_start():
    own = space("micro")
    first = phases(own, "progressive", 4)[0]
    widths = [choice.name for choice in own.choices].index("width")
    assert first.open[widths] == (1,) and own.choices[widths].values[1] == 1.0
    for index, choice in enumerate(own.choices):
        assert index == widths or first.open[index] == tuple(range(len(choice.values)))


def test_values_are_ordered_by_size_not_by_place():
    own = space("efficientnet-32")
    kernels = next(choice for choice in own.choices if choice.values == (5, 3))
    assert largest(own)[own.choices.index(kernels)] == 0
    assert dimension_of(Choice("a.kernel", ("small", "large"))) is None


def test_every_epoch_belongs_to_a_phase():
    own = space("mobilenet-32")
    for epochs in range(7, 60):
        counts = [phase.epochs for phase in phases(own, "progressive", epochs)]
        assert sum(counts) == epochs and min(counts) >= 1
        assert epochs < 20 or abs(counts[0] - 0.3 * epochs) <= 0.5


def test_paths_are_uniform_over_what_is_open():
    own = space("micro")
    generator = torch.Generator().manual_seed(0)
    plan = phases(own, "progressive", 10)
    drawn = np.array([plan[0].sample(generator) for _ in range(2000)])
    for choice, column in zip(own.choices, drawn.T, strict=True):
        if choice.name == "width":
            assert set(column) == {1}
            continue
        # Each count is binomial; six deviations are passed by one run in 10 million or so.
        share = 1 / len(choice.values)
        counts = np.bincount(column, minlength=len(choice.values))
        assert np.abs(counts - 2000 * share).max() < 6 * np.sqrt(2000 * share * (1 - share))
    widths = [choice.name for choice in own.choices].index("width")
    assert {plan[1].sample(generator)[widths] for _ in range(200)} == {0, 1}


def test_the_largest_path_has_the_most_parameters():
    for name in ("micro", "resnet-32:image_size=16"):
        own = space(name)
        most = max(
            own.decode(genes).parameters
            for genes in own.sample(np.random.default_rng(0), 200, over="choices").tolist()
        )
        assert own.decode(largest(own)).parameters >= most


def test_a_path_is_raised_in_what_has_an_order_only():
    own = space("mobilenet-32")
    genes = own.encode({"resolution": 28, "width": 0.5, "stage2.squeeze_excite": True})
    found = own.values(raised(own, genes))
    assert found["resolution"] == 28 and found["width"] == 1.0
    assert found["stage2.squeeze_excite"] is True and found["stage1.squeeze_excite"] is False
    assert found["stage3.depth"] == 3 and found["stage3.block3.kernel"] == 7


def test_what_cannot_be_planned_is_refused():
    own = space("mobilenet-32")
    with pytest.raises(RequestError, match=r"7 phases \(largest, kernel.*at least 7, received 6"):
        phases(own, "progressive", 6)
    with pytest.raises(UnknownNameError, match="did you mean progressive"):
        phases(own, "progresive", 10)
