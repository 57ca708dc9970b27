import dataclasses
import errno
import os

import pytest

from hwnas.errors import ProfileError, RequestError, StorageError
from hwnas.profiles import Device, DeviceProfile, Observation

HERE = {"runtime": "onnxruntime", "version": "1.32.0", "threads": 1, "cpu": "AMD EPYC"}


def at(second, **changes):
    return {**HERE, "at": f"2026-11-24T06:25:{second:02d}Z", **changes}


@pytest.fixture
def pair(profiles, seen):
    """Two profiles of one device: both have sessions named s0 and s1, none in common."""
    own, other = (DeviceProfile.create(Device(name)) for name in ("own", "other"))
    for profile, second in ((own, 0), (other, 10)):
        profile.append(
            [seen("kernel:a", "s0", 1 + second / 100), seen("kernel:b", "s1", 2 + second / 100)],
            sessions={"s0": at(second), "s1": at(second + 1)},
            definitions={"kernel:a": {"x": 1}},
        )
    other.append([seen("kernel:c", "s1", 3.0)], definitions={"kernel:c": {"y": 2}})
    return own, other


def counts(merged):
    return merged.observations, merged.sessions, merged.definitions


def test_what_is_new_is_added_and_no_session_collides(pair):
    own, other = pair
    before, added, theirs = own.read(), own.merge(other), other.read()
    after = own.read()
    assert counts(added) == (3, 2, 1) and added.warnings == ()
    assert len(after.observations) == 5 and len(after.sessions) == 4
    assert [item for item in after.observations if item.session in before.sessions] == (
        before.observations
    )
    for name, held in theirs.sessions.items():
        (renamed,) = (new for new, value in after.sessions.items() if value == held)
        assert renamed.startswith(f"{name}.")
        assert {
            dataclasses.replace(item, session=name)
            for item in after.observations
            if item.session == renamed
        } == {item for item in theirs.observations if item.session == name}
    assert after.measurements()["kernel:a"].latency_ms == pytest.approx(1.05)
    # A profiling session names its next process by the number of sessions.
    assert f"s{len(after.sessions):04d}" not in after.sessions


def test_merging_again_in_either_direction_or_by_a_detour_adds_nothing(pair, profiles):
    own, other = pair
    third = DeviceProfile.create(Device("third"))
    own.merge(other)
    text = (own.folder / "measurements.jsonl").read_bytes()
    assert not own.merge(other).anything
    assert not own.merge(own).anything
    third.merge(own)
    other.merge(third)
    for one in (own, other, third):
        for two in (own, other, third):
            assert not one.merge(two).anything
    assert (own.folder / "measurements.jsonl").read_bytes() == text
    assert len(other.read().observations) == 5


def test_only_what_the_other_measured_since_is_added(pair, seen):
    own, other = pair
    own.merge(other)
    other.append([seen("kernel:d", "s2")], sessions={"s2": at(40)})
    assert counts(own.merge(other)) == (1, 1, 0)


def test_lines_removed_from_a_merged_session_come_back_to_it(pair):
    own, other = pair
    own.merge(other)
    path = own.folder / "measurements.jsonl"
    whole = path.read_bytes()
    path.write_text("".join(x for x in path.read_text().splitlines(True) if ':c","se' not in x))
    assert counts(own.merge(other)) == (1, 0, 0)
    assert path.read_bytes() == whole


def test_a_session_that_is_in_both_with_other_values_is_an_error(pair):
    own, other = pair
    own.merge(other)
    path = other.folder / "measurements.jsonl"
    path.write_text(path.read_text().replace('"quiet_ms":3.0', '"quiet_ms":3.5'))
    with pytest.raises(ProfileError, match="'s1' of '.*other' are one, .*'kernel:c'"):
        own.merge(other)


def test_a_failure_alone_does_not_make_two_processes_one(profiles):
    own, other = (DeviceProfile.create(Device(name)) for name in ("own", "other"))
    for profile, key in ((own, "b"), (other, "c")):
        failed = [Observation(k, "s0", failure="refused") for k in ("a", key)]
        profile.append(failed, sessions={"s0": at(0)})
    assert counts(own.merge(other)) == (2, 1, 0)
    assert not own.merge(other).anything


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"runtime": "simulated"}, "runtime onnxruntime and simulated"),
        ({"transport": "ssh"}, "transport local and ssh"),
        ({"threads": 2}, "threads 1 and 2"),
        ({"options": {"provider": "cpu"}}, "options"),
    ],
)
def test_other_devices_are_refused_even_by_force(pair, changes, says):
    own, other = pair
    stranger = DeviceProfile(Device("stranger", **changes), other.folder)
    with pytest.raises(RequestError, match=f"'own' and 'stranger' are not .*{says}"):
        own.merge(stranger, force=True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": "1.33.0"}, "runtime version: 1.32.0 in 'own', 1.33.0 in"),
        ({"cpu": "Intel"}, "CPU: AMD EPYC in 'own', Intel in"),
    ],
)
def test_other_conditions_are_refused_unless_forced(pair, profiles, seen, changes, says):
    own, _ = pair
    before = own.read()
    third = DeviceProfile.create(Device("third"))
    third.append([seen("kernel:z", "s0")], sessions={"s0": at(50, **changes)})
    with pytest.raises(RequestError, match=f"{says} '.*third'.*--force"):
        own.merge(third)
    assert own.read() == before
    forced = own.merge(third, force=True)
    assert counts(forced) == (1, 1, 0) and says in forced.warnings[0]
    # What is in both needs no force.
    assert not own.merge(third).anything


def test_smaller_differences_are_warnings(pair, profiles, seen):
    own, _ = pair
    own.append(sessions={"s2": at(30, system="Linux 6")})
    third = DeviceProfile.create(Device("third"))
    third.append(
        [seen("kernel:z", "s0", canary_ms=0.6)],
        sessions={"s0": at(50, system="Linux 7")},
        definitions={"kernel:a": {"x": 9}},
    )
    merged = own.merge(third)
    system, definitions, canary = merged.warnings
    assert "Linux 6" in system and "Linux 7" in system
    assert "1 definitions are not the same" in definitions
    assert own.read().definitions["kernel:a"] == {"x": 1}
    assert "0.5000 ms in 'own' and 0.6000 ms" in canary


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_merge_that_fails_leaves_the_profile_as_it_was(pair, monkeypatch, call):
    own, other = pair
    before = sorted((p.name, p.read_bytes()) for p in own.folder.glob("[!.]*"))

    def no_room(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, no_room)
        with pytest.raises(StorageError, match="disk is full"):
            own.merge(other)
    assert sorted((p.name, p.read_bytes()) for p in own.folder.glob("[!.]*")) == before
    assert counts(own.merge(other)) == (3, 2, 1)


def test_a_folder_that_is_no_profile_is_said(tmp_path):
    with pytest.raises(ProfileError, match=r"device.toml' cannot be read"):
        DeviceProfile.at(tmp_path)
