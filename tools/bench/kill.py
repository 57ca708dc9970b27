"""Kills the host of a profiling session at random moments, and compares what is resumed.

.venv/bin/python tools/bench/kill.py [--moments 50] [--seed 0] > docs/figures/kill.json

A session on the simulated device, of a space with few networks, is killed (SIGKILL)
again and again, at moments uniform over about three visits, and resumed, until it is
complete; then another begins, until there were enough kills. The simulated device has
no noise here, so that what is measured depends on nothing but the model: a resumed
profile and one made without interruption must hold the same keys and, but for what
the caches leave, the same values.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.profiles import Device, DeviceProfile
from hwnas.profiling import ProfilingSession
from hwnas.profiling.protocol import Protocol
from hwnas.runtimes import Runtime, runtime
from hwnas.spaces import space
from hwnas.targets import LocalTarget, Worker

NETWORKS = 3
# A budget that never ends a session: what is measured must not depend on the real time.
BUDGET_S = 1e6
WORKER_END_S = 20.0
ROUNDING_MS = 1e-5
"""To which a profile rounds; a third of a per cent of the shortest model."""


@dataclass(frozen=True)
class CountingTarget:
    """The simulated device; each worker that starts is told to a pipe."""

    pipe: int
    runtime: Runtime

    def open(self) -> Worker:
        """A fresh worker process."""
        os.write(self.pipe, b".")
        return LocalTarget(self.runtime).open()


def start(name: str) -> tuple[int, int]:
    """Begin or resume the session of a device in a child; its process, and the pipe's end."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    status = 1
    try:
        os.close(reading)
        ProfilingSession(
            DeviceProfile.open(name),
            CountingTarget(writing, runtime("simulated")),
            space("resnet-32"),
            budget_s=BUDGET_S,
            networks=NETWORKS,
            protocol=Protocol(least_rounds=3),
        ).run()
        status = 0
    finally:
        os._exit(status)


def workers_of(process: int) -> list[int]:
    """The children of a process."""
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def running(process: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def whole_lines(profile: DeviceProfile) -> list[str]:
    """The lines of the measurements that are ended."""
    path = profile.folder / "measurements.jsonl"
    return path.read_text().split("\n")[:-1] if path.exists() else []


def kill_once(profile: DeviceProfile, after_s: float) -> dict[str, Any] | None:
    """Resume a profile's session and kill it; ``None`` where it was complete before that."""
    before = whole_lines(profile)
    held = len(profile.read().sessions)
    process, pipe = start(profile.device.name)
    time.sleep(after_s)
    workers = workers_of(process)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    begun = len(os.read(pipe, 1 << 16))
    os.close(pipe)
    if not os.WIFSIGNALED(status):
        if os.waitstatus_to_exitcode(status):
            raise RuntimeError(f"the resumed session failed with {status}")
        return None
    limit = time.monotonic() + WORKER_END_S
    while any(map(running, workers)) and time.monotonic() < limit:
        time.sleep(0.01)
    records = profile.read()
    return {
        "lost_visits": begun - (len(records.sessions) - held),
        "kept": whole_lines(profile)[: len(before)] == before,
        "orphans": sum(map(running, workers)),
        "unnamed_sessions": len({o.session for o in records.observations} - set(records.sessions)),
    }


def finish(profile: DeviceProfile) -> float:
    """Resume a profile's session to its end; seconds."""
    begin = time.monotonic()
    process, pipe = start(profile.device.name)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(pipe)
    if status:
        raise RuntimeError(f"the session failed with {status}")
    return time.monotonic() - begin


def compare(whole: DeviceProfile, resumed: DeviceProfile) -> dict[str, Any]:
    """Where a resumed profile differs from one made without interruption."""
    expected, found = whole.read(), resumed.read()
    numbers, others = expected.measurements(), found.measurements()
    differences = [
        max(0.0, abs(others[key].latency_ms - numbers[key].latency_ms) - ROUNDING_MS)
        / numbers[key].latency_ms
        for key in numbers.keys() & others.keys()
    ]
    return {
        "keys_that_differ": len(numbers.keys() ^ others.keys()),
        "definitions_that_differ": sum(
            expected.definitions.get(key) != found.definitions.get(key)
            for key in expected.definitions.keys() | found.definitions.keys()
        ),
        "verdicts_that_differ": sum(
            numbers[key].verdict != others[key].verdict for key in numbers.keys() & others.keys()
        ),
        "fewer_sessions": sum(
            count > found.session_counts().get(key, 0)
            for key, count in expected.session_counts().items()
        ),
        "worst_difference_pct": round(100 * max(differences), 4),
    }


def kill_at_random_moments(moments: int, seed: int) -> dict[str, Any]:
    """So many kills, over as many resumed profiles as that takes.

    Returns:
        The worst that was found, as plain values.
    """
    rng = random.Random(seed)
    begin = time.monotonic()
    whole = DeviceProfile.create(Device("whole", runtime="simulated"))
    whole_s = finish(whole)
    visits = len(whole.read().sessions)
    kills: list[dict[str, Any]] = []
    compared: list[dict[str, Any]] = []
    while len(kills) < moments:
        resumed = DeviceProfile.create(Device(f"resumed-{len(compared)}", runtime="simulated"))
        complete = False
        while len(kills) < moments and not complete:
            found = kill_once(resumed, rng.uniform(0, 3 * whole_s / visits))
            complete = found is None
            kills += [found] if found is not None else []
        finish(resumed)
        compared.append(compare(whole, resumed))
    return {
        "kills": len(kills),
        "profiles": len(compared),
        "keys": len(whole.read().measurements()),
        "visits": visits,
        "most_visits_lost": max(item["lost_visits"] for item in kills),
        "kills_with_nothing_lost": sum(item["lost_visits"] == 0 for item in kills),
        "earlier_lines_kept": all(item["kept"] for item in kills),
        "orphans": sum(item["orphans"] for item in kills),
        "unnamed_sessions": sum(item["unnamed_sessions"] for item in kills),
        **{name: max(item[name] for item in compared) for name in compared[0]},
        "seconds": round(time.monotonic() - begin, 1),
    }


def main() -> None:
    """Print what was found as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["HWNAS_SIMULATED"] = json.dumps({"noise_pct": 0, "bursts_per_s": 0})
    with tempfile.TemporaryDirectory(prefix="hwnas-kill-") as folder:
        os.environ["HWNAS_PROFILES"] = f"{folder}/profiles"
        # What a killed host leaves behind goes with the folder.
        tempfile.tempdir = folder
        json.dump(kill_at_random_moments(options.moments, options.seed), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
