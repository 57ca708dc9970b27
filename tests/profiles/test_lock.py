import contextlib
import errno
import fcntl
import json
import os
import subprocess
import sys
import threading

import pytest

from hwnas.errors import StorageError
from hwnas.profiles import Device, DeviceProfile, lock

HOLD = """
import sys
from pathlib import Path
from hwnas.profiles import Device, DeviceProfile
with DeviceProfile(Device("d"), Path(sys.argv[-1])).exclusive():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def profile(profiles):
    return DeviceProfile.create(Device("d"))


@contextlib.contextmanager
def holder(profile):
    """Another process that holds the device until its input ends."""
    command = [sys.executable, "-c", HOLD, "profile", "d", str(profile.folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_the_device_is_held_by_one_and_freed_by_death(profile):
    with holder(profile) as process:
        with (profile.folder / ".lock").open("a+") as stream, pytest.raises(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process.kill()
        process.wait()
        with profile.exclusive():
            pass


def test_a_waiter_says_once_for_whom_it_waits_and_goes_on(profile):
    heard = []
    with holder(profile) as process:

        def on_wait(text):
            heard.append(text)
            process.stdin.close()

        with profile.exclusive(on_wait):
            process.wait()
    (text,) = heard
    assert text.startswith(f"device 'd' is being measured by process {process.pid} (-c profile d ")
    assert ") since " in text and text.endswith("; waiting")
    assert (profile.folder / ".lock").read_text() == ""


def test_a_long_wait_is_said_again(profile, monkeypatch):
    monkeypatch.setattr(lock, "NOTE_EVERY_S", 0.0)
    monkeypatch.setattr(lock, "POLL_S", 0.001)
    heard = []
    with holder(profile) as process:

        def on_wait(text):
            heard.append(text)
            if len(heard) == 3:
                process.stdin.close()

        profile.on_wait = on_wait
        with profile.exclusive():
            assert len(heard) >= 3


def test_the_lock_holds_whatever_its_text(profile):
    with holder(profile) as process:
        (profile.folder / ".lock").write_bytes(b"\xff\xfe nonsense")
        heard = []

        def on_wait(said):
            heard.append(said)
            process.stdin.close()

        with profile.exclusive(on_wait):
            process.wait()
        assert heard == ["device 'd' is being measured by another process; waiting"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[1, 2]",
        b'{"pid": "x", "command": 1}',
        b'{"pid": 99999999999999999999, "command": "x", "since": 0}',
        b'{"pid": 1, "command": "x", "since": 1e300}',
    ],
)
def test_a_text_of_nonsense_names_nobody(profile, text):
    path = profile.folder / ".lock"
    path.write_bytes(text)
    with path.open("rb") as stream:
        assert lock._holder(stream.fileno()) == "another process"


def test_the_text_of_the_dead_names_nobody(profile):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    path = profile.folder / ".lock"
    path.write_text(json.dumps({"pid": gone.pid, "command": "hwnas", "since": 0}))
    heard = []
    with path.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        release = threading.Event()

        def on_wait(text):
            heard.append(text)
            release.set()

        def free():
            release.wait()
            fcntl.flock(stream, fcntl.LOCK_UN)

        thread = threading.Thread(target=free)
        thread.start()
        with profile.exclusive(on_wait):
            thread.join()
    assert heard == ["device 'd' is being measured by another process; waiting"]


def test_a_long_command_is_cut_and_cannot_draw_on_the_terminal(profile, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/hwnas", "profile", "\x1b[2J", "x" * 500])
    with profile.exclusive():
        handle = os.open(profile.folder / ".lock", os.O_RDONLY)
        said = lock._holder(handle)
        os.close(handle)
    assert said.startswith(f"process {os.getpid()} (hwnas profile ?[2J xxx")
    assert "…) since " in said and len(said) < 140


def test_a_full_disk_does_not_keep_a_device_from_being_held(profile, monkeypatch):
    def no_room(handle, payload, offset):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", no_room)
    with profile.exclusive(), lock.try_hold(profile.folder / ".lock") as held:
        assert not held


def test_what_cannot_be_locked_is_said(profile, monkeypatch):
    def unsupported(handle, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", unsupported)
        with pytest.raises(StorageError, match=r"\.lock' cannot be locked: .*local disk"):
            profile.compact()
    (profile.folder / ".lock").unlink(missing_ok=True)
    (profile.folder / ".lock").mkdir()
    with pytest.raises(StorageError, match="directory stands"), profile.exclusive():
        pass


def test_what_another_process_measures_is_not_compacted_away(profile, seen):
    profile.append([seen("b", "s0"), seen("a", "s0")], sessions={"s0": {}})
    before = (profile.folder / "measurements.jsonl").read_bytes()
    with holder(profile):
        assert not profile.compact()
        assert (profile.folder / "measurements.jsonl").read_bytes() == before
    assert profile.compact()
    assert (profile.folder / "measurements.jsonl").read_bytes() != before
