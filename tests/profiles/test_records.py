import pytest

from hwnas.profiles import Observation, Records


def seen(session, canary_ms, key="kernel:k"):
    return Observation(
        key, session, 1.0, 0.9, 1.1, 1.0, 2.0, 3.0, rounds=8, accepted=8, canary_ms=canary_ms
    )


def test_one_lucky_process_does_not_make_the_others_disturbed():
    usual = [seen(f"s{i:04d}", 1.0) for i in range(20)]
    records = Records([*usual, seen("s0020", 0.9)])
    assert records.quiet_canary_ms() == 1.0
    (found,) = records.measurements().values()
    assert found.verdict == "stable" and found.sessions == 21


def test_of_few_processes_the_quietest_counts():
    records = Records([seen("s0000", 1.2), seen("s0001", 1.0)])
    assert records.quiet_canary_ms() == 1.0
    (found,) = records.measurements().values()
    assert found.sessions == 1
    assert Records().quiet_canary_ms() == 0.0
    failed = Observation("kernel:k", "s0000", failure="it crashed")
    assert Records([failed]).quiet_canary_ms() == 0.0
    assert Records([failed, seen("s0001", 2.0)]).quiet_canary_ms() == pytest.approx(2.0)
