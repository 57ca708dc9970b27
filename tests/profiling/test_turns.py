from dataclasses import replace

import pytest

from hwnas.export.bags import SpaceBags
from hwnas.profiles import Observation, Records
from hwnas.profiling.plan import PartPlan, plan_networks
from hwnas.profiling.turns import NETWORKS, PARTS, Shares, Turns, visit_seed
from hwnas.spaces import space

MS = {"networks": 3.0, "blocks and kernels": 0.1}


@pytest.fixture(scope="module")
def bags():
    return SpaceBags(space("resnet-32"), "simulated")


@pytest.fixture
def turns(bags):
    """A fresh process' choice, each time that it is called."""
    networks, plan = plan_networks(bags.space, 8, 0, bags), PartPlan(bags, 0)
    return lambda shares=None: Turns(bags.space, networks, plan, 0, shares)


def observed(key, session, ms=0.1, failure=None):
    if failure is not None:
        return Observation(key, session, failure=failure)
    ms = round(ms * (1 + sum(map(ord, key)) % 97 / 97), 5)  # prices that differ
    return Observation(key, session, ms, ms, ms, ms, ms, 1.0, None, 10, 10, 0.2)


def play(turns, *, fails=(), until=1000, fresh=False):
    """Visits in which everything is seen but where a model fails, as a session makes them."""
    records, chooser, played = Records(), turns(), []
    while len(played) < until:
        # A fresh process knows what is measured, in whatever order the file has it.
        chooser = turns() if fresh else chooser
        if fresh:
            observations = sorted(records.observations, key=lambda item: (item.key, item.session))
            records = replace(records, observations=observations)
        turn = chooser.next(records)
        if turn is None:
            break
        played.append((turn.phase, [part.key for part in turn.parts], turn.seed))
        name = f"s{records.next_session():04d}"
        bad = [part.key for part in turn.parts if part.key in fails]
        if bad:
            records.observations.append(observed(bad[0], name, failure="it crashed"))
        else:
            records.observations += [observed(p.key, name, MS[turn.phase]) for p in turn.parts]
        records.definitions |= turn.definitions
        records.sessions[name] = {}
    return records, played


@pytest.fixture(scope="module")
def kernel(bags):
    return f"kernel:{PartPlan(bags, 0).kernels[3].key}"


def test_a_fresh_process_makes_every_choice_that_the_old_one_would_have_made(turns, bags, kernel):
    bad = {kernel, plan_networks(bags.space, 8, 0, bags)[2].key}
    records, played = play(turns, fails=bad)
    again, resumed = play(turns, fails=bad, fresh=True)
    assert played == resumed
    assert records.digest() == again.digest()


def test_everything_is_seen_as_often_as_it_should_and_what_failed_once(turns, bags, kernel):
    networks = [n.key for n in plan_networks(bags.space, 8, 0, bags)]
    bad = {kernel, networks[2]}
    records, played = play(turns, fails=bad)
    seen = [item.key for item in records.observations if item.failure is None]
    failed = [item.key for item in records.observations if item.failure is not None]
    assert sorted(failed) == sorted(bad)
    assert {key: seen.count(key) for key in networks} == {
        key: 0 if key in bad else 4 for key in networks
    }
    parts = set(seen) - set(networks)
    # Also what parts are measured against: no more often, however often a process was started.
    assert {key: seen.count(key) for key in parts} == dict.fromkeys(parts, 2)
    assert "call" in parts and any(key.startswith("edge:") for key in parts)
    assert played[0][0] == NETWORKS
    assert all(
        len([k for k in keys if k[:4] != "edge"]) <= Shares().batch_parts + 1
        for _, keys, _ in played
    )
    # No two processes have one order, though two of them see the same models.
    assert len({seed for _, _, seed in played}) == len(played)


def test_what_parts_are_measured_against_is_made_up_for_where_a_visit_broke_off(turns):
    records, played = play(turns)
    edge = next(key for _, keys, _ in played for key in keys if key.startswith("edge:"))
    kept = [item for item in records.observations if item.key not in ("call", edge)]
    records.observations = kept + [observed(edge, "s0001")]
    for seen in ({"call", edge}, {"call"}):
        turn = turns().next(records)
        assert {part.key for part in turn.parts} == seen
        name = f"s{records.next_session():04d}"
        records.observations += [observed(part.key, name) for part in turn.parts]
        records.sessions[name] = {}
    assert turns().next(records) is None


def test_second_visits_come_first_once_the_time_for_new_parts_is_over(turns):
    records, played = play(turns, until=4)
    first = next(keys for phase, keys, _ in played if phase == PARTS)
    chooser = turns()
    while (turn := chooser.next(records, new_parts=False)).phase == NETWORKS:
        records.observations += [
            observed(part.key, f"s{records.next_session():04d}") for part in turn.parts
        ]
        records.sessions[f"s{records.next_session():04d}"] = {}
    assert set(first) <= {part.key for part in turn.parts} | {"call"}
    # The budget that is left after them goes to new parts all the same.
    records.observations += [observed(part.key, "s9000") for part in turn.parts]
    for _ in range(20):
        turn = chooser.next(records, new_parts=False)
        if turn is None or any(records.session_counts().get(p.key, 0) == 0 for p in turn.parts):
            break
        name = f"s{9001 + len(records.observations)}"
        records.observations += [observed(part.key, name) for part in turn.parts]
    assert turn is not None and turn.phase == PARTS


def test_networks_come_first_once_the_time_for_parts_is_over(turns):
    few = Shares(networks=0.2)
    records, played = play(lambda: turns(few), until=2)
    assert [phase for phase, _, _ in played] == [NETWORKS, PARTS]
    assert turns(few).next(records).phase == PARTS
    assert turns(few).next(records, parts_first=False).phase == NETWORKS


def test_what_a_visit_had_no_time_for_does_not_hold_up_the_rest(turns):
    chooser, records = turns(), Records()
    for _ in range(200):
        turn = chooser.next(records)
        if turn is None:
            break
        chooser.pass_over(part.key for part in turn.parts)
    assert turn is None


def test_a_seed_depends_on_what_is_measured_and_for_which_time():
    seeds = [visit_seed(0, "ab", 0), visit_seed(0, "ab", 1), visit_seed(0, "ba", 0)]
    seeds += [visit_seed(1, "ab", 0), visit_seed(0, ["ab"], 0)]
    assert len(set(seeds)) == len(seeds) and all(seed >= 0 for seed in seeds)
    assert visit_seed(0, ["a", "b"], 0) == seeds[0]


def test_general_kernels_wait_for_the_space_unless_they_are_due(bags):
    plan = PartPlan(bags, 0, general=40)
    turns = Turns(bags.space, [], plan, 0, Shares(batch_parts=30))
    alone, mixed = (
        {part.key for part in turns.next(Records(), general=general).parts}
        for general in (False, True)
    )
    assert not alone & set(plan.general)
    assert len(mixed & set(plan.general)) == 10
    # Where nothing of the space is left, they come all the same.
    seen = [observed(key, "s0000") for key in plan.ordered(set())]
    left = turns.next(Records(seen), general=False)
    assert {part.key for part in left.parts} & set(plan.general)


def test_general_kernels_come_where_what_is_left_of_the_space_cannot_stand_alone(bags, monkeypatch):
    plan = PartPlan(bags, 0, general=40)
    own = plan.ordered(set())
    monkeypatch.setattr(
        plan, "part", lambda key: None if key == own[-1] else PartPlan.part(plan, key)
    )
    seen = [observed(key, "s0000") for key in own[:-1]]
    turn = Turns(bags.space, [], plan, 0, Shares(batch_parts=30)).next(Records(seen), general=False)
    assert {part.key for part in turn.parts} & set(plan.general)
