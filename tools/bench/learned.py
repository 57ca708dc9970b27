#!/usr/bin/env python3
"""How often the learned predictor believes noise, and how often it sees what is there.

    tools/bench/learned.py [--out docs/figures/learned.json]

Architectures of ``micro``. Accuracies are either pure noise, or grow with the logarithm of
MACs and fall with the choices left at their first value, with noise of 0.02.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.estimators import LearnedPredictor, Sample
from hwnas.files import write_text
from hwnas.spaces import space

DRAWS = 24
COUNTS = (12, 20)


def trials(count: int, seed: int, real: bool) -> tuple[list[Sample], Any]:
    """Different architectures and their accuracies."""
    own, rng = space("micro"), np.random.default_rng(seed)
    genotypes = rng.permutation(np.unique(own.sample(rng, 4 * count), axis=0))[:count]
    architectures = [own.decode(genes) for genes in genotypes.tolist()]
    if not real:
        return [Sample(item) for item in architectures], rng.random(count)
    accuracy = 0.6 + 0.03 * np.log([item.macs for item in architectures])
    accuracy = accuracy - 0.01 * (genotypes == 0).sum(axis=1) + rng.normal(0, 0.02, count)
    return [Sample(item) for item in architectures], accuracy


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", default="docs/figures/learned.json")
    given = parser.parse_args()
    rows = []
    for count in COUNTS:
        for real in (False, True):
            trusted = sum(
                LearnedPredictor().fit(*trials(count, seed, real)).trusted for seed in range(DRAWS)
            )
            kind = "real" if real else "noise"
            rows.append({"trials": count, "accuracies": kind, "draws": DRAWS, "believed": trusted})
            print(json.dumps(rows[-1]), file=sys.stderr)
    write_text(Path(given.out), json.dumps({"space": "micro", "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
