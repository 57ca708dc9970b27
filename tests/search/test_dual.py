import pytest

from hwnas.search.dual import Dual


def test_it_rises_above_the_limit_falls_below_and_is_never_negative():
    dual = Dual()
    assert dual.step(0.5, 1.0, 1.0) == 0.0
    assert dual.level == 0.0
    rising = [dual.step(1.2, 1.0, 1.0) for _ in range(5)]
    assert rising == sorted(rising)
    assert rising[0] > 0
    high = dual.level
    for _ in range(100):
        assert dual.step(0.8, 1.0, 1.0) >= 0
    assert high > dual.level == 0.0


def test_it_is_counted_in_the_losses_units():
    small, large = Dual(), Dual()
    for ratio in (2.0, 1.1, 0.95, 1.3):
        one = small.step(ratio, 0.01, 2.0)
        assert large.step(ratio, 10.0, 2.0) == pytest.approx(1000 * one)


def test_a_latency_that_nothing_changes_has_no_price():
    assert Dual().step(2.0, 1.0, 0.0) == 0.0


@pytest.mark.parametrize("ratio", [0.0, -1.0])
def test_a_latency_of_nothing_is_slack(ratio):
    dual = Dual()
    dual.level = 1.0
    dual.step(ratio, 1.0, 1.0)
    assert 0 < dual.level < 1


def test_state_comes_back():
    dual, other = Dual(), Dual()
    dual.step(1.5, 1.0, 0.3)
    other.load_state_dict(dual.state_dict())
    assert dual.step(1.1, 0.4, 0.2) == other.step(1.1, 0.4, 0.2)
