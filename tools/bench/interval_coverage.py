"""How often intervals hold the truth, and what an injected slowdown does to the numbers.

.venv/bin/python tools/bench/interval_coverage.py > docs/figures/coverage.json

The agent, the protocol, its statistics and the simulated device as they ship, without the
process between them. Each simulated process has a seed of its own; its device has noise,
slow bursts of random frequency, length and height, and a clock speed that drifts by a random
amount with a random period. Time is simulated, so neighbours do not matter.

The truth is the 10 % quantile of the least of a visit's five inferences at the highest speed
that the canary saw: what the protocol says that it measures. The customary protocol (ten
warm-ups, fifty runs in a row, their mean with Student's interval) runs on the same devices; it
is held against the same truth, and against the mean inference of the undisturbed device, which
is what it is about.
"""

import json
import random
import tempfile
from typing import Any

import numpy as np
import onnx
from scipy import stats
from simulated import Direct, engine

from hwnas.export.bags import SpaceBags
from hwnas.profiles import Measurement, Observation, combine
from hwnas.profiling.plan import PartPlan, plan_networks
from hwnas.profiling.protocol import CANARY, Batch, Protocol
from hwnas.profiling.statistics import QUIET_QUANTILE, accepted
from hwnas.spaces import space
from hwnas.targets import Worker, agent

NOISE_PCT = 0.4
QUIET = 1 + NOISE_PCT / 100 * stats.halfnorm.ppf(1 - (1 - QUIET_QUANTILE) ** (1 / 5))
MEAN = 1 + NOISE_PCT / 100 * stats.halfnorm.mean()
WARM_UPS, RUNS = 10, 50
PROCESSES = 1000
SLOW_CASES = 1000
SLOWDOWN_PCT = 20.0
FOREVER = float("inf")
IMPATIENT = Protocol(patience=0.0, patience_s=0.0)
"""Measures through slow time, which shows what the canary tells of it."""


def customary(worker: Worker, key: str) -> tuple[float, float, float]:
    """The customary protocol's mean and its 95 % interval, milliseconds."""
    settings = {"canary": CANARY, "runs": WARM_UPS + RUNS, "drop": WARM_UPS}
    (burst,) = worker.round([key], segment_ns=10**12, timeout_s=FOREVER, **settings)
    values = np.array(burst.samples_ns) / 1e6
    half = float(stats.t.ppf(0.975, RUNS - 1)) * float(values.std(ddof=1)) / RUNS**0.5
    return float(values.mean()), float(values.mean()) - half, float(values.mean()) + half


def disturbed(rng: random.Random) -> dict[str, Any]:
    """A device with noise, spikes and drift; a third of them without drift."""
    return {
        "noise_pct": NOISE_PCT,
        "bursts_per_s": rng.uniform(0.5, 6),
        "burst_ms": rng.uniform(5, 60),
        "burst_pct": rng.uniform(5, 60),
        "drift_pct": rng.choice([0.0, rng.uniform(0.2, 3), rng.uniform(3, 10)]),
        "drift_s": rng.uniform(0.05, 2),
    }


def share_pct(values: list[bool]) -> float:
    """The share that is true, per cent."""
    return round(100 * float(np.mean(values)), 2)


def error_pct(values: list[float]) -> dict[str, float]:
    """Median and 95th percentile of errors, per cent."""
    sizes = 100 * np.abs(values)
    return {
        "median_pct": round(float(np.median(sizes)), 3),
        "p95_pct": round(float(np.quantile(sizes, 0.95)), 3),
    }


def coverage(models: dict[str, bytes], together: int, session_pct: float) -> dict[str, Any]:
    """Coverage of processes' intervals, of those of numbers from some, and of the baseline's.

    A process's own factor (``session_pct``) belongs to the truth of its interval, and not to
    that of a number.
    """
    rng = random.Random(together)
    true_ms = {
        key: engine({}).model_ns(onnx.load_model_from_string(model)) / 1e6
        for key, model in models.items()
    }
    holds: dict[str, list[bool]] = {"process": [], "number": [], "same": [], "mean": []}
    errors: dict[str, list[float]] = {"process": [], "number": [], "customary": []}
    widths: list[float] = []
    groups: dict[str, list[Observation]] = {}
    bests: list[float] = []
    verdicts: list[str] = []
    few = 0
    with tempfile.TemporaryDirectory(prefix="hwnas-coverage-") as folder:
        for seed in range(PROCESSES):
            config = {
                **disturbed(rng),
                "seed": seed,
                "session_pct": session_pct,
                "processes": f"{folder}/count",
            }
            worker = Direct(engine(config), folder, seed)
            batch = Batch(worker, f"s{seed:04d}", Protocol(), seed)
            batch.load(models)
            # At any moment of the session, so that drift is as far as it happens to be.
            worker.pass_time(rng.uniform(0, 4))
            for key in models:
                mean, low, high = customary(worker, key)
                own = worker.true_ms(key)
                holds["mean"].append(low <= MEAN * own <= high)
                holds["same"].append(low <= QUIET * own <= high)
                errors["customary"].append(mean / (MEAN * own) - 1)
            worker.best = FOREVER  # the batch does not know what the canary saw before
            batch.run(until=FOREVER)
            bests.append(worker.best)
            for item in batch.observations():
                groups.setdefault(item.key, []).append(item)
                if item.accepted < 3:  # a profile never calls that stable
                    few += 1
                    continue
                own = QUIET * worker.true_ms(item.key) * worker.best
                holds["process"].append(item.low_ms <= own <= item.high_ms)
                errors["process"].append(item.quiet_ms / own - 1)
                widths.append((item.high_ms - item.low_ms) / own)
    for start in range(0, PROCESSES - together + 1, together):
        best = min(bests[start : start + together])
        for key, items in groups.items():
            some = items[start : start + together]
            found: Measurement = combine(some, min(item.canary_ms for item in some))
            verdicts.append(found.verdict)
            if found.verdict == "stable":
                own = QUIET * true_ms[key] * best
                holds["number"].append(found.low_ms <= own <= found.high_ms)
                errors["number"].append(found.latency_ms / own - 1)
    return {
        "models": len(models),
        "latency_ms": [round(min(true_ms.values()), 4), round(max(true_ms.values()), 4)],
        "process_factor_pct": session_pct,
        "one_process": {
            "traces": len(holds["process"]),
            "fewer_than_3_visits_counted": few,
            "coverage_pct": share_pct(holds["process"]),
            "median_width_pct": round(100 * float(np.median(widths)), 3),
            "error": error_pct(errors["process"]),
        },
        "hwnas_number": {
            "processes_each": together,
            "numbers": len(verdicts),
            "unstable_share": round(verdicts.count("unstable") / len(verdicts), 4),
            "coverage_of_stable_pct": share_pct(holds["number"]),
            "error": error_pct(errors["number"]),
        },
        "customary": {
            "traces": len(holds["mean"]),
            "coverage_of_its_mean_pct": share_pct(holds["mean"]),
            "coverage_of_the_same_truth_pct": share_pct(holds["same"]),
            "error": error_pct(errors["customary"]),
        },
    }


def slowdowns(models: dict[str, bytes]) -> dict[str, Any]:
    """A device that is slower from one moment to another, on which the canary has to notice it."""
    rng = random.Random(0)
    noticed: list[bool] = []
    leaked: list[bool] = []
    within: list[bool] = []
    errors: list[float] = []
    seed = always = 0
    with tempfile.TemporaryDirectory(prefix="hwnas-coverage-") as folder:
        while len(noticed) < SLOW_CASES:
            seed += 1
            begin_s = rng.uniform(0.02, 0.5)
            step = {
                "pct": SLOWDOWN_PCT,
                "from_s": begin_s,
                "to_s": begin_s + rng.uniform(0.05, 0.5),
            }
            config = {
                "seed": seed,
                "noise_pct": NOISE_PCT,
                "bursts_per_s": 0,
                "slowdowns": [step],
            }
            worker = Direct(engine(config), folder, seed)
            batch = Batch(worker, "s0", IMPATIENT, seed)
            batch.load(models)
            batch.run(until=FOREVER)
            readings = [
                [min(burst.canary_before_ns, burst.canary_after_ns) for burst in bursts]
                for bursts in worker.rounds
            ]
            slow = [
                [b for b in bursts if min(b.samples_ns) > 1.1e6 * worker.true_ms(b.key)]
                for bursts in worker.rounds
            ]
            if not any(slow):
                continue  # it began after the end, or fell between the visits
            quick_ns = 1.1e6 * worker.true_ms(CANARY)
            if min(map(min, readings)) > quick_ns:
                always += 1
                continue
            for item in batch.observations():
                errors.append(item.quiet_ms / worker.true_ms(item.key) - 1)
                within.append(abs(errors[-1]) <= 0.02)
            every = [burst for bursts in slow for burst in bursts]
            best = min(map(min, readings))
            leaked.append(bool(accepted(every, best, Protocol().tolerance)))
            if worker.rounds[0][0].canary_before_ns > quick_ns:
                continue  # it began before there was a reading to compare with
            number = next(i for i, bursts in enumerate(slow) if bursts)
            best = min(map(min, readings[: number + 1]))
            noticed.append(not accepted(slow[number], best, Protocol().tolerance))
    return {
        "slowdown_pct": SLOWDOWN_PCT,
        "cases": len(leaked),
        "begun_after_the_first_reading": len(noticed),
        "noticed_within_the_round_pct": share_pct(noticed),
        "cases_in_which_a_slow_visit_counted_pct": share_pct(leaked),
        "left_out_slow_from_begin_to_end": always,
        "numbers": len(within),
        "numbers_within_2_pct_pct": share_pct(within),
        "worst_error_pct": round(100 * max(map(abs, errors)), 3),
    }


def models() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Three parts, and two networks, that fit into the simulated cache together."""
    bags = SpaceBags(space("resnet-32"), "simulated")
    plan = PartPlan(bags, 0)
    dearest = sorted(
        plan.blocks, key=lambda i: -sum(k.macs * n for k, n in bags.kernels[i].items())
    )
    keys = [plan.block_key(dearest[place]) for place in (0, 20, 80)]
    parts = {key: part.model for key in keys if (part := plan.part(key)) is not None}
    networks = {item.key: item.part().model for item in plan_networks(bags.space, 2, 0)}
    return parts, networks


def main() -> None:
    """Print the figures as JSON."""
    known = agent.conditions()
    parts, networks = models()
    result = {
        "machine": {k: known[k] for k in ("cpu", "cores", "features", "memory_mib", "system")},
        "runtime": "simulated",
        "customary": f"{WARM_UPS} warm-ups, {RUNS} runs in a row, mean, Student's interval",
        "goals": "coverage 93 % at nominal 95 %; slowdown noticed within the round, number "
        "within 2 %",
        "parts": coverage(parts, 2, 0.0),
        "networks": coverage(networks, 4, 1.0),
        "slowdown": slowdowns(parts),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
