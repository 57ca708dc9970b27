import json
import os

import pytest

from hwnas.errors import ProfileError
from hwnas.profiles import Device, DeviceProfile, Records
from hwnas.profiles.freshness import digest, sessions


@pytest.fixture
def profile(profiles, seen):
    made = DeviceProfile.create(Device("d"))
    made.append([seen("kernel:a", "s0")], sessions={"s0": {"threads": 1}})
    return made


def test_the_digest_is_that_of_the_records_before_and_after_a_change(profile, seen):
    first = digest(profile.folder)
    assert first == profile.read().digest()
    assert digest(profile.folder) == first
    profile.append([seen("kernel:b", "s1")], sessions={"s1": {"threads": 2}})
    assert digest(profile.folder) == profile.read().digest() != first


def test_a_file_that_did_not_change_is_not_read_again(profile, monkeypatch):
    first = digest(profile.folder)
    monkeypatch.setattr("hwnas.profiles.freshness.parse", None)
    assert digest(profile.folder) == first


@pytest.mark.parametrize("kept", ["", "[]", "{}", "[" * 100000, '{"file":1,"digest":2}', None])
def test_what_was_kept_is_only_believed_of_this_file(profile, kept):
    expected, path = profile.read().digest(), profile.folder / ".digest.json"
    path.write_text(json.dumps({"file": "0" * 64, "digest": "x"}) if kept is None else kept)
    assert digest(profile.folder) == expected
    assert json.loads(path.read_text())["digest"] == expected


def test_where_nothing_can_be_kept_the_digest_is_told_all_the_same(profile):
    os.mkdir(profile.folder / ".digest.json")
    assert digest(profile.folder) == profile.read().digest()


def test_without_measurements(profiles):
    made = DeviceProfile.create(Device("empty"))
    assert digest(made.folder) == Records().digest()
    assert sessions(made.folder) == {}


def test_sessions_are_read_alone_and_broken_lines_passed_by(profile):
    path = profile.folder / "measurements.jsonl"
    more = ['{ "session" : "s9", "conditions": {"threads": 4} }', '{"session":"s8","conditions":1}']
    path.write_text(path.read_text() + "\n".join(more) + '\n{"session":"s7","conditions":{"t')
    assert sessions(profile.folder) == {"s0": {"threads": 1}, "s9": {"threads": 4}}
    with pytest.raises(ProfileError, match="line 5"):
        digest(profile.folder)
    path.unlink()
    path.mkdir()
    with pytest.raises(ProfileError, match="cannot be read: Is a directory"):
        sessions(profile.folder)
