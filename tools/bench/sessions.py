"""What makes sessions of one network differ: where processes and sessions find their memory.

.venv/bin/python tools/bench/sessions.py [REPEATS] > docs/figures/sessions.json

Networks of 1 to 20 ms are built SESSIONS times in each fresh process and measured in
the same rounds, in processes started four ways in turn: as they are, with fixed
addresses (setarch -R), with huge pages (glibc.malloc.hugetlb=1), and with both. Of
the logarithms of the quiet times, a nested analysis of variance tells the spread
between the sessions of one process from that between processes. The level is the
mean of a way's numbers beside the first way's.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import noise_floor
import numpy as np

from hwnas.profiling.protocol import Batch, Protocol
from hwnas.runtimes import runtime
from hwnas.targets import LocalTarget, Worker
from hwnas.targets.worker import AGENT

SESSIONS = 3
NETWORKS = 6
BUDGET_S = 14.0
HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
WAYS: dict[str, tuple[list[str], dict[str, str]]] = {
    "as they are": ([], {}),
    "fixed addresses": (["setarch", "-R"], {}),
    "huge pages": ([], HUGE),
    "fixed addresses, huge pages": (["setarch", "-R"], HUGE),
}


@contextmanager
def environment(own: dict[str, str]) -> Iterator[None]:
    """More variables for the processes that are started meanwhile."""
    before = dict(os.environ)
    os.environ.update(own)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def process(way: str, models: dict[str, bytes], seed: int) -> dict[str, list[float]]:
    """Quiet times, ms, of the sessions of each network in one fresh process."""
    prefix, own = WAYS[way]
    engine = str(runtime("onnxruntime").engine)
    with (
        environment(own),
        Worker([*prefix, sys.executable, "-I", str(AGENT), engine], 1) as worker,
    ):
        batch = Batch(worker, "s", Protocol(least_rounds=10, most_rounds=14), seed)
        batch.load({f"{i}|{key}": model for key, model in models.items() for i in range(SESSIONS)})
        batch.run(until=time.monotonic() + BUDGET_S)
        found: dict[str, list[float]] = {key: [] for key in models}
        for item in batch.observations():
            found[item.key.partition("|")[2]].append(item.quiet_ms)
    return found


def spread(rows: list[dict[str, list[float]]]) -> dict[str, Any]:
    """Standard deviations, per cent, between sessions of a process and between processes."""
    within, between, largest = [], [], []
    for key in rows[0]:
        logs = np.log(np.array([row[key] for row in rows]))
        mean_square_within = logs.var(axis=1, ddof=1).mean()
        of_means = logs.mean(axis=1).var(ddof=1)
        within.append(mean_square_within)
        between.append(of_means - mean_square_within / SESSIONS)
        largest.append(100 * (np.exp(logs.max() - logs.min()) - 1))
    return {
        "between_sessions_pct": round(100 * float(np.sqrt(np.mean(within))), 2),
        "between_processes_pct": round(100 * float(np.sqrt(max(0.0, np.mean(between)))), 2),
        "median_range_pct": round(float(np.median(largest)), 2),
        "widest_range_pct": round(float(np.max(largest)), 2),
    }


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    target = LocalTarget(runtime("onnxruntime"), 1)
    models = noise_floor.candidates()["networks"]
    picks = noise_floor.chosen(target, models, 1.0, 20.0, NETWORKS)
    own = {key: models[key] for key in picks}
    rows: dict[str, list[dict[str, list[float]]]] = {way: [] for way in WAYS}
    for repeat in range(repeats):
        for way in WAYS:
            print(f"{repeat + 1}/{repeats}: {way}", file=sys.stderr)
            rows[way].append(process(way, own, repeat))
    with target.open() as worker:
        conditions = worker.hello["conditions"]
    level = {
        way: [float(np.mean([row[key] for row in found])) for key in own]
        for way, found in rows.items()
    }
    first = next(iter(WAYS))
    print(
        json.dumps(
            {
                "machine": {
                    k: conditions[k] for k in ("cpu", "cores", "features", "memory_mib", "system")
                },
                "runtime": f"onnxruntime {runtime('onnxruntime').version()}",
                "networks": len(own),
                "latency_ms": [round(min(level[first]), 3), round(max(level[first]), 3)],
                "processes": repeats,
                "sessions_each": SESSIONS,
                "ways": {
                    way: {
                        **spread(rows[way]),
                        "level": round(
                            float(np.median(np.array(level[way]) / np.array(level[first]))), 4
                        ),
                    }
                    for way in WAYS
                },
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
