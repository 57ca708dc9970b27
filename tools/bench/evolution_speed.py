"""How long once-for-all's evolution takes for 50,000 candidates, on the machine that it runs on.

python tools/bench/evolution_speed.py DEVICE SPACE > docs/figures/evolution_speed.json

Generations of POPULATION as in once-for-all's tutorial, each candidate drawn, priced with
residual and interval, filtered by the limit, ranked and selected. Accuracy costs nothing there:
it is a fixed linear function of the genes, as a learned accuracy predictor would be asked for
all of a generation at once. Three limits, since what is drawn in vain depends on it. Beside it,
the same number of candidates priced one by one, as loops over single architectures do, timed
on SINGLES of them.
"""

import json
import platform
import statistics
import sys
import time
from typing import Any

import numpy as np

from hwnas.export.bags import SpaceBags
from hwnas.predictors import LatencyPredictor, SpacePredictor
from hwnas.profiles import DeviceProfile
from hwnas.profiling.bags import profiled_bags
from hwnas.search import LatencyConstraint
from hwnas.search.ofa_evolution import OfaEvolution
from hwnas.spaces import space
from hwnas.spaces.space import SearchSpace
from hwnas.targets.agent import conditions

CANDIDATES = 50_000
POPULATION = 100
PERCENTILES = (10, 30, 60)
REPEATS = 5
SINGLES = 500
GOAL_S = 5.0


def evolve(own: SearchSpace, constraint: LatencyConstraint, seed: int) -> dict[str, Any]:
    """One evolution: its seconds, and what it drew, priced and kept."""
    weights = np.random.default_rng(0).normal(size=own.length)
    begin = time.perf_counter()
    strategy = OfaEvolution(own, constraint, seed, population=POPULATION)
    judged, best = 0, -np.inf
    while judged < CANDIDATES:
        asked = strategy.ask(POPULATION - strategy.kept if judged else POPULATION)
        if not asked:
            break
        values = np.array(asked) @ weights
        for genotype, value in zip(asked, values.tolist(), strict=True):
            strategy.tell(genotype, value)
        judged += len(asked)
        best = max(best, float(values.max()))
    taken = time.perf_counter() - begin
    return {"seconds": taken, "candidates": judged, "best": best}


def main() -> None:
    profile = DeviceProfile.open(sys.argv[1])
    records = profile.read()
    predictor = LatencyPredictor().fit(records, profiled_bags(records, profile.device.runtime))
    own = space(sys.argv[2])
    begin = time.perf_counter()
    pricer = SpacePredictor(predictor, SpaceBags(own, profile.fusion()))
    prepared = time.perf_counter() - begin
    sample = own.sample(np.random.default_rng(0), 10_000)
    latencies = pricer.predict_ms(sample)
    rows: dict[str, Any] = {}
    for percentile in PERCENTILES:
        limit_ms = float(np.percentile(latencies, percentile))
        constraint = LatencyConstraint(pricer, limit_ms)
        found = [evolve(own, constraint, seed) for seed in range(REPEATS)]
        taken = [item["seconds"] for item in found]
        rows[str(percentile)] = {
            "limit_ms": round(limit_ms, 4),
            "candidates_judged": min(item["candidates"] for item in found),
            "seconds_median": round(statistics.median(taken), 3),
            "seconds_least": round(min(taken), 3),
            "seconds_most": round(max(taken), 3),
        }
        print(percentile, json.dumps(rows[str(percentile)]), file=sys.stderr)
    begin = time.perf_counter()
    for row in sample[:SINGLES]:
        pricer.bounds_ms(row[None], 0.9)
    one_by_one = (time.perf_counter() - begin) / SINGLES * CANDIDATES
    worst = max(row["seconds_most"] for row in rows.values())
    print(
        json.dumps(
            {
                "machine": {key: conditions()[key] for key in ("cpu", "cores", "memory_mib")},
                "python": platform.python_version(),
                "device": sys.argv[1],
                "space": sys.argv[2],
                "population": POPULATION,
                "seconds_to_prepare_the_space": round(prepared, 2),
                "limits_by_percentile": rows,
                "priced_one_by_one_seconds": round(one_by_one, 1),
                "goal_seconds": GOAL_S,
                "worst_over_goal": round(worst / GOAL_S, 3),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
