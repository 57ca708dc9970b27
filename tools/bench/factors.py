"""What the networks of one process have in common, in profiles that were measured here.

python tools/bench/factors.py DEVICE... > docs/figures/factors.json

Per space: deviations of a process's number from that of the network, per cent, as measured and
without the factors of processes; the factors' standard deviation; how long processes waited.
"""

import json
import sys
from collections import defaultdict
from typing import Any

import numpy as np

from hwnas.profiles import DeviceProfile, Observation, Records
from hwnas.profiles.factors import corrected, session_factors


def deviations(items: list[Observation]) -> list[float]:
    """Of every process from the median of its network's, per cent."""
    groups = defaultdict(list)
    for item in items:
        groups[item.key].append(np.log(item.quiet_ms))
    return [
        100 * abs(value - np.median(values))
        for values in groups.values()
        if len(values) > 1
        for value in values
    ]


def spread(values: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {
        "median_pct": round(float(np.median(values)), 2),
        "p95_pct": round(float(np.quantile(values, 0.95)), 2),
    }


def of_space(records: Records, space: str) -> dict[str, Any]:
    """The figures of one space."""
    factors = session_factors(records.observations, records.quiet_canary_ms())
    own = [
        item
        for item in records.observations
        if item.failure is None
        and item.session in factors
        and records.definitions.get(item.key, {}).get("space") == space
    ]
    if not own:  # no process shares enough networks with another
        return {"processes": 0}
    logs = [np.log(factors[name]) for name in sorted({item.session for item in own})]
    return {
        "networks": len({item.key for item in own}),
        "processes": len(logs),
        "largest_ms": round(max(item.quiet_ms for item in own), 3),
        "factors_sd_pct": round(float(100 * np.std(logs)), 2),
        "as_measured": spread(deviations(own)),
        "without_factors": spread(
            deviations([corrected(item, factors[item.session]) for item in own])
        ),
    }


def main() -> None:
    found: dict[str, Any] = {}
    for name in sys.argv[1:]:
        records = DeviceProfile.open(name).read()
        conditions = list(records.sessions.values())
        spaces = {d["space"] for d in records.definitions.values() if "space" in d}
        found[name] = {
            "machine": {key: conditions[0][key] for key in ("cpu", "cores", "memory_mib")},
            "runtime": f"{conditions[0]['runtime']} {conditions[0]['version']}",
            "seconds": round(sum(item.get("seconds", 0) for item in conditions)),
            "waited_s": round(sum(item.get("waited_s", 0) for item in conditions)),
            "spaces": {space: of_space(records, space) for space in sorted(spaces)},
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
