#!/usr/bin/env python3
"""The scoreboard on data/micro: what every estimator is worth, and what it costs.

    python tools/bench/micro.py [--folder data/micro] > docs/figures/micro.json

The truth is the test accuracy of fully trained networks, the mean of two seeds; estimators see
validation images only. Costs are shares of one training from scratch (processor time), both
of the run that made them. A row of its own for

* the first seed's validation accuracy against the second seed's test accuracy: the most that an
  estimator which costs a whole training reaches;
* a training that is stopped after some of its epochs (its learning curve);
* ``LearnedPredictor`` fitted on a tenth of the architectures, trained once, with what is known
  of all of them at little cost; the mean of DRAWS draws, judged on the others only.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from hwnas.cli.common import finite
from hwnas.estimators import LearnedPredictor, Sample, scoreboard
from hwnas.estimators.ranking import cost_bands, rank_statistics
from hwnas.estimators.scoreboard import warnings_of
from hwnas.spaces import space

ROOT = Path(__file__).resolve().parents[2]
DRAWS = 10
SHARE = 0.1
EPOCHS = (1, 2, 4)
NOT_SHOWN = ("inherit", "one-epoch", "supernet", "ofa", "hypernet", "hypernet-init")
"""What the learned predictor of the first row is not shown: what trains something."""

Floats = NDArray[np.float64]


def lines(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    first, *rest = map(json.loads, path.read_text().splitlines())
    return first, rest


class Table:
    """What data/micro knows of its architectures, in the order of their genes."""

    def __init__(self, folder: Path) -> None:
        self.header, rows = lines(folder / "trials.jsonl")
        by_genes: dict[tuple[int, ...], dict[int, dict[str, Any]]] = {}
        for row in rows:
            by_genes.setdefault(tuple(row["genes"]), {})[row["seed"]] = row
        whole = {
            genes: seeds
            for genes, seeds in sorted(by_genes.items())
            if len(seeds) > 1 and not any("failure" in row for row in seeds.values())
        }
        self.missing = space("micro").size - len(whole)
        self.genes = list(whole)
        own = space("micro")
        self.architectures = [own.decode(genes) for genes in self.genes]
        self.validation = np.array([[s[i]["validation"] for i in (0, 1)] for s in whole.values()])
        self.test = np.array([[s[i]["test"] for i in (0, 1)] for s in whole.values()])
        self.curves = np.array([s[0]["curve"] for s in whole.values()])
        self.training_s = statistics.mean(
            row["cpu_s"] for seeds in whole.values() for row in seeds.values()
        )
        self.values: dict[str, Floats] = {}
        self.seconds: dict[str, float] = {}
        _, scores = lines(folder / "scores.jsonl")
        found: dict[str, dict[tuple[int, ...], dict[str, Any]]] = {}
        for row in scores:
            found.setdefault(row["estimator"], {})[tuple(row["genotype"])] = row
        for name, known in found.items():
            if any(genes not in known for genes in self.genes):
                continue
            values = [known[genes]["value"] for genes in self.genes]
            self.values[name] = np.array([np.nan if v is None else v for v in values], dtype=float)
            self.seconds[name] = statistics.mean(known[genes]["seconds"] for genes in self.genes)

    @property
    def truth(self) -> Floats:
        return np.asarray(self.test.mean(axis=1), dtype=float)


def learned(table: Table, shown: list[str]) -> dict[str, Any]:
    """The learned predictor from a tenth of the trainings, judged on all others."""
    count = int(SHARE * len(table.genes))
    bands = cost_bands(table.values["macs"])
    samples = [
        Sample(item, {name: float(table.values[name][i]) for name in shown})
        for i, item in enumerate(table.architectures)
    ]
    rows = []
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(samples))
        seen, asked = order[:count], order[count:]
        model = LearnedPredictor(seed=draw).fit(
            [samples[i] for i in seen], table.validation[seen, 0].tolist()
        )
        mean, _ = model.predict([samples[i] for i in asked])
        row = rank_statistics(mean, table.truth[asked], bands[asked]).to_json()
        rows.append(row)
    cost = count / len(table.genes) * table.training_s + sum(table.seconds[n] for n in shown)
    kendalls = [row["kendall"] for row in rows]
    return {
        "trained": count,
        "shown": shown,
        "draws": DRAWS,
        **{name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]},
        "kendall_least": min(kendalls),
        "kendall_most": max(kendalls),
        "cost": cost / table.training_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", default=str(ROOT / "data/micro"))
    given = parser.parse_args()
    table = Table(Path(given.folder))
    values, seconds = dict(table.values), dict(table.seconds)
    epochs = table.curves.shape[1]
    for count in EPOCHS:
        name = f"stopped after {count} of {epochs}"
        values[name] = table.curves[:, count - 1]
        seconds[name] = table.training_s * count / epochs
    bands = cost_bands(values["macs"])
    rows = scoreboard(values, table.truth, seconds=seconds, bands=bands)
    said = [
        {**row.to_json(), "cost": row.seconds / table.training_s, "intervals": None} for row in rows
    ]
    own = rank_statistics(table.validation[:, 0], table.test[:, 1], bands)
    cheap = [name for name in table.values if name not in NOT_SHOWN]
    result = {
        "architectures": len(table.genes),
        "missing": table.missing,
        "data": table.header["data"],
        "recipe": table.header["recipe"],
        "machine": table.header["machine"],
        "training_cpu_s": table.training_s,
        "test": {
            "least": table.truth.min(),
            "most": table.truth.max(),
            "median": float(np.median(table.truth)),
        },
        "kendall_between_seeds": {
            "validation": float(kendalltau(*table.validation.T).statistic),
            "test": float(kendalltau(*table.test.T).statistic),
        },
        "scratch, the other seed": own.to_json(),
        "learned": learned(table, cheap),
        "learned, with one epoch": learned(table, [*cheap, "one-epoch"]),
        "scores": said,
        "warnings": warnings_of(rows),
    }
    json.dump(finite(result), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
