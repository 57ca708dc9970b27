from dataclasses import replace

import numpy as np
import pytest

from hwnas.profiles import Observation, Records
from hwnas.profiles.factors import session_factors

CANARY = 0.2


def observed(key, session, ms, canary=CANARY, accepted=10):
    return Observation(key, session, ms, ms, ms, ms, ms, 1.0, None, 10, accepted, canary)


def profile(mixed, sessions=4, networks=40, together=10, spread=0.03, noise=0.003, seed=0):
    """Networks seen by four processes each, in the same or in other company each time."""
    rng = np.random.default_rng(seed)
    times = rng.uniform(1, 10, networks)
    items, factors = [], {}
    for _ in range(sessions):
        order = rng.permutation(networks) if mixed else np.arange(networks)
        for start in range(0, networks, together):
            session = f"s{len(factors):04d}"
            factors[session] = float(np.exp(rng.normal(0, spread)))
            items += [
                observed(
                    f"network:{i}", session, times[i] * factors[session] * rng.lognormal(0, noise)
                )
                for i in order[start : start + together]
            ]
    return items, factors, times


def error_pct(items, times):
    """Of the networks' numbers, but for what all have in common."""
    found = Records(items).measurements()
    logs = np.log([found[f"network:{i}"].latency_ms / times[i] for i in range(len(times))])
    return 100 * np.abs(logs - np.median(logs)).mean()


def test_factors_of_processes_are_found_where_networks_are_mixed():
    items, factors, times = profile(mixed=True)
    found = session_factors(items, CANARY)
    assert set(found) == set(factors)
    ratio = np.log([found[s] / factors[s] for s in factors])
    assert np.abs(ratio - np.median(ratio)).max() < 0.005
    assert error_pct(items, times) < 0.3
    fixed, _, same = profile(mixed=False)
    assert error_pct(fixed, same) > 0.5  # what a batch has in common in all its processes stays


def test_observations_stay_as_they_are_and_verdicts_see_the_corrected_ones():
    items, _, _ = profile(mixed=True, spread=0.04)
    before = [replace(item) for item in items]
    records = Records(items)
    assert {m.verdict for m in records.measurements().values()} == {"stable"}
    assert records.observations == before


def test_a_disturbed_process_is_not_corrected_but_unstable():
    items, _, times = profile(mixed=True, spread=0.0, noise=0.001, networks=20, together=5)
    slow = [replace(i, quiet_ms=1.4 * i.quiet_ms) if i.session == "s0000" else i for i in items]
    assert "s0000" not in session_factors(slow, CANARY)
    assert error_pct(slow, times) < 0.2  # the median of four does not mind one


@pytest.mark.parametrize(
    "items",
    [
        [],
        [observed("network:0", "s0", 1.0), observed("network:0", "s1", 1.1)],
        [observed(f"block:{i}", f"s{s}", 1.0 + s) for i in range(9) for s in range(3)],
        [observed(f"network:{i}", f"s{s}", 1.0, canary=0.3) for i in range(9) for s in range(3)],
        [observed(f"network:{i}", f"s{s}", 1.0, accepted=1) for i in range(9) for s in range(3)],
        [observed(f"network:{i}", f"s{i // 5}", 1.0) for i in range(20)],
        # What two share with a third that sees little besides is not enough for any of them.
        [observed(f"network:{i}", f"s{s}", 1.0) for s in (0, 1) for i in range(6 * s, 6 * s + 6)]
        + [observed(f"network:{i}", "s2", 1.0) for i in (0, 6, 7)],
    ],
    ids=["none", "few", "parts", "slow canary", "few visits", "nothing shared", "chain"],
)
def test_where_nothing_tells_a_factor_there_is_none(items):
    assert session_factors(items, CANARY) == {}


def test_groups_that_no_network_joins_are_centred_each():
    rng = np.random.default_rng(1)
    items = []
    for group, level in enumerate((1.0, 3.0)):
        for number, factor in enumerate((0.98, 1.0, 1.02)):
            items += [
                observed(f"network:{group}.{i}", f"s{group}{number}", level * factor * (1 + i))
                for i in rng.permutation(6)
            ]
    found = session_factors(items, CANARY)
    assert [found[f"s{g}1"] for g in (0, 1)] == pytest.approx([1, 1])
    assert [found[f"s{g}2"] for g in (0, 1)] == pytest.approx([1.02, 1.02])


def test_the_order_of_the_records_does_not_matter():
    items, _, _ = profile(mixed=True)
    shuffled = [items[i] for i in np.random.default_rng(0).permutation(len(items))]
    one, two = session_factors(items, CANARY), session_factors(shuffled, CANARY)
    assert one == pytest.approx(two, rel=1e-12)
