import json

import pytest

from hwnas.errors import RequestError, UnknownNameError
from hwnas.profiles import Device, DeviceProfile


def test_records_survive_and_compact_to_the_same(profiles, seen):
    profile = DeviceProfile.create(Device("d"))
    profile.append([seen("b", "s1"), seen("a", "s1", 2.0)], sessions={"s1": {"cpu": "x"}})
    profile.append(
        [seen("a", "s0", 2.2)], definitions={"a": {"edges": []}}, sessions={"s0": {"cpu": "x"}}
    )
    before = profile.read()
    profile.compact()
    lines = (profile.folder / "measurements.jsonl").read_text().splitlines()
    assert [json.loads(line).get("session") for line in lines[1:3]] == ["s0", "s1"]
    assert [json.loads(line)["key"] for line in lines[4:]] == ["a", "a", "b"]
    after = DeviceProfile.open("d").read()
    assert sorted(after.observations, key=repr) == sorted(before.observations, key=repr)
    assert after.definitions == before.definitions == {"a": {"edges": []}}
    assert after.sessions == before.sessions == {"s0": {"cpu": "x"}, "s1": {"cpu": "x"}}
    assert after.measurements()["a"].latency_ms == pytest.approx(2.1)


def test_names_are_checked(profiles):
    DeviceProfile.create(Device("cpu1"))
    with pytest.raises(RequestError, match="exists"):
        DeviceProfile.create(Device("cpu1"))
    with pytest.raises(UnknownNameError, match="did you mean cpu1"):
        DeviceProfile.open("cpu2")
    for wrong in ("", "../x", "a/b", ".hidden"):
        with pytest.raises(RequestError):
            Device(wrong)


def test_an_unstable_measurement_says_so(seen):
    from hwnas.profiles import combine

    agreeing = [seen("a", f"s{i}", 1 + 0.001 * i) for i in range(4)]
    assert combine(agreeing, 0.5).verdict == "stable"
    assert combine([seen("a", "s", accepted=0)], 0.5).verdict == "unstable"
    far = [seen("a", f"s{i}", 1 + 0.2 * i) for i in range(4)]
    assert combine(far, 0.5).verdict == "unstable"
    slow = [*agreeing, seen("a", "s9", 1.4, canary_ms=0.7)]
    assert combine(slow, 0.5).latency_ms < 1.01


def test_what_a_killed_visit_had_set_aside_is_kept_once(profiles, seen):
    profile = DeviceProfile.create(Device("d"))
    profile.append([seen("a", "s0")], sessions={"s0": {}})
    profile.stash([seen("a", "s1")], {}, {"s1": {"cpu": "x"}})
    profile.stash([seen("a", "s1"), seen("b", "s1")], {"b": {"edges": []}}, {"s1": {"cpu": "x"}})
    # Nothing of it counts before it is recovered.
    assert len(profile.read().observations) == 1
    assert profile.recover() == 2
    records = profile.read()
    assert [(item.key, item.session) for item in records.observations] == [
        ("a", "s0"),
        ("a", "s1"),
        ("b", "s1"),
    ]
    assert records.definitions == {"b": {"edges": []}}
    assert profile.recover() == 0


def test_a_visit_that_was_kept_is_not_recovered_again(profiles, seen):
    profile = DeviceProfile.create(Device("d"))
    profile.stash([seen("a", "s0")], {}, {"s0": {}})
    # Killed between keeping the visit and forgetting what was set aside.
    profile.append([seen("a", "s0", 1.5), seen("b", "s0")], sessions={"s0": {}})
    assert profile.recover() == 0
    assert profile.read().measurements()["a"].latency_ms == 1.5
    profile.stash([seen("a", "s1")], {}, {"s1": {}})
    profile.drop_stash()
    assert profile.recover() == 0


def test_a_torn_stash_is_left_alone(profiles, seen):
    profile = DeviceProfile.create(Device("d"))
    (profile.folder / ".visit.jsonl").write_text("garbage")
    assert profile.recover() == 0
    profile.stash([seen("a", "s1")], {}, {"s1": {}})
    assert profile.recover() == 1


def test_the_processor_that_was_measured_decides_the_fusion_rules(profiles, seen):
    profile = DeviceProfile.create(Device("box"))
    assert profile.fusion() == "onnxruntime" == profile.read().fusion("onnxruntime")
    narrow = {"features": ["avx", "avx2", "fma"]}
    profile.append([seen("a", "s0000")], sessions={"s0000": narrow})
    profile.append([seen("a", "s0001")], sessions={"s0001": {}})
    assert profile.fusion() == "onnxruntime-avx" == profile.read().fusion("onnxruntime")
    assert profile.read().fusion("torch") == "torch"
