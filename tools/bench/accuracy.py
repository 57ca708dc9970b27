"""How good the prices of a profile are, and where the error comes from.

python tools/bench/accuracy.py DEVICE... > docs/figures/accuracy.json

For every space of every profile: networks that were judged from the start, with the residual
fitted on at most MOST others of each space; the same over SPLITS random splits, with the share of
the left-out networks within the intervals; kernels left out of the kernel model, by family and
price. For profiles with several spaces and general kernels also each space left out: neither
its networks nor parts that only it has are fitted on; kernels of all kinds that were drawn at
random are.
Baselines are fitted on the same networks.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hwnas.kernels import Kernel
from hwnas.predictors import LatencyPredictor, evaluate, noise_floor_pct
from hwnas.predictors.features import bag_features
from hwnas.predictors.kernel_model import KernelPrices
from hwnas.profiles import DeviceProfile, NetworkBag, ProfiledBags, Records
from hwnas.profiling.bags import profiled_bags
from hwnas.profiling.general import general_kernels

MOST = 40
SPLITS = 20
FOLDS = 5
GENERAL = 2400
"""General kernels of profiles with several spaces, at most."""
FEWEST_GENERAL = 100
"""A profile with fewer has those of an older sequence, which cannot be told from its families'."""
LEVELS = (0.5, 0.8, 0.9, 0.95)
PRICES_MS = (0.0, 0.005, 0.02, 0.1, float("inf"))


def judged(networks: Sequence[NetworkBag], which: set[int]) -> list[NetworkBag]:
    """The networks, judged exactly where their position says so."""
    return [replace(item, judged=i in which) for i, item in enumerate(networks)]


def at_most(networks: Sequence[NetworkBag]) -> list[NetworkBag]:
    """The networks, of those to fit on only the first MOST."""
    found, fitted = [], 0
    for item in networks:
        fitted += not item.judged
        if item.judged or fitted <= MOST:
            found.append(item)
    return found


def once(predictor: LatencyPredictor, bags: ProfiledBags) -> dict[str, Any]:
    """Accuracy with the residual fitted on those networks of the bags that are not judged."""
    return evaluate(predictor.fit_networks(bags), bags)


def splits(predictor: LatencyPredictor, bags: ProfiledBags, most: int) -> dict[str, Any]:
    """Means over random splits with ``most`` networks to fit on, and coverage of intervals."""
    networks, rng = bags.networks, np.random.default_rng(0)
    count = min(most, len(networks) * 2 // 3)
    rows, within = [], defaultdict(list)
    for _ in range(SPLITS):
        out = set(rng.permutation(len(networks))[count:].tolist())
        split = replace(bags, networks=judged(networks, out))
        rows.append(once(predictor, split))
        asked = [item for item in split.networks if item.judged]
        measured = np.array([item.measurement.latency_ms for item in asked])
        logs = np.log(measured / predictor.predict_networks(asked, split))
        for level in LEVELS:
            low, high = predictor.network_log_bounds(asked, split, (1 + level) / 2)
            within[level].append(100 * np.mean((low <= logs) & (logs <= high)))

    def mean(values: list[dict[str, Any]]) -> dict[str, float]:
        names = ("mape_pct", "within_5_pct", "within_10_pct", "spearman", "kendall")
        return {name: round(float(np.mean([row[name] for row in values])), 3) for name in names}

    return {
        "splits": SPLITS,
        "fitted_on": count,
        "left_out": len(networks) - count,
        "hwnas": mean(rows),
        "mape_standard_deviation": round(float(np.std([row["mape_pct"] for row in rows])), 3),
        "coverage_pct": {str(level): round(float(np.mean(v)), 2) for level, v in within.items()},
        "baselines": {
            name: mean([row["baselines"][name] for row in rows]) for name in rows[0]["baselines"]
        },
    }


def kernels(table: dict[str, float]) -> dict[str, Any]:
    """Errors of kernels that were left out of the kernel model, per cent."""
    keys = sorted(table)
    known = np.array([table[key] for key in keys])
    fold = np.random.default_rng(0).permutation(len(keys)) % FOLDS
    priced = np.zeros(len(keys))
    for part in range(FOLDS):
        model = KernelPrices().fit(
            {k: table[k] for k, f in zip(keys, fold, strict=True) if f != part}
        )
        out = [Kernel.from_key(k) for k, f in zip(keys, fold, strict=True) if f == part]
        found = model.prices_ms(out)
        priced[fold == part] = [found[kernel] for kernel in out]
    error = 100 * np.abs(priced / known - 1)
    families = np.array([Kernel.from_key(key).family for key in keys])

    def row(chosen: Any) -> dict[str, float]:
        return {
            "kernels": int(chosen.sum()),
            "mape_pct": round(float(error[chosen].mean()), 2),
            "median_pct": round(float(np.median(error[chosen])), 2),
            "share_of_time_pct": round(float(100 * known[chosen].sum() / known.sum()), 2),
        }

    bins = list(zip(PRICES_MS, PRICES_MS[1:], strict=False))
    return {
        "all": row(known >= 0),
        "of_the_time_pct": round(float(100 * np.abs(priced - known).sum() / known.sum()), 2),
        "families": {name: row(families == name) for name in sorted(set(families))},
        "ms": {
            f"{low} to {high}": row(chosen)
            for low, high in bins
            if (chosen := (known >= low) & (known < high)).any()
        },
    }


def without(space: str, general: set[str], records: Records, bags: ProfiledBags) -> dict[str, Any]:
    """Accuracy on a space of which nothing was fitted on that others do not share."""
    others = {key for item in bags.networks if item.space != space for key in item.blocks}
    shared = {kernel.key for key in others for kernel in bags.block_kernels[key]}
    # Kernels of all kinds that were drawn, but for those that by chance are the family's.
    theirs = {key for item in bags.networks if item.space == space for key in item.blocks}
    shared |= general - {kernel.key for key in theirs for kernel in bags.block_kernels[key]}
    own = [
        item
        for item in records.observations
        if not item.key.startswith(("block:", "kernel:"))
        or item.key.removeprefix("block:") in others
        or item.key.removeprefix("kernel:") in shared
    ]
    networks = [replace(item, judged=item.space == space) for item in bags.networks]
    left = replace(bags, networks=networks)
    predictor = LatencyPredictor().fit(replace(records, observations=own), left)
    asked = [item for item in networks if item.judged]
    measured = np.array([item.measurement.latency_ms for item in asked])
    logs = np.log(measured / predictor.predict_networks(asked, left))
    low, high = predictor.network_log_bounds(asked, left, 0.95)
    return {
        **evaluate(predictor, left),
        "coverage_pct": round(float(100 * np.mean((low <= logs) & (logs <= high))), 1),
        "half_width_pct": round(float(100 * np.median(np.expm1((high - low) / 2))), 1),
        "novelty": round(
            float(
                predictor.network_residual_.novelty_.of(
                    bag_features(predictor.network_sums(asked, left)[1])
                ).mean()
            ),
            3,
        ),
    }


def main() -> None:
    found: dict[str, Any] = {}
    for name in sys.argv[1:]:
        profile = DeviceProfile.open(name)
        records = profile.read()
        bags = profiled_bags(records, profile.device.runtime)
        predictor = LatencyPredictor().fit(records, bags)
        spaces = sorted({item.space for item in bags.networks})
        conditions = next(iter(records.sessions.values()))
        rows: dict[str, Any] = {
            "machine": {k: conditions[k] for k in ("cpu", "cores", "memory_mib")},
            "runtime": f"{conditions['runtime']} {conditions['version']}",
            "kernels": kernels(predictor.kernels_.table_),
            "spaces": {},
        }
        for space in [*spaces, *(["all"] if len(spaces) > 1 else [])]:
            chosen = [n for n in bags.networks if space in ("all", n.space)]
            own = replace(bags, networks=chosen if space == "all" else at_most(chosen))
            rows["spaces"][space] = {
                "judged_from_the_start": once(predictor, own),
                "random_splits": splits(
                    predictor,
                    replace(bags, networks=chosen),
                    MOST * (len(spaces) if space == "all" else 1),
                ),
                "processes_per_network": float(
                    np.mean([len(n.measurement.session_ms) for n in chosen])
                ),
                "noise_floor_pct": noise_floor_pct(chosen),
                "range_ms": [
                    round(bound([n.measurement.latency_ms for n in chosen]), 3)
                    for bound in (min, max)
                ],
            }
            print(
                name,
                space,
                json.dumps(rows["spaces"][space]["random_splits"]["hwnas"]),
                file=sys.stderr,
            )
        general = {kernel.key for kernel in general_kernels(GENERAL, 0)}
        general &= {item.key.removeprefix("kernel:") for item in records.observations}
        if len(spaces) > 1 and len(general) >= FEWEST_GENERAL:
            rows["general_kernels"] = len(general)
            rows["left_out"] = {space: without(space, general, records, bags) for space in spaces}
        found[name] = rows
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
