import pytest

from hwnas.errors import RequestError
from hwnas.profiles import Device, DeviceProfile
from hwnas.profiles.conditions import (
    between,
    check,
    check_device,
    differences,
    distinct,
    mixed,
    of_worker,
)

HERE = {
    "runtime": "onnxruntime",
    "version": "1.32.0",
    "threads": 1,
    "batch": 1,
    "cpu": "AMD EPYC",
    "machine": "x86_64",
    "features": ["avx", "avx2"],
    "cores": 2,
    "memory_mib": 24105,
    "governor": "performance",
    "frequency_khz": "2000000",
    "temperature_mc": "40000",
    "affinity": [0, 1],
    "load": 0.2,
    "system": "Linux 6.18",
    "python": "3.11.7",
    "at": "2026-11-24T06:25:35Z",
}


def test_the_same_conditions_do_not_differ():
    found = differences(HERE, dict(HERE))
    assert found.refuse == [] and found.warn == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("runtime", "openvino", "runtime: onnxruntime when measured, openvino now"),
        ("version", "1.33.0", "runtime version: 1.32.0 when measured, 1.33.0 now"),
        ("threads", 4, "threads: 1 when measured, 4 now"),
        ("batch", 8, "batch size: 1 when measured, 8 now"),
    ],
)
def test_what_makes_other_latencies_is_refused(name, value, says):
    found = differences(HERE, {**HERE, name: value})
    assert found.refuse == [says] and found.warn == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("cpu", "Intel", "CPU: AMD EPYC when measured, Intel now"),
        ("machine", "aarch64", "machine: x86_64 when measured, aarch64 now"),
        ("features", [], "CPU features: avx,avx2 when measured, none now"),
        ("cores", 8, "CPU cores: 2 when measured, 8 now"),
        ("governor", "powersave", "frequency governor: performance when measured, powersave now"),
        ("system", "Linux 7.0", "system: Linux 6.18 when measured, Linux 7.0 now"),
        ("affinity", [0, 1, 2, 8], "CPU affinity: 0-1 when measured, 0-2,8 now"),
    ],
)
def test_what_may_make_other_latencies_is_a_warning_with_both_values(name, value, says):
    found = differences(HERE, {**HERE, name: value})
    assert found.warn == [says] and found.refuse == []


@pytest.mark.parametrize("name", ["load", "temperature_mc", "frequency_khz", "at", "python"])
def test_what_changes_by_the_minute_is_not_compared(name):
    found = differences(HERE, {**HERE, name: "other"})
    assert not found.refuse and not found.warn


@pytest.mark.parametrize("name", HERE)
def test_the_unknown_is_no_difference(name):
    without = {key: value for key, value in HERE.items() if key != name}
    for one, other in (
        (HERE, {**HERE, name: None}),
        ({**HERE, name: None}, HERE),
        (HERE, without),
        (without, HERE),
    ):
        found = differences(one, other)
        assert not found.refuse and not found.warn


def test_sessions_that_differ_among_each_other_are_counted():
    sessions = {"s0": HERE, "s1": {**HERE, "cpu": "Intel"}, "s2": HERE}
    both = "CPU: AMD EPYC (2 of 3 sessions) and Intel (1 of 3 sessions)"
    assert mixed(sessions) == [both]
    assert between(sessions, {"now": HERE}).warn == [f"{both} when measured, AMD EPYC now"]
    assert check("d", sessions, {**HERE, "cpu": None}) == [
        f"sessions differ among each other in {both}"
    ]
    assert distinct(sessions, "cpu") == ["AMD EPYC", "Intel"]
    assert distinct(sessions, "features") == [["avx", "avx2"]]


def test_one_session_of_another_version_is_enough_to_refuse():
    sessions = {"s0": HERE, "s1": {**HERE, "version": "1.31.0"}}
    with pytest.raises(RequestError, match=r"1.31.0 \(1 of 2 sessions\)"):
        check("d", sessions, HERE)


def test_values_of_any_type_are_compared(profiles):
    found = differences({"cpu": {"a": [1]}, "affinity": "all", "cores": "2"}, HERE)
    assert len(found.warn) == 3


def test_a_profile_refuses_says_what_to_do_and_can_be_forced(profiles, seen):
    profile = DeviceProfile.create(Device("cpu"))
    other = {**HERE, "version": "1.33.0", "cores": 4}
    assert profile.check_conditions(other) == []
    profile.append([seen("a", "s0")], sessions={"s0": HERE})
    assert profile.check_conditions(HERE) == []
    with pytest.raises(RequestError, match="version: 1.32.0 .* 1.33.0 now.*new.*--force") as caught:
        profile.check_conditions(other)
    assert caught.value.exit_code == 2 and "'cpu'" in str(caught.value)
    assert profile.check_conditions(other, force=True) == [
        "runtime version: 1.32.0 when measured, 1.33.0 now",
        "CPU cores: 2 when measured, 4 now",
    ]


def test_what_a_worker_says_becomes_conditions():
    hello = {"runtime": "r", "version": "1", "pid": 3, "conditions": {"cpu": "c"}}
    assert of_worker(hello, 2) == {
        "runtime": "r",
        "version": "1",
        "threads": 2,
        "batch": 1,
        "cpu": "c",
    }


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"threads": 8}, "threads: 1 when measured, 8 in the file"),
        ({"runtime": "torch"}, "runtime: onnxruntime when measured, torch in the file"),
        ({"precision": "fp16"}, "precision: fp32 when measured, fp16 in the file"),
        ({"options": {"provider": "cuda"}}, "provider: cpu when measured, cuda in the file"),
    ],
)
def test_a_device_that_was_changed_after_it_was_measured_is_refused(changed, says):
    sessions = {"s0": {**HERE, "precision": "fp32", "provider": "cpu"}}
    check_device("d", sessions, Device("d").conditions)
    with pytest.raises(RequestError, match=f"'device.toml' of device 'd' was changed.*{says}"):
        check_device("d", sessions, Device("d", **changed).conditions)


def test_a_device_that_some_session_was_measured_with_is_not_refused():
    decided = Device("d", threads=8).conditions
    check_device("d", {}, decided)
    check_device("d", {"s0": {"cpu": "x"}}, decided)
    check_device("d", {"s0": HERE, "s1": {**HERE, "threads": 8}}, decided)
