"""A device priced from a few of its networks and another device's profile, both measured here.

python tools/bench/few_shot.py TARGET SOURCE > docs/figures/few_shot.json

Of TARGET only the whole networks count, none of its parts. For every number of samples DRAWS
random choices: the predictor borrows from SOURCE (``hwnas fit --from``) and is judged on the
networks that were not chosen. Beside it, on the same samples: SOURCE's own predictions times one
factor, and a line through FLOPs. And what the target's own parts give with the same networks.
"""

import json
import sys
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np

from hwnas.predictors import LatencyPredictor, accuracy
from hwnas.predictors.baselines import baselines
from hwnas.predictors.borrow import Source, borrow
from hwnas.profiles import DeviceProfile
from hwnas.profiling.bags import profiled_bags

SAMPLES = (5, 10, 20)
DRAWS = 3
NAMES = ("mape_pct", "within_5_pct", "spearman", "kendall")


def main() -> None:
    target, source = (DeviceProfile.open(name) for name in sys.argv[1:3])
    records, lent = target.read(), source.read()
    runtime = target.device.runtime
    bags, lent_bags = profiled_bags(records, runtime), profiled_bags(lent, runtime)
    spaces = {item.space for item in bags.networks}
    lent_bags.networks[:] = [item for item in lent_bags.networks if item.space in spaces]
    whole = [item for item in records.observations if item.key.startswith("network:")]
    few = replace(records, observations=whole)
    rows: dict[str, Any] = {}
    theirs = LatencyPredictor().fit(lent, lent_bags)
    for count in SAMPLES:
        if count + 8 > len(bags.networks):
            continue
        found: dict[str, list[dict[str, float]]] = defaultdict(list)
        said: list[float] = []
        for draw in range(DRAWS):
            order = np.random.default_rng(draw).permutation(len(bags.networks))
            chosen = set(order[:count].tolist())
            split = replace(
                bags,
                networks=[replace(n, judged=i not in chosen) for i, n in enumerate(bags.networks)],
            )
            seen = [item for item in split.networks if not item.judged]
            asked = [item for item in split.networks if item.judged]
            measured = np.array([item.measurement.latency_ms for item in asked])
            borrowed = borrow(few, split, {source.device.name: Source(lent, lent_bags)})
            said.append(borrowed.cross_validated_error_pct)
            own = LatencyPredictor().fit(records, split)
            known = np.array([item.measurement.latency_ms for item in seen])
            factor = float(np.median(known / theirs.predict_networks(seen, split)))
            ways = {
                "borrowed": borrowed.predictor.predict_networks(asked, split),
                "source_times_a_factor": factor * theirs.predict_networks(asked, split),
                "own_parts": own.predict_networks(asked, split),
            }
            for name, values in ways.items():
                found[name].append(accuracy(values, measured).to_json())
            flops = baselines(own.kernels_, seen, asked, split)["flops"]
            found["flops"].append(flops.to_json())
        rows[str(count)] = {
            name: {key: round(float(np.mean([row[key] for row in own])), 3) for key in NAMES}
            for name, own in found.items()
        } | {"cross_validated_error_pct": round(float(np.mean(said)), 2)}
        print(count, json.dumps(rows[str(count)]), file=sys.stderr)
    conditions = next(iter(records.sessions.values()))
    print(
        json.dumps(
            {
                "machine": {key: conditions[key] for key in ("cpu", "cores", "memory_mib")},
                "runtime": f"{conditions['runtime']} {conditions['version']}",
                "target": f"{target.device.name}, {target.device.threads} threads",
                "source": f"{source.device.name}, {source.device.threads} threads",
                "networks": len(bags.networks),
                "draws": DRAWS,
                "samples": rows,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
