import numpy as np
import pytest

from hwnas.export.bags import SpaceBags
from hwnas.profiling.choice import network_features
from hwnas.profiling.plan import JUDGED_EVERY, PartPlan, plan_networks
from hwnas.spaces import space


@pytest.fixture(scope="module")
def bags():
    return SpaceBags(space("resnet-32"), "simulated")


def judged(networks):
    return [item.key for item in networks if item.judged]


@pytest.mark.parametrize("informed", [False, True])
def test_a_longer_plan_goes_on_with_a_shorter_one(informed, bags):
    own = bags if informed else None
    short, long = (plan_networks(bags.space, count, 3, own) for count in (10, 30))
    assert long[:10] == short
    assert len({item.key for item in long}) == 30
    assert sum(item.judged for item in long) == 30 // JUDGED_EVERY


@pytest.mark.parametrize("seed", range(3))
def test_what_is_judged_does_not_depend_on_what_is_chosen(seed, bags):
    informed = plan_networks(bags.space, 60, seed, bags)
    random = plan_networks(bags.space, 60, seed)
    assert [item.judged for item in informed] == [item.judged for item in random]
    assert judged(informed) == judged(random)
    assert {item.key for item in informed} != {item.key for item in random}
    assert not set(judged(informed)) & {item.key for item in informed if not item.judged}


def test_judged_networks_are_a_random_sample_of_the_space(bags):
    # Mean and deviation of each feature, in deviations of the space's, over 300 judged networks:
    # the mean is within 0.06 (one deviation), so beyond 0.25 with a probability of 3e-5 for each
    # of 15 features. Half of the space's sample is uniform over architectures, half over choices.
    rng = np.random.default_rng(0)
    sample = [bags.space.sample(rng, 2000, over=over) for over in ("architectures", "choices")]
    features = network_features(bags, np.concatenate(sample))
    varies = features.std(axis=0) > 1e-9

    rows = [
        item.genotype
        for seed in range(20)
        for item in plan_networks(bags.space, 60, seed, bags)
        if item.judged
    ]
    judged = network_features(bags, np.array(rows))[:, varies]
    unit = (judged - features[:, varies].mean(axis=0)) / features[:, varies].std(axis=0)
    assert np.abs(unit.mean(axis=0)).max() < 0.25
    assert np.abs(unit.std(axis=0) - 1).max() < 0.25


def test_a_plan_may_be_longer_than_the_candidates_are_many():
    found = plan_networks(space("resnet-32"), 1500, 0)
    assert len({item.key for item in found}) == len(found) == 1500


def test_general_kernels_come_as_every_third_part_and_then_on_their_own(bags):
    plan = PartPlan(bags, 0, general=40)
    own = plan.ordered(set())
    assert len(plan.general) == 40
    merged = plan.with_general(own, set())
    assert merged[:6] == [own[0], own[1], plan.general[0], own[2], own[3], plan.general[1]]
    assert sorted(merged) == sorted({*own, *plan.general})
    done = {*own, *plan.general[:30]}
    assert plan.with_general([], done) == plan.general[30:]
    assert plan.with_general(own[:3], set(plan.general)) == own[:3]
    assert plan.part(plan.general[0]) is not None
