"""Time and peak memory of tools/quickstart, and what it returned, at its default budgets.

.venv/bin/python tools/bench/quickstart.py [FOLDER] > docs/figures/quickstart.json

Runs in FOLDER (a temporary one without it). Memory is the sum of the proportional
set sizes of the script and all its descendants, sampled twice a second.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from hwnas.targets.agent import conditions

ROOT = Path(__file__).parents[2]
KEPT = (
    "name",
    "predicted_ms",
    "low_ms",
    "high_ms",
    "measured_ms",
    "verdict",
    "feasible",
    "accuracy",
    "test_accuracy",
    "macs",
    "parameters",
)


def tree(root: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found


def memory_mib(processes: list[int]) -> float:
    """The proportional set sizes of processes together, MiB."""
    total = 0
    for process in processes:
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1024


class Watch(threading.Thread):
    """The peak memory of a process tree while it runs."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.peak_mib = 0.0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.5):
            self.peak_mib = max(self.peak_mib, memory_mib(tree(self.root)))


def row(network: dict[str, Any]) -> dict[str, Any]:
    """What the figure keeps of a network."""
    return {name: network[name] for name in KEPT}


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="hwnas-bench-"))
    subprocess.run([ROOT / "tools" / "setup"], check=True)
    environment = {k: v for k, v in os.environ.items() if k not in ("PROFILE", "SEARCH")}
    environment |= {"RUN": str(folder), "HWNAS_PROFILES": str(folder / "device_profiles")}
    begin = time.monotonic()
    process = subprocess.Popen(
        [ROOT / "tools" / "quickstart"], env=environment, stdout=sys.stderr, stderr=sys.stderr
    )
    watch = Watch(process.pid)
    watch.start()
    code = process.wait()
    seconds = time.monotonic() - begin
    watch.done.set()
    watch.join()
    (result_file,) = folder.glob("search-*/result.json")
    result = json.loads(result_file.read_text())
    best = result["best"]
    conditions_ = conditions()
    print(
        json.dumps(
            {
                "machine": {
                    name: conditions_[name] for name in ("cpu", "cores", "features", "memory_mib")
                },
                "exit_code": code,
                "seconds": round(seconds, 1),
                "goal_seconds": 360,
                "peak_memory_mib": round(watch.peak_mib),
                "goal_memory_mib": 4096,
                "limit_ms": result["limit_ms"],
                "measured_over_limit": round(best["measured_ms"] / result["limit_ms"], 4),
                "measured_over_predicted": round(best["measured_ms"] / best["predicted_ms"], 4),
                "trials": result["trials"],
                "search_seconds": result["seconds"],
                "winner": row({**best, "name": "winner"}),
                "baselines": [row(network) for network in result["baselines"]],
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
