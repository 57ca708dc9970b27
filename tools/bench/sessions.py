"""What makes sessions of one network differ: the process, the session, or the moment.

.venv/bin/python tools/bench/sessions.py [ROUNDS] > docs/figures/sessions.json

PROCESSES processes live at the same time, each with SESSIONS sessions of each network,
and are visited in turn, round after round. So all sessions see the same minutes, and
what is their own (where a process and a session found their memory) can be told from
what the moment brings (who else uses the caches and the memory of the machine). Of the
logarithms of quiet times in windows of WINDOW rounds: the spread of the sessions' means,
of the processes' means, and of the windows' means over all sessions; per cent. The sum
of a network's weights stands beside it.
"""

import json
import os
import sys
from contextlib import ExitStack
from typing import Any

import numpy as np

from hwnas.export.layers_onnx import architecture_bytes
from hwnas.export.parts_onnx import canary_model
from hwnas.profiling.protocol import CANARY
from hwnas.profiling.statistics import QUIET_QUANTILE
from hwnas.runtimes import runtime
from hwnas.spaces import space
from hwnas.targets import LocalTarget, Worker

PROCESSES, SESSIONS, WINDOW = 4, 2, 8
SPACES = {
    "mobilenet:image_size=64": 3,
    "mobilenet:image_size=224": 2,
    "resnet:image_size=64": 1,
    "mobilenet-32": 2,
}


def networks() -> dict[str, tuple[bytes, float]]:
    """Models with the size of their weights, MiB."""
    found = {}
    for text, count in SPACES.items():
        own = space(text)
        for genes in own.sample(np.random.default_rng(3), count):
            architecture = own.decode(genes.tolist())
            name = f"{text} {architecture.digest[:6]}"
            found[name] = architecture_bytes(architecture), architecture.parameters / 2**18
    return found


def visited(workers: list[Worker], names: list[str], rounds: int) -> dict[str, Any]:
    """Least time of each burst, ms, ``(processes, sessions, rounds)``, by network."""
    seen = {name: np.full((len(workers), SESSIONS, rounds), np.nan) for name in names}
    rng = np.random.default_rng(0)
    for number in range(rounds):
        if number % 8 == 0:
            print(f"round {number}/{rounds}", file=sys.stderr)
        for process in rng.permutation(len(workers)):
            order = [f"{session}|{name}" for session in range(SESSIONS) for name in names]
            rng.shuffle(order)
            bursts = workers[process].round(
                order, canary=CANARY, runs=7, drop=2, segment_ns=20_000_000, timeout_s=120
            )
            for burst in bursts:
                session, _, name = burst.key.partition("|")
                seen[name][process, int(session), number] = min(burst.samples_ns) / 1e6
    return seen


def spread(times: Any) -> dict[str, float]:
    """Standard deviations, per cent, of what sessions, processes and windows have in common."""
    logs = np.log(times)
    windows = [logs[:, :, i : i + WINDOW] for i in range(0, logs.shape[2] - WINDOW + 1, WINDOW)]
    quiet = np.stack([np.quantile(own, QUIET_QUANTILE, axis=2) for own in windows], axis=2)
    sessions = quiet.mean(axis=2)
    processes = sessions.mean(axis=1)
    return {
        "sessions_pct": 100 * float((sessions - processes[:, None]).std()),
        "processes_pct": 100 * float(processes.std()),
        "moments_pct": 100 * float(quiet.mean(axis=(0, 1)).std()),
        "bursts_pct": 100 * float(logs.std()),
    }


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    target = LocalTarget(runtime("onnxruntime"), 1)
    models = networks()
    with ExitStack() as stack:
        workers = [stack.enter_context(target.open()) for _ in range(PROCESSES)]
        for worker in workers:
            worker.load(CANARY, canary_model(), timeout_s=60)
            for session in range(SESSIONS):
                for name, (model, _) in models.items():
                    worker.load(f"{session}|{name}", model, timeout_s=60)
        seen = visited(workers, list(models), rounds)
        conditions = workers[0].hello["conditions"]
    rows = {
        name: {
            "weights_mib": round(size, 1),
            "latency_ms": round(float(np.quantile(seen[name], QUIET_QUANTILE)), 3),
            **{key: round(value, 2) for key, value in spread(seen[name]).items()},
        }
        for name, (_, size) in models.items()
    }
    print(
        json.dumps(
            {
                "machine": {
                    k: conditions[k] for k in ("cpu", "cores", "features", "memory_mib", "system")
                },
                "runtime": f"onnxruntime {runtime('onnxruntime').version()}",
                "processes": PROCESSES,
                "sessions_each": SESSIONS,
                "rounds": rounds,
                "networks": rows,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
