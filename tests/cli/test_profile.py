import json
import subprocess
import sys

import pytest

from hwnas.cli.common import note


@pytest.fixture
def alter(sim):
    """Changes a condition of every session of the device, or of the first ones."""

    def change(name, value, first=None):
        path = sim / "measurements.jsonl"
        lines, seen = path.read_text().splitlines(), 0
        for index, line in enumerate(lines):
            if '"conditions"' in line and (first is None or seen < first):
                record = json.loads(line)
                record["conditions"][name] = value
                lines[index] = json.dumps(record)
                seen += 1
        path.write_text("\n".join(lines) + "\n")
        return path

    return change


WORDS = ("profile", "sim", "--space", "resnet-32", "--budget", "20s", "--resume")


def test_a_profile_of_another_version_is_gone_on_with_only_by_force(hwnas, alter):
    path = alter("version", "0.9")
    before = path.read_bytes()
    refused = hwnas(*WORDS, "--json")
    assert refused.code == 2 and refused.out == ""
    assert "runtime version: 0.9 when measured, 2 now" in refused.err
    assert "device new" in refused.err and "--force" in refused.err
    assert path.read_bytes() == before
    forced = hwnas(*WORDS, "--force", "--json")
    assert forced.code == 0 and forced.json["measured"]["networks"] == 60
    assert "warning: device 'sim': runtime version: 0.9 when measured, 2 now" in forced.err


def test_another_machine_is_a_warning(hwnas, alter):
    alter("cpu", "another", first=1)
    done = hwnas(*WORDS, "--json")
    assert done.code == 0
    assert "warning: device 'sim': CPU: " in done.err and "another (1 of " in done.err
    assert done.json["device"] == "sim"


HOLD = """
import fcntl, json, os, sys, time
stream = open(sys.argv[1], "w")
fcntl.flock(stream, fcntl.LOCK_EX)
json.dump({"pid": os.getpid(), "command": "hwnas profile sim", "since": time.time()}, stream)
stream.flush()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_profile_says_for_whom_it_waits(hwnas, sim, monkeypatch):
    command = [sys.executable, "-c", HOLD, str(sim / ".lock")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"

        def let_go(text):
            note(text)
            if "waiting" in text:
                holder.stdin.close()

        monkeypatch.setattr("hwnas.cli.profile.note", let_go)
        done = hwnas(*WORDS)
    assert done.code == 0
    held = f"device 'sim' is being measured by process {holder.pid} (hwnas profile sim) since "
    assert done.err.count(held) == 1


def test_a_new_device_opens_no_worker_to_ask(profiles):
    from hwnas.cli.profile import check_here
    from hwnas.profiles import Device, DeviceProfile

    # A target that cannot be opened: it must not be.
    check_here(DeviceProfile.create(Device("new")), None)


class Measured:
    """A session that has measured nothing."""

    def __init__(self, *_, **__):
        pass

    def run(self):
        return 1.0


def test_what_is_measured_but_cannot_be_fitted_is_failed_work(hwnas, profiles, monkeypatch):
    monkeypatch.setattr("hwnas.profiling.ProfilingSession", Measured)
    assert hwnas("device", "new", "d", "--runtime", "simulated").code == 0
    done = hwnas("profile", "d", "--space", "resnet-32", "--json")
    assert done.code == 1 and done.out == ""
    assert "what was measured is kept, but was not fitted: 0 networks" in done.err
