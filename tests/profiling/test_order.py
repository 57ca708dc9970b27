import numpy as np
import pytest

from hwnas.export.bags import SpaceBags
from hwnas.profiles import DeviceProfile, Records
from hwnas.profiling.order import InformedOrder
from hwnas.profiling.plan import PartPlan
from hwnas.spaces import space


@pytest.fixture(scope="module")
def plan():
    return PartPlan(SpaceBags(space("resnet-32"), "simulated"), 0)


def without(records, keys):
    chosen = set(keys)
    return Records(
        [item for item in records.observations if item.key not in chosen],
        records.definitions,
        records.sessions,
    )


def test_before_anything_is_known_the_most_used_kernels_come_first(plan):
    order = InformedOrder(plan, 0).ordered(Records(), set())
    assert sorted(order) == sorted(plan.ordered(set()))
    kinds = [key.startswith("kernel:") for key in order]
    assert kinds == sorted(kinds, reverse=True)
    assert order[0] == f"kernel:{plan.kernels[0].key}"


def test_every_part_comes_once_and_what_is_done_does_not(sim, plan):
    records = DeviceProfile.open("sim").read()
    done = set(plan.ordered(set())[::2])
    order = InformedOrder(plan, 0).ordered(records, done)
    assert sorted(order) == sorted(set(plan.ordered(set())) - done)
    assert order == InformedOrder(plan, 0).ordered(records, done)


def test_among_unknown_blocks_those_come_first_that_networks_use_and_that_cost_much(sim, plan):
    records = DeviceProfile.open("sim").read()
    blocks = [plan.block_key(index) for index in plan.blocks]
    unknown = without(records, blocks)
    done = {key for key in plan.ordered(set()) if key.startswith("kernel:")}
    order = InformedOrder(plan, 0).ordered(unknown, done)
    assert set(order) == set(blocks)
    latency = {key: item.latency_ms for key, item in records.measurements().items()}
    use = {plan.block_key(index): count for index, count in plan.block_use.items()}
    weight = np.array([use[key] * latency[key] for key in order if key in latency])
    third = len(weight) // 3
    # Every second one is drawn at random.
    assert weight[:third].mean() > 1.5 * weight[-third:].mean()


def test_half_of_the_parts_are_a_random_sample(plan):
    orders = [InformedOrder(plan, seed)._mixed([str(i) for i in range(400)], 7) for seed in (0, 1)]
    assert orders[0] != orders[1]
    assert orders[0] == InformedOrder(plan, 0)._mixed([str(i) for i in range(400)], 7)
    for order in orders:
        assert sorted(order, key=int) == [str(i) for i in range(400)]
        first = [int(key) for key in order[:100]]
        # The first fifty or so in order, and as many from everywhere.
        assert 40 <= sum(key < 60 for key in first) <= 75
        assert max(first) > 300


def test_an_unknown_kernel_comes_before_one_like_those_that_are_known(sim, plan):
    records = DeviceProfile.open("sim").read()
    # Everything is measured but one kernel and the blocks that have it.
    kernel = plan.kernels[0]
    blocks = [plan.block_key(index) for index in plan.blocks if kernel in plan.block_kernels(index)]
    missing = {f"kernel:{kernel.key}", *blocks}
    unknown = without(records, missing)
    done = set(plan.ordered(set())) - missing
    order = InformedOrder(plan, 0).ordered(unknown, done)
    assert order[0] == f"kernel:{kernel.key}"
    assert set(order) == missing
