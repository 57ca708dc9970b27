"""How far numbers of separate processes lie apart: hwnas' protocol beside the customary one.

.venv/bin/python tools/bench/noise_floor.py WORK.jsonl > docs/figures/noise_floor.json

Blocks (0.05 to 1 ms) and networks (1 to 60 ms) in PROCESSES fresh processes, first
alone, then beside a neighbour that loads the other core in bursts. Each process
measures every model by the protocol and, in the same minutes, as most tools do: ten
warm-ups, fifty runs in a row, their median. A deviation is |x - median over the
processes| / that median. WORK.jsonl keeps finished processes, so that the script
goes on where it was stopped.
"""

import json
import multiprocessing
import os
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.export.parts_onnx import block_part
from hwnas.profiles import combine
from hwnas.profiling.protocol import CANARY, Batch, Protocol
from hwnas.runtimes import runtime
from hwnas.spaces import space
from hwnas.targets import LocalTarget

PROCESSES = 8
BLOCKS = 32
NETWORKS = 20
WARM_UPS, RUNS = 10, 50
NETWORK_S = 32.0
BLOCK_S = 12.0


def candidates() -> dict[str, dict[str, bytes]]:
    """More blocks and networks than are needed, over the sizes that are wanted."""
    rng = np.random.default_rng(0)
    blocks: dict[str, bytes] = {}
    networks: dict[str, bytes] = {}
    for text in ("mobilenet:image_size=224", "resnet:image_size=224"):
        own = space(text)
        for genes in own.sample(rng, 12, over="choices"):
            for placed in own.decode(genes.tolist()).placed[1:-1]:
                blocks.setdefault(f"block:{placed.key}", block_part(placed).model)
        for size in (96, 160, 224, 288):
            wide = space(f"{text.partition(':')[0]}:image_size={size}")
            for genes in wide.sample(rng, 5):
                architecture = wide.decode(genes.tolist())
                networks[f"network:{architecture.digest}"] = architecture_to_onnx(
                    architecture
                ).SerializeToString()
    return {"blocks": blocks, "networks": networks}


def chosen(
    target: LocalTarget, models: dict[str, bytes], low_ms: float, high_ms: float, count: int
) -> list[str]:
    """Models in a range of latencies, spread evenly over it."""
    with target.open() as worker:
        seen = {}
        for key, model in models.items():
            worker.load(key, model, timeout_s=60)
            seen[key] = min(worker.window(key, window_ms=5, timeout_s=60).samples_ns) / 1e6
    fitting = sorted((key for key in seen if low_ms <= seen[key] <= high_ms), key=seen.__getitem__)
    picks = np.linspace(0, len(fitting) - 1, count).round().astype(int)
    return [fitting[i] for i in sorted(set(picks.tolist()))]


def neighbour() -> None:
    """Load one core in bursts of 0.2 to 2 s with pauses of the same lengths."""
    rng = random.Random(1)
    memory = np.ones(8 << 20)
    while True:
        end = time.monotonic() + rng.uniform(0.2, 2.0)
        while time.monotonic() < end:
            memory *= 1.0000001
        time.sleep(rng.uniform(0.2, 2.0))


def process(target: LocalTarget, models: dict[str, bytes], seed: int, budget_s: float) -> Any:
    """One fresh process: the protocol's and the customary numbers of each model."""
    with target.open() as worker:
        batch = Batch(worker, f"p{seed}", Protocol(least_rounds=10), seed)
        batch.load(models)
        order = list(models)
        random.Random(seed).shuffle(order)
        customary = {}
        for key in order:
            (burst,) = worker.round(
                [key],
                canary=CANARY,
                runs=WARM_UPS + RUNS,
                drop=WARM_UPS,
                segment_ns=10**12,
                timeout_s=300,
            )
            customary[key] = statistics.median(burst.samples_ns) / 1e6
        batch.run(until=time.monotonic() + budget_s)
        seen = {item.key: item.to_json() for item in batch.observations()}
    return {"observations": seen, "customary": customary, "conditions": worker.hello["conditions"]}


def percentiles(deviations: list[float]) -> dict[str, float]:
    """Median, 95th percentile and largest, per cent."""
    values = 100 * np.array(deviations)
    return {
        "median_pct": round(float(np.median(values)), 3),
        "p95_pct": round(float(np.quantile(values, 0.95)), 3),
        "worst_pct": round(float(values.max()), 3),
    }


def deviations(table: dict[str, list[float]]) -> list[float]:
    """Of every number from the median of its model's."""
    return [
        abs(value - statistics.median(values)) / statistics.median(values)
        for values in table.values()
        for value in values
    ]


def summary(rows: list[dict[str, Any]], keys: list[str], together: int) -> dict[str, Any]:
    """The figures of one kind of model under one condition.

    ``together``: how many processes make one of hwnas' numbers.
    """
    from hwnas.profiles import Observation

    observed = {
        key: [Observation(**row["observations"][key]) for row in rows if key in row["observations"]]
        for key in keys
    }
    canary = min(item.canary_ms for items in observed.values() for item in items)
    groups: dict[str, list[float]] = {}
    verdicts: list[str] = []
    for key, items in observed.items():
        numbers = [
            combine(items[i : i + together], canary)
            for i in range(0, len(items) - together + 1, together)
        ]
        groups[key] = [number.latency_ms for number in numbers]
        verdicts += [number.verdict for number in numbers]
    medians = [statistics.median(item.quiet_ms for item in items) for items in observed.values()]
    return {
        "models": len(keys),
        "latency_ms": [round(min(medians), 4), round(max(medians), 4)],
        "processes": len(rows),
        "one_process": percentiles(
            deviations({k: [item.quiet_ms for item in v] for k, v in observed.items()})
        ),
        "hwnas_number": {"processes_each": together, **percentiles(deviations(groups))},
        "unstable_share": round(verdicts.count("unstable") / len(verdicts), 3),
        "customary": percentiles(
            deviations({key: [row["customary"][key] for row in rows] for key in keys})
        ),
        "rounds_accepted": round(
            statistics.mean(i.accepted / i.rounds for items in observed.values() for i in items), 3
        ),
    }


def main() -> None:
    work = Path(sys.argv[1])
    done = [json.loads(line) for line in work.read_text().splitlines()] if work.exists() else []
    target = LocalTarget(runtime("onnxruntime"), 1)
    models = candidates()
    picks = next((row["picks"] for row in done if "picks" in row), None)
    if picks is None:
        picks = {
            "blocks": chosen(target, models["blocks"], 0.05, 1.0, BLOCKS),
            "networks": chosen(target, models["networks"], 1.0, 60.0, NETWORKS),
        }
        done.append({"picks": picks})
        work.write_text(json.dumps(done[-1]) + "\n")
    result: dict[str, Any] = {}
    for condition in ("alone", "neighbour"):
        other = None
        if condition == "neighbour":
            other = multiprocessing.get_context("spawn").Process(target=neighbour, daemon=True)
            other.start()
        for kind, budget_s in (("blocks", BLOCK_S), ("networks", NETWORK_S)):
            own = {key: models[kind][key] for key in picks[kind]}
            for number in range(PROCESSES):
                name = [condition, kind, number]
                if any(row.get("name") == name for row in done):
                    continue
                print(f"{condition}: {kind}, process {number + 1}/{PROCESSES}", file=sys.stderr)
                row = {"name": name, **process(target, own, number, budget_s)}
                done.append(row)
                with work.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
        if other is not None:
            other.terminate()
            other.join()
        result[condition] = {
            kind: summary(
                [row for row in done if row.get("name", [])[:2] == [condition, kind]],
                picks[kind],
                together,
            )
            for kind, together in (("blocks", 2), ("networks", 4))
        }
    conditions = next(row["conditions"] for row in done if "conditions" in row)
    machine = {k: conditions[k] for k in ("cpu", "cores", "features", "memory_mib", "system")}
    print(
        json.dumps(
            {
                "machine": machine,
                "runtime": f"onnxruntime {runtime('onnxruntime').version()}",
                "customary": f"{WARM_UPS} warm-ups, {RUNS} runs in a row, median",
                "goals": "blocks p95 1, worst 3; networks median 1, p95 3; customary blocks "
                "p95 at least ten times hwnas'",
                **result,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
