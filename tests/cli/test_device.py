import json
import shutil

import pytest

from hwnas.predictors import LatencyPredictor
from hwnas.profiles import Device, DeviceProfile, Observation

HERE = {
    "runtime": "simulated",
    "version": "1",
    "threads": 1,
    "cpu": "AMD EPYC",
    "cores": 2,
    "at": "2026-11-23T06:25:35Z",
}


def times(quiet):
    return {
        "quiet_ms": quiet,
        "low_ms": quiet,
        "high_ms": quiet,
        "median_ms": quiet,
        "first_ms": 2.0,
        "build_ms": 3.0,
        "rounds": 10,
        "accepted": 9,
        "canary_ms": 0.5,
    }


@pytest.fixture
def small(profiles):
    """A device with a stable, an unstable and a failed part."""
    profile = DeviceProfile.create(Device("small", runtime="simulated"))
    profile.append(
        [
            Observation("kernel:a", "s0", **times(1.0)),
            Observation("kernel:b", "s0", **{**times(1.0), "accepted": 0}),
            Observation("kernel:c", "s0", failure="refused"),
            Observation("kernel:a", "s1", **times(1.01)),
        ],
        sessions={"s0": HERE, "s1": {**HERE, "at": "2026-11-24T07:00:00Z"}},
    )
    return profile


def shown(hwnas, name):
    (device,) = hwnas("device", "show", name, "--json").json["devices"]
    return device["profile"]


def test_show_counts_parts_and_says_the_conditions(hwnas, small):
    held = shown(hwnas, "small")
    assert held["parts"] == {"stable": 1, "unstable": 1, "failed": 1}
    assert held["measurements"] == 2 and held["observations"] == 4 and held["sessions"] == 2
    assert held["first_at"] == HERE["at"] and held["last_at"] == "2026-11-24T07:00:00Z"
    assert held["conditions"]["cpu"] == ["AMD EPYC"] and held["conditions"]["governor"] == []
    assert held["fitted"] is False and held["fit_needed"] is True and held["mixed"] == []
    text = hwnas("device", "show", "small").out
    assert "AMD EPYC, cores: 2" in text and "simulated 1, threads: 1" in text
    assert "2, 2026-11-23 06:25:35Z to 2026-11-24 07:00:00Z" in text
    assert "1 stable, 1 unstable, 1 failed" in text
    assert "not fitted: run 'hwnas fit small'" in text


def test_show_says_where_sessions_differ(hwnas, small):
    small.append(sessions={"s2": {**HERE, "cpu": "Intel"}, "s3": {"at": None}})
    text = hwnas("device", "show", "small").out
    assert "AMD EPYC and Intel, cores: 2" in text
    assert "sessions differ in CPU: AMD EPYC (2 of 4 sessions) and Intel (1 of 4" in text


def test_the_age_is_that_of_the_last_session_and_not_of_the_file(hwnas, small):
    before = shown(hwnas, "small")["age_days"]
    (small.folder / "measurements.jsonl").touch()
    assert shown(hwnas, "small")["age_days"] == pytest.approx(before, abs=0.02)
    small.append(sessions={"s9": {"at": "yesterday"}})
    assert 0 <= shown(hwnas, "small")["age_days"] < 1


def test_a_predictor_is_out_of_date_once_measurements_change(hwnas, sim):
    profile = DeviceProfile.open("sim")
    assert hwnas("fit", "sim", "--json").code == 0
    assert LatencyPredictor.load(profile.predictor_path).fitted_on_ == profile.read().digest()
    assert shown(hwnas, "sim")["fit_needed"] is False
    assert "run 'hwnas fit" not in hwnas("device", "show", "sim").out
    profile.compact()
    assert shown(hwnas, "sim")["fit_needed"] is False
    session = profile.read().observations[0].session
    profile.append([Observation("kernel:new", session, **times(1.0))])
    assert shown(hwnas, "sim")["fit_needed"] is True
    text = hwnas("device", "show", "sim").out
    assert "fitted on other measurements than these: run 'hwnas fit sim'" in text
    assert "out of date" in hwnas("device", "list").out


def test_a_predictor_that_does_not_say_what_it_was_fitted_on_still_loads(hwnas, sim):
    hwnas("fit", "sim")
    path = sim / "predictor.json"
    value = json.loads(path.read_text())
    del value["fitted_on"]
    path.write_text(json.dumps(value))
    assert LatencyPredictor.load(path).fitted_on_ is None
    for text in (path.read_text(), "[]", "{"):
        path.write_text(text)
        held = shown(hwnas, "sim")
        assert held["fitted"] is True and held["fit_needed"] is True


def test_a_broken_device_does_not_hide_the_others(hwnas, small, profiles):
    broken = DeviceProfile.create(Device("broken"))
    (broken.folder / "device.toml").write_text('schema = 1\nname = "broken"\nthreads = "two"\n')
    listed = hwnas("device", "list", "--json")
    assert listed.code == 0
    first, second = listed.json["devices"]
    assert first["name"] == "broken" and first["available"] is False
    assert "threads must be a whole number" in first["why"] and first["profile"] is None
    assert second["name"] == "small" and second["profile"]["measurements"] == 2
    assert "small" in hwnas("device", "list").out
    shown_alone = hwnas("device", "show", "broken")
    assert shown_alone.code == 2 and "received 'two'" in shown_alone.err


def test_merge_takes_a_name_or_a_folder_and_says_what_was_added(hwnas, small, tmp_path):
    other = DeviceProfile.create(Device("other", runtime="simulated"))
    later = {**HERE, "at": "2026-11-24T08:00:00Z"}
    other.append([Observation("kernel:d", "s0", **times(3.0))], sessions={"s0": later})
    copied = tmp_path / "copied"
    shutil.copytree(other.folder, copied)
    done = hwnas("device", "merge", "small", "other", "--json")
    assert done.code == 0
    assert done.json["added"] == {"observations": 1, "sessions": 1, "definitions": 0}
    assert done.json["warnings"] == []
    assert done.json["devices"][0]["profile"]["observations"] == 5
    again = hwnas("device", "merge", "small", copied)
    assert again.code == 0 and "nothing was added" in again.err
    back = hwnas("device", "merge", "other", "small")
    assert "added 4 observations of 2 new sessions" in back.err and "hwnas fit other" in back.err


def test_merge_refuses_other_devices_and_conditions(hwnas, small, tmp_path):
    DeviceProfile.create(Device("two", runtime="simulated", threads=2))
    other = DeviceProfile.create(Device("other", runtime="simulated"))
    newer = {**HERE, "version": "2"}
    other.append([Observation("kernel:d", "s0", **times(3.0))], sessions={"s0": newer})
    for words, says in (
        (("two", "--force"), "threads 1 and 2"),
        (("other",), "runtime version: 1 in 'small', 2 in"),
        (("othr",), "did you mean other"),
        ((tmp_path,), "device.toml' cannot be read"),
    ):
        refused = hwnas("device", "merge", "small", *words)
        assert refused.code == 2 and says in refused.err
    forced = hwnas("device", "merge", "small", "other", "--force")
    assert forced.code == 0 and "warning: runtime version" in forced.err
    assert len(small.read().observations) == 5
