#!/usr/bin/env python3
"""How near to its limit a gradient search ends, over limits and seeds, with no setting changed.

    tools/bench/gradient_limits.py DEVICE SPACE DATA [--out FILE] [--partial FILE]

Limits at five percentiles of the predicted latencies of the space's architectures. Each search is
that of ``hwnas search --strategy gradient``: the same steps, weights and finalists. What counts
is its first finalist, the one that it holds for the best: by how many per cent the upper bound of
its latency, which the search holds to the limit, and the predicted latency itself lie below.
Beside it the likeliest architecture of the probabilities as they are, before repair and filling.

What is finished is kept in --partial, a line for each search. Killed, the same command goes on.
"""

import argparse
import json
import multiprocessing
import platform
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwnas.cli.gradient_rules import gradient_rule
from hwnas.cli.run_parts import data_for
from hwnas.cli.search_run import GRADIENT_STEPS
from hwnas.export.bags import SpaceBags
from hwnas.files import append_text, make_folder, write_text
from hwnas.predictors import LatencyPredictor, SpacePredictor
from hwnas.profiles import DeviceProfile
from hwnas.profiling.bags import profiled_bags
from hwnas.search import LatencyConstraint
from hwnas.search.constraint import rows
from hwnas.search.gradient import GradientSearch
from hwnas.spaces import space
from hwnas.targets.agent import conditions

PERCENTILES = (10, 30, 50, 70, 90)
SEEDS = 5
GOAL_PCT = 3.0
FINALISTS = 3

Asked = tuple[str, str, str, int, int]
"""Device, space, data, percentile, seed."""


@lru_cache(maxsize=1)
def pricer(device: str, name: str) -> SpacePredictor:
    profile = DeviceProfile.open(device)
    records = profile.read()
    predictor = LatencyPredictor().fit(records, profiled_bags(records, profile.device.runtime))
    return SpacePredictor(predictor, SpaceBags(space(name), profile.fusion()))


def searched(asked: Asked) -> dict[str, Any]:
    """One search, and how far below its limit it ended."""
    device, name, data, percentile, seed = asked
    torch.set_num_threads(1)
    own, prices = space(name), pricer(device, name)
    latencies = prices.predict_ms(own.sample(np.random.default_rng(0), 10_000))
    limit_ms = float(np.percentile(latencies, percentile))
    constraint = LatencyConstraint(prices, limit_ms)
    images = data_for(own, data, seed)
    begin = time.monotonic()
    rule = gradient_rule("gradient", own, images, steps=GRADIENT_STEPS, seed=seed)
    search = GradientSearch(own, constraint, seed, rule=rule, steps=GRADIENT_STEPS)
    first = search.ask(FINALISTS)[0]
    likeliest = own.canonical(
        rows([tuple(int(p.argmax()) for p in search.relaxation.probabilities())])
    )

    def below(value_ms: float) -> float:
        return round(100 * (1 - value_ms / limit_ms), 3)

    return {
        "percentile": percentile,
        "seed": seed,
        "limit_ms": round(limit_ms, 5),
        "bound_below_limit_pct": below(float(constraint.upper_ms(rows([first]))[0])),
        "predicted_below_limit_pct": below(float(prices.predict_ms(rows([first]))[0])),
        "likeliest_below_limit_pct": below(float(constraint.upper_ms(likeliest)[0])),
        "multiplier": round(search.relaxation.dual.level, 4),
        "seconds": round(time.monotonic() - begin, 1),
    }


def kept(partial: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """What earlier runs finished; a line that was cut off does not count."""
    found = {}
    for line in partial.read_text(encoding="utf-8").splitlines() if partial.exists() else []:
        try:
            own = json.loads(line)
        except ValueError:
            continue
        found[own["percentile"], own["seed"]] = own
    return found


def spread(values: list[float]) -> dict[str, float]:
    """Median, least, most, and the share within the goal."""
    own = np.array(values)
    return {
        "median": round(float(np.median(own)), 3),
        "least": round(float(own.min()), 3),
        "most": round(float(own.max()), 3),
        "within_goal_pct": round(float(100 * np.mean((own >= 0) & (own <= GOAL_PCT))), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("device")
    parser.add_argument("space")
    parser.add_argument("data")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", default="")
    parser.add_argument("--partial", default="")
    given = parser.parse_args()
    partial = Path(given.partial or f"runs/gradient_limits-{given.space}.jsonl")
    make_folder(partial.parent)
    known = kept(partial)
    todo: list[Asked] = [
        (given.device, given.space, given.data, percentile, seed)
        for seed in range(SEEDS)
        for percentile in PERCENTILES
        if (percentile, seed) not in known
    ]
    with multiprocessing.get_context("spawn").Pool(given.workers) as pool:
        for own in pool.imap_unordered(searched, todo):
            known[own["percentile"], own["seed"]] = own
            append_text(partial, json.dumps(own) + "\n")
            print(f"{len(known)}/{len(PERCENTILES) * SEEDS}", json.dumps(own), file=sys.stderr)
    found = [known[key] for key in sorted(known)]
    whole = {
        "machine": {key: conditions()[key] for key in ("cpu", "cores", "memory_mib")},
        "python": platform.python_version(),
        "device": given.device,
        "space": given.space,
        "data": given.data,
        "steps": GRADIENT_STEPS,
        "goal_pct": [0, GOAL_PCT],
        "bound": spread([item["bound_below_limit_pct"] for item in found]),
        "predicted": spread([item["predicted_below_limit_pct"] for item in found]),
        "likeliest": spread([item["likeliest_below_limit_pct"] for item in found]),
        "searches": found,
    }
    text = json.dumps(whole, indent=1) + "\n"
    if given.out:
        write_text(Path(given.out), text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
