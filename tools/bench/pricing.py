"""How fast genotypes are priced, and how good the predictor of a profile is, beside its baselines.

python tools/bench/pricing.py DEVICE SPACE
"""

import json
import platform
import statistics
import sys
import time

import numpy as np

from hwnas.export.bags import SpaceBags
from hwnas.predictors import LatencyPredictor, SpacePredictor, evaluate
from hwnas.profiles import DeviceProfile
from hwnas.profiling.bags import profiled_bags
from hwnas.spaces import space

COUNT = 100_000


def main() -> None:
    profile = DeviceProfile.open(sys.argv[1])
    records = profile.read()
    bags = profiled_bags(records, profile.device.runtime)
    predictor = LatencyPredictor.load(profile.predictor_path)
    pricer = SpacePredictor(predictor, SpaceBags(space(sys.argv[2]), profile.device.runtime))
    genotypes = space(sys.argv[2]).sample(np.random.default_rng(0), COUNT)
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        pricer.bounds_ms(genotypes, 0.9)
        seconds.append(time.perf_counter() - begin)
    conditions = next(iter(records.sessions.values()))
    print(
        json.dumps(
            {
                "machine": {k: conditions[k] for k in ("cpu", "cores", "features", "memory_mib")},
                "runtime": f"{conditions['runtime']} {conditions['version']}",
                "python": platform.python_version(),
                "architectures": COUNT,
                "seconds_with_residual_and_interval": {
                    "median": round(statistics.median(seconds), 4),
                    "min": round(min(seconds), 4),
                    "max": round(max(seconds), 4),
                },
                "accuracy": evaluate(predictor, bags),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
