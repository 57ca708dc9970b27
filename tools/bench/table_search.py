#!/usr/bin/env python3
"""What strategies find on NAS-Bench-201 in 150 queries, with and without a latency limit.

    tools/bench/table_search.py FOLDER [--workers 2] [--out docs/figures/table_search.json]

FOLDER holds `nb201_accuracy.csv.gz` and `nb201_latency_ms.csv.gz`: the validation accuracies of
all 15,625 cells after 200 epochs (Dong and Yang, 2020), and their latencies on the devices of
HELP (Lee et al., 2021). Every discrete strategy searches for the best accuracy on CIFAR-100 and
on ImageNet16-120, without a limit and within the 20th, 40th and 60th percentile of the latencies
of three devices. Searching and judging are those of ``hwnas bench search``.

What is finished is kept in --partial, a line for each strategy and limit. Killed, the same
command goes on with what is missing; delete that file after a change of a strategy.
"""

import argparse
import json
import multiprocessing
import platform
import sys
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hwnas.cli.bench_search import architecture_table, searched
from hwnas.cli.tables import CsvTable, read_table
from hwnas.files import append_text, make_folder, write_text
from hwnas.search.registry import DISCRETE
from hwnas.search.table import ArchitectureTable

ACCURACIES = {"CIFAR-100": "c100_val_e200", "ImageNet16-120": "in16_val_e200"}
DEVICES = ("gold_6226", "pixel2", "eyeriss")
PERCENTILES = (20, 40, 60)
BUDGET = 150
SEEDS = 50
FEWER = {"reinforce": 20, "model": 10, "controller": 10}
"""Seeds of strategies that take tenths of seconds to seconds per search, the others hundredths."""
MARKS = (25, 50, 100, 150)
GOAL = 0.3
"""Mean regret that the best strategy is to stay below, points."""
PAIRS = [
    *((name, "random") for name in ("evolution", "ofa", "reinforce", "controller")),
    *((name, other) for name in ("reinforce", "controller") for other in ("evolution", "ofa")),
]
"""What the course notes' claim is about."""
# What raises and lowers resolution does not exist in cells.
STRATEGIES = tuple(name for name in DISCRETE if name != "compound")


class Cell(NamedTuple):
    """One strategy under one limit; ``percentile`` 0 is no limit."""

    data: str
    device: str
    percentile: int
    strategy: str

    @property
    def seeds(self) -> int:
        return FEWER.get(self.strategy, SEEDS)


def cells(strategies: list[str]) -> list[Cell]:
    """All that is to be searched, strategy by strategy: the slow ones last."""
    limits = [("", 0), *((device, share) for device in DEVICES for share in PERCENTILES)]
    order = sorted(strategies, key=lambda name: -FEWER.get(name, SEEDS))
    return [Cell(data, *limit, name) for name in order for limit in limits for data in ACCURACIES]


@lru_cache(maxsize=2)
def csv(folder: Path, name: str) -> CsvTable:
    return read_table(folder / name)


@lru_cache(maxsize=8)
def table(folder: Path, data: str, device: str) -> ArchitectureTable:
    accuracies = csv(folder, "nb201_accuracy.csv.gz")
    latencies = csv(folder, "nb201_latency_ms.csv.gz")
    return architecture_table(accuracies, latencies, None, ACCURACIES[data], None, device or None)


def row(given: tuple[Path, Cell]) -> dict[str, Any]:
    """The figures of a cell."""
    folder, cell = given
    begun = time.monotonic()
    own = table(folder, cell.data, cell.device)
    limit_ms = float(np.percentile(own.latency_ms, cell.percentile)) if cell.percentile else None
    found = searched(own, [cell.strategy], limit_ms, budget=BUDGET, seeds=cell.seeds, marks=MARKS)
    return {
        **cell._asdict(),
        "seeds": cell.seeds,
        "limit_ms": limit_ms,
        "optimum": found["optimum"],
        "feasible": found["feasible"],
        **found["strategies"][cell.strategy],
        "seconds_per_search": round((time.monotonic() - begun) / cell.seeds, 3),
    }


def kept(partial: Path) -> dict[Cell, dict[str, Any]]:
    """What earlier runs finished; a line that was cut off does not count."""
    found = {}
    lines = partial.read_text(encoding="utf-8").splitlines() if partial.exists() else []
    for line in lines:
        try:
            own = json.loads(line)
        except ValueError:
            continue
        cell = cell_of(own)
        if own["seeds"] == cell.seeds:
            found[cell] = own
    return found


def cell_of(own: dict[str, Any]) -> Cell:
    return Cell(own["data"], own["device"], own["percentile"], own["strategy"])


def mean_regret(rows: Iterable[dict[str, Any]]) -> float:
    return round(float(np.mean([item["regret_mean"] for item in rows])), 4)


def overall(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """By strategy: mean regrets over tables and limits, and in how many the goal is met."""
    found = {}
    for name in dict.fromkeys(item["strategy"] for item in rows):
        own = [item for item in rows if item["strategy"] == name]
        found[name] = {
            "regret_mean": mean_regret(own),
            "regret_without_limit": mean_regret(item for item in own if not item["percentile"]),
            **{
                f"regret_within_{share}": mean_regret(i for i in own if i["percentile"] == share)
                for share in PERCENTILES
            },
            "std_mean": round(float(np.mean([item["std"] for item in own])), 4),
            "seeds": own[0]["seeds"],
            "regret_worst": max(item["regret_mean"] for item in own),
            "within_goal": sum(item["regret_mean"] <= GOAL for item in own),
            "of": len(own),
            "regret_at": {
                str(mark): round(float(np.mean([r["regret_at"][str(mark)] for r in own])), 4)
                for mark in MARKS
            },
            "seconds_per_search": round(
                float(np.mean([item["seconds_per_search"] for item in own])), 3
            ),
        }
    return dict(sorted(found.items(), key=lambda item: item[1]["regret_mean"]))


def compared(rows: list[dict[str, Any]], first: str, second: str) -> dict[str, Any]:
    """Mean regret of one strategy minus another's, and its standard error over the seeds."""
    one, two = (
        {cell_of(item)._replace(strategy=""): item for item in rows if item["strategy"] == name}
        for name in (first, second)
    )
    less = [one[key]["regret_mean"] - two[key]["regret_mean"] for key in one]
    variance = sum(own[key]["std"] ** 2 / own[key]["seeds"] for own in (one, two) for key in one)
    return {
        "first": first,
        "second": second,
        "difference": round(float(np.mean(less)), 4),
        "standard_error": round(float(np.sqrt(variance)) / len(less), 4),
        "first_is_better": sum(item < 0 for item in less),
        "of": len(less),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2, choices=(1, 2))
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--out", type=Path, default=Path("docs/figures/table_search.json"))
    parser.add_argument("--partial", type=Path, default=Path("runs/table_search.jsonl"))
    given = parser.parse_args()
    names = given.strategies.split(",")
    wanted = cells(names)
    make_folder(given.partial.parent)
    found = kept(given.partial)
    left = [cell for cell in wanted if cell not in found]
    # A worker keeps the tables that it has read.
    with multiprocessing.get_context("spawn").Pool(given.workers) as pool:
        tasks = [(given.folder, cell) for cell in left]
        for number, own in enumerate(pool.imap_unordered(row, tasks), start=1):
            append_text(given.partial, json.dumps(own) + "\n")
            cell = cell_of(own)
            found[cell] = own
            print(
                f"{number}/{len(left)} {cell.strategy}, {cell.data}, {cell.device or 'no limit'} "
                f"{cell.percentile or ''}: regret {own['regret_mean']:.3f}, "
                f"{own['seconds_per_search']:.2f} s per search",
                file=sys.stderr,
            )
    rows = [found[cell] for cell in wanted]
    document = {
        "space": "nasbench201",
        "budget": BUDGET,
        "goal_points": GOAL,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "overall": overall(rows),
        "compared": [compared(rows, *pair) for pair in PAIRS if {*pair} <= {*names}],
        "rows": rows,
    }
    write_text(given.out, json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
