"""How fast genotypes and files are priced, on the machine that it runs on.

python tools/bench/pricing.py DEVICE SPACE > docs/figures/pricing.json

By the table alone, with the residual, with residual and interval, each for COUNT genotypes at
once and for one; and an ONNX file, from the parsed model to the price, beside its number of nodes.
"""

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hwnas.export.bags import SpaceBags, fusion_rules
from hwnas.kernels import lower, read_model
from hwnas.predictors import LatencyPredictor, SpacePredictor
from hwnas.profiles import DeviceProfile
from hwnas.profiling.bags import profiled_bags
from hwnas.spaces import space
from hwnas.targets.agent import conditions

COUNT = 100_000
REPEATS = 9
SINGLE = 200


def seconds(call: Callable[[], object], repeats: int = REPEATS) -> list[float]:
    """What calls take, after one that is not counted."""
    call()
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        found.append(time.perf_counter() - begin)
    return found


def rate(call: Callable[[], object]) -> dict[str, float]:
    """Architectures a second."""
    own = seconds(call)
    return {
        "median": round(COUNT / statistics.median(own)),
        "least": round(COUNT / max(own)),
        "most": round(COUNT / min(own)),
    }


def single_ms(call: Callable[[], object]) -> dict[str, float]:
    """Milliseconds of one call."""
    own = [1e3 * value for value in seconds(call, SINGLE)]
    return {
        "median": round(statistics.median(own), 4),
        "p95": round(float(np.quantile(own, 0.95)), 4),
    }


def main() -> None:
    profile = DeviceProfile.open(sys.argv[1])
    records = profile.read()
    bags = profiled_bags(records, profile.device.runtime)
    predictor = LatencyPredictor().fit(records, bags)
    begin = time.perf_counter()
    pricer = SpacePredictor(predictor, SpaceBags(space(sys.argv[2]), profile.fusion()))
    built = time.perf_counter() - begin
    genotypes = space(sys.argv[2]).sample(np.random.default_rng(0), COUNT)
    ways: dict[str, Callable[[Any], object]] = {
        "table": pricer.table_ms,
        "with_residual": pricer.predict_ms,
        "with_residual_and_interval": lambda rows: pricer.bounds_ms(rows, 0.9),
    }
    rules, files = fusion_rules(profile.fusion()), {}
    for path in sorted((Path(onnx.__path__[0]) / "backend/test/data/light").glob("*.onnx")):
        model = read_model(path)
        own = seconds(lambda model=model: predictor.predict_bag(lower(model, rules).kernels), 5)
        files[path.stem] = {
            "nodes": len(model.graph.node),
            "seconds": round(statistics.median(own), 4),
        }
    print(
        json.dumps(
            {
                "machine": {key: conditions()[key] for key in ("cpu", "cores", "memory_mib")},
                "python": platform.python_version(),
                "device": sys.argv[1],
                "space": sys.argv[2],
                "networks_fitted_on": sum(not item.judged for item in bags.networks),
                "seconds_to_prepare_the_space": round(built, 2),
                "architectures_at_once": COUNT,
                "architectures_a_second": {
                    name: rate(lambda way=way: way(genotypes)) for name, way in ways.items()
                },
                "one_architecture_ms": {
                    name: single_ms(lambda way=way: way(genotypes[:1]))
                    for name, way in ways.items()
                },
                "onnx_files": files,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
