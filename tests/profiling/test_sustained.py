import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from hwnas.errors import RuntimeFailure
from hwnas.profiles import Device, DeviceProfile
from hwnas.profiling.sustained import drift_pct, sustained
from hwnas.targets import LocalTarget

# A device that gets one per cent slower with every simulated second.
ENGINE = """
NAME, VERSION = "warming", "1"
now = [0]
def clock_ns():
    return now[0]
class Session:
    build_ns = 1
    def __init__(self, source, threads, shapes):
        self.good = open(source, "rb").read() != b"nan"
    def time(self, runs):
        samples = []
        for _ in range(runs):
            samples.append(int(10e6 * (1 + now[0] / 1e11)))
            now[0] += samples[-1]
        return samples
    def finite(self):
        return self.good
"""


@dataclass(frozen=True)
class Warming:
    engine: Path
    name: str = "warming"

    def why_not(self):
        return None


@pytest.fixture
def target(tmp_path):
    engine = tmp_path / "engine.py"
    engine.write_text(ENGINE)
    return LocalTarget(Warming(engine))


@pytest.fixture
def profile(profiles):
    return DeviceProfile.create(Device("warm"))


def test_a_device_that_warms_up_shows_its_drift(profile, target):
    series = sustained(profile, target, b"x", seconds=20, window_ms=1000)
    assert [item.runs for item in series][0] == 100
    assert series[-1].at_s >= 20 > series[-2].at_s
    assert all(item.least_ms <= item.median_ms <= item.high_ms for item in series)
    # From the middle of the first two seconds to the middle of the last two: 18 seconds.
    assert drift_pct(series) == pytest.approx(18, abs=0.5)
    assert set(series[0].to_json()) == {"at_s", "median_ms", "least_ms", "high_ms", "runs"}


def test_ctrl_c_keeps_what_was_seen_and_frees_the_device(profile, target):
    def stop(item):
        if item.at_s > 3:
            raise KeyboardInterrupt

    series = sustained(profile, target, b"x", seconds=1000, on_window=stop)
    assert 3 < series[-1].at_s < 5
    begin = time.monotonic()
    with profile.exclusive():
        assert time.monotonic() - begin < 5


def test_outputs_that_are_not_finite_are_refused(profile, target):
    with pytest.raises(RuntimeFailure, match="not finite"):
        sustained(profile, target, b"nan", seconds=1)
