import numpy as np

from hwnas.search.scales import at_levels, choice_groups, levels
from hwnas.spaces import space


def test_choices_are_grouped_by_what_they_decide():
    own = space("resnet-32")
    groups = choice_groups(own)
    assert {"resolution", "width", "depth"} <= set(groups)
    assert sorted(index for members in groups.values() for index in members) == list(
        range(own.length)
    )
    assert all(own.choices[index].name.endswith("depth") for index in groups["depth"])


def test_cells_have_a_group_per_edge():
    assert [len(members) for members in choice_groups(space("nasbench201")).values()] == [1] * 6


def test_levels_go_from_the_first_values_to_the_last():
    own = space("resnet-32")
    groups = list(choice_groups(own).values())
    most = np.array([levels(own, members) - 1 for members in groups])
    low, high = at_levels(own, groups, np.stack([np.zeros_like(most), most]))
    assert not low.any()
    assert (high == own.canonical((own.cardinalities - 1)[None])[0]).all()
