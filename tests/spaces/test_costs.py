import numpy as np
import pytest

from hwnas.spaces import space
from hwnas.spaces.costs import COSTS, SlotCosts, costs_of, peak_activation_bytes
from hwnas.spaces.graph import GraphBuilder
from hwnas.spaces.layers import Activation, Conv2d


@pytest.mark.parametrize("name", ["micro", "mobilenet-32", "resnet-32", "vit-32"])
def test_tables_cost_what_the_architectures_do(name):
    own = space(name)
    rows = own.sample(np.random.default_rng(0), 8)
    tables = costs_of(own, COSTS)
    for row, parameters, macs, peak in zip(
        rows, *(tables[n](rows) for n in ("parameters", "macs", "activation_bytes")), strict=True
    ):
        architecture = own.decode(row)
        assert parameters == architecture.parameters
        assert macs == architecture.macs
        assert peak == max(peak_activation_bytes(b.graph) for b in architecture.placed)


def test_slots_of_one_maker_share_a_table():
    own = space("nasbench201")
    calls = []
    counted = COSTS["parameters"].__class__(
        "counted", "", lambda graph: calls.append(graph) or 1.0, COSTS["parameters"].total
    )
    small = own.slots[1:5]
    assert len({id(slot.build) for slot in small}) == 4
    few = type(own)(
        "few",
        own.choices,
        [slot.__class__(slot.name, slot.choices[:1], _Last(slot.build)) for slot in small],
        input_channels=3,
        image_sizes=[32],
        resolution=None,
        classes=10,
    )
    SlotCosts(few, counted)
    separate = len(calls)
    from functools import partial

    calls.clear()
    shared = [partial(_one_cell, own.slots[1].build) for _ in small]
    few.slots = tuple(
        slot.__class__(slot.name, slot.choices[:1], build)
        for slot, build in zip(small, shared, strict=True)
    )
    SlotCosts(few, counted)
    assert len(calls) * 4 == separate


class _Last:
    """A slot's block by one of its choices; no two of these are the same maker."""

    def __init__(self, build):
        self.build = build

    def __call__(self, operation):
        return _one_cell(self.build, operation)


def _one_cell(build, operation):
    return build(*["nor_conv_3x3"] * 5, operation)


def test_the_peak_counts_what_is_still_to_be_read():
    # 2 channels of 4×4 in; both branches read the input, so all three are alive at the end.
    graph = GraphBuilder((2, 4, 4))
    left = graph.add("left", Conv2d(4, 1), "input")
    right = graph.add("right", Conv2d(4, 1), "input")
    graph.residual("sum", left, right)
    plane = 4 * 4 * 4
    # While "sum" runs: left, right and the sum, 4 channels each.
    assert peak_activation_bytes(graph.build()) == 12 * plane
    chain = GraphBuilder((2, 4, 4))
    chain.add("out", Activation("relu"), chain.add("in", Conv2d(8, 1), "input"))
    assert peak_activation_bytes(chain.build()) == 16 * plane
