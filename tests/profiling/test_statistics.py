import numpy as np

from hwnas.profiling.statistics import accepted, precise, quiet_time
from hwnas.targets import Burst


def test_only_bursts_between_quiet_canaries_count():
    bursts = [Burst("a", (1,), 100, 101), Burst("a", (2,), 100, 120), Burst("a", (3,), 120, 100)]
    assert accepted(bursts, 100, 0.03) == bursts[:1]


def test_the_interval_of_the_quiet_time_covers_the_quantile():
    # 95 % nominal, 400 traces: fewer than 360 covered has a probability below 1e-4.
    rng = np.random.default_rng(0)
    truth = -np.log(0.9)
    covered = 0
    for _ in range(400):
        point, low, high = quiet_time(rng.exponential(size=40))
        assert low <= point <= high
        covered += low <= truth <= high
    assert covered >= 360


def test_precision_needs_three_that_agree():
    assert not precise([1.0, 1.0], 0.005, 2)
    assert not precise([1.0, 1.001, 1.1], 0.005, 3)
    assert precise([1.0, 1.001, 1.002, 9.0], 0.005, 3)
    assert not precise([1.0, 1.001, 1.002], 0.005, 8)
