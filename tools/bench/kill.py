"""Kills the host of a profiling session at random moments, and compares what is resumed.

.venv/bin/python tools/bench/kill.py [--moments 50] [--seed 0] > docs/figures/kill.json

A session on the simulated device (a space with few networks, of which one crashes and
one hangs, and parts that do the same or have outputs that are not finite), and after it
a measurement of whole models (one crashes, one hangs), is killed (SIGKILL) again and
again, at moments uniform over about three visits or one hang, and resumed, until it is
complete; then another begins, until there were enough kills. The kills are divided among

- ``lost``: what a killed visit had seen is lost, so the resumed profile must hold the same
  visits with the same observations to the last digit: values, intervals, rounds, failures,
  sessions' names. Not compared are the conditions (time, load, seconds), which tell when a
  process ran.
- ``models``: the same, with a profile that is complete, so that all kills fall on models.
- ``set_aside``: what a visit has finished is set aside after every round (not every 5 s)
  and so survives; nothing hangs, there are no slow bursts, and more rounds. The rest is then
  measured in another process beside other models, with other noise. The same parts must have the
  same verdicts in as many processes and the same failures; values differ by the noise (0.4 %).

Every process of the simulated device draws the same noise here, so that it depends on
nothing but which models it has, and in which order it visits them.
"""

import argparse
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from kill_job import LETTERS, MODES, TIMEOUT_S, Job, job, start

from hwnas.profiles import Device, DeviceProfile, Records
from hwnas.profiling import visit
from hwnas.profiling.models import UNFINISHED
from hwnas.targets import agent

WORKER_END_S = 20.0
ROUNDING_MS = 1e-5
"""To which a profile rounds; a third of a per cent of the shortest model."""


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


def files(profile: DeviceProfile) -> list[Path]:
    """The profile's measurements, and those of models that are not finished."""
    kept = sorted((profile.folder / UNFINISHED).glob("*/measurements.jsonl"))
    return [profile.folder / "measurements.jsonl", *kept]


def whole_lines(profile: DeviceProfile) -> dict[Path, list[str]]:
    """The lines of the measurements that are ended, by file."""
    return {p: p.read_text().split("\n")[:-1] for p in files(profile) if p.exists()}


def records_of(profile: DeviceProfile) -> list[Records]:
    """What the profile's files hold."""
    return [DeviceProfile(profile.device, path.parent).read() for path in files(profile)]


def kill_once(profile: DeviceProfile, doing: Job, after_s: float) -> dict[str, Any] | None:
    """Resume a profile's work and kill it; ``None`` where it was complete before that."""
    before = whole_lines(profile)
    held = sum(len(records.sessions) for records in records_of(profile))
    stashed = any((path.parent / ".visit.jsonl").exists() for path in files(profile))
    process, pipe = start(profile.device.name, doing)
    time.sleep(after_s)
    workers = workers_of(process)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    told = os.read(pipe, 1 << 20)
    os.close(pipe)
    if not os.WIFSIGNALED(status):
        if os.waitstatus_to_exitcode(status):
            raise RuntimeError(f"the resumed session failed with {status}")
        return None
    limit = time.monotonic() + WORKER_END_S
    while any(map(running, workers)) and time.monotonic() < limit:
        time.sleep(0.01)
    after, everything = whole_lines(profile), records_of(profile)
    # A visit that was set aside counts once it is recovered.
    kept = sum(len(records.sessions) for records in everything) - held - stashed
    return {
        "set_aside": any((path.parent / ".visit.jsonl").exists() for path in files(profile)),
        "phase": told.replace(b".", b"")[-1:].decode(),
        "lost_visits": told.count(b".") - max(0, kept),
        "kept": all(after.get(path, [])[: len(lines)] == lines for path, lines in before.items()),
        "orphans": sum(map(running, workers)),
        "unnamed_sessions": sum(
            len({o.session for o in records.observations} - set(records.sessions))
            for records in everything
        ),
    }


def finish(profile: DeviceProfile, doing: Job) -> float:
    """Resume a profile's work to its end; seconds."""
    begin = time.monotonic()
    process, pipe = start(profile.device.name, doing)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(pipe)
    if status:
        raise RuntimeError(f"the session failed with {status}")
    return time.monotonic() - begin


def compare(whole: DeviceProfile, resumed: DeviceProfile) -> dict[str, Any]:
    """Where a resumed profile differs from one made without interruption."""
    expected, found = whole.read(), resumed.read()
    numbers, others = expected.measurements(), found.measurements()
    both = numbers.keys() & others.keys()
    differences = [
        max(0.0, abs(others[key].latency_ms - numbers[key].latency_ms) - ROUNDING_MS)
        / numbers[key].latency_ms
        for key in both
    ]

    def failures(records: Records) -> Counter[tuple[str, str]]:
        return Counter((o.key, o.failure) for o in records.observations if o.failure is not None)

    counts, others_counts = expected.session_counts(), found.session_counts()
    lines = [Counter(repr(o.to_json()) for o in r.observations) for r in (expected, found)]
    return {
        "keys_that_differ": len(numbers.keys() ^ others.keys()),
        "definitions_that_differ": sum(
            expected.definitions.get(key) != found.definitions.get(key)
            for key in expected.definitions.keys() | found.definitions.keys()
        ),
        "verdicts_that_differ": sum(numbers[key].verdict != others[key].verdict for key in both),
        "numbers_of_processes_that_differ": sum(
            counts.get(key) != others_counts.get(key) for key in counts.keys() | others_counts
        ),
        "failures_that_differ": (failures(expected) - failures(found)).total()
        + (failures(found) - failures(expected)).total(),
        "observations_that_differ": (lines[0] - lines[1]).total() + (lines[1] - lines[0]).total(),
        "models_that_differ": int(
            (whole.folder / "models.json").read_text()
            != (resumed.folder / "models.json").read_text()
        ),
        "worst_difference_pct": round(100 * max(differences), 4),
    }


def kill_at_random_moments(mode: str, moments: int, seed: int) -> dict[str, Any]:
    """So many kills, over as many resumed profiles as that takes.

    Returns:
        The worst that was found, as plain values.
    """
    doing = job(mode)
    os.environ["HWNAS_SIMULATED"] = json.dumps({**MODES[mode], "faults": doing.faults})
    visit.STASH_S = 0.0 if mode == "set_aside" else float("inf")
    rng = random.Random(seed)
    begin = time.monotonic()
    whole = DeviceProfile.create(Device(f"{mode}-whole", runtime="simulated"))
    whole_s = finish(whole, doing)
    visits = len(whole.read().sessions)
    kills: list[dict[str, Any]] = []
    compared: list[dict[str, Any]] = []
    while len(kills) < moments:
        name = f"{mode}-{len(compared)}"
        resumed = DeviceProfile.create(Device(name, runtime="simulated"))
        if mode == "models":
            shutil.copy(whole.folder / "measurements.jsonl", resumed.folder)
        complete = False
        while len(kills) < moments and not complete:
            latest_s = max(3 * whole_s / visits, TIMEOUT_S + 2)
            found = kill_once(resumed, doing, rng.uniform(0, latest_s))
            complete = found is None
            kills += [found] if found is not None else []
        finish(resumed, doing)
        compared.append(compare(whole, resumed))
    phases = Counter(item["phase"] for item in kills)
    names = {letter.decode(): phase for phase, letter in LETTERS.items()}
    return {
        "kills": len(kills),
        "kills_by_phase": {names.get(k, "before any"): n for k, n in sorted(phases.items())},
        "kills_with_something_set_aside": sum(item["set_aside"] for item in kills),
        "profiles": len(compared),
        "keys": len(whole.read().measurements()),
        "failures": sum(o.failure is not None for o in whole.read().observations),
        "visits": visits,
        "most_visits_lost": max(item["lost_visits"] for item in kills),
        "kills_with_nothing_lost": sum(item["lost_visits"] <= 0 for item in kills),
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
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    options = parser.parse_args()
    known = agent.conditions()
    result: dict[str, Any] = {
        "machine": {k: known[k] for k in ("cpu", "cores", "features", "memory_mib", "system")},
        "runtime": "simulated",
        "goals": "at most the visit in flight lost; nothing differs but, where what was finished "
        "is set aside, observations and values by the noise",
    }
    with tempfile.TemporaryDirectory(prefix="hwnas-kill-") as folder:
        os.environ["HWNAS_PROFILES"] = f"{folder}/profiles"
        # What a killed host leaves behind goes with the folder.
        tempfile.tempdir = folder
        for place, mode in enumerate(options.modes):
            moments = (options.moments + place) // len(options.modes)
            result[mode] = kill_at_random_moments(mode, moments, options.seed)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
