import fcntl
import subprocess
import sys

import pytest

from hwnas.errors import ProfileError, RequestError, StorageError, UnknownNameError
from hwnas.profiles import Device, DeviceProfile, Observation
from hwnas.profiles.files import append_text, write_text


def seen(key, session, quiet=1.0, **more):
    values = {
        "low_ms": quiet,
        "high_ms": quiet,
        "median_ms": quiet,
        "first_ms": 2.0,
        "build_ms": 3.0,
        "rounds": 10,
        "accepted": 9,
        "canary_ms": 0.5,
    }
    return Observation(key, session, quiet, **{**values, **more})


def test_records_survive_and_compact_to_the_same(profiles):
    profile = DeviceProfile.create(Device("d"))
    profile.append([seen("b", "s1"), seen("a", "s1", 2.0)], sessions={"s1": {"cpu": "x"}})
    profile.append([seen("a", "s0", 2.2)], definitions={"a": {"edges": []}})
    before = profile.read()
    profile.compact()
    after = DeviceProfile.open("d").read()
    assert sorted(after.observations, key=repr) == sorted(before.observations, key=repr)
    assert after.definitions == {"a": {"edges": []}} and after.sessions == {"s1": {"cpu": "x"}}
    assert after.measurements()["a"].latency_ms == pytest.approx(2.1)


def test_a_torn_line_is_dropped_and_what_follows_is_kept(profiles):
    profile = DeviceProfile.create(Device("d"))
    profile.append([seen("a", "s0")])
    path = profile.folder / "measurements.jsonl"
    with path.open("a") as stream:
        stream.write('{"key":"b","sess')
    assert [item.key for item in profile.read().observations] == ["a"]
    profile.append([seen("c", "s0")])
    assert [item.key for item in profile.read().observations] == ["a", "c"]


@pytest.mark.parametrize(
    ("text", "says"), [('{"schema": 99}\n', "schema 99"), ('{"key": 1}\n{"x":2}\n', "line 1")]
)
def test_broken_and_newer_files_are_named(profiles, text, says):
    profile = DeviceProfile.create(Device("d"))
    (profile.folder / "measurements.jsonl").write_text(text)
    with pytest.raises(ProfileError, match=says):
        profile.read()
    (profile.folder / "device.toml").write_text("schema = ")
    with pytest.raises(ProfileError, match="not TOML"):
        DeviceProfile.open("d")


def test_names_are_checked(profiles):
    DeviceProfile.create(Device("cpu1"))
    with pytest.raises(RequestError, match="exists"):
        DeviceProfile.create(Device("cpu1"))
    with pytest.raises(UnknownNameError, match="did you mean cpu1"):
        DeviceProfile.open("cpu2")
    for wrong in ("", "../x", "a/b", ".hidden"):
        with pytest.raises(RequestError):
            Device(wrong)


def test_an_unstable_measurement_says_so():
    from hwnas.profiles import combine

    agreeing = [seen("a", f"s{i}", 1 + 0.001 * i) for i in range(4)]
    assert combine(agreeing, 0.5).verdict == "stable"
    assert combine([seen("a", "s", accepted=0)], 0.5).verdict == "unstable"
    far = [seen("a", f"s{i}", 1 + 0.2 * i) for i in range(4)]
    assert combine(far, 0.5).verdict == "unstable"
    slow = [*agreeing, seen("a", "s9", 1.4, canary_ms=0.7)]
    assert combine(slow, 0.5).latency_ms < 1.01


HOLD = """
import sys, time
from pathlib import Path
from hwnas.profiles import Device, DeviceProfile
with DeviceProfile(Device("d"), Path(sys.argv[1])).exclusive():
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_device_is_held_by_one_and_freed_by_death(profiles):
    profile = DeviceProfile.create(Device("d"))
    command = [sys.executable, "-c", HOLD, str(profile.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with (profile.folder / ".lock").open("a+") as stream, pytest.raises(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder.kill()
        holder.wait()
    with profile.exclusive():
        pass


def test_a_full_disk_is_an_error_that_keeps_what_was_there(tmp_path):
    with pytest.raises(StorageError, match="disk is full"):
        append_text(tmp_path.__class__("/dev/full"), "line\n")
    path = tmp_path / "file"
    write_text(path, "old")
    blocked = tmp_path / "folder"
    blocked.write_text("a file where a folder is wanted")
    with pytest.raises(StorageError):
        write_text(blocked / "file", "new")
    assert path.read_text() == "old"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "folder"]
