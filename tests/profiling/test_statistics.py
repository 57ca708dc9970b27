import numpy as np
import pytest
from scipy import stats

from hwnas.profiling.statistics import QUIET_QUANTILE, accepted, precise, quiet_time, slowness
from hwnas.targets import Burst


def test_only_bursts_between_quiet_canaries_count():
    bursts = [Burst("a", (1,), 100, 101), Burst("a", (2,), 100, 120), Burst("a", (3,), 120, 100)]
    assert accepted(bursts, 100, 0.03) == bursts[:1]


@pytest.mark.parametrize(
    "burst", [Burst("a", (5, -4), 9, 9), Burst("a", (5, 5), -9, 9), Burst("a", (0, 5), 9, 9)]
)
def test_a_burst_in_which_the_clock_went_back_does_not_count(burst):
    assert accepted([burst], 9, 0.03) == []


NOISE = 0.004
TRUE_NS = 1e6
# The quantile of the least of five half-normal values, as a factor above the noiseless time.
QUIET = 1 + NOISE * stats.halfnorm.ppf(1 - (1 - QUIET_QUANTILE) ** (1 / 5))


def trace(rng, rounds, *, drift=0.0, spikes=0.0):
    """Bursts of one model with the canary's readings around them, as a session sees them.

    The clock speed drifts along a piece of a sine of random phase and length;
    slow time begins before a share ``spikes`` of the readings and lasts up to
    five rounds; a third as often it falls between two readings, unseen by them.

    Returns:
        The bursts, and how slow the device truly was at each reading, as a factor.
    """
    turns = rng.uniform(0, 2 * np.pi) + np.linspace(0, rng.uniform(2, 10), rounds + 1)
    slow = 1 + drift * (1 + np.sin(turns)) / 2
    spiked = np.ones(rounds + 1)
    for position in np.flatnonzero(rng.random(rounds + 1) < spikes):
        spiked[position : position + rng.integers(1, 6)] = 1 + rng.uniform(0.05, 0.5)
    hidden = np.where(rng.random(rounds) < spikes / 3, 1 + rng.uniform(0.02, 0.4, rounds), 1)

    def noise(count):
        return 1 + np.abs(rng.normal(0, NOISE, (count, 5)))

    canary = 2e5 * noise(rounds + 1).min(axis=1) * slow * spiked
    factor = (slow[1:] + slow[:-1]) / 2 * np.maximum(spiked[1:], spiked[:-1]) * hidden
    samples = TRUE_NS * noise(rounds) * factor[:, None]
    bursts = [
        Burst("a", tuple(int(x) for x in samples[i]), int(canary[i]), int(canary[i + 1]))
        for i in range(rounds)
    ]
    return bursts, slow * spiked


def estimate(bursts):
    """The quiet time of bursts, and how many were accepted; as a batch makes them."""
    best = min(min(b.canary_before_ns, b.canary_after_ns) for b in bursts)
    kept = accepted(bursts, best, 0.03)
    if not kept:
        return None, 0
    return quiet_time([min(b.samples_ns) for b in kept], slowness(kept, best)), len(kept)


@pytest.mark.parametrize("drift", [0, 0.01, 0.03])
@pytest.mark.parametrize("spikes", [0, 0.1])
def test_intervals_cover_the_quiet_time_under_drift_and_spikes(drift, spikes):
    # 600 traces in each case; with the nominal 95 % the share covered is below 93 % in 1 %
    # of cases, with the 98 % and more that the method has in fewer than 1e-10.
    rng = np.random.default_rng(7)
    outcomes, widths = [], []
    for number in range(600):
        bursts, slow = trace(rng, (8, 12, 20, 40)[number % 4], drift=drift, spikes=spikes)
        # The quiet time, at the greatest speed that the canary saw.
        truth = TRUE_NS * QUIET * slow.min()
        found, count = estimate(bursts)
        if count < 3:  # never called stable by a profile
            continue
        point, low, high = found
        assert low <= point <= high
        outcomes.append(low <= truth <= high)
        widths.append((high - low) / truth)
    assert len(outcomes) > 500
    assert np.mean(outcomes) >= 0.93
    # Covering is not had by intervals that say nothing.
    assert np.median(widths) < 0.005 + 0.3 * drift


@pytest.mark.parametrize("least", [8, 12])
def test_intervals_cover_the_quiet_time_where_agreement_ends_the_session(least):
    rng = np.random.default_rng(8)
    outcomes = []
    for number in range(400):
        bursts, slow = trace(rng, 40, drift=(0, 0.03)[number % 2], spikes=0.1)
        for rounds in range(1, 41):
            best = min(min(b.canary_before_ns, b.canary_after_ns) for b in bursts[:rounds])
            kept = accepted(bursts[:rounds], best, 0.03)
            if precise([min(b.samples_ns) for b in kept], 0.005, least):
                break
        _, low, high = quiet_time([min(b.samples_ns) for b in kept], slowness(kept, best))
        outcomes.append(low <= TRUE_NS * QUIET * slow[: rounds + 1].min() <= high)
    assert np.mean(outcomes) >= 0.93


@pytest.mark.parametrize("draw", ["exponential", "uniform", "lognormal"])
@pytest.mark.parametrize("count", [2, 4, 8, 20, 35, 36, 40, 200])
def test_without_drift_the_interval_covers_for_any_number_and_shape(draw, count):
    # 1000 traces: at 95 % fewer than 930 are covered with a probability of 0.3 %.
    rng = np.random.default_rng(0)
    truth = {
        "exponential": stats.expon.ppf(QUIET_QUANTILE),
        "uniform": QUIET_QUANTILE,
        "lognormal": stats.lognorm.ppf(QUIET_QUANTILE, 1),
    }[draw]
    values = 100 + getattr(rng, draw)(size=(1000, count))
    covered = [low <= 100 + truth <= high for _, low, high in map(quiet_time, values)]
    assert sum(covered) >= 930


def test_few_values_leave_the_lower_end_open():
    assert quiet_time([5.0]) == (5.0, 0.0, 5.0)
    assert quiet_time([5.0, 5.1]) == (5.0, pytest.approx(5 - 39 * 0.1), 5.1)
    assert quiet_time([1.0, 9.0])[1] == 0


def test_a_model_that_drifts_with_the_canary_may_be_as_fast_as_at_its_best():
    bursts = [Burst("a", (1020,), 102, 102), Burst("a", (1010,), 100, 102)] * 20
    assert slowness(bursts[:2], 100) == [1.02, 1.01]
    factors = slowness(bursts, 100)
    point, low, high = quiet_time([min(b.samples_ns) for b in bursts], factors)
    assert point == high == 1010
    assert low == pytest.approx(1000)


def test_precision_needs_three_that_agree():
    assert not precise([1.0, 1.0], 0.005, 2)
    assert not precise([1.0, 1.001, 1.1], 0.005, 3)
    assert precise([1.0, 1.001, 1.002, 9.0], 0.005, 3)
    assert not precise([1.0, 1.001, 1.002], 0.005, 8)
