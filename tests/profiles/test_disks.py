import errno
import os

import pytest

from hwnas.errors import StorageError
from hwnas.profiles import Device, DeviceProfile


def short_write(handle, payload, *, write=os.write):
    return write(handle, payload[: len(payload) // 2])


def no_room(handle, payload=b""):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_profile_survives_a_full_disk(profiles, monkeypatch, seen):
    profile = DeviceProfile.create(Device("d"))
    profile.append([seen("a", "s0")], sessions={"s0": {}})
    before = (profile.folder / "measurements.jsonl").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", short_write)
        with pytest.raises(StorageError, match="what was measured before is kept"):
            profile.append([seen("b", "s1")], sessions={"s1": {}})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        with pytest.raises(StorageError, match="what stood there is kept"):
            profile.compact()
    assert (profile.folder / "measurements.jsonl").read_bytes() == before


def test_a_read_only_disk_is_said(profiles, monkeypatch, seen):
    profile = DeviceProfile.create(Device("d"))

    def read_only(path, flags, mode=0o777, **more):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        with pytest.raises(StorageError, match=r"measurements.jsonl' .* the disk is read-only"):
            profile.append([seen("a", "s0")], sessions={"s0": {}})
        with pytest.raises(StorageError, match="read-only"):
            profile.compact()


def test_what_a_killed_visit_had_set_aside_survives_a_disk_that_is_full(
    profiles, monkeypatch, seen
):
    profile = DeviceProfile.create(Device("d"))
    profile.stash([seen("a", "s0")], {}, {"s0": {}})
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", short_write)
        with pytest.raises(StorageError, match="disk is full; what was measured before is kept"):
            profile.recover()
    assert profile.read().observations == []
    assert profile.recover() == 1
    assert [item.key for item in profile.read().observations] == ["a"]
